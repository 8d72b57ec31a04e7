"""The kernels compile for GPUs that are not here: no register spills, shared memory suffices, products run on tensor
cores. It shows what code comes out, not that it is right or fast: that is `make gpu`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.model.kernels.ahead_of_time import OPERATIONS, SHARED_LIMITS, TARGETS

ROOT = Path(__file__).parents[3]
LIMIT_S = 240
"""A compilation that runs away (a product of 512 by 512 does) fails instead of holding the suite up."""

PRODUCTS = {
    "grouped_gemm": {"multiply_kernel", "transposed_kernel"},
    "attention_64": {"forward_kernel", "query_grad_kernel", "key_grad_kernel"},
    "attention_128": {"forward_kernel", "query_grad_kernel", "key_grad_kernel"},
}
"""Kernels that multiply matrices, by operation."""

SPILLING = {("attention_128", "float32")}
"""Exact float32 products of heads 128 wide overflow the registers in blocks of any size; they are for comparison."""


def _compile(target: str, operation: str, dtype: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRITON_DEFAULT_FP_FUSION": "1"}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-m", "tests.model.kernels.ahead_of_time", target, operation, dtype]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def _check(target: str, operation: str, dtype: str) -> None:
    kernels = _compile(target, operation, dtype)
    assert kernels
    for kernel in kernels:
        assert kernel["shared"] <= SHARED_LIMITS[target], kernel
        if (operation, dtype) not in SPILLING:
            assert kernel["spills"] == 0, kernel
    products = PRODUCTS.get(operation, set())
    assert products <= {kernel["kernel"] for kernel in kernels}
    if dtype == "bfloat16":
        assert [kernel for kernel in kernels if kernel["kernel"] in products and not kernel["products"]] == []


@pytest.mark.slow
def test_grouped_products_compile_for_hopper() -> None:
    _check("sm_90", "grouped_gemm", "bfloat16")


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_kernels_compile_without_spills(target: str, operation: str) -> None:
    _check(target, operation, "bfloat16")


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernels_compile_for_float32(operation: str) -> None:
    _check("sm_90", operation, "float32")
