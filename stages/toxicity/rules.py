"""Matching of terms at unit boundaries: how much of a document is on the list of its language.

A term is a sequence of units, so it is found as whole words only (in scripts without spaces: as a sequence of
characters) and in every folded form. At each place the longest term counts; matches do not overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.document import UNDETERMINED, Codes
from curator.kernel import kernel
from stages.toxicity.disguises import disguise_table, match_disguises
from stages.toxicity.starred import count_starred
from stages.toxicity.terms import FILTER_BITS, term_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from curator.document import Batch
    from curator.text.segment import Units
    from stages.toxicity.terms import TermTable

_FILTER_SHIFT = np.uint64(64 - FILTER_BITS)
_NO_SALT = np.uint64(0)
_ONE, _THREE, _SEVEN = np.uint64(1), np.uint64(3), np.uint64(7)


@dataclass(frozen=True)
class Matches:
    """Of each text: whether there is a list for its language, the number of matches, the units in them, and the sum of
    their severities (bool and int64[texts])."""

    checked: NDArray[np.bool_]
    matches: NDArray[np.int64]
    units: NDArray[np.int64]
    severities: NDArray[np.int64]


def count_terms(batch: Batch, tier: int) -> Matches:
    """The terms of tier 1 to `tier` in each document, as they are written, disguised and with stars, of its own
    language and of those that it demonstrably mixes."""
    table, disguises = term_table(tier), disguise_table(tier)
    checked = np.zeros(len(batch), dtype=np.bool_)
    counts = np.zeros((3, len(batch)), dtype=np.int64)
    for languages in _distinct(batch.languages, batch.mixed_languages):
        found = match_terms(batch.units, languages, table)
        hidden = match_disguises(*batch.text_buffer, languages, disguises, table)
        disguised, severities = hidden.counts
        checked |= found.checked
        counts += np.stack([found.matches + disguised, found.units + disguised, found.severities + severities])
        counts += count_starred(hidden.starred, batch.text_buffer[0], languages, tier)
    return Matches(checked, *counts)


def _distinct(own: Codes, others: Sequence[Codes]) -> Iterator[Codes]:
    """The languages of documents, one after the other: their own, then those that are another; `und` for no more."""
    yield own
    seen = [_names(own)]
    for codes in others:
        names = _names(codes)
        for former in seen:
            names = np.where(names == former, UNDETERMINED, names)
        seen.append(names)
        distinct, numbers = np.unique(names, return_inverse=True)
        if distinct.tolist() not in ([], [UNDETERMINED]):
            yield Codes(numbers.astype(np.int32), tuple(distinct.tolist()))


def _names(codes: Codes) -> NDArray[np.object_]:
    return np.array(codes.names, dtype=object)[codes.codes] if codes.names else np.zeros(0, dtype=object)


def match_terms(units: Units, languages: Codes, table: TermTable) -> Matches:
    """Look for the terms of each text's own language in it."""
    names = languages.names
    has_list = np.array([name in table.salts for name in names], dtype=np.bool_)
    salts = np.array([table.salts.get(name, _NO_SALT) for name in names], dtype=np.uint64)
    checked = has_list[languages.codes] if names else np.zeros(0, dtype=np.bool_)
    text_salts = salts[languages.codes] if names else np.zeros(0, dtype=np.uint64)
    results = np.zeros((3, len(checked)), dtype=np.int64)
    _match(
        units.offsets,
        units.hashes,
        checked,
        text_salts,
        table.filter,
        table.keys,
        table.begins,
        table.ends,
        table.places,
        table.sequences,
        table.severities,
        results,
    )
    return Matches(checked, results[0], results[1], results[2])


@kernel
def _match(
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    checked: NDArray[np.bool_],
    salts: NDArray[np.uint64],
    present: NDArray[np.uint8],
    keys: NDArray[np.uint64],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    places: NDArray[np.int32],
    sequences: NDArray[np.uint64],
    severities: NDArray[np.int64],
    results: NDArray[np.int64],
) -> None:
    low_bits = np.uint64(keys.size - 1)
    for text in range(checked.size):
        if not checked[text]:
            continue
        salt = salts[text]
        # Unsigned where an array is looked into: Numba tests a signed index for being negative.
        end = np.uint64(unit_offsets[text + 1])
        unit = np.uint64(unit_offsets[text])
        while unit < end:
            key = hashes[unit] ^ salt
            bit = key >> _FILTER_SHIFT
            length = _ONE
            if np.uint64(present[bit >> _THREE]) >> (bit & _SEVEN) & _ONE:
                slot = key & low_bits
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + _ONE) & low_bits
                if keys[slot] == key:
                    for term in range(np.uint64(begins[slot]), np.uint64(ends[slot])):
                        first = np.uint64(places[term])
                        size = np.uint64(places[term + _ONE]) - first
                        if unit + size > end:
                            continue
                        same = _ONE
                        while same < size and hashes[unit + same] == sequences[first + same]:
                            same += _ONE
                        if same == size:
                            results[0, text] += 1
                            results[1, text] += np.int64(size)
                            results[2, text] += severities[term]
                            length = size
                            break
            unit += length
