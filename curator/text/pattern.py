"""Regular expressions that are compiled when they are first used.

A module with many of them, most for texts that a run may never meet, takes longer to load than to run.
"""

from __future__ import annotations

import re
from typing import cast


class _Pattern:
    """Becomes what it stands for, a method at a time: what was used once costs no more than the pattern itself."""

    def __init__(self, source: str, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        value: object = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, value)
        return value


def pattern(source: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, later. A mistake in `source` is told (re.error) by the first use."""
    return cast("re.Pattern[str]", _Pattern(source, flags))
