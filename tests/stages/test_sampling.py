"""The stage `sampling`: the plan, and what becomes of documents under it."""

from __future__ import annotations

import io
import itertools
import math
import random
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import file_keys
from curator.stage import State
from stages.sampling import (
    QUOTA,
    REPEAT,
    SUMMARY_SCHEMA,
    TOKENS,
    Sampling,
    SamplingParameters,
    apportion,
    fill,
    language_weights,
    number_of_copies,
)

MT5_PAGES_MILLIONS = {"en": 3067, "ru": 756, "es": 416, "de": 397, "fr": 333, "it": 186, "pt": 169, "pl": 126}
MT5_PERCENT = {"en": 5.67, "ru": 3.71, "es": 3.09, "de": 3.05, "fr": 2.89, "it": 2.43, "pt": 2.36, "pl": 2.15}
"""Xue et al. 2021, table 6: pages of mC4 and the share of each language in the training of mT5 (alpha = 0.3)."""

counts = st.lists(st.one_of(st.just(0), st.integers(1, 50), st.integers(1, 10**12)), min_size=1, max_size=12)


def summary_of(tokens: Mapping[str, int], documents: int = 1) -> pa.Table:
    rows = [{"language": name, "documents": documents, "tokens": count} for name, count in sorted(tokens.items())]
    return pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA)


def plan_of(tokens: Mapping[str, int], **parameters: object) -> State:
    stage = Sampling(SamplingParameters.model_validate(parameters))
    return stage.fit(summary_of(tokens))


def per_language(state: State, name: str) -> dict[str, float]:
    return dict(zip(state["languages"].tolist(), state[name].tolist(), strict=True))


def batch_of(languages: Sequence[str], first: int = 0) -> Batch:
    count = len(languages)
    keys = file_keys("corpus.jsonl", np.arange(first, first + count))
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.tobytes() for row in keys], pa.binary(16)),
        "id": pa.array([str(first + row) for row in range(count)], pa.string()),
        "text": pa.array([""] * count, pa.string()),
        "source": pa.array(["web"] * count, pa.string()),
        "lang": pa.array(languages, pa.string()),
        "file": pa.array(["corpus.jsonl"] * count, pa.string()),
        "position": pa.array(np.arange(first, first + count)),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA).drop_columns(["text"]))


def copies_of(stage: Sampling, batch: Batch, state: State) -> NDArray[np.int64]:
    copies = np.ones(len(batch), dtype=np.int64)
    for row in stage.decide(batch, {}, state).table.to_pylist():
        assert row["rule"] == {"drop": QUOTA, "repeat": REPEAT}[row["action"]]
        copies[row["row"]] = 0 if row["action"] == "drop" else row["copies"]
    return copies


def test_alpha_one_is_the_natural_mix_and_leaves_every_document_as_it_is() -> None:
    tokens = {"en": 123_456_789, "br": 1, "oc": 977, "zh": 31_415_926}
    state = plan_of(tokens, alpha=1.0)
    assert per_language(state, "target") == tokens
    assert per_language(state, "repeats") == dict.fromkeys(tokens, 1.0)


def test_alpha_zero_gives_every_language_the_same() -> None:
    state = plan_of({"en": 1000, "br": 500, "oc": 600}, alpha=0.0)
    assert per_language(state, "target") == {"en": 700, "br": 700, "oc": 700}


def test_alpha_of_mbert_turns_a_thousandfold_lead_into_a_hundredfold_one() -> None:
    # The multilingual README of BERT: English is sampled 1000 times as often as Icelandic before, 100 times after.
    probability = per_language(plan_of({"en": 1_000_000, "is": 1000}, alpha=0.7), "probability")
    assert probability["en"] / probability["is"] == pytest.approx(1000**0.7, rel=1e-4)
    assert 100 <= probability["en"] / probability["is"] < 130


def test_alpha_of_mt5_gives_the_published_shares() -> None:
    probability = per_language(plan_of(MT5_PAGES_MILLIONS, alpha=0.3), "probability")
    published = sum(MT5_PERCENT.values())
    for language, percent in MT5_PERCENT.items():
        assert probability[language] == pytest.approx(percent / published, rel=0.01)


