"""A task with its input, as an engine hands it to a worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic

from curator.engine.executor import Careful, InputT, Task
from curator.run.store import Commit, Outputs, storage_error
from curator.storage.path import as_path


@dataclass(frozen=True)
class Job(Generic[InputT]):
    """One task with its input; what a worker gets, whichever engine starts it."""

    folder: str
    task: Task[InputT]
    input: InputT

    def carefully(self) -> Job[InputT] | None:
        """The job with its task done carefully; None where that is not possible, or is so already."""
        task = self.task.carefully() if isinstance(self.task, Careful) else None
        return None if task is None else replace(self, task=task)

    def __call__(self) -> Commit:
        """Run the task and commit; what it had written goes when it fails."""
        outputs = Outputs(as_path(self.folder), self.input.name)
        try:
            return outputs.commit(self.task(self.input, outputs))
        except OSError as error:
            outputs.discard()
            raise storage_error(error, as_path(self.folder) / self.input.name) from error
        except BaseException:
            outputs.discard()
            raise
