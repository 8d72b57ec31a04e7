"""The model: what must hold whatever the rates are."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.estimate.estimate import make_estimate
from curator.estimate.model import FILE_DRIVER_S, FILE_TASK_S, estimate_phases, parts_of, unmeasured
from curator.estimate.rates import load_rates
from tests.curator.estimate.questions import ask

SIZES = st.floats(1e6, 1e15)
FACTORS = st.floats(1.0, 1e4)

few_examples = settings(max_examples=25, deadline=None)


@pytest.mark.slow
@few_examples
@given(SIZES, FACTORS)
def test_a_larger_corpus_takes_more_of_everything(text_bytes: float, factor: float) -> None:
    small, large = (make_estimate(ask(size, nodes=["1x1:16GB"])) for size in (text_bytes, text_bytes * factor))
    for name in ("seconds", "workers_s", "cpu_s", "driver_cpu_s", "exchange_bytes", "work_bytes", "driver_bytes"):
        assert getattr(large, name) >= getattr(small, name) * (1 - 1e-9), name
    assert all(large.output_bytes[kind] >= size for kind, size in small.output_bytes.items())


@pytest.mark.slow
@few_examples
@given(SIZES, st.integers(1, 500), st.integers(1, 500))
def test_more_cores_never_take_longer(text_bytes: float, few: int, more: int) -> None:
    few, more = sorted((few, more))
    slow, fast = (make_estimate(ask(text_bytes, nodes=[f"1x{cores}:1TB"])) for cores in (few, more))
    assert fast.seconds <= slow.seconds * (1 + 1e-9)


@pytest.mark.slow
@few_examples
@given(SIZES, st.integers(1, 100_000))
def test_no_number_of_cores_beats_the_driver_and_single_tasks(text_bytes: float, nodes: int) -> None:
    question = ask(text_bytes, nodes=[f"{nodes}x96:1TB"])
    found = make_estimate(question)
    assert found.seconds >= sum(phase.driver_cpu_s + phase.single_cpu_s for phase in found.phases) * (1 - 1e-9)


def test_the_time_of_many_cores_is_that_of_what_they_do_not_share() -> None:
    question = ask(1e11, nodes=["100000x96:1TB"], compressed=True)
    read = estimate_phases(question)[0]
    assert read.bound == "the driver"
    assert read.seconds == pytest.approx(read.driver_cpu_s)


@few_examples
@given(SIZES, st.floats(200, 1e5))
def test_bytes_of_the_exchange_are_those_of_its_rows(text_bytes: float, mean: float) -> None:
    documents = max(1.0, text_bytes / mean)
    question = ask(text_bytes, documents)
    relate = next(phase for phase in estimate_phases(question) if phase.name == "relate dedup")
    facts = question.rates.facts
    left = 1 - facts["dedup.exact"]
    row_bytes = 24 + 16 * 25 * left + 16 * facts["dedup.candidate_pairs"]
    assert relate.exchange_bytes == pytest.approx(documents * row_bytes)


@pytest.mark.slow
@few_examples
@given(SIZES, st.floats(0.5, 20.0))
def test_ten_times_the_seconds_of_all_rates_are_ten_times_the_cpu_time(text_bytes: float, factor: float) -> None:
    rates = load_rates()
    engine = dataclasses.replace(
        rates.engines["local"],
        start_s=rates.engines["local"].start_s * factor,
        task_cpu_s=rates.engines["local"].task_cpu_s * factor,
    )
    constants = {name: value * factor if name.endswith("_s") else value for name, value in rates.constants.items()}
    scaled = dataclasses.replace(
        rates,
        cpu={key: rate.times(factor) for key, rate in rates.cpu.items()},
        parts={key: rate.times(factor) for key, rate in rates.parts.items()},
        driver={key: rate.times(factor) for key, rate in rates.driver.items()},
        engines={"local": engine},
        constants=constants,
    )
    before, after = make_estimate(ask(text_bytes)), make_estimate(ask(text_bytes, rates=scaled))
    assert after.cpu_s == pytest.approx(factor * before.cpu_s)
    assert after.seconds == pytest.approx(factor * before.seconds)
    assert after.work_bytes == pytest.approx(before.work_bytes)


def test_the_price_is_that_of_all_nodes_for_the_time() -> None:
    found = make_estimate(ask(1e10, nodes=["3x4:16GB:0.5", "1x8:32GB:2"]))
    assert found.cost == pytest.approx(found.seconds / 3600 * 3.5)


def test_a_node_without_a_price_has_no_cost() -> None:
    assert make_estimate(ask(1e10, nodes=["3x4:16GB:0.5", "1x8:32GB"])).cost is None


def test_fewer_bands_exchange_fewer_bytes_and_take_less_time() -> None:
    full, fewer = (make_estimate(ask(1e10, overrides=[f"dedup.permutations={count}"])) for count in (256, 64))
    assert fewer.exchange_bytes < full.exchange_bytes
    assert fewer.cpu_s < full.cpu_s


def test_a_recipe_with_more_stages_takes_more() -> None:
    assert make_estimate(ask(1e10, recipe="web-quality")).cpu_s > make_estimate(ask(1e10)).cpu_s


def test_a_small_input_is_cut_into_splits_of_four_mebibytes_and_a_large_one_of_eight() -> None:
    assert parts_of(ask(20e6).corpus) == pytest.approx(ask(20e6).corpus.plain_bytes / (4 << 20))
    assert parts_of(ask(1e12).corpus) == pytest.approx(ask(1e12).corpus.plain_bytes / (8 << 20))
    assert parts_of(ask(5000).corpus) == 1


def test_many_small_files_cost_their_opening() -> None:
    question = ask(1e9)
    many = dataclasses.replace(question, corpus=dataclasses.replace(question.corpus, files=1e6))
    opened = make_estimate(many).cpu_s - make_estimate(question).cpu_s
    assert opened == pytest.approx(1e6 * (FILE_TASK_S + FILE_DRIVER_S), rel=0.5)  # and some more tasks
    assert parts_of(many.corpus) > 2 * parts_of(question.corpus)
    assert any(line.startswith("1,000,000 files are opened") for line in make_estimate(many).assumptions)


def test_parameters_other_than_those_measured_are_named() -> None:
    assert unmeasured(ask(1e9)) == []
    trees = "outliers: its rate was measured with other trees"
    assert unmeasured(ask(1e9, overrides=["outliers.trees=400"])) == [trees]


def test_every_phase_of_the_plan_is_estimated() -> None:
    question = ask(1e9)
    assert [phase.name for phase in estimate_phases(question)] == [phase.describe() for phase in question.phases]
