"""The files of an index: what is in them, what is said when they are damaged, and datasketch on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasketch import MinHashLSH
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import CuratorError, DataError, UserError
from curator.run.store import Commit
from curator.text.segment import read_only
from stages.dedup.build import count_rows
from stages.dedup.header import MAGIC, dump_header, read_header, verify_index
from stages.dedup.index import MAX_DOCUMENTS, Index, read_minhashes, search_sorted, sign
from tests.command import curator, json_of
from tests.runs import make_texts, run_stages, write_jsonl
from tests.stages.dedup.dumps import make_dumps
from tests.stages.dedup.indexes import SCHEME, random_signatures, write_index


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    file = write_jsonl(folder / "in.jsonl", make_dumps(5, 150)[0] + make_texts(60, seed=8))
    run_stages([file], folder / "run", "dedup: {index: true}", language="off")
    return folder / "run"


def test_a_run_of_more_documents_than_an_index_can_number_says_what_to_do() -> None:
    def pieces(*rows: int) -> list[Commit]:
        return [Commit("work/pieces", f"{number}", {}, {"rows": count}) for number, count in enumerate(rows)]

    assert count_rows(pieces(MAX_DOCUMENTS - 2, 1)) == MAX_DOCUMENTS - 1
    with pytest.raises(UserError, match="4,294,967,296 documents") as error:
        count_rows(pieces(MAX_DOCUMENTS - 1, 1))
    assert "index: false" in (error.value.hint or "")


def test_an_index_has_every_document_that_dedup_kept_in_their_order(run: Path) -> None:
    index = Index(run)
    shards = pq.read_table(run / "shards" / "part-00000.parquet")
    assert index.ids(range(len(index))) == shards["id"].to_pylist()
    assert [key.tobytes() for key in index.keys] == shards["key"].to_pylist()
    texts = shards["text"].to_pylist()
    for row, minhash in enumerate(sign(texts, index.header.scheme)):
        assert np.array_equal(minhash.hashvalues, index.signatures[row])
    sizes = np.diff(index.shingles.offsets)
    assert sizes.min() >= 1
    for begin, end in zip(index.shingles.offsets, index.shingles.offsets[1:], strict=False):
        assert (np.diff(index.shingles.values[begin:end].astype(object)) > 0).all()
    assert np.array_equal(index.find_exact(np.array(index.exact)), np.arange(len(index)))


def test_every_document_is_a_candidate_of_itself(run: Path) -> None:
    index = Index(run)
    pairs = index.candidates(np.array(index.signatures), 1 << 30)
    assert {(row, row) for row in range(len(index))} <= {tuple(pair) for pair in pairs.tolist()}


def test_datasketch_finds_the_candidates_of_the_index(run: Path) -> None:
    index = Index(run)
    scheme = index.header.scheme
    lsh = MinHashLSH(num_perm=scheme.permutations, params=(scheme.bands, scheme.rows_per_band))
    keys = []
    for key, _, minhash in read_minhashes(run):
        lsh.insert(key, minhash)
        keys.append(key)
    asked = sign([document["text"] for document in make_dumps(5, 150, 150)[1]], scheme)
    pairs = index.candidates(np.array([minhash.hashvalues for minhash in asked], dtype=np.uint32), 1 << 30)
    found = 0
    for place, minhash in enumerate(asked):
        expected = {keys[row] for row in pairs[pairs[:, 0] == place, 1].tolist()}
        assert set(lsh.query(minhash)) == expected
        found += len(expected)
    assert found > 30


def test_a_bucket_gives_its_first_documents_alone(tmp_path: Path) -> None:
    same = np.repeat(random_signatures(1, seed=1), 50, axis=0)
    write_index(tmp_path / "index", same)
    index = Index(tmp_path / "index")
    assert index.candidates(same[:1], 7)[:, 1].tolist() == list(range(7))


@given(
    table=st.lists(st.integers(0, 40), max_size=60),
    wanted=st.lists(st.integers(0, 40), max_size=20),
    most=st.integers(1, 5),
)
def test_searching_a_table_is_what_numpy_finds(table: list[int], wanted: list[int], most: int) -> None:
    there, asked = np.sort(np.array(table, np.uint64)), np.sort(np.array(wanted, np.uint64))
    begins, counts = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.int64)
    search_sorted(read_only(there), asked, most, begins, counts)
    low, high = (np.searchsorted(there, asked, side=side) for side in ("left", "right"))
    assert np.array_equal(begins, low)
    assert np.array_equal(counts, np.minimum(high - low, most))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def be_text(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


def be_of_the_future(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(f"{MAGIC} 1 ".encode(), f"{MAGIC} 2 ".encode(), 1))


@pytest.mark.parametrize(
    ("file", "damage", "error", "told"),
    [
        ("header", cut, DataError, "is not as it was written"),
        ("header", flip, DataError, "is not as it was written"),
        ("header", be_text, UserError, "is not the header of an index"),
        ("header", be_of_the_future, UserError, "has format 2, and this version reads format 1"),
        ("header", Path.unlink, UserError, "there is no index"),
        ("signatures", cut, DataError, "bytes, not"),
        ("signatures", Path.unlink, DataError, "is missing"),
        ("signatures", flip, DataError, "is not as it was written"),
        ("bands.keys", flip, DataError, "is not as it was written"),
        ("ids.offsets", flip, DataError, "is not as it was written"),
        ("shingles", cut, DataError, "bytes, not"),
    ],
)
def test_a_damaged_index_is_told_in_one_line(
    run: Path, tmp_path: Path, file: str, damage: Callable[[Path], None], error: type[CuratorError], told: str
) -> None:
    shutil.copytree(run / "index", tmp_path / "index")
    assert verify_index(tmp_path / "index").documents == len(Index(run))
    damage(tmp_path / "index" / file)
    with pytest.raises(error, match=told) as caught:
        verify_index(tmp_path / "index")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_numbers_that_lead_out_of_an_index_are_told_when_they_are_met(run: Path, tmp_path: Path) -> None:
    for name in ("bands.rows", "ids.offsets"):
        shutil.copytree(run / "index", tmp_path / name)
        data = np.fromfile(tmp_path / name / name, dtype=np.uint32)
        data[len(data) // 2] = 0xFFFFFFF0
        data.tofile(tmp_path / name / name)
        index = Index(tmp_path / name)
        with pytest.raises(DataError, match="is not as it was written"):
            index.ids(index.candidates(np.array(index.signatures), 64)[:, 1])


def test_a_file_that_is_none_of_the_index_is_told(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "index", tmp_path / "index")
    (tmp_path / "index" / "notes").write_text("")
    with pytest.raises(DataError, match="is no file of the index"):
        verify_index(tmp_path / "index")


def test_a_header_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_index(tmp_path / "index", random_signatures(3, seed=2), name="nämé")
    header = read_header(tmp_path / "index")
    assert (header.name, header.scheme, header.documents, header.erased) == ("nämé", SCHEME, 3, 0)
    assert dump_header(header) == (tmp_path / "index" / "header").read_bytes()


def test_an_index_of_no_documents_answers_nothing(tmp_path: Path) -> None:
    write_index(tmp_path / "index", random_signatures(0, seed=1))
    index = Index(tmp_path / "index")
    assert index.find_exact(np.zeros((3, 2), np.uint64)).tolist() == [-1, -1, -1]
    assert len(index.candidates(random_signatures(3, seed=1), 64)) == 0
    assert verify_index(tmp_path / "index").documents == 0


def test_an_index_that_changed_while_it_was_read_is_told(run: Path) -> None:
    with pytest.raises(DataError, match="changed while it was read"):
        Index(run, checksum="0" * 64)


@pytest.mark.slow
def test_the_commands_show_and_verify_an_index(run: Path, tmp_path: Path) -> None:
    shown = json_of(curator("index", "show", run, "--json"))
    header = read_header(run)
    size = sum(path.stat().st_size for path in (run / "index").iterdir())
    assert shown["documents"] == header.documents
    assert shown["bytes"] == size
    assert shown["bytes_per_document"] == pytest.approx(size / header.documents, abs=0.1)
    assert header.name in curator("index", "show", run).stdout
    assert curator("index", "verify", run / "index").returncode == 0
    shutil.copytree(run / "index", tmp_path / "index")
    flip(tmp_path / "index" / "shingles")
    done = curator("index", "verify", tmp_path / "index")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert curator("index", "show", tmp_path / "none").returncode == 2
