"""The language of each document: a fastText model on sampled windows, and a second opinion where it is easily wrong.

What is read. Of a text longer than `WINDOWS` windows, windows from its start to its end at even distances, cut between
words; of a shorter one, all. The model predicts on the windows joined, as on one line. A first glance has windows of
`GLANCE_BYTES`; what it leaves in any doubt is read anew in windows of `WINDOW_BYTES`.

The second opinion, each part with its own reason in `Identification.reasons`:

- *other script*: at least half of the letters must be in a script that the language is written in.
- *script*: where the model names no language and nearly all letters are in a script that one language has to itself
  (`curator.language.scripts.ALONE`), it is that language.
- *mixed*: the score is the smaller of the model's probability on the joined windows and its mean over the windows. Half
  a page in another language makes it `und`, a quarter only lowers the score; a text of under 384 bytes has one window,
  and is not looked at in parts. Where windows disagree, the text is read again by paragraph
  (`curator.language.paragraphs`); one that is mostly in another language than its windows say is `und` too. With
  `mixed: dominant` such a text is in the language of most of its letters instead.
- *confusable*: which of some close relatives it is must be clear (the policy of `curator.language.confusable`).
- *short*: a text of n letters, n < `SHORT_LETTERS`, must reach `min_score + (1 - min_score) * SURE_LETTERS / n`; below
  SURE_LETTERS letters the model is not believed at all.

A text in capitals, compatibility forms or between no-break spaces is read as it is in plain dress, and one in Arabic
letters that does not pass is read once more without its points, one in Latin letters with many apostrophes behind o
and g with the letters that Uzbek has there (`curator.language.dress`).

What does not pass is `und`. The model has no label 'none of these': a text in a language that it does not know is
named after a relative in about one document of seven (see `docs/language-accuracy.md`). A tag that the input carries is
therefore never overruled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from curator.document import Codes, string_buffer
from curator.language.classification import Predictions, classify, probability_of
from curator.language.confusable import choose
from curator.language.dress import POINTED_SCRIPT, TURNED_SCRIPT, turn, turns, undress, wears
from curator.language.identifier import Identifier, load_identifier
from curator.language.kernel import embed
from curator.language.paragraphs import DOMINANT_SHARE, Mixture, weigh_paragraphs
from curator.language.scripts import count_scripts, script_shares, script_table
from curator.language.windows import BLOCKS, GLANCE_BYTES, WINDOW_BYTES, WINDOWS, cut_blocks, cut_windows
from curator.verdict import round_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT_LETTERS = 60
SURE_LETTERS = 8
"""Both from UDHR cut short, languages that the model knows well: with these, the precision of what is named stays at
.98 from 10 letters on; at a plain 0.5 it is .86 at 10 letters, .94 at 20, .98 at 60."""

SCRIPT_SHARE = 0.5
ALONE_SHARE = 0.8
ALONE_OWN_SHARE = 0.2
ALONE_LETTERS = 4

DISAGREES = 0.8
"""The probability with which a window must name another language than its text has. At 0.5 a tenth of the pages of
manuals would be read again, and names of menus would do."""

_MOST = 0.51
"""More than half, by more than the floor that fastText puts under each step to a label can add to the others."""

GLANCE_SCORE = 0.7
"""A text of which short windows say so much is not read further."""

REASONS = (
    "model",
    "script",
    "paragraphs",
    "macrolanguage",
    "low score",
    "short",
    "mixed",
    "confusable",
    "other script",
    "no letters",
)
"""Why a text has its language: what named it; or, with `und`, what spoke against naming one."""
_MODEL, _SCRIPT, _PARAGRAPHS, _MACRO, _LOW, _SHORT, _MIXED, _CONFUSABLE, _OTHER_SCRIPT, _NO_LETTERS = range(
    len(REASONS)
)
_NAMED = _MACRO
"""The reasons up to this one name a language."""


@dataclass(frozen=True)
class Policy:
    """When a language is named. `confusable` and `mixed` say what becomes of a text for which it is not clear which of
    some relatives it is in, or that is in several languages; `model` believes the model, whatever its relatives say."""

    min_score: float = 0.5
    confusable: Literal["und", "macro", "model"] = "und"
    mixed: Literal["und", "dominant"] = "und"


@dataclass(frozen=True)
class Identification:
    """What language each text is in.

    `languages` holds BCP 47 tags, `und` where unsure; `scores` float64[texts] (6 significant digits) how sure the best
    candidate is after the second opinion; `reasons` one of `REASONS` for each text; `letters` int64[texts] the letters
    that were read (`DENSE_SCRIPTS` count twice); `scripts` int32[texts, scripts] the same by script, in the order of
    `script_table`, all letters first; `mixture` what the paragraphs say, where they were read; `model` the BLAKE3 of
    the model file.
    """

    languages: Codes
    scores: NDArray[np.float64]
    reasons: Codes
    letters: NDArray[np.int64]
    scripts: NDArray[np.int32]
    mixture: Mixture
    model: str

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """What is said, each array with a row a text."""
        mixture = (self.mixture.first, self.mixture.second, self.mixture.shares)
        return self.languages.codes, self.scores, self.reasons.codes, self.letters, self.scripts, *mixture


@dataclass(frozen=True)
class _Opinion:
    """What is said of each text by its windows; `names` are numbers of `Identifier.names`, `disagree` says whether some
    window names another language."""

    names: NDArray[np.int32]
    scores: NDArray[np.float64]
    reasons: NDArray[np.int32]
    scripts: NDArray[np.int32]
    disagree: NDArray[np.bool_]

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """What is said, each array with a row a text."""
        return self.names, self.scores, self.reasons, self.scripts, self.disagree


def identify(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    policy: Policy | None = None,
    *,
    model: Identifier | None = None,
    window_bytes: int = WINDOW_BYTES,
) -> Identification:
    """The language of each text `data[offsets[i]:offsets[i + 1]]` (valid UTF-8).

    `model` is what `load_identifier` gives; left out, the model that the package carries.
    """
    identifier = load_identifier() if model is None else model
    policy = Policy() if policy is None else policy
    texts = pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
    )
    found = _identify(data, offsets, window_bytes, identifier, policy)
    worn, unnamed, scripts = wears(data, offsets), found.reasons.codes > _NAMED, script_names(found.scripts)
    dressed = np.flatnonzero(worn | unnamed & scripts.mask(POINTED_SCRIPT))
    turned = np.flatnonzero(unnamed & ~worn & scripts.mask(TURNED_SCRIPT))
    turned = turned[turns(texts.take(pa.array(turned))).to_numpy(zero_copy_only=False)]
    rows = np.concatenate([dressed, turned])
    if len(rows):
        plain = pa.concat_arrays([undress(texts.take(pa.array(dressed))), texts.take(pa.array(turned))])
        again = _identify(*string_buffer(turn(plain)), window_bytes, identifier, policy)
        taken = worn[rows] | (again.reasons.codes <= _NAMED)
        for before, now in zip(found.arrays(), again.arrays(), strict=True):
            before[rows[taken]] = now[taken]
    return found


def _identify(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], window_bytes: int, identifier: Identifier, policy: Policy
) -> Identification:
    said = _listen(data, offsets, window_bytes, identifier, policy)
    names, scores, reasons = said.names, said.scores, said.reasons
    # Only these texts are read again, so that a corpus costs what its windows cost.
    rows = np.flatnonzero((reasons == _MIXED) | said.disagree)
    block_begins, block_ends = cut_blocks(data, offsets[rows], offsets[rows + 1])
    blocks = np.flatnonzero(block_ends > block_begins)
    by_block = _hear(data, block_begins[blocks], block_ends[blocks], 1, identifier, policy)
    letters = by_block.scripts[:, 0].astype(np.int64)
    mixture = weigh_paragraphs(rows[blocks // BLOCKS], by_block.names, letters, len(offsets) - 1, len(identifier.names))
    dominant = mixture.shares >= max(DOMINANT_SHARE, policy.min_score)
    if policy.mixed == "dominant":
        names = np.where(dominant, mixture.first, names)
        scores = np.where(dominant, mixture.shares, scores)
        reasons = np.where(dominant, _PARAGRAPHS, reasons)
    else:
        other = dominant & (reasons <= _NAMED) & (mixture.first != names)
        names = np.where(other, 0, names)
        reasons = np.where(other, _MIXED, reasons)
    return Identification(
        languages=Codes(names.astype(np.int32), identifier.names),
        scores=scores,
        reasons=Codes(reasons.astype(np.int32), REASONS),
        letters=said.scripts[:, 0].astype(np.int64),
        scripts=said.scripts,
        mixture=mixture,
        model=identifier.prepared.model.identity,
    )


def _listen(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], window_bytes: int, identifier: Identifier, policy: Policy
) -> _Opinion:
    """The opinion on each text: at a glance where that is sure, by its windows elsewhere."""
    glance_bytes = min(GLANCE_BYTES, window_bytes)
    begins, ends = offsets[:-1], offsets[1:]
    said = _hear(data, *cut_windows(data, begins, ends, glance_bytes), WINDOWS, identifier, policy)
    unsure = (said.reasons != _MODEL) | (said.scores < GLANCE_SCORE) | said.disagree
    rows = np.flatnonzero(unsure & (np.diff(offsets) > WINDOWS * glance_bytes))
    if len(rows):
        again = _hear(data, *cut_windows(data, begins[rows], ends[rows], window_bytes), WINDOWS, identifier, policy)
        for before, now in zip(said.arrays(), again.arrays(), strict=True):
            before[rows] = now
    return said


def _hear(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    windows: int,
    identifier: Identifier,
    policy: Policy,
) -> _Opinion:
    """The opinion on texts of so many windows each, which may be empty from the second on."""
    prepared = identifier.prepared
    texts = len(begins) // windows
    rows = np.repeat(np.arange(texts), windows)
    sums, inputs = embed(prepared, data, begins, ends)
    joined_sums = _add_windows(sums.reshape(texts, windows, prepared.model.dimension))
    joined = classify(prepared, joined_sums, inputs.reshape(texts, windows).sum(axis=1, dtype=np.int32))
    scripts = count_scripts(data, begins, ends, rows, texts, identifier.weights)
    letters = scripts[:, 0].astype(np.int64)

    label = joined.labels[:, 0]
    groups = np.where(label >= 0, identifier.group_of[label], -1)
    if policy.confusable == "model":
        groups = np.full(texts, -1)
    probability = _sum_alike(joined, label, groups, identifier)
    # A text in one window says nothing by its parts.
    used = (ends > begins).reshape(texts, windows)
    several = np.flatnonzero((used & (used.sum(axis=1) > 1)[:, None]).reshape(-1))
    text_of = rows[several]
    alike, other = _compare(sums[several], inputs[several], label[text_of], groups[text_of], identifier)
    score = np.minimum(probability, _mean_by_text(alike, text_of, probability))
    disagree = np.zeros(texts, dtype=np.bool_)
    disagree[text_of[other]] = True

    choice = choose(data, begins, ends, rows, joined, groups, scripts, identifier)
    label = choice.labels
    share = script_shares(scripts, np.arange(texts), identifier.written, label)
    known = (letters > 0) & (label >= 0)
    # fastText's floor under the logarithm can lift a probability over 1.
    score = np.where(known, np.minimum(score, 1.0) * np.where(share < SCRIPT_SHARE, share, 1.0), 0.0)
    sure = round_score(np.minimum(score, choice.certainty))
    score = round_score(score)
    required = required_score(letters, policy.min_score)

    reason = np.full(texts, _MODEL, dtype=np.int32)
    reason[sure < required] = _SHORT
    reason[sure < policy.min_score] = _LOW
    reason[(score < policy.min_score) & (probability >= policy.min_score)] = _MIXED
    in_doubt = choice.in_doubt & (score >= required)
    reason[in_doubt] = _CONFUSABLE
    reason[share < SCRIPT_SHARE] = _OTHER_SCRIPT
    reason[letters == 0] = _NO_LETTERS
    names = np.where(label >= 0, identifier.name_of[label], 0)
    if policy.confusable == "macro":
        covered = (reason == _CONFUSABLE) & (choice.macro_names >= 0)
        names, sure = np.where(covered, choice.macro_names, names), np.where(covered, score, sure)
        reason[covered] = _MACRO
    unnamed = np.flatnonzero((reason > _NAMED) & (letters >= ALONE_LETTERS))
    owner, own_share = _alone(scripts, unnamed, identifier)
    found = owner >= 0
    by_script = unnamed[found]
    reason[by_script] = _SCRIPT
    names[by_script] = identifier.name_of[owner[found]]
    sure[by_script] = round_score(own_share[found])
    return _Opinion(
        names=np.where(reason <= _NAMED, names, 0).astype(np.int32),
        scores=sure,
        reasons=reason,
        scripts=scripts,
        disagree=disagree,
    )


def required_score(letters: NDArray[np.int64], min_score: float) -> NDArray[np.float64]:
    """The score that a text with so many letters must reach: float64[texts]; above 1 where none is enough."""
    needed = min_score + (1 - min_score) * SURE_LETTERS / np.maximum(letters, 1)
    needed = np.where(letters < SURE_LETTERS, np.inf, needed)
    return np.asarray(np.where(letters < SHORT_LETTERS, needed, min_score), dtype=np.float64)


def script_names(scripts: NDArray[np.int32]) -> Codes:
    """The script of most letters of each text, the empty string for a text without letters."""
    names = ("", *script_table().names[1:])
    first = np.where(scripts[:, 0] > 0, scripts[:, 1:].argmax(axis=1) + 1, 0)
    return Codes(first.astype(np.int32), names)


def _add_windows(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum over the windows of each text, in their order: float32[texts, dimension]."""
    total = sums[:, 0].copy()
    for window in range(1, sums.shape[1]):
        total += sums[:, window]
    return total


