"""The command `curator`. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from curator.allocator import keep_memory
from curator.cli.command_line import named_alone
from curator.cli.complete import complete_run
from curator.cli.ending import exit_code, flush, leave, open_closed_streams
from curator.cli.model_commands import add_model_commands
from curator.cli.service import audit_app, serve, tokens_app
from curator.collector import collect_seldom, loading
from curator.errors import UserError

# One BLAS or OpenMP thread in a process: the engine parallelises, and sums keep their order.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Plugins of pydantic that happen to be installed change nothing, and are not looked for in the metadata of packages.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

app = typer.Typer(
    name="curator",
    help="Raw multilingual text in, training-ready Parquet shards out, and a record of what happened and why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
recipe_app = typer.Typer(help="Show, validate and describe recipes.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(recipe_app, name="recipe")
index_app = typer.Typer(help="Look at the index of an earlier run.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(index_app, name="index")
runs_app = typer.Typer(
    help="Look at, cancel and resume runs that were submitted.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(runs_app, name="runs")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
RecipeOption = Annotated[str, typer.Option("--recipe", "-r", help="A recipe's file, or the name of a packaged one.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="STAGE.PARAM=VALUE", help="Override one value of the recipe.")
]
OverlayOption = Annotated[
    Path | None, typer.Option("--overlay", metavar="FILE", help="Thresholds that `curator calibrate` wrote.")
]
IndexArgument = Annotated[str, typer.Argument(metavar="PATH", help="An index, or a run that has one.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run directory.")]
SubmittedArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The id of a submitted run or its beginning, or its run directory.",
        autocompletion=complete_run,
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow the run to its end, and exit as it does.")]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="A service of Curator; its token stands in CURATOR_TOKEN.",
        is_eager=True,  # so that it is known when --token-file is looked at
    ),
]


def _for_server(context: typer.Context, token_file: Path | None) -> Path | None:
    """UserError for a token that nobody would be shown."""
    if token_file is not None and context.params.get("server") is None and not context.resilient_parsing:
        raise UserError("--token-file is for --server", hint="name the service with --server URL, or leave it out")
    return token_file


TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Where the token for --server is, if not there.",
        callback=_for_server,
    ),
]


@app.command()
def process(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, directories or globs; or s3://BUCKET/NAME.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="RUN", help="The run directory to write.")],
    recipe: RecipeOption = "web",
    workers: Annotated[
        int, typer.Option(help="Worker processes; 0 means one a core, or as many as the cluster has CPUs.", min=0)
    ] = 0,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory that all processes together may use; 4GB, or what the cluster has."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    overlay: OverlayOption = None,
    overrides: SetOption = None,
    keep_work: Annotated[bool, typer.Option("--keep-work", help="Keep intermediate files after success.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let a Ray cluster do the work: HOST:PORT of its head, or auto."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Curate files on this machine, without a cluster; with --ray, on the cluster that this machine belongs to."""
    keep_memory()
    with loading():
        from curator.cli.process import process_command

    process_command(inputs, output, recipe, overlay, workers, memory, overrides or [], resume, keep_work, ray, as_json)


@app.command()
def submit(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, directories or globs.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="RUN", help="The run directory to write.")],
    address: Annotated[
        str | None, typer.Option(metavar="URL", help="The cluster's dashboard: http://HOST:8265.")
    ] = None,
    server: ServerOption = None,
    token_file: TokenOption = None,
    recipe: RecipeOption = "web",
    workers: Annotated[int, typer.Option(help="Tasks at once; 0 means as many as there is room for.", min=0)] = 0,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that the run may use on all nodes; all there is, else.")
    ] = None,
    wait: WaitOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    key: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What makes two submissions one run; recipe, input and output else."),
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Let the nodes install the packages they need.")] = False,
    overlay: OverlayOption = None,
    overrides: SetOption = None,
    as_json: Json = False,
) -> None:
    """Curate files on a Ray cluster (--address) or a service (--server); prints the id of the run."""
    from curator.cli.submit import submit_command, submit_to_server

    if server is not None:
        submit_to_server(
            inputs,
            output,
            recipe,
            overlay,
            overrides or [],
            server,
            token_file,
            address,
            workers,
            memory,
            key,
            resume,
            install,
            wait,
            as_json,
        )
        return
    submit_command(
        inputs, output, recipe, overlay, overrides or [], address, workers, memory, key, resume, install, wait, as_json
    )


@runs_app.command("list")
def runs_list(server: ServerOption = None, token_file: TokenOption = None, as_json: Json = False) -> None:
    """List the runs that were submitted from here; with --server, those of a service."""
    if server is not None:
        from curator.cli.remote import Remote, remote_list

        remote_list(Remote(server, token_file), as_json)
        return
    from curator.cli.runs import runs_list_command

    runs_list_command(as_json)


