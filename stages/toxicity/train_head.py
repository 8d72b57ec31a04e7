"""Fits the head of the cascade on sentence embeddings; `stages.toxicity.train` calls it.

A fixed part of the labelled texts is embedded, `TEXTS` of a language, those with the least hashes; and of the clean
texts a window and a sentence each. The head is a logistic regression on all languages together. What is fitted on its
scores (mix, slopes, intercepts) is fitted on scores of texts whose template the head had not seen; for languages that
training has not seen on scores by heads that saw neither the language nor the template.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.embeddings import embedder_identity
from curator.errors import UserError
from curator.text.segment import segment
from stages.toxicity.cascade import window_texts
from stages.toxicity.classifier import model_language
from stages.toxicity.embedding_cache import EmbeddingCache
from stages.toxicity.features import count_windows
from stages.toxicity.head import Head
from stages.toxicity.train import FOLDS, Examples, first_sentences, fit_platt, fold_of
from stages.toxicity.train import cross_validate as cross_validate_linear
from stages.toxicity.training_data import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = 300
"""Labelled texts of a language that are embedded."""
CLEAN_TEXTS = 25
"""Clean documents of a language of which a window and a sentence are embedded."""
INVERSE_PENALTY = 30.0
"""C of the logistic regression on vectors of length 1."""


@dataclass(frozen=True)
class Embedded:
    """Texts as rows. `vectors` are float32[rows, 384], `labels` (int64[rows]) 1 is hateful, `languages` language and
    script, `folds` (int64[rows]) those of the templates, `linear` (float64[rows]) the log odds by a linear classifier
    that has not seen the template; NaN in clean text."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    languages: NDArray[np.str_]
    folds: NDArray[np.int64]
    linear: NDArray[np.float64]

    def select(self, rows: NDArray[np.bool_]) -> Embedded:
        """The texts of these rows."""
        return Embedded(
            self.vectors[rows], self.labels[rows], self.languages[rows], self.folds[rows], self.linear[rows]
        )


def choose_labelled(texts: Sequence[Text], count: int = TEXTS) -> NDArray[np.int64]:
    """The places of `count` texts of each language, those with the least hashes; ascending."""
    by_language: dict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(texts)), key=lambda place: texts[place].digest):
        by_language[texts[place].lang].append(place)
    return np.array(sorted(place for places in by_language.values() for place in places[:count]), dtype=np.int64)


