"""Which files a run reads: inputs expanded, named, and told apart by format and compression.

Files come in the order of the inputs; within a directory or a glob, sorted by name. A name is part of every document's
key: it depends on the inputs as given, never on where they lie. Hidden files and directories (a leading dot) and the
bookkeeping files of other systems are passed over; links to files are followed, links to directories are not.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

from curator.errors import CuratorError, UserError
from curator.readers.base import InputFile
from curator.readers.foreign import describe_foreign
from curator.readers.head import UTF8_BOM, wide_encoding
from curator.readers.registry import reader_names
from curator.readers.streams import compression_of, read_head
from curator.storage.path import StoragePath, as_path, is_url
from curator.storage.together import each

AUTO = "auto"

EXTENSIONS: Mapping[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".warc": "warc",
    ".wet": "warc",
}
"""Format by extension, after that of a compression is taken off."""

_PACKED_EXTENSIONS = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz")
_BOOKKEEPING = ("_SUCCESS", "_metadata", "_common_metadata")
"""What Hadoop, Spark and Parquet writers leave beside data."""
_LINE_FORMATS = ("jsonl", "text", "csv", "tsv")
_SNIFF_BYTES = 1024
_JSON_START = re.compile(rb"\[?\s*\{\s*[\"}]")
"""Of an object, or of an array of them. A bracket alone is no sign: a link in Markdown begins with one."""

SKIPPED_SHOWN = 3
"""Files that are not read for one reason, by name."""

_IS_BOOKKEEPING = "bookkeeping of another system"
_IS_UNKNOWN = "is of unknown format: neither its extension nor its content tells"

FILES_TOGETHER = 1000
"""Files whose first bytes are asked for, and held, together."""


@dataclass(frozen=True)
class Skipped:
    """A file of a directory that is not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Inventory:
    """The files that a run reads, and those of its directories that it does not."""

    files: tuple[InputFile, ...]
    skipped: tuple[Skipped, ...]


def read_heads(files: Sequence[InputFile]) -> Iterator[bytes]:
    """The first (decompressed) bytes of each file, by which its format is told. DataError where one has changed,
    UserError where one needs too much memory. The files are all on a disk, or all in storage."""
    return each(_read_head, files, remote=bool(files) and is_url(files[0].path))


Heads = Callable[[Sequence[InputFile]], Iterable[bytes]]
"""What reads the first bytes of at most `FILES_TOGETHER` files, as `read_heads` does."""


def discover(inputs: Sequence[str], format: str = AUTO, heads: Heads = read_heads) -> list[InputFile]:  # noqa: A002
    """The files of `take_inventory`."""
    return list(take_inventory(inputs, format, heads).files)


def take_inventory(inputs: Sequence[str], format: str = AUTO, heads: Heads = read_heads) -> Inventory:  # noqa: A002
    """Expand files, directories (recursively) and globs.

    With `auto`, the format of a file is told by its extension, else by its content; files of a directory that show
    neither are skipped. With a named format, a file that was named or matched by a glob has it whatever its extension;
    a file of a directory unless its extension or content says otherwise. UserError for what does not exist, cannot be
    read, cannot be told, or would be read twice. What files contain is asked of `heads` alone, but for 16 bytes as they
    lie.
    """
    if not inputs:
        raise UserError("no input is given", hint="name files, directories or globs")
    if format != AUTO and format not in reader_names():
        raise UserError(f"input.format is {format!r}", hint=f"one of {AUTO}, {', '.join(reader_names())}")
    files: list[InputFile] = []
    skipped: list[Skipped] = []
    kept: list[InputFile] = []
    passed: list[Skipped] = []
    for found, file in _inspect_all(inputs, format, heads):
        if isinstance(file, InputFile):
            kept.append(file)
        else:
            passed.append(Skipped(found.path, file))
        if found.is_last:
            if not kept:
                raise _nothing_found(found.given, passed)
            files += kept
            skipped += passed
            kept, passed = [], []
    _refuse_repeats(files)
    return Inventory(tuple(files), tuple(skipped))


