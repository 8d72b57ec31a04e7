"""Calibration on real runs: what passes, determinism, and runs that cannot be used."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from curator.calibrate import Outcome, Settings, calibrate, measure
from curator.calibrate.calibrate import SMALL_GROUPS_LISTED
from curator.calibrate.sample import Group, Rule
from curator.errors import DataError, UserError
from curator.recipe import Recipe, load_recipe_text, load_with_origins
from curator.recipe.overlay import dump_overlay
from curator.run.directory import RunDirectory
from curator.run.driver import Request, run
from tests.curator.calibrate.corpus import good_texts, write_good
from tests.runs import recipe_text, rows, run_stages, write_jsonl

SHARE = 0.9
DOCUMENTS = 1600
RECIPE = recipe_text("entropy", language="off")


def recipe_of(text: str = RECIPE) -> Recipe:
    return load_recipe_text(text, "recipe.yaml")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("corpus"), DOCUMENTS, seed=1)


@pytest.fixture(scope="module")
def measured(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("measured") / "run"
    return measure([str(corpus)], recipe_of(), folder, workers=1, memory_bytes=10**9)


@pytest.fixture(scope="module")
def outcome(measured: RunDirectory) -> Outcome:
    return calibrate(measured, recipe_of(), Settings(share=SHARE))


@pytest.fixture(scope="module")
def overlay(outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overlay") / "good.yaml"
    path.write_text(dump_overlay("test", outcome.calibration), encoding="utf-8")
    return path


def process(source: Path, folder: Path, overlay: Path) -> Path:
    """Run the recipe with the overlay."""
    file = folder / "recipe.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(RECIPE)
    recipe, origins = load_with_origins(str(file), (), overlay)
    run(Request((str(source),), folder / "run", recipe, origins=origins))
    return folder / "run"


def dropped_by_group(directory: Path) -> dict[Group, tuple[int, int]]:
    """Dropped documents and all, of each group."""
    gone = {row["key"] for row in rows(directory, "decisions") if row["action"] == "drop"}
    every: Counter[Group] = Counter()
    fallen: Counter[Group] = Counter()
    for row in rows(directory, "scores"):
        group = Group(str(row["source"]).split(":")[0], str(row["lang"]))
        every[group] += 1
        fallen[group] += row["key"] in gone
    return {group: (fallen[group], every[group]) for group in every}


@pytest.mark.slow
def test_at_most_the_stated_share_of_the_reference_text_falls_in_any_group(
    corpus: Path, overlay: Path, tmp_path: Path
) -> None:
    shares = dropped_by_group(process(corpus, tmp_path, overlay))
    assert set(shares) == {Group(source, lang) for source in ("books", "web") for lang in ("en", "ru")}
    for fallen, every in shares.values():
        assert 0 < fallen <= (1 - SHARE) * every


@pytest.mark.slow
def test_at_most_the_stated_share_of_fresh_text_of_the_same_kind_falls(overlay: Path, tmp_path: Path) -> None:
    fresh = write_good(tmp_path, 2400, seed=2)
    for fallen, every in dropped_by_group(process(fresh, tmp_path, overlay)).values():
        assert fallen <= (1 - SHARE) * every


def test_a_threshold_is_a_score_of_the_group_and_what_it_says_of_its_sample_is_so(
    measured: RunDirectory, outcome: Outcome
) -> None:
    scores = [row for row in rows(measured.root, "scores") if row["lang"] == "ru" and str(row["source"])[:3] == "web"]
    found = {row.parameter: row for row in outcome.calibration.fitted if (row.source, row.language) == ("web", "ru")}
    assert {"min_order", "max_characters", "max_excess"} <= set(found)
    for parameter, column, sign in (("min_order", "entropy.order", 1), ("max_characters", "entropy.characters", -1)):
        values = [sign * float(str(row[column])) for row in scores if row[column] is not None]
        row = found[parameter]
        assert (row.documents, row.passing) == (len(values), sum(value >= sign * row.threshold for value in values))
        assert sign * row.threshold in values
        assert SHARE < row.low < row.passing / row.documents < row.high <= 1
    assert outcome.documents == DOCUMENTS
    assert outcome.before[Group("web", "ru"), Rule("entropy", "min_order")] == 0.35


def test_an_overlay_that_was_written_is_read_as_what_it_was(outcome: Outcome, overlay: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    recipe, origins = load_with_origins(str(tmp_path / "r.yaml"), (), overlay)
    assert origins.overlay is not None
    assert origins.overlay.calibration == outcome.calibration
    (entry,) = recipe.stages
    for row in outcome.calibration.fitted:
        groups = entry.parameters["sources"]
        assert isinstance(groups, dict)
        assert groups[row.source]["languages"][row.language][row.parameter] == row.threshold
        path = f"entropy.sources.{row.source}.languages.{row.language}.{row.parameter}"
        assert origins.parameters[path] == "overlay"


@pytest.mark.slow
def test_one_worker_or_two_and_one_file_or_several_runs_give_the_same_overlay(tmp_path: Path) -> None:
    files = [str(write_good(tmp_path, 400, seed)) for seed in (3, 4, 5)]
    found = []
    for workers in (1, 2):
        run_directory = measure(files, recipe_of(), tmp_path / f"run{workers}", workers, 2 * 10**9)
        found.append(dump_overlay("test", calibrate(run_directory, recipe_of(), Settings(0.8)).calibration))
    assert found[0] == found[1]
    assert "min_order" in found[0]


def test_one_threshold_for_a_language_whatever_the_source_stands_among_languages(measured: RunDirectory) -> None:
    calibration = calibrate(measured, recipe_of(), Settings(share=SHARE, by="language")).calibration
    assert {(row.source, row.language) for row in calibration.fitted} == {(None, "en"), (None, "ru")}
    assert "sources" not in dump_overlay("test", calibration).partition("calibration:")[0]


def test_groups_with_too_few_documents_keep_the_thresholds_of_the_recipe_and_are_listed(measured: RunDirectory) -> None:
    found = calibrate(measured, recipe_of(), Settings(share=0.99)).calibration
    assert found.fitted == ()
    assert {(row.source, row.language, row.stage) for row in found.unfitted} == {
        (source, lang, None) for source in ("books", "web") for lang in ("en", "ru")
    }
    assert all(row.documents < row.needed for row in found.unfitted)


@pytest.mark.slow
def test_where_each_document_has_a_source_of_its_own_the_largest_groups_are_listed(tmp_path: Path) -> None:
    sources = ["zoo", "zoo", *(f"site{number}" for number in range(SMALL_GROUPS_LISTED + 50))]
    texts = good_texts(len(sources), seed=6, languages=("en",))
    documents = [{**text, "source": source} for text, source in zip(texts, sources, strict=True)]
    write_jsonl(tmp_path / "in.jsonl", documents)
    directory = measure([str(tmp_path / "in.jsonl")], recipe_of(), tmp_path / "run", 1, 10**9)
    outcome = calibrate(directory, recipe_of(), Settings(share=SHARE))
    found = outcome.calibration
    assert (outcome.in_small_groups, outcome.unseen) == (len(documents), 0)
    assert (len(found.unfitted), found.unlisted) == (SMALL_GROUPS_LISTED, 51)
    assert found.unfitted[-1].source == "zoo"
    together = calibrate(directory, recipe_of(), Settings(share=SHARE, by="language"))
    assert (together.in_small_groups, together.calibration.unlisted) == (0, 0)
    assert together.calibration.fitted


def test_a_rule_that_looks_at_too_few_documents_is_listed_by_itself(measured: RunDirectory) -> None:
    found = calibrate(measured, recipe_of(), Settings(share=SHARE, minimum=350)).calibration
    assert {(row.stage, row.parameter) for row in found.unfitted} >= {("entropy", "min_compression")}
    assert all(row.documents >= 350 for row in found.fitted)


def test_a_rule_that_the_recipe_turns_off_is_not_fitted(measured: RunDirectory) -> None:
    text = recipe_text("entropy: {min_order: null, languages: {ru: {max_excess: null}}}", language="off")
    found = calibrate(measured, recipe_of(text), Settings(share=SHARE)).calibration.fitted
    assert all(row.parameter != "min_order" for row in found)
    assert {row.language for row in found if row.parameter == "max_excess"} == {"en"}


@pytest.mark.long
def test_a_run_of_a_whole_recipe_gives_what_its_input_gives(corpus: Path, outcome: Outcome, tmp_path: Path) -> None:
    run_stages([corpus], tmp_path / "run", "dedup", "entropy", "pii", language="off")
    found = calibrate(RunDirectory(tmp_path / "run"), recipe_of(), Settings(share=SHARE))
    assert found.calibration == outcome.calibration


def test_children_are_not_counted_as_known_good_text(measured: RunDirectory, tmp_path: Path) -> None:
    manifest = json.loads(measured.manifest.read_bytes())
    for row in manifest["funnel"]:
        if row[:3] == ["all", "", "in"]:
            row[3] -= 1000  # as if the last thousand had been made, not read
    copy = RunDirectory(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "scores").symlink_to(str(measured.scores))
    found = calibrate(copy, recipe_of(), Settings(share=0.5))
    assert found.documents == DOCUMENTS - 1000
    per_group = [row.documents for row in found.calibration.fitted if row.parameter == "min_order"]
    assert sum(per_group) == DOCUMENTS - 1000


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(share=1.0), "--pass 1 is not between 0 and 1"),
        (Settings(share=0.0), "--pass 0 is not between"),
        (Settings(confidence=1.5), "--confidence 1.5 is not"),
        (Settings(share=0.99, minimum=100), "--minimum 100: fewer than 299 documents cannot show"),
        (Settings(share=0.5, memory_bytes=1000), "--memory 1 kB is too little to fit a share of 0.5"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(measured: RunDirectory, settings: Settings, problem: str) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        calibrate(measured, recipe_of(), settings)


def test_a_recipe_without_thresholds_by_language_is_refused(measured: RunDirectory) -> None:
    with pytest.raises(UserError, match="has no stage with thresholds by source and language"):
        calibrate(measured, recipe_of(recipe_text("dedup")), Settings())


def test_thresholds_that_would_stand_below_those_of_the_recipe_are_refused(measured: RunDirectory) -> None:
    text = recipe_text("entropy: {sources: {web: {languages: {en: {min_bits: 5}}}}}", language="off")
    with pytest.raises(UserError, match="stand above those of languages"):
        calibrate(measured, recipe_of(text), Settings(share=SHARE, by="language"))


def test_a_run_without_the_scores_or_documents_that_are_needed_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    run_stages([empty], tmp_path / "none", "entropy")
    with pytest.raises(UserError, match="the input has no document"):
        calibrate(RunDirectory(tmp_path / "none"), recipe_of(), Settings())
    run_stages([empty], tmp_path / "other", "dedup")
    with pytest.raises(UserError, match="the run has no scores of the stage 'entropy'"):
        calibrate(RunDirectory(tmp_path / "other"), recipe_of(), Settings())


def test_a_run_of_another_version_of_the_stage_is_refused(measured: RunDirectory, tmp_path: Path) -> None:
    manifest = json.loads(measured.manifest.read_bytes())
    manifest["code"]["entropy"] = "0" * 64
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="another version of the stage 'entropy'"):
        calibrate(RunDirectory(tmp_path), recipe_of(), Settings())


@pytest.mark.slow
def test_a_run_that_scored_edited_texts_is_refused_and_its_shards_are_not(tmp_path: Path) -> None:
    corpus = write_good(tmp_path, 100, seed=3)
    run_stages([corpus], tmp_path / "run", "pii", "entropy", language="off")
    with pytest.raises(UserError, match="its scores of 'entropy' are those of texts that 'pii' had edited"):
        calibrate(RunDirectory(tmp_path / "run"), recipe_of(), Settings(share=SHARE))
    shards = [str(path) for path in (tmp_path / "run" / "shards").iterdir()]
    measured = measure(shards, recipe_of(), tmp_path / "measured", workers=1, memory_bytes=10**9)
    assert calibrate(measured, recipe_of(), Settings(share=SHARE)).documents == 100


def test_damaged_scores_are_a_data_error(measured: RunDirectory, tmp_path: Path) -> None:
    copy = RunDirectory(tmp_path)
    (tmp_path / "manifest.json").write_bytes(measured.manifest.read_bytes())
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "part-00000.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="curator verify"):
        calibrate(copy, recipe_of(), Settings(share=SHARE))
