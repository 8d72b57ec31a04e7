"""Small files share tasks: what is read together, and that nothing else changes by it."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.readers.base import InputFile, ReadOptions
from curator.readers.detect import discover
from curator.run.events import iterate_events
from curator.run.phases import inputs as inputs_module
from curator.run.phases.inputs import ReadInput, read_inputs
from curator.run.progress import ProgressFold
from tests.curator.run.small_files import LEAST_WEIGHT, write_small_files
from tests.runs import hashes, make_texts, rows, run_stages, write_jsonl

LIMIT = 40 * LEAST_WEIGHT
STAGES = ("dedup", "entropy: {min_bits: 3}", "outliers: {min_documents: 20}", "pii", "sampling")


@pytest.fixture(autouse=True)
def small_files_together(part_for_each_file: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_module, "LEAST_WEIGHT", LEAST_WEIGHT)


def gather(files: list[InputFile], limit: int = LIMIT) -> list[ReadInput]:
    return list(read_inputs(files, ReadOptions(), limit))


def parquet_files(folder: Path, sizes: list[int]) -> list[InputFile]:
    """Files of so many rows each, of some 800 bytes a row."""
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes):
        table = pa.table({"text": [f"{number}.{row}" * 200 for row in range(size)]})
        pq.write_table(table, folder / f"{number:03d}.parquet", use_dictionary=False, compression="none")
    return discover([str(folder)])


@given(
    st.lists(
        st.one_of(st.integers(0, 3 * LEAST_WEIGHT), st.integers(0, 3 * LIMIT), st.just(LIMIT), st.just(1)), max_size=90
    )
)
def test_every_split_is_read_once_in_order_and_small_ones_together(sizes: list[int]) -> None:
    files = [InputFile(f"/in/{n}.json", f"{n}.json", size, 0, "plain", "none") for n, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs_module, "load_reader", lambda name: PlainReader())
        gathered = gather(files)
        alone = [split for file in files for split in PlainReader().splits(file, ReadOptions(), LIMIT)]
    assert [split for item in gathered for split in item.splits] == alone
    names = [item.name for item in gathered]
    assert names == sorted(set(names))
    weights = [[max(split.weight, LEAST_WEIGHT) for split in item.splits] for item in gathered]
    assert all(len(each) == 1 or sum(each) <= LIMIT for each in weights)
    assert all(sum(first) + second[0] > LIMIT for first, second in pairwise(weights))  # none could have been larger
    reached = [item.consumed for item in gathered]
    assert [place for place in reached if place is None] == []
    assert reached == sorted(reached)  # type: ignore[type-var]
    assert reached[-1:] == ([sum(sizes)] if sum(sizes) else [])


class PlainReader:
    """Splits as those of a plain file, without a file."""

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int):  # type: ignore[no-untyped-def]
        from curator.readers.blocks import plain_splits

        return plain_splits(file, split_bytes)


def test_row_groups_count_by_their_bytes(tmp_path: Path) -> None:
    small = parquet_files(tmp_path / "small", [1] * 60)
    assert [len(item.splits) for item in gather(small)] == [40, 20]
    large = parquet_files(tmp_path / "large", [300, 300, 1])
    assert [len(item.splits) for item in gather(large)] == [1, 1, 1]


def test_compressed_pages_and_documents_count_for_more_than_they_take(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02d}.html.gz").write_bytes(gzip.compress(b"<p>" + bytes(4 * LEAST_WEIGHT), 0))
    files = discover([str(tmp_path)])
    assert {len(item.splits) for item in gather(files)} == {2}


@pytest.mark.slow
def test_files_that_are_read_together_give_what_they_give_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_small_files(tmp_path / "in")
    together = run_stages([source], tmp_path / "together", *STAGES, max_error_rate=0.5)
    tasks = [event["name"] for event in iterate_events(together.directory.events) if event["kind"] == "task.done"]
    assert sum(name == "000000-000000" for name in tasks) > 1
    assert set(tasks) & {"000001-000000", "000061-000000"} == set()  # all files are one part
    monkeypatch.setattr(inputs_module, "LEAST_WEIGHT", 1 << 30)
    alone = run_stages([source], tmp_path / "alone", *STAGES, max_error_rate=0.5)
    tasks = [event["name"] for event in iterate_events(alone.directory.events) if event["kind"] == "task.done"]
    assert {"000001-000000", "000059-000000"} < set(tasks)
    for kind in ("shards", "scores", "decisions", "failed"):
        assert rows(tmp_path / "together", kind) == rows(tmp_path / "alone", kind), kind
    assert len(rows(tmp_path / "together", "scores")) == 60 + 101 + 20 + 20 + 20
    for key in ("input", "funnel", "warnings", "facts", "coverage"):
        assert together.manifest[key] == alone.manifest[key], key
    (told,) = (told for told in cast("list[str]", alone.manifest["warnings"]) if "half a surrogate pair" in told)
    assert "c4.jsonl at" in told
    failed = [(row["file"], row["code"]) for row in rows(tmp_path / "together", "failed")]
    assert len(failed) == len(set(failed)) == 13


def test_progress_reaches_the_whole_input(tmp_path: Path) -> None:
    for number in range(30):
        write_jsonl(tmp_path / "in" / f"{number:02d}.jsonl", make_texts(3, seed=number))
    outcome = run_stages([tmp_path / "in"], tmp_path / "run", "dedup")
    fold = ProgressFold()
    for event in iterate_events(outcome.directory.events):
        fold.add(event)
    assert fold.reached.documents == 90
    assert fold.reached.bytes_read == fold.reached.bytes_total > 0


@pytest.mark.slow
def test_workers_and_attempts_do_not_change_what_is_read_together(tmp_path: Path) -> None:
    source = write_small_files(tmp_path / "in")
    for number in range(3):  # enough for workers
        write_jsonl(source / f"x{number}.jsonl", make_texts(700, seed=20 + number, units=(60, 240)))
    one = run_stages([source], tmp_path / "one", *STAGES, max_error_rate=0.5)
    two = run_stages([source], tmp_path / "two", *STAGES, max_error_rate=0.5, workers=2)
    assert hashes(one.directory.root) == hashes(two.directory.root)
