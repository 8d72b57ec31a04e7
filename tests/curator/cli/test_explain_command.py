"""`curator explain`, through the executable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from tests.command import told
from tests.curator.cli.scene import STAGES, Scene
from tests.runs import recipe_text, rows


def test_a_dropped_document_is_explained_by_its_keeper(scene: Scene) -> None:
    (found,) = scene.explain("copy")
    assert found["fate"] == "dropped by dedup"
    assert "dedup dropped it: its text is the same as that of en0" in cast("list[str]", found["sentences"])[0]
    assert scene.explain(str(found["key"])) == [found]
    assert scene.explain("spam")[0]["fate"] == "dropped by entropy"


@pytest.mark.slow
def test_an_edited_document_is_explained_without_the_value(scene: Scene) -> None:
    done = scene.curator("explain", scene.run, "mail")
    assert re.search(r"pii edited it \(characters \d+ to \d+\): .*e-mail", done.stdout)
    assert "jana.doe" not in done.stdout


def test_a_document_that_nothing_happened_to_is_explained(scene: Scene) -> None:
    decided = {row["key"] for row in rows(scene.run, "decisions")}
    kept = next(row for row in rows(scene.run, "shards") if row["key"] not in decided)
    (found,) = scene.explain(str(kept["id"]))
    assert found["fate"] == "kept"
    assert found["sentences"] == ["dedup, entropy, pii, sampling and augmentation left it as it is."]
    assert cast("dict[str, float]", found["scores"])["entropy.bits"] > 2


@pytest.mark.slow
def test_a_repeated_document_is_explained_under_the_id_of_a_copy_too(scene: Scene) -> None:
    decision = scene.decided(stage="sampling", action="repeat")
    (found,) = scene.explain(str(decision["id"]))
    copies = int(cast("float", decision["score"]))
    assert found["fate"] == f"kept, written {copies} times"
    assert any("sampling repeats it" in sentence for sentence in cast("list[str]", found["sentences"]))
    assert scene.explain(f"{decision['id']}#1") == [found]
    done = scene.curator("explain", scene.run, f"{decision['id']}#none")
    assert done.returncode == 2


def test_a_child_is_explained_with_its_parent(scene: Scene) -> None:
    decision = scene.decided(action="derive")
    child = str(decision["id"])
    parent = cast("dict[str, object]", decision["detail"])["parent"]
    assert child == f"{parent}#a1"
    (found,) = scene.explain(child)
    assert cast("list[str]", found["sentences"])[0] == (
        f"augmentation made it from {parent} (back-translation, toy 1 oc-fr-oc)."
    )
    assert scene.explain(str(found["key"])) == [found]


@pytest.mark.slow
def test_no_child_is_made_of_a_held_out_document(scene: Scene, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(*STAGES, holdout={"share": 0.5}, max_error_rate=1))
    done = scene.curator("process", scene.source, "-o", tmp_path / "run", "-r", recipe)
    assert done.returncode == 0, done.stderr
    parents = {row["parent"] for row in rows(tmp_path / "run", "shards")} - {None}
    held_out = {row["id"] for row in rows(tmp_path / "run", "heldout") if row["lang"] == "oc"}
    assert parents
    assert held_out
    assert not parents & held_out


def test_a_record_that_could_not_be_read_is_explained_by_place_and_by_key(scene: Scene) -> None:
    failed = next(row for row in rows(scene.run, "failed") if row["code"] == "json.invalid")
    (found,) = scene.explain(f"in.jsonl:{failed['position']}")
    assert found["fate"] == "failed"
    assert "the line is not valid JSON" in cast("list[str]", found["sentences"])[0]
    assert scene.explain(cast("bytes", failed["key"]).hex()) == [found]


def test_documents_of_one_id_are_all_explained(scene: Scene) -> None:
    assert len({str(found["key"]) for found in scene.explain("twin")}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("document", ["nobody", "in.jsonl:99999999999999999999"])
def test_a_document_that_is_not_there_is_a_users_error(scene: Scene, document: str) -> None:
    done = scene.curator("explain", scene.run, document)
    assert done.returncode == 2
    assert "no document has the id or key" in told(done)


@pytest.mark.slow
def test_control_characters_of_an_id_do_not_reach_the_terminal(scene: Scene) -> None:
    done = scene.curator("explain", scene.run, "red\x1b[31m")
    assert done.returncode == 0
    assert "red\\x1b[31m" in done.stdout
    assert "\x1b" not in done.stdout
