"""What the operating system refuses, wherever it is met: a line that names the place, and no traceback."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from curator.errors import AGAIN, CuratorError, TransientError, UserError
from curator.storage.path import AnyPath

ELSEWHERE = "choose another place"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_NEVER = (*_FORBIDDEN, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""What trying again does not mend."""

_NAMED = re.compile(r"local file '(.+?)'", re.DOTALL)
"""How Arrow names a file; it leaves `OSError.filename` empty."""


def storage_error(error: OSError, path: AnyPath) -> TransientError | UserError:
    """The error of ours that an error of the file system is. One without a number is NumPy's for a short write."""
    said = os.strerror(error.errno) if error.errno else "the disk takes no more"
    if error.errno in _NEVER:
        return UserError(f"cannot be written: {said}", file=str(path), hint=ELSEWHERE)
    full = error.errno is None or error.errno in _FULL
    return _full(said, str(path)) if full else TransientError(f"cannot be written: {said}", file=str(path), hint=AGAIN)


def refusal(error: OSError) -> CuratorError | None:
    """The error of ours for a place that may not be read or written, or for a disk that is full; None for any other,
    which may be a fault of ours."""
    if error.errno is None:
        return None
    said = os.strerror(error.errno)
    named = _NAMED.search(str(error))
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else named and named[1]
    if error.errno in _FULL:
        return _full(said, file)
    if file and error.errno in _FORBIDDEN:
        return UserError(f"cannot be opened: {said}", file=file, hint="check its permissions")
    if file and error.errno == errno.EROFS:
        return UserError(f"cannot be opened: {said}", file=file, hint=ELSEWHERE)
    return None


@contextmanager
def telling_refusals() -> Iterator[None]:
    """Turn what is a `refusal` into that."""
    try:
        yield
    except OSError as error:
        told = refusal(error)
        if told is None:
            raise
        raise told from error


def _full(said: str, file: str | None) -> TransientError:
    return TransientError(f"cannot be written: {said}", file=file, hint=f"free some space, then {AGAIN}")


def at_work(root: AnyPath) -> UserError:
    """What is said where another process holds the lock or the lease of a run directory."""
    hint = "wait until it has ended, or choose another directory"
    return UserError("another process is working in this run directory", file=str(root), hint=hint)
