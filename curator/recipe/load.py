"""Reading a recipe, with errors that name the file, the line, and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, TypeAlias

import blake3
import yaml
from pydantic import BaseModel, ValidationError

from curator.code import hash_files, stage_files
from curator.configuration import yaml_error
from curator.errors import UserError
from curator.recipe.model import Recipe, StageEntry
from curator.recipe.overlay import OVERLAY_KEYS, Calibration, Origin, Origins, OverlayOrigin
from curator.registry import nearest, nearest_or_known, stage_class
from curator.validation import known_keys, words_of

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Location: TypeAlias = "tuple[str | int, ...]"


MAX_DEPTH = 20
MAX_VALUES = 10_000
"""Bounds of what a recipe may hold; no real one comes near."""
MAX_OVERLAY_VALUES = 1_000_000
"""The same of an overlay, which has a dozen values for each threshold of each language and source."""


class Place(NamedTuple):
    """Where a value was given, and how an error says so."""

    origin: Origin
    text: str


@dataclass(frozen=True)
class Overlay:
    """An overlay as it was read: its stages with their places, and where it comes from."""

    label: str
    stages: Mapping[str, dict[str, Value]]
    places: Mapping[Location, Place]
    origin: OverlayOrigin


def packaged_recipes() -> dict[str, Path]:
    """The recipes that come with Curator, by name."""
    folder = files("pipelines")
    found = (Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {path.stem: path for path in sorted(found)}


def load_recipe(name_or_path: str, overrides: Sequence[str] = (), overlay: Path | Overlay | None = None) -> Recipe:
    """The recipe of a file, or a packaged one by its name, with the values of an overlay and then the `overrides`
    (`stage.param=value`) in place of its own. UserError when wrong."""
    return load_with_origins(name_or_path, overrides, overlay)[0]


def load_with_origins(
    name_or_path: str, overrides: Sequence[str] = (), overlay: Path | Overlay | None = None
) -> tuple[Recipe, Origins]:
    """The same, and where the parameters of its stages came from."""
    packaged = packaged_recipes()
    path = packaged.get(name_or_path) or Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = nearest(name_or_path, packaged) or f"give a file, or one of: {', '.join(packaged)}"
        raise UserError(f"there is no recipe {name_or_path!r}", hint=hint) from error
    except IsADirectoryError as error:
        raise UserError("is a directory, not a recipe", file=str(path), hint="name the file of the recipe") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"cannot be read: {why}", file=str(path), hint="a recipe is a YAML file") from error
    return _load(text, str(path), overrides, load_overlay(overlay) if isinstance(overlay, Path) else overlay)


def load_recipe_text(text: str, label: str, overrides: Sequence[str] = (), overlay: Overlay | None = None) -> Recipe:
    """The recipe written in `text`, with the values of an overlay and then the overrides in place of its own; `label`
    names it in errors."""
    return _load(text, label, overrides, overlay)[0]


def load_overlay(path: Path) -> Overlay:
    """The overlay of a file. UserError when wrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        hint = "an overlay is a YAML file"
        raise UserError(f"cannot be read: {error.strerror}", file=str(path), hint=hint) from error
    return load_overlay_text(raw, path.name, str(path))


