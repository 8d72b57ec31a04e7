"""Personal data in disguise is found where it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from stages.pii.actions import hashed, undisguised
from stages.pii.detect import KINDS
from stages.pii.disguises import undisguise
from stages.pii.pseudonyms import pseudonym
from stages.pii.scan import scan
from tests.stages.pii.helpers import LONG, assert_grows_linearly, find, spans
from tests.stages.pii.plain_disguises import plain_changes

NEGATIVES = [
    json.loads(line) for line in (Path(__file__).parent / "hard_negatives.jsonl").read_text("utf-8").splitlines()
]


def wide(text: str) -> str:
    """ASCII in full width, but for commas: a full-width one is no part of a number."""
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" and sign != "," else sign for sign in text)


@pytest.mark.parametrize(
    ("kind", "language", "before", "value", "after"),
    [
        ("email", "ja", "連絡先は", wide("taro.yamada@example.co.jp"), "まで。"),
        ("email", "zh", "邮箱", "zhang@example．com", "，谢谢"),
        ("email", "zh", "邮箱 ", "zhang﹫qq.com", " 联系"),
        ("iban", "ja", "口座 ", wide("DE89370400440532013000"), "です"),
        ("ip", "ja", "アドレス ", wide("198.41.0.4"), "から"),
        ("mac", "ja", "MACアドレス ", wide("00:1B:44:11:3A:B7"), "です"),
        ("id", "zh", "身份证号", wide("11010519491231002X"), "，"),
        ("id", "es", "DNI ", wide("54362315K"), "."),
        ("passport", "ja", "旅券番号 ", wide("TK1234567"), "です"),
        ("username", "ja", wide("https://twitter.com/"), wide("john_doe_77"), " を"),
        ("email", "de", "Mail: ", "max.muster\u00admann@exam\u00adple.de", " bitte"),
        ("email", "en", "mail \u200b", "john.doe\u200b\u200b\u200b@example.com", "\u200b now"),
        ("email", "en", "mail ", "john@\u2060example\u2060.com", " now"),
        ("email", "fa", "به ", "john\u200cdoe@example.com", " بنویسید"),
        ("phone", "ar", "هاتف: ", "+\u200e966\u200e50\u200e123\u200e4567", "\u200e"),
        ("phone", "en", "call ", "(415)\u200b 555-2671", " now"),
        ("iban", "de", "IBAN ", "DE89\u00ad3704\u00ad0044\u00ad0532\u00ad0130\u00ad00", "."),
        ("secret", "en", "key ", "ghp_16C7e42F292c6912\u200bE7710c838347Ae178B4a", " is old"),
        ("email", "en", "write to ", "john.doe (at) example (dot) com", " please"),
        ("email", "en", "<", "nick(dot)treleaven(at)btinternet(dot)com", ">"),
        ("email", "en", "<", "john-doe[at]example.co.uk", ">"),
        ("email", "en", "to ", "john.doe <at> example <dot> com", ", or"),
        ("email", "en", "to ", "john.doe [at] example dot com", " or"),
        ("email", "en", "to ", "john.doe (@) example.com", " or"),
        ("email", "fr", "Nys <", "aymeric AT nnx POINT com", ">,"),
        ("email", "de", "an ", "max.mustermann (ät) example (punkt) de", "."),
        ("email", "es", "a ", "juan(arroba)ejemplo(punto)es", ","),
        ("email", "en", '<a href="mailto:', "john.doe%40example.com", '">'),
        ("card", "en", "card ", "4111\u20071111\u20071111\u20071111", "."),
        ("card", "ja", "カード ", "\u3000".join((wide("4111"), *[wide("1111")] * 3)), "。"),
    ],
)
def test_what_is_in_disguise_is_found_whole(kind: str, language: str, before: str, value: str, after: str) -> None:
    assert find(before + value + after, language, [kind]) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "Meet us (at) home. We are [at] work, look AT it: point.com",
        "I was AT AMAZON DOT COM, and LOOK AT AMAZON DOT COM",
        "look at amazon dot com",
        "the element <at>x.y</at>, case (a)b.c, set {at}",
        "a point (point), a dot (dot) com, 5 (at) 3.2",
        "lodash%404.17.21, icon%402x.png, 100%40",
        "(at) example.com",
        "Mon\u00adday.Sun\u00adday and Ｏｆｆｉｃｅ．Ｃａｌｃ",
    ],
)
def test_what_is_no_address_in_disguise_stays(text: str) -> None:
    assert find(text, "en") == []


@pytest.mark.slow
def test_hard_negatives_stay_in_every_disguise() -> None:
    texts, languages = [row["text"] for row in NEGATIVES], [row["lang"] for row in NEGATIVES]
    dresses = (
        wide,
        lambda text: re.sub("[A-Za-z]", lambda letter: wide(letter.group()), text),
        lambda text: text.replace("-", "\u00ad-"),
        lambda text: text.replace(".", "\u200b."),
        lambda text: text.replace(" ", "\u2009"),
    )
    for dress in dresses:
        dressed = [dress(text) for text in texts]
        found = spans(dressed, languages, [kind for kind in KINDS if kind != "name"])
        assert [(text, spots) for text, spots in zip(dressed, found, strict=True) if spots] == []


def test_a_password_behind_a_disguised_user_is_still_found() -> None:
    url = "https://user%40example.com:s3cret99@host.example.org/x"
    assert find(url) == [("credentials", "user%40example.com:s3cret99")]


FRAGMENTS = (
    *("a", "b", "Z", "7", "ü", "я", "中", "🙂", " ", "  ", ".", "-", "_", ",", "@", "(", ")", "[", ">", "\n", "\0"),
    *("(at)", " (at) ", "[AT]", "<@>", "{ät}", "(Arroba)", "(arobase)", " AT ", " at ", "%40", "%4", "(ar", " A"),
    *("(dot)", " [dot] ", "(.)", " DOT ", " dot ", " POINT ", "<punkt>", "(punto)", "(ponto)", "(dott)", "(dotdotd)"),
    *("\u00ad", "\u200b", "\u200d", "\u200f", "\u202e", "\u2060", "\ufeff", "\u2019", "\u2003"),
    *("ａ", "Ｚ", "７", "＠", "．", "：", "＿", "％", "，", "（", "。", "﹫", "ｱ", "ﻻ", "£", "￥"),
)
disguised_text = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join)


@pytest.mark.slow
@settings(deadline=None, max_examples=600)
@given(st.lists(disguised_text, min_size=1, max_size=3), st.integers(0, 70))
def test_changes_equal_the_plain_reading(texts: list[str], before: int) -> None:
    data, offsets = string_buffer(pa.array(["x" * before, *texts], LONG))
    changes = scan(data, offsets).changes
    raw = data.tobytes()
    for number, text in enumerate(texts, 1):
        own = sorted(changes[changes[:, 0] == number].tolist(), key=lambda change: change[1])
        begin = int(offsets[number])
        points = [
            (len(raw[begin:start].decode()), len(raw[begin:end].decode()), chr(sign) if sign else "")
            for _, start, end, sign in own
        ]
        assert points == plain_changes(text)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.lists(disguised_text, min_size=1, max_size=4))
def test_each_character_is_brought_back_to_its_place(texts: list[str]) -> None:
    data, offsets = string_buffer(pa.array(texts, LONG))
    told = [number for number, text in enumerate(texts) if plain_changes(text)]
    if not told:
        return
    meant = undisguise(data, offsets, scan(data, offsets).changes)
    raw = data.tobytes()
    assert meant.documents.tolist() == told
    for row, number in enumerate(told):
        wanted: list[tuple[str, int, int]] = []
        place = 0
        text = texts[number]
        for begin, end, sign in [*plain_changes(text), (len(text), len(text), "")]:
            wanted += [(text[at], at, at + 1) for at in range(place, begin)]
            wanted += [(sign, begin, end)] if sign else []
            place = end
        own = meant.data[meant.offsets[row] : meant.offsets[row + 1]].tobytes().decode()
        assert own == "".join(sign for sign, _, _ in wanted) == undisguised(text)
        at = int(meant.offsets[row])
        for sign, begin, end in wanted:
            size = len(sign.encode())
            document, start, stop = meant.as_read(row, at, at + size)
            assert document == number
            first = int(offsets[number])
            assert (start, stop) == (first + len(text[:begin].encode()), first + len(text[:end].encode()))
            assert raw[start:stop].decode() == text[begin:end]
            at += size


@pytest.mark.parametrize("piece", ["(at)", "a(dot)", "a(at)b", "\u200b", "Ａ．", " AT ", "a(at)a(dot)"])
def test_time_grows_linearly_with_the_text(piece: str) -> None:
    def read(text: str) -> None:
        data, offsets = string_buffer(pa.array([text], LONG))
        candidates = scan(data, offsets)
        if len(candidates.changes):
            undisguise(data, offsets, candidates.changes)

    assert_grows_linearly(read, piece * 40_000)


def test_a_hash_and_a_pseudonym_do_not_depend_on_the_disguise() -> None:
    key = bytes(range(32))
    address = "john.doe@example.com"
    for form in (
        "john.doe (at) example (dot) com",
        "john.doe%40example.com",
        "john\u200b.doe@example.com",
        wide(address),
    ):
        assert hashed("email", form, key) == hashed("email", address, key)
        assert pseudonym("email", form, "en", key) == pseudonym("email", address, "en", key)


def test_the_pseudonym_of_a_wide_number_is_no_number() -> None:
    key = bytes(range(32))
    assert pseudonym("ip", wide("2001:470:1f0b::2"), "ja", key).startswith("2001:db8:")
    drawn = pseudonym("iban", wide("DE89370400440532013000"), "ja", key)
    assert drawn.startswith(wide("DE"))
    assert find(f"IBAN {drawn}", "ja", ["iban"]) == []


def test_nothing_changes_in_texts_without_a_disguise() -> None:
    data, offsets = string_buffer(pa.array(["電話（０３）１２３４－５６７８：はい", "می\u200cشود", "a (at) b"], LONG))
    assert np.array_equal(scan(data, offsets).changes, np.empty((0, 4)))