def describe_skipped(skipped: Sequence[Skipped]) -> list[str]:
    """A line without a stop for each reason why files of directories are not read. What other systems leave beside
    their files is no loss."""
    by_reason: dict[str, list[str]] = {}
    for entry in skipped:
        if entry.reason != _IS_BOOKKEEPING:
            by_reason.setdefault(entry.reason, []).append(entry.path)
    return [_describe_reason(reason, paths) for reason, paths in sorted(by_reason.items())]


def _describe_reason(reason: str, paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SKIPPED_SHOWN:,} more" if len(paths) > SKIPPED_SHOWN else ""
    count = "1 file is" if len(paths) == 1 else f"{len(paths):,} files are"
    each = "each" if len(paths) > 1 else "it"
    return f"{count} not read: {', '.join(paths[:SKIPPED_SHOWN])}{more}; {each} {reason}"


def sniff_format(head: bytes) -> str | None:
    """The format that the first (decompressed) bytes of a file show."""
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.removeprefix(UTF8_BOM).lstrip()
    if text.startswith(b"WARC/"):
        return "warc"
    if _JSON_START.match(text):
        return "jsonl"  # of an array the reader says how to convert it
    page = text.lower()
    if page.startswith((b"<!doctype html", b"<html")) or (page.startswith(b"<?xml") and b"<html" in page):
        return "html"
    return None


def extension_of(path: str) -> str:
    """The extension in lower case, after that of a compression is taken off: `.jsonl` of `a.JSONL.gz`."""
    pure = PurePosixPath(path.lower())
    if pure.suffix in _PACKED_EXTENSIONS:
        pure = pure.with_suffix("")
    return pure.suffix


def is_misnamed(file: InputFile) -> bool:
    """Whether a file is not compressed, although its name says so."""
    return file.compression == "none" and PurePosixPath(file.name.lower()).suffix in _PACKED_EXTENSIONS


@dataclass(frozen=True)
class _Found:
    """A file of the input `given`; `is_last` where that has no more."""

    path: str
    name: str
    in_directory: bool
    given: str = ""
    is_last: bool = False


_Result = TypeVar("_Result")


def _expand_all(inputs: Sequence[str]) -> Iterator[_Found]:
    """The files of all inputs, by the names that they have beside those of the other inputs."""
    for given in inputs:
        prefix = _prefix(given) if len(inputs) > 1 else ""
        entries = _expand(given)
        if not entries:
            raise _nothing_found(given, ())
        for number, entry in enumerate(entries, start=1):
            is_last = number == len(entries)
            yield _Found(entry.path, prefix + entry.name, entry.in_directory, given, is_last)


def _expand(given: str) -> list[_Found]:
    if is_url(given):
        from curator.storage.expand import expand

        return [_Found(str(named.path), named.name, named.in_folder) for named in expand(given)]
    path = Path(given)
    try:
        is_directory = path.is_dir()
    except OSError as error:  # a name that is too long, or a directory on the way that may not be looked into
        raise UserError(f"cannot be read: {error.strerror}", file=given, hint="check the name") from error
    if is_directory:
        return [_Found(*found, in_directory=True) for found in _walk(path, path)]
    if os.path.lexists(path):
        return [_Found(given, path.name, in_directory=False)]
    if not glob.has_magic(given):
        raise UserError("does not exist", file=given, hint=_nearest_parent(path))
    fixed = _fixed_part(path)
    found = {}
    for match in map(Path, glob.glob(given, recursive=True)):  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if match.is_dir():
            found.update({path: _Found(path, name, in_directory=True) for path, name in _walk(match, fixed)})
        else:
            name = match.relative_to(fixed).as_posix()
            found[str(match)] = _Found(str(match), name, in_directory=False)
    if not found:
        raise UserError("matches no file", file=given, hint=_nearest_parent(fixed / "*"))
    return sorted(found.values(), key=lambda entry: entry.name)


