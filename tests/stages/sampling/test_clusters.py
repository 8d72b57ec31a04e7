"""Sizes of clusters as weights in a draw."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.errors import UserError
from curator.keys import file_keys, random_fractions
from stages.sampling.clusters import (
    CLASSES,
    class_weights,
    classes_of,
    cuts_by_classes,
    divide_by_classes,
)
from stages.sampling.draw import BINS, bins_of, number_of_copies
from tests.runs import make_texts, rows, run_stages, write_jsonl

CAP = 6


def tokens_of(
    lengths: NDArray[np.int64], classes: NDArray[np.int64], fractions: NDArray[np.float64]
) -> NDArray[np.int64]:
    tokens = np.zeros((1, CLASSES, BINS), dtype=np.int64)
    np.add.at(tokens[0], (classes, bins_of(fractions)), lengths)
    return tokens


def test_sizes_are_told_apart_by_powers_of_two() -> None:
    sizes = np.array([0, 1, 2, 3, 4, 7, 8, 127, 128, 10**12])
    assert classes_of(sizes).tolist() == [0, 0, 1, 1, 2, 2, 3, 6, 7, 7]
    assert class_weights("members").tolist() == [1, 2, 4, 8, 16, 32, 64, 128]
    assert class_weights("none").tolist() == [1]


@given(st.lists(st.integers(0, 1000), min_size=CLASSES, max_size=CLASSES), st.integers(0, 30_000))
def test_a_target_is_divided_without_a_rest_and_within_the_cap(tokens: list[int], target: int) -> None:
    there = np.array([tokens], dtype=np.int64)
    wanted = min(target, CAP * int(there.sum()))
    divided = divide_by_classes(np.array([wanted]), there, class_weights("sqrt"), CAP)
    assert divided.sum() == wanted
    assert np.all(divided <= CAP * there)


def test_repeats_stand_in_the_ratio_of_the_weights_below_the_cap() -> None:
    there = np.full((1, CLASSES), 1_000_000)
    weights = class_weights("log")
    divided = divide_by_classes(np.array([4_000_000]), there, weights, CAP)[0]
    assert divided / divided[0] == pytest.approx(weights, rel=1e-4)


def test_what_one_class_cannot_have_at_its_cap_goes_to_the_others() -> None:
    there = np.full((1, CLASSES), 1000)
    divided = divide_by_classes(np.array([30_000]), there, class_weights("members"), CAP)[0]
    assert divided.sum() == 30_000
    assert divided[-1] == CAP * 1000
    assert np.all(np.diff(divided) >= 0)


def test_a_thousand_documents_in_clusters_are_drawn_within_two_percent() -> None:
    weights = class_weights("sqrt")
    for seed in range(40):
        chosen = np.random.default_rng(seed)
        lengths = chosen.lognormal(6, 1.2, 1000).astype(np.int64) + 1
        classes = classes_of(chosen.zipf(1.8, 1000).astype(np.int64))
        fractions = random_fractions(seed, "sampling", file_keys("corpus", np.arange(1000)))
        tokens = tokens_of(lengths, classes, fractions)
        target = np.array([int(lengths.sum() * chosen.uniform(0.3, 3))])
        divided = divide_by_classes(target, tokens.sum(axis=2), weights, CAP)
        whole, cut, drawn = cuts_by_classes(tokens, divided, CAP)
        copies = number_of_copies(whole[0, classes], cut[0, classes], fractions)
        assert int((copies * lengths).sum()) == drawn.sum()
        assert drawn.sum() == pytest.approx(target[0], rel=0.02)
        assert copies.max() <= CAP


@pytest.mark.slow
def test_what_had_duplicates_is_written_more_often_and_the_mix_stays(tmp_path: Path) -> None:
    documents = make_texts(250, seed=4)
    originals = [document for document in documents if document["text"].startswith(("t", "the"))][:40] or documents[:40]
    copies = [{**document, "id": f"{document['id']}-{number}"} for document in originals for number in range(5)]
    source = write_jsonl(tmp_path / "in.jsonl", [*documents, *copies])
    plan = "sampling: {{alpha: 0.5, cluster_weights: {}}}"
    runs = {}
    for kind in ("none", "members"):
        outcome = run_stages([source], tmp_path / kind, "dedup", plan.format(kind))
        runs[kind] = cast("dict[str, list[dict[str, float]]]", outcome.manifest["facts"])["sampling"]
    mixes = [{row["language"]: row["target"] for row in facts["languages"]} for facts in runs.values()]  # type: ignore[call-overload]
    assert mixes[0] == mixes[1]
    sizes = {row["id"]: row["dedup.cluster"] for row in rows(tmp_path / "members", "scores")}
    written: dict[bool, list[int]] = {True: [], False: []}
    for name, size in sizes.items():
        if size is not None:
            number = sum(str(row["id"]).split("#")[0] == name for row in rows(tmp_path / "members", "shards"))
            written[cast("int", size) > 4].append(number)
    assert np.mean(written[True]) > 2 * np.mean(written[False])
    clusters = runs["members"]["clusters"]  # type: ignore[call-overload]
    assert [row["weight"] for row in clusters] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert sum(row["drawn"] for row in clusters) == sum(row["drawn"] for row in runs["members"]["languages"])  # type: ignore[call-overload]


def test_weights_of_clusters_without_dedup_are_refused(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(3))
    with pytest.raises(UserError, match="'sampling' needs what 'dedup' finds"):
        run_stages([source], tmp_path / "run", "sampling: {cluster_weights: log}")
