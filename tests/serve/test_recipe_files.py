"""Files that a recipe names are opened only in a process with limits, and what is said of them stays the same."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import UserError
from curator.recipe import load_recipe_text
from serve.environment import CLIENT_VARIABLE
from serve.guarded import call
from serve.guarded.call import Guard
from serve.guarded.recipes import check_guarded_stages
from serve.places import Allowances
from serve.problems import ProblemError
from serve.settings import Limits
from serve.stage_checks import check_stages
from serve.states import State
from stages.decontamination import stage as decontamination
from tests.runs import make_texts
from tests.serve.servers import LOOSE, Running, await_state, make_settings, running

EXAMPLES = "".join(f"{json.dumps(text)}\n" for text in make_texts(20, seed=7)).encode()

BOMB = gzip.compress(b"".join(b'{"text": "%s"}\n' % (b"word " * 200_000) for _ in range(64)))
"""A hundred kilobytes that are 64 MB."""


def evaluating(path: Path, **more: object) -> dict[str, object]:
    """A recipe with an evaluation set."""
    sets = [{"name": "ours", "path": str(path)}]
    return {"name": "evaluating", "stages": ["dedup", {"decontamination": {"sets": sets}}], **more}


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def inputs_of(server: Running) -> Path:
    return server.settings.state.parent / "in"


def both(server: Running, recipe: Mapping[str, object], output: str) -> list[tuple[int, dict[str, str]]]:
    """What is answered to a validation, and to the submission of a run."""
    body = {"inputs": [str(inputs_of(server) / "texts.jsonl")], "output": output, "recipe": recipe}
    with server.http() as client:
        answers = [client.post("/v1/recipes/validate", json={"recipe": recipe}), client.post("/v1/runs", json=body)]
        assert client.get("/healthz").status_code == 200
    return [(answer.status_code, answer.json()) for answer in answers]


def refused(recipe: dict[str, object], limits: Limits) -> tuple[str, str]:
    """Detail and hint of a recipe for which the limits do not do."""
    loaded = load_recipe_text(json.dumps(recipe), "recipe")
    with pytest.raises(ProblemError) as error:
        check_guarded_stages(Guard(limits), loaded, ("/one", "/two"))
    assert error.value.problem.code == "recipe.invalid"
    return error.value.problem.detail, str(error.value.problem.hint)


@pytest.mark.slow
def test_the_process_of_the_server_opens_no_file_that_a_recipe_names(
    working: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise AssertionError("this process opens an evaluation set")

    monkeypatch.setattr(decontamination, "load_index", fail)
    recipe = evaluating(put(inputs_of(working) / "sets" / "ours.jsonl.gz", gzip.compress(EXAMPLES)))
    with pytest.raises(AssertionError, match="this process opens"):
        check_stages(load_recipe_text(json.dumps(recipe), "recipe"))
    (status, valid), (accepted, run) = both(working, recipe, "evaluated")
    assert (status, accepted) == (200, 202)
    assert list(valid["stages"]) == ["dedup", "decontamination"]
    with working.client() as client:
        assert await_state(client, run["id"]).state == State.SUCCEEDED
    wrong = evaluating(put(inputs_of(working) / "sets" / "wrong.jsonl.gz", gzip.compress(b"{}\n")))
    for status, told in both(working, wrong, "wrong"):
        assert (status, told["code"]) == (422, "recipe.invalid")
        assert "evaluation set ours: " in told["detail"]
        assert "wrong.jsonl.gz" in told["detail"]


@pytest.mark.slow
def test_a_set_that_unpacks_to_more_than_the_memory_is_refused_and_the_server_stays(tmp_path: Path) -> None:
    limits = replace(LOOSE, guarded_memory_bytes=700_000_000)
    with running(make_settings(tmp_path, limits=limits), work=False) as server:
        bomb = put(tmp_path / "in" / "bomb.jsonl.gz", BOMB * 40)
        assert bomb.stat().st_size < 8_000_000
        for status, told in both(server, evaluating(bomb), "bomb"):
            assert (status, told["code"]) == (422, "recipe.invalid")
            assert "could not be looked at within the limits of the service: it" in told["detail"]
            assert str(bomb) in told["hint"]
            assert "verify" not in told["hint"]
        good = put(tmp_path / "in" / "good.jsonl.gz", gzip.compress(EXAMPLES))
        assert [status for status, _ in both(server, evaluating(good), "good")] == [200, 202]


@pytest.mark.slow
def test_a_look_that_takes_too_long_is_ended_and_the_files_are_named(tmp_path: Path) -> None:
    recipe = evaluating(put(tmp_path / "a.jsonl", EXAMPLES))
    detail, hint = refused(recipe, replace(Limits(), guarded_seconds=0.05))
    assert detail.endswith("within the limits of the service: it took longer than 0.05 s")
    assert hint == "it names /one, /two; `curator process` has no such limits"


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out", "s3://x/y"])
def test_a_file_outside_of_the_roots_is_refused_before_it_is_opened(resting: Running, output: str) -> None:
    recipe = evaluating(put(inputs_of(resting).parent / "secret.jsonl.gz", gzip.compress(EXAMPLES)))
    for status, told in both(resting, recipe, output):
        assert (status, told["code"]) == (403, "place.refused")


@pytest.mark.slow
def test_a_bare_name_is_no_file_of_the_servers_own_folder(
    resting: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "secret.jsonl", EXAMPLES)
    monkeypatch.chdir(tmp_path)
    check_stages(load_recipe_text(json.dumps(evaluating(Path("secret.jsonl"))), "recipe"))
    for status, told in both(resting, evaluating(Path("secret.jsonl")), "bare"):
        assert (status, told["code"]) == (422, "recipe.invalid")
        assert "secret.jsonl: does not exist" in told["detail"]


@pytest.mark.slow
def test_only_a_recipe_that_names_files_waits_for_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "WAIT_SECONDS", 0.1)
    plain = {"name": "plain", "stages": ["dedup", "quality"]}
    with running(make_settings(tmp_path, limits=replace(LOOSE, guarded=0)), work=False) as server:
        assert [status for status, _ in both(server, plain, "plain")] == [200, 202]
        recipe = evaluating(put(tmp_path / "in" / "a.jsonl", EXAMPLES))
        for status, told in both(server, recipe, "named"):
            assert (status, told["code"]) == (503, "service.busy")
        monkeypatch.chdir(tmp_path / "in")  # a bare name may be that of a file, too
        bare = {**recipe, "stages": [{"decontamination": {"sets": [{"name": "ours", "path": "a.jsonl"}]}}]}
        assert [told["code"] for _, told in both(server, bare, "bare")] == ["service.busy"] * 2


WRONG = {
    "absent": [{"decontamination": {"sets": [{"name": "a", "path": "{in}/absent.jsonl"}]}}],
    "not JSON": [{"decontamination": {"sets": [{"name": "a", "path": "{in}/wrong.jsonl"}]}}],
    "damaged": [{"decontamination": {"sets": [{"name": "a", "path": "{in}/cut.jsonl.gz"}]}}],
    "of short examples": [{"decontamination": {"sets": [{"name": "a", "path": "{in}/short.jsonl"}]}}],
    "no Parquet": [{"decontamination": {"sets": [{"name": "a", "path": "{in}/a.parquet"}]}}],
    "of no storage": [{"dedup": {"against": ["https://bucket/index"]}}],
    "no index": [{"dedup": {"against": ["{in}"]}}],
    "no classifier": [{"toxicity": {"model": "{in}/absent"}}],
    "no key": [{"pii": {"actions": {"email": "hash"}, "key": {"file": "{in}/absent"}}}],
    "no folder": [{"outliers": {"embedding": {"path": "{in}/absent", "languages": ["en"]}}}],
    "before another": ["sampling", {"dedup": {"against": ["{in}"]}}],
    "with a field": [{"dedup": {"against": [], "keeper": "newest", "keeper_field": "date"}}],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WRONG, "tokenizer", "language"])
def test_what_is_wrong_is_told_in_the_same_words_wherever_it_is_found(tmp_path: Path, name: str) -> None:
    put(tmp_path / "wrong.jsonl", b"{\n")
    put(tmp_path / "short.jsonl", b'{"text": "short"}\n')
    put(tmp_path / "cut.jsonl.gz", gzip.compress(EXAMPLES)[:-30])
    put(tmp_path / "a.parquet", b"PAR1" + b"\xff" * 60 + b"\xff\xff\xff\x7fPAR1")
    recipe: dict[str, object] = {"name": "wrong", "stages": WRONG.get(name, ["dedup"])}
    if name in ("tokenizer", "language"):
        file = str(tmp_path / "wrong.jsonl")
        recipe[name] = file if name == "tokenizer" else {"model": file}
    loaded = load_recipe_text(json.dumps(recipe).replace("{in}", str(tmp_path)), "recipe")
    said: list[tuple[str | None, str, str | None]] = []
    for files in ((), ("/a",)):
        with pytest.raises(UserError) as error:
            check_guarded_stages(Guard(Limits()), loaded, files)
        said.append((error.value.file, error.value.message, error.value.hint))
    assert said[0] == said[1]


@pytest.mark.slow
def test_kernels_that_nobody_has_compiled_are_compiled_there_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    loaded = load_recipe_text(json.dumps(evaluating(put(tmp_path / "a.jsonl", EXAMPLES))), "recipe")
    assert check_guarded_stages(Guard(Limits()), loaded, ("/a",))[0].startswith("read dedup, decontamination")
    assert list((tmp_path / "kernels").rglob("*.nbc"))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [20, 20_000])
def test_parquet_that_is_compressed_once_more_is_unpacked_up_to_a_bound(tmp_path: Path, rows: int) -> None:
    held = io.BytesIO()
    texts = [f"{number} " + "some words of an example that is long enough " * 320 for number in range(rows)]
    pq.write_table(pa.table({"text": texts}), held, compression="none", use_dictionary=False)
    recipe = evaluating(put(tmp_path / "a.parquet.gz", gzip.compress(held.getvalue(), 1)))
    if rows == 20:
        assert check_guarded_stages(Guard(Limits()), load_recipe_text(json.dumps(recipe), "r"), ("/a",))
    else:
        assert len(held.getvalue()) > 256 << 20
        assert "the process that read them ended" in refused(recipe, Limits())[0]


@pytest.mark.slow
def test_variables_that_recipes_may_name_are_seen_and_secrets_of_the_server_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", "k" * 40)
    monkeypatch.setenv(CLIENT_VARIABLE, "k" * 40)
    settings = make_settings(tmp_path)
    allowed = Allowances(environment=("OUR_KEY", "NO_KEY", CLIENT_VARIABLE))
    settings = replace(settings, places=replace(settings.places, allowances=allowed))
    set_ = put(tmp_path / "in" / "a.jsonl", EXAMPLES)
    with running(settings, work=False) as server:
        for variable, status in (("OUR_KEY", 200), ("NO_KEY", 422), (CLIENT_VARIABLE, 422)):
            pii = {"pii": {"actions": {"email": "hash"}, "key": {"environment": variable}}}
            recipe = evaluating(set_)
            recipe["stages"] = [*recipe["stages"], pii]  # type: ignore[misc]
            answered, told = both(server, recipe, variable.lower())[0]
            assert answered == status
            assert status == 200 or told["detail"] == f"pii: key variable {variable}: is not set"


PLUGIN = """
import os
from curator.stage import Parameters, Requirement, Stage

