"""An error of another package is told as that, wherever its code runs, and tells nothing of the server."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.recipe import load_recipe_text
from curator.registry import STAGES, names
from serve.guarded.call import Guard
from serve.guarded.recipes import check_guarded_stages
from serve.packages import fault_of
from serve.problems import ProblemError
from serve.routes import recipes
from serve.settings import Limits
from tests.command import installed_package
from tests.serve.servers import Running

SECRET = "/srv/secret/place: swordfish"  # noqa: S105 (made up; looked for in what is told)

STAGE = f"""
import sys
from curator.errors import UserError
from curator.stage import Parameters, Requirement, Stage

class Theirs(Parameters):
    how: str
    file: str = ""

class TheirError(UserError):
    pass

class TheirStage(Stage[Theirs]):
    name = "theirs"
    about = "a stage of another package"
    parameters_type = Theirs

    def requirements(self):
        if self.parameters.how == "raises":
            raise ValueError("{SECRET}")
        if self.parameters.how == "exits":
            sys.exit("{SECRET}")
        if self.parameters.how == "has no memory":
            bytearray(1 << 40)
        if self.parameters.how == "has no memory, and says so":
            try:
                bytearray(1 << 40)
            except MemoryError:
                raise RuntimeError("cannot")
        if self.parameters.how == "says why":
            raise TheirError("needs a licence", hint="ask for one") from ValueError("{SECRET}")
        return []

class TheirReader:
    name = "their_format"

    def splits(self, file, options, split_bytes):
        raise KeyError("{SECRET}")
"""

ENTRIES = [
    "theirs = their_stage:TheirStage",
    "absent = their_stage:Absent",
    "gone = their_gone:Stage",
    "raising = their_raising:Stage",
    "needing = their_needing:Stage",
    "unparsed = their_unparsed:Stage",
]

MODULES = {
    "their_raising": f"raise ValueError('{SECRET}')",
    "their_needing": "import a_package_that_nobody_has",
    "their_unparsed": "def",
}

PACKAGE = "the package their_stage 0.1, which adds "

BROKEN = {
    "gone": "cannot be imported: there is no module 'their_gone'",
    "needing": "cannot be imported: there is no module 'a_package_that_nobody_has'",
    "raising": "cannot be imported: ValueError",
    "unparsed": "cannot be imported: SyntaxError",
    "absent": "cannot be imported: AttributeError",
}
"""The stages that cannot be imported, and what is told of each."""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a package that adds stages and a reader, most of which will not do."""
    folder = tmp_path_factory.mktemp("theirs") / "packages"
    entries = [*ENTRIES, "[curator.readers]", "their_format = their_stage:TheirReader"]
    with installed_package(folder, "their_stage", "curator.stages", entries, STAGE):
        for name, source in MODULES.items():
            (folder / f"{name}.py").write_text(source)
        _list_again()
        yield folder
    _list_again()


def _list_again() -> None:
    """What the service tells of stages is made once a process, for other tests too."""
    recipes._schema.cache_clear()
    recipes._stages.cache_clear()


def answer_of(server: Running, recipe: dict[str, object]) -> tuple[int, dict[str, str]]:
    with server.http() as client:
        answer = client.post("/v1/recipes/validate", json={"recipe": recipe})
    assert SECRET not in answer.text
    assert "/packages" not in answer.text
    assert "Traceback" not in answer.text
    return answer.status_code, answer.json()


def recipe_of(server: Running, stage: str, how: str | None, *, named: bool) -> dict[str, object]:
    """A recipe with a stage; where it is `named`, with a file that has the limited process look at it."""
    parameters = {} if how is None else {"how": how}
    stages: list[object] = ["dedup", {stage: parameters}]
    if named:
        file = server.settings.state.parent / "in" / "texts.jsonl"
        stages.insert(1, {"decontamination": {"sets": [{"name": "ours", "path": str(file)}]}})
    return {"name": "theirs", "stages": stages}


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("how", "kind"), [("raises", "ValueError"), ("exits", "SystemExit")])
def test_what_a_stage_of_another_package_raises_is_told_as_its_own(
    resting: Running, theirs: Path, caplog: pytest.LogCaptureFixture, how: str, kind: str, named: bool
) -> None:
    with caplog.at_level(logging.ERROR, "curator.serve"):
        status, told = answer_of(resting, recipe_of(resting, "theirs", how, named=named))
    assert (status, told["code"]) == (422, "package.failed")
    assert told["detail"] == f"{PACKAGE}'theirs', failed with {kind}"
    assert "limit" not in json.dumps(told)
    assert "their_stage.py:20 requirements" in caplog.text or "their_stage.py:22 requirements" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
