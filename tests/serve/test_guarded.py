"""Files of runs are read by a process with limits: whatever they hold, the server stays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.audit import KEY_VARIABLE
from serve.guarded.call import Guard
from serve.guarded.read import PreviewQuestion
from serve.problems import ProblemError
from serve.settings import Limits

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("lang", pa.string()),
        ("source", pa.string()),
        ("tokens", pa.int64()),
        ("copy", pa.int32()),
        ("text", pa.string()),
    ]
)


def write_shard(path: Path, texts: list[str], rows_per_group: int = 2) -> Path:
    rows = [
        {"id": f"d{n}", "lang": "en", "source": "x", "tokens": 1, "copy": 0, "text": text}
        for n, text in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, row_group_size=rows_per_group, compression="zstd")
    return path


def ask(path: Path, limits: Limits | None = None, *, offset: int = 0, limit: int = 10) -> dict[str, object]:
    question = PreviewQuestion(path=str(path), offset=offset, limit=limit, characters=5)
    found = Guard(limits or Limits()).ask(question)
    assert isinstance(found, dict)
    return found


def refused(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(ProblemError) as error:
        ask(path, limits)
    return error.value.problem.code


@pytest.mark.slow
def test_rows_are_those_that_were_asked_for_across_row_groups(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.parquet", [f"text{n}" * 3 for n in range(7)])
    found = ask(path, offset=1, limit=4)
    documents = found["documents"]
    assert isinstance(documents, list)
    assert [(each["id"], each["text"], each["is_cut"]) for each in documents] == [
        (f"d{n}", "text" + str(n), True) for n in range(1, 5)
    ]
    assert found["rows"] == 7


@pytest.mark.slow
def test_a_file_that_unpacks_to_more_than_the_memory_ends_its_reader_alone(tmp_path: Path) -> None:
    # 600 MB of one text over and over, which a dictionary holds once.
    rows = 6000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 100_000]))
    columns = {"id": [""] * rows, "lang": [""] * rows, "source": [""] * rows, "tokens": [1] * rows, "copy": [0] * rows}
    pq.write_table(
        pa.table({**columns, "text": text}), tmp_path / "bomb.parquet", compression="zstd", store_schema=False
    )
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    assert refused(tmp_path / "bomb.parquet", replace(Limits(), guarded_memory_bytes=600_000_000)) == "preview.failed"


@pytest.mark.slow
def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.parquet", ["a"])
    assert refused(path, replace(Limits(), guarded_seconds=0.05)) == "preview.failed"


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1" + b"\xff" * 60 + b"\xff\xff\xff\x7fPAR1"], ids=["empty", "magic", "footer"]
)
def test_a_damaged_file_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    assert refused(path) == "run.damaged"


@pytest.mark.slow
def test_the_reader_writes_nothing(tmp_path: Path) -> None:
    script = (
        "from serve.guarded.limits import limit_process; limit_process(2_000_000_000, 5, 0, 0);"
        f"open({str(tmp_path / 'x')!r}, 'w').write('a' * 100_000)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode != 0
    assert not (tmp_path / "x").exists() or (tmp_path / "x").stat().st_size == 0


@pytest.mark.slow
def test_the_reader_is_told_no_secret_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "swordfish")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # to open it waits, so there is time to look at the process
    asking = threading.Thread(target=refused, args=(pipe, replace(Limits(), guarded_seconds=15.0)))
    asking.start()
    readers: list[psutil.Process] = []
    while not readers:
        children = psutil.Process().children()
        readers = [child for child in children if "serve.guarded.read" in child.cmdline()]
        time.sleep(0.05)
    environment = readers[0].environ()
    readers[0].kill()
    asking.join()
    assert "PATH" in environment
    assert KEY_VARIABLE not in environment
