"""The stage `augmentation` as an engine runs it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.errors import UserError
from curator.keys import file_keys
from curator.run.states import load_state, write_state
from curator.stage import State
from stages.augmentation.apertium import WAYS, Apertium
from stages.augmentation.parameters import AugmentationParameters
from stages.augmentation.stage import TOKENS, Augmentation
from stages.augmentation.translator import TranslatorChoice, create
from tests.stages.augmentation.engine import calls, install

BELOW = 1000


def batch_of(texts: Sequence[str], tags: Sequence[str], parents: Sequence[str | None] | None = None) -> Batch:
    count = len(texts)
    keys = file_keys("corpus.jsonl", np.arange(count))
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.tobytes() for row in keys], pa.binary(16)),
        "id": pa.array([str(row) for row in range(count)], pa.string()),
        "text": pa.array(texts, pa.string()),
        "source": pa.array(["web"] * count, pa.string()),
        "lang": pa.array(tags, pa.string()),
        "file": pa.array(["corpus.jsonl"] * count, pa.string()),
        "position": pa.array(np.arange(count)),
        "parent": pa.array([None] * count if parents is None else parents, pa.string()),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA))


def text(number: int) -> str:
    return f"La vila {number} es granda e polida, e dins la casa de la plaça demòra un òme que canta totjorn la nuèit."


def tokens_of(batch: Batch) -> dict[str, pa.Array]:
    return {TOKENS: pa.array([len(one.split()) for one in batch.text.to_pylist()], pa.int64())}


def stage_of(translators: object = (), **parameters: object) -> Augmentation:
    given_ = {"below_tokens": BELOW, "translators": translators, **parameters}
    return Augmentation(AugmentationParameters.model_validate(given_))


def fitted(stage: Augmentation, batch: Batch) -> State:
    return stage.fit(stage.observe(batch, tokens_of(batch)))


@pytest.fixture
def apertium(tmp_path: Path) -> list[object]:
    """A recipe's `translators`: our code for Apertium, with a program of ours that knows one word."""
    return [{"name": "apertium", "pivots": {"oc": "fr"}, "options": install(tmp_path)}]


def occitan(count: int = 20) -> Batch:
    return batch_of([text(number) for number in range(count)], ["oc-FR"] * count)


def test_children_are_round_trips_of_the_chosen_documents(apertium: list[object], tmp_path: Path) -> None:
    batch = occitan()
    stage = stage_of(apertium)
    state = fitted(stage, batch)
    children = stage.derive(batch, {}, state)
    assert [child.row for child in children] == np.flatnonzero(stage.candidates(batch, state)).tolist()
    assert len(children) == 10
    for child in children:
        assert child.text == text(child.row).replace("casa", "ostal")
        assert (child.lang, child.method, child.engine) == ("oc-FR", "back-translation", "apertium 9.9.9 oc-fr-oc")
        assert 80 <= child.scores["chrf"] <= 97
    assert calls(tmp_path) == ["oci-fra", "fra-oci"]


def test_documents_with_a_child_hold_at_most_the_share_of_the_tokens(apertium: list[object]) -> None:
    for share in (0.04, 0.3, 1.0):
        stage = stage_of(apertium, max_share=share)
        batch = batch_of([text(number) + " e mai" * (number % 7) for number in range(30)], ["oc"] * 30)
        state = fitted(stage, batch)
        tokens = tokens_of(batch)[TOKENS].to_numpy()
        chosen = stage.candidates(batch, state)
        assert stage.has_candidates(state) == chosen.any()
        assert tokens[chosen].sum() == state["chosen_tokens"][0] <= share * tokens.sum()
        # No smaller than it must be: the next document by hash would not fit.
        assert tokens[chosen].sum() > share * tokens.sum() - tokens.max()


def test_without_a_translator_no_document_is_a_candidate() -> None:
    stage = stage_of()
    state = fitted(stage, occitan())
    assert not stage.has_candidates(state)
    assert not stage.candidates(occitan(), state).any()


def test_the_choice_does_not_depend_on_where_else_documents_stand(apertium: list[object]) -> None:
    batch = occitan()
    stage = stage_of(apertium)
    state = fitted(stage, batch)
    whole = stage.candidates(batch, state)
    pieces = [stage.candidates(batch.select(np.arange(begin, begin + 5)), state) for begin in range(0, 20, 5)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["oc", "br", "und"]), st.integers(0, 40)), max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.randoms(use_true_random=False),
)
def test_summaries_merge_to_the_same_table_whatever_the_cut_and_order(
    documents: list[tuple[str, int]], cuts: list[int], rng: random.Random
) -> None:
    stage = stage_of(below_tokens=100)
    batch = batch_of(["e " * tokens for _, tokens in documents], [tag for tag, _ in documents])
    whole = stage.observe(batch, tokens_of(batch))
    places = [0, *sorted(min(cut, len(documents)) for cut in cuts), len(documents)]
    parts = [batch.select(np.arange(begin, end)) for begin, end in itertools.pairwise(places)]
    summaries = [stage.observe(part, tokens_of(part)) for part in parts]
    rng.shuffle(summaries)
    middle = len(summaries) // 2
    assert stage.merge([stage.merge(summaries[:middle]), stage.merge(summaries[middle:])]).equals(whole)


