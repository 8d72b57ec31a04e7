"""What counts as personal data of each kind, and what looks like it and does not."""

from __future__ import annotations

import importlib
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.language.tags import list_language
from stages.pii.cues import cue_languages, find_cues
from stages.pii.gazetteer import gazetteer
from stages.pii.kinds.ids import IdNumber, id_numbers, shapes_of
from stages.pii.kinds.phone import REGIONS
from tests.stages.pii.helpers import find, spans

NEGATIVES = [
    json.loads(line) for line in (Path(__file__).parent / "hard_negatives.jsonl").read_text("utf-8").splitlines()
]


def test_hard_negatives_stay_in_fifteen_languages() -> None:
    assert len({row["lang"] for row in NEGATIVES}) >= 15
    found = spans([row["text"] for row in NEGATIVES], [row["lang"] for row in NEGATIVES])
    assert [(row, spots) for row, spots in zip(NEGATIVES, found, strict=True) if spots] == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<Jean.Dupont+news@mail.example.fr>", "Jean.Dupont+news@mail.example.fr"),
        ("mailto:a@b.co?subject=x", "a@b.co"),
        ("It is bob_1@x-y.org.", "bob_1@x-y.org"),
        ("请联系foo@bar.com谢谢", "foo@bar.com"),
        ("이메일은foo@bar.com으로", "foo@bar.com"),
        ("почта: иван@почта.рф", "иван@почта.рф"),
        ("邮箱：用户@例子.公司", "用户@例子.公司"),
        ("müller@straße.de", "müller@straße.de"),
        ("a@xn--bcher-kva.xn--p1ai", "a@xn--bcher-kva.xn--p1ai"),
        ("to=foo@bar.com", "foo@bar.com"),
        ("end of foo@bar.com.Next one", "foo@bar.com.Next"),
        ("邮箱12345678@qq.com，谢谢", "12345678@qq.com"),
        ("メール：taro＠example.jp", "taro＠example.jp"),
        ("អ៊ីមែលsok@example.khសូម", "sok@example.kh"),
        ("အီးမေးလ်aung@example.mmသို့", "aung@example.mm"),
        ("כתבו ל-dana@example.co.il מחר", "dana@example.co.il"),
        ("כתבו לdana@example.co.il מחר", "dana@example.co.il"),
        ("البريد الإلكترونيinfo@example.sa", "info@example.sa"),
        ("به ali@example.irبنویسید", "ali@example.ir"),
        ("ram@example.inपर लिखें", "ram@example.in"),
        ("gio@example.ge-ზე", "gio@example.ge"),
        ("почтаivan@example.ru", "ivan@example.ru"),
        ("user@abc日本.jp", "user@abc日本.jp"),
        ("\\texttt{bob@example.com}", "bob@example.com"),
        ("juan@pol.una.py", "juan@pol.una.py"),
    ],
)
def test_email_addresses_are_found_whole(text: str, address: str) -> None:
    assert find(text, "und", ["email"]) == [("email", address)]


def test_addresses_side_by_side_are_two() -> None:
    both = [("email", "bob@example.com"), ("email", "ann@example.org")]
    for text in ("bob@example.com|ann@example.org", "\\href{mailto:bob@example.com}{ann@example.org}"):
        assert find(text, "en", ["email"]) == both


