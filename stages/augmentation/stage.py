"""Stage `augmentation`: more text for languages that have little.

For each language with fewer than `below_tokens` tokens, new texts are made of documents, by the first of the recipe's
`methods` that there is for the language. A text that passes the gate (`quality.py`) becomes a child of its document.
Back-translation takes documents through one or more pivot languages and back (Sennrich et al. 2016 translate the other
way, from monolingual target text) by the translators that the recipe names; there are none by default. Substitution
replaces noun phrases by similar ones, in the languages for which there is a parser (`substitution/`).

Which documents have a child is decided by hash(seed, stage, key): those of least hash in their language, as long as
their tokens make up at most `max_share` of the language's. So children never exceed that share of the originals by
more than the length ratio of the gate, and the choice does not depend on how the corpus is cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from curator.document import UNDETERMINED
from curator.keys import random_words
from curator.language.tags import list_language
from curator.stage import Child, Columns, Parameters, Requirement, Stage, State
from curator.verdict import VerdictBuilder, Verdicts
from stages.augmentation.method import BACK_TRANSLATION, SUBSTITUTION, Method, Route, Substitution
from stages.augmentation.quality import Gate
from stages.augmentation.substitution.substitutor import SUBSTITUTORS
from stages.augmentation.translator import Translator, TranslatorChoice, create

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

TOKENS = "tokens"
NO_TRANSLATOR = "augmentation.no_translator"
NO_PARSER = "augmentation.no_parser"

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


class AugmentationParameters(Parameters):
    """What a recipe may say about augmentation."""

    below_tokens: int = Field(default=1_000_000, ge=1, description="Languages with fewer tokens are augmented.")
    translators: tuple[TranslatorChoice, ...] = Field(
        default=(),
        description="Translators by name; of two that serve a language the first is used. None by default.",
        json_schema_extra={"items": {"type": ["string", "object"]}},
    )
    methods: tuple[Literal["back-translation", "substitution"], ...] = Field(
        default=("back-translation",),
        min_length=1,
        description="How children are made; of two that serve a language the first is used.",
    )
    parsed: tuple[str, ...] = Field(
        default=(),
        description="Languages in which `substitution` is used. Empty: all for which there is a parser.",
    )
    max_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of a language's tokens whose documents may have a child."
    )
    min_chrf: float = Field(default=80.0, ge=0, le=100, description="chrF to the parent below which a child is noise.")
    max_chrf: float = Field(default=97.0, ge=0, le=100, description="chrF above which it is a near-copy.")

    @field_validator("translators", mode="before")
    @classmethod
    def _a_name_is_a_choice(cls, translators: object) -> object:
        if isinstance(translators, (list, tuple)):
            return tuple({"name": choice} if isinstance(choice, str) else choice for choice in translators)
        return translators

    @field_validator("parsed")
    @classmethod
    def _has_parsers(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(map(list_language, languages)))
        missing = [given for given in languages if list_language(given) not in SUBSTITUTORS]
        if missing:
            raise ValueError(f"there is no parser for {', '.join(missing)}; there is for {', '.join(SUBSTITUTORS)}")
        return found

    @model_validator(mode="after")
    def _methods_have_what_they_need(self) -> AugmentationParameters:
        if self.translators and BACK_TRANSLATION not in self.methods:
            raise ValueError("translators are named, and back-translation is not among the methods")
        if self.parsed and SUBSTITUTION not in self.methods:
            raise ValueError("`parsed` is given, and substitution is not among the methods")
        return self

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> AugmentationParameters:
        if self.min_chrf > self.max_chrf:
            raise ValueError(f"min_chrf ({self.min_chrf}) must not be above max_chrf ({self.max_chrf})")
        return self


class Augmentation(Stage[AugmentationParameters]):
    """Makes new documents of those of languages with little text."""

    name = "augmentation"
    about = "new documents for languages with few tokens, by translation there and back, or by substitution"
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
            ways = choice.pivots or translator.ways()
            if not ways:
                problem = f"translators: {choice.name} needs `pivots`, a language and its pivot for each language"
                found[choice.name] = Requirement("translator", choice.name, translator.version, problem)
            for language, pivots in ways.items():
                for pair in itertools.pairwise((language, *pivots, language)):
                    requirement = translator.requirement(pair)
                    found.setdefault(requirement.name, requirement)
        parsers = (substitution.substitutor.requirement() for substitution in self._substitutions.values())
        return (*found.values(), *parsers)

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
        table = table.sort_by(order).combine_chunks()
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
        `chosen_documents` and
        `chosen_tokens` int64[n], the documents that are to have a child, and `bound` uint64[n], the greatest of their
        hashes."""
        names = np.array(summary["language"].to_pylist(), dtype=np.str_)
        languages, first = np.unique(names, return_index=True)
        words, weights = summary["word"].to_numpy(), summary["weight"].to_numpy()
        documents, tokens = summary["documents"].to_numpy()[first], summary["tokens"].to_numpy()[first]
        count = len(languages)
        chosen_documents, chosen_tokens = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        bound = np.zeros(count, dtype=np.uint64)
        routes = [""] * count
        for place, (begin, end) in enumerate(itertools.pairwise([*first.tolist(), len(names)])):
            method = self._methods.get(str(languages[place]))
            if method is None or tokens[place] >= self.parameters.below_tokens:
                continue
            routes[place] = method.way
            sums = np.cumsum(weights[begin:end])
            chosen = int(np.searchsorted(sums, self.parameters.max_share * float(tokens[place]), side="right"))
            if chosen:
                chosen_documents[place], chosen_tokens[place] = chosen, sums[chosen - 1]
                bound[place] = words[begin + chosen - 1]
        return {
            "languages": languages,
            "documents": documents.astype(np.int64),
            "tokens": tokens.astype(np.int64),
            "route": np.array(routes, dtype=np.str_),
            "chosen_documents": chosen_documents,
            "chosen_tokens": chosen_tokens,
            "bound": bound,
        }

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
        return bool(state["chosen_documents"].any())

    def candidates(self, batch: Batch, state: State) -> NDArray[np.bool_]:
        """The documents that are to have a child: bool[rows]. `derive` takes no others, so that an engine may collect
        them from many batches: a translator takes seconds to start."""
        place = {language: number for number, language in enumerate(state["languages"].tolist())}
        number = batch.languages.lookup([place.get(language, -1) for language in batch.languages.names]).astype(
            np.int64
        )
        wanted: NDArray[np.bool_] = batch.documents.column("parent").is_null().to_numpy(zero_copy_only=False)
        wanted = wanted & (number >= 0)
        rows = np.flatnonzero(wanted)
        chosen, bound = state["chosen_documents"].astype(np.int64), state["bound"].astype(np.uint64)
        words = random_words(self.seed, self.name, batch.keys[rows])
        wanted[rows] = (chosen[number[rows]] > 0) & (words <= bound[number[rows]])
        return wanted

    def derive(self, batch: Batch, columns: Columns, state: State) -> Sequence[Child]:
        """A child for each candidate of which a text was made that passes the gate, by row."""
        rows = np.flatnonzero(self.candidates(batch, state))
        languages = batch.languages
        children: list[Child] = []
        for code, language in enumerate(languages.names):
            own = rows[languages.codes[rows] == code].tolist()
            if own:
                children += self._children(batch, own, self._methods[language])
        return sorted(children, key=lambda child: child.row)

    def coverage(self, language: str) -> str | None:
        """Whether the recipe has a method for a language."""
        if not self._has_methods:
            return "no translator named"
        if language in self._methods:
            return None
        missing = {BACK_TRANSLATION: "translator", SUBSTITUTION: "parser"}
        return f"no {' and no '.join(missing[name] for name in self.parameters.methods)} for this language"

    def facts(self, state: State) -> Mapping[str, object]:
        """What was planned for each language with few tokens."""
        names = ("languages", "documents", "tokens", "route", "chosen_documents", "chosen_tokens")
        rows = []
        for values in zip(*(state[name].tolist() for name in names), strict=True):
            row = dict(zip(("language", *names[1:]), values, strict=True))
            if row["tokens"] < self.parameters.below_tokens:
                row["problem"] = None if row["route"] else self._problem(row["language"])
                rows.append(row)
        return {
            "below_tokens": self.parameters.below_tokens,
            "max_share": self.parameters.max_share,
            "languages": rows,
        }

    def _children(self, batch: Batch, rows: list[int], method: Method) -> list[Child]:
        parents = [batch.text[row].as_py() for row in rows]
        tags = batch.documents.column("lang")
        made = method.make(parents, batch.keys[rows], self.seed)
        gate = Gate(self.parameters.min_chrf, self.parameters.max_chrf)
        children = []
        for row, parent, text in zip(rows, parents, made, strict=True):
            if text is None:
                continue
            judgement = gate.judge(parent, text)
            if judgement.refused is None:
                children.append(Child(row, text, tags[row].as_py(), method.name, method.engine, judgement.scores))
        return children

    def _lacks_method(self, language: str, tokens: int | None) -> bool:
        if tokens is None or language == UNDETERMINED:
            return False
        return tokens < self.parameters.below_tokens and language not in self._methods

    def _problem(self, language: str) -> str | None:
        return "no known language" if language == UNDETERMINED else self.coverage(language)

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
        for name in self.parameters.methods:
            served: Mapping[str, Method] = self._routes if name == BACK_TRANSLATION else self._substitutions
            for language, method in served.items():
                found.setdefault(language, method)
        return found

    @cached_property
    def _substitutions(self) -> dict[str, Substitution]:
        if SUBSTITUTION not in self.parameters.methods:
            return {}
        return {language: Substitution(SUBSTITUTORS[language]()) for language in self.parameters.parsed or SUBSTITUTORS}

    @cached_property
    def _routes(self) -> dict[str, Route]:
        """The route of each language: of the first translator that the recipe names for it."""
        routes: dict[str, Route] = {}
        for choice, translator in self._translators:
            for language, pivots in (choice.pivots or translator.ways()).items():
                routes.setdefault(language, Route(translator, (language, *pivots, language)))
        return routes
