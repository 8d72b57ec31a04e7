"""The corpus as a stage sees it that compares documents with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curator.engine.executor import Emit, Executor, Handle, InputT, Task
from curator.run.part import Part
from curator.run.store import Commit, Outputs
from curator.scaling import RowFormat
from curator.storage.path import AnyPath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Corpus", "InputT", "parts_of"]


@dataclass(frozen=True)
class Corpus:
    """The parts of a corpus, and the engine that works on them. Tasks are named within the folder of the stage.

    `parts` hold every document so far; those that an earlier stage dropped are not `alive`. When `has_children`, the
    parts with `is_derived` are the question, and the others are answered for already: they were kept.
    """

    parts: tuple[Part, ...]
    executor: Executor
    folder: AnyPath
    has_children: bool = False

    @property
    def rows(self) -> int:
        """Documents in all parts."""
        return sum(part.rows for part in self.parts)

    def map(self, name: str, task: Task[InputT], inputs: Iterable[InputT]) -> list[Commit]:
        """Run a task on each input; see `Executor.map`."""
        return self.executor.map(self.folder / name, task, inputs)

    def exchange(
        self, rows: RowFormat, emit: Emit[InputT], handle: Handle, inputs: Iterable[InputT], expected: int
    ) -> list[Commit]:
        """Bring rows with equal keys together, of which about so many are expected; see `Executor.exchange`."""
        return self.executor.exchange(self.folder / rows.name, emit, handle, inputs, rows.partitions(expected))

    def once(self, name: str, function: Callable[[Path], Mapping[str, object]]) -> Commit:
        """Run one task that needs all that came before it; `function` gets the path of the file that it writes."""
        (commit,) = self.executor.map(self.folder, _Once(function), [_Single(name)])
        return commit

    def part_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place in `parts` of documents given by their number in the corpus: int64[n]."""
        return part_of(self.parts, rows)


def part_of(parts: Sequence[Part], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place in `parts` of documents given by their number in the corpus: int64[n]."""
    import numpy as np

    starts = np.array([part.first_row for part in parts], dtype=np.int64)
    return np.searchsorted(starts, rows, side="right") - 1


@dataclass(frozen=True)
class _Single:
    """The input of a task that has no other."""

    name: str


@dataclass(frozen=True)
class _Once:
    """A task that writes one file."""

    function: Callable[[Path], Mapping[str, object]]

    def __call__(self, item: _Single, outputs: Outputs) -> Mapping[str, object]:
        return self.function(outputs.path("arrow"))


def parts_of(commits: Sequence[Commit], first_row: int, *, derived: bool) -> list[Part]:
    """The parts that tasks left, their rows numbered from `first_row` on."""
    parts = []
    for commit in commits:
        rows = commit.integer("rows")
        failures = 0 if derived else commit.integer("failed")
        parts.append(Part(commit.folder, commit.name, rows, first_row, is_derived=derived, failures=failures))
        first_row += rows
    return parts