def test_the_exponent_raises_small_languages_and_never_starves_them() -> None:
    tokens = {"en": 10**9, "fr": 10**8, "br": 10**5}
    natural = per_language(plan_of(tokens, alpha=1.0), "probability")["br"]
    shares = [per_language(plan_of(tokens, alpha=alpha), "probability")["br"] for alpha in (0.9, 0.7, 0.5, 0.3, 0.0)]
    assert shares == sorted(shares)
    assert shares[0] > natural


def test_a_capped_language_releases_its_share_to_the_others_by_their_weights() -> None:
    tokens = {"a": 10, "b": 4000, "c": 4000, "d": 1990}
    state = plan_of(tokens, alpha=0.3, max_repeats=4)
    target, wanted = per_language(state, "target"), per_language(state, "wanted")
    assert target["a"] == 40
    assert per_language(state, "shortfall") == {"a": wanted["a"] - 40, "b": 0, "c": 0, "d": 0}
    assert wanted["a"] > 500
    weight = {name: count**0.3 for name, count in tokens.items()}
    others = weight["b"] + weight["c"] + weight["d"]
    for name in "bcd":
        assert target[name] == pytest.approx((10_000 - 40) * weight[name] / others, abs=1)


def test_a_cap_can_push_another_language_to_its_cap() -> None:
    # Shares alone: 250 each; `a` is cut to 40, then 320 each; now `b` (300 at most) is cut, then 330 each.
    assert fill(1000, [1, 1, 1, 1], [40, 300, 10_000, 10_000]) == [40, 300, 330, 330]


@given(counts, st.floats(0, 1), st.integers(1, 6), st.one_of(st.none(), st.integers(0, 10**13)))
def test_the_total_is_conserved_and_no_cap_exceeded(
    tokens: list[int], alpha: float, cap: int, wanted: int | None
) -> None:
    total = sum(tokens) if wanted is None else wanted
    caps = [cap * count for count in tokens]
    shares = fill(total, language_weights(tokens, alpha), caps)
    assert sum(shares) == min(total, sum(caps))
    assert all(0 <= share <= most for share, most in zip(shares, caps, strict=True))


@given(counts, st.floats(0, 1), st.integers(1, 6))
def test_a_larger_language_never_gets_less_nor_is_repeated_more(tokens: list[int], alpha: float, cap: int) -> None:
    tokens = sorted(count for count in tokens if count)
    shares = fill(sum(tokens), language_weights(tokens, alpha), [cap * count for count in tokens])
    for (small, first), (large, second) in itertools.pairwise(zip(tokens, shares, strict=True)):
        assert second >= first - 1
        # A whole token of rounding on either side.
        assert (second - 1) / large <= (first + 1) / small


@given(counts, st.floats(0, 1), st.integers(0, 10**12))
def test_capped_shares_keep_the_proportions_of_those_below_their_cap(
    tokens: list[int], alpha: float, total: int
) -> None:
    weights = language_weights(tokens, alpha)
    caps = [3 * count for count in tokens]
    shares = fill(total, weights, caps)
    below = [place for place, share in enumerate(shares) if share < caps[place]]
    for one, other in itertools.pairwise(below):
        # share / weight is one level for all that are not capped; each share is within a token of it.
        assert abs(shares[one] * weights[other] - shares[other] * weights[one]) <= weights[one] + weights[other]


@given(st.integers(0, 10**15), st.lists(st.integers(0, 2**90), max_size=20))
def test_apportioned_shares_add_up_and_stay_within_one_of_the_exact_share(total: int, weights: list[int]) -> None:
    shares = apportion(total, weights)
    whole = sum(weights)
    assert sum(shares) == (total if whole else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * whole - total * weight) < max(whole, 1)


