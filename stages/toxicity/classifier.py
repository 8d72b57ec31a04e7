"""The linear classifier: its file, and the probability that a text is abusive.

A window of a text scores `sum / sqrt(count)` over its features (`stages.toxicity.features`); a slope and an intercept
for each language (Platt 1999, fitted on texts that training had not seen) make that a probability. It is one under the
conditions of the fit: as many hateful texts as others. Only languages and scripts that it was fitted on are judged."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from curator.errors import UserError
from curator.language.tags import likely_script, list_language
from stages.toxicity import features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from curator.text.segment import Units

MODEL_PATH = Path(__file__).parent / "data" / "classifier.npz"
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive raises: wrong header, size, flags, method, checksum."""
NOT_JUDGED = -1
"""The language code of a text that the model cannot judge."""

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
    sums = features.sum_windows(data, offsets, units, languages != NOT_JUDGED, model.weights)
    windows = np.diff(sums.offsets)
    texts = np.repeat(np.arange(len(windows)), windows)
    code = languages[texts]
    scores = sums.sums / np.sqrt(np.maximum(sums.counts, 1))
    probabilities = 1 / (1 + np.exp(-(model.slopes[code] * scores + model.intercepts[code])))
    worst = np.full(len(windows), np.nan)
    mean = np.full(len(windows), np.nan)
    judged = np.flatnonzero(windows)
    if len(judged):
        worst[judged] = np.maximum.reduceat(probabilities, sums.offsets[judged])
        # bincount adds one by one in order, so the sum does not depend on where in the batch a text stands.
        mean[judged] = np.bincount(texts, weights=probabilities, minlength=len(windows))[judged] / windows[judged]
    return Judgement(worst, mean)


@cache
def load_model(path: Path = MODEL_PATH) -> Model:
    """Read a model file, once a process. UserError if it is missing, damaged, altered, unsafe (pickle), or made for
    other features than this version's."""
    try:
        if not zipfile.is_zipfile(path) and path.exists():
            raise _unusable(path, "is not an .npz file")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise _unusable(path, "does not exist") from error
    except _DAMAGE as error:
        raise _unusable(path, "is not an .npz file of plain arrays") from error
    expected = {"weights", "languages", "slopes", "intercepts", "training", "specification", "digest"}
    if set(arrays) != expected:
        raise _unusable(path, f"has the arrays {sorted(arrays)}, expected are {sorted(expected)}")
    if arrays["specification"].tolist() != list(FEATURE_SPECIFICATION):
        raise _unusable(path, "was made for other features than this version computes")
    digest = arrays.pop("digest").tolist()
    if digest != _digest(arrays):
        raise _unusable(path, "is not what was written: its contents do not match its digest")
    count = len(arrays["languages"])
    if arrays["weights"].shape != (features.BUCKETS,) or arrays["weights"].dtype != np.int8:
        raise _unusable(path, "has weights of another shape or type")
    for name in ("slopes", "intercepts"):
        if arrays[name].shape != (count,) or not np.isfinite(arrays[name]).all():
            raise _unusable(path, f"has {name} that are no numbers, one a language")
    return Model(
        weights=arrays["weights"],
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
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, digest=np.array(_digest(arrays)))


def _digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    hasher = blake3()
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return str(hasher.hexdigest())


def _unusable(path: Path, what: str) -> UserError:
    return UserError(
        f"the classifier {what}",
        stage="toxicity",
        file=str(path),
        hint="make one with `python -m stages.toxicity.train`, or leave the parameter out for the one that is included",
    )
