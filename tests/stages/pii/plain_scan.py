"""The candidate scan, read plainly: the shapes of `stages.pii.scan` as regular expressions over bytes."""

from __future__ import annotations

import re

from stages.pii.scan import ADDRESS6, CREDENTIALS, EMAIL, HARDWARE, IBAN, NUMBER, SECRET, TOKEN, URL

Candidate = tuple[int, int, int]
"""start, end, kind"""

ZEROS = "0٠۰०০੦૦୦௦౦೦൦๐໐༠၀០０"
DIGIT = b"(?:" + "|".join(chr(ord(zero) + value) for zero in ZEROS for value in range(10)).encode() + b")"
SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
SEPARATORS = SPACES + "\u2010\u2011\u2012\u2013\u2014\u2015\u2212ー（）－"
SEPARATOR = rb"(?:[ \-./()]|" + "|".join(SEPARATORS).encode() + b")"
WORD_END = rb"(?![0-9A-Za-z\x80-\xff])"
TOKEN_AT = re.compile(rb"[0-9A-Za-z]+")
DOMAIN = re.compile(rb"[0-9A-Za-z\x80-\xff-]+\.[0-9A-Za-z\x80-\xff]")
LOGIN = re.compile(rb"(?s:.)://([^\x00-\x20@<>\"/:]+:[^\x00-\x20@<>\"/]+)\Z")
GROUPS = re.compile(rb"(?:[0-9A-Za-z]|" + SEPARATOR + rb"(?=[0-9A-Za-z]))*")
LABELLED = re.compile(rb"[A-Za-z]{2,8}[0-9]+")
LABELLED_SMALL = re.compile(rb"(?=.*[a-z])[A-Za-z]{2,8}[0-9]{7,}[A-Za-z]?")
BRACKETED = re.compile(rb"[A-Z]{1,8}[0-9]{6} ?(?:\(|" + "（".encode() + rb")[0-9A](?:\)|" + "）".encode() + rb")")
GAP = re.compile(SEPARATOR + rb"+")
HOST = re.compile(rb"://([0-9A-Za-z.-]{1,255})/[^\x00-\x20]")
PAIRS = re.compile(rb"(?=[0-9-]*[A-Fa-f])[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}(?![0-9A-Za-z])")
QUADS = re.compile(rb"(?=[0-9.]*[A-Fa-f])[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}(?![0-9A-Za-z])")
KEY = re.compile(rb"A[KS]I|AIz|AKz|ASz|AII|eyJ")
DIGIT_AT = re.compile(DIGIT)
LETTER_AT_END = re.compile(rb"[A-Z]" + WORD_END)


def plain_scan(text: bytes) -> list[Candidate]:
    """The candidates of one text, in the order in which they are met."""
    found: list[Candidate] = []
    at = 0
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b"@":
            found += at_sign(text, at, 1)
            at += 1
        elif text.startswith("＠".encode(), at):
            found += at_sign(text, at, 3)
            at += 3
        elif byte == b":":
            host = HOST.match(text, at)
            address = [] if text[at + 1 : at + 3] == b"//" and at + 3 < len(text) else address6(text, at)
            found += [(at + 3, host.end(1), URL)] if host else address
            at = address[0][1] if address else at + 1
        elif byte.isalnum() or DIGIT_AT.match(text, at):
            candidates, at = token(text, at)
            found += candidates
        else:
            at += 1
    return found


def at_sign(text: bytes, at: int, width: int) -> list[Candidate]:
    """`user:password` of a URL before it (a scheme, `://`, at most 255 bytes), or a word before and a name with a dot
    after it."""
    url = LOGIN.search(text[max(0, at - 260) : at])
    if width == 1 and url is not None and len(url.group(1)) <= 255:
        return [(at - len(url.group(1)), at, CREDENTIALS)]
    name = DOMAIN.match(text, at + width)
    spaced = at == 0 or text[at - 1] <= 32
    return [] if spaced or name is None or name.end() - 1 - width - at >= 256 else [(at, at + width, EMAIL)]


def address6(text: bytes, at: int) -> list[Candidate]:
    """Hex digits, colons and dots around a colon, alone among letters and digits, two colons together or six."""
    begin = at
    while begin > max(0, at - 4) and chr(text[begin - 1]) in "0123456789abcdefABCDEF":
        begin -= 1
    run = re.compile(rb"[0-9a-fA-F:.]*").match(text, begin)
    assert run is not None
    body = run.group()
    alone = not re.search(rb"[0-9A-Za-z]\Z", text[max(0, begin - 1) : begin]) and not re.match(
        rb"[0-9A-Za-z]", text[run.end() : run.end() + 1]
    )
    colons = body.count(b":")
    enough = (colons >= 2 and b"::" in body) or colons >= 6 or (colons == 5 and len(body) >= 17)
    return [(begin, run.end(), ADDRESS6)] if alone and enough and len(body) <= 45 else []


