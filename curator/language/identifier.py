"""A model with what the second opinion needs to know of its labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.document import UNDETERMINED
from curator.language.confusable import GROUPS
from curator.language.kernel import PreparedModel, load_prepared
from curator.language.labels import read_labels
from curator.language.scripts import ALONE, script_table
from curator.language.tags import list_language

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_PATH = Path(__file__).parent / "data" / "lid.176.ftz"
"""fastText's lid.176, quantised; see `data/NOTICE`."""

DENSE_SCRIPTS = ("Hani", "Hira", "Kana", "Hang", "Bopo")
DENSE_LETTERS = 2
"""A character of these scripts is a syllable or more and counts as two letters. Counted as one, one Chinese or Japanese
page of manuals in nine would be taken for Latin, because of the code and the names in it."""


@dataclass(frozen=True)
class Identifier:
    """A model, and its labels as numbers.

    `names` are distinct tags, `und` first, then those of labels, then macrolanguages; `name_of` int32[labels] is the
    name of a label and `language_of` int32[labels] numbers its list language. `written` bool[labels, scripts] says
    which scripts a label's texts are written in; `alone` int32[scripts] is the label that has a script to itself, or
    -1; `weights` int32[scripts] is what a letter counts.

    `group_of` int32[labels] is the group of a label in `GROUPS`, -1 for none; `member_of` int32[labels] is its place in
    the group's `judged`, -1 where the judge has no words of it; `in_macro` bool[labels] whether the group's
    macrolanguage covers it; `macro_name` int32[groups] is the name of that, -1 for none. `label_of` int32[groups,
    members, scripts] is the label of a judged member for a text in a script, -1 where the model has none.
    """

    prepared: PreparedModel
    names: tuple[str, ...]
    name_of: NDArray[np.int32]
    written: NDArray[np.bool_]
    alone: NDArray[np.int32]
    weights: NDArray[np.int32]
    language_of: NDArray[np.int32]
    group_of: NDArray[np.int32]
    member_of: NDArray[np.int32]
    in_macro: NDArray[np.bool_]
    macro_name: NDArray[np.int32]
    label_of: NDArray[np.int32]


@lru_cache(maxsize=4)
def load_identifier(path: Path = MODEL_PATH) -> Identifier:
    """The model at `path` (default: the one that the package carries), once per process. Raises UserError as
    `load_model` does."""
    prepared = load_prepared(path)
    labels = read_labels(prepared.model.labels)
    scripts = script_table().names
    # A label whose script nobody knows (a model of one's own with its own names) is not checked.
    written = np.array([[not label.scripts or script in label.scripts for script in scripts] for label in labels])
    languages = [list_language(label.tag) for label in labels]
    alone = np.full(len(scripts), -1, dtype=np.int32)
    for script, language in ALONE.items():
        number = scripts.index(script)
        owners = [row for row, owner in enumerate(languages) if owner == language and written[row, number]]
        if len(owners) == 1:
            alone[number] = owners[0]
    macros = tuple(group.macro for group in GROUPS if group.macro)
    names = tuple(dict.fromkeys((UNDETERMINED, *(label.tag for label in labels), *macros)))
    place = {name: number for number, name in enumerate(names)}
    group_of = np.full(len(labels), -1, dtype=np.int32)
    member_of = np.full(len(labels), -1, dtype=np.int32)
    in_macro = np.zeros(len(labels), dtype=np.bool_)
    label_of = np.full((len(GROUPS), max(len(group.judged) for group in GROUPS), len(scripts)), -1, dtype=np.int32)
    for number, group in enumerate(GROUPS):
        for row, language in enumerate(languages):
            if language not in group.members:
                continue
            group_of[row] = number
            in_macro[row] = language in group.macro_members
            if language in group.judged:
                member_of[row] = group.judged.index(language)
        for member in range(len(group.judged)):
            rows = np.flatnonzero((group_of == number) & (member_of == member))
            # Of several labels of one language, the one that is written in the fewest scripts fits a script best.
            for row in sorted(rows.tolist(), key=lambda row: -int(written[row].sum())):
                label_of[number, member, written[row]] = row
    return Identifier(
        prepared=prepared,
        names=names,
        name_of=np.array([place[label.tag] for label in labels], dtype=np.int32),
        written=written,
        alone=alone,
        weights=np.array([DENSE_LETTERS if script in DENSE_SCRIPTS else 1 for script in scripts], dtype=np.int32),
        language_of=np.unique(languages, return_inverse=True)[1].astype(np.int32),
        group_of=group_of,
        member_of=member_of,
        in_macro=in_macro,
        macro_name=np.array([place[group.macro] if group.macro else -1 for group in GROUPS], dtype=np.int32),
        label_of=label_of,
    )
