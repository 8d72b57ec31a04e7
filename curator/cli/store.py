"""What the commands beside the server open: the store, its tokens, its audit log."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from curator.errors import UserError

if TYPE_CHECKING:
    from serve.audit import Auditor
    from serve.store import Database
    from serve.tokens import Tokens


@dataclass(frozen=True)
class OpenStore:
    """A store that is open; `actor` is who uses it."""

    database: Database
    auditor: Auditor
    tokens: Tokens
    actor: str


@contextmanager
def open_store(
    url: str | None, state: Path | None, audit_key: Path | None, *, create: bool = False
) -> Iterator[OpenStore]:
    """The store of a service, made where it is not there and `create`. TransientError where it does not answer,
    UserError where it is not there, may not be opened, or its audit log has another key, DataError where it is
    damaged."""
    check_installed()
    from serve.audit import open_auditor
    from serve.settings import Settings, default_state, default_store
    from serve.store import Database
    from serve.tokens import Tokens

    folder = (state or default_state()).absolute()
    settings = Settings(folder, url or default_store(folder), audit_key=audit_key)
    database = Database(settings.store)
    try:
        if not create and database.is_missing():
            hint = "name the service's with --state or --store; `curator serve` makes one"
            raise UserError("there is no store of a service here", file=database.shown, hint=hint)
        database.upgrade()
        auditor = open_auditor(database, settings.audit_key_file)
        yield OpenStore(database, auditor, Tokens(database, auditor), f"shell:{getpass.getuser()}")
    except DBAPIError as error:
        raise database.problem(error) from error
    finally:
        database.close()


def check_installed() -> None:
    """UserError where the packages of the service are missing."""
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "alembic", "cryptography") if find_spec(name) is None]
    if missing:
        raise UserError(f"the service needs {', '.join(missing)}", hint="pip install 'curator-corpora[serve]'")
