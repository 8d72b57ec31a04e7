"""The stage protocol: what a step of a recipe says about documents.

A stage says up to five things, most say one::

    annotate(batch)                -> columns   what one document says by itself; row-wise and pure
    observe(batch, columns)        -> summary   what the corpus must know: a small table that merges exactly
    fit(summary)                   -> state     once, after all summaries are merged
    decide(batch, columns, state)  -> verdicts  what becomes of each document; row-wise and pure
    derive(batch, columns, state)  -> children  new documents with parent, method and scores

Scores and decisions are apart, so that another threshold needs no new scores. Nothing in a stage knows which engine
runs it, how many workers there are, or how the corpus is cut. See CONTRIBUTING.md for a filter in one file.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar, cast

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter

from curator.scaling import Scaling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curator.document import Batch
    from curator.run.corpus import Corpus
    from curator.verdict import Verdicts

State = Mapping[str, "NDArray[np.generic]"]
"""What `fit` returns: named arrays without Python objects, kept in files (`curator.run.states`) without pickle."""

WEIGHT = "weight"
"""The scored column that becomes the weight of a document in the shards; without one, every weight is 1."""

FACTS = "facts"
"""In the schema metadata of the file of a relation: JSON values about it for the manifest and the report."""

Columns = Mapping[str, pa.Array]
"""Annotation columns by their full name (`entropy.bits`), one row a document of the batch."""


_GROUPS = {"sources", "languages"}


class Parameters(BaseModel):
    """Base of the parameters of a stage: frozen, unknown keys refused, and what JSON has no number for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @property
    def cascades(self) -> bool:
        """Whether there are thresholds by source group and by list language (see `curator.thresholds`)."""
        return type(self).model_fields.keys() >= _GROUPS

    def complete(self, mode: Literal["json", "python"] = "json") -> dict[str, object]:
        """The values with every default; of a source or language (see `curator.thresholds`) only what is given, since a
        null turns a rule off."""
        values: dict[str, object] = self.model_dump(mode=mode)
        if self.cascades:
            values.update(self.model_dump(mode=mode, include=_GROUPS, exclude_unset=True))
        return values

    def recorded(self) -> dict[str, object]:
        """`complete` as the fingerprint and the manifest hold it: files and folders by their names, for what is in them
        is a `Requirement`."""
        values = _without_folders(self.complete("python"))
        return cast("dict[str, object]", TypeAdapter(object).dump_python(values, mode="json"))


ParametersT = TypeVar("ParametersT", bound=Parameters)


@dataclass(frozen=True)
class Column:
    """A column that a stage adds. A scalar one stands in `scores/`; one with `internal` stays in `work/`.

    `threshold` names the parameter that cuts it, `drops` the side on which documents are dropped or flagged: the report
    draws both.
    """

    name: str
    type: pa.DataType
    about: str
    internal: bool = False
    threshold: str | None = None
    drops: Literal["below", "above"] | None = None


@dataclass(frozen=True)
class Cut:
    """One threshold as it applies to the documents of a batch.

    `score` is what is compared, float64[rows], NaN where the rule does not look at the document; `limit` is the
    document's threshold, float64[rows], NaN where the rule is off. A score that equals its limit passes.
    """

    parameter: str
    drops: Literal["below", "above"]
    score: NDArray[np.float64]
    limit: NDArray[np.float64]

    def outside(self) -> NDArray[np.bool_]:
        """The documents on the dropping side: bool[rows]."""
        # No comparison with NaN is true.
        return self.score < self.limit if self.drops == "below" else self.score > self.limit


@dataclass(frozen=True)
class Requirement:
    """Something outside Python code that a stage needs: a model file, a program, a language pair.

    `identity` goes into the fingerprint (a version or a BLAKE3 of the files). `problem` says what is missing, None when
    the requirement is met.
    """

    kind: str
    name: str
    identity: str
    problem: str | None = None


@dataclass(frozen=True)
class Resources:
    """What one task of the stage needs at a time; shares of a GPU are allowed. With `holds_model` the process that ran
    one is used for the next ones, since loading its model takes long."""

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory_bytes: int = 0
    holds_model: bool = False


