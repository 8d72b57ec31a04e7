"""Files of YAML that people write: how they are read, and what is said of one that is none."""

from __future__ import annotations

from pathlib import Path

import yaml

from curator.errors import UserError


def read_configuration(path: Path, what: str) -> object:
    """The values of a file; an empty one has no keys. UserError where it cannot be read, or is not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise UserError("cannot be read: not UTF-8", file=str(path), hint=f"{what} is a YAML file") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise yaml_error(error, text, str(path)) from error
    return {} if values is None else values


def yaml_error(error: yaml.YAMLError, text: str, file: str) -> UserError:
    """What is wrong with a text that is not YAML, and in which line."""
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    line = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
    hint = "indent with blanks, not with tabs" if "\t" in line[: len(line) - len(line.lstrip())] else None
    return UserError(f"{where}not valid YAML: {problem}", file=file, hint=hint)