@pytest.mark.parametrize(
    "text",
    [
        "me@localhost",
        "getty@tty1.service",
        "icon@2x.png",
        "a@b",
        "x@1.2.3",
        "a@b.c",
        "@media.print",
        "foo@-bar.com",
        "a@b..com",
        "git@github.com:owner/name.git",
        "${user}@example.com",
        "%s@example.com",
        "foo@latest.tgz",
    ],
)
def test_what_is_no_email_address_stays(text: str) -> None:
    assert find(text, "en", ["email"]) == []


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("+49 (0)30 12345678", "ja", "+49 (0)30 12345678"),
        ("tel:+493012345678", "und", "+493012345678"),
        ("Tel.: 030/12345678", "de", "030/12345678"),
        ("Tel. 030.12345678", "de", "030.12345678"),
        ("Ruf (030) 1234 5678 an", "de", "(030) 1234 5678"),
        ("(+33) 1 42 68 53 00", "de", "(+33) 1 42 68 53 00"),
        ("au 01 42 68 53 00 demain", "fr", "01 42 68 53 00"),
        ("415-555-2671", "en", "415-555-2671"),
        ("(415) 555-2671 x123", "en", "(415) 555-2671 x123"),
        ("1-415-555-2671", "en", "1-415-555-2671"),
        ("call me on 4155552671", "en", "4155552671"),
        ("00 44 20 7946 0958", "fr", "00 44 20 7946 0958"),
        ("тел. 8 (495) 123-45-67", "ru", "8 (495) 123-45-67"),
        ("手机13812345678，", "zh", "13812345678"),
        ("電話：０３－１２３４－５６７８", "ja", "０３－１２３４－５６７８"),
        ("هاتف: ٠١٠٠١٢٣٤٥٦٧", "ar", "٠١٠٠١٢٣٤٥٦٧"),
        ("फ़ोन: ०९८१०१२३४५६", "hi", "०९८१०१२३४५६"),
        ("tel. 512 345 678", "pl", "512 345 678"),
        ("Call 512 345 678", "pl", "512 345 678"),
        ("My number is 4155552671", "en", "4155552671"),
        ("Fax 030 12345678 2020", "de", "030 12345678"),
        ("電話は０９０−１２３４−５６７８です", "ja", "０９０−１２３４−５６７８"),
        ("電話090ー1234ー5678", "ja", "090ー1234ー5678"),
        ("電話：（02）2345-6789", "zh", "（02）2345-6789"),
        ("＋81 3 1234 5678", "ja", "＋81 3 1234 5678"),
        ("โทร ๐๘๑-๒๓๔-๕๖๗๘", "th", "๐๘๑-๒๓๔-๕๖๗๘"),
        ("ဖုန်း ၀၉-၄၂၁၂၃၄၅၆၇", "my", "၀၉-၄၂၁၂၃၄၅၆၇"),
        ("ផ្ញើទៅទូរស័ព្ទ ០១២ ៦៧៨ ៣៤៥", "km", "០១២ ៦៧៨ ៣៤៥"),
        ("ફોન: ૯૮૨૫૦૧૨૩૪૫", "gu", "૯૮૨૫૦૧૨૩૪૫"),
        ("ಮೊಬೈಲ್: ೯೮೪೫೦೧೨೩೪೫", "kn", "೯೮೪೫೦೧೨೩೪೫"),
        ("Tél. 0690 73 23 75", "fr", "0690 73 23 75"),
        ("Telefon: 021.312.34.56", "ro", "021.312.34.56"),
        ("Ring meg på 90302945.", "no", "90302945"),
        ("0(212) 293 45 67", "tr", "0(212) 293 45 67"),
        ("phone 212-736-5000/5001", "en", "212-736-5000"),
        ("phone=2127365000&x=1", "en", "2127365000"),
        ("011 44 20 7946 0018", "en", "011 44 20 7946 0018"),
    ],
)
def test_telephone_numbers_are_found_whole(text: str, language: str, number: str) -> None:
    assert find(text, language, ["phone"]) == [("phone", number)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("2147483647", "en"),
        ("call 2147483647", "en"),
        ("4155552671", "en"),
        ("my number of the order is 4155552671", "en"),
        ("512 345 678", "pl"),
        ("030 12345678", "und"),
        ("030 12345678", "ja"),
        ("+1 234", "en"),
        ("x4155552671", "en"),
        ("415-555-2671-99", "en"),
        ("tel. 2023-01-15", "de"),
        ("Mobile phone subscriptions 8283000000 (2021)", "en"),
        ("Telephone sales rose to 4155552671 dollars", "en"),
        ("mobile users: 5123456789", "en"),
        ("휴대폰 판매량 1012345678대", "ko"),
        ("Telefonkosten 3012345678 €", "de"),
        ("phone subscribers: 362 066 775 377", "en"),
        ("x=4155552671", "en"),
        ("01 02 03 04 05", "fr"),
        ("a+493012345678", "de"),
        ("Contact area: 0.2079460958", "en"),
        ("Kontaktwiderstand 0.3012345678", "de"),
    ],
)
def test_what_is_no_telephone_number_stays(text: str, language: str) -> None:
    assert find(text, language, ["phone"]) == []


