"""Readers by name, built in and from other packages."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.readers.registry import BUILT_IN, load_reader, reader_names
from tests.command import installed_package


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_reader_is_loaded_by_its_name(name: str) -> None:
    reader = load_reader(name)
    assert reader.name == name
    assert all(callable(getattr(reader, method)) for method in ("splits", "read", "digest"))


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no reader 'xml' \(one of jsonl, parquet, text"):
        load_reader("xml")


def package(folder: Path, entry: str) -> AbstractContextManager[None]:
    """A package of somebody else with a reader."""
    source = "class Xml:\n    name = 'xml'\n"
    return installed_package(folder, "their_readers", "curator.readers", [entry], source)


def test_another_package_adds_a_reader_by_an_entry_point(tmp_path: Path) -> None:
    with package(tmp_path, "xml = their_readers:Xml"):
        assert reader_names()[-1] == "xml"
        assert load_reader("xml").name == "xml"


def test_a_reader_that_does_not_import_is_named(tmp_path: Path) -> None:
    message = r"the reader 'xml' does not import.*check no_such_module:Xml"
    with package(tmp_path, "xml = no_such_module:Xml"), pytest.raises(UserError, match=message):
        load_reader("xml")


def test_a_built_in_name_cannot_be_taken(tmp_path: Path) -> None:
    message = r"two readers are called 'jsonl'"
    with package(tmp_path, "jsonl = their_readers:Xml"), pytest.raises(UserError, match=message):
        reader_names()


@pytest.mark.slow
def test_a_reader_is_imported_only_when_it_is_asked_for() -> None:
    code = (
        "import sys, curator.readers.detect; from curator.readers.registry import load_reader, reader_names;"
        "reader_names(); load_reader('jsonl');"
        "print([name for name in ('fastwarc', 'resiliparse', 'numba', 'pyarrow.parquet') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
