"""The header of an index, which says what the index is; `stages.dedup.index` says what the files hold.

The first line is `curator-index FORMAT BLAKE3`, the rest JSON whose hash that is: the name of the run, the scheme,
counts, and size and hash of every file. To open an index is to read this and to look at the sizes; `verify_index` reads
it all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from blake3 import blake3

from curator.errors import DataError, UserError
from curator.storage.path import AnyPath, StoragePath

MAGIC = "curator-index"
FORMAT = 1
HEADER = "header"
FOLDER = "index"

_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class Scheme:
    """What two indexes, or an index and a run, must have in common: `text` stands for segmentation, folding and
    hashing."""

    permutations: int
    signature_seed: int
    shingle_units: int
    bands: int
    rows_per_band: int
    text: str

    def differences(self, other: Scheme) -> list[str]:
        """What differs, in words; `self` is what the index has."""
        there, here = asdict(self), asdict(other)
        names = {"text": "segmentation and folding of text"}
        return [
            f"{names.get(name, name)}: {value} there, {here[name]} here"
            for name, value in there.items()
            if value != here[name]
        ]


@dataclass(frozen=True)
class File:
    """A file of an index."""

    bytes: int
    blake3: str


@dataclass(frozen=True)
class Header:
    """What an index says of itself. `name` names the run; `documents` are those in it, `erased` those that were taken
    out since it was made; `urls` stands for how URLs are brought into one form, empty where the index has none;
    `checksum` is the BLAKE3 of all this."""

    name: str
    scheme: Scheme
    documents: int
    erased: int
    files: Mapping[str, File]
    urls: str = ""
    checksum: str = ""


def dump_header(header: Header) -> bytes:
    """The header as bytes, with its checksum; the same for the same values."""
    values = asdict(header)
    del values["checksum"]
    if not header.urls:
        del values["urls"]
    body = (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    return f"{MAGIC} {FORMAT} {blake3(body).hexdigest()}\n".encode() + body


def read_header(path: AnyPath) -> Header:
    """The header of an index (see `open_index`)."""
    return open_index(path)[1]


def open_index(path: AnyPath) -> tuple[AnyPath, Header]:
    """Where the index lies that is meant by `path`, which is that of an index or of a run that has one, and its header.
    UserError when there is none that this version reads, DataError when it is damaged or a file has not the size that
    it names."""
    folder, data = _find_header(path)
    line, _, body = data.partition(b"\n")
    words = line.decode("ascii", "replace").split(" ")
    if words[0] != MAGIC or len(words) != 3 or not words[1].isdigit():
        raise UserError("is not the header of an index", stage="dedup", file=str(folder / HEADER))
    if int(words[1]) != FORMAT:
        raise UserError(
            f"has format {words[1]}, and this version reads format {FORMAT}",
            stage="dedup",
            file=str(folder),
            hint="read it with the version that wrote it, or make it again",
        )
    if blake3(body).hexdigest() != words[2]:
        raise damaged(folder, HEADER)
    values = json.loads(body)
    files = {name: File(**entry) for name, entry in values["files"].items()}
    header = Header(**{**values, "scheme": Scheme(**values["scheme"]), "files": files}, checksum=words[2])
    sizes = _sizes(folder, header.files)
    for name, entry in header.files.items():
        size = sizes.get(name)
        if size is None:
            raise damaged(folder, name, "is missing")
        if size != entry.bytes:
            raise damaged(folder, name, f"has {size:,} bytes, not {entry.bytes:,}")
    return folder, header


def _find_header(path: AnyPath) -> tuple[AnyPath, bytes]:
    """The folder of the index that is meant by `path`, and the bytes of its header. It is read where it may be, not
    looked for: each look at a storage is a request."""
    for folder in (path / FOLDER, path):
        try:
            return folder, (folder / HEADER).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", stage="dedup", file=str(folder / HEADER)) from error
    hint = "a run leaves one with `dedup: {index: true}`"
    raise UserError("there is no index", stage="dedup", file=str(path), hint=hint)


def _sizes(folder: AnyPath, names: Iterable[str]) -> dict[str, int]:
    """The bytes of those files that are there; of objects by one listing."""
    if isinstance(folder, StoragePath):
        from curator.storage.objects import list_folder

        return {entry.path.name: entry.size for entry in list_folder(folder, recursive=False) if entry.size is not None}
    return {name: (folder / name).stat().st_size for name in names if (folder / name).is_file()}


def damaged(folder: AnyPath, name: str, what: str = "is not as it was written") -> DataError:
    """The error for a file of an index that is not what its header says."""
    hint = "an interrupted `curator forget` is finished when it is run again; else make the index again"
    return DataError(what, stage="dedup", file=str(folder / name), hint=hint)


def verify_index(path: AnyPath) -> Header:
    """Read every byte of an index. UserError or DataError, as `open_index`, with what is wrong first."""
    folder, header = open_index(path)
    check_files(folder, header)
    stray = sorted({file.name for file in folder.iterdir()} - {HEADER, *header.files})
    if stray:
        raise damaged(folder, stray[0], "is no file of the index")
    return header


def check_files(folder: AnyPath, header: Header) -> None:
    """DataError when a file is not what the header says."""
    for name, entry in header.files.items():
        if file_blake3(folder / name) != entry.blake3:
            raise damaged(folder, name)


def file_blake3(path: AnyPath) -> str:
    """BLAKE3 of a file's bytes."""
    hasher = blake3()
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            hasher.update(data)
    return str(hasher.hexdigest())
