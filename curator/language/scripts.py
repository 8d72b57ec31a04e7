"""Scripts: which script a text's letters are in, and which scripts a language is written in.

Scripts have their ISO 15924 codes. The table of code points is `data/scripts.npz` (Unicode Character Database, Script
property, UAX #24). A language is written in the script that CLDR's likely subtags give its tag, and those of `_ALSO`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.language.tags import likely_script, named_script, normalise_tag
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TABLE = Path(__file__).parent / "data" / "scripts.npz"

_COMPOSITE = {
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
    "Hrkt": ("Hira", "Kana"),
}
"""What ISO 15924 names as one and Unicode has as several (UAX #24, table 2)."""

_ALSO = {
    "ace": ("Arab",),
    "az": ("Cyrl", "Arab"),
    "ban": ("Bali",),
    "bjn": ("Arab",),
    "bm": ("Nkoo",),
    "bs": ("Cyrl",),
    "crh": ("Latn",),
    "ff": ("Adlm",),
    "fil": ("Tglg",),
    "ha": ("Arab",),
    "iu": ("Latn",),
    "jv": ("Java",),
    "kk": ("Arab", "Latn"),
    "kok": ("Latn",),
    "ks": ("Deva",),
    "ku": ("Arab", "Cyrl"),
    "ky": ("Arab", "Latn"),
    "lad": ("Latn",),
    "min": ("Arab",),
    "mn": ("Mong",),
    "mni": ("Mtei",),
    "ms": ("Arab",),
    "pa": ("Arab",),
    "ro": ("Cyrl",),
    "sat": ("Deva", "Beng", "Orya"),
    "sd": ("Deva",),
    "shi": ("Latn",),
    "sr": ("Latn",),
    "su": ("Sund",),
    "tg": ("Arab", "Latn"),
    "tk": ("Cyrl", "Arab"),
    "tt": ("Latn",),
    "ug": ("Latn", "Cyrl"),
    "uz": ("Cyrl", "Arab"),
    "vi": ("Hani",),
    "wo": ("Arab",),
}
"""Scripts beside the likely one in which a language is written today by many (CLDR supplemental data, languageData)."""

ALONE = {
    "Armn": "hy",
    "Grek": "el",
    "Gujr": "gu",
    "Guru": "pa",
    "Hang": "ko",
    "Hira": "ja",
    "Java": "jv",
    "Khmr": "km",
    "Knda": "kn",
    "Laoo": "lo",
    "Mlym": "ml",
    "Mong": "mn",
    "Orya": "or",
    "Sinh": "si",
    "Taml": "ta",
    "Telu": "te",
    "Tglg": "fil",
    "Thaa": "dv",
    "Thai": "th",
}
"""Scripts in which nearly all text is in one language. Left out on purpose, because several languages of some size
share them: Ethi (Amharic, Tigrinya), Tibt (Tibetan, Dzongkha), Mymr (Burmese, Shan, Mon), Hebr (Hebrew, Yiddish),
Geor (Georgian, Mingrelian)."""


_ONE = np.uint64(1)


@dataclass(frozen=True)
class ScriptTable:
    """Code point c is a letter of script `names[cells[256 * blocks[c // 256] + c % 256]]`; number 0 is no letter."""

    names: tuple[str, ...]
    blocks: NDArray[np.uint8]
    cells: NDArray[np.uint8]


@lru_cache(maxsize=1)
def script_table() -> ScriptTable:
    """The table of Unicode that the package carries."""
    with np.load(_TABLE, allow_pickle=False) as arrays:
        names = tuple(name.decode() for name in arrays["names"].tolist())
        return ScriptTable(names, arrays["blocks"], arrays["cells"])


def scripts_of(tag: str) -> frozenset[str]:
    """The scripts that a language is written in; only the one named where the tag names one. Empty where none is
    known."""
    canonical = normalise_tag(tag)
    likely = likely_script(tag)
    if likely is None:
        return frozenset()
    if named_script(canonical):
        return script_members(likely)
    primary, _, _ = canonical.partition("-")
    return script_members(likely) | frozenset(_ALSO.get(primary, ()))


@lru_cache(maxsize=1 << 12)
def further_scripts(language: str) -> frozenset[str]:
    """The scripts in which many write a language (a primary subtag) beside its likely one."""
    likely = likely_script(language)
    usual = frozenset[str]() if likely is None else script_members(likely)
    return frozenset(_ALSO.get(language, ())) - usual


def script_members(script: str) -> frozenset[str]:
    """The scripts of Unicode that an ISO 15924 code stands for."""
    return frozenset(_COMPOSITE.get(script, (script,)))


def count_scripts(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    row_count: int,
    weights: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """Letters by script, added up over the spans `data[begins[i]:ends[i]]` of each row: int32[row_count, scripts].

    Column 0 counts all letters; a letter of script s counts as `weights[s]`, as one where these are left out. A span
    holds whole characters of valid UTF-8.
    """
    table = script_table()
    counts = np.zeros((row_count, len(table.names)), dtype=np.int32)
    weights = np.ones(len(table.names), dtype=np.int32) if weights is None else weights
    _count_scripts(read_only(data), begins, ends, rows, table.blocks, table.cells, weights, counts)
    return counts


def script_shares(
    scripts: NDArray[np.int32], rows: NDArray[np.int64], written: NDArray[np.bool_], labels: NDArray[np.int32]
) -> NDArray[np.float64]:
    """The share of the letters of `scripts[rows[i]]`, as `count_scripts` gives them, that are in a script which
    `written[labels[i]]` has: float64[rows], 1 where there are no letters."""
    shares = np.empty(len(rows), dtype=np.float64)
    _share_scripts(scripts, rows, written, labels, shares)
    return shares


@kernel
def _share_scripts(
    scripts: NDArray[np.int32],
    rows: NDArray[np.int64],
    written: NDArray[np.bool_],
    labels: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> None:
    for place in range(rows.shape[0]):
        row, label = rows[place], labels[place]
        inside = np.int64(0)
        for script in range(1, scripts.shape[1]):
            inside += scripts[row, script] * written[label, script]
        letters = scripts[row, 0]
        shares[place] = inside / letters if letters > 0 else 1.0


@inline_kernel
def decode(data: NDArray[np.uint8], place: np.uint64, size: np.uint64) -> np.uint64:
    """The code point of the `size` (two to four) bytes at `place`."""
    code = np.uint64(data[place]) & (np.uint64(0x7F) >> size)
    for offset in range(_ONE, size):
        code = (code << np.uint64(6)) | (np.uint64(data[place + offset]) & np.uint64(0x3F))
    return code


@kernel
def _count_scripts(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    blocks: NDArray[np.uint8],
    cells: NDArray[np.uint8],
    weights: NDArray[np.int32],
    counts: NDArray[np.int32],
) -> None:
    for span in range(np.uint64(begins.shape[0])):
        place, end = np.uint64(begins[span]), np.uint64(ends[span])
        row = np.uint64(rows[span])
        # ASCII letters: the bit that tells lowercase from uppercase set, then one range. A loop of vector code.
        latin = np.int64(0)
        ascii_only = np.uint8(0)
        for byte in data[place:end]:
            latin += np.uint8(np.uint8(byte | 0x20) - np.uint8(0x61)) < 26
            ascii_only |= byte
        letters = latin * weights[1]
        counts[row, 1] += letters
        if ascii_only >= 0x80:
            while place < end:
                lead = data[place]
                if lead < 0x80:
                    place += _ONE
                    continue
                size = np.uint64(2 if lead < 0xE0 else (3 if lead < 0xF0 else 4))
                code = decode(data, place, size)
                place += size
                script = np.uint64(
                    cells[np.uint64(blocks[code >> np.uint64(8)]) << np.uint64(8) | code & np.uint64(0xFF)]
                )
                if script > 0:
                    counts[row, script] += weights[script]
                    letters += weights[script]
        counts[row, 0] += letters
