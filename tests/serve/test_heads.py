"""A submission is checked by the first bytes of its inputs, and those that are compressed the server unpacks nowhere
but in a process with limits."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.readers import streams
from curator.readers.base import InputFile
from curator.readers.detect import discover
from serve.guarded import call, heads
from serve.guarded.call import Guard
from serve.guarded.heads import read_guarded_heads
from serve.problems import ProblemError
from serve.settings import Limits
from tests.curator.readers.reader_files import COMPRESS, xz_of_window
from tests.serve.servers import LOOSE, SMALL, Running, make_settings, running

LINE = b'{"text": "a line"}\n'

LITTLE_MEMORY = replace(Limits(), guarded_memory_bytes=180_000_000)
"""Of which a process that has loaded what it needs leaves less than 192 MB."""

SAMPLES = {
    "a.jsonl": LINE,
    "b.jsonl.gz": gzip.compress(LINE),
    "c": COMPRESS["zstd"](LINE),
    "d.gz": gzip.compress(b"WARC/1.0\r\n"),
    "e.bz2": COMPRESS["bzip2"](b"<!doctype html><p>"),
    "f.xz": COMPRESS["xz"](b"no telling"),
    "g.zip": b"PK\x03\x04" + bytes(30),
    "h.jsonl.gz": gzip.compress(b"PK\x03\x04" + bytes(30)),
    "i.jsonl.gz": gzip.compress(LINE * 99)[:-20],
    "j.jsonl.gz": b"\x1f\x8b\x08" + b"\xff" * 40,
    "k.gz": b"\x1f\x8b\x08" + b"\xff" * 40,
    "l.jsonl.xz": COMPRESS["xz"](LINE) + b"not xz",
    "m.gz": gzip.compress(b""),
    "n.jsonl": b"",
    "o.csv.zst": COMPRESS["zstd"](b"text\na\n"),
    "p.jsonl.xz": xz_of_window(LINE, 1 << 30),
}
"""Inputs that will do and that will not."""


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def large_window(megabytes: int = 192) -> bytes:
    """A few bytes that take so much memory to unpack."""
    return xz_of_window(LINE, megabytes << 20)


def find(inputs: Sequence[Path], limits: Limits | None = None) -> list[InputFile]:
    return discover([str(path) for path in inputs], heads=partial(read_guarded_heads, Guard(limits or Limits())))


def refused(inputs: Sequence[Path], limits: Limits) -> str:
    with pytest.raises(ProblemError) as error:
        find(inputs, limits)
    problem = error.value.problem
    assert problem.code == "run.refused"
    assert "verify" not in str(problem.hint)
    return problem.detail


def outcome(find: Callable[[], list[InputFile]]) -> object:
    """The files, or what is said where there are none."""
    try:
        return find()
    except UserError as error:
        return error.file, error.message, error.hint


@pytest.fixture
def nothing_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in this process, and in none that it starts: it cannot unpack."""

    def fail(*_: object) -> Iterator[bytes]:
        raise AssertionError("this process unpacks an input")

    monkeypatch.setattr(streams, "_decompressed", fail)


def submit(server: Running, output: str, *inputs: Path) -> tuple[int, dict[str, str], str | None]:
    with server.http() as client:
        body = {"inputs": [str(path) for path in inputs], "output": output, "recipe": SMALL}
        answer = client.post("/v1/runs", json=body)
    return answer.status_code, answer.json(), answer.headers.get("Retry-After")


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_unpacked")
def test_the_process_of_the_server_unpacks_nothing_that_is_submitted(resting: Running) -> None:
    folder = resting.settings.state.parent / "in" / "mixed"
    write(folder, {name: data for name, data in SAMPLES.items() if not name.startswith("p")})
    write(folder.parent, {"data.gz": gzip.compress(LINE)})
    with pytest.raises(AssertionError, match="this process unpacks"):
        discover([str(folder)])
    assert submit(resting, "mixed", folder, folder.parent / "data.gz")[0] == 202
    status, told, _ = submit(resting, "unknown", write(folder.parent, {"x.gz": SAMPLES["f.xz"]}) / "x.gz")
    assert (status, told["code"]) == (422, "run.refused")
    assert "x.gz: is of unknown format" in told["detail"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_an_input_is_what_it_is_to_a_command(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, {name: SAMPLES[name]}) / name
    assert outcome(lambda: find([path])) == outcome(lambda: discover([str(path)]))


@pytest.mark.slow
def test_many_inputs_are_what_they_are_to_a_command(tmp_path: Path) -> None:
    folder = write(tmp_path / "many", {f"{number}.jsonl.gz": gzip.compress(b"%d" % number) for number in range(1010)})
    write(folder, {name: data for name, data in SAMPLES.items() if not name.startswith("p")})
    assert find([folder]) == discover([str(folder)])


def test_the_process_that_unpacks_loads_nothing_that_takes_long() -> None:
    script = "import sys, serve.guarded.unpack; print({'pyarrow', 'pydantic', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.parametrize("others", [0, 6])
def test_an_input_that_takes_more_memory_than_there_may_be_is_named(tmp_path: Path, others: int) -> None:
    folder = write(tmp_path / "in", {f"{number}.jsonl.gz": gzip.compress(LINE) for number in range(others)})
    write(folder, {"4x.jsonl.xz": large_window()})
    detail = refused([folder], LITTLE_MEMORY)
    assert detail.startswith(f"{folder / '4x.jsonl.xz'}: its first bytes could not be unpacked within the limits: it")
    assert len(find([folder])) == others + 1


@pytest.mark.slow
def test_an_input_that_takes_longer_than_it_may_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.jsonl.gz": gzip.compress(b"")}) / "a.jsonl.gz"
    with path.open("r+b") as file:
        file.truncate(100 << 30)  # zero bytes between members are padding, and these take no room on the disk
    detail = refused([path], replace(Limits(), guarded_seconds=2.0))
    assert detail == f"{path}: its first bytes could not be unpacked within the limits: it took longer than 2 s"


@pytest.mark.slow
def test_of_several_inputs_the_number_is_told_where_there_is_no_time_to_find_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "SEARCH_SECONDS", 0.0)
    folder = write(tmp_path / "in", {"1.jsonl.gz": gzip.compress(LINE), "2.jsonl.xz": large_window()})
    write(folder, {"0.jsonl": LINE})
    assert refused([folder], LITTLE_MEMORY).startswith(f"one of 2 compressed inputs, the first {folder}/1.jsonl.gz: ")


@pytest.mark.slow
def test_where_others_read_files_a_submission_is_told_to_come_again_unless_its_inputs_are_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "WAIT_SECONDS", 0.1)
    with running(make_settings(tmp_path, limits=replace(LOOSE, guarded=0)), work=False) as server:
        folder = write(tmp_path / "in", {"packed.jsonl.gz": gzip.compress(LINE)})
        status, told, retry = submit(server, "packed", folder)
        assert (status, told["code"], retry) == (503, "service.busy", "5")
        assert submit(server, "plain", folder / "texts.jsonl")[0] == 202
