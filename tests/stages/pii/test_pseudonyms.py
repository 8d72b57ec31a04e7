"""Pseudonyms: like the value, nobody's, and the same for the same value."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from stages.pii.gazetteer import gazetteer
from stages.pii.kinds.ids import IdNumber, id_numbers, is_identity_number
from stages.pii.pseudonyms import PSEUDONYMISED, pseudonym
from stages.pii.stage import Pii, PiiParameters
from tests.stages.pii.helpers import batch, find
from tests.stages.pii.test_id_numbers import OWN_EXAMPLES, example_of

KEYS = st.binary(min_size=32, max_size=32)
KEY = bytes(range(32))
VALUES = {
    "email": "anna.miller@web.de",
    "phone": "+49 30 12345678",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111-1111-1111-1111",
    "id": "390.533.447-05",
    "ip": "8.8.8.8",
    "mac": "00:1B:44:11:3A:B7",
    "name": "Anna Miller",
}


def shape(text: str) -> str:
    return re.sub("[A-Z]", "A", re.sub(r"\d", "9", text))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(VALUES))
@given(key=KEYS)
def test_a_pseudonym_is_another_value_and_depends_on_value_and_key_alone(kind: str, key: bytes) -> None:
    made = pseudonym(kind, VALUES[kind], "en", key)
    assert made == pseudonym(kind, VALUES[kind], "en", key)
    assert made != VALUES[kind]


@given(KEYS)
def test_numbers_keep_their_shape_and_fail_their_checks(key: bytes) -> None:
    made = {kind: pseudonym(kind, VALUES[kind], "pt", key) for kind in ("phone", "iban", "card", "id")}
    assert {kind: shape(value) for kind, value in made.items()} == {kind: shape(VALUES[kind]) for kind in made}
    assert not iban.is_valid(made["iban"])
    assert not luhn.is_valid(made["card"].replace("-", ""))
    assert not is_identity_number(made["id"])
    assert find(f"Tel. {made['phone']}", "de", ["phone"]) == []


@pytest.mark.parametrize("number", id_numbers(), ids=lambda number: number.name)
def test_every_identity_number_has_an_invalid_pseudonym(number: IdNumber) -> None:
    value = OWN_EXAMPLES.get(number.name) or example_of(number)
    assert value is not None
    made = pseudonym("id", value, min(number.languages), KEY)
    assert made != value
    assert not number.is_valid(made)


@given(KEYS)
def test_addresses_are_those_set_aside_for_examples(key: bytes) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+\d+@example\.(com|net|org)", pseudonym("email", VALUES["email"], "en", key))
    for value in ("8.8.8.8", "2a01:238:43ed::1"):
        address = ipaddress.ip_address(pseudonym("ip", value, "en", key))
        assert not address.is_global
        assert find(f"server {address}", "en", ["ip"]) == []
    first = int(pseudonym("mac", VALUES["mac"], "en", key)[:2], 16)
    assert first & 0b11 == 0b10


@given(KEYS)
def test_names_are_of_the_language_and_a_part_has_the_same_pseudonym_alone(key: bytes) -> None:
    given_name, surname = pseudonym("name", "Anna Miller", "en", key).split(" ")
    assert pseudonym("name", "Miller", "en", key) == surname
    assert pseudonym("name", "MILLER", "en", key) == surname.upper()
    assert find(f"Yesterday Mr {given_name} {surname} came.", "en", ["name"]) == [("name", f"{given_name} {surname}")]


@given(KEYS)
def test_names_of_other_scripts_stay_in_them(key: bytes) -> None:
    for value, language, letters in (
        ("Анна Иванова", "ru", "[А-яё -]+"),
        ("王小明", "zh", "[\u4e00-\u9fff]+"),
        ("山田太郎", "ja", "[\u3040-\u30ff\u4e00-\u9fff々]+"),
        ("김민수", "ko", "[가-힣]+"),
        ("Јована Петровић", "sr", "[А-Яа-яЂ-Џђ-џ -]+"),
        ("Jovana Petrović", "sr", "[A-Za-zČčĆćĐđŠšŽž -]+"),
        ("Wei Zhang", "zh", "[A-Za-z -]+"),
    ):
        made = pseudonym("name", value, language, key)
        assert re.fullmatch(letters, made), made
    assert pseudonym("name", "J. van der Berg", "nl", KEY).split()[1:3] == ["van", "der"]
    assert "qqq" not in gazetteer().languages
    assert pseudonym("name", "Anna Miller", "qqq", KEY).isascii()


def test_digits_of_other_scripts_stay_in_them() -> None:
    assert re.fullmatch("[٠-٩]{11}", pseudonym("phone", "٠١٠٠١٢٣٤٥٦٧", "ar", KEY))


def test_a_value_has_one_pseudonym_in_a_document_and_in_a_run_when_the_recipe_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PII_KEY", "0123456789abcdef")
    texts = ["a@b.org, again a@b.org", "and a@b.org"]
    for within in ("document", "run"):
        actions = dict.fromkeys(PSEUDONYMISED & {"email"}, "pseudonymise")
        stage = Pii(
            PiiParameters.model_validate(
                {"actions": actions, "key": {"environment": "PII_KEY"}, "pseudonyms": within, "kinds": ["email"]}
            )
        )
        documents = batch(texts)
        edits = stage.decide(documents, stage.annotate(documents), {}).edits["text"].to_pylist()
        first, again, other = re.findall(r"\S+@\w+\.\w+", " ".join(edits))
        assert first == again
        assert (first == other) == (within == "run")
