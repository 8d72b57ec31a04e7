"""A source for each document, as a domain or a page would be, and a title for its language: the counts stay within
bounds, and add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from curator.recipe import load_recipe_text
from curator.run.counted import ROWS_IN_RECORD
from curator.run.directory import RunDirectory
from curator.run.driver import Request, run
from curator.run.forget import forget
from curator.run.tally import MOST_SOURCES, MOST_TAGS, OTHERS, Tally
from curator.run.verify import verify
from tests.runs import hashes, recipe_text, run_stages, write_jsonl

DOCUMENTS = MOST_SOURCES + 2000


def _site(number: int) -> str:
    if number == DOCUMENTS - 1:
        return NAMED
    return "a-site.example" if number in (10, 11) else f"site{number}.example"


NAMED = "zoo.example"
STAGES = ("dedup", f"entropy: {{min_bits: 0.5, sources: {{{NAMED}: {{min_bits: 9}}}}}}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    documents = [
        {
            "id": f"d{number}",
            "text": f"{number} a page of a site with {number * 7} words",
            "source": _site(number),
            "lang": f"page {number}" if number < DOCUMENTS - 1 else "yo",
        }
        for number in range(DOCUMENTS)
    ]
    write_jsonl(folder / "in.jsonl", documents)
    recipe = load_recipe_text(recipe_text(*STAGES, language="off"), "test.yaml")
    run(Request((str(folder / "in.jsonl"),), folder / "run", recipe, keep_work=True))
    return folder


def _tally(run: Path) -> Tally:
    manifest = json.loads((run / "manifest.json").read_text())
    return Tally(cast("list[list[object]]", manifest["funnel"]))


def test_the_first_sources_and_the_named_one_have_counts_of_their_own(made: Path) -> None:
    tally = _tally(made / "run")
    assert len(tally.names("source")) == MOST_SOURCES + 2
    assert tally.documents("in", "source", "a-site.example") == 2
    assert tally.documents("in", "source", NAMED) == 1
    assert tally.documents("in", "source", OTHERS) == DOCUMENTS - (MOST_SOURCES + 1) - 1
    found: Counter[str] = Counter()
    for name in tally.names("source"):
        found.update({event: numbers[0] for event, numbers in tally.events("source", name).items()})
    assert found == {event: numbers[0] for event, numbers in tally.events().items()}


def test_the_first_wrong_tags_and_every_language_have_counts_of_their_own(made: Path) -> None:
    tally = _tally(made / "run")
    assert len(tally.names("lang")) == MOST_TAGS + 2
    assert tally.documents("in", "lang", "yo") == 1
    assert tally.documents("in", "lang", OTHERS) == DOCUMENTS - MOST_TAGS - 1
    warnings = json.loads((made / "run" / "manifest.json").read_text())["warnings"]
    (told,) = [warning for warning in warnings if "language tag that is none" in warning]
    assert told.startswith(f"{DOCUMENTS - 1:,} documents carry")
    assert f"first {MOST_TAGS:,} tags" in told


def test_it_is_told_in_a_warning_and_in_the_report(made: Path) -> None:
    manifest = json.loads((made / "run" / "manifest.json").read_text())
    assert any(f"more than {MOST_SOURCES:,} groups of sources" in warning for warning in manifest["warnings"])
    assert "all others" in (made / "run" / "report.html").read_text()


@pytest.mark.slow
def test_workers_and_a_resumed_run_count_the_same(made: Path, tmp_path: Path) -> None:
    run_stages([made / "in.jsonl"], tmp_path / "run", *STAGES, language="off", workers=2)
    assert hashes(tmp_path / "run") == hashes(made / "run")


@pytest.mark.slow
def test_documents_that_count_with_others_can_be_forgotten(made: Path, tmp_path: Path) -> None:
    run_stages([made / "in.jsonl"], tmp_path / "run", *STAGES, language="off")
    before = _tally(tmp_path / "run")
    other = next(number for number in range(DOCUMENTS) if _site(number) not in before.names("source"))
    gone = ["d0", f"d{other}"]
    forget(RunDirectory(tmp_path / "run"), gone)
    after = _tally(tmp_path / "run")
    assert after.documents("erased", "source", OTHERS) == after.documents("erased", "source", "site0.example") == 1
    assert after.documents("kept", "source", OTHERS) == before.documents("kept", "source", OTHERS) - 1
    assert verify(RunDirectory(tmp_path / "run")).problems == []


def test_commit_records_stay_small(made: Path) -> None:
    """The driver has those of a phase in memory together."""
    records = [*(made / "run" / "work").glob("read/*.json"), *(made / "run" / "work").glob("judge-*/*.json")]
    assert len(records) >= 2
    for record in records:
        tally = json.loads(record.read_text())["result"]["tally"]
        assert 0 < len(tally) <= ROWS_IN_RECORD
        assert len(json.loads(record.with_suffix(".tally").read_text())) > 1000
