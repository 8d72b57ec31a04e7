"""The end of the process of a command."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process, once what was registered for its end is done and the streams are flushed.

    Its memory goes back to the system as a whole: Python would take half a million objects apart one by one, 50 ms.
    Where threads of Python still run, or somebody watches this one (a debugger, a profile), Python ends the process.
    """
    if threading.active_count() > 1 or sys.gettrace() is not None or sys.getprofile() is not None:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
