"""The corpus of a benchmark, and what is said of a path that is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["budget.py", "entropy.py", "grow_corpus.py"])
@pytest.mark.parametrize(("corpus", "said"), [("nowhere", "No such file or directory"), ("folder", "Is a directory")])
def test_a_path_that_is_no_file_is_said_in_a_sentence(name: str, corpus: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    arguments = ["out.jsonl", "--megabytes", "1"] if name == "grow_corpus.py" else []
    command = [sys.executable, str(BENCHMARKS / name), corpus, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    expected = f"{corpus}: {said}; a corpus is a file of JSON lines, plain or .zst (`make bench` builds one)\n"
    assert done.stderr == expected
