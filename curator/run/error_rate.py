"""`max_error_rate`: when so much of the input could not be read that a run stops.

A few broken records never stop one, whatever their share: an input of three documents may have one that is broken.
Files of which nothing could be read are named in a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curator.errors import AGAIN, RESUME, DataError
from curator.readers.base import InputFile
from curator.readers.detect import is_misnamed
from curator.run.failures import SHOWN, Failures, describe_failures
from curator.run.tally import FAILED, FILE, IN, Tally

MISNAMED = "is not compressed, though its name says so"

ERROR_FLOOR = 100
"""Failed records up to this number never stop a run, whatever their share."""


@dataclass(frozen=True)
class Resuming:
    """How whoever asked for a run goes on with it, in the words of hints: as it was, and where too many records failed,
    with the `share` that did in it."""

    again: Mapping[str, str]
    allowing: str


BY_COMMAND = Resuming(
    RESUME, "or go on with what could be read, which is kept: --resume --set max_error_rate={share:.2f}"
)
BY_CLIENT = Resuming(
    {AGAIN: "resume the run", "--set input.": "the recipe's input."},
    "or resume the run with max_error_rate {share:.2f}: it goes on with what could be read, which is kept",
)
"""Of a service or of a cluster: by `curator runs resume`, over REST, or on the page."""

BY_CALIBRATION = Resuming({}, "or calibrate on what can be read: --set max_error_rate=1")
"""A run for its scores, which are gone when it fails."""


def is_exceeded(tally: Tally, limit: float) -> bool:
    """Whether more records failed than the share `limit` allows, once all input is read."""
    failed, read = tally.documents(FAILED), tally.documents(IN)
    return failed > ERROR_FLOOR and failed > limit * (failed + read)


def make_refusal(
    tally: Tally, limit: float, found: Sequence[Failures], files: Sequence[InputFile], resuming: Resuming = BY_COMMAND
) -> DataError:
    """What stops the run on these files: what failed where, and how to go on."""
    failed, read = tally.documents(FAILED), tally.documents(IN)
    records = failed + read
    share = failed / records
    misnamed = any(file.name == found[0].file and is_misnamed(file) for file in files)
    why = f"the file {MISNAMED}; " if misnamed else ""
    return DataError(
        f"{failed:,} of {records:,} records could not be read ({share:.2%}, allowed {limit:.2%}): "
        f"{describe_failures(found)}",
        hint=f"{why}{found[0].meaning.advice}; {resuming.allowing.format(share=min(share + 0.005, 1))}",
    )


def describe_unread_files(tally: Tally, files: Sequence[InputFile]) -> list[str]:
    """A line, where there are files of which nothing could be read, or where no file has anything to read."""
    if not tally.documents(IN) + tally.documents(FAILED):
        return ["nothing was read: " + ("the file has no document" if len(files) == 1 else "no file has a document")]
    names = {name for name in tally.names(FILE) if not tally.documents(IN, FILE, name)}
    unread = [file for file in files if file.name in names]
    if not unread:
        return []
    shown = [f"{file.name} ({MISNAMED})" if is_misnamed(file) else file.name for file in unread[:SHOWN]]
    more = f" and {len(unread) - SHOWN:,} more" if len(unread) > SHOWN else ""
    count = "1 file" if len(unread) == 1 else f"{len(unread):,} files"
    return [f"of {count} nothing could be read: {', '.join(shown)}{more}"]
