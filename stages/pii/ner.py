"""The recogniser `transformers`: a token classifier of the Hugging Face layout, read from a folder.

What the folder must have and what is refused is in `curator.pretrained`. A text longer than the model takes is read in
windows that overlap; each word is judged in the window in which it stands further from the edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pydantic import Field

from curator.pretrained import PACKAGES, PretrainedFolder, PretrainedParameters
from curator.stage import Requirement, Resources
from stages.pii.recogniser import Finding, finding

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from torch import nn

_SCHEMES: Final = ("B-", "I-", "E-", "S-", "L-", "U-")
"""Prefixes of the label of a word: begin, inside, end, single; last and unit in another spelling."""
_BEGINS: Final = ("B-", "S-", "U-")
_OVERLAP: Final = 4
"""An nth of a window is read twice."""
_BATCH: Final = 16
"""Windows that are judged at a time, the longest first, so that little is padded."""
PERSONS: Final = ("PER", "PERSON")
"""What most models call a person."""


class NerParameters(PretrainedParameters):
    """A token classifier for names, and the languages that it was made for."""

    labels: tuple[str, ...] = Field(
        PERSONS,
        min_length=1,
        description="Labels of a person, without `B-` and `I-`; the model must have one.",
    )

    def recogniser(self) -> TokenClassifier:
        """The recogniser that finds the names."""
        return TokenClassifier.of_persons(self, self.labels)


def _entity(label: str) -> str:
    """A label without the prefix of its scheme."""
    return label[2:] if label.startswith(_SCHEMES) else label


@dataclass(frozen=True)
class _Window:
    """A stretch of a text as the model reads it, and the characters for which it is asked (half-open)."""

    text: int
    encoding: Encoding
    begin: int
    end: int


class TokenClassifier:
    """Finds the words to which a model gives labels of personal data."""

    packages: Sequence[str] = PACKAGES

    def __init__(self, languages: Sequence[str], kinds: Mapping[str, str] | None = None, **options: object) -> None:
        self.languages = frozenset(languages)
        self.options = PretrainedParameters.model_validate({**options, "languages": languages})
        self._kind_of = {**dict.fromkeys(PERSONS, "name"), **(kinds or {})}
        self._folder = PretrainedFolder(self.options.path, "ForTokenClassification", self.options.device)

    @classmethod
    def of_persons(cls, model: PretrainedParameters, labels: Sequence[str]) -> TokenClassifier:
        """One that finds names alone: words to which the model gives these labels, and no others."""
        made = cls(model.languages, path=model.path, device=model.device)
        made._kind_of = dict.fromkeys(labels, "name")
        return made

    @property
    def kinds(self) -> frozenset[str]:
        """Those of the labels that the model has."""
        return frozenset(self._kind_of[label] for label in self._entities if label in self._kind_of)

    @property
    def resources(self) -> Resources:
        """A process that keeps the weights, and a GPU where the recipe says so."""
        return self.options.resources()

    def requirement(self) -> Requirement:
        """The model by the BLAKE3 of its files, and what is wrong with it."""
        known = sorted(self._entities)
        if self._entities & set(self._kind_of):
            return self._folder.requirement()
        return self._folder.requirement(
            f"has none of the labels {', '.join(self._kind_of)}; it has {', '.join(known) or 'none'}: name its own"
        )

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """For each text what is in it, ascending, without overlaps."""
        windows = [window for index, text in enumerate(texts) for window in self._windows(index, text)]
        words: list[list[tuple[int, int, str]]] = [[] for _ in texts]
        longest_first = sorted(range(len(windows)), key=lambda place: -len(windows[place].encoding.ids))
        judged: dict[int, list[tuple[int, int, str]]] = {}
        for first in range(0, len(windows), _BATCH):
            places = longest_first[first : first + _BATCH]
            for place, labels in zip(places, self._labels([windows[place] for place in places]), strict=True):
                judged[place] = list(_words(windows[place], labels))
        for place, window in enumerate(windows):
            words[window.text].extend(judged[place])
        return [list(self._joined(text, found)) for text, found in zip(texts, words, strict=True)]

    def _windows(self, index: int, text: str) -> Iterator[_Window]:
        encoding = self._tokenizer.encode(text)
        parts = [encoding, *encoding.overflowing]
        begins = [_first_place(part, self._stride // 2 if number else 0) for number, part in enumerate(parts)]
        begins[0] = 0
        for part, begin, end in zip(parts, begins, [*begins[1:], len(text)], strict=True):
            yield _Window(index, part, begin, end)

    def _labels(self, windows: Sequence[_Window]) -> list[list[str]]:
        """The label of each token of each window."""
        import torch

        size = max(len(window.encoding.ids) for window in windows)
        padding = self._folder.padding
        rows = [window.encoding.ids + [padding] * (size - len(window.encoding.ids)) for window in windows]
        masks = [[1] * len(window.encoding.ids) + [0] * (size - len(window.encoding.ids)) for window in windows]
        model = self._model
        tokens, mask = (torch.tensor(values, device=self._folder.device_of(model)) for values in (rows, masks))
        with torch.inference_mode():
            logits = model(input_ids=tokens, attention_mask=mask).logits
        best = logits.argmax(dim=-1).tolist()
        return [
            [self._label_of[label] for label in row[: len(window.encoding.ids)]]
            for row, window in zip(best, windows, strict=True)
        ]

    def _joined(self, text: str, words: Sequence[tuple[int, int, str]]) -> Iterator[Finding]:
        """Words of the labels, those of one person (address, …) joined."""
        begin = end = -1
        kind = ""
        for low, high, label in words:
            own = self._kind_of.get(_entity(label))
            if own is None:
                continue
            between = text[end:low] if end >= 0 else ""
            joins = own == kind and len(between) <= 2 and not between.strip(" -'.\u2019")
            if end >= 0 and joins and not label.startswith(_BEGINS):
                end = high
                continue
            yield from _findings(text, begin, end, kind)
            begin, end, kind = low, high, own
        yield from _findings(text, begin, end, kind)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self._folder.tokenizer(self._folder.max_tokens, self._stride)

    @property
    def _entities(self) -> frozenset[str]:
        """What the model's labels stand for."""
        return frozenset(map(_entity, self._folder.labels.values()))

    @property
    def _stride(self) -> int:
        return self._folder.max_tokens // _OVERLAP

    @cached_property
    def _label_of(self) -> dict[int, str]:
        return self._folder.labels

    @cached_property
    def _model(self) -> nn.Module:
        return self._folder.load("pii")


def _first_place(encoding: Encoding, token: int) -> int:
    """Where the word of a token begins, in characters of the text; special tokens, which have no place, count."""
    for (begin, end), special in list(zip(encoding.offsets, encoding.special_tokens_mask, strict=True))[token:]:
        if not special and end > begin:
            return int(begin)
    return 0


def _words(window: _Window, labels: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(begin, end, label of its first token) of each word that the window is asked for."""
    previous: int | None = None
    begin = end = 0
    kept = ""
    for word, (low, high), label in zip(window.encoding.word_ids, window.encoding.offsets, labels, strict=True):
        if word is not None and word == previous:
            end = high
            continue
        if previous is not None and window.begin <= begin < window.end:
            yield begin, end, kept
        previous, begin, end, kept = word, low, high, label
    if previous is not None and window.begin <= begin < window.end:
        yield begin, end, kept


def _findings(text: str, begin: int, end: int, kind: str) -> Iterator[Finding]:
    """The finding, where there is one."""
    found = finding(text, begin, end, kind)
    if found is not None:
        yield found
