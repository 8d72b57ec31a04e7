"""Plain text: a document a line, a paragraph or a file (`sample_by`, in the words of Hugging Face datasets).

A line ends with LF or CR LF; lines of nothing but ASCII white space are no records. Paragraphs are separated by such
lines; a paragraph keeps its line feeds and the white space before its first word, and loses what follows its last.
Plain files are cut at fixed byte offsets in both. A document is the whole file, byte for byte without a byte order
mark; its id is left to the run, as in the other two. There are no other fields.

Failures: document.too_large.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curator.errors import UserError
from curator.readers.base import Failure, InputFile, ReadOptions, Records, Split
from curator.readers.batches import RecordBuilder, make_records, only_failures
from curator.readers.blocks import (
    Block,
    LineEnds,
    ParagraphEnds,
    in_text_at,
    line_blocks,
    plain_splits,
    split_blocks,
    stream_splits,
)
from curator.readers.digests import Digests
from curator.readers.head import UTF8_BOM, check_text_head
from curator.readers.whole import read_whole, whole_file_split

SAMPLE_BY = ("line", "paragraph", "document")


class TextReader:
    """Reads plain text."""

    name = "text"

    def __init__(self) -> None:
        self._digests = Digests()

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """See `Reader.splits`. UserError, at once, for UTF-16 or a `sample_by` that does not exist."""
        if options.sample_by not in SAMPLE_BY:
            raise UserError(f"input.sample_by is {options.sample_by!r}", hint=f"one of {', '.join(SAMPLE_BY)}")
        check_text_head(file)
        if options.sample_by == "document":
            return whole_file_split(file)
        if file.compression == "none":
            return plain_splits(file, split_bytes)
        ends = LineEnds() if options.sample_by == "line" else ParagraphEnds()
        return stream_splits(file, ends, options, split_bytes)

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """See `Reader.read`."""
        if options.sample_by == "document":
            yield self._read_document(split, options)
            return
        for block in self._blocks(split, options):
            if block.covered is not None:
                self._digests.know(split, block.covered)
            if block.failures:
                yield only_failures(block.failures)
            if block.data:
                yield _read_lines(block) if options.sample_by == "line" else _read_paragraphs(block)

    def digest(self, split: Split) -> str:
        """See `Reader.digest`."""
        return self._digests.of(split)

    def _read_document(self, split: Split, options: ReadOptions) -> Records:
        data = read_whole(split, options.max_document_bytes, self._digests)
        if isinstance(data, Failure):
            return only_failures((data,))
        builder = RecordBuilder()
        if data:
            builder.add(0, data.removeprefix(UTF8_BOM))
        return builder.build()

    def _blocks(self, split: Split, options: ReadOptions) -> Iterator[Block]:
        if options.sample_by == "line":
            return line_blocks(split, options)
        return split_blocks(
            split,
            options,
            ParagraphEnds,
            entering=lambda: ParagraphEnds(in_text=in_text_at(split.file, max(split.begin - 1, 0))),
        )


def _read_lines(block: Block) -> Records:
    data, begin = _without_mark(block)
    lines = data.split(b"\n")
    feeds = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    starts = np.concatenate((np.zeros(1, dtype=np.int64), feeds + 1)) + begin
    places = [place for place, line in enumerate(lines) if line and not line.isspace()]
    nothing = [None] * len(places)
    texts = [lines[place].removesuffix(b"\r") for place in places]
    return make_records(texts, nothing, nothing, nothing, starts[places].tolist(), nothing)


def _read_paragraphs(block: Block) -> Records:
    data, begin = _without_mark(block)
    builder = RecordBuilder()
    start = 0
    for end in [*ParagraphEnds().ends(data).tolist(), len(data)]:
        text = data[start:end].rstrip()
        if text:
            builder.add(begin + start, text)
        start = end
    return builder.build()


def _without_mark(block: Block) -> tuple[bytes, int]:
    if block.data_begin == 0 and block.data.startswith(UTF8_BOM):
        return block.data[len(UTF8_BOM) :], len(UTF8_BOM)
    return block.data, block.data_begin
