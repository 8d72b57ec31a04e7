"""The audit log: who did what and when, with what was there before and after.

Entries are appended in the transaction of the change.

An entry is sealed with AES-256-GCM (NIST SP 800-38D; a random nonce of 96 bits each), its number and the digest of the
entry before as associated data. The digest of an entry is SHA-256 over the digest before it, its number, nonce and
sealed text: so none can be changed, taken out or moved without all that follow showing it. Entries cut off at the end
show only against a count and digest that were noted elsewhere (`curator audit verify --head`).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.orm import Session

from curator.errors import DataError, UserError
from curator.run.store import OWNER_ONLY, make_folder
from serve.store.tables import AuditRow

if TYPE_CHECKING:
    from serve.store.database import Database

_log = logging.getLogger("curator.serve")

KEY_VARIABLE = "CURATOR_AUDIT_KEY"
KEY_BYTES = 32
NONCE_BYTES = 12

FIRST = "0" * 64
"""The digest that the first entry is chained to."""


@dataclass(frozen=True)
class Entry:
    """An entry, opened."""

    number: int
    time: float
    actor: str
    action: str
    subject: str
    before: object
    after: object

    def as_json(self) -> dict[str, object]:
        """The entry as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Head:
    """How many entries there are, and the digest of the last."""

    count: int
    digest: str

    def __str__(self) -> str:
        return f"{self.count}:{self.digest}"


class Auditor:
    """Appends to the log, and reads it."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def append(
        self,
        session: Session,
        actor: str,
        action: str,
        subject: str,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """Add an entry, in a transaction that is alone among writers."""
        last = session.scalars(select(AuditRow).order_by(AuditRow.number.desc()).limit(1)).first()
        number, previous = (last.number + 1, last.digest) if last is not None else (1, FIRST)
        record = {
            "time": time.time(),
            "actor": actor,
            "action": action,
            "subject": subject,
            "before": before,
            "after": after,
        }
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, json.dumps(record).encode(), _bound(number, previous))
        digest = _digest(number, previous, nonce, sealed)
        session.add(AuditRow(number=number, nonce=nonce, sealed=sealed, digest=digest))
        session.flush()

    def check_key(self, session: Session) -> None:
        """UserError where the last entry was sealed with another key: what is appended could not be read with it."""
        last = session.scalars(select(AuditRow).order_by(AuditRow.number.desc()).limit(1)).first()
        if last is None:
            return
        before = session.get(AuditRow, last.number - 1)
        previous = FIRST if before is None else before.digest
        if last.digest != _digest(last.number, previous, last.nonce, last.sealed):
            return  # it was changed, which `verify` tells
        try:
            self._cipher.decrypt(last.nonce, last.sealed, _bound(last.number, previous))
        except InvalidTag as error:
            raise UserError("the audit log of this store has another key", hint=_SAME_KEY) from error

    def read(self, session: Session) -> Iterator[Entry]:
        """The entries in order, each held against the chain. DataError at the first that is not as it was written."""
        previous = FIRST
        rows = session.scalars(select(AuditRow).order_by(AuditRow.number).execution_options(yield_per=500))
        for expected, row in enumerate(rows, start=1):
            if row.number != expected:
                raise DataError(f"entry {expected} of the audit log is missing", hint=_SOMEBODY)
            if row.digest != _digest(row.number, previous, row.nonce, row.sealed):
                raise DataError(f"entry {row.number} of the audit log is not as it was written", hint=_SOMEBODY)
            try:
                opened = self._cipher.decrypt(row.nonce, row.sealed, _bound(row.number, previous))
            except InvalidTag as error:
                raise DataError(
                    f"entry {row.number} of the audit log cannot be opened", hint="another key, or changed on purpose"
                ) from error
            previous = row.digest
            yield Entry(number=row.number, **json.loads(opened))

    def verify(self, session: Session, noted: Head | None = None) -> Head:
        """Read all; the head. DataError where the chain is broken, or does not run through the head noted earlier."""
        if noted is not None and noted.count:
            found = session.get(AuditRow, noted.count)
            if found is None or found.digest != noted.digest:
                raise DataError(f"the audit log does not run through the {noted.count} entries noted", hint=_SOMEBODY)
        for _ in self.read(session):
            pass
        return head(session)


_SAME_KEY = f"name its file with --audit-key, or give it in {KEY_VARIABLE}; all servers of a store have one key"
_SOMEBODY = "somebody changed the store; compare with a backup"


def head(session: Session) -> Head:
    """How far the log goes."""
    last = session.scalars(select(AuditRow).order_by(AuditRow.number.desc()).limit(1)).first()
    return Head(last.number, last.digest) if last is not None else Head(0, FIRST)


def parse_head(text: str) -> Head:
    """A head as `Head` writes it. UserError otherwise."""
    count, colon, digest = text.partition(":")
    if not colon or not count.isdecimal() or len(digest) != len(FIRST):
        raise UserError(f"{text!r} is not the head of an audit log", hint="COUNT:DIGEST, as `audit verify` prints it")
    return Head(int(count), digest)


def open_auditor(database: Database, path: Path) -> Auditor:
    """What appends to the log of a store. An empty log is begun, with a key that is made where there is none: from then
    on no other will do. UserError where the key is missing, or another than the log was begun with."""
    with database.read() as session:
        if head(session).count:
            return _open(session, path)
    with database.write() as session:
        if head(session).count:  # another server began it meanwhile
            return _open(session, path)
        auditor = Auditor(load_key(path, create=True))
        auditor.append(session, "service", "log.begun", "audit")
    return auditor


def _open(session: Session, path: Path) -> Auditor:
    auditor = Auditor(load_key(path, create=False))
    auditor.check_key(session)
    return auditor


def load_key(path: Path, *, create: bool) -> bytes:
    """The key: from the environment (base64), else from the file, which is made where there is none and `create`.

    UserError for a key that will not do, or a file that others may read.
    """
    given = os.environ.get(KEY_VARIABLE)
    if given is not None:
        return _decode(given, KEY_VARIABLE)
    if create and not path.exists():
        make_folder(path.parent, OWNER_ONLY)
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
            _log.warning("%s: a new key of the audit log; keep a copy", path)
    try:
        text = path.read_text(encoding="ascii")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("the key of the audit log cannot be read", file=str(path), hint=_SAME_KEY) from error
    if mode & 0o077:
        raise UserError("others may read the key of the audit log", file=str(path), hint="chmod 600")
    return _decode(text, str(path))


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise UserError(f"a key of the audit log is {KEY_BYTES} bytes in base64", file=where)
    return key


def _bound(number: int, previous: str) -> bytes:
    return f"{number}:{previous}".encode()


def _digest(number: int, previous: str, nonce: bytes, sealed: bytes) -> str:
    return hashlib.sha256(_bound(number, previous) + b"\0" + nonce + sealed).hexdigest()
