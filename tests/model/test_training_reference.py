"""docs/training.md says what a training configuration is: every key, its default, and what it does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from curator.errors import UserError
from curator.training import TrainingConfig, dump_training_config, load_training_config, parse_training_config

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"


def rows(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            about = (type(default).__doc__ or "").splitlines()[0].rstrip(".")
            yield f"`{prefix}{name}`", "", about
            yield from rows(type(default), f"{prefix}{name}.")
        else:
            shown = default if isinstance(default, str) else json.dumps(default)
            yield f"`{prefix}{name}`", f"`{shown}`", field.description or ""


def test_the_table_is_the_configuration() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Configuration\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\|.*\|$", section, re.MULTILINE)
    found = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    expected = list(rows(TrainingConfig))
    assert found[2:] == expected
    assert all(about for _, _, about in expected)


def test_a_configuration_goes_through_its_file(tmp_path: Path) -> None:
    config = parse_training_config({"steps": 3, "model": {"size": "base"}, "data": {"languages": ["fr"]}})
    (tmp_path / "config.yaml").write_text(dump_training_config(config))
    assert load_training_config(tmp_path / "config.yaml") == config


def test_values_are_overridden_by_name() -> None:
    config = load_training_config(None, ["model.attention.window=7", "data.languages=[fr, br]", "average=0.9"])
    assert config.model.attention.window == 7
    assert config.data.languages == ("fr", "br")
    assert config.average == 0.9


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"steps:\t3", r"small\.yaml: line 1: not valid YAML: "),
        (b"model:\n\tdepth: 1", r"line 2: not valid YAML: .* \(indent with blanks, not with tabs\)"),
        ("steps: 3".encode("utf-16"), r"cannot be read: not UTF-8 \(a training configuration is a YAML file\)"),
        (b"[]", "is not a mapping"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError, match=told):
        load_training_config(path)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("steps", "expected KEY=VALUE"),
        ("steps=many", "steps: "),
        ("step=3", r"unknown key 'step' \(did you mean 'steps'\?\)"),
        ("model.attention.windows=3", r"unknown key 'model.attention.windows' \(did you mean 'window'\?\)"),
        ("model.frobnicate=3", r"unknown key 'model.frobnicate' \(known: .*size.*\)"),
        ("steps.more=3", "steps has no keys below it|steps: "),
        ("optimizer.learning_rate=.inf", r"optimizer\.learning_rate: "),
        ("model.experts_per_token=9", "greater than model.experts"),
        ("data.sequence=[", "is not YAML"),
    ],
)
def test_a_value_that_cannot_be_is_named(override: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        load_training_config(None, [override])
