"""Counting: exact, and as fast for many names as for few."""

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curator.document import Codes
from curator.run.tally import OTHERS, Tally

NAMES = ("a", "b", "c", "d")
DOCUMENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2**40), st.integers(0, 2**40), st.booleans()), max_size=40
)


@given(DOCUMENTS)
def test_counts_equal_a_plain_sum(documents: list[tuple[int, int, int, bool]]) -> None:
    codes = np.array([code for code, _, _, _ in documents], dtype=np.int32)
    tokens = np.array([value for _, value, _, _ in documents], dtype=np.int64)
    size = np.array([value for _, _, value, _ in documents], dtype=np.int64)
    rows = np.array([chosen for _, _, _, chosen in documents], dtype=np.bool_)
    tally = Tally()
    tally.count("in", rows, {"lang": Codes(codes, NAMES)}, tokens, size)
    for number, name in enumerate(NAMES):
        own = [entry for entry in documents if entry[0] == number and entry[3]]
        expected = (len(own), sum(entry[1] for entry in own), sum(entry[2] for entry in own))
        assert tally.events("lang", name).get("in", (0, 0, 0)) == expected
    again = Tally(tally.rows())
    again.merge(tally)
    assert again.documents("in") == 2 * tally.documents("in")


def test_a_hundred_thousand_sources_are_counted_in_a_moment() -> None:
    count = 100_000
    names = tuple(f"host{number}.example" for number in range(count))
    ones = np.ones(count, dtype=np.int64)
    started = time.process_time()
    tally = Tally()
    tally.count("in", ones.astype(np.bool_), {"source": Codes(np.arange(count, dtype=np.int32), names)}, ones, ones)
    assert sum(tally.events("source", name)["in"][0] for name in tally.names("source")) == count
    assert time.process_time() - started < 5


def test_source_groups_beyond_the_limit_count_together_and_named_ones_alone() -> None:
    tally = Tally(limits={"source": 2}, named=("late",))
    for number, name in enumerate(("b", "a", "c", "late", "a", "d")):
        tally.add([["source", name, "in", 1, 10 + number, 0], ["lang", name, "in", 1, 10 + number, 0]])
    assert tally.names("source") == [OTHERS, "a", "b", "late"]
    assert tally.events("source", OTHERS) == {"in": (2, 12 + 15, 0)}
    assert tally.events("source", "a") == {"in": (2, 11 + 14, 0)}
    assert tally.names("lang") == ["a", "b", "c", "d", "late"]


def test_a_tally_that_is_read_again_knows_which_source_groups_count_together() -> None:
    tally = Tally(limits={"source": 1})
    tally.add([["source", name, "kept", 1, 5, 7] for name in ("zebra", "1st", "ant")])
    again = Tally(tally.rows())
    assert again.rows() == tally.rows() == [["source", OTHERS, "kept", 2, 10, 14], ["source", "zebra", "kept", 1, 5, 7]]
    again.subtract(Tally([["source", "ant", "kept", 1, 5, 7]]))
    assert again.rows() == [["source", OTHERS, "kept", 1, 5, 7], ["source", "zebra", "kept", 1, 5, 7]]
    again.subtract(Tally([["source", "1st", "kept", 1, 5, 7], ["source", "zebra", "kept", 1, 5, 7]]))
    assert again.rows() == []


def test_tags_that_are_none_count_together_beyond_the_limit_and_languages_never() -> None:
    tally = Tally(limits={"lang": 2})
    tags = ("English", "http://a.example", "http://b.example", "yo", "http://c.example", "zh-Hant", "English")
    tally.add([["lang", tag, "in", 1, 5, 7] for tag in tags])
    assert tally.names("lang") == [OTHERS, "English", "http://a.example", "yo", "zh-Hant"]
    assert tally.documents("in", "lang", OTHERS) == tally.documents("in", "lang", "English") == 2
    again = Tally(tally.rows())
    again.subtract(Tally([["lang", "http://c.example", "in", 1, 5, 7], ["lang", "yo", "in", 1, 5, 7]]))
    assert again.documents("in", "lang", OTHERS) == 1
    assert again.events("lang", "yo") == {}
