"""Which places the service reads and writes: below configured roots alone, after links are resolved.

A recipe names files too (a language model, an index, evaluation sets); they are held against the input roots as well.
Programs, addresses and environment variables that a recipe may name elsewhere are the server's own, and are refused
unless its administrator allows them.
Whoever may write below a root can change what lies there between this look and the reading: roots belong to people who
are trusted with that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from curator.errors import UserError
from curator.readers.base import InputFile
from curator.readers.detect import Heads, discover, read_heads
from curator.recipe.model import SHIPPED_MODEL, Recipe
from curator.storage.path import AnyPath, StoragePath, as_path, is_url

_MAGIC = "*?["

SERVERS_OWN = {
    "program": "a program to run",
    "url": "an address to ask",
    "key_variable": "a variable of the environment",
    "environment": "a variable of the environment",
}
"""Keys of a recipe that would let whoever submits one run a program of the server's machine, ask an address from there
(server-side request forgery), or hand out what its environment holds."""


class Endpoint(BaseModel):
    """An address that recipes may name, and the variable whose value is sent there and nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    key_variable: str | None = None


class Allowances(BaseModel):
    """What of the server's own recipes may name: programs, addresses with their keys, variables that keep a key of
    `pii`. Each is compared letter by letter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    programs: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    environment: tuple[str, ...] = ()

    def refused(self, values: Mapping[str, object]) -> str | None:
        """The first key of a mapping that names what is not allowed."""
        program, url = values.get("program"), values.get("url")
        key, variable = values.get("key_variable"), values.get("environment")
        if program is not None and program not in self.programs:
            return "program"
        endpoints = [endpoint for endpoint in self.endpoints if endpoint.url == url]
        if url is not None and not endpoints:
            return "url"
        if key is not None and not any(endpoint.key_variable == key for endpoint in endpoints):
            return "key_variable"
        return "environment" if variable is not None and variable not in self.environment else None


class PlaceError(UserError):
    """A place that is not below a root."""


@dataclass(frozen=True)
class Places:
    """The roots: absolute folders, or `s3://BUCKET/NAME`."""

    input_roots: tuple[str, ...] = ()
    output_roots: tuple[str, ...] = ()
    allowances: Allowances = field(default_factory=Allowances)

    def inputs(self, given: Sequence[str]) -> tuple[str, ...]:
        """Inputs as they are read. PlaceError for one that is not below an input root, before anything is looked at."""
        return tuple(self._input(place) for place in given)

    def discover(self, inputs: Sequence[str], format: str, heads: Heads = read_heads) -> list[InputFile]:  # noqa: A002
        """The files of these inputs, told apart by their `heads`. PlaceError where a link among them leads out of the
        input roots."""
        files = discover(self.inputs(inputs), format, heads)
        for file in files:
            self._check(str(file.path), self.input_roots, "input")
        return files

    def file(self, given: str) -> str:
        """A file that is there. PlaceError unless it lies below an input root."""
        place = self._input(given)
        if any(sign in place for sign in _MAGIC) or is_url(place) or not Path(place).is_file():
            raise PlaceError("is no file", file=given, hint="name one file below an input root")
        return place

    def output(self, given: str) -> str:
        """The output as it is written. PlaceError unless it is below an output root."""
        if not self.output_roots:
            raise PlaceError("no output root is configured", hint="start the service with --output-root DIRECTORY")
        if is_url(given):
            place = str(as_path(given))
        else:
            first = self.output_roots[0]
            place = given if Path(given).is_absolute() else f"{first}/{given}"
            _refuse_parents(given)
            place = place if is_url(place) else os.path.normpath(place)
        self._check(place, self.output_roots, "output")
        if any(_real(place) == _real(root) for root in self.output_roots):
            raise PlaceError("an output root is no output", file=given, hint="name a folder in it")
        return place

    def above_output(self, output: str) -> list[AnyPath]:
        """The folders between an output and the root that it lies below, the innermost first."""
        found: list[AnyPath] = []
        above = as_path(output).parent
        while any(_lies_in(str(above), root) and _real(str(above)) != _real(root) for root in self.output_roots):
            found.append(above)
            above = above.parent
        return found

    def check_recipe(self, recipe: Recipe) -> tuple[str, ...]:
        """The files and folders that a recipe names, and what may be one. PlaceError where one is not below an input
        root, or a recipe names what is the server's own."""
        files: list[str] = []
        if recipe.language is not None and recipe.language.model != SHIPPED_MODEL:
            files.append(self._input(recipe.language.model))
        if recipe.tokenizer is not None:
            files.append(self._input(recipe.tokenizer))
        for entry in recipe.stages:
            for values in _mappings(entry.parameters):
                name = self.allowances.refused(values)
                if name is not None:
                    what = SERVERS_OWN[name]
                    raise PlaceError(
                        f"{entry.name}: {name} names {what}, which this service does not take from a recipe",
                        hint="its administrator may allow it, or run such a recipe with `curator process`",
                    )
            for text in _strings(_without_servers_own(entry.parameters)):
                if "/" in text or "\\" in text or text.startswith("~") or text in (".", ".."):
                    files.append(self._input(text))
                elif _is_here(text):
                    files.append(text)
        return tuple(files)

    def _input(self, given: str) -> str:
        if not self.input_roots:
            raise PlaceError("no input root is configured", hint="start the service with --input-root DIRECTORY")
        if is_url(given):
            self._check(str(as_path(given)), self.input_roots, "input")
            return given
        _refuse_parents(given)
        if not Path(given).is_absolute():
            raise PlaceError("is not an absolute path", file=given, hint=f"below {', '.join(self.input_roots)}")
        parts = Path(given).parts
        plain = next((index for index, part in enumerate(parts) if any(sign in part for sign in _MAGIC)), len(parts))
        self._check(str(Path(*parts[:plain])), self.input_roots, "input")
        return given

    def _check(self, place: str, roots: Sequence[str], kind: str) -> None:
        if not any(_lies_in(place, root) for root in roots):
            raise PlaceError(f"does not lie below an {kind} root", file=place, hint=f"{kind} roots: {', '.join(roots)}")


