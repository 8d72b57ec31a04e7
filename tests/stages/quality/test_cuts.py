"""The thresholds of the stage `quality` by source and language: one definition for decisions and calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.recipe import Recipe, load_recipe_text
from curator.run.pipeline import make_pipeline
from stages.quality.languages import read_languages
from stages.quality.parameters import QualityParameters, Thresholds
from stages.quality.rules import RULES, Rule
from stages.quality.stage import Quality
from tests.stages.quality.helpers import TEXT, batch_of

LONG_WORDS = "incomprehensibilities internationalisation"
PLACES = [("web", "kl"), ("web", "th"), ("web", "en"), ("books", "kl"), ("books", "th"), ("books", "en")]
"""Source and language: of long words the stage knows a looser threshold in `kl`, and it has no `min_terminals` in
`th`."""

NUMBER = st.sampled_from([0.05, 0.5, 9.0, 21.5])
GIVEN = st.dictionaries(st.sampled_from(["max_word_length", "min_terminals"]), st.none() | NUMBER).map(
    lambda values: {k: min(v, 1.0) if k == "min_terminals" and v is not None else v for k, v in values.items()}
)
LANGUAGES = st.dictionaries(st.sampled_from(["kl", "th", "en"]), GIVEN)
SOURCES = st.dictionaries(
    st.sampled_from(["web", "books", "news"]),
    st.tuples(GIVEN, LANGUAGES).map(lambda pair: {**pair[0], "languages": pair[1]}),
)
PARAMETERS = st.tuples(GIVEN, SOURCES, LANGUAGES).map(
    lambda found: {**found[0], "sources": found[1], "languages": found[2]}
)


def expected_limit(rule: Rule, source: str, language: str, parameters: Mapping[str, object]) -> float | None:
    """The threshold of one document, step by step as the guide tells it; None is off."""
    sources, languages = parameters["sources"], parameters["languages"]
    assert isinstance(sources, dict)
    assert isinstance(languages, dict)
    name = rule.parameter
    inner = sources.get(source, {})
    for most_specific in (inner.get("languages", {}).get(language, {}), languages.get(language, {})):
        if name in most_specific:
            limit: float | None = most_specific[name]
            return limit
    limit = inner.get(name, parameters.get(name, getattr(QualityParameters(), name)))
    known = read_languages()[language].thresholds
    if limit is None or name not in known:
        return limit
    value = known[name]
    if value is None:
        return None
    return max(limit, value) if rule.drops == "above" else min(limit, value)


def documents(texts: list[str]) -> Batch:
    """Each of the texts in each of PLACES."""
    rows = [{"text": text, "source": source, "lang": lang} for text in texts for source, lang in PLACES]
    return Batch(pa.RecordBatch.from_pylist(rows))


@pytest.mark.slow
@given(PARAMETERS)
@settings(max_examples=80, deadline=None)
def test_the_most_specific_threshold_decides_and_only_then_what_is_known_of_the_language(
    parameters: dict[str, object],
) -> None:
    stage = Quality(QualityParameters.model_validate(parameters))
    batch = documents([LONG_WORDS])
    for rule, cut in zip(RULES, stage.cuts(batch, stage.annotate(batch)), strict=True):
        expected = [expected_limit(rule, source, language, parameters) for source, language in PLACES]
        np.testing.assert_array_equal(cut.limit, [np.nan if limit is None else limit for limit in expected])
    again = Quality(QualityParameters.model_validate(stage.parameters.complete()))
    assert again.parameters == stage.parameters
    for cut, kept in zip(
        stage.cuts(batch, stage.annotate(batch)), again.cuts(batch, again.annotate(batch)), strict=True
    ):
        np.testing.assert_array_equal(cut.limit, kept.limit)


@pytest.mark.slow
@given(texts=st.lists(TEXT, min_size=1, max_size=4), parameters=PARAMETERS)
@settings(max_examples=40, deadline=None)
def test_the_first_cut_that_a_document_is_outside_of_is_its_verdict(
    texts: list[str], parameters: dict[str, object]
) -> None:
    stage = Quality(QualityParameters.model_validate(parameters))
    batch = documents(texts)
    columns = stage.annotate(batch)
    expected = {}
    for rule, cut in reversed(list(zip(RULES, stage.cuts(batch, columns), strict=True))):
        for row in np.flatnonzero(cut.outside()).tolist():
            expected[row] = (f"quality.{rule.name}", cut.score[row], cut.limit[row])
    found = stage.decide(batch, columns, {}).table.to_pylist()
    assert {row["row"]: (row["rule"], row["score"], row["threshold"]) for row in found} == expected


def test_every_rule_is_a_cut_with_its_side_and_a_measure_with_two_rules_has_two() -> None:
    stage = Quality(QualityParameters())
    batch = batch_of(["a b c", LONG_WORDS])
    cuts = stage.cuts(batch, stage.annotate(batch))
    assert [(cut.parameter, cut.drops) for cut in cuts] == [(rule.parameter, rule.drops) for rule in RULES]
    assert {cut.parameter for cut in cuts} == set(Thresholds.model_fields)
    side = {cut.parameter: cut.outside().tolist() for cut in cuts}
    assert (side["min_word_length"], side["max_word_length"]) == ([True, False], [False, True])


def test_a_batch_without_documents_has_the_same_cuts() -> None:
    stage = Quality(QualityParameters.model_validate({"sources": {"web": {"languages": {"kl": {"min_words": 5}}}}}))
    nothing = Batch(pa.RecordBatch.from_pylist([], schema=DOCUMENT_SCHEMA))
    columns = {column.name: pa.array([], pa.float64()) for column in stage.columns}
    assert [len(cut.limit) for cut in stage.cuts(nothing, columns)] == [0] * len(RULES)


def test_a_null_score_is_not_looked_at_by_any_rule() -> None:
    stage = Quality(QualityParameters())
    batch = batch_of(["", "人人有权享有主张和发表意见的自由"], ["en", "th"])
    looked = {cut.parameter: (~np.isnan(cut.score)).tolist() for cut in stage.cuts(batch, stage.annotate(batch))}
    assert looked["min_words"] == [True, True]
    assert looked["min_word_length"] == looked["max_word_length"] == [False, False]
    assert looked["min_stop_words"] == [False, False]
    assert looked["min_terminals"] == [False, True]


def test_a_language_with_one_threshold_in_the_recipe_keeps_the_other_rules_and_what_is_known_of_it() -> None:
    text = (
        "name: x\nstages:\n  - quality: {languages: {kl: {min_stop_words: 1}}, "
        "sources: {web: {max_bullets: null, languages: {kl: {min_terminals: 0.2}}}}}\n"
    )
    recipe = Recipe.model_validate_json(load_recipe_text(text, "x").model_dump_json())
    (stage,) = make_pipeline(recipe).stages
    batch = batch_of([LONG_WORDS] * 2, ["kl", "en"], "web:page")
    limit = {cut.parameter: cut.limit.tolist() for cut in stage.cuts(batch, stage.annotate(batch))}
    usual = QualityParameters()
    assert limit["min_stop_words"] == [1, usual.min_stop_words]
    assert limit["min_terminals"] == [0.2, usual.min_terminals]
    assert limit["max_word_length"] == [read_languages()["kl"].thresholds["max_word_length"], usual.max_word_length]
    assert str(limit["max_bullets"]) == "[nan, nan]"
    others = set(limit) - {"min_stop_words", "min_terminals", "max_word_length", "max_bullets", "min_words"}
    for name in others:
        both = np.nan if getattr(usual, name) is None else getattr(usual, name)
        np.testing.assert_array_equal(limit[name], [both, both])


@pytest.mark.parametrize(
    ("parameters", "language", "expected"),
    [
        ({}, "kl", "no stop words; looser: few_words, long_words"),
        ({"languages": {"kl": {"max_word_length": 12}}}, "kl", "no stop words; looser: few_words"),
        ({"languages": {"kl": {"max_bullets": 0.5}}}, "kl", "no stop words; looser: few_words, long_words"),
        (
            {"sources": {"web": {"languages": {"kl": {"max_word_length": 12}}}}},
            "kl",
            "no stop words; looser: few_words; looser except in web: long_words",
        ),
        (
            {"sources": {name: {"languages": {"th": {"min_terminals": 0.1}}} for name in ("web", "books")}},
            "th",
            "no stop words; off except in books, web: terminals",
        ),
        (
            {"sources": {name: {"languages": {"th": {"min_terminals": 0.1}}} for name in "abcd"}},
            "th",
            "no stop words; off except in 4 sources: terminals",
        ),
        ({"sources": {"web": {"min_terminals": 0.5}}}, "th", "no stop words; off: terminals"),
        ({"min_terminals": None}, "th", "no stop words"),
        ({"min_terminals": None, "sources": {"web": {"min_terminals": 0.5}}}, "th", "no stop words; off: terminals"),
        ({"min_stop_words": None, "min_stop_level": None}, "th", "off: terminals"),
        ({"max_word_length": 30}, "kl", "no stop words; looser: few_words"),
        ({"max_word_length": 30, "min_words": 10}, "kl", "no stop words"),
        (
            {"max_word_length": 30, "min_words": 10, "sources": {"web": {"min_words": 60}}},
            "kl",
            "no stop words; looser: few_words",
        ),
    ],
)
def test_coverage_tells_what_takes_the_place_of_a_threshold_and_where_it_does_not(
    parameters: dict[str, object], language: str, expected: str
) -> None:
    assert Quality(QualityParameters.model_validate(parameters)).coverage(language) == expected
