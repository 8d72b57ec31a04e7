"""Groups of languages that a model confuses, and the policy that says when one of a group is named.

The policy. Where the model's best label belongs to a group, the text is in some language of the group when the
probabilities of its labels add up to `min_score`. Which one is decided apart:

- *By words*, where the text is in Latin letters and `data/confusable.tsv` has words of the label's language: the judge
  (`curator.language.judge`) weighs the words that tell the members apart. Its probability of a member times the
  model's to the power `MODEL_WEIGHT` (at least `MODEL_FLOOR`), made to add up to 1 over the members, is the certainty.
  The most certain member is named at the group's `agreed` if the model says the same, at `OVERRULES` against it: the
  model's larger languages are far more frequent than they are in a benchmark, so a smaller relative needs more than a
  likelihood. A text with fewer than `FEWEST_WORDS` listed words is not judged.
- *By lead* otherwise: the model's best label must lead the next of its group by `LEAD`.

A text for which neither holds is not named: it is `und`, or with `confusable: macro` the macrolanguage that covers the
members in question (`ms`, `no`, `zh`; ISO 639-3). Serbo-Croatian has none here: BCP 47's `sh` is canonically `sr-Latn`,
which names one of the members. Lists treat `ms`, `no` and `zh` as Malay, Bokmål and Mandarin (`curator.language.tags`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.language.scripts import script_table
from curator.verdict import round_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.language.classification import Predictions
    from curator.language.identifier import Identifier

TABLE_PATH = Path(__file__).parent / "data" / "confusable.tsv"
"""Words and weights, made by `curator.language.build_confusable`; see `data/NOTICE`."""

MODEL_WEIGHT = 0.25
MODEL_FLOOR = 0.01
OVERRULES = 0.95
FEWEST_WORDS = 4
"""Chosen, as is `Group.agreed`, on pages of 150 to 1500 bytes of the messages of VLC, which the table was not built
from. With 0.7 for `agreed` and 0.9 for `OVERRULES`, of the pages of 300 bytes .843 are right and .026 wrong; with the
model's share to the power 1, .857 and .039; with none of it, .831 and .022; with 0.5 for both, .902 and .065."""

LEAD = 0.2
MACRO_SHARE = 0.9
"""The share of the group's probability that a macrolanguage must cover."""

_LATIN = "Latn"


@dataclass(frozen=True)
class Group:
    """Languages that are confused with each other, as list languages.

    `judged` are those of `members` that the table has words of, `agreed` is the certainty that one of them needs when
    the model says the same. `macro` covers `macro_members`.
    """

    name: str
    members: tuple[str, ...]
    judged: tuple[str, ...] = ()
    macro: str | None = None
    macro_members: tuple[str, ...] = ()
    agreed: float = 0.5


GROUPS = (
    Group("South Slavic", ("bs", "hr", "sr"), judged=("bs", "hr", "sr"), agreed=0.8),
    Group("Malay", ("id", "min", "ms"), judged=("id", "ms"), macro="ms", macro_members=("id", "min", "ms"), agreed=0.7),
    Group(
        "Scandinavian",
        ("da", "nn", "no", "sv"),
        judged=("da", "nn", "no", "sv"),
        macro="no",
        macro_members=("nn", "no"),
        agreed=0.6,
    ),
    Group(
        "Iberian",
        ("an", "ast", "ca", "es", "gl", "oc", "pt"),
        judged=("an", "ast", "ca", "es", "gl", "oc", "pt"),
    ),
    Group("Czech and Slovak", ("cs", "sk"), judged=("cs", "sk")),
    Group("Chinese", ("wuu", "yue", "zh"), macro="zh", macro_members=("wuu", "yue", "zh")),
    Group("Hindi belt", ("bho", "hi", "mai", "mr", "ne")),
    Group("Kurdish", ("ckb", "ku"), macro="ku", macro_members=("ckb", "ku")),
    Group("German", ("bar", "de", "gsw", "lb", "nds")),
    Group("English and Scots", ("en", "sco")),
    Group("Italian", ("co", "it", "lmo", "pms", "sc", "scn", "vec")),
)
"""Which languages benchmarks/language.py shows to be confused with each other, on the declarations and on messages of
programs."""


@dataclass(frozen=True)
class Choice:
    """What the policy chooses for each text: `labels` int32[texts], the model's best where it has no group;
    `certainty` float64[texts] of that choice; `in_doubt` bool[texts] where it must not be named; `macro_names`
    int32[texts] the macrolanguage that then covers it, -1 for none."""

    labels: NDArray[np.int32]
    certainty: NDArray[np.float64]
    in_doubt: NDArray[np.bool_]
    macro_names: NDArray[np.int32]


