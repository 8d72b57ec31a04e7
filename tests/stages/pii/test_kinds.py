"""What counts as personal data of each kind, and what looks like it and does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.language.tags import list_language
from stages.pii.cues import cue_languages, find_cues
from stages.pii.gazetteer import gazetteer
from stages.pii.kinds.ids import id_numbers
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
        "GIT@GITHUB.COM:OWNER",
        "%S@EXAMPLE.COM",
    ],
)
def test_what_is_no_email_address_stays(text: str) -> None:
    assert find(text, "en", ["email"]) == []


@given(
    st.text(st.sampled_from("ab7._-+é\u0301\u0142 \n<"), max_size=20), st.integers(0, 40), st.sampled_from(("", "7"))
)
def test_the_local_part_is_the_longest_run_before_the_sign(text: str, times: int, last: str) -> None:
    before = text + "éa" * times + last
    run = re.search(r"[\w.+-]{1,64}\Z", before)
    local = run.group().lstrip("+-.") if run is not None else ""
    expected = "" if local.endswith(".") or ".." in local else local
    found = find(f"{before}@example.com", "und", ["email"])
    assert found == ([("email", f"{expected}@example.com")] if expected else [])


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
        ("மொபைல் 9845327610", "ta", "9845327610"),
        ("fóònù 0803 123 4567", "yo", "0803 123 4567"),
        ("waya: 0803 123 4567", "ha", "0803 123 4567"),
        ("ekwentị: 0803 123 4567", "ig", "0803 123 4567"),
        ("011 44 20 7946 0018", "en", "011 44 20 7946 0018"),
        ("Call (415) 555-2671, ext. 12 now", "en", "(415) 555-2671, ext. 12"),
        ("Тел. +7 (495) 123-45-67, доб. 12", "ru", "+7 (495) 123-45-67, доб. 12"),
        ("Tel. (11) 3456-7890 ramal 12", "pt", "(11) 3456-7890 ramal 12"),
        ("電話 03-1234-5678（内線 123）まで", "ja", "03-1234-5678（内線 123）"),
        ("电话 010-12345678转123", "zh", "010-12345678转123"),
        ("TEL03-1234-5678", "ja", "03-1234-5678"),
        ("ＴＥＬ０９０－１２３４－５６７８", "ja", "０９０－１２３４－５６７８"),
        ("Tel030/12345678", "de", "030/12345678"),
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
        ("Artikel030-12345678", "de"),
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


@pytest.mark.parametrize("address", ["f0-1b-44-11-3a-b7", "ac-de-48-10-11-22", "a01b.4411.3ab7", "F0-1B-44-11-3A-B7"])
def test_hardware_addresses_are_found_in_letters_of_any_case(address: str) -> None:
    assert find(f"on {address} alone", "en") == [("mac", address)]


def test_both_ends_of_a_range_of_addresses_are_found() -> None:
    assert find("93.184.216.34-93.184.216.40", "en") == [("ip", "93.184.216.34"), ("ip", "93.184.216.40")]


def test_credentials_go_and_the_host_stays() -> None:
    assert find("git clone https://ann:s3cret@example.com/x.git") == [("credentials", "ann:s3cret")]
    assert find("ftp://user:password@example.com/ http://<login>:<pw>@h/ http://example.com:80/@x") == []


def test_a_passport_before_a_remark_in_brackets_stays_one() -> None:
    assert find("passport AB123456 (3)", "en") == [("passport", "AB123456")]


def test_cues_are_of_the_language_or_of_none() -> None:
    assert "phone" in find_cues("Meine Telefonnummer: ", "", "de")
    assert "phone" not in find_cues("Моя телефонная книга ", "", "de")
    assert "phone" in find_cues("ご連絡は携帯 ", "", "ja")
    assert "phone" in find_cues("GSM ", "", "und")
    assert "version" in find_cues("Version ", "", "und")


@given(st.lists(st.sampled_from(("tel", "Phone", "call", "id-nr", "x", *"_9.-:/ (\0\n")), max_size=12).map("".join))
def test_cues_in_ascii_are_those_that_are_found_beside_a_letter_of_another_script(before: str) -> None:
    assert find_cues(f"{before} ", "", "en") == find_cues(f"{before} \u4e2d", "", "en")


def test_languages_are_list_languages() -> None:
    ids = {language for number in id_numbers() for language in number.languages}
    languages = {*REGIONS, *ids, *cue_languages(), *gazetteer().languages}
    assert {language: list_language(language) for language in languages if list_language(language) != language} == {}


def test_languages_with_telephone_regions_have_cue_words_or_share_those_of_none() -> None:
    assert len(cue_languages() & set(REGIONS)) >= 50


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["1", "1.", "1-", "4111 1111 1111 1111 ", "a@b.cd ", "030 1234567 ", "AB12 ", "DE89 3704 ", "::1 ", "["]
)
def test_adversarial_text_is_finished(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    for kind, value in find(text, "de"):
        assert kind
        assert len(value) < 300


@pytest.mark.parametrize("word", ["iletişim", "İletişim", "İLETİŞİM"])
def test_a_cue_of_turkish_is_found_in_its_capitals(word: str) -> None:
    assert find_cues(f"{word}: ", "", "tr") == {"contact"}
