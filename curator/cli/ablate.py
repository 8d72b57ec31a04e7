"""`curator ablate`: recipes compared by the models that their shards give."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curator.cli.local import need_local
from curator.cli.output import interval_text, print_json, print_line, print_note, print_table
from curator.cli.packages import require
from curator.cli.train import TrainingProgress
from curator.errors import AGAIN, RESUME, Stopped, UserError, rewording
from curator.recipe import load_recipe
from curator.run.events import Event
from curator.training import load_training_config

if TYPE_CHECKING:
    from model.ablation.compare import Comparison

LANGUAGES_SHOWN = 5


def ablate_command(
    recipes: Sequence[str],
    inputs: Sequence[str],
    output: Path,
    tokens: int,
    seconds: float | None,
    seeds: int,
    config: Path | None,
    overrides: Sequence[str],
    held_out: float,
    by_stage: bool,
    each_stage: bool,
    workers: int,
    device: str,
    resume: bool,
    as_json: bool,
) -> None:
    """Compare recipes, tell how it goes on standard error, and what came out on standard output."""
    need_local(output)
    if not 0 < held_out < 1:
        raise UserError(f"cannot hold out {held_out:g} of the documents", hint="--held-out is a share, such as 0.01")
    loaded = load_training_config(config, overrides)
    named = tuple((Path(name).stem, load_recipe(name)) for name in recipes)
    require("torch", "safetensors", "tensorboard", extra="train")
    from model.ablation import ablate as ablation
    from model.ablation.arms import StoppedError
    from model.ablation.compare import WHOLE
    from model.evaluate import ALL

    request = ablation.Request(
        inputs=tuple(inputs),
        recipes=named,
        output=output,
        config=loaded,
        tokens=tokens,
        seconds=seconds,
        seeds=seeds,
        held_out_share=held_out,
        by_stage=by_stage,
        each_stage=each_stage,
        workers=workers or len(os.sched_getaffinity(0)),
        device=device,
        resume=resume,
    )
    try:
        with rewording(RESUME):
            outcome = ablation.ablate(request, _Progress())
    except (StoppedError, KeyboardInterrupt) as stopped:
        number = stopped.signal if isinstance(stopped, StoppedError) else signal.SIGINT
        raise Stopped(f"stopped; what was done is in {output}: to go on, {RESUME[AGAIN]}", number) from None
    if as_json:
        print_json(ablation.as_json(outcome))
        return
    split = outcome.split
    print_line(
        f"{split.held_out_documents:,} documents held out, of which every recipe keeps {outcome.filtered_documents:,}; "
        f"{split.too_similar:,} removed from all arms for being like one of them; {split.raw_documents:,} raw"
    )
    heading = ["arm", "same", "held out", "lang", "documents", "bits/byte", "95% interval", "to raw", "95% interval"]
    heading += ["bought", "95% interval"]
    rows = []
    languages = _largest(outcome.comparisons)
    for found in outcome.comparisons:
        if found.language == ALL or (found.language in languages and found.part == WHOLE):
            rows.append(
                [
                    found.arm,
                    found.budget,
                    found.part,
                    found.language,
                    found.documents,
                    f"{found.bits_per_byte:.4f}",
                    interval_text(f"{found.low:.4f}", f"{found.high:.4f}", found.documents),
                    f"{found.difference:+z.4f}",
                    interval_text(f"{found.difference_low:+z.4f}", f"{found.difference_high:+z.4f}", found.documents),
                    "" if found.bought is None else f"{found.bought:+z.4f}",
                    ""
                    if found.bought is None
                    else interval_text(f"{found.bought_low:+z.4f}", f"{found.bought_high:+z.4f}", found.documents),
                ]
            )
    print_table(heading, rows, left=4)
    print_line()
    trainings = [
        [
            score.arm,
            score.budget,
            score.seed,
            score.documents,
            score.epochs,
            f"{score.tokens:,}",
            f"{score.training_seconds:.1f}",
        ]
        for score in outcome.scores
    ]
    print_table(["arm", "same", "seed", "documents", "epochs", "tokens", "training s"], trainings, left=2)
    if seeds == 1:
        print_line("note: with one seed the intervals say nothing of what another seed would give; take --seeds 3")
    print_line(f"all languages: {output / ablation.RESULT}")


def _largest(comparisons: Sequence[Comparison]) -> list[str]:
    """`all`, and the languages with most held-out documents."""
    counts: Counter[str] = Counter()
    for found in comparisons:
        counts[found.language] = max(counts[found.language], found.documents)
    return [name for name, _ in counts.most_common(1 + LANGUAGES_SHOWN)]


class _Progress:
    """Lines on standard error: which arm is curated or trained, and how far its training is."""

    def __init__(self) -> None:
        self._training = TrainingProgress()

    def __call__(self, event: Event) -> None:
        if event["kind"] == "arm":
            print_note(f"[ablate] {event['arm']}: being {event['what']}")
        else:
            self._training(event)
