"""The commands of the service, as the command line has them: `serve`, `tokens`, `audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
StateOption = Annotated[
    Path | None, typer.Option("--state", metavar="DIRECTORY", help="Where the service keeps what it needs.")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME; a file in --state."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--audit-key", metavar="FILE", help="The key of the audit log; a file in --state.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of a token.")]

tokens_app = typer.Typer(help="Make, list and end tokens of the service.", no_args_is_help=True, rich_markup_mode=None)
audit_app = typer.Typer(help="Read the audit log of the service.", no_args_is_help=True, rich_markup_mode=None)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; beyond this machine only with tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="The port; 0 means a free one.", min=0, max=65535)] = 8000,
    store: StoreOption = None,
    state: StateOption = None,
    input_roots: Annotated[
        list[str] | None,
        typer.Option("--input-root", metavar="PLACE", help="Runs may read below it: a directory, or s3://BUCKET/NAME."),
    ] = None,
    output_roots: Annotated[
        list[str] | None, typer.Option("--output-root", metavar="PLACE", help="Runs may write below it.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Runs and trainings at a time.", min=1)] = 1,
    workers: Annotated[int, typer.Option(help="Worker processes of a run; 0 means one a core.", min=0)] = 0,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory that all processes of a run together may use.")
    ] = "4GB",
    hosts: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="A host name under which it is reached.")
    ] = None,
    origins: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", metavar="URL", help="An origin whose pages may send requests: https://HOST."),
    ] = None,
    audit_key: KeyOption = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let a Ray cluster do the tasks of runs: HOST:PORT of its head, or auto."),
    ] = None,
    ray_jobs: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Let a Ray cluster have runs whole, drivers too: http://HOST:8265 of its dashboard."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Webhooks, and what recipes may name beyond files, in YAML."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve runs and trainings over REST and on a web page."""
    from curator.cli.serve import ServeOptions, serve_command

    serve_command(
        ServeOptions(
            host,
            port,
            store,
            state,
            tuple(input_roots or ()),
            tuple(output_roots or ()),
            runs,
            workers,
            memory,
            tuple(hosts or ()),
            tuple(origins or ()),
            audit_key,
            ray,
            ray_jobs,
            config,
        ),
        as_json,
    )


@tokens_app.command("create")
def tokens_create(
    name: NameArgument,
    scope: Annotated[str, typer.Option(metavar="read|submit|admin", help="What it may do.")] = "read",
    days: Annotated[
        float | None, typer.Option(help="Days that it is good; without end, if not given.", min=0, max=36_500)
    ] = None,
    store: StoreOption = None,
    state: StateOption = None,
    audit_key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it; it is shown this once."""
    from curator.cli.tokens import tokens_create_command

    tokens_create_command(name, scope, days, store, state, audit_key, as_json)


@tokens_app.command("list")
def tokens_list(
    store: StoreOption = None, state: StateOption = None, audit_key: KeyOption = None, as_json: Json = False
) -> None:
    """List the tokens."""
    from curator.cli.tokens import tokens_list_command

    tokens_list_command(store, state, audit_key, as_json)


@tokens_app.command("rotate")
def tokens_rotate(
    name: NameArgument,
    hours: Annotated[float, typer.Option(help="Hours that the secret before stays good.", min=0, max=876_000)] = 24.0,
    store: StoreOption = None,
    state: StateOption = None,
    audit_key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """Give a token a new secret and print it."""
    from curator.cli.tokens import tokens_rotate_command

    tokens_rotate_command(name, hours, store, state, audit_key, as_json)


@tokens_app.command("revoke")
def tokens_revoke(
    name: NameArgument,
    store: StoreOption = None,
    state: StateOption = None,
    audit_key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """End a token at once."""
    from curator.cli.tokens import tokens_revoke_command

    tokens_revoke_command(name, store, state, audit_key, as_json)


@audit_app.command("verify")
def audit_verify(
    head: Annotated[
        str | None,
        typer.Option(metavar="COUNT:DIGEST", help="A head noted earlier, which must still stand."),
    ] = None,
    store: StoreOption = None,
    state: StateOption = None,
    audit_key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """Prove that the log is as it was written, and print its head."""
    from curator.cli.audit import audit_verify_command

    audit_verify_command(head, store, state, audit_key, as_json)


@audit_app.command("export")
def audit_export(
    store: StoreOption = None, state: StateOption = None, audit_key: KeyOption = None, as_json: Json = False
) -> None:
    """Print the log, opened: a JSON object a line; one list with --json."""
    from curator.cli.audit import audit_export_command

    audit_export_command(store, state, audit_key, as_json)
