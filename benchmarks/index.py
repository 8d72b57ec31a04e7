"""Runs against the index of an earlier run: what an index takes, and what a question costs as it grows.

    python benchmarks/index.py [CORPUS.jsonl.zst] [--share 0.02]

First the same questions (signatures of 2,000 documents, a tenth of them in the index) are put to indexes of random
signatures, ten times larger each time: pages of the tables that are looked at, signatures read, CPU milliseconds.

With a corpus: its last `share` is a new dump, the rest an earlier run. Printed are the size of the index, the CPU time
of the earlier run with and without leaving it, and of the new dump against it, beside one run over both. All with
`language: off` and dedup alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zstandard
from measure import Measured, measure
from numpy.typing import NDArray
from pipeline import lines

from stages.dedup.against import Rule, find_similar
from stages.dedup.index import Index
from stages.dedup.minhash import Ragged

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.runs import rows
from tests.stages.dedup.indexes import SCHEME, random_signatures, write_index

SIZES = (3_000, 30_000, 300_000)
ASKED = 2_000


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--share", type=float, default=0.02)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        questions(Path(folder))
    if arguments.corpus:
        with tempfile.TemporaryDirectory() as folder:
            dumps(Path(folder), arguments.corpus, arguments.share)


def questions(folder: Path) -> None:
    """The same questions to indexes of growing size."""
    print(f"{ASKED:,} questions, {SCHEME.bands + 1} look-ups each")
    print(f"{'documents':>10}{'index MB':>10}{'pages a look-up':>17}{'signatures read':>17}{'CPU ms':>8}")
    asked = np.concatenate([random_signatures(SIZES[0], seed=1)[: ASKED // 10], random_signatures(ASKED, seed=2)])[
        :ASKED
    ]
    exact = np.random.default_rng(3).integers(0, 1 << 64, (ASKED, 2), dtype=np.uint64)
    for size in SIZES:
        signatures = random_signatures(size, seed=size)
        signatures[: ASKED // 10] = asked[: ASKED // 10]
        write_index(folder / str(size), signatures)
        rule = Rule(0.85, 0.06, 64)
        find_similar(Index(folder / str(size)), exact[:1], asked[:1], _no_sets, rule)  # compiled
        index = Index(folder / str(size))
        began = time.process_time()
        found = find_similar(index, exact, asked, _no_sets, rule)
        milliseconds = 1000 * (time.process_time() - began)
        bytes_ = sum(entry.bytes for entry in index.header.files.values())
        pages = index.pages / (ASKED * (SCHEME.bands + 1))
        read = len(index.candidates(asked, 64))
        if len(found.places) != ASKED // 10:
            sys.exit(f"{len(found.places)} documents were found, not {ASKED // 10}")
        print(f"{size:>10,}{bytes_ / 1e6:>10.1f}{pages:>17.2f}{read:>17,}{milliseconds:>8.0f}")


def _no_sets(places: NDArray[np.int64]) -> Ragged:
    raise AssertionError("nothing is in doubt")


def dumps(folder: Path, corpus: Path, share: float) -> None:
    """An earlier run and a new dump, of a real corpus."""
    every = list(lines(corpus))
    cut = round(len(every) * (1 - share))
    files = {"old": every[:cut], "new": every[cut:]}
    for name, some in files.items():
        packed = zstandard.ZstdCompressor().compress(b"".join(line.rstrip(b"\n") + b"\n" for line in some))
        (folder / f"{name}.jsonl.zst").write_bytes(packed)
    text = {name: sum(len(json.loads(line)["text"].encode()) for line in some) for name, some in files.items()}
    del every
    plain = process(folder, "plain", ["old"], {})
    indexed = process(folder, "indexed", ["old"], {"index": True})
    against = process(folder, "against", ["new"], {"against": [str(folder / "indexed")]})
    alone = process(folder, "alone", ["new"], {})
    both = process(folder, "both", ["old", "new"], {})
    header = Index(folder / "indexed").header
    size = sum(entry.bytes for entry in header.files.values())
    old, new = text["old"] / 1e6, text["new"] / 1e6
    print(f"\nearlier run: {old:.1f} MB, {header.documents:,} documents kept; new dump: {new:.1f} MB")
    share_of_text = size / text["old"]
    print(
        f"index: {size / 1e6:.1f} MB, {size / header.documents:.0f} bytes a document, {share_of_text:.2f} of the text"
    )
    for name, done in (
        ("earlier run, no index", plain),
        ("earlier run, leaving an index", indexed),
        ("new dump, against nothing", alone),
        ("new dump, against the index", against),
        ("one run over both", both),
    ):
        print(f"{name:32}{done.cpu_s:7.2f} CPU s{done.peak_bytes / 1e6:8.0f} MB peak")
    asked = {json.loads(line)["id"] for line in lines(folder / "new.jsonl.zst")}
    kept = {row["id"] for row in rows(folder / "against", "shards")}
    whole = {row["id"] for row in rows(folder / "both", "shards")} & asked
    print(f"kept of the new dump: {len(kept):,} against the index, {len(whole):,} in one run")
    print(f"kept by one of the two alone: {len(kept ^ whole):,}")


def process(folder: Path, name: str, inputs: list[str], parameters: dict[str, object]) -> Measured:
    """One run of dedup alone, measured."""
    recipe = folder / f"{name}.yaml"
    recipe.write_text(f"name: {name}\nlanguage: off\nstages:\n  - dedup: {json.dumps(parameters)}\n")
    files = [str(folder / f"{file}.jsonl.zst") for file in inputs]
    options = ["-o", str(folder / name), "-r", str(recipe), "--workers", "2", "--json"]
    done = measure([sys.executable, "-m", "curator", "process", *files, *options])
    if done.returncode:
        sys.exit(done.stderr)
    return done


if __name__ == "__main__":
    main()
