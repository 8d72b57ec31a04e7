"""What the tests of `pii` share: running the detection on plain strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, Batch, Codes, string_buffer
from curator.text.segment import segment
from stages.pii.detect import KINDS, detect

LONG = pa.large_string()


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
