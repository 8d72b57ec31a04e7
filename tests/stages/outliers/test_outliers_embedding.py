"""The embedding kernel against a plain reading of its definition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.document import string_buffer
from stages.outliers.embedding import BUCKETS, DIMENSIONS, SAMPLED_BYTES, WINDOWS, embed, lower_case, signs

NASTY = (
    "",
    " \n\t ",
    "\x00\x00a",
    "a\u0301\u0300",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "שלום עולם مرحبا",
    "\U0010ffff\ufffd\u2028",
    "İIıi ẞß ΑΣς ԱՖ Ꭰꭰ ა",
    "é" * 3000,
    "日本語" * 1000 + "a",
    "\U0001f600" * 700,
)


def reference(text: str) -> NDArray[np.float64]:
    """One text's embedding, step by step."""
    raw = text.encode()
    windows = [(0, len(raw))]
    if len(raw) > SAMPLED_BYTES:
        width = SAMPLED_BYTES // WINDOWS
        starts = [(len(raw) - width) * window // (WINDOWS - 1) for window in range(WINDOWS)]
        windows = [(start, start + width) for start in starts]
    begins = np.cumsum([0] + [len(character.encode()) for character in text])
    counts = np.zeros(BUCKETS, dtype=np.int64)
    lower = lower_case()
    for begin, end in windows:
        before = 32
        for character, place in zip(text, begins[:-1].tolist(), strict=True):
            if not begin <= place < end:
                continue
            code_point = ord(character)
            if code_point < len(lower):
                code_point = int(lower[code_point])
            if code_point <= 32:
                if before == 32:
                    continue
                code_point = 32
            for key, factor in ((code_point, 0x94D049BB133111EB), (before << 21 | code_point, 0x9E3779B97F4A7C15)):
                counts[(key * factor % 2**64) >> 55] += 1
            before = code_point
    sums = counts @ signs().astype(np.int64)
    square = int((sums * sums).sum())
    return sums / np.sqrt(square) if square else np.zeros(DIMENSIONS)


def embed_texts(texts: list[str]) -> NDArray[np.float16]:
    return embed(*string_buffer(pa.array(texts, pa.string())))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.text(max_size=60), st.sampled_from(NASTY), st.text("aé日\U0001f600 \n", min_size=1020)), max_size=5
    )
)
def test_kernel_equals_its_definition(texts: list[str]) -> None:
    expected = np.array([reference(text) for text in texts]).reshape(-1, DIMENSIONS)
    np.testing.assert_array_equal(embed_texts(texts), expected.astype(np.float32).astype(np.float16))


def test_a_sliced_column_gives_the_rows_of_the_slice() -> None:
    column = pa.array([*NASTY, "the end"], pa.string())
    np.testing.assert_array_equal(embed(*string_buffer(column[3:])), embed(*string_buffer(column))[3:])


@pytest.mark.parametrize("text", NASTY)
def test_length_is_one_unless_the_text_is_blank(text: str) -> None:
    length = np.linalg.norm(embed_texts([text])[0].astype(np.float64))
    assert length == pytest.approx(1.0 if text.strip() else 0.0, abs=2e-3)


def test_case_and_runs_of_space_make_no_difference() -> None:
    first, second = embed_texts(["ΓΕΙΑ σου ΚΌΣΜΕ, Grüß Gott", "γεια\t\n σου  κόσμε,\r\ngrüß gott"])
    np.testing.assert_array_equal(first, second)


def test_projection_is_balanced_and_its_rows_differ() -> None:
    matrix = signs().astype(np.int64)
    assert set(np.unique(matrix)) == {-1, 1}
    assert len(np.unique(matrix, axis=0)) == BUCKETS
    # 64 fair signs have a standard deviation of 8; a dot product of two rows beyond 48 is six of them.
    gram = matrix @ matrix.T
    assert np.abs(gram[~np.eye(BUCKETS, dtype=bool)]).max() < 48
    assert abs(matrix.mean()) < 0.02


def test_only_the_windows_of_a_long_text_are_read() -> None:
    text = list("ab " * 5000)
    plain = embed_texts(["".join(text)])
    text[300:1000] = "x" * 700
    np.testing.assert_array_equal(embed_texts(["".join(text)]), plain)
    text[:256] = "x" * 256
    assert not np.array_equal(embed_texts(["".join(text)]), plain)
