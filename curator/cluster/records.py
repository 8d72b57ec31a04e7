"""The runs that were submitted from here: a small file each, for `curator runs`.

They lie in CURATOR_STATE, else in `curator` below XDG_STATE_HOME, else in ~/.local/state/curator; readable by the owner
alone. What a run is and how far it is says its run directory; a record only tells where that is, and how to submit it
again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from curator.cluster.specification import Specification, absolute
from curator.errors import UserError
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
    before = os.umask(0o077)
    try:
        put(path, record.model_dump_json(indent=1).encode())
    finally:
        os.umask(before)


def remove_record(run: str) -> None:
    """Forget a run that was refused."""
    (_folder() / f"{run}.json").unlink(missing_ok=True)


def find_record(given: str) -> RunRecord:
    """The run with this id, or the only one whose id begins so, or whose run directory this is. UserError otherwise."""
    records = list(all_records())
    place = absolute(given)
    found = [record for record in records if record.specification.output == place]
    found = found or [record for record in records if given and record.id.startswith(given.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(record.id for record in found)
        raise UserError(f"{given!r} is more than one run: {ids}", hint="give more of the id")
    raise UserError(f"no run {given!r} was submitted from here", hint="`curator runs list` shows those that were")


def all_records() -> Iterator[RunRecord]:
    """All runs that were submitted from here, the last one first."""
    folder = _folder()
    paths = [path for path in folder.glob("*.json") if _ID.fullmatch(path.stem)] if folder.is_dir() else []
    records = [_read(path) for path in paths]
    yield from sorted(records, key=lambda record: record.submitted, reverse=True)


def _read(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise UserError(
            "is not a record of a run", file=str(path), hint="written by another version? remove it"
        ) from error


def _folder() -> Path:
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given) / "runs"
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "curator" / "runs"
