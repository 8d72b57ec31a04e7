"""`curator forget`: what was taken out of a run, and the proof that it is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from curator.cli.output import counted, print_json, print_line
from curator.run.directory import RunDirectory
from curator.run.forget import Change, forget
from curator.storage.path import as_path


def forget_command(run: str, documents: Sequence[str], indexes: Sequence[Path], as_json: bool) -> None:
    """Erase documents from a finished run."""
    outcome = forget(RunDirectory(as_path(run)), documents, indexes)
    if as_json:
        print_json({"run": str(run), **outcome.as_json()})
        return
    if outcome.finished_earlier:
        print_line("finished what an interrupted call had begun")
    for document in outcome.documents:
        place = "it was kept" if document["kept"] else "it had been dropped"
        copies = f", with {counted(document['copies'], 'copy', 'copies')}" if document["copies"] else ""
        child = f", a child of {document['parent']}" if "parent" in document else ""
        print_line(f"forgotten: {document['id']} ({document['key']}): {place}{copies}{child}")
    for change in outcome.changed:
        if change.path.endswith(".parquet"):
            print_line(f"  {_tell(change)}")
    for name in outcome.removed:
        print_line(f"  {name}: removed")
    for found in outcome.indexes:
        print_line(f"  {found['path']}: {_tell_index(found)}")
    print_line("  manifest.json and report.html written again")
    print_line(f"  {counted(len(outcome.unchanged), 'other file')} unchanged: sha256 as before")
    proof = outcome.proof
    print_line(
        f"proof: searched {counted(proof.parquet_files, 'Parquet file')} with {counted(proof.rows, 'row')}, "
        f"{counted(proof.json_documents, 'JSON document')} and {counted(proof.left_folders, 'index', 'indexes')} "
        f"for the ids and keys: none is there; {counted(proof.verified_files, 'file')} verified"
    )
    if outcome.dropped_in_favour:
        print_line(
            f"note: {counted(outcome.dropped_in_favour, 'document')} dropped in favour of a forgotten one "
            "will not come back without a new run"
        )
    print_line(
        "note: the input still holds what was forgotten, and so may later runs and models: take it out of the input "
        "before the next run, and run `curator forget` on runs that were deduplicated against this one"
    )


def _tell_index(found: Mapping[str, object]) -> str:
    further = cast("Mapping[str, int]", found["further"])
    entries = {"document": cast("int", found["documents"]), **further}
    told = [counted(number, what) for what, number in entries.items() if number]
    return f"{' and '.join(told)} taken out" if told else "had nothing of it, and stays as it was"


def _tell(change: Change) -> str:
    told = []
    if change.rows_removed:
        told.append(f"{counted(change.rows_removed, 'row')} removed")
    if change.keepers_replaced:
        told.append(f"{counted(change.keepers_replaced, 'keeper')} named anew")
    return f"{change.path}: {', '.join(told)}"
