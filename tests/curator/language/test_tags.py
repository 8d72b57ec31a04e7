"""Language tags."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.language import build_tags, tags
from curator.language.tags import display_name, is_valid, list_language, normalise_tag


@pytest.mark.parametrize(
    ("tag", "normal"),
    [
        ("pt-br", "pt-BR"),
        ("en_US", "en-US"),
        ("iw", "he"),
        ("ZH-HANT-tw", "zh-Hant-TW"),
        ("zh-cmn-Hans", "zh-Hans"),
        ("sh", "sr-Latn"),
        ("ca-valencia", "ca-valencia"),
        ("und", "und"),
        ("cmn", "cmn"),
    ],
)
def test_a_valid_tag_is_written_in_its_canonical_form(tag: str, normal: str) -> None:
    assert is_valid(tag)
    assert normalise_tag(tag) == normal


@pytest.mark.parametrize(
    "tag", ["udhr-abc", "C", "POSIX", "sr@latin", "en_US.UTF-8", "", "english", "zz", "français", "x" * 999]
)
def test_a_tag_that_is_not_valid_is_kept_verbatim_and_chooses_no_list(tag: str) -> None:
    assert not is_valid(tag)
    assert normalise_tag(tag) == tag
    assert list_language(tag) == "und"
    assert display_name(tag) == tag


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("pt-BR", "pt"),
        ("zh-Hant", "zh"),
        ("cmn", "zh"),
        ("cmn-Hans-CN", "zh"),
        ("yue", "yue"),
        ("wuu", "wuu"),
        ("arb", "ar"),
        ("arz", "arz"),
        ("pes", "fa"),
        ("prs", "fa"),
        ("azb", "azb"),
        ("ckb", "ckb"),
        ("swh", "sw"),
        ("nb", "no"),
        ("nob", "no"),
        ("no", "no"),
        ("nn", "nn"),
        ("zlm", "ms"),
        ("zsm", "ms"),
        ("id", "id"),
        ("hr", "hr"),
        ("bs", "bs"),
        ("sr-Latn", "sr"),
        ("sh", "sr"),
        ("tl", "fil"),
        ("und", "und"),
        ("mul", "und"),
        ("zxx", "und"),
        ("x-klingon", "und"),
        ("und-Cyrl", "und"),
        (None, "und"),
    ],
)
def test_the_list_language_follows_the_stated_macrolanguage_policy(tag: str | None, language: str) -> None:
    assert list_language(tag) == language


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en", "English"),
        ("el", "Greek"),
        ("sw", "Swahili"),
        ("no", "Norwegian"),
        ("zh-Hant", "Chinese (Hant)"),
        ("pt-BR", "Portuguese (BR)"),
        ("und", "undetermined"),
        ("ms", "Malay"),
    ],
)
def test_a_language_has_an_english_name_for_the_report(tag: str, name: str) -> None:
    assert display_name(tag) == name


@pytest.mark.slow
@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-zA-Z]{2,3}([-_][a-zA-Z0-9]{1,8}){0,4}", fullmatch=True)))
def test_normalising_twice_is_normalising_once_and_keeps_the_list_language(tag: str) -> None:
    normal = normalise_tag(tag)
    assert normalise_tag(normal) == normal
    assert list_language(normal) == list_language(tag)
    assert is_valid(normal) == is_valid(tag)


@pytest.mark.slow
@given(
    st.from_regex(r"[a-zA-Z0-9]{4}([-_][a-zA-Z0-9]{1,8}){0,2}", fullmatch=True) | st.sampled_from(["Root", "root_DE"])
)
def test_of_tags_that_begin_with_four_characters_those_are_valid_that_langcodes_says(tag: str) -> None:
    assert is_valid(tag) == (tags.describe(tag) is not None)


def test_the_committed_table_is_what_langcodes_says() -> None:
    assert build_tags.build() == tags.TABLE_PATH.read_text(encoding="utf-8")


@pytest.mark.slow
def test_tags_of_every_day_are_known_without_langcodes() -> None:
    code = (
        "import sys; from curator.language.identifier import load_identifier; load_identifier();"
        "from curator.language.tags import display_name; display_name('pt-BR'); display_name('deu_Latn');"
        "assert display_name('udhr-eng') == 'udhr-eng';"
        "assert 'langcodes' not in sys.modules;"
        "assert display_name('tlh') == 'Klingon' and 'langcodes' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
