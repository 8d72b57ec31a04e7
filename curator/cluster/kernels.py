"""Where a node keeps the kernels that shipped code compiles: with the copy of it that is installed there, if it is one.

Numba keeps what it compiled beside the source. Shipped code lies in a new folder of each cluster, where the kernels of
a recipe would be compiled again, for minutes. Where the same distribution is installed on the node, byte for byte (as
in an image of the same release), its kernels are taken, wherever Numba keeps those. Whole packages are compared: a
kernel has the code of others in it, and constants of other files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

from curator.code import files_below, hash_files


class InstalledKernels:
    """A locator as Numba calls it: hands the question on, asked for the file that is installed."""

    @classmethod
    def from_function(cls, py_func: Callable[..., object], py_file: str) -> object | None:
        """The locator of a function; None where its package is not installed here as it was shipped."""
        file = Path(py_file)
        top = sys.modules[py_func.__module__.partition(".")[0]]
        shipped = Path(next(iter(getattr(top, "__path__", [file.parent]))))
        installed = _installed(top.__name__, str(shipped))
        if installed is None or not file.is_relative_to(shipped):
            return None
        same = str(installed / file.relative_to(shipped))
        for kind in (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator):
            locator: object | None = kind.from_function(py_func, same)  # type: ignore[no-untyped-call]  # Numba's own
            if locator is not None:
                return locator
        return None


@cache
def _installed(package: str, shipped: str) -> Path | None:
    """The folder of a package where it is installed beside its shipped copy, and is the same."""
    others = [entry for entry in sys.path if Path(entry) != Path(shipped).parent]
    found = PathFinder.find_spec(package, others) or _found_otherwise(package)
    for location in (found.submodule_search_locations or ()) if found is not None else ():
        folder = Path(location)
        if folder != Path(shipped) and hash_files(files_below(folder)) == hash_files(files_below(Path(shipped))):
            return folder
    return None


def _found_otherwise(package: str) -> ModuleSpec | None:
    """What finders other than that of `sys.path` find, such as those of editable installations."""
    for finder in sys.meta_path:
        if finder is not PathFinder:
            spec = finder.find_spec(package, None)
            if spec is not None:
                return spec
    return None
