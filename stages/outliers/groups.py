"""Which documents have a forest in common: those of a language, of one script where it is written in several.

A forest of characters sets the rarer script of a language apart from the other, whatever the texts say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.document import Codes
from curator.language.scripts import count_scripts, further_scripts, script_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch


def groups_of(batch: Batch) -> Codes:
    """The group of each document: its language, with the script behind it (`sr-Latn`) where most letters are in one in
    which many write the language beside its usual one."""
    languages = batch.languages
    further = [further_scripts(name) for name in languages.names]
    several = np.array([bool(scripts) for scripts in further], dtype=np.bool_)
    rows = np.flatnonzero(several[languages.codes]) if len(further) else np.zeros(0, np.int64)
    if not len(rows):
        return languages
    data, offsets = batch.text_buffer
    counts = count_scripts(data, offsets[rows], offsets[rows + 1], np.arange(len(rows)), len(rows))
    most = counts[:, 1:].argmax(axis=1) + 1
    scripts = script_table().names
    names = list(languages.names)
    codes: NDArray[np.int32] = languages.codes.copy()
    for language, script in sorted(set(zip(codes[rows].tolist(), most.tolist(), strict=True))):
        if scripts[script] in further[language]:
            here = (languages.codes[rows] == language) & (most == script) & (counts[:, 0] > 0)
            codes[rows[here]] = len(names)
            names.append(f"{languages.names[language]}-{scripts[script]}")
    return Codes(codes, tuple(names))


def group_column(batch: Batch) -> pa.StringArray:
    """`groups_of`, as a column."""
    groups = groups_of(batch)
    return pa.array(np.array(groups.names, dtype=object)[groups.codes], pa.string())


def language_of(group: str) -> str:
    """The language of a group."""
    return group.partition("-")[0]
