"""How far the probabilities of the stage `toxicity` are ones, by how they were calibrated; with a reliability plot.

    python benchmarks/toxicity_calibration.py HATECHECK.jsonl CORPUS.jsonl.zst [--embeddings FOLDER] [--svg FILE]
        [--clean-source lohelp]

The linear classifier is judged on all labelled texts; with `--embeddings` (a folder of sentence embeddings, see
`stages.toxicity.train`) also the cascade, on the texts that are embedded for training. All scores are of texts whose
template the model had not seen, and all calibrations were fitted on other templates than those that they are judged on
(five folds). Expected calibration error (Naeini et al. 2015): ten bins of equal width, as if half of the texts of a
language were hateful; the mean over languages. `at 0.7`: what share of the texts with a probability of 0.7 or more is
hateful, and the mean of their probabilities.

Takes a minute, and ten more where nothing is embedded yet.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reliability_plot import Curve, reliability_svg
from sklearn.isotonic import IsotonicRegression
from toxicity import balanced_weights, calibration_error

from stages.toxicity.embedding_cache import EmbeddingCache
from stages.toxicity.train import (
    FOLDS,
    choose_clean,
    cross_validate,
    fit_platt,
    fold_rows,
    make_clean_examples,
    make_examples,
)
from stages.toxicity.train_head import (
    choose_labelled,
    clean_pieces,
    embed_labelled,
    fit_mix,
    linear_odds,
)
from stages.toxicity.train_head import cross_validate as cross_validate_head
from stages.toxicity.training_data import read_hatecheck, read_texts

Array = NDArray[np.float64]
Fit = Callable[[Array, NDArray[np.int64]], Callable[[Array], Array]]
THRESHOLD = 0.7
BINS = 10


def fit_nothing(scores: Array, labels: NDArray[np.int64]) -> Callable[[Array], Array]:
    """Takes scores for log odds."""
    return sigmoid


def fit_sigmoid(scores: Array, labels: NDArray[np.int64]) -> Callable[[Array], Array]:
    """Platt's slope and intercept."""
    slope, intercept = fit_platt(scores, labels)
    return lambda values: sigmoid(slope * values + intercept)


def fit_isotonic(scores: Array, labels: NDArray[np.int64]) -> Callable[[Array], Array]:
    """The best rising steps (Zadrozny and Elkan 2002)."""
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    model.fit(scores, labels, balanced_weights(labels))
    return lambda values: np.asarray(model.predict(values))


def sigmoid(values: Array) -> Array:
    """Log odds as probabilities."""
    return np.asarray(1 / (1 + np.exp(-values)))


METHODS: tuple[tuple[str, Fit, bool], ...] = (
    ("none", fit_nothing, False),
    ("Platt, all languages", fit_sigmoid, False),
    ("Platt, each language", fit_sigmoid, True),
    ("isotonic, each language", fit_isotonic, True),
)


def cross_fit(
    scores: Array,
    labels: NDArray[np.int64],
    languages: NDArray[np.str_],
    folds: NDArray[np.int64],
    fit: Fit,
    each: bool,
) -> Array:
    """Probabilities of texts by calibrations that were fitted on the other folds, of all languages or `each`."""
    found = np.zeros(len(scores))
    groups = (
        [languages == name for name in sorted(set(languages.tolist()))] if each else [np.ones(len(scores), np.bool_)]
    )
    for group in groups:
        for fold in range(FOLDS):
            held_out = group & (folds == fold)
            others = group & (folds != fold)
            found[held_out] = fit(scores[others], labels[others])(scores[held_out])
    return found


def mixed_scores(head: Array, linear: Array, labels: NDArray[np.int64], folds: NDArray[np.int64]) -> Array:
    """The scores of the cascade, each with a mix that was fitted on the other folds."""
    found = np.zeros(len(head))
    for fold in range(FOLDS):
        held_out, others = folds == fold, folds != fold
        found[held_out] = head[held_out] + fit_mix(head[others], linear[others], labels[others]) * linear[held_out]
    return found


def mean_error(labels: NDArray[np.int64], probabilities: Array, languages: NDArray[np.str_]) -> float:
    """The expected calibration error, mean over languages."""
    names = sorted(set(languages.tolist()))
    return float(
        np.mean([calibration_error(labels[languages == name], probabilities[languages == name]) for name in names])
    )


def curve(name: str, labels: NDArray[np.int64], probabilities: Array, languages: NDArray[np.str_]) -> Curve:
    """For each bin the mean probability, the share that is hateful, and the weight; half of each language hateful."""
    weights = np.zeros(len(labels))
    for language in set(languages.tolist()):
        rows = languages == language
        weights[rows] = balanced_weights(labels[rows])
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    sums = np.bincount(bins, weights, minlength=BINS)
    filled = sums > 0
    divide = np.where(filled, sums, 1.0)
    means = np.bincount(bins, weights * probabilities, minlength=BINS) / divide
    shares = np.bincount(bins, weights * labels, minlength=BINS) / divide
    return Curve(name, means[filled].tolist(), shares[filled].tolist(), (sums[filled] / sums.sum()).tolist())


def print_methods(
    title: str, scores: Array, labels: NDArray[np.int64], languages: NDArray[np.str_], folds: NDArray[np.int64]
) -> dict[str, Array]:
    """A line for each method; returns its probabilities."""
    found = {}
    for name, fit, each in METHODS:
        probabilities = cross_fit(scores, labels, languages, folds, fit, each)
        found[name] = probabilities
        weights = np.zeros(len(labels))
        for language in set(languages.tolist()):
            rows = languages == language
            weights[rows] = balanced_weights(labels[rows])
        sure = probabilities >= THRESHOLD
        share = np.average(labels[sure], weights=weights[sure])
        said = np.average(probabilities[sure], weights=weights[sure])
        error = mean_error(labels, probabilities, languages)
        print(f"{title:<8} {name:<24} {len(labels):>6} {error:>6.3f} {share:>8.3f} {said:>6.3f}")
    return found


def main() -> None:
    """Print the table, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hatecheck", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--clean-source", default="lohelp")
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    texts = read_hatecheck(options.hatecheck)
    labelled = make_examples(texts)
    corpus = list(read_texts(options.corpus))
    languages = labelled.languages
    clean = make_clean_examples(corpus, languages.tolist(), options.clean_source)
    print(
        f"{'model':<8} {'calibration':<24} {'texts':>6} {'error':>6} {'hateful':>8} {'said':>6}  (the last two at 0.7)"
    )
    linear = cross_validate(labelled, clean)
    found = print_methods("linear", linear, labelled.labels, languages, fold_rows(labelled))
    curves = [
        curve("linear classifier, not calibrated", labelled.labels, found["none"], languages),
        curve("linear classifier", labelled.labels, found["Platt, each language"], languages),
    ]
    if options.embeddings is not None:
        chosen = choose_labelled(texts)
        cache = EmbeddingCache(options.embeddings)
        part = embed_labelled([texts[place] for place in chosen.tolist()], linear_odds(labelled, linear)[chosen], cache)
        pieces = clean_pieces(choose_clean(corpus, languages.tolist(), options.clean_source))
        head = cross_validate_head(part, cache.vectors(pieces))
        scores = mixed_scores(head, part.linear, part.labels, part.folds)
        found = print_methods("cascade", scores, part.labels, part.languages, part.folds)
        curves.append(curve("cascade", part.labels, found["Platt, each language"], part.languages))
    if options.svg is not None:
        options.svg.write_text(reliability_svg(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
