"""Arrow without pandas.

Arrow loads pandas, where that is installed, as soon as it is given a Python value, to see whether the value is one of
pandas'. Nothing here is; it took a tenth of what ten documents take.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa

from curator.registry import is_extended

_PANDAS = "pandas"


class _Absent(MetaPathFinder):
    """A finder for which pandas is not installed."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name == _PANDAS:
            raise ModuleNotFoundError(name, name=name)
        return None


def keep_pandas_out() -> None:
    """Let Arrow look for pandas now, and not find it; it does not look again until somebody calls `to_pandas`.

    For processes that do nothing but work on a run. Where other packages have added stages or readers, which may hand
    Arrow values of pandas, or pandas is loaded already, nothing is done.
    """
    if _PANDAS in sys.modules or is_extended():
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([""])
        pa.scalar("")
    finally:
        sys.meta_path.remove(absent)
