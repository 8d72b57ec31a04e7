"""`curator plan` as people run it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from curator.cli.plan import Asked, format_cpu, format_seconds, plan_command
from curator.errors import UserError
from tests.command import curator, json_of, told
from tests.runs import make_texts, recipe_text, run_stages, write_jsonl

INTERNET = ("--size", "100TB", "--documents", "1e11", "--node", "100x64:256GB:2.5")


@pytest.mark.slow
def test_an_estimate_is_printed_with_its_assumptions_and_what_breaks() -> None:
    done = curator("plan", *INTERNET)
    assert done.returncode == 0, done.stderr
    assert "estimate for 100 TB of text in 100,000,000,000 documents" in done.stdout
    assert "too large for the engine as it is:" in done.stdout
    assert "who stays: " in done.stdout
    assert "assumed, not measured" in done.stdout  # the overheads of the engine ray
    assert "a core of a node is as fast as one of that machine" in done.stdout


@pytest.mark.slow
def test_an_estimate_as_json_has_every_figure() -> None:
    found = cast("dict[str, object]", json_of(curator("plan", *INTERNET, "--json"))["estimate"])
    for name in ("seconds", "cpu_s", "exchange_bytes", "work_bytes", "driver_memory_bytes", "cost"):
        assert cast("float", found[name]) > 0, name
    assert len(cast("list[object]", found["phases"])) == 11
    assert cast("list[object]", found["assumptions"])


@pytest.mark.slow
def test_one_node_is_the_local_engine_and_its_files_are_measured(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in.jsonl", make_texts(50))
    assert "estimate" not in json_of(curator("plan", tmp_path, "--json"))
    done = curator("plan", tmp_path, "--node", "1x2:8GB", "--json")
    found = cast("dict[str, dict[str, object]]", json_of(done)["estimate"])
    assert found["corpus"]["documents"] == 50


@pytest.mark.slow
def test_the_rates_of_a_run_can_be_taken(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", make_texts(100))
    run_stages([file], tmp_path / "run", "dedup")
    done = curator("plan", "--size", "1GB", "--like", tmp_path / "run", "--json")
    rates = cast("dict[str, dict[str, object]]", json_of(done)["estimate"])["rates"]
    assert rates["like"] == "run"


@pytest.mark.parametrize(
    ("seconds", "time", "cpu"),
    [
        (0.0, "0 s", "0 s"),
        (0.001, "< 0.01 s", "< 0.01 s"),
        (90.0, "90 s", "90 s"),
        (3600.0, "60 min", "60 min"),
        (36_000.0, "10 h", "10 h"),
        (864_000.0, "10 days", "240 h"),
        (1e9, "32 years", "277,778 h"),
    ],
)
def test_times_are_shown_with_a_unit_that_fits(seconds: float, time: str, cpu: str) -> None:
    assert format_seconds(seconds) == time
    assert format_cpu(seconds) == cpu


@pytest.mark.slow
def test_a_node_without_a_core_is_one_line() -> None:
    done = curator("plan", "--node", "0x4:64GB", "--size", "1GB")
    assert done.returncode == 2
    assert "--node 0x4:64GB: at least one node with one core" in told(done)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(nodes=("0x4",)), "--node 0x4: not understood"),
        (Asked(nodes=("1x4:64GB",)), "the corpus has no size"),
        (Asked(size="0"), "--size 0: there is nothing to plan for"),
        (Asked(size="5 parsecs"), "--size 5 parsecs: expected a size"),
        (Asked(documents="many"), "--documents many: expected a number"),
        (Asked(size="1GB", engine="abacus"), "--engine abacus: unknown"),
        (Asked(size="1GB", engine="local", nodes=("2x4:64GB",)), "works on one node"),
        (Asked(size="1GB", like=Path("/nowhere")), "is not a finished run"),
        (Asked(compressed=True), "--compressed: says how"),
        (Asked(files="3"), "--files: says how"),
        (Asked(size="1GB", files="many"), "--files many: expected a number"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Asked, message: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("entropy"))
    with pytest.raises(UserError, match=message):
        plan_command(str(recipe), [], None, [], asked, as_json=True)


@pytest.mark.slow
def test_how_many_files_a_told_corpus_lies_in_counts() -> None:
    one = curator("plan", "--size", "1GB", "--node", "1x4:8GB")
    many = curator("plan", "--size", "1GB", "--node", "1x4:8GB", "--files", "1e6")
    assert "the corpus lies in large files" in one.stdout
    assert "1,000,000 files are opened, 0.4 ms of CPU each" in many.stdout
