"""Deduplication by datatrove: its four MinHash stages with the local executor, two workers.

python datatrove_dedup.py CORPUS.jsonl KEPT.txt
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig

WORKERS = 2


def main() -> None:
    """Write the ids of the documents that stay, a line each."""
    corpus = Path(sys.argv[1])
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        half = root / "input"
        half.mkdir()
        lines = corpus.read_bytes().splitlines(keepends=True)
        for part in range(WORKERS):
            begin, end = len(lines) * part // WORKERS, len(lines) * (part + 1) // WORKERS
            (half / f"{part}.jsonl").write_bytes(b"".join(lines[begin:end]))
        reader = JsonlReader(str(half))
        steps = [
            ([reader, MinhashDedupSignature(str(root / "signatures"), config=config)], WORKERS),
            ([MinhashDedupBuckets(str(root / "signatures"), str(root / "buckets"), config=config)], 14),
            ([MinhashDedupCluster(str(root / "buckets"), str(root / "remove"), config=config)], 1),
            ([reader, MinhashDedupFilter(str(root / "remove")), JsonlWriter(str(root / "kept"))], WORKERS),
        ]
        for number, (pipeline, tasks) in enumerate(steps):
            logs = str(root / f"logs-{number}")
            LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=WORKERS, logging_dir=logs).run()
        kept = [
            json.loads(line)["id"]
            for path in sorted((root / "kept").rglob("*.gz"))
            for line in gzip.decompress(path.read_bytes()).splitlines()
        ]
    Path(sys.argv[2]).write_text("\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
