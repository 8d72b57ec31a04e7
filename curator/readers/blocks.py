"""Blocks of whole records, cut from a stream of bytes.

Block k holds the records that begin in bytes [k * block_bytes, (k + 1) * block_bytes) of the (decompressed) file, so
that cuts depend on the content alone. A record over the limit is hashed while it passes and never held; it becomes a
failure. What a record is, a `RecordEnds` knows; what is in it, the reader of the format.
"""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from curator.readers.base import Failure, InputFile, ReadOptions, Split
from curator.readers.streams import CHUNK_BYTES, DamagedStreamError, open_input, read_chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOO_LARGE = "document.too_large"

LOOK_BACK_BYTES = 1 << 16
"""Bytes of a record over the limit that are kept while it passes: its beginning may tell what it is, and a finder may
need its end to see where the next record begins."""

LOOK_AHEAD_BYTES = 1 << 16
"""Bytes behind a piece of a plain file that are read with it: most last lines end there."""

_NEWLINE = 10
_BLANK = np.zeros(256, dtype=np.bool_)
_BLANK[[9, 10, 11, 12, 13, 32]] = True
"""What `bytes.isspace` takes for white space: a line of nothing else is blank."""


class RecordEnds(abc.ABC):
    """Finds where records end. Stateful: it is shown the bytes of a file one chunk after the other."""

    @abc.abstractmethod
    def ends(self, chunk: bytes) -> NDArray[np.int64]:
        """Places at which a record ends and the next may begin, rising, counted from the chunk's first byte. A finder
        for streams may look back by `LOOK_BACK_BYTES`: such places are negative."""

    def first_end(self, chunk: bytes) -> int | None:
        """The first place of `ends`, None where there is none."""
        ends = self.ends(chunk)
        return int(ends[0]) if len(ends) else None

    def is_document(self, begin: bytes) -> bool:
        """Whether a record over the limit, of which `begin` shows at most `LOOK_BACK_BYTES`, would have been a
        document: one that would not is passed over without a failure."""
        return bool(begin)

    def code_at_end(self) -> str:
        """The code of a record over the limit that only the end of the file ends."""
        return TOO_LARGE


class LineEnds(RecordEnds):
    """A record is a line with its line feed."""

    def ends(self, chunk: bytes) -> NDArray[np.int64]:
        """See `RecordEnds`."""
        return np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == _NEWLINE) + 1

    def first_end(self, chunk: bytes) -> int | None:
        """See `RecordEnds`."""
        return chunk.find(b"\n") + 1 or None


class ParagraphEnds(RecordEnds):
    """A record is a run of lines that are not blank with the blank line after it; a further blank line is a record of
    its own, without text."""

    def __init__(self, *, in_text: bool = False) -> None:
        self._in_text = in_text
        """Whether the line that is being read has shown something other than white space."""

    def ends(self, chunk: bytes) -> NDArray[np.int64]:
        """See `RecordEnds`."""
        data = np.frombuffer(chunk, dtype=np.uint8)
        feeds = np.flatnonzero(data == _NEWLINE)
        if not len(data):
            return feeds
        inked = ~_BLANK[data]
        starts = np.concatenate((np.zeros(1, dtype=np.int64), feeds + 1))
        lines = np.logical_or.reduceat(inked, starts[starts < len(data)])
        lines[0] |= self._in_text
        self._in_text = bool(lines[-1]) if starts[-1] < len(data) else False
        return feeds[~lines[: len(feeds)]] + 1


@dataclass(frozen=True)
class Block:
    """Whole records, and what could not be one. `buffer` stands for bytes [end - len(buffer), end) of the file and
    begins at line `line` (None: not known); failures before or behind it cover the rest from `begin` on. `covered` are
    the bytes of the split, where all of them were read for this block."""

    begin: int
    end: int
    line: int | None
    buffer: bytes | memoryview
    failures: tuple[Failure, ...] = ()
    covered: memoryview | None = None

    @cached_property
    def data(self) -> bytes:
        """The bytes of `buffer`: a copy where that is a view of what was read."""
        return bytes(self.buffer)

    @property
    def data_begin(self) -> int:
        """Where in the file `buffer` begins."""
        return self.end - len(self.buffer)


def cut_blocks(
    chunks: Iterable[bytes],
    record_ends: RecordEnds,
    *,
    block_bytes: int,
    max_record_bytes: int,
    begin: int = 0,
    stop: int | None = None,
    line: int | None = 1,
) -> Iterator[Block]:
    """The blocks of a stream whose first byte stands at `begin` and begins a record in line `line` (None: not known).

    With `stop`, ends after the last record that begins before it. Where the stream is damaged, the last block carries a
    failure at the place up to which bytes came, with the SHA-256 of the torn record, which is in no block.
    """
    cutter = _Cutter(record_ends, block_bytes, max_record_bytes, begin, stop, line)
    damage: str | None = None
    try:
        for chunk in chunks:
            yield from cutter.take(chunk)
            if cutter.done:
                break
    except DamagedStreamError as error:
        damage = error.code
    yield from cutter.finish(damage)


