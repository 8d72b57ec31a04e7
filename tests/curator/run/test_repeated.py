"""Hashes of ids: equal to a plain reference on any string."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curator.run.repeated import hash_strings

WORD = (1 << 64) - 1


def plain_hash(text: str) -> int:
    """The chain and finaliser of `curator.text.fold` over the bytes, with Python's integers."""
    state = 0x9E3779B97F4A7C15
    for byte in text.encode():
        state = ((state ^ byte) * 0xD6E8FEB86659FD93) & WORD
        state ^= state >> 32
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        state = ((state ^ (state >> 33)) * factor) & WORD
    return state ^ (state >> 33)


@given(st.lists(st.text(max_size=20) | st.sampled_from(["", "\0", "a\0", "\u200d", "e\u0301", "א", "🙂"]), max_size=8))
def test_ids_are_hashed_as_the_plain_reference_does(ids: list[str]) -> None:
    column = pa.array(["before", *ids], pa.string()).slice(1)
    assert hash_strings(column).tolist() == [plain_hash(text) for text in ids]
