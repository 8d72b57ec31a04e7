"""The run directory: what lies where (see docs/reference.md for what each file holds)."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from curator.errors import Bug, UserError
from curator.run.store import OWNER_ONLY, make_folder
from curator.storage.path import AnyPath, StoragePath, matching
from curator.storage.refused import at_work, storage_error
from curator.storage.spool import IDENTITY_DIGITS, release

if TYPE_CHECKING:
    from curator.storage.lease import Lease

LOOK_SECONDS = 0.2
"""How long a run directory may be held by who looks whether it is."""

FIRST_EVENTS = "000001.jsonl"
"""The piece of events that every attempt leaves before any task is run."""


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run. `identity` tells on object storage whose tasks `work` holds (see `with_identity`)."""

    root: AnyPath
    identity: str | None = None

    def with_identity(self, fingerprint: str) -> RunDirectory:
        """The directory for a run of this fingerprint (hexadecimal): a node's copies of its tasks' files are then never
        taken for those of another run that stood in the same place."""
        return replace(self, identity=fingerprint[:IDENTITY_DIGITS])

    @property
    def manifest(self) -> AnyPath:
        """`manifest.json`, written last."""
        return self.root / "manifest.json"

    @property
    def shards(self) -> AnyPath:
        """Kept documents."""
        return self.root / "shards"

    @property
    def heldout(self) -> AnyPath:
        """Documents that are held out."""
        return self.root / "heldout"

    @property
    def scores(self) -> AnyPath:
        """Every scalar annotation of every document."""
        return self.root / "scores"

    @property
    def decisions(self) -> AnyPath:
        """Every verdict other than keep."""
        return self.root / "decisions"

    @property
    def failed(self) -> AnyPath:
        """Records that could not be read."""
        return self.root / "failed"

    @property
    def report(self) -> AnyPath:
        """`report.html`."""
        return self.root / "report.html"

    @property
    def events(self) -> AnyPath:
        """Numbered pieces of the event log."""
        return self.root / "events"

    @property
    def work(self) -> AnyPath:
        """Committed outputs of tasks."""
        return self.root / "work"

    @property
    def tasks(self) -> AnyPath:
        """The folder in `work` that holds those of this run."""
        if isinstance(self.root, Path):
            return self.work
        if self.identity is None:
            raise Bug("a run on object storage has an identity before it has tasks")
        return self.work / self.identity

    def phase(self, name: str) -> AnyPath:
        """The folder of one phase in `tasks`, made if it is not there."""
        return make_folder(self.tasks / name)

    def has_begun(self) -> bool:
        """Whether a run has said something here, or has ended."""
        return self.manifest.is_file() or (self.events / FIRST_EVENTS).is_file()

    def is_used(self) -> bool:
        """Whether the directory holds anything."""
        if isinstance(self.root, StoragePath):
            # The first piece of events and the manifest are asked for by name: a listing alone decides nothing here.
            return self.has_begun() or _holds_objects(self.root)
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
        if isinstance(self.root, StoragePath):
            return  # who may read a bucket is not ours to say
        make_folder(self.root)
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise UserError("cannot be written: permission denied", file=str(self.root), hint="choose another output")
        make_folder(self.events)
        make_folder(self.work, OWNER_ONLY)

    def remove_unless_begun(self) -> None:
        """Undo `create` if no task has committed: a run that was refused leaves an empty folder, fit for the next."""
        if any(self.work.rglob("*.json")):
            return
        self.clear(self.work.name)
        self.clear(self.events.name)

    def sweep(self) -> None:
        """Remove files that an attempt was writing when it was killed; an object is there whole or not at all."""
        if isinstance(self.root, StoragePath):
            return
        for folder in (self.root, self.events):
            for path in folder.glob(".[0-9]*-*"):
                path.unlink(missing_ok=True)

    def remove_work(self) -> None:
        """Remove the committed outputs of tasks."""
        self.clear(self.work.name)

    def clear(self, name: str) -> None:
        """Remove a folder of the run with all that is in it, if it is there."""
        if isinstance(self.root, StoragePath):
            from curator.storage.objects import delete_folder

            delete_folder(self.root / name)
        else:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def keep_only(self, name: str, files: Sequence[str]) -> None:
        """Remove what a folder of the run holds beside these files; an empty one goes as a whole. After they were put:
        should another process finish the same run meanwhile, it finds nothing missing."""
        if not files:
            self.clear(name)
        for path in matching(self.root / name, "*") if files else ():
            if path.name not in files:
                path.unlink()

    def release(self) -> None:
        """Remove what this node keeps of the tasks' files beside the run directory itself."""
        if self.identity is not None:
            release(self.tasks)


def _holds_objects(root: StoragePath) -> bool:
    from curator.storage.lease import NAME
    from curator.storage.objects import list_folder

    return any(entry.size is not None and entry.path != root / NAME for entry in list_folder(root, recursive=True))


def _lock(descriptor: int) -> None:
    """Hold a file alone. BlockingIOError where another process goes on to hold it: one that looks whether anybody does
    (`curator.cluster.state.is_worked_in`) has it for a moment."""
    end = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_SECONDS / 20)
        else:
            return


class RunLock:
    """Holds a run directory for one process; the kernel lets go when the process ends, however it ends. On object
    storage a lease does this, with the limits that `curator.storage.lease` states."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._lease: Lease | None = None

    def __enter__(self) -> RunLock:
        root = self._directory.root
        if isinstance(root, StoragePath):
            from curator.storage.lease import Lease

            self._lease = Lease(root)
            self._lease.__enter__()
            return self
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise at_work(root) from error
            raise UserError(
                f"the file system cannot lock it: {error.strerror}",
                file=str(root),
                hint="choose an output on one that can, as NFS version 4",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lease is not None:
            self._lease.__exit__(kind, value, traceback)
        if self._descriptor is not None:
            os.close(self._descriptor)

    @property
    def is_held(self) -> bool:
        """Whether no other process has taken the directory over, as far as is known."""
        return self._lease is None or not self._lease.lost

    def check(self, _event: object = None) -> None:
        """UserError when the directory is held no more. It is a listener of events: asked whenever a task is done."""
        if self._lease is not None:
            self._lease.check()
