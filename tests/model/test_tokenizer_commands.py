"""`curator tokenizer` as people run it: tokenizers are trained, measured, extended, aligned, exported, trained with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from tests.command import curator, json_of, told
from tests.model.corpora import make_documents, tiny_config, write_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_run(tmp_path_factory.mktemp("run") / "run", make_documents(300), shards=1, rows=100)


@pytest.fixture(scope="module")
def tokenizer(run: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "old.model"
    done = curator("tokenizer", "train", run, "-o", file, "--vocabulary", "380", "--alpha", "0.3", "--json")
    assert done.returncode == 0, done.stderr
    values = json_of(done)
    assert (values["vocabulary"], values["alpha"]) == (380, 0.3)
    assert set(cast("dict[str, int]", values["counts"])) == {"el", "en", "fr", "hi", "ru"}
    return file


def test_tokenizers_are_compared(tokenizer: Path, tmp_path: Path) -> None:
    assert curator("tokenizer", "export", tokenizer, "-o", tmp_path / "fast").returncode == 0
    fast = tmp_path / "fast" / "tokenizer.json"
    page = tmp_path / "pages" / "report.html"
    done = curator("tokenizer", "report", tokenizer, fast, "--lang", "en", "--lang", "th", "--html", page)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    costs = [row[1:] for row in rows if row[:1] == ["th"] and len(row) == 7]
    assert len(costs) == 2
    assert costs[0] == costs[1]
    assert rows[-3][0] == "en"
    assert rows[-3][1] == rows[-3][2]
    assert done.stdout.splitlines()[-1] == f"page: {page}"
    assert all(f">{number}</td>" in page.read_text() for number in costs[0][1:])
    again = curator("tokenizer", "report", tokenizer, "--html", page)
    assert again.returncode == 2
    assert "is there already" in again.stderr


@pytest.mark.long
def test_the_report_is_read_by_machines(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("en\tfr\nthe house\tla maison\n")
    values = json_of(curator("tokenizer", "report", tokenizer, "--on", tmp_path / "mine.tsv", "--json"))
    costs = cast("list[dict[str, list[dict[str, object]]]]", values["tokenizers"])
    rows = costs[0]["languages"]
    assert [row["words"] for row in rows] == [2, 2]
    assert {row["language"]: row["against_english"] for row in rows}["en"] == 1.0


@pytest.mark.long
def test_a_model_grows_into_a_longer_vocabulary(run: str, tokenizer: Path, tmp_path: Path) -> None:
    config, longer, aligned = tmp_path / "config.yaml", tmp_path / "longer.model", tmp_path / "alignment.json"
    config.write_text(json.dumps(tiny_config(steps=1).model_dump(mode="json")))
    done = curator("tokenizer", "extend", tokenizer, run, "-o", longer, "--lang", "hi", "--pieces", "20", "--json")
    assert done.returncode == 0, done.stderr
    values = json_of(done)
    assert (values["vocabulary"], values["first_new_id"]) == (400, 380)
    cost = cast("dict[str, dict[str, float]]", values["tokens_per_word"])["hi"]
    assert cost["after"] < cost["before"]
    more = write_run(tmp_path / "more", make_documents(600), shards=1, rows=100)  # 300 are too few to align
    done = curator("tokenizer", "align", longer, more, "-o", aligned, "--threshold", "0.3", "--json")
    assert done.returncode == 0, done.stderr
    assert cast("int", json_of(done)["pairs"]) > 0
    assert json.loads(aligned.read_text())["pivot"] == "en"
    common = ("train", run, "-c", config)
    assert curator(*common, "-o", tmp_path / "old", "--tokenizer", tokenizer).returncode == 0
    done = curator(
        *common, "-o", tmp_path / "new", "--tokenizer", longer, "--initialise-from", tmp_path / "old",
        "--align", aligned, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "new" / "beginning.json").read_text())["origin"]["step"] == 1


@pytest.mark.long
def test_the_exponent_is_looked_for(run: str, tmp_path: Path) -> None:
    done = curator("tokenizer", "train", run, "-o", tmp_path / "it", "--vocabulary", "380", "--alpha", "search")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<- taken") == 1
    assert "[search] alpha 0.4" in done.stderr


REFUSED = [
    (["train", "{run}", "-o", "{new}", "--vocabulary", "60000"], "tokens at most), or give more text"),
    (["report", "{notes}"], "is no tokenizer"),
    (["extend", "{old}", "{run}", "-o", "{new}", "--lang", "cy"], "there is no text in cy"),
    (["train", "{run}", "-o", "{new}", "--alpha", "2"], "tokenizer.alpha: expected 1 or less"),
    (["train", "{run}", "-o", "{notes}"], "is there already"),
    (
        ["extend", "{old}", "{run}", "-o", "{new}", "--lang", "hi", "--pieces", "90000"],
        "new pieces to give, not 90,000",
    ),
    (["extend", "{notes}", "{run}", "-o", "{new}", "--lang", "hi"], "is no tokenizer"),
    (["align", "{old}", "{run}", "-o", "{new}", "--pivot", "cy"], "there is no text in cy"),
    (["export", "{notes}", "-o", "{new}"], "is no tokenizer"),
    (["report", "{old}", "--lang", "xx"], "has no xx"),
    (["report", "{old}", "--on", "{notes}"], "fewer than two languages"),
]


@pytest.mark.long
@pytest.mark.parametrize(("arguments", "line"), REFUSED)
def test_what_cannot_be_is_said(run: str, tokenizer: Path, tmp_path: Path, arguments: list[str], line: str) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    places = {"run": run, "old": tokenizer, "new": tmp_path / "new", "notes": notes}
    done = curator("tokenizer", *(argument.format(**places) for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert line in told(done)
    assert not (tmp_path / "new").exists()
    assert notes.read_text() == "mine"