class Theirs(Parameters):
    file: str

class TheirStage(Stage[Theirs]):
    name = "theirs"
    about = "a stage of another package"
    parameters_type = Theirs

    def requirements(self):
        return [Requirement("process", str(os.getpid()), "", "read " + open(self.parameters.file).read())]
"""

ASKING = """
import os, sys
from curator.errors import UserError
from curator.recipe import load_recipe_text
from serve.guarded.call import Guard
from serve.guarded.recipes import check_guarded_stages
from serve.places import Places
from serve.settings import Limits
recipe = load_recipe_text("{name: r, stages: [{theirs: {file: " + sys.argv[1] + "}}]}", "r")
try:
    check_guarded_stages(Guard(Limits()), recipe, Places((os.path.dirname(sys.argv[1]),)).check_recipe(recipe))
except UserError as error:
    print(os.getpid(), error.message)
"""


@pytest.mark.slow
def test_a_stage_of_another_package_opens_its_files_there_too(tmp_path: Path) -> None:
    put(tmp_path / "packages" / "their_stage.py", PLUGIN.encode())
    put(tmp_path / "packages" / "theirs-1.dist-info" / "METADATA", b"Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    put(
        tmp_path / "packages" / "theirs-1.dist-info" / "entry_points.txt",
        b"[curator.stages]\ntheirs = their_stage:TheirStage\n",
    )
    file = put(tmp_path / "file", b"words")
    path = os.pathsep.join((str(tmp_path / "packages"), *filter(None, sys.path)))
    done = subprocess.run(
        [sys.executable, "-c", ASKING, str(file)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    own, _, said = done.stdout.strip().partition(" ")
    assert said.startswith("theirs: process ")
    assert said.endswith(": read words")
    assert own not in said.split(": ")[1].split()


@pytest.mark.slow
def test_a_model_may_be_larger_than_the_memory_when_it_is_mapped(tmp_path: Path) -> None:
    with (tmp_path / "model").open("wb") as file:
        file.truncate(3 << 30)
    script = (
        "import mmap; from serve.guarded.limits import limit_process; limit_process(500_000_000, 60, 32 << 30, 0)\n"
        f"with open({str(tmp_path / 'model')!r}, 'rb') as file: mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "try: bytearray(600_000_000)\n"
        "except MemoryError: print('bound')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "bound\n"
