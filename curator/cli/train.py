"""`curator train` and `curator generate`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from curator.cli.local import need_local
from curator.cli.output import counted, print_json, print_line, print_note
from curator.cli.packages import require
from curator.errors import AGAIN, RESUME, Stopped, UserError, rewording
from curator.run.events import Event
from curator.sizes import format_size
from curator.training import load_training_config

_PLAIN_SECONDS = 5.0


def train_command(
    runs: Sequence[str],
    output: Path,
    config: Path | None,
    tokenizer: Path | None,
    initialise_from: Path | None,
    alignment: Path | None,
    steps: int | None,
    device: str,
    resume: bool,
    overrides: Sequence[str],
    ray: str | None,
    workers: int,
    as_json: bool,
    resuming: Mapping[str, str] = RESUME,
) -> None:
    """Train a model, tell how it goes on standard error, and what came out on standard output. `resuming` is how
    whoever asked goes on after it was stopped."""
    need_local(output)
    loaded = load_training_config(config, overrides)
    if steps is not None:
        loaded = loaded.model_copy(update={"steps": steps})
    if workers and ray is None:
        raise UserError("--workers is for --ray", hint="torchrun --nproc-per-node starts processes on one machine")
    require("torch", "safetensors", "tensorboard", extra="train")
    from model.parallel import connected
    from model.train import Request, train

    request = Request(tuple(runs), output, loaded, tokenizer, device, resume, initialise_from, alignment)
    if ray is not None:
        require("ray", "pandas", "tensorboardX", extra="ray")
        from model.ray_train import train_on_ray

        with rewording(resuming):
            outcome = train_on_ray(request, ray, workers, (TrainingProgress(),))
    else:
        with rewording(resuming), connected(device) as ranks:
            outcome = train(request, (TrainingProgress(),), ranks)
        if ranks.rank:
            return  # the first rank tells
    if outcome.signal is not None:
        state = f"the state is in {output}: to go on, {resuming[AGAIN]}"
        raise Stopped(f"stopped after step {outcome.step}; {state}", outcome.signal)
    if as_json:
        print_json(
            {
                "model": str(output),
                "step": outcome.step,
                "tokens": outcome.tokens,
                "parameters": outcome.description.shape.parameters,
                "active_parameters": outcome.description.shape.active_parameters,
                "last": None if outcome.last is None else asdict(outcome.last),
                "validation_loss": outcome.validation_loss,
                "best_loss": outcome.best_loss,
            }
        )
        return
    if outcome.last is None:
        print_line(f"step {outcome.step} was reached already; nothing was left to do")
    else:
        print_line(f"{counted(outcome.step, 'step')}, {outcome.tokens:,} tokens, loss {outcome.last.loss:.4f}")
    if outcome.best_loss is not None:
        print_line(f"validation loss {outcome.best_loss:.4f} at best")
    print_line(f"model: {output}")


def generate_command(
    model: Path,
    prompt: str,
    tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    repetition: float,
    seed: int,
    best: bool,
    device: str,
    as_json: bool,
) -> None:
    """Print a prompt and what a model goes on with."""
    require("torch", "safetensors", extra="train")
    from model.directory import ModelDirectory, load_decoder
    from model.generate import Sampling, generate
    from model.train import find_device
    from model.trainer import saying_out_of_memory

    sampling = Sampling(tokens, temperature, top_k, top_p, repetition, seed)
    with saying_out_of_memory("make --tokens smaller, or the text"):
        decoder, tokenizer, _, step = load_decoder(ModelDirectory(model), find_device(device), best=best)
        started = time.perf_counter()
        ids = list(generate(decoder, tokenizer, prompt, sampling))
        seconds = time.perf_counter() - started
    # Decoded together: a character may be cut between two tokens, and a space hangs on what stands before it.
    text = tokenizer.decode([*tokenizer.encode([prompt])[0].tolist(), *ids])
    if as_json:
        print_json({"text": text, "tokens": len(ids), "step": step, "tokens_per_second": round(len(ids) / seconds, 1)})
        return
    print_line(text)


class TrainingProgress:
    """Lines on standard error: what is trained, a tokenizer first; a step every few seconds, validations."""

    def __init__(self) -> None:
        self._last = 0.0
        self._steps = 0

    def __call__(self, event: Event) -> None:
        """Tell of an event of a training; of others there is nothing to tell."""
        kind = event["kind"]
        if kind == "training":
            self._steps = cast("int", event["steps"])
            print_note(f"[train] {event['shape']}")
            warmup = cast("int", event["warmup"])
            if self._steps <= warmup:
                print_note(
                    f"      the learning rate is not reached: its warm-up takes {counted(warmup, 'step')}, "
                    f"the training {self._steps:,} (schedule.warmup)"
                )
        elif kind == "tokenizer":
            self._tell_tokenizer(event)
        elif kind == "validation":
            print_note(f"      step {event['step']}: validation loss {cast('float', event['loss']):.4f}")
        elif kind == "step" and time.monotonic() - self._last > _PLAIN_SECONDS:
            self._last = time.monotonic()
            numbers = {name: value for name, value in event.items() if isinstance(value, int | float)}
            print_note(
                f"      step {event['step']} of {self._steps}: loss {numbers['loss']:.4f}, gradient norm "
                f"{numbers['gradient_norm']:.3g}, {numbers['tokens_per_second']:,.0f} tokens/s"
            )

    def _tell_tokenizer(self, event: Event) -> None:
        if "vocabulary" in event:
            print_note(f"[tokenizer] {event['vocabulary']:,} tokens, {event['algorithm']}")
            self._last = time.monotonic()
        elif "sample" in event:
            size, languages = format_size(cast("int", event["sample"])), counted(event["languages"], "language")
            print_note(f"      learning from {size} of text in {languages}")
        elif time.monotonic() - self._last > _PLAIN_SECONDS:
            self._last = time.monotonic()
            share = cast("int", event["done"]) / cast("int", event["groups"])
            print_note(f"      {share:.0%} of the text read")
