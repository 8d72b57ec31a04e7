"""Declarations as benchmarks read them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest


def test_a_declaration_with_marks_apart_is_read_in_nfc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from language_texts import DeclarationParser

    parser = DeclarationParser()
    parser.feed(unicodedata.normalize("NFD", '<html lang="vi"><article><p>Tất cả mọi người</p></article></html>'))
    assert (parser.tag, parser.articles) == ("vi", [["Tất cả mọi người"]])
