"""Readers by name, built in and from other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.readers import registry
from curator.readers.registry import BUILT_IN, load_reader, reader_names


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_reader_is_loaded_by_its_name(name: str) -> None:
    reader = load_reader(name)
    assert reader.name == name
    assert all(callable(getattr(reader, method)) for method in ("splits", "read", "digest"))


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no reader 'xml' \(one of jsonl, parquet, text"):
        load_reader("xml")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package of somebody else; its entry points are yet to be written."""
    (tmp_path / "their_readers.py").write_text("class Xml:\n    name = 'xml'\n")
    folder = tmp_path / "their_readers-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: their-readers\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.added_readers.cache_clear()
    yield folder / "entry_points.txt"
    registry.added_readers.cache_clear()


def test_another_package_adds_a_reader_by_an_entry_point(package: Path) -> None:
    package.write_text("[curator.readers]\nxml = their_readers:Xml\n")
    assert reader_names()[-1] == "xml"
    assert load_reader("xml").name == "xml"


def test_a_reader_that_does_not_import_is_named(package: Path) -> None:
    package.write_text("[curator.readers]\nxml = no_such_module:Xml\n")
    with pytest.raises(UserError, match=r"the reader 'xml' does not import.*check no_such_module:Xml"):
        load_reader("xml")


def test_a_built_in_name_cannot_be_taken(package: Path) -> None:
    package.write_text("[curator.readers]\njsonl = their_readers:Xml\n")
    with pytest.raises(UserError, match=r"two readers are called 'jsonl'"):
        reader_names()


def test_a_reader_is_imported_only_when_it_is_asked_for() -> None:
    code = (
        "import sys, curator.readers.detect; from curator.readers.registry import load_reader, reader_names;"
        "reader_names(); load_reader('jsonl');"
        "print([name for name in ('fastwarc', 'resiliparse', 'numba', 'pyarrow.parquet') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
