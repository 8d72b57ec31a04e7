"""Build a multilingual benchmark corpus with planted duplicates from installable packages.

    python benchmarks/build_corpus.py corpus.jsonl.zst --megabytes 100 [--cache DIR] [--seed 0]

Real text in about 40 languages and declarations in hundreds more (help, handbooks, a guide), with exact (5%) and near
(10%) duplicates planted; `corpus.truth.jsonl.zst` beside it names the pairs: `a`, `b`, `kind`, `rate`, true 5-gram
`jaccard`, `lang`, `tokens`. Packages are fetched as they are needed; 100 MB can be had. For more, see
`grow_corpus.py`. Needs apt-get, dpkg and npm, and from PyPI lxml and zstandard. The texts keep the licences of their
packages (MPL-2.0, CC-BY-SA-3.0, GPL-2): for use at home, not for handing on as a whole.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import zstandard
from planting import edit_units, jaccard, units
from texts import Document, Page, declarations, desktop_help, documents, handbook, installation_guide, office_help

OFFICE_LANGUAGES = """
de fr es it pt-br ru pl cs nl ja zh-cn zh-tw ko hu fi sv da tr el pt ca gl eu sl sk et id vi hi km dz om en-us
"""
EXACT_SHARE, NEAR_SHARE = 0.05, 0.1
RATES = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12)


def pages_by_group(cache: Path) -> Iterator[tuple[str, Iterable[Page]]]:
    """The sources in the order in which they are taken, each fetched when it is asked for."""
    yield "udhr", whole_declarations(cache)
    yield "help", desktop_help(cache)
    yield "handbook", handbook(cache)
    yield "guide", installation_guide(cache)
    for name in OFFICE_LANGUAGES.split():
        yield "office", office_help(name, cache)


def whole_declarations(cache: Path) -> Iterator[Page]:
    """The declarations, a page each instead of a page an article."""
    for _, articles in itertools.groupby(declarations(cache), key=lambda page: page.name.partition("/")[0]):
        pages = list(articles)
        lines = tuple(line for page in pages for line in page.paragraphs)
        yield dataclasses.replace(pages[0], name=pages[0].name.partition("/")[0], paragraphs=lines)


def collect(cache: Path, wanted: int) -> list[Document]:
    """Documents of at least `wanted` bytes of text, from as few packages as that takes."""
    found: list[Document] = []
    size = 0
    for group, pages in pages_by_group(cache):
        for document in documents(pages, group):
            found.append(document)
            size += len(document.text.encode())
        if size >= wanted:
            return found
    raise SystemExit(f"only {size / 1e6:.0f} MB of text in the packages; make more of it with grow_corpus.py")


def plant(originals: list[Document], rng: random.Random) -> tuple[list[Document], list[Mapping[str, object]]]:
    """Exact and near duplicates of a seeded choice of the documents, and the truth about each pair."""
    vocabulary: dict[str, list[str]] = collections.defaultdict(list)
    for document in originals:
        if len(vocabulary[document.lang]) < 5000:
            vocabulary[document.lang] += units(document.text)
    exact = round(EXACT_SHARE * len(originals))
    chosen = rng.sample(originals, exact + round(NEAR_SHARE * len(originals)))
    copies: list[Document] = []
    truth: list[Mapping[str, object]] = []
    for number, original in enumerate(chosen):
        kind = "exact" if number < exact else "near"
        rate = 0 if kind == "exact" else RATES[number % len(RATES)]
        text = original.text
        if rate:
            text, _ = edit_units(text, rate, vocabulary[original.lang], rng)
        copy = dataclasses.replace(original, id=f"{kind}/{number}", text=text)
        copies.append(copy)
        pair = {"a": original.id, "b": copy.id, "kind": kind, "rate": rate, "jaccard": jaccard(original.text, text)}
        truth.append(pair | {"lang": original.lang, "tokens": len(units(original.text))})
    return copies, truth


def write_lines(path: Path, lines: Iterable[Mapping[str, object]]) -> int:
    """JSON lines, zstd-compressed if the name ends in `.zst`; returns the bytes of text in them."""
    size = 0
    with zstandard.open(path, "wt", encoding="utf-8") if path.suffix == ".zst" else path.open("w") as file:
        for line in lines:
            size += len(str(line.get("text", "")).encode())
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return size


def truth_path(path: Path) -> Path:
    """Where the truth about a corpus stands: `x.jsonl.zst` has `x.truth.jsonl.zst`."""
    name, _, rest = path.name.partition(".jsonl")
    return path.with_name(f"{name}.truth.jsonl{rest}")


def main() -> None:
    """Read the command line, build, and say what was built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=int, default=100, help="MB of text in all, duplicates included")
    parser.add_argument("--cache", type=Path, help="where packages are kept between runs (default: a temporary folder)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    wanted = round(options.megabytes * 1e6 / (1 + EXACT_SHARE + NEAR_SHARE))
    with tempfile.TemporaryDirectory() as temporary:
        found = collect(options.cache or Path(temporary), wanted)
    rng.shuffle(found)
    originals, size = [], 0
    while size < wanted:
        originals.append(found.pop())
        size += len(originals[-1].text.encode())
    copies, truth = plant(originals, rng)
    records = [{k: v for k, v in dataclasses.asdict(d).items() if k != "url"} for d in originals + copies]
    rng.shuffle(records)
    size = write_lines(options.out, records)
    write_lines(truth_path(options.out), truth)
    languages = len({document.lang for document in originals})
    print(f"{len(records)} documents, {size / 1e6:.1f} MB of text, {languages} languages, {len(truth)} planted pairs")


if __name__ == "__main__":
    main()