def together(needs: Iterable[Resources]) -> Resources:
    """What a process needs that does all of this in turn: it holds every model at the same time."""
    found = list(needs)
    return Resources(
        num_cpus=max((each.num_cpus for each in found), default=1.0),
        num_gpus=max((each.num_gpus for each in found), default=0.0),
        memory_bytes=sum(each.memory_bytes for each in found),
        holds_model=any(each.holds_model for each in found),
    )


@dataclass(frozen=True)
class Left:
    """What a stage leaves for later runs: files by their name in `folder` of the run directory, and how many documents
    they hold."""

    folder: str
    files: Mapping[str, Path]
    rows: int


@dataclass(frozen=True)
class Erased:
    """What was taken out of files that a stage left: documents that it counts (`Left.rows`), and `further` entries that
    named one, by what they are called in the singular."""

    documents: int = 0
    further: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Child:
    """A new document derived from row `row` of a batch. With `refused`, in a word or two, it is none: it is counted
    under that reason, so that a run says why a language got no more."""

    row: int
    text: str
    lang: str
    method: str
    engine: str
    scores: Mapping[str, float] = field(default_factory=dict)
    refused: str | None = None


class Stage(abc.ABC, Generic[ParametersT]):
    """One step of a recipe. Subclasses set the class attributes and override the methods that they need.

    `edits_text`: `decide` reads the text and may change it. `costly`: `annotate` runs on survivors only. `observes`:
    the stage has `observe`, `merge` and `fit`. `relates`: the stage has `relate`, whose columns `relation` declares.
    `derives`: the stage has `derive`. `repeats`: the stage decides how often a document is written; its decisions come
    last, after children. `reads`: columns of the `relation` of earlier stages that it is given. `metadata`: fields that
    it reads of `Batch.documents`' column `metadata`; a recipe must name them in `input.metadata`. `leaves`: the folder
    of the run directory in which `leave` puts something; such a stage has `erase` and `holds`.

    `rules` maps each rule that a verdict may name to one sentence in plain words, in which `{score}`, `{threshold}`,
    `{keeper}`, `{copies}`, `{kind}` and `{run}` (of its detail) and `{lang}` stand for the values of the decision;
    `curator explain` and the report use them.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    parameters_type: ClassVar[type[Parameters]]
    columns: tuple[Column, ...] = ()
    rules: ClassVar[Mapping[str, str]] = {}
    edits_text: bool = False
    costly: bool = False
    observes: ClassVar[bool] = False
    relates: ClassVar[bool] = False
    derives: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    leaves: ClassVar[str | None] = None
    scored: tuple[Column, ...] = ()
    relation: tuple[Column, ...] = ()
    metadata: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    resources: Resources = Resources()

    def __init__(self, parameters: ParametersT, seed: int = 0) -> None:
        self.parameters = parameters
        self.seed = seed

    def requirements(self) -> Sequence[Requirement]:
        """Models and programs that these parameters need, each looked for now."""
        return ()

    def warnings(self) -> Sequence[str]:
        """What a run with these parameters does less than they seem to say, a line each, for its manifest."""
        return ()

    def remarks(self, facts: Mapping[str, object]) -> Sequence[str]:
        """What the facts of a relation (see FACTS) show that the parameters did less than they seem to say, a line
        each, for the manifest."""
        return ()

    def recorded(self) -> Mapping[str, object]:
        """What the fingerprint and the manifest hold of the parameters (see `Parameters.recorded`): no path, be it in a
        text or in options that others know. A stage that reads earlier runs names those."""
        return self.parameters.recorded()

    def annotate(self, batch: Batch) -> Columns:
        """The columns that this stage declares, one row a document. Must not look at other documents."""
        return {}

    def observe(self, batch: Batch, columns: Columns) -> pa.Table:
        """A summary of documents that survived the earlier stages. `batch` has no text; for a costly stage it has, and
        `columns` has none of its own, so that the stage annotates those only that its summary holds."""
        raise NotImplementedError

    def merge(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """One summary of several. Must give the same table however the corpus was cut and in whatever order they
        come."""
        raise NotImplementedError

    def fit(self, summary: pa.Table) -> State:
        """The state that `decide` and `derive` need, from the merged summary of the whole corpus."""
        raise NotImplementedError

    def divide(self, summary: pa.Table) -> Sequence[pa.Table]:
        """The merged summary in pieces that can be fitted apart, at the same time; cut by the summary alone."""
        return (summary,)

    def join(self, states: Sequence[State]) -> State:
        """One state of those of the pieces, in their order."""
        return states[0]

    def relate(self, corpus: Corpus) -> Path:
        """Find what documents are to each other, through the engine's `exchange`. Returns an uncompressed Arrow IPC
        file, sorted by `row` (int64, the document's number in the corpus) with the columns that `relation` declares;
        documents that are not in it have nulls there. Its schema metadata may hold FACTS. Tasks run on any node: what
        one is told of a file of another is its place (`Commit.place`), and `curator.storage.spool.local_file` reads
        it."""
        raise NotImplementedError

    def scaling(self) -> Scaling:
        """How `relate` grows with the corpus, for `curator plan`; nothing where its measured rates say it all."""
        return Scaling()

    def leave(self, corpus: Corpus, run: str, through: Sequence[str]) -> Left | None:
        """Make what later runs need, named after this run, once all is decided; `through` are the stages up to this
        one. None when the parameters want nothing left."""
        return None

    @classmethod
    def erase(cls, folder: Path, run: str, keys: Sequence[bytes], target: Path) -> Erased:
        """Write what `leave` left in `folder` to `target`, without the documents of these keys; files that stay as
        they are need not be written, and none is where nothing changes. UserError when it was not left by this run."""
        raise NotImplementedError

    @classmethod
    def holds(cls, folder: Path, keys: Sequence[bytes], ids: Sequence[str]) -> list[str]:
        """Where the files that `leave` left in `folder` still hold anything of these documents: one line a place."""
        raise NotImplementedError

    def settle(self, state: State, children: pa.Table) -> State:
        """The state once the children are known; `children` is the merged summary of those that survived."""
        return state

    def score(self, batch: Batch, columns: Columns, state: State) -> Columns:
        """The columns that `scored` declares: they need the state, and are null for documents that did not survive."""
        return {}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Verdicts on documents that survived the earlier stages. `batch` has its text only if `edits_text`."""
        from curator.verdict import Verdicts

        return Verdicts.none()

    def cuts(self, batch: Batch, columns: Columns) -> Sequence[Cut]:
        """The thresholds that differ by source and language (`curator.thresholds`), as `decide` applies them and
        `curator calibrate` fits them: those of the columns that declare a `threshold` and the side that it `drops`.

        A stage whose rules look at some documents only, or compare more than a column, says so here. `batch` has no
        text; `columns` are the scalar ones of this stage, `tokens` and `units`.
        """
        from curator.thresholds import column_cuts

        return column_cuts(batch, columns, self.columns, self.parameters)

    def has_candidates(self, state: State) -> bool:
        """Whether any document can be a candidate; where none can, no part is looked through."""
        return True

    def candidates(self, batch: Batch, state: State) -> NDArray[np.bool_]:
        """The documents from which `derive` may make children, told without their text: bool[rows]."""
        import numpy as np

        return np.ones(len(batch), dtype=np.bool_)

    def derive(self, batch: Batch, columns: Columns, state: State) -> Sequence[Child]:
        """New documents from the candidates of a part that survived (their text as edited so far)."""
        return ()

    def most_tokens(self, state: State) -> Mapping[str, int]:
        """The most tokens that all children may have in each list language; one that is not named has no limit."""
        return {}

    def coverage(self, language: str) -> str | None:
        """What this stage cannot do in this language, in a few words ('rules only', 'names not checked'); None when it
        does all that it does anywhere."""
        return None

    def facts(self, state: State) -> Mapping[str, object]:
        """JSON values about the fitted state that the manifest and report show (plan of sampling, languages
        skipped)."""
        return {}


def _without_folders(value: object) -> object:
    """The same with the last part of each path in its place."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {key: _without_folders(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(inner) for inner in value]
    return value
