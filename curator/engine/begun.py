"""Which jobs a process had begun in itself when it died, so that the next one does not die of them too.

A folder of tasks has one such file while jobs run in the driver's own process: a file for each job took 0.3 ms to make
and remove. It outlives the process, not a failure of power, which no job is to blame for.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

NAME = ".begun"


class BegunJobs:
    """The names of jobs in which earlier processes died (`died`), and of the one that runs now, one a line."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            self.died = set(file.read().decode().splitlines())

    def __enter__(self) -> BegunJobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._put(self.died)
        os.close(self._descriptor)
        if not self.died:
            self._path.unlink(missing_ok=True)

    def begin(self, name: str) -> None:
        """Note that a job begins, in the place of the one before, which has ended."""
        self._put({*self.died, name})

    def survived(self, name: str) -> None:
        """Strike out a job in which an earlier process died."""
        self.died.discard(name)
        self._put(self.died)

    def _put(self, names: set[str]) -> None:
        data = "\n".join(sorted(names)).encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))
