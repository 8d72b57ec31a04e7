"""What `benchmarks/gpu.py` measures: each a name, what to make of its milliseconds, and a call to time.

Sizes are those of a model of about a billion parameters: 8,192 tokens of four documents, bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.kernels import adamw_step, linear_cross_entropy
from model.kernels.gpu import attention_backward, attention_forward
from model.kernels.gpu import grouped_gemm as gpu_gemm
from model.kernels.gpu.attention import Tile as AttentionTile
from model.kernels.rms_norm import rms_norm, rms_norm_reference
from model.kernels.rope import rotate, rotate_reference
from model.kernels.router import Routing, route, route_reference, sort_by_expert
from model.kernels.swiglu import swiglu, swiglu_reference

Numbers = Callable[[float], dict[str, object]]


class Job(NamedTuple):
    """A measurement."""

    name: str
    numbers: Numbers
    run: Callable[[], object]
    captured: bool
    """Whether it is measured in a CUDA graph too. Gradients of a graph made before cannot be captured, and a capture
    that fails leaves torch's generator of random numbers unusable."""


TOKENS = 8192


def jobs(sweep: bool) -> Iterator[Job]:
    """All measurements; those of a sweep end in a question mark."""
    yield from _grouped_gemm(8, 2, 2048, 4096, sweep)
    yield from _grouped_gemm(64, 8, 1024, 1024, False)
    yield from _attention(64, sweep)
    yield from _attention(128, sweep)
    yield from _cross_entropy(2048, 32000)
    yield from _elementwise()


def _normal(*shape: int) -> Tensor:
    generator = torch.Generator(device="cuda").manual_seed(1)
    return torch.randn(shape, generator=generator, device="cuda", dtype=torch.bfloat16)


def _speed(operations: float) -> Numbers:
    return lambda ms: {"teraflops": round(operations / ms / 1e9, 1)}


def _bandwidth(moved: float) -> Numbers:
    return lambda ms: {"gigabytes_per_s": round(moved / ms / 1e6, 1)}


def _grouped_gemm(experts: int, per_token: int, depth: int, width: int, sweep: bool) -> Iterator[Job]:
    label = f"{experts} experts, {TOKENS * per_token} rows, {depth} x {width}"
    x_TD = _normal(TOKENS, depth)
    weight_EDF = _normal(experts, depth, width) * depth**-0.5
    routing = route(_normal(TOKENS, experts), per_token)
    order = sort_by_expert(routing.experts_TK, experts)
    offsets_E, tokens_S = order.offsets_E, order.tokens_S
    rows_SD, grad_SF = x_TD[tokens_S], _normal(TOKENS * per_token, width)
    transposed_EFD = weight_EDF.transpose(1, 2)
    speed = _speed(2.0 * TOKENS * per_token * depth * width)
    grouped_mm = torch._grouped_mm
    yield Job(
        f"grouped GEMM forward, rows sorted, {label}",
        speed,
        lambda: gpu_gemm.multiply(rows_SD, weight_EDF, offsets_E, None),
        True,
    )
    yield Job(
        f"grouped GEMM forward, torch, {label}", speed, lambda: grouped_mm(rows_SD, weight_EDF, offs=offsets_E), True
    )
    yield Job(
        f"grouped GEMM forward with gather, {label}",
        speed,
        lambda: gpu_gemm.multiply(x_TD, weight_EDF, offsets_E, tokens_S),
        True,
    )
    yield Job(
        f"grouped GEMM forward with gather, torch, {label}",
        speed,
        lambda: grouped_mm(x_TD[tokens_S], weight_EDF, offs=offsets_E),
        True,
    )
    yield Job(
        f"grouped GEMM dX, {label}", speed, lambda: gpu_gemm.multiply(grad_SF, transposed_EFD, offsets_E, None), True
    )
    yield Job(
        f"grouped GEMM dX, torch, {label}", speed, lambda: grouped_mm(grad_SF, transposed_EFD, offs=offsets_E), True
    )
    yield Job(
        f"grouped GEMM dW, rows sorted, {label}",
        speed,
        lambda: gpu_gemm.multiply_transposed(rows_SD, grad_SF, weight_EDF, offsets_E, None, None),
        True,
    )
    yield Job(
        f"grouped GEMM dW with gather, {label}",
        speed,
        lambda: gpu_gemm.multiply_transposed(x_TD, grad_SF, weight_EDF, offsets_E, tokens_S, None),
        True,
    )
    yield Job(f"grouped GEMM dW, torch, {label}", speed, lambda: grouped_mm(rows_SD.T, grad_SF, offs=offsets_E), True)
    results_SF = _normal(TOKENS * per_token, depth)
    yield Job(
        f"combine, {label}",
        _bandwidth(2.0 * (results_SF.numel() + x_TD.numel())),
        lambda: gpu_gemm.combine(results_SF, order.positions_TK),
        True,
    )
    if not sweep:
        return
    for tile in (
        gpu_gemm.Tile(128, 256, 64, 8, 3),
        gpu_gemm.Tile(128, 128, 64, 8, 3),
        gpu_gemm.Tile(128, 128, 64, 4, 3),
        gpu_gemm.Tile(128, 128, 64, 8, 4),
        gpu_gemm.Tile(64, 256, 64, 4, 4),
    ):
        yield Job(
            f"grouped GEMM forward with gather, {tuple(tile)}?",
            speed,
            partial(gpu_gemm.multiply, x_TD, weight_EDF, offsets_E, tokens_S, tile),
            True,
        )
        yield Job(
            f"grouped GEMM dX, {tuple(tile)}?",
            speed,
            partial(gpu_gemm.multiply, grad_SF, transposed_EFD, offsets_E, None, tile),
            True,
        )
        yield Job(
            f"grouped GEMM dW with gather, {tuple(tile)}?",
            speed,
            partial(gpu_gemm.multiply_transposed, x_TD, grad_SF, weight_EDF, offsets_E, tokens_S, None, tile),
            True,
        )


