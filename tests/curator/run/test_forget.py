"""Erasing documents from a run: what goes, what stays to the byte, and what happens when it is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from curator.errors import DataError, UserError
from curator.explain import explain
from curator.registry import stage_class
from curator.run.directory import RunDirectory
from curator.run.forget import Outcome, forget
from curator.run.prove import prove
from curator.run.verify import verify
from stages.dedup.index import Index
from tests.command import curator, json_of
from tests.runs import hashes, make_texts, rows, run_stages, write_jsonl
from tests.stages.augmentation.engine import install


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of several shards with duplicates, copies, edits, failures, ids that repeat, and an index."""
    folder = tmp_path_factory.mktemp("forget")
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        documents = [
            {**document, "id": f"{name}-{document['id']}"} for document in make_texts(220, seed=seed, units=(300, 900))
        ]
        documents.append(
            {"id": "d7", "text": f"another document of the same id, the one of the file that is named {name}"}
        )
        source = write_jsonl(folder / "in" / f"{name}.jsonl", documents)
    source.write_text(source.read_text() + "{broken\n")
    stages = (
        "dedup: {index: true}",
        "entropy: {min_bits: 3}",
        "pii",
        "sampling: {alpha: 0.5, max_repeats: 3, total: 1500000}",
    )
    run_stages([folder / "in"], folder / "run", *stages, language="off", output={"shard_bytes": 1_000_000})
    assert len(list((folder / "run" / "shards").iterdir())) >= 3
    return folder / "run"


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def manifest(run: Path) -> dict[str, object]:
    return cast("dict[str, object]", json.loads((run / "manifest.json").read_bytes()))


def events(run: Path) -> dict[str, list[int]]:
    funnel = cast("list[list[object]]", manifest(run)["funnel"])
    return {cast("str", row[2]): cast("list[int]", row[3:]) for row in funnel if row[0] == "all"}


def kept(run: Path, wanted: Callable[[dict[str, object]], bool] = lambda row: True) -> dict[str, object]:
    """A document of the shards whose id stands once and that kept no other away."""
    keepers = {row["keeper"] for row in rows(run, "decisions")}
    ids = [row["id"] for row in rows(run, "scores")]
    return next(
        row
        for row in rows(run, "shards")
        if wanted(row) and row["copy"] == 0 and ids.count(row["id"]) == 1 and row["id"] not in keepers
    )


def erase(run: Path, *names: str) -> Outcome:
    return forget(RunDirectory(run), names)


@pytest.mark.slow
def test_a_document_goes_from_every_file_and_the_other_files_keep_their_bytes(run: Path) -> None:
    document = kept(run)
    before, index = hashes(run), Index(run)
    outcome = erase(run, str(document["id"]))
    after = hashes(run)
    changed = {path for path in before if before[path] != after.get(path)}
    parquet = {path.split("/")[0] for path in changed if path.endswith(".parquet")}
    assert {"shards", "scores"} <= parquet
    assert sum(path.startswith("shards/") for path in changed) == 1
    assert {entry["path"] for entry in outcome.unchanged} == set(before) - changed - {"manifest.json"}
    assert all(before[str(entry["path"])] == entry["sha256"] for entry in outcome.unchanged)
    for kind in ("shards", "scores", "decisions"):
        assert document["key"] not in {row["key"] for row in rows(run, kind)}
    assert len(Index(run)) == len(index) - 1
    assert verify(RunDirectory(run)).problems == []
    text = str(document["text"])[:40].encode()
    assert [path for path in run.rglob("*") if path.is_file() and text in path.read_bytes()] == []
    with pytest.raises(UserError, match="no document has the id or key"):
        explain(RunDirectory(run), str(document["id"]))


@pytest.mark.slow
def test_what_is_left_in_a_rewritten_file_is_what_was_there(run: Path) -> None:
    document = kept(run)
    before = {kind: rows(run, kind) for kind in ("shards", "scores", "decisions", "failed")}
    erase(run, str(document["id"]))
    for kind, had in before.items():
        assert rows(run, kind) == [row for row in had if row["key"] != document["key"]]


