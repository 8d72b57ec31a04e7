"""Finding stages, readers, translators, masks and recognisers: all through entry points, ours like anybody's.

A user's package adds a stage by an entry point in the group `curator.stages`; nothing here needs to change.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, EntryPoints
from typing import cast

from curator.errors import CuratorError, UserError
from curator.stage import Parameters, Stage

STAGES = "curator.stages"
READERS = "curator.readers"
TRANSLATORS = "curator.translators"
MASKS = "curator.masks"
RECOGNISERS = "curator.recognisers"


_GROUPS = (STAGES, READERS, TRANSLATORS, MASKS, RECOGNISERS)
_OURS = ("curator", "stages")
_FILE = "entry_points.txt"


@cache
def _everything() -> EntryPoints:
    """The entry points of all packages that name a group of ours. Only theirs are parsed: those of all 220 packages of
    an environment take 10 ms. Of two distributions of one name the first on the path counts, as everywhere."""
    found: list[EntryPoint] = []
    for package in Distribution.discover():
        text = package.read_text(_FILE) or ""
        if "curator." in text and Distribution.from_name(package.name).read_text(_FILE) == text:
            found.extend(package.entry_points)
    return EntryPoints(dict.fromkeys(found))


def registered(group: str) -> EntryPoints:
    """What all packages have registered in a group."""
    return _everything().select(group=group)


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(registered(group), key=lambda entry: entry.name)}


def added() -> list[EntryPoint]:
    """What other packages than this one add, whatever the group."""
    entries = (entry for group in _GROUPS for entry in registered(group))
    return [entry for entry in entries if entry.value.partition(".")[0] not in _OURS]


def is_extended() -> bool:
    """Whether another package than this one adds anything."""
    return bool(added())


def names(group: str) -> list[str]:
    """The names that are registered in a group, sorted."""
    return list(_entries(group))


def load(group: str, name: str) -> object:
    """The object behind a name. UserError with the nearest known name where there is none, and where the package that
    adds it cannot be imported."""
    entries = _entries(group)
    if name not in entries:
        noun = group.removeprefix("curator.").removesuffix("s")
        hint = nearest_or_known(name, entries) or "none is known; is the package installed?"
        raise UserError(f"no {noun} is named {name!r}", hint=hint)
    try:
        return entries[name].load()
    except (ImportError, SyntaxError, AttributeError) as error:
        raise UserError(f"{name!r} cannot be imported: {error}", hint=f"check {entries[name].value}") from error
    except (CuratorError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        # What another package says may hold anything, and the message of a UserError is recorded.
        hint = f"python -c 'import {entries[name].module}' shows where"
        raise UserError(f"{name!r} cannot be imported: {type(error).__name__}", hint=hint) from error


def distribution(group: str, name: str) -> tuple[str, str] | None:
    """The distribution that registered a name, and its version."""
    found = _entries(group)[name].dist
    return (found.name, found.version) if found is not None else None


def stage_class(name: str) -> type[Stage[Parameters]]:
    """The class of the stage of this name."""
    found = load(STAGES, name)
    if not (isinstance(found, type) and issubclass(found, Stage)):
        raise UserError(f"the entry point {name!r} in {STAGES} is not a stage", hint="it must name a subclass of Stage")
    return cast("type[Stage[Parameters]]", found)


@dataclass(frozen=True)
class InstalledStages:
    """The stages that are installed: the classes of those that can be loaded, and why the others cannot."""

    classes: Mapping[str, type[Stage[Parameters]]]
    broken: Mapping[str, CuratorError]


def installed_stages() -> InstalledStages:
    """Every stage. One that cannot be loaded takes nothing from the others."""
    classes: dict[str, type[Stage[Parameters]]] = {}
    broken: dict[str, CuratorError] = {}
    for name in names(STAGES):
        try:
            classes[name] = stage_class(name)
        except CuratorError as error:
            broken[name] = error
    return InstalledStages(classes, broken)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """'did you mean X?' for the nearest known name, None where nothing is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {matches[0]!r}?" if matches else None


def nearest_or_known(name: str, known: Iterable[str]) -> str | None:
    """The same, and where nothing is near all that is known; None where nothing is."""
    names = list(known)
    return nearest(name, names) or (f"known: {', '.join(names)}" if names else None)
