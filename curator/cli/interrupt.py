"""Ctrl-C and SIGTERM, for commands whose work can be gone on with."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from curator.errors import Stopped


@contextmanager
def stopping(said: str) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end what is done within, by KeyboardInterrupt, and be Stopped with what is said.
    Further ones do nothing while that is put away. What the start had ignored (`nohup`) stays so."""
    told = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handled = {number: handler for number, handler in told.items() if handler not in (None, signal.SIG_IGN)}
    came: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        raise KeyboardInterrupt

    try:
        for number in handled:
            signal.signal(number, stop)
        yield
    except KeyboardInterrupt:
        raise Stopped(f"interrupted; {said}", *came) from None
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
