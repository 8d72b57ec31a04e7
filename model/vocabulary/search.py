"""Looks for the exponent of the mix with which the language that a tokenizer serves worst is served best.

Every exponent of a grid is tried: a tokenizer of the wanted size is trained, and the tokens per word of each language
are counted on text that none of them saw. The grid is then halved once around the best. The worst language's fertility
has several valleys, so there is no cleverer way that could be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from curator.document import UNDETERMINED
from curator.errors import UserError
from curator.tokenize import read_tokenizer
from curator.training import TokenizerSection
from model.data.shards import Corpus
from model.tokenizer_training import train_on
from model.vocabulary.fairness import measure_cost
from model.vocabulary.sample import measure_languages, take_held_out, take_sample

GRID = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
HELD_OUT = 0.1
"""Share of the documents that no tokenizer of the search sees."""
HELD_OUT_BYTES = 200_000
"""Bytes of a language, at most, on which the tokenizers are judged."""
LEAST_WORDS = 200
"""A language with fewer held-out words has no say: some rare words would decide."""


@dataclass(frozen=True)
class Trial:
    """What an exponent gave: the worst language, its tokens per word, the mean of all languages."""

    alpha: float
    worst: str
    worst_tokens_per_word: float
    mean_tokens_per_word: float


@dataclass(frozen=True)
class AlphaSearch:
    """All trials by exponent, the best, and the languages that had too little held-out text to count."""

    trials: tuple[Trial, ...]
    best: Trial
    left_out: tuple[str, ...]


def search_alpha(
    corpora: Sequence[Corpus],
    section: TokenizerSection,
    seed: int,
    listener: Callable[[Trial], None] = lambda trial: None,
) -> AlphaSearch:
    """Try exponents; `section.alpha` is not looked at. UserError where no language has enough text to be judged by."""
    sizes = measure_languages(corpora)
    # What is of no known language is a mix that no exponent can serve.
    known = {name: size for name, size in sizes.items() if name != UNDETERMINED}
    judged = take_held_out(corpora, known, each_bytes=HELD_OUT_BYTES, seed=seed, share=HELD_OUT)
    trials: dict[float, Trial] = {}
    left_out: set[str] = set()

    def attempt(alpha: float) -> Trial:
        if alpha not in trials:
            sample = take_sample(
                corpora, sizes, alpha=alpha, sample_bytes=section.sample_bytes, seed=seed, held_out=HELD_OUT
            )
            tokenizer = read_tokenizer(train_on(sample, section), f"the tokenizer with alpha {alpha}")
            costs = {name: measure_cost(tokenizer, texts) for name, texts in judged.items()}
            rates = {name: cost.tokens_per_word for name, cost in costs.items() if cost.words >= LEAST_WORDS}
            left_out.update(set(known) - set(rates))
            if not rates:
                raise UserError(
                    f"no language has {LEAST_WORDS} words of held-out text to judge a tokenizer by",
                    hint="give more text, or a number as --alpha",
                )
            worst = max(rates, key=lambda name: (rates[name], name))
            trials[alpha] = Trial(alpha, worst, rates[worst], sum(rates.values()) / len(rates))
            listener(trials[alpha])
        return trials[alpha]

    for alpha in GRID:
        attempt(alpha)
    step = (GRID[1] - GRID[0]) / 2
    best = _best(trials.values())
    for alpha in (best.alpha - step, best.alpha + step):
        if 0 <= alpha <= 1:
            attempt(round(alpha, 6))
    ordered = tuple(trials[alpha] for alpha in sorted(trials))
    return AlphaSearch(ordered, _best(ordered), tuple(sorted(left_out)))


def _best(trials: Iterable[Trial]) -> Trial:
    return min(trials, key=lambda trial: (trial.worst_tokens_per_word, trial.mean_tokens_per_word, trial.alpha))
