"""The language of each document: a fastText model on sampled windows, and a second opinion where it is easily wrong.

What is read. Of a text longer than `WINDOWS` windows of `WINDOW_BYTES`, windows from its start to its end at even
distances, cut between words; of a shorter one, all. The model predicts on the windows joined, as on one line.

The second opinion, each part with its own reason in `Identification.reasons`:

- *other script*: at least half of the letters must be in a script that the language is written in.
- *script*: where the model names no language and nearly all letters are in a script that one language has to itself
  (`curator.language.scripts.ALONE`), it is that language.
- *mixed*: the score is the smaller of the model's probability on the joined windows and its mean over the windows. Half
  a page in another language makes it `und`, a quarter only lowers the score.
- *short*: a text of n letters, n < `SHORT_LETTERS`, must reach `min_score + (1 - min_score) * SURE_LETTERS / n`; below
  SURE_LETTERS letters the model is not believed at all.

What does not pass is `und`. The model has no label 'none of these': a text in a language that it does not know is
named after a relative in about one document of seven (see `benchmarks/language.py`), and pairs that it confuses stay
confused (id and ms, hr, sr and bs, no and da, gsw and de). A tag that the input carries is therefore never overruled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.document import UNDETERMINED, Codes
from curator.kernel import inline_kernel, kernel
from curator.language.kernel import Predictions, PreparedModel, classify, embed, load_prepared
from curator.language.scripts import ALONE, count_scripts, script_table, scripts_of
from curator.language.tags import list_language, normalise_tag
from curator.text.segment import read_only
from curator.verdict import round_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_PATH = Path(__file__).parent / "data" / "lid.176.ftz"
"""fastText's lid.176, quantised; see `data/NOTICE`."""

WINDOW_BYTES = 768
"""Bytes of a window. On UDHR documents (median 9 KB) four windows of 768 name as many right as the whole text does;
benchmarks/language.py shows other sizes."""

WINDOWS = 4
"""An even number, so that a text whose halves are in two languages has two windows in each."""

PART_BYTES = 192
"""A text that is read whole is looked at in four parts when each has this many bytes; smaller parts are too noisy."""

SHORT_LETTERS = 60
SURE_LETTERS = 8
"""Both from UDHR cut short, languages that the model knows well: with these, the precision of what is named stays at
.98 from 10 letters on; at a plain 0.5 it is .86 at 10 letters, .94 at 20, .98 at 60."""

DENSE_SCRIPTS = ("Hani", "Hira", "Kana", "Hang", "Bopo")
DENSE_LETTERS = 2
"""A character of these scripts is a syllable or more and counts as two letters. Counted as one, one Chinese or Japanese
page of manuals in nine would be taken for Latin, because of the code and the names in it."""

SCRIPT_SHARE = 0.5
ALONE_SHARE = 0.8
ALONE_OWN_SHARE = 0.2
ALONE_LETTERS = 4
_BOUNDARY_BYTES = 64
"""How far a cut moves to fall between words."""

REASONS = ("model", "script", "low score", "short", "mixed", "other script", "no letters")
"""Why a text has its language: the model or the script named it; or, with `und`, what spoke against naming one."""
_MODEL, _SCRIPT, _LOW, _SHORT, _MIXED, _OTHER_SCRIPT, _NO_LETTERS = range(len(REASONS))

_LABEL_TAGS = {"als": "gsw", "eml": "egl", "bh": "bho"}
"""Labels of lid.176 that are codes of a Wikipedia and mean something else, or nothing, as language tags. Alemannic is
`gsw` (`als` is Tosk Albanian); of the retired `eml`, Emilian has the larger Wikipedia; the `bh` one is Bhojpuri."""


@dataclass(frozen=True)
class Identification:
    """What language each text is in.

    `languages` holds BCP 47 tags, `und` where unsure; `scores` float64[texts] (6 significant digits) how sure the best
    candidate is after the second opinion; `reasons` one of `REASONS` for each text; `letters` int64[texts] the letters
    that were read (`DENSE_SCRIPTS` count twice); `model` the BLAKE3 of the model file.
    """

    languages: Codes
    scores: NDArray[np.float64]
    reasons: Codes
    letters: NDArray[np.int64]
    model: str


