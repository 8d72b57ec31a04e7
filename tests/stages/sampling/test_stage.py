"""The stage `sampling`: the plan, and what becomes of documents under it."""

from __future__ import annotations

import io
import itertools
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
from stages.sampling.draw import BINS
from stages.sampling.stage import (
    OTHER,
    QUOTA,
    REPEAT,
    SOURCE_QUOTA,
    SOURCE_REPEAT,
    SUMMARY_SCHEMA,
    TOKENS,
    Sampling,
    SamplingParameters,
)

MT5_PAGES_MILLIONS = {"en": 3067, "ru": 756, "es": 416, "de": 397, "fr": 333, "it": 186, "pt": 169, "pl": 126}
MT5_PERCENT = {"en": 5.67, "ru": 3.71, "es": 3.09, "de": 3.05, "fr": 2.89, "it": 2.43, "pt": 2.36, "pl": 2.15}
"""Xue et al. 2021, table 6: pages of mC4 and the share of each language in the training of mT5 (alpha = 0.3)."""


def summary_of(tokens: Mapping[str, int], documents: int = 1) -> pa.Table:
    rows = [
        {"language": name, "source": OTHER, "cluster": 0, "bin": None, "documents": documents, "tokens": count}
        for name, count in sorted(tokens.items())
    ]
    return pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA)


def plan_of(tokens: Mapping[str, int], **parameters: object) -> State:
    stage = Sampling(SamplingParameters.model_validate(parameters))
    return stage.fit(summary_of(tokens))


def per_language(state: State, name: str) -> dict[str, float]:
    return dict(zip(state["languages"].tolist(), state[name].tolist(), strict=True))


def batch_of(languages: Sequence[str], first: int = 0, sources: Sequence[str] = ()) -> Batch:
    count = len(languages)
    keys = file_keys("corpus.jsonl", np.arange(first, first + count))
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.tobytes() for row in keys], pa.binary(16)),
        "id": pa.array([str(first + row) for row in range(count)], pa.string()),
        "text": pa.array([""] * count, pa.string()),
        "source": pa.array(sources or ["web"] * count, pa.string()),
        "lang": pa.array(languages, pa.string()),
        "file": pa.array(["corpus.jsonl"] * count, pa.string()),
        "position": pa.array(np.arange(first, first + count)),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA).drop_columns(["text"]))


def copies_of(stage: Sampling, batch: Batch, state: State) -> NDArray[np.int64]:
    copies = np.ones(len(batch), dtype=np.int64)
    for row in stage.decide(batch, {}, state).table.to_pylist():
        assert (
            row["rule"]
            == {
                "drop": (QUOTA, SOURCE_QUOTA),
                "repeat": (REPEAT, SOURCE_REPEAT),
            }[row["action"]][bool(stage.parameters.source_shares)]
        )
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


CELLS = st.tuples(
    st.sampled_from(["en", "br", "und", "zh-Hant", "zh"]), st.sampled_from([OTHER, "web", "news"]), st.integers(0, 2)
)


@pytest.mark.slow
@given(
    st.lists(st.lists(st.tuples(CELLS, st.none() | st.integers(0, BINS - 1), st.integers(0, 9), st.integers(0, 2**50))))
)
def test_a_merged_summary_has_the_sums_of_each_cell_in_the_order_of_cells(
    parts: list[list[tuple[tuple[str, str, int], int | None, int, int]]],
) -> None:
    expected: dict[tuple[object, ...], tuple[int, int]] = {}
    tables = []
    for part in parts:
        rows = [dict(zip(SUMMARY_SCHEMA.names, (*cell, *rest), strict=True)) for cell, *rest in part]
        tables.append(pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA))
        for cell, step, documents, tokens in part:
            before = expected.get((*cell, step), (0, 0))
            expected[(*cell, step)] = before[0] + documents, before[1] + tokens
    merged = Sampling(SamplingParameters(cluster_weights="sqrt")).merge(tables)
    assert merged.schema == SUMMARY_SCHEMA
    found = [tuple(row.values()) for row in merged.to_pylist()]
    ordered = sorted(expected, key=lambda cell: (*cell[:3], cell[3] is None, cell[3] or 0))
    assert found == [(*cell, *expected[cell]) for cell in ordered]


