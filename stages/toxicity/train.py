"""Trains the classifier and writes `data/classifier.npz`; with embeddings also the head of the cascade.

    python -m stages.toxicity.train HATECHECK.jsonl --clean CORPUS.jsonl.zst [--clean-source PREFIX]
        [--embeddings FOLDER]

`--embeddings` names a folder in which sentence embeddings are kept; those that are missing are made, which takes some
minutes, and `data/head.npz` is fitted on them (`stages.toxicity.train_head`).

Labelled texts are those of HateCheck; `--clean` is a corpus without abuse, of which windows and sentences in the same
languages are further examples of what is not hateful: only documents whose text has an even hash, so that the rest can
measure false positives (`benchmarks/toxicity.py`). Templates of HateCheck repeat with other groups of people, and the
languages translate each other: a template is in one fold in all languages.

Nothing is drawn at random; the solver runs in one thread: the same files and packages give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.text.segment import segment
from stages.toxicity.classifier import MODEL_PATH, Model, model_language, save_model
from stages.toxicity.features import BUCKETS, feature_rows
from stages.toxicity.head import HEAD_PATH, save_head
from stages.toxicity.training_data import Text, read_hatecheck, read_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

FOLDS = 5
INVERSE_PENALTY = 2.0
"""C of the logistic regression. Between 1 and 10 the AUC on unseen templates moves by 0.004; less keeps weights
small."""
CLEAN_WEIGHT = 1.0
"""Weight of all clean examples together, in terms of all hateful texts."""
CLEAN_DOCUMENTS = 400
"""Clean documents of a language, at most."""
CLEAN_WINDOWS = 2
"""Windows taken of a clean document: the first and the middle one."""
CLEAN_SENTENCES = 3
"""Sentences taken of a clean document, at most: without them a short text looks hateful, because labelled texts are
short (AUC on unseen templates 0.762 without, 0.768 with; false positives on everyday English sentences 0.95% and
0.61%)."""
SENTENCE_CHARACTERS = (13, 159)
"""Shortest and longest sentence: labelled texts are as long."""
SENTENCE_ENDS = re.compile(r"(?<=[.!?:。！？：])\s*|\n+")
_NO_PENALTY = 1e6


@dataclass(frozen=True)
class Examples:
    """Windows as rows. `matrix` is csr[rows, BUCKETS], each row divided by the root of its number of features; `labels`
    (int64[rows]) 1 is hateful; `languages` language and script; `templates` and `functionalities` as HateCheck has
    them, '' in clean text."""

    matrix: csr_matrix
    labels: NDArray[np.int64]
    languages: NDArray[np.str_]
    templates: NDArray[np.str_]
    functionalities: NDArray[np.str_]

    def select(self, rows: NDArray[np.bool_]) -> Examples:
        """The examples of these rows."""
        return Examples(
            self.matrix[rows], self.labels[rows], self.languages[rows], self.templates[rows], self.functionalities[rows]
        )


def make_examples(texts: Sequence[Text]) -> Examples:
    """The first window of each text (and no more: labelled texts have one). Texts without units are left out."""
    return _examples(texts, lambda windows: [0])


def make_clean_examples(texts: Iterable[Text], languages: Iterable[str], source: str = "") -> Examples:
    """Windows and sentences of clean texts in these languages (language and script) whose source begins with `source`.

    Of each language the CLEAN_DOCUMENTS documents with even and least hash, of each CLEAN_WINDOWS windows and the first
    CLEAN_SENTENCES sentences that no other had.
    """
    chosen = choose_clean(texts, languages, source)
    windows = _examples(chosen, lambda windows: sorted({0, windows // CLEAN_WINDOWS}))
    return _join(windows, make_examples(first_sentences(chosen)))


def choose_clean(texts: Iterable[Text], languages: Iterable[str], source: str = "") -> list[Text]:
    """Of each language (language and script) the CLEAN_DOCUMENTS clean texts with even and least hash, of a source that
    begins with `source`; by language and hash."""
    wanted = set(languages)
    found: dict[str, dict[str, Text]] = defaultdict(dict)
    for text in texts:
        language = model_language(text.lang)
        if language in wanted and text.source.startswith(source) and text.is_even:
            found[language].setdefault(text.digest, text)
    return [
        by_digest[digest] for _, by_digest in sorted(found.items()) for digest in sorted(by_digest)[:CLEAN_DOCUMENTS]
    ]


def first_sentences(texts: Iterable[Text]) -> list[Text]:
    """The first CLEAN_SENTENCES sentences of each text that no other had, each as a text."""
    shortest, longest = SENTENCE_CHARACTERS
    sentences: dict[str, Text] = {}
    for text in texts:
        pieces = dict.fromkeys(piece.strip() for piece in SENTENCE_ENDS.split(text.text))
        fresh = [piece for piece in pieces if shortest <= len(piece) <= longest and piece not in sentences]
        sentences |= {piece: replace(text, text=piece) for piece in fresh[:CLEAN_SENTENCES]}
    return list(sentences.values())


def _join(first: Examples, second: Examples) -> Examples:
    from scipy.sparse import vstack

    return Examples(
        vstack([first.matrix, second.matrix]).tocsr(),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.languages, second.languages]),
        np.concatenate([first.templates, second.templates]),
        np.concatenate([first.functionalities, second.functionalities]),
    )


def fold_of(template: str, seed: int = 0) -> int:
    """The fold of a template, 0 to FOLDS - 1."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {template}".encode(), digest_size=4).digest()) % FOLDS


