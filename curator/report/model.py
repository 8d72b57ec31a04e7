"""All that the report page shows, as plain frozen data.

Whoever fills a `Report` (the run, a test) knows nothing of HTML, and the page computes nothing but shares. Counts are
documents unless the name says tokens or bytes. Texts are shown as they are given: excerpts must be masked already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["drop", "edit", "flag", "repeat", "create"]
Side = Literal["below", "above"]

WORTH_SAYING = 0.0005
"""Share of a plan from which it is told what a source lacks."""


@dataclass(frozen=True)
class Totals:
    """The sums of a run. `documents_in` counts records, those that failed included; `kept` counts distinct documents,
    children included; `erased` are those that were kept and are forgotten; copies are counted apart, and `tokens_out`
    and `bytes_out` are what the shards hold."""

    documents_in: int
    tokens_in: int
    bytes_in: int
    created: int
    kept: int
    held_out: int
    dropped: int
    failed: int
    copies: int
    tokens_out: int
    bytes_out: int
    erased: int = 0

    @property
    def balance(self) -> bool:
        """Whether in + created = kept + erased + held out + dropped + failed."""
        went = self.kept + self.erased + self.held_out + self.dropped + self.failed
        return self.documents_in + self.created == went


@dataclass(frozen=True)
class Step:
    """What one rule of one stage did.

    `documents` and `tokens` are those that it dropped, edited, flagged or created; for `repeat` they are the copies.
    `sentence` says the rule in plain words.
    """

    stage: str
    rule: str
    action: Action
    sentence: str
    documents: int
    tokens: int


@dataclass(frozen=True)
class Row:
    """One language or one group of sources.

    `tag` is the language tag or the group's name, `name` its name in words (empty where there is none); `dropped` maps
    a stage to the documents that it dropped; `coverage` maps a stage to what it could not do here; `tokens_kept` is
    without copies. A record that failed has neither language nor source, and counts in no row.
    """

    tag: str
    name: str
    documents_in: int
    tokens_in: int
    kept: int
    tokens_kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    created: int = 0
    held_out: int = 0
    copies: int = 0
    coverage: Mapping[str, str] = field(default_factory=dict)

    @property
    def retention(self) -> float:
        """Share of the documents (with those created) that were kept or held out."""
        whole = self.documents_in + self.created
        return (self.kept + self.held_out) / whole if whole else 0.0

    @property
    def token_retention(self) -> float:
        """Tokens kept as a share of the tokens that came in. Can pass 1 where documents were created."""
        return self.tokens_kept / self.tokens_in if self.tokens_in else 0.0


@dataclass(frozen=True)
class Histogram:
    """The scores of one annotation column, over all languages (`language` None) or in one. Bin i counts the scores from
    `edges[i]` up to `edges[i + 1]`. `dropped` says on which side of the threshold documents are dropped or flagged."""

    column: str
    language: str | None
    edges: Sequence[float]
    counts: Sequence[int]
    threshold: float | None = None
    dropped: Side | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{self.column}: {len(self.counts)} bins need {len(self.counts) + 1} edges")


@dataclass(frozen=True)
class Threshold:
    """A threshold and where it came from. `where` says for which language or source it holds, empty where it holds
    everywhere; `value` is None where the rule is off; `origin` is in words."""

    stage: str
    parameter: str
    where: str
    value: float | None
    origin: str


@dataclass(frozen=True)
class Example:
    """A document that a rule applied to.

    `excerpt` is masked; `language` is a tag; `keeper` is the id of the document that was kept instead; `beside` is of
    the text that a child was made of, in `beside_language`.
    """

    stage: str
    rule: str
    sentence: str
    id: str
    language: str
    excerpt: str
    score: float | None = None
    threshold: float | None = None
    keeper: str | None = None
    beside: str | None = None
    beside_language: str | None = None


@dataclass(frozen=True)
class SamplingRow:
    """The plan for one language or source in shares of all tokens (0 to 1): before, as planned, as it came out.

    `note` says what is off (`1,200 tokens short`).
    """

    tag: str
    name: str
    natural: float
    target: float
    realised: float
    repeats: float
    note: str = ""


@dataclass(frozen=True)
class EvaluationRow:
    """What the corpus has of one evaluation set. Of its `examples`, `dirty` ones share an n-gram with a document,
    `clean` ones share none but common phrases (`common_only` of them share such), and `too_short` ones cannot be looked
    for; `documents` have text of it. `overlap` counts the dirty ones by the share of their n-grams that one document
    has, in equal bins from 0 to 1; `ngram` says how long the n-grams are."""

    name: str
    examples: int
    dirty: int
    clean: int
    common_only: int
    too_short: int
    documents: int
    overlap: Sequence[int]
    ngram: str


@dataclass(frozen=True)
class ArmRow:
    """What models learned from the shards of one recipe. It left `documents`, which were seen `epochs` times at most.

    `difference` in bits per byte of held-out text is to the raw arm (below 0 is better), with the interval from `low`
    to `high`; `filtered` is that on the documents that every recipe keeps. `bought` is what the stage or the recipe of
    this row bought, None for the raw arm.
    """

    arm: str
    documents: int
    epochs: int
    bits_per_byte: float
    difference: float
    low: float
    high: float
    filtered: float | None
    bought: float | None
    bought_low: float | None
    bought_high: float | None


@dataclass(frozen=True)
class ArmComparison:
    """Recipes compared by models that were all given the same tokens, or the same seconds (`budget`).

    `tokens` and `seconds` are the least and the most that one of them took. `languages` has a tag, its held-out
    documents and the arms on these, the largest first.
    """

    budget: str
    tokens: tuple[float, float]
    seconds: tuple[float, float]
    seeds: int
    documents: int
    kept_by_all: int
    rows: Sequence[ArmRow]
    languages: Sequence[tuple[str, int, Sequence[ArmRow]]] = ()


@dataclass(frozen=True)
class StageNote:
    """A stage of the recipe: what it does, and facts about this run (name, value) that the figures do not show."""

    stage: str
    about: str
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Failure:
    """Records that could not be read: the error code, what it means, the file, how many."""

    code: str
    about: str
    file: str
    records: int


@dataclass(frozen=True)
class Report:
    """A whole report.

    `stages` names the stages in the order of the recipe, which gives each its colour; `token_unit` says what a token is
    (`a unit: a word, or …`); `languages` and `sources` (the 50 largest groups, and all others as one) come in the order
    shown; `overlay` says what thresholds were fitted to, empty where none were.
    """

    name: str
    fingerprint: str
    recipe: str
    token_unit: str
    stages: Sequence[str]
    totals: Totals
    steps: Sequence[Step]
    languages: Sequence[Row]
    sources: Sequence[Row]
    histograms: Sequence[Histogram] = ()
    thresholds: Sequence[Threshold] = ()
    overlay: str = ""
    examples: Sequence[Example] = ()
    sampling: Sequence[SamplingRow] = ()
    sampling_sources: Sequence[SamplingRow] = ()
    evaluation: Sequence[EvaluationRow] = ()
    comparisons: Sequence[ArmComparison] = ()
    notes: Sequence[StageNote] = ()
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    versions: Sequence[tuple[str, str]] = ()
