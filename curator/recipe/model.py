"""The model of a recipe: frozen, and strict about names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from curator.sizes import Size

SHIPPED_MODEL = "lid.176"
"""The name of the language model that the package carries."""

SHARDS_WANTED = 16
MIN_SHARD_BYTES, MAX_SHARD_BYTES = 16_000_000, 128_000_000
"""Text is cut into about so many shards, within these bounds, where a recipe says nothing: by its size alone."""


UNQUOTED = frozenset(("jsonl", "parquet", "text", "html", "warc"))
"""Formats in which a quote encloses no field. What readers of other packages do is theirs to know."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class FieldNames(_Strict):
    """Which field of a record holds what; a dotted name goes into a nested object."""

    text: str = "text"
    id: str = "id"
    source: str = "source"
    lang: str = "lang"


def _checked_group(name: str) -> str:
    if not name or ":" in name or "*" in name or not name.isprintable():
        raise ValueError("expected the name of a group: printable text without ':' and '*'")
    return name


GroupName: TypeAlias = Annotated[str, AfterValidator(_checked_group)]
"""A name that the rule of the first ':' could give, too."""

SourcePattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]
"""A source, or what several have in common."""


class Input(_Strict):
    """How the input is read."""

    format: str = Field("auto", description="auto, or the name of a reader: jsonl, parquet, text, csv, tsv, html, warc")
    fields: FieldNames = FieldNames()
    metadata: tuple[str, ...] = Field((), description="further fields, kept as JSON in provenance.metadata")
    source: str = Field("web", min_length=1, description="the source of documents that name none")
    source_groups: Mapping[GroupName, Annotated[tuple[SourcePattern, ...], Field(min_length=1)]] = Field(
        {},
        description="group -> its sources, `*` in them for any characters; all others are grouped by what stands "
        "before the first ':'",
    )
    sample_by: Literal["line", "paragraph", "document"] = Field("line", description="what a record of a text file is")
    quotes: Literal["enclose", "letters"] = Field(
        "enclose",
        description="what quotes are in CSV and TSV: those around a field enclose it, or all are letters",
    )
    max_document_bytes: Size = Field(8 << 20, gt=0, le=1 << 30, description="a longer document goes to failed/")
    repair: bool = Field(True, description="repair encoding damage; otherwise a damaged document goes to failed/")

    @field_validator("source_groups")
    @classmethod
    def _belongs_to_one(cls, groups: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        seen: dict[str, str] = {}
        for group, sources in groups.items():
            for source in sources:
                if (other := seen.setdefault(source, group)) != group:
                    raise ValueError(f"{source!r} stands in two groups, {other!r} and {group!r}")
        return groups

    @model_validator(mode="after")
    def _has_quotes(self) -> Input:
        if self.quotes != "enclose" and self.format in UNQUOTED:
            raise ValueError(f"quotes are {self.quotes} in CSV and TSV only, not in {self.format}")
        return self


class Language(_Strict):
    """How the language of a document is identified."""

    model: str = Field(SHIPPED_MODEL, description="lid.176 (shipped), or the path of a fastText model")
    min_score: float = Field(0.5, ge=0, le=1, description="below this a document is und")
    confusable: Literal["und", "macro", "model"] = Field(
        "und", description="where relatives are not told apart: und, their macrolanguage, or what the model says"
    )
    mixed: Literal["und", "dominant"] = Field(
        "und", description="a document in several languages: und, or that of at least 0.6 of its letters"
    )


class Holdout(_Strict):
    """Documents that are kept out of the shards, for evaluation."""

    share: float = Field(gt=0, le=0.5, description="share of the documents, in each language alike")
    by: Literal["cluster", "content", "host"] = Field(
        "cluster",
        description="cluster: what is similar to a held-out document is dropped (needs dedup); content: texts that are "
        "the same are held out together; host: whole hosts are held out, by the URL of a document",
    )
    url_field: str = Field("url", min_length=1, description="the field of input.metadata that holds the URL")


class Output(_Strict):
    """What the shards look like."""

    shard_bytes: Size | None = Field(
        None,
        ge=1_000_000,
        description="bytes of text after which a shard is closed; null: a sixteenth of the text, but 16 to 128 MB",
    )
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = "zstd"

    def shard_limit(self, kept_bytes: float) -> int:
        """Bytes of text after which a shard is closed, where there are so many in all: several workers write them."""
        if self.shard_bytes is not None:
            return self.shard_bytes
        return max(MIN_SHARD_BYTES, min(int(kept_bytes) // SHARDS_WANTED, MAX_SHARD_BYTES))


class StageEntry(_Strict):
    """One stage of a recipe, its parameters validated and complete with defaults."""

    name: str
    parameters: dict[str, object] = {}


class Recipe(_Strict):
    """A recipe: input, stages in order, output."""

    name: str = Field(min_length=1, max_length=100)
    input: Input = Input()
    language: Language | None = Language()
    holdout: Holdout | None = None
    tokenizer: str | None = Field(
        None,
        min_length=1,
        description="a model of SentencePiece or a tokenizer.json, whose pieces count as tokens; null: units count",
    )
    stages: tuple[StageEntry, ...]
    output: Output = Output()
    seed: int = Field(0, ge=0, lt=2**63)
    max_error_rate: float = Field(0.001, ge=0, le=1)

    @field_validator("language", "holdout", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value in (False, "off") else value
