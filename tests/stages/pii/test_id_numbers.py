"""Identity numbers: in which shapes, near which words, and with which check digits they are found."""

from __future__ import annotations

import importlib
import random
import re

import pytest

from stages.pii.kinds.ids import IdNumber, id_numbers, shapes_of
from tests.stages.pii.helpers import find


def example_of(number: IdNumber) -> str | None:
    """A valid number in a shape that is looked for: the first example of python-stdnum's own documentation."""
    if number.validator.startswith("own:"):
        return None
    module = importlib.import_module(f"stdnum.{number.validator}")
    match = re.search(r">>> validate\('([^']+)'\)\s*\n\s*'", module.__doc__ or "")
    if match is None:
        return None
    forms = [match.group(1), module.compact(match.group(1))]
    if hasattr(module, "format"):
        forms.append(module.format(forms[1]))
    shapes = shapes_of(number)
    return next((form for form in forms if re.sub("[A-Z]", "A", re.sub(r"\d", "9", form)) in shapes), None)


OWN_EXAMPLES = {
    "gb.nino": "AB123456C",
    "sg.nric": "S1234567D",
    "de.rvnr": "15070649C103",
    "es.nuss": "281234567840",
    "pt.nif": "123456789",
    "hu.personal": "18902091775",
    "lv.pk": "161175-19997",
    "ru.snils": "112-233-445 95",
    "kz.iin": "850101300015",
    "pt.cc": "12345678 9 ZZ1",
    "eg.nid": "29001011234567",
    "ir.melli": "0499370899",
    "tw.id": "A123456789",
    "hk.id": "A123456(3)",
    "hk.bare": "A1234563",
    "ie.pps": "1234567T",
    "ae.eid": "784-1980-1234567-8",
    "sa.nid": "1012345672",
    "it.codicefiscale": "RCCMNL83S18D969H",
    "is.kennitala": "120174-3399",
    "pe.cui": "10117410-2",
    "vn.cccd": "079 198 001 234",
    "uz.pinfl": "30101850123451",
    "kg.pin": "21201198500123",
    "by.personal": "3130975A001PB5",
    "md.idnp": "2002000123451",
    "lk.nic": "853400937V",
    "lu.matricule": "1980010112302",
    "uy.ci": "1.234.567-2",
    "ni.cedula": "001-010185-0001Q",
    "cr.cpf": "3-0455-0175",
}


@pytest.mark.parametrize("number", id_numbers(), ids=lambda number: number.name)
def test_every_identity_number_is_found_near_its_cue_and_not_with_a_changed_digit(number: IdNumber) -> None:
    example = OWN_EXAMPLES.get(number.name) or example_of(number)
    assert example is not None
    language = min(number.languages)
    cue = {"ar": "الهوية", "fa": "کد ملی", "kk": "жсн", "sw": "", "ta": ""}.get(language, "id")
    assert find(f"{cue} {example} .", language, ["id"]) == [("id", example)]
    places = [index for index, letter in enumerate(example) if letter.isdigit()]
    valid = min(
        sum(number.is_valid(example[:place] + digit + example[place + 1 :]) for digit in "0123456789")
        for place in places
    )
    assert valid == 1 or number.name in WITHOUT_CHECK_DIGIT


WITHOUT_CHECK_DIGIT = {
    "us.ssn",
    "us.itin",
    "gb.nino",
    "in.pan",
    "pk.cnic",
    "my.nric",
    "id.nik",
    "eg.nid",
    "mx.rfc",
    "ke.pin",
    "dk.cpr",
    "vn.cccd",
    "kg.pin",
    "by.personal",
    "lk.nic",
    "cr.cpf",
    "cu.ni",
}