@pytest.mark.parametrize("label", ["IBAN", "iban", "Iban", "IBAN-", "IBAN_"])
@pytest.mark.parametrize(
    "number", ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "es9121000418450200051332"]
)
def test_iban_is_found_behind_its_name(label: str, number: str) -> None:
    for text in (label + number, f"({label}{number}).", f"konto {label}{number} bitte"):
        assert find(text, "en", ["iban"]) == [("iban", number)]
    for text in (f"MY{label}{number}", f"X_{label}{number}", f"{label}X{number}", f"{label}{number[:4]}"):
        assert find(text, "en", ["iban"]) == []


@pytest.mark.parametrize("separator", ["", " ", "\u00a0", "-"])
def test_iban_is_found_in_one_piece_and_in_groups(separator: str) -> None:
    number = separator.join(re.findall(".{1,4}", "DE89370400440532013000"))
    assert find(f"IBAN {number} BIC COBADEFFXXX", "en", ["iban"]) == [("iban", number)]


@pytest.mark.parametrize(
    "number",
    [
        "gb82 west 1234 5698 7654 32",
        "gb82west12345698765432",
        "de89370400440532013000",
        "nl91-abna-0417-1643-00",
        "Gb82 West 1234 5698 7654 32",
        "GB82 west 1234 5698 7654 32",
    ],
)
def test_iban_is_found_in_small_letters(number: str) -> None:
    for text in (f"pay to {number} and no later", f"账号{number}。", number):
        assert find(text, "en", ["iban"]) == [("iban", number)]
    for place in (2, len(number) - 1):
        other = str((int(number[place]) + 1) % 10)
        assert find(f"pay to {number[:place]}{other}{number[place + 1 :]} soon", "en") == []


@given(st.integers(2, 21), st.sampled_from("0123456789"))
def test_iban_with_a_changed_digit_stays(place: int, digit: str) -> None:
    number = "DE89370400440532013000"
    changed = number[:place] + digit + number[place + 1 :]
    assert bool(find(changed, "en", ["iban"])) == (changed == number)


@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "4111111111111111",
        "5500-0055-5555-5559",
        "378282246310005",
        "3782 822463 10005",
        "6011000990139424",
        "3530111333300000",
        "6200000000000005",
        "4111.1111.1111.1111",
        "4524 7157 7128 0387 413",
    ],
)
def test_payment_cards_are_found(number: str) -> None:
    assert find(f"paid with {number}, thanks", "en", ["card"]) == [("card", number)]


@pytest.mark.parametrize("number", ["4111 1111 1111 1111", "4111111111111111", "3782-822463-10005"])
@pytest.mark.parametrize("behind", ["12/27", "12/27 123", "03-2028", "2027", "123"])
def test_a_card_is_found_before_its_date_and_check_number(number: str, behind: str) -> None:
    assert find(f"{number} {behind}", "en", ["card"]) == [("card", number)]


