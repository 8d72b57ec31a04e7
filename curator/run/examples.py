"""Examples for the report: excerpts of documents, every one masked.

The record keeps no secrets: whatever the recipe does about personal data, an excerpt passes the masks that are
installed (entry point group `curator.masks`) before it is written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from curator.registry import MASKS, load, names

EXCERPT_CHARACTERS = 280
_WINDOW = 2000
_CHILD_WINDOW = 4000

Mask = Callable[[Sequence[str], Sequence[str]], list[str]]


@dataclass(frozen=True)
class Example:
    """A document that a rule met, and an excerpt of its text; of a child also of its parent's, `beside`, in the
    language `beside_lang`."""

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
    beside: str | None = None
    beside_lang: str | None = None

    def as_json(self) -> dict[str, object]:
        """The example as JSON values."""
        return dict(vars(self))


def mask_examples(examples: Sequence[Example]) -> list[Example]:
    """The examples with their texts masked, then cut. No excerpt at all where no mask is installed."""
    if not examples:
        return []
    masks = [cast("Mask", load(MASKS, name)) for name in names(MASKS)]
    texts = [_window(example) for example in examples]
    besides = [(example.beside or "")[:_CHILD_WINDOW] for example in examples]
    ids = [example.id for example in examples]
    keepers = [example.keeper or "" for example in examples]
    languages = [example.lang for example in examples]
    beside_languages = [example.beside_lang or example.lang for example in examples]
    if not masks:
        texts = besides = [""] * len(examples)
    every = [*texts, *besides, *ids, *keepers]
    for mask in masks:
        every = mask(every, [*languages, *beside_languages, *languages, *languages])
    texts, besides, ids, keepers = (
        every[begin : begin + len(examples)] for begin in range(0, len(every), len(examples))
    )
    pairs = [
        _from_difference(text, beside) if beside else (text, "") for text, beside in zip(texts, besides, strict=True)
    ]
    texts, besides = [text for text, _ in pairs], [beside for _, beside in pairs]
    return [
        replace(example, id=name, keeper=keeper or None, excerpt=_cut(text), beside=_cut(beside) or None)
        for example, name, keeper, text, beside in zip(examples, ids, keepers, texts, besides, strict=True)
    ]


def mask_text(text: str, language: str = "und") -> str:
    """A short text that enters the record (an id), masked."""
    for name in names(MASKS):
        (text,) = cast("Mask", load(MASKS, name))([text], [language])
    return text


def _window(example: Example) -> str:
    """The part of the text that is worth showing: around the first placeholder of an edit, else the beginning; of a
    child all that may be shown, since what differs is sought after masking."""
    if example.beside is not None:
        return example.excerpt[:_CHILD_WINDOW]
    at = example.excerpt.find("[REDACTED_") if example.action == "edit" else 0
    begin = max(0, at - EXCERPT_CHARACTERS // 2)
    return example.excerpt[begin : begin + _WINDOW]


def _from_difference(text: str, beside: str) -> tuple[str, str]:
    """Two texts from a little before their first difference on."""
    same = next((place for place, pair in enumerate(zip(text, beside, strict=False)) if pair[0] != pair[1]), 0)
    begin = text.rfind(" ", 0, max(0, same - EXCERPT_CHARACTERS // 2)) + 1
    return text[begin:], beside[begin:]


def _cut(text: str) -> str:
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    cut = text[:EXCERPT_CHARACTERS]
    space = cut.rfind(" ", EXCERPT_CHARACTERS // 2)
    return (cut[:space] if space > 0 else cut) + " …"
