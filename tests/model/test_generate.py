"""Generation: the cache changes nothing, and each control does what it says."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.tokenize import Tokenizer
from model.config import ModelConfig
from model.decoder import Decoder
from model.generate import Sampling, draw, generate
from tests.model.corpora import TINY

NOTHING = torch.zeros(6, dtype=torch.bool)
LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0, -2.0, 1.5])


@pytest.fixture(scope="module")
def decoder(tokenizer: Tokenizer) -> Decoder:
    made = Decoder(ModelConfig(**{**TINY.__dict__, "vocabulary": tokenizer.vocabulary}))
    made.initialise(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return made


def drawn(sampling: Sampling, seen: torch.Tensor = NOTHING, count: int = 300) -> set[int]:
    random = torch.Generator().manual_seed(0)
    return {draw(LOGITS, seen, sampling, random) for _ in range(count)}


def test_the_likeliest_tokens_are_those_of_the_whole_model(decoder: Decoder, tokenizer: Tokenizer) -> None:
    found = list(generate(decoder, tokenizer, "the house", Sampling(tokens=20, temperature=0)))
    ids = [tokenizer.begin, *tokenizer.encode(["the house"])[0].tolist()]
    for token in found:
        with torch.no_grad():
            hidden = decoder(torch.tensor(ids), torch.tensor([0, len(ids)], dtype=torch.int32)).hidden_TD
            assert int(decoder.logits(hidden)[-1].argmax()) == token
        ids.append(token)
    assert found


def test_a_seed_sets_the_text(decoder: Decoder, tokenizer: Tokenizer) -> None:
    first, second, third = (
        list(generate(decoder, tokenizer, "дом", Sampling(tokens=12, temperature=1, seed=seed))) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != third


def test_the_end_of_a_document_ends_the_text(decoder: Decoder, tokenizer: Tokenizer) -> None:
    sure = Decoder(decoder.config)
    sure.load_state_dict(decoder.state_dict())
    with torch.no_grad():
        sure.norm_D.zero_()
        sure.head_VD.zero_()
    # All logits are equal: the likeliest is the first token, and the end comes when it is drawn.
    found = list(generate(sure, tokenizer, "", Sampling(tokens=5000, temperature=1)))
    assert 0 < len(found) < 5000
    assert tokenizer.end not in found


def test_top_k_leaves_the_k_likeliest() -> None:
    assert drawn(Sampling(temperature=3, top_k=2)) == {0, 5}
    assert len(drawn(Sampling(temperature=3))) == 6


def test_top_p_leaves_the_fewest_that_have_the_share() -> None:
    shares = torch.softmax(LOGITS, 0)
    assert drawn(Sampling(temperature=1, top_p=float(shares[0]) - 0.01)) == {0}
    assert drawn(Sampling(temperature=1, top_p=float(shares[0]) + 0.01)) == {0, 5}


def test_temperature_0_takes_the_likeliest() -> None:
    assert drawn(Sampling(temperature=0)) == {0}


def test_what_occurred_is_less_likely_with_repetition() -> None:
    seen = NOTHING.clone()
    seen[0] = True
    assert drawn(Sampling(temperature=0, repetition=2.0), seen) == {5}
    seen[5] = seen[1] = True
    assert drawn(Sampling(temperature=0, repetition=5.0), seen) == {2}


@given(top_k=st.integers(0, 8), top_p=st.floats(0.01, 1), temperature=st.floats(5e-324, 5))
def test_there_is_always_a_token(top_k: int, top_p: float, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    assert 0 <= draw(LOGITS, NOTHING, sampling, torch.Generator().manual_seed(0)) < 6


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": 0},
        {"temperature": -1.0},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"repetition": 0.5},
        {"temperature": math.inf},
        {"temperature": math.nan},
    ],
)
def test_values_that_leave_nothing_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(UserError):
        Sampling(**changes)  # type: ignore[arg-type] # numbers
