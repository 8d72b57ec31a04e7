"""Several numbers in one word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.packing import Packing

PLACE = Packing(high=3, middle=21, low=40)
NAMES = ("high", "middle", "low")

numbers = st.tuples(*(st.integers(0, PLACE.limit(name) - 1) | st.just(PLACE.limit(name) - 1) for name in NAMES))


@pytest.mark.slow
@given(st.lists(numbers, max_size=50))
def test_words_give_their_numbers_back_and_sort_as_they_do(rows: list[tuple[int, int, int]]) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    words = PLACE.pack(**dict(zip(NAMES, columns, strict=True)))
    assert [word.tolist() for word in words] == [high << 61 | middle << 40 | low for high, middle, low in rows]
    for name, column in zip(NAMES, columns, strict=True):
        assert PLACE.unpack(words, name).tolist() == column.tolist()
    assert [rows[place] for place in np.argsort(words, kind="stable")] == sorted(rows)


def test_one_number_for_all_words_is_enough_and_what_is_not_named_is_0() -> None:
    words = PLACE.pack(high=True, low=np.arange(3))
    assert words.tolist() == [1 << 61, 1 << 61 | 1, 1 << 61 | 2]


def test_bits_that_do_not_fill_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        Packing(row=40, count=23)
