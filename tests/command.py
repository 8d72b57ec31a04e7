"""The executable `curator` as people run it, and packages of other people that it finds by entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import cast

import pytest

from curator import registry
from curator.readers.registry import added_readers

EXECUTABLE = str(Path(sys.executable).parent / "curator")
TIMEOUT_S = 480


def curator(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    prefix: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `curator` to its end; `env` is added to the environment."""
    return subprocess.run(
        [*prefix, EXECUTABLE, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env={**os.environ, **(env or {})},
        cwd=cwd,
        timeout=TIMEOUT_S,
    )


def unprivileged(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `curator` so that permissions of files hold for it, also where root runs the tests."""
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    if prefix and shutil.which(prefix[0]) is None:
        pytest.skip("root reads every file, and there is no setpriv")
    return curator(*arguments, prefix=prefix)


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What the command told on standard error beside its progress: one line, and no traceback."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("[", "      "))]
    assert "Traceback" not in done.stderr, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("curator: "), done.stderr
    return lines[0]


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """The one JSON document on standard output; strictly JSON (no NaN)."""
    return cast("dict[str, object]", json.loads(done.stdout, parse_constant=_refuse))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def write_package(folder: Path, name: str, group: str, entry: str, source: str) -> dict[str, str]:
    """A package of somebody else with one module, and the environment in which Python finds it."""
    info = folder / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(dedent(source))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{before}" if before else str(folder)}


@contextmanager
def installed_package(folder: Path, name: str, group: str, entries: list[str], source: str) -> Iterator[None]:
    """A package of somebody else with one module, installed as far as this process can tell."""
    write_package(folder, name, group, "\n".join(entries), source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        _look_again()
        try:
            yield
        finally:
            _look_again()
            sys.modules.pop(name, None)


def _look_again() -> None:
    """Registries keep what they found, and look again once it is forgotten."""
    registry._everything.cache_clear()
    registry._entries.cache_clear()
    added_readers.cache_clear()
