"""Deduplication against planted truth: recall by true Jaccard similarity, by script.

    python benchmarks/dedup.py CORPUS.jsonl.zst TRUTH.jsonl.zst [--workers 2]

The truth has a line a pair: `a`, `b` (ids), `kind` (exact, near), `jaccard` (of 5-grams), `lang`. A pair is found when
one of its documents is dropped by dedup.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from measure import measure
from pipeline import lines, text_bytes

RECIPE = "name: dedup\nlanguage: off\nstages: [dedup]\n"
UNSPACED = ("zh", "ja", "th", "lo", "km", "my")


def main() -> None:
    """Print recall and speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    size = text_bytes(arguments.corpus)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "dedup.yaml"
        recipe.write_text(RECIPE)
        run = Path(folder) / "run"
        options = ["-o", str(run), "-r", str(recipe), "--workers", str(arguments.workers), "--json"]
        done = measure([sys.executable, "-m", "curator", "process", str(arguments.corpus), *options])
        if done.returncode:
            sys.exit(done.stderr)
        dropped = {
            row["id"]
            for path in sorted((run / "decisions").glob("*.parquet"))
            for row in pq.read_table(path, columns=["id", "action"]).to_pylist()
            if row["action"] == "drop"
        }
    print(
        f"{size / 1e6:.0f} MB: {size / 1e6 / done.wall_s:.1f} MB/s, {size / 1e6 / done.cpu_s:.1f} MB per CPU second, "
        f"peak memory {done.peak_bytes / 1e6:.0f} MB, {len(dropped)} documents dropped"
    )
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    for line in lines(arguments.truth):
        pair = json.loads(line)
        script = "without spaces" if pair["lang"] in UNSPACED else "with spaces"
        group = ("exact copies" if pair["kind"] == "exact" else band(pair["jaccard"]), script)
        pairs[group] += 1
        found[group] += pair["a"] in dropped or pair["b"] in dropped
    for group in sorted(pairs):
        print(f"{group[0]:18}{group[1]:16}{found[group]:6} of {pairs[group]:6}  {found[group] / pairs[group]:.4f}")


def band(jaccard: float) -> str:
    """The band of a similarity that is reported together."""
    return "J >= .85" if jaccard >= 0.85 else "J .80 to .85" if jaccard >= 0.8 else "J < .80"


if __name__ == "__main__":
    main()