def _walk(directory: Path, relative_to: Path) -> list[tuple[str, str]]:
    """(path, name) of all files below, sorted by name."""
    found = []
    for folder, folders, names in os.walk(directory, onerror=_refuse_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                path = Path(folder) / name
                found.append((str(path), path.relative_to(relative_to).as_posix()))
    return sorted(found, key=lambda entry: entry[1])


def _fixed_part(pattern: Path) -> Path:
    """The directories of a glob before the first that has a wildcard."""
    parts = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _prefix(given: str) -> str:
    """What tells the files of one directory or glob from those of another: the base name of the directory."""
    if is_url(given):
        return _storage_prefix(given)
    path = Path(given)
    if not path.is_dir():
        if os.path.lexists(path):
            return ""
        path = _fixed_part(path)
    base = path.resolve().name if path.name == ".." else path.name
    return f"{base}/" if base else ""


def _storage_prefix(given: str) -> str:
    from curator.storage.expand import fixed_part

    url = as_path(given)
    if not isinstance(url, StoragePath):
        return ""
    if glob.has_magic(given):
        return f"{fixed_part(url).name}/"
    return "" if url.key != url.bucket and url.is_file() else f"{url.name}/"


def _inspect_all(
    inputs: Sequence[str],
    format: str,  # noqa: A002 (the recipe's word)
    heads: Heads,
) -> Iterator[tuple[_Found, InputFile | str]]:
    """Each file as the run reads it, or why it is not read, in their order: so of several that will not do the first
    is named, although many are looked at before what they contain is asked for."""
    for is_object, group in groupby(_expand_all(inputs), lambda found: is_url(found.path)):
        most = _objects_kept() if is_object else FILES_TOGETHER
        error: CuratorError | None = None
        while error is None:
            entries, error = _until_error(islice(group, most))  # noqa: B031 (the next files of it each time)
            if not entries:
                break
            yield from _inspect(entries, format, heads)
        if error is not None:
            raise error


def _objects_kept() -> int:
    """Objects whose first block is still there, after all were looked at, when it is read."""
    from curator.storage.ranges import CACHE_BLOCKS

    return CACHE_BLOCKS // 2


def _inspect(
    entries: Sequence[_Found],
    format: str,  # noqa: A002 (the recipe's word)
    heads: Heads,
) -> Iterator[tuple[_Found, InputFile | str]]:
    looked, error = _until_error(each(_look_at, entries, remote=is_url(entries[0].path)))
    read = iter(heads([file for file in looked if file is not None]))
    for found, file in zip(entries, looked, strict=False):  # there are fewer where one will not do
        yield found, "is not a regular file" if file is None else _tell_format(found, file, next(read), format)
    if error is not None:
        raise error


def _until_error(items: Iterable[_Result]) -> tuple[list[_Result], CuratorError | None]:
    """The items before the first that could not be had, and why it could not."""
    taken: list[_Result] = []
    try:
        for item in items:
            taken.append(item)
    except CuratorError as error:
        return taken, error
    return taken, None


def _read_head(file: InputFile) -> bytes:
    return read_head(file, _SNIFF_BYTES)


def _look_at(found: _Found) -> InputFile | None:
    """`_look`, of what may be read; None for what a directory holds beside files."""
    file = _look(found.path, found.name)
    if file is None:
        if found.in_directory:
            return None
        raise UserError(
            "is not a regular file", file=found.path, hint="a pipe cannot be read again: write it to a file"
        )
    try:
        found.name.encode()
    except UnicodeEncodeError:
        raise UserError("has a name that is not UTF-8", file=ascii(found.path), hint="rename it") from None
    return file


def _tell_format(found: _Found, file: InputFile, head: bytes, format: str) -> InputFile | str:  # noqa: A002
    """The file as the run reads it, or why it is not read."""
    chosen, reason = _choose_format(found, head, format)
    if chosen is None:
        if found.in_directory:
            return reason
        formats = f"say which it is with --set input.format=NAME: {', '.join(reader_names())}"
        raise UserError(reason, file=found.path, hint=None if describe_foreign(head) else formats)
    return replace(file, format=chosen)


def _choose_format(found: _Found, head: bytes, format: str) -> tuple[str | None, str]:  # noqa: A002
    told = EXTENSIONS.get(extension_of(found.path))
    foreign = describe_foreign(head)
    if foreign is not None:
        return None, f"is {foreign}"
    if found.in_directory and Path(found.path).name in _BOOKKEEPING:
        return None, _IS_BOOKKEEPING
    if format == AUTO:
        chosen = told or sniff_format(head) or ("text" if not head and not found.in_directory else None)
        return chosen, _IS_UNKNOWN
    if found.in_directory:
        seen = told or sniff_format(head)
        if seen not in (None, format):
            return None, f"is {seen}, not {format}"
        if format in _LINE_FORMATS and b"\0" in head and wide_encoding(head) is None:
            return None, f"is binary, not {format}"
    return format, ""


def _look(path: str, name: str) -> InputFile | None:
    """A file as it is now, its format not told yet; None when it is no regular file."""
    url = as_path(path)
    if isinstance(url, StoragePath):
        from curator.storage.ranges import ObjectFile

        try:
            with ObjectFile(url, path) as source:
                size, etag = source.version.size, source.version.etag
                return InputFile(path, name, size, 0, "", compression_of(source.read(16)), etag)
        except FileNotFoundError:
            raise UserError("is gone since it was listed", file=path, hint="input must not change") from None
    about, start = _open(path)
    if about is None:
        return None
    return InputFile(path, name, about.st_size, about.st_mtime_ns, "", compression_of(start))


def _open(path: str) -> tuple[os.stat_result | None, bytes]:
    """What a file is and its first bytes; None when it is no regular file."""
    try:
        about = os.stat(path)  # noqa: PTH116 (follows links, as Path.stat; takes a str)
        if not stat.S_ISREG(about.st_mode):
            return None, b""
        with open(path, "rb") as handle:  # noqa: PTH123
            return about, handle.read(16)
    except FileNotFoundError:
        raise UserError("is a link to nothing", file=path, hint="remove it or mend it") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path, hint="check its permissions") from None