def choose(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    text_of: NDArray[np.int64],
    found: Predictions,
    groups: NDArray[np.int32],
    scripts: NDArray[np.int32],
    identifier: Identifier,
) -> Choice:
    """Decide which of its group each text is in. Spans `data[begins[i]:ends[i]]` belong to text `text_of[i]`; `found`
    is what the model says of texts, `groups` int32[texts] their groups (-1: none), `scripts` their letters by
    script."""
    from curator.language.judge import judge_words

    labels = found.labels[:, 0].copy()
    certainty, in_doubt, macro_share = _by_lead(found, groups, identifier)
    script = scripts[:, 1:].argmax(axis=1) + 1
    latin = script == script_table().names.index(_LATIN)
    rows = np.flatnonzero((groups >= 0) & (labels >= 0) & (identifier.member_of[labels] >= 0))
    # The label that fits the script: Serbian in Latin letters is `sr-Latn`, whichever label found it.
    fitting = identifier.label_of[groups[rows], identifier.member_of[labels[rows]], script[rows]]
    labels[rows] = np.where(fitting >= 0, fitting, labels[rows])
    rows = rows[latin[rows]]
    number = np.full(len(labels), -1, dtype=np.int64)
    number[rows] = np.arange(len(rows))
    spans = np.flatnonzero((number[text_of] >= 0) & (ends > begins))
    given, words = judge_words(data, begins[spans], ends[spans], number[text_of[spans]], groups[rows])
    enough = words >= FEWEST_WORDS
    rows, given = rows[enough], given[enough]
    group = groups[rows]
    given = given * _by_member(found, rows, group, given.shape[1], identifier) ** MODEL_WEIGHT
    given /= given.sum(axis=1, keepdims=True)
    best = given.argmax(axis=1)
    chosen = identifier.label_of[group, best, script[rows]]
    certainty[rows] = round_score(np.where(chosen >= 0, given.max(axis=1), 0.0))
    agrees = identifier.member_of[labels[rows]] == best
    agreed = np.array([group.agreed for group in GROUPS])[group]
    in_doubt[rows] = certainty[rows] < np.where(agrees, agreed, OVERRULES)
    macro_share[rows] = (given * _macro_members(given.shape[1])[group]).sum(axis=1)
    labels[rows] = np.where(chosen >= 0, chosen, labels[rows])
    macro_names = np.where((groups >= 0) & (macro_share >= MACRO_SHARE), identifier.macro_name[groups], -1)
    return Choice(labels, certainty, in_doubt, macro_names.astype(np.int32))


def _by_lead(
    found: Predictions, groups: NDArray[np.int32], identifier: Identifier
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """How sure the model is of its best label, whether that does not lead its group by enough, and which share of the
    group's probability the macrolanguage covers: (float64[texts], bool[texts], float64[texts])."""
    label = found.labels[:, 0]
    present = found.labels >= 0
    inside = present & (identifier.group_of[found.labels] == groups[:, None]) & (groups >= 0)[:, None]
    same = identifier.language_of[found.labels] == identifier.language_of[label][:, None]
    certainty = np.where(inside & same, found.probabilities, 0.0).sum(axis=1)
    rival = np.where(inside & ~same, found.probabilities, 0.0).max(axis=1, initial=0.0)
    whole = np.where(inside, found.probabilities, 0.0).sum(axis=1)
    covered = np.where(inside & identifier.in_macro[found.labels], found.probabilities, 0.0).sum(axis=1)
    certainty = np.where(groups >= 0, certainty, 1.0)
    return certainty, (groups >= 0) & (round_score(certainty - rival) < LEAD), covered / np.maximum(whole, 1e-300)


def _by_member(
    found: Predictions, rows: NDArray[np.int64], group: NDArray[np.int32], members: int, identifier: Identifier
) -> NDArray[np.float64]:
    """What the model gives to the judged members of the group of each of `rows`: float64[rows, members], the floor
    included."""
    given = np.full((len(rows), members), MODEL_FLOOR)
    labels, probabilities = found.labels[rows], found.probabilities[rows]
    for place in range(labels.shape[1]):
        label = labels[:, place]
        member = np.where((label >= 0) & (identifier.group_of[label] == group), identifier.member_of[label], -1)
        inside = np.flatnonzero(member >= 0)
        given[inside, member[inside]] += probabilities[inside, place]
    return given


def _macro_members(width: int) -> NDArray[np.float64]:
    """1 where the macrolanguage of a group covers a judged member: float64[groups, width]."""
    covers = np.zeros((len(GROUPS), width), dtype=np.float64)
    for number, group in enumerate(GROUPS):
        covers[number, : len(group.judged)] = [member in group.macro_members for member in group.judged]
    return covers
