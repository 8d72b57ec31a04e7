"""`curator audit`: the audit log of the service."""

from __future__ import annotations

import json
from pathlib import Path

from curator.cli.output import print_json, print_line
from curator.cli.store import open_store


def audit_verify_command(
    noted: str | None, store: str | None, state: Path | None, audit_key: Path | None, as_json: bool
) -> None:
    """Prove that the log is as it was written."""
    with open_store(store, state, audit_key) as opened:
        from serve.audit import parse_head

        expected = None if noted is None else parse_head(noted)
        with opened.database.read() as session:
            head = opened.auditor.verify(session, expected)
    if as_json:
        print_json({"entries": head.count, "head": str(head)})
        return
    print_line(f"{head.count:,} entries are as they were written")
    print_line(f"head: {head}")


def audit_export_command(store: str | None, state: Path | None, audit_key: Path | None, as_json: bool) -> None:
    """Print the log, opened."""
    with open_store(store, state, audit_key) as opened, opened.database.read() as session:
        entries = opened.auditor.read(session)
        if as_json:
            print_json([entry.as_json() for entry in entries])
            return
        for entry in entries:
            print_line(json.dumps(entry.as_json(), ensure_ascii=False))
