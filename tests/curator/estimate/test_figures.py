"""Rates from a run: what it took is what the model gives for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curator.errors import DataError, UserError
from curator.estimate.figures import Figures, figures_of
from curator.estimate.rates import Rate, dump_rates, like_run, load_rates
from curator.run.directory import RunDirectory
from tests.runs import make_texts, run_stages, write_jsonl


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("figures")
    file = write_jsonl(folder / "in.jsonl", make_texts(300))
    return run_stages([file], folder / "run", "dedup", "entropy", "sampling").directory


@pytest.fixture(scope="module")
def figures(run: RunDirectory) -> Figures:
    return figures_of(run)


def test_a_run_tells_its_text_its_documents_and_its_steps(figures: Figures) -> None:
    assert figures.documents == 300
    assert figures.text_bytes == sum(len(document["text"].encode()) for document in make_texts(300))
    assert figures.parts_read == 1
    assert {"read", "judge", "write", "relate-dedup", "relate-dedup/bands/emit", "fit/sampling"} <= figures.cpu.keys()
    assert {"read/dedup", "read/language", "judge/entropy"} <= figures.parts.keys()
    assert {"read", "relate/dedup", "judge", "fit/sampling", "write"} <= figures.driver.keys()
    assert figures.facts["dedup.exact"] > 0
    assert "sampling.target" not in figures.facts
    assert figures.tasks_cpu_s > sum(figures.parts.values())


def test_rates_like_a_run_give_what_it_took(figures: Figures) -> None:
    rates = like_run(load_rates(), figures, "run")
    for key, seconds in figures.cpu.items():
        found = rates.cpu[key].at(figures.text_bytes, figures.documents, figures.parts_read)
        assert found == pytest.approx(seconds), key
    for key, size in figures.work.items():
        found = rates.work[key].at(figures.text_bytes, figures.documents, figures.parts_read)
        assert found == pytest.approx(size), key
    assert rates.facts["dedup.near"] * figures.documents == pytest.approx(figures.facts["dedup.near"])
    assert rates.document_bytes == pytest.approx(figures.text_bytes / 300)
    assert rates.measured["like"] == "run"


def test_a_run_that_is_not_finished_gives_no_rates(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a finished run"):
        figures_of(RunDirectory(tmp_path))


def test_a_run_of_an_earlier_version_gives_no_rates(run: RunDirectory, tmp_path: Path) -> None:
    older = tmp_path / "older"
    (older / "events").mkdir(parents=True)
    (older / "manifest.json").write_bytes(run.manifest.read_bytes())
    event = {"attempt": 1, "seq": 1, "time": 1.5, "kind": "task.done", "phase": "read"}
    (older / "events" / "000001.jsonl").write_text(f"{json.dumps(event)}\n")
    with pytest.raises(UserError, match="does not tell what each task took"):
        figures_of(RunDirectory(older))


def test_rates_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(dump_rates(load_rates()))
    assert load_rates(path) == load_rates()


def test_a_file_that_is_no_file_of_rates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text('{"cpu": {}}')
    with pytest.raises(DataError, match="no file of rates"):
        load_rates(path)


def test_a_rate_adds_up_what_each_of_its_numbers_costs() -> None:
    rate = Rate(fixed=1, per_mb=2, per_document=3, per_task=4, per_stream_mb=5)
    assert rate.at(2e6, 10, 100, 1e6) == 1 + 4 + 30 + 400 + 5
    assert rate.times(2).at(2e6, 10, 100, 1e6) == 2 * rate.at(2e6, 10, 100, 1e6)
