"""Fitting the thresholds of a recipe to known-good text whose scores lie in a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from curator.calibrate.bounds import allot, least_documents, passing_interval
from curator.calibrate.sample import Counts, Group, Rule, Scores, count, extremes
from curator.code import hash_files, stage_files
from curator.document import DOCUMENT_SCHEMA, Batch
from curator.errors import UserError
from curator.recipe.model import Recipe
from curator.recipe.overlay import Calibration, CorpusFile, Fitted, Unfitted
from curator.run.directory import RunDirectory
from curator.run.driver import Request, run
from curator.run.error_rate import BY_CALIBRATION
from curator.run.events import Event
from curator.run.manifest import Manifest, load_manifest, need_files
from curator.run.pipeline import AnyStage, Pipeline, make_pipeline
from curator.run.tally import IN, Tally
from curator.sizes import format_size
from curator.sources import group_metadata
from curator.stage import Column, Columns
from curator.storage.parquet import batches_of_run, read_of_run
from curator.storage.path import AnyPath, matching, readable

Grouping: TypeAlias = Literal["source", "language"]

GROUPS = ("source", "lang")
"""The columns of `scores/` that say to which group a document belongs."""

SMALL_GROUPS_LISTED = 1_000
"""Groups with too few documents that an overlay lists, the largest ones: each document may have a source of its own."""

MEMORY_SHARE = 0.5
"""Of `--memory`, for the scores that are kept: they are copied while they are sorted."""


@dataclass(frozen=True)
class Settings:
    """What shall pass, how surely, and in which groups: by language within each source group, or by language alone."""

    share: float = 0.99
    confidence: float = 0.95
    minimum: int | None = None
    by: Grouping = "source"
    memory_bytes: int = 4_000_000_000

    def least(self) -> int:
        """Documents that a rule must look at for its threshold to be fitted. UserError where a setting is wrong."""
        for name, value in (("--pass", self.share), ("--confidence", self.confidence)):
            if not 0 < value < 1:
                raise UserError(f"{name} {value:g} is not between 0 and 1", hint="for example 0.99")
        fewest = least_documents(1, self.share, self.confidence)
        if self.minimum is not None and self.minimum < fewest:
            raise UserError(
                f"--minimum {self.minimum}: fewer than {fewest} documents cannot show with confidence "
                f"{self.confidence:g} that {self.share:g} of such text passes",
                hint="give more, or a smaller --pass or --confidence",
            )
        return self.minimum or fewest


class _Small(NamedTuple):
    """A group with too few documents for any threshold, and how many it needs."""

    group: Group
    documents: int
    needed: int


@dataclass(frozen=True)
class Outcome:
    """A calibration, how many documents it saw, how many of them are in groups with too few (`in_small_groups`) and in
    groups at which no rule looks (`unseen`), and the thresholds of the recipe that its own take the place of (None
    where they differ within the group)."""

    calibration: Calibration
    documents: int
    in_small_groups: int
    unseen: int
    before: Mapping[tuple[Group, Rule], float | None]


def measure(
    inputs: Sequence[str],
    recipe: Recipe,
    folder: Path,
    workers: int,
    memory_bytes: int,
    listeners: Sequence[Callable[[Event], None]] = (),
) -> RunDirectory:
    """Run the stages of a recipe that can be calibrated on known-good text, for its scores. See `curator.run.driver`
    for what it raises."""
    names = {stage.name for stage in calibrated_stages(recipe)}
    only = recipe.model_copy(update={"stages": tuple(entry for entry in recipe.stages if entry.name in names)})
    request = Request(tuple(inputs), folder, only, workers=workers, memory_bytes=memory_bytes, resuming=BY_CALIBRATION)
    return run(request, listeners).directory


def calibrated_stages(recipe: Recipe) -> list[AnyStage]:
    """The stages with thresholds by source and language. UserError where there are none."""
    pipeline = make_pipeline(recipe)
    found = [stage for stage in pipeline.stages if stage.parameters.cascades and _thresholds(stage)]
    if not found:
        raise UserError(
            f"the recipe {recipe.name!r} has no stage with thresholds by source and language",
            hint="add one, such as `entropy`",
        )
    return found


def calibrate(directory: RunDirectory, recipe: Recipe, settings: Settings) -> Outcome:
    """Fit the thresholds of a recipe to the documents of a finished run, which are all taken for good.

    UserError where the run has no such scores or documents.
    """
    least = settings.least()
    by_source = settings.by == "source"
    stages = calibrated_stages(recipe)
    manifest = load_manifest(directory.manifest)
    _check_run(directory, manifest, recipe, stages)
    need_files(directory.manifest, manifest, "scores")
    for stage in stages:
        _check_groups(stage, settings.by)
    documents = Tally(cast("list[list[object]]", manifest["funnel"])).documents(IN)
    if documents == 0:
        raise UserError("the input has no document", hint="give text that is known to be good")
    scores = _scores_of(directory, stages, documents, group_metadata(recipe.input.source_groups))
    counts = count(scores, stages, least, by_source=by_source)
    wanted, unfitted, small = _allot(counts, stages, settings, least)
    unfitted += [_unfitted(each.group, None, each.documents, each.needed) for each in small[:SMALL_GROUPS_LISTED]]
    held = 8 * sum(wanted.values())
    if held > MEMORY_SHARE * settings.memory_bytes:
        raise UserError(
            f"--memory {format_size(settings.memory_bytes)} is too little to fit a share of {settings.share:g}",
            hint=f"give {format_size(held / MEMORY_SHARE)}, or a larger --pass",
        )
    tails = extremes(scores, stages, wanted, by_source=by_source)
    fitted = []
    for (group, rule), tail in tails.items():
        threshold = float(tail[-1])
        judged = counts.judged[group, rule]
        passing = judged - int((tail != threshold).sum())
        low, high = passing_interval(passing, judged, settings.confidence)
        fitted.append(
            Fitted(
                stage=rule.stage,
                parameter=rule.parameter,
                source=group.source,
                language=group.language,
                threshold=threshold,
                documents=judged,
                passing=passing,
                low=round(low, 6),
                high=round(high, 6),
            )
        )
    calibration = Calibration(
        share=settings.share,
        confidence=settings.confidence,
        corpus=tuple(CorpusFile.model_validate(file) for file in cast("list[object]", manifest["input"])),
        stages={stage.name: hash_files(stage_files(type(stage))) for stage in stages},
        fitted=tuple(fitted),
        unfitted=tuple(sorted(unfitted, key=lambda row: _name(Group(row.source, row.language)))),
        unlisted=max(0, len(small) - SMALL_GROUPS_LISTED),
    )
    unseen = sum(number for group, number in counts.documents.items() if not counts.rules[group])
    before = {at: low if low == high else None for at, (low, high) in counts.limits.items()}
    return Outcome(calibration, documents, sum(each.documents for each in small), unseen, before)


def _allot(
    counts: Counts, stages: Sequence[AnyStage], settings: Settings, least: int
) -> tuple[dict[tuple[Group, Rule], int], list[Unfitted], list[_Small]]:
    """How many blocks the threshold of each group and rule cuts off, those that cannot be fitted where others of the
    group can, and the groups in which none can, largest first."""
    rules = [Rule(stage.name, name) for stage in stages for name in _thresholds(stage)]
    wanted: dict[tuple[Group, Rule], int] = {}
    unfitted: list[Unfitted] = []
    small: list[_Small] = []
    fewest = {
        number: max(least, least_documents(number, settings.share, settings.confidence))
        for number in {*counts.rules.values()} - {0}
    }
    for group in sorted(counts.documents, key=_name):
        documents, rules_met = counts.documents[group], counts.rules[group]
        met = [rule for rule in rules if (group, rule) in counts.judged]
        judged = [counts.judged[group, rule] for rule in met]
        blocks = allot(documents, judged, settings.share, settings.confidence, least)
        if any(blocks):
            for rule, number, allotted in zip(met, judged, blocks, strict=True):
                if allotted:
                    wanted[group, rule] = allotted
                else:
                    unfitted.append(_unfitted(group, rule, number, least))
        elif rules_met:
            small.append(_Small(group, documents, fewest[rules_met]))
    return wanted, unfitted, sorted(small, key=lambda each: -each.documents)


def _name(group: Group) -> tuple[str, str]:
    return group.source or "", group.language


def _unfitted(group: Group, rule: Rule | None, documents: int, needed: int) -> Unfitted:
    return Unfitted(
        stage=rule.stage if rule else None,
        parameter=rule.parameter if rule else None,
        source=group.source,
        language=group.language,
        documents=documents,
        needed=needed,
    )


def _thresholds(stage: AnyStage) -> list[str]:
    """The parameters of a stage that are thresholds by source and language."""
    nothing = Batch(pa.RecordBatch.from_pylist([], schema=DOCUMENT_SCHEMA))
    columns = {name: pa.array([], column) for name, column in _needed([stage]).items()}
    return [cut.parameter for cut in stage.cuts(nothing, columns)]


def _needed(stages: Sequence[AnyStage]) -> dict[str, pa.DataType]:
    """The columns that cuts are made of; those of `scores/`, and `units` (see `_scores_of`)."""
    own = [column for stage in stages for column in stage.columns if not column.internal]
    measures = [Column(name, pa.int64(), "") for name in ("tokens", "units")]
    return {column.name: column.type for column in [*measures, *own]}


def _check_groups(stage: AnyStage, by: Grouping) -> None:
    """UserError where the stage cannot hold the thresholds, or holds some that would stand above them."""
    groups = get_args(type(stage.parameters).model_fields["sources"].annotation)
    within = "languages" in getattr(groups[-1], "model_fields", {}) if groups else False
    if by == "source" and not within:
        raise UserError(
            "it has no thresholds for a language within a source group", stage=stage.name, hint="use --by language"
        )
    given = cast("Mapping[str, object]", getattr(stage.parameters, "sources", {}))
    if by == "language" and any(getattr(inner, "languages", None) for inner in given.values()):
        raise UserError(
            "the recipe has thresholds for languages within sources, which stand above those of languages",
            stage=stage.name,
            hint="take them out, or use --by source",
        )


def _check_run(directory: RunDirectory, manifest: Manifest, recipe: Recipe, stages: Sequence[AnyStage]) -> None:
    """UserError where the scores of a run are not those that the recipe would give."""
    root = str(directory.root)
    theirs: Pipeline = make_pipeline(Recipe.model_validate(manifest["recipe"]))
    code = cast("Mapping[str, str]", manifest["code"])
    for stage in stages:
        if stage.name not in code:
            raise UserError(
                f"the run has no scores of the stage {stage.name!r}", file=root, hint="give its input instead"
            )
        if code[stage.name] != hash_files(stage_files(type(stage))):
            raise UserError(
                f"its scores were made by another version of the stage {stage.name!r}",
                file=root,
                hint="run it again, or give its input instead",
            )
        if _scoring(stage) != _scoring(theirs.stage(stage.name)):
            raise UserError(
                f"its scores were made with other parameters of {stage.name!r} than the recipe has",
                file=root,
                hint="leave out --recipe, or give its input instead",
            )
        editor = next((other.name for other in theirs.before(theirs.stage(stage.name)) if other.edits_text), None)
        if editor is not None:  # `scores/` counts the units of texts as they were read
            raise UserError(
                f"its scores of {stage.name!r} are those of texts that {editor!r} had edited",
                file=root,
                hint="give its shards instead",
            )
    for path in matching(directory.scores, "*.parquet")[:1]:
        if GROUPS[0] not in _schema(path).names:
            raise UserError(f"its scores have no column {GROUPS[0]!r}", file=root, hint="run it again")


def _scoring(stage: AnyStage) -> dict[str, object]:
    """The parameters of a stage other than its thresholds: those on which scores can depend."""
    return stage.parameters.model_dump(mode="json", exclude={*_thresholds(stage), "sources", "languages"})


def _schema(path: AnyPath) -> pa.Schema:
    with read_of_run(path):
        return pq.read_schema(readable(path))


def _scores_of(
    directory: RunDirectory, stages: Sequence[AnyStage], documents: int, metadata: Mapping[bytes, bytes] | None
) -> Scores:
    """The first `documents` rows of `scores/`, with this metadata of their schema: children, which nobody wrote, come
    after what was read. Where the run named no tokenizer, its tokens are the units."""
    columns = _needed(stages)
    stored = {name: name for name in columns}
    for path in matching(directory.scores, "*.parquet")[:1]:
        if "units" not in _schema(path).names:
            stored["units"] = "tokens"

    def batches() -> Iterator[tuple[Batch, Columns]]:
        left = documents
        for batch in batches_of_run(directory.scores, list(dict.fromkeys([*GROUPS, *stored.values()]))):
            if left == 0:
                return
            batch = batch.slice(0, left)
            left -= batch.num_rows
            groups = batch.select(list(GROUPS)).replace_schema_metadata(metadata)
            yield Batch(groups), {name: batch.column(at) for name, at in stored.items()}

    return batches
