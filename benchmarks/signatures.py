"""Text to signatures: MB of UTF-8 text per CPU second, one process, after the kernels are compiled.

    python benchmarks/signatures.py CORPUS.jsonl.zst [--repeat 5] [--batch-mb 4]

Prints the median over the repeats of each part and of all, and for comparison datasketch's update_batch on the same
shingles (of the first batch).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from corpora import read_records
from numpy.typing import NDArray

from curator.text.content import content_hashes
from curator.text.segment import Units, segment
from stages.dedup.minhash import Ragged, minhash, shingle_hashes

Texts = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_batches(path: Path, batch_bytes: int) -> list[Texts]:
    """The texts of a corpus in batches of about `batch_bytes`."""
    batches: list[Texts] = []
    texts: list[bytes] = []
    size = 0

    def close() -> None:
        offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        batches.append((np.frombuffer(b"".join(texts), dtype=np.uint8), offsets))
        texts.clear()

    for record in read_records(path):
        texts.append(record["text"].encode())
        size += len(texts[-1])
        if size >= batch_bytes:
            close()
            size = 0
    if texts:
        close()
    return batches


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(name: str, megabytes: float, repeat: int, work: Callable[[], object]) -> float:
    """Print and return the median rate of `work` in MB per CPU second."""
    rates = [megabytes / cpu_seconds(work) for _ in range(repeat)]
    rate = statistics.median(rates)
    print(f"{name:36} {rate:9.1f} MB per CPU second   (of {repeat}: {min(rates):.1f} to {max(rates):.1f})")
    return rate


def signatures(texts: Texts) -> NDArray[np.uint32]:
    """All of it: segmentation, shingles, 256 permutations."""
    return minhash(shingle_hashes(segment(*texts), *texts), permutations=256, seed=0)


def compare_with_datasketch(units: Units, texts: Texts, megabytes: float) -> None:
    """Print the rate of datasketch's batch form on the shingles of one batch, and whether the signatures are equal."""
    from datasketch import MinHash

    shingles = shingle_hashes(units, *texts)
    lists = [(shingles.values[begin:end] & 0xFFFFFFFF).tolist() for begin, end in pairwise(shingles.offsets)]
    theirs: list[NDArray[np.uint32]] = []

    def identity(value: int) -> int:
        return value

    def sketch() -> None:
        for values in lists:
            one = MinHash(num_perm=256, seed=0, hashfunc=identity)
            one.update_batch(values)
            theirs.append(one.hashvalues)

    print(
        f"{'datasketch update_batch, signatures':36} {megabytes / cpu_seconds(sketch):9.1f} MB per CPU second   (once)"
    )
    print(f"signatures equal to datasketch's: {np.array_equal(np.stack(theirs), minhash(shingles, 256, 0))}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--batch-mb", type=float, default=4.0)
    arguments = parser.parse_args()
    batches = read_batches(arguments.corpus, int(arguments.batch_mb * 1e6))
    megabytes = sum(len(data) for data, _ in batches) / 1e6
    documents = sum(len(offsets) - 1 for _, offsets in batches)
    warm = cpu_seconds(lambda: signatures(batches[0]))
    segmented = [segment(*texts) for texts in batches]
    shingled = [shingle_hashes(units, *texts) for units, texts in zip(segmented, batches, strict=True)]
    units = sum(len(batch.hashes) for batch in segmented)
    print(
        f"{megabytes:.1f} MB, {documents} documents, {units} units, {len(batches)} batches; first call {warm:.1f} CPU s"
    )

    def each(work: Callable[[Units, Ragged, Texts], object]) -> Callable[[], None]:
        def run() -> None:
            for one in zip(segmented, shingled, batches, strict=True):
                work(*one)

        return run

    measure("segmentation", megabytes, arguments.repeat, each(lambda _u, _s, texts: segment(*texts)))
    measure("shingles", megabytes, arguments.repeat, each(lambda units, _s, texts: shingle_hashes(units, *texts)))
    measure("256 permutations", megabytes, arguments.repeat, each(lambda _u, shingles, _t: minhash(shingles, 256, 0)))
    measure("exact hashes", megabytes, arguments.repeat, each(lambda units, _s, texts: content_hashes(units, *texts)))
    rate = measure("text to signatures", megabytes, arguments.repeat, each(lambda _u, _s, texts: signatures(texts)))
    compare_with_datasketch(segmented[0], batches[0], len(batches[0][0]) / 1e6)
    print(f"needed: 30, aim: 60, reached: {rate:.1f}")


if __name__ == "__main__":
    main()
