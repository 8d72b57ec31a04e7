"""A task with its input, as an engine hands it to a worker; and what both engines do around one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic

from curator.engine.executor import Careful, InputT, Task
from curator.run.store import Commit, Outputs, committed
from curator.storage.path import AnyPath, as_path
from curator.storage.refused import storage_error

TICK_SECONDS = 0.5
"""How long an engine waits for a task before it looks whether there is something else to do."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""A worker has one thread: the engine parallelises, and sums keep their order."""


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


def ignore(_commit: Commit, _reused: bool) -> None:
    """The `done` of an executor that nobody listens to."""


def uncommitted(
    folder: AnyPath, inputs: Iterable[InputT], commits: dict[int, Commit], done: Callable[[Commit, bool], None]
) -> Iterator[tuple[int, InputT]]:
    """The inputs whose tasks have not committed, with their places; commits of the others go into `commits`, and to
    `done`."""
    for index, item in enumerate(inputs):
        commit = committed(folder, item.name)
        if commit is None:
            yield index, item
        else:
            commits[index] = commit
            done(commit, True)
