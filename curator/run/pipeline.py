"""A recipe with its stages made: what a task rebuilds in whichever process it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from curator.errors import UserError
from curator.recipe.model import SHIPPED_MODEL, Recipe, StageEntry
from curator.registry import stage_class
from curator.run.part import HELD_OUT_NAME, UNITS_NAME
from curator.stage import Column, Parameters, Requirement, Resources, Stage, together
from curator.text.tokens import token_name, tokenizer_requirement

AnyStage = Stage[Parameters]

BUILTIN_COLUMNS = (
    Column("tokens", pa.int64(), "tokens of the document as it was read"),
    Column("bytes", pa.int64(), "UTF-8 bytes of its text", internal=True),
    Column("language.detected", pa.string(), "language that was identified, und when unsure"),
    Column("language.score", pa.float64(), "how sure the identification is, 0 to 1"),
    Column("language.dominant", pa.string(), "language of most letters, by paragraph; of documents that seem mixed"),
    Column("language.second", pa.string(), "language of a tenth of the letters or more, by paragraph"),
    Column("language.share", pa.float64(), "share of the letters that are in the dominant language, by paragraph"),
    Column("language.script", pa.string(), "script of most letters, ISO 15924"),
    Column("language.script_share", pa.float64(), "share of the letters in a script of the language of its tag"),
)

UNITS = Column(UNITS_NAME, pa.int64(), "units of the document as it was read")
"""A builtin column of recipes that name a tokenizer; elsewhere a token is a unit."""

HELD_OUT = Column(HELD_OUT_NAME, pa.bool_(), "whether the document is held out", internal=True)
"""A builtin column of recipes that hold documents out."""


@dataclass(frozen=True)
class Pipeline:
    """The stages of a recipe, in order."""

    recipe: Recipe
    stages: tuple[AnyStage, ...]

    def stage(self, name: str) -> AnyStage:
        """The stage of this name."""
        return next(stage for stage in self.stages if stage.name == name)

    def builtin(self) -> tuple[Column, ...]:
        """The columns that need no stage."""
        first, *rest = BUILTIN_COLUMNS
        units = () if self.recipe.tokenizer is None else (UNITS,)
        held_out = () if self.recipe.holdout is None else (HELD_OUT,)
        return (first, *units, *rest, *held_out)

    def before(self, stage: AnyStage) -> tuple[AnyStage, ...]:
        """The stages that stand before one."""
        return self.stages[: self.stages.index(stage)]

    def early(self) -> Iterator[AnyStage]:
        """Stages whose `annotate` runs while reading: cheap ones, up to and including the first that edits text."""
        for stage in self.stages:
            if stage.columns and not stage.costly:
                yield stage
            if stage.edits_text:
                return

    def annotates_early(self, stage: AnyStage) -> bool:
        """Whether the columns of `stage` are there from reading."""
        return any(stage is other for other in self.early())

    def resources(self, names: Sequence[str]) -> Resources:
        """What a task needs that judges by these stages."""
        return together(self.stage(name).resources for name in names)

    def requirements(self) -> Iterator[tuple[str, Requirement]]:
        """What the recipe needs beside Python packages: who needs it, and what."""
        if self.recipe.language is not None:
            yield "language", _language_model(self.recipe.language.model)
        if self.recipe.tokenizer is not None:
            yield "recipe", tokenizer_requirement(self.recipe.tokenizer)
        for stage in self.stages:
            for requirement in stage.requirements():
                yield stage.name, requirement

    def recorded_recipe(self) -> Recipe:
        """The recipe as fingerprint and manifest hold it (see `Stage.recorded`): a tokenizer by its content, a model of
        languages by the name of its file."""
        entries = tuple(StageEntry(name=stage.name, parameters=dict(stage.recorded())) for stage in self.stages)
        tokenizer = None if self.recipe.tokenizer is None else token_name(self.recipe.tokenizer)
        language = self.recipe.language
        if language is not None:
            language = language.model_copy(update={"model": Path(language.model).name})
        return self.recipe.model_copy(update={"stages": entries, "tokenizer": tokenizer, "language": language})

    def public_columns(self) -> list[Column]:
        """The columns of `scores/`, in order."""
        builtin = [column for column in self.builtin() if not column.internal]
        return builtin + [
            column for stage in self.stages for column in (*stage.columns, *stage.scored) if not column.internal
        ]


def is_matrix(column: Column) -> bool:
    """Whether a column is kept as a raw matrix in a file of its own, for random access."""
    return column.internal and pa.types.is_fixed_size_list(column.type)


def _language_model(name: str) -> Requirement:
    from curator.language.identifier import MODEL_PATH
    from curator.language.model import identity_of, load_model

    if name == SHIPPED_MODEL:
        return Requirement("model", name, identity_of(MODEL_PATH))
    try:
        return Requirement("model", Path(name).name, load_model(Path(name)).identity)
    except UserError as error:
        return Requirement("model", name, "", error.message)


@lru_cache(maxsize=4)
def pipeline_of(recipe_json: str) -> Pipeline:
    """The pipeline of a recipe given as JSON; made once in each process."""
    recipe = Recipe.model_validate_json(recipe_json)
    return make_pipeline(recipe)


def make_pipeline(recipe: Recipe) -> Pipeline:
    """The pipeline of a recipe."""
    stages = []
    for entry in recipe.stages:
        found = stage_class(entry.name)
        stages.append(found(found.parameters_type.model_validate(entry.parameters), seed=recipe.seed))
    return Pipeline(recipe, tuple(stages))
