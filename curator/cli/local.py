"""Outputs that have to lie on a disk."""

from __future__ import annotations

import re
from pathlib import Path

from curator.errors import UserError


def need_local(path: Path) -> None:
    """UserError when a path was written as a URL: models are written to a disk, by renames."""
    # A Path has made one slash of two.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", str(path)):
        raise UserError("cannot be written to object storage", file=str(path), hint="choose a local folder")
