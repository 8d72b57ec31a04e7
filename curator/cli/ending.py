"""How a command ends: its exit code, what is told of an error, and the end of the process."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

from curator.errors import INTERRUPTED, Bug, CuratorError, Stopped, UserError

_STANDARD_ERROR = 2
"""The greatest descriptor that a stream has from the start."""


def open_closed_streams() -> None:
    """Open streams that were closed before the start (`>&-`) to nowhere: a file of a run would get their descriptors,
    and with them what is written there."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 (a stream for as long as the process lives)


def exit_code(command: Callable[[], None], *, as_json: bool) -> int:
    """Run a command; its exit code. An error of ours becomes a line on standard error, and with `as_json` the document
    on standard output: a command that raises one has not printed its own."""
    try:
        command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        refused = _refused_by_typer(ended, code)
        if refused is not None and as_json:
            _print_document(refused.as_json())
        return code
    except CuratorError as error:
        return _tell(error, error, as_json)
    except OSError as error:
        from curator.storage.refused import refusal

        return _tell(error, refusal(error), as_json)
    except Exception as error:  # noqa: BLE001 (the outermost frame: whatever comes up to here is a bug)
        return _tell(error, None, as_json)
    return 0


def _refused_by_typer(ended: SystemExit, code: int) -> CuratorError | None:
    """What typer has told already, and ended for while it handled that: an option that is none, or Ctrl-C."""
    if isinstance(ended.__context__, typer.TyperException):
        return UserError(ended.__context__.format_message())
    return Stopped("interrupted") if code == INTERRUPTED and isinstance(ended.__context__, typer.Exit) else None


def _tell(raised: Exception, error: CuratorError | None, as_json: bool) -> int:
    """Tell of the error that is being handled, in a line if it is one of ours and no fault; its exit code."""
    is_fault = error is None or error.exit_code == Bug.exit_code
    if is_fault:
        traceback.print_exc()
    else:
        from curator.cli.output import print_note

        print_note(f"curator: {error}")
    code = Bug.exit_code if error is None else error.exit_code
    if as_json:
        # What other libraries say may hold content of documents.
        fault = {"error": type(raised).__name__, "message": None, "exit_code": code}
        _print_document(fault if error is None else error.as_json())
    return code


def _print_document(value: object) -> None:
    from curator.cli.output import print_json

    print_json(value)


def flush() -> None:
    """Write what standard output still holds. TransientError where that is lost."""
    from curator.cli.output import stop_writing

    try:
        sys.stdout.flush()
    except OSError as error:
        stop_writing(sys.stdout, error)


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
