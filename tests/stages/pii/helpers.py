"""What the tests of `pii` share: running the detection on plain strings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, Batch, Codes, string_buffer
from curator.text.segment import segment
from stages.pii.detect import KINDS, detect

LONG = pa.large_string()

MOST_GROWTH = 3.0
"""Of the CPU time, where the text is twice as long: quadratic work takes four times as long, linear work twice."""

TURNS = 3
"""A busy machine may slow one of the two down; work that grows faster is slower in every turn."""

LEAST_SECONDS = 0.01
"""Below this a clock tells little, and there is nothing to fear."""


def spans(texts: Sequence[str], languages: Sequence[str], kinds: Sequence[str] = KINDS) -> list[list[tuple[str, str]]]:
    """For each text (kind, value) of what is found."""
    data, offsets = string_buffer(pa.array(texts, LONG))
    names = tuple(dict.fromkeys(languages))
    codes = Codes(np.array([names.index(language) for language in languages], dtype=np.int32), names)
    hits = detect(data, offsets, codes, lambda: segment(data, offsets), kinds)
    found: list[list[tuple[str, str]]] = [[] for _ in texts]
    for document, begin, end, kind in zip(
        hits.documents.tolist(), hits.begins.tolist(), hits.stops.tolist(), hits.kinds.tolist(), strict=True
    ):
        found[document].append((KINDS[kind], texts[document][begin:end]))
    return found


def find(text: str, language: str = "en", kinds: Sequence[str] = KINDS) -> list[tuple[str, str]]:
    """(kind, value) of what is found in one text."""
    return spans([text], [language], kinds)[0]


def assert_grows_linearly(work: Callable[[str], object], text: str) -> None:
    """An AssertionError where twice the text takes far more than twice the CPU time, each time that it is tried."""
    found: list[tuple[float, float]] = []
    for _ in range(TURNS):
        once, twice = _seconds(work, text), _seconds(work, text * 2)
        found.append((once, twice))
        if twice < max(MOST_GROWTH * once, LEAST_SECONDS):
            return
    raise AssertionError(f"CPU seconds of a text and of one twice as long: {found}")


def _seconds(work: Callable[[str], object], text: str) -> float:
    """CPU seconds: the least of three turns, which noise cannot lower."""
    spent = []
    for _ in range(3):
        begin = time.process_time()
        work(text)
        spent.append(time.process_time() - begin)
    return min(spent)


def batch(texts: Sequence[str], languages: Sequence[str] | None = None) -> Batch:
    """Documents with these texts."""
    count = len(texts)
    columns = {
        "key": pa.array([index.to_bytes(16, "big") for index in range(count)], pa.binary(16)),
        "id": pa.array([str(index) for index in range(count)], pa.string()),
        "text": pa.array(texts, pa.string()),
        "source": pa.array(["test"] * count, pa.string()),
        "lang": pa.array(languages or ["en"] * count, pa.string()),
        "file": pa.array(["file"] * count, pa.string()),
        "position": pa.array(range(count), pa.int64()),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA))