@pytest.mark.slow
def test_the_funnel_counts_a_kept_document_as_erased(run: Path) -> None:
    document = kept(run)
    copies = sum(row["key"] == document["key"] for row in rows(run, "shards")) - 1
    before = events(run)
    erase(run, str(document["id"]))
    after = events(run)
    size = len(str(document["text"]).encode())
    counts = [1, cast("int", document["tokens"]), size]
    assert after["erased"] == counts
    assert after["kept"] == [old - one for old, one in zip(before["kept"], counts, strict=True)]
    assert after.get("copies", [0])[0] == before.get("copies", [0])[0] - copies
    assert {name: after[name] for name in after if name not in ("kept", "copies", "erased")} == {
        name: before[name] for name in before if name not in ("kept", "copies")
    }
    assert manifest(run)["erased"] == {"kept": 1, "dropped": 0}
    page = (run / "report.html").read_text()
    assert "1 kept and erased since" in page
    assert "do not add up" not in page


@pytest.mark.slow
def test_all_copies_go_and_a_copy_may_be_named(run: Path) -> None:
    copy = next(row for row in rows(run, "shards") if cast("int", row["copy"]) > 0)
    erase(run, str(copy["id"]))
    assert copy["key"] not in {row["key"] for row in rows(run, "shards")}


@pytest.mark.slow
def test_a_dropped_document_stays_a_number_of_its_rule(run: Path) -> None:
    dropped = next(row for row in rows(run, "decisions") if row["rule"] == "dedup.near")
    before = manifest(run)["funnel"]
    erase(run, cast("bytes", dropped["key"]).hex())
    assert manifest(run)["funnel"] == before
    assert manifest(run)["erased"] == {"kept": 0, "dropped": 1}
    assert dropped["key"] not in {row["key"] for row in rows(run, "decisions")}
    assert verify(RunDirectory(run)).problems == []


@pytest.mark.slow
def test_decisions_in_favour_of_it_keep_its_key_and_not_its_id(run: Path) -> None:
    decision = next(row for row in rows(run, "decisions") if row["keeper"])
    keeper = next(row for row in rows(run, "scores") if row["id"] == decision["keeper"])
    outcome = erase(run, str(keeper["id"]))
    key = cast("bytes", keeper["key"]).hex()
    assert outcome.dropped_in_favour >= 1
    (after,) = (row for row in rows(run, "decisions") if row["key"] == decision["key"] and row["stage"] == "dedup")
    assert after["keeper"] == key
    assert {**after, "keeper": None} == {**decision, "keeper": None}
    examples = cast("list[dict[str, object]]", manifest(run)["examples"])
    assert keeper["id"] not in {example["keeper"] for example in examples}


@pytest.mark.slow
def test_a_document_that_lost_a_passage_is_not_counted_as_dropped(tmp_path: Path) -> None:
    passage = "one passage of some ten words that both of them have"
    texts = {"first": f"{passage}, which a ship brought", "cut": f"Under the bridge stood {passage}"}
    texts["same"] = texts["first"].upper()
    source = write_jsonl(tmp_path / "in.jsonl", [{"id": name, "text": text} for name, text in texts.items()])
    stages = "dedup", "substrings: {min_units: 8, min_units_left: 0}"
    run_stages([source], tmp_path / "run", *stages, language="off")
    outcome = erase(tmp_path / "run", "first")
    assert sum(change.keepers_replaced for change in outcome.changed) == 2
    assert outcome.dropped_in_favour == 1


def test_an_id_that_is_a_word_of_the_recipe_is_proved_to_be_gone(tmp_path: Path) -> None:
    named = [{"id": name, "text": f"what stands here is about {name}"} for name in ("first", "id", "key", "other")]
    source = write_jsonl(tmp_path / "in.jsonl", named)
    run_stages([source], tmp_path / "run", "dedup: {keeper: first}", language="off")
    assert erase(tmp_path / "run", "first", "id", "key").proof.problems == []