@pytest.mark.slow
def test_what_a_number_needs_follows_from_how_many_pass_its_check_by_chance() -> None:
    chooser = random.Random(0)
    letters = {"9": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    for number in id_numbers():
        for need, most in (("anywhere", 0.02), ("language", 0.12)):
            for shape in shapes_of(number, need):
                drawn = ("".join(chooser.choice(letters.get(sign, sign)) for sign in shape) for _ in range(200))
                share = sum(map(number.is_valid, drawn)) / 200
                # Twice the share that is allowed is three deviations of such a sample.
                assert share <= 2 * most or set(shape) != {"9"}, (number.name, shape, share)
                assert share <= 2 * most or need == "language", (number.name, shape, share)


def test_every_shape_of_a_number_is_found() -> None:
    lost = []
    for number in id_numbers():
        letters = re.sub("[^0-9A-Z]", "", OWN_EXAMPLES.get(number.name) or example_of(number) or "")
        sorts = re.sub("[A-Z]", "A", re.sub(r"\d", "9", letters))
        for shape in shapes_of(number):
            if re.sub("[^9A]", "", shape) != sorts:
                continue
            rest = iter(letters)
            text = "".join(next(rest) if sign in "9A" else sign for sign in shape)
            cue = {"ar": "الهوية", "fa": "کد ملی", "kk": "жсн"}.get(min(number.languages), "id")
            if find(f"{cue} {text} .", min(number.languages), ["id"]) != [("id", text)]:
                lost.append((number.name, text))
    assert lost == []


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("身份证11010519491231002x。", "zh", "11010519491231002x"),
        ("dni 54362315k", "es", "54362315k"),
        ("con DNI 54.362.315-K", "es", "54.362.315-K"),
        ("ת.ז. 39337423", "he", "39337423"),
        ("کدملی 0499370899", "fa", "0499370899"),
        ("Α.Φ.Μ.: 094259216", "el", "094259216"),
        ("NRIC S1234567D", "en", "S1234567D"),
    ],
)
def test_identity_numbers_are_found_as_people_write_them(text: str, language: str, number: str) -> None:
    assert find(text, language, ["id"]) == [("id", number)]