def test_a_telephone_number_is_no_card() -> None:
    assert find("Teléfono: 573024896017", "es") == [("phone", "573024896017")]


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112", "1111111111111117", "4111 11111111 1111", "4006381333931", "a4111111111111111"]
)
def test_what_is_no_payment_card_stays(text: str) -> None:
    assert find(text, "en", ["card"]) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("from 8.8.8.8 again", "8.8.8.8"),
        ("93.184.216.34:8080", "93.184.216.34"),
        ("the address is 1.2.3.4", "1.2.3.4"),
        ("[2a01:238:43ed:c300:10c3:bcf3:3266:da74]", "2a01:238:43ed:c300:10c3:bcf3:3266:da74"),
        ("ping fe80::5054:ff:fe70:67bc%eth0", "fe80::5054:ff:fe70:67bc"),
        ("::ffff:8.8.8.8", "::ffff:8.8.8.8"),
    ],
)
def test_ip_addresses_are_found(text: str, address: str) -> None:
    if address.startswith("8.8"):
        text = f"server {text}"
    assert find(text, "en", ["ip"]) == [("ip", address)]


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.20.1.1", "169.254.1.1", "0.0.0.0", "255.255.255.0", "224.0.0.1"),  # noqa: S104
        *("192.0.2.55", "203.0.113.7", "::1", "::", "fe80::1", "ff02::2", "2001:db8::1", "1.2.3.256", "1.2.3.4.5"),
        *(
            "version 93.184.216.34",
            "v93.184.216.34",
            "release 5.10.0.99",
            "Firefox 102.11.0.1",
            "foo==152.17.80.24",
            "4.2.1.3 Heading",
            "130.155.160.0/255.255.240.0",
        ),
        *("00:1B:44:11:3A:B7", "f9:2a:c2:77:29:f9:5c:00", "12:30:45", "abc::def", "std::cafe::b"),
    ],
)
def test_addresses_of_nobody_and_versions_stay(text: str) -> None:
    assert find(text, "en", ["ip"]) == []


@pytest.mark.parametrize("address", ["f0-1b-44-11-3a-b7", "a01b.4411.3ab7", "F0-1B-44-11-3A-B7"])
def test_hardware_addresses_are_found_in_letters_of_any_case(address: str) -> None:
    assert find(f"on {address} alone", "en") == [("mac", address)]


def test_both_ends_of_a_range_of_addresses_are_found() -> None:
    assert find("93.184.216.34-93.184.216.40", "en") == [("ip", "93.184.216.34"), ("ip", "93.184.216.40")]


def test_credentials_go_and_the_host_stays() -> None:
    assert find("git clone https://ann:s3cret@example.com/x.git") == [("credentials", "ann:s3cret")]
    assert find("ftp://user:password@example.com/ http://<login>:<pw>@h/ http://example.com:80/@x") == []


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
}


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
        ("NIE-X1234567L", "es", "X1234567L"),
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
        # A word of the language.
        ("RUN 20190101-4", "en"),
        ("Job run: 20190101-4 failed", "en"),
        ("Run 20190101-4", "de"),
        ("sin 130692544 de los demás", "es"),
        ("nas 130 692 544 páginas", "pt"),
        # Joined to no name of it, or to more.
        ("ABC-54362315K", "es"),
        ("id-54362315K", "es"),
        ("x-DNI-54362315K", "es"),
        ("v.DNI.54362315K", "es"),
        ("DNI-54362315K-2", "es"),
        ("DNI-54362316K", "es"),
        # No address behind letters, no version.
        ("OpenSSL93.184.216.34", "en"),
        ("Tel030/12345678", "de"),
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


def test_a_passport_before_a_remark_in_brackets_stays_one() -> None:
    assert find("passport AB123456 (3)", "en") == [("passport", "AB123456")]


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


def test_cues_are_of_the_language_or_of_none() -> None:
    assert "phone" in find_cues("Meine Telefonnummer: ", "", "de")
    assert "phone" not in find_cues("Моя телефонная книга ", "", "de")
    assert "phone" in find_cues("ご連絡は携帯 ", "", "ja")
    assert "phone" in find_cues("GSM ", "", "und")
    assert "version" in find_cues("Version ", "", "und")


def test_languages_are_list_languages() -> None:
    ids = {language for number in id_numbers() for language in number.languages}
    languages = {*REGIONS, *ids, *cue_languages(), *gazetteer().languages}
    assert {language: list_language(language) for language in languages if list_language(language) != language} == {}


def test_languages_with_telephone_regions_have_cue_words_or_share_those_of_none() -> None:
    assert len(cue_languages() & set(REGIONS)) >= 50


@pytest.mark.parametrize(
    "piece", ["1", "1.", "1-", "4111 1111 1111 1111 ", "a@b.cd ", "030 1234567 ", "AB12 ", "DE89 3704 ", "::1 ", "["]
)
def test_adversarial_text_is_finished(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    for kind, value in find(text, "de"):
        assert kind
        assert len(value) < 300