@dataclass(frozen=True)
class Identifier:
    """A model with what the second opinion needs to know of its labels.

    `tags` are those of the labels; `written` bool[labels, scripts] says which scripts a label's language is written in;
    `alone` int32[scripts] is the label that has a script to itself, or -1; `weights` int32[scripts] is what a letter
    counts.
    """

    prepared: PreparedModel
    tags: tuple[str, ...]
    written: NDArray[np.bool_]
    alone: NDArray[np.int32]
    weights: NDArray[np.int32]


@lru_cache(maxsize=4)
def load_identifier(path: Path = MODEL_PATH) -> Identifier:
    """The model at `path` (default: the one that the package carries), once per process. Raises UserError as
    `load_model` does."""
    prepared = load_prepared(path)
    tags = tuple(_tag(label) for label in prepared.model.labels)
    names = script_table().names
    written = np.zeros((len(tags), len(names)), dtype=np.bool_)
    for row, tag in enumerate(tags):
        known = scripts_of(tag)
        # A label whose script nobody knows (a model of one's own with its own names) is not checked.
        written[row] = [not known or name in known for name in names]
    alone = np.full(len(names), -1, dtype=np.int32)
    for script, language in ALONE.items():
        owners = [row for row, tag in enumerate(tags) if list_language(tag) == language]
        if len(owners) == 1:
            alone[names.index(script)] = owners[0]
    weights = np.array([DENSE_LETTERS if name in DENSE_SCRIPTS else 1 for name in names], dtype=np.int32)
    return Identifier(prepared, tags, written, alone, weights)


def identify(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    *,
    min_score: float = 0.5,
    model: Identifier | None = None,
    window_bytes: int = WINDOW_BYTES,
) -> Identification:
    """The language of each text `data[offsets[i]:offsets[i + 1]]` (valid UTF-8).

    `model` is what `load_identifier` gives; left out, the model that the package carries.
    """
    identifier = load_identifier() if model is None else model
    prepared = identifier.prepared
    texts = len(offsets) - 1
    begins, ends = cut_windows(data, offsets, window_bytes)
    sums, inputs = embed(prepared, data, begins, ends)
    by_text = (texts, WINDOWS)
    used = (ends > begins).reshape(by_text)
    joined_sums = _add_windows(sums.reshape(*by_text, prepared.model.dimension))
    joined = classify(prepared, joined_sums, inputs.reshape(by_text).sum(axis=1, dtype=np.int32))
    scripts = count_scripts(data, begins, ends, np.repeat(np.arange(texts), WINDOWS), texts) * identifier.weights
    scripts[:, 0] = scripts[:, 1:].sum(axis=1)

    label, probability = joined.labels[:, 0], joined.probabilities[:, 0]
    # A text in one window says nothing by its parts.
    several = np.flatnonzero((used & (used.sum(axis=1) > 1)[:, None]).reshape(-1))
    single = classify(prepared, sums[several], inputs[several])
    score = np.minimum(probability, _agreement(single, several // WINDOWS, joined))
    letters = scripts[:, 0].astype(np.int64)
    share = _share(scripts, identifier.written[label])
    score = np.where(share < SCRIPT_SHARE, score * share, score)
    # fastText's floor under the logarithm can lift a probability over 1.
    score = round_score(np.where((letters == 0) | (label < 0), 0.0, np.minimum(score, 1.0)))
    required = required_score(letters, min_score)

    reason = np.full(texts, _MODEL, dtype=np.int32)
    reason[score < required] = _SHORT
    reason[score < min_score] = _LOW
    reason[(score < min_score) & (probability >= min_score)] = _MIXED
    reason[share < SCRIPT_SHARE] = _OTHER_SCRIPT
    reason[letters == 0] = _NO_LETTERS
    owner, own_share = _alone(scripts, identifier)
    by_script = (reason != _MODEL) & (owner >= 0) & (letters >= ALONE_LETTERS)
    reason[by_script] = _SCRIPT
    score = np.where(by_script, round_score(own_share), score)

    named = np.where(by_script, owner, label)
    names = (UNDETERMINED, *identifier.tags)
    codes = np.where((reason == _MODEL) | by_script, named + 1, 0).astype(np.int32)
    return Identification(
        languages=Codes(codes, names),
        scores=score,
        reasons=Codes(reason, REASONS),
        letters=letters,
        model=prepared.model.identity,
    )


def required_score(letters: NDArray[np.int64], min_score: float) -> NDArray[np.float64]:
    """The score that a text with so many letters must reach: float64[texts]; above 1 where none is enough."""
    needed = min_score + (1 - min_score) * SURE_LETTERS / np.maximum(letters, 1)
    needed = np.where(letters < SURE_LETTERS, np.inf, needed)
    return np.asarray(np.where(letters < SHORT_LETTERS, needed, min_score), dtype=np.float64)


def _add_windows(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum over the windows of each text, in their order: float32[texts, dimension]."""
    total = sums[:, 0].copy()
    for window in range(1, sums.shape[1]):
        total += sums[:, window]
    return total


def _agreement(single: Predictions, texts: NDArray[np.int64], joined: Predictions) -> NDArray[np.float64]:
    """The mean probability that windows give to the label of their text: float64[texts], the text's own where it has
    one window. `texts` names the text of each window; a label that is not among a window's best counts as 0."""
    label = joined.labels[:, 0]
    found = np.where(single.labels == label[texts][:, None], single.probabilities, 0.0).sum(axis=1)
    count = np.bincount(texts, minlength=len(label))
    # bincount adds in the order of the windows.
    total = np.bincount(texts, weights=found, minlength=len(label))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), joined.probabilities[:, 0]), dtype=np.float64)


