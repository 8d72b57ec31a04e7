"""How often Python's collector looks for cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_seldom() -> None:
    """Look every 20,000 objects instead of 700: a start makes hundreds of thousands that stay, and looking through them
    again and again took a tenth of it."""
    gc.set_threshold(20_000, 10, 10)


@contextmanager
def loading() -> Iterator[None]:
    """Look for no cycles while that is loaded which stays until the process ends, and never at it afterwards."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
