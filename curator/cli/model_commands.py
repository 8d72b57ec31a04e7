"""The commands of the model: what they take. Each imports what it does when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curator.cli.tokenizer_commands import tokenizer_app

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
RunsArgument = Annotated[list[str], typer.Argument(metavar="RUN...", help="Directories of finished runs.")]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="A training configuration, in YAML.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value of the configuration.")
]
DeviceOption = Annotated[str, typer.Option(metavar="cpu|cuda", help="Where to compute.")]
BestOption = Annotated[bool, typer.Option("--best", help="The checkpoint of the lowest validation loss.")]


def train(
    runs: RunsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL", help="The model directory to write.")],
    config: ConfigOption = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A SentencePiece model or tokenizer.json; trained on the runs if not given."),
    ] = None,
    initialise_from: Annotated[
        Path | None,
        typer.Option(
            "--initialise-from",
            metavar="MODEL",
            help="Begin with the parameters of a model that differs in the vocabulary alone.",
        ),
    ] = None,
    align: Annotated[
        Path | None,
        typer.Option("--align", metavar="FILE", help="Tie the embeddings of pieces that `tokenizer align` found."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to train; those of the configuration else.", min=1)] = None,
    device: DeviceOption = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    overrides: SetOption = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train in processes of a Ray cluster: HOST:PORT of its head, or auto."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            help="Processes with --ray; 0: one for each GPU with --device cuda, else one for each node.", min=0
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train a compact Mixture-of-Experts model on the shards of runs."""
    from curator.cli.train import train_command

    train_command(
        runs,
        output,
        config,
        tokenizer,
        initialise_from,
        align,
        steps,
        device,
        resume,
        overrides or [],
        ray,
        workers,
        as_json,
    )


def generate(
    model: ModelArgument,
    prompt: Annotated[str, typer.Argument(metavar="TEXT", help="What the text begins with.")] = "",
    tokens: Annotated[int, typer.Option(help="Tokens at most.", min=1)] = 100,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token each time.", min=0)] = 0.8,
    top_k: Annotated[int, typer.Option("--top-k", help="Draw from so many tokens; 0: from all.", min=0)] = 0,
    top_p: Annotated[float, typer.Option("--top-p", help="Draw from tokens that have this share together.")] = 1.0,
    repetition: Annotated[float, typer.Option(help="Above 1: tokens that occurred are less likely.", min=1)] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0, max=2**63 - 1)] = 0,
    best: BestOption = False,
    device: DeviceOption = "cpu",
    as_json: Json = False,
) -> None:
    """Write text with a model."""
    from curator.cli.train import generate_command

    generate_command(model, prompt, tokens, temperature, top_k, top_p, repetition, seed, best, device, as_json)


def evaluate(
    model: ModelArgument,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="FILE|RUN",
            help="Text of any format, or a run without what it was taught; the runs that it was trained on else.",
        ),
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--lang", metavar="TAG", help="Only documents of this tag; repeatable.")
    ] = None,
    documents: Annotated[int, typer.Option(help="So many of a language at most, drawn by hash; 0: all.", min=0)] = 200,
    best: BestOption = False,
    device: DeviceOption = "cpu",
    as_json: Json = False,
) -> None:
    """Say what a model has learned: bits per byte of each language, and a cloze test made of the text."""
    from curator.cli.evaluate import evaluate_command

    evaluate_command(model, on, languages or [], documents, best, device, as_json)


def export(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write.")],
    best: BestOption = False,
    as_json: Json = False,
) -> None:
    """Write a model in the layout of Mixtral, which Hugging Face's AutoModelForCausalLM loads."""
    from curator.cli.evaluate import export_command

    export_command(model, output, best, as_json)


def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with a Mixtral and its tokenizer.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODEL", help="The model directory to write.")],
    as_json: Json = False,
) -> None:
    """Make a model of a folder in the layout of Mixtral, to be asked: it cannot be trained further."""
    from curator.cli.evaluate import import_command

    import_command(folder, output, as_json)


def ablate(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Files or names of recipes.")],
    inputs: Annotated[
        list[str], typer.Option("--on", metavar="INPUT", help="Raw text: a file, directory or glob; repeatable.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write.")],
    tokens: Annotated[int, typer.Option(help="Tokens that each model is trained on.", min=1)] = 1_000_000,
    seconds: Annotated[
        float | None,
        typer.Option(help="Train each model a second time, for so many seconds instead of --tokens.", min=0.1),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Models of each arm.", min=1)] = 1,
    config: ConfigOption = None,
    overrides: SetOption = None,
    held_out: Annotated[float, typer.Option("--held-out", help="Share of each language that is held out.")] = 0.01,
    by_stage: Annotated[
        bool, typer.Option("--by-stage", help="Compare each beginning of a recipe's stages as well.")
    ] = False,
    each_stage: Annotated[
        bool, typer.Option("--each-stage", help="Compare a recipe with itself without each of its stages as well.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Worker processes that curate; 0 means one a core.", min=0)] = 0,
    device: DeviceOption = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a comparison that was stopped.")] = False,
    as_json: Json = False,
) -> None:
    """Compare recipes by what the same model learns from the shards that each of them makes."""
    from curator.cli.ablate import ablate_command

    ablate_command(
        recipes,
        inputs,
        output,
        tokens,
        seconds,
        seeds,
        config,
        overrides or [],
        held_out,
        by_stage,
        each_stage,
        workers,
        device,
        resume,
        as_json,
    )


def add_model_commands(app: typer.Typer) -> None:
    """Add the commands of the model to `curator`."""
    app.command()(train)
    app.command()(generate)
    app.command("eval")(evaluate)
    app.command()(ablate)
    app.command()(export)
    app.command("import")(import_)
    app.add_typer(tokenizer_app, name="tokenizer")
