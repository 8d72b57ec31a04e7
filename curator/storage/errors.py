"""Errors of object storage in our words. The library's message is not copied: it may quote what a server sent."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from curator.errors import AGAIN, DataError, TransientError, UserError

if TYPE_CHECKING:
    from curator.storage.path import StoragePath

_CODE = re.compile(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))?")
_NAME = re.compile(r"ExceptionName: ([A-Za-z]{1,60})")
"""What the SDK has no code of its own for."""

_DENIED = frozenset(
    {
        "ACCESS_DENIED",
        "INVALID_ACCESS_KEY_ID",
        "INVALID_CLIENT_TOKEN_ID",
        "INVALID_SIGNATURE",
        "MISSING_AUTHENTICATION_TOKEN",
        "SIGNATURE_DOES_NOT_MATCH",
        "UNRECOGNIZED_CLIENT",
        "ExpiredToken",
        "InvalidToken",
    }
)
_GOES_BY = frozenset({"INTERNAL_FAILURE", "REQUEST_TIMEOUT", "SERVICE_UNAVAILABLE", "SLOW_DOWN", "THROTTLING"})


def storage_failure(error: OSError, path: StoragePath) -> UserError | TransientError:
    """The error of ours that an OSError of a pyarrow filesystem is: UserError where trying again does not help."""
    place = str(path)
    if error.errno == errno.ENOENT:
        return UserError("there is no such object", file=place, hint="check the bucket and the name")
    message = str(error)
    match = _CODE.search(message)
    code, status = (match[1], match[2]) if match else ("", None)
    if code == "UNKNOWN" and (named := _NAME.search(message)):
        code = named[1]
    if code in _DENIED or status in ("401", "403"):
        return UserError(
            "access is denied",
            file=place,
            hint="check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they are allowed to do with this bucket",
        )
    if code == "NO_SUCH_BUCKET":
        return no_bucket(path)
    if code == "NETWORK_CONNECTION":
        return TransientError(
            "the storage cannot be reached",
            file=place,
            hint=f"check AWS_ENDPOINT_URL and the network, then {AGAIN}",
        )
    if status == "301" or code == "PermanentRedirect":
        return UserError("the bucket lies in another region", file=place, hint="set AWS_REGION to the bucket's")
    if code in _GOES_BY or code == "" or (status or "").startswith("5"):
        hint = AGAIN if path.scheme == "s3" else f"check the credentials and the network, then {AGAIN}"
        return TransientError(f"the storage failed{f' ({code})' if code else ''}", file=place, hint=hint)
    return UserError(f"the storage refused ({code})", file=place, hint="check the name, the bucket and its policy")


def no_bucket(path: StoragePath) -> UserError:
    """That there is no such bucket."""
    return UserError(
        f"there is no bucket {path.bucket!r}", file=str(path), hint="make it, or check the name and AWS_ENDPOINT_URL"
    )


def changed(name: str) -> DataError:
    """That an input object is not what it was."""
    return DataError(
        "is not what it was when the run began",
        file=name,
        hint="input must not change in a run: run into another directory",
    )


def gone(name: str) -> DataError:
    """That an object went away while it was needed."""
    return DataError("cannot be read any more: there is no such object", file=name, hint="it was there before")