def load_overlay_text(raw: bytes, name: str, label: str) -> Overlay:
    """The overlay of the bytes of a file of this name; `label` names it in errors. UserError when wrong."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError("cannot be read: not UTF-8", file=label, hint="an overlay is a YAML file") from error
    places: dict[Location, Place] = {}
    # Without aliases a text has fewer values than characters, so one of a few bytes cannot keep the reader for seconds.
    data = _parse(text, label, "overlay", places, min(MAX_OVERLAY_VALUES, max(MAX_VALUES, len(text))))
    if not isinstance(data, dict) or not isinstance(data.get("stages"), list):
        raise UserError("an overlay is a mapping with `stages`, a list", file=label, hint="written as in a recipe")
    for key in data:
        if key not in OVERLAY_KEYS:
            hint = nearest_or_known(key, OVERLAY_KEYS)
            raise UserError(f"{_line(places, (key,))}unknown key {key!r}", file=label, hint=hint)
    stages: dict[str, dict[str, Value]] = {}
    found: dict[Location, Place] = {}
    for at, stage, given in _entries(data, places, label) if data["stages"] else ():
        if stage in stages:
            raise UserError(f"{_line(places, at)}the stage {stage!r} stands twice", file=label)
        stages[stage] = given
        for location, place in places.items():
            if location[:3] == at:
                found[location[2:]] = Place("overlay", f"overlay {label}: {place.text}")
    calibration = None
    if data.get("calibration") is not None:
        try:
            calibration = Calibration.model_validate(data["calibration"])
        except ValidationError as error:
            raise _explain(error, Calibration, ("calibration",), places, label) from error
    origin = OverlayOrigin(name=name, digest=blake3.blake3(raw).hexdigest(), calibration=calibration)
    return Overlay(label, stages, found, origin)


def _check_versions(overlay: Overlay) -> None:
    """UserError when an overlay was calibrated for other versions of its stages: what they score is another thing."""
    calibration = overlay.origin.calibration
    for name, digest in calibration.stages.items() if calibration is not None else ():
        if name in overlay.stages and hash_files(stage_files(stage_class(name))) != digest:
            raise UserError(
                f"its thresholds were fitted to scores of another version of the stage {name!r}",
                file=overlay.label,
                hint="calibrate again, with `curator calibrate`",
            )


def _load(text: str, label: str, overrides: Sequence[str], overlay: Overlay | None) -> tuple[Recipe, Origins]:
    lines: dict[Location, Place] = {}
    data = _parse(text, label, "recipe", lines, MAX_VALUES)
    if data is None:
        raise UserError("the recipe is empty", file=label, hint="only `name` and `stages` are required")
    if not isinstance(data, dict):
        raise UserError("a recipe is a mapping", file=label, hint="it begins with `name: …`")
    if overlay is not None:
        _lay_over(data, lines, overlay)
    for override in overrides:
        at = _override(data, override)
        for below in [location for location in lines if location[: len(at)] == at]:
            del lines[below]
        lines[at] = Place("set", f"--set {override}")
    recipe = _build(data, lines, label)
    if overlay is not None:
        _check_versions(overlay)
    return recipe, Origins(
        parameters={
            ".".join(map(str, path)): _place(lines, at).origin
            for at, path in _given(data, [e.name for e in recipe.stages])
        },
        overlay=None if overlay is None else overlay.origin,
    )


def _check_depth(text: str, label: str, origin: Origin) -> None:
    """UserError for deep nesting. The loader in C composes nodes by recursion and overruns its stack; events come one
    after the other."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UserError(f"nested too deeply for {_A[origin]}", file=label)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _parse(text: str, label: str, origin: Origin, lines: dict[Location, Place], limit: int) -> Value:
    try:
        _check_depth(text, label, origin)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise yaml_error(error, text, label) from error
    if node is None:
        return None
    return _value(node, (), _Parsing(yaml.SafeLoader(""), origin, lines, label, limit))


def _lay_over(data: dict[str, Value], lines: dict[Location, Place], overlay: Overlay) -> None:
    """Put the values of an overlay in place of the recipe's."""
    for name, given in overlay.stages.items():
        entry = _stage_mapping(data, name)
        if entry is None:
            raise UserError(
                f"{_line(overlay.places, (name,)).removeprefix(f'overlay {overlay.label}: ')}"
                f"the recipe has no stage {name!r}",
                file=overlay.label,
                hint=nearest(name, _stage_names(data)) or f"it has: {', '.join(_stage_names(data))}",
            )
        target = entry[name]
        if not isinstance(target, dict):
            target = entry[name] = {}
        _replace(target, given, ("stages", _stage_index(data, name)), (name,), lines, overlay)


def _replace(
    target: dict[str, Value],
    given: dict[str, Value],
    base: Location,
    at: Location,
    lines: dict[Location, Place],
    overlay: Overlay,
) -> None:
    for key, value in given.items():
        here = (*at, key)
        if isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
                lines[(*base, *here)] = overlay.places[here]
            _replace(inner, value, base, here, lines, overlay)
        else:
            target[key] = value
            lines[(*base, *here)] = overlay.places[here]


