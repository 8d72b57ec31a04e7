"""The commands of `curator tokenizer`: what they take. Each imports what it does when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
RunsArgument = Annotated[list[str], typer.Argument(metavar="RUN...", help="Directories of finished runs.")]
TokenizerArgument = Annotated[Path, typer.Argument(metavar="TOKENIZER", help="A SentencePiece model.")]
FileOption = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")]
SampleOption = Annotated[
    str, typer.Option(metavar="SIZE", help="Text that is taken from the runs: about so much at most.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of the sample.", min=0)]

tokenizer_app = typer.Typer(
    help="Train, measure, export, extend and align tokenizers.", no_args_is_help=True, rich_markup_mode=None
)


@tokenizer_app.command("train")
def tokenizer_train(
    runs: RunsArgument,
    output: FileOption,
    vocabulary: Annotated[int, typer.Option(help="Tokens, 256 bytes and 3 marks included.", min=300)] = 8192,
    kind: Annotated[str, typer.Option(metavar="unigram|bpe", help="The algorithm.")] = "bpe",
    alpha: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|search",
            help="Exponent over the sizes of languages, 0 to 1; search: the one whose dearest language costs least.",
        ),
    ] = "0.5",
    sample: SampleOption = "20MB",
    seed: SeedOption = 0,
    as_json: Json = False,
) -> None:
    """Train a SentencePiece tokenizer on the originals of runs, with languages mixed by an exponent."""
    from curator.cli.tokenizer import train_tokenizer_command

    train_tokenizer_command(runs, output, vocabulary, kind, alpha, sample, seed, as_json)


@tokenizer_app.command("report")
def tokenizer_report(
    tokenizers: Annotated[
        list[Path], typer.Argument(metavar="TOKENIZER...", help="SentencePiece models and tokenizer.json files.")
    ],
    on: Annotated[
        Path | None,
        typer.Option("--on", metavar="FILE", help="Aligned lines (JSONL or TSV); the packaged articles else."),
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--lang", metavar="TAG", help="Only this language; repeatable.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a page, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what each language costs in tokens, and what against English, on aligned text."""
    from curator.cli.tokenizer import report_tokenizers_command

    report_tokenizers_command(tokenizers, on, languages or [], page, as_json)


@tokenizer_app.command("export")
def tokenizer_export(
    tokenizer: TokenizerArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write.")],
    as_json: Json = False,
) -> None:
    """Write a fast tokenizer of Hugging Face with the same ids: tokenizer.json and tokenizer_config.json."""
    from curator.cli.tokenizer import export_tokenizer_command

    export_tokenizer_command(tokenizer, output, as_json)


@tokenizer_app.command("extend")
def tokenizer_extend(
    tokenizer: TokenizerArgument,
    runs: RunsArgument,
    output: FileOption,
    languages: Annotated[
        list[str], typer.Option("--lang", metavar="TAG", help="A language that it is extended for; repeatable.")
    ],
    pieces: Annotated[int, typer.Option(help="New pieces.", min=1)] = 1000,
    sample: SampleOption = "20MB",
    seed: SeedOption = 0,
    as_json: Json = False,
) -> None:
    """Add pieces for more languages behind those of a BPE tokenizer, whose ids stay."""
    from curator.cli.tokenizer import extend_tokenizer_command

    extend_tokenizer_command(tokenizer, runs, output, languages, pieces, sample, seed, as_json)


@tokenizer_app.command("align")
def tokenizer_align(
    tokenizer: Annotated[Path, typer.Argument(metavar="TOKENIZER", help="A SentencePiece model or tokenizer.json.")],
    runs: RunsArgument,
    output: FileOption,
    pivot: Annotated[str, typer.Option(metavar="TAG", help="The language that others are aligned with.")] = "en",
    threshold: Annotated[float, typer.Option(help="Least cosine of a pair.", min=0, max=1)] = 0.85,
    sample: SampleOption = "20MB",
    seed: SeedOption = 0,
    as_json: Json = False,
) -> None:
    """Find pieces of different languages that mean the same, for `curator train --align`."""
    from curator.cli.tokenizer import align_tokenizer_command

    align_tokenizer_command(tokenizer, runs, output, pivot, threshold, sample, seed, as_json)
