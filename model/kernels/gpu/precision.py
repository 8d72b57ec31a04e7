"""What all kernels use to load, multiply and store, so that the interpreter computes what the hardware does.

Triton's interpreter keeps bfloat16 as 16-bit integers: arithmetic on it is silently wrong, and a conversion from
float32 cuts where the hardware rounds to nearest even (measured with Triton 3.7 to 3.9). So nothing else in `gpu/` may
compute on a loaded value before `.to(tl.float32)`, call `tl.dot`, or store a float of another dtype than float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.dispatch import INTERPRETED

IN_INTERPRETER: tl.constexpr = tl.constexpr(INTERPRETED)


@triton.jit
def load(pointer: tl.tensor, mask: tl.tensor) -> tl.tensor:
    """Load as float32; zero outside the mask, which the interpreter would give without being told and a GPU not."""
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def dot(a: tl.tensor, b: tl.tensor, accumulator: tl.tensor, PRECISION: tl.constexpr) -> tl.tensor:
    """Return accumulator + a b in float32, of operands in the dtype that they were loaded in."""
    if IN_INTERPRETER:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), accumulator, input_precision="ieee")
    return tl.dot(a, b, accumulator, input_precision=PRECISION)


@triton.jit
def rounded(value: tl.tensor, DTYPE: tl.constexpr) -> tl.tensor:
    """Convert float32 to DTYPE, to nearest even as the hardware does."""
    if IN_INTERPRETER and DTYPE == tl.bfloat16:  # noqa: SIM300  (DTYPE varies)
        bits = value.to(tl.uint32, bitcast=True)
        # Half a unit of the last place that stays, less one where that place is even: a tie goes to even.
        even = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        nearest = even.to(tl.float32, bitcast=True)
        # Only NaN differs from itself.
        return tl.where(value == value, nearest, value).to(DTYPE)
    return value.to(DTYPE)


@triton.jit
def store(pointer: tl.tensor, value: tl.tensor, mask: tl.tensor) -> None:
    """Store float32 in the dtype of the pointer."""
    tl.store(pointer, rounded(value, pointer.dtype.element_ty), mask=mask)


def dot_precision(tensor: Tensor) -> str:
    """How `dot` multiplies float32: exactly, unless torch was told to prefer speed; other dtypes know one way."""
    exact = tensor.dtype != torch.float32 or torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact else "tf32"
