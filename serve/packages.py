"""Errors of packages that add stages, readers or the like: told as theirs.

Of such an error its type is told and which package it comes from. Its words are not: they may name places of this
server, or hold what it keeps to itself. The log has where it arose, without them.
"""

from __future__ import annotations

import errno
import logging
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import FrameType

from curator.errors import CuratorError
from curator.registry import added
from serve.problems import ProblemError

_HINT = "it is an error of that package; the log of the service has where it arose"

_LIMITS = (errno.ENOMEM, errno.EFBIG)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


@dataclass(frozen=True)
class Fault:
    """What may be told of an error of another package, and where it arose (`trace`)."""

    detail: str
    trace: str

    def as_problem(self) -> ProblemError:
        """The problem that is told; the log is told more."""
        logging.getLogger("curator.serve").error("%s\n%s", self.detail, self.trace)
        return ProblemError("package.failed", self.detail, hint=_HINT)


def fault_of(error: BaseException) -> Fault | None:
    """The fault of a package of somebody else that an error is. None where it is ours, says on purpose what is wrong
    (`CuratorError`), or comes from want of memory, of which a limited process may have too little."""
    found = error
    while isinstance(found, CuratorError) and found.__cause__ is not None:
        found = found.__cause__
    if isinstance(found, CuratorError) or _wants_memory(found):
        return None
    loading, kind = _loading(found), _kind(found)
    if loading is not None:
        return Fault(f"{_package(loading)}, which adds {loading.name!r}, cannot be imported: {kind}", _trace(found))
    entries = _running(found) if found is error else ()
    if not entries:
        return None
    adds = f", which adds {entries[0].name!r}," if len(entries) == 1 else ""
    return Fault(f"{_package(entries[0])}{adds} failed with {kind}", _trace(found))


@contextmanager
def told_as_theirs() -> Iterator[None]:
    """ProblemError for what is a fault of another package; any other error goes on."""
    try:
        yield
    except (Exception, SystemExit) as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault.as_problem() from error


def _trace(error: BaseException) -> str:
    """Where an error arose, without its words and without lines of code, which may hold them."""
    places = traceback.extract_tb(error.__traceback__)
    return "\n".join([*(f"  {place.filename}:{place.lineno} {place.name}" for place in places), type(error).__name__])


def _frames(error: BaseException) -> Iterator[FrameType]:
    """The frames through which an error came, the outermost first."""
    step = error.__traceback__
    while step is not None:
        yield step.tb_frame
        step = step.tb_next


def _loading(error: BaseException) -> EntryPoint | None:
    """The entry point of another package that was being imported."""
    loaded = (frame.f_locals.get("self") for frame in _frames(error) if frame.f_code is EntryPoint.load.__code__)
    return next((entry for entry in loaded if entry in added()), None)


def _running(error: BaseException) -> Sequence[EntryPoint]:
    """What the package adds whose code ran: the stage or the like alone where it is told by the name of its class."""
    for frame in reversed([*_frames(error)]):
        module = str(frame.f_globals.get("__name__"))
        ours = [entry for entry in added() if entry.module.partition(".")[0] == module.partition(".")[0]]
        inside = frame.f_code.co_qualname
        if ours:
            exact = [entry for entry in ours if entry.module == module and inside.startswith(f"{entry.attr}.")]
            return exact or ours
    return ()


def _package(entry: EntryPoint) -> str:
    return "a package" if entry.dist is None else f"the package {entry.dist.name} {entry.dist.version}"


def _kind(error: BaseException) -> str:
    """The type of an error, and of a module that is missing the name: neither is of this server."""
    kind = type(error).__name__ if _NAME.fullmatch(type(error).__name__) else "an error"
    if isinstance(error, ModuleNotFoundError) and _NAME.fullmatch(error.name or ""):
        return f"there is no module {error.name!r}"
    return kind


def _wants_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, is that memory or room in a file was not given."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LIMITS):
            return True
        error = error.__cause__ or error.__context__
    return False
