"""Places in bytes become places in code points, as Python counts them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.text.points import code_points


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.data())
def test_code_points_count_as_python_does(texts: list[str], draw: st.DataObject) -> None:
    data, offsets = string_buffer(pa.array(texts, pa.large_string()))
    places = sorted(
        (document, draw.draw(st.integers(0, len(text)))) for document, text in enumerate(texts) for _ in range(2)
    )
    bytes_at = [offsets[document] + len(texts[document][:place].encode()) for document, place in places]
    documents = np.array([document for document, _ in places], dtype=np.int32)
    points = code_points(data, offsets, documents, np.array(bytes_at, dtype=np.int64))
    assert points.tolist() == [place for _, place in places]