def _refuse_unreadable(error: OSError) -> None:
    raise UserError(
        f"cannot be read: {error.strerror}", file=str(error.filename), hint="check its permissions"
    ) from None


def _nearest_parent(path: Path) -> str:
    parent = next((parent for parent in path.parents if parent.is_dir()), Path())
    if parent == path.parent:
        return "check the name"
    return f"the last directory on the way that exists is {parent}"


def _nothing_found(given: str, skipped: Sequence[Skipped]) -> UserError:
    if not skipped:
        return UserError("is an empty directory", file=given, hint="name files, directories or globs")
    seen = Counter(Path(entry.path).suffix or "no extension" for entry in skipped)
    listed = ", ".join(f"{suffix} ({count})" for suffix, count in sorted(seen.items()))
    hint = f"formats are told by {' '.join(EXTENSIONS)}, else name one with --set input.format=NAME"
    reasons = {entry.reason for entry in skipped} - {_IS_BOOKKEEPING}
    if len(reasons) == 1 and _IS_UNKNOWN not in reasons:
        hint = f"each {reasons.pop()}"
    return UserError(f"holds no file that can be read; extensions seen: {listed}", file=given, hint=hint)


def _refuse_repeats(files: Sequence[InputFile]) -> None:
    names: dict[str, str] = {}
    paths: dict[str, str] = {}
    for file in files:
        # Path.resolve would follow links.
        absolute = file.path if is_url(file.path) else os.path.abspath(file.path)  # noqa: PTH100
        if absolute in paths:
            raise UserError(
                "is given twice", file=file.path, hint=f"as {paths[absolute]!r} and as {file.name!r}: leave one out"
            )
        if file.name in names:
            raise UserError(
                f"{names[file.name]} and {file.path} would both be called {file.name!r}",
                hint="give the directory that holds both, or a quoted glob",
            )
        names[file.name] = file.path
        paths[absolute] = file.name
