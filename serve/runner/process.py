"""A worker process, seen from the server: launched, or found running by the next server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from curator.allocator import MALLOC, POOL_VARIABLE
from curator.run.store import OWNER_ONLY, make_folder, put
from serve.environment import without_secrets
from serve.runner.task import ADOPTED, HEARTBEAT, LOCK, LOG, PID, TASK, AnyTask, Outcome, read_outcome

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_ONE_ALLOCATOR = {POOL_VARIABLE: MALLOC}
"""Arrow is loaded there before `keep_memory` could say so."""


@dataclass
class WorkerProcess:
    """The process of one attempt, by its folder. `child` is its number where this server launched it."""

    folder: Path
    child: int | None = None

    def launch(self, task: AnyTask) -> None:
        """Start it, unless it lives. The lock is taken here and handed on, so that there is no moment without it."""
        make_folder(self.folder.parent.parent, OWNER_ONLY)
        make_folder(self.folder.parent, OWNER_ONLY)
        make_folder(self.folder, OWNER_ONLY)
        put(self.folder / TASK, task.model_dump_json().encode())
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with (self.folder / LOG).open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 (our own module, and a folder that we named)
                    [sys.executable, "-m", "serve.runner.worker", str(self.folder), str(descriptor)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=_environment(),
                    pass_fds=(descriptor,),
                    start_new_session=True,
                )
            self.child = process.pid
            process.returncode = 0  # `is_alive` waits for it; it may outlive this server, and is no leak then
        except BlockingIOError:
            return  # it lives already
        finally:
            os.close(descriptor)

    def is_alive(self) -> bool:
        """Whether the process holds its lock."""
        if self.child is not None:
            with contextlib.suppress(ChildProcessError):  # it was waited for before
                os.waitpid(self.child, os.WNOHANG)
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def ask_to_end(self) -> bool:
        """Tell it to end; what it has finished stays. Whether it could be told: it may not have begun to listen."""
        return self._signal(signal.SIGTERM)

    def kill(self) -> bool:
        """End it, and what it started. Whether it could be."""
        return self._signal(signal.SIGKILL)

    def heartbeat(self) -> float | None:
        """When it was last heard of, in seconds since 1970."""
        try:
            return (self.folder / HEARTBEAT).stat().st_mtime
        except FileNotFoundError:
            return None

    def has_adopted(self) -> bool:
        """Whether what it follows ran already when it came."""
        return (self.folder / ADOPTED).exists()

    def outcome(self) -> Outcome | None:
        """How it ended, None where it left no word."""
        return read_outcome(self.folder)

    def _signal(self, number: signal.Signals) -> bool:
        try:
            pid = int((self.folder / PID).read_text())
            descriptor = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError):
            return False  # it has not begun, or has ended
        try:
            # While the lock is held the process of this number is the one that wrote it, and so is the descriptor's.
            if not self.is_alive():
                return False
            if number == signal.SIGKILL:
                os.killpg(pid, number)  # it leads a session of its own
            else:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def _environment() -> dict[str, str]:
    return _ONE_ALLOCATOR | without_secrets() | _ONE_THREAD
