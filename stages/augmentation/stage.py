"""Stage `augmentation`: more text for languages that have little.

For each language with fewer than `below_tokens` tokens, new texts are made of documents, by the first of the recipe's
`methods` that there is for the language. A text that passes the gate (`quality.py`) becomes a child of its document.
Back-translation takes documents through one or more pivot languages and back (Sennrich et al. 2016 translate the other
way, from monolingual target text); translation takes documents of a pivot language into the language. Both use the
translators that the recipe names; there are none by default. Substitution replaces noun phrases by similar ones, in the
languages for which there is a parser (`substitution/`).

Which documents have a child is decided by hash(seed, stage, key): those of least hash in their language, as long as
their tokens make up at most `max_share` of those of the language that gets the children; how the corpus is cut does not
matter. Children may be longer than their parents: those of the greatest hashes are left out where all of a language
would have more tokens than that, or more than the language lacks of what `sampling` wants of it, where that stands
before this stage in the recipe (`most_tokens`): text that is asked for is written before any is repeated. Languages
that are fed from one pivot language get children of the same documents: the first of one order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import UNDETERMINED
from curator.keys import random_words
from curator.stage import Child, Columns, Parameters, Requirement, Stage, State
from curator.verdict import VerdictBuilder, Verdicts
from stages.augmentation import lengths
from stages.augmentation.method import (
    BACK_TRANSLATION,
    SUBSTITUTION,
    TRANSLATION,
    Method,
    Route,
    Substitution,
    Translation,
)
from stages.augmentation.parameters import AugmentationParameters
from stages.augmentation.quality import Gate
from stages.augmentation.substitution.substitutor import SUBSTITUTORS
from stages.augmentation.translator import Translator, TranslatorChoice, create

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

TOKENS = "tokens"
NO_TRANSLATOR = "augmentation.no_translator"
NO_PARSER = "augmentation.no_parser"
NO_TEXT = "no text"
"""Why there is no child where a method made no text: a line without a translation, too many unknown words, no phrase to
replace."""

SUMMARY_SCHEMA = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("word", pa.uint64(), nullable=False),
        pa.field("key_low", pa.uint64(), nullable=False),
        pa.field("key_high", pa.uint64(), nullable=False),
        pa.field("weight", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)
"""For each language its documents of least hash(seed, stage, key), in that order, up to the one whose tokens
(`weight`, at least 1) bring the sum to `max_share * below_tokens`. On the first row of a language `documents` and
`tokens` are those of the whole language, elsewhere 0."""


@dataclass
class _Plan:
    """What `fit` says of a language."""

    documents: int = 0
    tokens: int = 0
    route: str = ""
    parents: str = ""
    chosen_documents: int = 0
    chosen_tokens: int = 0
    bound: int = 0


class Augmentation(Stage[AugmentationParameters]):
    """Makes new documents of those of languages with little text."""

    name = "augmentation"
    about = "new documents for languages with few tokens, by translation, there and back or of a pivot, or substitution"
    parameters_type = AugmentationParameters
    rules: ClassVar[Mapping[str, str]] = {
        NO_TRANSLATOR: "{lang} has {score} tokens, fewer than {threshold}, and the recipe names no translator that "
        "takes it to another language and back: it was not augmented",
        NO_PARSER: "{lang} has {score} tokens, fewer than {threshold}, and there is no parser for it, nor does the "
        "recipe name a translator: it was not augmented",
    }
    observes = True
    derives = True

    def __init__(self, parameters: AugmentationParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        if SUBSTITUTION in parameters.methods:
            self.packages = ("nltk",)

    def requirements(self) -> Sequence[Requirement]:
        """Every pair on the way of every language that the named translators are to serve, and every parser."""
        found: dict[str, Requirement] = {}
        for choice, translator in self._translators:
            ways = _ways(choice, translator)
            if choice.goes_there_and_back and not ways:
                problem = f"translators: {choice.name} needs `pivots`, a language and its pivot for each language"
                found[choice.name] = Requirement("translator", choice.name, translator.version, problem)
            for language, pivots in ways.items():
                for pair in itertools.pairwise((language, *pivots, language)):
                    requirement = translator.requirement(pair)
                    found.setdefault(requirement.name, requirement)
        for translation in self._translations.values():
            found.setdefault(lengths.PACKAGED, lengths.requirement())
            for pair in translation.pairs:
                requirement = translation.translator.requirement(pair)
                found.setdefault(requirement.name, requirement)
        parsers = (substitution.substitutor.requirement() for substitution in self._substitutions.values())
        return (*found.values(), *parsers)

    def recorded(self) -> Mapping[str, object]:
        """The parameters; paths among the options of translators, which they alone know, by their names too."""
        values = super().recorded()
        choices = cast("list[dict[str, object]]", values["translators"])
        recorded = [
            {**choice, "options": _recorded_options(given.options, translator)}
            for choice, (given, translator) in zip(choices, self._translators, strict=True)
        ]
        return {**values, "translators": recorded}

    def observe(self, batch: Batch, columns: Columns) -> pa.Table:
        """Tokens of each language in the batch, and its documents of least hash. Children do not count."""
        original = np.flatnonzero(batch.documents.column("parent").is_null().to_numpy(zero_copy_only=False))
        languages, keys = batch.languages, batch.keys[original]
        names = np.array(languages.names, dtype=object)
        tokens = columns[TOKENS].to_numpy(zero_copy_only=False).astype(np.int64)[original]
        table = pa.table(
            {
                "language": pa.array(names[languages.codes[original]], pa.string()),
                "word": pa.array(random_words(self.seed, self.name, keys)),
                "key_low": pa.array(keys[:, 0]),
                "key_high": pa.array(keys[:, 1]),
                "weight": pa.array(np.maximum(tokens, 1)),
                "documents": pa.array(np.ones(len(original), dtype=np.int64)),
                "tokens": pa.array(tokens),
            },
            schema=SUMMARY_SCHEMA,
        )
        return self.merge([table])

    def merge(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """The least hashes of each language among all summaries, and the sums of its documents and tokens."""
        table = pa.concat_tables([SUMMARY_SCHEMA.empty_table(), *summaries])
        order = [(name, "ascending") for name in ("language", "word", "key_low", "key_high")]
        table = table.take(pc.sort_indices(table, order)).combine_chunks()
        if not table.num_rows:
            return table
        encoded = table["language"].combine_chunks().dictionary_encode()
        language = encoded.indices.to_numpy().astype(np.int64)
        first = np.flatnonzero(np.diff(language, prepend=-1))
        weight = table["weight"].to_numpy()
        before = np.cumsum(weight) - weight
        before -= before[first][language]
        kept = np.flatnonzero(before < self.parameters.max_share * self.parameters.below_tokens)
        columns = {name: table[name].take(pa.array(kept)) for name in SUMMARY_SCHEMA.names}
        for name in ("documents", "tokens"):
            totals = np.zeros(len(table), dtype=np.int64)
            # The first row of a language is always kept.
            totals[first] = np.add.reduceat(table[name].to_numpy(), first)
            columns[name] = pa.array(totals[kept])
        return pa.table(columns, schema=SUMMARY_SCHEMA).combine_chunks()

    def fit(self, summary: pa.Table) -> State:
        """Which documents have a child. Per language, in the order of `languages` U[n]: `documents`, `tokens` int64[n];
        `route` U[n], the hops of its translation, the name of another method, or '' where it is not augmented;
        `parents` U[n], the language whose documents are to have children in it; `chosen_documents` and `chosen_tokens`
        int64[n], those documents, and `bound` uint64[n], the greatest of their hashes."""
        names = np.array(summary["language"].to_pylist(), dtype=np.str_)
        found, first = np.unique(names, return_index=True)
        words, weights = summary["word"].to_numpy(), summary["weight"].to_numpy()
        rows = dict(zip(found.tolist(), itertools.pairwise([*first.tolist(), len(names)]), strict=True))
        # A language that is to be fed and has no document is told of: its share of nothing is nothing.
        languages = sorted({*rows, *self._translations})
        plans = {language: _Plan() for language in languages}
        for language, (begin, _) in rows.items():
            plan = plans[language]
            plan.documents, plan.tokens = summary["documents"][begin].as_py(), summary["tokens"][begin].as_py()
        for language, plan in plans.items():
            method = self._methods.get(language)
            if method is None or plan.tokens >= self.parameters.below_tokens:
                continue
            plan.route, plan.parents = method.way, method.parents
            begin, end = rows.get(method.parents, (0, 0))
            sums = np.cumsum(weights[begin:end])
            chosen = int(np.searchsorted(sums, self.parameters.max_share * float(plan.tokens), side="right"))
            if chosen:
                plan.chosen_documents, plan.chosen_tokens = chosen, int(sums[chosen - 1])
                plan.bound = int(words[begin + chosen - 1])
        types = {"route": np.str_, "parents": np.str_, "bound": np.uint64}
        columns: dict[str, NDArray[np.generic]] = {
            entry.name: np.array(
                [getattr(plan, entry.name) for plan in plans.values()], types.get(entry.name, np.int64)
            )
            for entry in fields(_Plan)
        }
        return {"languages": np.array(languages, dtype=np.str_), **columns}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """A flag on each document of a language that has few tokens and no method; all documents stay."""
        if not self._has_methods:
            return Verdicts.none()
        tokens = dict(zip(state["languages"].tolist(), state["tokens"].tolist(), strict=True))
        few = [
            float(tokens[language]) if self._lacks_method(language, tokens.get(language)) else np.nan
            for language in batch.languages.names
        ]
        score = batch.languages.lookup(few)
        builder = VerdictBuilder(len(batch))
        rule = NO_PARSER if SUBSTITUTION in self.parameters.methods else NO_TRANSLATOR
        builder.flag(~np.isnan(score), rule, score, float(self.parameters.below_tokens))
        return builder.build()

    def has_candidates(self, state: State) -> bool:
        """Whether any language is to have children."""
        return any(self.most_tokens(state).values())

    def candidates(self, batch: Batch, state: State) -> NDArray[np.bool_]:
        """The documents that are to have a child: bool[rows]. `derive` takes no others, so that an engine may collect
        them from many batches: a translator takes seconds to start."""
        wanted = np.zeros(len(batch), dtype=np.bool_)
        for rows in self._parents_of(batch, state).values():
            wanted[rows] = True
        return wanted

    def derive(self, batch: Batch, columns: Columns, state: State) -> Sequence[Child]:
        """A child for each candidate, and each language that it is a parent for; by row, and of a row its own language
        first. Those of which no text was made, or one that does not pass the gate, are `refused`."""
        children: list[Child] = []
        for language, rows in self._parents_of(batch, state).items():
            children += self._children(batch, rows.tolist(), language)
        return sorted(children, key=lambda child: (child.row, child.method == TRANSLATION, child.lang))

    def most_tokens(self, state: State) -> Mapping[str, int]:
        """`max_share` of the tokens of each language that gets children, or what it lacks of what sampling wants."""
        names = ("languages", "tokens", "chosen_documents")
        rows = zip(*(state[name].tolist() for name in names), strict=True)
        most = {language: int(self.parameters.max_share * tokens) for language, tokens, chosen in rows if chosen}
        if "sampling.languages" in state:
            planned = (state[f"sampling.{name}"].tolist() for name in ("languages", "wanted", "tokens"))
            for language, wanted, tokens in zip(*planned, strict=True):
                if language in most:
                    most[language] = min(most[language], max(0, wanted - tokens))
        return most

    def _parents_of(self, batch: Batch, state: State) -> dict[str, NDArray[np.int64]]:
        """The rows that are to have a child in each language."""
        originals = batch.documents.column("parent").is_null().to_numpy(zero_copy_only=False)
        own = batch.languages
        found: dict[str, NDArray[np.int64]] = {}
        most = self.most_tokens(state)
        names = ("languages", "parents", "bound")
        for language, parents, bound in zip(*(state[name].tolist() for name in names), strict=True):
            if not most.get(language) or parents not in own.names:
                continue
            rows = np.flatnonzero(originals & (own.codes == own.names.index(parents)))
            rows = rows[random_words(self.seed, self.name, batch.keys[rows]) <= np.uint64(bound)]
            if len(rows):
                found[language] = rows
        return found

    def coverage(self, language: str) -> str | None:
        """Whether the recipe has a method for a language."""
        if not self._has_methods:
            return "no translator named"
        if language in self._methods:
            return None
        missing = {BACK_TRANSLATION: "translator", TRANSLATION: "text of a pivot", SUBSTITUTION: "parser"}
        return f"no {' and no '.join(missing[name] for name in self.parameters.methods)} for this language"

    def facts(self, state: State) -> Mapping[str, object]:
        """What was planned for each language with few tokens."""
        names = ("languages", "documents", "tokens", "route", "parents", "chosen_documents", "chosen_tokens")
        documents = dict(zip(state["languages"].tolist(), state["documents"].tolist(), strict=True))
        rows = []
        for values in zip(*(state[name].tolist() for name in names), strict=True):
            row = dict(zip(("language", *names[1:]), values, strict=True))
            if row["tokens"] < self.parameters.below_tokens:
                row["problem"] = self._problem(row, documents)
                rows.append(row)
        return {
            "below_tokens": self.parameters.below_tokens,
            "max_share": self.parameters.max_share,
            "languages": rows,
        }

    def _children(self, batch: Batch, rows: list[int], language: str) -> list[Child]:
        method = self._methods[language]
        parents = [batch.text[row].as_py() for row in rows]
        tags = batch.documents.column("lang")
        made = method.make(parents, batch.keys[rows], self.seed)
        gate = Gate(*self.parameters.band(language))
        children = []
        for row, parent, one in zip(rows, parents, made, strict=True):
            tag = tags[row].as_py() if method.parents == language else language
            if one is None:
                children.append(Child(row, "", tag, method.name, method.engine, refused=NO_TEXT))
                continue
            judgement = method.judge(gate, parent, one)
            children.append(Child(row, one.text, tag, method.name, method.engine, judgement.scores, judgement.refused))
        return children

    def _lacks_method(self, language: str, tokens: int | None) -> bool:
        if tokens is None or language == UNDETERMINED:
            return False
        return tokens < self.parameters.below_tokens and language not in self._methods

    def _problem(self, row: Mapping[str, object], documents: Mapping[str, int]) -> str | None:
        """Why a language with few tokens has no child."""
        language, parents = str(row["language"]), str(row["parents"])
        if not row["route"]:
            return "no known language" if language == UNDETERMINED else self.coverage(language)
        if row["chosen_documents"]:
            return None
        if not row["tokens"]:
            return "no text of its own, of which children could be a share"
        if not documents.get(parents):
            return f"no document in {parents}"
        return f"the first document in {parents} is longer than the share of the language that children may be"

    @cached_property
    def _translators(self) -> tuple[tuple[TranslatorChoice, Translator], ...]:
        return tuple((choice, create(choice)) for choice in self.parameters.translators)

    @property
    def _has_methods(self) -> bool:
        return bool(self.parameters.translators) or SUBSTITUTION in self.parameters.methods

    @cached_property
    def _methods(self) -> dict[str, Method]:
        """The method of each language: the first of the recipe's that there is for it."""
        found: dict[str, Method] = {}
        served: dict[str, Mapping[str, Method]] = {
            BACK_TRANSLATION: self._routes,
            TRANSLATION: self._translations,
            SUBSTITUTION: self._substitutions,
        }
        for name in self.parameters.methods:
            for language, method in served[name].items():
                found.setdefault(language, method)
        return found

    @cached_property
    def _substitutions(self) -> dict[str, Substitution]:
        if SUBSTITUTION not in self.parameters.methods:
            return {}
        parsed = self.parameters.parsed or SUBSTITUTORS
        return {language: Substitution(SUBSTITUTORS[language](), language) for language in parsed}

    @cached_property
    def _routes(self) -> dict[str, Route]:
        """The route of each language: of the first translator that the recipe names for it."""
        routes: dict[str, Route] = {}
        for choice, translator in self._translators:
            for language, pivots in _ways(choice, translator).items():
                routes.setdefault(language, Route(translator, (language, *pivots, language)))
        return routes

    @cached_property
    def _translations(self) -> dict[str, Translation]:
        """How documents of a pivot come into each language: by the first translator that has it in `pivot_text`."""
        found: dict[str, Translation] = {}
        for choice, translator in self._translators:
            for language, ways in choice.pivot_text.items():
                found.setdefault(language, Translation(translator, (*ways, language), choice.round_trip))
        return found


def _recorded_options(given: Mapping[str, object], translator: Translator) -> Mapping[str, object]:
    """The options that a recipe gives, as `Parameters.recorded` has them where the translator keeps them so."""
    options = getattr(translator, "options", None)
    known = options.recorded() if isinstance(options, Parameters) else {}
    return {name: known.get(name, value) for name, value in given.items()}


def _ways(choice: TranslatorChoice, translator: Translator) -> Mapping[str, tuple[str, ...]]:
    """The languages that a translator is to take there and back, with their pivots."""
    if not choice.goes_there_and_back:
        return {}
    return choice.pivots or translator.ways()
