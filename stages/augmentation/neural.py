"""What translators by neural models share: their options, sentences, batches, the cache.

A model translates sentence by sentence. Sentences are sorted by length and translated in batches cut by tokens, with
greedy or beam search and no sampling. How a batch is put together can move a sum in its last bit and, where two words
are as likely, a translation; batches are made of the documents of one part, whose cut depends on input and recipe
alone, so the same run gives the same translations on the same CPU family. With a cache a sentence keeps its first one.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar, Literal, Self

from blake3 import blake3
from pydantic import Field, field_validator, model_validator

from curator.document import UNDETERMINED
from curator.errors import UserError
from curator.language.tags import list_language
from curator.stage import Parameters, Requirement
from stages.augmentation.cache import TranslationCache
from stages.augmentation.sentences import cut, distinct
from stages.augmentation.translator import Pair

KEPT_TOGETHER = 1024
"""Sentences that are translated before the cache takes them: no more is lost when a run is killed."""


class NeuralOptions(Parameters):
    """Options of a translator by neural models: a model for each pair, or one model for several languages."""

    models: Mapping[str, Path] = Field(
        default_factory=dict, description="Folder of the model of each pair: {oc-fr: FOLDER, fr-oc: FOLDER}."
    )
    model: Path | None = Field(default=None, description="Folder of a model of several languages.")
    languages: Mapping[str, str] = Field(
        default_factory=dict, description="What that model calls each language: {oc: oci_Latn, fr: fra_Latn}."
    )
    style: Literal["code", "prefix"] = Field(
        default="code",
        description="How it is told the languages: codes as of NLLB and M2M100, or a prefix <2xx> as of MADLAD.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU where there is one.")
    beams: int = Field(default=1, ge=1, le=16, description="Beams of the search; 1 is greedy.")
    batch_tokens: int = Field(default=2048, ge=1, description="Tokens in a batch, padding included.")
    max_tokens: int = Field(default=256, ge=8, le=4096, description="Longer sentences, or translations, do not count.")
    cache: Path | None = Field(default=None, description="Folder of a cache of translations.")

    @field_validator("models")
    @classmethod
    def _pairs(cls, models: Mapping[str, Path]) -> Mapping[str, Path]:
        for name in models:
            pair = pair_of(name)
            if UNDETERMINED in pair or pair[0] == pair[1]:
                raise ValueError(f"{name!r} is no pair of languages, as oc-fr is")
        return models

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.model is None) == (not self.models):
            raise ValueError("give `models`, a folder for each pair, or `model` and `languages`")
        if self.model is not None and len(self.languages) < 2:
            raise ValueError("`model` needs `languages`: what it calls at least two of them")
        return self


def pair_of(name: str) -> Pair:
    """The pair of a name (`oc-fr`); undetermined languages where it is none."""
    source, _, target = name.partition("-")
    return list_language(source), list_language(target)


class NeuralTranslator(abc.ABC):
    """Translates with models in local folders. Subclasses load a model and run it."""

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, **options: object) -> None:
        self.options = NeuralOptions.model_validate(options)
        self._identities: dict[Path, str] = {}

    @cached_property
    def version(self) -> str:
        """The version of the package; `unknown` where it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return "unknown"

    @cached_property
    def _folders(self) -> dict[Pair, Path]:
        if self.options.model is None:
            return {pair_of(name): folder for name, folder in self.options.models.items()}
        languages = [list_language(language) for language in self.options.languages]
        return {(one, other): self.options.model for one in languages for other in languages if one != other}

    @cached_property
    def codes(self) -> dict[str, str]:
        """What the model of several languages calls each."""
        return {list_language(language): code for language, code in self.options.languages.items()}

    def pairs(self) -> frozenset[Pair]:
        """The pairs whose model is there."""
        return frozenset(pair for pair, folder in self._folders.items() if self.problem(folder) is None)

    def ways(self) -> Mapping[str, tuple[str, ...]]:
        """None are known before a recipe names models and pivots."""
        return {}

    def requirement(self, pair: Pair) -> Requirement:
        """The model of a pair, identified by a BLAKE3 of its files and what else decides its translations."""
        name = f"{self.name} {'-'.join(pair)}"
        folder = self._folders.get(pair)
        if folder is None:
            return Requirement("translator", name, "", "the options name no model for this pair")
        problem = self.problem(folder)
        return Requirement("translator", name, "" if problem else self._identity(folder), problem)

    def translate(self, source: str, target: str, texts: Sequence[str]) -> list[str | None]:
        """Sentence by sentence; None for a text with a sentence that has no translation."""
        folder = self._folders.get((source, target))
        problem = "the options name no model for this pair" if folder is None else self.problem(folder)
        if folder is None or problem is not None:
            raise UserError(f"{self.name} {source}-{target}: {problem}")
        pieces = [cut(text) for text in texts]
        sentences = distinct(pieces)
        if self.options.cache is None:
            known: dict[str, str] = {}
            cache = None
        else:
            cache = TranslationCache(self.options.cache, self._identity(folder), source, target)
            known = cache.find(sentences)
        missing = [sentence for sentence in sentences if sentence not in known]
        translated: dict[str, str | None] = {}
        step = max(len(missing), 1) if cache is None else KEPT_TOGETHER
        for begin in range(0, len(missing), step):
            some = missing[begin : begin + step]
            made = dict(zip(some, self.run(folder, source, target, some), strict=True))
            translated |= made
            if cache is not None:
                cache.add({sentence: text for sentence, text in made.items() if text is not None})
        whole: dict[str, str | None] = {**translated, **known}
        return [text.joined(whole) for text in pieces]

    def problem(self, folder: Path) -> str | None:
        """What is missing, None when a model can be loaded; looked at without loading it."""
        if self.version == "unknown":
            return f"the package {self.package} is not installed (pip install 'curator-corpora[transformers]')"
        if self.options.device == "cuda" and not self.has_gpu:
            return "device: cuda, and there is no GPU here (device: auto takes one where there is one)"
        return self.problem_of(folder)

    @property
    def device(self) -> str:
        """Where models run."""
        return "cuda" if self.options.device != "cpu" and self.has_gpu else "cpu"

    @cached_property
    @abc.abstractmethod
    def has_gpu(self) -> bool:
        """Whether the engine has a GPU here."""

    @abc.abstractmethod
    def problem_of(self, folder: Path) -> str | None:
        """What is wrong with a model's folder."""

    @abc.abstractmethod
    def run(self, folder: Path, source: str, target: str, sentences: Sequence[str]) -> list[str | None]:
        """The translation of each sentence, None where there is no sound one."""

    def _identity(self, folder: Path) -> str:
        if folder not in self._identities:
            digest = blake3(repr((self.version, self.options.beams, self.options.max_tokens)).encode())
            digest.update(repr((self.options.style, sorted(self.codes.items()))).encode())
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
                digest.update_mmap(path)
            self._identities[folder] = f"{self.version} blake3:{digest.hexdigest(length=16)}"
        return self._identities[folder]


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Places of sentences of these lengths in tokens, the longest first, cut so that a batch with its padding has at
    most `batch_tokens` tokens (one sentence at least)."""
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    found: list[list[int]] = []
    for place in order:
        if found and (len(found[-1]) + 1) * lengths[found[-1][0]] <= batch_tokens:
            found[-1].append(place)
        else:
            found.append([place])
    return found
