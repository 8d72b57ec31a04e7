"""`curator plan --sampling`: the mix before anything is sampled, and that a run keeps to it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from tests.command import curator, json_of
from tests.runs import make_texts, recipe_text, rows, write_jsonl

MIX = "sampling: {alpha: 0.5, source_shares: {web: 0.3, books: 0.7}}"


def table(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.slow
def test_a_table_of_counts_gives_the_plan(tmp_path: Path) -> None:
    counts = table(tmp_path / "counts.csv", "language,tokens,source", "en,900,web", "en,60,books", "br,40,web")
    done = curator("plan", "--sampling", counts, "--set", "sampling.alpha=0", "--json")
    plan = json_of(done)
    languages = {row["language"]: row for row in cast("list[dict[str, object]]", plan["languages"])}
    assert {name: (row["tokens"], row["target"], row["shortfall"]) for name, row in languages.items()} == {
        "br": (40, 160, 340),
        "en": (960, 840, 0),
    }
    shown = curator("plan", "--sampling", counts, "--set", "sampling.alpha=0").stdout
    assert "1,000 tokens wanted, 1,000 planned" in shown


@pytest.mark.slow
def test_what_cannot_be_had_is_said_before_the_run(tmp_path: Path) -> None:
    counts = table(tmp_path / "counts.tsv", "language\ttokens", "en\t900")
    shown = curator("plan", "--sampling", counts, "--set", "sampling.total=10000").stdout
    assert "6,400 tokens cannot be had: every language is at its cap of 4 repeats" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("language,words", "en,9"), "columns language, words (expected a header with language and tokens"),
        (("language,tokens", "en,9000000000000000000", "en,9000000000000000000"), "counts add up to more than"),
        (("language,tokens", "und,9", "English,9"), "'English' is no language tag (line 3; a tag of BCP 47"),
        (("language,tokens", "en,9.5"), "a count that is no whole number (line 2)"),
        (("language,tokens", "en,9", ",4"), "a row has no language, or a count that is no whole number (line 3)"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    done = curator("plan", "--sampling", table(tmp_path / "counts.csv", *lines))
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.slow
def test_what_a_source_lacks_is_said_before_the_run(tmp_path: Path) -> None:
    counts = table(tmp_path / "counts.csv", "language,tokens,source", "en,9000,web", "en,100,books")
    shares = "sampling.source_shares={web: 0.5, books: 0.3, papers: 0.2}"
    shown = curator("plan", "--sampling", counts, "--set", shares).stdout
    assert "source books: 2,330 of 2,730 tokens cannot be had, what there is in the languages and the cap" in shown
    assert "source papers: 1,820 of 1,820 tokens cannot be had, it has no text" in shown
    assert "source web" not in shown


@pytest.mark.slow
def test_a_table_of_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    done = curator("plan", "--sampling", table(tmp_path / "counts.csv", "\ufefflanguage,tokens", "en,9"), "--json")
    assert json_of(done)["target"] == 9


@pytest.mark.slow
def test_a_table_without_a_token_has_an_empty_plan(tmp_path: Path) -> None:
    shown = curator("plan", "--sampling", table(tmp_path / "counts.csv", "language,tokens", "en,0")).stdout
    assert "0 tokens wanted, 0 planned" in shown
    assert "there is no token to sample" in shown


@pytest.mark.slow
def test_a_table_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    done = curator("plan", "--sampling", tmp_path / "none.csv")
    assert done.returncode == 2
    assert "no such file or directory (give a table of counts, or a finished run)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--node", "1x2:8GB"), ("--size", "1GB"), ("in.jsonl",)])
def test_what_says_nothing_to_a_mix_is_refused_beside_it(tmp_path: Path, more: tuple[str, ...]) -> None:
    done = curator("plan", *more, "--sampling", table(tmp_path / "counts.csv", "language,tokens", "en,9"))
    assert done.returncode == 2
    assert "--sampling shows the mix alone (leave out input files and options of an estimate)" in done.stderr


@pytest.mark.slow
def test_a_recipe_without_sampling_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("entropy"))
    done = curator("plan", "-r", recipe, "--sampling", table(tmp_path / "counts.csv", "language,tokens", "en,9"))
    assert done.returncode == 2
    assert "has no stage sampling" in done.stderr


@pytest.mark.slow
def test_a_run_keeps_to_the_plan_that_its_unsampled_twin_gave(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(1500))
    plain, mixed = tmp_path / "plain.yaml", tmp_path / "mixed.yaml"
    plain.write_text(recipe_text("dedup"))
    mixed.write_text(recipe_text("dedup", MIX))
    for recipe, output in ((plain, "plain"), (mixed, "mixed")):
        done = curator("process", source, "-o", tmp_path / output, "-r", recipe)
        assert done.returncode == 0, done.stderr
    planned = json_of(curator("plan", "-r", mixed, "--sampling", tmp_path / "plain", "--json"))
    manifest = json.loads((tmp_path / "mixed" / "manifest.json").read_text())
    facts = manifest["facts"]["sampling"]
    assert [row["target"] for row in facts["cells"]] == [
        row["target"] for row in cast("list[dict[str, object]]", planned["cells"])
    ]
    written: Counter[str] = Counter()
    for row in rows(tmp_path / "mixed", "shards"):
        written[cast("str", row["source"]).split(":")[0]] += cast("int", row["tokens"])
    assert written == {row["source"]: row["drawn"] for row in facts["sources"] if row["drawn"]}
    assert written["web"] / written.total() == pytest.approx(0.3, abs=0.005)
    again = json_of(curator("plan", "-r", mixed, "--sampling", tmp_path / "mixed", "--json"))
    assert again["cells"] == planned["cells"]
    other = curator(
        "plan", "-r", mixed, "--sampling", tmp_path / "mixed", "--set", "sampling.source_shares={papers: 1}"
    )
    assert other.returncode == 2
    assert "its sampling did not tell apart papers" in other.stderr
    sampled = next(row["id"] for row in rows(tmp_path / "mixed", "decisions") if row["rule"] == "sampling.source_quota")
    assert "of this source than the mix takes" in curator("explain", tmp_path / "mixed", str(sampled)).stdout
    page = (tmp_path / "mixed" / "report.html").read_text()
    assert "Sources.</caption>" in page
