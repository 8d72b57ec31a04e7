"""How often Python's collector looks for cycles."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Look every 20,000 objects instead of 700: a start makes hundreds of thousands that stay, and looking through them
    again and again took a tenth of it."""
    gc.set_threshold(20_000, 10, 10)
