"""Processes that find machine code run it without Numba, and get what the compiler's own process got."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = """
from curator.kernel import inline_kernel

FACTOR = 3

@inline_kernel
def scaled(value):
    return value * FACTOR
"""

LOOPS = """
from typing import NamedTuple
import numpy as np
from curator.kernel import kernel
from helpers import scaled

LIMIT = np.int64(1000)

class Pair(NamedTuple):
    left: object
    right: object

@kernel
def add(values, pair, start):
    total = start
    for place in range(values.size):
        total += scaled(values.flat[place]) + pair.left[place] * pair.right
    return min(total, LIMIT)

@kernel
def squares(count):
    return np.arange(count) ** 2

@kernel
def checked(value):
    if value < 0:
        raise ValueError("below zero")
    return value
"""

USE = """
import json, sys
import numpy as np
import loops

def run():
    left = np.arange(4, dtype=np.float64)
    for values in (np.arange(4), np.arange(4, dtype=np.int32), np.arange(8)[::2], np.arange(4.0).reshape(2, 2)):
        yield float(loops.add(values, loops.Pair(left, 2), 0))
    fixed = np.arange(4)
    fixed.flags.writeable = False
    yield float(loops.add(fixed, loops.Pair(left, np.float32(2)), 0.5))
    yield float(loops.add(fixed, loops.Pair(left, 2), 2**63))
    yield loops.checked(5)

found = list(run())
quick = "numba" not in sys.modules
whole = [loops.squares(4).tolist()]
try:
    loops.checked(-1)
except ValueError as error:
    whole.append(str(error))
print(json.dumps({"found": found, "quick": quick, "whole": whole}))
"""

EXPECTED = [30.0, 30.0, 48.0, 30.0, 30.5, 1000.0, 5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two modules with kernels, and a program that calls them."""
    for name, text in (("helpers", HELPERS), ("loops", LOOPS), ("use", USE)):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def run(folder: Path, **variables: str) -> dict[str, object]:
    """What the program prints in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[3]), **variables}
    done = subprocess.run(
        [sys.executable, folder / "use.py"], env=environment, check=True, capture_output=True, text=True
    )
    said: dict[str, object] = json.loads(done.stdout)
    return said


@pytest.mark.slow
def test_a_terminal_is_told_once_that_something_is_compiled(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(folder / "use.py")]
    terminal, stderr = pty.openpty()
    told = []
    for _ in range(2):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=stderr)
        is_told, _, _ = select.select([terminal], [], [], 0)
        told.append(os.read(terminal, 10_000) if is_told else b"")
    os.close(terminal)
    os.close(stderr)
    assert told[0].count(b"curator: loops are compiled for this machine") == 1
    assert b"compiled" not in told[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="machine code is kept on Linux alone")
def test_machine_code_is_run_without_numba_until_the_source_changes(folder: Path) -> None:
    whole = [[0, 1, 4, 9], "below zero"]
    first = run(folder)
    assert first == {"found": EXPECTED, "quick": False, "whole": whole}
    assert run(folder) == {"found": EXPECTED, "quick": True, "whole": whole}

    # One file is damaged, one cut off, one empty, one that of another: the compiler is asked, and writes each anew.
    kept = sorted(folder.joinpath("__pycache__").glob("loops.add-*.kernel"))
    assert len(kept) >= 5
    contents = [path.read_bytes() for path in kept]
    damaged = (contents[0][:-1] + bytes([contents[0][-1] ^ 1]), contents[1][:1000], b"", contents[4][:-8])
    for path, content in zip(kept, damaged, strict=False):
        path.write_bytes(content)
    assert run(folder) == {"found": EXPECTED, "quick": False, "whole": whole}
    assert [path.read_bytes() for path in kept] == contents
    assert run(folder)["quick"]

    # A constant of another file, which is inside the code.
    helpers = folder / "helpers.py"
    helpers.write_text(HELPERS.replace("FACTOR = 3", "FACTOR = 4"))
    changed = [36.0, 36.0, 60.0, 36.0, 36.5, 1000.0, 5]
    assert run(folder) == {"found": changed, "quick": False, "whole": whole}
    assert run(folder) == {"found": changed, "quick": True, "whole": whole}
    assert sorted(folder.joinpath("__pycache__").glob("loops.add-*.kernel")) == kept

    # Lines that say the same.
    loops = folder / "loops.py"
    loops.write_text(f"# A comment.\n{LOOPS}")
    assert run(folder) == {"found": changed, "quick": True, "whole": whole}


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"NUMBA_CACHE_DIR": "/dev/null/none"}, {"NUMBA_OPT": "1"}])
def test_where_no_code_can_be_kept_numba_is_asked_each_time(folder: Path, variables: dict[str, str]) -> None:
    for _ in range(2):
        said = run(folder, **variables)
        assert said["found"] == EXPECTED
        assert not said["quick"]
    assert not list(folder.rglob("*.kernel"))


@pytest.mark.slow
def test_a_folder_for_code_has_that_of_each_folder_of_sources(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for quick in (False, True):
        said = run(folder, NUMBA_CACHE_DIR=str(kept))
        assert (said["found"], said["quick"]) == (EXPECTED, quick)
    assert list(kept.glob("*/loops.add-*.kernel"))
    assert not list(folder.joinpath("__pycache__").glob("*.kernel"))


RUN = """
import sys
from pathlib import Path
from tests.runs import make_texts, run_stages, write_jsonl

folder = Path(sys.argv[1])
files = [write_jsonl(folder / "in.jsonl", make_texts(60, seed=1))]
examples = write_jsonl(folder / "examples.jsonl", make_texts(3, seed=2))
text = "text\\n" + "".join(f'"{document["text"]}"\\n' for document in make_texts(5, seed=3))
(folder / "in.csv").write_text(text)
run_stages(
    [*files, folder / "in.csv"],
    folder / "run",
    f"decontamination: {{sets: [{{name: ours, path: {examples}}}]}}",
    *("dedup: {index: true}", "outliers", "entropy", "toxicity", "quality", "boilerplate", "substrings", "pii"),
)
print("numba" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="machine code is kept on Linux alone")
def test_no_stage_has_a_kernel_that_loads_numba_each_time(tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        command = [sys.executable, "-c", RUN, str(folder)]
        done = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True)
        if done.stdout.strip() == "False":  # else it may have had kernels to compile
            break
    assert done.stdout.strip() == "False"
