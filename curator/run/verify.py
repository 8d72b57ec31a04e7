"""Proving that a run directory is what its manifest says: files, hashes, rows, and that no document was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import cast

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.errors import DataError
from curator.run.directory import RunDirectory
from curator.run.journal import is_crash
from curator.run.manifest import load_manifest
from curator.run.phases.write import file_sha256
from curator.run.rewrite import pending
from curator.run.tally import CREATED, ERASED, FAILED, FILE, HELD, IN, KEPT, Tally, parse_event
from curator.storage.parquet import parquet_table
from curator.storage.path import matching, readable, relative_name
from curator.verdict import DROP

_KINDS = ("shards", "heldout", "scores", "decisions", "failed", "index")


@dataclass
class Verification:
    """What was checked, and what is wrong."""

    files: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)

    def raise_if_wrong(self, directory: RunDirectory) -> None:
        """DataError with the first problems."""
        if self.problems:
            more = f" and {len(self.problems) - 3} more" if len(self.problems) > 3 else ""
            hint = "put back what was written, or make the run again in another directory"
            error = DataError("; ".join(self.problems[:3]) + more, file=str(directory.root), hint=hint)
            error.answer = asdict(self)
            raise error


def verify(directory: RunDirectory) -> Verification:
    """Check every file of a finished run against the manifest, and the conservation of documents."""
    manifest = load_manifest(directory.manifest)
    found = Verification()
    if pending(directory.root) is not None:
        found.problems.append("a `curator forget` was interrupted; run that again")
    listed: set[str] = set()
    for entry in cast("list[dict[str, object]]", manifest["files"]):
        name = cast("str", entry["path"])
        listed.add(name)
        path = directory.root / name
        found.files += 1
        if not path.is_file():
            found.problems.append(f"{name} is missing")
        elif path.stat().st_size != entry["bytes"] or file_sha256(path) != entry["sha256"]:
            found.problems.append(f"{name} is not as it was written")
        elif name.endswith(".parquet"):
            rows = pq.read_metadata(readable(path)).num_rows
            found.rows += rows
            if rows != entry["rows"]:
                found.problems.append(f"{name} has {rows} rows, not {entry['rows']}")
    for kind in _KINDS:
        for path in matching(directory.root / kind, "**/*"):
            name = relative_name(path, directory.root)
            if name not in listed and not path.is_dir():
                found.problems.append(f"{name} is not in the manifest")
    if not found.problems:
        erased = cast("dict[str, int]", manifest.get("erased", {}))
        found.problems.extend(_conservation(directory, Tally(cast("list[list[object]]", manifest["funnel"])), erased))
    return found


def unbalanced(tally: Tally) -> list[str]:
    """Where `in + created = kept + held out + erased + dropped + failed` does not hold, over all and for each file."""
    problems = []
    for dimension, name in [("all", ""), *((FILE, name) for name in tally.names(FILE))]:
        events = tally.events(dimension, name)
        dropped = sum(
            numbers[0] for event, numbers in events.items() if (verdict := parse_event(event)) and verdict[1] == DROP
        )
        came = sum(events.get(event, (0, 0, 0))[0] for event in (IN, FAILED, CREATED))
        went = sum(events.get(event, (0, 0, 0))[0] for event in (KEPT, HELD, ERASED, FAILED)) + dropped
        if came != went:
            problems.append(f"{name or 'in all'}: {came} documents came in, {went} are accounted for")
    return problems


def _crashed(tally: Tally) -> int:
    """Documents that were read, and dropped since they killed the process that judged them: failed/ names them too."""
    events = tally.events()
    return sum(events[event][0] for event in events if (verdict := parse_event(event)) and is_crash(verdict[2]))


def _conservation(directory: RunDirectory, tally: Tally, erased: Mapping[str, int]) -> list[str]:
    """Count the documents in the Parquet files themselves and hold them against the funnel. `erased` are documents that
    were forgotten since, `kept` and `dropped` ones: they are counted, and have no rows."""
    kept: Counter[str] = Counter()
    for path in matching(directory.shards, "*.parquet"):
        table = parquet_table(path, ["copy"])
        kept["kept"] += pc.sum(pc.equal(table["copy"], 0)).as_py() or 0
        kept["copies"] += pc.sum(pc.greater(table["copy"], 0)).as_py() or 0
    held = sum(pq.read_metadata(readable(path)).num_rows for path in matching(directory.heldout, "*.parquet"))
    seen = sum(pq.read_metadata(readable(path)).num_rows for path in matching(directory.scores, "*.parquet"))
    failed = sum(pq.read_metadata(readable(path)).num_rows for path in matching(directory.failed, "*.parquet"))
    dropped = 0
    for path in matching(directory.decisions, "*.parquet"):
        actions = parquet_table(path, ["action"])["action"]
        dropped += pc.sum(pc.equal(actions, DROP)).as_py() or 0
    problems = unbalanced(tally)
    come = tally.documents(IN) + tally.documents(CREATED) - sum(erased.values())
    for label, here, there in (
        ("kept", kept["kept"], tally.documents(KEPT)),
        ("held out", held, tally.documents(HELD)),
        ("copies", kept["copies"], tally.documents("copies")),
        ("failed", failed, tally.documents(FAILED) + _crashed(tally)),
        ("erased", erased.get("kept", 0), tally.documents(ERASED)),
        ("seen", seen, come),
        ("kept, held out and dropped", kept["kept"] + held + dropped, come),
    ):
        if here != there:
            problems.append(f"{label}: {here} documents in the files, {there} in the funnel")
    return problems
