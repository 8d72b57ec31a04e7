"""Names of persons, by cue words and gazetteers.

Precision comes first: a capitalised word is no name by itself, even if it stands in a gazetteer, for `Jordan`, `Paris`,
`May`, `Will` and `Mark` do. A name needs two signs:

- a known given name and a known surname next to each other (one of the two may also be an ordinary word, a place or a
  month);
- two known given names, with an unknown surname under the rules that hold behind one;
- initials and a known surname;
- a known given name and an unknown capitalised word inside a sentence, where no neighbour has a capital, or in a list;
  a given name of few other languages only in English text, or before `<`;
- a title (`Mr`, `Dr.`, `г-н`, `さん`; behind a whole word, `Madam`, a full stop ends the sentence) or an introduction
  (`my name is`) and a name, known or not, with the known surname that follows it; offices (`Minister`) and labels
  (`Author:`) ask for a known name, in German titles and offices for a known surname (`Frau Ayşe Yılmaz`);
- in languages that put the surname first, a known surname and a known given name;
- once a document has given a name in full, its parts, where they stand alone with a capital.

In scripts without capitals every part must be known; in Chinese, Japanese and Korean, known parts next to each other,
or a surname and a title, with nothing but a space between them. A surname that is a word too (`门`, in `部门经理`)
begins a name inside running text only before a known given name and a title. A name that is one (`建国`, `안정은`), or
begins with one (`祖国` in `祖国强大`), needs a title. Thai names are found right after titles only. Inflected names
(Slavic, Finnish, Turkish cases) are found only where another part of the name is in the gazetteer as it stands.
`name_coverage` says what a language has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from curator.text.segment import read_only
from stages.pii.gazetteer import gazetteer
from stages.pii.name_kernels import (
    CASED,
    CASELESS,
    HEADLINES,
    KOREAN,
    NOUNS,
    PATRONYMICS,
    SKIP,
    SURNAME_FIRST,
    TITLED_ONLY,
    UNSPACED,
    look_up,
)
from stages.pii.spaced_kernels import find_spaced
from stages.pii.unspaced_kernels import find_unspaced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Codes
    from curator.text.segment import Units

_CASELESS: Final = frozenset(
    ("ar", "bn", "ckb", "dv", "fa", "gu", "he", "hi", "ka", "mr", "ne", "or", "si", "ta", "ur")
)
_UNSPACED: Final = frozenset(("zh", "ja"))
_TITLED_ONLY: Final = frozenset(("th",))
_NOUNS: Final = frozenset(("de", "lb"))
_SURNAME_FIRST: Final = frozenset(("be", "hu", "ja", "kk", "ko", "ru", "uk", "uz", "vi", "zh"))
_PATRONYMICS: Final = frozenset(("be", "kk", "ru", "uk"))
_HEADLINES: Final = frozenset(("cy", "en", "fil", "ga", "id", "ms"))

_POSSESSIVES: Final = (b"'s", "\u2019s".encode())

NOT_CHECKED: Final = "names not checked"
CUES_ONLY: Final = "names only after titles and cue words"


def name_coverage(language: str) -> str | None:
    """What cannot be done about names in a language; None where there are a gazetteer and cue words."""
    table = gazetteer()
    if language in _TITLED_ONLY:
        return CUES_ONLY
    if language in table.named:
        return None
    return CUES_ONLY if language in table.languages else NOT_CHECKED


def find(data: NDArray[np.uint8], units: Units, languages: Codes) -> Iterator[tuple[int, int, int]]:
    """Names in the texts of a batch: (document, first byte, byte after the last)."""
    listed = gazetteer()
    columns, modes, traits = (
        np.array([choose(name) for name in languages.names] or [0], dtype=np.int32)[languages.codes]
        for choose in (listed.column, mode_of, traits_of)
    )
    if not modes.any():
        return
    data, offsets, hashes = read_only(data), read_only(units.offsets), read_only(units.hashes)
    starts, ends, kinds = read_only(units.starts), read_only(units.ends), read_only(units.kinds)
    rows, own = np.zeros(len(hashes), dtype=np.int32), np.zeros(len(hashes), dtype=np.uint16)
    lists = (listed.present, listed.table, listed.flags)
    look_up(hashes, kinds, offsets, columns, modes, *lists, rows, own)

    def spaced(out: NDArray[np.int64]) -> int:
        places = (data, offsets, hashes, starts, ends, kinds, rows, own, columns, modes, traits)
        return find_spaced(*places, *lists, listed.any_flags, listed.column("en"), out)

    def unspaced(out: NDArray[np.int64]) -> int:
        return find_unspaced(data, offsets, hashes, starts, ends, kinds, own, columns, modes, *lists, out)

    found = _collect(spaced, len(hashes))
    last = found[:, 2] - 1
    for document, first, begin, stop in zip(
        *(values.tolist() for values in (found[:, 0], starts[found[:, 1]], starts[last], ends[last])), strict=True
    ):
        yield document, first, stop - _possessive_bytes(data[begin:stop].tobytes())
    for document, first, stop in _collect(unspaced, len(hashes)).tolist():
        yield document, first, stop


def _possessive_bytes(word: bytes) -> int:
    """How long the `'s` is with which a word ends, which is no part of the name."""
    return next((len(mark) for mark in _POSSESSIVES if word.endswith(mark) and len(word) > len(mark)), 0)


def _collect(run: Callable[[NDArray[np.int64]], int], units: int) -> NDArray[np.int64]:
    """The rows that a kernel writes, run again with more room if they did not fit."""
    capacity = 1024 + units // 64
    while True:
        out = np.empty((capacity, 3), dtype=np.int64)
        count = run(out)
        if count <= capacity:
            return out[:count]
        capacity = count


def mode_of(language: str) -> int:
    """How names are told in a language: a constant of `stages.pii.name_kernels`."""
    table = gazetteer()
    if table.column(language) == 0:
        return SKIP
    if language in _UNSPACED:
        return UNSPACED
    if language in _TITLED_ONLY:
        return TITLED_ONLY
    if language == "ko":
        return KOREAN
    return CASELESS if language in _CASELESS else CASED


def traits_of(language: str) -> int:
    """What else is to be known of a language: a sum of constants of `stages.pii.name_kernels`."""
    return (
        NOUNS * (language in _NOUNS)
        + SURNAME_FIRST * (language in _SURNAME_FIRST)
        + PATRONYMICS * (language in _PATRONYMICS)
        + HEADLINES * (language in _HEADLINES)
    )
