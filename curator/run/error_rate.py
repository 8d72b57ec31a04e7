"""`max_error_rate`: when so much of the input could not be read that a run stops.

A few broken records never stop one, whatever their share: an input of three documents may have one that is broken. But
an input of which nothing could be read is none, however small it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from curator.errors import DataError
from curator.readers.base import InputFile
from curator.readers.detect import is_misnamed
from curator.run.failures import SHOWN, Failures, describe_failures
from curator.run.tally import FAILED, FILE, IN, Tally

ERROR_FLOOR = 100
"""Failed records up to this number never stop a run of which others could be read."""


def is_exceeded(tally: Tally, limit: float) -> bool:
    """Whether more records failed than the share `limit` allows, once all input is read."""
    failed, read = tally.documents(FAILED), tally.documents(IN)
    return failed > limit * (failed + read) and (failed > ERROR_FLOOR or read == 0)


def make_refusal(tally: Tally, limit: float, found: Sequence[Failures], files: Sequence[InputFile]) -> DataError:
    """What stops the run on these files: what failed where, and how to go on."""
    failed, read = tally.documents(FAILED), tally.documents(IN)
    records = failed + read
    share = failed / records
    go_on = "go on with what could be read, which is kept" if read else "where a run without documents will do, go on"
    misnamed = any(file.name == found[0].file and is_misnamed(file) for file in files)
    why = "the file is not compressed, though its name says so; " if misnamed else ""
    return DataError(
        f"{failed:,} of {records:,} {'record' if records == 1 else 'records'} could not be read "
        f"({share:.2%}, allowed {limit:.2%}): {describe_failures(found)}",
        hint=f"{why}{found[0].meaning.advice}; or {go_on}: --resume --set max_error_rate={min(share + 0.005, 1):.2f}",
    )


def describe_unread_files(tally: Tally) -> list[str]:
    """A line, where there are files of which nothing could be read."""
    unread = [name for name in tally.names(FILE) if not tally.documents(IN, FILE, name)]
    if not unread:
        return []
    more = f" and {len(unread) - SHOWN:,} more" if len(unread) > SHOWN else ""
    files = "1 file" if len(unread) == 1 else f"{len(unread):,} files"
    return [f"of {files} nothing could be read: {', '.join(unread[:SHOWN])}{more}"]
