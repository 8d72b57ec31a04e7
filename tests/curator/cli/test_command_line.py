"""Which part of the command line a start needs."""

from __future__ import annotations

import pytest
import typer
from typer._click import Context
from typer.core import TyperGroup
from typer.main import get_command

from curator.cli.command_line import named_alone
from curator.cli.main import app


def _group(part: typer.Typer) -> TyperGroup:
    group = get_command(part)
    assert isinstance(group, TyperGroup)
    return group


def _help(group: TyperGroup, name: str) -> str:
    command = group.commands[name]
    return command.get_help(Context(command, info_name=name, parent=Context(group, info_name="curator")))


WHOLE = _group(app)


@pytest.mark.parametrize("name", sorted(WHOLE.commands))
def test_a_command_is_the_same_alone(name: str) -> None:
    alone = _group(named_alone(app, [name, "--help"]))
    assert list(alone.commands) == [name]
    assert [option.name for option in alone.params] == [option.name for option in WHOLE.params]
    assert _help(alone, name) == _help(WHOLE, name)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["proces"], ["--install-completion"]])
def test_all_commands_are_there_where_none_is_named(arguments: list[str]) -> None:
    assert named_alone(app, arguments) is app
