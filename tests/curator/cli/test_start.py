"""What a run loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import curator

NOT_NEEDED = (
    *("numba", "pandas", "langcodes", "phonenumbers.geocoder", "sqlite3", "pyarrow.acero", "pyarrow.dataset"),
    *("pyarrow.csv", "stages.augmentation.apertium", "stages.augmentation.substitution.english", "ray", "torch"),
)
"""Modules that a recipe without translators, over labels of every day, has no use for: each takes 1 to 200 ms."""

CODE = """
import sys
import typer.main
built = []
build = typer.main.get_command_from_info
def count(**options):
    built.append(options["command_info"].callback.__name__)
    return build(**options)
typer.main.get_command_from_info = count
from curator.cli.main import run
code = run(["process", *sys.argv[1:], "-r", "web", "--workers", "1", "--json"])
from curator.recipe.overlay import Fitted
from pydantic.plugin import _loader
loaded = [name for name in {names!r} if name in sys.modules]
print(code, loaded, built, _loader._plugins, Fitted.__pydantic_complete__, file=sys.stderr)
"""


@pytest.mark.slow
def test_a_run_loads_and_builds_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    labels = ("en", "deu_Latn", "udhr-eng")
    lines = [
        json.dumps({"text": f"A text about the sea and number {place}.", "lang": lang})
        for place, lang in enumerate(labels)
    ]
    corpus.write_text("\n".join(lines))
    command = [sys.executable, "-c", CODE.replace("{names!r}", repr(NOT_NEEDED)), str(corpus), "-o"]
    for name in ("first", "second"):
        done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True, check=True)
        said = done.stderr.splitlines()[-1]
        if "numba" not in said:  # else it may have had kernels to compile
            break
    assert said == "0 [] ['process'] None False"


def test_ctrl_c_while_modules_are_loaded_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = curator("--help", env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
