"""The two kernels of deduplication against plain references."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup.keep import candidate_pairs, keep_first

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2**64 - 1)), max_size=60, unique=True)
PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from([0.85, 0.9, 0.95])), max_size=60)


@given(ROWS, st.integers(1, 5))
def test_documents_of_a_bucket_meet_its_first_ones(values: list[tuple[int, int]], representatives: int) -> None:
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
    assert [tuple(pair) for pair in candidate_pairs(rows, representatives).tolist()] == expected


@given(PAIRS)
def test_who_stays_equals_the_plain_rule(values: list[tuple[int, int, float]]) -> None:
    edges = sorted({(max(a, b), min(a, b)): s for a, b, s in values if a != b}.items())
    later = np.array([edge[0][0] for edge in edges], dtype=np.uint64)
    earlier = np.array([edge[0][1] for edge in edges], dtype=np.uint64)
    similarity = np.array([edge[1] for edge in edges], dtype=np.float64)
    dropped: dict[int, tuple[float, int]] = {}
    for node in range(13):
        best: tuple[float, int] | None = None
        for (late, early), score in edges:
            if late == node and early not in dropped and (best is None or score > best[0]):
                best = (score, early)
        if best is not None:
            dropped[node] = best
    names, keepers, scores = keep_first(later, earlier, similarity)
    found = dict(zip(names.tolist(), zip(scores.tolist(), keepers.tolist(), strict=True), strict=True))
    assert found == dropped
