"""What a recipe may say about augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from curator.document import UNDETERMINED
from curator.language.tags import list_language
from curator.stage import Parameters
from stages.augmentation.method import BACK_TRANSLATION, SUBSTITUTION, TRANSLATION
from stages.augmentation.substitution.substitutor import SUBSTITUTORS
from stages.augmentation.translator import TranslatorChoice


class Band(Parameters):
    """The band of chrF of one language; what is not given is as for all."""

    min_chrf: float | None = Field(default=None, ge=0, le=100)
    max_chrf: float | None = Field(default=None, ge=0, le=100)


class AugmentationParameters(Parameters):
    """What a recipe may say about augmentation."""

    below_tokens: int = Field(default=1_000_000, ge=1, description="Languages with fewer tokens are augmented.")
    translators: tuple[TranslatorChoice, ...] = Field(
        default=(),
        description="Translators by name; of two that serve a language the first is used. None by default.",
        json_schema_extra={"items": {"type": ["string", "object"]}},
    )
    methods: tuple[Literal["back-translation", "translation", "substitution"], ...] = Field(
        default=("back-translation",),
        min_length=1,
        description="How children are made; of two that serve a language the first is used.",
    )
    parsed: tuple[str, ...] = Field(
        default=(),
        description="Languages in which `substitution` is used. Empty: all for which there is a parser.",
    )
    max_share: float = Field(
        default=0.5, gt=0, le=1, description="Tokens of a language's children at most, as a share of its originals'."
    )
    min_chrf: float = Field(default=80.0, ge=0, le=100, description="chrF to the parent below which a child is noise.")
    max_chrf: float = Field(default=97.0, ge=0, le=100, description="chrF above which it is a near-copy.")

    languages: Mapping[str, Band] = Field(default_factory=dict, description="Other bands of chrF by list language.")

    @field_validator("translators", mode="before")
    @classmethod
    def _a_name_is_a_choice(cls, translators: object) -> object:
        if isinstance(translators, (list, tuple)):
            return tuple({"name": choice} if isinstance(choice, str) else choice for choice in translators)
        return translators

    @field_validator("parsed")
    @classmethod
    def _has_parsers(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(map(list_language, languages)))
        missing = [given for given in languages if list_language(given) not in SUBSTITUTORS]
        if missing:
            raise ValueError(f"there is no parser for {', '.join(missing)}; there is for {', '.join(SUBSTITUTORS)}")
        return found

    @model_validator(mode="after")
    def _methods_have_what_they_need(self) -> AugmentationParameters:
        for choice in self.translators:
            if choice.goes_there_and_back and BACK_TRANSLATION not in self.methods:
                raise ValueError("translators are named, and back-translation is not among the methods")
            if choice.pivot_text and TRANSLATION not in self.methods:
                raise ValueError("`pivot_text` is given, and translation is not among the methods")
        if TRANSLATION in self.methods and not any(choice.pivot_text for choice in self.translators):
            raise ValueError("translation is among the methods, and no translator has `pivot_text`")
        if self.parsed and SUBSTITUTION not in self.methods:
            raise ValueError("`parsed` is given, and substitution is not among the methods")
        return self

    @field_validator("languages")
    @classmethod
    def _list_languages(cls, bands: Mapping[str, Band]) -> Mapping[str, Band]:
        unknown = [name for name in bands if list_language(name) == UNDETERMINED]
        if unknown:
            raise ValueError(f"no language tag: {', '.join(unknown)}")
        return {list_language(name): band for name, band in bands.items()}

    @model_validator(mode="after")
    def _bands_are_not_empty(self) -> AugmentationParameters:
        for low, high in (self.band(""), *map(self.band, self.languages)):
            if low > high:
                raise ValueError(f"min_chrf ({low}) must not be above max_chrf ({high})")
        return self

    def band(self, language: str) -> tuple[float, float]:
        """The least and the greatest chrF of a child in a list language."""
        own = self.languages.get(language, Band())
        return (
            self.min_chrf if own.min_chrf is None else own.min_chrf,
            self.max_chrf if own.max_chrf is None else own.max_chrf,
        )
