"""Lines are cut where looking at every line end would cut them: those of a stream, that a split carries, of a file."""

import io
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curator.readers.base import Failure, Fields, InputFile, ReadOptions, Split
from curator.readers.blocks import Block, LineEnds, cut_blocks, cut_lines, line_blocks, plain_splits, split_blocks
from curator.readers.jsonl import JsonlReader
from curator.readers.streams import TRUNCATED, DamagedStreamError

LINES = st.lists(st.sampled_from([b"\n", b"a\n", b"bc\n", b"\r\n", b"x" * 30 + b"\n"]), max_size=30).map(b"".join)
TAIL = st.binary(max_size=3).filter(lambda tail: b"\n" not in tail)
OPTIONS = ReadOptions(fields=Fields())


@given(LINES, TAIL, st.integers(0, 40), st.integers(1, 50))
@example(b"", b"", 0, 1)
@example(b"a\nb\n", b"", 2, 2)
def test_lines_that_a_split_carries_are_cut_as_their_ends_say(
    lines: bytes, tail: bytes, begin: int, batch_bytes: int
) -> None:
    data = lines + tail
    file = InputFile("x.jsonl.zst", "x.jsonl.zst", begin + len(data), 0, "jsonl", "zstd")
    split = Split(file, 0, begin, begin + len(data), 3, data)
    options = replace(OPTIONS, batch_bytes=batch_bytes)
    blocks = list(split_blocks(split, options, LineEnds))
    assert list(line_blocks(split, options)) == blocks
    assert b"".join(block.data for block in blocks) == data
    for block in blocks[:-1]:
        multiple = (block.begin // batch_bytes + 1) * batch_bytes
        assert block.end == begin + data.find(b"\n", max(multiple - begin - 1, 0)) + 1


@pytest.mark.slow
@given(LINES, TAIL, st.integers(1, 60), st.integers(1, 50), st.integers(1, 40), st.integers(0, 3))
@example(b"x" * 30 + b"\n", b"", 10, 10, 40, 0)
def test_lines_of_a_file_are_cut_as_their_ends_say(
    lines: bytes, tail: bytes, split_bytes: int, batch_bytes: int, max_bytes: int, look_ahead: int
) -> None:
    options = replace(OPTIONS, batch_bytes=batch_bytes, max_document_bytes=max_bytes)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("curator.readers.blocks.LOOK_AHEAD_BYTES", look_ahead)
        path = Path(folder) / "x.jsonl"
        path.write_bytes(lines + tail)
        file = InputFile(str(path), path.name, len(lines + tail), 0, "jsonl", "none")
        for split in plain_splits(file, split_bytes):
            blocks = list(line_blocks(split, options))
            assert [told(block) for block in blocks] == [told(b) for b in split_blocks(split, options, LineEnds)]
            seen = [bytes(block.covered) for block in blocks if block.covered is not None]
            assert seen in ([], [(lines + tail)[split.begin : split.end]])


def test_a_file_that_gives_less_than_was_asked_for_is_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(b"%d\n" % (7**number) for number in range(100)))
    file = InputFile(str(path), path.name, path.stat().st_size, 0, "jsonl", "none")
    whole = [[told(block) for block in line_blocks(split, OPTIONS)] for split in plain_splits(file, 900)]

    class Reluctant(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 100))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curator.readers.streams.open_input", lambda _: Reluctant(path))
        again = [[told(block) for block in line_blocks(split, OPTIONS)] for split in plain_splits(file, 900)]
    assert again == whole
    assert b"".join(block[3] for blocks in again for block in blocks) == path.read_bytes()


def told(block: Block) -> tuple[int, int, int | None, bytes, tuple[Failure, ...]]:
    """A block without what it covers."""
    return block.begin, block.end, block.line, block.data, block.failures


def stream_of(data: bytes, chunk_bytes: int, *, broken: bool) -> Iterator[bytes]:
    for place in range(0, len(data), chunk_bytes):
        yield data[place : place + chunk_bytes]
    if broken:
        raise DamagedStreamError(TRUNCATED)


@given(
    st.lists(LINES, max_size=3).map(b"".join),
    st.sampled_from([b"", b"x", b"x" * 40]),
    st.integers(1, 40),
    st.integers(1, 60),
    st.sampled_from([5, 31, 60, 100_000]),
    st.booleans(),
)
@example(b"a\nb\nc\n", b"", 6, 2, 100_000, False)  # a chunk of several blocks
@example(b"ab\nc\n", b"", 2, 3, 100_000, False)  # a line ends with a chunk, and where a block should
@example(b"a\n" + b"x" * 30 + b"\n", b"x", 7, 4, 5, True)
def test_a_stream_of_lines_is_cut_as_its_ends_say(
    lines: bytes, tail: bytes, chunk_bytes: int, block_bytes: int, max_record_bytes: int, broken: bool
) -> None:
    data = lines + tail
    limits = {"block_bytes": block_bytes, "max_record_bytes": max_record_bytes}
    by_line = list(cut_lines(stream_of(data, chunk_bytes, broken=broken), **limits))
    assert by_line == list(cut_blocks(stream_of(data, chunk_bytes, broken=broken), LineEnds(), **limits))


def test_a_split_of_a_plain_file_is_one_block(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [b"%d\n" % (7**number) for number in range(100)]
    path.write_bytes(b"".join(lines))
    file = InputFile(str(path), path.name, path.stat().st_size, 0, "jsonl", "none")
    blocks = [list(line_blocks(split, replace(OPTIONS, batch_bytes=500))) for split in plain_splits(file, 500)]
    assert len(blocks) > 5
    assert [len(of_split) for of_split in blocks] == [1] * len(blocks)
    assert b"".join(block.data for (block,) in blocks) == path.read_bytes()


def test_plain_lines_of_a_file_are_held_once_while_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(b'{"text": "%s"}\n' % (b"%d " % number * 2000) for number in range(1000)))
    size = path.stat().st_size
    file = InputFile(str(path), path.name, size, 0, "jsonl", "none")
    options = replace(OPTIONS, batch_bytes=size // 3)
    first, second, *_ = plain_splits(file, size // 3)
    assert list(JsonlReader().read(first, options))  # all that it needs is loaded
    tracemalloc.start()
    (records,) = JsonlReader().read(second, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert records.records.num_rows > 200
    assert peak < 1.5 * (second.end - second.begin)
