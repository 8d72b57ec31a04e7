"""Synthetic letters with made-up personal data, in ten languages, for the PII stage to find.

Every value is invented: names by Faker, mail domains that RFC 2606 reserves, phone numbers from ranges that regulators
keep for fiction (United Kingdom, North America, Germany, France, Sweden) or the examples of libphonenumber, addresses
from the documentation ranges (RFC 5737, RFC 3849), card numbers under the test prefixes 400000 and 555555, IBANs and
national numbers random. All of them pass their checks (Luhn, mod 97, …), so that a validator counts them.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Value:
    """A planted value: its kind, and where it stands (code points, half-open)."""

    kind: str
    begin: int
    end: int


@dataclass(frozen=True)
class Tongue:
    """What a letter in one language is put together from. `{name}` and the like are filled in; `quote` is real text."""

    locale: str
    regions: Sequence[str]
    opening: Sequence[str]
    about: Sequence[str]
    contact: Sequence[str]
    extra: Mapping[str, str]
    closing: Sequence[str]


_DATA = yaml.safe_load((Path(__file__).parent / "letters.yaml").read_text(encoding="utf-8"))
TONGUES: Mapping[str, Tongue] = {lang: Tongue(**parts) for lang, parts in _DATA["letters"].items()}
ABUSE: Mapping[str, Sequence[str]] = _DATA["abuse"]

_FICTION = {
    "GB": ("020 7946 0{:03d}", "+44 20 7946 0{:03d}"),
    "US": ("(202) 555-01{:02d}", "+1 202-555-01{:02d}"),
    "DE": ("030 23125{:03d}", "+49 30 23125{:03d}"),
    "FR": ("01 99 00 {:02d} 17", "+33 1 99 00 {:02d} 42"),
    "SE": ("070-174 06 {:02d}", "+46 70 174 06 {:02d}"),
}
"""Ranges kept for drama: Ofcom, NANPA, Bundesnetzagentur, ARCEP, PTS. `{}` takes 5 to 99."""


def letter(lang: str, quote: str, seed: int) -> tuple[str, list[Value]]:
    """A letter in `lang` that quotes a paragraph of real text, and the values planted in it, in order."""
    from faker import Faker

    tongue = TONGUES[lang]
    rng = random.Random(seed)
    fake = Faker(tongue.locale)
    fake.seed_instance(seed)
    extras = sorted(tongue.extra)
    chosen = rng.sample(extras, k=rng.randint(1, 2))
    lines = [rng.choice(tongue.opening), *rng.sample(tongue.about, k=2), f"«{quote}»", rng.choice(tongue.contact)]
    lines += [tongue.extra[kind] for kind in chosen] + [rng.choice(tongue.closing)]
    name = f"{fake.first_name_female()} {fake.last_name_female()}"
    if rng.random() < 0.5:
        name = f"{fake.first_name_male()} {fake.last_name_male()}"
    return _fill("\n".join(lines), {"name": name, **_values(lang, name, rng)})


def _fill(template: str, values: Mapping[str, str]) -> tuple[str, list[Value]]:
    pieces: list[str] = []
    found: list[Value] = []
    size = end = 0
    for match in re.finditer(r"\{(\w+)\}", template):
        value = values[match[1]]
        before = template[end : match.start()]
        pieces += [before, value]
        found.append(Value(match[1], size + len(before), size + len(before) + len(value)))
        size += len(before) + len(value)
        end = match.end()
    return "".join([*pieces, template[end:]]), found


def _values(lang: str, name: str, rng: random.Random) -> dict[str, str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    local = re.sub(r"[^a-z]+", ".", plain).strip(".") or f"user{rng.randint(100, 999)}"
    domain = rng.choice(("example.org", "example.com", "mail.example.net"))
    v6 = f"2001:db8:{rng.randrange(1, 0xFFFF):x}::{rng.randrange(1, 0xFFFF):x}"
    v4 = f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{rng.randint(1, 254)}"
    return {
        "email": f"{local}@{domain}",
        "phone": _phone(rng.choice(TONGUES[lang].regions), rng),
        "iban": _iban(TONGUES[lang].regions[0], rng),
        "card": _card(rng),
        "ip": rng.choice((v4, v4, v6)),
        "national": _national(lang, rng),
    }


def _phone(region: str, rng: random.Random) -> str:
    import phonenumbers

    if region in _FICTION:
        return rng.choice(_FICTION[region]).format(rng.randint(5, 99))
    kind = rng.choice((phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE))
    form = rng.choice((phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        raise LookupError(f"libphonenumber has no example for {region}")
    return phonenumbers.format_number(example, form)


def _card(rng: random.Random) -> str:
    from stdnum import luhn

    digits = rng.choice(("400000", "555555")) + f"{rng.randrange(10**9):09d}"
    digits += luhn.calc_check_digit(digits)
    separator = rng.choice((" ", "-", ""))
    return separator.join(digits[place : place + 4] for place in range(0, 16, 4))


_BBAN = {"GB": "cccc14", "DE": "18", "FR": "23", "ES": "20", "IT": "L22", "NL": "cccc10", "PL": "24", "SE": "20"}
"""BBAN shapes (SWIFT IBAN registry): letters, then a number of digits."""


def _iban(region: str, rng: random.Random) -> str:
    from stdnum import iban

    if region not in _BBAN:
        return ""
    letters = sum(character.isalpha() for character in _BBAN[region])
    size = int(_BBAN[region][letters:])
    while True:
        bban = "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=letters)) + f"{rng.randrange(10**size):0{size}d}"
        number = f"{region}{iban.calc_check_digits(f'{region}00{bban}')}{bban}"
        if iban.is_valid(number):
            return str(iban.format(number)) if rng.random() < 0.6 else number


_NATIONAL = {
    "fr": ("fr", "nir", "1YM75DDDDDDDD"),
    "es": ("es", "nif", "DDDDDDDDL"),
    "it": ("it", "codicefiscale", "LLLLLLYTKLDDDL"),
    "pt-BR": ("br", "cpf", "DDDDDDDDDDD"),
    "nl": ("nl", "bsn", "DDDDDDDDD"),
    "pl": ("pl", "pesel", "YMKDDDDD"),
    "sv": ("se", "personnummer", "YMK-DDDD"),
}
"""Country and module of python-stdnum, and the shape: D a digit, L a letter, Y M K a two-digit year, month and
day, T the month letter of the codice fiscale, the rest as it stands."""


def _national(lang: str, rng: random.Random) -> str:
    """A national number that passes its check, for languages that have one here; else an empty text."""
    from stdnum import get_cc_module

    if lang not in _NATIONAL:
        return ""
    country, name, shape = _NATIONAL[lang]
    module = get_cc_module(country, name)
    if module is None:
        raise LookupError(f"python-stdnum has no {country}.{name}")
    draw = {
        "D": lambda: str(rng.randrange(10)),
        "L": lambda: rng.choice("ABCDEFGHJKLMNPQRSTVWXYZ"),
        "Y": lambda: f"{rng.randint(50, 99)}",
        "M": lambda: f"{rng.randint(1, 12):02d}",
        "K": lambda: f"{rng.randint(1, 28):02d}",
        "T": lambda: rng.choice("ABCDEHLMPRST"),
    }
    while True:
        number = "".join(draw[character]() if character in draw else character for character in shape)
        if module.is_valid(number):
            return number
