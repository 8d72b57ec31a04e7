"""Substitution in a run: children with their provenance, through the gate and every earlier stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from pydantic import ValidationError

from curator.errors import UserError
from stages.augmentation.parameters import AugmentationParameters
from tests.runs import hashes, rows, run_stages, write_jsonl
from tests.stages.augmentation.substitution.programs import needs_english

SENTENCES = (
    "A child sleeps in the house.",
    "The farmer walks along the river.",
    "We bought an umbrella in the city.",
    "The old car stands near the village.",
)
AUGMENTATION = "augmentation: {methods: [substitution], parsed: [en], max_share: 1, min_chrf: 40}"


def corpus(folder: Path) -> Path:
    documents = [
        {"id": f"d{number}", "text": f"Part {number} begins. {sentence} {SENTENCES[number % 3]}", "lang": "en"}
        for number, sentence in enumerate(SENTENCES * 3)
    ]
    documents.append({"id": "basque", "text": "Etxea ibaiaren ondoan dago eta umeak jolasean ari dira.", "lang": "eu"})
    return write_jsonl(folder / "in.jsonl", documents)


@needs_english
@pytest.mark.slow
def test_children_of_substitution_have_their_provenance_and_went_through_earlier_stages(tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    stages = ("dedup: {threshold: 0.95}", "entropy: {min_bits: null}", AUGMENTATION)
    outcome = run_stages([corpus(tmp_path)], tmp_path / "run", *stages)
    children = [row for row in rows(tmp_path / "run", "shards") if row["parent"] is not None and row["copy"] == 0]
    assert children
    parents = {row["id"]: row["text"] for row in rows(tmp_path / "run", "shards")}
    for child in children:
        provenance = cast("dict[str, str]", child["provenance"])
        assert provenance["method"] == "substitution"
        assert provenance["engine"].startswith("link-grammar ")
        assert ", WordNet 3" in provenance["engine"]
        scores = json.loads(provenance["metadata"])
        assert 40 <= scores["chrf"] <= 97
        assert child["text"] != parents[child["parent"]]
    scored = {row["id"]: row["entropy.bits"] for row in rows(tmp_path / "run", "scores")}
    assert all(scored[child["id"]] is not None for child in children)
    plan = cast("dict[str, dict[str, list[dict[str, object]]]]", outcome.manifest["facts"])["augmentation"]
    ways = {row["language"]: (row["route"], row["problem"]) for row in plan["languages"]}
    assert ways == {"en": ("substitution", None), "eu": ("", "no parser for this language")}
    flags = [row for row in rows(tmp_path / "run", "decisions") if row["rule"] == "augmentation.no_parser"]
    assert [row["id"] for row in flags] == ["basque"]
    run_stages([corpus(tmp_path)], tmp_path / "two", *stages, workers=2)
    assert hashes(tmp_path / "two") == hashes(tmp_path / "run")


def test_a_language_without_a_parser_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is no parser for eu; there is for en, br, es, is, mk, oc"):
        AugmentationParameters(methods=("substitution",), parsed=("eu",))


def test_languages_and_translators_of_a_method_that_is_not_named_are_refused() -> None:
    with pytest.raises(ValidationError, match="substitution is not among the methods"):
        AugmentationParameters(parsed=("en",))
    with pytest.raises(ValidationError, match="back-translation is not among the methods"):
        AugmentationParameters.model_validate({"methods": ["substitution"], "translators": ["apertium"]})


def test_a_parser_that_is_missing_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"augmentation: parser .*link-parser is not installed"):
        run_stages([corpus(tmp_path)], tmp_path / "run", AUGMENTATION)
