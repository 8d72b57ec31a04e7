"""Examples for the report: excerpts of documents, every one masked.

The record keeps no secrets: whatever the recipe does about personal data, an excerpt passes the masks that are
installed (entry point group `curator.masks`) before it is written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from curator.registry import MASKS, load, names

EXCERPT_CHARACTERS = 280
_WINDOW = 2000

Mask = Callable[[Sequence[str], Sequence[str]], list[str]]


@dataclass(frozen=True)
class Example:
    """A document that a rule met, and an excerpt of its text."""

    stage: str
    action: str
    rule: str
    key: str
    id: str
    lang: str
    score: float | None
    threshold: float | None
    keeper: str | None
    copies: int | None
    excerpt: str

    def as_json(self) -> dict[str, object]:
        """The example as JSON values."""
        return asdict(self)


def mask_examples(examples: Sequence[Example]) -> list[Example]:
    """The examples with their texts masked, then cut. No excerpt at all where no mask is installed."""
    if not examples:
        return []
    masks = [cast("Mask", load(MASKS, name)) for name in names(MASKS)]
    texts = [_window(example) for example in examples]
    ids = [example.id for example in examples]
    keepers = [example.keeper or "" for example in examples]
    languages = [example.lang for example in examples]
    if not masks:
        texts = [""] * len(examples)
    for mask in masks:
        texts = mask(texts, languages)
        ids = mask(ids, languages)
        keepers = mask(keepers, languages)
    return [
        replace(example, id=name, keeper=keeper or None, excerpt=_cut(text))
        for example, name, keeper, text in zip(examples, ids, keepers, texts, strict=True)
    ]


def mask_text(text: str, language: str = "und") -> str:
    """A short text that enters the record (an id), masked."""
    for name in names(MASKS):
        (text,) = cast("Mask", load(MASKS, name))([text], [language])
    return text


def _window(example: Example) -> str:
    """The part of the text that is worth showing: around the first placeholder of an edit, else the beginning."""
    at = example.excerpt.find("[REDACTED_") if example.action == "edit" else 0
    begin = max(0, at - EXCERPT_CHARACTERS // 2)
    return example.excerpt[begin : begin + _WINDOW]


def _cut(text: str) -> str:
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    cut = text[:EXCERPT_CHARACTERS]
    space = cut.rfind(" ", EXCERPT_CHARACTERS // 2)
    return (cut[:space] if space > 0 else cut) + " …"
