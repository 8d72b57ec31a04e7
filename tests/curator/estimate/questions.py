"""Questions for tests of the model: the recipe `web` and the checked-in rates, or plain ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from curator.estimate.machines import CorpusSize, parse_cluster
from curator.estimate.model import Question
from curator.estimate.rates import Rates, load_rates
from curator.estimate.sample import told_size
from curator.plan import make_plan
from curator.recipe import load_recipe
from curator.run.pipeline import Pipeline, make_pipeline


@cache
def _pipeline(recipe: str, overrides: tuple[str, ...]) -> Pipeline:
    return make_pipeline(load_recipe(recipe, overrides))


def ask(
    text_bytes: float,
    documents: float | None = None,
    *,
    nodes: Sequence[str] = ("1x2:16GB",),
    recipe: str = "web",
    overrides: Sequence[str] = (),
    compressed: bool = False,
    engine: str = "local",
    rates: Rates | None = None,
) -> Question:
    """A question with a corpus of so many bytes of text."""
    rates = rates or load_rates()
    pipeline = _pipeline(recipe, tuple(overrides))
    corpus: CorpusSize = told_size(text_bytes, documents, rates, compressed=compressed)
    return Question(pipeline, make_plan(pipeline), corpus, parse_cluster(nodes), rates.engine(engine), rates)