def clean_pieces(chosen: Sequence[Text]) -> list[Text]:
    """The middle window and the first sentence of the first CLEAN_TEXTS texts of each language, as
    `train.choose_clean` has them."""
    some = [
        text
        for _, texts in groupby(chosen, key=lambda text: model_language(text.lang))
        for text in list(texts)[:CLEAN_TEXTS]
    ]
    encoded = [text.text.encode() for text in some]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    units = segment(data, offsets)
    windows = count_windows(units.counts)
    firsts = np.concatenate([[0], np.cumsum(windows)])
    middles = (firsts[:-1] + windows // 2)[windows > 0]
    found = window_texts(data, offsets, units, firsts, middles)
    pieces = [replace(some[row], text=text) for row, text in zip(np.flatnonzero(windows).tolist(), found, strict=True)]
    return pieces + [next(iter(first_sentences([text])), text) for text in some]


def embed_labelled(
    texts: Sequence[Text], linear: NDArray[np.float64], cache: EmbeddingCache, seed: int = 0
) -> Embedded:
    """Labelled texts with the log odds by a linear classifier that has not seen their template (float64[texts]); `seed`
    cuts the folds."""
    return Embedded(
        cache.vectors(texts),
        np.array([text.label for text in texts], dtype=np.int64),
        np.array([model_language(text.lang) for text in texts], dtype=np.str_),
        np.array([fold_of(text.template, seed) for text in texts], dtype=np.int64),
        linear,
    )


def fit_weights(labelled: Embedded, clean: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Logistic regression: weights (float64[384]) and intercept. In each language hateful and other labelled texts
    weigh the same; all clean vectors (float32[rows, 384]) together weigh as much as all hateful texts."""
    from sklearn.linear_model import LogisticRegression

    count = len(labelled.labels)
    weights = np.zeros(count)
    for language in set(labelled.languages.tolist()):
        for label in (0, 1):
            rows = (labelled.languages == language) & (labelled.labels == label)
            weights[rows] = (labelled.languages == language).sum() / 2 / max(int(rows.sum()), 1)
    clean_weights = np.full(len(clean), count / 2 / max(len(clean), 1))
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
    model.fit(
        np.concatenate([labelled.vectors, clean]).astype(np.float64),
        np.concatenate([labelled.labels, np.zeros(len(clean), dtype=np.int64)]),
        np.concatenate([weights, clean_weights]),
    )
    return model.coef_[0], float(model.intercept_[0])


def cross_validate(labelled: Embedded, clean: NDArray[np.float32]) -> NDArray[np.float64]:
    """The score of each labelled text by a head that has not seen its template: float64[rows]."""
    scores = np.zeros(len(labelled.labels))
    for fold in range(FOLDS):
        held_out = labelled.folds == fold
        weights, intercept = fit_weights(labelled.select(~held_out), clean)
        scores[held_out] = labelled.vectors[held_out].astype(np.float64) @ weights + intercept
    return scores


def leave_languages_out(
    labelled: Embedded, clean: NDArray[np.float32], clean_languages: NDArray[np.str_]
) -> NDArray[np.float64]:
    """The score of each labelled text by a head that has seen neither its language nor its template: float64[rows]."""
    scores = np.zeros(len(labelled.labels))
    for language in sorted(set(labelled.languages.tolist())):
        own = labelled.languages == language
        others = clean[clean_languages != language]
        for fold in range(FOLDS):
            rows = own & (labelled.folds == fold)
            weights, intercept = fit_weights(labelled.select(~own & (labelled.folds != fold)), others)
            scores[rows] = labelled.vectors[rows].astype(np.float64) @ weights + intercept
    return scores


def fit_mix(scores: NDArray[np.float64], linear: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """What the log odds of the linear classifier count beside the head's score, by logistic regression on both."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, class_weight="balanced").fit(np.stack([scores, linear], axis=1), labels)
    return float(model.coef_[0, 1] / model.coef_[0, 0])


def linear_odds(labelled: Examples, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The calibrated log odds of labelled examples by their scores (float64[rows]) by a linear classifier that has not
    seen their template: float64[rows]."""
    odds = np.zeros(len(scores))
    for language in set(labelled.languages.tolist()):
        rows = labelled.languages == language
        slope, intercept = fit_platt(scores[rows], labelled.labels[rows])
        odds[rows] = slope * scores[rows] + intercept
    return odds


def embed_and_train(
    texts: Sequence[Text],
    labelled: Examples,
    clean: Examples,
    clean_texts: Sequence[Text],
    folder: Path,
    about: Mapping[str, object],
) -> Head:
    """Embed a part of the texts, and fit the head. `labelled` are the examples of `texts`, `clean` those of clean text,
    of which `clean_texts` are the whole texts; `folder` keeps the embeddings. UserError if a labelled text has no
    unit."""
    if len(labelled.labels) != len(texts):
        raise UserError("a labelled text has no unit", hint="take it out: it says nothing about hate")
    cache = EmbeddingCache(folder)
    chosen = choose_labelled(texts)
    odds = linear_odds(labelled, cross_validate_linear(labelled, clean))
    part = embed_labelled([texts[place] for place in chosen.tolist()], odds[chosen], cache)
    pieces = clean_pieces(clean_texts)
    languages = np.array([model_language(piece.lang) for piece in pieces], dtype=np.str_)
    counts = {"embedded": len(chosen), "clean_embedded": len(pieces)}
    return train_head(part, cache.vectors(pieces), languages, {**about, **counts})


def train_head(
    labelled: Embedded, clean: NDArray[np.float32], clean_languages: NDArray[np.str_], about: dict[str, object]
) -> Head:
    """The head: weights from all texts; mix and calibration from cross-validation."""
    weights, intercept = fit_weights(labelled, clean)
    scores = cross_validate(labelled, clean)
    mix = fit_mix(scores, labelled.linear, labelled.labels)
    languages = tuple(sorted(set(labelled.languages.tolist())))
    fitted = []
    for language in languages:
        rows = labelled.languages == language
        fitted.append(fit_platt(scores[rows] + mix * labelled.linear[rows], labelled.labels[rows]))
    unseen = fit_platt(leave_languages_out(labelled, clean, clean_languages), labelled.labels)
    return Head(
        weights=np.asarray(weights, dtype=np.float64),
        intercept=intercept,
        mix=mix,
        languages=languages,
        slopes=np.array([slope for slope, _ in fitted]),
        intercepts=np.array([offset for _, offset in fitted]),
        unseen=np.array(unseen),
        embedder=embedder_identity(),
        training=json.dumps(about, sort_keys=True),
    )
