"""The name kernels and the gazetteer hold to plain references of their rules, on names, cues and nasty text."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curator.document import Codes, string_buffer
from curator.text.fold import hash_unit
from curator.text.segment import segment
from stages.pii import gazetteer as lists
from stages.pii import name_kernels, names
from tests.stages.pii.plain_names import plain_names
from tests.stages.pii.plain_words import data_rows, dictionary, roles_of

LANGUAGES = ("en", "de", "fr", "es", "it", "ru", "uk", "bg", "hu", "tr", "ar", "he", "hi", "zh", "ja", "ko", "th")
UNLISTED = ("Wuttke", "Zorblax", "Quux", "OpenGL", "MacQuux", "B2Box", "Ωmega", "É", "J", "Q", "Я", "Å", "x", "walks")
UNLISTED_UNSPACED = ("丁", "乂", "龘", "𠮟", "ゑ", "ヴ", "ก", "๙", "é", "abc", "김ab", "ꦗ", "뷁", "가나")
NASTY = ("\0", "\0 ", "\u200d", "\u0301", "\u202e", "\ufeff", "🙂", "𐍈", "a\u0301", "\u05d0\u05b7", "१", "_", "O'")
SPACED = (
    *[" "] * 12,
    "",
    "-",
    "-",
    ".",
    ". ",
    ". ",
    ", ",
    ",",
    "\n",
    ": ",
    ":",
    "\u00a0",
    " (",
    " <",
    " \n",
    "  ",
    "; ",
)
JOINED = (*[""] * 12, " ", " ", "\u3000", "：", ":", "・", "、", "。", "-", "\n", "\u200d")


@functools.cache
def fragments(language: str) -> tuple[str, ...]:
    """Names and cues of the language as its lists have them: a few of every combination of roles."""
    few: dict[tuple[bool, ...], list[str]] = {}
    for term, *columns in data_rows("names.tsv"):
        listed = [set(column.split(",")) for column in columns]
        kind = (language in listed[0], language in listed[1], not listed[2].isdisjoint((language, "*")), len(term) > 2)
        widespread = len(listed[0]) > 3
        if any(kind[:2]) or (widespread and listed[2] == {""}):
            few.setdefault((*kind, widespread), []).append(term)
    terms = [term for group in few.values() for term in group[:: max(1, len(group) // 6)]]
    cues = [
        word.strip()
        for _, where, words in data_rows("name_cues.tsv")
        if language in where.split(",") or where == "*"
        for word in words.split(",")[:8]
    ]
    return (*terms, *cues, *(cue.capitalize() for cue in cues))


def texts(language: str) -> st.SearchStrategy[str]:
    unspaced = language in ("zh", "ja", "ko", "th")
    listed = st.sampled_from(fragments(language))
    unlisted = st.sampled_from((*UNLISTED, *UNLISTED_UNSPACED) if unspaced else UNLISTED)
    piece = st.one_of(listed, listed, listed, unlisted, st.sampled_from(NASTY), st.sampled_from(fragments("en")))
    separator = st.sampled_from((*JOINED, *SPACED) if unspaced else SPACED)
    pairs = st.tuples(piece, separator).map("".join)
    # Most texts are long: a rule asks for several fragments that fit each other.
    return st.one_of(*[st.lists(pairs, min_size=12, max_size=40).map("".join)] * 6, st.text(max_size=30))


documents = st.lists(
    st.sampled_from(LANGUAGES).flatmap(lambda language: st.tuples(st.just(language), texts(language))), max_size=4
)


def found(documents: list[tuple[str, str]]) -> list[list[tuple[int, int]]]:
    """The places that the kernels find, in bytes of each document."""
    data, offsets = string_buffer(pa.array([text for _, text in documents], pa.large_string()))
    codes = Codes(np.arange(len(documents), dtype=np.int32), tuple(language for language, _ in documents))
    places: list[list[tuple[int, int]]] = [[] for _ in documents]
    for document, first, stop in names.find(data, segment(data, offsets), codes):
        places[document].append((first - int(offsets[document]), stop - int(offsets[document])))
    return [sorted(each) for each in places]


@pytest.mark.slow
@settings(max_examples=80)
@given(documents)
@example([])
@example([("en", ""), ("zh", "\0"), ("ko", "김"), ("th", "นาย")])
def test_names_are_those_of_the_rules_read_plainly(documents: list[tuple[str, str]]) -> None:
    assert found(documents) == [plain_names(text, language) for language, text in documents]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Anna B2Box, Mathis B2Box (", []),
        ("en", "My name is\0 Li Yi.", []),
        ("bg", "Това каза Елена Токова.", ["Елена Токова"]),
        ("de", "Herr Groß und Anna Weiß", ["Groß", "Anna Weiß"]),
        ("de", "Frau Xyzzu Yılmaz, Herr Xyzzu Demir, Herr Xyzzu Haus", ["Xyzzu Yılmaz", "Xyzzu Demir"]),
        ("en", "Mr. Xyzzu Demir came", ["Xyzzu Demir"]),
        ("de", "von Johann Wolfgang von Goethe", ["Johann Wolfgang von Goethe"]),
        ("de", "-- Friedrich Wilhelm Nietzsche (Werke)", ["Friedrich Wilhelm Nietzsche"]),
        ("de", "Anna Maria Haus und Hof", ["Anna Maria"]),
        ("zh", "祖国强大，王国强说", ["王国强"]),
        ("ru", "Вера Ивановξβθχ", []),
        ("zh", "王明，先生们好", []),
        ("zh", "王 é先生", []),
        ("ko", "김éaéa 씨", []),
        ("th", "นาย\nวิลาสินี", []),
        ("th", "นายวิลาสินี", ["วิลาสินี"]),
        (
            "en",
            "Anna Miller, " * 40 + "Karl Schmidt. And then Schmidt left",
            ["Anna Miller"] * 40 + ["Karl Schmidt", "Schmidt"],
        ),
    ],
)
def test_what_kernel_and_rules_once_read_differently(language: str, text: str, expected: list[str]) -> None:
    raw = text.encode()
    assert [raw[first:stop].decode() for first, stop in found([(language, text)])[0]] == expected
    assert [raw[first:stop].decode() for first, stop in plain_names(text, language)] == expected


BITS = {
    "first": lists.FIRST,
    "last": lists.LAST,
    "word": lists.WORD,
    "title": lists.TITLE,
    "title.": lists.TITLE_DOT,
    "office": lists.OFFICE,
    "after": lists.AFTER,
    "rank": lists.RANK,
    "particle": lists.PARTICLE,
    "stop": lists.STOP,
    "phrase": lists.PHRASE,
    "field": lists.FIELD,
}


def plain_key(units: tuple[str, ...]) -> int:
    """The key of a term, with Python's integers."""
    if len(units) == 1:
        return hash_unit(units[0])
    word = (1 << 64) - 1
    state = 0x9E3779B97F4A7C15
    for unit in units:
        state = ((state ^ hash_unit(unit)) * 0xD6E8FEB86659FD93) & word
        state ^= state >> 32
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        state = ((state ^ (state >> 33)) * factor) & word
    return state ^ (state >> 33)


