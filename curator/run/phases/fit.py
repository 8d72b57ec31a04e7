"""Phase `fit`: the state of a stage, from a piece of the merged summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curator.run.pipeline import AnyStage, pipeline_of
from curator.run.states import write_state
from curator.run.store import Outputs
from curator.storage.ipc import read_table

SUMMARIES_TOGETHER = 16


def merge_all(stage: AnyStage, paths: Sequence[Path]) -> pa.Table:
    """One summary of all parts, folded a few at a time: the merge is exact, so the way does not matter."""
    merged = stage.merge([])
    for begin in range(0, len(paths), SUMMARIES_TOGETHER):
        merged = stage.merge([merged, *(read_table(path) for path in paths[begin : begin + SUMMARIES_TOGETHER])])
    return merged


@dataclass(frozen=True)
class FitInput:
    """A piece of a summary (see `Stage.divide`)."""

    index: int
    summary: pa.Table

    @property
    def name(self) -> str:
        """The name of the task."""
        return f"{self.index:05d}"


@dataclass(frozen=True)
class FitTask:
    """Fits one stage on a piece."""

    recipe: str
    stage: str

    def __call__(self, item: FitInput, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        stage = pipeline_of(self.recipe).stage(self.stage)
        write_state(outputs.path("state"), stage.fit(item.summary))
        return {}
