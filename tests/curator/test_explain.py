"""The sentences in which a decision is told."""

import shutil
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import DataError, UserError
from curator.explain import Explanation, explain
from curator.registry import STAGES, names, stage_class
from curator.run.directory import RunDirectory
from stages.dedup.relate import HOLDOUT
from tests.runs import make_texts, rows, run_stages, write_jsonl

HEX_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    long = make_texts(1, seed=3, units=(200, 200))[0]["text"]
    near = f"{long} changed"
    documents = [
        {"id": "long", "text": long},
        {"id": "near", "text": near},
        {"id": "long#1", "text": "an id that looks like that of a copy is an id like any other"},
        {"id": HEX_ID, "text": "an id that looks like a key is an id as well, and is looked for first"},
        {"text": "a document that came without an id is known by its place"},
        {"id": "two\nlines", "text": "mail to jane@example.org or to john@example.org, whoever answers first"},
    ]
    documents += [{"id": f"o{n}", "text": d["text"], "lang": "en"} for n, d in enumerate(make_texts(60, seed=4))]
    source = write_jsonl(folder / "in.jsonl", documents)
    run_stages([source], folder / "run", "dedup", "outliers: {min_documents: 20, contamination: 0.1}", "pii")
    return folder / "run"


def ask(run: Path, document: str) -> Explanation:
    (found,) = explain(RunDirectory(run), document)
    return found


def test_a_near_duplicate_is_told_with_score_threshold_and_keeper(run: Path) -> None:
    found = ask(run, "near")
    (decision,) = found.decisions
    similarity = f"Jaccard similarity about {decision['score']:g}"
    assert found.sentences == [f"dedup dropped it: it is a near-duplicate of long: {similarity}, threshold 0.85."]
    assert found.fate == "dropped by dedup"


def test_every_span_of_an_edit_is_told_and_what_left_it_alone(run: Path) -> None:
    found = ask(run, "two\nlines")
    text = "mail to jane@example.org or to john@example.org, whoever answers first"
    edits = [sentence for sentence in found.sentences if sentence.startswith("pii edited it")]
    for value, sentence in zip(("jane@example.org", "john@example.org"), edits, strict=True):
        begin = text.index(value)
        assert f"(characters {begin} to {begin + len(value)})" in sentence
    assert any(sentence.endswith("left it as it is.") and "dedup" in sentence for sentence in found.sentences)
    assert found.fate == "kept"


def test_a_flag_is_told_and_the_document_stays(run: Path) -> None:
    flagged = next(row for row in rows(run, "decisions") if row["action"] == "flag")
    found = ask(run, str(flagged["id"]))
    assert any(sentence.startswith("outliers flagged it: ") for sentence in found.sentences)
    assert found.fate.startswith("kept")


def test_an_id_wins_over_the_copy_and_the_key_that_it_looks_like(run: Path) -> None:
    assert ask(run, "long#1").id == "long#1"
    assert ask(run, "long#2").id == "long"
    assert ask(run, HEX_ID).id == HEX_ID


def test_a_document_without_id_is_found_by_its_place(run: Path) -> None:
    place = next(str(row["id"]) for row in rows(run, "scores") if str(row["id"]).startswith("in.jsonl:"))
    assert ask(run, place).fate == "kept"


def test_a_key_is_found_in_either_case(run: Path) -> None:
    found = ask(run, "near")
    assert ask(run, found.key) == found
    assert ask(run, found.key.upper()) == found


@pytest.mark.parametrize("document", ["", "near ", "#1", ":", "in.jsonl:", "in.jsonl:1", "0" * 31, "g" * 32, "long#x"])
def test_what_is_not_there_is_a_users_error(run: Path, document: str) -> None:
    with pytest.raises(UserError, match="no document has the id or key"):
        explain(RunDirectory(run), document)


def test_a_run_that_is_nowhere_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: there is no such directory"):
        explain(RunDirectory(tmp_path / "gone"), "a")
    with pytest.raises(UserError, match="there is no manifest"):
        explain(RunDirectory(tmp_path), "a")


def test_scores_that_a_document_does_not_have_are_not_shown(run: Path) -> None:
    assert "outliers.score" not in ask(run, "near").scores
    assert None not in ask(run, "o1").scores.values()


def test_the_explanation_as_json_holds_the_decisions_with_readable_keys(run: Path) -> None:
    found = ask(run, "near").as_json()
    assert set(found) == {"id", "key", "fate", "sentences", "scores", "decisions"}
    decisions = cast("list[dict[str, object]]", found["decisions"])
    assert [decision["key"] for decision in decisions] == [found["key"]]


def test_a_decision_of_a_stage_that_is_not_installed_here_is_told_by_its_rule(run: Path, tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    for kind in ("scores", "shards", "manifest.json"):
        (tmp_path / kind).symlink_to(run / kind)
    table = pq.read_table(run / "decisions" / "part-00000.parquet")
    decisions = [{**row, "stage": "elsewhere", "rule": "elsewhere.rule"} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(decisions, table.schema), tmp_path / "decisions" / "part-00000.parquet")
    found = ask(tmp_path, "near")
    score = found.decisions[0]["score"]
    assert found.sentences[0] == f"elsewhere dropped it: rule elsewhere.rule: score {score:g}, threshold 0.85."


def test_text_that_is_damaged_inside_a_whole_file_is_told_with_the_file(run: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "run"
    shutil.copytree(run, damaged)
    (path,) = (damaged / "scores").glob("*.parquet")
    table = pq.read_table(path)
    column = table.schema.get_field_index("lang")
    bad = pa.array([b"\xff"] * len(table), pa.binary()).view(pa.string())
    pq.write_table(table.set_column(column, table.schema.field(column), bad), path)
    with pytest.raises(DataError, match="cannot be read") as caught:
        explain(RunDirectory(damaged), "near")
    assert caught.value.file == str(path)


@pytest.mark.parametrize("stage", names(STAGES))
def test_every_rule_of_a_stage_is_a_sentence_whose_values_are_known(stage: str) -> None:
    rules = stage_class(stage).rules
    assert rules
    for rule, sentence in rules.items():
        told = sentence.format(score="1", threshold="2", keeper="a", run="r", copies="3", kind="z", lang="en")
        assert rule.startswith(f"{stage}.") or rule == HOLDOUT
        assert told
        assert "{" not in told
