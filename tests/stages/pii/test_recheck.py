"""`curator recheck`: what a run left is found again by kind, language and place; what it replaced is not."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from curator.cli.recheck import recheck_command
from curator.errors import UserError
from curator.run.directory import RunDirectory
from curator.storage.path import StoragePath
from stages.pii.recheck import _has_more, _least, _sampled, recheck
from stages.pii.stage import Pii, PiiParameters
from tests.command import curator
from tests.runs import rows, run_stages, write_jsonl

pytestmark = pytest.mark.slow

TEXTS = {
    "en": "Write to anna@example.net or call +49 30 901820, said Anna Miller.",
    "de": "Schreiben Sie an post@example.net oder rufen Sie an.",
    "fr": "Il fait beau.",
}
COPIES = 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that replaces telephone numbers and hashes nothing else, with e-mail addresses flagged."""
    folder = tmp_path_factory.mktemp("recheck")
    records = [
        {"text": f"{number} {text}", "lang": language} for number in range(COPIES) for language, text in TEXTS.items()
    ]
    recipe = "pii: {kinds: [phone, email], actions: {email: flag}}"
    run_stages([write_jsonl(folder / "in.jsonl", records)], folder / "run", recipe, language="off")
    return folder / "run"


def test_what_is_left_is_told_by_language_and_kind_and_what_was_replaced_is_not(run: Path) -> None:
    found = recheck(RunDirectory(run).shards, Pii(PiiParameters()), 1000, 0)
    assert found.documents == dict.fromkeys(TEXTS, COPIES)
    assert found.with_kind() == {("en", "email"): COPIES, ("de", "email"): COPIES, ("en", "name"): COPIES}


def test_places_are_code_points_of_the_written_text(run: Path) -> None:
    texts = {cast("bytes", row["key"]).hex(): cast("str", row["text"]) for row in rows(run, "shards")}
    found = recheck(RunDirectory(run).shards, Pii(PiiParameters()), 1000, 0)
    values = {texts[left.key][left.begin : left.end] for left in found.leftovers}
    assert values == {"anna@example.net", "post@example.net", "Anna Miller"}


def test_a_sample_has_the_asked_size_and_is_the_same_each_time(run: Path) -> None:
    samples = [recheck(RunDirectory(run).shards, Pii(PiiParameters()), 7, seed) for seed in (0, 0, 1)]
    assert [sum(sample.documents.values()) for sample in samples] == [7, 7, 7]
    assert samples[0] == samples[1] != samples[2]


class Watched:
    """A file that lies elsewhere, and the threads that read it."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.threads: set[int] = set()

    def open(self) -> BinaryIO:
        threads = self.threads

        class Read(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                threads.add(threading.get_ident())
                return super().read(size)

        return Read(self.data)


def test_shards_are_read_by_one_thread(run: Path) -> None:
    watched = Watched(next((run / "shards").rglob("*.parquet")))
    files = [cast("StoragePath", watched)]
    assert sum(map(len, _sampled(files, _least(files, 7, 0)))) == 7
    assert watched.threads == {threading.get_ident()}


def test_the_command_says_what_the_recipe_did_and_prints_no_value(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recheck_command(str(run), 1000, 0, [], as_json=True)
    output = capsys.readouterr().out
    found = json.loads(output)
    assert [(row["language"], row["kind"], row["recipe"], row["documents"]) for row in found["left"]] == [
        ("de", "email", "flag", COPIES),
        ("en", "email", "flag", COPIES),
        ("en", "name", "not looked for", COPIES),
    ]
    assert len(found["places"]) == 3 * COPIES
    assert all(row["share_low"] < row["share"] == row["share_high"] for row in found["left"])
    recheck_command(str(run), 9, 0, ["pii.kinds=[email]"], as_json=False)
    table = capsys.readouterr().out
    assert "nothing was found in fr" in table
    for printed in (output, table):
        assert "example" not in printed
        assert "Miller" not in printed


def test_a_missing_model_is_an_error_before_anything_is_read(run: Path) -> None:
    with pytest.raises(UserError, match="the folder nowhere does not exist"):
        recheck_command(str(run), 9, 0, ["pii.ner={path: nowhere, languages: [en]}"], as_json=False)


@pytest.mark.long
def test_the_command_line_has_it(run: Path) -> None:
    done = curator("recheck", run, "--documents", "5", "--set", "pii.kinds=[email]")
    assert done.returncode == 0, done.stderr
    assert "5 documents in" in done.stdout


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("[REDACTED_NAME]", "[REDACTED_NAME]", False),
        ("a [REDACTED_NAME] b", "REDACTED_NAME", False),
        ("[REDACTED_NAME] Miller", "REDACTED_NAME] Miller", True),
        ("Anna [REDACTED_NAME]", "Anna [REDACTED", True),
        ("[EMAIL_2C1D9A0F33B4E871], [REDACTED_NAME]", "2C1D9A0F33B4E871], [REDACTED_NAME", False),
        ("[EMAIL_2C1D] x", "EMAIL_2C1D", True),
    ],
)
def test_only_what_stands_outside_of_placeholders_is_left(text: str, marked: str, expected: bool) -> None:
    from stages.pii.recheck import _PLACEHOLDER

    begin = text.index(marked)
    replaced = [match.span() for match in _PLACEHOLDER.finditer(text)]
    assert _has_more(text, begin, begin + len(marked), replaced) is expected
