"""Masking of personal data in texts that are shown to somebody: the examples of a report, whatever its recipe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curator.document import Codes, string_buffer
from curator.language.tags import list_language
from curator.text.segment import segment
from stages.pii.detect import KINDS, detect
from stages.pii.redact import redact


def mask_texts(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """The texts with personal data of every kind replaced. `languages` has a tag for each text; texts are NFC."""
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    named = [list_language(language) for language in languages]
    names = tuple(dict.fromkeys(named))
    place = {name: code for code, name in enumerate(names)}
    codes = Codes(np.array([place[name] for name in named], dtype=np.int32), names)
    hits = detect(data, offsets, codes, lambda: segment(data, offsets))
    spans: list[list[tuple[str, int, int]]] = [[] for _ in texts]
    for document, begin, end, kind in zip(
        hits.documents.tolist(), hits.begins.tolist(), hits.stops.tolist(), hits.kinds.tolist(), strict=True
    ):
        spans[document].append((KINDS[kind], begin, end))
    return [redact(text, found) if found else text for text, found in zip(texts, spans, strict=True)]


def mask(text: str, language: str) -> str:
    """One text, masked."""
    return mask_texts([text], [language])[0]
