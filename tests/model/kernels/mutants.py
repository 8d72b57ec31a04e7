"""Kernels that are wrong on purpose, each in one place: `python -m tests.model.kernels.mutants NAME...` says of each
whether the cases of its operation notice. Needs TRITON_INTERPRET=1.

A mutant is the source of a module of `model/kernels/gpu` with one piece replaced, loaded in the place of the module.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import torch

from model.kernels.dispatch import INTERPRETED
from tests.model.kernels.parity import compare


@dataclass(frozen=True)
class Mutant:
    """A module of `model/kernels/gpu`, what stands there once, what takes its place, and a case that must notice."""

    module: str
    original: str
    replacement: str
    case: str


def _both(module: str, case: str, *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(module, original, replacement, case) for original, replacement in changes]


_ALL: Final = [
    *_both(
        "rms_norm",
        "rms_norm",
        ("value * factor[:, None] * gain[None, :]", "value * factor[:, None] * gain[None, :] * 0.0"),
        ("value * factor[:, None] * gain[None, :]", "value * factor[:, None]"),
        ("/ width + epsilon", "/ (width - 1) + epsilon"),
        ("(inner - normed * mean[:, None])", "inner"),
        ("mask = (row < rows)[:, None]", "mask = (row < rows - 1)[:, None]"),
    ),
    *_both(
        "rms_norm",
        "rms_norm-wide",
        ("total += tl.sum(upstream * normed, axis=0)", "total = tl.sum(upstream * normed, axis=0)"),
    ),
    *_both(
        "rope",
        "rope-strided",
        ("a * c - b * s", "a * c + b * s"),
        ("b = load(source + half, mask)", "b = load(source + half - 1, mask)"),
        ("(row % heads) * head_stride", "(row % (heads - 1)) * head_stride"),
        ("        s = -s\n", "        s = s\n"),
    ),
    *_both(
        "swiglu",
        "swiglu-scaled",
        ("value = gate * tl.sigmoid(gate) * up", "value = up * tl.sigmoid(up) * gate"),
        ("        value *= load(scale + row, row < rows)[:, None]\n", "        value *= 1.0\n"),
        ("(1.0 + gate * (1.0 - sigmoid))", "(1.0 + gate * sigmoid)"),
        ("total += tl.sum(upstream * silu * up, axis=1)", "total += tl.sum(upstream * silu, axis=1)"),
        ("store(target + width, upstream * silu, mask)", "store(target + width, upstream * silu * 1.05, mask)"),
    ),
    *_both(
        "router",
        "router-softmax-biased",
        ("preference += load(bias", "preference += 0.0 * load(bias"),
        ("weight = tl.sum(tl.where(place == k", "weight = tl.sum(tl.where(place == K - 1 - k"),
        ("chosen_sum = tl.where(row < rows, chosen_sum, 1.0)", "chosen_sum = tl.where(row < 0, chosen_sum, 1.0)"),
        ("((place >= 0) & inside)", "((place > 0) & inside)"),
        ("tl.where(row < rows, logsumexp * logsumexp, 0.0)", "tl.where(row < rows, logsumexp, 0.0)"),
        ("(chosen_grad - mean[:, None])", "chosen_grad"),
        ("result += 2.0 *", "result += 1.0 *"),
    ),
    *_both(
        "router",
        "router-sigmoid",
        ("(balance - average[:, None]) / total[:, None]", "balance / total[:, None]"),
        ("* scores * (1.0 - scores)", "* scores"),
        ("probabilities = scores / tl.where", "probabilities = softmax + 0.0 * scores / tl.where"),
    ),
    *_both(
        "grouped_gemm",
        "grouped_gemm-gather",
        ("in_group = row < expert_end", "in_group = row < expert_end - 1"),
        ("source = tl.load(tokens + source)", "source = source // 2"),
        ("expert = tl.sum((last_blocks <= row_block)", "expert = tl.sum((last_blocks < row_block)"),
        ("inside = first + step < depth", "inside = first + step < depth - 1"),
        ("store(target, total, in_group", "store(target, total * 0.97, in_group"),
        ("for first in range(start, end, DEPTH):", "for first in range(start + 1, end, DEPTH):"),
        ("inside = place < end", "inside = place < end + DEPTH"),
        ("for k in tl.static_range(K):", "for k in tl.static_range(K - 1):"),
    ),
    *_both(
        "grouped_gemm",
        "grouped_gemm-scatter",
        ("grad_row = tl.load(grad_tokens + grad_row)", "grad_row = grad_row // 2"),
        ("column.to(tl.int64)[None, :] * weight_stride + row[:, None]", "column + row[:, None] * weight_stride"),
    ),
    *_both(
        "cross_entropy",
        "cross_entropy-weighted",
        ("(probability - one) * weight[:, None]", "(probability - one)"),
        ("(probability - one) * weight[:, None]", "probability * weight[:, None]"),
        ("total = total * tl.exp(largest - shift) +", "total = total +"),
        ("counted = (row < rows) & (target != ignored)", "counted = row < rows"),
        ("logsumexp - chosen, float", "logsumexp, float"),
    ),
    *_both(
        "attention",
        "attention-window-wide",
        ("seen = (j <= i) & (j >= first)", "seen = (j < i) & (j >= first)"),
        ("seen = (j <= i) & (j >= first)", "seen = (j <= i) & (j > first)"),
        ("seen = (j <= i) & (j >= first)", "seen = (j <= i + 1) & (j >= first)"),
        ("place - (window - 1)", "place - window"),
        ("first_low + (i_low + 1 - first_low) // KEYS * KEYS", "first_low + (i_low + KEYS - first_low) // KEYS * KEYS"),
        ("tl.cdiv(first_high - first_low, KEYS) * KEYS", "(first_high - first_low) // KEYS * KEYS"),
    ),
    *_both(
        "attention",
        "attention-sparse",
        ("(distance < LOCAL) |", "(distance <= LOCAL) |"),
        ("| (distance % STRIDE == 0)", "| (distance % STRIDE == 1)"),
        ("distance = (i - first) // BLOCK - (j - first) // BLOCK", "distance = i // BLOCK - j // BLOCK"),
    ),
    *_both(
        "attention",
        "attention-sparse-far",
        ("return (nearest < LOCAL) |", "return (nearest < LOCAL - 2) |"),
        (" | (farthest // STRIDE * STRIDE >= nearest)", ""),
    ),
    *_both(
        "attention_forward",
        "attention-dense",
        ("total = total * shrink + tl.sum(weights, axis=1)", "total = total + tl.sum(weights, axis=1)"),
        ("key_head = head // heads_per_key", "key_head = head % heads_per_key"),
        ("(largest + tl.log2(total)) * LN_2", "largest + tl.log2(total)"),
        ("store(y + place, output / total[:, None], there)", "store(y + place, output / total[:, None] * 1.03, there)"),
    ),
    *_both(
        "attention_backward",
        "attention-dense",
        ("store(q_grad + place, total * scale, there)", "store(q_grad + place, total, there)"),
        ("store(k_grad + place, k_total * scale, there)", "store(k_grad + place, v_total * scale, there)"),
        ("store(v_grad + place, v_total, there)", "store(v_grad + place, 0.0 * v_total, there)"),
        ("head = key_head * heads_per_key + step // query_blocks", "head = key_head * heads_per_key"),
        ("tokens + row // heads, product", "tokens + row // heads, 0.0 * product"),
        ("last_queries + tl.minimum(j_low + KEYS, tokens) - 1)", "last_queries + j_low)"),
    ),
    *_both(
        "adamw",
        "adamw-scaled",
        ("g *= tl.load(gradient_scale)", "g *= 1.0"),
        ("tl.sqrt(v / correction2)", "tl.sqrt(v)"),
        ("p * (1.0 - learning_rate * weight_decay)", "p"),
        ("(1.0 - beta2) * g * g", "(1.0 - beta2) * g"),
        ("mask = place < elements", "mask = place < elements - 1"),
    ),
]  # fmt: skip

MUTANTS: Final = {f"{mutant.module}-{place}": mutant for place, mutant in enumerate(_ALL)}

_DEPENDENTS: Final = {"attention": ("attention_forward", "attention_backward")}
"""Modules that have taken names from a mutated one, and must take them anew."""


def noticed(mutant: Mutant) -> bool:
    """Whether the case of a mutant fails with it in place."""
    package = "model.kernels.gpu"
    changed = [mutant.module, *_DEPENDENTS.get(mutant.module, ())]
    before = {name: importlib.import_module(f"{package}.{name}") for name in changed}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(str(before[mutant.module].__file__)).read_text(encoding="utf-8")
        if source.count(mutant.original) < 1:
            raise ValueError(f"{mutant.module} has no {mutant.original!r} any more: mend the mutant")
        path = Path(folder) / f"{mutant.module}.py"
        path.write_text(source.replace(mutant.original, mutant.replacement, 1), encoding="utf-8")
        try:
            _install(f"{package}.{mutant.module}", path)
            for name in changed[1:]:
                _install(f"{package}.{name}", Path(str(before[name].__file__)))
            # In float32 small errors stand out.
            errors = compare(mutant.case, torch.float32, "cpu", large=False)
            return not all(error.within for error in errors)
        finally:
            for name, module in before.items():
                _place(f"{package}.{name}", module)


def _install(name: str, path: Path) -> None:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(specification)
    _place(name, module)
    specification.loader.exec_module(module)


def _place(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)


if __name__ == "__main__":
    if not INTERPRETED:
        sys.exit("mutants run in the interpreter: set TRITON_INTERPRET=1")
    for chosen in sys.argv[1:] or MUTANTS:
        sys.stdout.write(json.dumps({"mutant": chosen, "noticed": noticed(MUTANTS[chosen])}) + "\n")
        sys.stdout.flush()
