"""Children of documents of another language: translations of text of a pivot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from curator.document import Batch
from curator.stage import State
from stages.augmentation.lengths import expected_ratio
from stages.augmentation.parameters import AugmentationParameters
from stages.augmentation.stage import TOKENS, Augmentation
from tests.stages.augmentation.engine import calls, install
from tests.stages.augmentation.test_augmentation_stage import batch_of

BOTH = ["back-translation", "translation"]


def french(number: int) -> str:
    return f"Le village {number} est grand et beau, et dans la maison de la place un homme chante toujours la nuit."


def occitan(number: int) -> str:
    return f"La vila {number} es granda e polida, e dins la casa de la plaça demòra un òme que canta totjorn la nuèit."


def corpus(own: int = 4, pivot: int = 40) -> Batch:
    """Few documents in Occitan, more in French, and some in Breton."""
    texts = [*map(occitan, range(own)), *map(french, range(pivot)), *["Ur gêr gozh"] * 3]
    return batch_of(texts, ["oc"] * own + ["fr-CA"] * pivot + ["br"] * 3)


def stage_of(folder: Path, methods: Sequence[str] = ("translation",), **choice: object) -> Augmentation:
    modes = ("fra-oci", "oci-fra", "fra-bre")
    named = {"name": "apertium", "pivot_text": {"oc": "fr"}, "options": install(folder, modes), **choice}
    return Augmentation(
        AugmentationParameters.model_validate({"methods": methods, "translators": [named], "below_tokens": 1000})
    )


def fitted(stage: Augmentation, batch: Batch) -> State:
    tokens = [len(text.split()) for text in batch.text.to_pylist()]
    return stage.fit(stage.observe(batch, {TOKENS: pa.array(tokens, pa.int64())}))


def plan(stage: Augmentation, state: State) -> dict[str, dict[str, object]]:
    rows = cast("list[dict[str, object]]", stage.facts(state)["languages"])
    return {cast("str", row["language"]): row for row in rows}


def test_documents_of_the_pivot_become_children_in_the_language(tmp_path: Path) -> None:
    batch, stage = corpus(), stage_of(tmp_path)
    state = fitted(stage, batch)
    children = stage.derive(batch, {}, state)
    assert [child.row for child in children] == np.flatnonzero(stage.candidates(batch, state)).tolist()
    assert len(children) == 2
    for child in children:
        assert batch.documents.column("lang")[child.row].as_py() == "fr-CA"
        assert child.text == batch.text[child.row].as_py().replace("maison", "ostal")
        assert (child.lang, child.method, child.engine) == ("oc", "translation", "apertium 9.9.9 fr-oc")
        assert 80 <= child.scores["round_trip_chrf"] < 100
        assert child.scores["chrf"] == child.scores["round_trip_chrf"], "our program knows no way back"
    assert calls(tmp_path) == ["fra-oci", "oci-fra"]


def test_children_are_at_most_the_share_of_the_language_that_gets_them(tmp_path: Path) -> None:
    for number, own in enumerate((2, 7, 20)):
        (tmp_path / str(number)).mkdir()
        batch, stage = corpus(own), stage_of(tmp_path / str(number))
        state = fitted(stage, batch)
        row = plan(stage, state)["oc"]
        tokens = np.array([len(text.split()) for text in batch.text.to_pylist()])
        chosen = stage.candidates(batch, state)
        assert tokens[chosen].sum() == row["chosen_tokens"]
        share = 0.5 * cast("int", row["tokens"])
        assert stage.most_tokens(state) == ({"oc": int(share)} if chosen.any() else {})
        assert share - tokens.max() < tokens[chosen].sum() <= share


def test_the_same_documents_are_parents_wherever_the_corpus_is_cut_and_when_text_is_added(tmp_path: Path) -> None:
    batch, stage = corpus(own=10), stage_of(tmp_path)
    state = fitted(stage, batch)
    whole = stage.candidates(batch, state)
    pieces = [stage.candidates(batch.select(np.arange(begin, begin + 10)), state) for begin in range(0, 50, 10)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole[:50])
    assert whole[10:50].sum() == 5
    more = batch_of(
        [*batch.text.to_pylist(), *map(occitan, range(40, 60))], [*["oc"] * 10, *["fr"] * 40, *["br"] * 3, *["oc"] * 20]
    )
    assert not (whole & ~stage.candidates(more, fitted(stage, more))[: len(batch)]).any()


def test_without_a_round_trip_the_pair_back_is_not_needed(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, pivot_text={"br": "fr"}, round_trip=False)
    assert [requirement.name for requirement in stage.requirements()] == ["declaration.jsonl.zst", "apertium fr-br"]
    assert all(requirement.problem is None for requirement in stage.requirements())
    missing = Augmentation(
        AugmentationParameters.model_validate(
            {
                "methods": ["translation"],
                "translators": [
                    {"name": "apertium", "pivot_text": {"br": "fr"}, "options": stage.parameters.translators[0].options}
                ],
            }
        )
    )
    problems = {requirement.name: requirement.problem for requirement in missing.requirements()}
    assert problems["apertium fr-br"] is None
    assert "no pair br-fr" in str(problems["apertium br-fr"])


def test_a_chain_begins_with_the_language_of_the_documents(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, pivot_text={"br": ["oc", "fr"]}, round_trip=False)
    batch = batch_of(
        [
            *map(occitan, range(9)),
            *["Ur gêr gozh-kozh a zo aze war ar menez bihan e-kichen ar stêr ha ne oar den petra eo"] * 9,
        ],
        ["oc"] * 9 + ["br"] * 9,
    )
    children = stage.derive(batch, {}, fitted(stage, batch))
    assert {child.engine for child in children} == {"apertium 9.9.9 oc-fr-br"}
    assert {batch.languages.names[batch.languages.codes[child.row]] for child in children} == {"oc"}
    assert calls(tmp_path) == ["oci-fra", "fra-bre"]


def test_a_document_has_a_child_in_its_language_and_then_those_in_others(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, BOTH, pivots={"fr": "oc"}, pivot_text={"oc": "fr", "br": "fr"}, round_trip=False)
    gate = stage.parameters.model_copy(update={"min_chrf": 0.0, "max_chrf": 100.0, "max_share": 1.0})
    stage = Augmentation(gate)
    batch = batch_of(
        [french(0), occitan(0), occitan(1), french(1) + " br", french(2) + " br"], ["fr", "oc", "oc", "br", "br"]
    )
    children = stage.derive(batch, {}, fitted(stage, batch))
    assert [(child.row, child.lang, child.method) for child in children] == [
        (0, "fr", "back-translation"),
        (0, "br", "translation"),
        (0, "oc", "translation"),
    ]


def test_of_two_methods_the_first_of_the_recipe_is_used(tmp_path: Path) -> None:
    for number, (methods, route) in enumerate(((BOTH, "oc-fr-oc"), (BOTH[::-1], "fr-oc"))):
        (tmp_path / str(number)).mkdir()
        stage = stage_of(tmp_path / str(number), methods, pivots={"oc": "fr"})
        assert plan(stage, fitted(stage, corpus()))["oc"]["route"] == route


@pytest.mark.parametrize(
    ("texts", "tags", "problem"),
    [
        ([french(0)], ["fr"], "no text of its own, of which children could be a share"),
        ([occitan(0)], ["oc"], "no document in fr"),
        ([french(0) * 9, occitan(0)], ["fr", "oc"], "the first document in fr is longer than"),
        ([french(0), occitan(0), occitan(1)], ["fr", "oc", "oc"], "None"),
    ],
)
def test_a_language_that_gets_nothing_is_told_of(
    tmp_path: Path, texts: list[str], tags: list[str], problem: str
) -> None:
    stage = stage_of(tmp_path)
    stage = Augmentation(stage.parameters.model_copy(update={"max_share": 0.6}))
    found = plan(stage, fitted(stage, batch_of(texts, tags)))["oc"]["problem"]
    assert str(found).startswith(problem)


@pytest.mark.parametrize(
    ("end", "made"),
    [(" LOSE", False), (" EMPTY", True), (" MARKS BYTES", False), (" [REDACTED_NAME]", True)],
)
def test_what_does_not_come_through_soundly_is_no_child(tmp_path: Path, end: str, made: bool) -> None:
    batch = batch_of([french(0) + end, *map(occitan, range(3))], ["fr", "oc", "oc", "oc"])
    stage = stage_of(tmp_path)
    assert [child.refused is None for child in stage.derive(batch, {}, fitted(stage, batch))] == [made]


def test_lengths_are_those_of_the_declaration_and_1_where_a_language_is_not_in_it() -> None:
    assert expected_ratio("en", "zh") == pytest.approx(0.26, abs=0.01)
    assert expected_ratio("en", "zh") * expected_ratio("zh", "en") == pytest.approx(1)
    assert expected_ratio("fr", "oc") == pytest.approx(0.976, abs=0.001)
    assert expected_ratio("en", "xal") == expected_ratio("xal", "xal") == 1.0


@pytest.mark.parametrize(
    "parameters",
    [
        {"translators": [{"name": "apertium", "pivot_text": {"oc": "fr"}}]},  # and no method that uses it
        {"methods": ["translation"]},
        {"methods": ["translation"], "translators": ["apertium"]},
        {"methods": ["translation"], "translators": [{"name": "apertium", "pivots": {"oc": "fr"}}]},
        {"methods": BOTH, "translators": [{"name": "apertium", "pivots": {"oc": "fr"}}]},
        {"methods": ["translation"], "translators": [{"name": "apertium", "pivot_text": {"oc": "oc"}}]},
        {"methods": ["translation"], "translators": [{"name": "apertium", "pivot_text": {"oc": []}}]},
        {"methods": ["translation"], "translators": [{"name": "apertium", "pivot_text": {"oc": ["fr", "es", "fr"]}}]},
        {"methods": ["translation"], "translators": [{"name": "apertium", "pivot_text": {"oc": "no tag"}}]},
        {"translators": [{"name": "apertium", "pivots": {"oc": "fr"}, "round_trip": False}]},
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AugmentationParameters.model_validate(parameters)
