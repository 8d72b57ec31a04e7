"""Indexes made from arrays, without a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curator.keys import mix64
from stages.dedup.build import HashedFile
from stages.dedup.header import HEADER, File, Header, Scheme, dump_header
from stages.dedup.index import text_scheme
from stages.dedup.minhash import band_keys

SCHEME = Scheme(256, 0, 5, 25, 10, text_scheme())


def random_signatures(count: int, seed: int) -> NDArray[np.uint32]:
    return np.random.default_rng(seed).integers(0, 1 << 32, (count, SCHEME.permutations), dtype=np.uint32)


def write_index(folder: Path, signatures: NDArray[np.uint32], name: str = "made") -> None:
    """An index of these signatures; hashes and shingles (three a document) are random, ids are numbers."""
    folder.mkdir(parents=True)
    chosen = np.random.default_rng(len(signatures))
    count = len(signatures)
    keys, exact = (chosen.integers(0, 1 << 64, (count, 2), dtype=np.uint64) for _ in range(2))
    ids = [str(row).encode() for row in range(count)]
    shingles = np.sort(chosen.integers(0, 1 << 64, (count, 3), dtype=np.uint64), axis=1)
    banded = band_keys(signatures, SCHEME.bands, SCHEME.rows_per_band)
    exact_table, bands_table = _table(exact[:, :1]), _table(banded)
    arrays: dict[str, bytes] = {
        "keys": keys.tobytes(),
        "exact": exact.tobytes(),
        "signatures": signatures.tobytes(),
        "ids": b"".join(ids),
        "ids.offsets": np.cumsum([0, *map(len, ids)]).astype("<i8").tobytes(),
        "shingles": shingles.tobytes(),
        "shingles.offsets": (3 * np.arange(count + 1)).astype("<i8").tobytes(),
        "exact.keys": exact_table[0].tobytes(),
        "exact.rows": exact_table[1].tobytes(),
        "bands.keys": bands_table[0].tobytes(),
        "bands.rows": bands_table[1].tobytes(),
    }
    files: dict[str, File] = {}
    for file, data in arrays.items():
        with (folder / file).open("wb") as target:
            hashed = HashedFile(target)
            hashed.write(data)
            files[file] = hashed.entry()
    (folder / HEADER).write_bytes(dump_header(Header(name, SCHEME, count, 0, files)))


def _table(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    mixed = mix64(keys.reshape(-1))
    order = np.argsort(mixed, kind="stable")
    return mixed[order], np.repeat(np.arange(len(keys)), keys.shape[1])[order].astype("<u4")
