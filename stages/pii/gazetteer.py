"""The gazetteer of names and the cue words around them, as arrays that the kernels of `stages.pii.names` look into.

A term is keyed by the hash of its one unit, or by a chain of the hashes of its units (in scripts without spaces, and
for cues such as `my name is`). What a term is depends on the language: a row of `flags` has one column a language.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.kernel import inline_kernel, kernel
from curator.kernel.tables import kept
from curator.text.fold import HASH_START, finish, hash_terms_flat, mix
from curator.text.segment import segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST: Final = 1
"""A given name."""
LAST: Final = 2
"""A surname."""
WORD: Final = 4
"""Also an ordinary word of the language, or a place, month or weekday anywhere."""
TITLE: Final = 8
"""A name follows, known or not; a full stop between them ends a sentence."""
TITLE_DOT: Final = 16
"""The same, with a dot after it; an abbreviation that is also written without one is both."""
OFFICE: Final = 32
"""A known name follows."""
AFTER: Final = 64
"""Stands after a name, known or not."""
PARTICLE: Final = 128
STOP: Final = 256
"""Never part of a name."""
PHRASE: Final = 512
"""An introduction: a name follows."""
FIELD: Final = 1024
"""A label: after a colon a known name follows."""
LONGER: Final = 2048
"""A term of several units begins with this one."""
CLOSES: Final = 4096
"""A cue of several units ends with this one."""

WIDESPREAD: Final = 8192
"""A given name of at least `WIDESPREAD_LANGUAGES` languages."""

RANK: Final = 16384
"""Stands after a name, and after common nouns too (`教授`, `경제학 교수`)."""

WIDESPREAD_LANGUAGES: Final = 3
MAX_UNITS: Final = 8
"""The longest term, in units."""
FILTER_BITS: Final = 20
"""128 KiB, which the second-level cache holds: of a million bits the 104,000 keys set a fifth."""
MIN_GIVEN_NAMES: Final = 50
"""A language with fewer given names than this is listed as having cue words only."""

_ROLES: Final = {
    "title": TITLE,
    "abbreviation": TITLE | TITLE_DOT,
    "office": OFFICE,
    "after": AFTER,
    "rank": RANK,
    "particle": PARTICLE,
    "stop": STOP,
    "phrase": PHRASE,
    "field": FIELD,
    "word": WORD,
}

_FILTER_SHIFT: Final = np.uint64(64 - FILTER_BITS)
_SECOND_SHIFT: Final = np.uint64(64 - FILTER_BITS - 6)
_ONE: Final = np.uint64(1)
_IN_WORD: Final = np.uint64(63)


@dataclass(frozen=True)
class Gazetteer:
    """An open-addressing table from key to row, and the flags of each row.

    `table` is uint64[slots, 2], a key (0 is free) and its row side by side, so that a look-up costs one cache miss;
    `present` uint64[2**FILTER_BITS / 64] has two bits of one word set for every key, so that
    most units in no list cost none.
    `flags` is uint16[rows, languages + 1] with column 0 for languages that have no table, `any_flags` uint16[rows] the
    union over languages of FIRST and LAST, where the name is not a word of that language too, of WORD, where it is one,
    and WIDESPREAD. Row 0 is empty.
    """

    present: NDArray[np.uint64]
    table: NDArray[np.uint64]
    flags: NDArray[np.uint16]
    any_flags: NDArray[np.uint16]
    languages: tuple[str, ...]
    named: frozenset[str]
    """Languages with given names and surnames enough to find names without a title."""

    def row(self, key: int) -> int:
        """The row of a term's key in `flags`, 0 if there is none."""
        return find_row(np.uint64(key), self.present, self.table)

    def column(self, language: str) -> int:
        """The column of a language in `flags`, 0 for one without a table."""
        return self.languages.index(language) + 1 if language in self.languages else 0


