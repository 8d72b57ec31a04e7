"""What pydantic says, in words of who writes YAML: no tuples, and the keys of what stands in lists and mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curator.errors import UserError
from curator.recipe import load_recipe_text
from curator.training import TrainingConfig, load_training_config
from curator.validation import first_problem, known_keys, misspelling
from tests.runs import recipe_text


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = 1
    names: tuple[str, ...] = Field((), min_length=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    one: Inner = Inner()
    maybe: Annotated[Inner, "a note"] | None = None
    several: tuple[Inner, ...] = ()
    by_name: Mapping[str, Mapping[str, Inner]] = {}
    needed: int


KEYS = ["size", "names"]


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ((), ["one", "maybe", "several", "by_name", "needed"]),
        (("one",), KEYS),
        (("maybe",), KEYS),
        (("several", 3), KEYS),
        (("by_name", "a", "b"), KEYS),
        (("by_name",), []),
        (("needed",), []),
        (("needed", "a"), []),
        (("nothing",), []),
    ],
)
def test_keys_are_known_wherever_they_stand(place: tuple[int | str, ...], known: list[str]) -> None:
    assert known_keys(Outer, place) == known


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"needed": 1, "one": {"names": "a"}}, "one.names: expected a list, as in [one, two]"),
        ({"needed": 1, "one": {"names": []}}, "one.names: expected 1 or more, not 0"),
        ({"needed": 1, "one": 3}, "one: expected a mapping, as in {key: value}"),
        ({"needed": 1, "by_name": 3}, "by_name: expected a mapping, as in {key: value}"),
        ({}, "needed: is required"),
        (3, "expected a mapping, as in {key: value}"),
    ],
)
def test_what_is_wrong_is_said_without_words_of_python(values: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    assert first_problem(caught.value) == said
    assert misspelling(caught.value, Outer) is None


def test_a_key_that_nobody_knows_is_told_with_the_nearest_one() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"needed": 1, "several": [{}, {"sise": 3}]})
    assert misspelling(caught.value, Outer) == ("unknown key 'several.1.sise'", "did you mean 'size'?")


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("decontamination: {sets: [{name: a, path: b, field: [c]}]}", "'sets.0.field' (did you mean 'fields'?)"),
        (
            "boilerplate: {sources: {wiki: {min_documen: 3}}}",
            "'sources.wiki.min_documen' (did you mean 'min_documents'",
        ),
        ("dedup: {against: autumn}", "against: expected a list, as in [one, two] (got 'autumn')"),
        ("sampling: {total: all}", "total: expected 'input' or a whole number of tokens, 1 to 2^53 (got 'all')"),
    ],
)
def test_a_recipe_names_the_keys_of_what_stands_in_lists_and_mappings(stage: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe_text(recipe_text(stage), "mine.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["steps=3", "steps=-1"], "--set steps=-1: steps: expected 1 or more (see docs/training.md)"),
        (["model.depth=abc"], "--set model.depth=abc: model.depth: expected a whole number"),
        (["model.depth=129"], "--set model.depth=129: model.depth: expected 128 or less"),
        (["optimizer.clip_norm=0"], "--set optimizer.clip_norm=0: optimizer.clip_norm: expected more than 0"),
        (["data.validation_share=1"], "--set data.validation_share=1: data.validation_share: expected less than 1"),
        (["average=.nan"], "--set average=.nan: average: expected a finite number"),
        (["average=half"], "--set average=half: average: expected a number"),
        (["recompute=maybe"], "--set recompute=maybe: recompute: expected true or false"),
        (["precision=int8"], "--set precision=int8: precision: expected 'fp32', 'bf16' or 'fp16'"),
        (["data.languages=[1]"], "--set data.languages=[1]: data.languages.0: expected text"),
        (["steps=3", "optimiser.name=lion"], "--set optimiser.name=lion: unknown key 'optimiser'"),
        (["steps=3", "accumulation=3"], "--set accumulation=3: accumulation 3 does not divide data.batch 8"),
        (["data.languages=en"], "--set data.languages=en: data.languages: expected a list, as in [one, two]"),
        (["optimizer.learning_rat=1"], "--set optimizer.learning_rat=1: unknown key 'optimizer.learning_rat' (did you"),
        (["optimizer={learning_rat: 1}"], "--set optimizer={learning_rat: 1}: unknown key 'optimizer.learning_rat'"),
    ],
)
def test_a_training_names_the_option_that_is_wrong(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_training_config(None, overrides)
    assert str(caught.value).startswith(said)
    assert load_training_config(None, ["steps=3"]) == TrainingConfig(steps=3)