def cut_lines(chunks: Iterable[bytes], *, block_bytes: int, max_record_bytes: int) -> Iterator[Block]:
    """What `cut_blocks` makes of a stream of lines, without a look at every line end and with its bytes copied once, as
    long as the stream is whole and its lines are shorter than a block, and than a record may be."""
    source = iter(chunks)
    longest = min(max_record_bytes, 2 * block_bytes)
    begin, line = 0, 1
    pending: list[bytes] = []  # what was read of the block that begins at `begin`
    length = 0

    def rest(damage: DamagedStreamError | None = None) -> Iterator[bytes]:
        pending.reverse()
        while pending:  # each is let go as it is taken
            yield pending.pop()
        if damage is not None:
            raise damage
        yield from source

    try:
        for chunk in source:
            pending.append(chunk)
            length += len(chunk)
            if length > longest:
                remaining = rest()
                break
            while begin + length >= (target := _next_multiple(begin, block_bytes)):
                end = chunk.find(b"\n", max(target - 1 - (begin + length - len(chunk)), 0)) + 1
                if not end:
                    break
                pending[-1], chunk = chunk[:end], chunk[end:]
                data = b"".join(pending)
                yield Block(begin, begin + len(data), line, data)
                begin, line = begin + len(data), line + count_lines(data)
                pending, length = [chunk], len(chunk)
        else:
            if length:
                yield Block(begin, begin + length, line, b"".join(pending))
            return
    except DamagedStreamError as error:
        remaining = rest(error)
    yield from cut_blocks(
        remaining, LineEnds(), block_bytes=block_bytes, max_record_bytes=max_record_bytes, begin=begin, line=line
    )


class _Cutter:
    """The state of `cut_blocks`. Places are offsets in the file."""

    def __init__(
        self,
        record_ends: RecordEnds,
        block_bytes: int,
        max_record_bytes: int,
        begin: int,
        stop: int | None,
        line: int | None,
    ) -> None:
        self.done = stop is not None and begin >= stop
        self._record_ends = record_ends
        self._block_bytes = block_bytes
        self._max_record_bytes = max_record_bytes
        self._stop = stop
        self._line = line
        self._block = begin  # where the block being made begins, failures included
        self._base = begin  # where `_pending` begins
        self._record = begin  # where the record that has not ended yet begins
        self._seen = begin
        self._pending = bytearray()
        self._failures: list[Failure] = []
        self._skipped: hashlib._Hash | None = None  # the hash of a record over the limit that has not ended yet
        self._skipped_lines = 0
        self._held = b""  # the last bytes of it, which are not hashed yet
        self._ignored = False  # whether it would have been no document

    def take(self, chunk: bytes) -> Iterator[Block]:
        if not chunk or self.done:
            return
        ends = self._record_ends.ends(chunk) + self._seen
        begin, self._seen = self._seen, self._seen + len(chunk)
        if self._stop is not None:
            place = int(np.searchsorted(ends, self._stop, side="left"))
            if place < len(ends):
                self.done = True
                ends = ends[: place + 1]
                self._seen = int(ends[place])
                chunk = chunk[: self._seen - begin]
        if self._skipped is not None:
            chunk, begin = self._held + chunk, begin - len(self._held)
            length = int(ends[0]) - begin if len(ends) else max(len(chunk) - LOOK_BACK_BYTES, 0)
            self._skip(chunk[:length])
            self._held, chunk = (b"", chunk[length:]) if len(ends) else (chunk[length:], b"")
            if not len(ends):
                return
            self._end_skip(int(ends[0]))
            ends = ends[1:]
        self._pending += chunk
        yield from self._cut(ends)
        if self._seen - self._record > self._max_record_bytes:
            yield from self._emit(self._record)
            self._begin_skip(len(self._pending))

    def finish(self, damage: str | None) -> Iterator[Block]:
        if self.done:
            damage = None
        if damage is None:
            if self._skipped is not None:
                self._end_skip(self._seen, self._record_ends.code_at_end())
            yield from self._emit(self._seen)
            return
        self._skip(self._held)
        torn, line = self._skipped, self._line
        if torn is None:
            whole = self._record - self._base
            torn = hashlib.sha256(self._pending[whole:])
            line = _add_lines(line, bytes(self._pending[:whole]))
        self._failures.append(Failure(self._seen, line, damage, torn.hexdigest()))
        yield from self._emit(self._record)

    def _cut(self, ends: NDArray[np.int64]) -> Iterator[Block]:
        """Cut blocks from `_pending`, in which records end at `ends`."""
        if not len(ends):
            return
        begins = np.concatenate((np.array([self._record], dtype=np.int64), ends[:-1]))
        done = 0
        for place in np.flatnonzero(ends - begins > self._max_record_bytes):
            yield from self._cut_small(ends[done:place])
            self._record = int(begins[place])
            yield from self._emit(self._record)
            length = int(ends[place] - begins[place])
            self._begin_skip(length)
            self._end_skip(int(ends[place]))
            done = int(place) + 1
        yield from self._cut_small(ends[done:])
        self._record = int(ends[-1])

    def _cut_small(self, ends: NDArray[np.int64]) -> Iterator[Block]:
        place = 0
        while True:
            target = _next_multiple(self._base, self._block_bytes)
            place += int(np.searchsorted(ends[place:], target, side="left"))
            if place == len(ends):
                return
            yield from self._emit(int(ends[place]))

    def _emit(self, end: int) -> Iterator[Block]:
        """The block up to `end`, unless there is nothing to tell."""
        length = end - self._base
        with memoryview(self._pending) as view, view[:length] as part:
            data = bytes(part)
        del self._pending[:length]
        if data or self._failures:
            yield Block(self._block, end, self._line, data, tuple(self._failures))
            self._failures = []
            self._block = end
        self._base = end
        self._line = _add_lines(self._line, data)

    def _begin_skip(self, length: int) -> None:
        """Pass over the record that begins with the first `length` bytes of `_pending`."""
        self._skipped, self._skipped_lines = hashlib.sha256(), 0
        self._ignored = not self._record_ends.is_document(bytes(self._pending[: min(length, LOOK_BACK_BYTES)]))
        hashed = max(length - LOOK_BACK_BYTES, 0)
        with memoryview(self._pending) as view, view[:hashed] as part:
            self._skip(part)
        self._held = bytes(self._pending[hashed:length])
        del self._pending[:length]

    def _skip(self, part: bytes | memoryview) -> None:
        if self._skipped is not None:
            self._skipped.update(part)
            self._skipped_lines += count_lines(part)

    def _end_skip(self, end: int, code: str = TOO_LARGE) -> None:
        self._skip(self._held)
        if self._skipped is not None and not self._ignored:
            self._failures.append(Failure(self._record, self._line, code, self._skipped.hexdigest()))
        if self._line is not None:
            self._line += self._skipped_lines
        self._skipped, self._held = None, b""
        self._record = self._base = end