def test_what_it_says_on_purpose_is_told_in_its_words(resting: Running, theirs: Path, named: bool) -> None:
    status, told = answer_of(resting, recipe_of(resting, "theirs", "says why", named=named))
    assert (status, told["code"]) == (422, "recipe.invalid")
    assert (told["detail"], told["hint"]) == ("needs a licence", "ask for one")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["has no memory", "has no memory, and says so"])
def test_memory_that_it_was_not_given_is_still_a_limit(resting: Running, theirs: Path, how: str) -> None:
    status, told = answer_of(resting, recipe_of(resting, "theirs", how, named=True))
    assert (status, told["code"]) == (422, "recipe.invalid")
    assert "within the limits of the service" in told["detail"]


@pytest.mark.parametrize(("stage", "said"), BROKEN.items())
def test_a_stage_that_cannot_be_imported_is_told_as_that(
    resting: Running, theirs: Path, caplog: pytest.LogCaptureFixture, stage: str, said: str
) -> None:
    status, told = answer_of(resting, recipe_of(resting, stage, None, named=False))
    assert (status, told["code"], told["detail"]) == (422, "package.failed", f"{PACKAGE}{stage!r}, {said}")
    assert SECRET not in caplog.text


def test_the_others_are_listed_beside_stages_that_cannot_be_loaded(
    resting: Running, theirs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "curator.serve"), resting.http() as client:
        listed, schema = client.get("/v1/stages"), client.get("/v1/recipes/schema")
    assert (listed.status_code, schema.status_code) == (200, 200)
    assert {stage["name"] for stage in listed.json()["stages"]} == {*names(STAGES)} - BROKEN.keys()
    assert "theirs" not in BROKEN
    told = {stage["name"]: stage["detail"] for stage in listed.json()["broken"]}
    assert told == {name: f"{PACKAGE}{name!r}, {said}" for name, said in BROKEN.items()}
    enum, *_ = schema.json()["properties"]["stages"]["items"]["anyOf"]
    assert set(enum["enum"]) == {*names(STAGES)} - BROKEN.keys()
    assert schema.json()["$comment"] == f"without stages that cannot be loaded: {', '.join(sorted(BROKEN))}"
    assert "their_raising.py:1 <module>" in caplog.text
    for text in (listed.text, schema.text):
        assert str(theirs) not in text
        assert SECRET not in text
    assert SECRET not in caplog.text


@pytest.mark.slow
def test_what_a_reader_of_another_package_raises_is_told_as_its_own(resting: Running, theirs: Path) -> None:
    file = resting.settings.state.parent / "in" / "texts.jsonl"
    sets = [{"name": "ours", "path": str(file), "format": "their_format"}]
    status, told = answer_of(resting, {"name": "r", "stages": ["dedup", {"decontamination": {"sets": sets}}]})
    assert (status, told["code"]) == (422, "package.failed")
    assert told["detail"] == f"{PACKAGE}'their_format', failed with KeyError"


@pytest.mark.slow
def test_a_package_that_lies_where_the_server_was_started_is_found_by_the_limited_process(theirs: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from curator.recipe import load_recipe_text; from serve.guarded.call import Guard\n"
        "from serve.guarded.recipes import check_guarded_stages; from serve.settings import Limits\n"
        "recipe = load_recipe_text('{name: r, stages: [{theirs: {how: well}}]}', 'r')\n"
        "print(*check_guarded_stages(Guard(Limits()), recipe, ('/a',)))"
    )
    path = os.pathsep.join(("packages", *filter(None, sys.path)))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=theirs.parent, env=environment, capture_output=True, text=True
    )
    assert "theirs" in done.stdout, done.stderr


def test_our_own_errors_are_nobody_else_s(theirs: Path) -> None:
    for error in (ValueError("x"), UserError("x"), MemoryError()):
        with pytest.raises(type(error)) as caught:
            raise error
        assert fault_of(caught.value) is None


@pytest.mark.slow
def test_a_stage_that_only_the_limited_process_cannot_import_is_told_there(theirs: Path) -> None:
    recipe = load_recipe_text("{name: r, stages: [{theirs: {how: well}}]}", "r")
    moved = theirs / "their_stage.py"
    moved.rename(theirs / "away.py")
    try:
        with pytest.raises(ProblemError) as caught:
            check_guarded_stages(Guard(Limits()), recipe, ("/a",))
    finally:
        (theirs / "away.py").rename(moved)
    problem = caught.value.problem
    assert problem.code == "package.failed"
    assert problem.detail == f"{PACKAGE}'theirs', cannot be imported: there is no module 'their_stage'"
