"""docs/reference.md says of decontamination what the code does."""

from __future__ import annotations

from pathlib import Path

from stages.decontamination.parameters import DecontaminationParameters, EvaluationSet
from stages.decontamination.stage import Decontamination
from tests.stages.decontamination.helpers import TEXTS, decontaminate, facts_of
from tests.test_reference import described, tables, written

PARAMETERS, RULES, FACTS = tables("decontamination")


def test_every_parameter_has_its_default() -> None:
    of_stage = dict(described(DecontaminationParameters))
    of_sets = dict(described(EvaluationSet, "sets."))
    assert written(PARAMETERS) == of_stage | of_sets


def test_the_rules_are_those_of_the_stage() -> None:
    assert [row[0].strip("`") for row in RULES] == list(Decontamination.rules)


def test_the_facts_of_a_set_have_these_keys(tmp_path: Path) -> None:
    run = decontaminate(tmp_path, [{"text": TEXTS["en"]}], [{"text": TEXTS["en"]}])
    assert sorted(row[0].strip("`") for row in FACTS) == sorted(facts_of(run))