def root_of(given: str) -> str:
    """A root as it is configured: an absolute path, or the URL of object storage. UserError for what is not there."""
    if is_url(given):
        return str(as_path(given))
    real = os.path.realpath(given)
    if not Path(real).is_dir():
        raise UserError("is not a directory", file=given, hint="a root must be there when the service starts")
    return real


def _lies_in(place: str, root: str) -> bool:
    if is_url(place) or is_url(root):
        if not (is_url(place) and is_url(root)):
            return False
        inner, outer = as_path(place), as_path(root)
        return isinstance(inner, StoragePath) and isinstance(outer, StoragePath) and inner.is_relative_to(outer)
    return _real(place).is_relative_to(_real(root))


def _real(place: str) -> Path:
    return Path(place) if is_url(place) else Path(os.path.realpath(place))


def _refuse_parents(given: str) -> None:
    if "\0" in given or ".." in Path(given).parts:
        raise PlaceError("holds `..` or a NUL", file=given.replace("\0", "\\0"), hint="write the path without it")


def _is_here(text: str) -> bool:
    """Whether a word, which may mean anything, may also be the name of something in the working directory."""
    return os.path.lexists(text) or any(sign in text for sign in _MAGIC)


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    """The mappings of a value, at any depth."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _mappings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _mappings(inner)


def _without_servers_own(value: object) -> object:
    """The value without what `Allowances` looks at: a program or an address is no input."""
    if isinstance(value, dict):
        return {name: _without_servers_own(inner) for name, inner in value.items() if name not in SERVERS_OWN}
    if isinstance(value, (list, tuple)):
        return [_without_servers_own(inner) for inner in value]
    return value


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, os.PathLike):
        yield os.fspath(value)
