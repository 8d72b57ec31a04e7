"""Near-deduplication beside the libraries that people use today, on the same text: JSONL in, survivors out.

    python benchmarks/peers.py CORPUS.jsonl[.zst] TRUTH.jsonl[.zst] [--peers rensa,datasketch] [--repeat 3]
        [--environments FOLDER]

Each peer is installed from the package index into an environment of its own (kept in FOLDER), runs as its users run it
(`benchmarks/peers/`), and takes turns with Curator, so that a busy machine is busy for both. Curator uses one process,
as rensa and datasketch do; text-dedup, datatrove and data-juicer get two. MB are 10**6 bytes of UTF-8 text.

Recall: planted pairs of true 5-gram Jaccard similarity 0.85 and above, not both kept. Precision: of the documents
removed, the share that has any document at 0.80 and above (all pairs, exact; `benchmarks/all_pairs.py`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from all_pairs import similar_pairs
from corpora import read_all
from dedup import RECIPE, UNSPACED
from measure import Measured, measure
from pipeline import lines, text_bytes

RECALL_FROM, PRECISION_FROM = 0.85, 0.8
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """What to install, and the script that runs it."""

    requirements: tuple[str, ...]
    script: str


PEERS = {
    "rensa": Peer(("rensa==0.5.0",), "rensa_dedup.py"),
    "datasketch": Peer(("datasketch==2.0.0",), "datasketch_dedup.py"),
    "text-dedup": Peer(("text-dedup==0.4.0",), "textdedup_dedup.py"),
    "datatrove": Peer(("datatrove[io,processing]==0.10.1", "spacy"), "datatrove_dedup.py"),
    "data-juicer": Peer(("py-data-juicer==1.6.1", "aiohttp", "scipy", "ray[data]"), "juicer_dedup.py"),
}


def main() -> None:
    """Print a line for Curator and for each peer, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--peers", default="rensa,datasketch", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--environments", type=Path, default=Path("runs/peers"))
    arguments = parser.parse_args()
    size = text_bytes(arguments.corpus)
    truth = Truth.read(arguments.corpus, arguments.truth)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        corpus = root / "corpus.jsonl"
        corpus.write_bytes(read_all(arguments.corpus))
        for name in arguments.peers.split(","):
            python = environment(PEERS[name], arguments.environments / name)
            ours, theirs = [], []
            for number in range(arguments.repeat):
                kept = root / f"{name}-{number}.txt"
                theirs.append(checked([str(python), str(HERE / "peers" / PEERS[name].script), str(corpus), str(kept)]))
                ours.append(curator(corpus, root / f"{name}-run-{number}"))
            print(describe(name, theirs, size), truth.judge(kept.read_text(encoding="utf-8").split()))
            print(describe("curator", ours, size), truth.judge(survivors(root / f"{name}-run-0")))
            ratios = [their.cpu_s / our.cpu_s for their, our in zip(theirs, ours, strict=True)]
            print(
                f"    curator does {statistics.median(ratios):.1f} times as much per CPU second as {name}", flush=True
            )


def environment(peer: Peer, folder: Path) -> Path:
    """The interpreter of the peer's environment, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *peer.requirements], check=True)
    return python


def checked(command: Sequence[str]) -> Measured:
    """Measure a command; ends the benchmark when it fails."""
    done = measure(command)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return done


def curator(corpus: Path, run: Path) -> Measured:
    """Curator's deduplication in one process."""
    recipe = run.with_suffix(".yaml")
    recipe.write_text(RECIPE)
    options = ["-o", str(run), "-r", str(recipe), "--workers", "1", "--json"]
    return checked([sys.executable, "-m", "curator", "process", str(corpus), *options])


def survivors(run: Path) -> list[str]:
    """The ids of what a run kept."""
    shards = sorted((run / "shards").glob("*.parquet"))
    return [name for path in shards for name in pq.read_table(path, columns=["id"])["id"].to_pylist()]


def describe(name: str, runs: Sequence[Measured], size: int) -> str:
    """Speed and memory, medians."""
    cpu = statistics.median(done.cpu_s for done in runs)
    wall = statistics.median(done.wall_s for done in runs)
    peak = max(done.peak_bytes for done in runs)
    return f"{name:12} {size / 1e6 / cpu:7.2f} MB per CPU s, {size / 1e6 / wall:6.2f} MB/s, peak {peak / 1e6:5.0f} MB;"


@dataclass(frozen=True)
class Truth:
    """The planted pairs with their script, and the greatest similarity that each document has with any other."""

    ids: tuple[str, ...]
    planted: tuple[tuple[str, str, bool], ...]
    nearest: dict[str, float]

    @staticmethod
    def read(corpus: Path, truth: Path) -> Truth:
        """Compute it from a corpus and its planted pairs."""
        records = [json.loads(line) for line in lines(corpus)]
        ids = tuple(record["id"] for record in records)
        nearest = dict.fromkeys(ids, 0.0)
        pairs = similar_pairs([record["text"] for record in records], PRECISION_FROM)
        for left, right, similarity in zip(*(array.tolist() for array in pairs), strict=True):
            for row in (left, right):
                nearest[ids[row]] = max(nearest[ids[row]], similarity)
        planted = tuple(
            (pair["a"], pair["b"], pair["lang"] in UNSPACED)
            for pair in map(json.loads, lines(truth))
            if pair["kind"] == "near" and pair["jaccard"] >= RECALL_FROM
        )
        return Truth(ids, planted, nearest)

    def judge(self, kept: Sequence[str]) -> str:
        """Recall in both kinds of script, and precision."""
        stays = set(kept)
        shares = []
        for unspaced in (False, True):
            pairs = [(a, b) for a, b, kind in self.planted if kind == unspaced]
            found = sum(not (a in stays and b in stays) for a, b in pairs)
            shares.append(f"{found / max(len(pairs), 1):.3f}")
        removed = [name for name in self.ids if name not in stays]
        right = sum(self.nearest[name] >= PRECISION_FROM for name in removed)
        precision = right / max(len(removed), 1)
        return f"recall {shares[0]} with spaces, {shares[1]} without; precision {precision:.3f}"


if __name__ == "__main__":
    main()
