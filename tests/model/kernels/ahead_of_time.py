"""Compile the kernels of an operation for a GPU that is not there: `python -m tests.model.kernels.ahead_of_time sm_90
grouped_gemm` prints what each uses, one JSON document a line.

The launchers of `model/kernels/gpu` run as they are, on tensors of the CPU, so that what is compiled is what they
would launch: the same blocks, the same specialisation on strides and alignment. Only Triton's driver, which asks a GPU
what it is, is another, and each kernel is compiled and not started.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

TARGETS: Final = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
SHARED_LIMITS: Final = {"sm_80": 163 << 10, "sm_90": 227 << 10, "sm_100": 227 << 10, "gfx942": 64 << 10}
"""Bytes of shared memory that a block may use: CUDA C++ programming guide, technical specifications per compute
capability; CDNA3 instruction set architecture (local data share)."""

TENSOR_CORES: Final = {"sm_80": "HMMA", "sm_90": "HGMMA", "sm_100": "UTCHMMA", "gfx942": "v_mfma"}
"""The instruction that multiplies 16-bit matrices on each."""


class _AbsentDevice:
    """What Triton asks of a driver before it compiles."""

    def __init__(self, target: GPUTarget) -> None:
        self._target = target

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0


def _numbers(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def _rms_norm(dtype: torch.dtype) -> None:
    from model.kernels.gpu.rms_norm import backward, forward

    x, weight = _numbers(256, 1024, dtype=dtype), _numbers(1024, dtype=dtype)
    _, scale = forward(x, weight, 1e-5)
    backward(x, x, weight, scale)


def _rope(dtype: torch.dtype) -> None:
    from model.kernels.gpu.rope import rotate

    angles = _numbers(256, 64, dtype=torch.float32)
    for inverse in (False, True):
        rotate(_numbers(256, 16, 128, dtype=dtype), angles, angles, inverse)


def _swiglu(dtype: torch.dtype) -> None:
    from model.kernels.gpu.swiglu import backward, forward

    packed, scale = _numbers(256, 4096, dtype=dtype), _numbers(256, dtype=torch.float32)
    for factor in (None, scale):
        backward(forward(packed, factor), packed, factor)


def _router(dtype: torch.dtype) -> None:
    from model.kernels.gpu.router import backward, forward

    for experts, per_token in ((8, 2), (128, 8)):
        logits, bias = _numbers(256, experts, dtype=dtype), _numbers(experts, dtype=torch.float32)
        for sigmoid in (False, True):
            weights, chosen, _, sums, squares = forward(logits, bias, per_token, sigmoid)
            backward(weights, sums, squares, logits, weights, chosen, sigmoid)


def _grouped_gemm(dtype: torch.dtype) -> None:
    from model.kernels.gpu.grouped_gemm import combine, multiply, multiply_transposed

    weight, offsets = _numbers(8, 1024, 2048, dtype=dtype), torch.full((8,), 512, dtype=torch.int32)
    tokens = torch.zeros(512, dtype=torch.int32)
    for order in (None, tokens):
        x = _numbers(512, 1024, dtype=dtype)
        y = multiply(x, weight, offsets, order)
        multiply(y, weight.transpose(1, 2), offsets, order)
        multiply_transposed(x, y, weight, offsets, order, None)
        multiply_transposed(x, y, weight, offsets, None, order)
    multiply(_numbers(512, 1000, dtype=dtype), _numbers(8, 1000, 2000, dtype=dtype), offsets, None)
    combine(_numbers(512, 1024, dtype=dtype), torch.zeros(256, 2, dtype=torch.int32))


def _cross_entropy(dtype: torch.dtype) -> None:
    from model.kernels.gpu.cross_entropy import forward

    targets, weights = torch.zeros(64, dtype=torch.int64), _numbers(64, dtype=torch.float32)
    for differentiable in (False, True):
        forward(_numbers(64, 128, dtype=dtype), _numbers(8192, 128, dtype=dtype), targets, weights, differentiable)


def _attention(dtype: torch.dtype, *widths: int) -> None:
    from model.kernels.gpu.attention_backward import backward
    from model.kernels.gpu.attention_forward import forward

    documents = torch.tensor([0, 512], dtype=torch.int32)
    for width in widths:
        q, k = _numbers(512, 8, width, dtype=dtype), _numbers(512, 2, width, dtype=dtype)
        for numbers in ((0, 0, 0, 0), (0, 64, 4, 8)):
            y, logsumexp = forward(q, k, k, documents, *numbers)
            backward(y, q, k, k, documents, y, logsumexp, *numbers)


def _adamw(dtype: torch.dtype) -> None:
    from model.kernels.gpu.adamw import step

    moment = _numbers(4096, dtype=torch.float32)
    parameter = _numbers(4096, dtype=dtype)
    step(parameter, parameter, moment, moment, moment[0], 0.1, 0.9, 0.95, 1e-8, 0.1, 0.5, 0.5)


OPERATIONS: Final[dict[str, Callable[[torch.dtype], None]]] = {
    "rms_norm": _rms_norm,
    "rope": _rope,
    "swiglu": _swiglu,
    "router": _router,
    "grouped_gemm": _grouped_gemm,
    "cross_entropy": _cross_entropy,
    "attention_64": lambda dtype: _attention(dtype, 64),
    "attention_128": lambda dtype: _attention(dtype, 128),
    "adamw": _adamw,
}


def compile_operation(target: str, operation: str, dtype: torch.dtype) -> Iterator[dict[str, Any]]:
    """Compile all kernels that the launchers of an operation launch, and say what each uses."""
    compiled: list[Any] = []
    triton.runtime.driver.set_active(_AbsentDevice(TARGETS[target]))
    run = JITFunction.run

    def compile_only(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = run(self, *arguments, grid=grid, warmup=True, **options)
        if kernel not in compiled:
            compiled.append(kernel)
        return kernel

    JITFunction.run = compile_only
    OPERATIONS[operation](dtype)
    for kernel in compiled:
        yield {"kernel": kernel.name, **_usage(target, kernel)}


def _usage(target: str, kernel: Any) -> dict[str, Any]:
    shared = int(kernel.metadata.shared)
    if target.startswith("gfx"):
        text = kernel.asm["amdgcn"]
        # A scalar register is spilled to lanes of a vector register, which is no memory.
        spills = sum(int(count) for count in re.findall(r"\.vgpr_spill_count:\s*(\d+)", text))
        registers = max(int(count) for count in re.findall(r"\.vgpr_count:\s*(\d+)", text))
        return {
            "registers": registers,
            "spills": spills,
            "shared": shared,
            "products": text.count(TENSOR_CORES[target]),
        }
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(kernel.asm["cubin"])
        usage = _output(triton.knobs.nvidia.cuobjdump.path, "-res-usage", str(cubin))
        text = _output(triton.knobs.nvidia.nvdisasm.path, "-c", str(cubin))
    numbers = {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    return {
        "registers": numbers["REG"],
        "spills": numbers["STACK"] + numbers["LOCAL"] + len(re.findall(r"\b(?:STL|LDL)\b", text)),
        "shared": shared,
        "products": len(re.findall(rf"\b{TENSOR_CORES[target]}\b", text)),
    }


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    for found in compile_operation(sys.argv[1], sys.argv[2], getattr(torch, sys.argv[3])):
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
