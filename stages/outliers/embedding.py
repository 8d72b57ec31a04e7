"""Document embeddings for outlier detection: hashed character n-grams under a signed random projection.

The characters of a document (code points, lower-cased) and its pairs of neighbouring characters are hashed and counted
into 512 buckets; the counts are projected to 64 dimensions by a fixed matrix of +1 and -1 (Achlioptas 2003, the dense
form: distances survive a projection by random signs), and the result is scaled to length 1. All is integer arithmetic
up to the last division, so that the embedding is the same on every machine and in every batch.

Only 1,024 bytes of a document are read: all of a shorter one, else four windows of 256 bytes at even distances. That is
not only cheaper. An embedding of few characters is noisier than one of many, and a forest takes the noise for an
anomaly: with whole documents read, score and log length correlate by -0.6, with 1,024 bytes by -0.35, and the detection
of planted garbage is the same or better (`docs/decisions`, `benchmarks/outliers.py`).

What it does not know: meaning, and the order of characters beyond two in a row.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel
from curator.keys import mix64
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 64
BUCKETS = 512
SAMPLED_BYTES = 1024
WINDOWS = 4

_FOLDED_CODE_POINTS = 0x2000
"""Below this lie nearly all letters with case: Latin, Greek, Coptic, Cyrillic, Armenian, Georgian, Cherokee."""
_CHARACTER_FACTOR = np.uint64(0x94D049BB133111EB)
_PAIR_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd 64-bit constants with well-spread bits; the product's top bits are the bucket (Fibonacci hashing, Knuth 6.4)."""
_BUCKET_SHIFT = np.uint64(64 - 9)
_CODE_POINT_BITS = np.uint64(21)
_SPACE = np.uint32(32)
_ONE, _TWO, _THREE, _FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)


def embed(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float16]:
    """The embeddings of texts: float16[texts, 64], of length 1, or 0 for a text without a character other than space.

    `data` holds valid UTF-8, text i being `data[offsets[i]:offsets[i + 1]]`.
    """
    embeddings = np.zeros((len(offsets) - 1, DIMENSIONS), dtype=np.float32)
    _embed(read_only(data), np.ascontiguousarray(offsets, dtype=np.int64), lower_case(), signs(), embeddings)
    return embeddings.astype(np.float16)


@lru_cache(maxsize=1)
def lower_case() -> NDArray[np.uint16]:
    """The lower case of each code point below 0x2000 where that is one character, else itself: uint16[0x2000]."""
    table = np.arange(_FOLDED_CODE_POINTS, dtype=np.uint16)
    for code_point in range(_FOLDED_CODE_POINTS):
        lower = chr(code_point).lower()
        if len(lower) == 1 and ord(lower) < 0x10000:
            table[code_point] = ord(lower)
    return table


@lru_cache(maxsize=4)
def signs(rows: int = BUCKETS) -> NDArray[np.int8]:
    """The projection: int8[rows, 64] of +1 and -1. Entry (b, d) is bit d of a 64-bit mix of b."""
    words = mix64((np.arange(rows, dtype=np.uint64) + np.uint64(1)) * _PAIR_FACTOR)
    bits = (words[:, None] >> np.arange(DIMENSIONS, dtype=np.uint64)) & np.uint64(1)
    return (bits.astype(np.int8) * 2 - 1).astype(np.int8)


@kernel
def _embed(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    lower: NDArray[np.uint16],
    projection: NDArray[np.int8],
    embeddings: NDArray[np.float32],
) -> None:
    # No count and no sum is larger than 2 * SAMPLED_BYTES.
    counts = np.zeros(BUCKETS, dtype=np.int16)
    filled = np.zeros(BUCKETS + 4, dtype=np.uint64)
    times = np.zeros(BUCKETS + 4, dtype=np.int16)
    sums = np.zeros(DIMENSIONS, dtype=np.int16)
    for row in range(offsets.size - 1):
        # Unsigned where an array is looked into: Numba tests a signed index for being negative.
        size = np.uint64(offsets[row + 1] - offsets[row])
        windows = _ONE if size <= SAMPLED_BYTES else np.uint64(WINDOWS)
        width = size if size <= SAMPLED_BYTES else np.uint64(SAMPLED_BYTES // WINDOWS)
        for window in range(windows):
            place = np.uint64(offsets[row])
            if windows > _ONE:
                place += (size - width) * window // (windows - _ONE)
            stop = place + width
            while place < stop and (data[place] & 0xC0) == 0x80:
                place += _ONE
            before = np.uint64(_SPACE)
            # The last character may reach past `stop`; it never reaches past the text, which is valid UTF-8.
            while place < stop:
                first = np.uint32(data[place])
                if first < 0x80:
                    code_point = first
                    place += _ONE
                elif first < 0xE0:
                    code_point = ((first & np.uint32(0x1F)) << np.uint32(6)) | np.uint32(data[place + _ONE] & 0x3F)
                    place += _TWO
                elif first < 0xF0:
                    code_point = (
                        ((first & np.uint32(0x0F)) << np.uint32(12))
                        | (np.uint32(data[place + _ONE] & 0x3F) << np.uint32(6))
                        | np.uint32(data[place + _TWO] & 0x3F)
                    )
                    place += _THREE
                else:
                    code_point = (
                        ((first & np.uint32(0x07)) << np.uint32(18))
                        | (np.uint32(data[place + _ONE] & 0x3F) << np.uint32(12))
                        | (np.uint32(data[place + _TWO] & 0x3F) << np.uint32(6))
                        | np.uint32(data[place + _THREE] & 0x3F)
                    )
                    place += _FOUR
                if code_point < _FOLDED_CODE_POINTS:
                    code_point = np.uint32(lower[code_point])
                if code_point <= _SPACE:
                    if before == np.uint64(_SPACE):
                        continue
                    code_point = _SPACE
                character = np.uint64(code_point)
                pair = (before << _CODE_POINT_BITS) | character
                counts[(character * _CHARACTER_FACTOR) >> _BUCKET_SHIFT] += 1
                counts[(pair * _PAIR_FACTOR) >> _BUCKET_SHIFT] += 1
                before = character
        # Which buckets are empty cannot be foretold: those that are not are gathered first. Then four at a time are
        # added, with empty ones behind the last.
        used = np.uint64(0)
        for bucket in range(np.uint64(BUCKETS)):
            count = counts[bucket]
            counts[bucket] = 0
            filled[used] = bucket
            times[used] = count
            used += np.uint64(count != 0)
        for entry in range(used, used + _THREE):
            filled[entry] = 0
            times[entry] = 0
        for dimension in range(np.uint64(DIMENSIONS)):
            sums[dimension] = 0
        for entry in range(np.uint64(0), used, _FOUR):
            first, second = times[entry], times[entry + _ONE]
            third, fourth = times[entry + _TWO], times[entry + _THREE]
            first_row, second_row = filled[entry], filled[entry + _ONE]
            third_row, fourth_row = filled[entry + _TWO], filled[entry + _THREE]
            for dimension in range(np.uint64(DIMENSIONS)):
                sums[dimension] += (
                    first * projection[first_row, dimension]
                    + second * projection[second_row, dimension]
                    + third * projection[third_row, dimension]
                    + fourth * projection[fourth_row, dimension]
                )
        square = np.int64(0)
        for dimension in range(DIMENSIONS):
            square += np.int64(sums[dimension]) * np.int64(sums[dimension])
        if square > 0:
            length = np.sqrt(np.float64(square))
            for dimension in range(DIMENSIONS):
                embeddings[row, dimension] = np.float32(np.float64(sums[dimension]) / length)