@lru_cache(maxsize=1)
@kept(Gazetteer)
def gazetteer() -> Gazetteer:
    """The table of this installation, read once a process."""
    names = _read("names.tsv", ("name", "first", "last", "also"))
    cues = _read("name_cues.tsv", ("role", "languages", "words"))
    said = [names[column].combine_chunks().dictionary_encode() for column in ("first", "last", "also")]
    listed = {
        language
        for column in (said[0].dictionary, said[1].dictionary, pc.unique(cues["languages"]))
        for joined in column.to_pylist()
        for language in joined.split(",")
    } - {"", "*"}
    languages = tuple(sorted(listed))
    place = {language: index + 1 for index, language in enumerate(languages)}

    keys, lead, long = _term_keys(names["name"])
    combinations, flags = _name_flags(said, languages)
    cue_keys, cue_terms, cue_columns, cue_bits = _cue_flags(cues, place)

    # Rows: 0 empty, one for each combination of languages, then one for each key that is a cue, leads a longer term, or
    # is that of several names (`Weiss` and `Weiß`).
    sorted_keys = np.sort(keys)
    special = np.unique(np.concatenate([sorted_keys[1:][sorted_keys[1:] == sorted_keys[:-1]], lead[long], cue_keys]))
    base = len(flags)
    all_keys = np.concatenate([special, keys])
    all_rows = np.concatenate([np.arange(base, base + len(special)), combinations]).astype(np.int32)
    slots = 1 << int(np.ceil(np.log2(len(all_keys) * 2)))
    present, table = np.zeros((1 << FILTER_BITS) // 64, dtype=np.uint64), np.zeros((slots, 2), dtype=np.uint64)
    insert(all_keys, all_rows, present, table)

    special_flags = np.zeros((len(special), len(place) + 1), dtype=np.uint16)
    named_too = np.flatnonzero(all_rows[len(special) :] >= base)
    at = all_rows[len(special) :][named_too] - base
    np.bitwise_or.at(special_flags, at, flags[combinations[named_too]])
    longer = np.where(flags[combinations[long]] != 0, np.uint16(LONGER), np.uint16(0))
    np.bitwise_or.at(special_flags, np.searchsorted(special, lead[long]), longer)
    np.bitwise_or.at(special_flags, (np.searchsorted(special, cue_keys)[cue_terms], cue_columns), cue_bits)
    all_flags = np.concatenate([flags, special_flags])

    rows, columns = np.nonzero(flags & FIRST)
    given = np.bincount(columns, np.bincount(combinations, minlength=base)[rows], minlength=len(place) + 1)
    named = frozenset(language for language, index in place.items() if given[index] >= MIN_GIVEN_NAMES)
    names_only = np.where(all_flags & WORD, np.uint16(0), all_flags & np.uint16(FIRST | LAST))
    any_flags = np.bitwise_or.reduce(names_only, axis=1)
    any_flags[np.count_nonzero(names_only & FIRST, axis=1) >= WIDESPREAD_LANGUAGES] |= WIDESPREAD
    any_flags[((all_flags & WORD != 0) & (all_flags & (FIRST | LAST) != 0)).any(axis=1)] |= WORD
    return Gazetteer(present, table, all_flags, any_flags, languages, named)


def _read(name: str, columns: tuple[str, ...]) -> pa.Table:
    """A tab-separated data file without quotes; lines that begin with # are comments."""
    import pyarrow.csv

    data = resources.files("stages.pii").joinpath("data", name).read_bytes()
    lines = 0
    while data.startswith(b"#"):
        data = data.partition(b"\n")[2]
        lines += 1
    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        read_options=pyarrow.csv.ReadOptions(column_names=list(columns), use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        ),
    ).combine_chunks()


