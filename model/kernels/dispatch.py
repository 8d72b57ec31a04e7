"""Which implementation runs: CUDA tensors take Triton, CPU tensors the CPU path, and CPU tensors under
`TRITON_INTERPRET=1` Triton's interpreter. What no implementation can do is an error that names it. The CPU path has
kernels that Numba compiles, for float32 where they can run, and plain torch.
"""

from __future__ import annotations

import os
from typing import Final

import torch
from torch import Tensor

from curator.errors import UserError
from model.openmp import native_problem

INTERPRETED: Final = os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")
"""Triton binds its choice when it is imported, for the whole process: so it is read once, as Triton reads it."""

_PAGE_BYTES: Final = 4096
_LINE_BYTES: Final = 64
_TRITON_DTYPES: Final = (torch.float32, torch.bfloat16, torch.float16)
_CPU_DTYPES: Final = (*_TRITON_DTYPES, torch.float64)
NATIVE_DTYPES: tuple[torch.dtype, ...] = (torch.float32,)
"""The same kernels compile for float64, which tests of their gradients take; nobody trains in it."""


def uses_triton(tensor: Tensor) -> bool:
    """Whether an op on `tensor` is a Triton kernel (on a GPU, or interpreted). Raises UserError on other devices."""
    if tensor.device.type == "cuda":
        if INTERPRETED:
            raise UserError(
                "TRITON_INTERPRET=1 is set, and the tensor is on a GPU",
                hint="unset it to run on the GPU, or keep the tensors on the CPU",
            )
        return True
    if tensor.device.type == "cpu":
        return INTERPRETED
    raise UserError(
        f"the kernels run on devices cpu and cuda, the tensor is on {tensor.device.type}",
        hint="move the model with .to('cpu') or .to('cuda')",
    )


def runs_natively(tensor: Tensor) -> bool:
    """Whether an op on a tensor on the CPU takes the kernels that Numba compiles: float32 does, where they can run
    (`native_problem`, which `curator doctor` tells); all else takes plain torch."""
    return tensor.dtype in NATIVE_DTYPES and native_problem() is None


def rows_apart(like: Tensor, rows: int, columns: int) -> Tensor:
    """An empty [rows, columns] for kernels that read several rows side by side. The rows of a matrix that is a multiple
    of 4 KiB wide would take turns in the same few lines of the first cache: there each begins a line further."""
    step = columns
    if columns * like.itemsize % _PAGE_BYTES == 0:
        step += _LINE_BYTES // like.itemsize
    return like.new_empty(rows, step)[:, :columns]


def expect_floating(name: str, tensor: Tensor) -> None:
    """Raise UserError unless the kernels of the device of `tensor` take its dtype."""
    allowed = _TRITON_DTYPES if uses_triton(tensor) else _CPU_DTYPES
    if tensor.dtype not in allowed:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in allowed)
        found = str(tensor.dtype).removeprefix("torch.")
        raise UserError(f"{name} has dtype {found}, expected one of {names}", hint=f"convert it with {name}.to(dtype)")


def expect_shape(name: str, tensor: Tensor, *shape: int | None) -> None:
    """Raise UserError unless `tensor` has this shape; None stands for any length."""
    found = tuple(tensor.shape)
    if len(found) == len(shape) and all(want in (None, have) for want, have in zip(shape, found, strict=True)):
        return
    wanted = ", ".join("any" if length is None else str(length) for length in shape)
    raise UserError(f"{name} has shape {found}, expected ({wanted})", hint="the docstring of the op names its shapes")


def expect(condition: bool, message: str, hint: str) -> None:
    """Raise UserError with `message` and `hint` unless `condition` holds."""
    if not condition:
        raise UserError(message, hint=hint)


def accumulation_dtype(tensor: Tensor) -> torch.dtype:
    """What the CPU path computes in: float32, or float64 for float64."""
    return torch.promote_types(tensor.dtype, torch.float32)


def save_for_backward(ctx: torch.autograd.function.FunctionCtx, *tensors: Tensor | None) -> None:
    """`ctx.save_for_backward`, which keeps None too, although its types do not say so."""
    ctx.save_for_backward(*tensors)  # type: ignore[arg-type]
