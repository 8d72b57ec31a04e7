"""The seam between a plan and what executes it.

A task is a pure function of its input: it writes its files through `Outputs` and returns a small JSON result. An engine
runs tasks somewhere, in any order, perhaps more than once, and hands back their commits. `exchange` moves rows between
tasks by a 64-bit key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from curator.keys import mix64
from curator.run.store import Commit, Outputs
from curator.stage import Resources
from curator.storage.path import AnyPath

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Named(Protocol):
    """An input of a task; its name is the task's name within the phase."""

    @property
    def name(self) -> str:
        """Unique within the phase, the same in every attempt, fit for a file name."""
        ...


InputT = TypeVar("InputT", bound=Named)
ONE_CPU = Resources()
Task = Callable[[InputT, Outputs], Mapping[str, object]]
Emit = Callable[[InputT], "NDArray[np.uint64]"]
Handle = Callable[[int, Iterator["NDArray[np.uint64]"], Outputs], Mapping[str, object]]


@runtime_checkable
class Careful(Protocol):
    """A task that can find out which document kills its process."""

    def carefully(self) -> Task[Any] | None:
        """The same task with a journal (see `curator.run.journal`), to be begun CAREFUL_ATTEMPTS times; None when this
        one has it."""
        ...


class Executor(Protocol):
    """What executes phases. Both methods skip tasks that have committed already, and return in the order of inputs."""

    def map(
        self, folder: AnyPath, task: Task[InputT], inputs: Iterable[InputT], resources: Resources = ONE_CPU
    ) -> list[Commit]:
        """Run `task` on each input. Inputs are drawn as workers become free, so a lazy iterable stays bounded."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """End what works for this executor; with `kill`, without waiting for what it does."""
        ...

    def exchange(
        self, folder: AnyPath, emit: Emit[InputT], handle: Handle, inputs: Iterable[InputT], partitions: int
    ) -> list[Commit]:
        """Run `emit` on each input: rows uint64[n, width], whose first column is the key. Rows with equal keys meet in
        one of `partitions` calls of `handle(partition, blocks, outputs)`: the rows of a partition, sorted by all
        columns, in blocks of bounded size, none of them empty. The rows of one key may stand in several blocks, so that
        no key is too frequent. The result must not depend on how many partitions or blocks there are."""
        ...


def partition_of(keys: NDArray[np.uint64], partitions: int) -> NDArray[np.uint32] | NDArray[np.uint16]:
    """The partition of each key, uniform whatever the keys look like: uint16[n] (which sorts fastest) where it fits,
    uint32[n] else."""
    with np.errstate(over="ignore"):
        mixed = mix64(keys) >> np.uint64(32)
    places = (mixed * np.uint64(partitions)) >> np.uint64(32)
    return places.astype(np.uint16) if partitions <= 1 << 16 else places.astype(np.uint32)
