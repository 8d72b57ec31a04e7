"""The rules of `quality` fitted to good text by `curator calibrate`: real runs, and what their overlay then drops."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import cast, get_args

import pytest
import yaml

from curator.calibrate import Grouping, Outcome, Settings, calibrate, measure
from curator.calibrate.sample import Group, Rule
from curator.recipe import load_recipe_text, load_with_origins
from curator.recipe.overlay import dump_overlay
from curator.run.directory import RunDirectory
from curator.run.driver import Request, run
from stages.quality.languages import read_languages
from stages.quality.parameters import QualityParameters, Thresholds
from tests.command import curator, json_of
from tests.runs import WORDS, recipe_text, rows, write_jsonl

SHARE = 0.8
DOCUMENTS = 1800
RECIPE = recipe_text("quality", language="off")
LANGUAGES = ("en", "kl")
"""Of the second the stage knows looser thresholds by itself, and has no stop words."""


def good_text(chosen: random.Random, language: str) -> str:
    """Lines of very different kinds, as good pages of one kind have them; long words in `kl`."""
    words = WORDS["en"].split() if language == "en" else [f"{word}ssarsuatut" for word in WORDS["fr"].split()]
    ended, bulleted, numbers = (chosen.uniform(0, high) for high in (1, 0.5, 0.4))
    lines = []
    for _ in range(chosen.randint(5, 12)):
        line = " ".join(
            str(chosen.randrange(3000))
            if chosen.random() < numbers
            else f"{chosen.choice(words)}{chosen.choice('aeio')}"
            for _ in range(chosen.randint(2, 20))
        )
        mark = "- " if chosen.random() < bulleted else ""
        lines.append(f"{mark}the {line}{chosen.choice('.…') if chosen.random() < ended else ''}")
        if chosen.random() < 0.1:
            lines.append(chosen.choice(lines))
    return "\n".join(lines)


def write_good(path: Path, count: int, seed: int) -> Path:
    chosen = random.Random(seed)
    found = []
    for number in range(count):
        language, source = chosen.choice(LANGUAGES), chosen.choice(["web", "books"])
        text = good_text(chosen, language)
        found.append({"id": f"{seed}-{number}", "text": text, "lang": language, "source": f"{source}:{number}"})
    return write_jsonl(path, found)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("corpus") / "good.jsonl", DOCUMENTS, seed=1)


@pytest.fixture(scope="module")
def measured(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    recipe = load_recipe_text(RECIPE, "recipe.yaml")
    return measure([str(corpus)], recipe, tmp_path_factory.mktemp("measured") / "run", 1, 10**9)


@pytest.fixture(scope="module", params=get_args(Grouping))
def by(request: pytest.FixtureRequest) -> Grouping:
    found: Grouping = request.param
    return found


@pytest.fixture(scope="module")
def outcome(measured: RunDirectory, by: Grouping) -> Outcome:
    return calibrate(measured, load_recipe_text(RECIPE, "recipe.yaml"), Settings(share=SHARE, by=by))


def process(source: Path, folder: Path, outcome: Outcome | None) -> Path:
    """The run of the recipe on a file, with the overlay of a calibration."""
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    overlay = None
    if outcome is not None:
        overlay = folder / "overlay.yaml"
        overlay.write_text(dump_overlay("test", outcome.calibration), encoding="utf-8")
    recipe, origins = load_with_origins(str(folder / "recipe.yaml"), (), overlay)
    run(Request((str(source),), folder / "run", recipe, origins=origins))
    return folder / "run"


def dropped_by_group(directory: Path, by: Grouping) -> dict[Group, tuple[int, int]]:
    """Dropped documents and all, of each group."""
    gone = {row["key"] for row in rows(directory, "decisions")}
    every: Counter[Group] = Counter()
    fallen: Counter[Group] = Counter()
    for row in rows(directory, "scores"):
        group = Group(str(row["source"]).split(":")[0] if by == "source" else None, str(row["lang"]))
        every[group] += 1
        fallen[group] += row["key"] in gone
    return {group: (fallen[group], every[group]) for group in every}


@pytest.mark.slow
def test_at_most_the_stated_share_of_the_reference_text_falls_by_the_rules_fitted_to_it(
    corpus: Path, outcome: Outcome, by: Grouping, tmp_path: Path
) -> None:
    plain = dropped_by_group(process(corpus, tmp_path / "plain", None), by)
    fitted = dropped_by_group(process(corpus, tmp_path / "fitted", outcome), by)
    assert set(fitted) == {Group(row.source, row.language) for row in outcome.calibration.fitted}
    assert len(fitted) == (4 if by == "source" else 2)
    for group, (fallen, every) in fitted.items():
        assert plain[group][0] > (1 - SHARE) * every  # the promise is not kept by chance
        assert 0 < fallen <= (1 - SHARE) * every


@pytest.mark.slow
def test_at_most_the_stated_share_of_fresh_text_of_the_same_kind_falls(
    outcome: Outcome, by: Grouping, tmp_path: Path
) -> None:
    fresh = write_good(tmp_path / "fresh.jsonl", 2000, seed=2)
    for fallen, every in dropped_by_group(process(fresh, tmp_path / "run", outcome), by).values():
        assert fallen <= (1 - SHARE) * every


def test_both_rules_of_a_measure_are_fitted_each_to_its_own_tail(measured: RunDirectory, outcome: Outcome) -> None:
    found = {(Group(row.source, row.language), row.parameter): row for row in outcome.calibration.fitted}
    scores = rows(measured.root, "scores")
    for group in {group for group, _ in found}:
        for measure_name in ("words", "word_length"):
            values = sorted(
                float(str(row[f"quality.{measure_name}"]))
                for row in scores
                if row["lang"] == group.language and group.source in (None, str(row["source"]).split(":")[0])
            )
            low, high = found[group, f"min_{measure_name}"], found[group, f"max_{measure_name}"]
            assert values[0] < low.threshold < values[len(values) // 10]
            assert values[-len(values) // 10] < high.threshold < values[-1]
            assert low.passing == sum(value >= low.threshold for value in values)
            assert high.passing == sum(value <= high.threshold for value in values)


def test_every_rule_that_is_on_and_looks_at_the_language_is_fitted_and_no_other(outcome: Outcome) -> None:
    on = {name for name in Thresholds.model_fields if getattr(QualityParameters(), name) is not None}
    for group in {Group(row.source, row.language) for row in outcome.calibration.fitted}:
        fitted = {row.parameter for row in outcome.calibration.fitted if (row.source, row.language) == group}
        assert fitted == (on if group.language == "en" else on - {"min_stop_words", "min_stop_level"})


@pytest.mark.slow
def test_what_a_calibration_found_stands_above_what_the_stage_knows_of_the_language(
    measured: RunDirectory, outcome: Outcome, by: Grouping, corpus: Path, tmp_path: Path
) -> None:
    known = read_languages()["kl"].thresholds["max_word_length"]
    assert known is not None
    rule = Rule("quality", "max_word_length")
    rows_of_kl = [row for row in outcome.calibration.fitted if (row.language, row.parameter) == ("kl", rule.parameter)]
    assert rows_of_kl
    for row in rows_of_kl:
        assert outcome.before[Group(row.source, "kl"), rule] == known
        assert row.threshold < known  # a tighter one, which the stage's own would hide
    directory = process(corpus, tmp_path / "run", outcome)
    fallen = [
        row for row in rows(directory, "decisions") if row["rule"] == "quality.long_words" and row["lang"] == "kl"
    ]
    assert fallen
    assert {row["threshold"] for row in fallen} <= {row.threshold for row in rows_of_kl}
    manifest = json.loads((directory / "manifest.json").read_bytes())
    looser = "; looser except in books, web: few_words, long_words" if by == "source" else ""
    assert manifest["coverage"]["quality"] == {"kl": f"no stop words{looser}"}


@pytest.mark.slow
def test_the_command_fits_the_rules_of_web_quality_and_its_overlay_is_laid_over_the_recipe(
    corpus: Path, tmp_path: Path
) -> None:
    options = ("-r", "web-quality", "--by", "language", "--pass", "0.8")
    found = json_of(curator("calibrate", str(corpus), *options, "-o", "good.yaml", "--json", cwd=tmp_path))
    fitted = cast("list[dict[str, object]]", found["fitted"])
    assert {row["stage"] for row in fitted} == {"entropy", "quality"}
    shown = curator("recipe", "show", "web-quality", "--overlay", "good.yaml", cwd=tmp_path)
    merged = {name: given for entry in yaml.safe_load(shown.stdout)["stages"] for name, given in entry.items()}
    for row in fitted:
        assert merged[row["stage"]]["languages"][row["language"]][row["parameter"]] == row["threshold"]
