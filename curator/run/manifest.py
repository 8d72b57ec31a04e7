"""The manifest: what a finished run is. Written last; it holds no time, host, engine, worker count or absolute path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

import msgspec

from curator.errors import DataError, UserError
from curator.storage.path import AnyPath, matching, relative_name

Manifest: TypeAlias = "dict[str, object]"

FORMAT = 1

_KEYS = {"recipe", "fingerprint", "versions", "files", "funnel", "facts", "coverage", "examples", "warnings"}


def run_name(recipe: str, fingerprint: str) -> str:
    """How later runs name this one: its recipe, and the beginning of its fingerprint."""
    return f"{recipe}-{fingerprint[:8]}"


def parse_manifest(data: bytes) -> Manifest:
    """The manifest of the bytes that `dump_manifest` made. ValueError where they are no JSON."""
    return cast("Manifest", msgspec.json.decode(data))


def dump_manifest(manifest: Mapping[str, object]) -> bytes:
    """The manifest as bytes, the same for the same values."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1) + b"\n"


def load_manifest(path: AnyPath) -> Manifest:
    """The manifest of a run. UserError when the run has none, DataError when it cannot be read."""
    try:
        manifest = parse_manifest(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        unfinished = (path.parent / "events").is_dir()
        hint = "finish it with `curator process … --resume`" if unfinished else "is this a run directory?"
        state = "the run is not finished: it has no manifest.json" if unfinished else "there is no manifest.json"
        if not path.parent.exists():
            state, hint = "there is no such directory", "a run is in the directory that `-o` named"
        raise UserError(state, file=str(path.parent), hint=hint) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except ValueError as error:
        raise DataError("is not valid JSON", file=str(path)) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"is not a manifest of format {FORMAT}", file=str(path), hint="made by another version?")
    missing = sorted(_KEYS - set(manifest))
    if missing:
        raise DataError(f"lacks {', '.join(missing)}", file=str(path), hint="it is not as it was written")
    return manifest


def need_files(path: AnyPath, manifest: Manifest, *kinds: str) -> None:
    """DataError where a Parquet file of these folders is not there that the manifest at `path` lists: what the others
    say would be taken for all that there is."""
    root = path.parent
    there = {relative_name(file, root) for kind in kinds for file in matching(root / kind, "*.parquet")}
    for entry in cast("list[dict[str, object]]", manifest["files"]):
        name = cast("str", entry["path"])
        if name.partition("/")[0] in kinds and name not in there:
            raise DataError("is missing", file=str(root / name), hint="`curator verify` tells what is damaged")