def _attention(width: int, sweep: bool) -> Iterator[Job]:
    heads, key_heads, documents = 16, 4, 4
    length = TOKENS // documents
    label = f"{documents} documents of {length}, {heads} heads over {key_heads}, width {width}"
    boundaries = torch.arange(0, TOKENS + 1, length, dtype=torch.int32, device="cuda")
    q, k, v = _normal(TOKENS, heads, width), _normal(TOKENS, key_heads, width), _normal(TOKENS, key_heads, width)
    grad = _normal(TOKENS, heads, width)
    forward_flops = 2.0 * 2 * documents * heads * width * length * (length + 1) / 2
    patterns: dict[str, tuple[int, int, int, int]] = {
        "dense": (0, 0, 0, 0),
        "window 256": (256, 0, 0, 0),
        "blocks of 64, 4 local, stride 8": (0, 64, 4, 8),
    }
    for name, numbers in patterns.items():
        y, logsumexp = attention_forward.forward(q, k, v, boundaries, *numbers)
        # Of the patterns that leave keys out the figure is what dense attention would have done in the time.
        yield Job(
            f"attention forward, {name}, {label}",
            _speed(forward_flops),
            partial(attention_forward.forward, q, k, v, boundaries, *numbers),
            True,
        )
        yield Job(
            f"attention backward, {name}, {label}",
            _speed(2.5 * forward_flops),
            partial(attention_backward.backward, grad, q, k, v, boundaries, y, logsumexp, *numbers),
            True,
        )

    def batched(x: Tensor) -> Tensor:
        return x.view(documents, length, x.shape[1], width).transpose(1, 2).detach().requires_grad_()

    queries, keys, values = batched(q), batched(k), batched(v)
    grad_batched = batched(grad).detach()
    result = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
    yield Job(
        f"attention forward, torch SDPA, {label}",
        _speed(forward_flops),
        lambda: functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True),
        True,
    )
    yield Job(
        f"attention backward, torch SDPA, {label}",
        _speed(2.5 * forward_flops),
        lambda: torch.autograd.grad(result, (queries, keys, values), grad_batched, retain_graph=True),
        False,
    )
    if not sweep:
        return
    y, logsumexp = attention_forward.forward(q, k, v, boundaries, 0, 0, 0, 0)
    for tile in (
        AttentionTile(128, 64, 8, 3),
        AttentionTile(64, 64, 4, 3),
        AttentionTile(64, 64, 4, 4),
        AttentionTile(128, 128, 8, 3),
    ):
        yield Job(
            f"attention forward, width {width}, {tuple(tile)}?",
            _speed(forward_flops),
            partial(attention_forward.forward, q, k, v, boundaries, 0, 0, 0, 0, tile),
            True,
        )
    usual = AttentionTile(64, 64, 4, 2)
    for tile in (
        usual,
        AttentionTile(32, 64, 4, 2),
        AttentionTile(32, 64, 4, 3),
        AttentionTile(64, 64, 4, 3),
        AttentionTile(64, 128, 8, 2),
        AttentionTile(128, 64, 8, 2),
    ):
        for kernel, tiles in (("queries", (tile, usual)), ("keys", (usual, tile))):
            yield Job(
                f"attention backward, width {width}, {kernel} {tuple(tile)}?",
                _speed(2.5 * forward_flops),
                partial(attention_backward.backward, grad, q, k, v, boundaries, y, logsumexp, 0, 0, 0, 0, tiles),
                True,
            )


