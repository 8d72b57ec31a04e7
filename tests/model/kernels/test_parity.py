"""Every Triton kernel computes what its reference does, forward and backward: on a GPU (`make gpu`), or in Triton's
interpreter, where `test_interpreter.py` starts this file in a process of its own."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from model.kernels.dispatch import INTERPRETED
from model.kernels.gpu.precision import load, store
from tests.model.kernels.parity import CASES, compare, exercise

DEVICE = "cpu" if INTERPRETED else "cuda"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not INTERPRETED and not torch.cuda.is_available(),
        reason="needs a GPU, or TRITON_INTERPRET=1 as test_interpreter.py sets it",
    ),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_kernels_compute_what_their_reference_does(name: str, dtype: torch.dtype) -> None:
    outside = [error for error in compare(name, dtype, DEVICE, large=not INTERPRETED) if not error.within]
    assert not outside, outside


@pytest.mark.skipif(INTERPRETED, reason="the interpreter runs one program after the other: nothing could differ")
@pytest.mark.parametrize("name", CASES)
def test_kernels_give_the_same_bits_each_time(name: str) -> None:
    runs = [exercise(name, torch.bfloat16, DEVICE, large=True) for _ in range(3)]
    for label, value in runs[0].items():
        assert all(torch.equal(value, run[label]) for run in runs[1:]), label


@triton.jit
def _copy_kernel(source: tl.tensor, target: tl.tensor, BLOCK: tl.constexpr) -> None:
    place = tl.arange(0, BLOCK)
    store(target + place, load(source + place, place < BLOCK), place < BLOCK)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_stores_round_to_nearest_even_as_torch_does(dtype: torch.dtype) -> None:
    values = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    # Ties, of which half must be rounded up and half down; infinity, and what is not a number.
    values[:1024] = (torch.arange(1024, dtype=torch.int32) * 0x8000 + 0x3F800000).view(torch.float32)
    values[1024:1028] = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0])
    values = values.to(DEVICE)
    stored = torch.empty(4096, dtype=dtype, device=DEVICE)
    _copy_kernel[(1,)](values, stored, BLOCK=4096)
    torch.testing.assert_close(stored, values.to(dtype), rtol=0, atol=0, equal_nan=True)
