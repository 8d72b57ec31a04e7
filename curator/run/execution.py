"""The phases of a plan, one after the other: from input files to shards and a manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from curator.engine.executor import Executor
from curator.engine.local import LocalExecutor
from curator.errors import DataError
from curator.plan import Phase, make_plan
from curator.readers.base import InputFile
from curator.readers.registry import load_reader
from curator.run import fingerprint
from curator.run.clock import peak_memory_bytes
from curator.run.corpus import Corpus, parts_of
from curator.run.counted import run_tally, tally_rows, totals
from curator.run.directory import RunDirectory
from curator.run.error_rate import describe_unread_files, is_exceeded, make_refusal
from curator.run.events import EventLog
from curator.run.failures import count_failures
from curator.run.fields import describe_absent_fields
from curator.run.funnel import event_counts, language_counts, rows_without_files
from curator.run.manifest import FORMAT, Manifest, dump_manifest, parse_manifest, run_name
from curator.run.memory import STORAGE_BYTES, worker_bytes
from curator.run.notes import merge_notes
from curator.run.options import read_options
from curator.run.part import Part
from curator.run.phases.derive import (
    IN_ANOTHER_LANGUAGE,
    AdmitInput,
    AdmitTask,
    DeriveInput,
    DeriveTask,
    find_stops,
    refusals,
    state_of,
    stays,
)
from curator.run.phases.fit import FitInput, FitTask, merge_all
from curator.run.phases.inputs import ReadInput, read_inputs
from curator.run.phases.judge import JudgeTask
from curator.run.phases.read import FAILED_SCHEMA, ReadTask
from curator.run.phases.write import Group, WriteTask, file_sha256, write_parquet
from curator.run.pipeline import Pipeline
from curator.run.reading_warnings import (
    describe_contradicted_tags,
    describe_other_sources,
    describe_repeated_ids,
    describe_unknown_tags,
)
from curator.run.relation import facts_in
from curator.run.repeated import find_repeated_ids
from curator.run.states import load_state, write_state
from curator.run.store import Commit, Outputs, committed, hand_over, make_folder, publish, put
from curator.run.verify import unbalanced
from curator.storage.ipc import read_schema, read_table
from curator.storage.path import AnyPath, is_url
from curator.storage.spool import local_file, local_folder, place_of, release
from curator.text.tokens import token_name

if TYPE_CHECKING:
    from curator.run.driver import Request

MIN_SPLIT_BYTES = 4 << 20
MAX_SPLIT_BYTES = 8 << 20
SPLITS_WANTED = 32
"""Input is cut into about this many splits, within the bounds above: by its size alone, never by workers."""

INLINE_BYTES = 1_000_000
"""Input smaller than this is worked on in this process: starting workers would take longer than the work."""

START_AGAIN = "run into another directory"

WRITTEN = ("shards", "heldout", "scores", "decisions", "failed")


def client_bytes(request: Request) -> int:
    """What each process holds for object storage, where a place of the run lies there."""
    return STORAGE_BYTES if any(is_url(str(place)) for place in (request.output, *request.inputs)) else 0


@dataclass
class Execution:
    """Executes the phases of a plan, one after the other."""

    request: Request
    pipeline: Pipeline
    files: list[InputFile]
    directory: RunDirectory
    log: EventLog
    components: fingerprint.Components
    origins: dict[str, object] | None = None
    parts: list[Part] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    passes: int = 0
    warnings: list[str] = field(default_factory=list)
    _summaries: dict[str, list[Path]] = field(default_factory=dict)
    _kept_bytes: dict[str, int] = field(default_factory=dict)
    _inline_s: float = 0.0

    def __post_init__(self) -> None:
        self.recipe = self.request.recipe.model_dump_json()
        self.tally = run_tally(self.pipeline)
        self._tasks = f"{self.directory.tasks}/"
        self.executor = self._engine()

    def _engine(self) -> Executor:
        request = self.request
        if request.cluster is not None:
            from curator.engine.ray import RayExecutor

            each = worker_bytes(request.recipe.input.max_document_bytes, client_bytes(request))
            return RayExecutor(request.cluster, each, self.log.tick, self._task_done)
        inline = sum(file.size for file in self.files) < INLINE_BYTES
        recipe = local_folder(self.directory.tasks) / ".recipe"
        put(recipe, self.recipe.encode(), durable=False)
        return LocalExecutor(1 if inline else request.workers, self.log.tick, self._task_done, recipe)

    def execute(self) -> Manifest:
        """Run all phases; returns the manifest, written."""
        phases = make_plan(self.pipeline)
        self.warnings.extend(f"{stage.name}: {told}" for stage in self.pipeline.stages for told in stage.warnings())
        self._last_judge = max((i for i, phase in enumerate(phases) if phase.kind == "judge"), default=-1)
        for index, phase in enumerate(phases):
            self.log.emit("phase.started", phase=phase.describe(), index=index, phases=len(phases))
            began = time.process_time() - self._inline_s
            if phase.kind == "read":
                self._read()
            elif phase.kind == "relate":
                self.parts = self._relate(phase.stages[0], self.parts)
            elif phase.kind == "judge":
                self.parts = self._judge(phase, self.parts, closes=index == self._last_judge)
            elif phase.kind == "fit":
                self._fit(phase.stages[0])
            elif phase.kind == "derive":
                self._derive(phase.stages[0], phases)
            elif phase.kind == "settle":
                self._settle(phase.stages[0])
            else:
                manifest = self._write()
            self.log.emit(
                "phase.ended",
                phase=phase.describe(),
                index=index,
                driver_cpu_s=round(time.process_time() - self._inline_s - began, 6),
                driver_peak_bytes=peak_memory_bytes(),
                languages=language_counts(self.tally),
            )
        return manifest  # of the phase `write`, with which a plan ends

    def _task_done(self, commit: Commit, reused: bool) -> None:
        spent, counted = commit.spent, totals(commit)
        if spent is not None and spent.process == os.getpid():
            self._inline_s += spent.cpu_s
        self.log.emit(
            "task.done",
            phase=commit.folder.rpartition("/")[2],
            step=commit.folder.removeprefix(self._tasks),
            name=commit.name,
            reused=reused,
            rows=commit.result.get("rows"),
            consumed=commit.result.get("consumed"),
            bytes=sum(commit.files.values()),
            cpu_s=None if spent is None else round(spent.cpu_s, 6),
            parts_cpu_s=None if spent is None else {name: round(cpu_s, 6) for name, cpu_s in spent.parts.items()},
            counts=None if counted is None else event_counts(counted),
        )

    def _read(self) -> None:
        options = read_options(self.request.recipe)
        total = sum(file.size for file in self.files)
        split_bytes = min(MAX_SPLIT_BYTES, max(MIN_SPLIT_BYTES, total // SPLITS_WANTED))
        folder = self.directory.phase("read")

        inputs = self._as_before(folder, read_inputs(self.files, options, split_bytes))
        commits = self.executor.map(folder, ReadTask(self.recipe, options), inputs)
        self.parts = parts_of(commits, 0, derived=False)
        for commit in commits:
            self.tally.add(tally_rows(commit))
        self.warnings.extend(describe_other_sources(self.tally))
        self._judge_errors()
        self._note_reading(commits)
        self._note_languages(commits)
        fields = self.directory.phase("fields")
        corpus = Corpus(tuple(self.parts), self.executor, fields)
        tagged = any(cast("bool", commit.result["tagged"]) for commit in commits)
        self.warnings.extend(describe_absent_fields(corpus, self.request.recipe.input, has_languages=tagged))
        release(fields)
        ids = self.directory.phase("ids")
        repeated = find_repeated_ids(Corpus(tuple(self.parts), self.executor, ids))
        release(ids)
        self.warnings.extend(describe_repeated_ids(repeated))
        by_file: dict[str, list[str]] = {file.name: [] for file in self.files}
        for commit in commits:
            for file, digest in _digests(commit):
                by_file[file].append(digest)
        self.digests = {file: fingerprint.digest({"splits": digests}) for file, digests in by_file.items()}

    def _as_before(self, folder: AnyPath, inputs: Iterator[ReadInput]) -> Iterator[ReadInput]:
        """Inputs of a phase that an attempt before may have read. DataError where a stream is another since."""
        for item in inputs:
            before = committed(folder, item.name) if any(split.data is not None for split in item.splits) else None
            for split, known in zip(item.splits, [] if before is None else _digests(before), strict=False):
                if split.data is not None and known[1] != load_reader(split.file.format).digest(split):
                    raise DataError("is not what it was when the run began", file=split.file.name, hint=START_AGAIN)
            yield item

    def _note_reading(self, commits: Sequence[Commit]) -> None:
        """Count documents that are not all that stands in the input, or not what stands there."""
        found = (cast("list[tuple[str, dict[str, list[int]]]]", commit.result["noted"]) for commit in commits)
        noted = merge_notes([each for noted in found for each in noted])
        if noted:
            self.facts["reading"] = {code: each.documents for code, each in noted.items()}
            self.warnings.extend(each.describe(code) for code, each in noted.items())

    def _note_languages(self, commits: Sequence[Commit]) -> None:
        """Count what documents say of their language against their tag."""
        self.warnings.extend(describe_unknown_tags(self.tally))
        if self.request.recipe.language is None:
            return
        counted = [cast("dict[str, int]", commit.result["languages"]) for commit in commits]
        contradicted, mixed = (sum(counts[name] for counts in counted) for name in ("contradicted", "mixed"))
        self.facts["language"] = {"tag_contradicted_by_script": contradicted, "in_several_languages": mixed}
        self.warnings.extend(describe_contradicted_tags(contradicted))

    def _judge_errors(self) -> None:
        """`max_error_rate`, judged once, after all input is read."""
        limit = self.request.recipe.max_error_rate
        if is_exceeded(self.tally, limit):
            tables = [read_table(part.path("failed")) for part in self.parts if part.failures]
            written = local_folder(self.directory.phase("failed")) / "part-00000.parquet"
            write_parquet(written, FAILED_SCHEMA, iter(tables), "zstd")
            publish(written, make_folder(self.directory.failed) / written.name)
            raise make_refusal(self.tally, limit, count_failures(tables), self.files, self.request.resuming)
        self.warnings.extend(describe_unread_files(self.tally, self.files))

    def _relate(self, name: str, parts: list[Part], *, children: bool = False) -> list[Part]:
        folder = self.directory.phase(f"relate-{name}{'-children' if children else ''}")
        corpus = Corpus(tuple(part for part in parts if part.rows), self.executor, folder, has_children=children)
        file = place_of(self.pipeline.stage(name).relate(corpus))
        release(folder)
        if not children:
            facts = facts_in(read_schema(local_file(file)))
            self.facts[name] = facts
            self.warnings.extend(f"{name}: {told}" for told in self.pipeline.stage(name).remarks(facts))
        return [part.with_relation(name, file) if part.is_derived or not children else part for part in parts]

    def _judge(self, phase: Phase, parts: list[Part], *, closes: bool) -> list[Part]:
        self.passes += 1
        folder = self.directory.phase(f"judge-{self.passes}")
        states = tuple((name, self.states[name]) for name in phase.stages if name in self.states)
        task = JudgeTask(self.recipe, phase.stages, phase.observers, states, closes)
        commits = self.executor.map(folder, task, parts, self.pipeline.resources((*phase.stages, *phase.observers)))
        for commit in commits:
            self.tally.add(tally_rows(commit))
        if closes:
            self._kept_bytes = {commit.name: commit.integer("kept_bytes") for commit in commits}
        self._summaries = {name: [commit.path(f"{name}.summary") for commit in commits] for name in phase.observers}
        return [part.with_judged(str(folder)) for part in parts]

    def _fit(self, name: str) -> None:
        stage = self.pipeline.stage(name)
        folder = self.directory.phase("fit")
        commit = committed(folder, name)
        if commit is None:
            pieces = stage.divide(merge_all(stage, self._summaries[name]))
            inputs = [FitInput(index, piece) for index, piece in enumerate(pieces)]
            fitted = self.executor.map(folder / name, FitTask(self.recipe, name), inputs)
            outputs = Outputs(folder, name)
            write_state(outputs.path("state"), stage.join([load_state(part.place("state")) for part in fitted]))
            commit = outputs.commit({})
        self._take_state(name, commit)

    def _take_state(self, name: str, commit: Commit) -> None:
        self.states[name] = commit.place("state")
        facts = dict(self.pipeline.stage(name).facts(load_state(self.states[name])))
        self.facts[name] = {**cast("dict[str, object]", self.facts.get(name, {})), **facts}

    def _derive(self, name: str, phases: Sequence[Phase]) -> None:
        """Make children, and take them through every document stage that comes before."""
        states = tuple(self.states.items())
        fitted = state_of(name, states)
        if not self.pipeline.stage(name).has_candidates(fitted):
            return
        folder = self.directory.phase("derive")
        originals = [part for part in self.parts if not part.is_derived]
        task = DeriveTask(self.recipe, name, states)
        made = self.executor.map(
            folder, task, [DeriveInput(part) for part in originals], self.pipeline.stage(name).resources
        )
        tables = [read_table(commit.path("made")) for commit in made]
        stops = find_stops(tables, self.pipeline.stage(name).most_tokens(fitted))
        inputs = [AdmitInput(part, commit.place("made")) for part, commit in zip(originals, made, strict=True)]
        commits = self.executor.map(folder / "admit", AdmitTask(self.recipe, name, states, stops), inputs)
        for commit in commits:
            self.tally.add(tally_rows(commit))
        refused = refusals([cast("dict[str, dict[str, int]]", commit.result["refused"]) for commit in made])
        counted = {
            "in_another_language": sum(reasons.get(IN_ANOTHER_LANGUAGE, 0) for reasons in refused.values()),
            "beyond_share": sum(int((~stays(table, stops)).sum()) for table in tables),
            "refused": refused,
        }
        self.facts[name] = {**cast("dict[str, object]", self.facts.get(name, {})), **counted}
        fed = {language for table in tables for language in table["language"].to_pylist()}
        for language in sorted(refused.keys() - fed):
            why = ", ".join(f"{reason} {count:,}" for reason, count in refused[language].items())
            self.warnings.append(f"{name} made no text in {language} that passes its gate: {why}")
        first_row = sum(part.rows for part in self.parts)
        children = [part for part in parts_of(commits, first_row, derived=True) if part.rows]
        if not children:
            return
        document_passes = [phase for phase in phases if phase.kind == "judge"][:-1]  # the last one closes the run
        for phase in phases:
            if phase.kind == "relate":
                both = self._relate(phase.stages[0], [*self.parts, *children], children=True)
                children = both[len(self.parts) :]
            elif phase in document_passes:
                observers = tuple(stage for stage in phase.observers if self.pipeline.stage(stage).repeats)
                children = self._judge(replace(phase, observers=observers), children, closes=False)
        self.parts = [*self.parts, *children]

    def _settle(self, name: str) -> None:
        """Fit again with the children that survived; nothing to do where there are none."""
        if not any(part.is_derived for part in self.parts):
            return
        summaries = self._summaries[name]
        stage = self.pipeline.stage(name)
        folder = self.directory.phase("settle")
        commit = committed(folder, name)
        if commit is None:
            outputs = Outputs(folder, name)
            children = merge_all(stage, summaries)
            write_state(outputs.path("state"), stage.settle(load_state(self.states[name]), children))
            commit = outputs.commit({})
        self._take_state(name, commit)

    def _write(self) -> Manifest:
        folder = self.directory.phase("write")
        groups = list(self._groups())
        commits = self.executor.map(folder, WriteTask(self.recipe), groups)
        problems = unbalanced(self.tally)
        if problems:
            raise AssertionError("; ".join(problems))
        files: list[dict[str, object]] = []
        for kind in WRITTEN:
            number = 0
            for commit in commits:
                described = cast("dict[str, dict[str, object]]", commit.result["files"]).get(kind)
                if described is None:
                    continue
                name = f"part-{number:05d}.parquet"
                hand_over(commit, kind, make_folder(self.directory.root / kind) / name)
                files.append({"path": f"{kind}/{name}", **described})
                number += 1
            self.directory.keep_only(kind, [f"part-{index:05d}.parquet" for index in range(number)])
        files.extend(self._leave())
        examples = [example for commit in commits for example in cast("list[object]", commit.result["examples"])]
        manifest = self._manifest(files, examples)
        data = dump_manifest(manifest)
        from curator.report.build import write_report

        # As it will be read: `curator report` writes the same bytes again. It shows no single file.
        shown = {**manifest, "input": [], "funnel": rows_without_files(manifest)}
        write_report(self.directory, parse_manifest(dump_manifest(shown)))
        put(self.directory.manifest, data)
        if not self.request.keep_work:
            self.directory.remove_work()
        return manifest

    def _leave(self) -> Iterator[dict[str, object]]:
        """Put what stages leave for later runs into the run directory; describes each file."""
        name = run_name(self.request.recipe.name, self._fingerprint())
        stages = [stage.name for stage in self.pipeline.stages]
        for number, stage in enumerate(self.pipeline.stages, 1):
            if stage.leaves is None:
                continue
            parts = tuple(part for part in self.parts if part.rows)
            corpus = Corpus(parts, self.executor, self.directory.phase(f"leave-{stage.name}"))
            left = stage.leave(corpus, name, stages[:number])
            if left is None:
                continue
            folder = make_folder(self.directory.root / left.folder)
            for file, source in sorted(left.files.items()):
                described = {"rows": left.rows, "bytes": source.stat().st_size, "sha256": file_sha256(source)}
                publish(source, folder / file)
                yield {"path": f"{left.folder}/{file}", **described}
            self.directory.keep_only(left.folder, [*left.files])

    def _fingerprint(self) -> str:
        identity = {name: group for name, group in self.components.items() if name != "input"}
        return fingerprint.digest({**identity, "input": self.digests})

    def _groups(self) -> Iterator[Group]:
        """Parts gathered until their kept text fills a shard; what the parts hold decides, nothing else."""
        kept = self._kept_bytes
        limit = self.request.recipe.output.shard_limit(sum(kept.values()))
        pending: list[Part] = []
        size = index = 0
        for part in self.parts:
            if pending and size and size + kept[part.name] > limit:
                yield Group(index, tuple(pending))
                index, pending, size = index + 1, [], 0
            pending.append(part)
            size += kept[part.name]
        if pending:
            yield Group(index, tuple(pending))

    def _manifest(self, files: list[dict[str, object]], examples: list[object]) -> Manifest:
        pipeline = self.pipeline
        languages = self.tally.names("lang")
        return {
            "format": FORMAT,
            "recipe": pipeline.recorded_recipe().model_dump(mode="json"),
            "origins": self.origins,
            "fingerprint": self._fingerprint(),
            "code": self.components["code"],
            "versions": self.components["versions"],
            "models": self.components["models"],
            "input": [
                {"name": file.name, "bytes": file.size, "digest": self.digests[file.name]} for file in self.files
            ],
            "files": files,
            "token": token_name(pipeline.recipe.tokenizer),
            "funnel": self.tally.rows(),
            "erased": {"kept": 0, "dropped": 0},
            "facts": self.facts,
            "coverage": {
                stage.name: {lang: note for lang in languages if (note := stage.coverage(_list_language(lang)))}
                for stage in pipeline.stages
            },
            "examples": examples,
            "warnings": self.warnings,
        }


def _list_language(tag: str) -> str:
    from curator.language.tags import list_language

    return list_language(tag)


def _digests(commit: Commit) -> list[tuple[str, str]]:
    """The splits that a task read: their files and digests."""
    return cast("list[tuple[str, str]]", commit.result["digests"])
