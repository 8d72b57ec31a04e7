"""Arrow works without pandas until somebody asks for it. Each test has a process: what Arrow has looked for stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import write_package

BEGIN = """
import sys
import pyarrow as pa
import pyarrow.compute as pc
from curator.arrow_alone import keep_pandas_out
keep_pandas_out()
"""
WORK = """
pc.if_else(pc.equal(pa.array(["a", None]), ""), pa.scalar(None, pa.string()), "b").to_pylist()
pa.array([1.5, None]).to_numpy(zero_copy_only=False)
"""


def run(source: str, **variables: str) -> str:
    command = [sys.executable, "-c", source]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **variables}).stdout


@pytest.mark.slow
def test_values_of_python_do_not_load_pandas() -> None:
    assert run(BEGIN + WORK + "print('pandas' in sys.modules)").split() == ["False"]


@pytest.mark.slow
def test_who_asks_for_pandas_later_gets_it() -> None:
    assert run(BEGIN + WORK + "print(pa.table({'a': [1, 2]}).to_pandas()['a'].sum())").split() == ["3"]


@pytest.mark.slow
def test_where_another_package_adds_a_stage_arrow_finds_pandas_by_itself(tmp_path: Path) -> None:
    variables = write_package(tmp_path, "other", "curator.stages", "other = other:Other", "class Other: ...")
    source = "import pandas as pd\nprint(pa.array(pd.Series([1.0, float('nan')])).null_count)"
    assert run(BEGIN + source, **variables).split() == ["1"]
