"""Translations on disk, by content: what was translated once is not translated again, in this run or in a later one.

One SQLite file for each translator and version; any number of processes may read and write it. A translation is found
by BLAKE3 of the translator's identity, the pair and the text, so a file may be handed on, and holds no key of another
model. It is a cache: a deleted file costs time alone. One that is damaged, or on a full disk, is a UserError that names
it. Only its owner reads it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from blake3 import blake3

from curator.errors import UserError

_TOGETHER = 500
"""Keys that one statement asks for; SQLite takes 32,766 (its SQLITE_MAX_VARIABLE_NUMBER), and beyond some hundred it
makes no difference."""
_BUSY_S = 30.0
_CREATE = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text TEXT) WITHOUT ROWID"


class TranslationCache:
    """Translations of one translator from one language to another."""

    def __init__(self, folder: Path, identity: str, source: str, target: str) -> None:
        self._path = folder / f"{blake3(identity.encode()).hexdigest(length=8)}.sqlite"
        self._prefix = "\0".join((identity, source, target, "")).encode()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        except OSError as error:
            raise UserError(
                f"the cache cannot be used: {error}", file=str(folder), hint="choose another folder"
            ) from error
        with self._told(), closing(self._open()) as connection, connection:
            connection.execute(_CREATE)

    def find(self, texts: Sequence[str]) -> dict[str, str]:
        """The translations that are known, by text."""
        keys = {self._key(text): text for text in texts}
        wanted = list(keys)
        found: dict[str, str] = {}
        with self._told(), closing(self._open()) as connection:
            for begin in range(0, len(wanted), _TOGETHER):
                some = wanted[begin : begin + _TOGETHER]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key, text FROM translations WHERE key IN ({marks})", some)  # noqa: S608 (question marks alone)
                found.update((keys[key], text) for key, text in rows)
        return found

    def add(self, translations: Mapping[str, str]) -> None:
        """Keep translations."""
        with self._told(), closing(self._open()) as connection, connection:
            connection.executemany(
                "INSERT OR IGNORE INTO translations VALUES (?, ?)",
                [(self._key(text), translated) for text, translated in translations.items()],
            )

    def _key(self, text: str) -> bytes:
        return blake3(self._prefix + text.encode()).digest(length=16)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite says as a UserError."""
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(
                f"the cache cannot be used: {error}",
                file=str(self._path),
                hint="make room, delete the file if it is damaged, or choose another folder",
            ) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection
