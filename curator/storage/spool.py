"""Local copies of what the tasks of a run write to object storage: a cache of this node, in no way the truth.

A task writes its files here and commits them by putting each as an object; whoever reads a committed file on a node
that has no copy fetches it whole first. Files of tasks never change once committed, so a copy is never out of date: the
folder of a run's tasks bears the run's identity (`work/IDENTITY`), and each has a folder of its own here, which also
ends with the start of the machine, as files that were not synced do. What is read beside a run (an index in a bucket)
has a folder of its own for each state of it.

`CURATOR_SPOOL` says where; else a folder in the temporary directory that its owner alone may read. A process holds a
shared lock on each folder that it uses; one that nobody holds is left over from a process that was killed, and goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from blake3 import blake3

from curator.errors import AGAIN, Bug, DataError, UserError
from curator.storage.path import AnyPath, StoragePath, as_path

VARIABLE = "CURATOR_SPOOL"

OWNER_ONLY = 0o700

WORK = "work"
IDENTITY_DIGITS = 16

_UNIT = re.compile(rf"(.+/{WORK}/[0-9a-f]{{{IDENTITY_DIGITS}}})(?:/(.+))?", re.DOTALL)
_LOCK = "lock"
_FILES = "files"
_PLACE = "place"
_AGAIN = f"{AGAIN}: it is made again"
_STRIPES = 32
"""Locks under which files are fetched: two processes that want one file fetch it once."""


def local_file(place: str | AnyPath, size: int | None = None) -> Path:
    """A file of a task on this node: a local path as it is; a copy of an object, fetched unless it is here already with
    `size` bytes (where that is known). DataError when there is no such object."""
    path = as_path(place) if isinstance(place, str) else place
    if isinstance(path, Path):
        return path
    try:
        return _copy_of(path, size)
    except FileNotFoundError:
        raise DataError("is gone, and a task had left it here", file=str(path), hint=_AGAIN) from None


def _copy_of(path: StoragePath, size: int | None) -> Path:
    unit, rest = _divide(path)
    target = unit.files / rest
    if not _is_there(target, size):
        with unit.fetching(rest):
            if not _is_there(target, size):
                _fetch(path, target)
                if not _is_there(target, size):
                    raise DataError("is not as a task had left it here", file=str(path), hint=_AGAIN)
    return target


def find_file(place: str | AnyPath) -> Path | None:
    """`local_file`, or None when there is no such file."""
    path = as_path(place) if isinstance(place, str) else place
    if isinstance(path, Path):
        return path if path.exists() else None
    try:
        return _copy_of(path, None)
    except FileNotFoundError:
        return None


def local_folder(folder: AnyPath) -> Path:
    """Where tasks of this node write the files of a folder; made where it is a copy of one in a storage."""
    if isinstance(folder, Path):
        return folder
    unit, rest = _divide(folder)
    target = unit.files / rest
    target.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    return target


@contextlib.contextmanager
def fetched(folder: AnyPath) -> Iterator[Path]:
    """The files of a folder on this node, for as long as they are needed: the folder itself where it is local."""
    if isinstance(folder, Path):
        yield folder
        return
    from curator.storage.objects import get_file

    unit = _hold(Path(tempfile.mkdtemp(prefix="curator-", dir=_base())))
    try:
        for path in folder.glob("*"):
            get_file(path, unit.files / path.name)
        yield unit.files
    finally:
        shutil.rmtree(unit.folder, ignore_errors=True)
        os.close(unit.lock)


def place_of(path: Path) -> str:
    """The place whose local copy a file is: what another node finds it by. A path without one is its own place."""
    for folder in path.parents:
        if folder.name == _FILES and (folder.parent / _PLACE).is_file():
            return f"{(folder.parent / _PLACE).read_text()}/{path.relative_to(folder).as_posix()}"
    return str(path)


def lasting_file(path: AnyPath, identity: str, size: int, digest: str) -> Path:
    """A file of something that is read beside a run, such as an index, on this node: `identity` says which state of it,
    since it may change in its place. A local path as it is; of an object a copy, fetched once a node and held against
    its BLAKE3 then. DataError when it is not that; FileNotFoundError when there is no such object."""
    if isinstance(path, Path):
        return path
    unit = _lasting(path.parent, identity)
    target = unit.files / path.name
    if not _is_there(target, size):
        with unit.fetching(path.name):
            if not _is_there(target, size):
                _fetch(path, target, digest)
    return target


def release(folder: AnyPath) -> None:
    """Remove the local copies of a folder: what is needed again is fetched again. Nothing for a local path."""
    if isinstance(folder, StoragePath):
        unit, rest = _divide(folder)
        if rest:
            shutil.rmtree(unit.files / rest, ignore_errors=True)
        else:
            _let_go(unit)


def release_lasting(folder: AnyPath, identity: str) -> None:
    """Remove what `lasting_file` fetched of a folder in this state."""
    if isinstance(folder, StoragePath):
        _let_go(_lasting(folder, identity))


def _let_go(unit: _Unit) -> None:
    shutil.rmtree(unit.folder, ignore_errors=True)
    _unit.cache_clear()
    os.close(unit.lock)


def _lasting(folder: StoragePath, identity: str) -> _Unit:
    return _unit(_base(), f"{folder} {identity}", os.getpid())


def _is_there(path: Path, size: int | None) -> bool:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return False
    return size in (None, found)


def _fetch(path: StoragePath, target: Path, digest: str | None = None) -> None:
    from curator.storage.objects import get_file

    target.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}-fetch-{target.name}")
    try:
        get_file(path, temporary)
        if digest is not None and blake3().update_mmap(temporary).hexdigest() != digest:
            raise DataError("is not as it was written", file=str(path))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Unit:
    """Copies that this process holds: of one run's tasks, until it ends."""

    folder: Path
    lock: int

    @property
    def files(self) -> Path:
        return self.folder / _FILES

    @contextlib.contextmanager
    def fetching(self, rest: str) -> Iterator[None]:
        """Hold the right to fetch a file."""
        number = int.from_bytes(hashlib.sha256(rest.encode()).digest()[:2]) % _STRIPES
        self.folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
        descriptor = os.open(self.folder / f"{_LOCK}-{number:02d}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _divide(path: StoragePath) -> tuple[_Unit, str]:
    """The unit to which a place of a task belongs, and its name there."""
    match = _UNIT.fullmatch(str(path))
    if match is None:
        raise Bug(f"{path} is no place of a task")
    return _unit(_base(), match[1], os.getpid()), match[2] or ""


@lru_cache(maxsize=8)
def _unit(base: Path, place: str, _pid: int) -> _Unit:
    """Take the unit of a place for this process."""
    unit = _hold(base / hashlib.sha256(f"{_boot()} {place}".encode()).hexdigest()[:24])
    (unit.folder / _PLACE).write_text(place)
    return unit


def _hold(folder: Path) -> _Unit:
    """Take a unit for this process, and sweep those that no process holds."""
    unit = _Unit(folder, _take(folder))
    unit.files.mkdir(mode=OWNER_ONLY, exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder:
            _sweep(other)
    return unit


def _take(folder: Path) -> int:
    """Hold a folder, made if need be, against being swept; the kernel lets go when the process ends."""
    while True:
        folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # swept by another process since it was made
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
                return descriptor
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove a unit that no process holds. What is no unit stays, and so does that of another user."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # in use
    finally:
        os.close(descriptor)


def _base() -> Path:
    """The folder of all units. UserError when it cannot be, or belongs to somebody else."""
    chosen = os.environ.get(VARIABLE)
    base = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"curator-spool-{os.getuid()}"
    try:
        base.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        status = base.lstat() if not chosen else base.stat()
    except OSError as error:
        raise UserError(
            f"cannot hold local copies: {error.strerror}", file=str(base), hint=f"set {VARIABLE} to another folder"
        ) from error
    if not chosen and (status.st_uid != os.getuid() or status.st_mode & 0o077 or not base.is_dir()):
        raise UserError(
            "is not a folder of yours alone", file=str(base), hint=f"remove it, or set {VARIABLE} to another folder"
        )
    return base


@lru_cache(maxsize=1)
def _boot() -> str:
    """What changes with each start of the machine: after it, files that were not synced may be torn."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
