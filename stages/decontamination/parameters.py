"""Parameters of `decontamination`.

Defaults are those of Brown et al. 2020 (GPT-3), appendix C; those for scripts without spaces were measured, see
docs/decisions/0016-decontamination.md.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from curator.stage import Parameters


class EvaluationSet(Parameters):
    """A set of examples that a model will be tested on."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[^\n:]+$", description="what decisions and the report call it"
    )
    path: str = Field(min_length=1, description="a file, a directory or a glob, relative to the working directory")
    format: str = Field("auto", description="auto, or the name of a reader, as in input.format")
    fields: tuple[str, ...] = Field(
        ("text",),
        min_length=1,
        description="what makes up an example: the first is a string, others may be lists or objects of strings",
    )
    sample_by: str = Field(
        "line",
        pattern="^(line|paragraph|document)$",
        description="what an example of a text file is: line, paragraph or document",
    )
    quotes: str = Field(
        "enclose",
        pattern="^(enclose|letters)$",
        description="what quotes are in CSV and TSV, as in input.quotes: enclose or letters",
    )
    ngram_units: int | None = Field(None, ge=1, le=1000, description="units of its n-grams, whatever its lengths")
    ngram_characters: int | None = Field(
        None, ge=1, le=1000, description="the same for examples in scripts without spaces"
    )


class DecontaminationParameters(Parameters):
    """What a recipe may say about evaluation sets."""

    sets: tuple[EvaluationSet, ...] = Field(min_length=1, description="the evaluation sets")
    action: Literal["drop", "remove", "flag"] = Field(
        "drop", description="what becomes of a document with text of a set; remove: that text is cut out of it"
    )
    threshold: float = Field(
        0.0, ge=0, lt=1, description="share of its units in n-grams of the sets above which a document is contaminated"
    )
    ngram_units: int = Field(13, ge=1, le=1000, description="units of an n-gram at most, in scripts with spaces")
    min_units: int = Field(8, ge=1, le=1000, description="the same at least; a shorter example is not looked for")
    ngram_characters: int = Field(
        32, ge=1, le=1000, description="units of an n-gram in scripts without spaces, at most"
    )
    min_characters: int = Field(20, ge=1, le=1000, description="the same, at least")
    max_documents: int = Field(
        10, ge=1, le=1000, description="an n-gram that more documents have is a common phrase and ignored"
    )
    window_characters: int = Field(
        200,
        ge=0,
        description="with remove: letters cut out on both sides of a match, and the units they end in; an ideograph "
        "counts as four letters, kana and syllables of Hangul as two",
    )
    min_piece_characters: int = Field(200, ge=1, description="with remove: a piece of fewer letters goes too")
    max_pieces: int = Field(10, ge=1, description="with remove: a document that falls into more pieces is dropped")

    @model_validator(mode="after")
    def _fits(self) -> DecontaminationParameters:
        for least, most in (("min_units", "ngram_units"), ("min_characters", "ngram_characters")):
            if getattr(self, least) > getattr(self, most):
                raise ValueError(f"{least} ({getattr(self, least)}) is above {most} ({getattr(self, most)})")
        names = [given.name for given in self.sets]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two sets are called {twice!r}")
        return self
