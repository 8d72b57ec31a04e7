"""Whole objects: asked for, read, put by one request, copied, listed, removed.

Nothing that matters is decided by a listing: whether a task has committed, or a run is finished, is asked of the object
itself. S3 answers such a request with what was last put (its documentation, 'Amazon S3 data consistency model').
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs

from curator.errors import DataError
from curator.storage.errors import no_bucket, storage_failure
from curator.storage.filesystems import filesystem_of
from curator.storage.path import StoragePath

TOGETHER = 8
"""Requests of one process under way at once, where there are several to make."""

UPLOADS_TOGETHER = 4
"""Files of one process that go up at once; pyarrow holds up to 10 MB and more of each."""

PIECE_BYTES = 4 << 20
"""Bytes of an object that are held while it goes to or from a file."""


@dataclass(frozen=True)
class Entry:
    """One entry of a listing; `size` in bytes, None for a folder."""

    path: StoragePath
    size: int | None
    mtime_ns: int = 0


@contextlib.contextmanager
def translated(path: StoragePath) -> Iterator[None]:
    """Turn what a filesystem raises into errors of ours; a missing object stays a FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_failure(error, path) from None


def size_of(path: StoragePath) -> int | None:
    """The size of an object in bytes, None when there is none."""
    try:
        with translated(path), filesystem_of(path).open_input_file(path.key) as source:
            return int(source.size())
    except FileNotFoundError:
        return None


def sizes_of(paths: Sequence[StoragePath]) -> list[int | None]:
    """The sizes of several objects."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(size_of, paths))


def read_object(path: StoragePath) -> bytes | None:
    """A whole object, None when there is none."""
    try:
        with translated(path), filesystem_of(path).open_input_stream(path.key, compression=None) as source:
            return bytes(source.readall())
    except FileNotFoundError:
        return None


def _sink(path: StoragePath) -> pa.NativeFile:
    # Left to itself it would compress what goes under a name that ends with .gz.
    return filesystem_of(path).open_output_stream(path.key, compression=None)


def put_object(path: StoragePath, data: bytes) -> None:
    """Put a whole object: it is there with all its bytes, or not at all."""

    def put() -> None:
        with translated(path), _sink(path) as sink:
            sink.write(data)

    _whole(put)


def put_file(source: Path, path: StoragePath) -> None:
    """Put a local file as an object, whole or not at all."""
    # Mapped first: what may fail about the file fails before the upload, which closing would complete.
    size = source.stat().st_size
    if size == 0:
        put_object(path, b"")
        return

    def put() -> None:
        with pa.memory_map(str(source)) as mapped, translated(path), _sink(path) as sink:
            for begin in range(0, size, PIECE_BYTES):
                sink.write(mapped.read_buffer(min(PIECE_BYTES, size - begin)))

    _whole(put)


def _whole(put: Callable[[], None]) -> None:
    """Run a put in a thread of its own: an upload that Ctrl-C broke off would be closed, and closing completes it."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(put).result()


def put_files(files: Sequence[tuple[Path, StoragePath]]) -> None:
    """Put several local files, some at a time."""
    with ThreadPoolExecutor(UPLOADS_TOGETHER) as pool:
        list(pool.map(lambda pair: put_file(*pair), files))


def get_file(path: StoragePath, target: Path) -> None:
    """Fetch an object into a local file. FileNotFoundError when there is none, DataError when it comes short."""
    with translated(path):
        source = filesystem_of(path).open_input_file(path.key)
    with source, target.open("wb") as file:
        size = left = int(source.size())
        while left > 0:
            with translated(path):
                piece = source.read(min(left, PIECE_BYTES))
            if not piece:
                raise DataError(f"has {size - left} bytes, not {size}", file=str(path), hint="was it changed?")
            file.write(piece)
            left -= len(piece)


def copy_object(source: StoragePath, target: StoragePath) -> None:
    """Copy an object within the storage, without its bytes coming here. FileNotFoundError when there is none."""
    with translated(target):
        filesystem_of(target).copy_file(source.key, target.key)


def delete_object(path: StoragePath) -> None:
    """Remove an object, if it is there."""
    with contextlib.suppress(FileNotFoundError), translated(path):
        filesystem_of(path).delete_file(path.key)


def delete_folder(path: StoragePath) -> None:
    """Remove all objects of a folder, if there are any."""
    with contextlib.suppress(FileNotFoundError), translated(path):
        filesystem_of(path).delete_dir(path.key)


def list_folder(path: StoragePath, *, recursive: bool) -> list[Entry]:
    """What a folder holds, sorted by name: nothing where there is none."""
    selector = pyarrow.fs.FileSelector(path.key, recursive=recursive, allow_not_found=True)
    with translated(path):
        found = filesystem_of(path).get_file_info(selector)
    entries = [
        Entry(
            StoragePath(path.scheme, info.path),
            info.size if info.type == pyarrow.fs.FileType.File else None,
            info.mtime_ns or 0,
        )
        for info in found
    ]
    return sorted(entries, key=lambda entry: entry.path)


def is_folder(path: StoragePath) -> bool:
    """Whether anything lies in a folder."""
    with translated(path):
        return bool(filesystem_of(path).get_file_info(path.key).type == pyarrow.fs.FileType.Directory)


def check_bucket(path: StoragePath) -> None:
    """UserError when the bucket of a place is not there, or may not be looked at."""
    bucket = StoragePath(path.scheme, path.bucket)
    if not is_folder(bucket):
        raise no_bucket(path)
