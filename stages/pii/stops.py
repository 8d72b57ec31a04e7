"""Bytes at which candidates of `stages.pii.scan` begin, or by which they are told: hardly any in running text.

They are looked for many at a time, without a branch, so that the scan need not read what stands between them. Capitals
are none: a candidate has a sign, a digit, or a word that a sign stands before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK: Final = 32
"""Bytes that are looked at together."""
_AHEAD: Final = 16
"""Bytes behind one that are looked at with it."""
_CASE: Final = np.uint8(0x20)
"""In what small letters of ASCII differ from capitals."""
_ONE, _TWO, _THREE, _FIVE, _SIXTEEN = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(5), np.uint64(16)


@inline_kernel
def _is_letter(byte: np.uint8) -> bool:
    return bool(((byte | _CASE) >= 97) & ((byte | _CASE) <= 122))


@inline_kernel
def _is_stop(data: NDArray[np.uint8], place: np.uint64) -> bool:
    """Whether what stands at a byte can make a candidate; cheap, and true too often rather than too seldom.

    A word of letters alone can be part of a key, the first line of a PEM block or the beginning of a MAC address: that
    is told at the sign before or behind it. There is no branch in it, so that it is asked of many bytes at once. A byte
    before and _AHEAD bytes behind are read.
    """
    before, byte, after, second = data[place - _ONE], data[place], data[place + _ONE], data[place + _TWO]
    digit = (byte >= 48) & (byte <= 57)
    # Of a URL, or of an address with a second colon.
    hex_letter = ((after | _CASE) >= 97) & ((after | _CASE) <= 102)
    colon = (byte == 58) & ((after >= 46) & (after <= 58) | hex_letter)
    key = ((byte == 95) | (byte == 45)) & _is_letter(after) & _is_letter(data[place + _SIXTEEN])
    block = (byte == 45) & (after == 66) & (second == 69)
    pairs = (byte == 45) & (data[place + _THREE] == 45) & _is_letter(before)
    groups = (byte == 46) & (data[place + _FIVE] == 46) & _is_letter(before)
    # Digits of other scripts.
    arabic = (byte == 0xD9) & (after >= 0xA0) & (after <= 0xA9) | (byte == 0xDB) & (after >= 0xB0) & (after <= 0xB9)
    low, high = (second >= 0x90) & (second <= 0x99), (second >= 0xA0) & (second <= 0xAF)
    indian = (byte == 0xE0) & ((after >= 0xA5) & (after <= 0xB5) & high | ((after == 0xB9) | (after == 0xBB)) & low)
    burmese = (byte == 0xE1) & (after == 0x81) & (second <= 0x89)
    tibetan = ((byte == 0xE0) & (after == 0xBC) | (byte == 0xE1) & (after == 0x9F)) & high
    wide = (byte == 0xEF) & (after == 0xBC) & (low | (second == 0xA0))
    other = arabic | indian | burmese | tibetan | wide
    return bool(digit | (byte == 64) | colon | key | block | pairs | groups | other)


@inline_kernel
def find_stops(data: NDArray[np.uint8], place: np.uint64, stops: NDArray[np.uint8]) -> int:
    """Write where in the block of bytes at `place` candidates can be (`_is_stop`) to `stops`, uint8[2 * BLOCK];
    return how many there are. Near the ends of the buffer that is every byte."""
    if place < _ONE or place + np.uint64(BLOCK + _AHEAD) > np.uint64(len(data)):
        for step in range(np.uint64(BLOCK)):
            stops[step] = step
        return BLOCK
    found = False
    for step in range(np.uint64(BLOCK)):
        stop = _is_stop(data, place + step)
        stops[np.uint64(BLOCK) + step] = stop
        found = found | stop
    count = np.uint64(0)
    if found:
        for step in range(np.uint64(BLOCK)):
            stops[count] = step
            count += np.uint64(stops[np.uint64(BLOCK) + step])
    return int(count)
