"""Inputs in object storage: what a URL names, whether it is an object, a folder or a glob.

The rules are those of local inputs: `*` stays within a folder, `**` goes through all of them, what begins with a dot is
passed over. An object and a folder may bear one name; the object is meant then.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass

from curator.errors import UserError
from curator.storage.objects import Entry, check_bucket, list_folder
from curator.storage.path import StoragePath, as_path

_MAGIC_SET = re.compile(r"\[(!?)([^\]]+)\]")


@dataclass(frozen=True)
class Named:
    """An object that an input names: its name relative to the input, and whether a folder was named."""

    path: StoragePath
    name: str
    in_folder: bool


def expand(given: str) -> list[Named]:
    """The objects that an input names, sorted by name. UserError when there are none."""
    pattern = as_path(given)
    if not isinstance(pattern, StoragePath):
        raise UserError("is no URL of a storage", file=given)
    if not glob.has_magic(given):
        if pattern.key != pattern.bucket and pattern.is_file():
            return [Named(pattern, pattern.name, in_folder=False)]
        found = [Named(entry.path, _name(entry.path, pattern), in_folder=True) for entry in _objects(pattern)]
        if not found:
            check_bucket(pattern)
            raise UserError("does not exist", file=given, hint="check the name: no object begins with it")
        return found
    fixed = fixed_part(pattern)
    matches = re.compile(_expression(pattern.key[len(fixed.key) + 1 :])).fullmatch
    found = []
    for entry in _objects(fixed):
        name = _name(entry.path, fixed)
        if matches(name):
            found.append(Named(entry.path, name, in_folder=False))
        elif any(matches(name[: slash.start()]) for slash in re.finditer("/", name)):
            found.append(Named(entry.path, name, in_folder=True))
    if not found:
        check_bucket(pattern)
        raise UserError("matches no object", file=given, hint=f"the folder before the pattern is {fixed}")
    return found


def fixed_part(pattern: StoragePath) -> StoragePath:
    """The folders of a glob before the first that has a wildcard."""
    parts: list[str] = []
    for part in pattern.key.split("/")[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return StoragePath(pattern.scheme, "/".join(parts) or pattern.bucket)


def _objects(folder: StoragePath) -> list[Entry]:
    """The objects of a folder and of all below, save hidden ones."""
    found = [entry for entry in list_folder(folder, recursive=True) if entry.size is not None]
    return [entry for entry in found if not any(part.startswith(".") for part in _name(entry.path, folder).split("/"))]


def _name(path: StoragePath, folder: StoragePath) -> str:
    return path.relative_to(folder).as_posix()


def _expression(pattern: str) -> str:
    """A glob as a regular expression over names."""
    parts = pattern.split("/")
    made = []
    for number, part in enumerate(parts):
        is_last = number + 1 == len(parts)
        if part == "**":
            made.append(".*" if is_last else "(?:.*/)?")
        else:
            made.append(_part(part) + ("" if is_last else "/"))
    return "(?s:" + "".join(made) + ")"


def _part(pattern: str) -> str:
    made, place = "", 0
    while place < len(pattern):
        found = _MAGIC_SET.match(pattern, place)
        if found:
            characters = re.sub(r"([\\\[^&~|])", r"\\\1", found[2])
            made += f"[{'^/' if found[1] else ''}{characters}]"
            place = found.end()
            continue
        made += {"*": "[^/]*", "?": "[^/]"}.get(pattern[place], re.escape(pattern[place]))
        place += 1
    return made
