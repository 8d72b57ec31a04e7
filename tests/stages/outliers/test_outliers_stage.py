"""The stage `outliers` as an engine runs it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import file_keys
from curator.run.states import load_state, write_state
from curator.stage import State
from stages.outliers.groups import groups_of
from stages.outliers.stage import EMBEDDING, RULE, SCORE, SUMMARY_SCHEMA, Outliers, OutliersParameters

WORDS = {
    "en": "the of and to in is was that for on with as by at from his they are this have not but had",
    "el": "και το να του η της με που την από για είναι στο ότι δεν θα μια στην αυτό έχει",
    "br": "ar an da ha ur ez eo gant evit war e o deus bet hag zo",
}


def sentence(language: str, rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS[language].split()) for _ in range(rng.randint(30, 80)))


def batch_of(texts: Sequence[str], languages: Sequence[str], first: int = 0) -> Batch:
    count = len(texts)
    keys = file_keys("corpus.jsonl", np.arange(first, first + count))
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.tobytes() for row in keys], pa.binary(16)),
        "id": pa.array([str(first + row) for row in range(count)], pa.string()),
        "text": pa.array(texts, pa.string()),
        "source": pa.array(["web"] * count, pa.string()),
        "lang": pa.array(languages, pa.string()),
        "file": pa.array(["corpus.jsonl"] * count, pa.string()),
        "position": pa.array(np.arange(first, first + count)),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA))


def corpus(sizes: dict[str, int], seed: int = 0) -> Batch:
    rng = random.Random(seed)
    languages = [language for language, count in sizes.items() for _ in range(count)]
    rng.shuffle(languages)
    return batch_of([sentence(language if language in WORDS else "en", rng) for language in languages], languages)


def fitted(stage: Outliers, batch: Batch) -> State:
    return stage.fit(stage.observe(batch, stage.annotate(batch)))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 90), max_size=6), order=st.randoms(use_true_random=False))
def test_summaries_merge_to_the_same_table_whatever_the_cut_and_order(cuts: list[int], order: random.Random) -> None:
    stage = Outliers(OutliersParameters(sample=12, min_documents=2))
    whole = corpus({"en": 50, "el": 30, "und": 10})
    columns = stage.annotate(whole)
    places = [0, *sorted(cuts), len(whole)]
    summaries = []
    for begin, end in itertools.pairwise(places):
        rows = np.arange(begin, end)
        part = {name: column.take(pa.array(rows)) for name, column in columns.items()}
        summaries.append(stage.observe(whole.select(rows), part))
    order.shuffle(summaries)
    middle = len(summaries) // 2
    merged = stage.merge([stage.merge(summaries[:middle]), stage.merge(summaries[middle:])])
    assert merged.equals(stage.observe(whole, columns))


def test_summary_keeps_the_least_hashes_and_counts_all_documents() -> None:
    stage = Outliers(OutliersParameters(sample=12, min_documents=2))
    everything = Outliers(OutliersParameters(sample=1000, min_documents=2))
    whole = corpus({"en": 50, "el": 7})
    columns = stage.annotate(whole)
    summary, complete = stage.observe(whole, columns), everything.observe(whole, columns)
    for language, count in (("en", 50), ("el", 7)):
        rows = [row for row in summary.to_pylist() if row["language"] == language]
        words = [row["word"] for row in complete.to_pylist() if row["language"] == language]
        assert [row["word"] for row in rows] == sorted(words)[:12]
        assert sum(row["documents"] for row in rows) == count


def test_merge_of_nothing_is_an_empty_summary_that_fits() -> None:
    stage = Outliers(OutliersParameters())
    empty = stage.merge([])
    assert empty.schema == SUMMARY_SCHEMA
    state = stage.fit(empty)
    batch = corpus({"en": 3})
    assert stage.decide(batch, stage.annotate(batch), state).table.num_rows == 0
    assert stage.facts(state) == {"min_documents": 100, "fitted": [], "skipped": []}


def test_planted_garbage_is_flagged_and_real_text_is_not() -> None:
    stage = Outliers(OutliersParameters())
    state = fitted(stage, corpus({"en": 300, "el": 200}))
    rng = random.Random(5)
    table = "\n".join("\t".join(str(rng.randint(0, 9999)) for _ in range(8)) for _ in range(10))
    mash = "".join(rng.choice("asdfghjkl;qwrtzxcvb") for _ in range(300))
    real = [sentence("en", rng) for _ in range(100)]
    # The last is English that is labelled Greek: ordinary elsewhere, an outlier here.
    planted = [table, mash, table, real[0]]
    fresh = batch_of([*real, *planted], ["en"] * 102 + ["el"] * 2)
    verdicts = stage.decide(fresh, stage.annotate(fresh), state).table
    rows = verdicts["row"].to_pylist()
    assert rows[-4:] == [100, 101, 102, 103]
    assert len(rows) <= 4 + 5
    assert set(verdicts["action"].to_pylist()) == {"flag"}
    assert set(verdicts["rule"].to_pylist()) == {RULE}
    assert all(row["score"] > row["threshold"] for row in verdicts.to_pylist())


def test_drop_is_only_by_request() -> None:
    stage = Outliers(OutliersParameters(drop=True))
    state = fitted(stage, corpus({"en": 300}))
    fresh = batch_of(["0123456789 " * 40], ["en"])
    assert stage.decide(fresh, stage.annotate(fresh), state).table["action"].to_pylist() == ["drop"]


def test_contamination_is_the_share_of_the_sample_that_is_flagged() -> None:
    batch = corpus({"en": 400, "el": 400})
    stage = Outliers(OutliersParameters(contamination=0.02, contamination_by_language={"el": 0.1}))
    verdicts = stage.decide(batch, stage.annotate(batch), fitted(stage, batch)).table
    flagged = batch.languages.mask("el")[verdicts["row"].to_numpy()]
    # At most the share; scores that are equal after rounding may keep a few out.
    assert 36 <= flagged.sum() <= 40
    assert 6 <= (~flagged).sum() <= 8


def test_a_short_text_is_no_outlier_for_being_short() -> None:
    rng = random.Random(7)
    texts = [" ".join(sentence("en", rng).split()[: 3 if row % 2 else 30]) for row in range(1000)]
    batch = batch_of(texts, ["en"] * 1000)
    stage = Outliers(OutliersParameters(contamination=0.02))
    rows = stage.decide(batch, stage.annotate(batch), fitted(stage, batch)).table["row"].to_numpy()
    assert 18 <= len(rows) <= 20
    assert 5 <= (rows % 2).sum() <= 15


def test_the_rarer_script_of_a_language_is_no_outlier_of_the_other() -> None:
    rng = random.Random(3)
    cyrillic = "и у на је да се са од за као што није био али су ја ми то они из по до који тај овај сам"
    latin = "i u na je da se sa od za kao što nije bio ali su ja mi to oni iz po do koji taj ovaj sam"
    garbage = ["0123456789 " * 40, "ѫѫѫѫ ѮѮѮ " * 40]
    texts = [" ".join(rng.choices((cyrillic if row % 10 else latin).split(), k=60)) for row in range(300)]
    batch = batch_of([*texts, *garbage], ["sr"] * 302)
    stage = Outliers(OutliersParameters(min_documents=30, contamination_by_language={"sr": 0.02}))
    columns = stage.annotate(batch)
    state = fitted(stage, batch)
    verdicts = stage.decide(batch, columns, state).table
    assert {300, 301} <= set(verdicts["row"].to_pylist())
    assert sum(row % 10 == 0 for row in verdicts["row"].to_pylist() if row < 300) <= 1
    facts = stage.facts(state)
    assert isinstance(facts["fitted"], list)
    assert [(row["language"], row["documents"]) for row in facts["fitted"]] == [("sr", 272), ("sr-Latn", 30)]
    # Too few in that script: they are not judged, and said so.
    few = Outliers(OutliersParameters(min_documents=100))
    state = fitted(few, batch)
    assert few.facts(state)["skipped"] == [{"language": "sr-Latn", "documents": 30, "reason": "too few documents"}]
    scores = few.score(batch, few.annotate(batch), state)[SCORE]
    assert set(np.flatnonzero(scores.is_null().to_numpy(zero_copy_only=False)).tolist()) == set(range(0, 300, 10))
    # Scores of a pass that has the columns and no text are the same.
    without = Batch(batch.documents.drop_columns(["text"]))
    assert few.score(without, columns, state)[SCORE].equals(scores)


def test_the_group_is_the_language_unless_it_is_written_in_several_scripts() -> None:
    texts = ["Пишем по-русски", "Uzbek tilida matn", "ўзбек тилида матн", "1234", "ქართული", "", "text"]
    groups = groups_of(batch_of(texts, ["en", "uz", "uz", "uz", "uz", "uz", "und"]))
    assert [groups.names[code] for code in groups.codes] == ["en", "uz", "uz-Cyrl", "uz", "uz", "uz", "und"]
    assert groups_of(batch_of([], [])).names == ()


def test_languages_under_the_minimum_and_und_are_skipped_and_said_so() -> None:
    batch = corpus({"en": 120, "br": 99, "und": 150})
    stage = Outliers(OutliersParameters())
    state = fitted(stage, batch)
    facts = stage.facts(state)
    assert isinstance(facts["fitted"], list)
    assert [(row["language"], row["documents"], row["sampled"]) for row in facts["fitted"]] == [("en", 120, 120)]
    assert facts["skipped"] == [
        {"language": "br", "documents": 99, "reason": "too few documents"},
        {"language": "und", "documents": 150, "reason": "no known language"},
    ]
    scores = stage.score(batch, stage.annotate(batch), state)[SCORE]
    unscored = ~batch.languages.mask("en")
    np.testing.assert_array_equal(scores.is_null().to_numpy(zero_copy_only=False), unscored)
    assert stage.coverage("und") == "not judged"
    assert stage.coverage("br") is None


def test_a_language_unseen_by_the_fit_is_not_judged() -> None:
    stage = Outliers(OutliersParameters())
    state = fitted(stage, corpus({"en": 120}))
    fresh = batch_of(["0000 1111"], ["sw"])
    assert stage.score(fresh, stage.annotate(fresh), state)[SCORE].null_count == 1
    assert stage.decide(fresh, stage.annotate(fresh), state).table.num_rows == 0


def test_decide_takes_the_public_scores_when_they_are_there() -> None:
    stage = Outliers(OutliersParameters())
    batch = corpus({"en": 200, "br": 20})
    columns = stage.annotate(batch)
    state = fitted(stage, batch)
    with_scores = stage.decide(batch, {**columns, **stage.score(batch, columns, state)}, state)
    assert with_scores.table.equals(stage.decide(batch, columns, state).table)
    assert with_scores.table.num_rows > 0


def test_fit_is_the_same_every_time_and_follows_the_seed() -> None:
    batch = corpus({"en": 150})
    first, again = (fitted(Outliers(OutliersParameters(), seed=3), batch) for _ in range(2))
    other = fitted(Outliers(OutliersParameters(), seed=4), batch)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["thresholds"], other["thresholds"])


def test_a_language_has_the_same_forest_whatever_others_there_are() -> None:
    stage = Outliers(OutliersParameters())
    batch = corpus({"en": 150, "el": 150})
    alone = batch.select(np.flatnonzero(batch.languages.mask("el")))
    both, single = fitted(stage, batch), fitted(stage, alone)
    np.testing.assert_array_equal(both["thresholds"][both["forest"][both["languages"] == "el"]], single["thresholds"])


def test_state_and_embeddings_survive_their_files(tmp_path: Path) -> None:
    stage = Outliers(OutliersParameters())
    batch = corpus({"en": 150, "br": 20})
    columns = stage.annotate(batch)
    state = fitted(stage, batch)
    stored = pa.BufferOutputStream()
    write_state(tmp_path / "state", state)
    pq.write_table(pa.table(dict(columns)), stored)
    read_state = load_state(str(tmp_path / "state"))
    read_columns = {EMBEDDING: pq.read_table(stored.getvalue())[EMBEDDING].combine_chunks()}
    assert stage.decide(batch, read_columns, read_state).table.equals(stage.decide(batch, columns, state).table)


@pytest.mark.parametrize(
    "parameters",
    [
        {"contamination": 0},
        {"contamination": 0.6},
        {"contamination_by_language": {"fr": 0}},
        {"trees": 0},
        {"sample": 50},
        {"max_samples": 1},
        {"contaminatoin": 0.1},
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OutliersParameters.model_validate(parameters)
