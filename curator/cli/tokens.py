"""`curator tokens`: the tokens of the service."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from curator.cli.output import print_json, print_line, print_note, print_table
from curator.cli.store import check_installed, open_store
from curator.errors import UserError

_DAY_SECONDS = 86_400.0


def tokens_create_command(
    name: str,
    scope: str,
    days: float | None,
    store: str | None,
    state: Path | None,
    audit_key: Path | None,
    as_json: bool,
) -> None:
    """Make a token and print it."""
    check_installed()
    from serve.tokens import SCOPES

    chosen = next((known for known in SCOPES if known == scope), None)
    if chosen is None:
        raise UserError(f"there is no scope {scope!r}", hint=f"one of: {', '.join(SCOPES)}")
    if days == 0:
        raise UserError("--days 0: such a token is never good", hint="leave it out for a token without end")
    expires = None if days is None else time.time() + days * _DAY_SECONDS
    with open_store(store, state, audit_key, create=True) as opened:
        token = opened.tokens.create(name, chosen, expires, opened.actor)
    if as_json:
        print_json({"name": name, "scope": scope, "expires": expires, "token": token})
        return
    print_note("curator: this is the only time that the token is shown")
    print_line(token)


def tokens_list_command(store: str | None, state: Path | None, audit_key: Path | None, as_json: bool) -> None:
    """List the tokens."""
    with open_store(store, state, audit_key) as opened:
        found = opened.tokens.list()
    if as_json:
        print_json([asdict(token) for token in found])
        return
    if not found:
        print_note("there is no token; `curator tokens create NAME` makes one")
        return
    rows = [
        [token.name, token.scope, _time(token.created), _time(token.expires), _time(token.revoked)] for token in found
    ]
    print_table(["name", "scope", "created", "expires", "revoked"], rows, left=5)


def tokens_rotate_command(
    name: str, hours: float, store: str | None, state: Path | None, audit_key: Path | None, as_json: bool
) -> None:
    """Give a token a new secret and print it."""
    with open_store(store, state, audit_key) as opened:
        token = opened.tokens.rotate(name, hours * 3600, opened.actor)
    if as_json:
        print_json({"name": name, "token": token})
        return
    print_note(
        f"curator: the secret before stays good for {hours:g} h; this is the only time that the new one is shown"
    )
    print_line(token)


def tokens_revoke_command(
    name: str, store: str | None, state: Path | None, audit_key: Path | None, as_json: bool
) -> None:
    """End a token."""
    with open_store(store, state, audit_key) as opened:
        opened.tokens.revoke(name, opened.actor)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        print_note(f"curator: the token {name} is revoked")


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
