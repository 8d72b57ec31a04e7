"""The decoder: documents do not see each other, nothing sees the future, and a cache gives what the whole gives."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from curator.errors import UserError
from model.config import AttentionPattern, ModelConfig
from model.decoder import Decoder, places
from tests.model.corpora import TINY

PATTERNS = [
    AttentionPattern(),
    AttentionPattern("window", window=5),
    AttentionPattern("block_sparse", block=3, local=2, stride=3),
]


def a_decoder(**changes: object) -> Decoder:
    decoder = Decoder(dataclasses.replace(TINY, **changes))  # type: ignore[arg-type] # what the test says
    decoder.initialise(3)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return decoder


def tokens(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, TINY.vocabulary, (count,), generator=torch.Generator().manual_seed(seed))


def logits(decoder: Decoder, ids: Tensor, *boundaries: int) -> Tensor:
    documents = torch.tensor([0, *boundaries, len(ids)], dtype=torch.int32)
    with torch.no_grad():
        return decoder.logits(decoder(ids, documents).hidden_TD)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.kind)
def test_a_document_reads_as_if_it_stood_alone(pattern: AttentionPattern) -> None:
    decoder = a_decoder(pattern=pattern)
    ids = tokens(40)
    together = logits(decoder, ids, 11, 12, 30)
    alone = torch.cat([logits(decoder, ids[a:b]) for a, b in ((0, 11), (11, 12), (12, 30), (30, 40))])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.kind)
def test_nothing_depends_on_later_tokens(pattern: AttentionPattern) -> None:
    decoder = a_decoder(pattern=pattern)
    ids = tokens(30)
    other = ids.clone()
    other[20:] = tokens(10, 1)
    torch.testing.assert_close(logits(decoder, ids)[:20], logits(decoder, other)[:20])
    assert not torch.allclose(logits(decoder, ids)[20:], logits(decoder, other)[20:])


@pytest.mark.parametrize("shared", [0, 8])
@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.kind)
def test_a_cache_gives_the_logits_of_the_whole(pattern: AttentionPattern, router: str, shared: int) -> None:
    decoder = a_decoder(pattern=pattern, router=router, shared_expert_width=shared)
    ids = tokens(30)
    caches = decoder.caches(30)
    with torch.no_grad():
        found = [decoder.continue_with(ids[:10], caches)]
        found += [decoder.continue_with(ids[place : place + 1], caches) for place in range(10, 30)]
    torch.testing.assert_close(torch.stack(found), logits(decoder, ids)[9:])


def test_the_order_of_tokens_matters() -> None:
    decoder = a_decoder()
    ids = tokens(12)
    turned = torch.cat([ids[:10].flip(0), ids[10:]])
    assert not torch.allclose(logits(decoder, ids)[-1], logits(decoder, turned)[-1])


def test_a_seed_sets_the_first_parameters() -> None:
    first, second, third = (Decoder(TINY) for _ in range(3))
    first.initialise(1)
    second.initialise(1)
    third.initialise(2)
    assert torch.equal(first.head_VD, second.head_VD)
    assert not torch.equal(first.head_VD, third.head_VD)


@pytest.mark.parametrize("changes", [{}, {"shared_expert_width": 24}, {"experts": 7, "experts_per_token": 3}])
def test_parameters_are_counted_as_they_are(changes: dict[str, int]) -> None:
    shape = dataclasses.replace(TINY, **changes)  # type: ignore[arg-type] # whole numbers
    assert shape.parameters == sum(parameter.numel() for parameter in Decoder(shape).parameters())


def test_places_begin_anew_in_each_document() -> None:
    assert places(torch.tensor([0, 3, 3, 5], dtype=torch.int32), 5).tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    "changes",
    [{"key_value_heads": 3}, {"head_width": 7}, {"experts_per_token": 5}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_shape_that_does_not_fit_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UserError):
        ModelConfig(**{**dataclasses.asdict(TINY), "pattern": AttentionPattern(), **changes})