def _compare(
    sums: NDArray[np.float32],
    inputs: NDArray[np.int32],
    label: NDArray[np.int32],
    groups: NDArray[np.int32],
    identifier: Identifier,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What windows say of the label of their text: its probability with that of its relatives in the same group, and
    whether the window names another language."""
    alike = probability_of(identifier.prepared, sums, inputs, label)
    alike = np.zeros(len(label)) if alike is None else alike
    # No other label of the window can be the best then; with relatives, or without a tree, all must be asked.
    asked = np.flatnonzero((alike < _MOST) | (groups >= 0))
    found = classify(identifier.prepared, sums[asked], inputs[asked])
    alike[asked] = _sum_alike(found, label[asked], groups[asked], identifier)
    other = np.zeros(len(label), dtype=np.bool_)
    other[asked] = (found.probabilities[:, 0] >= DISAGREES) & (alike[asked] < DISAGREES)
    return alike, other


def _sum_alike(
    found: Predictions, label: NDArray[np.int32], groups: NDArray[np.int32], identifier: Identifier
) -> NDArray[np.float64]:
    """The probability that each span gives to `label`, or to all labels of the group where it has one: float64[spans].
    A label that is not among a span's best counts as 0."""
    group = np.where(found.labels >= 0, identifier.group_of[found.labels], -2)
    alike = np.where((groups >= 0)[:, None], group == groups[:, None], found.labels == label[:, None])
    return np.asarray(np.where(alike, found.probabilities, 0.0).sum(axis=1), dtype=np.float64)


def _mean_by_text(
    values: NDArray[np.float64], texts: NDArray[np.int64], otherwise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of the values of each text, `otherwise` for one that has none: float64[texts]."""
    count = np.bincount(texts, minlength=len(otherwise))
    # bincount adds in the order of the windows.
    total = np.bincount(texts, weights=values, minlength=len(otherwise))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), otherwise), dtype=np.float64)


def _alone(
    scripts: NDArray[np.int32], rows: NDArray[np.int64], identifier: Identifier
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The label that has the script of nearly all letters of each of `rows` to itself, or -1, and the share of the
    letters that its scripts make up: (int32[rows], float64[rows])."""
    owner = np.full(len(rows), -1, dtype=np.int32)
    share = np.zeros(len(rows), dtype=np.float64)
    owned = np.flatnonzero(identifier.alone >= 0)
    enough = ALONE_OWN_SHARE * np.maximum(scripts[rows, 0], 1)
    own = scripts[rows[:, None], owned] >= enough[:, None]
    for place in np.flatnonzero(own.any(axis=0)):
        label = identifier.alone[owned[place]]
        found = np.flatnonzero(own[:, place])
        inside = script_shares(scripts, rows[found], identifier.written, np.full(len(found), label, dtype=np.int32))
        found, inside = found[inside >= ALONE_SHARE], inside[inside >= ALONE_SHARE]
        owner[found], share[found] = label, inside
    return owner, share