def fold_rows(examples: Examples, seed: int = 0) -> NDArray[np.int64]:
    """The fold of each row: int64[rows]."""
    return np.array([fold_of(template, seed) for template in examples.templates.tolist()], dtype=np.int64)


def fit_weights(labelled: Examples, clean: Examples) -> tuple[NDArray[np.float64], float]:
    """Logistic regression: weights (float64[BUCKETS]) and intercept. Hateful and other labelled texts weigh the
    same."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    total = len(labelled.labels)
    positives = int(labelled.labels.sum())
    weights = np.where(labelled.labels == 1, total / (2 * positives), total / (2 * (total - positives)))
    clean_count = len(clean.labels)
    clean_weights = np.full(clean_count, CLEAN_WEIGHT * total / 2 / max(clean_count, 1))
    model = LogisticRegression(C=INVERSE_PENALTY, solver="liblinear", random_state=0)
    model.fit(
        vstack([labelled.matrix, clean.matrix]).tocsr(),
        np.concatenate([labelled.labels, clean.labels]),
        np.concatenate([weights, clean_weights]),
    )
    return model.coef_[0], float(model.intercept_[0])


def score(examples: Examples, weights: NDArray[np.float64], intercept: float) -> NDArray[np.float64]:
    """The scores (log odds before calibration) of examples: float64[rows]."""
    return np.asarray(examples.matrix @ weights + intercept)


def cross_validate(labelled: Examples, clean: Examples, seed: int = 0) -> NDArray[np.float64]:
    """The score of each labelled example by a model, quantised, that has not seen its template: float64[rows]."""
    folds = fold_rows(labelled, seed)
    scores = np.zeros(len(folds))
    for fold in range(FOLDS):
        held_out = folds == fold
        weights, intercept = fit_weights(labelled.select(~held_out), clean)
        quantised, step = quantise(weights)
        scores[held_out] = score(labelled.select(held_out), quantised.astype(np.float64) * step, intercept)
    return scores


def fit_platt(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Slope and intercept that make scores log odds, as if half of the texts were hateful (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_NO_PENALTY, class_weight="balanced").fit(scores[:, np.newaxis], labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def quantise(weights: NDArray[np.float64]) -> tuple[NDArray[np.int8], float]:
    """Weights as int8, and the step between them."""
    step = float(np.abs(weights).max()) / 127 or 1.0
    return np.rint(weights / step).astype(np.int8), step


def train(labelled: Examples, clean: Examples, about: dict[str, object]) -> Model:
    """The model: weights from all examples, calibration of each language from cross-validation."""
    weights, intercept = fit_weights(labelled, clean)
    quantised, step = quantise(weights)
    scores = cross_validate(labelled, clean)
    languages = tuple(sorted(set(labelled.languages.tolist())))
    slopes, intercepts = [], []
    for language in languages:
        rows = labelled.languages == language
        slope, offset = fit_platt(scores[rows], labelled.labels[rows])
        # The model sums integers; the step and the intercept of the regression go into the calibration.
        slopes.append(slope * step)
        intercepts.append(slope * intercept + offset)
    return Model(
        weights=quantised,
        languages=languages,
        slopes=np.array(slopes),
        intercepts=np.array(intercepts),
        training=json.dumps(about, sort_keys=True),
    )


def _examples(texts: Sequence[Text], windows_of: Callable[[int], list[int]]) -> Examples:
    from scipy.sparse import csr_matrix, diags

    encoded = [text.text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    rows = feature_rows(data, offsets, segment(data, offsets))
    matrix = csr_matrix((rows.values.astype(np.float64), rows.buckets, rows.offsets), shape=(len(rows.texts), BUCKETS))
    matrix.sum_duplicates()
    counts = np.diff(rows.offsets)
    matrix = diags(1 / np.sqrt(counts)) @ matrix
    firsts = np.searchsorted(rows.texts, np.arange(len(texts) + 1))
    chosen = [
        first + window
        for first, last in zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True)
        if last > first
        for window in windows_of(last - first)
    ]
    found = [texts[text] for text in rows.texts[chosen].tolist()]
    return Examples(
        matrix=matrix.tocsr()[chosen],
        labels=np.array([text.label for text in found], dtype=np.int64),
        languages=np.array([model_language(text.lang) for text in found], dtype=np.str_),
        templates=np.array([text.template for text in found], dtype=np.str_),
        functionalities=np.array([text.functionality for text in found], dtype=np.str_),
    )


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.toxicity.train", description=__doc__)
    parser.add_argument("hatecheck", type=Path, help="labelled texts: JSONL")
    parser.add_argument("--clean", type=Path, help="texts without abuse: JSONL, plain or zstd")
    parser.add_argument("--clean-source", default="", help="take only clean texts whose source begins with this")
    parser.add_argument("--output", type=Path, default=MODEL_PATH)
    parser.add_argument("--embeddings", type=Path, help="folder of sentence embeddings: fit a head on them, too")
    parser.add_argument("--head", type=Path, default=HEAD_PATH, help="where the head is written")
    options = parser.parse_args(arguments)
    texts = read_hatecheck(options.hatecheck)
    labelled = make_examples(texts)
    clean_texts = list(read_texts(options.clean)) if options.clean else []
    clean = make_clean_examples(clean_texts, labelled.languages.tolist(), options.clean_source)
    about = {
        "hatecheck_sha256": _hash_file(options.hatecheck),
        "clean_sha256": _hash_file(options.clean) if options.clean else None,
        "clean_source": options.clean_source,
        "examples": len(labelled.labels),
        "clean_examples": len(clean.labels),
        "versions": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
    }
    model = train(labelled, clean, about)
    save_model(model, options.output)
    sys.stdout.write(f"{options.output}: {len(model.languages)} languages, {json.dumps(about, sort_keys=True)}\n")
    if options.embeddings is not None:
        from stages.toxicity.train_head import embed_and_train

        chosen = choose_clean(clean_texts, labelled.languages.tolist(), options.clean_source)
        head = embed_and_train(texts, labelled, clean, chosen, options.embeddings, about)
        save_head(head, options.head)
        sys.stdout.write(f"{options.head}: {len(head.languages)} languages, {head.training}\n")


if __name__ == "__main__":
    main()
