"""Phase `fit`: the state of a stage, from a piece of the merged summary."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from curator.run.pipeline import pipeline_of
from curator.run.states import write_state
from curator.run.store import Outputs


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
        write_state(outputs.path("npz"), stage.fit(item.summary))
        return {}
