"""A full training step beside Hugging Face's Mixtral: the same weights, shape and batch, in one run, by turns.

    python benchmarks/trainer.py [--device cpu|cuda] [--precision fp32|bf16] [--depth 4] [--batch 8] [--sequence 256]
    python benchmarks/trainer.py --loader RUN      the loader's rate as well, on the shards of a run

A step is forward, loss, backward, clipping and AdamW. Mixtral has its default experts (`grouped_mm`), attention by
SDPA, and torch's fused AdamW; ours has its default losses, the balance term among them, which Mixtral's step has not.
In bf16 all of Mixtral is bf16, its optimizer too; ours keeps float32 parameters and computes activations in bf16.
Before anything is timed, both have to give the same loss for the same batch: else there is no speed-up to speak of.
The share of the peak is that of the largest matrix product that the same run measured. CPU time bears a busy machine
better than time does; threads that wait for each other count in it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor

from model.config import EXPERT_FACTOR, HEAD_WIDTH, WIDTH_PER_LAYER, ModelConfig
from model.decoder import Decoder
from model.kernels import adamw_step
from model.losses import LossSettings
from model.metrics import measure_peak
from model.mixtral import mixtral_config, to_mixtral
from model.step import Tensors, add_gradients

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}
"""How far the two losses may be apart, as a share."""
RATE, BETAS, EPSILON, DECAY, CLIP = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0


def shape_of(depth: int, vocabulary: int, experts: int) -> ModelConfig:
    """The shape of that depth, everything else as `curator train` derives it."""
    width = WIDTH_PER_LAYER * depth
    heads = width // HEAD_WIDTH
    return ModelConfig(
        vocabulary=vocabulary,
        layers=depth,
        width=width,
        heads=heads,
        key_value_heads=max(1, heads // 2),
        head_width=HEAD_WIDTH,
        experts=experts,
        experts_per_token=2,
        expert_width=EXPERT_FACTOR * width,
    )


class Ours:
    """Our decoder, its step, and AdamW by the fused operation."""

    def __init__(self, shape: ModelConfig, device: torch.device, dtype: torch.dtype) -> None:
        self.model = Decoder(shape, dtype=dtype).to(device)
        self.model.initialise(0)
        self._moments = {
            name: (torch.zeros_like(parameter), torch.zeros_like(parameter))
            for name, parameter in self.model.named_parameters()
        }
        self._steps = 0

    def loss(self, batch: Tensors) -> float:
        """The loss of the next token; nothing moves."""
        for parameter in self.model.parameters():
            parameter.grad = None
        return add_gradients(self.model, [batch], LossSettings()).next_token.item()

    def step(self, batch: Tensors) -> None:
        """A full training step."""
        for parameter in self.model.parameters():
            parameter.grad = None
        add_gradients(self.model, [batch], LossSettings())
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        scale = (CLIP / (torch.nn.utils.get_total_norm(gradients) + 1e-6)).clamp(max=1.0)
        self._steps += 1
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None:
                adamw_step(
                    parameter.data,
                    parameter.grad,
                    *self._moments[name],
                    step=self._steps,
                    learning_rate=RATE,
                    beta1=BETAS[0],
                    beta2=BETAS[1],
                    epsilon=EPSILON,
                    weight_decay=DECAY if parameter.dim() > 1 else 0.0,
                    gradient_scale=scale,
                )


class Mixtral:
    """Hugging Face's Mixtral with the same weights, in bf16 if asked for: ours keeps its parameters in float32."""

    def __init__(
        self, ours: Decoder, shape: ModelConfig, device: torch.device, dtype: torch.dtype, sequence: int
    ) -> None:
        from transformers import MixtralConfig, MixtralForCausalLM

        self._sequence = sequence
        config = MixtralConfig.from_dict({**mixtral_config(shape, sequence, 1, 2), "use_cache": False})
        self.model = MixtralForCausalLM(config)
        torch.nn.Module.to(self.model, device)
        self.model.load_state_dict(_fused(to_mixtral(dict(ours.state_dict()), shape), shape))
        # Its experts compute in the type of their weights, whatever autocast says: this is its fastest way.
        torch.nn.Module.to(self.model, dtype)
        self.model.train()
        decayed = [parameter for parameter in self.model.parameters() if parameter.dim() > 1]
        others = [parameter for parameter in self.model.parameters() if parameter.dim() == 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
            lr=RATE,
            betas=BETAS,
            eps=EPSILON,
            fused=True,
        )

    def loss(self, batch: Tensors) -> float:
        """The loss of the next token; nothing moves."""
        self._optimizer.zero_grad()
        loss = self._forward(batch)
        torch.autograd.backward(loss)
        return float(loss.item())

    def step(self, batch: Tensors) -> None:
        """A full training step."""
        self._optimizer.zero_grad()
        torch.autograd.backward(self._forward(batch))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self._optimizer.step()

    def _forward(self, batch: Tensors) -> Tensor:
        logits = self.model(batch.inputs_T.view(-1, self._sequence)).logits
        flat = logits.view(-1, logits.shape[-1])
        return torch.nn.functional.cross_entropy(flat.float(), batch.targets_T)


