"""Databases for tests: a SQLite file, and a PostgreSQL server on loopback where one is installed."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from serve.store import Database

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

_MISSING = {"PostgreSQL": not _BINARIES, "psycopg": find_spec("psycopg") is None}
PROBLEM = ", ".join(f"{name} is not installed" for name, missing in _MISSING.items() if missing)

DATABASES = [
    "sqlite",
    pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)]),
]


@contextmanager
def open_database(kind: str, folder: Path) -> Iterator[Database]:
    """An empty database."""
    if kind == "sqlite":
        database = Database(f"sqlite:///{folder}/service.db")
    else:
        name = f"test_{secrets.token_hex(6)}"
        port = _server()
        _as_postgres(str(_BINARIES[-1] / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", name)
        database = Database(f"postgresql://postgres@127.0.0.1:{port}/{name}")
    try:
        yield database
    finally:
        database.close()


@functools.cache
def _server() -> int:
    """Start a server for this process; its port."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="curator-postgresql-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    data, control = folder / "data", str(_BINARIES[-1] / "pg_ctl")
    _as_postgres(str(_BINARIES[-1] / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _as_postgres(control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")

    def stop() -> None:
        _as_postgres(control, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return port


def _as_postgres(*command: str) -> None:
    """Run a command as the user that PostgreSQL asks for; it refuses root."""
    user = "postgres" if os.getuid() == 0 else None
    subprocess.run(command, check=True, capture_output=True, user=user, cwd="/")
