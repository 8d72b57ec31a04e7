"""Where the engine ends: the amount, the limit, and the corpus up to which it holds belong together."""

from __future__ import annotations

import math

import pytest

from curator.estimate.limits import all_needs, driver_memory, estimate_needs
from curator.estimate.model import quantities_of
from tests.curator.estimate.questions import ask

INTERNET = 1e14


def test_at_internet_scale_the_driver_and_the_last_step_of_deduplication_do_not_hold() -> None:
    found = {
        need.need.name: need for need in estimate_needs(ask(INTERNET, 1e11, nodes=["1000x64:256GB"], engine="ray"))
    }
    for name in ("what the driver always holds", "who stays", "ids of keepers", "copies of a text"):
        assert found[name].is_broken, name
    assert not found["references of the exchange bands"].is_broken
    on_files = estimate_needs(ask(INTERNET, 1e11, nodes=["1x64:256GB"], engine="local"))
    assert [need.is_broken for need in on_files if need.need.name == "places of the exchange bands"] == [True]
    assert not found["documents in one run"].is_broken
    assert found["documents in one run"].limit == 2**40


def test_a_hundred_megabytes_hold_everywhere() -> None:
    assert not [need.need.name for need in estimate_needs(ask(1e8)) if need.is_broken]


@pytest.mark.parametrize("text_bytes", [1e9, INTERNET])
def test_a_need_holds_exactly_up_to_the_corpus_that_it_names(text_bytes: float) -> None:
    question = ask(text_bytes)
    needs = {need.name: need for need in all_needs(question)}
    for found in estimate_needs(question):
        if not 0 < found.holds_to_bytes < math.inf:
            continue
        need = needs[found.need.name]
        for factor, fits in ((0.98, True), (1.05, False)):
            corpus = question.corpus.scaled(found.holds_to_bytes / text_bytes * factor)
            assert (need.amount(quantities_of(question, corpus)) <= found.limit) == fits, need.name
        assert found.is_broken == (found.holds_to_bytes < text_bytes * 0.999), need.name


def test_an_index_ends_at_its_32_bit_rows() -> None:
    question = ask(INTERNET, 1e11, overrides=["dedup.index=true"])
    (found,) = [need for need in estimate_needs(question) if need.need.name == "index"]
    assert found.is_broken
    assert found.holds_to_bytes == pytest.approx(2**32 * 1000, rel=0.01)


def test_the_driver_holds_what_it_always_holds_and_the_most_of_the_rest() -> None:
    question = ask(1e12)
    given = quantities_of(question)
    amounts = [need.amount(given) for need in all_needs(question) if need.where == "driver" and need.unit == "bytes"]
    assert amounts[0] < driver_memory(question) <= sum(amounts)
