"""Modules outside of packages, which Ray cannot ship by themselves: they go into a folder that is found on each node.

Ray imports this module in every worker and in the process that watches over the driver, before anything else of ours;
so it imports nothing of ours itself.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

LOOSE = "curator_modules"
"""The folder."""


def add_loose_modules() -> None:
    """Let this process of a job find the modules of LOOSE, where some were shipped. Ray calls it in each worker."""
    found = find_spec(LOOSE)
    for location in (found.submodule_search_locations or ()) if found is not None else ():
        if location not in sys.path:
            sys.path.append(location)
