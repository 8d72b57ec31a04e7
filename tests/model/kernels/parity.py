"""Whether an operation computes what its reference does: the cases, and the bound that each must keep.

The truth is the reference in float64, on the same inputs. The bound comes from the reference in the dtype of the
inputs, which has an error of its own: an operation may have four times that, and four times its root mean square, plus
two units of the last place. Inputs and upstream gradients are normal with unit variance, so an output of zeros, or one
that is off by a few percent, is far outside (`test_mutants.py` shows that). Memory that nobody wrote is NaN.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import torch
from torch import Tensor

from model.kernels import (
    BlockSparse,
    Dense,
    Pattern,
    Window,
    adamw_step,
    attention,
    grouped_gemm,
    linear_cross_entropy,
    rms_norm,
    rotate,
    route,
    sort_by_expert,
    swiglu,
)
from model.kernels.adamw import adamw_step_reference
from model.kernels.attention import attention_reference
from model.kernels.cross_entropy import IGNORED, linear_cross_entropy_reference
from model.kernels.grouped_gemm import grouped_gemm_reference
from model.kernels.rms_norm import rms_norm_reference
from model.kernels.rope import rotate_reference
from model.kernels.router import Score, route_reference
from model.kernels.swiglu import swiglu_reference

# cuBLAS repeats exactly only with a workspace of a fixed size, and torch refuses it otherwise in `nan_in_new_memory`.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

Outputs = tuple[Tensor, ...]
Function = Callable[..., Outputs]

_FACTOR: Final = 4.0


@dataclass(frozen=True)
class Problem:
    """Inputs of an operation, the operation, and its reference."""

    inputs: tuple[Tensor, ...]
    fused: Function
    reference: Function


@dataclass(frozen=True)
class Error:
    """An output or a gradient: its error, the bound of that, and both as root mean squares."""

    name: str
    largest: float
    largest_bound: float
    mean: float
    mean_bound: float

    @property
    def within(self) -> bool:
        """Whether both errors keep their bounds; an error that is NaN does not."""
        return self.largest <= self.largest_bound and self.mean <= self.mean_bound


class Maker:
    """Makes inputs on a device, the same for the same seed; `large` ones for a GPU, whose blocks are larger."""

    def __init__(self, dtype: torch.dtype, device: str, large: bool) -> None:
        self._generator = torch.Generator().manual_seed(1)
        self.dtype = dtype
        self.device = device
        self.large = large

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Normal with unit variance, in the dtype of the case unless another is given."""
        values = torch.randn(shape, generator=self._generator)
        return values.to(self.dtype if dtype is None else dtype).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """float32, from 0 to 1."""
        return torch.rand(shape, generator=self._generator).to(self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """int64, from 0 to high - 1."""
        return torch.randint(high, shape, generator=self._generator).to(self.device)

    def size(self, small: int, large: int) -> int:
        """The size of a dimension: for the interpreter, or for a GPU."""
        return large if self.large else small


def _one(function: Callable[..., Tensor]) -> Function:
    return lambda *inputs: (function(*inputs),)


def _rms_norm(make: Maker, width: int) -> Problem:
    return Problem(
        (make.normal(make.size(70, 1031), width), make.normal(width)),
        _one(lambda x, weight: rms_norm(x, weight, 1e-5)),
        _one(lambda x, weight: rms_norm_reference(x, weight, 1e-5)),
    )


def _rotate(make: Maker, width: int, strided: bool) -> Problem:
    tokens = make.size(37, 515)
    angles = make.uniform(tokens, width // 2) * 6

    def both(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Function:
        def rotate_part(x: Tensor) -> Outputs:
            table = angles.to(torch.promote_types(x.dtype, torch.float32))
            return (function(x[:, 1:4] if strided else x, table.cos(), table.sin()),)

        return rotate_part

    return Problem((make.normal(tokens, 5 if strided else 3, width),), both(rotate), both(rotate_reference))


def _swiglu(make: Maker, width: int, scaled: bool) -> Problem:
    rows = make.size(37, 1031)
    scale = (make.uniform(rows),) if scaled else ()
    return Problem((make.normal(rows, 2 * width), *scale), _one(swiglu), _one(swiglu_reference))


def _route(make: Maker, experts: int, per_token: int, score: Score, biased: bool) -> Problem:
    bias = make.uniform(experts) / 4 if biased else None

    def both(function: Callable[..., tuple[Tensor, ...]]) -> Function:
        def statistics(logits: Tensor) -> Outputs:
            offset = None if bias is None else bias.to(torch.promote_types(logits.dtype, torch.float32))
            return tuple(function(logits, per_token, score, offset))

        return statistics

    return Problem((make.normal(make.size(67, 1031), experts),), both(route), both(route_reference))


def _grouped_gemm(make: Maker, gather: bool, scatter: bool, transposed: bool, depth: int, width: int) -> Problem:
    experts, tokens = 5, make.size(37, 515)
    # Expert 2 gets nothing, expert 3 twice as much as others.
    chosen = torch.stack((make.integers(2, tokens), 3 + make.integers(2, tokens)), 1)
    order = sort_by_expert(chosen, experts)
    first, second = (width, depth) if transposed else (depth, width)

    def both(function: Callable[..., Tensor]) -> Function:
        def product(x: Tensor, weight: Tensor) -> Outputs:
            weight = weight.transpose(1, 2) if transposed else weight
            return (function(x, weight, order.offsets_E, order if gather else None, order if scatter else None),)

        return product

    return Problem(
        (make.normal(tokens if gather else 2 * tokens, depth), make.normal(experts, first, second)),
        both(grouped_gemm),
        both(grouped_gemm_reference),
    )


def _cross_entropy(make: Maker, weighted: bool) -> Problem:
    tokens, vocabulary = make.size(67, 1031), make.size(301, 5003)
    targets = make.integers(vocabulary, tokens)
    targets[3] = IGNORED
    weights = make.uniform(tokens) if weighted else None

    def both(function: Callable[..., tuple[Tensor, ...]]) -> Function:
        return lambda x, weight: tuple(function(x, weight, targets, weights))

    return Problem(
        (make.normal(tokens, 20), make.normal(vocabulary, 20)),
        both(linear_cross_entropy),
        both(linear_cross_entropy_reference),
    )


def _attention(make: Maker, pattern: Pattern, width: int, heads: int, key_heads: int) -> Problem:
    # An empty document, one of a single token, and ends that no block has.
    ends = (0, 13, 13, 90, 91, 110) if not make.large else (0, 13, 13, 500, 501, 1031)
    documents = torch.tensor(ends, dtype=torch.int32, device=make.device)

    def both(function: Callable[..., Tensor]) -> Function:
        return _one(lambda q, k, v: function(q, k, v, documents, pattern))

    return Problem(
        tuple(make.normal(ends[-1], count, width) for count in (heads, key_heads, key_heads)),
        both(attention),
        both(attention_reference),
    )


class _AdamWNumbers(TypedDict):
    step: int
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float


def _adamw(make: Maker, scaled: bool) -> Problem:
    elements = make.size(700, 100_003)
    scale = make.uniform(1)[0] if scaled else None
    numbers = _AdamWNumbers(step=3, learning_rate=0.1, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1)

    def fused(parameter: Tensor, gradient: Tensor, first: Tensor, second: Tensor) -> Outputs:
        changed = tuple(tensor.detach().clone() for tensor in (parameter, first, second))
        new, mean, square = changed
        adamw_step(new, gradient.detach(), mean, square, **numbers, gradient_scale=scale)
        return changed

    def reference(parameter: Tensor, gradient: Tensor, first: Tensor, second: Tensor) -> Outputs:
        results = adamw_step_reference(parameter, gradient, first, second, **numbers, gradient_scale=scale)
        return tuple(result.detach() for result in results)

    inputs = (make.normal(elements), make.normal(elements), make.normal(elements, dtype=torch.float32))
    return Problem((*inputs, make.uniform(elements)), fused, reference)


CASES: Final[dict[str, Callable[[Maker], Problem]]] = {
    "rms_norm": lambda make: _rms_norm(make, 48),
    "rms_norm-wide": lambda make: _rms_norm(make, 300),
    "rope": lambda make: _rotate(make, 24, strided=False),
    "rope-strided": lambda make: _rotate(make, 16, strided=True),
    "swiglu": lambda make: _swiglu(make, 45, scaled=False),
    "swiglu-scaled": lambda make: _swiglu(make, make.size(45, 1500), scaled=True),
    "router-softmax": lambda make: _route(make, 8, 2, "softmax", biased=False),
    "router-softmax-biased": lambda make: _route(make, 11, 3, "softmax", biased=True),
    "router-sigmoid": lambda make: _route(make, 11, 3, "sigmoid", biased=True),
    "grouped_gemm": lambda make: _grouped_gemm(make, False, False, False, make.size(32, 128), make.size(64, 256)),
    "grouped_gemm-gather": lambda make: _grouped_gemm(make, True, False, True, make.size(45, 200), make.size(36, 300)),
    "grouped_gemm-scatter": lambda make: _grouped_gemm(make, False, True, True, make.size(36, 300), make.size(45, 200)),
    "grouped_gemm-both": lambda make: _grouped_gemm(make, True, True, False, make.size(20, 64), make.size(33, 130)),
    "cross_entropy": lambda make: _cross_entropy(make, weighted=False),
    "cross_entropy-weighted": lambda make: _cross_entropy(make, weighted=True),
    "attention-dense": lambda make: _attention(make, Dense(), make.size(24, 64), 4, 2),
    "attention-window": lambda make: _attention(make, Window(make.size(7, 100)), make.size(16, 128), 2, 2),
    "attention-window-wide": lambda make: _attention(make, Window(make.size(40, 300)), make.size(16, 48), 2, 1),
    "attention-sparse": lambda make: _attention(make, BlockSparse(make.size(4, 32), 2, 3), make.size(16, 64), 2, 1),
    # A stride longer than a block of queries and one of keys together: then whole blocks are passed over.
    "attention-sparse-far": lambda make: _attention(
        make, BlockSparse(make.size(4, 32), 2, 13), make.size(16, 128), 2, 1
    ),
    "adamw": lambda make: _adamw(make, scaled=False),
    "adamw-scaled": lambda make: _adamw(make, scaled=True),
}


@contextmanager
def nan_in_new_memory() -> Iterator[None]:
    """Memory that torch hands out unwritten holds NaN, or the largest integer."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    filling: Any = torch.utils.deterministic
    filling.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def compare(name: str, dtype: torch.dtype, device: str, *, large: bool) -> list[Error]:
    """Run a case, forward and backward, and measure each output and each gradient."""
    problem = CASES[name](Maker(dtype, device, large))
    truth = _run(problem.reference, tuple(x.double() for x in problem.inputs))
    plain = _run(problem.reference, problem.inputs)
    with nan_in_new_memory():
        found = _run(problem.fused, problem.inputs)
    return [_error(label, found[label], plain[label], true_value, dtype) for label, true_value in truth.items()]


def exercise(name: str, dtype: torch.dtype, device: str, *, large: bool) -> dict[str, Tensor]:
    """Run the operation of a case, forward and backward: its outputs and gradients, by name."""
    problem = CASES[name](Maker(dtype, device, large))
    with nan_in_new_memory():
        return _run(problem.fused, problem.inputs)


def _run(function: Function, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Outputs, and the gradients of the inputs for the same random upstream gradients whatever the dtype."""
    leaves = tuple(x.detach().clone().requires_grad_() for x in inputs)
    outputs = function(*leaves)
    generator = torch.Generator().manual_seed(2)
    upstream = [
        # Rounded to the least precise dtype in which a case runs: float64 must see the same.
        torch.randn(output.shape, generator=generator).bfloat16().to(output.device, output.dtype)
        for output in outputs
        if output.requires_grad
    ]
    results = {f"output {place}": output.detach() for place, output in enumerate(outputs)}
    if upstream:
        gradients = torch.autograd.grad([output for output in outputs if output.requires_grad], leaves, upstream)
        results |= {f"gradient {place}": gradient for place, gradient in enumerate(gradients)}
    return results


def _error(name: str, found: Tensor, plain: Tensor, truth: Tensor, dtype: torch.dtype) -> Error:
    if not found.is_floating_point():
        differing = float((found != truth).sum())
        return Error(name, differing, 0, differing, 0)
    unit = 2 * torch.finfo(found.dtype).eps
    found_error, plain_error = found.double() - truth, plain.double() - truth
    return Error(
        name,
        float(found_error.abs().max()),
        _FACTOR * float(plain_error.abs().max()) + unit * float(truth.abs().max()),
        float(found_error.square().mean().sqrt()),
        _FACTOR * float(plain_error.square().mean().sqrt()) + unit * float(truth.square().mean().sqrt()),
    )
