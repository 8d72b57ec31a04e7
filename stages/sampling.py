"""Stage `sampling`: how much of each language goes into the corpus.

Languages are mixed with probabilities p(l) proportional to q(l) ** alpha, where q(l) is the share of language l in the
tokens that enter the stage. alpha = 1 is the natural mix, alpha = 0 gives every language the same; 0.7 is what mBERT
used (Devlin et al. 2019, in the multilingual README of BERT), 0.3 what XLM-R (Conneau et al. 2020, section 3.1) and mT5
(Xue et al. 2021, section 3.2) used.

On the word temperature: code that takes a temperature of 0.7 as a divisor of log-probabilities computes q ** (1 / 0.7).
That sharpens the distribution and starves the small languages. The stated aim is the opposite, to raise them; hence 0.7
is the exponent here.

The plan is made before any document is chosen. The total (by default the tokens that enter) is divided by p. No
language is repeated more than `max_repeats` times: one that would be is given all that its cap allows, and releases the
rest to the others, again by p, until no further language meets its cap. Targets are whole tokens and add up to the
total exactly, unless every language is at its cap; what a language is given less than its p asks for is its shortfall.

A document of a language with r = target / available is written floor(r) times, and once more if hash(seed, stage,
key), a number in [0, 1) (`curator.keys.random_fractions`), is below the fraction of r. A document's copies therefore
depend on its key and on r alone: data that is added elsewhere changes them only through r, and a larger r never takes
one away.

A language with documents but no token has no r; its documents are kept as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curator.keys import random_fractions
from curator.stage import Columns, Parameters, Stage, State
from curator.verdict import VerdictBuilder, Verdicts, round_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

TOKENS = "tokens"
QUOTA = "sampling.quota"
REPEAT = "sampling.repeat"

SUMMARY_SCHEMA = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)
"""One row a language, by name: how many documents and tokens it has."""

_WEIGHT_BITS = 64
"""Weights are scaled by 2**64 to integers: a power of a token count, as a float, then loses nothing."""


class SamplingParameters(Parameters):
    """What a recipe may say about the mix of languages."""

    alpha: float = Field(default=0.7, ge=0, le=1, description="Exponent: 1 is the natural mix, 0 the same for all.")
    total: Literal["input"] | Annotated[int, Field(gt=0, le=1 << 53)] = Field(
        default="input", description="Tokens to write; `input`: as many as enter."
    )
    max_repeats: int = Field(default=4, ge=1, le=1000, description="Times that a document is written at most.")

    def tokens_wanted(self, entering: int) -> int:
        """The total in tokens, when so many enter."""
        return entering if self.total == "input" else self.total


class Sampling(Stage[SamplingParameters]):
    """Mixes languages by an exponent over their token counts, with a cap on repeats."""

    name = "sampling"
    about = "language mix: p(l) proportional to q(l) ** alpha over tokens, capped repeats"
    parameters_type = SamplingParameters
    rules: ClassVar[Mapping[str, str]] = {
        QUOTA: "{lang} has more text than its share of the mix: its documents are written {score} times on average",
        REPEAT: "{lang} has less text than its share of the mix: this document is written {copies} times",
    }
    observes = True
    repeats = True

    def observe(self, batch: Batch, columns: Columns) -> pa.Table:
        """Documents and tokens of each language in the batch."""
        languages = batch.languages
        tokens = np.zeros(len(languages.names), dtype=np.int64)
        np.add.at(tokens, languages.codes, columns[TOKENS].to_numpy(zero_copy_only=False))
        documents = np.bincount(languages.codes, minlength=len(languages.names)).astype(np.int64)
        table = pa.table(
            {"language": pa.array(languages.names, pa.string()), "documents": documents, "tokens": tokens},
            schema=SUMMARY_SCHEMA,
        )
        return self.merge([table])

    def merge(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The sums of documents and tokens by language."""
        table = pa.concat_tables([SUMMARY_SCHEMA.empty_table(), *summaries])
        sums = table.group_by("language").aggregate([("documents", "sum"), ("tokens", "sum")]).sort_by("language")
        columns = [sums["language"], sums["documents_sum"], sums["tokens_sum"]]
        merged = pa.table(columns, schema=SUMMARY_SCHEMA).combine_chunks()
        return merged.filter(pc.greater(merged["documents"], 0))

    def fit(self, summary: pa.Table) -> State:
        """The plan. Per language, in the order of `languages` U[n]: `documents`, `tokens`, `child_documents`,
        `child_tokens`, `wanted` (tokens that p asks for), `target`, `shortfall` int64[n], `probability` and `repeats`
        float64[n]; and `total` int64[1]."""
        languages = np.array(summary["language"].to_pylist(), dtype=np.str_)
        counts = {name: summary[name].to_numpy().astype(np.int64) for name in ("documents", "tokens")}
        none = np.zeros(len(languages), dtype=np.int64)
        total = self.parameters.tokens_wanted(int(counts["tokens"].sum()))
        return {
            "languages": languages,
            **counts,
            "child_documents": none,
            "child_tokens": none,
            "total": np.array([total], dtype=np.int64),
            **self._plan(summary["tokens"].to_pylist(), summary["tokens"].to_pylist(), total),
        }

    def settle(self, state: State, children: pa.Table) -> State:
        """The plan after augmentation, from the summary of the children that survived.

        Probabilities and the total stay as planned from the originals. Children are text to draw from: they raise the
        cap of their language, so that it takes back what it had released, and its shortfall falls. r becomes
        target / (originals + children), for originals and children alike. A child in a language that the plan does not
        know is kept as it is.
        """
        languages = state["languages"].tolist()
        found = {row["language"]: row for row in self.merge([children]).to_pylist()}
        absent = {"documents": 0, "tokens": 0}
        added = {
            name: np.array([found.get(language, absent)[name] for language in languages], dtype=np.int64)
            for name in ("documents", "tokens")
        }
        available = state["tokens"].astype(np.int64) + added["tokens"]
        plan = self._plan(state["tokens"].tolist(), available.tolist(), int(state["total"][0]))
        return {**state, "child_documents": added["documents"], "child_tokens": added["tokens"], **plan}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Drops, and repeats of two copies or more."""
        place = {language: number for number, language in enumerate(state["languages"].tolist())}
        planned = state["repeats"].tolist()
        repeats = batch.languages.lookup(
            [planned[place[language]] if language in place else 1.0 for language in batch.languages.names]
        )
        copies = number_of_copies(repeats, random_fractions(self.seed, self.name, batch.keys))
        builder = VerdictBuilder(len(batch))
        builder.drop(copies == 0, QUOTA, repeats)
        builder.repeat(copies >= 2, REPEAT, copies)
        return builder.build()

    def facts(self, state: State) -> Mapping[str, object]:
        """The plan, per language and in all."""
        names = ("languages", "documents", "tokens", "child_documents", "child_tokens")
        planned = ("probability", "wanted", "target", "repeats", "shortfall")
        rows = zip(*(state[name].tolist() for name in (*names, *planned)), strict=True)
        total, target = int(state["total"][0]), int(state["target"].astype(np.int64).sum())
        return {
            "alpha": self.parameters.alpha,
            "max_repeats": self.parameters.max_repeats,
            "total": total,
            "target": target,
            "shortfall": total - target,
            "languages": [dict(zip(("language", *names[1:], *planned), row, strict=True)) for row in rows],
        }

    def _plan(self, original: list[int], available: list[int], total: int) -> dict[str, NDArray[np.generic]]:
        weights = language_weights(original, self.parameters.alpha)
        whole = sum(weights)
        wanted = np.array(apportion(total, weights), dtype=np.int64)
        caps = [self.parameters.max_repeats * tokens for tokens in available]
        target = np.array(fill(total, weights, caps), dtype=np.int64)
        has_text = np.array(available, dtype=np.int64)
        repeats = np.where(has_text > 0, target / np.maximum(has_text, 1), 1.0)
        probability = np.array([weight / whole if whole else 0.0 for weight in weights], dtype=np.float64)
        return {
            "probability": round_score(probability),
            "wanted": wanted,
            "target": target,
            "repeats": round_score(repeats),
            "shortfall": np.maximum(wanted - target, 0),
        }


def language_weights(tokens: Sequence[int], alpha: float) -> list[int]:
    """Integers proportional to tokens ** alpha; 0 where there is no token."""
    return [int(math.ldexp(math.pow(count, alpha), _WEIGHT_BITS)) if count else 0 for count in tokens]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` divided by `weights` into whole numbers that add up to it, by largest remainder (Hamilton); of equal
    remainders the earlier comes first. All zero when the weights are."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


def fill(total: int, weights: Sequence[int], caps: Sequence[int]) -> list[int]:
    """`total` divided by `weights`, none above its cap; what the caps cut off goes to the others by their weights.

    All in integers. The sum is `total`, or the sum of the caps of positive weights where that is less.
    """
    shares = [0] * len(weights)
    open_places = [place for place, weight in enumerate(weights) if weight]
    left = total
    while open_places:
        whole = sum(weights[place] for place in open_places)
        full = [place for place in open_places if left * weights[place] >= caps[place] * whole]
        if not full:
            divided = apportion(left, [weights[place] for place in open_places])
            for place, share in zip(open_places, divided, strict=True):
                shares[place] = share
            break
        for place in full:
            shares[place] = caps[place]
            left -= caps[place]
        open_places = sorted(set(open_places) - set(full))
    return shares


def number_of_copies(repeats: NDArray[np.float64], fractions: NDArray[np.float64]) -> NDArray[np.int64]:
    """floor(r), and one more where the document's number in [0, 1) is below the fraction of r: int64[n]."""
    whole = np.floor(repeats)
    return whole.astype(np.int64) + (fractions < repeats - whole)