@pytest.mark.parametrize(
    ("label", "number", "language"),
    [
        ("DNI", "54362315K", "es"),
        ("dni", "54362315k", "es"),
        ("DNI", "54.362.315-K", "es"),
        ("DNI", "54362315-K", "fr"),
        ("NIF", "54362315K", "pt"),
        ("NIE", "X1234567L", "es"),
        ("nie", "x1234567l", "es"),
        ("PESEL", "44051401359", "pl"),
        ("Pesel", "44051401359", "en"),
        ("CPF", "123.456.789-09", "pt"),
        ("cpf", "12345678909", "pt"),
        ("SSN", "123-45-6789", "en"),
        ("CUIT", "20-05536168-2", "en"),
        ("CF", "RCCMNL83S18D969H", "it"),
        ("NINO", "AB123456C", "en"),
        ("BSN", "111222333", "nl"),
        ("HKID", "A123456(3)", "zh"),
        ("HKID", "A1234563", "en"),
    ],
)
def test_identity_numbers_are_found_behind_a_label_that_is_stuck_to_them(
    label: str, number: str, language: str
) -> None:
    for text in (f"{label}{number}", f"({label}{number}, 2019)", f"证件{label}{number}。"):
        assert find(text, language, ["id"]) == [("id", number)]
    place = number.rindex(next(digit for digit in reversed(number) if digit.isdigit()))
    wrong = "".join(number[:place]) + str((int(number[place]) + 1) % 10) + number[place + 1 :]
    assert find(f"{label}{wrong}", language, ["id"]) == [] or label in ("SSN", "NINO")


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("DNI-54362315K", "es", "54362315K"),
        ("Su DNI\u201354362315K, gracias", "en", "54362315K"),
        ("dni-54362315k", "es", "54362315k"),
        ("DNI.54362315K", "es", "54362315K"),
        ("D.N.I.54362315K", "es", "54362315K"),
        ("D.N.I.-54362315K", "en", "54362315K"),
        ("Ana, D.N.I. 54362315K", "de", "54362315K"),
        ("d.n.i.-54.362.315-k", "en", "54.362.315-k"),
        ("N.I.E.-X1234567L", "fr", "X1234567L"),
        ("dni 54.362.315-k", "es", "54.362.315-k"),
        ("dni: 54362315-k", "en", "54362315-k"),
        ("dni-54362315-k", "de", "54362315-k"),
        ("nie-x-1234567-l", "es", "x-1234567-l"),
        ("Su NIE es x-1234567-l.", "es", "x-1234567-l"),
        ("nie x1234567l", "en", "x1234567l"),
        ("nie: x1234567-l", "es", "x1234567-l"),
        ("nie\u2013x1234567l", "en", "x1234567l"),
        ("n.i.e. x-1234567-l", "und", "x-1234567-l"),
        ("NIEX-1234567-L", "es", "X-1234567-L"),
        ("niex-1234567-l", "en", "x-1234567-l"),
        ("NIE-X1234567L", "es", "X1234567L"),
        ("NIE-X-1234567-L", "es", "X-1234567-L"),
        ("Mi NIE\u2013X\u20131234567\u2013L, gracias", "en", "X\u20131234567\u2013L"),
        ("NIE.X-1234567L", "en", "X-1234567L"),
        ("NINO-AB-12-34-56-C", "en", "AB-12-34-56-C"),
        ("CPF-529.982.247-25", "pt", "529.982.247-25"),
        ("(CUIT-20-05536168-2)", "en", "20-05536168-2"),
        ("PESEL-44051401359", "en", "44051401359"),
        ("burgerservicenummer-111222333", "nl", "111222333"),
        ("TC-10000000146", "tr", "10000000146"),
        ("T.C.10000000146", "tr", "10000000146"),
        ("TC10000000146", "tr", "10000000146"),
        ("TC Kimlik No10000000146", "tr", "10000000146"),
        ("Fatura TC: 10000000146", "tr", "10000000146"),
        ("Fatura T.C. 10000000146", "tr", "10000000146"),
        ("T.C. No: 10000000146", "en", "10000000146"),
        ("TC: 10000000146", "en", "10000000146"),
        ("(TC 10000000146)", "de", "10000000146"),
        ("Ali, T.C.: 10000000146", "und", "10000000146"),
        ("Ali, TC NO 10000000146", "az", "10000000146"),
        ("TC:10000000146", "en", "10000000146"),
        ("Su RUN es 20190101-4", "es", "20190101-4"),
        ("SIN: 130692544", "en", "130692544"),
        ("NAS 130 692 544", "fr", "130 692 544"),
        ("Canadian social insurance number 130 692 544", "de", "130 692 544"),
        ("RUT: 12345678-5", "en", "12345678-5"),
    ],
)
def test_identity_numbers_are_found_behind_a_label_and_what_joins_it(text: str, language: str, number: str) -> None:
    assert find(text, language, ["id"]) == [("id", number)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        # Letters that name no number, or a number of another country.
        ("ABC54362315K", "es"),
        ("ref54362315k", "es"),
        ("PESEL54362315K", "es"),
        ("DNI44051401359", "pl"),
        # A piece of something longer.
        ("XDNI54362315K", "es"),
        ("DNI54362315KX", "es"),
        ("DNI54362315K_2", "es"),
        ("a/DNI54362315K", "es"),
        ("_PESEL44051401359", "pl"),
        # Short names that begin other codes, in languages of other countries.
        ("RUN20190101-4", "en"),
        ("BSN111222333", "en"),
        ("CPR010190-1234", "en"),
        ("RUN-20190101-4", "en"),
        ("BSN-111222333", "en"),
        ("no10000000146", "en"),
        ("TC10000000146", "en"),
        ("TC-10000000146", "en"),
        # A short name somewhere before the number, part of a word, in small letters, or of another number.
        ("TC: see 10000000146", "en"),
        ("UTC 10000000146", "en"),
        ("x-TC 10000000146", "en"),
        ("T.T.C. 10000000146", "fr"),
        ("tc: 10000000146", "en"),
        ("TC: 10000000147", "en"),
        # A word of the language.
        ("RUN 20190101-4", "en"),
        ("Job run: 20190101-4 failed", "en"),
        ("Run 20190101-4", "de"),
        ("sin 130692544 de los demás", "es"),
        ("nas 130 692 544 páginas", "pt"),
        # Another check letter, or small letters that nothing names.
        ("nie-x-1234567-m", "es"),
        ("nie x1234567m", "es"),
        ("D.N.I.-54362315L", "en"),
        ("NIEX-1234567-M", "es"),
        ("x-1234567-l", "es"),
        ("x1234567l", "es"),
        ("ref 54.362.315-k", "es"),
        # A piece of something longer.
        ("anie-x-1234567-l", "es"),
        ("ANIEX-1234567-L", "es"),
        ("nie x-1234567-lm", "es"),
        ("nie x-1234567-l-2", "es"),
        ("nie ax1234567l", "es"),
        # Joined to no name of it, or to more.
        ("ABC-54362315K", "es"),
        ("id-54362315K", "es"),
        ("x-DNI-54362315K", "es"),
        ("x-NIE-X-1234567-L", "es"),
        ("REF-X-1234567-L", "es"),
        ("NIE-X-1234568-L", "es"),
        ("NIE-X-1234567-L-2", "es"),
        ("v.DNI.54362315K", "es"),
        ("DNI-54362315K-2", "es"),
        ("DNI-54362316K", "es"),
        # No address behind letters, no version.
        ("OpenSSL93.184.216.34", "en"),
    ],
)
def test_letters_before_a_number_that_are_no_label_of_it_say_nothing(text: str, language: str) -> None:
    assert find(text, language) == []


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("The form has A123456(3) on it.", "en", "A123456(3)"),
        ("證號AB987654(3)，", "zh", "AB987654(3)"),
        ("證號G123456（A）", "zh", "G123456（A）"),
        ("HKID No.: a card, Z683365 (A)", "en", "Z683365 (A)"),
        ("HKID A123456(3)", "de", "A123456(3)"),
        ("Hong Kong identity card A1234563", "en", "A1234563"),
        ("香港身份證A1234563", "zh", "A1234563"),
        # Without its words, in languages of other places, or with another check digit.
        ("A123456(3)", "de", None),
        ("A1234563", "zh", None),
        ("ID A1234563", "en", None),
        ("A123456(4)", "zh", None),
        ("HKID A123456(4)", "en", None),
        ("part number A123456(3)", "en", None),
        ("xA123456(3)", "en", None),
        ("A123456(3)a", "en", None),
        ("A111111(1)", "en", None),
        ("f(A123456, 3) A123456(33) A123456[3]", "en", None),
    ],
)
def test_hong_kong_identity_cards_need_their_check_digit_and_brackets_or_words(
    text: str, language: str, number: str | None
) -> None:
    assert find(text, language, ["id"]) == ([] if number is None else [("id", number)])


