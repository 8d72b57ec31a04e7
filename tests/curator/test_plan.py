"""Plans: where a recipe is cut into phases."""

import pytest

from curator.errors import UserError
from curator.plan import make_plan
from curator.recipe import load_recipe, load_recipe_text
from curator.run.pipeline import make_pipeline


def _plan(*stages: str) -> list[str]:
    recipe = load_recipe_text("name: x\nstages: [" + ", ".join(stages) + "]\n", "r")
    return [phase.describe() for phase in make_plan(make_pipeline(recipe))]


def test_the_default_recipe_reads_the_text_once_and_is_cut_where_the_corpus_must_be_seen() -> None:
    phases = make_plan(make_pipeline(load_recipe("web")))
    assert [phase.describe() for phase in phases] == [
        "read dedup, entropy, toxicity, outliers, pii",
        "relate dedup",
        "judge dedup, entropy, toxicity; observe for outliers",
        "fit outliers",
        "judge outliers, pii; observe for sampling, augmentation",
        "fit sampling",
        "fit augmentation",
        "derive augmentation",
        "settle sampling",
        "judge sampling, augmentation",
        "write",
    ]


def test_a_stage_that_judges_alone_needs_one_pass() -> None:
    assert _plan("entropy") == ["read entropy", "judge entropy", "write"]


def test_a_relation_after_other_stages_sees_only_survivors() -> None:
    assert _plan("entropy", "dedup")[1:4] == ["judge entropy", "relate dedup", "judge dedup"]


def test_nothing_is_annotated_early_past_a_stage_that_edits_text() -> None:
    assert _plan("pii", "entropy")[0] == "read pii"


def test_a_stage_behind_sampling_is_refused() -> None:
    with pytest.raises(UserError, match="'pii' stands after 'sampling'"):
        _plan("sampling", "pii")


@pytest.mark.parametrize("stage", ["dedup", "outliers"])
def test_a_stage_that_compares_texts_behind_one_that_edits_them_is_refused(stage: str) -> None:
    with pytest.raises(UserError, match=f"'{stage}' stands after 'pii'"):
        _plan("pii", stage)


def test_stages_that_relate_and_edit_may_follow_each_other_and_each_sees_what_the_one_before_left() -> None:
    assert _plan("dedup", "outliers", "boilerplate", "substrings", "pii", "sampling") == [
        "read dedup, outliers",
        "relate dedup",
        "judge dedup; observe for outliers",
        "fit outliers",
        "judge outliers",
        "relate boilerplate",
        "judge boilerplate",
        "relate substrings",
        "judge substrings, pii; observe for sampling",
        "fit sampling",
        "judge sampling",
        "write",
    ]
    assert _plan("pii", "substrings") == ["read pii", "judge pii", "relate substrings", "judge substrings", "write"]
