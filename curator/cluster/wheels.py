"""Wheels of what is installed here, unpacked: their modules, data and metadata, as Ray lays them out on every node.

A wheel is an archive that works when it is unpacked into folders of `sys.path`: modules, and the metadata in which
Python finds entry points. Each such folder is shipped by itself, named by its content, so that a cluster keeps what has
not changed. Letting pip install wheels there instead would ask an index for their dependencies, and takes seconds
(docs/decisions/0023-submit.md).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import blake3

from curator.cluster.loose import LOOSE
from curator.code import files_below
from curator.errors import UserError

_LEFT_OUT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files of metadata that speak of the installation, not of the distribution."""

_METADATA_SUFFIXES = (".dist-info", ".egg-info")


@dataclass(frozen=True)
class Folder:
    """A folder to be shipped: a package, or metadata. `files` are bytes by their names within it."""

    name: str
    files: Mapping[str, bytes]

    @cached_property
    def package(self) -> str:
        """What the cluster keeps it as: a name that follows from its content."""
        hasher = blake3.blake3(self.name.encode())
        for name, data in sorted(self.files.items()):
            hasher.update(f"\0{name}\0{len(data)}\0".encode())
            hasher.update(data)
        return f"_ray_pkg_{hasher.hexdigest(length=16)}.zip"  # the prefix of Ray's own

    def archive(self) -> bytes:
        """A ZIP archive that unpacks into this folder."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(self.files.items()):
                archive.writestr(f"{self.name}/{name}", data)
        return target.getvalue()


def folders_of(distributions: Sequence[Distribution]) -> list[Folder]:
    """The packages and folders of metadata of distributions, and LOOSE where there are modules outside of packages.
    UserError when two distributions have the same file, or one has no module."""
    owners: dict[str, str] = {}
    found: dict[str, dict[str, bytes]] = {}
    for distribution in distributions:
        owner, files = distribution.name, dict(files_of(distribution))  # each look at the name reads the metadata anew
        if not any(_is_module(name) for name in files):
            raise UserError(
                f"the distribution {owner} has no modules that could be shipped",
                hint="install it as a wheel, or with `pip install --editable`",
            )
        for name, source in files.items():
            if name in owners:
                raise UserError(f"{owner} and {owners[name]} both have the file {name}", hint="rename one of them")
            owners[name] = owner
            top, _, rest = name.partition("/")
            found.setdefault(top if rest else LOOSE, {})[rest or name] = source.read_bytes()
    return [Folder(name, found[name]) for name in sorted(found)]


def files_of(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """Each file of a distribution: its name in a wheel, and where it lies. Of one that was installed as files, those of
    its record; of an editable one, all that lies below its packages."""
    recorded = list(_recorded(distribution))
    if any(_is_module(name) for name, _ in recorded):
        yield from recorded
        return
    yield from _metadata(distribution)
    for top in _top_level(distribution):
        yield from _module_files(top)


def _recorded(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    for entry in distribution.files or ():
        name = PurePosixPath(str(entry))
        if ".." in name.parts or "__pycache__" in name.parts or name.is_absolute():
            continue
        if name.name.startswith("__editable__") or name.suffix == ".pth" or _is_left_out(name):
            continue
        path = Path(str(distribution.locate_file(entry)))
        if path.is_file():
            yield str(name), path


def _metadata(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """The folder of metadata, which importlib.metadata keeps to itself: found by the name that it must have."""
    root = Path(str(distribution.locate_file("")))
    wanted = {_folded(f"{distribution.name}-{distribution.version}"), _folded(distribution.name)}
    for folder in sorted(root.iterdir()):
        if folder.suffix in _METADATA_SUFFIXES and folder.is_dir() and _folded(folder.stem) in wanted:
            for path in files_below(folder):
                name = PurePosixPath(path.relative_to(root).as_posix())
                if not _is_left_out(name):
                    yield str(name), path
            return


def _top_level(distribution: Distribution) -> list[str]:
    """The packages and modules that a distribution brings: as its metadata says, or as its entry points do."""
    listed = (distribution.read_text("top_level.txt") or "").split()
    return listed or sorted({point.value.split(":")[0].split(".")[0] for point in distribution.entry_points})


def _module_files(name: str) -> Iterator[tuple[str, Path]]:
    found = find_spec(name)
    if found is None:
        return
    for location in found.submodule_search_locations or ():
        folder = Path(location)
        for path in files_below(folder):
            yield f"{name}/{path.relative_to(folder).as_posix()}", path
    if found.submodule_search_locations is None and found.origin is not None and Path(found.origin).is_file():
        yield Path(found.origin).name, Path(found.origin)


def _is_left_out(name: PurePosixPath) -> bool:
    return name.parent.suffix in _METADATA_SUFFIXES and name.name in _LEFT_OUT


def _is_module(name: str) -> bool:
    return name.endswith((".py", ".so")) and not name.startswith("__editable__")


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
