"""The model file, and judging."""

from __future__ import annotations

import random
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.text.segment import segment
from stages.toxicity.classifier import (
    MODEL_PATH,
    NOT_JUDGED,
    Judgement,
    Model,
    judge,
    load_model,
    model_language,
    save_model,
)
from tests.stages.toxicity.helpers import text_buffer

LABELLED_LANGUAGES = {"de-Latn", "en-Latn", "es-Latn", "fr-Latn", "hi-Latn", "it-Latn", "nl-Latn", "pt-Latn", "zh-Hans"}


def judge_texts(texts: list[str], languages: list[int], model: Model | None = None) -> Judgement:
    data, offsets = text_buffer(texts)
    codes = np.array(languages, dtype=np.int32)
    return judge(model or load_model(), data, offsets, segment(data, offsets), codes)


def test_the_shipped_model_is_plain_arrays_for_the_languages_of_its_data() -> None:
    assert set(load_model().languages) == LABELLED_LANGUAGES
    assert MODEL_PATH.stat().st_size < 1_500_000
    with zipfile.ZipFile(MODEL_PATH) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                assert np.lib.format.read_magic(file) == (1, 0)
                _, _, dtype = np.lib.format.read_array_header_1_0(file)
                assert not dtype.hasobject


def test_a_saved_model_is_read_back_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    model = load_model()
    for name in ("one.npz", "two.npz"):
        save_model(model, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = load_model(tmp_path / "one.npz")
    assert (again.weights == model.weights).all()
    assert (again.languages, again.training) == (model.languages, model.training)
    assert (again.slopes.tolist(), again.intercepts.tolist()) == (model.slopes.tolist(), model.intercepts.tolist())


def altered(path: Path, **arrays: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Path:
    with np.load(MODEL_PATH, allow_pickle=False) as stored:
        content = {name: stored[name] for name in stored.files} | arrays
    np.savez(path, **{name: array for name, array in content.items() if array.size})
    return path


def test_a_model_whose_weights_were_changed_is_refused(tmp_path: Path) -> None:
    weights = load_model().weights.copy()
    weights[7] += 1
    with pytest.raises(UserError, match="do not match its digest"):
        load_model(altered(tmp_path / "model.npz", weights=weights))


def test_a_model_for_other_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="other features"):
        load_model(altered(tmp_path / "model.npz", specification=np.arange(9)))


def test_a_model_without_an_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has the arrays"):
        load_model(altered(tmp_path / "model.npz", slopes=np.zeros(0)))


def test_a_model_with_a_slope_that_is_no_number_is_refused(tmp_path: Path) -> None:
    model = load_model()
    path = tmp_path / "model.npz"
    save_model(replace(model, slopes=np.full(len(model.languages), np.nan)), path)
    with pytest.raises(UserError, match="slopes"):
        load_model(path)


def test_a_model_with_pickled_objects_is_refused_and_nothing_is_run(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, weights=np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="plain arrays"):
        load_model(path)


@pytest.mark.parametrize("content", [None, b"", b"not an archive", b"\x80\x04."])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="the classifier") as caught:
        load_model(path)
    assert caught.value.file == str(path)
    assert caught.value.hint is not None


def test_a_damaged_model_is_refused_or_still_the_same(tmp_path: Path) -> None:
    chance = random.Random(0)
    whole = MODEL_PATH.read_bytes()
    refused = 0
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path = tmp_path / f"{number}.npz"
        path.write_bytes(damaged[: chance.randrange(len(damaged))] if number % 4 == 0 else damaged)
        try:
            assert (load_model(path).weights == load_model().weights).all()
        except UserError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("de", "de-Latn"),
        ("de-AT", "de-Latn"),
        ("pt-BR", "pt-Latn"),
        ("zh", "zh-Hans"),
        ("cmn", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("hi", "hi-Deva"),
        ("hi-Latn", "hi-Latn"),
        ("und", "und"),
        ("no such tag", "und"),
    ],
)
def test_a_tag_is_judged_by_its_language_and_script(tag: str, expected: str) -> None:
    assert model_language(tag) == expected


def test_probabilities_are_null_where_nothing_is_judged() -> None:
    found = judge_texts(["some words", "some words", "...", ""], [1, NOT_JUDGED, 1, 1])
    assert np.isnan(found.worst).tolist() == [False, True, True, True]
    assert np.isnan(found.mean).tolist() == [False, True, True, True]


def test_an_empty_batch_is_judged() -> None:
    assert judge_texts([], []).worst.tolist() == []


@given(texts=st.lists(st.text(st.sampled_from("ab .?中é\n"), max_size=300), min_size=1, max_size=5))
def test_the_worst_window_is_at_least_the_mean_and_both_are_probabilities(texts: list[str]) -> None:
    found = judge_texts(texts, [0] * len(texts))
    judged = ~np.isnan(found.worst)
    assert (found.worst[judged] >= found.mean[judged] - 1e-12).all()
    assert ((found.mean[judged] >= 0) & (found.worst[judged] <= 1)).all()


def test_a_text_is_judged_the_same_alone_and_among_others() -> None:
    texts = ["I like the weather here. " * 40, "Was ist das?", "你好，世界。" * 50, "short"]
    together = judge_texts(texts, [1, 0, 8, 1])
    for row, (text, code) in enumerate(zip(texts, [1, 0, 8, 1], strict=True)):
        alone = judge_texts([text], [code])
        assert (alone.worst[0], alone.mean[0]) == (together.worst[row], together.mean[row])


def test_loading_reads_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    shutil.copy(MODEL_PATH, path)
    first = load_model(path)
    path.unlink()
    assert load_model(path) is first
