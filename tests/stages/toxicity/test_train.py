"""Training: the same bytes each time, no template on both sides, clean text of the even half."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stages.toxicity.classifier import MODEL_PATH, load_model
from stages.toxicity.features import BUCKETS
from stages.toxicity.train import (
    FOLDS,
    Examples,
    cross_validate,
    fit_platt,
    fold_of,
    fold_rows,
    main,
    make_clean_examples,
    make_examples,
    quantise,
)
from stages.toxicity.training_data import Text

PRAISE = ("{} are welcome here.", "We admire {}.", "{} sing well, I think.", "My neighbours are {}.", "I met {} today.")
BLAME = ("I detest {}.", "{} must leave.", "Nobody wants {} here.", "{} ruin everything!", "We will beat {}.")
GROUPS = ("Martians", "gnomes", "trolls", "elves", "penguins", "robots")
"""Invented groups: the tests need the shape of the data, not its words."""


def labelled_texts() -> list[Text]:
    return [
        Text(template.format(group), "en", "test", label, f"kind {label}", f"{label}{number}")
        for label, templates in ((0, PRAISE), (1, BLAME))
        for (number, template), group in product(enumerate(templates), GROUPS)
    ]


def clean_texts(lang: str = "en") -> list[Text]:
    return [Text(f"Page {number} of the manual explains option {number}. " * 5, lang, "man:x") for number in range(60)]


def write_jsonl(path: Path, texts: list[Text]) -> Path:
    rows = [
        {
            "text": text.text,
            "lang": text.lang,
            "source": text.source,
            "label": text.label,
            "functionality": text.functionality,
            "template": text.template,
        }
        for text in texts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def labelled() -> Examples:
    return make_examples(labelled_texts())


@pytest.mark.slow
def test_training_twice_writes_the_same_bytes_and_a_model_that_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hatecheck = write_jsonl(tmp_path / "hatecheck.jsonl", labelled_texts())
    clean = write_jsonl(tmp_path / "clean.jsonl", clean_texts())
    outputs = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for output in outputs:
        main([str(hatecheck), "--clean", str(clean), "--output", str(output)])
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert load_model(outputs[0]).languages == ("en-Latn",)
    assert "1 languages" in capsys.readouterr().out


@pytest.mark.slow
def test_training_does_without_clean_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hatecheck = write_jsonl(tmp_path / "hatecheck.jsonl", labelled_texts())
    main([str(hatecheck), "--output", str(tmp_path / "model.npz")])
    assert json.loads(load_model(tmp_path / "model.npz").training)["clean_examples"] == 0
    assert capsys.readouterr().out


def test_the_shipped_model_says_what_it_was_made_from() -> None:
    about = json.loads(load_model(MODEL_PATH).training)
    assert about["examples"] > 10_000
    assert len(about["hatecheck_sha256"]) == 64


def test_a_template_is_in_one_fold_in_all_languages() -> None:
    texts = [Text(f"word {number}", lang, template=str(number % 7)) for number in range(40) for lang in ("en", "fr")]
    examples = make_examples(texts)
    folds = fold_rows(examples)
    by_template = {template: set(folds[examples.templates == template]) for template in examples.templates}
    assert all(len(found) == 1 for found in by_template.values())
    assert {fold_of(str(number)) for number in range(100)} == set(range(FOLDS))


@pytest.mark.slow
def test_cross_validation_tells_invented_blame_from_praise_by_what_templates_share() -> None:
    texts = [
        Text(f"{group} {verb} {word}.", "en", "", label, "", f"{verb}{word}")
        for label, verbs in ((0, ("help", "greet", "feed")), (1, ("rob", "cheat", "bite")))
        for group, verb, word in product(GROUPS, verbs, ("us", "them", "you", "me", "him", "her", "all"))
    ]
    labelled = make_examples(texts)
    scores = cross_validate(labelled, make_clean_examples(clean_texts(), ["en-Latn"]))
    assert roc_auc_score(labelled.labels, scores) > 0.95


def test_clean_examples_are_of_the_even_half_the_languages_and_the_source() -> None:
    texts = [*clean_texts(), *clean_texts("fr"), Text("Another source, another page of text.", "en", "web:1")]
    examples = make_clean_examples(texts, ["en-Latn"], "man")
    even = [text for text in clean_texts() if text.is_even]
    assert 0 < len(even) < len(clean_texts())
    assert set(examples.languages.tolist()) == {"en-Latn"}
    # A window each (these texts have one), and one sentence each: the others of a text are the same.
    assert len(examples.labels) == 2 * len(even)
    assert not examples.labels.any()


def test_the_rows_of_examples_have_the_length_of_their_feature_values(labelled: Examples) -> None:
    assert labelled.matrix.shape == (len(labelled_texts()), BUCKETS)
    assert (np.asarray(labelled.matrix.sum(axis=1)).ravel() > 1).all()


def test_a_text_without_units_is_left_out() -> None:
    assert make_examples([Text("...", "en"), Text("word", "en"), Text("", "en")]).labels.tolist() == [0]


def test_platt_scaling_of_separated_scores_rises_through_a_half_between_them() -> None:
    scores = np.array([-2.0, -1.0, -0.5, 0.4, 1.0, 2.0, 2.0, -0.2, 0.3])
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1, 0])
    slope, intercept = fit_platt(scores, labels)
    assert slope > 0
    assert -0.5 < -intercept / slope < 0.5


def test_quantised_weights_are_within_half_a_step() -> None:
    weights = np.random.default_rng(1).normal(size=1000)
    quantised, step = quantise(weights)
    assert np.abs(quantised * step - weights).max() <= step / 2 + 1e-12
    assert quantise(np.zeros(3))[0].tolist() == [0, 0, 0]