@pytest.mark.slow
def test_the_table_has_the_roles_of_every_term_of_the_data_files() -> None:
    table = lists.gazetteer()
    assert len(dictionary()) > 90_000
    rows = dict(table.table.tolist())
    flags = table.flags & ~np.uint16(lists.LONGER | lists.CLOSES)
    columns = {language: 1 + place for place, language in enumerate(table.languages)}
    for term, entry in dictionary().items():
        row = rows[plain_key(term)]
        everywhere = lists.WORD if "*" in entry else 0
        expected = [everywhere] * (1 + len(columns))
        for language in entry.keys() & columns.keys():
            expected[columns[language]] = sum(BITS[role] for role in roles_of(term, language))
        assert flags[row].tolist() == expected, term
        first, last = (
            [language for language, roles in entry.items() if role in roles and "word" not in roles_of(term, language)]
            for role in ("first", "last")
        )
        union = lists.FIRST * bool(first) + lists.LAST * bool(last)
        also = any(
            {"first", "last"} & entry[where] and "word" in roles_of(term, where) for where in entry if where != "*"
        )
        union += lists.WORD * also + lists.WIDESPREAD * (len(first) >= lists.WIDESPREAD_LANGUAGES)
        assert table.any_flags[row] == union, term


@pytest.mark.slow
@given(st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1), max_size=16), st.integers(0, 2**64 - 1))
def test_a_row_is_found_by_its_key_as_in_a_dictionary(keys: list[int], other: int) -> None:
    present, table = np.zeros((1 << lists.FILTER_BITS) // 64, dtype=np.uint64), np.zeros((32, 2), dtype=np.uint64)
    numbers = np.arange(1, len(keys) + 1, dtype=np.int32)
    lists.insert(np.array(keys, dtype=np.uint64), numbers, present, table)
    plain: dict[int, int] = {}
    for number, key in enumerate(keys, start=1):
        if key != 0:  # marks a free slot, and is no unit's hash
            plain.setdefault(key, number)
    for key in (*keys, other, *range(40)):
        assert lists.find_row(np.uint64(key), present, table) == plain.get(key, 0)
    rows = [plain[key] if key else 1 + place for place, key in enumerate(keys)]
    assert numbers.tolist() == rows  # of equal keys the first's


def test_three_in_a_hundred_keys_that_are_in_no_list_pass_the_filter() -> None:
    table = lists.gazetteer()
    strangers = np.random.default_rng(3).integers(1, 1 << 64, 100_000, dtype=np.uint64)
    passing = sum(bool(lists.passes(key, table.present)) for key in strangers)
    assert 0.02 < passing / len(strangers) < 0.04
    assert all(lists.passes(key, table.present) for key in table.table[:, 0] if key)


@pytest.mark.parametrize("mode", [name_kernels.CASED, name_kernels.CASELESS, name_kernels.UNSPACED])
def test_units_of_long_documents_are_looked_up_as_those_of_short_ones(mode: int) -> None:
    table, random = lists.gazetteer(), np.random.default_rng(7)
    listed = table.table[table.table[:, 0] != 0]
    counts = [700, 0, 3, 256, 257, 2_000]
    hashes = random.choice(listed[:, 0], sum(counts))
    hashes[random.random(len(hashes)) < 0.1] += np.uint64(1)
    kinds = np.where(random.random(len(hashes)) < 0.2, name_kernels.CAPITAL, name_kernels.LETTER).astype(np.uint8)
    offsets, columns = np.concatenate([[0], np.cumsum(counts)]), np.arange(1, 1 + len(counts), dtype=np.int32)
    modes = np.full(len(counts), mode, dtype=np.int32)
    rows, own = np.zeros(len(hashes), dtype=np.int32), np.zeros(len(hashes), dtype=np.uint16)
    name_kernels.look_up(hashes, kinds, offsets, columns, modes, table.present, table.table, table.flags, rows, own)
    known = dict(listed.tolist())
    expected = np.array([known.get(key, 0) for key in hashes.tolist()])
    for begin, end, column in zip(offsets[:-1], offsets[1:], columns, strict=True):
        capitals = np.flatnonzero(kinds[begin:end] == name_kernels.CAPITAL)
        behind = np.arange(end - begin)[:, None] - capitals
        near = ((behind >= -1) & (behind <= name_kernels.MAX_PARTICLES)).any(axis=1)
        expected[begin:end] *= near | (mode != name_kernels.CASED)
        assert rows[begin:end].tolist() == expected[begin:end].tolist()
        assert own[begin:end].tolist() == table.flags[expected[begin:end], column].tolist()
