"""Stage `sampling`: how much of each language, and of each source, goes into the corpus.

Languages are mixed with probabilities p(l) proportional to q(l) ** alpha, where q(l) is the share of language l in the
tokens that enter the stage. alpha = 1 is the natural mix; 0.7 is what mBERT used (Devlin et al. 2019, in the
multilingual README of BERT), 0.3 what XLM-R (Conneau et al. 2020, section 3.1) and mT5 (Xue et al. 2021, section 3.2)
used; alpha = 0, the same for all with a cap on repeats, is UniMax (Chung et al. 2023).

On the word temperature: code that takes a temperature of 0.7 as a divisor of log-probabilities computes q ** (1 / 0.7).
That sharpens the distribution and starves the small languages. The stated aim is the opposite, to raise them; hence 0.7
is the exponent here.

`language_shares` fixes the share of some languages; the others divide what is left, by alpha. `source_shares` fixes the
mix of sources: repeats then differ by language and source, so that both mixes hold (`stages.sampling.joint`). Where
both cannot hold, the languages have theirs.

The plan is made before any document is chosen. The total (by default the tokens that enter) is divided by p. No
language is repeated more than `max_repeats` times: one that would be is given all that its cap allows, and releases the
rest to the others, again by p, until no further language meets its cap. Targets are whole tokens and add up to the
total exactly, unless every language is at its cap; what a language is given less than its p asks for is its shortfall.
`cluster_weights` lets the size of a document's cluster of duplicates weigh within its cell
(`stages.sampling.clusters`).

Which documents make up a target is `stages.sampling.draw`'s: a document's copies depend on its key and on the plan
alone, and without `cluster_weights` a larger target of the same text never takes one away.

A language with documents but no token has no r; its documents are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from curator.keys import random_fractions
from curator.language.tags import list_language
from curator.stage import Columns, Parameters, Stage, State
from curator.verdict import VerdictBuilder, Verdicts, round_score
from stages.sampling.clusters import (
    MEMBERS,
    ClusterWeights,
    class_weights,
    classes_of,
    cuts_by_classes,
    divide_by_classes,
)
from stages.sampling.draw import BINS, bins_of, number_of_copies
from stages.sampling.joint import fit_both, whole_tokens
from stages.sampling.mix import apportion, fill, power_weights, with_fixed_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

TOKENS = "tokens"
QUOTA = "sampling.quota"
REPEAT = "sampling.repeat"
SOURCE_QUOTA = "sampling.source_quota"
SOURCE_REPEAT = "sampling.source_repeat"

OTHER = ""
"""The source of all that `source_shares` does not name; of everything where it names none."""

SUMMARY_SCHEMA = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("cluster", pa.int8(), nullable=False),
        pa.field("bin", pa.int16()),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)
"""Documents and tokens by language, source, class of the cluster's size and step of the document's number
(`stages.sampling.draw`), in this order; without a step they are spread evenly over all steps, as in a plan that is made
from counts alone."""

Share = Annotated[float, Field(gt=0, le=1)]


class SamplingParameters(Parameters):
    """What a recipe may say about the mix of languages and sources."""

    alpha: float = Field(
        default=0.7, ge=0, le=1, description="Exponent: 1 is the natural mix, 0 the same for all (UniMax)."
    )
    total: Literal["input"] | Annotated[int, Field(gt=0, le=1 << 53)] = Field(
        default="input", description="Tokens to write; `input`: as many as enter."
    )
    max_repeats: int = Field(default=4, ge=1, le=1000, description="Times that a document is written at most.")
    language_shares: Mapping[str, Share] = Field(
        default={}, description="Fixed shares of languages; the others divide the rest by alpha."
    )
    source_shares: Mapping[str, Share] = Field(
        default={}, description="Fixed shares of sources; all others have the rest together."
    )

    cluster_weights: ClusterWeights = Field(
        default="none",
        description="Weight of a document that stays for n duplicates in all, within its language and source: 1, "
        "1 + ln n, the square root of n, n; n is rounded down to a power of two. Needs `dedup`.",
    )

    @field_validator("total", mode="wrap")
    @classmethod
    def _input_or_tokens(cls, value: object, validate: ValidatorFunctionWrapHandler) -> int | str:
        try:
            return cast("int | str", validate(value))
        except ValidationError as error:  # which tells of the members of the union one by one
            raise ValueError("expected 'input' or a whole number of tokens, 1 to 2^53") from error

    @field_validator("language_shares")
    @classmethod
    def _list_languages(cls, shares: Mapping[str, float]) -> Mapping[str, float]:
        found = {list_language(name): share for name, share in shares.items()}
        if len(found) < len(shares):
            raise ValueError("two of the languages are one (pt and pt-BR, say)")
        unknown = [name for name in shares if list_language(name) == "und" and name != "und"]
        if unknown:
            raise ValueError(f"no language tag: {', '.join(unknown)}")
        return found

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        for name in ("language_shares", "source_shares"):
            whole = sum(getattr(self, name).values())
            if whole > 1 + 1e-9:
                raise ValueError(f"{name} add up to {whole:g}; they may be 1 together")
        return self

    def tokens_wanted(self, entering: int) -> int:
        """The total in tokens, when so many enter."""
        return entering if self.total == "input" else self.total

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that are told apart, `OTHER` last."""
        return (*sorted(self.source_shares), OTHER)


