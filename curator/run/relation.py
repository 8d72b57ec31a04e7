"""What stages that relate documents share: answers handed back to parts, ids by row, and one relation of many pieces.

A stage that sees too much for one process asks the exchange, whose partitions answer to the parts: each answer names
the part that it is for, and a part reads its own answers alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.engine.executor import Task
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.store import Commit, Outputs
from curator.scaling import Exchange, Need, RowFormat, Scaling, Work
from curator.stage import FACTS
from curator.storage.ipc import read_table, write_table
from curator.storage.spool import local_file

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Place:
    """A part, and its place among the parts of the corpus."""

    part: Part
    number: int

    @property
    def name(self) -> str:
        """The name of the part."""
        return self.part.name


def asked_places(corpus: Corpus) -> list[Place]:
    """The parts for which an answer is wanted: all of them, or only those of children where there are any."""
    places = [Place(part, number) for number, part in enumerate(corpus.parts)]
    return [place for place in places if place.part.is_derived or not corpus.has_children]


def read_rows(corpus: Corpus, name: str, task: Callable[[str | None], Task[Part]], width: int) -> list[Commit]:
    """Run a task on every part, in their order; it writes its rows of the exchange under `rows` (uint64[n, width],
    keys first).

    Where there are children, they come first, and `task` is made for the others with the place of their keys (sorted,
    .npy): other documents matter only where they share one.
    """
    asked = asked_places(corpus)
    commits = corpus.map(name, task(None), [place.part for place in asked])
    if corpus.has_children:
        query = corpus.once(f"{name}-query", partial(_write_keys, tuple(commits), width))
        others = [part for part in corpus.parts if not part.is_derived]
        commits = [*commits, *corpus.map(name, task(query.place("arrow")), others)]
    by_name = {commit.name: commit for commit in commits}
    return [by_name[part.name] for part in corpus.parts]


def _write_keys(commits: Sequence[Commit], width: int, path: Path) -> Mapping[str, object]:
    keys = np.unique(np.concatenate([np.unique(load_rows(commit, width)[:, 0]) for commit in commits]))
    with path.open("wb") as file:
        np.save(file, keys, allow_pickle=False)
    return {"keys": len(keys)}


def load_rows(commit: Commit, width: int) -> NDArray[np.uint64]:
    """The rows that a task wrote under `rows`."""
    return np.fromfile(commit.path("rows"), dtype=np.uint64).reshape(-1, width)


def write_answers(outputs: Outputs, parts: NDArray[np.int64], rows: NDArray[np.uint64]) -> None:
    """Answers of one partition: `rows` uint64[n, width], in the order of `parts`, the place of the part each is for."""
    numbers, begins = np.unique(parts, return_index=True)
    places = np.column_stack([numbers, begins, np.append(begins[1:], len(rows))[: len(begins)]])
    with outputs.path("places").open("wb") as file:
        np.save(file, places.astype(np.int64), allow_pickle=False)
    np.ascontiguousarray(rows, dtype=np.uint64).tofile(outputs.path("answers"))


@dataclass(frozen=True)
class Answers:
    """The answers of all partitions of an exchange; their rows have `width` columns."""

    folder: str
    names: tuple[str, ...]
    width: int

    @staticmethod
    def of(commits: Sequence[Commit], width: int) -> Answers:
        """The answers that these tasks wrote."""
        return Answers(commits[0].folder, tuple(commit.name for commit in commits), width)

    def for_part(self, part: int) -> NDArray[np.uint64]:
        """The answers for the part at this place, sorted by their first column, in their order where it is equal."""
        pieces = [np.zeros((0, self.width), dtype=np.uint64)]
        for name in self.names:
            places = np.load(local_file(f"{self.folder}/{name}.places"), allow_pickle=False)
            at = int(np.searchsorted(places[:, 0], part))
            if at < len(places) and places[at, 0] == part:
                begin, end = places[at, 1:].tolist()
                count, offset = (end - begin) * self.width, begin * self.width * 8
                answers = local_file(f"{self.folder}/{name}.answers")
                flat = np.fromfile(answers, dtype=np.uint64, count=count, offset=offset)
                pieces.append(flat.reshape(-1, self.width))
        rows = np.concatenate(pieces)
        return rows.take(np.argsort(rows[:, 0], kind="stable"), axis=0)


def scaling_with_answers(stage: str, rows: RowFormat, documents: int) -> Scaling:
    """What a stage declares whose one exchange answers to the parts: its rows follow from the text, so they are as many
    as were measured. It can number so many documents."""
    step = f"relate-{stage}/{rows.name}/emit"
    exchange = Exchange(rows, lambda given: given.emitted.get(step, 0.0) / rows.row_bytes, lambda given: given.parts)
    numbered = Need(
        f"documents that {stage} numbers",
        "a row of its exchange has so many bits for a document (relate.py of the stage)",
        "every task",
        "documents",
        lambda given: given.documents,
        documents,
    )
    opened = Work(
        f"opening answers of {rows.name}",
        "each part looks into the answers of every partition (relation.Answers)",
        "tasks",
        lambda given: given.constant("open_s") * given.partitions[rows.name] * given.parts,
    )
    return Scaling((exchange,), (numbered,), (opened,))


def write_ids(part: Part, outputs: Outputs) -> None:
    """The ids of a part, so that any of them can be read by its row."""
    batches = list(part.documents(["id"]))
    table = pa.Table.from_batches(batches) if batches else pa.table({"id": pa.array([], pa.string())})
    write_table(outputs.path("ids"), table)


@dataclass(frozen=True)
class Ids:
    """Ids of documents by their row in the corpus: where `write_ids` put those of each part, and its first row."""

    folder: str
    names: tuple[str, ...]
    first_rows: tuple[int, ...]

    @staticmethod
    def of(commits: Sequence[Commit], parts: Sequence[Part]) -> Ids:
        """The ids that these tasks wrote, one a part."""
        names = tuple(commit.name for commit in commits)
        return Ids(commits[0].folder if commits else "", names, tuple(part.first_row for part in parts))

    def look_up(self, rows: NDArray[np.int64]) -> pa.StringArray:
        """The ids of these documents: string[n]. Rows of parts that do not matter are not read."""
        distinct, back = np.unique(rows, return_inverse=True)
        places = np.searchsorted(self.first_rows, distinct, side="right") - 1
        found = [pa.array([], pa.string())]
        for place in np.unique(places).tolist():
            local = distinct[places == place] - self.first_rows[place]
            column = read_table(local_file(f"{self.folder}/{self.names[place]}.ids"))["id"]
            found.append(column.take(pa.array(local)).combine_chunks())
        return pa.concat_arrays([_one(piece) for piece in found]).take(pa.array(back.reshape(-1)))


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def join_relations(commits: Sequence[Commit], schema: pa.Schema, path: Path) -> Mapping[str, object]:
    """The relation of all parts in one file (see `Stage.relate`), a batch a part, of what tasks wrote under
    `relation`; one part is held at a time."""
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for commit in commits:
            table = read_table(commit.path("relation")).combine_chunks()
            if len(table):
                writer.write_table(table)
                rows += len(table)
    return {"rows": rows}


def facts_in(schema: pa.Schema) -> dict[str, object]:
    """What the file of a relation says about itself (see `curator.stage.FACTS`)."""
    found: dict[str, object] = json.loads((schema.metadata or {}).get(FACTS.encode(), b"{}"))
    return found
