"""A run that has succeeded, in the directory that it made."""

from __future__ import annotations

from dataclasses import dataclass

from curator.errors import DataError
from curator.run.directory import RunDirectory
from curator.run.manifest import Manifest, load_manifest
from curator.storage.path import as_path


@dataclass(frozen=True)
class FinishedRun:
    """A run that has succeeded: its directory, and the manifest in it."""

    directory: RunDirectory
    manifest: Manifest


def open_finished(run: str, output: str, fingerprint: str | None) -> FinishedRun:
    """The run that has succeeded in a directory, with the fingerprint that it told, where that is known. UserError
    where the directory is gone, DataError where it is damaged or now is that of another run: nothing must be told as if
    it had none, or from what is not its own."""
    directory = RunDirectory(as_path(output))
    manifest = load_manifest(directory.manifest)
    # Where both are the same, so are the bytes, whoever made them.
    if fingerprint not in (None, manifest["fingerprint"]):
        hint = "its directory was removed, and another run was made there"
        raise DataError(f"{output} holds another run than {run}", hint=hint)
    return FinishedRun(directory, manifest)
