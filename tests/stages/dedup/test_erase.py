"""An index without some of its documents is the index that would have been made without them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from curator.errors import UserError
from curator.run.phases import inputs
from curator.stage import Erased
from stages.dedup import erase as erasing
from stages.dedup.erase import erase, holds
from stages.dedup.header import read_header, verify_index
from stages.dedup.index import Index
from tests.runs import run_stages, write_jsonl
from tests.stages.dedup.dumps import make_dumps

FILES = ("keys", "exact", "ids", "shingles", "ids.offsets", "shingles.offsets", "signatures")
TABLES = ("exact.keys", "exact.rows", "bands.keys", "bands.rows")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("erase")
    # One file a document: its key does not depend on which others there are.
    for number, document in enumerate(make_dumps(17, 50)[0]):
        write_jsonl(folder / "in" / f"{number:03}.jsonl", [document])
    run_stages([folder / "in"], folder / "run", "dedup: {index: true}", language="off")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_is_the_index_of_a_run_without_them(
    folder: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_CHUNK_ROWS", 1 + 5 * seed)
    monkeypatch.setattr(erasing, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(inputs, "LEAST_WEIGHT", 1)  # files are read together
    index = Index(folder / "run")
    chosen = random.Random(seed)
    gone = sorted(chosen.sample(range(len(index)), chosen.randint(1, len(index) - 1)))
    (tmp_path / "left").mkdir()
    keys = [index.keys[row].tobytes() for row in gone]
    assert erase(folder / "run", index.header.name, keys, tmp_path / "left") == Erased(len(gone))
    # A run over the documents that stay, each of which was kept: none of them is similar to another.
    ids = {name for row, name in enumerate(index.ids(range(len(index)))) if row not in gone}
    for number, document in enumerate(make_dumps(17, 50)[0]):
        if document["id"] in ids:
            write_jsonl(tmp_path / "in" / f"{number:03}.jsonl", [document])
    run_stages([tmp_path / "in"], tmp_path / "run", "dedup: {index: true}", language="off")
    for name in (*FILES, *TABLES):
        assert (tmp_path / "left" / name).read_bytes() == (tmp_path / "run" / "index" / name).read_bytes(), name
    header = verify_index(tmp_path / "left")
    assert (header.documents, header.erased) == (len(index) - len(gone), len(gone))
    assert header.checksum != index.header.checksum
    assert holds(tmp_path / "left", keys, index.ids(gone)) == []
    assert len(holds(folder / "run", keys, index.ids(gone))) == 2 * len(gone)


def test_an_erased_document_is_no_candidate_any_more(folder: Path, tmp_path: Path) -> None:
    index = Index(folder / "run")
    (tmp_path / "left").mkdir()
    erase(folder / "run", index.header.name, [index.keys[3].tobytes()], tmp_path / "left")
    left = Index(tmp_path / "left")
    assert left.find_exact(np.array(index.exact[3:4])).tolist() == [-1]
    assert len(left.candidates(np.array(index.signatures[3:4]), 64)) == 0
    assert left.candidates(np.array(index.signatures[4:5]), 64).tolist() == [[0, 3]]


def test_keys_that_it_has_not_change_nothing_and_another_runs_are_refused(folder: Path, tmp_path: Path) -> None:
    name = read_header(folder / "run").name
    assert erase(folder / "run", name, [b"0" * 16], tmp_path) == Erased()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="is the index of"):
        erase(folder / "run", "other-12345678", [b"0" * 16], tmp_path)
