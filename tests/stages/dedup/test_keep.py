"""The two kernels of deduplication against plain references."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup.keep import Buckets, keep_first

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2**64 - 1)), max_size=60, unique=True)
PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from([0.85, 0.9, 0.95])), max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=4)


def cut(rows: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    """The rows in consecutive blocks, some of them empty."""
    return [rows[begin:end] for begin, end in pairwise([0, *sorted(min(c, len(rows)) for c in cuts), len(rows)])]


@given(ROWS, st.integers(1, 5), CUTS)
def test_documents_of_a_bucket_meet_its_first_ones(
    values: list[tuple[int, int]], representatives: int, cuts: list[int]
) -> None:
    values.sort()
    rows = np.array(values, dtype=np.uint64).reshape(-1, 2)
    buckets: dict[int, list[int]] = {}
    for key, order in values:
        buckets.setdefault(key, []).append(order)
    expected = [
        (order, earlier)
        for bucket in buckets.values()
        for number, order in enumerate(bucket)
        for earlier in bucket[: min(number, representatives)]
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.dedup.keep.PAIRS_TOGETHER", 1)
        found = Buckets(representatives)
        pairs = [tuple(pair) for block in found.pairs(cut(rows, cuts)) for pair in block.tolist()]
    assert pairs == expected
    assert found.cut == sum(len(bucket) > representatives for bucket in buckets.values())
    assert found.beyond == sum(max(0, len(bucket) - representatives) for bucket in buckets.values())


@given(PAIRS, CUTS)
def test_who_stays_equals_the_plain_rule(values: list[tuple[int, int, float]], cuts: list[int]) -> None:
    edges = sorted({(max(a, b), min(a, b)): s for a, b, s in values if a != b}.items())
    rows = np.array([[*edge[0], 0] for edge in edges], dtype=np.uint64).reshape(-1, 3)
    rows[:, 2] = np.array([edge[1] for edge in edges], dtype=np.float64).view(np.uint64)
    dropped: dict[int, tuple[float, int]] = {}
    for node in range(13):
        best: tuple[float, int] | None = None
        for (late, early), score in edges:
            if late == node and early not in dropped and (best is None or score > best[0]):
                best = (score, early)
        if best is not None:
            dropped[node] = best
    kept = keep_first(cut(rows, cuts), 13)
    keepers = zip(kept.similarity.tolist(), kept.keepers.tolist(), strict=True)
    assert dict(zip(kept.dropped.tolist(), keepers, strict=True)) == dropped


UNDER_A_LIMIT = """
import re
import resource
from pathlib import Path

import numpy as np

from stages.dedup.keep import keep_first

ROWS, BLOCKS, DOCUMENTS, SIMILAR = 1 << 28, 200, 1_000, 100


def blocks(count):
    similarity = np.full(DOCUMENTS * SIMILAR, 0.9).view(np.uint64)
    earlier = np.tile(np.arange(SIMILAR, dtype=np.uint64), DOCUMENTS)
    for block in range(count):
        first = SIMILAR + block * DOCUMENTS
        later = np.repeat(np.arange(first, first + DOCUMENTS, dtype=np.uint64), SIMILAR)
        yield np.stack([later, earlier, similarity], axis=1)


assert len(keep_first(blocks(2), ROWS).dropped) == 2 * DOCUMENTS
held = 1024 * int(re.search(r"VmSize:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
limit = held + ROWS // 8 + 3 * 24 * BLOCKS * DOCUMENTS + (24 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert len(keep_first(blocks(BLOCKS), ROWS).dropped) == BLOCKS * DOCUMENTS
try:
    list(blocks(BLOCKS))
except MemoryError:
    print("the pairs themselves do not fit")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_who_stays_is_found_in_a_bit_a_document_and_what_is_dropped() -> None:
    done = subprocess.run([sys.executable, "-c", UNDER_A_LIMIT], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the pairs themselves do not fit\n"
