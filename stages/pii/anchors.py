"""Words beside which personal data stands that has no shape of its own: birth dates, plates, addresses.

The kernel looks each unit of a batch up among the words of its language (the first and the last unit of a longer
term: who reads the text must compare the rest), and in languages that build street names in one word compares the
ends of units, in small letters or in capitals, before a number. What follows a word, or stands before it,
`stages.pii.kinds` judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import at, inline_kernel, kernel
from curator.text.fold import hash_terms
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Codes
    from curator.text.segment import Units

BIRTHDATE: Final = "birthdate"
PLATE: Final = "plate"
LABEL: Final = "label"
BEFORE: Final = "before"
STREET: Final = "street"
NAMED: Final = "named"
ENDING: Final = "ending"

_FILTER_BITS: Final = 18
"""32 KiB: of a quarter of a million bits the 600 keys set few, so that hardly a unit is looked up in vain."""
_MAX_LANGUAGES: Final = 64


@dataclass(frozen=True)
class Anchor:
    """A word or several (lower case) and what it says."""

    kind: str
    term: str


@dataclass(frozen=True)
class Anchors:
    """The table, by the hash of the first unit of each term.

    `present` is uint64[2**18 / 64], a bit for each of `firsts`; `firsts` uint64[n], ascending; `lasts` uint64[n], the
    hash of the last unit of each term, which stands `steps` (int64[n]) behind the first; `masks` uint64[n], a bit a
    language; `anchors` the n terms. `endings` is uint8[bytes], `ending_offsets` int64[m + 1] into it, `ending_masks`
    uint64[m]. `languages` gives the bit of each language.
    """

    present: NDArray[np.uint64]
    firsts: NDArray[np.uint64]
    lasts: NDArray[np.uint64]
    steps: NDArray[np.int64]
    masks: NDArray[np.uint64]
    anchors: tuple[Anchor, ...]
    endings: NDArray[np.uint8]
    ending_offsets: NDArray[np.int64]
    ending_masks: NDArray[np.uint64]
    languages: tuple[str, ...]


@lru_cache(maxsize=1)
def anchors() -> Anchors:
    """The table of this installation, read once a process."""
    text = resources.files("stages.pii").joinpath("data", "anchors.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    languages = tuple(sorted({language for _, joined, _ in rows for language in joined.split(",")}))
    if len(languages) > _MAX_LANGUAGES:
        raise ValueError(f"anchors.tsv has {len(languages)} languages, and a mask {_MAX_LANGUAGES} bits")
    terms: dict[Anchor, int] = {}
    for kind, joined, words in rows:
        mask = sum(1 << languages.index(language) for language in joined.split(","))
        for word in words.split(","):
            anchor = Anchor(kind, word.strip())
            terms[anchor] = terms.get(anchor, 0) | mask
    whole = [anchor for anchor in terms if anchor.kind != ENDING]
    hashes = hash_terms([anchor.term for anchor in whole])
    order = sorted(range(len(whole)), key=lambda place: (int(hashes[place][0]), place))
    firsts = np.array([hashes[place][0] for place in order], dtype=np.uint64)
    present = np.zeros((1 << _FILTER_BITS) // 64, dtype=np.uint64)
    for first in firsts.tolist():
        bit = first & ((1 << _FILTER_BITS) - 1)
        present[bit >> 6] |= np.uint64(1 << (bit & 63))
    endings = [
        (form.encode(), mask)
        for anchor, mask in terms.items()
        if anchor.kind == ENDING
        for form in dict.fromkeys((anchor.term, anchor.term.upper(), anchor.term.replace("ß", "ẞ").upper()))
    ]
    return Anchors(
        present=present,
        firsts=firsts,
        lasts=np.array([hashes[place][-1] for place in order], dtype=np.uint64),
        steps=np.array([len(hashes[place]) - 1 for place in order], dtype=np.int64),
        masks=np.array([terms[whole[place]] for place in order], dtype=np.uint64),
        anchors=tuple(whole[place] for place in order),
        endings=np.frombuffer(b"".join(ending for ending, _ in endings), dtype=np.uint8),
        ending_offsets=np.cumsum([0, *(len(ending) for ending, _ in endings)], dtype=np.int64),
        ending_masks=np.array([mask for _, mask in endings], dtype=np.uint64),
        languages=languages,
    )


def find(data: NDArray[np.uint8], units: Units, languages: Codes) -> Iterator[tuple[int, int, int, Anchor | None]]:
    """(document, first byte of the unit, byte after it, what it is; None for a street by its ending) of each anchor, in
    the order of the text."""
    listed = anchors()
    bits = {language: 1 << place for place, language in enumerate(listed.languages)}
    masks = np.array([bits.get(name, 0) for name in languages.names] or [0], dtype=np.uint64)[languages.codes]
    if not masks.any():
        return
    data, offsets, hashes = read_only(data), read_only(units.offsets), read_only(units.hashes)
    starts, ends = read_only(units.starts), read_only(units.ends)
    tables = (listed.present, listed.firsts, listed.lasts, listed.steps, listed.masks)
    tails = (listed.endings, listed.ending_offsets, listed.ending_masks)
    capacity = 1024 + len(hashes) // 64
    while True:
        out = np.empty((capacity, 3), dtype=np.int64)
        count = int(_find(data, offsets, hashes, starts, ends, masks, *tables, *tails, out))
        if count <= capacity:
            break
        capacity = count
    for document, unit, entry in out[:count].tolist():
        yield document, int(starts[unit]), int(ends[unit]), listed.anchors[entry] if entry >= 0 else None


@inline_kernel
def _is_digit(data: NDArray[np.uint8], place: int) -> bool:
    """Whether a digit of ASCII or a full-width one stands at the beginning of a unit."""
    byte = at(data, place)
    if byte != 0xEF:
        return bool(48 <= byte <= 57)
    return bool(at(data, place + 1) == 0xBC and 0x90 <= at(data, place + 2) <= 0x99)


@kernel
def _find(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    languages: NDArray[np.uint64],
    present: NDArray[np.uint64],
    firsts: NDArray[np.uint64],
    lasts: NDArray[np.uint64],
    steps: NDArray[np.int64],
    masks: NDArray[np.uint64],
    endings: NDArray[np.uint8],
    ending_offsets: NDArray[np.int64],
    ending_masks: NDArray[np.uint64],
    out: NDArray[np.int64],
) -> int:
    """Write (document, unit, entry, -1 for an ending) to `out` as far as it goes; return how many there are."""
    count = 0
    every = np.uint64(0)
    for mask in ending_masks:
        every |= mask
    for document in range(len(offsets) - 1):
        language = languages[document]
        if language == 0:
            continue
        low, high = offsets[document], offsets[document + 1]
        tailed = (language & every) != 0
        for unit in range(low, high):
            key = at(hashes, unit)
            place = key & np.uint64((1 << _FILTER_BITS) - 1)
            if present[place >> np.uint64(6)] & (np.uint64(1) << (place & np.uint64(63))):
                entry = np.searchsorted(firsts, key)
                while entry < len(firsts) and firsts[entry] == key:
                    last = unit + steps[entry]
                    if last < high and hashes[last] == lasts[entry] and masks[entry] & language:
                        if count < len(out):
                            out[count, 0], out[count, 1], out[count, 2] = document, unit, entry
                        count += 1
                    entry += 1
            if tailed and unit + 1 < high:
                # A blank, a full stop, or nothing between the word and a digit.
                after = at(starts, unit + 1)
                if after - at(ends, unit) <= 2 and _is_digit(data, int(after)):
                    for ending in range(len(ending_masks)):
                        size = ending_offsets[ending + 1] - ending_offsets[ending]
                        if not ending_masks[ending] & language or ends[unit] - starts[unit] < size:
                            continue
                        equal = True
                        for back in range(1, size + 1):
                            if data[ends[unit] - back] != endings[ending_offsets[ending + 1] - back]:
                                equal = False
                                break
                        if equal:
                            if count < len(out):
                                out[count, 0], out[count, 1], out[count, 2] = document, unit, -1
                            count += 1
                            break
    return count