def _given(data: dict[str, Value], names: Sequence[str]) -> Iterator[tuple[Location, Location]]:
    """Where each parameter is written that is given, and its path from the name of its stage."""
    stages = data["stages"]
    for index, name in enumerate(names):
        entry = stages[index] if isinstance(stages, list) else None
        parameters = entry.get(name) if isinstance(entry, dict) else None
        if isinstance(parameters, dict):
            for path in _leaves(parameters, (name,)):
                yield ("stages", index, *path), path


def _leaves(values: dict[str, Value], at: Location) -> Iterator[Location]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*at, key))
        else:
            yield (*at, key)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it: an overlay of many languages has a hundred thousand nodes."""

_A = {"recipe": "a recipe", "overlay": "an overlay"}


@dataclass(frozen=True)
class _Parsing:
    loader: yaml.SafeLoader
    origin: Origin
    lines: dict[Location, Place]
    label: str
    limit: int


def _value(node: yaml.Node, at: Location, parsing: _Parsing) -> Value:
    lines = parsing.lines
    lines[at] = Place(parsing.origin, f"line {node.start_mark.line + 1}")
    if len(at) > MAX_DEPTH or len(lines) > parsing.limit:  # aliases can hold themselves, or multiply
        what = _A[parsing.origin]
        raise UserError(f"{lines[at].text}: too much, or nested too deeply, for {what}", file=parsing.label)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = f"line {key_node.start_mark.line + 1}"
            if key in mapping:
                raise UserError(f"{line}: {key!r} stands twice", file=parsing.label)
            mapping[key] = _value(value_node, (*at, key), parsing)
            lines[(*at, key)] = Place(parsing.origin, line)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*at, index), parsing) for index, item in enumerate(node.value)]
    scalar: Value = parsing.loader.construct_object(node)
    return scalar


def _override(data: dict[str, Value], override: str) -> Location:
    """Set one value. Returns where it stands in the recipe."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {override!r} is not of the form stage.param=value")
    try:
        value: Value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is not valid YAML") from error
    target: dict[str, Value] | None = data
    if keys[0] not in Recipe.model_fields:
        target = _stage_mapping(data, keys[0])
        if target is None:
            stages = _stage_names(data)
            what = "the recipe has no stage" if len(keys) > 1 else "a recipe has no key"
            known = ", ".join(stages if len(keys) > 1 else Recipe.model_fields)
            hint = nearest(keys[0], [*Recipe.model_fields, *stages]) or f"it has: {known}"
            raise UserError(f"--set {override!r}: {what} {keys[0]!r}", hint=hint)
    for key in keys[:-1]:
        inner = target.get(key) if target is not None else None
        if inner is None and target is not None:
            inner = target[key] = {}
        target = inner if isinstance(inner, dict) else None
    if target is None:
        raise UserError(f"--set {override!r}: {'.'.join(keys[:-1])} is not a mapping")
    target[keys[-1]] = value
    return tuple(keys) if keys[0] in Recipe.model_fields else ("stages", _stage_index(data, keys[0]), *keys)


def _stage_index(data: dict[str, Value], name: str) -> int:
    stages = data.get("stages")
    entries = stages if isinstance(stages, list) else []
    return next(index for index, entry in enumerate(entries) if isinstance(entry, dict) and name in entry)


def _stage_mapping(data: dict[str, Value], name: str) -> dict[str, Value] | None:
    """The entry `{name: parameters}` of a stage, made where the stage is written as its name alone."""
    stages = data.get("stages")
    for index, entry in enumerate(stages if isinstance(stages, list) else []):
        if entry == name and isinstance(stages, list):
            stages[index] = entry = {name: {}}
        if isinstance(entry, dict) and name in entry:
            return entry
    return None


