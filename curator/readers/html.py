"""HTML: one file, one document; its text is what is left without navigation, scripts, forms and comments.

The main text comes from Resiliparse (Bevendorff et al., 'Elastic ChatNoir', ECIR 2018): on 355 pages with known text it
is as good as Trafilatura at fifteen times the speed (`benchmarks/readers.py`, docs/decisions). A page without main text
is a document with an empty text, not a failure: it can be read, there is just nothing in it. The id is the file's name.

The encoding: a byte order mark, or the zeros of UTF-16 where the page begins; else UTF-8 where the bytes are valid
UTF-8 and not all ASCII (other encodings are so only by accident); else what HTTP says, what the page says (the order of
the HTML standard, 'Determining the character encoding'), what its bytes look like.

Failures: html.malformed (elements nested deeper, or tags longer, than any browser takes: the extraction would take
quadratic time), document.too_large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from curator.readers.base import Failure, InputFile, ReadOptions, Records, Split
from curator.readers.batches import RecordBuilder, only_failures
from curator.readers.digests import Digests
from curator.readers.head import UTF8_BOM, wide_encoding
from curator.readers.whole import read_whole, whole_file_split

MALFORMED = "html.malformed"

MAX_DEPTH = 512
"""Elements inside each other: the limit of Blink's parser (`kMaximumHTMLParserDOMTreeDepth`)."""
MAX_ATTRIBUTES = 1000
_LONG_TAG_BYTES = 1 << 14
"""Only a tag that is longer than this can have so many attributes that they matter."""

_NESTING = re.compile(rb"<(/?)(?:div|article)\b", re.IGNORECASE)
"""The elements whose depth costs the extraction quadratic time."""
_TAG = re.compile(rb"</?[a-zA-Z]")
_RAW_TEXT = re.compile(rb"<(?:script|style)\b", re.IGNORECASE)
_RAW_TEXT_END = re.compile(rb"</(?:script|style)\b", re.IGNORECASE)
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_WIDER = {"euc_kr": "cp949", "shift_jis": "cp932", "big5": "big5hkscs", "gbk": "gb18030"}
"""What the Encoding Standard understands by these names, where the codec of Python of that name knows fewer characters:
one Hangul syllable or circled digit that it lacks would cost the page."""
_UNMAPPED = frozenset(("cp949", "mac-cyrillic"))
"""What the detector finds and Resiliparse has no name of the standard for, and says UTF-8."""
_LAST_RESORT = "cp1252"
"""What the HTML standard falls back to in most locales."""
_MAX_DAMAGED_SHARE = 0.1
"""Of the characters that are not ASCII, replaced ones, above which a declared encoding is not believed."""


class MalformedPageError(Exception):
    """A page that no extraction should be tried on. Never leaves the readers."""


class HtmlReader:
    """Reads HTML files."""

    name = "html"

    def __init__(self) -> None:
        self._digests = Digests()

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """See `Reader.splits`: one split a file."""
        return whole_file_split(file)

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """See `Reader.read`."""
        page = read_whole(split, options.max_document_bytes, self._digests)
        if isinstance(page, Failure):
            yield only_failures((page,))
            return
        builder = RecordBuilder()
        if page:
            try:
                builder.add(0, page_text(page), id=split.file.name)
            except MalformedPageError:
                builder.fail(0, 1, MALFORMED, page)
        yield builder.build()

    def digest(self, split: Split) -> str:
        """See `Reader.digest`."""
        return self._digests.of(split)


def page_text(page: bytes, charset: str | None = None) -> str:
    """The main text of a page whose transport said `charset`. MalformedPageError for one that would take quadratic
    time."""
    from resiliparse.extract.html2text import extract_plain_text

    characters = decode_page(page, charset)
    # Every other encoding writes tags as ASCII does.
    if is_malformed(characters.encode() if wide_encoding(page) else page):
        raise MalformedPageError
    text: str = extract_plain_text(characters, main_content=True, alt_texts=False, comments=False, post_meta=False)
    return text.strip()


def decode_page(page: bytes, charset: str | None = None) -> str:
    """The characters of a page or of a text that came by HTTP; bytes that do not decode become U+FFFD."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    if page.startswith(UTF8_BOM):
        return page[len(UTF8_BOM) :].decode(errors="replace")
    wide = wide_encoding(page)
    if wide is not None:
        return page.decode(wide, errors="replace")
    if not page.isascii():
        try:
            return page.decode()
        except UnicodeDecodeError:
            pass
    declared = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    text = _decode(page, declared or _detect(page, in_meta=True) or _LAST_RESORT)
    if text.count("\ufffd") <= _MAX_DAMAGED_SHARE * _count_not_ascii(text):
        return text
    guessed = _detect(page, in_meta=False)
    return _decode(page, _LAST_RESORT if guessed in (None, "utf-8") else guessed)


def is_malformed(page: bytes) -> bool:
    """Whether elements are nested beyond `MAX_DEPTH` or a tag has more than `MAX_ATTRIBUTES`, roughly: without
    parsing."""
    depth = deepest = 0
    for match in _NESTING.finditer(page):
        depth = max(0, depth - 1) if match[1] else depth + 1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return True
    ends = np.flatnonzero(np.frombuffer(page, dtype=np.uint8) == ord(">"))
    bounds = np.concatenate((np.array([-1]), ends, np.array([len(page)])))
    for place in np.flatnonzero(np.diff(bounds) > _LONG_TAG_BYTES):
        opening = page.rfind(b"<", 0, max(bounds[place], 0))
        in_script = _RAW_TEXT.match(page, max(opening, 0)) is not None
        part = page[bounds[place] + 1 : bounds[place + 1]]
        tag = (_RAW_TEXT_END if in_script else _TAG).search(part)
        if tag is not None and len(_QUOTED.sub(b"", part[tag.start() :]).split()) > MAX_ATTRIBUTES:
            return True
    return False


def _detect(page: bytes, *, in_meta: bool) -> str | None:
    """What a page says of its encoding, or what its bytes look like."""
    from resiliparse.parse.encoding import detect_encoding

    found: str | None = detect_encoding(page, from_html_meta=in_meta)
    if found != "utf-8":
        return found
    unmapped = detect_encoding(page, html5_compatible=False, from_html_meta=in_meta)
    return unmapped if unmapped in _UNMAPPED else found


def _decode(page: bytes, encoding: str) -> str:
    from resiliparse.parse.encoding import bytes_to_str

    text: str = bytes_to_str(page, _WIDER.get(encoding, encoding), errors="replace", fallback_encodings=())
    return text


def _count_not_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))