@pytest.mark.slow
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
    once = stage.merge(parts)
    for merged in (stage.merge(parts[::-1]), stage.merge([stage.merge(parts[:2]), *parts[2:]])):
        assert merged.equals(once)
    plan = stage.fit(once)
    assert per_language(plan, "documents") == {language: len(found) for language, found in expected.items()}
    assert per_language(plan, "tokens") == {language: sum(found) for language, found in expected.items()}


def test_list_languages_are_pooled_and_und_is_a_group_of_its_own() -> None:
    stage = Sampling(SamplingParameters())
    tags = ["pt-BR", "pt", "PT_pt", "und", "not a tag", "nb", "no"]
    plan = stage.fit(stage.observe(batch_of(tags), {TOKENS: pa.array(range(1, 8), pa.int64())}))
    assert per_language(plan, "tokens") == {"no": 13, "pt": 6, "und": 9}


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
    assert copies_of(stage, batch, state).min() != copies_of(stage, batch, state).max()
    kept = io.BytesIO()
    np.savez(kept, allow_pickle=False, **state)
    kept.seek(0)
    read = dict(np.load(kept, allow_pickle=False))
    assert np.array_equal(copies_of(stage, batch, state), copies_of(stage, batch, read))
    assert stage.facts(read) == stage.facts(state)


@pytest.mark.parametrize("shares", [{}, {"web": 0.5}, {"web": 0.5, "books": 0.5}])
def test_an_empty_corpus_has_an_empty_plan(shares: dict[str, float]) -> None:
    stage = Sampling(SamplingParameters(source_shares=shares))
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


MIX = {"web": 0.45, "books": 0.22, "papers": 0.15, "dialogue": 0.10, "code": 0.08}
"""The source mix of the product."""