@runs_app.command("show")
def runs_show(
    run: SubmittedArgument, server: ServerOption = None, token_file: TokenOption = None, as_json: Json = False
) -> None:
    """Show how far a run is, by its run directory and by what Ray says; or as a service knows it."""
    if server is not None:
        from curator.cli.remote import Remote, remote_show

        remote_show(Remote(server, token_file), run, as_json)
        return
    from curator.cli.runs import runs_show_command

    runs_show_command(run, as_json)


@runs_app.command("logs")
def runs_logs(
    run: SubmittedArgument,
    size: Annotated[int, typer.Option("--bytes", help="At most so many, from the end.", min=1)] = 65_536,
    server: ServerOption = None,
    token_file: TokenOption = None,
    as_json: Json = False,
) -> None:
    """Print what the driver of a run wrote last."""
    if server is not None:
        from curator.cli.remote import Remote, remote_logs

        remote_logs(Remote(server, token_file), run, size, as_json)
        return
    from curator.cli.runs import runs_logs_command

    runs_logs_command(run, size, as_json)


@runs_app.command("cancel")
def runs_cancel(
    run: SubmittedArgument, server: ServerOption = None, token_file: TokenOption = None, as_json: Json = False
) -> None:
    """End a run; what it finished is kept, and `resume` goes on with it."""
    if server is not None:
        from curator.cli.remote import Remote, remote_cancel

        remote_cancel(Remote(server, token_file), run, as_json)
        return
    from curator.cli.runs import runs_cancel_command

    runs_cancel_command(run, as_json)


@runs_app.command("resume")
def runs_resume(
    run: SubmittedArgument,
    max_error_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Another share of records that may fail.")
    ] = None,
    wait: WaitOption = False,
    server: ServerOption = None,
    token_file: TokenOption = None,
    as_json: Json = False,
) -> None:
    """Submit a run again, to go on where it stopped."""
    if server is not None:
        from curator.cli.remote import Remote, remote_resume

        remote_resume(Remote(server, token_file), run, max_error_rate, wait, as_json)
        return
    from curator.cli.runs import runs_resume_command

    runs_resume_command(run, max_error_rate, wait, as_json)


@app.command()
def plan(
    recipe: RecipeOption = "web",
    inputs: Annotated[list[str] | None, typer.Argument(metavar="[INPUT...]", help="Files to be listed.")] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="Estimate for so many bytes of text: 100TB.")
    ] = None,
    documents: Annotated[
        str | None, typer.Option("--documents", metavar="COUNT", help="Estimate for so many documents: 1e11.")
    ] = None,
    nodes: Annotated[
        list[str] | None,
        typer.Option(
            "--node",
            metavar="COUNTxCORES:MEMORY[:PRICE]",
            help="Nodes to estimate for, with the price of one for an hour; repeatable. This machine, if not given.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="local|ray", help="Whose overheads to count: local on one node, else ray, if not given."),
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="RUN", help="Take the rates from a finished run.")
    ] = None,
    compressed: Annotated[
        bool, typer.Option("--compressed", help="The corpus of --size or --documents lies in compressed files.")
    ] = False,
    files: Annotated[
        str | None,
        typer.Option("--files", metavar="COUNT", help="The corpus of --size or --documents lies in so many."),
    ] = None,
    sampling: Annotated[
        str | None,
        typer.Option(
            "--sampling",
            metavar="RUN|TABLE",
            help="Show the mix of the recipe for the tokens of a finished run, or of a CSV file (language, tokens).",
        ),
    ] = None,
    overlay: OverlayOption = None,
    overrides: SetOption = None,
    as_json: Json = False,
) -> None:
    """Show the phases that a recipe becomes, what it would read, what a run would take, and how it would sample."""
    from curator.cli.plan import Asked, plan_command

    asked = Asked(size, documents, tuple(nodes or ()), engine, like, compressed, files)
    if sampling is not None:
        if inputs or asked.wants_estimate:
            raise UserError("--sampling shows the mix alone", hint="leave out input files and options of an estimate")
        from curator.cli.plan_sampling import plan_sampling_command

        plan_sampling_command(recipe, sampling, overlay, overrides or [], as_json)
        return
    plan_command(recipe, inputs or [], overlay, overrides or [], asked, as_json)


@app.command()
def calibrate(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...|RUN", help="Text known to be good; or a finished run on such text.")
    ],
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="The recipe to be fitted: web, or that of RUN, if not given.")
    ] = None,
    share: Annotated[float, typer.Option("--pass", help="Share of such text that shall pass.")] = 0.99,
    confidence: Annotated[float, typer.Option(help="How surely it shall.")] = 0.95,
    minimum: Annotated[
        int | None, typer.Option(help="Documents that a rule needs; the fewest that will do, if not given.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="source|language", help="Fit each language within each source group, or over all.")
    ] = "source",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The overlay; standard output if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Worker processes; 0 means one a core.", min=0)] = 0,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory that all processes together may use.")] = "4GB",
    overrides: SetOption = None,
    as_json: Json = False,
) -> None:
    """Fit thresholds, per language and source, so that a share of known-good text passes."""
    keep_memory()
    from curator.cli.calibrate import calibrate_command

    calibrate_command(inputs, recipe, share, confidence, minimum, by, output, workers, memory, overrides or [], as_json)


