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
    data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64], rows: NDArray[np.int64], row_count: int
) -> NDArray[np.int32]:
    """Letters by script, added up over the spans `data[begins[i]:ends[i]]` of each row: int32[row_count, scripts].

    Column 0 counts all letters. A span holds whole characters of valid UTF-8.
    """
    table = script_table()
    counts = np.zeros((row_count, len(table.names)), dtype=np.int32)
    _count_scripts(read_only(data), begins, ends, rows, table.blocks, table.cells, counts)
    return counts


@inline_kernel
def _decode(data: NDArray[np.uint8], place: int, size: int) -> int:
    """The code point of the `size` (two to four) bytes at `place`."""
    code = int(data[place]) & (0x7F >> size)
    for offset in range(1, size):
        code = (code << 6) | (int(data[place + offset]) & 0x3F)
    return code


@kernel
def _count_scripts(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    blocks: NDArray[np.uint8],
    cells: NDArray[np.uint8],
    counts: NDArray[np.int32],
) -> None:
    for span in range(begins.shape[0]):
        place = int(begins[span])
        row = rows[span]
        letters = 0
        latin = 0
        while place < ends[span]:
            lead = int(data[place])
            if lead < 0x80:
                place += 1
                # ASCII letters: the bit that tells lowercase from uppercase set, then one range.
                latin += 1 if 0x61 <= (lead | 0x20) <= 0x7A else 0
                continue
            size = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
            code = _decode(data, place, size)
            place += size
            script = cells[int(blocks[code >> 8]) * 256 + (code & 0xFF)]
            if script > 0:
                counts[row, script] += 1
                letters += 1
        counts[row, 1] += latin
        counts[row, 0] += letters + latin
