"""A process that works on a run keeps the memory that it frees. Each test has a process: what is set there stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEPT = "from curator.allocator import keep_memory\nkeep_memory()\n"
BATCHES = """
import resource
import numpy as np
def batch(): return [np.ones(1 << 20) for _ in range(12)]
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
POOL = "import pyarrow as pa\nprint(pa.default_memory_pool().backend_name)\n"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the GNU C library")


def run(source: str, **variables: str) -> str:
    # What commands that ran in this process said of Arrow stands in the environment.
    plain = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    command = [sys.executable, "-c", source]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**plain, **variables}).stdout


@pytest.mark.slow
def test_a_batch_takes_the_memory_of_the_one_before() -> None:
    assert int(run(KEPT + BATCHES)) < 100 < int(run(BATCHES))


def test_arrow_takes_memory_where_everything_does() -> None:
    assert run(KEPT + POOL).split() == ["system"]


def test_a_pool_that_the_environment_names_stays() -> None:
    assert run(KEPT + POOL, ARROW_DEFAULT_MEMORY_POOL="mimalloc").split() == ["mimalloc"]


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a kernel with huge pages")
def test_the_heap_lies_in_huge_pages() -> None:
    source = "print(*('hg' in line for line in open('/proc/self/smaps') if line.startswith('VmFlags:')))"
    assert "True" in run(KEPT + source)
    assert "True" not in run(source)


@pytest.mark.slow
def test_no_more_than_half_a_gigabyte_is_kept() -> None:
    source = """
import numpy as np
def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096
def take(megabytes): return [np.ones(3 << 20) for _ in range(megabytes // 24)]
before = resident()
take(240)
kept = resident() - before
take(720)
print(kept > 200 << 20, resident() - before < 512 << 20)
"""
    assert run(KEPT + source).split() == ["True", "True"]


@pytest.mark.parametrize("command", ["process", "calibrate"])
def test_commands_that_work_on_a_run_do_with_it(command: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "Some words of one document."}\n')
    recipe = tmp_path / "plain.yaml"
    recipe.write_text("name: plain\nstages: [entropy]\n")
    arguments = [command, str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out"), "-r", str(recipe), "--json"]
    source = f"from curator.cli.main import run\nassert run({arguments!r}) == 0\n"
    assert run(source + POOL).split()[-1] == "system"
