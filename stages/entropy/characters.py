"""Entropy of the distribution of a text's characters, and what one tells of the next."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel
from curator.text.segment import read_only
from stages.entropy.weights import TABULATED, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORDER_PAIRS = 200
ORDER_PAIRS_PER_CLASS = 8
"""Pairs of neighbours that `order` needs, in all and for each class of character that occurs (about 230 in Latin
letters, 500 in ideographs); with fewer, chance and structure cannot be told apart, and it is null."""

_CLASSES = 64
_CODE_POINTS = 0x110000
_ZERO, _ONE, _SIX, _SEVEN = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(7)
_LOW_4, _LOW_5, _LOW_6, _LOW_15 = np.uint64(0x0F), np.uint64(0x1F), np.uint64(0x3F), np.uint64(0x7FFF)
_TWO_BYTES, _THREE_BYTES, _FOUR_BYTES = np.uint64(0xC0), np.uint64(0xE0), np.uint64(0xF0)


def measure_characters(
    data: NDArray[np.uint8], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each text: bits of the distribution of its characters (0 where it has none), and bits that a character inside
    a word tells of the next (NaN for a short one)."""
    bits, order = (np.zeros(len(offsets) - 1, dtype=np.float64) for _ in range(2))
    _measure_characters(read_only(data), read_only(offsets), _classes(), weights(), bits, order)
    return bits, order


@lru_cache(maxsize=1)
def _classes() -> NDArray[np.uint8]:
    """The class of each ASCII character in `order`: letters by their place in the alphabet, each digit its own, 64
    (none) for what is not inside a word. Other code points have that of their last six bits: uint8[128]."""
    classes = np.full(128, _CLASSES, dtype=np.uint8)
    for code in range(128):
        if chr(code).isalpha():
            classes[code] = code & 31
        elif chr(code).isdigit():
            classes[code] = 32 + code - ord("0")
    return classes


@kernel
def _measure_characters(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    classes: NDArray[np.uint8],
    table: NDArray[np.float64],
    bits: NDArray[np.float64],
    order: NDArray[np.float64],
) -> None:
    texts = offsets.shape[0] - 1
    longest = 0
    for text in range(texts):
        longest = max(longest, min(offsets[text + 1] - offsets[text], _CODE_POINTS))
    counts = np.zeros(_CODE_POINTS, dtype=np.uint32)
    met = np.empty(longest, dtype=np.uint32)
    # A pair is former * 128 + latter. Those of class 64, which is none, seem to be known from the first, so that they
    # are never among those that are met.
    pairs = np.zeros((_CLASSES + 1) * 128, dtype=np.uint32)
    for index in range(_CLASSES + 1):
        pairs[index * 128 + _CLASSES] = 1
        pairs[_CLASSES * 128 + index] = 1
    met_pairs = np.empty(_CLASSES * _CLASSES + 1, dtype=np.uint16)
    formers = np.zeros(_CLASSES, dtype=np.uint32)
    latters = np.zeros(_CLASSES, dtype=np.uint32)
    for text in range(texts):
        # Unsigned throughout: Numba lets a negative index count from the end, and tests each signed one for it.
        place, end = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        distinct = _ZERO
        pair_kinds = _ZERO
        former = np.uint64(_CLASSES)
        while place < end:
            code = np.uint64(data[place])
            if code < _TWO_BYTES:
                found = np.uint64(classes[code])
                place += _ONE
            else:
                if code < _THREE_BYTES:
                    code = (code & _LOW_5) << _SIX | (np.uint64(data[place + _ONE]) & _LOW_6)
                    place += _ONE + _ONE
                else:
                    second = (np.uint64(data[place + _ONE]) & _LOW_6) << _SIX
                    code = (code & _LOW_4) << _SIX << _SIX | second | (np.uint64(data[place + _ONE + _ONE]) & _LOW_6)
                    place += _ONE + _ONE + _ONE
                    if data[place - _ONE - _ONE - _ONE] >= _FOUR_BYTES:
                        code = (code & _LOW_15) << _SIX | (np.uint64(data[place]) & _LOW_6)
                        place += _ONE
                found = code & _LOW_6
            times = counts[code]
            if times == 0:
                met[distinct] = code
                distinct += _ONE
            counts[code] = times + 1
            pair = former << _SEVEN | found
            times = pairs[pair]
            # Most kinds of pairs are met once or twice, so that a branch would often be foretold wrongly.
            met_pairs[pair_kinds] = pair
            pair_kinds += _ONE if times == 0 else _ZERO
            pairs[pair] = times + 1
            former = found

        characters = 0
        weighted = 0.0
        for index in range(distinct):
            code = met[index]
            times = counts[code]
            counts[code] = 0
            characters += times
            weighted += table[times] if times < TABULATED else times * np.log2(times)
        if distinct > 1:
            correction = (distinct - 1) / (2.0 * characters * np.log(2.0))
            bits[text] = np.log2(characters) - weighted / characters + correction

        total = 0
        once = 0
        twice = 0
        weighted = 0.0
        for index in range(pair_kinds):
            pair = np.uint64(met_pairs[index])
            times = pairs[pair]
            pairs[pair] = 0
            total += times
            once += int(times == 1)
            twice += int(times == 2)
            weighted += table[times] if times < TABULATED else times * np.log2(times)
            formers[pair >> _SEVEN] += times
            latters[pair & _LOW_6] += times
        former_kinds = 0
        latter_kinds = 0
        for index in range(_CLASSES):
            times = formers[index]
            formers[index] = 0
            former_kinds += 1 if times > 0 else 0
            weighted -= table[times] if times < TABULATED else times * np.log2(times)
        for index in range(_CLASSES):
            times = latters[index]
            latters[index] = 0
            latter_kinds += 1 if times > 0 else 0
            weighted -= table[times] if times < TABULATED else times * np.log2(times)
        order[text] = np.nan
        if total >= max(ORDER_PAIRS, ORDER_PAIRS_PER_CLASS * former_kinds):
            kinds = np.int64(pair_kinds)
            possible = min(kinds + once * (once - 1) / (2.0 * (twice + 1)), 1.0 * former_kinds * latter_kinds)
            bias = (possible - former_kinds - latter_kinds + 1) / (2.0 * total * np.log(2.0))
            order[text] = np.log2(total) + weighted / total - bias