def _share(scripts: NDArray[np.int32], written: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the letters that are in the given scripts: float64[texts], 1 for a text without letters."""
    inside = np.where(written[:, 1:], scripts[:, 1:], 0).sum(axis=1)
    return np.asarray(np.where(scripts[:, 0] > 0, inside / np.maximum(scripts[:, 0], 1), 1.0), dtype=np.float64)


def _alone(scripts: NDArray[np.int32], identifier: Identifier) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The label that has the script of nearly all letters to itself, or -1, and the share of the letters that its
    scripts make up: (int32[texts], float64[texts])."""
    owner = np.full(len(scripts), -1, dtype=np.int32)
    share = np.zeros(len(scripts), dtype=np.float64)
    for script in np.flatnonzero(identifier.alone >= 0):
        label = identifier.alone[script]
        own = scripts[:, script] >= ALONE_OWN_SHARE * np.maximum(scripts[:, 0], 1)
        rows = np.flatnonzero(own)
        inside = _share(scripts[rows], np.repeat(identifier.written[label][None], len(rows), axis=0))
        rows, inside = rows[inside >= ALONE_SHARE], inside[inside >= ALONE_SHARE]
        owner[rows], share[rows] = label, inside
    return owner, share


def cut_windows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], window_bytes: int = WINDOW_BYTES
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The windows of each text, `WINDOWS` to a text: (int64[texts * 3], int64[texts * 3]), begin and end.

    A text of at most three windows is covered by its parts without gaps, one of under three times `PART_BYTES` by the
    first alone (the others are empty). Windows never overlap and hold whole characters.
    """
    begins = np.zeros(WINDOWS * (len(offsets) - 1), dtype=np.int64)
    ends = np.zeros_like(begins)
    _cut_windows(read_only(data), offsets, window_bytes, PART_BYTES, begins, ends)
    return begins, ends


@inline_kernel
def _boundary(data: NDArray[np.uint8], place: int, end: int) -> int:
    """The next place at or after `place` where a word ends; failing one nearby, where a character begins."""
    for near in range(place, min(place + _BOUNDARY_BYTES, end)):
        if data[near] == 32 or 9 <= data[near] <= 13:
            return near
    while place < end and data[place] & 0xC0 == 0x80:
        place += 1
    return place


@kernel
def _cut_windows(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    window_bytes: int,
    part_bytes: int,
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    for text in range(offsets.shape[0] - 1):
        begin, end = offsets[text], offsets[text + 1]
        size = end - begin
        first = WINDOWS * text
        if size < WINDOWS * part_bytes:
            begins[first : first + WINDOWS] = end
            ends[first : first + WINDOWS] = end
            begins[first] = begin
            continue
        sampled = size > WINDOWS * window_bytes
        for window in range(WINDOWS):
            if sampled:
                start = begin + (size - window_bytes) * window // (WINDOWS - 1)
                stop = start + window_bytes
            else:
                start = begin + size * window // WINDOWS
                stop = begin + size * (window + 1) // WINDOWS
            begins[first + window] = begin if window == 0 else _boundary(data, start, end)
            ends[first + window] = end if window == WINDOWS - 1 else _boundary(data, stop, end)


def _tag(label: str) -> str:
    """A label as a language tag; `eng_Latn`, as other models have it, is `en`."""
    if label in _LABEL_TAGS:
        return _LABEL_TAGS[label]
    return normalise_tag(label)
