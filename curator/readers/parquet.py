"""Parquet: a document a row; row groups are the splits, and the position is the row's number in the file.

A small row group shares a split with its neighbours, a large one is read in batches. Where few texts stand in many
rows, each is held once until its rows become records. A field name is first looked for as a column, then, at its dots,
inside structs. Text is kept byte for byte; an id may be a number or a UUID; a source or lang that is not text is
missing.

A Parquet file inside gzip, zstd, bzip2 or xz is unpacked by the producer into a temporary file (which has no name and
goes with the process), because its index stands at its end; the splits then carry their rows. Better not to compress
Parquet twice.

Failures: field.missing (null), document.too_large, parquet.encoding (a field other than the text is not UTF-8),
parquet.row_group (the rest of a row group cannot be read), parquet.invalid (the whole file cannot).
A row has no bytes of its own: the digest is that of its text, or of the row group or file.
"""

from __future__ import annotations

import errno
import hashlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from curator.errors import TransientError
from curator.readers.base import Failure, InputFile, ReadOptions, Records, Split
from curator.readers.batches import only_failures
from curator.readers.parquet_rows import Columns, read_rows
from curator.readers.streams import DamagedStreamError, digest_data, digest_range, open_input, read_chunks, sha256_range

INVALID = "parquet.invalid"
BAD_ROW_GROUP = "parquet.row_group"