def token(text: bytes, at: int) -> tuple[list[Candidate], int]:
    """What ASCII letters and digits, or a digit of another script, are or begin; and where to go on."""
    match = TOKEN_AT.match(text, at)
    if match is None:
        return number(text, at)
    hardware = PAIRS.match(text, at) or QUADS.match(text, at)
    if hardware and text[max(0, at - 1) : at] not in (b"-", b"."):
        return [(at, hardware.end(), HARDWARE)], hardware.end()
    body = match.group()
    end = match.end()
    digits = sum(48 <= byte <= 57 for byte in body)
    if len(body) == 5 and body.startswith(b"BEGI") and body.isalpha() and text[max(0, at - 2) : at] == b"--":
        return [(at, end, SECRET)], end
    named = re.match(rb"[A-Za-z]{2}[0-9]", body) and re.fullmatch(rb"(?is)IBAN.", text[at - 5 : at] if at >= 5 else b"")
    if not named and is_secret(text, at, body):
        return [(at, end, SECRET)], end
    # `DE89…` in one piece, or `DE89` before groups, perhaps behind `IBAN`.
    account = re.fullmatch(rb"(?i:IBAN)?([A-Za-z]{2}[0-9]{2}(?:|[0-9A-Za-z]{11,}))", body)
    if account is not None:
        groups = GROUPS.match(text[: end + 48], end)
        assert groups is not None
        more = groups.group()
        if len(account.group(1)) + len(re.findall(rb"[0-9A-Za-z]", more)) >= 15:
            return [(at + account.start(1), end + len(more), IBAN)], end
    if LABELLED.fullmatch(body) and re.match(rb"[-./][0-9]", text[end : end + 2]):
        return number(text, at + len(body.rstrip(b"0123456789")))
    if re.fullmatch(rb"[0-9]{8,17}[a-z]", body) or LABELLED_SMALL.fullmatch(body):
        return [(at, end, TOKEN)], end
    if re.match(rb"[xyz][0-9]{7}(?:[a-z](?![0-9A-Za-z])|-[a-z])", text[at : at + 10]):
        return [(at, end, TOKEN)], end
    if digits == 0 or re.search(rb"[a-z]", body):
        return [], end
    if digits == len(body):
        return number(text, at)
    bracketed = BRACKETED.match(text, at)
    if bracketed is not None:
        return [(at, bracketed.end(), TOKEN)], bracketed.end()
    shape = (len(body) >= 8 and digits >= 6) or (len(body) >= 10 and digits >= 4)
    return ([(at, end, TOKEN)] if shape and len(body) <= 40 else []), end


def is_secret(text: bytes, at: int, body: bytes) -> bool:
    """Sixteen or more of two sorts, small letters, capitals and digits, that begin as keys do or stand behind `_`, `-`
    or `.`; without digits only behind the first two."""
    sorts = [re.search(sort, body) is not None for sort in (rb"[0-9]", rb"[a-z]", rb"[A-Z]")]
    if len(body) < 16 or sum(sorts) < 2:
        return False
    before = text[max(0, at - 1) : at]
    return before in (b"_", b"-") or (sorts[0] and (before == b"." or KEY.match(body) is not None))


def number(text: bytes, at: int) -> tuple[list[Candidate], int]:
    """Digits, with separators of at most four bytes and two blanks between them, perhaps a capital at the end that
    stands by itself; before them at most two signs or brackets."""
    digits = dots = 0
    place = last = at
    while True:
        digit = DIGIT_AT.match(text, place)
        if digit is not None:
            digits += 1
            place = last = digit.end()
            continue
        gap = separators(text, place)
        if not gap or place + len(gap) >= len(text) or blanks(gap) > 2:
            break
        following = place + len(gap)
        if DIGIT_AT.match(text, following) is None:
            # `131052-308T`, `12345678-Z`: a capital right after the separator belongs to an id.
            if len(gap) == 1 and LETTER_AT_END.match(text, following):
                last = following + 1
            break
        dots += gap == b"."
        place = following
    if LETTER_AT_END.match(text, last):
        last += 1
    start = at
    for _ in range(2):
        sign = next((sign for sign in map(str.encode, "+(＋（") if text.endswith(sign, 0, start)), b"")
        start -= len(sign)
    lettered = text[last - 1 : last] >= b"A"
    if digits < 7 and dots != 3 and not (digits == 6 and lettered):
        return [], last
    if digits <= 24 and last - start <= 96:
        return [(start, last, NUMBER)], last
    return split(text, start, last), last


def separators(text: bytes, place: int) -> bytes:
    """Separators from a place, as many as have four bytes together."""
    taken = b""
    one = re.compile(SEPARATOR)
    while (match := one.match(text, place + len(taken))) and len(taken) + len(match.group()) <= 4:
        taken += match.group()
    return taken


def blanks(gap: bytes) -> int:
    return gap.count(b" ") + gap.count(b"\xc2\xa0")


def split(text: bytes, start: int, end: int) -> list[Candidate]:
    """The parts of a long run between spaces, each up to its last digit."""
    found = []
    for part in re.finditer(rb"[^ ]+", text[start:end]):
        digits = list(DIGIT_AT.finditer(part.group()))
        stop = digits[-1].end() if digits else 0
        dots = part.group().count(b".")
        if (7 <= len(digits) <= 24 or dots == 3) and stop <= 96:
            found.append((start + part.start(), start + part.start() + stop, NUMBER))
    return found
