"""Evaluation sets in every format; one that is missing, broken or empty is refused before data is read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import UserError
from stages.decontamination.parameters import DecontaminationParameters, EvaluationSet
from stages.decontamination.sets import list_files, read_examples
from stages.decontamination.stage import Decontamination
from tests.command import curator, json_of, told
from tests.runs import recipe_text, write_jsonl
from tests.stages.decontamination.helpers import TEXTS, stage_text

RECORDS = [
    {"question": "Which river?", "choices": {"text": ["the Rhine", "the Nile"], "label": ["A", "B"]}, "answer": 1},
    {"question": "e\u0301 composed", "choices": {"text": [], "label": []}, "answer": 0},
]


def texts_of(path: Path, **given: object) -> list[str]:
    described = EvaluationSet.model_validate({"name": "quiz", "path": str(path), **given})
    found: list[str] = read_examples(described, list_files(described)).texts.to_pylist()
    return found


def test_fields_of_json_are_joined_and_normalised(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "quiz.jsonl", RECORDS)
    expected = ["Which river?\nthe Rhine\nthe Nile", "é composed"]
    assert texts_of(file, fields=["question", "choices.text"]) == expected
    packed = tmp_path / "quiz.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert texts_of(packed, fields=["question", "choices.text"]) == expected


def test_fields_of_parquet_are_joined(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "quiz.parquet")
    found = texts_of(tmp_path / "quiz.parquet", fields=["question", "choices.text", "answer"])
    assert found == ["Which river?\nthe Rhine\nthe Nile", "é composed"]


def test_csv_and_text_are_read(tmp_path: Path) -> None:
    (tmp_path / "quiz.csv").write_text('id,question,a\n1,"Which, now?",this\n')
    assert texts_of(tmp_path / "quiz.csv", fields=["question", "a"]) == ["Which, now?\nthis"]
    (tmp_path / "quiz.tsv").write_text('text\tlabel\n"Who said\t1\n"I" did\t2\n')
    assert texts_of(tmp_path / "quiz.tsv", quotes="letters") == ['"Who said', '"I" did']
    (tmp_path / "quiz.txt").write_text("one\ntwo\n\nthree\n")
    assert texts_of(tmp_path / "quiz.txt") == ["one", "two", "three"]
    assert texts_of(tmp_path / "quiz.txt", sample_by="paragraph") == ["one\ntwo", "three"]


def test_a_directory_and_a_glob_are_one_set(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_jsonl(tmp_path / "sets" / f"{name}.jsonl", [{"text": name}])
    assert texts_of(tmp_path / "sets") == ["a", "b"]
    assert texts_of(tmp_path / "sets" / "*.jsonl") == ["a", "b"]


def test_a_set_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    def recorded(path: str) -> Mapping[str, object]:
        return Decontamination(DecontaminationParameters(sets=(EvaluationSet(name="quiz", path=path),))).recorded()

    assert recorded(str(tmp_path / "quiz.jsonl")) == recorded("s3://elsewhere/quiz.jsonl")
    assert str(tmp_path) not in json.dumps(recorded(str(tmp_path / "*.jsonl")))


def problem_of(path: Path, **given: object) -> str:
    sets = [{"name": "good", "path": str(path.parent / "good.jsonl")}, {"name": "quiz", "path": str(path), **given}]
    write_jsonl(path.parent / "good.jsonl", [{"text": TEXTS["en"]}])
    stage = Decontamination(DecontaminationParameters.model_validate({"sets": sets}))
    good, quiz = stage.requirements()
    assert good.problem is None
    assert (quiz.kind, quiz.name) == ("evaluation set", "quiz")
    assert quiz.problem is not None
    return quiz.problem


def test_what_is_wrong_with_a_set_is_said(tmp_path: Path) -> None:
    file = tmp_path / "quiz.jsonl"
    assert "does not exist" in problem_of(file)
    write_jsonl(file, [])
    assert "has no example" in problem_of(file)
    file.write_text(json.dumps({"text": TEXTS["en"]}) + "\n{broken\n")
    assert "the line is not valid JSON" in problem_of(file)
    assert "quotes is 'letters', and is for CSV and TSV: the input is jsonl" in problem_of(file, quotes="letters")
    write_jsonl(file, [{"question": TEXTS["en"]}])
    assert "there is no text field 'text'" in problem_of(file)
    assert "no record has a field 'answer'" in problem_of(file, fields=["question", "answer"])
    write_jsonl(file, [{"text": [TEXTS["en"]]}])
    assert "the text field 'text' is not a string" in problem_of(file)
    write_jsonl(file, [{"text": "too short"}, {"text": "this too"}])
    assert "every example (2) is shorter than 8 units" in problem_of(file)
    (tmp_path / "quiz.bin").write_bytes(b"\x00\x01")
    assert "is of unknown format" in problem_of(tmp_path / "quiz.bin")


def test_parameters_that_make_no_sense_are_refused() -> None:
    one = {"name": "quiz", "path": "quiz.jsonl"}
    for wrong, words in (
        ({"sets": []}, "at least 1 item"),
        ({"sets": [one, one]}, "two sets are called 'quiz'"),
        ({"sets": [one], "min_units": 14}, "min_units \\(14\\) is above ngram_units \\(13\\)"),
        ({"sets": [{**one, "name": "a:b"}]}, "should match pattern"),
    ):
        with pytest.raises(ValueError, match=words):
            DecontaminationParameters.model_validate(wrong)


@pytest.mark.slow
def test_a_missing_set_stops_the_run_before_data_is_read(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", [{"text": "words"}])
    stage = stage_text([{"name": "quiz", "path": str(tmp_path / "absent.jsonl")}])
    (tmp_path / "r.yaml").write_text(recipe_text(stage))
    done = curator("process", file, "-o", tmp_path / "run", "-r", tmp_path / "r.yaml")
    assert done.returncode == 2
    assert "evaluation set quiz" in told(done)
    assert told(done).endswith(
        ": does not exist (check the name)"
    )  # of no package, which `curator doctor` would tell of
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_doctor_and_the_fingerprint_know_the_files(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "quiz.jsonl", [{"text": TEXTS["en"]}])
    file = write_jsonl(tmp_path / "in.jsonl", [{"text": "words"}])
    (tmp_path / "r.yaml").write_text(recipe_text(stage_text([{"name": "quiz", "path": "quiz.jsonl"}]), language="off"))
    needs = json_of(curator("doctor", "-r", "r.yaml", "--json", cwd=tmp_path))["needs"]
    assert isinstance(needs, list)
    (need,) = needs
    assert (need["stage"], need["kind"], need["name"]) == ("decontamination", "evaluation set", "quiz")
    command = ("process", file, "-o", "run", "-r", "r.yaml", "--keep-work")
    assert curator(*command, cwd=tmp_path).returncode == 0
    models = json.loads((tmp_path / "run" / "manifest.json").read_bytes())["models"]
    assert models == {"decontamination: evaluation set quiz": need["identity"]}
    write_jsonl(tmp_path / "quiz.jsonl", [{"text": TEXTS["de"]}])
    again = curator(*command, "--resume", cwd=tmp_path)
    assert again.returncode == 2
    assert "models.decontamination: evaluation set quiz" in told(again)


def test_an_unknown_set_format_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "quiz.jsonl", [{"text": TEXTS["en"]}])
    with pytest.raises(UserError, match="nonsense"):
        texts_of(tmp_path / "quiz.jsonl", format="nonsense")