_ROW = b"curator.row"
"""Key of schema metadata under which a split that carries its rows tells the number of the first."""
_MAX_BATCH_ROWS = 1 << 16
_BUFFER_BYTES = 1 << 20
DICTIONARY_BYTES, INDEX_BYTES = 2 << 20, 4
"""A dictionary of about 1 MB is given up by its writer (`dictionary_pagesize_limit` of Arrow,
`parquet.dictionary.page.size` of parquet-java); a row is a number in it."""
_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for what it cannot read; the last for names of columns."""

LARGE_GROUP = 4
"""A row group of more than so many splits is cut: it would be one part, and memory would grow with it."""


class ParquetReader:
    """Reads Parquet."""

    name = "parquet"

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """See `Reader.splits`. UserError, at once, when there is no column of text under the name asked for."""
        if file.size == 0:
            return iter(())
        if file.compression != "none":
            return _packed_splits(file, options, split_bytes)
        try:
            with open_input(file) as handle, pq.ParquetFile(handle) as parquet:
                Columns.find(parquet.schema_arrow, options.fields, file.name)
                ranges = _row_group_ranges(parquet.metadata, split_bytes)
            return _range_splits(file, ranges, options, split_bytes)
        except _ERRORS:
            return iter((_invalid_split(file),))

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """See `Reader.read`."""
        if split.data is not None:
            yield from _read_packed(split, options)
        else:
            with open_input(split.file) as handle:
                yield from _read_row_groups(handle, split, options)

    def digest(self, split: Split) -> str:
        """See `Reader.digest`."""
        if split.data is not None:
            return digest_data(split.data, split.failures)
        with open_input(split.file) as handle, pq.ParquetFile(handle) as parquet:
            ranges = [_byte_range(parquet.metadata.row_group(group)) for group in range(split.begin, split.end)]
        return digest_range(split.file, ranges[0][0], ranges[-1][1])


@dataclass(frozen=True)
class _Range:
    """Row groups [begin, end) that make a split together, of so many bytes; or one that is too `large` for a split."""

    begin: int
    end: int
    size: int
    large: bool = False


def _row_group_ranges(metadata: pq.FileMetaData, split_bytes: int) -> list[_Range]:
    ranges: list[_Range] = []
    begin = size = 0
    for group in range(metadata.num_row_groups):
        own = metadata.row_group(group).total_byte_size
        if own > LARGE_GROUP * split_bytes:
            if group > begin:
                ranges.append(_Range(begin, group, size))
            ranges.append(_Range(group, group + 1, own, large=True))
            begin, size = group + 1, 0
            continue
        size += own
        if size >= split_bytes or group + 1 == metadata.num_row_groups:
            ranges.append(_Range(begin, group + 1, size))
            begin, size = group + 1, 0
    if begin < metadata.num_row_groups:
        ranges.append(_Range(begin, metadata.num_row_groups, size))
    return ranges


def _range_splits(file: InputFile, ranges: Sequence[_Range], options: ReadOptions, split_bytes: int) -> Iterator[Split]:
    """A split for each range; a large row group is read here, once, and its splits carry their rows."""
    index = 0
    for each in ranges:
        if not each.large:
            yield Split(file, index, each.begin, each.end, size=each.size)
            index += 1
            continue
        with open_input(file) as handle:
            opened = _Opened.of(handle, file, options)
            first_row = sum(opened.about(group).num_rows for group in range(each.begin))
            for split in _group_splits(file, opened, each.begin, first_row, index, split_bytes):
                yield split
                index += 1


def _group_splits(
    file: InputFile, opened: _Opened, group: int, first_row: int, index: int, split_bytes: int
) -> Iterator[Split]:
    """Splits of one row group, numbered from `index`, that carry their rows as Arrow IPC streams."""
    done = 0
    try:
        for batch in opened.batches(group, split_bytes):
            yield Split(file, index, group, group + 1, data=_pack_rows(batch, first_row + done))
            index, done = index + 1, done + batch.num_rows
    except _ERRORS:
        failure = Failure(first_row + done, None, BAD_ROW_GROUP, sha256_range(file, 0, file.size))
        yield Split(file, index, group, group + 1, data=b"", failures=(failure,))


def _read_row_groups(handle: IO[bytes], split: Split, options: ReadOptions) -> Iterator[Records]:
    opened = _Opened.of(handle, split.file, options)
    row = sum(opened.about(group).num_rows for group in range(split.begin))
    for group in range(split.begin, split.end):
        about = opened.about(group)
        done = 0
        try:
            for batch in opened.batches(group, options.batch_bytes):
                yield from read_rows(batch, opened.columns, row + done, options)
                done += batch.num_rows
        except _ERRORS:
            digest = sha256_range(split.file, *_byte_range(about))
            yield only_failures((Failure(row + done, None, BAD_ROW_GROUP, digest),))
        row += about.num_rows


@dataclass(frozen=True)
class _Opened:
    """A Parquet file that is open, and what is wanted of it."""

    handle: IO[bytes]
    parquet: pq.ParquetFile
    columns: Columns

    @staticmethod
    def of(handle: IO[bytes], file: InputFile, options: ReadOptions) -> _Opened:
        parquet = pq.ParquetFile(handle, buffer_size=_BUFFER_BYTES)
        return _Opened(handle, parquet, Columns.find(parquet.schema_arrow, options.fields, file.name))

    def about(self, group: int) -> pq.RowGroupMetaData:
        return self.parquet.metadata.row_group(group)

    def batches(self, group: int, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """The wanted columns of a row group, in batches of about `batch_bytes` if its rows are about equally long and
        no text is in many of them."""
        about, parquet = self.about(group), self.parquet
        if about.num_rows == 0:
            return
        if self._may_repeat(about, batch_bytes):
            names = [self.columns.text_path]
            parquet = pq.ParquetFile(
                self.handle, metadata=parquet.metadata, read_dictionary=names, buffer_size=_BUFFER_BYTES
            )
        rows = batch_bytes * about.num_rows // max(about.total_byte_size, 1)
        yield from parquet.iter_batches(
            batch_size=min(max(rows, 1), _MAX_BATCH_ROWS),
            row_groups=[group],
            columns=self.columns.names,
            use_threads=False,
        )

    def _may_repeat(self, about: pq.RowGroupMetaData, batch_bytes: int) -> bool:
        """Whether few texts may stand in many rows, which are then much longer than they lie in the file: there is a
        dictionary of them, and hardly more."""
        chunks = (about.column(number) for number in range(about.num_columns))
        text = next(chunk for chunk in chunks if chunk.path_in_schema == self.columns.text_path)
        size, most = text.total_uncompressed_size, DICTIONARY_BYTES + INDEX_BYTES * about.num_rows
        return bool(text.has_dictionary_page and size <= most and size * about.num_rows > LARGE_GROUP * batch_bytes)


def _byte_range(about: pq.RowGroupMetaData) -> tuple[int, int]:
    """Where the pages of a row group stand in the file."""
    begins, ends = [], []
    for number in range(about.num_columns):
        column = about.column(number)
        begin = column.data_page_offset
        if column.dictionary_page_offset:
            begin = min(begin, column.dictionary_page_offset)
        begins.append(begin)
        ends.append(begin + column.total_compressed_size)
    return min(begins, default=0), max(ends, default=0)


def _packed_splits(file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
    """Splits that carry their rows as Arrow IPC streams, from a file that is compressed as a whole."""
    with tempfile.TemporaryFile() as unpacked:
        failure = _unpack(file, unpacked)
        if failure is not None:
            yield Split(file, 0, 0, 0, data=b"", failures=(failure,))
            return
        try:
            opened = _Opened.of(unpacked, file, options)
        except _ERRORS:
            yield _invalid_split(file)
            return
        index = row = 0
        for group in range(opened.parquet.num_row_groups):
            for split in _group_splits(file, opened, group, row, index, split_bytes):
                yield split
                index += 1
            row += opened.about(group).num_rows


def _invalid_split(file: InputFile) -> Split:
    failure = Failure(0, None, INVALID, sha256_range(file, 0, file.size))
    return Split(file, 0, 0, 0, data=b"", failures=(failure,))


def _unpack(file: InputFile, target: IO[bytes]) -> Failure | None:
    """Decompress a file into `target`, or say where its stream breaks. TransientError when the disk is full."""
    digest, length = hashlib.sha256(), 0
    try:
        for chunk in read_chunks(file):
            digest.update(chunk)
            length += len(chunk)
            target.write(chunk)
        target.flush()
    except DamagedStreamError as error:
        return Failure(length, None, error.code, digest.hexdigest())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise TransientError(
            f"no space left in {tempfile.gettempdir()} to unpack this file",
            file=file.name,
            hint="set TMPDIR to another disk, or unpack the file: Parquet is compressed inside",
        ) from None
    return None


def _pack_rows(batch: pa.RecordBatch, row: int) -> bytes:
    sink = io.BytesIO()
    schema = batch.schema.with_metadata({_ROW: str(row)})
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    return sink.getvalue()


def _read_packed(split: Split, options: ReadOptions) -> Iterator[Records]:
    if not split.data:
        return
    with pa.ipc.open_stream(split.data) as stream:
        row = int(stream.schema.metadata[_ROW])
        columns = Columns.find(stream.schema, options.fields, split.file.name)
        for batch in stream:
            yield from read_rows(batch, columns, row, options)
            row += batch.num_rows
