"""A lease: the lock of a run directory where the storage has no lock and no conditional put.

An object says who holds the directory and is put again every RENEW_SECONDS under a new number. Whoever finds one
watches it: if it changes within WATCH_SECONDS the holder lives and the newcomer is refused; else it is taken over. No
clocks are compared. Whoever puts one reads it back after SETTLE_SECONDS, and the holder reads it before each renewal:
of two that began together the last to put stays, and the other stops.

What it cannot do: between two looks two processes may believe that they hold the directory, for RENEW_SECONDS after a
late put, or until a holder that stood still for more than WATCH_SECONDS (a stopped process, a cut network) looks again.
Nothing of the result is broken then: both work on the same fingerprint, so both put the same bytes under the same
names, and remove nothing that the other needs. The tasks of the slower one may find `work` gone, and events of both may
stand in each other's place.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from types import TracebackType

from curator.errors import TransientError, UserError
from curator.storage.objects import delete_object, put_object, read_object
from curator.storage.path import StoragePath
from curator.storage.refused import at_work

NAME = ".lease"

RENEW_SECONDS = 2.0
WATCH_SECONDS = 8.0
"""Four renewals: a holder that is slow for a moment is not taken for dead."""
SETTLE_SECONDS = 0.5
_LOOK_SECONDS = 0.5


class Lease:
    """Holds a run directory on object storage. UserError when another process does."""

    def __init__(self, root: StoragePath) -> None:
        self._root = root
        self._object = root / NAME
        self._owner = secrets.token_hex(8)
        self._number = 0
        self.lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        if is_renewed(self._root):
            raise at_work(self._root)
        self._put()
        time.sleep(SETTLE_SECONDS)
        if not self._is_mine():
            raise at_work(self._root)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(UserError, TransientError):  # one that stays is taken over by the next run
            if not self.lost and self._is_mine():
                delete_object(self._object)

    def check(self) -> None:
        """UserError when another process has taken the directory over."""
        if self.lost:
            raise UserError(
                "another process took this run directory over while this one stood still",
                file=str(self._root),
                hint="let it finish; what this one committed is kept",
            )

    def _put(self) -> None:
        self._number += 1
        put_object(self._object, json.dumps({"owner": self._owner, "number": self._number}).encode())

    def _is_mine(self) -> bool:
        return self._owner.encode() in (read_object(self._object) or b"")

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            with contextlib.suppress(UserError, TransientError):  # tried again; the tasks meet the same storage
                if not self._is_mine():
                    self.lost = True
                    return
                self._put()


def is_renewed(root: StoragePath) -> bool:
    """Whether somebody renews the lease of a run directory, if there is one, while this process looks."""
    found = read_object(root / NAME)
    end = time.monotonic() + WATCH_SECONDS
    while found is not None and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
        now = read_object(root / NAME)
        if now != found:
            return now is not None  # else it was let go
    return False
