"""The runs that were submitted from here: a small file each, for `curator runs`.

They lie in CURATOR_STATE, else in `curator` below XDG_STATE_HOME, else in ~/.local/state/curator; readable by the owner
alone. What a run is and how far it is says its run directory; a record only tells where that is, and how to submit it
again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from curator.cluster.specification import Specification, absolute
from curator.errors import DataError, UserError
from curator.run.store import OWNER_ONLY, make_folder, put
from curator.storage.path import AnyPath, as_path

STATE_VARIABLE = "CURATOR_STATE"

_ID = re.compile(r"[0-9a-f]{12}")


class RunRecord(BaseModel):
    """A run as it was submitted. `submitted` is in seconds since 1970, of the last attempt; `submission` is its id in
    Ray Jobs; `install` says whether the nodes install packages for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    address: str
    submission: str
    submitted: float
    install: bool
    specification: Specification

    @property
    def directory(self) -> AnyPath:
        """The run directory."""
        return as_path(self.specification.output)


def save_record(record: RunRecord) -> None:
    """Write a record, in place of an earlier one of the same run."""
    path = _folder() / f"{record.id}.json"
    make_folder(path.parent.parent, OWNER_ONLY)
    make_folder(path.parent, OWNER_ONLY)
    # The folder is the owner's alone; so is the file, should somebody move it.
    put(path, record.model_dump_json(indent=1).encode(), mode=0o600)


def remove_record(run: str) -> None:
    """Forget a run that was refused."""
    (_folder() / f"{run}.json").unlink(missing_ok=True)


@dataclass(frozen=True)
class Records:
    """The runs that were submitted from here, the last one first; and what is wrong with records that cannot be read,
    by the id that their files are named after."""

    runs: tuple[RunRecord, ...]
    damaged: Mapping[str, DataError]


def find_record(given: str) -> RunRecord:
    """The run with this id, or the only one whose id begins so, or whose run directory this is. UserError where there
    is none or more than one, DataError where its record cannot be read; those of others do not matter."""
    records = read_records()
    place = absolute(given)
    by_id = {record.id: record for record in records.runs}
    found = [record.id for record in records.runs if record.specification.output == place]
    found = found or [run for run in (*by_id, *records.damaged) if given and run.startswith(given.lower())]
    if len(found) > 1:
        raise UserError(f"{given!r} is more than one run: {', '.join(found)}", hint="give more of the id")
    if not found:
        hint = "`curator runs list` shows those that were"
        raise UserError(
            f"no run {given!r} was submitted from here",
            hint=f"{hint}, and names the records that cannot be read" if records.damaged else hint,
        )
    (run,) = found
    if run in records.damaged:
        raise records.damaged[run]
    return by_id[run]


def read_records() -> Records:
    """All records; one that cannot be read hides no other."""
    folder = _folder()
    runs: list[RunRecord] = []
    damaged: dict[str, DataError] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        if _ID.fullmatch(path.stem):
            try:
                runs.append(_read(path))
            except DataError as error:
                damaged[path.stem] = error
    return Records(tuple(sorted(runs, key=lambda record: record.submitted, reverse=True)), damaged)


def _read(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise DataError(
            "is not a record of a run", file=str(path), hint="written by another version? remove it"
        ) from error


def _folder() -> Path:
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given) / "runs"
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "curator" / "runs"
