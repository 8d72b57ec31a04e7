"""The whole pipeline as a user runs it: speed, CPU, memory, start-up, growth, and the floor below it.

    python benchmarks/pipeline.py CORPUS.jsonl.zst [--recipe web] [--workers 2] [--memory 4GB] [--repeat 3] [--grow
    1000]

MB are 10**6 bytes of UTF-8 text. `floor` reads, decompresses, parses and writes Parquet, and does nothing else.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet
from corpora import read_all
from measure import Measured, measure


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="web")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--grow", type=int, default=0, help="also measure on this many MB grown from the corpus")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        size = text_bytes(arguments.corpus)
        print(f"corpus: {size / 1e6:.1f} MB of text, {arguments.workers} workers, --memory {arguments.memory}")
        print(f"floor (one process): {size / 1e6 / floor_seconds(arguments.corpus, root):.1f} MB per CPU second")
        runs = [run(arguments, arguments.corpus, root, number) for number in range(arguments.repeat)]
        per_mb = report("pipeline", runs, size)
        phases(root / "run-0")
        ten = root / "ten.jsonl"
        ten.write_bytes(b"".join(first_lines(arguments.corpus, 10)))
        starts = [run(arguments, ten, root, 1000 + number) for number in range(arguments.repeat)]
        print(f"ten documents: {statistics.median(done.wall_s for done in starts):.2f} s in all")
        if arguments.grow:
            grown = root / "grown.jsonl"
            grow = [sys.executable, str(Path(__file__).with_name("grow_corpus.py")), str(arguments.corpus), str(grown)]
            subprocess.run([*grow, "--megabytes", str(arguments.grow)], check=True)
            bigger = text_bytes(grown)
            more = report(f"pipeline on {bigger / 1e6:.0f} MB", [run(arguments, grown, root, 2000)], bigger)
            print(f"CPU time per MB, {bigger / 1e6:.0f} MB against {size / 1e6:.0f} MB: {more / per_mb:.2f}")


def run(arguments: argparse.Namespace, corpus: Path, root: Path, number: int) -> Measured:
    """One `curator process`; ends the benchmark when it fails."""
    options = ["--workers", str(arguments.workers), "--memory", arguments.memory, "-r", arguments.recipe, "--json"]
    command = [sys.executable, "-m", "curator", "process", str(corpus), "-o", str(root / f"run-{number}"), *options]
    done = measure(command)
    if done.returncode:
        sys.exit(done.stderr)
    return done


def report(label: str, runs: list[Measured], size: int) -> float:
    """Print medians. Returns CPU seconds per MB."""
    wall = statistics.median(done.wall_s for done in runs)
    cpu = statistics.median(done.cpu_s for done in runs)
    peak = max(done.peak_bytes for done in runs)
    megabytes = size / 1e6
    print(
        f"{label}: {megabytes / wall:.2f} MB/s in {wall:.1f} s; {megabytes / cpu:.2f} MB per CPU second "
        f"({1000 * cpu / megabytes:.0f} ms per MB); peak memory {peak / 1e6:.0f} MB (median of {len(runs)})"
    )
    return cpu / megabytes


def phases(directory: Path) -> None:
    """Wall seconds of each phase, from the events."""
    started: dict[str, float] = {}
    for piece in sorted((directory / "events").glob("*.jsonl")):
        for line in piece.read_text().splitlines():
            event = json.loads(line)
            if event["kind"] == "phase.started":
                started[event["phase"]] = event["time"]
            elif event["kind"] == "phase.ended":
                print(f"    {event['time'] - started[event['phase']]:6.2f} s  {event['phase']}")


def text_bytes(corpus: Path) -> int:
    """UTF-8 bytes of `text`."""
    return sum(len(json.loads(line)["text"].encode()) for line in lines(corpus))


def lines(corpus: Path) -> list[bytes]:
    """The lines of a corpus."""
    return read_all(corpus).splitlines()


def first_lines(corpus: Path, count: int) -> list[bytes]:
    """The first lines of a corpus, with their line ends."""
    return [line + b"\n" for line in lines(corpus)[:count]]


def floor_seconds(corpus: Path, root: Path) -> float:
    """CPU seconds of reading, decompressing, parsing and writing alone, in one thread; median of 3."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        options = pyarrow.json.ReadOptions(use_threads=False, block_size=16 << 20)
        table = pyarrow.json.read_json(io.BytesIO(read_all(corpus)), read_options=options)
        pa.parquet.write_table(table, root / "floor.parquet", compression="zstd")
        taken.append(time.process_time() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
