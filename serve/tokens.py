"""API tokens: `curator_ID_SECRET`. The store has the SHA-256 of the secret alone.

A secret has 256 random bits, so a fast hash is enough: there is nothing to guess from. A token is found by its id, and
its secret compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from curator.errors import UserError
from serve.audit import Auditor
from serve.models import Scope
from serve.store.database import Database
from serve.store.runs import SERVICE
from serve.store.tables import TokenRow

SCOPES: tuple[Scope, ...] = ("read", "submit", "admin")

ROTATION_SECONDS = 86_400.0
"""How long the secret before a rotation stays good, if nothing else is said."""

ONE_TIME = "one-time"
"""Who asks with the token that the server makes for itself."""

_TOKEN = re.compile(r"curator_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Principal:
    """Who asks, and what they may do."""

    name: str
    scope: Scope
    token: str
    expires: float | None = None

    def may(self, scope: Scope) -> bool:
        """Whether its scope holds the one that is needed."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


@dataclass(frozen=True)
class Token:
    """A token as a list shows it."""

    id: str
    name: str
    scope: str
    created: float
    expires: float | None
    revoked: float | None


class Tokens:
    """The tokens of a store, and one that this server made for itself alone (`one_time`)."""

    def __init__(self, database: Database, auditor: Auditor) -> None:
        self._database = database
        self._auditor = auditor
        self._own: tuple[str, str] | None = None

    def create(self, name: str, scope: Scope, expires: float | None, actor: str) -> str:
        """Make a token; returns it, the only time that it can be seen. UserError where the name will not do."""
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r} is not a name of a token", hint="letters, digits and ._@-, at most 64")
        if name in (ONE_TIME, SERVICE):
            raise UserError(f"{name!r} is what the service calls itself in the record", hint="choose another name")
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database.write() as session:
            if session.scalar(select(TokenRow.id).where(TokenRow.name == name)) is not None:
                raise UserError(f"there is a token {name!r}", hint="choose another name, or `curator tokens rotate`")
            session.add(
                TokenRow(
                    id=identity, name=name, scope=scope, digest=_hash(secret), created=time.time(), expires=expires
                )
            )
            self._auditor.append(session, actor, "token.create", name, None, {"scope": scope, "expires": expires})
        return f"curator_{identity}_{secret}"

    def rotate(self, name: str, grace_s: float, actor: str) -> str:
        """Give a token a new secret; the old one stays good for a while. UserError where there is none."""
        secret = secrets.token_urlsafe(32)
        with self._database.write() as session:
            row = _named(session, name)
            if row.revoked is not None:
                raise UserError(f"the token {name!r} is revoked", hint="make another with `curator tokens create`")
            now = time.time()
            if row.expires is not None and row.expires <= now:
                raise UserError(f"the token {name!r} has expired", hint="make another with `curator tokens create`")
            until = now + grace_s
            row.previous, row.previous_until, row.digest = row.digest, until, _hash(secret)
            self._auditor.append(session, actor, "token.rotate", name, None, {"previous_until": until})
            return f"curator_{row.id}_{secret}"

    def revoke(self, name: str, actor: str) -> None:
        """End a token at once. UserError where there is none."""
        with self._database.write() as session:
            row = _named(session, name)
            row.revoked = row.revoked or time.time()
            self._auditor.append(session, actor, "token.revoke", name, None, {"revoked": row.revoked})

    def list(self) -> list[Token]:
        """All tokens, the oldest first."""
        with self._database.read() as session:
            rows = session.scalars(select(TokenRow).order_by(TokenRow.created, TokenRow.id))
            return [Token(row.id, row.name, row.scope, row.created, row.expires, row.revoked) for row in rows]

    def any_valid(self) -> bool:
        """Whether there is a token that is good now."""
        now = time.time()
        with self._database.read() as session:
            found = session.scalar(
                select(func.count())
                .select_from(TokenRow)
                .where(TokenRow.revoked.is_(None), (TokenRow.expires.is_(None)) | (TokenRow.expires > now))
            )
        return bool(found)

    def one_time(self) -> str:
        """A token for everything that only this process knows, and that ends with it."""
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        self._own = (identity, _hash(secret))
        return f"curator_{identity}_{secret}"

    def find(self, given: str) -> Principal | None:
        """Whose token it is, None where it is not good."""
        match = _TOKEN.fullmatch(given)
        if match is None:
            return None
        identity, digest = match[1], _hash(match[2])
        if self._own is not None and identity == self._own[0]:
            return Principal(ONE_TIME, "admin", identity) if hmac.compare_digest(digest, self._own[1]) else None
        with self._database.look() as connection:
            row = connection.execute(_FIND, {"identity": identity}).first()
        if row is None or row.revoked is not None:
            return None
        now = time.time()
        if row.expires is not None and row.expires <= now:
            return None
        is_current = hmac.compare_digest(digest, row.digest)
        is_previous = row.previous is not None and hmac.compare_digest(digest, row.previous)
        if not is_current and not (is_previous and (row.previous_until or 0.0) > now):
            return None
        scope = next((scope for scope in SCOPES if scope == row.scope), None)
        return None if scope is None else Principal(row.name, scope, identity, row.expires)


_FIND = select(
    TokenRow.name,
    TokenRow.scope,
    TokenRow.digest,
    TokenRow.previous,
    TokenRow.previous_until,
    TokenRow.expires,
    TokenRow.revoked,
).where(TokenRow.id == bindparam("identity"))
"""Made once: every request asks it."""


def _named(session: Session, name: str) -> TokenRow:
    row = session.scalars(select(TokenRow).where(TokenRow.name == name)).first()
    if row is None:
        raise UserError(f"there is no token {name!r}", hint="`curator tokens list` shows them")
    return row


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
