"""What the shell offers for the id of a run: those submitted from here, or those of the service of `--server`."""

from __future__ import annotations

from pathlib import Path

import typer

from curator.errors import CuratorError

SECONDS = 3.0
"""How long a service may take; who presses Tab waits for it."""
OFFERED = 50


def complete_run(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids that begin so, each with a word about it; none where they cannot be had."""
    server = context.params.get("server")
    try:
        found = _here() if server is None else _of_service(str(server), context.params.get("token_file"))
    except (CuratorError, ImportError, OSError):
        return []  # nothing can be told while a line is typed
    return [(id, about) for id, about in found if id.startswith(incomplete)]  # noqa: A001 (as users call it)


def _here() -> list[tuple[str, str]]:
    from curator.cluster.records import read_records

    return [(record.id, record.specification.output) for record in read_records().runs]


def _of_service(server: str, token_file: object) -> list[tuple[str, str]]:
    from curator.cli.remote import Remote, client_of

    remote = Remote(server, Path(str(token_file)) if token_file else None)
    with client_of(remote, timeout_s=SECONDS, tries=1) as client:
        return [(run.id, f"{run.state} {run.output}") for run in client.runs(most=OFFERED)]
