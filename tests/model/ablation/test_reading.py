"""One input for all recipes of a comparison, read as all of them say."""

from __future__ import annotations

import pytest

from curator.errors import UserError
from curator.recipe import load_recipe_text
from curator.recipe.model import Input, Recipe
from model.ablation.reading import of_lines, reading_of, with_metadata


def recipe(name: str, text: str) -> Recipe:
    return load_recipe_text(f"name: {name}\n{text}\nstages:\n  - entropy: {{}}\n", f"{name}.yaml")


def test_what_recipes_read_is_read_with_the_metadata_of_all() -> None:
    one = recipe("one", "input: {fields: {text: content}, metadata: [url], source: here}\nmax_error_rate: 0.1")
    two = recipe("two", "input: {fields: {text: content}, metadata: [date, url], source_groups: {web: [cc-*]}}")
    reading = reading_of([one, two])
    assert reading.stages == ()
    assert reading.input == one.input.model_copy(update={"metadata": ("url", "date")})
    assert reading.max_error_rate == 0.1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("input: {fields: {text: content}}", "input.fields"),
        ("input: {format: text}", "input.format"),
        ("input: {repair: false}", "input.repair"),
        ("language: off", "language"),
    ],
)
def test_recipes_that_read_differently_are_refused_by_name(text: str, key: str) -> None:
    with pytest.raises(UserError, match=f"one and two read the input differently: {key} [(]"):
        reading_of([recipe("one", "seed: 1"), recipe("two", text)])


def test_metadata_in_the_place_of_a_document_is_refused() -> None:
    with pytest.raises(UserError, match=r"names 'id\.old'"):
        reading_of([recipe("one", "input: {metadata: [url, id.old]}")])


def test_an_arm_reads_json_lines_and_keeps_the_rest() -> None:
    one = recipe(
        "one", "input: {format: csv, fields: {text: content}, quotes: letters, metadata: [url], source: here}\nseed: 7"
    )
    assert of_lines(one) == one.model_copy(
        update={"input": Input(format="jsonl", metadata=("url",), source="here")},
    )


def test_names_with_dots_are_nested_again() -> None:
    document = {"id": "0", "text": "a"}
    metadata = '{"meta.url": "u", "meta": {"date": 1}, "meta.own.id": 2, "flat": null, "flat.below": 3}'
    assert with_metadata(document, metadata) == {
        "id": "0",
        "text": "a",
        "meta": {"date": 1, "url": "u", "own": {"id": 2}},
        "flat": None,
    }
    assert with_metadata(document, None) == document
