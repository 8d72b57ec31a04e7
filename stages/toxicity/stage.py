"""Toxicity: terms that are counted, and classifiers; each only in the languages that it was made for.

Layers, each with its verdict:

- Rules: terms of the document's language and of those that it mixes, as whole units, disguised or with stars. A
  document falls by their density and severity, never by one hit: an encyclopaedia article on profanity stays. See
  `stages.toxicity.rules`, `stages.toxicity.disguises`, `stages.toxicity.starred` and `data/NOTICE`.
- Classifier: the probability that a window of the text is abusive. A document falls if its worst window reaches the
  threshold and the mean over windows is not low, so that a long text that quotes something stays. A text that is one
  short question is not judged: there are hardly any in what it learned from. With `cascade`, windows of which it is
  unsure are judged anew by sentence embeddings (`stages.toxicity.cascade`).
- A model of the recipe's choice (`neural`): a sequence classifier from a folder (`stages.toxicity.neural`).

The last two take long, so with one of them the stage annotates survivors of the stages before it alone. A language
without a list or without a model is not judged by it; `coverage` says so, and the columns are null. What the
classifiers cannot do is in docs/toxicity-model-card.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curator.document import Batch
from curator.embeddings import MEMORY_BYTES, PACKAGE
from curator.pretrained import PACKAGES
from curator.stage import Column, Columns, Parameters, Requirement, Resources, Stage, State, together
from curator.verdict import VerdictBuilder, Verdicts, round_score
from stages.toxicity.cascade import Cascade, CascadeParameters
from stages.toxicity.classifier import (
    MODEL_PATH,
    NOT_JUDGED,
    Judgement,
    Model,
    are_short_questions,
    judge,
    load_model,
    model_language,
)
from stages.toxicity.neural import NeuralClassifier, NeuralParameters
from stages.toxicity.rules import count_terms
from stages.toxicity.terms import TERMS_PATH, TermTable, term_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

BY_RULES = "toxicity.rules"
BY_CLASSIFIER = "toxicity.classifier"
BY_NEURAL = "toxicity.neural"


class RuleParameters(Parameters):
    """When terms of a list decide. A document falls if `min_matches` terms match and their density or severity is
    high."""

    enabled: bool = Field(default=True, description="Whether terms are counted at all.")
    tier: int = Field(
        default=2,
        ge=1,
        le=4,
        description="Lowest tier of terms that counts: 1 hand-kept lists, 2 also other lists, 3 also ambiguous words, "
        "4 also words that were translated from English by machine.",
    )
    min_matches: int = Field(default=2, ge=1, description="Fewer matches than this decide nothing.")
    density: float = Field(default=0.1, gt=0, description="Share of a document's units that are in matched terms.")
    severity: float = Field(
        default=0.2,
        gt=0,
        description="Severities (1 to 3; 1 where unknown) of the matches, summed, per unit of the document.",
    )


class ToxicityParameters(Parameters):
    """Parameters of the stage `toxicity`."""

    threshold: float = Field(
        default=0.7, gt=0, le=1, description="Probability of abuse from which a document falls, in its worst window."
    )
    min_mean: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Mean probability over windows under which the worst window does not decide.",
    )
    rules: RuleParameters = RuleParameters()
    classifier: bool = Field(default=True, description="Whether the classifier judges.")
    model: Path | None = Field(default=None, description="Another model file, as `stages.toxicity.train` writes it.")
    cascade: CascadeParameters | None = Field(
        default=None, description="Judge anew by sentence embeddings what the classifier is unsure of."
    )
    neural: NeuralParameters | None = Field(default=None, description="A sequence classifier that judges, too.")

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.cascade is not None and not self.classifier:
            raise ValueError("`cascade` needs `classifier: true`: it judges what the classifier is unsure of")
        return self


_EMBEDDED = Column("toxicity.embedded", pa.int32(), "windows judged by sentence embeddings; null if not judged")
_NEURAL = (
    Column(
        "toxicity.neural",
        pa.float64(),
        "probability of abuse by the recipe's model, worst window; null if not judged",
        threshold="neural.threshold",
        drops="above",
    ),
    Column(
        "toxicity.neural_mean",
        pa.float64(),
        "probability of abuse by the recipe's model, mean over windows; null if not judged",
    ),
)


class Toxicity(Stage[ToxicityParameters]):
    """Drops documents that are dense with abusive terms, or that the classifier takes for hateful."""

    name = "toxicity"
    about = "drops abusive text: term lists by density and severity, then a classifier, per language"
    parameters_type = ToxicityParameters
    columns: tuple[Column, ...] = (
        Column(
            "toxicity.rules",
            pa.float64(),
            "share of units in terms of the lists of its language, and of those that it mixes; null without a list",
            threshold="rules.density",
            drops="above",
        ),
        Column("toxicity.matches", pa.int32(), "matched terms; null without a list"),
        Column("toxicity.severity", pa.float64(), "severities of the matches, summed, per unit; null without a list"),
        Column(
            "toxicity.probability",
            pa.float64(),
            "probability of abuse, worst window; null if not judged (a low mean keeps what lies above)",
            threshold="threshold",
            drops="above",
        ),
        Column("toxicity.mean", pa.float64(), "probability of abuse, mean over windows; null if not judged"),
    )
    rules: ClassVar[Mapping[str, str]] = {
        BY_RULES: "terms of the list for {lang} are a share of {score} of its units, bare or weighted by severity; "
        "the limit is {threshold}",
        BY_CLASSIFIER: "the classifier gives its worst passage a probability of {score} of being hateful; the limit is "
        "{threshold}",
        BY_NEURAL: "the model that the recipe names gives its worst passage a probability of {score} of being abusive; "
        "the limit is {threshold}",
    }

    def __init__(self, parameters: ToxicityParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        cascade, neural = parameters.cascade, parameters.neural
        self._neural = None if neural is None else NeuralClassifier(neural)
        self.costly = cascade is not None or neural is not None
        needs = []
        if cascade is not None:
            self.columns = (*self.columns, _EMBEDDED)
            self.packages = (*self.packages, PACKAGE)
            needs.append(Resources(memory_bytes=MEMORY_BYTES, holds_model=True))
        if neural is not None:
            self.columns = (*self.columns, *_NEURAL)
            self.packages = (*self.packages, *PACKAGES)
            needs.append(neural.resources())
        self.resources = together(needs)

    def requirements(self) -> Sequence[Requirement]:
        """The table of terms and the model file, by BLAKE3 of their bytes."""
        found = []
        if self.parameters.rules.enabled:
            found.append(_file_requirement("term list", TERMS_PATH))
        if self.parameters.classifier:
            found.append(_file_requirement("classifier", self._model_path()))
        if self.parameters.cascade is not None:
            found += self.parameters.cascade.requirements()
        if self.parameters.neural is not None:
            found.append(self.parameters.neural.requirement())
        return found

    def annotate(self, batch: Batch) -> Columns:
        """Density, matches and severity of terms; worst and mean probability over windows."""
        count = len(batch)
        units = batch.units
        lengths = np.maximum(units.counts, 1)
        has_units = units.counts > 0
        columns: dict[str, pa.Array] = {column.name: pa.nulls(count, column.type) for column in self.columns}
        if self.parameters.rules.enabled:
            found = count_terms(batch, self.parameters.rules.tier)
            missing = ~(found.checked & has_units)
            columns["toxicity.rules"] = pa.array(round_score(found.units / lengths), mask=missing)
            columns["toxicity.matches"] = pa.array(found.matches.astype(np.int32), mask=missing)
            columns["toxicity.severity"] = pa.array(round_score(found.severities / lengths), mask=missing)
        model = self._model()
        if model is not None:
            codes = _model_codes(batch, model)
            if self.parameters.cascade is None:
                judgement = judge(model, *batch.text_buffer, units, codes)
                short = are_short_questions(model, *batch.text_buffer, units, codes)
                judgement.worst[short], judgement.mean[short] = np.nan, np.nan
            else:
                tags = batch.documents.column("lang").to_pylist()
                cascaded = Cascade(self.parameters.cascade, model).judge(*batch.text_buffer, units, codes, tags)
                judgement = cascaded.judgement
                columns["toxicity.embedded"] = pa.array(cascaded.embedded, mask=np.isnan(judgement.worst))
            _put(columns, judgement, "toxicity.probability", "toxicity.mean")
        if self._neural is not None:
            _put(columns, self._judge_neurally(batch, self._neural), "toxicity.neural", "toxicity.neural_mean")
        return columns

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Drops by the rules, then by the classifiers."""
        builder = VerdictBuilder(len(batch))
        limits = self.parameters.rules
        matches = _numbers(columns["toxicity.matches"])
        enough = matches >= limits.min_matches
        for name, limit in (("toxicity.rules", limits.density), ("toxicity.severity", limits.severity)):
            scores = _numbers(columns[name])
            builder.drop(enough & (scores >= limit), BY_RULES, score=scores, threshold=limit)
        judged_by: list[tuple[str, str, str, NDArray[np.float64] | float, float]] = [
            (BY_CLASSIFIER, "toxicity.probability", "toxicity.mean", self._thresholds(batch), self.parameters.min_mean)
        ]
        neural = self.parameters.neural
        if neural is not None:
            judged_by.append((BY_NEURAL, "toxicity.neural", "toxicity.neural_mean", neural.threshold, neural.min_mean))
        for rule, worst_name, mean_name, threshold, min_mean in judged_by:
            worst = _numbers(columns[worst_name])
            abusive = (worst >= threshold) & (_numbers(columns[mean_name]) >= min_mean)
            builder.drop(abusive, rule, score=worst, threshold=threshold)
        return builder.build()

    def coverage(self, language: str) -> str | None:
        """None where rules and a classifier for the language judge; what is missing elsewhere."""
        table, model, neural = self._terms(), self._model(), self.parameters.neural
        primary = language.split("-", 1)[0]
        has_rules = table is not None and primary in table.salts
        has_model = model is not None and model_language(language) in model.languages
        has_model = has_model or (neural is not None and primary in neural.languages)
        if has_model:
            return None if has_rules else "classifier only"
        cascade = self.parameters.cascade
        if cascade is not None and cascade.knows(language):
            return f"{'' if has_rules else 'only '}a classifier that has not seen the language"
        return "rules only" if has_rules else "not checked"

    def _thresholds(self, batch: Batch) -> NDArray[np.float64] | float:
        """From which probability a document falls: one, or one for each document."""
        model, cascade = self._model(), self.parameters.cascade
        if model is None or cascade is None:
            return self.parameters.threshold
        seen = _model_codes(batch, model) != NOT_JUDGED
        return np.where(seen, self.parameters.threshold, cascade.unseen_threshold)

    def _judge_neurally(self, batch: Batch, classifier: NeuralClassifier) -> Judgement:
        """By the recipe's model, in the languages that it was made for."""
        languages = batch.languages
        read = np.array([name in classifier.languages for name in languages.names], dtype=np.bool_)
        rows = np.flatnonzero(read[languages.codes])
        found = classifier.judge([batch.text[row].as_py() for row in rows.tolist()])
        judgement = Judgement(np.full(len(batch), np.nan), np.full(len(batch), np.nan))
        judgement.worst[rows], judgement.mean[rows] = found.worst, found.mean
        return judgement

    def _terms(self) -> TermTable | None:
        return term_table(self.parameters.rules.tier) if self.parameters.rules.enabled else None

    def _model(self) -> Model | None:
        return load_model(self._model_path()) if self.parameters.classifier else None

    def _model_path(self) -> Path:
        return self.parameters.model or MODEL_PATH


def _file_requirement(kind: str, path: Path) -> Requirement:
    from blake3 import blake3

    if not path.is_file():
        return Requirement(kind, path.name, "", f"the file {path} does not exist")
    return Requirement(kind, path.name, blake3(path.read_bytes()).hexdigest())


def _put(columns: dict[str, pa.Array], judgement: Judgement, worst: str, mean: str) -> None:
    missing = np.isnan(judgement.worst)
    columns[worst] = pa.array(round_score(judgement.worst), mask=missing)
    columns[mean] = pa.array(round_score(judgement.mean), mask=missing)


def _model_codes(batch: Batch, model: Model) -> NDArray[np.int32]:
    # By the whole tag, because the model knows scripts (`hi-Latn`), where lists go by language alone.
    tags = pc.dictionary_encode(batch.documents.column("lang"))
    places = [
        model.languages.index(name) if (name := model_language(tag)) in model.languages else NOT_JUDGED
        for tag in tags.dictionary.to_pylist()
    ]
    codes = tags.indices.to_numpy(zero_copy_only=False)
    return np.array(places, dtype=np.int32)[codes] if places else np.zeros(0, dtype=np.int32)


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    # Null becomes NaN, which no comparison with a limit holds for.
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
