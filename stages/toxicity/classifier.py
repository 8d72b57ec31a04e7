"""The linear classifier: its file, and the probability that a text is abusive.

A window of a text scores `sum / sqrt(count)` over its features (`stages.toxicity.features`); a slope and an intercept
for each language (Platt 1999, fitted on texts that training had not seen) make that a probability. It is one under the
conditions of the fit: as many hateful texts as others. Only languages and scripts that it was fitted on are judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.language.tags import likely_script, list_language
from stages.toxicity import features
from stages.toxicity.archive import ModelFile, write_archive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

MODEL_PATH = Path(__file__).parent / "data" / "classifier.npz"
_FILE = ModelFile(
    "the classifier",
    "make one with `python -m stages.toxicity.train`, or leave the parameter out for the one that is included",
)
_ARRAYS = {"weights", "languages", "slopes", "intercepts", "training", "specification"}
NOT_JUDGED = -1
"""The language code of a text that the model cannot judge."""

SHORT_QUESTION = 6
"""Units of a question up to which it is not judged by itself. HateCheck has 25 such that are hateful and 8 that are
not, so that a question mark behind few words is a sign of hate to the model: a fifth of what people ask fell."""
SHORT_QUESTION_UNSPACED = 12
"""The same in Chinese, whose units are characters. There are 6 and 3, and of what people ask most fell."""
_UNSPACED_MODELS = ("zh-Hans", "zh-Hant")
_BEHIND_QUESTIONS = tuple(map(ord, " \n\r\t\"')"))

FEATURE_SPECIFICATION = (
    features.BUCKET_BITS,
    features.SHORTEST_SEQUENCE,
    features.LONGEST_SEQUENCE,
    features.LONGEST_UNIT,
    features.WORD_VALUE,
    features.CHARACTER_VALUE,
    features.PUNCTUATION_VALUE,
    features.WINDOW_UNITS,
    features.FEATURES_VERSION,
)
"""What a model file must agree with."""


@dataclass(frozen=True)
class Model:
    """Weights (int8[BUCKETS]); for each of `languages` (language and script, `de-Latn`) a slope and an intercept
    (float64): the probability of a window is `1 / (1 + exp(-(slope * sum / sqrt(count) + intercept)))`. `training` is
    JSON about the data and program that it was made from."""

    weights: NDArray[np.int8]
    languages: tuple[str, ...]
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    training: str


@dataclass(frozen=True)
class Windows:
    """Windows of texts with what the linear model says of them: those of text i stand at `offsets[i]` to `offsets[i +
    1]` (int64[texts + 1]). `scores` are float64[windows], before calibration: the weighted sum over the root of the
    number of features. `texts` (int64[windows]) says which text a window is of."""

    offsets: NDArray[np.int64]
    texts: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """Probabilities of the worst window and the mean over windows, by text: float64[texts], NaN where not judged."""

    worst: NDArray[np.float64]
    mean: NDArray[np.float64]


@lru_cache(maxsize=1 << 16)
def model_language(tag: str) -> str:
    """The language and script by which the model knows a tag: `de-Latn` for `de-AT`, `zh-Hant` for `zh-TW`.

    A tag without a script has the one that CLDR's likely subtags give it. `und` for a tag that names no language.
    """
    language = list_language(tag)
    if language == "und":
        return language
    script = likely_script(tag)
    return f"{language}-{script}" if script else language


def judge(
    model: Model,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    languages: NDArray[np.int32],
) -> Judgement:
    """Judge texts. `data` and `offsets` are the text buffer, `units` its segmentation, `languages` (int32[texts]) the
    places in `model.languages`, NOT_JUDGED for texts to pass over. A text without units is not judged."""
    windows = score_windows(model, data, offsets, units, languages != NOT_JUDGED)
    return summarise(windows, probabilities_of(model, windows, languages))


def are_short_questions(
    model: Model, data: NDArray[np.uint8], offsets: NDArray[np.int64], units: Units, languages: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which texts are one short question (bool[texts]); arguments as in `judge`."""
    unspaced = np.array([name in _UNSPACED_MODELS for name in model.languages] + [False])  # the last is NOT_JUDGED
    limits = np.where(unspaced[languages], SHORT_QUESTION_UNSPACED, SHORT_QUESTION)
    found = np.zeros(len(limits), dtype=np.bool_)
    for text in np.flatnonzero((units.counts > 0) & (units.counts <= limits) & (languages != NOT_JUDGED)).tolist():
        end, begin = int(offsets[text + 1]), int(offsets[text])
        while end > begin and data[end - 1] in _BEHIND_QUESTIONS:
            end -= 1
        found[text] = bytes(data[max(begin, end - 3) : end]).endswith((b"?", "？".encode()))
    return found


