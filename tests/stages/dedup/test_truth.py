"""Deduplication on planted truth: ten languages, scripts without spaces among them, and documents of 3 to 20 units.

The truth is the Jaccard similarity of plain Python sets over all pairs; nothing of signatures or bands is in it.
"""

from __future__ import annotations

import importlib.resources
import io
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
import zstandard

from curator.text.segment import segment
from tests.runs import rows, run_stages, write_jsonl

LANGUAGES = ("en", "de", "fr", "ru", "el", "hi", "ko", "zh", "ja", "th")
THRESHOLD = 0.85


def units_of(text: str) -> list[tuple[int, str]]:
    """(hash of the folded unit, the text from its beginning to the next unit's)."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    units = segment(data, np.array([0, len(data)], dtype=np.int64))
    cuts = [*units.starts.tolist()[1:], len(data)]
    pieces = [bytes(data[start:cut]).decode() for start, cut in zip(units.starts.tolist(), cuts, strict=True)]
    return list(zip(units.hashes.tolist(), pieces, strict=True))


def shingles(text: str) -> frozenset[tuple[int, ...]]:
    values = [value for value, _ in units_of(text)]
    return frozenset(tuple(values[at : at + 5]) for at in range(max(1, len(values) - 4)))


def sample_texts() -> dict[str, list[str]]:
    """The texts of each language in the packaged sample, none of them twice."""
    found: dict[str, dict[str, None]] = {language: {} for language in LANGUAGES}
    for name in ("declarations", "handbooks"):
        packed = (importlib.resources.files("pipelines") / "sample" / f"{name}.jsonl.zst").read_bytes()
        for line in io.BytesIO(zstandard.ZstdDecompressor().stream_reader(packed).read()):
            record = json.loads(line)
            language = str(record.get("lang", "")).split("-")[0]
            if language in found:
                found[language][record["text"]] = None
    return {language: list(texts) for language, texts in found.items()}


def plant(texts: list[str], size: tuple[int, int], chosen: random.Random, language: str) -> list[dict[str, str]]:
    """Pieces of texts of so many units, each followed by a copy in which a few units are replaced by others."""
    vocabulary = [piece for text in texts[:20] for _, piece in units_of(text)]
    documents = []
    for number, text in enumerate(texts):
        pieces = [piece for _, piece in units_of(text)]
        length = chosen.randint(*size)
        if len(pieces) < length:
            continue
        begin = chosen.randint(0, len(pieces) - length)
        pieces = pieces[begin : begin + length]
        changed = list(pieces)
        for _ in range(chosen.randint(1, max(1, length // 100))):
            # At an end a change touches one shingle, in the middle five: short documents are changed at their ends.
            place = chosen.choice([0, length - 1]) if length < 50 else chosen.randrange(length)
            changed[place] = chosen.choice(vocabulary)
        documents += [
            {"id": f"{language}{number}", "text": "".join(pieces)},
            {"id": f"{language}{number}-copy", "text": "".join(changed)},
        ]
    return documents


@pytest.mark.slow
@pytest.mark.parametrize("size", [(100, 400), (3, 20)], ids=["of some length", "of 3 to 20 units"])
def test_planted_near_duplicates_are_found_and_nothing_else(tmp_path: Path, size: tuple[int, int]) -> None:
    chosen = random.Random(11)
    texts = sample_texts()
    documents = [entry for name in LANGUAGES for entry in plant(texts[name][:120], size, chosen, name)]
    assert {entry["id"][:2] for entry in documents} == set(LANGUAGES)
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", "dedup", language="off")
    dropped = {str(row["id"]): str(row["keeper"]) for row in rows(tmp_path / "run", "decisions")}
    sets = {entry["id"]: shingles(entry["text"]) for entry in documents}

    def similarity(left: str, right: str) -> float:
        shared = len(sets[left] & sets[right])
        return shared / (len(sets[left]) + len(sets[right]) - shared)

    similar = [
        (left, right)
        for name in LANGUAGES
        for left, right in itertools.combinations([key for key in sets if key.startswith(name)], 2)
        if similarity(left, right) >= THRESHOLD
    ]
    assert len(similar) > 150
    found = sum(left in dropped or right in dropped for left, right in similar)
    right = sum(similarity(name, keeper) >= THRESHOLD for name, keeper in dropped.items())
    assert found >= 0.98 * len(similar), f"recall {found} of {len(similar)}"
    assert right >= 0.99 * len(dropped), f"precision {right} of {len(dropped)}"