def test_a_gap_in_the_tables_of_the_library_makes_a_number_invalid() -> None:
    assert find("35455797410827608X", "zh", ["id"]) == []


def test_identity_numbers_of_at_least_forty_countries_are_known() -> None:
    assert len({number.country for number in id_numbers()}) >= 40


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("111222333", "nl", True),
        ("111222333", "en", False),
        ("BSN 111222333", "en", True),
        ("BSN 111222334", "nl", False),
        ("prijs 111222333", "nl", False),
        ("943-476-5870", "en", False),
        ("NHS number 943-476-5870", "en", True),
        ("390.533.447-05", "ru", True),
        ("tel 39053344705", "pt", False),
        ("111222333 mensen", "nl", False),
        ("111222333 €", "nl", False),
        ("BSN 111222333", "nl", True),
    ],
)
def test_weak_check_digits_need_the_language_or_a_cue(text: str, language: str, found: bool) -> None:
    assert bool(find(text, language, ["id"])) == found


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Steuer betrug 3413040733 Euro.", "de"),
        ("ID cards were issued to 667963916 citizens.", "en"),
        ("R$ 566131190225", "pt"),
        ("581204772825 κάτοικοι.", "el"),
        ("4.112.140.151 người sống ở đó.", "vi"),
        ("共15172272233票", "zh"),
        ("307575928 תושבים.", "he"),
        ("Коштувало 2492014469 грн.", "uk"),
    ],
)
def test_counts_and_prices_stay_though_a_check_digit_fits(text: str, language: str) -> None:
    assert find(text, language) == []
