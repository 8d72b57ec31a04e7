"""The table of terms: reading it, and the form in which the matcher uses it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.errors import UserError
from curator.kernel.tables import kept
from curator.storage.parquet import parquet_table
from curator.text.fold import hash_terms_flat, hash_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TERMS_PATH = Path(__file__).parent / "data" / "terms.parquet"
TERM_SCHEMA = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("term", pa.string(), nullable=False),
        pa.field("severity", pa.int8()),
        pa.field("tier", pa.int8(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)
"""`language` is a list language, `term` is NFC, `severity` 1 (mild) to 3 (severe) or null, `tier` 1 (from a list kept
by hand), 2 (from another list alone), 3 (ambiguous) or 4 (from a list that was translated by machine alone); 3 and 4
are never counted by default."""

TIERS = (1, 2, 3, 4)
DEFAULT_SEVERITY = 1
"""What a term without a severity counts."""
LEAST_WITHOUT_DOT = 6
"""Letters of a Turkish term whose ı may be i: with fewer it may be another word (`amin`, `amini`)."""
FILTER_BITS = 18
"""log2 of the bits of the filter: some 16,000 keys set a sixteenth of them."""


@dataclass(frozen=True)
class TermTable:
    """Terms as hashes of units, found by their first unit.

    `salts` has a number for each language; the key of a term is the hash of its first unit XOR the salt of its
    language, so that a term can be found only in its own language. `filter` (uint8[2**FILTER_BITS / 8]) has a bit per
    key, by its high bits. `keys` (uint64[slots], 0 is empty) is a hash table with linear probing, by the low bits; the
    terms of slot i are `begins[i]` to `ends[i]`, longest first. Term j has the units `sequences[places[j]:places[j +
    1]]` (the first unit is in the key), and `severities[j]`."""

    salts: dict[str, np.uint64]
    filter: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    places: NDArray[np.int32]
    sequences: NDArray[np.uint64]
    severities: NDArray[np.int64]


def read_terms(path: Path = TERMS_PATH) -> pa.Table:
    """The table of terms (TERM_SCHEMA). UserError if it cannot be read, has other columns, or a row with a bad
    value."""
    hint = "install Curator again, or build the table with `python -m stages.toxicity.build_lists`"
    try:
        table = parquet_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"the table of terms cannot be read: {error}", stage="toxicity", file=str(path), hint=hint
        ) from error
    if not table.schema.equals(TERM_SCHEMA):
        raise UserError(
            f"the table of terms has the columns {table.schema.names}, expected are {TERM_SCHEMA.names}",
            stage="toxicity",
            file=str(path),
            hint=hint,
        )
    severities = pc.fill_null(table["severity"], DEFAULT_SEVERITY).to_numpy()
    empty = [pc.equal(pc.utf8_trim_whitespace(table[name]), "").to_numpy() for name in ("language", "term")]
    bad = ~np.isin(table["tier"].to_numpy(), TIERS) | (severities < 1) | (severities > 3) | np.logical_or(*empty)
    if bad.any():
        raise UserError(
            "a row of the table of terms has a value that it cannot have",
            stage="toxicity",
            file=str(path),
            position=int(np.argmax(bad)),
            hint=hint,
        )
    return table


@lru_cache(maxsize=1)
def listed_terms(lowest_tier: int, path: Path = TERMS_PATH) -> tuple[list[str], list[str], list[int]]:
    """The languages, terms and severities of tier 1 to `lowest_tier`; two tables are made of them one after the
    other. Terms with ı come with i too: the capital of ı is I, which folds to i."""
    table = read_terms(path)
    table = table.filter(np.less_equal(table["tier"].to_numpy(), lowest_tier))
    severities = pc.fill_null(table["severity"], DEFAULT_SEVERITY).to_pylist()
    languages, terms = table["language"].to_pylist(), table["term"].to_pylist()
    dotless = [place for place, term in enumerate(terms) if "ı" in term and len(term) >= LEAST_WITHOUT_DOT]
    languages += [languages[place] for place in dotless]
    severities += [severities[place] for place in dotless]
    return languages, terms + [terms[place].replace("ı", "i") for place in dotless], severities


@cache
@kept(TermTable)
def term_table(lowest_tier: int, path: Path = TERMS_PATH) -> TermTable:
    """The terms of tier 1 to `lowest_tier`, ready to match; made once a process."""
    return compile_terms(*listed_terms(lowest_tier, path))


def compile_terms(languages: list[str], terms: list[str], severities: list[int]) -> TermTable:
    """Terms (NFC), each with its language and severity, as a table. A term without a unit is left out."""
    names = sorted(set(languages))
    numbers = {name: number for number, name in enumerate(names)}
    salts = np.array([hash_unit(f"language {name}") for name in names], dtype=np.uint64)
    offsets, hashes = hash_terms_flat(terms)
    used = np.flatnonzero(np.diff(offsets))
    units = np.diff(offsets)[used]
    owners = np.array([numbers[name] for name in languages], dtype=np.int64)[used]
    grades = np.array(severities, dtype=np.int64)[used]
    keys = hashes[offsets[used]] ^ salts[owners]
    columns = np.arange(units.max(initial=0))
    inside = columns < units[:, None]
    sequences = np.zeros(inside.shape, dtype=np.uint64)
    sequences[inside] = hashes
    # By key, the longest first; what is equal in both by its units, then by severity.
    order = np.lexsort((grades, *sequences.T[::-1], -units, keys))
    keys, units, grades = keys[order], units[order], grades[order]
    distinct, firsts = np.unique(keys, return_index=True)
    lasts = np.append(firsts, len(keys))[1:]
    slots, places_of_keys = place_keys(distinct.tolist())
    slot_keys = np.zeros(slots, dtype=np.uint64)
    begins = np.zeros(slots, dtype=np.int32)
    ends = np.zeros(slots, dtype=np.int32)
    slot_keys[places_of_keys], begins[places_of_keys], ends[places_of_keys] = distinct, firsts, lasts
    bits = np.zeros(1 << FILTER_BITS, dtype=np.uint8)
    bits[distinct >> np.uint64(64 - FILTER_BITS)] = 1
    places = np.zeros(len(keys) + 1, dtype=np.int32)
    np.cumsum(units, out=places[1:])
    return TermTable(
        salts=dict(zip(names, salts, strict=True)),
        filter=np.packbits(bits, bitorder="little"),
        keys=slot_keys,
        begins=begins,
        ends=ends,
        places=places,
        sequences=sequences[order][inside[order]],
        severities=grades,
    )


def place_keys(keys: Sequence[int]) -> tuple[int, list[int]]:
    """How many slots a table of these distinct keys has, and the slot of each: that of its low bits, or the next that
    was free when its turn came."""
    slots = 1 << max(4, (4 * len(keys)).bit_length())
    taken = bytearray(slots)
    places = []
    for key in keys:
        slot = key & (slots - 1)
        while taken[slot]:
            slot = (slot + 1) & (slots - 1)
        taken[slot] = 1
        places.append(slot)
    return slots, places
