"""Batches of documents, and terms of the table without writing them down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import DOCUMENT_SCHEMA, Batch
from stages.toxicity.terms import read_terms


def make_batch(documents: Sequence[tuple[str, str]]) -> Batch:
    """A batch of (language tag, text)."""
    rows = [
        {
            "key": number.to_bytes(16, "little"),
            "id": str(number),
            "text": text,
            "source": "test",
            "lang": lang,
            "file": "test",
            "position": number,
        }
        for number, (lang, text) in enumerate(documents)
    ]
    return Batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA))


def text_buffer(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The UTF-8 bytes of texts, and where each begins."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def listed_terms(language: str, tier: int = 1) -> list[str]:
    """The terms of one tier of a language that are one word, in the order of the table."""
    table = read_terms().to_pylist()
    return [
        str(row["term"])
        for row in table
        if row["language"] == language and row["tier"] == tier and str(row["term"]).isalpha()
    ]
