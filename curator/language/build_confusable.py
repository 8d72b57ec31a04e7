"""Builds `data/confusable.tsv`, the words by which languages that are easily confused are told apart.

    python -m curator.language.build_confusable --firefox DIR --chromium DIR

`--firefox` holds the unpacked Debian packages `firefox-esr-l10n-CODE` (MPL-2.0), a folder each; `--chromium` is the
unpacked package `chromium-l10n` (BSD-3-Clause). Both are messages of a program in many languages, so that languages
differ in their words and not in what they speak of. Messages that were left in English are taken out, and so are
English words of more than three letters: what is left of them says who translates carelessly, not which language it is.

For each group of `curator.language.confusable` a multinomial logistic regression is fitted on pages of 100 to 1600
bytes; a word's feature is its count over the square root of the number of listed words on the page, as
`curator.language.judge` has it. The words with the largest weights times the square root of their pages are kept, and
the regression is fitted on them again. The same files give the same bytes.
"""

from __future__ import annotations

import argparse
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from itertools import compress, pairwise
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from curator.language.confusable import GROUPS, TABLE_PATH, Group
from curator.language.judge import fold_words

FIREFOX = {"no": ("nb-no",), "nn": ("nn-no",), "sv": ("sv-se",), "pt": ("pt-br", "pt-pt"), "es": ("es-es",)}
CHROMIUM = {"no": ("nb",), "pt": ("pt-BR", "pt-PT")}
"""Codes of the packages where they are not the language's own."""

ENGLISH = ("en-gb", "en-ca")

PAGE_BYTES = (100, 400, 1600)
SELECTION_BYTES = 400
WORDS_PER_LANGUAGE = 400
FEWEST_PAGES = 4
ENGLISH_SHARE = 0.5
"""A message of which more words are English was not translated."""

LONGEST_SHARED_WORD = 3
STRENGTH = 10.0
"""Inverse of the L2 penalty. At 1 the judge is unsure of what it gets right, at 100 sure of what it gets wrong."""

_SHORTEST_MESSAGE = 20
_MARKUP = re.compile(r"<[^>]*>|\{[^{}]*\}|%[\d$]*[a-zA-Z]|\$[A-Za-z0-9_]+\$?|&\w+;|https?://\S+|\S+@\S+")
_MESSAGE = re.compile(r"(-?[a-zA-Z][\w-]*)\s*=(.*)")
_ATTRIBUTE = re.compile(r"\s+\.([\w-]+)\s*=(.*)")
_VARIANT = re.compile(r"^\*?\[[^\]]*\]")
_PAK_VERSION = 5
_UTF8 = 1


def tidy(message: str) -> str:
    """A message without markup and places for values."""
    without = _MARKUP.sub(" ", _MARKUP.sub(" ", message))
    return " ".join(re.sub(r"\{.*?->|[{}]", " ", without).split())


def firefox_messages(folder: Path, code: str) -> Iterator[str]:
    """The messages of a language pack of Firefox; none where the package is not there."""
    for pack in sorted((folder / f"firefox-esr-l10n-{code}").rglob("*.xpi")):
        with zipfile.ZipFile(pack) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".ftl"):
                    yield from _fluent(archive.read(name).decode())
                elif name.endswith(".properties"):
                    yield from _properties(archive.read(name).decode())


