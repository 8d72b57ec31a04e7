"""Identity numbers that python-stdnum has no module for, or not strictly enough. Each function says whether a number
without separators is valid."""

from __future__ import annotations

import datetime
from typing import Final

from curator.text.pattern import pattern

_NINO: Final = pattern(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]")
_RVNR_WEIGHTS: Final = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
_SG_WEIGHTS: Final = (2, 7, 6, 5, 4, 3, 2)
_HK: Final = pattern(r"([A-Z]{1,2})(\d{6})\(?([\dA])\)?")
_HK_BLANK: Final = 36
"""What a card with one letter has in the place of the first of two."""
_BELARUS: Final = pattern(r"[1-6]\d{6}[ABCHKEM]\d{3}(?:PB|BA|BI)\d")
_NI_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXY"
_UY_WEIGHTS: Final = (2, 9, 8, 7, 6, 3, 4)
_VN_PROVINCES: Final = 96
_TW_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # place + 10 is the letter's value


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True


def _is_short_date(year: str, month: str, day: str) -> bool:
    """Whether two-digit parts are a date in the 20th or 21st century."""
    return any(_is_date(century + int(year), int(month), int(day)) for century in (1900, 2000))


def gb_nino(number: str) -> bool:
    """British National Insurance number: no check digit, but prefixes that are never given out (HMRC NIM39110)."""
    return _NINO.fullmatch(number) is not None


def sg_nric(number: str) -> bool:
    """Singapore NRIC and FIN: weighted sum mod 11 picks the last letter."""
    prefix, last = number[0], number[-1]
    if prefix not in "STFG":
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number[1:8], _SG_WEIGHTS, strict=True))
    total += 4 if prefix in "TG" else 0
    letters = "JZIHGFEDCBA" if prefix in "ST" else "XWUTRQPNMLK"
    return letters[total % 11] == last


def de_rvnr(number: str) -> bool:
    """German pension insurance number (VKVV, section 2): area, date of birth, letter, serial, check digit."""
    day = int(number[2:4])
    if not _is_short_date(number[6:8], number[4:6], str(day - 50 if day > 50 else day)):
        return False
    digits = number[:8] + f"{ord(number[8]) - 64:02d}" + number[9:11]
    products = (int(digit) * weight for digit, weight in zip(digits, _RVNR_WEIGHTS, strict=True))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(number[11])


def es_nuss(number: str) -> bool:
    """Spanish social security number: the last two digits are the rest modulo 97 of province and serial."""
    province, serial, check = int(number[:2]), int(number[2:10]), int(number[10:])
    if not 1 <= province <= 66:
        return False
    base = province * 10_000_000 + serial if serial < 10_000_000 else int(number[:10])
    return base % 97 == check


def pt_nif(number: str) -> bool:
    """Portuguese taxpayer number of a person (first digit 1, 2, 3 or 45)."""
    from stdnum.pt import nif

    return (number[0] in "123" or number.startswith("45")) and bool(nif.is_valid(number))


def hu_personal(number: str) -> bool:
    """Hungarian personal identifier (Act XX of 1996): the weights rise before 1997 and fall from then on."""
    digits = [int(digit) for digit in number]
    if digits[0] not in range(1, 9) or not _is_short_date(number[1:3], number[3:5], number[5:7]):
        return False
    rising = sum(digit * weight for digit, weight in zip(digits, range(1, 11), strict=False)) % 11
    falling = sum(digit * weight for digit, weight in zip(digits, range(10, 0, -1), strict=False)) % 11
    return digits[10] in (rising, falling)


def ru_snils(number: str) -> bool:
    """Russian insurance number: weights 9 to 1, modulo 101, where 100 is written 00."""
    total = sum(int(digit) * weight for digit, weight in zip(number, range(9, 0, -1), strict=False))
    return int(number[:9]) > 1001998 and total % 101 % 100 == int(number[9:])


def kz_iin(number: str) -> bool:
    """Kazakh individual number: date of birth, century and sex, serial, check digit with two sets of weights."""
    if number[6] not in "123456" or not _is_short_date(number[:2], number[2:4], number[4:6]):
        return False
    digits = [int(digit) for digit in number]
    total = sum(digit * weight for digit, weight in zip(digits, range(1, 12), strict=False)) % 11
    if total == 10:
        weights = (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)
        total = sum(digit * weight for digit, weight in zip(digits, weights, strict=False)) % 11
    return total == digits[11]


def eg_nid(number: str) -> bool:
    """Egyptian national number: century, date of birth, governorate; its check digit is not published."""
    governorate = int(number[7:9])
    if number[0] not in "23" or not (1 <= governorate <= 35 or governorate == 88):
        return False
    return _is_date((1900 if number[0] == "2" else 2000) + int(number[1:3]), int(number[3:5]), int(number[5:7]))


def ae_eid(number: str) -> bool:
    """Emirates ID: 784 (the country in ISO 3166), year of birth, serial, Luhn's check digit."""
    from stdnum import luhn

    return number.startswith("784") and 1900 <= int(number[3:7]) <= 2099 and bool(luhn.is_valid(number))


