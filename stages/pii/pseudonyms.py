"""Pseudonyms: values that look like the ones in whose place they stand, and are nobody's.

Only kinds that have such values get one: e-mail addresses in the domains of RFC 2606, IP addresses of the ranges for
documentation (RFC 5737, RFC 3849), locally administered MAC addresses (IEEE 802, section 8.2.2), telephone numbers that
libphonenumber calls impossible or invalid, accounts, cards and identity numbers that fail their check digits, dates.
Names are drawn from the gazetteer of the language, in their script, part by part: somebody bears each of them, but not
this person.

The same value under the same key has the same pseudonym. There are only 762 addresses of version 4, so that of a few
dozen two may share one. Gender and case endings of names are not kept.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from blake3 import blake3

from stages.pii.actions import normal
from stages.pii.context import plain
from stages.pii.kinds.ids import is_identity_number
from stages.pii.kinds.payment import is_account
from stages.pii.kinds.phone import is_telephone_number

_DRAWS: Final = 256
"""Tries for a number that is invalid; of those without a check digit one in ten is."""
_DOMAINS: Final = ("example.com", "example.net", "example.org")  # RFC 2606, section 3
_IPV4: Final = ("192.0.2.0", "198.51.100.0", "203.0.113.0")  # RFC 5737
_IPV6: Final = 0x20010DB8 << 96  # RFC 3849
_SURNAME_THEN_GIVEN: Final = frozenset(("ja", "ko", "zh"))
_ZEROS: Final = str.maketrans("123456789", "0" * 9)


class Draws:
    """Numbers that a value decides: the keyed BLAKE3 of its kind and normal form, as long as needed."""

    def __init__(self, kind: str, value: str, key: bytes) -> None:
        self._hasher = blake3(f"{kind}\0{normal(kind, value)}".encode(), key=key)
        self._place = 0

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1, each as likely but for 1 in 2**64 / `count`."""
        word = self._hasher.digest(length=8, seek=self._place)
        self._place += 8
        return int.from_bytes(word, "little") % count


def pseudonym(kind: str, value: str, language: str, key: bytes) -> str:
    """What stands for a value of a kind of `PSEUDONYMISED`. `key` has 32 bytes."""
    return _MAKERS[kind](value, language, key)


def _email(value: str, _language: str, key: bytes) -> str:
    draws = Draws("email", value, key)
    names = _names()["en", "LATIN"]
    # An apostrophe may stand in an address, and rarely does.
    given, surname = (_drawn(part, draws).lower().replace("'", "") for part in (names.given, names.surnames))
    return f"{given}.{surname}{draws.below(10_000)}@{_drawn(_DOMAINS, draws)}"


def _ip(value: str, _language: str, key: bytes) -> str:
    draws = Draws("ip", value, key)
    if ":" in plain(value):
        return str(ipaddress.IPv6Address(_IPV6 + draws.below(2**32) * 2**64 + draws.below(2**32)))
    return str(ipaddress.IPv4Address(_drawn(_IPV4, draws)) + 1 + draws.below(254))


def _mac(value: str, _language: str, key: bytes) -> str:
    draws = Draws("mac", value, key)
    local = f"{draws.below(16):x}{'26ae'[draws.below(4)]}"  # the second bit of the first octet is set, the first is not
    digits = iter(local + "".join(f"{draws.below(16):x}" for _ in range(10)))
    drawn = "".join(next(digits) if letter.isalnum() else letter for letter in value)
    return drawn.upper() if value.upper() == value else drawn


def _phone(value: str, language: str, key: bytes) -> str:
    text = plain(value)
    keep = 3 if text.startswith("+") else len(text) - len(text.lstrip("(0+"))
    return _invalid("phone", value, key, keep, lambda drawn: is_telephone_number(drawn, language))


def _iban(value: str, _language: str, key: bytes) -> str:
    return _invalid("iban", value, key, 2, is_account)


def _card(value: str, _language: str, key: bytes) -> str:
    from stdnum import luhn

    return _invalid("card", value, key, 1, lambda drawn: bool(luhn.is_valid("".join(filter(str.isdigit, drawn)))))


def _id(value: str, _language: str, key: bytes) -> str:
    return _invalid("id", value, key, 0, is_identity_number)


