"""Forgetting documents of a finished run: `curator forget`.

A document goes with its copies, its children, and all that the record says of it: its rows in the Parquet files, the
examples that show it, and what stages left of it for later runs. Only files that hold something of it are written anew.
What is kept: numbers. A document that was kept moves in the funnel from `kept` to `erased`; one that was dropped stays
counted under the rule that dropped it, since the run does not know its source any more. `erased` in the manifest counts
both.

Where another document was dropped in its favour, the decision keeps the key of the forgotten one in the place of its
id: the id may be a name or an address, the key says only that there was a document. The decisions about the forgotten
document itself go as a whole, since scores, kinds and places of personal data are statements about its text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from curator.errors import DataError, UserError
from curator.recipe.model import Recipe
from curator.registry import stage_class
from curator.run import rewrite
from curator.run.directory import RunDirectory, RunLock
from curator.run.forget_files import RECORDED, Forgotten, find_documents, forget_examples, forget_rows
from curator.run.manifest import Manifest, dump_manifest, load_manifest, run_name
from curator.run.phases.write import file_sha256
from curator.run.prove import Proof, prove
from curator.run.rewrite import Rewrite
from curator.run.store import put
from curator.run.tally import Tally
from curator.run.verify import verify
from curator.stage import Parameters, Stage
from curator.storage.spool import fetched

Step = Callable[[str, str], None]


@dataclass(frozen=True)
class Change:
    """What was done to a file: rows taken out, and keepers whose id was replaced."""

    path: str
    rows_removed: int
    keepers_replaced: int = 0


@dataclass
class Outcome:
    """What `forget` did, and the proof."""

    documents: list[dict[str, object]]
    changed: list[Change] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[dict[str, object]] = field(default_factory=list)
    indexes: list[dict[str, object]] = field(default_factory=list)
    dropped_in_favour: int = 0
    finished_earlier: bool = False
    proof: Proof = field(default_factory=Proof)

    def as_json(self) -> dict[str, object]:
        """The outcome as JSON values."""
        return asdict(self)


def forget(
    directory: RunDirectory,
    names: Sequence[str],
    indexes: Sequence[Path] = (),
    step: Step = lambda _what, _name: None,
) -> Outcome:
    """Erase documents, given by id or key, from a run and from copies of its index. UserError when one of them is not
    there, DataError when the run is not as it was written: then nothing is changed. One that was killed is finished by
    the next call. `step` hears what is done."""
    load_manifest(directory.manifest)
    with RunLock(directory):
        earlier = _finish(directory, step)
        _check(directory)
        manifest = load_manifest(directory.manifest)
        found = find_documents(directory, names, done=cast("list[str]", earlier.get("names", [])))
        run = run_name(
            cast("str", cast("dict[str, object]", manifest["recipe"])["name"]), cast("str", manifest["fingerprint"])
        )
        outcome = Outcome([document.as_json() for document in found.documents], finished_earlier=bool(earlier))
        stages = _leaving_stages(manifest)
        keys = [document.key for document in found.documents]
        everything = [*keys, *(bytes.fromhex(key) for key in cast("list[str]", earlier.get("keys", [])))]
        for path in indexes:
            outcome.indexes.append(_forget_copy(path, stages, run, everything, step))
        if found.documents or found.earlier:
            changes = Rewrite(directory.root, step)
            try:
                _rewrite(directory, manifest, found, stages, run, outcome, changes)
            finally:
                changes.close()
                if rewrite.pending(directory.root) is None:
                    rewrite.discard(directory.root)
        gone = [*found.searched, *cast("list[str]", earlier.get("gone", []))]
        outcome.proof = prove(directory, everything, gone, stages)
        for path in indexes:
            outcome.proof.problems.extend(stages[0].holds(path, everything, gone))
        outcome.proof.raise_if_found(directory)
    return outcome


def _check(directory: RunDirectory) -> None:
    """DataError unless every file is as it was written: one that is written anew gets a hash of its own, and what was
    damaged in it would look whole ever after."""
    problems = verify(directory).problems
    if problems:
        hint = "nothing was changed; put back the files as they were, or make the run again"
        raise DataError("; ".join(problems[:3]), file=str(directory.root), hint=hint)


def _finish(directory: RunDirectory, step: Step) -> dict[str, object]:
    """Do what a call that was killed had begun; returns its note, empty where there was none."""
    note = rewrite.pending(directory.root)
    if note is not None:
        rewrite.apply(directory.root, step)
        _write_report(directory)
    rewrite.discard(directory.root)
    return note or {}


def _leaving_stages(manifest: Manifest) -> list[type[Stage[Parameters]]]:
    """The stages of the run that can leave something for later runs."""
    entries = cast("list[dict[str, object]]", cast("dict[str, object]", manifest["recipe"])["stages"])
    found = [stage_class(cast("str", entry["name"])) for entry in entries]
    return [stage for stage in found if stage.leaves is not None]


def _rewrite(
    directory: RunDirectory,
    manifest: Manifest,
    found: Forgotten,
    stages: Sequence[type[Stage[Parameters]]],
    run: str,
    outcome: Outcome,
    changes: Rewrite,
) -> None:
    funnel = Tally(cast("list[list[object]]", manifest["funnel"]))
    entries: list[dict[str, object]] = []
    recipe = Recipe.model_validate(manifest["recipe"])
    for entry in cast("list[dict[str, object]]", manifest["files"]):
        name = cast("str", entry["path"])
        if name.split("/")[0] not in RECORDED:
            entries.append(entry)
            continue
        result = forget_rows(directory.root / name, changes.path(name), found, recipe)
        outcome.dropped_in_favour += result.dropped
        if not result.changed:
            entries.append(entry)
            continue
        funnel.subtract(result.taken)
        funnel.merge(result.erased)
        outcome.changed.append(Change(name, result.removed, result.keepers))
        if result.described["rows"]:
            entries.append({"path": name, **result.described})
            changes.replace(name)
        else:
            outcome.removed.append(name)
            changes.remove(name)
    keys = [document.key for document in found.documents]
    for stage in stages:
        entries = _rewrite_left(directory, stage, run, keys, entries, changes, outcome)
    kept = sum(document.kept for document in found.documents)
    manifest = forget_examples({**manifest, "files": entries}, found)
    counts = cast("dict[str, int]", manifest.get("erased", {}))
    manifest["erased"] = {
        "kept": counts.get("kept", 0) + kept,
        "dropped": counts.get("dropped", 0) + len(keys) - kept,
    }
    manifest["funnel"] = funnel.rows()
    touched = {change.path for change in outcome.changed}
    outcome.unchanged = [
        {"path": entry["path"], "sha256": entry["sha256"]} for entry in entries if entry["path"] not in touched
    ]
    put(changes.path("manifest.json"), dump_manifest(manifest))
    changes.replace("manifest.json")
    if directory.work.exists():
        outcome.removed.append("work")
        changes.remove("work")
    changes.commit({"names": list(found.names), "keys": [key.hex() for key in keys], "gone": list(found.searched)})
    _write_report(directory)
    changes.step("report", "report.html")
    rewrite.discard(directory.root)


def _rewrite_left(
    directory: RunDirectory,
    stage: type[Stage[Parameters]],
    run: str,
    keys: Sequence[bytes],
    entries: list[dict[str, object]],
    changes: Rewrite,
    outcome: Outcome,
) -> list[dict[str, object]]:
    """Take documents out of what a stage left in the run. Returns what the manifest says of the files now."""
    folder = cast("str", stage.leaves)
    left = [entry for entry in entries if cast("str", entry["path"]).split("/")[0] == folder]
    if not left:
        return entries
    target = changes.path(f"{folder}/x").parent
    with fetched(directory.root / folder) as index:
        erased = stage.erase(index, run, keys, target)
    outcome.indexes.append({"path": folder, **asdict(erased)})
    if not any(target.iterdir()):
        return entries
    renewed: list[dict[str, object]] = []
    for entry in entries:
        name = cast("str", entry["path"])
        path = changes.path(name)
        if entry not in left:
            renewed.append(entry)
            continue
        counted = {**entry, "rows": cast("int", entry["rows"]) - erased.documents}
        if not path.exists():
            renewed.append(counted)
            continue
        renewed.append({**counted, "bytes": path.stat().st_size, "sha256": file_sha256(path)})
        outcome.changed.append(Change(name, erased.documents))
        changes.replace(name)
    return renewed


def _forget_copy(
    path: Path, stages: Sequence[type[Stage[Parameters]]], run: str, keys: Sequence[bytes], step: Step
) -> dict[str, object]:
    """Take documents out of a copy of the run's index that lies elsewhere."""
    if not stages:
        raise UserError("no stage of this run leaves an index", file=str(path), hint="leave out --index")
    if (path / "manifest.json").exists():
        raise UserError("is a run, not an index", file=str(path), hint="run `curator forget` on it")
    if path.resolve().name in {stage.leaves for stage in stages} and (path.resolve().parent / "manifest.json").exists():
        hint = "run `curator forget` on that run; the index of the run itself needs no `--index`"
        raise UserError("is part of a run, not a copy", file=str(path), hint=hint)
    if not path.is_dir():
        raise UserError("there is no index", file=str(path), hint="--index names a copy of the run's `index/`")
    if rewrite.pending(path) is not None:
        rewrite.apply(path, step)
    changes = Rewrite(path, step)
    try:
        target = changes.path("x").parent
        erased = stages[0].erase(path, run, keys, target)
        written = sorted(target.iterdir())
        for file in written:
            changes.replace(file.name)
        if written:
            changes.commit({})
    finally:
        if rewrite.pending(path) is None:
            rewrite.discard(path)
    rewrite.discard(path)
    return {"path": str(path), **asdict(erased)}


def _write_report(directory: RunDirectory) -> None:
    from curator.report.build import write_report

    write_report(directory, load_manifest(directory.manifest))