def _term_keys(column: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """For each term its key, the hash of its first unit, and whether it has more than one."""
    from curator.document import string_buffer

    units = segment(*string_buffer(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column))
    keys = _chains(units.offsets, units.hashes)
    lead = units.hashes[np.minimum(units.offsets[:-1], max(len(units.hashes) - 1, 0))]
    return keys, lead, units.counts > 1


def _name_flags(
    said: list[pa.DictionaryArray], languages: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """For each name the row of its combination of languages, and the flags of all combinations (row 0 empty). `said`
    has the languages, joined by commas, in which a name is a first name, a surname and a word."""
    codes = tuple(column.indices.to_numpy().astype(np.int64) for column in said)
    shape = tuple(len(column.dictionary) for column in said)
    combined = pa.array(np.ravel_multi_index(codes, shape)).dictionary_encode()
    combinations = np.unravel_index(combined.dictionary.to_numpy(), shape)
    flags = np.zeros((len(combined.dictionary) + 1, len(languages) + 1), dtype=np.uint16)
    for part, (column, bit) in enumerate(zip(said, (FIRST, LAST, WORD), strict=True)):
        split = pc.split_pattern(column.dictionary, ",")
        rows = np.repeat(np.arange(len(split)), split.value_lengths().to_numpy())
        columns = pc.index_in(split.values, pa.array(languages)).fill_null(-1).to_numpy() + 1
        distinct = np.zeros((len(split), len(languages) + 1), dtype=np.uint16)
        distinct[rows[columns > 0], columns[columns > 0]] = bit
        distinct[rows[pc.equal(split.values, "*").to_numpy(zero_copy_only=False)]] = bit
        flags[1:] |= distinct[combinations[part]]
    return combined.indices.to_numpy().astype(np.int64) + 1, flags


def _cue_flags(
    cues: pa.Table, place: dict[str, int]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint16]]:
    """The keys of all cues, of the first units and of the last units of those of several; and what is said of them:
    which of these keys, in which column of flags, which bits."""
    terms: list[str] = []
    roles: list[int] = []
    lists: list[int] = []
    columns: list[NDArray[np.int64]] = []
    for row, (role, languages, words) in enumerate(
        zip(*(cues[column].to_pylist() for column in cues.column_names), strict=True)
    ):
        named = place if languages == "*" else languages.split(",")
        columns.append(np.array([place[language] for language in named], dtype=np.int64))
        for word in words.split(","):
            term = word.strip()
            terms.append(term.rstrip("."))
            roles.append(TITLE_DOT if role == "title" and term.endswith(".") else _ROLES[role])
            lists.append(row)
    offsets, hashes = hash_terms_flat(terms)
    counts = np.diff(offsets)
    used = np.flatnonzero((counts >= 1) & (counts <= MAX_UNITS))
    several = used[counts[used] > 1]
    keys = np.concatenate([_chains(offsets, hashes)[used], hashes[offsets[several]], hashes[offsets[several + 1] - 1]])
    bits = np.repeat(np.array([LONGER, CLOSES], dtype=np.uint16), len(several))
    bits = np.concatenate([np.array(roles, dtype=np.uint16)[used], bits])
    owners = np.array(lists)[np.concatenate([used, several, several])]
    widths = np.array([len(found) for found in columns])
    named_by = np.repeat(np.arange(len(owners)), widths[owners])
    return keys, named_by, np.concatenate([columns[owner] for owner in owners.tolist()]), bits[named_by]


@inline_kernel
def chain(hashes: NDArray[np.uint64], begin: int, count: int) -> np.uint64:
    """The key of `count` units from `begin`: the hash of the one, or a chain over the hashes of several."""
    if count == 1:
        return np.uint64(hashes[begin])
    state = HASH_START
    for place in range(begin, begin + count):
        state = mix(state, hashes[place])
    return finish(state)


def _chains(offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    keys = np.zeros(len(offsets) - 1, dtype=np.uint64)
    _chain_terms(offsets, hashes, keys)
    return keys


@kernel
def _chain_terms(offsets: NDArray[np.int64], hashes: NDArray[np.uint64], keys: NDArray[np.uint64]) -> None:
    for term in range(len(keys)):
        count = offsets[term + 1] - offsets[term]
        if count > 0:
            keys[term] = chain(hashes, offsets[term], count)


@kernel
def insert(
    keys: NDArray[np.uint64], rows: NDArray[np.int32], present: NDArray[np.uint64], table: NDArray[np.uint64]
) -> None:
    """Fill the table and its filter. The first of equal keys stays, and its row is put in the place of theirs; 0 is no
    key."""
    mask = np.uint64(len(table) - 1)
    for place in range(len(keys)):
        if keys[place] == 0:
            continue
        word, bits = _filter_place(keys[place])
        present[word] |= bits
        slot = keys[place] & mask
        while table[slot, 0] != 0 and table[slot, 0] != keys[place]:
            slot = (slot + np.uint64(1)) & mask
        if table[slot, 0] == 0:
            table[slot, 0] = keys[place]
            table[slot, 1] = rows[place]
        else:
            rows[place] = table[slot, 1]


@inline_kernel
def _filter_place(key: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Which word of the filter has the bits of a key, and which two they are: of the high bits, as the low ones choose
    the slot."""
    place = key >> _FILTER_SHIFT
    bits = _ONE << (place & _IN_WORD) | _ONE << ((key >> _SECOND_SHIFT) & _IN_WORD)
    return place >> np.uint64(6), bits


@inline_kernel
def passes(key: np.uint64, present: NDArray[np.uint64]) -> bool:
    """Whether a key may be in the table: so may three in a hundred of those that are not."""
    word, bits = _filter_place(key)
    return bool(present[word] & bits == bits)


@inline_kernel
def row_in_table(key: np.uint64, table: NDArray[np.uint64]) -> int:
    """The row of a key, 0 if it is not in the table; for keys that pass the filter."""
    mask = np.uint64(len(table) - 1)
    slot = key & mask
    while table[slot, 0] != 0:
        if table[slot, 0] == key:
            return int(np.int64(table[slot, 1]))
        slot = (slot + np.uint64(1)) & mask
    return 0


@inline_kernel
def find_row(key: np.uint64, present: NDArray[np.uint64], table: NDArray[np.uint64]) -> int:
    """The row of a key, 0 if it is not in the table."""
    return row_in_table(key, table) if passes(key, present) else 0


@inline_kernel
def find_flags(
    key: np.uint64, column: int, present: NDArray[np.uint64], table: NDArray[np.uint64], flags: NDArray[np.uint16]
) -> int:
    """What a key is in the language of a column: a sum of flags, 0 if it is not in the table."""
    return int(flags[find_row(key, present, table), column])
