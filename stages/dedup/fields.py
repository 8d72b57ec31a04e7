"""What deduplication reads of a document's metadata: when it was made, how good it is, and its URL.

A rank is a number below 2**RANK_BITS; of two documents the one with the smaller rank stays, and with equal ranks the
one that comes first in the input. Dates count by the day, scores to about four significant digits.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from blake3 import blake3

from stages.dedup.urls import canonical_url

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

Keeper = Literal["first", "longest", "oldest", "newest", "best"]

RANK_BITS = 22
LAST_RANK = (1 << RANK_BITS) - 1
"""The rank of a document that says nothing: one that does stays in its place."""

_FLOAT_BITS = 32
_SIGN = np.uint32(1 << 31)
_EVERY = np.uint32(0xFFFFFFFF)
_GREATEST = float(np.finfo(np.float32).max)
_LAST_DAY = datetime.date.max.toordinal()
_YEAR_OR_MONTH = re.compile(r"[0-9]{4}(?:-[0-9]{2})?")
"""Dates of reduced precision (ISO 8601-1:2019, 5.2.2.2): a year, or a month of one."""


def rank_of_length(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The longest first, up to LAST_RANK tokens: int64[rows]."""
    return LAST_RANK - np.minimum(tokens, LAST_RANK)


def rank_of_field(metadata: pa.StringArray, name: str, keeper: Keeper) -> NDArray[np.int64]:
    """Ranks by the field `name` of each document's metadata: int64[rows], LAST_RANK where it is missing or makes no
    sense.

    For `oldest` and `newest` the field is an ISO 8601 date (a year or month stands for its first day, a time with an
    offset for its day in UTC) or seconds since 1970; for `best` a number, the higher the better. Numbers may be text.
    """
    if keeper == "best":
        numbers = np.array([_number(value) for value in _values(metadata, name)], dtype=np.float64)
        return _rank_of_scores(np.clip(numbers, -_GREATEST, _GREATEST).astype(np.float32))
    days = [_day(value) for value in _values(metadata, name)]
    ranks = [LAST_RANK if day is None else _LAST_DAY - day if keeper == "newest" else day for day in days]
    return np.array(ranks, dtype=np.int64)


def url_hashes(metadata: pa.StringArray, name: str) -> NDArray[np.uint64]:
    """A 128-bit hash of the canonical URL in the field `name` of each document: uint64[rows, 2], zeros where there is
    none."""
    hashes = np.zeros((len(metadata), 2), dtype=np.uint64)
    for row, value in enumerate(_values(metadata, name)):
        canonical = canonical_url(value) if isinstance(value, str) else None
        if canonical is not None:
            hashes[row] = np.frombuffer(blake3(canonical.encode()).digest(16), dtype=np.uint64)
    return hashes


def _values(metadata: pa.StringArray, name: str) -> Iterator[object]:
    """The field of each document, None where it has none."""
    decoder = msgspec.json.Decoder(dict[str, object])
    for text in metadata.to_pylist():
        yield None if text is None else decoder.decode(text).get(name)


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return math.nan
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if isinstance(value, int) and value > 0 else -math.inf


def _rank_of_scores(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    bits = scores.view(np.uint32)
    # The bits of floats in the order of their values (IEEE 754: sign and magnitude), then descending.
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    ranks = ((_EVERY - ascending) >> np.uint32(_FLOAT_BITS - RANK_BITS)).astype(np.int64)
    return np.where(np.isnan(scores), LAST_RANK, np.minimum(ranks, LAST_RANK - 1))


def _day(value: object) -> int | None:
    """The day as a proleptic Gregorian ordinal."""
    try:
        if isinstance(value, str) and (moment := _moment(value)) is not None:
            return (moment if moment.tzinfo is None else moment.astimezone(datetime.UTC)).toordinal()
        return datetime.datetime.fromtimestamp(_number(value), datetime.UTC).toordinal()
    except (ValueError, OverflowError, OSError):
        return None


def _moment(value: str) -> datetime.datetime | None:
    """What an ISO 8601 date says, None for what is none."""
    if _YEAR_OR_MONTH.fullmatch(value):
        value = f"{value}-01" if "-" in value else f"{value}-01-01"
    try:
        return datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
