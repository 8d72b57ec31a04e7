"""What the operating system refuses, wherever a command meets it: a line that names the place, and no traceback."""

from __future__ import annotations

import errno
import os
import re

from curator.errors import CuratorError, TransientError, UserError

_REFUSED = {
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "choose another place",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)

_NAMED = re.compile(r"local file '(.+?)'", re.DOTALL)
"""How Arrow names a file; it leaves `OSError.filename` empty."""


def refusal(error: OSError) -> CuratorError | None:
    """The error of ours for a place that may not be read or written, or is full; None for any other, which may be a
    fault of ours."""
    named = _NAMED.search(str(error))
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else named and named[1]
    if error.errno is None or not file:
        return None
    said = os.strerror(error.errno)
    if error.errno in _FULL:
        return TransientError(f"cannot be written: {said}", file=file, hint="free some space, then try again")
    if error.errno in _REFUSED:
        return UserError(f"cannot be opened: {said}", file=file, hint=_REFUSED[error.errno])
    return None
