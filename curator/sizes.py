"""Byte sizes as people write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_FACTORS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "p": 10**15,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
    "pi": 2**50,
}
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]i?)?b?\s*", re.IGNORECASE)


def parse_size(value: object) -> int:
    """Bytes of `128MB`, `4 GiB`, `500M` or a plain number (MB = 10**6, MiB = 2**20). ValueError on anything else."""
    if isinstance(value, bool):
        raise ValueError("expected a size such as 128MB")
    if isinstance(value, int):
        return value
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a size such as 128MB, 4GiB or a number of bytes")
    return int(float(match.group(1)) * _FACTORS[(match.group(2) or "").lower()])


def format_size(size: float) -> str:
    """A size for people: three digits and a unit (`12.3 MB`)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} PB" if size < 1000 else f"{size:,.0f} PB"


Size = Annotated[
    int, BeforeValidator(parse_size), WithJsonSchema({"type": ["integer", "string"], "description": "bytes, or 128MB"})
]
"""A pydantic field that takes `128MB` and holds bytes."""
