"""What single operations cost whose number grows faster than the corpus: seconds and bytes for `curator plan`."""

from __future__ import annotations

import gc
import json
import multiprocessing
import pickle
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from curator.engine.local import _Partition, _partitions
from curator.engine.merge import Piece
from curator.engine.partition import sorted_blocks
from curator.run.part import Part
from curator.run.store import Commit, Outputs
from curator.storage.ipc import BatchWriter
from stages.dedup.exact import Gone
from stages.dedup.near import Near
from stages.dedup.relate import SameUrl, _Keep

SOURCES = PARTITIONS = 300
ROWS_OF_A_PIECE = 4
PARTS = 2000
DOCUMENTS = 4_000_000
DROPPED, KEEP_PARTS, ID_BYTES = 2_000_000, 20, 19
_INTERVAL_S = 0.005


def operation_costs() -> dict[str, float]:
    """The constants that the model names, save those that runs tell."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            **_exchange_costs(Path(folder)),
            **_part_costs(),
            **_file_costs(Path(folder)),
            **_array_costs(),
            **_keep_costs(Path(folder)),
        }


def bytes_held(make: Callable[[], object]) -> float:
    """Memory of what a function returns."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return after - before


def seconds(function: Callable[[], object], repeat: int = 3) -> float:
    """CPU seconds of a call, the least of a few."""
    taken = []
    for _ in range(repeat):
        began = time.process_time()
        function()
        taken.append(time.process_time() - began)
    return min(taken)


def _exchange_costs(root: Path) -> dict[str, float]:
    """An exchange of many sources with many partitions: with a piece in every place, and with hardly any."""
    dense, sparse = root / "dense", root / "sparse"
    places = SOURCES * PARTITIONS
    sources = _sources(dense, np.full(PARTITIONS, ROWS_OF_A_PIECE))
    one = np.zeros(PARTITIONS, dtype=np.int64)
    one[0] = 1
    looked = seconds(lambda: list(_partitions(_sources(sparse, one), PARTITIONS))) / places
    partitions = list(_partitions(sources, PARTITIONS))
    told = seconds(lambda: [pickle.dumps(partition) for partition in _partitions(sources, PARTITIONS)]) / places
    outputs = Outputs(root, "out")
    read = seconds(lambda: [_read(partition, outputs) for partition in partitions]) / places
    record = json.dumps([0, *range(1_000_000, 1_000_000 + 1000 * PARTITIONS, 1000)])
    return {
        "place_s": looked,
        "piece_driver_s": told - looked,
        "piece_read_s": read,
        "piece_bytes": bytes_held(lambda: [Piece(str(dense / f"{n:06d}"), n + 1000, n + 1000) for n in range(PARTS)])
        / PARTS,
        "offset_bytes": bytes_held(lambda: json.loads(record)) / PARTITIONS,
        "offset_json_bytes": len(record) / PARTITIONS,
    }


def _sources(folder: Path, counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Commit]:
    folder.mkdir(exist_ok=True)
    rows = np.zeros((int(counts.sum()), 2), dtype=np.uint64)
    offsets = [0, *np.cumsum(counts).tolist()]
    for number in range(SOURCES):
        path = folder / f"{number:06d}.rows"
        if not path.exists():
            rows.tofile(path)
    return [Commit(str(folder), f"{n:06d}", {}, {"width": 2, "offsets": offsets}) for n in range(SOURCES)]


def _read(partition: _Partition, outputs: Outputs) -> int:
    return sum(len(block) for block in sorted_blocks(partition.pieces, partition.width, outputs))


def _part_costs() -> dict[str, float]:
    def make() -> tuple[Part, ...]:
        return tuple(
            Part("/data/run/work/read", f"{0:06d}-{number:06d}", 3000 + number, 3000 * number)
            .with_relation("dedup", "/data/run/work/relate-dedup/keep.arrow")
            .with_judged("/data/run/work/judge-1")
            .with_judged("/data/run/work/judge-2")
            for number in range(PARTS)
        )

    parts = make()
    return {
        "part_memory_bytes": bytes_held(make) / PARTS,
        "part_bytes": len(pickle.dumps(parts)) / PARTS,
        "part_send_s": seconds(lambda: pickle.dumps(parts)) / PARTS,
    }


def _file_costs(root: Path) -> dict[str, float]:
    paths = [root / f"{number}.signature" for number in range(PARTS)]
    for path in paths:
        path.write_bytes(bytes(1024 * 8))

    def open_all() -> None:
        for path in paths:
            width = path.stat().st_size // 32
            found = np.memmap(path, dtype=np.uint32, mode="r", shape=(8, width))
            np.asarray(found[3]).sum()

    return {"open_s": seconds(open_all) / PARTS}


def _keep_costs(root: Path) -> dict[str, float]:
    """In a process of its own: memory that this one has freed and kept would be used again, unseen."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return {"dropped_bytes": pool.submit(_dropped_bytes, root).result()}


def _dropped_bytes(root: Path) -> float:
    """Memory of the last step of deduplication for a document that is dropped, without the three copies of its keeper's
    id: the peak beyond what was there before, where every second of so many documents is dropped."""
    each, ids = 2 * DROPPED // KEEP_PARTS, pa.schema([("id", pa.string())])
    parts = []
    for number in range(KEEP_PARTS):
        part = Part(str(root), f"{number:06d}", each, each * number)
        names = pa.array([f"{row:0{ID_BYTES}d}" for row in range(part.first_row, part.first_row + each)])
        for name, column in (("documents", names), ("columns", pa.nulls(each, pa.string()))):
            writer = BatchWriter(part.path(name), ids)
            writer.write(pa.RecordBatch.from_arrays([column], schema=ids))
            writer.close()
        parts.append(part)
    early = np.arange(DROPPED, dtype=np.uint64)
    similarity = np.full(DROPPED, 0.9).view(np.uint64)
    np.column_stack([early + np.uint64(DROPPED), early, similarity]).tofile(root / "similar")
    np.save(root / "same.npy", np.zeros((0, 2), dtype=np.int64))
    near = Near((Piece(str(root / "similar"), 0, DROPPED),), {"exchanged_rows": 0, "candidate_pairs": 0})
    keep = _Keep(tuple(parts), SameUrl(Gone(), 0), str(root / "same.npy"), near, 0)
    return _peak_growth(lambda: keep(root / "relation.arrow")) / DROPPED - 3 * ID_BYTES


def _peak_growth(function: Callable[[], object]) -> float:
    """Bytes of resident memory that a call adds at its peak."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    process = psutil.Process()
    before = peak = process.memory_info().rss
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.wait(_INTERVAL_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        function()
    finally:
        ended.set()
        watcher.join()
    return float(peak - before)


def _array_costs() -> dict[str, float]:
    rows = np.random.default_rng(0).permutation(DOCUMENTS).astype(np.int64)
    places = rows // 1000
    ascending = np.sort(rows)
    more = rows[:1000]
    return {
        "unique_s": seconds(lambda: np.unique(np.concatenate([ascending, more]))) / DOCUMENTS,
        "select_s": seconds(lambda: rows[places == 17]) / DOCUMENTS,
    }
