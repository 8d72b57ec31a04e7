"""Reading the messages from which the words of relatives are built."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

from curator.language.build_confusable import (
    chromium_messages,
    firefox_messages,
    fit,
    is_english,
    messages,
    pages,
    tidy,
)
from curator.language.confusable import Group

FLUENT = """# a comment
title = Kerana { $count ->
    [one] satu fail
   *[other] { $count } fail
} disimpan
button =
    .label = Simpan <b>semua</b> fail
    .accesskey = S
"""


def test_messages_of_a_language_pack_are_read_with_attributes_and_without_choices(tmp_path: Path) -> None:
    folder = tmp_path / "firefox-esr-l10n-ms" / "usr"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "langpack-ms.xpi", "w") as archive:
        archive.writestr("browser/a.ftl", FLUENT)
        archive.writestr("browser/b.properties", "#no\nkey=Buka fail %S sekarang juga di sini\n")
    found = [tidy(text) for text in firefox_messages(tmp_path, "ms")]
    assert found == ["Kerana disimpan", "", "Simpan semua fail", "S", "Buka fail sekarang juga di sini"]
    assert messages("ms", tmp_path, tmp_path) == ["Buka fail sekarang juga di sini"]


def test_messages_of_a_pak_are_read_in_their_order(tmp_path: Path) -> None:
    texts = ["Første melding her".encode(), b"ikkje denne"]
    begin = 12 + 6 * (len(texts) + 1)
    ends = [begin + sum(map(len, texts[:count])) for count in range(len(texts) + 1)]
    entries = b"".join(struct.pack("<HI", number, end) for number, end in enumerate(ends))
    folder = tmp_path / "locales"
    folder.mkdir()
    header = struct.pack("<IBxxxHH", 5, 1, len(texts), 0)
    (folder / "nb.pak").write_bytes(header + entries + b"".join(texts))
    assert list(chromium_messages(tmp_path, "nb")) == ["Første melding her", "ikkje denne"]


def test_messages_left_in_english_are_known_by_their_words() -> None:
    english = frozenset({"open", "the", "file", "a"})
    assert is_english(["open", "the", "datei"], english)
    assert not is_english(["öffne", "die", "file"], english)


def test_pages_have_the_size_that_was_asked_for() -> None:
    found = list(pages(["abcde"] * 10, 12))
    assert found == ["abcde abcde abcde"] * 3


def test_words_that_one_language_alone_has_speak_for_it_and_shared_ones_for_none() -> None:
    group = Group("two", ("x", "y"), judged=("x", "y"))
    texts = {"x": ["kerana itu sudah fail"] * 200, "y": ["karena itu sudah berkas"] * 200}
    (intercept, _), *rows = ((word, np.array(weights)) for word, weights in fit(group, texts, frozenset()))
    weights = dict(rows)
    assert intercept == ""
    assert weights["kerana"][0] > 0.5 > -0.5 > weights["kerana"][1]
    assert weights["karena"][1] > 0.5
    assert abs(weights["itu"]).max() < 0.1
