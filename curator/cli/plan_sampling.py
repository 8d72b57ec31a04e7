"""`curator plan --sampling`: the mix of a recipe, before anything is sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from curator.cli.output import print_json, print_line, print_table
from curator.errors import UserError
from curator.recipe import load_recipe
from curator.report.model import WORTH_SAYING
from curator.storage.path import as_path


def plan_sampling_command(
    recipe: str, counts: str, overlay: Path | None, overrides: Sequence[str], as_json: bool
) -> None:
    """Print the plan of a recipe's sampling for the tokens of a finished run or of a table. UserError where the recipe
    does not sample, or the counts cannot be read."""
    from curator.run.directory import RunDirectory
    from curator.run.pipeline import make_pipeline
    from curator.text.tokens import token_name
    from stages.sampling.counts import counts_of_run, counts_of_table
    from stages.sampling.stage import Sampling

    pipeline = make_pipeline(load_recipe(recipe, overrides, overlay))
    stage = next((stage for stage in pipeline.stages if isinstance(stage, Sampling)), None)
    if stage is None:
        raise UserError(f"recipe {pipeline.recipe.name} has no stage sampling", hint="add `- sampling: {alpha: 0.7}`")
    path = as_path(counts)
    if isinstance(path, Path) and not path.exists():
        raise UserError("no such file or directory", file=counts, hint="give a table of counts, or a finished run")
    asked = pipeline.recipe
    found = (
        counts_of_table(path, stage)
        if isinstance(path, Path) and path.is_file()
        else counts_of_run(RunDirectory(path), stage, token_name(asked.tokenizer), asked.input.source_groups)
    )
    plan = stage.facts(stage.fit(found))
    if as_json:
        print_json(plan)
    else:
        _print(plan)


def _print(plan: Mapping[str, object]) -> None:
    rows = cast("list[dict[str, float]]", plan["languages"])
    natural = sum(row["tokens"] for row in rows) or 1
    planned = cast("int", plan["target"])
    target = planned or 1
    ordered = sorted(rows, key=lambda row: (-row["tokens"], row["language"]))
    headings = ["language", "documents", "tokens", "natural", "target", "tokens to write", "repeats", "shortfall"]
    print_table(
        headings,
        [
            [
                row["language"],
                row["documents"],
                row["tokens"],
                f"{row['tokens'] / natural:.3%}",
                f"{row['target'] / target:.3%}",
                row["target"],
                f"{row['repeats']:.3f}",
                row["shortfall"],
            ]
            for row in ordered
        ],
    )
    sources = cast("list[dict[str, float]]", plan.get("sources", []))
    if sources:
        print_line()
        print_table(
            ["source", "tokens", "natural", "asked for", "target", "tokens to write"],
            [
                [
                    row["source"] or "(others)",
                    row["tokens"],
                    f"{row['tokens'] / natural:.3%}",
                    f"{row['wanted'] / target:.3%}",
                    f"{row['target'] / target:.3%}",
                    row["target"],
                ]
                for row in sources
            ],
        )
    print_line()
    total, short = cast("int", plan["total"]), cast("int", plan["shortfall"])
    print_line(f"{total:,} tokens wanted, {planned:,} planned")
    if not total:
        print_line("there is no token to sample: documents stay as they are")
    if short:
        print_line(f"{short:,} tokens cannot be had: every language is at its cap of {plan['max_repeats']} repeats")
    for row in sources:
        lacks = row["wanted"] - row["target"]
        if lacks >= WORTH_SAYING * target:
            why = "it has no text" if not row["tokens"] else "what there is in the languages and the cap allow no more"
            name = row["source"] or "other sources"
            print_line(f"source {name}: {lacks:,} of {row['wanted']:,} tokens cannot be had, {why}")
