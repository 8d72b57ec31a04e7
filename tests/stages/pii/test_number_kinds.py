"""What a run of digits can be is told by the run alone: what is ruled out is nowhere found, whatever stands around."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import phonenumbers
import pytest

from stages.pii.context import Context, shape_of
from stages.pii.kinds import address, ids, passport, payment, phone
from stages.pii.kinds.ids import id_numbers, shapes_of
from stages.pii.kinds.phone import REGIONS

TRIES = 300
OF_SIGN = {"9": string.digits, "A": string.ascii_uppercase}
LANGUAGES = ("en", "en", "es", "de", "ru", "zh", "und", *sorted(REGIONS))
Run = tuple[str, str]
"""A run of digits and separators, and a language."""


@cache
def identity_numbers() -> Sequence[Run]:
    """For each shape of each sort of number a valid one, if chance makes any, in a language of its country; alone and
    with another number behind."""
    signs = random.Random(3)
    found = []
    for number in id_numbers():
        for shape in sorted(shapes_of(number)):
            tries = ("".join(signs.choice(OF_SIGN.get(sign, sign)) for sign in shape) for _ in range(TRIES))
            valid = next(filter(number.is_valid, tries), None)
            if valid is not None:
                found.append((valid, min(number.languages)))
    return found + [(f"{text} {signs.randint(0, 99)}", language) for text, language in found if " " not in text]


@cache
def telephone_numbers() -> Sequence[Run]:
    """An example of each region as it is printed there and elsewhere, in languages of the region and in English."""
    forms = (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return [
        (phonenumbers.format_number(number, form), language)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        if (number := phonenumbers.example_number(region)) is not None
        for language in ("en", *(language for language, regions in REGIONS.items() if region in regions))
        for form in forms
    ]


def in_languages(*texts: str) -> Sequence[Run]:
    return [(text, language) for text in texts for language in ("en", "de", "ru")]


def drawn(signs: random.Random) -> str:
    """Digits and separators as the scan would take them for one run."""
    groups = ["".join(signs.choices(string.digits, k=signs.randint(1, 8))) for _ in range(signs.randint(1, 5))]
    run = "".join(group + signs.choice((" ", "-", ".", "/", ") ", " (")) for group in groups).rstrip(" -./()")
    return signs.choice(("", "", "", "(", "+", "(+", "0")) + run + signs.choice(("", "", "", "K"))


def contexts(runs: Sequence[Run], before: Sequence[str], after: Sequence[str], count: int) -> Iterator[Context]:
    """Runs, parts of them with the rest beside, and drawn ones, between texts."""
    signs = random.Random(5)
    while count > 0:
        text, language = signs.choice(runs) if signs.random() < 0.8 else (drawn(signs), signs.choice(LANGUAGES))
        begin = signs.choice((0, 0, 0, 1, 2, 3))
        end = max(len(text) - signs.choice((0, 0, 0, 1, 2, 3, 4, 5, 6)), begin + 1)
        body = text[begin:end]
        if body and body[0] in string.digits + "(+" and body[-1] not in " ./(-)+":
            count -= 1
            yield Context(signs.choice(before) + text[:begin], body, text[end:] + signs.choice(after), language)


Finder = Callable[[Context], Sequence[object]]


def find_identity(context: Context) -> Sequence[object]:
    return ids.find(context) or (context.previous.isalpha() and ids.find_labelled(context)) or []


def find_passport(context: Context) -> Sequence[object]:
    """What is found in a run of digits: with letters elsewhere than at its end it is none."""
    return [] if any(map(str.isalpha, context.body[:-1])) else passport.find(context)


CASES: dict[str, tuple[Finder, Callable[[str], bool], Iterator[Context]]] = {
    "id": (
        find_identity,
        lambda body: ids.may_be(shape_of(body)),
        contexts(identity_numbers(), ("", "", " ", "ID ", "AB ", "DNI"), ("", "", " ", ".", " 123 45", "x"), 6000),
    ),
    "passport": (
        find_passport,
        passport.may_be,
        contexts(
            in_languages("AB 1234567", "45 06 123456", "123456789", "C1234567F", "4506 123456"),
            ("passport, Reisepass, паспорт ", "passport, Reisepass, паспорт AB", "tel. "),
            ("", ".", "x"),
            3000,
        ),
    ),
    "card": (
        payment.find_card,
        payment.may_be_card,
        contexts(
            in_languages("4111 1111 1111 1111", "4111111111111111 12/27", "3782 822463 10005", "5018000000000009 123"),
            ("", "card ", "order ", "-"),
            ("", " 12/27", "."),
            3000,
        ),
    ),
    "ip": (
        address.find4,
        address.may_be4,
        contexts(
            in_languages("88.198.10.20", "10.0.0.1 88.198.10.20", "88.198.10.20-88.198.10.30", "8.8.8.8", "1.2.3.4 5"),
            ("", "ip ", "version ", "v"),
            ("", ":80", ".", "/24"),
            3000,
        ),
    ),
    "phone": (
        phone.find_by_rules,
        phone.may_be,
        contexts(
            (*telephone_numbers(), *in_languages("8 (903) 123-45-67", "0049 30 901820", "011 44 20 7946 0958")),
            ("", "", "call ", "Tel.: ", "version ", "order no. ", "$"),
            ("", "", " ext. 12", " people", ".", "x", " 2019", " 212 555-1234"),
            4000,
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_what_is_found_in_a_run_is_what_the_run_may_be(kind: str) -> None:
    find, may_be, drawn_contexts = CASES[kind]
    found = ruled_out = 0
    for context in drawn_contexts:
        may = may_be(context.body)
        found += bool(find(context))
        ruled_out += not may
        assert may or not find(context), context
    assert found > 100
    assert ruled_out > 100


@pytest.mark.slow
def test_a_look_at_what_stands_in_the_way_changes_no_telephone_number() -> None:
    runs = (*telephone_numbers(), *in_languages("8 (903) 123-45-67", "0049 30 901820", "13812345678", "89031234567"))
    bare = [(text.replace(" ", "").replace("-", ""), language) for text, language in runs]
    found = 0
    for context in contexts((*runs, *bare), ("", "", "", "my number is ", "call "), ("", "", " ext. 12", "."), 4000):
        found += len(phone.find_by_rules(context))
        assert phone.find(context) == phone.find_by_rules(context), context
    assert found > 400


def test_what_is_ruled_out_is_most_of_what_manuals_have() -> None:
    for body in ("3.14159265358979", "2019-05-21", "31.12.2019", "1234.5678", "10.0.0.1", "2.26245884628906E"):
        assert not any(may_be(body) for _, may_be, _ in CASES.values())