def test_the_summary_is_bounded_by_tokens_and_counts_all_of_them() -> None:
    stage = stage_of(below_tokens=100)
    batch = batch_of(["e " * 10] * 400, ["oc"] * 400)
    summary = stage.observe(batch, tokens_of(batch))
    assert summary.num_rows == 5
    assert (summary["documents"].to_pylist()[0], summary["tokens"].to_pylist()[0]) == (400, 4000)


def test_a_language_with_enough_tokens_is_left_alone(apertium: list[object], tmp_path: Path) -> None:
    batch = occitan(60)
    stage = stage_of(apertium)
    state = fitted(stage, batch)
    assert state["tokens"].tolist()[0] >= BELOW
    assert stage.derive(batch, {}, state) == []
    assert calls(tmp_path) == []


def test_nothing_is_augmented_unless_the_recipe_names_a_translator() -> None:
    batch = occitan()
    stage = stage_of()
    state = fitted(stage, batch)
    assert stage.derive(batch, {}, state) == []
    assert list(stage.requirements()) == []
    assert stage.coverage("oc") == "no translator named"
    assert stage.decide(batch, {}, state).table.num_rows == 0, "the report says it once for each language"


def test_a_language_without_a_translator_is_said_so(apertium: list[object]) -> None:
    batch = batch_of([text(number) for number in range(12)], ["oc"] * 4 + ["br"] * 4 + ["und"] * 4)
    stage = stage_of(apertium)
    state = fitted(stage, batch)
    assert stage.coverage("oc") is None
    assert stage.coverage("br") == "no translator for this language"
    flags = stage.decide(batch, {}, state).table.to_pylist()
    assert [flag["row"] for flag in flags] == [4, 5, 6, 7]
    assert {(flag["action"], flag["score"], flag["threshold"]) for flag in flags} == {("flag", 88.0, 1000.0)}
    facts = stage.facts(state)
    assert isinstance(facts["languages"], list)
    assert {row["language"]: (row["route"], row["problem"]) for row in facts["languages"]} == {
        "br": ("", "no translator for this language"),
        "oc": ("oc-fr-oc", None),
        "und": ("", "no known language"),
    }


def test_children_have_no_children_and_do_not_count(apertium: list[object]) -> None:
    whole = occitan()
    batch = batch_of(whole.text.to_pylist(), ["oc"] * 20, [None] * 10 + ["0"] * 10)
    stage = stage_of(apertium, max_share=1.0)
    state = fitted(stage, batch)
    assert state["documents"].tolist() == [10]
    assert [child.row for child in stage.derive(batch, {}, state)] == list(range(10))


def test_a_round_trip_that_does_not_pass_the_gate_is_no_child(apertium: list[object]) -> None:
    texts = [text(0), text(1).replace("casa", "ostal"), text(2) + " LOSE", text(3) + " [REDACTED_NAME]"]
    batch = batch_of(texts, ["oc"] * 4)
    stage = stage_of(apertium, max_share=1.0)
    # The second comes back as it was, the third is lost on the way.
    made = stage.derive(batch, {}, fitted(stage, batch))
    assert [child.refused for child in made] == [None, "near-copy", "no text", None]


def test_a_language_may_have_a_band_of_its_own(apertium: list[object]) -> None:
    batch = occitan(6)
    made = {
        name: sum(child.refused is None for child in stage.derive(batch, {}, fitted(stage, batch)))
        for name, bands in (
            ("own", {"oci": {"min_chrf": 99, "max_chrf": 100}}),
            ("other", {"br": {"min_chrf": 99, "max_chrf": 100}}),
        )
        for stage in [stage_of(apertium, languages=bands)]
    }
    assert made == {"own": 0, "other": 3}


def test_a_chain_goes_through_its_pivots_in_order(tmp_path: Path) -> None:
    options = install(tmp_path, ("oci-fra", "fra-spa", "spa-oci"))
    stage = stage_of([{"name": "apertium", "pivots": {"oci": ["fra", "spa"]}, "options": options}], min_chrf=0)
    assert [requirement.name for requirement in stage.requirements()] == [
        "apertium oc-fr",
        "apertium fr-es",
        "apertium es-oc",
    ]
    batch = occitan(6)
    children = stage.derive(batch, {}, fitted(stage, batch))
    assert calls(tmp_path) == ["oci-fra", "fra-spa", "spa-oci"]
    assert {child.engine for child in children} == {"apertium 9.9.9 oc-fr-es-oc"}