def sa_nid(number: str) -> bool:
    """Saudi national number: 1 for citizens, 2 for residents, Luhn's check digit."""
    from stdnum import luhn

    return number[0] in "12" and bool(luhn.is_valid(number))


def ir_melli(number: str) -> bool:
    """Iranian national code: weights 10 to 2, modulo 11."""
    if len(set(number)) == 1:
        return False
    rest = sum(int(digit) * weight for digit, weight in zip(number, range(10, 1, -1), strict=False)) % 11
    return int(number[9]) == (rest if rest < 2 else 11 - rest)


def hk_id(number: str) -> bool:
    """Hong Kong identity card: weights 9 to 1, modulo 11; letters count from A = 10 on, `A` checks as 10."""
    match = _HK.fullmatch(number)
    if match is None:
        return False
    letters, digits, check = match.groups()
    values = [_HK_BLANK, *(ord(letter) - 55 for letter in letters)][-2:] + [int(digit) for digit in digits]
    values.append(10 if check == "A" else int(check))
    return sum(value * weight for value, weight in zip(values, range(9, 0, -1), strict=True)) % 11 == 0


def tw_id(number: str) -> bool:
    """Taiwanese national identity number: letter as two digits, sex, weights 1, 9 to 1, 1, modulo 10."""
    if number[1] not in "1289":
        return False
    value = _TW_LETTERS.index(number[0]) + 10
    total = value // 10 + value % 10 * 9
    total += sum(int(digit) * weight for digit, weight in zip(number[1:9], range(8, 0, -1), strict=True))
    return (total + int(number[9])) % 10 == 0


def lv_pk(number: str) -> bool:
    """Latvian personal code (python-stdnum's module takes companies as well, which begin with 4 or more)."""
    from stdnum.lv import pvn

    return number[0] in "0123" and bool(pvn.is_valid(number))


def _weigh_731(digits: str) -> int:
    """The check digit of travel documents (ICAO 9303, part 3, section 4.9): weights 7, 3, 1, modulo 10."""
    return sum(int(digit) * (7, 3, 1)[place % 3] for place, digit in enumerate(digits)) % 10


def vn_cccd(number: str) -> bool:
    """Vietnamese citizen's number (Circular 59/2021/TT-BCA): province, century and sex, year of birth, serial; no check
    digit."""
    return 1 <= int(number[:3]) <= _VN_PROVINCES and number[3] in "0123"


def uz_pinfl(number: str) -> bool:
    """Uzbek personal number: century and sex, date of birth, district, serial, check digit as in travel documents."""
    is_date = _is_short_date(number[5:7], number[3:5], number[1:3])
    return number[0] in "3456" and is_date and _weigh_731(number[:13]) == int(number[13])


def kg_pin(number: str) -> bool:
    """Kyrgyz personal number: sex, date of birth with the whole year, serial; its check digit is not published."""
    year = int(number[5:9])
    return number[0] in "12" and 1900 <= year <= 2099 and _is_date(year, int(number[3:5]), int(number[1:3]))


def by_personal(number: str) -> bool:
    """Belarusian identification number: century and sex, date of birth, region, serial, citizenship."""
    return _BELARUS.fullmatch(number) is not None and _is_short_date(number[5:7], number[3:5], number[1:3])


def md_idnp(number: str) -> bool:
    """Moldovan personal number: the register of persons is 2 (0 before), check digit as in travel documents."""
    return number[0] in "02" and _weigh_731(number[:12]) == int(number[12])


def lk_nic(number: str) -> bool:
    """Sri Lankan identity card: year of birth, day of the year (500 more for women), serial; a letter until 2016."""
    is_new = len(number) == 12
    if not is_new and number[-1] not in "VX":
        return False
    day = int(number[4:7] if is_new else number[2:5]) % 500
    return 1 <= day <= 366 and (not is_new or 1900 <= int(number[:4]) <= 2099)


def lu_matricule(number: str) -> bool:
    """Luxembourg identification number (Grand-ducal regulation of 28 November 2013): date of birth, serial, and two
    check digits of the first eleven, Luhn's and Verhoeff's."""
    from stdnum import luhn, verhoeff

    is_date = 1900 <= int(number[:4]) <= 2099 and _is_date(int(number[:4]), int(number[4:6]), int(number[6:8]))
    checks = luhn.calc_check_digit(number[:11]) + verhoeff.calc_check_digit(number[:11])
    return is_date and number[11:] == checks


def uy_ci(number: str) -> bool:
    """Uruguayan identity card: weights 2, 9, 8, 7, 6, 3, 4, modulo 10."""
    total = sum(int(digit) * weight for digit, weight in zip(number[:7], _UY_WEIGHTS, strict=True))
    return -total % 10 == int(number[7])


def ni_cedula(number: str) -> bool:
    """Nicaraguan identity card: municipality, date of birth, serial, and the letter that the rest modulo 23 picks."""
    is_date = _is_short_date(number[7:9], number[5:7], number[3:5])
    return is_date and _NI_LETTERS[int(number[:13]) % len(_NI_LETTERS)] == number[13]


def cr_cpf(number: str) -> bool:
    """Costa Rican identity card: province, volume, entry; no check digit."""
    return number[-9] in "123456789" and number[:-9] in ("", "0")