def test_no_example_shows_the_text_of_what_was_forgotten_as_that_of_its_duplicate(tmp_path: Path) -> None:
    text = "This very sentence is what somebody wants to have forgotten, and it stands here three times in all."
    named = ("first", text), ("exact", text.upper()), ("near", f"{text} {text} Well."), ("rest", f"{text} {text}")
    source = write_jsonl(tmp_path / "in.jsonl", [{"id": name, "text": text} for name, text in named])
    run_stages([source], tmp_path / "run", "dedup: {index: true}", language="off")
    found = {example["id"] for example in cast("list[dict[str, object]]", manifest(tmp_path / "run")["examples"])}
    assert found == {"exact", "rest"}
    erase(tmp_path / "run", "first")
    (example,) = cast("list[dict[str, object]]", manifest(tmp_path / "run")["examples"])
    assert (example["id"], example["keeper"]) == ("rest", "near")
    (left,) = rows(tmp_path / "run", "shards")
    assert left["id"] == "near"


@pytest.mark.slow
def test_every_document_of_an_id_goes_and_by_key_only_the_one(run: Path) -> None:
    seventh = [row for row in rows(run, "scores") if row["id"] == "d7"]
    assert len(seventh) == 3
    erase(run, cast("bytes", seventh[0]["key"]).hex())
    assert [row for row in rows(run, "scores") if row["id"] == "d7"] == seventh[1:]
    outcome = erase(run, "d7")
    assert len(outcome.documents) == 2
    assert [row for row in rows(run, "scores") if row["id"] == "d7"] == []
    assert "d7" not in {row["keeper"] for row in rows(run, "decisions")}