def plain_splits(file: InputFile, split_bytes: int) -> Iterator[Split]:
    """Splits of a file that can be entered anywhere: fixed byte ranges, found without reading it."""
    for index, begin in enumerate(range(0, file.size, split_bytes)):
        end = min(begin + split_bytes, file.size)
        yield Split(file, index, begin, end, first_line=1 if begin == 0 else None, consumed=end)


def stream_splits(file: InputFile, record_ends: RecordEnds, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
    """Splits of a file that is read once from its beginning: they carry their bytes."""
    consumed = [0]
    chunks = read_chunks(file, consumed=consumed)
    if isinstance(record_ends, LineEnds):
        blocks = cut_lines(chunks, block_bytes=split_bytes, max_record_bytes=options.max_document_bytes)
    else:
        blocks = cut_blocks(chunks, record_ends, block_bytes=split_bytes, max_record_bytes=options.max_document_bytes)
    for index, block in enumerate(blocks):
        yield Split(file, index, block.begin, block.end, block.line, block.data, block.failures, consumed[0])


def split_blocks(
    split: Split,
    options: ReadOptions,
    record_ends: Callable[[], RecordEnds],
    entering: Callable[[], RecordEnds] | None = None,
) -> Iterator[Block]:
    """The records of a split in blocks of about `options.batch_bytes`, whether it carries its bytes or they are in the
    file.

    What `split.failures` holds is not repeated. `record_ends` makes a finder that begins where a record begins;
    `entering` one that begins at the byte before `split.begin`, when that differs.
    """
    begin: int | None
    chunks: Iterator[bytes]
    data = split.data
    if data is None:
        chunk_bytes = min(CHUNK_BYTES, max(options.batch_bytes, 1))
        begin, chunks = _enter_file(split, (entering or record_ends)(), _chunks_of(split, chunk_bytes))
        if begin is None:
            return
    else:
        begin = split.end - len(data)
        chunks = (data[place : place + CHUNK_BYTES] for place in range(0, len(data), CHUNK_BYTES))
    yield from cut_blocks(
        chunks,
        record_ends(),
        block_bytes=options.batch_bytes,
        max_record_bytes=options.max_document_bytes,
        begin=begin,
        stop=split.end,
        line=split.first_line,
    )


def line_blocks(split: Split, options: ReadOptions) -> Iterator[Block]:
    """The lines of a split in the blocks of `split_blocks`, without a look at every line end and without a copy, unless
    a line may be over the limit."""
    lines = _lines_of(split, options.max_document_bytes)
    if lines is None:
        yield from split_blocks(split, options, LineEnds)
        return
    data, offset, begin, end = lines
    view, line = memoryview(data), split.first_line
    covered = None if split.data is not None else view[split.begin - offset : split.end - offset]
    while begin < end:
        target = _next_multiple(offset + begin, options.batch_bytes) - offset
        behind = data.find(b"\n", target - 1, end) + 1 or end
        yield Block(offset + begin, offset + behind, line, view[begin:behind], covered=covered)
        if behind < end:
            line = _add_lines(line, view[begin:behind])
        begin, covered = behind, None


def _lines_of(split: Split, max_record_bytes: int) -> tuple[bytes, int, int, int] | None:
    """Bytes, where in the file they begin, and where in them the lines of the split begin and end. None where these are
    so many bytes that one line might be over the limit, or the last line goes on for as long as the split."""
    if split.data is not None:
        return split.data, split.end - len(split.data), 0, len(split.data)
    offset, size = _entry(split), split.end - _entry(split)
    # The rest of the last line comes with it, so that a file is read once and not copied. Two buffers of that size
    # would go back to the system after each split, and every page of the next would be new.
    data = next(_chunks_of(split, size + LOOK_AHEAD_BYTES), b"")
    if len(data) < size:  # a file need not give all that is asked for at once
        return None
    begin = data.find(b"\n", 0, size) + 1 if split.begin else 0
    if split.begin and begin in (0, size):  # no line begins in the split
        return data, offset, 0, 0
    end = data.find(b"\n", size - 1) + 1
    if not end:
        rest = _rest_of_line(split.file, offset + len(data), min(max_record_bytes, size))
        if rest is None:
            return None
        data += rest
        end = len(data)
    return (data, offset, begin, end) if end - begin <= max_record_bytes else None


def _rest_of_line(file: InputFile, place: int, max_bytes: int) -> bytes | None:
    """The bytes from `place` on up to a line feed or the end of the file, None if there are more."""
    pieces: list[bytes] = []
    length = 0
    for piece in read_chunks(file, place):
        end = piece.find(b"\n") + 1
        pieces.append(piece[:end] if end else piece)
        length += len(pieces[-1])
        if length > max_bytes:
            return None
        if end:
            break
    return b"".join(pieces)


def count_lines(data: bytes | memoryview) -> int:
    """Line feeds in `data` (NumPy compares twice as fast as `bytes.count` on text)."""
    array = np.frombuffer(data, dtype=np.uint8)
    pieces = (array[begin : begin + CHUNK_BYTES] for begin in range(0, len(array), CHUNK_BYTES))
    return sum(int(np.count_nonzero(piece == _NEWLINE)) for piece in pieces)


def in_text_at(file: InputFile, place: int) -> bool:
    """Whether the line in which byte `place` of a plain file stands shows something other than white space before it:
    the state in which `ParagraphEnds` must begin there."""
    with open_input(file) as handle:
        end = place
        while end > 0:
            begin = max(0, end - 4096)
            handle.seek(begin)
            tail = handle.read(end - begin)
            line = tail[tail.rfind(b"\n") + 1 :]
            if line.strip():
                return True
            if len(line) < len(tail):
                return False
            end = begin
    return False


def _next_multiple(place: int, block_bytes: int) -> int:
    """Where the block that begins at `place` ends at the earliest: with the first record that ends there or behind."""
    return (place // block_bytes + 1) * block_bytes


def _entry(split: Split) -> int:
    """Where reading begins: at the byte before the split, which may end a record."""
    return max(split.begin - 1, 0)


def _chunks_of(split: Split, chunk_bytes: int) -> Iterator[bytes]:
    return read_chunks(split.file, _entry(split), chunk_bytes)


def _enter_file(split: Split, record_ends: RecordEnds, chunks: Iterator[bytes]) -> tuple[int | None, Iterator[bytes]]:
    """The first place from the split's beginning on at which a record begins, None if the range has none, and the bytes
    from there on. `chunks` are those of `_chunks_of`."""
    place = _entry(split)
    if split.begin == 0:
        return place, chunks
    for chunk in chunks:
        end = record_ends.first_end(chunk)
        if end is not None:
            return place + end, _resume(chunk[end:], chunks)
        place += len(chunk)
        if place >= split.end:
            break
    return None, chunks


def _resume(rest: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield rest
    yield from chunks


def _add_lines(line: int | None, data: bytes | memoryview) -> int | None:
    return None if line is None else line + count_lines(data)
