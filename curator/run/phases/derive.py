"""Phase `derive`: children of the survivors of a part, read like any document."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import DOCUMENT_SCHEMA, UNDETERMINED, Batch
from curator.errors import Bug
from curator.keys import child_keys, random_words
from curator.language.tags import list_language
from curator.run.part import Part
from curator.run.phases.judge import candidates
from curator.run.phases.languages import identify_languages, knows_language
from curator.run.phases.read import PartWriter, binary16
from curator.run.pipeline import pipeline_of
from curator.run.states import load_state
from curator.run.store import Outputs
from curator.run.tally import CREATED
from curator.stage import Child, State
from curator.storage.ipc import read_table, write_table
from curator.storage.spool import local_file
from curator.text.tokens import count_tokens
from curator.verdict import round_score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from curator.recipe.model import Language


PARENT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("lang", pa.string()),
    ]
)
"""The text of a child's parent and its tag; `row` counts the children of the part."""

IN_ANOTHER_LANGUAGE = "in another language"

PARENTS_SHOWN, PARENT_CHARACTERS = 20, 4000
"""More than the examples of a rule: some of the children will be dropped."""


MADE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("engine", pa.string(), nullable=False),
        pa.field("scores", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("word", pa.uint64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)
"""Children as they were made: `row` of the candidates of the part, `scores` as JSON, the list language, hash(seed,
stage, key of the parent) and tokens."""

Stops = tuple[tuple[str, int], ...]
"""List languages with the hash from which on children are left out."""


@dataclass(frozen=True)
class DeriveInput:
    """A part to derive from."""

    part: Part

    @property
    def name(self) -> str:
        """The name of the part."""
        return self.part.name


@dataclass(frozen=True)
class DeriveTask:
    """Makes children of a part. `states` are (stage, file) of what was fitted; those of other stages than `stage`
    reach `derive` under their names with the stage before them (`sampling.wanted`)."""

    recipe: str
    stage: str
    states: tuple[tuple[str, str], ...]

    def __call__(self, item: DeriveInput, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        pipeline = pipeline_of(self.recipe)
        state = state_of(self.stage, self.states)
        stage = pipeline.stage(self.stage)
        found = candidates(item.part, pipeline.recipe.tokenizer, stage, state)
        table = MADE_SCHEMA.empty_table()
        refused: dict[str, Counter[str]] = {}
        if found is not None:
            made = stage.derive(*found, state)
            children = [child for child in made if child.refused is None]
            children = in_their_language(found[0], children, pipeline.recipe.language)
            words = random_words(pipeline.recipe.seed, self.stage, found[0].keys)
            table = made_table(children, words, pipeline.recipe.tokenizer)
            refused = refusals_of(made, children)
        write_table(outputs.path("made"), table)
        return {"refused": refused}


@dataclass(frozen=True)
class AdmitInput:
    """A part with where the children lie that were made of it; those that stay become a part of another name."""

    part: Part
    made: str

    @property
    def name(self) -> str:
        """The name of the part of children."""
        return f"{self.part.name}-children"


@dataclass(frozen=True)
class AdmitTask:
    """Reads children as any document, those below the stop of their language."""

    recipe: str
    stage: str
    states: tuple[tuple[str, str], ...]
    stops: Stops

    def __call__(self, item: AdmitInput, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        pipeline = pipeline_of(self.recipe)
        writer = PartWriter(pipeline, outputs)
        parents = PARENT_SCHEMA.empty_table()
        table = read_table(local_file(item.made))
        table = table.filter(pa.array(stays(table, self.stops)))
        if len(table):
            state = state_of(self.stage, self.states)
            found = candidates(item.part, pipeline.recipe.tokenizer, pipeline.stage(self.stage), state)
            if found is None:
                raise Bug("a part has children and no candidate")
            children = children_of(table)
            documents = child_documents(found[0], children)
            identified = identify_languages(documents.column("text"), pipeline.recipe.language)
            parents = parents_of(found[0], children)
            writer.write(documents, identified.checked(documents.column("lang")), CREATED)
        writer.close()
        write_table(outputs.path("parents"), parents)
        return writer.result()


def made_table(children: Sequence[Child], words: NDArray[np.uint64], tokenizer: str | None) -> pa.Table:
    """The children with the hashes of their parents and their tokens. `words` uint64[candidates]."""
    texts = pa.array([child.text for child in children], pa.string())
    rows = np.array([child.row for child in children], dtype=np.int64)
    tokens = count_tokens(Batch(pa.record_batch({"text": texts})), tokenizer) if children else np.zeros(0, np.int64)
    columns = {
        "row": pa.array(rows),
        "text": texts,
        **{name: [getattr(child, name) for child in children] for name in ("lang", "method", "engine")},
        "scores": [json.dumps(dict(child.scores)) for child in children],
        "language": [list_language(child.lang) for child in children],
        "word": pa.array(words[rows]),
        "tokens": pa.array(tokens),
    }
    return pa.table(columns, schema=MADE_SCHEMA)


def children_of(table: pa.Table) -> list[Child]:
    """The children of a table."""
    names = ("row", "text", "lang", "method", "engine")
    return [Child(**{name: row[name] for name in names}, scores=json.loads(row["scores"])) for row in table.to_pylist()]


def find_stops(tables: Sequence[pa.Table], most_tokens: Mapping[str, int]) -> Stops:
    """From which hash on the children of a language are left out, so that those before it have no more tokens than it
    may have. Which these are does not depend on the cut of the corpus."""
    table = pa.concat_tables([MADE_SCHEMA.empty_table(), *tables]).select(["language", "word", "tokens"])
    stops = []
    for language, most in sorted(most_tokens.items()):
        own = table.filter(pc.equal(table["language"], language)).sort_by("word")
        beyond = np.flatnonzero(np.cumsum(own["tokens"].to_numpy()) > most)
        if len(beyond):
            stops.append((language, own["word"][int(beyond[0])].as_py()))
    return tuple(stops)


def refusals_of(made: Sequence[Child], kept: Sequence[Child]) -> dict[str, Counter[str]]:
    """How many of the children of each list language were refused, by the reason; those that the stage passed and that
    are not kept are in another language."""
    found: dict[str, Counter[str]] = {}
    for child in made:
        found.setdefault(list_language(child.lang), Counter())[child.refused or IN_ANOTHER_LANGUAGE] += 1
    for child in kept:
        found[list_language(child.lang)][IN_ANOTHER_LANGUAGE] -= 1
    return {language: +reasons for language, reasons in found.items() if +reasons}


def refusals(parts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """How many candidates of each list language have no child, by the reason; sums over parts, in order."""
    sums: dict[str, Counter[str]] = {}
    for part in parts:
        for language, reasons in part.items():
            sums.setdefault(language, Counter()).update(reasons)
    return {language: dict(sorted(sums[language].items())) for language in sorted(sums)}


def stays(table: pa.Table, stops: Stops) -> NDArray[np.bool_]:
    """The children that are below the stop of their language: bool[rows]."""
    until = dict(stops)
    limits = [until.get(language) for language in table["language"].to_pylist()]
    words = table["word"].to_pylist()
    kept = [limit is None or word < limit for word, limit in zip(words, limits, strict=True)]
    return np.array(kept, dtype=np.bool_)


def state_of(stage: str, states: Sequence[tuple[str, str]]) -> State:
    """What was fitted, from (stage, file): of other stages than `stage` under names with the stage before them."""
    return {
        name if owner == stage else f"{owner}.{name}": array
        for owner, path in states
        for name, array in load_state(path).items()
    }


def parents_of(batch: Batch, children: Sequence[Child]) -> pa.Table:
    """The beginnings of the texts of the parents of the first children of a part, to be shown beside them."""
    shown = children[:PARENTS_SHOWN]
    texts = [batch.text[child.row].as_py()[:PARENT_CHARACTERS] for child in shown]
    tags = batch.documents.column("lang").take(pa.array([child.row for child in shown], pa.int64()))
    return pa.table([pa.array(range(len(shown)), pa.int32()), pa.array(texts, pa.string()), tags], schema=PARENT_SCHEMA)


def in_their_language(batch: Batch, children: Sequence[Child], language: Language | None) -> list[Child]:
    """The children that are identified as what they are to be. In the language of their parent that is their tag, or
    what their parent is identified as, or nothing where the parent is not identified as its tag either; in another
    language their tag; a language that the model has no label for it cannot judge. All of them where no language is
    identified."""
    if language is None or not children:
        return list(children)
    rows = sorted({child.row for child in children})
    texts = [*(batch.text[row].as_py() for row in rows), *(child.text for child in children)]
    detected = identify_languages(pa.array(texts, pa.string()), language).detected.to_pylist()
    of_parents = dict(zip(rows, detected, strict=False))
    of_documents = batch.languages
    kept = []
    for child, found in zip(children, detected[len(rows) :], strict=True):
        own, parent = list_language(child.lang), of_parents[child.row]
        if own == of_documents.names[of_documents.codes[child.row]]:
            is_its_own = found in (own, parent) or (found == UNDETERMINED and parent != own)
        else:
            is_its_own = list_language(found) == own or not knows_language(language, own)
        if is_its_own:
            kept.append(child)
    return kept


def child_documents(batch: Batch, children: Sequence[Child]) -> pa.RecordBatch:
    """Documents of children: id `PARENT#aN`, keys from the parents' keys."""
    rows = np.array([child.row for child in children], dtype=np.int64)
    seen: dict[int, int] = {}
    ordinals = []
    for row in rows.tolist():
        seen[row] = seen.get(row, 0) + 1
        ordinals.append(seen[row])
    parents = batch.documents.take(pa.array(rows))
    ids = parents.column("id").to_pylist()
    columns: dict[str, pa.Array] = {
        "key": binary16(child_keys(batch.keys[rows], np.array(ordinals, dtype=np.int64))),
        "id": pa.array([f"{parent}#a{ordinal}" for parent, ordinal in zip(ids, ordinals, strict=True)], pa.string()),
        "text": pa.array([child.text for child in children], pa.string()),
        "lang": pa.array([child.lang for child in children], pa.string()),
        "parent": parents.column("id"),
        "method": pa.array([child.method for child in children], pa.string()),
        "engine": pa.array([child.engine for child in children], pa.string()),
        "metadata": pa.array([_scores(child) for child in children], pa.string()),
    }
    arrays = [columns.get(name, parents.column(name)) for name in DOCUMENT_SCHEMA.names]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT_SCHEMA)


def _scores(child: Child) -> str | None:
    if not child.scores:
        return None
    values = round_score(np.array(list(child.scores.values()), dtype=np.float64))
    return json.dumps(dict(zip(child.scores, values.tolist(), strict=True)))