@given(counts, st.floats(0, 1), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_languages(
    tokens: list[int], alpha: float, rng: random.Random
) -> None:
    caps = [4 * count for count in tokens]
    order = list(range(len(tokens)))
    rng.shuffle(order)
    straight = fill(sum(tokens), language_weights(tokens, alpha), caps)
    shuffled = fill(
        sum(tokens), language_weights([tokens[place] for place in order], alpha), [caps[place] for place in order]
    )
    # Ties between equal languages may go either way by one token; the stage itself orders languages by name.
    for place, share in zip(order, shuffled, strict=True):
        assert abs(share - straight[place]) <= 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["en", "br", "und", "zh"]), st.integers(0, 10**6))), st.lists(st.integers(0, 60))
)
def test_summaries_add_up_whatever_the_cut(documents: list[tuple[str, int]], cuts: list[int]) -> None:
    stage = Sampling(SamplingParameters())
    places = [0, *sorted(min(cut, len(documents)) for cut in cuts), len(documents)]

    def observed(rows: list[tuple[str, int]]) -> pa.Table:
        column = pa.array([tokens for _, tokens in rows], pa.int64())
        return stage.observe(batch_of([language for language, _ in rows]), {TOKENS: column})

    parts = [observed(documents[begin:end]) for begin, end in itertools.pairwise(places)]
    expected: dict[str, list[int]] = {}
    for language, tokens in documents:
        expected.setdefault(language, []).append(tokens)
    for merged in (stage.merge(parts), stage.merge(parts[::-1]), stage.merge([stage.merge(parts[:2]), *parts[2:]])):
        assert merged.to_pylist() == [
            {"language": language, "documents": len(found), "tokens": sum(found)}
            for language, found in sorted(expected.items())
        ]


def test_list_languages_are_pooled_and_und_is_a_group_of_its_own() -> None:
    stage = Sampling(SamplingParameters())
    tags = ["pt-BR", "pt", "PT_pt", "und", "not a tag", "nb", "no"]
    summary = stage.observe(batch_of(tags), {TOKENS: pa.array(range(1, 8), pa.int64())})
    assert {row["language"]: row["tokens"] for row in summary.to_pylist()} == {"no": 13, "pt": 6, "und": 9}


def test_realised_mix_is_close_to_the_plan() -> None:
    sizes = {"en": 20_000, "fr": 5000, "br": 1200, "oc": 1000}
    rng = np.random.default_rng(0)
    tags = [name for name, count in sizes.items() for _ in range(count)]
    tokens = rng.lognormal(6, 1, len(tags)).astype(np.int64) + 1
    stage, batch = Sampling(SamplingParameters(alpha=0.5)), batch_of(tags)
    state = stage.fit(stage.observe(batch, {TOKENS: pa.array(tokens)}))
    copies = copies_of(stage, batch, state)
    target = per_language(state, "target")
    written = {name: int((copies * tokens)[batch.languages.mask(name)].sum()) for name in sizes}
    for name in sizes:
        # Half a percentage point of the mix, and 2% of the language.
        assert abs(written[name] / sum(written.values()) - target[name] / sum(target.values())) < 0.005
        assert written[name] == pytest.approx(target[name], rel=0.02)


def test_added_data_changes_a_document_only_through_the_repeats_of_its_language() -> None:
    stage = Sampling(SamplingParameters(alpha=0.5))
    batch = batch_of(["en"] * 3000 + ["br"] * 300)
    tokens = pa.array(np.full(3300, 100))
    before = stage.fit(stage.observe(batch, {TOKENS: tokens}))
    more = stage.observe(batch_of(["en"] * 500, first=10_000), {TOKENS: pa.array(np.full(500, 100))})
    after = stage.fit(stage.merge([stage.observe(batch, {TOKENS: tokens}), more]))
    first, second = copies_of(stage, batch, before), copies_of(stage, batch, after)
    for language in ("en", "br"):
        rows = batch.languages.mask(language)
        change = per_language(after, "repeats")[language] - per_language(before, "repeats")[language]
        assert np.all((second - first)[rows] * np.sign(change) >= 0)
        assert abs((second - first)[rows]).mean() == pytest.approx(abs(change), abs=0.03)


@given(st.floats(0, 6), st.floats(0, 6), st.floats(0, 1, exclude_max=True))
def test_copies_grow_with_r_and_lie_next_to_it(one: float, other: float, fraction: float) -> None:
    low, high = sorted([one, other])
    few, many = number_of_copies(np.array([low, high]), np.array([fraction, fraction])).tolist()
    assert few <= many
    assert math.floor(low) <= few <= math.ceil(low)


def test_the_same_document_is_chosen_on_every_run_and_another_seed_chooses_others() -> None:
    batch = batch_of(["en"] * 2000 + ["br"] * 100)
    summary = summary_of({"en": 200_000, "br": 10_000})
    drawn = []
    for seed in (0, 0, 1):
        stage = Sampling(SamplingParameters(), seed=seed)
        drawn.append(copies_of(stage, batch, stage.fit(summary)))
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_the_score_of_a_dropped_document_is_the_repeats_of_its_language() -> None:
    stage, batch = Sampling(SamplingParameters(total=500)), batch_of(["en"] * 100)
    verdicts = stage.decide(batch, {}, stage.fit(summary_of({"en": 1000}))).table
    assert set(verdicts["action"].to_pylist()) == {"drop"}
    assert set(verdicts["score"].to_pylist()) == {0.5}


