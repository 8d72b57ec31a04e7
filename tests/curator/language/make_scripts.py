"""Write `curator/language/data/scripts.npz`: the script of every letter of Unicode, as a two-stage table.

    python -m tests.curator.language.make_scripts      (needs fonttools: pip install fonttools)

Source: Unicode Character Database, Scripts.txt (UAX #24), through `fontTools.unicodedata`. Code points that are no
letters (digits, punctuation, marks) have script 0, as have the letters of `Common` and `Inherited`.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
from fontTools import unicodedata as ucd  # installed only where the table is made
from fontTools.unicodedata import Scripts
from numpy.typing import NDArray

TARGET = Path(__file__).parents[3] / "curator/language/data/scripts.npz"
BLOCK = 256
NO_LETTER = frozenset("MNPSZC")


def build() -> dict[str, NDArray[np.generic]]:
    """The arrays of the file: `names` (S4[scripts]), `blocks` (uint8, one for 256 code points), `cells` (uint8)."""
    names = ["Zyyy"]
    scripts = np.zeros(0x110000, dtype=np.uint8)
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        # Letters that are younger than this Python have no category here (Cn), but they have a script there.
        if category[0] in NO_LETTER and category != "Cn":
            continue
        script = str(ucd.script(character))
        if script in {"Zyyy", "Zinh", "Zzzz"}:
            continue
        if script not in names:
            names.append(script)
        scripts[code] = names.index(script)
    cells, blocks = np.unique(scripts.reshape(-1, BLOCK), axis=0, return_inverse=True)
    version = re.search(r"Scripts-([0-9.]+)\.txt", Path(Scripts.__file__).read_text(encoding="utf-8"))
    return {
        "names": np.array(names, dtype="S4"),
        "blocks": blocks.astype(np.uint8),
        "cells": cells.astype(np.uint8).reshape(-1),
        "unicode": np.array(version.group(1) if version else "?", dtype="S16"),
    }


if __name__ == "__main__":
    arrays = build()
    np.savez_compressed(
        TARGET,
        names=arrays["names"],
        blocks=arrays["blocks"],
        cells=arrays["cells"],
        unicode=arrays["unicode"],
    )
