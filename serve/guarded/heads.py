"""The first bytes of inputs, by which a submission is checked. What is compressed the limited process unpacks."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from curator.readers.base import InputFile
from curator.readers.detect import read_heads
from curator.storage.path import StoragePath, as_path
from serve.guarded.call import Guard
from serve.guarded.read import HeadsAnswer, HeadsQuestion, PackedFile
from serve.problems import ProblemError

SEARCH_SECONDS = 20.0
"""How long the file that is too much is looked for among others, before their number is told instead."""


def read_guarded_heads(guard: Guard, files: Sequence[InputFile]) -> list[bytes]:
    """`read_heads`, which unpacks nothing in this process. ProblemError where the limits do not allow it, or others
    are asking."""
    packed = [file for file in files if file.compression != "none"]
    unpacked = iter(_unpack(guard, packed, time.monotonic() + SEARCH_SECONDS) if packed else ())
    plain = iter(read_heads([file for file in files if file.compression == "none"]))
    return [next(plain if file.compression == "none" else unpacked) for file in files]


def _unpack(guard: Guard, files: Sequence[InputFile], until: float) -> list[bytes]:
    """The first bytes of compressed files. Those that are too much together are asked for by halves, as long as there
    is time."""
    try:
        return _ask(guard, files)
    except ProblemError as error:
        if error.problem.code != "preview.failed":
            raise
        if len(files) == 1 or time.monotonic() > until:
            raise _refused(files, error.problem.detail) from error
    middle = len(files) // 2
    return _unpack(guard, files[:middle], until) + _unpack(guard, files[middle:], until)


def _ask(guard: Guard, files: Sequence[InputFile]) -> list[bytes]:
    with ExitStack() as held:
        beginnings = [_beginning(file) for file in files]
        descriptors = [None if data is None else held.enter_context(_in_memory(data)) for data in beginnings]
        asked = tuple(
            PackedFile(
                path=file.path,
                name=file.name,
                size=file.size,
                compression=file.compression,
                etag=file.etag,
                beginning=None if descriptor is None else f"/proc/self/fd/{descriptor}",
                held=len(data or b""),
            )
            for file, data, descriptor in zip(files, beginnings, descriptors, strict=True)
        )
        given = [descriptor for descriptor in descriptors if descriptor is not None]
        answer = HeadsAnswer.model_validate(guard.ask(HeadsQuestion(files=asked), given))
    if answer.error is not None:
        raise answer.error.as_error()
    return [base64.b64decode(head) for head in answer.heads]


def _beginning(file: InputFile) -> bytes | None:
    """The first bytes of an object as they lie, which were fetched when it was looked at: so that it need not be gone
    to again. None for a file, and where they are not here any more."""
    path = as_path(file.path)
    if not isinstance(path, StoragePath):
        return None
    from curator.storage.ranges import Version, kept_beginning

    return kept_beginning(path, Version(file.size, file.etag or ""))


@contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    """The descriptor of a file that lies on no disk."""
    descriptor = os.memfd_create("beginning")
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(data)
        file.flush()
        yield descriptor


def _refused(files: Sequence[InputFile], detail: str) -> ProblemError:
    which = files[0].path if len(files) == 1 else f"one of {len(files)} compressed inputs, the first {files[0].path}"
    return ProblemError(
        "run.refused",
        f"{which}: its first bytes could not be unpacked within the limits: {detail}",
        hint="unpack it, or compress it again as its compressor does without options",
    )
