"""The search for the exponent: judged on text that no tokenizer saw, the worst language decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.errors import UserError
from curator.training import TokenizerSection
from model.data.shards import open_corpus
from model.vocabulary.search import GRID, Trial, search_alpha
from tests.model.corpora import make_documents, write_run

SECTION = TokenizerSection(vocabulary=380, sample_bytes=1_000_000)


@pytest.mark.slow
def test_the_exponent_whose_worst_language_is_best_is_taken(tmp_path: Path) -> None:
    """Much English, and a fifth as much Hindi, which needs more tokens a word."""
    rows = make_documents(3000)
    documents = [row for row in rows if row["lang"] == "en" or (row["lang"] == "hi" and str(row["id"])[-1] in "01")]
    corpora = [open_corpus(write_run(tmp_path / "run", documents, shards=1, rows=1000))]
    told: list[Trial] = []
    found = search_alpha(corpora, SECTION, 0, told.append)
    assert {trial.alpha for trial in told} >= set(GRID)
    assert sorted(told, key=lambda trial: trial.alpha) == list(found.trials)
    assert found.best.worst_tokens_per_word == min(trial.worst_tokens_per_word for trial in found.trials)
    assert found.best.alpha < 1.0
    assert found.left_out == ()
    (natural,) = (trial for trial in found.trials if trial.alpha == 1.0)
    assert natural.worst == "hi"
    assert found.best.worst_tokens_per_word < natural.worst_tokens_per_word


def test_too_little_text_to_judge_by_is_said(tmp_path: Path) -> None:
    corpora = [open_corpus(write_run(tmp_path / "run", make_documents(40), shards=1))]
    with pytest.raises(UserError, match="no language has 200 words of held-out text"):
        search_alpha(corpora, TokenizerSection(vocabulary=380), 0)
