"""A mixture beside its dense twin: one expert as wide as those together that a token goes to, so the same operations.

    python benchmarks/dense_twin.py RUN [--steps 300] [--depth 2] [--sequence 128] [--batch 8] [--threads N]

Both learn from the same batches of RUN with the same tokenizer, one after the other. Shown are the losses on held-out
text after the same tokens, and after the same seconds of training, by when a slower mixture has seen less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from curator.run.events import read_events
from curator.training import TrainingConfig, parse_training_config
from model.data.shards import open_corpus
from model.tokenizer_training import train_tokenizer
from model.train import Request, train


def config_of(given: argparse.Namespace, *, dense: bool) -> TrainingConfig:
    """The mixture that `curator train` derives of the depth, or its dense twin."""
    width = 64 * given.depth
    experts = {"experts": 1, "experts_per_token": 1, "expert_width": 2 * 2 * width} if dense else {}
    return parse_training_config(
        {
            "steps": given.steps,
            "threads": given.threads,
            "model": {"depth": given.depth, **experts},
            "data": {"sequence": given.sequence, "batch": given.batch},
            "validation": {"every": max(1, given.steps // 20)},
            "checkpoint": {"every": given.steps, "keep_best": False},
            "tokenizer": {"vocabulary": given.vocabulary},
        }
    )


def curve(model: Path) -> list[tuple[int, float, float]]:
    """Step, seconds of training up to it, and validation loss, at each validation."""
    seconds, found = 0.0, []
    tokens = 0.0
    for event in read_events(model / "events"):
        if event["kind"] == "training":
            tokens = float(str(event["tokens_per_step"]))
        elif event["kind"] == "step":
            seconds += tokens / float(str(event["tokens_per_second"]))
        elif event["kind"] == "validation":
            found.append((int(str(event["step"])), seconds, float(str(event["loss"]))))
    return found


def main() -> None:
    """Train both, and print both curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.model"
        section = config_of(given, dense=False).tokenizer
        tokenizer.write_bytes(train_tokenizer([open_corpus(given.run)], section, 0).data)
        curves = {}
        for name, dense in (("mixture", False), ("dense", True)):
            request = Request((given.run,), Path(folder) / name, config_of(given, dense=dense), tokenizer)
            shape = train(request).description.shape
            curves[name] = curve(request.output)
            print(f"{name}: {shape.parameters / 1e6:.2f} M parameters, {shape.active_parameters / 1e6:.2f} M active")
    print(f"{'step':>6}{'mixture s':>12}{'loss':>9}{'dense s':>12}{'loss':>9}{'mixture by the dense seconds':>32}")
    for (step, taken, loss), (_, dense_taken, dense_loss) in zip(curves["mixture"], curves["dense"], strict=True):
        by_then = [found for _, seconds, found in curves["mixture"] if seconds <= dense_taken]
        shown = f"{by_then[-1]:.4f}" if by_then else ""
        print(f"{step:6}{taken:12.1f}{loss:9.4f}{dense_taken:12.1f}{dense_loss:9.4f}{shown:>32}")


if __name__ == "__main__":
    main()
