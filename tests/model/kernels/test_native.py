"""The kernels that Numba compiles for CPUs: at sizes that need several blocks, in float64, by several threads."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from curator.kernel import numba
from model import openmp
from model.kernels import (
    Dense,
    attention,
    dispatch,
    grouped_gemm,
    linear,
    linear_cross_entropy,
    rms_norm,
    rotate,
    sort_by_expert,
    swiglu,
)
from model.kernels.linear import linear_reference
from model.kernels.native import grouped_gemm as native_grouped_gemm
from model.kernels.native import regions
from model.kernels.native.mathematics import exponential, largest
from tests.model.kernels.parity import CASES, compare, exercise

# Where nothing is kept from an earlier run, Numba compiles for some seconds.
pytestmark = pytest.mark.slow

NATIVE = [
    name
    for name in CASES
    if name.startswith(("rms_norm", "rope", "swiglu", "grouped_gemm", "cross_entropy", "attention-dense"))
]

BITS = """
import sys, torch
from tests.model.kernels.parity import exercise
torch.set_num_threads(1)
for name in sys.argv[1:]:
    for label, values in exercise(name, torch.float32, "cpu", large=False).items():
        print(name, label, values.numpy().tobytes().hex())
"""
"""Prints what kernels compute."""


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "NATIVE_DTYPES", (torch.float32, torch.float64))


@pytest.mark.parametrize("name", NATIVE)
def test_compiled_kernels_compute_what_the_reference_does_in_several_blocks(name: str) -> None:
    outside = [error for error in compare(name, torch.float32, "cpu", large=True) if not error.within]
    assert not outside, outside


@pytest.mark.parametrize("name", CASES)
def test_plain_torch_computes_what_the_reference_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "native_problem", lambda: "none wanted")
    outside = [error for error in compare(name, torch.float32, "cpu", large=False) if not error.within]
    assert not outside, outside


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", NATIVE)
def test_two_threads_compute_the_bits_of_one(name: str) -> None:
    shared = exercise(name, torch.float32, "cpu", large=True)
    torch.set_num_threads(1)
    alone = exercise(name, torch.float32, "cpu", large=True)
    assert all(torch.equal(shared[label], alone[label]) for label in alone)


def test_a_linear_layer_is_that_of_torch() -> None:
    x, weight = torch.randn(67, 45, requires_grad=True), torch.randn(36, 45, requires_grad=True)
    upstream = torch.randn(67, 36)
    found = linear(x, weight)
    expected = linear_reference(x.double(), weight.double())
    torch.testing.assert_close(found, expected.float())
    for ours, theirs in zip(
        torch.autograd.grad(found, (x, weight), upstream),
        torch.autograd.grad(expected, (x, weight), upstream.double()),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    torch.library.opcheck(torch.ops.curator.linear.default, (x, weight))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exponential_is_off_by_less_than_a_unit_of_the_last_place(dtype: type) -> None:
    @numba.njit(fastmath={"contract"})  # type: ignore[untyped-decorator]  # Numba ships no types
    def fill(x: np.ndarray, y: np.ndarray) -> None:
        for place in range(len(x)):
            y[place] = exponential(x[place])

    bound = 87.0 if dtype is np.float32 else 708.0
    x: np.ndarray = np.concatenate([np.linspace(-bound, bound, 100_001), [0.0, np.nan, np.inf, -np.inf]]).astype(dtype)
    y = np.empty_like(x)
    fill(x, y)
    truth = np.exp(x[:-3].astype(np.longdouble))
    assert np.max(np.abs(y[:-3] / truth - 1)) < np.finfo(dtype).eps
    assert np.isnan(y[-3])
    assert y[-2] > 0.9 * float(np.finfo(dtype).max)
    assert 0 <= y[-1] < 2 * float(np.finfo(dtype).tiny)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 129, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_number_is_found_wherever_it_stands(dtype: type, count: int) -> None:
    @numba.njit  # type: ignore[untyped-decorator]
    def find(address: int, count: int, like: float) -> float:
        return largest(address, count, like)  # type: ignore[no-any-return]

    row: np.ndarray = -np.arange(1, count + 1, dtype=dtype)
    for place in {0, count // 2, count - 1}:
        changed = row.copy()
        changed[place] = 0.5
        assert find(changed.ctypes.data, count, dtype(0)) == 0.5
    row[:] = -np.inf
    assert find(row.ctypes.data, count, dtype(0)) == -np.inf


def test_a_logit_that_is_no_number_makes_a_loss_that_is_none() -> None:
    targets = torch.tensor([1, 2, 3])
    for column in (0, 77, 299):
        weight = torch.randn(300, 8)
        weight[column] = float("nan")
        assert torch.isnan(linear_cross_entropy(torch.randn(3, 8), weight, targets).losses_T).all()


@pytest.mark.parametrize("width", [512, 500])
def test_rows_that_lie_apart_are_read_where_they_stand(width: int) -> None:
    order = sort_by_expert(torch.randint(3, (40, 2)), 3)
    x, weight = torch.randn(40, 24), torch.randn(3, 24, 2 * width)

    def gradients(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        leaves = x.detach().requires_grad_(), weight.detach().requires_grad_()
        hidden = swiglu(grouped_gemm(leaves[0], leaves[1], order.offsets_E, gather=order))
        return torch.autograd.grad(hidden.square().sum(), leaves)

    for found, expected in zip(gradients(x, weight), gradients(x.double(), weight.double()), strict=True):
        assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    packed, scale = torch.randn(40, 2 * width, requires_grad=True), torch.rand(40, requires_grad=True)
    torch.library.opcheck(torch.ops.curator.swiglu.default, (packed, scale))


def test_the_gradient_of_the_loss_follows_what_it_is_multiplied_by() -> None:
    x, weight = torch.randn(6, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    total = linear_cross_entropy(x, weight, torch.arange(6)).total
    once = torch.autograd.grad(total, (x, weight), retain_graph=True)
    again = torch.autograd.grad(total, (x, weight), retain_graph=True)
    thrice = torch.autograd.grad(3 * total, (x, weight))
    for first, second, third in zip(once, again, thrice, strict=True):
        torch.testing.assert_close(second, first)
        torch.testing.assert_close(third, 3 * first)


def test_what_was_compiled_is_bound_to_every_file_of_the_folder() -> None:
    kept = native_grouped_gemm._multiply_part._cache._cache_file
    assert kept._source_stamp == regions._sources()


@pytest.mark.parametrize(
    "names", [["cross_entropy"], pytest.param(NATIVE, marks=pytest.mark.long)], ids=["the loss", "all"]
)
def test_who_compiles_a_kernel_computes_the_bits_of_who_finds_it_on_disk(tmp_path: Path, names: list[str]) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    compiled, found = (
        subprocess.run(
            [sys.executable, "-c", BITS, *names],
            env=environment, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True,
        ).stdout
        for _ in range(2)
    )  # fmt: skip
    assert list(tmp_path.rglob("*.nbi"))
    assert compiled
    assert compiled == found


def test_without_an_openmp_runtime_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    assert openmp.native_problem() is None
    openmp.load_openmp.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert "OpenMP runtime is not here" in str(openmp.native_problem.__wrapped__())


@pytest.mark.long
@pytest.mark.usefixtures("in_double")
def test_gradients_of_compiled_kernels_are_derivatives() -> None:
    def doubles(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)

    order = sort_by_expert(torch.tensor([[0, 1], [3, 1], [0, 3], [1, 0], [3, 0]]), 5)
    check = torch.autograd.gradcheck
    assert check(linear, (doubles(5, 4), doubles(3, 4)))
    assert check(lambda x, w: rms_norm(x, w, 1e-5), (doubles(70, 6), doubles(6)))
    angles = torch.randn(70, 3, dtype=torch.float64)
    assert check(lambda x: rotate(x, angles.cos(), angles.sin()), (doubles(70, 3, 6),))
    assert check(swiglu, (doubles(5, 6),))
    assert check(swiglu, (doubles(5, 6), doubles(5)))
    for gather, scatter in ((None, None), (order, None), (None, order), (order, order)):

        def product(x: Tensor, weight: Tensor, gather: object = gather, scatter: object = scatter) -> Tensor:
            return grouped_gemm(x, weight, order.offsets_E, order if gather else None, order if scatter else None)

        assert check(product, (doubles(5 if gather else 10, 4), doubles(5, 4, 3)))
        assert check(
            lambda x, w, product=product: product(x, w.transpose(1, 2)),
            (doubles(5 if gather else 10, 4), doubles(5, 3, 4)),
        )
    targets, weights = torch.tensor([0, 3, -100, 2, 1, 4]), torch.rand(6, dtype=torch.float64)
    assert check(lambda x, w: linear_cross_entropy(x, w, targets, weights)[0], (doubles(6, 4), doubles(5, 4)))
    documents = torch.tensor([0, 3, 3, 9, 12], dtype=torch.int32)
    assert check(
        lambda q, k, v: attention(q, k, v, documents, Dense()),
        (doubles(12, 4, 6), doubles(12, 2, 6), doubles(12, 2, 6)),
    )