def score_windows(
    model: Model,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    chosen: NDArray[np.bool_],
) -> Windows:
    """The score of each window of the `chosen` texts (bool[texts]); the others have no windows."""
    sums = features.sum_windows(data, offsets, units, chosen, model.weights)
    texts = np.repeat(np.arange(len(chosen)), np.diff(sums.offsets))
    return Windows(sums.offsets, texts, sums.sums / np.sqrt(np.maximum(sums.counts, 1)))


def probabilities_of(model: Model, windows: Windows, languages: NDArray[np.int32]) -> NDArray[np.float64]:
    """The calibrated probability of each window, `languages` as in `judge`: float64[windows], NaN for a text that is
    NOT_JUDGED."""
    code = languages[windows.texts]
    found: NDArray[np.float64] = 1 / (1 + np.exp(-(model.slopes[code] * windows.scores + model.intercepts[code])))
    found[code == NOT_JUDGED] = np.nan
    return found


def summarise(windows: Windows, probabilities: NDArray[np.float64]) -> Judgement:
    """The worst window and the mean over windows of each text, of float64[windows]. A window that is NaN is passed
    over; a text with no other is not judged."""
    count = len(windows.offsets) - 1
    judged = ~np.isnan(probabilities)
    texts, probabilities = windows.texts[judged], probabilities[judged]
    sizes = np.bincount(texts, minlength=count)
    worst = np.full(count, -np.inf)
    np.maximum.at(worst, texts, probabilities)
    # bincount adds one by one in order, so the sum does not depend on where in the batch a text stands.
    sums = np.bincount(texts, weights=probabilities, minlength=count)
    none = sizes == 0
    return Judgement(np.where(none, np.nan, worst), np.where(none, np.nan, sums / np.maximum(sizes, 1)))


@cache
def load_model(path: Path = MODEL_PATH) -> Model:
    """Read a model file, once a process. UserError if it is missing, damaged, altered, unsafe (pickle), or made for
    other features than this version's."""
    arrays = _FILE.read(path, _ARRAYS)
    if arrays["specification"].tolist() != list(FEATURE_SPECIFICATION):
        raise _FILE.unusable(path, "was made for other features than this version computes")
    _FILE.check_digest(path, arrays)
    count = len(arrays["languages"])
    if arrays["weights"].shape != (features.BUCKETS,) or arrays["weights"].dtype != np.int8:
        raise _FILE.unusable(path, "has weights of another shape or type")
    for name in ("slopes", "intercepts"):
        if arrays[name].shape != (count,) or not np.isfinite(arrays[name]).all():
            raise _FILE.unusable(path, f"has {name} that are no numbers, one a language")
    return Model(
        weights=arrays["weights"].astype(np.int8),
        languages=tuple(arrays["languages"].tolist()),
        slopes=arrays["slopes"].astype(np.float64),
        intercepts=arrays["intercepts"].astype(np.float64),
        training=str(arrays["training"].tolist()),
    )


def save_model(model: Model, path: Path) -> None:
    """Write a model file. The same model gives the same bytes."""
    arrays = {
        "weights": model.weights,
        "languages": np.array(model.languages),
        "slopes": model.slopes,
        "intercepts": model.intercepts,
        "training": np.array(model.training),
        "specification": np.array(FEATURE_SPECIFICATION, dtype=np.int64),
    }
    write_archive(path, arrays)
