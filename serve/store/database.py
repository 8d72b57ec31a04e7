"""Opening the store: SQLite (WAL) or PostgreSQL, brought to the newest revision, and its transactions.

Writers come one after the other on both: SQLite by `BEGIN IMMEDIATE`, PostgreSQL by an advisory lock. So a number that
was handed out later is never seen earlier, which the ids of the event stream rest on. Readers do not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from sqlite3 import (
    SQLITE_CANTOPEN,
    SQLITE_CORRUPT,
    SQLITE_FULL,
    SQLITE_NOTADB,
    SQLITE_PERM,
    SQLITE_READONLY,
)

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from curator.errors import CuratorError, DataError, TransientError, UserError
from curator.run.store import OWNER_ONLY, make_folder

BUSY_SECONDS = 10.0
"""How long a writer of SQLite waits for another process."""

CONNECTIONS = 8

Insert = Callable[..., postgresql.Insert] | Callable[..., sqlite.Insert]
"""Makes statements that insert, and can pass over rows that are there."""

_LOCK = 7_226_183_001
"""The advisory lock of writers on PostgreSQL: any number that nobody else uses."""

_READ_ONLY = "curator_read_only"

NO_URL = "--store is not the URL of a store"
URLS = "sqlite:///FILE or postgresql://USER@HOST/NAME"


class Database:
    """The connections of one store."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.insert: Insert = sqlite.insert if self.is_sqlite else postgresql.insert
        self.engine = self._engine()
        self._reading = self.engine.execution_options(**{_READ_ONLY: True})

    def is_missing(self) -> bool:
        """Whether it is a file that is not there."""
        return self.is_sqlite and not Path(str(self.url.database)).exists()

    def upgrade(self, revision: str = "head") -> None:
        """Bring the tables to a revision; a file that is not there is made. TransientError where the database does not
        answer."""
        if self.is_sqlite:
            file = Path(str(self.url.database)).absolute()
            make_folder(file.parent, OWNER_ONLY)
            # SQLite would make a file that others may read. Its journals have the mode of the file.
            with suppress(OSError):
                file.touch(0o600, exist_ok=False)
        configuration = Config()
        configuration.set_main_option("script_location", str(files("serve.store") / "migrations"))
        try:
            with self.engine.connect() as connection:
                configuration.attributes["connection"] = connection
                command.upgrade(configuration, revision)
                connection.commit()
        except DBAPIError as error:
            raise self.problem(error) from error

    def problem(self, error: DBAPIError) -> CuratorError:
        """What stands in the way of the store: a file that is none or may not be opened, or a database that does not
        answer, which may go well when tried again."""
        said = _first_line(error)
        if not self.is_sqlite:
            return TransientError(f"the store does not answer: {said}", file=self.shown, hint="is the database up?")
        # The lower byte is the code of which the whole is a kind.
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code in (SQLITE_NOTADB, SQLITE_CORRUPT):
            hint = "restore it from a copy, or name another with --state or --store"
            return DataError(f"the store is damaged, or none: {said}", file=self.shown, hint=hint)
        if code in (SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM):
            hint = "check the permissions of the file and its folder, or name another with --state or --store"
            return UserError(f"the store cannot be opened: {said}", file=self.shown, hint=hint)
        hint = "free some space, then try again" if code == SQLITE_FULL else "try again"
        return TransientError(f"the store does not answer: {said}", file=self.shown, hint=hint)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may change things, alone among writers; committed at its end."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            if not self.is_sqlite:
                session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that looks."""
        with Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """The same for what is asked with every request: without a session, which takes as long as a small query."""
        with self._reading.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _engine(self) -> Engine:
        if not self.is_sqlite:
            return create_engine(
                self.url, pool_size=CONNECTIONS, max_overflow=CONNECTIONS, pool_pre_ping=True, pool_timeout=BUSY_SECONDS
            )
        engine = create_engine(
            self.url,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS,
            pool_timeout=BUSY_SECONDS,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine


def parse_url(url: str) -> URL:
    """The URL of a store, with the driver that is used. UserError for one that will not do."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UserError(NO_URL, hint=URLS) from error
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise UserError(NO_URL, hint=URLS)
    return parsed.set(drivername="sqlite+pysqlite")


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins nothing of its own: `_begin_sqlite` does
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
