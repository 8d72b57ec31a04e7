"""What is imported when: the command starts fast, and the base install needs no heavy package."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "transformers", "fastapi")


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_curator_imports_nothing_heavy() -> None:
    assert modules_after("import curator").isdisjoint({*HEAVY, "numpy", "pyarrow", "numba"})


def test_the_help_of_the_command_line_imports_nothing_heavy() -> None:
    loaded = modules_after("import curator.cli.main")
    assert loaded.isdisjoint({*HEAVY, "numpy", "pyarrow", "numba", "sklearn"})


@pytest.mark.slow
@pytest.mark.parametrize("module", ["curator.run.driver", "curator.engine.local", "curator.engine.worker"])
def test_a_run_imports_no_heavy_package(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert loaded.isdisjoint({*HEAVY, "sklearn", "datasketch"})
