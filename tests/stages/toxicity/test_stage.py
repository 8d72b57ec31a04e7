"""The stage: columns, verdicts, and what it does not judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from curator.document import Batch
from curator.errors import UserError
from curator.verdict import DROP
from stages.toxicity.stage import BY_CLASSIFIER, BY_NEURAL, BY_RULES, RuleParameters, Toxicity, ToxicityParameters
from stages.toxicity.terms import term_table
from tests.stages.toxicity.helpers import listed_terms, make_batch

ARTICLE = (
    "This article is about a word of the English language. The word {} is regarded as vulgar, and was long avoided in "
    "print. Its first written use is dated to the fifteenth century, in a poem against the friars of Ely. Dictionaries "
    "began to list {} in the twentieth century; broadcasters were fined when {} was heard before the watershed. "
    "Linguists note that {} serves as a noun, a verb and an interjection, and that speakers rate it as strong."
)


@pytest.fixture(scope="module")
def stage() -> Toxicity:
    return Toxicity(ToxicityParameters())


def decide(stage: Toxicity, batch: Batch) -> dict[int, tuple[str, str]]:
    verdicts = stage.decide(batch, stage.annotate(batch), {}).table.to_pylist()
    return {row["row"]: (row["action"], row["rule"]) for row in verdicts}


def made_up(stage: Toxicity, **values: float | None) -> Mapping[str, pa.Array]:
    return {column.name: pa.array([values.get(column.name.split(".")[1])], column.type) for column in stage.columns}


def test_the_annotation_has_the_declared_columns_in_their_types(stage: Toxicity) -> None:
    columns = stage.annotate(make_batch([("en", "some words"), ("und", "some words"), ("sw", ""), ("de", "!")]))
    assert {name: column.type for name, column in columns.items()} == {
        column.name: column.type for column in stage.columns
    }
    assert {len(column) for column in columns.values()} == {4}
    assert columns["toxicity.probability"].is_valid().to_pylist() == [True, False, False, False]
    assert columns["toxicity.rules"].is_valid().to_pylist() == [True, False, False, False]


def test_an_empty_batch_is_annotated_and_decided(stage: Toxicity) -> None:
    assert decide(stage, make_batch([])) == {}


def test_a_rant_falls_and_an_article_about_a_word_stays(stage: Toxicity) -> None:
    first, second, third = listed_terms("en")[:3]
    rant = f"{first}! You {second}, you are a {third}, {first} {second}!"
    article = ARTICLE.format(first, second, first, third)
    quotation = f"He shouted {first} at me and I went home."
    batch = make_batch([("en", rant), ("en", article), ("en", quotation)])
    assert decide(stage, batch) == {0: (DROP, BY_RULES)}
    assert stage.annotate(batch)["toxicity.matches"].to_pylist()[1:] == [4, 1]


def test_severe_terms_decide_where_mild_ones_would_not(stage: Toxicity) -> None:
    scores = {"matches": 2, "rules": 0.08, "severity": 0.24}
    assert stage.decide(make_batch([("en", "x")]), made_up(stage, **scores), {}).table["score"].to_pylist() == [0.24]
    scores["severity"] = 0.08
    assert len(stage.decide(make_batch([("en", "x")]), made_up(stage, **scores), {}).table) == 0


def test_one_match_never_decides(stage: Toxicity) -> None:
    term = listed_terms("en")[0]
    assert decide(Toxicity(ToxicityParameters(classifier=False)), make_batch([("en", term)])) == {}


@pytest.mark.parametrize(
    ("worst", "mean", "falls"), [(0.7, 0.3, True), (0.699999, 0.5, False), (0.99, 0.29, False), (None, None, False)]
)
def test_the_classifier_decides_by_the_worst_window_unless_the_mean_is_low(
    stage: Toxicity, worst: float | None, mean: float | None, falls: bool
) -> None:
    verdicts = stage.decide(make_batch([("en", "x")]), made_up(stage, probability=worst, mean=mean), {})
    assert verdicts.table["rule"].to_pylist() == ([BY_CLASSIFIER] if falls else [])


def test_a_language_is_judged_by_its_own_list_and_model_or_not_at_all(stage: Toxicity) -> None:
    term = listed_terms("en")[0]
    text = f"{term} " * 5
    assert decide(stage, make_batch([("en", text)])) == {0: (DROP, BY_RULES)}
    batch = make_batch([(lang, text) for lang in ("und", "sw", "x-private", "ar", "hi", "zh-Hant")])
    columns = stage.annotate(batch)
    assert decide(stage, batch) == {}
    assert columns["toxicity.probability"].null_count == 6
    assert columns["toxicity.rules"].is_valid().to_pylist() == [False, False, False, True, True, True]


@pytest.mark.parametrize(
    ("language", "note"),
    [
        ("en", None),
        ("zh", None),
        ("hi-Latn", None),
        ("hi", "rules only"),
        ("ja", "rules only"),
        ("ar", "rules only"),
        ("sw", "not checked"),
        ("und", "not checked"),
    ],
)
def test_coverage_says_what_is_not_judged(stage: Toxicity, language: str, note: str | None) -> None:
    assert stage.coverage(language) == note


def test_coverage_follows_the_parameters() -> None:
    assert Toxicity(ToxicityParameters(rules=RuleParameters(enabled=False))).coverage("en") == "classifier only"
    assert Toxicity(ToxicityParameters(classifier=False)).coverage("en") == "rules only"
    neither = Toxicity(ToxicityParameters(classifier=False, rules=RuleParameters(enabled=False)))
    assert neither.coverage("en") == "not checked"
    assert neither.annotate(make_batch([("en", "a")]))["toxicity.rules"].null_count == 1


def test_the_first_tier_leaves_out_languages_that_only_other_lists_have() -> None:
    strict = Toxicity(ToxicityParameters(rules=RuleParameters(tier=1)))
    assert set(term_table(2).salts) - set(term_table(1).salts) == {"az"}
    assert strict.coverage("az") == "not checked"


def test_scores_are_rounded_and_the_same_in_any_batch(stage: Toxicity) -> None:
    documents = [("en", "The weather was fine. " * 30), ("de", "Wer kommt?"), ("zh", "今天天气很好。"), ("fr", "Non.")]
    together = stage.annotate(make_batch(documents))
    for row, document in enumerate(documents):
        alone = stage.annotate(make_batch([document]))
        assert {name: column[0].as_py() for name, column in alone.items()} == {
            name: column[row].as_py() for name, column in together.items()
        }
    values = [value for value in together["toxicity.probability"].to_pylist() if value is not None]
    assert all(float(f"{value:.6g}") == value for value in values)


def test_each_rule_has_a_sentence_that_can_be_filled_in(stage: Toxicity) -> None:
    assert set(stage.rules) == {BY_RULES, BY_CLASSIFIER, BY_NEURAL}
    for sentence in stage.rules.values():
        filled = sentence.format(score="0.75", threshold="0.7", lang="en", keeper=None, copies=None)
        assert "0.75" in filled
        assert "{" not in filled


def test_a_model_that_is_missing_is_a_requirement_with_a_problem(tmp_path: Path) -> None:
    stage = Toxicity(ToxicityParameters(model=tmp_path / "none.npz"))
    terms, model = stage.requirements()
    assert terms.problem is None
    assert len(terms.identity) == 64
    assert model.problem is not None
    with pytest.raises(UserError, match="does not exist"):
        stage.annotate(make_batch([("en", "a")]))


def test_a_model_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    one, other = (Toxicity(ToxicityParameters(model=tmp_path / folder / "own.npz")) for folder in ("a", "b"))
    assert one.recorded() == other.recorded()
    assert one.recorded()["model"] == "own.npz"


def test_requirements_are_of_the_layers_in_use() -> None:
    assert [found.kind for found in Toxicity(ToxicityParameters()).requirements()] == ["term list", "classifier"]
    assert [found.kind for found in Toxicity(ToxicityParameters(classifier=False)).requirements()] == ["term list"]


@pytest.mark.parametrize(
    "parameters", [{"treshold": 0.5}, {"threshold": 1.5}, {"rules": {"tier": 5}}, {"rules": {"density": 0}}]
)
def test_parameters_out_of_range_or_misspelt_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ToxicityParameters.model_validate(parameters)


def test_a_megabyte_without_a_space_and_ten_thousand_brackets_are_judged(stage: Toxicity) -> None:
    batch = make_batch([("en", "a" * 1_000_000), ("en", "(" * 10_000 + "word" + ")" * 10_000), ("zh", "字" * 300_000)])
    columns = stage.annotate(batch)
    assert columns["toxicity.probability"].null_count == 0
    assert decide(stage, batch) == {}


def test_one_short_question_is_not_judged_by_the_classifier(stage: Toxicity) -> None:
    texts = [
        ("de", "Wo warst du denn gestern?"),
        ("zh", "你们工作过吗？ \n"),
        ("zh", "大家不是都有的吗？”"),
        ("en", 'Why is "this" so?"'),
        ("de", "Wo warst du denn gestern nach der Arbeit noch?"),
        ("zh", "你们在那个地方到底工作过多久了吗？"),
        ("en", "That is so."),
        ("de", "?"),
    ]
    judged = stage.annotate(make_batch(texts))["toxicity.probability"].is_valid().to_pylist()
    assert judged == [False, False, True, False, True, True, True, False]
    assert stage.annotate(make_batch(texts))["toxicity.mean"].is_valid().to_pylist() == judged
