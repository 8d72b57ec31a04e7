"""Overlays: what they take the place of, what an error says, and where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from curator.code import hash_files, stage_files
from curator.errors import UserError
from curator.recipe import load_overlay_text, load_recipe, load_with_origins
from curator.recipe.overlay import Calibration, CorpusFile, Fitted, Unfitted, dump_overlay
from curator.registry import stage_class

RECIPE = """name: x
stages:
  - dedup
  - entropy:
      min_order: 0.3
      sources: {web: {min_bits: 5.5}}
      languages: {vi: {min_bits: 5.8, min_order: 0.2}}
"""


def fitted(parameter: str, source: str | None, language: str, threshold: float) -> Fitted:
    return Fitted(
        stage="entropy",
        parameter=parameter,
        source=source,
        language=language,
        threshold=threshold,
        documents=1234,
        passing=1229,
        low=0.990571,
        high=0.998683,
    )


def calibration(*rows: Fitted, stages: Mapping[str, str] | None = None) -> Calibration:
    digest = hash_files(stage_files(stage_class("entropy")))
    return Calibration(
        share=0.99,
        confidence=0.95,
        corpus=(CorpusFile(name="gut.jsonl", bytes=12, digest="ab"),),
        stages={"entropy": digest} if stages is None else stages,
        fitted=rows,
        unfitted=(
            Unfitted(stage=None, parameter=None, source="no", language="no", documents=3, needed=299),
            Unfitted(stage="entropy", parameter="min_bits", source="web", language="de", documents=40, needed=299),
        ),
    )


def write(folder: Path, overlay: str, recipe: str = RECIPE) -> tuple[str, Path]:
    (folder / "r.yaml").write_text(recipe, encoding="utf-8")
    (folder / "o.yaml").write_text(overlay, encoding="utf-8")
    return str(folder / "r.yaml"), folder / "o.yaml"


def test_what_was_fitted_is_read_as_it_was_written(tmp_path: Path) -> None:
    # `no` is Norwegian, and not false; 1e-05 is a number.
    rows = (fitted("min_order", "web", "no", 1e-05), fitted("max_repetition", "büch er:x", "de", 0.25))
    recipe, path = write(tmp_path, dump_overlay("x", calibration(*rows)))
    loaded, origins = load_with_origins(recipe, (), path)
    assert origins.overlay is not None
    assert origins.overlay.calibration == calibration(*rows)
    assert origins.overlay.name == "o.yaml"
    assert loaded.stages[1].parameters["sources"] == {
        "web": {"min_bits": 5.5, "languages": {"no": {"min_order": 1e-05}}},
        "büch er:x": {"languages": {"de": {"max_repetition": 0.25}}},
    }


def test_an_overlay_takes_the_place_of_the_recipe_and_set_that_of_the_overlay(tmp_path: Path) -> None:
    text = (
        "stages:\n  - entropy: {min_order: 0.4, max_excess: 0.5, languages: {vi: {min_bits: 5}, de: {min_bits: 6}}}\n"
    )
    recipe, path = write(tmp_path, text)
    loaded, origins = load_with_origins(recipe, ["entropy.max_excess=0.7", "dedup.threshold=0.9"], path)
    entropy = loaded.stages[1].parameters
    assert (entropy["min_order"], entropy["max_excess"], entropy["min_bits"]) == (0.4, 0.7, 6.2)
    assert entropy["languages"] == {"vi": {"min_bits": 5.0, "min_order": 0.2}, "de": {"min_bits": 6.0}}
    assert origins.parameters == {
        "dedup.threshold": "set",
        "entropy.min_order": "overlay",
        "entropy.max_excess": "set",
        "entropy.sources.web.min_bits": "recipe",
        "entropy.languages.vi.min_bits": "overlay",
        "entropy.languages.vi.min_order": "recipe",
        "entropy.languages.de.min_bits": "overlay",
    }


def test_set_of_a_whole_mapping_is_the_origin_of_all_in_it(tmp_path: Path) -> None:
    recipe, _ = write(tmp_path, "")
    _, origins = load_with_origins(recipe, ["entropy.languages={vi: {min_bits: 4}}"])
    assert origins.overlay is None
    assert origins.parameters["entropy.languages.vi.min_bits"] == "set"
    assert "entropy.languages.vi.min_order" not in origins.parameters


def test_a_stage_that_the_recipe_only_names_takes_thresholds(tmp_path: Path) -> None:
    recipe, path = write(tmp_path, "stages: [{entropy: {min_bits: 5}}]", "name: x\nstages: [entropy]\n")
    assert load_recipe(recipe, (), path).stages[0].parameters["min_bits"] == 5


def test_an_overlay_of_nothing_changes_nothing(tmp_path: Path) -> None:
    recipe, path = write(tmp_path, dump_overlay("x", calibration()))
    assert load_recipe(recipe, (), path) == load_recipe(recipe)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("stages:\n  - entropy:\n      min_bit: 5\n", ["o.yaml: line 3: unknown key 'min_bit'", "mean 'min_bits'?"]),
        ("stages:\n  - entropy:\n      languages:\n        de: {min_bits: x}\n", ["o.yaml: line 4:", "number"]),
        ("stages:\n  - entropie: {}\n", ["o.yaml: line 2: the recipe has no stage 'entropie'", "mean 'entropy'?"]),
        ("stages:\n  - toxicity: {}\n", ["o.yaml: line 2: the recipe has no stage 'toxicity'", "it has: dedup"]),
        ("stages:\n  - entropy: {}\n  - entropy: {}\n", ["o.yaml: line 3: the stage 'entropy' stands twice"]),
        ("stages:\n  - entropy: 5\n", ["o.yaml: line 2: the parameters of 'entropy' are a mapping"]),
        ("stage: []\nstages: []\n", ["o.yaml: line 1: unknown key 'stage'", "mean 'stages'?"]),
        ("stages: {entropy: {}}\n", ["o.yaml: an overlay is a mapping with `stages`, a list"]),
        ("", ["o.yaml: an overlay is a mapping"]),
        ("stages: [\n", ["o.yaml: line 2: not valid YAML"]),
        ("stages: []\ncalibration:\n  share: 2\n", ["o.yaml: line 3: share: ", "less than 1"]),
        ("stages: []\ncalibration:\n  shares: 0.9\n", ["o.yaml: line 2: 'share' is required"]),
        ("a: &a [*a]\nstages: [*a]\n", ["o.yaml", "for an overlay"]),
    ],
)
def test_an_error_names_the_overlay_the_line_and_what_is_near(text: str, parts: list[str], tmp_path: Path) -> None:
    recipe, path = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, (), path)
    for part in parts:
        assert part in str(caught.value)


def test_an_overlay_that_is_not_there_or_is_no_text_is_refused(tmp_path: Path) -> None:
    recipe, path = write(tmp_path, "")
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read: No such file"):
        load_recipe(recipe, (), tmp_path / "none.yaml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        load_recipe(recipe, (), path)


def test_an_overlay_for_another_version_of_a_stage_is_refused(tmp_path: Path) -> None:
    rows = [fitted("min_bits", "web", "de", 5.0)]
    recipe, path = write(tmp_path, dump_overlay("x", calibration(*rows, stages={"entropy": "0" * 64})))
    with pytest.raises(UserError, match=r"o\.yaml: .* another version of the stage 'entropy' \(calibrate again"):
        load_recipe(recipe, (), path)


def test_thresholds_written_by_hand_need_no_calibration(tmp_path: Path) -> None:
    values = yaml.safe_load(dump_overlay("x", calibration(fitted("min_bits", None, "de", 5.0))))
    assert values["stages"] == [{"entropy": {"languages": {"de": {"min_bits": 5.0}}}}]
    recipe, path = write(tmp_path, yaml.safe_dump({"stages": values["stages"]}))
    _, origins = load_with_origins(recipe, (), path)
    assert origins.overlay is not None
    assert origins.overlay.calibration is None


def test_an_overlay_whose_aliases_multiply_is_refused_by_its_size() -> None:
    lists = "".join(
        f"  - &{name} [{', '.join([before] * 9)}]\n"
        for name, before in zip("bcde", ("*a", "*b", "*c", "*d"), strict=True)
    )
    text = f"calibration:\n  - &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n{lists}stages: []\n"
    with pytest.raises(UserError, match="too much"):
        load_overlay_text(text.encode(), "o.yaml", "o.yaml")
