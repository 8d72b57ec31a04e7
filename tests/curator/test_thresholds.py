"""Thresholds by source and language: the cascade, cuts, and what a recipe makes of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from curator.document import Batch
from curator.errors import UserError
from curator.recipe import Recipe, load_recipe_text
from curator.run.pipeline import make_pipeline
from curator.stage import Column, Parameters
from curator.thresholds import column_cuts, thresholds_of


class Limits(Parameters):
    low: float | None = None
    high: float | None = None


class SourceLimits(Limits):
    languages: Mapping[str, Limits] = Field(default_factory=dict)


class LimitParameters(Limits):
    low: float | None = 1.0
    high: float | None = 9.0
    sources: Mapping[str, SourceLimits] = Field(default_factory=dict)
    languages: Mapping[str, Limits] = Field(default_factory=dict)


COLUMNS = (
    Column("a", pa.float64(), "", threshold="low", drops="below"),
    Column("b", pa.float64(), "", threshold="high", drops="above"),
    Column("c", pa.float64(), ""),
)


def documents(*of: tuple[str, str]) -> Batch:
    sources, languages = zip(*of, strict=True)
    return Batch(pa.RecordBatch.from_pydict({"source": pa.array(sources), "lang": pa.array(languages)}))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [1, 1, 1, 1]),
        ({"sources": {"books": {"low": 2}}}, [2, 2, 1, 1]),
        ({"languages": {"de": {"low": 3}}}, [3, 1, 3, 1]),
        ({"sources": {"books": {"low": 2}}, "languages": {"de": {"low": 3}}}, [3, 2, 3, 1]),
        ({"sources": {"books": {"languages": {"de": {"low": 4}}}}}, [4, 1, 1, 1]),
        (
            {"sources": {"books": {"low": 2, "languages": {"de": {"low": 4}}}}, "languages": {"de": {"low": 3}}},
            [4, 2, 3, 1],
        ),
        ({"sources": {"books": {"languages": {"de": {"high": 4}}}}, "languages": {"de": {"low": 3}}}, [3, 1, 3, 1]),
        ({"sources": {"books": {"languages": {"de": {"low": None}}}}}, [np.nan, 1, 1, 1]),
        ({"sources": {"news": {"languages": {"de": {"low": 4}}}}}, [1, 1, 1, 1]),
    ],
)
def test_the_most_specific_threshold_decides(given: Mapping[str, object], expected: list[float]) -> None:
    batch = documents(("books:1", "de-AT"), ("books:2", "fr"), ("web", "de"), ("web", "fr"))
    found = thresholds_of(batch, LimitParameters.model_validate(given), "low")
    np.testing.assert_array_equal(found, expected)


def test_what_a_stage_knows_of_a_language_stands_between_source_and_language() -> None:
    given = {"sources": {"books": {"low": 2, "languages": {"haw": {"low": 4}}}}, "languages": {"mi": {"low": 3}}}
    batch = documents(("books", "haw"), ("books", "mi"), ("books", "fr"), ("web", "haw"))
    found = thresholds_of(batch, LimitParameters.model_validate(given), "low", {"haw": 0.5, "mi": 0.5})
    np.testing.assert_array_equal(found, [4, 3, 2, 0.5])


def test_what_a_stage_knows_of_a_language_turns_no_rule_on() -> None:
    given = {"sources": {"books": {"low": None}}}
    batch = documents(("books", "haw"), ("web", "haw"))
    found = thresholds_of(batch, LimitParameters.model_validate(given), "low", {"haw": 0.5})
    np.testing.assert_array_equal(found, [np.nan, 0.5])


def test_a_column_with_a_threshold_and_a_side_is_a_cut_that_passes_what_equals_it_and_what_is_null() -> None:
    batch = documents(("books", "de"), ("web", "de"), ("web", "de"))
    columns = {"a": pa.array([0.9, 1.0, None]), "b": pa.array([9.0, 9.1, 0.0]), "c": pa.array([0.0, 0.0, 0.0])}
    low, high = column_cuts(batch, columns, COLUMNS, LimitParameters())
    assert (low.parameter, low.drops, high.parameter, high.drops) == ("low", "below", "high", "above")
    assert low.outside().tolist() == [True, False, False]
    assert high.outside().tolist() == [False, True, False]


def test_parameters_without_groups_have_no_cuts() -> None:
    assert not Limits().cascades
    assert column_cuts(documents(("web", "de")), {}, COLUMNS, Limits()) == ()


def test_what_a_group_does_not_say_is_not_off() -> None:
    given = LimitParameters.model_validate(
        {"sources": {"books": {"low": 2, "languages": {"de": {"high": None}}}}, "languages": {"fr": {"high": 7}}}
    )
    again = LimitParameters.model_validate(given.complete())
    assert given.complete() == {
        "low": 1.0,
        "high": 9.0,
        "sources": {"books": {"low": 2.0, "languages": {"de": {"high": None}}}},
        "languages": {"fr": {"high": 7.0}},
    }
    batch = documents(("books", "de"), ("books", "fr"), ("web", "fr"))
    np.testing.assert_array_equal(thresholds_of(batch, again, "low"), [2, 2, 1])
    np.testing.assert_array_equal(thresholds_of(batch, again, "high"), [np.nan, 7, 7])


def test_a_recipe_that_gives_a_language_one_threshold_leaves_the_others_in_force() -> None:
    text = "name: x\nstages:\n  - entropy: {languages: {vi: {min_bits: 5.8}}, sources: {web: {min_order: null}}}\n"
    recipe = Recipe.model_validate_json(load_recipe_text(text, "x").model_dump_json())
    (stage,) = make_pipeline(recipe).stages
    batch = documents(("web", "vi"), ("books", "vi"))
    columns = {column.name: pa.array([5.0, 5.0]) for column in stage.columns} | {"units": pa.array([1000, 1000])}
    limit = {cut.parameter: cut.limit.tolist() for cut in stage.cuts(batch, columns)}
    assert limit["min_bits"] == [5.8, 5.8]
    assert limit["max_repetition"] == [0.7, 0.7]
    assert str(limit["min_order"]) == "[nan, 0.35]"


def test_a_run_records_of_a_group_what_its_recipe_says_and_no_more() -> None:
    recorded = [
        make_pipeline(load_recipe_text(f"name: x\nstages:\n  - entropy: {given}\n", "x")).recorded_recipe()
        for given in ("{languages: {vi: {min_bits: 5.8}}}", "{languages: {vi: {min_bits: 5.8, min_order: null}}}")
    ]
    languages = [recipe.stages[0].parameters["languages"] for recipe in recorded]
    assert languages == [{"vi": {"min_bits": 5.8}}, {"vi": {"min_bits": 5.8, "min_order": None}}]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("entropy: {languages: {de-AT: {min_bits: 5}}}", r"languages\.de-AT: 'de-AT': .* as lists have it: 'de'$"),
        ("entropy: {sources: {web: {languages: {nb: {min_bits: 5}}}}}", r"languages\.nb: .* as lists have it: 'no'$"),
        ("quality: {languages: {German: {min_words: 5}}}", r"languages\.German: .* a language tag, such as 'de'$"),
        ("boilerplate: {languages: {iw: {min_documents: 5}}}", r"languages\.iw: .* as lists have it: 'he'$"),
        ("outliers: {contamination_by_language: {zh-Hant: 0.1}}", r"zh-Hant: .* as lists have it: 'zh'$"),
    ],
)
def test_a_threshold_of_a_language_that_no_document_can_have_is_refused(given: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load_recipe_text(f"name: x\nstages:\n  - {given}\n", "x")
