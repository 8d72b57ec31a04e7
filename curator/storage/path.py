"""Places of files: a local path, or the URL of an object (`s3://BUCKET/KEY`).

`StoragePath` speaks the part of pathlib that a run needs, so that what reads a run directory is written once. What
stands behind `//` is taken letter by letter: nothing is unquoted, and a key may hold any character. Nothing here
imports pyarrow before something is read or written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias

from curator.errors import UserError

SCHEMES = {"s3": "Amazon S3 and what speaks its protocol", "gs": "Google Cloud Storage", "abfs": "Azure Blob Storage"}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Status:
    """What `StoragePath.stat` tells: the size in bytes, under the name that `os.stat` gives it."""

    st_size: int


@dataclass(frozen=True, order=True)
class StoragePath:
    """An object, or the common beginning of the names of several (a folder). `key` is `BUCKET/NAME`."""

    scheme: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, name: str) -> StoragePath:
        return StoragePath(self.scheme, f"{self.key}/{name}")

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return PurePosixPath(self.name).stem

    @property
    def bucket(self) -> str:
        """The bucket or container."""
        return self.key.partition("/")[0]

    @property
    def parent(self) -> StoragePath:
        """The folder in which it lies; that of a bucket is itself."""
        return StoragePath(self.scheme, self.key.rpartition("/")[0] or self.key)

    def relative_to(self, folder: StoragePath) -> PurePosixPath:
        """The name within a folder. ValueError when it does not lie there."""
        if not self.is_relative_to(folder):
            raise ValueError(f"{self} does not lie in {folder}")
        return PurePosixPath(self.key[len(folder.key) + 1 :])

    def is_relative_to(self, folder: StoragePath) -> bool:
        """Whether it is this folder or lies in it."""
        return self.scheme == folder.scheme and f"{self.key}/".startswith(f"{folder.key}/")

    def exists(self) -> bool:
        """Whether there is an object of this name, or one in this folder."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is an object of this name: one request about it, no listing. A bucket is none."""
        from curator.storage.objects import size_of

        return self.key != self.bucket and size_of(self) is not None

    def is_dir(self) -> bool:
        """Whether there is an object in this folder, as a listing tells."""
        from curator.storage.objects import is_folder

        return is_folder(self)

    def stat(self) -> Status:
        """The size of the object. FileNotFoundError when there is none."""
        from curator.storage.objects import size_of

        size = size_of(self)
        if size is None:
            raise FileNotFoundError(2, "no such object", str(self))
        return Status(size)

    def read_bytes(self) -> bytes:
        """The whole object, for small ones. FileNotFoundError when there is none."""
        from curator.storage.objects import read_object

        data = read_object(self)
        if data is None:
            raise FileNotFoundError(2, "no such object", str(self))
        return data

    def open(self, mode: str = "rb") -> BinaryIO:
        """The object as a file that fetches the ranges that are read. FileNotFoundError when there is none."""
        from curator.storage.ranges import open_object

        if mode != "rb":
            raise ValueError(f"an object is opened to be read, not {mode!r}")
        return open_object(self)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object; that there is none is no error, as the protocols have it."""
        from curator.storage.objects import delete_object

        delete_object(self)

    def iterdir(self) -> Iterator[StoragePath]:
        """The objects and folders of this folder, sorted by name."""
        from curator.storage.objects import list_folder

        yield from (entry.path for entry in list_folder(self, recursive=False))

    def glob(self, pattern: str) -> Iterator[StoragePath]:
        """The objects of this folder whose names match; with `**/` before it, those of all folders below."""
        if pattern.startswith("**/"):
            yield from self.rglob(pattern.removeprefix("**/"))
        else:
            yield from self._matching(pattern, recursive=False)

    def rglob(self, pattern: str) -> Iterator[StoragePath]:
        """The objects of this folder and of all below whose names match, sorted."""
        yield from self._matching(pattern, recursive=True)

    def _matching(self, pattern: str, *, recursive: bool) -> Iterator[StoragePath]:
        from curator.storage.objects import list_folder

        for entry in list_folder(self, recursive=recursive):
            if entry.size is not None and fnmatchcase(entry.path.name, pattern):
                yield entry.path


AnyPath: TypeAlias = "Path | StoragePath"


def matching(folder: AnyPath, pattern: str) -> list[AnyPath]:
    """The files of a folder whose names match (see `Path.glob`), sorted."""
    if isinstance(folder, Path):
        return [*sorted(folder.glob(pattern))]
    return [*sorted(folder.glob(pattern))]


def relative_name(path: AnyPath, folder: AnyPath) -> str:
    """The name of a file within a folder in which it lies, with slashes."""
    return str(path).removeprefix(f"{folder}/")


def readable(path: AnyPath) -> Path | BinaryIO:
    """What a reader of Parquet takes: the path of a local file, an object as a file."""
    return path if isinstance(path, Path) else path.open()


def is_url(place: str) -> bool:
    """Whether a place is written as a URL, of whatever scheme."""
    return _URL.fullmatch(place) is not None


def as_path(place: str) -> AnyPath:
    """The path of a place. UserError for a URL that no storage answers to, or that is not well formed."""
    match = _URL.fullmatch(place)
    if match is None:
        return Path(place)
    scheme, rest = match[1].lower(), match[2]
    if scheme not in SCHEMES:
        shown = place if "@" not in place else f"{scheme}://…"
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise UserError("is a URL that cannot be read", file=shown, hint=f"copy it to a local directory, or to {known}")
    bucket, _, name = rest.rstrip("/").partition("/")
    if "@" in bucket or ":" in bucket:
        raise UserError(
            f"a URL {scheme}:// holds no credentials and no host",
            file=f"{scheme}://…",
            hint="give them by environment variables (docs/guide.md, Object storage)",
        )
    if _BUCKET.fullmatch(bucket) is None:
        raise UserError("names no bucket", file=place, hint=f"write {scheme}://BUCKET/NAME")
    if any(part in ("", ".", "..") for part in name.split("/")) and name:
        raise UserError("has an empty part, `.` or `..`", file=place, hint="write the name as it stands in the bucket")
    return StoragePath(scheme, f"{bucket}/{name}" if name else bucket)
