"""Small corpora and runs for tests: real files, the real driver."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curator.document import DOCUMENT_SCHEMA
from curator.recipe import load_recipe_text
from curator.run.driver import Outcome, Request, run
from curator.run.part import Part
from curator.storage.ipc import BatchWriter
from curator.storage.path import AnyPath, matching, readable, relative_name

WORDS = {
    "en": "the house stands on a small hill near the river where children play and old people talk about the weather",
    "fr": "la maison se trouve sur une petite colline près de la rivière où les enfants jouent et les anciens parlent",
    "ru": "дом стоит на небольшом холме у реки где играют дети и старики говорят о погоде и о старых временах",
    "el": "το σπίτι βρίσκεται σε έναν μικρό λόφο κοντά στο ποτάμι όπου παίζουν τα παιδιά και μιλούν οι γέροι",
    "hi": "घर नदी के पास एक छोटी पहाड़ी पर है जहाँ बच्चे खेलते हैं और बूढ़े लोग मौसम के बारे में बात करते हैं",
}
"""A few words of five languages, from which texts are drawn."""


def make_texts(count: int, *, seed: int = 0, units: tuple[int, int] = (20, 120)) -> list[dict[str, str]]:
    """Random documents in five languages, some of them copies or near-copies of earlier ones, some with an e-mail."""
    chosen = random.Random(seed)
    languages = list(WORDS)
    documents: list[dict[str, str]] = []
    for number in range(count):
        kind = chosen.random()
        if documents and kind < 0.08:
            text = chosen.choice(documents)["text"]
        elif documents and kind < 0.2:
            words = chosen.choice(documents)["text"].split()
            words[chosen.randrange(len(words))] = f"change{number}"
            text = " ".join(words)
        else:
            lang = chosen.choice(languages)
            vocabulary = WORDS[lang].split()
            length = chosen.randint(*units)
            text = " ".join(
                f"{chosen.choice(vocabulary)}{chosen.choice(['', '', chosen.randrange(50)])}" for _ in range(length)
            )
            if chosen.random() < 0.05:
                text += f" write to person{number}@example.org today"
        documents.append({"id": f"d{number}", "text": text, "source": f"{chosen.choice(['web', 'books'])}:{number}"})
    return documents


def write_jsonl(path: Path, documents: Sequence[Mapping[str, object]]) -> Path:
    """Documents as a JSONL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents))
    return path


def recipe_text(*stages: str, **keys: object) -> str:
    """A recipe with these stages (`dedup` or `dedup: {…}`) and top-level keys."""
    lines = [
        f"name: {keys.pop('name', 'test')}",
        *(f"{key}: {json.dumps(value)}" for key, value in keys.items()),
        "stages:",
    ]
    return "\n".join([*lines, *(f"  - {stage}" for stage in stages)]) + "\n"


def run_stages(
    inputs: Sequence[AnyPath], directory: AnyPath, *stages: str, workers: int = 1, resume: bool = False, **keys: object
) -> Outcome:
    """Run a recipe of these stages on files."""
    recipe = load_recipe_text(recipe_text(*stages, **keys), "test.yaml")
    return run(Request(tuple(str(path) for path in inputs), directory, recipe, workers=workers, resume=resume))


def rows(run_directory: AnyPath, kind: str) -> list[dict[str, object]]:
    """All rows of one kind of file of a run (`shards`, `scores`, `decisions`, `failed`), in order."""
    found: list[dict[str, object]] = []
    for path in matching(run_directory / kind, "*.parquet"):
        found.extend(pq.read_table(readable(path)).to_pylist())
    return found


def hashes(run_directory: AnyPath) -> dict[str, str]:
    """SHA-256 of every file that promise 1 speaks of: shards, scores, decisions, failed, index, manifest."""
    files = [run_directory / "manifest.json"]
    for kind in ("shards", "scores", "decisions", "failed", "index"):
        files.extend(matching(run_directory / kind, "*"))
    return {relative_name(path, run_directory): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_part(folder: Path) -> Part:
    """A part of two batches of three documents, as reading leaves it."""
    documents = BatchWriter(folder / "p.documents", DOCUMENT_SCHEMA)
    columns = BatchWriter(folder / "p.columns", pa.schema([("tokens", pa.int64()), ("bytes", pa.int64())]))
    for begin in (0, 3):
        shared = {"source": "s", "lang": "de", "file": "f"}
        records = [
            {"key": bytes([row] * 16), "id": str(row), "text": f"text {row}", "position": row, **shared}
            for row in range(begin, begin + 3)
        ]
        documents.write(pa.RecordBatch.from_pylist(records, schema=DOCUMENT_SCHEMA))
        columns.write(pa.RecordBatch.from_pydict({"tokens": [2] * 3, "bytes": [6] * 3}))
    documents.close()
    columns.close()
    return Part(str(folder), "p", 6, 0)
