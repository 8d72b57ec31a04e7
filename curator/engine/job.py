"""A task with its input, as an engine hands it to a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from curator.engine.executor import InputT, Task
from curator.run.store import Commit, Outputs, storage_error


@dataclass(frozen=True)
class Job(Generic[InputT]):
    """One task with its input; what a worker gets, whichever engine starts it."""

    folder: str
    task: Task[InputT]
    input: InputT

    def __call__(self) -> Commit:
        """Run the task and commit; what it had written goes when it fails."""
        outputs = Outputs(Path(self.folder), self.input.name)
        try:
            return outputs.commit(self.task(self.input, outputs))
        except OSError as error:
            outputs.discard()
            raise storage_error(error, Path(self.folder) / self.input.name) from error
        except BaseException:
            outputs.discard()
            raise