@pytest.mark.slow
def test_children_go_with_their_parent_and_children_of_its_namesake_stay(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    options = json.dumps(install(tmp_path / "bin"))
    texts = [f"{document['text']} casa" for document in make_texts(40, seed=2, units=(30, 60))]
    documents = [{"id": f"p{number % 20}", "text": text, "lang": "oc"} for number, text in enumerate(texts)]
    run = tmp_path / "run"
    translators = f"[{{name: apertium, pivots: {{oc: fr}}, options: {options}}}]"
    augmentation = f"augmentation: {{translators: {translators}, max_share: 1, max_chrf: 100}}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], run, "dedup: {index: true}", augmentation)
    children = [row for row in rows(run, "shards") if row["parent"] is not None]
    twice = next(row["parent"] for row in children if [other["parent"] for other in children].count(row["parent"]) == 2)
    parents = [row for row in rows(run, "shards") if row["id"] == twice]
    outcome = erase(run, cast("bytes", parents[0]["key"]).hex())
    assert [document.get("parent") for document in outcome.documents] == [None, twice]
    left = [row for row in rows(run, "shards") if row["parent"] == twice]
    assert len(left) == 1
    assert left[0]["key"] in {row["key"] for row in children}
    (told,) = explain(RunDirectory(run), cast("bytes", left[0]["key"]).hex())
    assert told.fate == "kept"
    assert verify(RunDirectory(run)).problems == []
    erase(run, str(twice))
    assert [row for row in rows(run, "shards") if row["parent"] == twice] == []
    assert manifest(run)["erased"] == {"kept": 4, "dropped": 0}


def test_an_id_that_is_not_there_changes_nothing(run: Path) -> None:
    before = hashes(run)
    for names in (["nobody"], [str(kept(run)["id"]), "nobody"], ["0" * 32], [""]):
        with pytest.raises(UserError, match="no document has the id or key"):
            erase(run, *names)
        assert hashes(run) == before
    assert not (run / ".rewrite").exists()


@pytest.mark.slow
def test_work_that_was_kept_goes_since_it_holds_every_text(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(30))
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nlanguage: off\nstages: [dedup]\n")
    assert curator("process", source, "-o", tmp_path / "run", "-r", recipe, "--keep-work").returncode == 0
    outcome = erase(tmp_path / "run", "d0")
    assert "work" in outcome.removed
    assert not (tmp_path / "run" / "work").exists()


def test_the_last_documents_of_a_file_take_the_file_with_them(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(3, seed=12))
    run_stages([source], tmp_path / "run", "dedup: {index: true}", language="off")
    outcome = erase(tmp_path / "run", "d0", "d1", "d2")
    assert "shards/part-00000.parquet" in outcome.removed
    assert not list((tmp_path / "run" / "shards").iterdir())
    assert len(Index(tmp_path / "run")) == 0
    assert verify(RunDirectory(tmp_path / "run")).problems == []


@pytest.mark.slow
def test_a_later_run_does_not_name_what_was_forgotten(run: Path, tmp_path: Path) -> None:
    document = kept(run)
    source = write_jsonl(tmp_path / "later.jsonl", [{"id": "again", "text": document["text"]}, *make_texts(5, seed=77)])
    given = f"dedup: {{against: [{run}]}}"
    run_stages([source], tmp_path / "before", given, language="off")
    assert document["id"] in {row["keeper"] for row in rows(tmp_path / "before", "decisions")}
    erase(run, str(document["id"]))
    run_stages([source], tmp_path / "after", given, language="off")
    assert "again" in {row["id"] for row in rows(tmp_path / "after", "shards")}
    outcome = erase(tmp_path / "before", str(document["id"]))
    assert outcome.documents == []
    assert "(erased)" in {row["keeper"] for row in rows(tmp_path / "before", "decisions")}
    assert str(document["id"]) not in {row["keeper"] for row in rows(tmp_path / "before", "decisions")}


@pytest.mark.slow
def test_a_run_that_was_begun_with_the_old_index_is_not_resumed(run: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "later.jsonl", make_texts(50, seed=3))
    given = f"dedup: {{against: [{run}]}}"
    run_stages([source], tmp_path / "later", given, language="off")
    (tmp_path / "later" / "manifest.json").unlink()
    erase(run, str(kept(run)["id"]))
    with pytest.raises(UserError, match=r"this run was started with something else: models\.dedup: index"):
        run_stages([source], tmp_path / "later", given, language="off", resume=True)


@pytest.mark.slow
def test_a_copy_of_the_index_is_rewritten_and_that_of_another_run_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "index", tmp_path / "copy")
    other = write_jsonl(tmp_path / "other.jsonl", make_texts(20, seed=5))
    run_stages([other], tmp_path / "other", "dedup: {index: true}", language="off")
    shutil.copytree(tmp_path / "other" / "index", tmp_path / "foreign")
    document = kept(run)
    before = hashes(run)
    for path, told in (
        (tmp_path / "foreign", "is the index of"),
        (tmp_path / "other", "is a run, not an index"),
        (tmp_path / "other" / "index", "is part of a run, not a copy"),
        (run / "index", "is part of a run, not a copy"),
        (tmp_path / "none", r"there is no index \(--index names a copy"),
    ):
        with pytest.raises(UserError, match=told):
            forget(RunDirectory(run), [str(document["id"])], [path])
        assert hashes(run) == before
    outcome = forget(RunDirectory(run), [str(document["id"])], [tmp_path / "copy"])
    assert {found["documents"] for found in outcome.indexes} == {1}
    assert (tmp_path / "copy" / "header").read_bytes() == (run / "index" / "header").read_bytes()


@pytest.mark.slow
def test_a_copy_of_the_index_of_a_run_that_leaves_none_is_refused(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(5))
    run_stages([source], tmp_path / "run", "entropy", language="off")
    with pytest.raises(UserError, match=r"no stage of this run leaves an index \(leave out --index\)"):
        forget(RunDirectory(tmp_path / "run"), [str(kept(tmp_path / "run")["id"])], [tmp_path / "copy"])


@pytest.mark.parametrize("kind", ["shards", "scores", "decisions", "index"])
def test_a_run_that_is_damaged_is_told_and_not_made_to_look_whole(run: Path, kind: str) -> None:
    document = kept(run)
    damaged = max((run / kind).iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 3] ^= 0xFF
    damaged.write_bytes(data)
    before = hashes(run)
    with pytest.raises(DataError, match=rf"{damaged.name} is not as it was written \(nothing was changed"):
        erase(run, str(document["id"]))
    assert hashes(run) == before
    assert verify(RunDirectory(run)).problems == [f"{kind}/{damaged.name} is not as it was written"]