def _cross_entropy(depth: int, vocabulary: int) -> Iterator[Job]:
    label = f"{TOKENS} tokens, width {depth}, vocabulary {vocabulary}"
    x_TD = _normal(TOKENS, depth).requires_grad_()
    weight_VD = (_normal(vocabulary, depth) * depth**-0.5).detach().requires_grad_()
    targets_T = torch.randint(vocabulary, (TOKENS,), device="cuda")

    def fused() -> object:
        total = linear_cross_entropy(x_TD, weight_VD, targets_T).total
        return torch.autograd.grad(total, (x_TD, weight_VD))

    def separate() -> object:
        total = functional.cross_entropy(functional.linear(x_TD, weight_VD).float(), targets_T, reduction="sum")
        return torch.autograd.grad(total, (x_TD, weight_VD))

    def numbers(run: Callable[[], object]) -> Numbers:
        def describe(ms: float) -> dict[str, object]:
            torch.cuda.synchronize()
            held = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            run()
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated() - held
            return {**_speed(6.0 * TOKENS * depth * vocabulary)(ms), "peak_megabytes": round(peak / 1e6)}

        return describe

    yield Job(f"linear cross-entropy forward and backward, {label}", numbers(fused), fused, False)
    yield Job(f"linear cross-entropy forward and backward, torch, {label}", numbers(separate), separate, False)


def _elementwise() -> Iterator[Job]:
    x_TD, weight_D = _normal(TOKENS, 2048).requires_grad_(), _normal(2048).requires_grad_()
    packed_SG, scale_S = _normal(2 * TOKENS, 4096).requires_grad_(), torch.rand(2 * TOKENS, device="cuda")
    heads_TNH = _normal(TOKENS, 16, 128).requires_grad_()
    angles_TR = torch.rand(TOKENS, 64, device="cuda")
    cosine_TR, sine_TR = angles_TR.cos(), angles_TR.sin()
    logits_TE = _normal(TOKENS, 64).requires_grad_()

    def both(name: str, moved: float, run: Callable[[], Tensor], *leaves: Tensor) -> Iterator[Job]:
        grad = torch.ones_like(run())

        def differentiate() -> object:
            return torch.autograd.grad(run(), leaves, grad)

        yield Job(f"{name}, forward", _bandwidth(moved), run, False)
        yield Job(f"{name}, forward and backward", _bandwidth(2.5 * moved), differentiate, False)

    for name, norm in (("", rms_norm), (", torch", rms_norm_reference)):
        yield from both(f"RMSNorm{name}", 4.0 * x_TD.numel(), partial(norm, x_TD, weight_D, 1e-5), x_TD, weight_D)
    for name, gate in (("", swiglu), (", torch", swiglu_reference)):
        yield from both(f"SwiGLU{name}", 3.0 * packed_SG.numel(), partial(gate, packed_SG, scale_S), packed_SG)
    for name, turn in (("", rotate), (", torch", rotate_reference)):
        yield from both(f"RoPE{name}", 4.0 * heads_TNH.numel(), partial(turn, heads_TNH, cosine_TR, sine_TR), heads_TNH)

    def weights_of(choose: Callable[[Tensor, int], Routing]) -> Tensor:
        return choose(logits_TE, 8).weights_TK

    for name, choose in (("", route), (", torch", route_reference)):
        yield from both(f"router{name}", 2.0 * logits_TE.numel(), partial(weights_of, choose), logits_TE)

    elements = 1 << 26
    state = [torch.randn(elements, device="cuda") for _ in range(3)] + [torch.rand(elements, device="cuda")]
    parameter = torch.nn.Parameter(state[0].clone())
    parameter.grad = state[1]
    optimizer = torch.optim.AdamW([parameter], lr=1e-3, fused=True)
    yield Job(
        "AdamW step of 67 million parameters",
        _bandwidth(28.0 * elements),
        lambda: adamw_step(*state, step=3, learning_rate=1e-3, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1),
        False,
    )
    yield Job("AdamW step of 67 million parameters, torch fused", _bandwidth(28.0 * elements), optimizer.step, False)