@dataclass(frozen=True)
class Counts:
    """Documents int64[L, S, K] and tokens int64[L, S, K, BINS] of these languages, by the sources and the classes of
    clusters of the parameters."""

    languages: list[str]
    documents_LSK: NDArray[np.int64]
    tokens_LSKB: NDArray[np.int64]


class Sampling(Stage[SamplingParameters]):
    """Mixes languages by an exponent over their token counts, and sources by shares, with a cap on repeats."""

    name = "sampling"
    about = "mix of languages, p(l) proportional to q(l) ** alpha over tokens, and of sources; capped repeats"
    parameters_type = SamplingParameters
    rules: ClassVar[Mapping[str, str]] = {
        QUOTA: "{lang} has more text than its share of the mix: its documents are written {score} times on average",
        REPEAT: "{lang} has less text than its share of the mix: this document is written {copies} times",
        SOURCE_QUOTA: "there is more text in {lang} of this source than the mix takes: such documents are written "
        "{score} times on average",
        SOURCE_REPEAT: "there is less text in {lang} of this source than the mix asks for: this document is written "
        "{copies} times",
    }
    observes = True
    repeats = True

    def __init__(self, parameters: SamplingParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self._weight_K = class_weights(parameters.cluster_weights)
        if parameters.cluster_weights != "none":
            self.reads = (MEMBERS,)

    def observe(self, batch: Batch, columns: Columns) -> pa.Table:
        """Documents and tokens of the batch by language, source, class of cluster and step."""
        bins = bins_of(random_fractions(self.seed, self.name, batch.keys)).astype(np.int64)
        sources = self.parameters.sources
        classes = len(self._weight_K)
        cells = batch.languages.codes.astype(np.int64) * len(sources) + self._sources_of(batch)
        cells = (cells * classes + self._classes_of(batch, columns)) * BINS + bins
        found, places = np.unique(cells, return_inverse=True)
        tokens = np.zeros(len(found), dtype=np.int64)
        np.add.at(tokens, places, columns[TOKENS].to_numpy(zero_copy_only=False))
        languages = np.array(batch.languages.names, dtype=object)
        return pa.table(
            {
                "language": pa.array(languages[found // (BINS * classes * len(sources))], pa.string()),
                "source": pa.array(
                    np.array(sources, dtype=object)[found // (BINS * classes) % len(sources)], pa.string()
                ),
                "cluster": pa.array((found // BINS % classes).astype(np.int8)),
                "bin": pa.array((found % BINS).astype(np.int16)),
                "documents": np.bincount(places, minlength=len(found)).astype(np.int64),
                "tokens": tokens,
            },
            schema=SUMMARY_SCHEMA,
        )

    def merge(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The sums of documents and tokens by language, source, class of cluster and step, in the order of these."""
        table = pa.concat_tables([SUMMARY_SCHEMA.empty_table(), *summaries])
        # By hand, since what Arrow groups tables with takes 10 ms to load.
        columns = {name: table[name].combine_chunks() for name in SUMMARY_SCHEMA.names}
        languages, sources = (sorted(columns[name].unique().to_pylist()) for name in ("language", "source"))
        parts = [
            pc.index_in(columns["language"], pa.array(languages, pa.string())),
            pc.index_in(columns["source"], pa.array(sources, pa.string())),
            columns["cluster"],
            columns["bin"].fill_null(BINS),  # behind all others
        ]
        shape = len(languages), len(sources), len(self._weight_K), BINS + 1
        cells = np.zeros(len(table), dtype=np.int64)
        for part, size in zip(parts, shape, strict=True):
            cells = cells * size + part.to_numpy()
        _, firsts, places = np.unique(cells, return_index=True, return_inverse=True)
        merged = {name: column.take(pa.array(firsts)) for name, column in columns.items()}
        for name in ("documents", "tokens"):
            sums = np.zeros(len(firsts), dtype=np.int64)
            np.add.at(sums, places, columns[name].to_numpy())
            merged[name] = pa.array(sums)
        return pa.table(merged, schema=SUMMARY_SCHEMA)

    def fit(self, summary: pa.Table) -> State:
        """The plan. Per language, in the order of `languages` U[n]: `documents`, `tokens`, `child_documents`,
        `child_tokens`, `wanted` (tokens that p asks for), `target`, `drawn`, `shortfall` int64[n], `probability` and
        `repeats` float64[n]; per source, in the order of `sources` U[m], `source_tokens`, `source_wanted`,
        `source_target` and `source_drawn` int64[m]; per language and source `cell_documents`, `cell_tokens`,
        `cell_target` and `cell_drawn` int64[n, m]; for each of the classes of clusters, of which there is one without
        `cluster_weights`, `class_documents`, `class_tokens` and `class_drawn` int64[k], and `cell_whole`, `cell_cut`
        and `cell_repeats` float64[n, m, k]; `total` int64[1], and `bins` int64[n, m, k, BINS]."""
        found = set(summary["language"].to_pylist())
        counts = self._counts(summary, sorted(found | set(self.parameters.language_shares)))
        none = np.zeros(len(counts.languages), dtype=np.int64)
        tokens_LS = counts.tokens_LSKB.sum(axis=(2, 3))
        documents_LS = counts.documents_LSK.sum(axis=2)
        total = self.parameters.tokens_wanted(int(tokens_LS.sum()))
        return {
            "languages": np.array(counts.languages, dtype=np.str_),
            "sources": np.array(self.parameters.sources, dtype=np.str_),
            "documents": documents_LS.sum(axis=1),
            "tokens": tokens_LS.sum(axis=1),
            "class_documents": counts.documents_LSK.sum(axis=(0, 1)),
            "cell_documents": documents_LS,
            "cell_tokens": tokens_LS,
            "child_documents": none,
            "child_tokens": none,
            "total": np.array([total], dtype=np.int64),
            "bins": counts.tokens_LSKB,
            **self._plan(counts.languages, tokens_LS, counts.tokens_LSKB, total),
        }

    def settle(self, state: State, children: pa.Table) -> State:
        """The plan after augmentation, from the summary of the children that survived.

        Probabilities and the total stay as planned from the originals. Children are text to draw from: they raise the
        cap of their language, so that it takes back what it had released, and its shortfall falls. r becomes
        target / (originals + children), for originals and children alike. A child in a language that the plan does not
        know is kept as it is.
        """
        languages = state["languages"].tolist()
        known = pc.is_in(children["language"], pa.array(languages, pa.string()))
        added = self._counts(children.filter(known), languages)
        bins_LSKB = state["bins"].astype(np.int64) + added.tokens_LSKB
        plan = self._plan(languages, state["cell_tokens"].astype(np.int64), bins_LSKB, int(state["total"][0]))
        return {
            **state,
            "child_documents": added.documents_LSK.sum(axis=(1, 2)),
            "child_tokens": added.tokens_LSKB.sum(axis=(1, 2, 3)),
            **plan,
        }

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Drops, and repeats of two copies or more."""
        place = {language: number for number, language in enumerate(state["languages"].tolist())}
        unknown = len(place)
        rows = np.array([place.get(name, unknown) for name in batch.languages.names] or [unknown])
        cells = (rows[batch.languages.codes], self._sources_of(batch), self._classes_of(batch, columns))
        whole, cut, repeats = (_with_one_more_row(state[name], fallback) for name, fallback in _CELLS.items())
        fractions = random_fractions(self.seed, self.name, batch.keys)
        copies = number_of_copies(whole[cells], cut[cells], fractions)
        quota, repeat = (SOURCE_QUOTA, SOURCE_REPEAT) if self.parameters.source_shares else (QUOTA, REPEAT)
        builder = VerdictBuilder(len(batch))
        builder.drop(copies == 0, quota, repeats[cells])
        builder.repeat(copies >= 2, repeat, copies)
        return builder.build()

    def facts(self, state: State) -> Mapping[str, object]:
        """The plan, per language and in all; with shares of sources, per source and per language and source too."""
        names = ("languages", "documents", "tokens", "child_documents", "child_tokens")
        planned = ("probability", "wanted", "target", "drawn", "repeats", "shortfall")
        rows = zip(*(state[name].tolist() for name in (*names, *planned)), strict=True)
        total, target = int(state["total"][0]), int(state["target"].astype(np.int64).sum())
        facts: dict[str, object] = {
            "alpha": self.parameters.alpha,
            "max_repeats": self.parameters.max_repeats,
            "total": total,
            "target": target,
            "shortfall": total - target,
            "languages": [dict(zip(("language", *names[1:], *planned), row, strict=True)) for row in rows],
        }
        if self.parameters.source_shares:
            by_source = ("sources", "source_tokens", "source_wanted", "source_target", "source_drawn")
            columns = zip(*(state[name].tolist() for name in by_source), strict=True)
            facts["sources"] = [
                dict(zip(("source", "tokens", "wanted", "target", "drawn"), row, strict=True)) for row in columns
            ]
            facts["cells"] = _cells(state)
        if len(self._weight_K) > 1:
            by_class = (state[f"class_{name}"].tolist() for name in ("documents", "tokens", "drawn"))
            facts["clusters"] = [
                {"members": 1 << number, "weight": weight, "documents": documents, "tokens": tokens, "drawn": drawn}
                for number, (weight, documents, tokens, drawn) in enumerate(
                    zip(round_score(self._weight_K).tolist(), *by_class, strict=True)
                )
            ]
        return facts

    def _classes_of(self, batch: Batch, columns: Columns) -> NDArray[np.int64]:
        """The class of each document's cluster; 0 where clusters do not weigh: int64[rows]."""
        if len(self._weight_K) == 1:
            return np.zeros(len(batch), dtype=np.int64)
        return classes_of(pc.fill_null(columns[MEMBERS], 1).to_numpy(zero_copy_only=False))

    def _sources_of(self, batch: Batch) -> NDArray[np.int64]:
        """The number of each document's source among those that are told apart: int64[rows]."""
        sources = self.parameters.sources
        numbers = {name: number for number, name in enumerate(sources)}
        groups = batch.source_groups
        coded = np.array([numbers.get(name, len(sources) - 1) for name in groups.names] or [0], dtype=np.int64)
        return coded[groups.codes]

    def _counts(self, summary: pa.Table, languages: list[str]) -> Counts:
        sources = self.parameters.sources
        places = [
            pc.index_in(summary[name], pa.array(values, pa.string())).to_numpy().astype(np.int64)
            for name, values in (("language", languages), ("source", list(sources)))
        ]
        places.append(summary["cluster"].to_numpy().astype(np.int64))
        documents, tokens = (summary[name].to_numpy().astype(np.int64) for name in ("documents", "tokens"))
        documents_LSK = np.zeros((len(languages), len(sources), len(self._weight_K)), dtype=np.int64)
        np.add.at(documents_LSK, tuple(places), documents)
        tokens_LSKB = np.zeros((*documents_LSK.shape, BINS), dtype=np.int64)
        spread = pc.is_null(summary["bin"]).to_numpy(zero_copy_only=False)
        bins = pc.fill_null(summary["bin"], 0).to_numpy().astype(np.int64)
        lies = ~spread
        np.add.at(tokens_LSKB, (*(place[lies] for place in places), bins[lies]), tokens[lies])
        whole, rest = np.divmod(tokens[spread][:, None], BINS)
        edges = whole * np.arange(BINS + 1) + rest * np.arange(BINS + 1) // BINS  # no product beyond int64
        np.add.at(tokens_LSKB, tuple(place[spread] for place in places), np.diff(edges, axis=1))
        return Counts(languages, documents_LSK, tokens_LSKB)

    def _plan(
        self,
        languages: list[str],
        original_LS: NDArray[np.int64],
        bins_LSKB: NDArray[np.int64],
        total: int,
    ) -> dict[str, NDArray[np.generic]]:
        parameters = self.parameters
        of_sources = original_LS.sum(axis=0).tolist()
        asked_S = self._source_weights(of_sources)
        usable_S = [weight if count else 0 for weight, count in zip(asked_S, of_sources, strict=True)]
        available_LSK = bins_LSKB.sum(axis=3)
        available_LS = available_LSK.sum(axis=2)
        takes_LS = available_LS * (np.array(usable_S) > 0)
        weights = with_fixed_shares(
            languages, power_weights(original_LS.sum(axis=1).tolist(), parameters.alpha), parameters.language_shares
        )
        whole = sum(weights)
        wanted = np.array(apportion(total, weights), dtype=np.int64)
        caps = [parameters.max_repeats * tokens for tokens in takes_LS.sum(axis=1).tolist()]
        target = np.array(fill(total, weights, caps), dtype=np.int64)
        target_LS = self._divide(target, takes_LS, usable_S)
        flat = (len(languages) * len(usable_S), len(self._weight_K))
        target_CK = divide_by_classes(
            target_LS.reshape(-1), available_LSK.reshape(flat), self._weight_K, parameters.max_repeats
        )
        drawn = cuts_by_classes(bins_LSKB.reshape(*flat, BINS), target_CK, parameters.max_repeats)
        whole_LSK, cut_LSK = (array.reshape(available_LSK.shape) for array in drawn[:2])
        drawn_LSK, target_LSK = drawn[2].reshape(available_LSK.shape), target_CK.reshape(available_LSK.shape)
        drawn_LS = drawn_LSK.sum(axis=2)
        tokens = available_LS.sum(axis=1)
        repeats = np.where(tokens > 0, target / np.maximum(tokens, 1), 1.0)
        probability = np.array([weight / whole if whole else 0.0 for weight in weights], dtype=np.float64)
        return {
            "probability": round_score(probability),
            "wanted": wanted,
            "target": target,
            "drawn": drawn_LS.sum(axis=1),
            "repeats": round_score(repeats),
            "shortfall": np.maximum(wanted - target, 0),
            "source_tokens": available_LS.sum(axis=0),
            "source_wanted": np.array(apportion(int(target.sum()), asked_S), dtype=np.int64),
            "source_target": target_LS.sum(axis=0),
            "source_drawn": drawn_LS.sum(axis=0),
            "cell_target": target_LS,
            "cell_drawn": drawn_LS,
            "class_tokens": available_LSK.sum(axis=(0, 1)),
            "class_drawn": drawn_LSK.sum(axis=(0, 1)),
            "cell_whole": whole_LSK,
            "cell_cut": cut_LSK,
            "cell_repeats": round_score(np.where(available_LSK > 0, target_LSK / np.maximum(available_LSK, 1), 1.0)),
        }

    def _source_weights(self, tokens: list[int]) -> list[int]:
        """Integers proportional to the shares of the sources that the recipe names, text or not, and to what they leave
        to all others, which have none where they have no text."""
        if not self.parameters.source_shares:
            return [1]
        others = [int(name == OTHER) for name in self.parameters.sources]
        weights = with_fixed_shares(self.parameters.sources, others, self.parameters.source_shares)
        return [
            weight if count or name != OTHER else 0
            for name, weight, count in zip(self.parameters.sources, weights, tokens, strict=True)
        ]

    def _divide(
        self, target_L: NDArray[np.int64], takes_LS: NDArray[np.int64], weights_S: list[int]
    ) -> NDArray[np.int64]:
        """Each language's target divided among the sources: int64[L, S], rows add up to it."""
        if len(weights_S) == 1:
            return target_L[:, None]
        if not len(target_L):
            return takes_LS
        cap = self.parameters.max_repeats
        limits = [cap * tokens for tokens in takes_LS.sum(axis=0).tolist()]
        wanted_S = fill(int(target_L.sum()), weights_S, limits)
        repeats_LS = fit_both(
            takes_LS.astype(np.float64), target_L.astype(np.float64), np.array(wanted_S, dtype=np.float64), float(cap)
        )
        return whole_tokens(target_L, takes_LS, repeats_LS, cap)


_CELLS = {"cell_whole": 1.0, "cell_cut": 0.0, "cell_repeats": 1.0}
"""What `decide` reads of the state, and what holds for a language that it does not know."""


def _with_one_more_row(values: NDArray[np.generic], fallback: float) -> NDArray[np.float64]:
    more = np.full((1, *values.shape[1:]), fallback)
    return np.concatenate([values.astype(np.float64), more])


def _cells(state: State) -> list[dict[str, object]]:
    """The cells with a document, by language and source."""
    languages, sources = state["languages"].tolist(), state["sources"].tolist()
    names = ("documents", "tokens", "target", "drawn")
    there = state["bins"].astype(np.int64).sum(axis=(2, 3))
    repeats = round_score(np.where(there > 0, state["cell_target"].astype(np.int64) / np.maximum(there, 1), 1.0))
    return [
        {
            "language": languages[row],
            "source": sources[column],
            **{name: state[f"cell_{name}"][row, column].item() for name in names},
            "repeats": repeats[row, column].item(),
        }
        for row, column in np.argwhere(state["cell_documents"].astype(np.int64) > 0).tolist()
    ]