def _stage_names(data: dict[str, Value]) -> list[str]:
    stages = data.get("stages")
    entries = stages if isinstance(stages, list) else []
    return [name for entry in entries for name in (entry if isinstance(entry, dict) else [str(entry)])]


def _entries(
    data: dict[str, Value], lines: Mapping[Location, Place], label: str
) -> Iterator[tuple[Location, str, dict[str, Value]]]:
    """Where each stage is written, its name, and its parameters as they are given."""
    for key in data if "stages" not in data else ():
        if (hint := nearest(key, ("stages",))) is not None:
            raise UserError(f"{_line(lines, (key,))}unknown key {key!r}", file=label, hint=hint)
    raw_stages = data.get("stages")
    if not isinstance(raw_stages, list) or not raw_stages:
        raise UserError(
            f"{_line(lines, ('stages',))}`stages` is a list of stages", file=label, hint="for example `- dedup: {}`"
        )
    for index, raw in enumerate(raw_stages):
        at: Location = ("stages", index)
        if isinstance(raw, str):
            raw = {raw: {}}
        if not isinstance(raw, dict) or len(raw) != 1:
            raise UserError(f"{_line(lines, at)}a stage is written `- name: {{parameters}}`", file=label)
        ((name, given),) = raw.items()
        if given is not None and not isinstance(given, dict):
            raise UserError(f"{_line(lines, (*at, name))}the parameters of {name!r} are a mapping", file=label)
        yield (*at, name), name, given or {}


def _build(data: dict[str, Value], lines: Mapping[Location, Place], label: str) -> Recipe:
    entries: list[StageEntry] = []
    for at, name, given in _entries(data, lines, label):
        try:
            found = stage_class(name)
        except UserError as error:
            raise UserError(f"{_line(lines, at)}{error.message}", file=label, hint=error.hint) from error
        if any(entry.name == name for entry in entries):
            raise UserError(f"{_line(lines, at)}the stage {name!r} stands twice", file=label)
        try:
            parameters = found.parameters_type.model_validate(given)
        except ValidationError as error:
            raise _explain(error, found.parameters_type, at, lines, label) from error
        entries.append(StageEntry(name=name, parameters=parameters.complete()))
    try:
        return Recipe.model_validate({**data, "stages": entries})
    except ValidationError as error:
        raise _explain(error, Recipe, (), lines, label) from error


def _explain(
    error: ValidationError, model: type[BaseModel], at: Location, lines: Mapping[Location, Place], label: str
) -> UserError:
    first = error.errors(include_url=False)[0]
    location = tuple(part for part in first["loc"] if part not in ("function-before", "Language", "[key]"))
    name = ".".join(str(part) for part in location)
    where = _line(lines, (*at, *location))
    if first["type"] == "extra_forbidden":
        known = known_keys(model, location[:-1])
        # Of a mapping that --set made, what stands in it has a place.
        inside = (key for key in lines if key[: len(at) + len(location)] == (*at, *location))
        where = _line(lines, next(inside, (*at, *location)))
        hint = nearest_or_known(str(location[-1]), known)
        return UserError(f"{where}unknown key {name!r}", file=label, hint=hint)
    if first["type"] == "missing":
        return UserError(f"{where}{name!r} is required", file=label)
    if first["type"] in ("model_type", "dict_type"):
        known = known_keys(model, location)
        return UserError(
            f"{where}{name} is not a mapping", file=label, hint=f"with {', '.join(known)}" if known else None
        )
    message = words_of(first)
    given = first["input"]
    is_key = first["loc"][-1:] == ("[key]",)  # which the place has named
    shown = f" (got {given!r})" if isinstance(given, (str, int, float, bool)) and not is_key else ""
    return UserError(f"{where}{name}: {message[:1].lower()}{message[1:]}{shown}", file=label)


def _line(lines: Mapping[Location, Place], at: Location) -> str:
    while at and at not in lines:
        at = at[:-1]
    return f"{lines[at].text}: " if at in lines else ""


def _place(lines: Mapping[Location, Place], at: Location) -> Place:
    """Where a value was given: its own place, or that of what holds it."""
    while at not in lines:
        at = at[:-1]
    return lines[at]