@app.command()
def explain(
    run: RunArgument,
    document: Annotated[str, typer.Argument(metavar="ID", help="A document's id, or its key in hexadecimal.")],
    as_json: Json = False,
) -> None:
    """Tell what happened to a document, and why."""
    from curator.cli.inspect import explain_command

    explain_command(run, document, as_json)


@app.command()
def report(
    run: RunArgument,
    comparison: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Show in it what models learned, as `curator ablate` wrote it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write report.html of a finished run again, and print its funnel."""
    from curator.cli.inspect import report_command

    report_command(run, comparison, as_json)


@app.command()
def verify(run: RunArgument, as_json: Json = False) -> None:
    """Prove that a run is what its manifest says: files, hashes, rows, no document lost."""
    from curator.cli.inspect import verify_command

    verify_command(run, as_json)


@app.command()
def recheck(
    run: RunArgument,
    documents: Annotated[int, typer.Option(help="Documents that are searched, drawn by hash.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Another one draws other documents.", min=0)] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="pii.PARAM=VALUE", help="A parameter of the search: pii.kinds=[email]."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search a sample of a finished run's shards again for personal data, and say what is left."""
    from curator.cli.recheck import recheck_command

    recheck_command(run, documents, seed, overrides or [], as_json)


@app.command()
def doctor(
    recipe: RecipeOption = "web", overlay: OverlayOption = None, overrides: SetOption = None, as_json: Json = False
) -> None:
    """Say what is installed, and what a recipe would need."""
    from curator.cli.doctor import doctor_command

    doctor_command(recipe, overlay, overrides or [], as_json)


@app.command()
def stages(
    chosen: Annotated[list[str] | None, typer.Argument(metavar="STAGE", help="Some of them; otherwise all.")] = None,
    as_json: Json = False,
) -> None:
    """List the stages that are installed, with their parameters."""
    from curator.cli.inspect import stages_command

    stages_command(chosen or [], as_json)


@recipe_app.command("show")
def recipe_show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")] = "web",
    full: Annotated[bool, typer.Option("--full", help="With every default written out.")] = False,
    overlay: OverlayOption = None,
    overrides: SetOption = None,
    as_json: Json = False,
) -> None:
    """Print a recipe."""
    from curator.cli.inspect import recipe_show_command

    recipe_show_command(name, full, overlay, overrides or [], as_json)


@recipe_app.command("validate")
def recipe_validate(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    overlay: OverlayOption = None,
    overrides: SetOption = None,
    as_json: Json = False,
) -> None:
    """Check a recipe; the error names the line."""
    from curator.cli.inspect import recipe_validate_command

    recipe_validate_command(name, overlay, overrides or [], as_json)


@recipe_app.command("schema")
def recipe_schema_(as_json: Json = False) -> None:
    """Print the JSON schema of recipes, for editors."""
    from curator.cli.inspect import recipe_schema_command

    recipe_schema_command()


@recipe_app.command("list")
def recipe_list(as_json: Json = False) -> None:
    """List the packaged recipes."""
    from curator.cli.inspect import recipe_list_command

    recipe_list_command(as_json)


@app.command()
def forget(
    run: RunArgument,
    documents: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids or keys of documents.")],
    indexes: Annotated[
        list[Path] | None, typer.Option("--index", metavar="PATH", help="A copy of the run's index elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase documents from a finished run and its index, and prove that they are gone."""
    from curator.cli.erase import forget_command

    forget_command(run, documents, indexes or [], as_json)


@index_app.command("show")
def index_show(path: IndexArgument, as_json: Json = False) -> None:
    """Print what an index holds, and how large it is."""
    from curator.cli.index import index_show_command

    index_show_command(path, as_json)


@index_app.command("verify")
def index_verify(path: IndexArgument, as_json: Json = False) -> None:
    """Read every byte of an index: prove that it is as it was written."""
    from curator.cli.index import index_verify_command

    index_verify_command(path, as_json)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"curator {version('curator-corpora')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# After those of curation, as the list of commands shows them.
add_model_commands(app)
app.command()(serve)
app.add_typer(tokens_app, name="tokens")
app.add_typer(audit_app, name="audit")


def main() -> NoReturn:
    """What the command `curator` does: run the command line, and end the process."""
    leave(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line; its exit code. What it is refused for is one line on standard error, and with `--json` the
    document on standard output."""
    collect_seldom()
    open_closed_streams()
    # What cannot be encoded (a file name that is not UTF-8) is shown escaped, in JSON as JSON escapes it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in takewhile(lambda argument: argument != "--", arguments)
    code = exit_code(lambda: named_alone(app, arguments)(list(arguments)), as_json=as_json)
    return exit_code(flush, as_json=False) or code
