"""Reading a recipe, with errors that name the file, the line, and the nearest known key."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import BaseModel, ValidationError

from curator.errors import UserError
from curator.recipe.model import Recipe, StageEntry
from curator.registry import nearest, stage_class

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Location: TypeAlias = "tuple[str | int, ...]"


MAX_DEPTH = 20
MAX_VALUES = 10_000
"""Bounds of what a recipe may hold; no real one comes near."""


def packaged_recipes() -> dict[str, Path]:
    """The recipes that come with Curator, by name."""
    folder = files("pipelines")
    found = (Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {path.stem: path for path in sorted(found)}


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a file, or a packaged one by its name, with `stage.param=value` overrides. UserError when wrong."""
    packaged = packaged_recipes()
    path = packaged.get(name_or_path) or Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = nearest(name_or_path, packaged) or f"give a file, or one of: {', '.join(packaged)}"
        raise UserError(f"there is no recipe {name_or_path!r}", hint=hint) from error
    except IsADirectoryError as error:
        raise UserError("is a directory, not a recipe", file=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", file=str(path)) from error
    return load_recipe_text(text, str(path), overrides)


def load_recipe_text(text: str, label: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe written in `text`; `label` names it in errors."""
    lines: dict[Location, str] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UserError(f"{where}not valid YAML: {problem}", file=label) from error
    except RecursionError:
        raise UserError("nested too deeply for a recipe", file=label) from None
    if node is None:
        raise UserError("the recipe is empty", file=label, hint="only `name` and `stages` are required")
    loader = yaml.SafeLoader("")
    data = _value(loader, node, (), lines, label)
    if not isinstance(data, dict):
        raise UserError("a recipe is a mapping", file=label, hint="it begins with `name: …`")
    for override in overrides:
        lines[_override(data, override)] = f"--set {override}"
    return _build(data, lines, label)


def _value(loader: yaml.SafeLoader, node: yaml.Node, at: Location, lines: dict[Location, str], label: str) -> Value:
    lines[at] = f"line {node.start_mark.line + 1}"
    if len(at) > MAX_DEPTH or len(lines) > MAX_VALUES:  # aliases can hold themselves, or multiply
        raise UserError(f"line {lines[at]}: too much, or nested too deeply, for a recipe", file=label)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in mapping:
                raise UserError(f"line {line}: {key!r} stands twice", file=label)
            mapping[key] = _value(loader, value_node, (*at, key), lines, label)
            lines[(*at, key)] = f"line {line}"
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*at, index), lines, label) for index, item in enumerate(node.value)]
    scalar: Value = loader.construct_object(node)
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
            known = [*Recipe.model_fields, *_stage_names(data)]
            what = "the recipe has no stage" if len(keys) > 1 else "a recipe has no key"
            raise UserError(f"--set {override!r}: {what} {keys[0]!r}", hint=nearest(keys[0], known))
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


def _build(data: dict[str, Value], lines: dict[Location, str], label: str) -> Recipe:
    raw_stages = data.get("stages")
    if not isinstance(raw_stages, list) or not raw_stages:
        raise UserError(
            f"{_line(lines, ('stages',))}`stages` is a list of stages", file=label, hint="for example `- dedup: {}`"
        )
    entries: list[StageEntry] = []
    for index, raw in enumerate(raw_stages):
        at: Location = ("stages", index)
        if isinstance(raw, str):
            raw = {raw: {}}
        if not isinstance(raw, dict) or len(raw) != 1:
            raise UserError(f"{_line(lines, at)}a stage is written `- name: {{parameters}}`", file=label)
        ((name, given),) = raw.items()
        try:
            found = stage_class(name)
        except UserError as error:
            raise UserError(f"{_line(lines, (*at, name))}{error.message}", file=label, hint=error.hint) from error
        if any(entry.name == name for entry in entries):
            raise UserError(f"{_line(lines, (*at, name))}the stage {name!r} stands twice", file=label)
        if given is not None and not isinstance(given, dict):
            raise UserError(f"{_line(lines, (*at, name))}the parameters of {name!r} are a mapping", file=label)
        try:
            parameters = found.parameters_type.model_validate(given or {})
        except ValidationError as error:
            raise _explain(error, found.parameters_type, (*at, name), lines, label) from error
        entries.append(StageEntry(name=name, parameters=parameters.model_dump(mode="json")))
    try:
        return Recipe.model_validate({**data, "stages": entries})
    except ValidationError as error:
        raise _explain(error, Recipe, (), lines, label) from error


def _explain(
    error: ValidationError, model: type[BaseModel], at: Location, lines: dict[Location, str], label: str
) -> UserError:
    first = error.errors(include_url=False)[0]
    location = tuple(part for part in first["loc"] if part not in ("function-before", "Language"))
    name = ".".join(str(part) for part in location)
    where = _line(lines, (*at, *location))
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        hint = nearest(str(location[-1]), known) or f"known: {', '.join(known)}"
        return UserError(f"{where}unknown key {name!r}", file=label, hint=hint)
    if first["type"] == "missing":
        return UserError(f"{where}{name!r} is required", file=label)
    if first["type"] in ("model_type", "dict_type"):
        known = _known_keys(model, location)
        return UserError(
            f"{where}{name} is not a mapping", file=label, hint=f"with {', '.join(known)}" if known else None
        )
    message = first["msg"].removeprefix("Value error, ")
    given = first["input"]
    shown = f" (got {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return UserError(f"{where}{name}: {message[:1].lower()}{message[1:]}{shown}", file=label)


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        candidates = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _line(lines: dict[Location, str], at: Location) -> str:
    while at and at not in lines:
        at = at[:-1]
    return f"{lines[at]}: " if at in lines else ""
