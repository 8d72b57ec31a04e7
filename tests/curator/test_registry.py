"""Entry points."""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.registry import READERS, STAGES, load, names, nearest_or_known, stage_class
from curator.stage import Stage
from stages.dedup.relate import HOLDOUT
from tests.command import installed_package

ROOT = Path(__file__).parents[2]
REQUIRED = {"decontamination": {"sets": [{"name": "quiz", "path": "quiz.jsonl"}]}}
"""Parameters that a stage has no default for."""


def test_the_entry_points_are_the_stages_of_the_tree() -> None:
    entries = [path.stem for path in (ROOT / "stages").iterdir() if not path.name.startswith("_")]
    assert sorted(entries) == names(STAGES)


def test_what_is_installed_is_what_pyproject_says() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, entries in declared.items():
        assert set(entries) <= set(names(group)), group


@pytest.mark.parametrize("name", names(STAGES))
def test_each_stage_says_what_it_is(name: str) -> None:
    found = stage_class(name)
    assert issubclass(found, Stage)
    assert found.name == name
    assert found.about
    stage = found(found.parameters_type.model_validate(REQUIRED.get(name, {})))
    assert all(column.name.startswith(f"{name}.") for column in (*stage.columns, *stage.scored, *stage.relation))
    assert all(rule.startswith(f"{name}.") or rule == HOLDOUT for rule in stage.rules)
    for sentence in stage.rules.values():
        sentence.format(score=1, threshold=2, keeper="k", run="r", copies=3, kind="z", lang="en")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'dedup'"):
        load(STAGES, "dedupe")


def test_where_nothing_is_near_all_that_is_known_is_named() -> None:
    with pytest.raises(UserError, match=r"\(known: augmentation, boilerplate, decontamination, "):
        load(STAGES, "qqq")
    assert nearest_or_known("qqq", ()) is None


def test_entry_points_are_those_that_python_finds() -> None:
    for group in (STAGES, READERS):
        assert names(group) == sorted(entry_points(group=group).names)


def test_of_two_versions_of_a_package_the_first_on_the_path_counts(tmp_path: Path) -> None:
    with installed_package(tmp_path / "late", "other", STAGES, ["late = other:Late"], "class Late: ..."):
        with installed_package(tmp_path / "early", "other", STAGES, ["early = other:Early"], "class Early: ..."):
            assert names(STAGES) == sorted(entry_points(group=STAGES).names)
            assert {"early", "late"} & set(names(STAGES)) == {"early"}
        assert "late" in names(STAGES)
