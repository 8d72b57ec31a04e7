"""What docs/reference.md says of the stage `quality` is what the code does."""

from __future__ import annotations

from stages.quality.parameters import QualityParameters
from stages.quality.rules import MEASURES, RULES
from stages.quality.stage import Quality
from tests.test_reference import described, tables, written


def test_every_parameter_has_its_default_in_the_reference() -> None:
    assert written(tables("quality")[0]) == dict(described(QualityParameters))


def test_every_column_is_in_the_reference() -> None:
    assert [row[0].strip("`") for row in tables("quality")[1]] == [column.name for column in Quality.columns]
    assert [row[1] for row in tables("quality")[1]] == [measure.about for measure in MEASURES]


def test_every_rule_is_in_the_reference_with_its_column_and_parameter() -> None:
    told = [tuple(cell.strip("`") for cell in row) for row in tables("quality")[2]]
    assert told == [(f"quality.{rule.name}", f"quality.{rule.measure}", rule.parameter, rule.source) for rule in RULES]
    assert [name for name, *_ in told] == list(Quality.rules)