def test_a_copy_of_the_index_that_is_damaged_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "index", tmp_path / "copy")
    data = bytearray((tmp_path / "copy" / "shingles").read_bytes())
    data[99] ^= 0xFF
    (tmp_path / "copy" / "shingles").write_bytes(data)
    before = hashes(run)
    with pytest.raises(DataError, match="copy/shingles: is not as it was written"):
        forget(RunDirectory(run), [str(kept(run)["id"])], [tmp_path / "copy"])
    assert (tmp_path / "copy" / "shingles").read_bytes() == data
    assert hashes(run) == before


@pytest.mark.slow
def test_the_proof_finds_what_is_left(run: Path) -> None:
    document = kept(run)
    key = cast("bytes", document["key"])
    proof = prove(RunDirectory(run), [key], [str(document["id"])], [stage_class("dedup")])
    found = " ".join(proof.problems)
    for place in ("shards/part-", "scores/part-", "column id", "column key", "index/keys[", "index/ids["):
        assert place in found
    assert proof.rows == sum(len(rows(run, kind)) for kind in ("shards", "scores", "decisions", "failed"))
    with pytest.raises(DataError, match="something is left"):
        proof.raise_if_found(RunDirectory(run))


KILLED_AT_STEP = """
import os, signal, sys
from pathlib import Path
from curator.run.directory import RunDirectory
from curator.run.forget import forget

seen = 0

def step(what, name):
    global seen
    seen += 1
    if seen == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

forget(RunDirectory(Path(sys.argv[1])), sys.argv[3:], step=step)
"""


@pytest.mark.slow
def test_a_forget_that_is_killed_at_any_step_is_finished_or_undone_by_the_next(
    original: Path, run: Path, tmp_path: Path
) -> None:
    keeper = next(str(row["keeper"]) for row in rows(original, "decisions") if row["keeper"])
    names = [str(kept(original)["id"]), keeper]
    steps: list[str] = []
    forget(RunDirectory(run), names, step=lambda what, name: steps.append(f"{what} {name}"))
    expected = hashes(run)
    report = (run / "report.html").read_bytes()
    journal = steps.index("journal ")
    chosen = random.Random(20_261_126)
    inner = chosen.sample(range(2, len(steps)), 4)
    finished = 0
    for at in sorted({1, journal, journal + 1, journal + 2, len(steps), *inner}):
        target = tmp_path / f"killed-{at}"
        shutil.copytree(original, target)
        script = [sys.executable, "-c", KILLED_AT_STEP, str(target), str(at), *names]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        assert subprocess.run(script, env=environment, timeout=120).returncode == -signal.SIGKILL
        if at <= journal:
            assert hashes(target) == hashes(original), "nothing has happened yet"
            assert verify(RunDirectory(target)).problems == []
        else:
            assert "interrupted" in " ".join(verify(RunDirectory(target)).problems)
        outcome = erase(target, *names)
        finished += outcome.finished_earlier
        assert hashes(target) == expected
        assert (target / "report.html").read_bytes() == report
        assert verify(RunDirectory(target)).problems == []
        assert not (target / ".rewrite").exists()
        shutil.rmtree(target)
    assert finished >= 3


@pytest.mark.slow
def test_the_command_tells_what_it_did_and_what_it_proved(run: Path) -> None:
    document = str(kept(run)["id"])
    done = curator("forget", run, document)
    assert done.returncode == 0, done.stderr
    assert f"forgotten: {document} (" in done.stdout
    assert "unchanged: sha256 as before" in done.stdout
    assert "proof: searched " in done.stdout
    assert "none is there" in done.stdout
    again = curator("forget", run, document)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    told = json_of(curator("forget", run, str(kept(run)["id"]), "--json"))
    assert cast("dict[str, object]", told["proof"])["problems"] == []
    assert curator("verify", run).returncode == 0