def test_of_two_translators_the_first_that_serves_a_language_is_used(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    modes = ("oci-fra", "fra-oci", "oci-spa", "spa-oci")
    first = {"name": "apertium", "pivots": {"oc": "fr"}, "options": install(tmp_path / "first", modes)}
    second = {"name": "apertium", "pivots": {"oc": "es"}, "options": install(tmp_path / "second", modes)}
    batch = occitan(6)
    for order, hops in (([first, second], "oc-fr-oc"), ([second, first], "oc-es-oc")):
        assert fitted(stage_of(order), batch)["route"].tolist() == [hops]


def test_requirements_name_what_is_missing(tmp_path: Path) -> None:
    options = install(tmp_path, ("oci-fra",))
    stage = stage_of([{"name": "apertium", "pivots": {"oc": "fr"}, "options": options}])
    there, back = stage.requirements()
    assert there.problem is None
    assert there.identity.startswith("9.9.9 blake3:")
    assert back.problem is not None
    assert back.problem.startswith("no pair fr-oc in ")


def test_a_translator_named_alone_must_have_all_that_it_is_known_for(tmp_path: Path) -> None:
    stage = stage_of([{"name": "apertium", "options": install(tmp_path)}])
    problems = {requirement.name: requirement.problem for requirement in stage.requirements()}
    assert problems.pop("apertium oc-fr") is None
    assert problems.pop("apertium fr-oc") is None
    assert len(problems) == 2 * (len(WAYS) - 1)
    assert all(problems.values())


def test_a_name_alone_is_a_choice() -> None:
    choice = AugmentationParameters.model_validate({"translators": ["apertium"]}).translators[0]
    assert choice == TranslatorChoice(name="apertium")
    assert isinstance(create(choice), Apertium)


def test_a_translator_that_nobody_registered_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'apertium'"):
        stage_of(["apertum"]).requirements()


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("apertium", {"timeout": 1}, "timeout: there is no such key"),
        ("apertium", {"timeout_s": "soon"}, "timeout_s: expected a number"),
        ("endpoint", {}, "url: is required"),
        ("ctranslate2", {}, "give `models`, a folder for each pair, or `model` and `languages`"),
    ],
)
def test_wrong_options_of_a_translator_are_refused_in_plain_words(
    name: str, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(UserError) as refused:
        stage_of([{"name": name, "pivots": {"oc": "fr"}, "options": options}]).requirements()
    assert str(refused.value) == f"options of translator '{name}': {problem}"


def test_options_of_a_translator_are_recorded_as_given_and_files_by_their_names(tmp_path: Path) -> None:
    def recorded(folder: Path) -> object:
        model = {"models": {"oc-fr": str(folder / "model")}, "cache": str(folder / "kept"), "beams": 2}
        choice = {"name": "ctranslate2", "pivots": {"oc": "fr"}, "options": model}
        parameters = AugmentationParameters.model_validate({"translators": [choice]})
        (found,) = cast("list[dict[str, object]]", Augmentation(parameters).recorded()["translators"])
        return found["options"]

    assert recorded(tmp_path) == recorded(Path("elsewhere"))
    assert recorded(tmp_path) == {"models": {"oc-fr": "model"}, "cache": "kept", "beams": 2}


def test_the_state_survives_its_file(apertium: list[object], tmp_path: Path) -> None:
    batch = occitan()
    stage = stage_of(apertium)
    state = fitted(stage, batch)
    write_state(tmp_path / "state", state)
    read = load_state(str(tmp_path / "state"))
    np.testing.assert_array_equal(stage.candidates(batch, read), stage.candidates(batch, state))
    assert stage.facts(read) == stage.facts(state)


def test_an_empty_corpus_needs_nothing() -> None:
    stage = stage_of()
    state = stage.fit(stage.merge([]))
    batch = batch_of([], [])
    assert stage.derive(batch, {}, state) == []
    assert stage.decide(batch, {}, state).table.num_rows == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {"below_tokens": 0},
        {"max_share": 0},
        {"max_share": 1.5},
        {"min_chrf": 90, "max_chrf": 80},
        {"languages": {"oc": {"min_chrf": 98}}},
        {"languages": {"oc": {"min_chrf": -1}}},
        {"languages": {"no tag": {"min_chrf": 70}}},
        {"methods": ["paraphrase"]},
        {"translators": [{"pivots": {"oc": "fr"}}]},
        {"translators": [{"name": "apertium", "pivots": {"oc": "oc"}}]},
        {"translators": [{"name": "apertium", "pivots": {"oc": []}}]},
        {"translators": [{"name": "apertium", "pivots": {"not a tag": "fr"}}]},
        {"translators": "apertium"},
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AugmentationParameters.model_validate(parameters)
