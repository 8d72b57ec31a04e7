"""The model on a GPU, as on the CPU: a training through Triton's kernels alone, and generation. It imports what kernels
need and nothing else, for machines that have no more."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from model.decoder import Decoder
from tests.model.interpreted import SHAPE, losses

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]


def test_twenty_steps_have_the_losses_of_the_cpu() -> None:
    # A step changes the loss by far more; sums in another order change it by less.
    assert losses(20, "cuda") == pytest.approx(losses(20), rel=1e-2)


def test_bf16_learns() -> None:
    found = losses(40, "cuda", torch.bfloat16)
    assert found[0] == pytest.approx(losses(1)[0], rel=1e-2)
    assert found[-1] < found[0] / 10


@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
def test_a_cache_gives_the_logits_of_the_whole(router: str) -> None:
    decoder = Decoder(dataclasses.replace(SHAPE, router=router)).to("cuda")  # type: ignore[arg-type] # of the two
    decoder.initialise(0)
    ids = torch.randint(0, SHAPE.vocabulary, (40,), generator=torch.Generator().manual_seed(0)).to("cuda")
    with torch.no_grad():
        whole = decoder.logits(decoder(ids, torch.tensor([0, 40], dtype=torch.int32, device="cuda")).hidden_TD)
        caches = decoder.caches(40)
        found = [decoder.continue_with(ids[:10], caches)]
        found += [decoder.continue_with(ids[place : place + 1], caches) for place in range(10, 40)]
    torch.testing.assert_close(torch.stack(found), whole[9:], rtol=0, atol=1e-2 * whole.abs().max().item())