def test_a_language_without_tokens_is_kept_as_it_is() -> None:
    stage = Sampling(SamplingParameters(alpha=0.0))
    state = stage.fit(summary_of({"en": 1000, "zxa": 0}))
    assert per_language(state, "target") == {"en": 1000, "zxa": 0}
    assert per_language(state, "repeats") == {"en": 1.0, "zxa": 1.0}
    assert stage.fit(summary_of({"en": 0}))["repeats"].tolist() == [1.0]


def test_a_target_that_no_repeats_can_meet_is_a_shortfall_of_the_plan() -> None:
    stage = Sampling(SamplingParameters(total=100_000, max_repeats=2))
    facts = stage.facts(stage.fit(summary_of({"en": 1000, "br": 10})))
    assert (facts["total"], facts["target"], facts["shortfall"]) == (100_000, 2020, 97_980)


def test_children_fill_the_shortfall_and_count_with_the_originals() -> None:
    stage = Sampling(SamplingParameters(alpha=0.3))
    planned = stage.fit(summary_of({"en": 100_000, "br": 100}))
    settled = stage.settle(planned, summary_of({"br": 60}, documents=3))
    assert per_language(planned, "target") == {"en": 99_700, "br": 400}
    assert per_language(settled, "target") == {"en": 99_460, "br": 640}
    assert per_language(settled, "repeats")["br"] == 4.0
    assert per_language(settled, "shortfall")["br"] == per_language(planned, "shortfall")["br"] - 240
    assert per_language(settled, "child_tokens") == {"en": 0, "br": 60}


def test_children_beyond_the_shortfall_lower_the_repeats_of_all() -> None:
    stage = Sampling(SamplingParameters(alpha=0.7))
    planned = stage.fit(summary_of({"en": 10_000, "br": 1000}))
    wanted = per_language(planned, "wanted")["br"]
    assert per_language(planned, "repeats")["br"] == pytest.approx(wanted / 1000, rel=1e-5)
    settled = stage.settle(planned, summary_of({"br": 500}))
    assert per_language(settled, "repeats")["br"] == pytest.approx(wanted / 1500, rel=1e-5)


def test_settling_without_children_changes_nothing() -> None:
    stage = Sampling(SamplingParameters())
    planned = stage.fit(summary_of({"en": 10_000, "br": 1000}))
    settled = stage.settle(planned, SUMMARY_SCHEMA.empty_table())
    for name in planned:
        np.testing.assert_array_equal(planned[name], settled[name])


def test_the_state_survives_npz_without_pickle() -> None:
    stage, batch = Sampling(SamplingParameters()), batch_of(["en"] * 500 + ["br"] * 20)
    state = stage.fit(summary_of({"en": 50_000, "br": 2000}))
    kept = io.BytesIO()
    np.savez(kept, allow_pickle=False, **state)
    kept.seek(0)
    read = dict(np.load(kept, allow_pickle=False))
    assert np.array_equal(copies_of(stage, batch, state), copies_of(stage, batch, read))
    assert stage.facts(read) == stage.facts(state)


def test_an_empty_corpus_has_an_empty_plan() -> None:
    stage = Sampling(SamplingParameters())
    state = stage.fit(stage.merge([]))
    assert stage.facts(state)["languages"] == []
    assert stage.decide(batch_of([]), {}, state).table.num_rows == 0


def test_a_plan_for_a_thousand_languages_takes_under_a_second() -> None:
    tokens = {f"l{place:04}": int(1e12 / (place + 1) ** 2) + 1 for place in range(1000)}
    began = time.process_time()
    state = plan_of(tokens, alpha=0.3)
    assert time.process_time() - began < 1.0
    assert int(state["target"].sum()) == sum(tokens.values())


@pytest.mark.parametrize(
    "parameters",
    [{"alpha": -0.1}, {"alpha": 1.4}, {"total": 0}, {"total": "output"}, {"max_repeats": 0}, {"temperature": 0.7}],
)
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SamplingParameters.model_validate(parameters)