def corpus_of_sources(seed: int) -> tuple[Batch, NDArray[np.int64]]:
    chosen = np.random.default_rng(seed)
    languages = chosen.choice(["en", "fr", "de", "br"], 40_000, p=[0.6, 0.2, 0.17, 0.03])
    sources = chosen.choice([*MIX, "forum:one"], 40_000, p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    tokens = chosen.lognormal(6, 1, 40_000).astype(np.int64) + 1
    return batch_of(languages.tolist(), sources=sources.tolist()), tokens


def test_languages_and_sources_are_mixed_together() -> None:
    batch, tokens = corpus_of_sources(0)
    stage = Sampling(SamplingParameters(alpha=0.5, source_shares=MIX))
    state = stage.fit(stage.observe(batch, {TOKENS: pa.array(tokens)}))
    facts = stage.facts(state)
    copies = copies_of(stage, batch, state)
    written = int((copies * tokens).sum())
    alone = plan_of({row["language"]: row["tokens"] for row in facts["languages"]}, alpha=0.5)  # type: ignore[attr-defined]
    assert per_language(state, "target") == per_language(alone, "target")
    for name, share in MIX.items():
        of_source = int((copies * tokens)[batch.source_groups.mask(name)].sum())
        assert of_source / written == pytest.approx(share, abs=0.005)
        assert {"source": name, "drawn": of_source}.items() <= row_of(facts["sources"], source=name).items()
    for name in ("en", "fr", "de", "br"):
        of_language = int((copies * tokens)[batch.languages.mask(name)].sum())
        assert of_language == pytest.approx(per_language(state, "target")[name], rel=0.02)
        assert of_language == per_language(state, "drawn")[name]
    assert not copies[batch.source_groups.mask("forum")].any(), "the shares leave nothing to other sources"


def row_of(rows: object, **which: str) -> dict[str, object]:
    assert isinstance(rows, list)
    (found,) = (row for row in rows if which.items() <= row.items())
    assert isinstance(found, dict)
    return found


def test_what_the_shares_of_sources_leave_goes_to_all_others() -> None:
    batch, tokens = corpus_of_sources(1)
    stage = Sampling(SamplingParameters(alpha=1.0, source_shares={"web": 0.3}))
    state = stage.fit(stage.observe(batch, {TOKENS: pa.array(tokens)}))
    copies = copies_of(stage, batch, state)
    web = batch.source_groups.mask("web")
    assert (copies * tokens)[web].sum() / (copies * tokens).sum() == pytest.approx(0.3, abs=0.005)
    forum = batch.source_groups.mask("forum")
    natural = tokens[forum].sum() / tokens[~web].sum()
    assert (copies * tokens)[forum].sum() / (copies * tokens)[~web].sum() == pytest.approx(natural, abs=0.01)


def test_children_count_for_the_source_that_they_have() -> None:
    stage = Sampling(SamplingParameters(alpha=0.0, total=400, source_shares={"web": 0.5}))
    summary = pa.concat_tables([summary_of({"br": 10, "en": 390}), in_source("web", {"br": 10, "en": 390})])
    planned = stage.fit(stage.merge([summary]))
    assert per_language(planned, "target") == {"br": 80, "en": 320}
    settled = stage.settle(planned, in_source("web", {"br": 50}))
    assert per_language(settled, "target") == {"br": 200, "en": 200}
    cells = stage.facts(settled)["cells"]
    assert row_of(cells, language="br", source="")["target"] == 40
    assert row_of(cells, language="br", source="web")["target"] == 160


def test_what_a_recipe_asks_of_a_source_without_text_is_in_the_plan() -> None:
    stage = Sampling(SamplingParameters(source_shares={"web": 0.6, "papers": 0.4}))
    sources = stage.facts(stage.fit(in_source("web", {"en": 1000})))["sources"]
    assert {"wanted": 400, "target": 0}.items() <= row_of(sources, source="papers").items()
    assert {"wanted": 600, "target": 1000}.items() <= row_of(sources, source="web").items()


def test_counts_beyond_what_128_steps_of_them_would_fit_in_are_spread_exactly() -> None:
    tokens = {"en": 2**52 + 1, "br": 129}
    assert per_language(plan_of(tokens, alpha=1.0), "tokens") == tokens


def in_source(source: str, tokens: Mapping[str, int]) -> pa.Table:
    rows = [{**row, "source": source} for row in summary_of(tokens).to_pylist()]
    return pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA)


def test_a_fixed_share_of_a_language_holds_and_the_others_keep_their_mix() -> None:
    state = plan_of({"en": 6000, "fr": 3000, "br": 1000}, alpha=1.0, language_shares={"en": 0.2}, max_repeats=10)
    assert per_language(state, "target") == {"en": 2000, "fr": 6000, "br": 2000}


def test_a_language_with_a_share_and_no_text_is_short_of_all_of_it() -> None:
    state = plan_of({"en": 1000}, language_shares={"cy": 0.1})
    assert per_language(state, "shortfall") == {"en": 0, "cy": 100}
    assert per_language(state, "target") == {"en": 1000, "cy": 0}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"language_shares": {"en": 0.7, "fr": 0.4}}, "language_shares add up to 1.1"),
        ({"source_shares": {"web": 0.9, "books": 0.2}}, "source_shares add up to 1.1"),
        ({"language_shares": {"pt": 0.1, "pt-BR": 0.1}}, "two of the languages are one"),
        ({"language_shares": {"elvish!": 0.1}}, "no language tag: elvish!"),
        ({"source_shares": {"web": 0}}, "greater than 0"),
    ],
)
def test_wrong_shares_are_refused(parameters: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SamplingParameters.model_validate(parameters)
