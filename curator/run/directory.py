"""The run directory: what lies where (see docs/reference.md for what each file holds)."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from curator.errors import UserError
from curator.run.store import OWNER_ONLY, make_folder, storage_error


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run."""

    root: Path

    @property
    def manifest(self) -> Path:
        """`manifest.json`, written last."""
        return self.root / "manifest.json"

    @property
    def shards(self) -> Path:
        """Kept documents."""
        return self.root / "shards"

    @property
    def scores(self) -> Path:
        """Every scalar annotation of every document."""
        return self.root / "scores"

    @property
    def decisions(self) -> Path:
        """Every verdict other than keep."""
        return self.root / "decisions"

    @property
    def failed(self) -> Path:
        """Records that could not be read."""
        return self.root / "failed"

    @property
    def report(self) -> Path:
        """`report.html`."""
        return self.root / "report.html"

    @property
    def events(self) -> Path:
        """Numbered pieces of the event log."""
        return self.root / "events"

    @property
    def work(self) -> Path:
        """Committed outputs of tasks."""
        return self.root / "work"

    def phase(self, name: str) -> Path:
        """The folder of one phase in `work`, made if it is not there."""
        return make_folder(self.work / name)

    def is_used(self) -> bool:
        """Whether the directory holds anything."""
        if not os.path.isdir(self.root):  # noqa: PTH112 (Path.is_dir raises where it may not look)
            return False
        try:
            entries = {path.name for path in self.root.iterdir()}
            if entries <= {self.events.name, self.work.name}:
                # An attempt that was killed before it said anything leaves empty folders.
                return any(path.name[0] != "." for name in entries for path in (self.root / name).iterdir())
            return True
        except OSError as error:
            raise storage_error(error, self.root) from error

    def create(self) -> None:
        """Make the folders. `work` is readable by the owner alone: it holds texts as they came in."""
        make_folder(self.root)
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise UserError("cannot be written: permission denied", file=str(self.root), hint="choose another output")
        make_folder(self.events)
        make_folder(self.work, OWNER_ONLY)

    def remove_unless_begun(self) -> None:
        """Undo `create` if no task has committed: a run that was refused leaves an empty folder, fit for the next."""
        if any(self.work.rglob("*.json")):
            return
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.events, ignore_errors=True)

    def sweep(self) -> None:
        """Remove files that an attempt was writing when it was killed."""
        for folder in (self.root, self.events):
            for path in folder.glob(".[0-9]*-*"):
                path.unlink(missing_ok=True)

    def remove_work(self) -> None:
        """Remove the committed outputs of tasks."""
        shutil.rmtree(self.work, ignore_errors=True)


class RunLock:
    """Holds a run directory for one process; the kernel lets go when the process ends, however it ends."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        root = self._directory.root
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise UserError("another process is working in this run directory", file=str(root)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