def _properties(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            yield line.split("=", 1)[1]


def _fluent(text: str) -> Iterator[str]:
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        begins = _MESSAGE.match(line) or _ATTRIBUTE.match(line)
        if begins:
            found.append(begins[2])
        elif found:
            found[-1] += " " + _VARIANT.sub("", line.strip())
    yield from found


def chromium_messages(folder: Path, code: str) -> Iterator[str]:
    """The messages of a .pak file of Chromium (version 5); none where there is no such file."""
    for path in sorted(folder.rglob(f"locales/{code}.pak")):
        data = path.read_bytes()
        version, encoding = struct.unpack_from("<IB", data)
        if version != _PAK_VERSION:
            raise SystemExit(f"{path}: version {version} of the format is not known")
        (count,) = struct.unpack_from("<H", data, 8)
        places = [struct.unpack_from("<HI", data, 12 + 6 * entry)[1] for entry in range(count + 1)]
        for begin, end in pairwise(places):
            yield data[begin:end].decode("utf-8" if encoding == _UTF8 else "utf-16-le", "replace")


def messages(language: str, firefox: Path, chromium: Path) -> list[str]:
    """All messages in a language, tidy, each once, in the order of the files."""
    found: dict[str, None] = {}
    for code in FIREFOX.get(language, (language,)):
        found |= dict.fromkeys(map(tidy, firefox_messages(firefox, code)))
    for code in CHROMIUM.get(language, (language,)):
        found |= dict.fromkeys(map(tidy, chromium_messages(chromium, code)))
    return [text for text in found if len(text) >= _SHORTEST_MESSAGE and "\ufffd" not in text]


def is_english(words: list[str], english: frozenset[str]) -> bool:
    """Whether a message was left in English."""
    return sum(word in english for word in words) > ENGLISH_SHARE * len(words)


def pages(texts: Iterable[str], size: int) -> Iterator[str]:
    """Texts put together until they have `size` bytes."""
    page: list[str] = []
    length = 0
    for text in texts:
        page.append(text)
        length += len(text.encode())
        if length >= size:
            yield " ".join(page)
            page, length = [], 0


def fit(group: Group, texts: dict[str, list[str]], english: frozenset[str]) -> list[tuple[str, list[float]]]:
    """Words and their weights for each member of the group, the intercepts first under the empty word."""
    sample, truth, selects = [], [], []
    for number, language in enumerate(group.judged):
        for size in PAGE_BYTES:
            found = [fold_words(page) for page in pages(texts[language], size)]
            sample += found
            truth += [number] * len(found)
            selects += [size == SELECTION_BYTES] * len(found)
    page_count: dict[str, int] = {}
    for words in sample:
        for word in set(words):
            page_count[word] = page_count.get(word, 0) + 1
    vocabulary = sorted(
        word
        for word, count in page_count.items()
        if count >= FEWEST_PAGES and not (len(word) > LONGEST_SHARED_WORD and word in english)
    )
    weights, _ = _regress(list(compress(sample, selects)), list(compress(truth, selects)), vocabulary)
    strength = np.abs(weights).max(axis=0) * np.sqrt([page_count[word] for word in vocabulary])
    kept = np.sort(np.argsort(-strength, kind="stable")[: WORDS_PER_LANGUAGE * len(group.judged)])
    vocabulary = [vocabulary[place] for place in kept]
    weights, intercepts = _regress(sample, truth, vocabulary)
    rows = [("", intercepts), *zip(vocabulary, weights.T, strict=True)]
    return [(word, [round(float(value), 2) for value in row]) for word, row in rows]


def _regress(
    sample: list[list[str]], truth: list[int], vocabulary: list[str]
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Weights, float64[languages, words], and intercepts, float64[languages]; each centred over the languages."""
    place = {word: column for column, word in enumerate(vocabulary)}
    values, columns, ends = [], [], [0]
    for words in sample:
        listed = [place[word] for word in words if word in place]
        columns += listed
        values += [1 / np.sqrt(max(len(listed), 1))] * len(listed)
        ends.append(len(columns))
    features = sparse.csr_matrix((values, columns, ends), shape=(len(sample), len(vocabulary)))
    features.sum_duplicates()
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500, tol=1e-5).fit(features, truth)
    weights, intercepts = model.coef_, model.intercept_
    if len(weights) == 1:  # two classes have one row, the second against the first
        weights, intercepts = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    return weights - weights.mean(axis=0), intercepts - intercepts.mean()


def main() -> None:
    """Fit every group and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firefox", type=Path, required=True)
    parser.add_argument("--chromium", type=Path, required=True)
    options = parser.parse_args()
    english = frozenset(
        word for code in ENGLISH for text in firefox_messages(options.firefox, code) for word in fold_words(tidy(text))
    )
    lines = []
    for group in GROUPS:
        if not group.judged:
            continue
        texts = {
            language: [
                text
                for text in messages(language, options.firefox, options.chromium)
                if not is_english(fold_words(text), english)
            ]
            for language in group.judged
        }
        missing = [language for language, found in texts.items() if not found]
        if missing:
            raise SystemExit(f"{group.name}: no messages in {', '.join(missing)}")
        lines.append(f"# {group.name}\t" + "\t".join(group.judged))
        for word, weights in fit(group, texts, english):
            lines.append(f"{word}\t" + "\t".join(f"{weight:g}" for weight in weights))
    TABLE_PATH.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
