"""How fast readers read, in MB of (decompressed) input per CPU second; and HTML extraction libraries side by side.

    python benchmarks/readers.py CORPUS.jsonl.zst [PAGES]

CORPUS is a JSON Lines file of multilingual text. PAGES, if given, is a directory of HTML pages whose main text is the
element `role="main"` or `id="main"`, or a DocBook chapter (Sphinx, Texinfo and DocBook manuals are). Pages with the
texts of the corpus in five templates are made in any case. Libraries that are not installed are left out.
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import zstandard
from corpora import open_corpus

from curator.readers.base import ReadOptions
from curator.readers.detect import discover
from curator.readers.registry import load_reader

SPLIT_BYTES = 16 << 20
LIMIT_BYTES = 60 << 20
TOKEN = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
MENU = (
    "Home",
    "About us",
    "Contact",
    "News",
    "Sport",
    "Culture",
    "Login",
    "Subscribe",
    "Terms of use",
    "Privacy policy",
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("pages", type=Path, nargs="?")
    arguments = parser.parse_args()
    with open_corpus(arguments.corpus) as stream:
        data = stream.read(LIMIT_BYTES)
    data = data[: data.rfind(b"\n") + 1]
    records = [json.loads(line) for line in data.splitlines()]
    print(f"{len(records)} documents, {len(data) / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        compare_formats(Path(folder), data, records)
    compare_parsers(data)
    pages = [*made_pages(records), *(real_pages(arguments.pages) if arguments.pages else ())]
    compare_extraction(pages)


def compare_formats(folder: Path, data: bytes, records: list[dict[str, str]]) -> None:
    """Every reader on the same documents, through `splits` and `read` in one process."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [record["text"] for record in records]
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("id", "text"))
    writer.writerows((record["id"], record["text"]) for record in records)
    files = {
        "a.jsonl": data,
        "a.jsonl.zst": zstandard.compress(data),
        "a.csv": table.getvalue().encode(),
        "a.txt": "\n\n".join(texts).encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    pq.write_table(pa.table({"text": texts}), folder / "a.parquet", row_group_size=2000)
    for name in (*files, "a.parquet"):
        size = len(files.get(name, b""))
        if name.endswith((".zst", ".parquet")):
            size = len(data)
        print(f"{name:16} {rate(size, partial(read, folder / name)):7.0f} MB per CPU second")


def read(path: Path) -> int:
    """Records of a file."""
    [file] = discover([str(path)])
    reader, options = load_reader(file.format), ReadOptions()
    return sum(
        part.records.num_rows
        for split in reader.splits(file, options, SPLIT_BYTES)
        for part in reader.read(split, options)
    )


def rate(size: int, run: Callable[[], object], times: int = 3) -> float:
    """MB per CPU second, the best of some runs (the machine is shared)."""
    best = float("inf")
    for _ in range(times):
        begin = time.process_time()
        run()
        best = min(best, time.process_time() - begin)
    return size / 1e6 / best


def compare_parsers(data: bytes) -> None:
    """JSON parsers on lines, to Arrow columns of four fields."""
    import msgspec
    import pyarrow as pa

    record = msgspec.defstruct("Record", [(name, str | None, None) for name in ("text", "id", "source", "lang")])
    lines = data.splitlines()

    def columns(decode: Callable[[bytes], object], get: Callable[[object, str], object]) -> None:
        for begin in range(0, len(lines), 2000):
            rows = [decode(line) for line in lines[begin : begin + 2000]]
            pa.array([get(row, "text") for row in rows], pa.binary())
            for name in ("id", "source", "lang"):
                pa.array([get(row, name) for row in rows], pa.string())

    decoders: dict[str, tuple[Callable[[bytes], object], Callable[[object, str], object]]] = {
        "msgspec, struct": (msgspec.json.Decoder(record).decode, getattr),
        "json": (json.loads, _item),
    }
    if find_spec("orjson"):
        import orjson

        decoders["orjson"] = (orjson.loads, _item)
    for name, (decode, get) in decoders.items():
        print(f"{name:16} {rate(len(data), partial(columns, decode, get)):7.0f} MB per CPU second to columns")


def _item(row: object, name: str) -> object:
    return row.get(name) if isinstance(row, dict) else None


@dataclass(frozen=True)
class Page:
    """A page and the text that it is about."""

    kind: str
    html: str
    text: str


def compare_extraction(pages: list[Page]) -> None:
    """Precision and recall of words (characters where there are no spaces), averaged over pages, and speed."""
    size = sum(len(page.html.encode()) for page in pages)
    print(f"{len(pages)} pages, {size / 1e6:.1f} MB of HTML")
    for name, extract in extractors():
        extract(pages[0].html)
        begin = time.process_time()
        found = [extract(page.html) for page in pages]
        speed = size / 1e6 / (time.process_time() - begin)
        scores = [score(text, page.text) for text, page in zip(found, pages, strict=True)]
        print(f"{name}: {speed:.1f} MB per CPU second")
        for kind in ("all", *sorted({page.kind for page in pages})):
            chosen = [one for one, page in zip(scores, pages, strict=True) if kind in ("all", page.kind)]
            precision, recall, f1 = (sum(one[place] for one in chosen) / len(chosen) for place in range(3))
            print(f"    {kind:28} {len(chosen):4} pages  P {precision:.3f}  R {recall:.3f}  F1 {f1:.3f}")


def extractors() -> Iterator[tuple[str, Callable[[str], str]]]:
    """The libraries that are installed."""
    if find_spec("resiliparse"):
        from resiliparse.extract.html2text import extract_plain_text

        def resiliparse(page: str) -> str:
            text: str = extract_plain_text(page, main_content=True, alt_texts=False, comments=False, post_meta=False)
            return text

        yield "resiliparse", resiliparse
    if find_spec("trafilatura"):
        import trafilatura

        def precise(page: str) -> str:
            return trafilatura.extract(page, include_comments=False) or ""

        def lenient(page: str) -> str:
            return trafilatura.extract(page, include_comments=False, favor_recall=True, fast=True) or ""

        yield "trafilatura", precise
        yield "trafilatura, fast and for recall", lenient


def score(found: str, wanted: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of the multiset of words."""
    have, want = Counter(TOKEN.findall(found)), Counter(TOKEN.findall(wanted))
    common = sum((have & want).values())
    precision, recall = common / max(1, have.total()), common / max(1, want.total())
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def made_pages(records: list[dict[str, str]]) -> Iterator[Page]:
    """Texts in many languages, long and short, in templates of five kinds of sites."""
    chosen: dict[str, list[str]] = {}
    for record in records:
        paragraphs = [part.strip() for part in record["text"].split("\n") if len(part) > 30]
        if len(paragraphs) >= 10:
            chosen.setdefault(record["lang"], paragraphs[:25])
    languages = random.Random(7).sample(sorted(chosen), min(12, len(chosen)))
    for language in languages:
        title, *paragraphs = chosen[language]
        for length in (len(paragraphs), 3):
            text = "\n".join([title[:60], *paragraphs[:length]])
            for template in (news, blog, soup, table, plain):
                kind = f"made: {template.__name__}{'' if length > 3 else ', short'}"
                yield Page(kind, template(title[:60], paragraphs[:length]), text)


def _menu(tag: str = "li") -> str:
    return "".join(f'<{tag}><a href="/{number}">{word}</a></{tag}>' for number, word in enumerate(MENU))


def _paragraphs(paragraphs: list[str], template: str = "<p>{}</p>") -> str:
    return "".join(template.format(html.escape(part)) for part in paragraphs)


def news(title: str, paragraphs: list[str]) -> str:
    """A newspaper: semantic elements, a cookie banner, related stories, reader comments."""
    return f"""<!doctype html><html><head><title>{title}</title><script>var a = 1;</script></head><body>
<div class="cookie-consent">We use cookies to improve your experience. <button>Accept all</button></div>
<header><nav><ul>{_menu()}</ul></nav></header><main><article><h1>{title}</h1>
<p class="byline">By <a href="/x">Staff Writer</a></p><div class="share">Share on <a href="#">Network</a></div>
<div class="article-body">{_paragraphs(paragraphs)}</div>
<aside class="related"><h3>Related</h3><ul>{_menu()}</ul></aside></article>
<section class="comments"><h2>Comments</h2><p>I fully agree with this.</p></section></main>
<aside class="sidebar"><h3>Most read</h3><ul>{_menu()}</ul></aside>
<footer>Copyright. All rights reserved.</footer></body></html>"""


def blog(title: str, paragraphs: list[str]) -> str:
    """A weblog engine's theme: div elements with well-known class names."""
    return f"""<!doctype html><html><head><title>{title}</title></head><body class="single"><div class="site-header">
<p class="site-title">My Blog</p><div class="main-navigation"><ul>{_menu()}</ul></div></div><div class="content-area">
<div class="post hentry"><h1 class="entry-title">{title}</h1><div class="entry-meta">Posted by admin</div>
<div class="entry-content">{_paragraphs(paragraphs)}</div>
<div class="entry-footer">Posted in <a href="#">All</a></div></div>
<div class="comments-area"><ol><li>Nice post, thanks for sharing.</li></ol>
<form><label>Name</label><input></form></div></div>
<div class="widget-area"><ul>{_menu()}</ul></div><div class="site-footer">Proudly powered</div></body></html>"""


def soup(title: str, paragraphs: list[str]) -> str:
    """Nothing but div elements, lines broken by hand."""
    return f"""<html><head><title>{title}</title></head><body><div class="top">{_menu("span")}</div>
<div class="left">{_menu("div")}<div>Advertisement: buy now and save</div></div><div class="content"><h2>{title}</h2>
{_paragraphs(paragraphs, "<div>{}<br></div>")}</div>
<div class="bottom">Copyright. Powered by an engine.</div></body></html>"""


def table(title: str, paragraphs: list[str]) -> str:
    """A page of the nineties, laid out in a table."""
    return f"""<html><head><title>{title}</title></head><body><table><tr><td colspan=2>{_menu("span")}</td></tr><tr>
<td width=20%>{_menu("div")}</td><td><font size=4>{title}</font><br>{_paragraphs(paragraphs, "{}<br><br>")}</td></tr>
<tr><td colspan=2>Visitors: 12345</td></tr></table></body></html>"""


def plain(title: str, paragraphs: list[str]) -> str:
    """Nothing around the text."""
    return f"<html><body><h1>{title}</h1>{_paragraphs(paragraphs, '<p>{}')}</body></html>"


def real_pages(folder: Path) -> Iterator[Page]:
    """Manuals, at most 40 pages of each directory directly below; pages that are mostly links (indexes) are left
    out."""
    import lxml.html

    main_text = "|".join(
        (
            '//*[@role="main"]',
            '//div[@id="main"]',
            '//div[@class="chapter" or @class="sect1" or @class="sect2" or @class="section"]',
        )
    )
    for manual in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(manual.rglob("*.html"))
        random.Random(1).shuffle(files)
        count = 0
        for path in files:
            content = path.read_bytes()
            if count == 40 or path.is_symlink() or not 2000 < len(content) < 300_000:
                continue
            tree = lxml.html.document_fromstring(content)
            elements = tree.xpath(main_text)
            try:
                page = content.decode()
            except UnicodeDecodeError:
                continue
            for noise in tree.xpath('//script|//style|//a[@class="headerlink"]|//*[contains(@class, "nav")]'):
                if elements and noise is not elements[0]:
                    noise.drop_tree()
            text = elements[0].text_content() if elements else ""
            links = sum(len(link.text_content()) for link in elements[0].iter("a")) if elements else 0
            if len(text) > 800 and links < len(text) / 2:
                count += 1
                yield Page(manual.name, page, text)


if __name__ == "__main__":
    main()
