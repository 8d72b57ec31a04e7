"""The local engine."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from curator.engine.executor import partition_of
from curator.engine.local import LocalExecutor
from curator.errors import TransientError, UserError
from curator.run.store import Commit, Outputs


@dataclass(frozen=True)
class Number:
    value: int

    @property
    def name(self) -> str:
        return f"{self.value:04d}"


def square(item: Number, outputs: Outputs) -> dict[str, object]:
    outputs.path("txt").write_text(str(item.value**2))
    return {"square": item.value**2}


@dataclass(frozen=True)
class Crash:
    """Kills its process the first time it sees number 3; always when `forever`."""

    marker: str
    forever: bool = False

    def __call__(self, item: Number, outputs: Outputs) -> dict[str, object]:
        if item.value == 3 and (self.forever or not Path(self.marker).exists()):
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return square(item, outputs)


@dataclass(frozen=True)
class Tell:
    """Tells in which process it ran, and which files of its folder note that jobs have begun."""

    folder: str

    def __call__(self, item: Number, outputs: Outputs) -> dict[str, object]:
        return {"process": os.getpid(), "begun": sorted(path.name for path in Path(self.folder).glob("*.begun"))}


def crash_in(folder: Path, marker: Path) -> None:
    LocalExecutor(1).map(folder, Crash(str(marker)), [Number(value) for value in range(5)])


def fail(item: Number, outputs: Outputs) -> dict[str, object]:
    outputs.path("txt").write_text("half")
    raise UserError("no good", file=item.name, position=3)


@dataclass(frozen=True)
class EmitMultiples:
    def __call__(self, item: Number) -> NDArray[np.uint64]:
        values = np.arange(item.value, 1000, 7, dtype=np.uint64)
        return np.column_stack([values % np.uint64(50), values])


def collect(partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
    return {"rows": [row for block in blocks for row in block.tolist()]}


@pytest.fixture(params=[1, 2])
def executor(request: pytest.FixtureRequest) -> Iterator[LocalExecutor]:
    engine = LocalExecutor(request.param)
    yield engine
    engine.close()


@pytest.mark.slow
def test_commits_come_in_the_order_of_inputs(executor: LocalExecutor, tmp_path: Path) -> None:
    commits = executor.map(tmp_path / "p", square, (Number(value) for value in range(9)))
    assert [commit.integer("square") for commit in commits] == [value**2 for value in range(9)]
    assert commits[4].path("txt").read_text() == "16"


def test_what_has_committed_is_not_run_again(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.map(tmp_path, square, [Number(value) for value in range(4)])
    (tmp_path / "0002.json").unlink()
    seen: list[tuple[str, bool]] = []
    second = LocalExecutor(executor.workers, done=lambda commit, reused: seen.append((commit.name, reused)))
    commits = second.map(tmp_path, square, [Number(value) for value in range(4)])
    second.close()
    assert sorted(seen) == [("0000", True), ("0001", True), ("0002", False), ("0003", True)]
    assert [commit.name for commit in commits] == ["0000", "0001", "0002", "0003"]


@pytest.mark.slow
def test_an_error_keeps_its_place_and_leaves_no_file(executor: LocalExecutor, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        executor.map(tmp_path, fail, [Number(1), Number(2)])
    assert caught.value.position == 3
    executor.close(kill=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")] == []


@pytest.mark.slow
def test_a_job_in_which_a_process_died_runs_in_a_worker_the_next_time_and_no_other_does(tmp_path: Path) -> None:
    folder, numbers = tmp_path / "work", [Number(value) for value in range(2, 7)]
    child = multiprocessing.get_context("spawn").Process(target=crash_in, args=(folder, tmp_path / "marker"))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    engine = LocalExecutor(1)
    commits = engine.map(folder, Tell(str(folder)), numbers)
    engine.close()
    ran = {commit.name: commit.result for commit in commits}
    elsewhere = [name for name, result in ran.items() if result.get("process", os.getpid()) != os.getpid()]
    assert elsewhere == ["0003"]
    assert ran["0002"] == {"square": 4}  # of the process that died
    assert ran["0006"]["begun"] == [".begun"]
    assert not list(folder.glob("*.begun"))


def test_an_exchange_brings_equal_keys_together_sorted(executor: LocalExecutor, tmp_path: Path) -> None:
    for partitions in (1, 3, 8):
        commits = executor.exchange(
            tmp_path / str(partitions), EmitMultiples(), collect, [Number(0), Number(2), Number(5)], partitions
        )
        found = [rows for commit in commits for rows in [commit.result["rows"]] if rows]
        everything = sorted(tuple(row) for rows in found for row in rows)  # type: ignore[attr-defined]
        expected = sorted((v % 50, v) for begin in (0, 2, 5) for v in range(begin, 1000, 7))
        assert everything == expected
        keys = [{row[0] for row in rows} for rows in found]  # type: ignore[attr-defined]
        assert sum(len(group) for group in keys) == len(set().union(*keys))
        assert all(rows == sorted(rows) for rows in found)  # type: ignore[call-overload]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_task_runs_again(tmp_path: Path) -> None:
    engine = LocalExecutor(2)
    marker = tmp_path / "crashed"
    commits = engine.map(tmp_path / "p", Crash(str(marker)), [Number(value) for value in range(8)])
    engine.close()
    assert marker.exists()
    assert [commit.integer("square") for commit in commits] == [value**2 for value in range(8)]


@pytest.mark.slow
def test_a_task_that_kills_every_worker_ends_the_run(tmp_path: Path) -> None:
    engine = LocalExecutor(2)
    with pytest.raises(TransientError, match="died 3 times"):
        engine.map(tmp_path / "p", Crash(str(tmp_path / "m"), forever=True), [Number(v) for v in (1, 2, 3)])
    engine.close(kill=True)


@pytest.mark.slow
def test_inputs_are_drawn_as_workers_become_free(tmp_path: Path) -> None:
    drawn: list[int] = []
    done: list[int] = []

    def inputs() -> Iterator[Number]:
        for value in range(30):
            drawn.append(value)
            assert len(drawn) - len(done) <= 8
            yield Number(value)

    engine = LocalExecutor(2, done=lambda commit, _: done.append(int(commit.name)))
    engine.map(tmp_path, square, inputs())
    engine.close()
    assert len(done) == 30


def test_keys_spread_evenly_over_partitions() -> None:
    counts = np.bincount(partition_of(np.arange(100_000, dtype=np.uint64), 10), minlength=10)
    assert abs(counts - 10_000).max() < 500


def test_a_partition_larger_than_memory_comes_in_blocks_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curator.engine.partition.BLOCK_BYTES", 1600)
    engine = LocalExecutor(1)
    inputs = [Number(0), Number(2), Number(5)]
    (commit,) = engine.exchange(tmp_path, EmitMultiples(), collect, inputs, 1)
    expected = sorted([v % 50, v] for begin in (0, 2, 5) for v in range(begin, 1000, 7))
    assert commit.result["rows"] == expected
    assert [path for path in tmp_path.rglob("*") if "scratch" in path.name] == []


@pytest.mark.slow
def test_a_worker_that_dies_while_the_driver_is_busy_is_replaced(tmp_path: Path) -> None:
    """The death is met by the next submit, not by a wait."""
    engine = LocalExecutor(2)
    killed: list[int] = []

    def done(_commit: Commit, _reused: bool) -> None:
        if not killed and engine._pool is not None:
            killed.append(next(iter(engine._pool._processes)))
            os.kill(killed[0], signal.SIGKILL)
            time.sleep(1.0)

    engine._done = done
    commits = engine.map(tmp_path, square, (Number(value) for value in range(20)))
    engine.close()
    assert killed
    assert [commit.integer("square") for commit in commits] == [value**2 for value in range(20)]


@pytest.mark.slow
def test_a_stop_while_tasks_run_and_wait_leaves_whole_commits_alone_and_the_next_run_goes_on(tmp_path: Path) -> None:
    done: list[str] = []

    def tick() -> None:
        if len(done) >= 2:
            raise KeyboardInterrupt

    engine = LocalExecutor(2, tick=tick, done=lambda commit, _: done.append(commit.name))
    with pytest.raises(KeyboardInterrupt):
        engine.map(tmp_path, square, (Number(value) for value in range(20)))
    assert engine._pool is not None
    workers = list(engine._pool._processes.values())
    engine.close(kill=True)
    assert not any(worker.is_alive() for worker in workers)
    # A worker that was killed while it wrote a record leaves a beginning of it, which has another name.
    committed = sorted(path.stem for path in tmp_path.glob("[!.]*.json"))
    assert 2 <= len(committed) < 20
    reused: list[str] = []
    again = LocalExecutor(2, done=lambda commit, before: reused.append(commit.name) if before else None)
    commits = again.map(tmp_path, square, (Number(value) for value in range(20)))
    again.close()
    assert sorted(reused) == committed
    assert [commit.integer("square") for commit in commits] == [value**2 for value in range(20)]
