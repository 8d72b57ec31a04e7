"""`curator index`: what an index of an earlier run holds, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict

from curator.cli.output import print_json, print_line, print_table
from curator.sizes import format_size
from curator.storage.path import as_path
from stages.dedup.header import HEADER, open_index, verify_index


def index_show_command(place: str, as_json: bool) -> None:
    """Print what an index says of itself."""
    folder, header = open_index(as_path(place))
    size = sum(entry.bytes for entry in header.files.values()) + (folder / HEADER).stat().st_size
    if as_json:
        print_json({**asdict(header), "bytes": size, "bytes_per_document": _share(size, header.documents)})
        return
    print_line(f"{header.name}: {header.documents:,} documents, {header.erased:,} erased, {format_size(size)}")
    for name, value in asdict(header.scheme).items():
        print_line(f"    {name} = {value}")
    rows = [
        [name, format_size(entry.bytes), f"{_share(entry.bytes, header.documents):,.0f}"]
        for name, entry in header.files.items()
    ]
    print_table(["file", "size", "bytes a document"], rows)


def index_verify_command(place: str, as_json: bool) -> None:
    """Read every byte of an index and hold it against the header."""
    header = verify_index(as_path(place))
    if as_json:
        print_json({"name": header.name, "documents": header.documents, "files": len(header.files)})
        return
    print_line(f"{place}: {len(header.files)} files with {header.documents:,} documents are as they were written")


def _share(size: int, documents: int) -> float:
    return round(size / max(documents, 1), 1)
