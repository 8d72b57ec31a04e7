"""Every Triton kernel computes what its reference does, forward and backward: on a GPU (`make gpu`), or in Triton's
interpreter, where `test_interpreter.py` starts this file in a process of its own."""

import pytest
import torch

from model.kernels.dispatch import INTERPRETED
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
