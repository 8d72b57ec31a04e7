"""Fitting of the head on real embeddings: the same bytes each time, no template on both sides, embeddings kept."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from curator.embeddings import DIMENSIONS
from curator.errors import UserError
from stages.toxicity.embedding_cache import EmbeddingCache
from stages.toxicity.head import load_head
from stages.toxicity.train import FOLDS, choose_clean, fold_of, main, make_clean_examples, make_examples
from stages.toxicity.train_head import (
    Embedded,
    choose_labelled,
    clean_pieces,
    cross_validate,
    embed_and_train,
    fit_mix,
    leave_languages_out,
    train_head,
)
from stages.toxicity.training_data import Text
from tests.stages.toxicity.test_train import clean_texts, write_jsonl

GROUPS = ("Martians", "gnomes", "elves")


def labelled_texts() -> list[Text]:
    return [
        Text(f"{group} {verb} {word}.", lang, "test", label, "", f"{verb}{word}")
        for lang in ("en", "nl")
        for label, verbs in ((0, ("help", "greet")), (1, ("rob", "bite")))
        for group, verb, word in product(GROUPS[:2], verbs, ("us", "them", "you"))
    ]


def made_up(rows: int = 160) -> Embedded:
    """Vectors whose first number tells the label; languages shift the second."""
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 2, rows)
    vectors = chance.normal(size=(rows, DIMENSIONS)).astype(np.float32)
    vectors[:, 0] += 4 * labels
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    languages = np.array(["en-Latn", "nl-Latn"])[np.arange(rows) % 2]
    folds = np.array([fold_of(str(row // 4)) for row in range(rows)])
    return Embedded(vectors, labels.astype(np.int64), languages, folds, chance.normal(size=rows) + labels)


@pytest.mark.long
def test_a_head_is_fitted_on_texts_that_are_embedded_and_kept(tmp_path: Path) -> None:
    texts = labelled_texts()
    examples = make_examples(texts)
    clean = make_clean_examples(clean_texts(), ["en-Latn"])
    head = embed_and_train(texts, examples, clean, clean_texts()[:2], tmp_path / "embeddings", {"from": "a test"})
    assert head.languages == ("en-Latn", "nl-Latn")
    assert json.loads(head.training) == {"clean_embedded": 4, "embedded": 48, "from": "a test"}
    kept = EmbeddingCache(tmp_path / "embeddings").vectors(texts)
    labels = np.array([text.label for text in texts])
    assert roc_auc_score(labels, head.scores(kept)) > 0.9


@pytest.mark.long
def test_training_with_embeddings_writes_a_head_and_the_second_time_makes_no_embedding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hatecheck = write_jsonl(tmp_path / "hatecheck.jsonl", labelled_texts())
    clean = write_jsonl(tmp_path / "clean.jsonl", clean_texts()[:4])
    folder = tmp_path / "embeddings"
    pieces = []
    for name in ("one", "two"):
        outputs = ["--output", str(tmp_path / f"{name}.npz"), "--head", str(tmp_path / f"{name}.head.npz")]
        main([str(hatecheck), "--clean", str(clean), "--embeddings", str(folder), *outputs])
        pieces.append(sorted(path.name for path in folder.iterdir()))
    assert pieces[0] == pieces[1] != []
    assert (tmp_path / "one.head.npz").read_bytes() == (tmp_path / "two.head.npz").read_bytes()
    head = load_head(tmp_path / "one.head.npz")
    assert head.languages == ("en-Latn", "nl-Latn")
    assert json.loads(head.training)["embedded"] == 48
    assert "one.head.npz: 2 languages" in capsys.readouterr().out


@pytest.mark.slow
def test_embeddings_of_another_embedder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    EmbeddingCache(folder).vectors([Text("a word", "en")])
    (piece,) = folder.iterdir()
    with np.load(piece, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(piece, allow_pickle=False, **{**arrays, "embedder": np.array("another")})
    with pytest.raises(UserError, match="another version of the embedder"):
        EmbeddingCache(folder)


@pytest.mark.slow
def test_a_labelled_text_without_a_unit_is_refused(tmp_path: Path) -> None:
    texts = [*labelled_texts(), Text("...", "en", label=1, template="dots")]
    examples = make_examples(texts)
    with pytest.raises(UserError, match="has no unit"):
        embed_and_train(texts, examples, examples, [], tmp_path / "embeddings", {})


def test_the_texts_with_the_least_hashes_of_each_language_are_chosen_whatever_their_order() -> None:
    texts = [Text(f"text {number}", lang) for number in range(50) for lang in ("en", "nl")]
    chosen = {texts[place].text + texts[place].lang for place in choose_labelled(texts, 20).tolist()}
    turned = texts[::-1]
    assert chosen == {turned[place].text + turned[place].lang for place in choose_labelled(turned, 20).tolist()}
    assert len(chosen) == 40


def test_clean_pieces_are_a_window_and_a_sentence_of_a_text() -> None:
    chosen = choose_clean(clean_texts(), ["en-Latn"], "man")[:3]
    pieces = clean_pieces(chosen)
    assert len(pieces) == 6
    assert all(any(piece.text in text.text for text in chosen) for piece in pieces)


@pytest.mark.slow
def test_cross_validation_finds_what_the_vectors_tell_and_not_what_only_the_text_itself_could() -> None:
    labelled = made_up()
    clean = np.zeros((0, DIMENSIONS), dtype=np.float32)
    assert roc_auc_score(labelled.labels, cross_validate(labelled, clean)) > 0.7
    chance = np.random.default_rng(5).permutation(labelled.labels)
    shuffled = Embedded(labelled.vectors, chance, labelled.languages, labelled.folds, labelled.linear)
    assert abs(roc_auc_score(chance, cross_validate(shuffled, clean)) - 0.5) < 0.15


def test_a_language_left_out_is_judged_by_the_others() -> None:
    labelled = made_up()
    names = np.array([], dtype=np.str_)
    scores = leave_languages_out(labelled, np.zeros((0, DIMENSIONS), dtype=np.float32), names)
    assert roc_auc_score(labelled.labels, scores) > 0.65


def test_a_useless_score_gets_no_part_of_the_mix() -> None:
    chance = np.random.default_rng(7)
    labels = chance.integers(0, 2, 5000)
    good, useless = labels + chance.normal(size=5000), chance.normal(size=5000)
    assert abs(fit_mix(good, useless, labels)) < 0.1
    assert fit_mix(good, labels + chance.normal(size=5000), labels) == pytest.approx(1, abs=0.2)


@pytest.mark.slow
def test_a_head_gives_every_language_a_probability_that_rises_with_hate() -> None:
    labelled = made_up()
    clean = np.zeros((0, DIMENSIONS), dtype=np.float32)
    head = train_head(labelled, clean, np.array([], dtype=np.str_), {"texts": 160})
    for tag in ("en-Latn", "sv-Latn"):
        found = head.probabilities(labelled.vectors, labelled.linear, [tag] * len(labelled.labels))
        assert found[labelled.labels == 1].mean() > found[labelled.labels == 0].mean() + 0.3
    assert set(labelled.folds.tolist()) == set(range(FOLDS))
