"""Anchors: places of a text that every text with the same stretch of units marks in the same way.

Winnowing (Schleimer, Wilkerson, Aiken 2003, section 2): of every window of consecutive grams of units the one with the
least hash is marked, the last one of equals. What is marked depends on the window alone, so two texts that share a
stretch of `window + gram - 1` units share an anchor in it, at the same place of the stretch.

A gram of half of that length keeps both small: the share of units that are marked (2 / (window + 1)), and the chance
that a gram is shared by texts that share no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel
from curator.text.fold import finish
from curator.text.segment import UNSPACED, Units

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BASE = np.uint64(0x9FB21C651E98DF25)
"""An odd constant with irregular bits: the base of the rolling polynomial (Karp, Rabin 1987) over unit hashes."""
_ODD = np.uint64(1)


@dataclass(frozen=True)
class Measure:
    """How long a repeat must be: `units` words, or `characters` units of scripts without spaces, or a mixture, to which
    each unit adds its share."""

    units: int
    characters: int

    @property
    def whole(self) -> int:
        """The mass of such a repeat; a word has `characters` of it, a character `units`."""
        return self.units * self.characters

    @property
    def gram(self) -> int:
        """Units in a gram."""
        return max(1, min(self.units, self.characters) // 2)

    @property
    def window(self) -> int:
        """Grams in a window, so that a repeat of the least number of units that has the mass holds a window."""
        return min(self.units, self.characters) - self.gram + 1


def unit_values(units: Units) -> NDArray[np.uint64]:
    """The units as they are compared: the hash, its lowest bit replaced by whether the unit is a character of a script
    without spaces: uint64[units]."""
    unspaced = ((units.kinds & UNSPACED) != 0).astype(np.uint64)
    values: NDArray[np.uint64] = (units.hashes & ~_ODD) | unspaced
    return values


def mass_of(values: NDArray[np.uint64], measure: Measure) -> NDArray[np.int64]:
    """The mass of all units before each, and of all: int64[units + 1]."""
    each = np.where(values & _ODD == 1, measure.units, measure.characters)
    return np.concatenate([[0], np.cumsum(each)]).astype(np.int64)


def find_anchors(
    values: NDArray[np.uint64], offsets: NDArray[np.int64], measure: Measure
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """The anchors of texts whose units are `values[offsets[i]:offsets[i + 1]]`: hash of the gram, text, and the unit of
    the text at which it begins, in their order. A text that is too short for a repeat has none."""
    keys = np.empty(len(values), dtype=np.uint64)
    texts = np.empty(len(values), dtype=np.int64)
    places = np.empty(len(values), dtype=np.int64)
    longest = int(np.diff(offsets).max(initial=0))
    grams, queue = np.empty(longest, dtype=np.uint64), np.empty(longest, dtype=np.int64)
    count = _winnow(values, offsets, measure.gram, measure.window, grams, queue, keys, texts, places)
    return keys[:count], texts[:count], places[:count]


@kernel
def _winnow(
    values: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    gram: int,
    window: int,
    grams: NDArray[np.uint64],
    queue: NDArray[np.int64],
    keys: NDArray[np.uint64],
    texts: NDArray[np.int64],
    places: NDArray[np.int64],
) -> int:
    power = np.uint64(1)
    for _ in range(gram):
        power *= _BASE
    count = 0
    for text in range(offsets.size - 1):
        begin = offsets[text]
        size = offsets[text + 1] - begin
        if size < gram + window - 1:
            continue
        # `queue[head:tail]` are grams whose hash is less than that of every later one of the window.
        head, tail = 0, 0
        marked = -1
        state = np.uint64(0)
        for unit in range(size):
            state = state * _BASE + values[begin + unit]
            if unit >= gram:
                state -= power * values[begin + unit - gram]
            place = unit - gram + 1
            if place < 0:
                continue
            grams[place] = finish(state)
            while tail > head and grams[queue[tail - 1]] >= grams[place]:
                tail -= 1
            queue[tail] = place
            tail += 1
            if queue[head] <= place - window:
                head += 1
            if place >= window - 1 and queue[head] != marked:
                marked = queue[head]
                keys[count] = grams[marked]
                texts[count] = text
                places[count] = marked
                count += 1
    return count
