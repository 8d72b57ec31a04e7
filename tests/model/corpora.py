"""Runs to train on: their shards and manifest as a run leaves them, with as many row groups as a test needs; and models
of a size that a test can wait for."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curator.keys import child_keys, file_keys
from curator.run.manifest import dump_manifest
from curator.run.phases.write import SHARD_SCHEMA
from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import DataSection, TokenizerSection, TrainingConfig, parse_training_config
from model.config import ModelConfig
from model.data.shards import open_corpus
from model.tokenizer_training import train_tokenizer
from tests.runs import WORDS


def make_documents(count: int, *, seed: int = 0, units: tuple[int, int] = (5, 60)) -> list[dict[str, object]]:
    """Documents in five languages, each with its number in its text, and weights of 1 and 2."""
    chosen = random.Random(seed)
    found: list[dict[str, object]] = []
    for number in range(count):
        lang = chosen.choice(list(WORDS))
        words = chosen.choices(WORDS[lang].split(), k=chosen.randint(*units))
        text = f"{number} {' '.join(words)}."
        found.append({"id": f"d{number}", "text": text, "lang": lang, "weight": chosen.choice([1.0, 1.0, 2.0])})
    return found


def write_run(
    folder: Path, documents: Sequence[dict[str, object]], *, shards: int = 2, rows: int = 16, name: str = "test"
) -> str:
    """A finished run of these documents, in so many shards with row groups of so many rows; its place."""
    (folder / "shards").mkdir(parents=True)
    # A copy has the key of its document, a child one of its own.
    numbers = np.array([int(str(document["id"])[1:].partition("#")[0]) for document in documents], np.int64)
    keys = file_keys(name, numbers)
    children = np.array([document.get("parent") is not None for document in documents])
    keys[children] = child_keys(keys[children], np.ones(children.sum(), np.int64))
    files = []
    for shard in range(shards):
        of_shard = range(shard * len(documents) // shards, (shard + 1) * len(documents) // shards)
        columns = {
            "id": [documents[row]["id"] for row in of_shard],
            "key": [keys[row].tobytes() for row in of_shard],
            "text": [documents[row]["text"] for row in of_shard],
            "lang": [documents[row]["lang"] for row in of_shard],
            "source": ["web"] * len(of_shard),
            "tokens": [len(str(documents[row]["text"]).split()) for row in of_shard],
            "copy": [documents[row].get("copy", 0) for row in of_shard],
            "parent": [documents[row].get("parent") for row in of_shard],
            "weight": [documents[row]["weight"] for row in of_shard],
            "provenance": [{"file": name, "position": int(numbers[row])} for row in of_shard],
        }
        path = folder / "shards" / f"part-{shard:05d}.parquet"
        pq.write_table(pa.table(columns, schema=SHARD_SCHEMA), path, row_group_size=rows)
        data = path.read_bytes()
        entry = {"path": f"shards/{path.name}", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        files.append(entry | {"rows": len(of_shard)})
    empty: dict[str, object] = {"versions": {}, "funnel": [], "facts": {}, "coverage": {}, "examples": {}}
    manifest = empty | {"warnings": [], "recipe": {"name": name}, "fingerprint": name * 8, "files": files, "format": 1}
    (folder / "manifest.json").write_bytes(dump_manifest(manifest))
    return str(folder)


def tokenizer_of(place: str, vocabulary: int = 400) -> Tokenizer:
    """A tokenizer that was trained on a run."""
    section = TokenizerSection(vocabulary=vocabulary, sample_bytes=100_000)
    return read_tokenizer(train_tokenizer([open_corpus(place)], section, 0).data, "trained")


TINY = ModelConfig(
    vocabulary=97,
    layers=2,
    width=32,
    heads=4,
    key_value_heads=2,
    head_width=8,
    experts=4,
    experts_per_token=2,
    expert_width=16,
)
"""A model of some 20 thousand numbers."""

DATA = DataSection(sequence=32, batch=4, validation_share=0.1, window_bytes=4096)


def tiny_config(**changes: object) -> TrainingConfig:
    """A training of seconds; `changes` are keys with dots written as `__`."""
    values: dict[str, object] = {
        "steps": 6,
        "threads": 1,
        "model": {"depth": 1, "width": 32, "heads": 4, "experts": 4, "expert_width": 16},
        "data": {"sequence": 32, "batch": 4, "validation_share": 0.1, "window_bytes": 4096},
        "schedule": {"warmup": 2},
        "checkpoint": {"every": 2},
        "validation": {"every": 2, "sequences": 4},
        "tokenizer": {"vocabulary": 400, "sample_bytes": 100_000},
    }
    for name, value in changes.items():
        *path, last = name.split("__")
        inner = values
        for key in path:
            found = inner.setdefault(key, {})
            assert isinstance(found, dict)
            inner = found
        inner[last] = value
    return parse_training_config(values)