def _invalid(kind: str, value: str, key: bytes, keep: int, is_valid: Callable[[str], bool]) -> str:
    """The value with its digits and capitals drawn anew after the first `keep` characters, such that it is invalid."""
    draws = Draws(kind, value, key)
    for _ in range(_DRAWS):
        drawn = value[:keep] + _same_shape(value[keep:], draws)
        if drawn != value and not is_valid(plain(drawn)):
            return drawn
    return plain(value)[:keep] + plain(value)[keep:].translate(_ZEROS)


def _same_shape(value: str, draws: Draws) -> str:
    """Digits of the same script for digits, capitals for capitals, all else as it is."""
    drawn = []
    for letter in value:
        if letter.isdecimal():
            drawn.append(chr(ord(letter) - int(letter) + draws.below(10)))
        elif "A" <= letter <= "Z":
            drawn.append(chr(65 + draws.below(26)))
        else:
            drawn.append(letter)
    return "".join(drawn)


def _name(value: str, language: str, key: bytes) -> str:
    listed = _names()
    names = listed.get((language, _script(value)), listed["en", "LATIN"])
    if language in _SURNAME_THEN_GIVEN and " " not in value:
        cut = next((size for size in (3, 2, 1) if value[:size] in names.every_surname and len(value) > size), 0)
        parts = [value[:cut], value[cut:]] if cut else [value]
        return "".join(_name_part(part, names, key) for part in parts)
    return " ".join(_name_part(part, names, key) for part in value.split())


def _name_part(part: str, names: _Names, key: bytes) -> str:
    """A part is told by itself, not by its place, so that `Miller` alone has the pseudonym that it has in a full
    name. Particles (`van`) stay, initials are drawn."""
    draws = Draws("name", part, key)
    bare = part.rstrip(".")
    if part.islower():
        return part
    if len(bare) == 1 and bare.isascii():
        return chr(65 + draws.below(26)) + part[1:]
    title = part.title()
    given, surname = (part in every or title in every for every in (names.every_given, names.every_surname))
    pool = names.both if given and surname else names.given if given else names.surnames
    drawn = _drawn(pool or names.surnames or names.given, draws)
    return drawn.upper() if len(part) > 1 and part.isupper() else drawn


def _drawn(choices: tuple[str, ...], draws: Draws) -> str:
    return choices[draws.below(len(choices))]


@dataclass(frozen=True)
class _Names:
    """Names of one language: those that are only given names, only surnames, both; and all of each."""

    given: tuple[str, ...]
    surnames: tuple[str, ...]
    both: tuple[str, ...]
    every_given: frozenset[str]
    every_surname: frozenset[str]


def _script(name: str) -> str:
    """The script of the first letter, as Unicode names it; kana count as Han."""
    script = unicodedata.name(name[0], "").partition(" ")[0]
    return "CJK" if script in ("HIRAGANA", "KATAKANA") else script


@lru_cache(maxsize=1)
def _names() -> Mapping[tuple[str, str], _Names]:
    """The gazetteer by language and script: what is an ordinary word or a place as well is known, and never drawn.
    Where there are not both given names and surnames, it is left out."""
    drawn: dict[tuple[str, str], tuple[list[str], list[str], list[str]]] = {}
    every: dict[str, tuple[set[str], set[str]]] = {}
    text = resources.files("stages.pii").joinpath("data", "names.tsv").read_text(encoding="utf-8")
    for line in text.splitlines()[1:]:
        name, *columns = line.split("\t")
        first, last, also = (frozenset(filter(None, column.split(","))) for column in columns)
        for language in first | last:
            is_first, is_last = language in first, language in last
            given, surnames = every.setdefault(language, (set(), set()))
            if is_first:
                given.add(name)
            if is_last:
                surnames.add(name)
            if not also & {language, "*"} and (language != "en" or name.isascii()):
                pools = drawn.setdefault((language, _script(name)), ([], [], []))
                pools[2 if is_first and is_last else 0 if is_first else 1].append(name)
    return {
        (language, script): _Names(
            given=tuple(pools[0]),
            surnames=tuple(pools[1]),
            both=tuple(pools[2]),
            every_given=frozenset(every[language][0]),
            every_surname=frozenset(every[language][1]),
        )
        for (language, script), pools in sorted(drawn.items())
        if pools[0] and pools[1]
    }


_MAKERS: Final[Mapping[str, Callable[[str, str, bytes], str]]] = {
    "email": _email,
    "phone": _phone,
    "iban": _iban,
    "card": _card,
    "id": _id,
    "ip": _ip,
    "mac": _mac,
    "name": _name,
}

PSEUDONYMISED: Final = frozenset(_MAKERS)
"""The kinds that have pseudonyms."""