def _fused(tensors: dict[str, Tensor], shape: ModelConfig) -> dict[str, Tensor]:
    """Names of transformers 5 in memory: all experts of a layer in one tensor."""
    found = {name: tensor for name, tensor in tensors.items() if "block_sparse_moe" not in name}
    for layer in range(shape.layers):
        old, new = f"model.layers.{layer}.block_sparse_moe", f"model.layers.{layer}.mlp"
        found[f"{new}.gate.weight"] = tensors[f"{old}.gate.weight"]
        experts = [
            [tensors[f"{old}.experts.{expert}.{name}.weight"] for name in ("w1", "w3", "w2")]
            for expert in range(shape.experts)
        ]
        found[f"{new}.experts.gate_up_proj"] = torch.stack([torch.cat([gate, up]) for gate, up, _ in experts])
        found[f"{new}.experts.down_proj"] = torch.stack([down for _, _, down in experts])
    return found


def a_batch(sequences: int, length: int, vocabulary: int, device: torch.device) -> Tensors:
    """Random tokens; each sequence is one document, as Mixtral takes it."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, vocabulary, (2, sequences * length), generator=random).to(device)
    boundaries = torch.arange(0, sequences * length + 1, length, dtype=torch.int32, device=device)
    return Tensors(tokens[0], tokens[1], torch.ones(sequences * length, device=device), boundaries)


def seconds_of(
    step: Callable[[Tensors], None], batch: Tensors, device: torch.device, repeats: int
) -> tuple[float, float]:
    """Seconds of a step, and seconds of the CPU, over some of them."""
    _wait(device)
    started, worked = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        step(batch)
    _wait(device)
    return (time.perf_counter() - started) / repeats, (time.process_time() - worked) / repeats


def peak_bytes(step: Callable[[Tensors], None], batch: Tensors, device: torch.device) -> int | None:
    """The most memory that a step held, beyond what was there before it; None on a CPU that is not Linux's."""
    if device.type == "cpu":
        return _peak_of_process(step, batch) if sys.platform == "linux" else None
    _wait(device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(batch)
    _wait(device)
    return torch.cuda.max_memory_allocated() - before


def _peak_of_process(step: Callable[[Tensors], None], batch: Tensors) -> int:
    """By the kernel's own mark of the largest resident size, which writing 5 sets back (proc(5), clear_refs)."""
    # What was freed and kept by the allocator would hide what the step takes of it.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step(batch)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def profile(ours: Ours, batch: Tensors, device: torch.device) -> str:
    """What a step of ours spends its time on: a table, the largest first."""
    seconds_of(ours.step, batch, device, 3)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as found:
        seconds_of(ours.step, batch, device, 3)
    by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return str(found.key_averages().table(sort_by=by, row_limit=40, max_name_column_width=60))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def loader_rate(run: str, vocabulary: int, sequence: int, batch: int, threads: int) -> float:
    """Tokens a second that the loader hands out when nothing else works."""
    from curator.tokenize import read_tokenizer
    from curator.training import DataSection, TokenizerSection
    from model.data.loader import Loader
    from model.data.shards import open_corpus
    from model.tokenizer_training import train_tokenizer

    corpus = open_corpus(run)
    tokenizer = read_tokenizer(train_tokenizer([corpus], TokenizerSection(vocabulary=vocabulary), 0).data, run)
    section = DataSection(sequence=sequence, batch=batch, threads=threads)
    with Loader([corpus], tokenizer, section) as loader:
        # Enough that what was tokenised ahead at the start is a small part.
        started, steps = time.perf_counter(), 2000
        for _ in range(steps):
            loader.next()
        return steps * sequence * batch / (time.perf_counter() - started)


def _ratio(seconds: dict[str, list[float]]) -> float:
    return statistics.median(a / b for a, b in zip(seconds["mixtral"], seconds["ours"], strict=True))


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--sequence", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1, help="steps of a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--loader", metavar="RUN", help="measure the loader on this run, too")
    parser.add_argument("--profile", action="store_true", help="only list where the time of our step goes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device, dtype = torch.device(given.device), DTYPES[given.precision]
    shape = shape_of(given.depth, given.vocabulary, given.experts)
    batch = a_batch(given.batch, given.sequence, given.vocabulary, device)
    ours = Ours(shape, device, dtype)
    if given.profile:
        print(profile(ours, batch, device))
        return
    theirs = Mixtral(ours.model, shape, device, dtype, given.sequence)
    losses = ours.loss(batch), theirs.loss(batch)
    apart = abs(losses[0] - losses[1]) / losses[1]
    if not apart <= TOLERANCE[given.precision]:
        sys.exit(f"the losses are {losses[0]:.6f} and {losses[1]:.6f}: nothing is compared")
    named: dict[str, Callable[[Tensors], None]] = {"ours": ours.step, "mixtral": theirs.step}
    # The first step makes the optimizer's state and compiles kernels.
    for step in named.values():
        seconds_of(step, batch, device, 1)
    memory = {name: peak_bytes(step, batch, device) for name, step in named.items()}
    for step in named.values():
        seconds_of(step, batch, device, 1)
    peaks: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in named}
    worked: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(given.rounds):
        peaks.append(measure_peak(device, dtype))
        for name, step in named.items():
            wall_seconds, cpu_seconds = seconds_of(step, batch, device, given.repeats)
            taken[name].append(wall_seconds)
            worked[name].append(cpu_seconds)
    tokens = given.batch * given.sequence
    flops = shape.flops_per_token(given.sequence / 2)
    found: dict[str, object] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {given.threads} threads",
        "torch": torch.__version__,
        "arguments": {name: value for name, value in vars(given).items() if name != "json"},
        "parameters": shape.parameters,
        "losses": losses,
        "peak_tflops": max(peaks) / 1e12,
        "speed_up": _ratio(taken),
        "cpu_speed_up": _ratio(worked),
    }
    rows: dict[str, dict[str, float | None]] = {}
    for name, seconds in taken.items():
        rate = tokens / statistics.median(seconds)
        rows[name] = {
            "ms": statistics.median(seconds) * 1e3,
            "cpu_ms": statistics.median(worked[name]) * 1e3,
            "tokens_per_second": rate,
            "of_peak": rate * flops / max(peaks),
            "step_bytes": memory[name],
        }
    if given.loader:
        rate = loader_rate(given.loader, given.vocabulary, given.sequence, given.batch, 1)
        found["loader_tokens_per_second"] = rate
    if given.json:
        print(json.dumps(found | rows, indent=1))
        return
    print(f"{found['device']}, torch {torch.__version__}, {given.precision}, {shape.parameters / 1e6:.1f} M parameters")
    print(f"peak of a matrix product {max(peaks) / 1e12:.3g} TFLOP/s; losses {losses[0]:.5f} and {losses[1]:.5f}")
    print(f"{'':10}{'ms a step':>12}{'CPU ms':>10}{'tokens/s':>12}{'of peak':>10}{'step MB':>10}")
    for name, row in rows.items():
        size = "" if row["step_bytes"] is None else f"{row['step_bytes'] / 1e6:.0f}"
        print(
            f"{name:10}{row['ms']:12.1f}{row['cpu_ms']:10.1f}{row['tokens_per_second']:12,.0f}{row['of_peak']:10.1%}{size:>10}"
        )
    print(
        f"ours is {found['speed_up']:.2f} times as fast, by CPU time {found['cpu_speed_up']:.2f} times (median of "
        f"{given.rounds} rounds by turns)"
    )
    if given.loader:
        print(f"the loader alone: {found['loader_tokens_per_second']:,.0f} tokens/s on one thread")


if __name__ == "__main__":
    main()
