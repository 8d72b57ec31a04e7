"""Personal data in the texts of a batch: candidates from one scan, each checked by the validators, names from the
units, overlaps resolved."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from curator.document import Codes
from curator.text.points import code_points
from curator.text.segment import read_only
from stages.pii import anchors, names
from stages.pii.context import AFTER_BYTES, BEFORE_BYTES, Context, Span, plain, plain_number, shape_of
from stages.pii.disguises import undisguise
from stages.pii.kinds import (
    address,
    birthdate,
    credentials,
    email,
    hardware,
    ids,
    passport,
    payment,
    phone,
    plate,
    postal,
    profile,
    secret,
)
from stages.pii.scan import ADDRESS6, CREDENTIALS, EMAIL, HARDWARE, IBAN, NUMBER, SECRET, TOKEN, URL, Candidates, scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

NAME: Final = "name"

KINDS: Final = (
    credentials.CREDENTIALS,
    secret.SECRET,
    email.EMAIL,
    payment.IBAN,
    address.IP,
    hardware.MAC,
    payment.CARD,
    passport.PASSPORT,
    ids.ID,
    phone.PHONE,
    birthdate.BIRTHDATE,
    plate.PLATE,
    postal.ADDRESS,
    profile.USERNAME,
    NAME,
)
"""Every kind, in the order of priority: where two spans overlap and are equally certain, the earlier kind stands."""

_ANCHORED: Final = frozenset((birthdate.BIRTHDATE, plate.PLATE, postal.ADDRESS))
"""Kinds that are found by the words beside them."""

_ANCHOR_BYTES_BEFORE: Final = 160
_ANCHOR_BYTES_AFTER: Final = 320
_WINDOWS: Final = {EMAIL: (260, 260), SECRET: (secret.BEFORE_BYTES, secret.AFTER_BYTES), URL: (0, 260)}
"""Bytes before and after a candidate that its validator reads as they are; the others read fewer, made plain."""


@dataclass(frozen=True)
class Hits:
    """Personal data found, by document and place; spans of a document do not overlap. `starts` and `ends` are bytes in
    the text buffer, `begins` and `stops` code points in the document (both half-open), `kinds` indexes KINDS."""

    documents: NDArray[np.int32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    begins: NDArray[np.int32]
    stops: NDArray[np.int32]
    kinds: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.kinds)


_KIND_OF: Final = {
    anchors.BIRTHDATE: birthdate.BIRTHDATE,
    anchors.PLATE: plate.PLATE,
    anchors.LABEL: postal.ADDRESS,
    anchors.BEFORE: postal.ADDRESS,
    anchors.STREET: postal.ADDRESS,
    anchors.NAMED: postal.ADDRESS,
    anchors.ENDING: postal.ADDRESS,
}

Hit = tuple[int, int, int, int, int]
"""document, start, end (bytes), place in KINDS, certainty"""
Recognised = tuple[int, int, int, str]
"""document, start, end (bytes), kind: what a recogniser found"""


def detect(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    languages: Codes,
    units: Callable[[], Units],
    kinds: Sequence[str] = KINDS,
    recognised: Sequence[Recognised] = (),
) -> Hits:
    """Personal data of these kinds in all texts.

    `data` is uint8[bytes], `offsets` int64[texts + 1], `languages` one code per text; `units` gives the units of the
    texts and is called only for kinds that are told by words. `recognised` is what recognisers found; of names that
    overlap with one by rules, the longer stands.
    """
    wanted = frozenset(kinds)
    data, offsets = read_only(data), read_only(offsets)
    candidates = scan(data, offsets)
    hits = list(_checked(candidates, data, offsets, languages, wanted))
    if len(candidates.changes):
        meant = undisguise(data, offsets, candidates.changes)
        own = Codes(languages.codes[meant.documents], languages.names)
        again = _checked(scan(meant.data, meant.offsets), meant.data, meant.offsets, own, wanted)
        hits += [(*meant.as_read(*hit[:3]), *hit[3:]) for hit in again]
    if _ANCHORED & wanted:
        hits.extend(_anchored(data, offsets, units(), languages, wanted))
    if NAME in wanted:
        place = KINDS.index(NAME)
        hits.extend((*name, place, 0) for name in names.find(data, units(), languages))
    hits.extend(
        (document, start, end, KINDS.index(kind), 0) for document, start, end, kind in recognised if kind in wanted
    )
    kept = _without_overlaps(hits)
    table = np.array([hit[:4] for hit in kept], dtype=np.int64).reshape(-1, 4)
    documents = table[:, 0].astype(np.int32)
    starts, ends = np.ascontiguousarray(table[:, 1]), np.ascontiguousarray(table[:, 2])
    places = np.stack([starts, ends], axis=1).reshape(-1)
    points = code_points(data, offsets, np.repeat(documents, 2), places).reshape(-1, 2)
    return Hits(documents, starts, ends, points[:, 0], points[:, 1], table[:, 3].astype(np.int32))


def _checked(
    candidates: Candidates,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    languages: Codes,
    wanted: frozenset[str],
) -> Iterator[Hit]:
    """What the candidates of these texts are."""
    place_of = {kind: place for place, kind in enumerate(KINDS)}
    view = memoryview(np.ascontiguousarray(data).data)
    language_names, codes, begins = languages.names, languages.codes.tolist(), offsets.tolist()
    for document, start, end, kind in zip(
        candidates.documents.tolist(),
        candidates.starts.tolist(),
        candidates.ends.tolist(),
        candidates.kinds.tolist(),
        strict=True,
    ):
        body = str(view[start:end], "utf-8", "ignore")
        if kind == NUMBER and wanted.isdisjoint(_kinds_of_number(plain_number(body))):
            continue
        wide = kind in _WINDOWS
        reach_before, reach_after = _WINDOWS.get(kind, (BEFORE_BYTES, AFTER_BYTES))
        low = max(begins[document], start - reach_before)
        high = min(begins[document + 1], end + reach_after)
        # A window may begin or end inside a character: what is left of it is ignored, and no validator reads that far.
        before = str(view[low:start], "utf-8", "ignore")
        after = str(view[end:high], "utf-8", "ignore")
        language = language_names[codes[document]]
        if wide:
            context = Context(before, body, after, language)
        else:
            context = Context(plain(before), plain_number(body), plain(after), language)
        for span in _spans(kind, context, wanted):
            if span.kind in wanted:
                yield (
                    document,
                    start + _bytes_to(span.begin, before, body, after),
                    start + _bytes_to(span.end, before, body, after),
                    place_of[span.kind],
                    span.certainty,
                )


def _spans(kind: int, context: Context, wanted: frozenset[str]) -> Iterator[Span]:
    if kind == EMAIL:
        yield from email.find(context)
    elif kind == CREDENTIALS:
        yield from credentials.find(context)
    elif kind == IBAN:
        yield from payment.find_iban(context)
    elif kind == ADDRESS6:
        yield from address.find6(context)
        yield from hardware.find(context)
    elif kind == HARDWARE:
        yield from hardware.find(context)
    elif kind == SECRET:
        yield from secret.find(context)
    elif kind == URL:
        yield from profile.find(context)
    elif kind == TOKEN:
        yield from ids.find(context)
        if context.body[-1] == ")":
            context = _before(context, context.body.index("("))
        yield from passport.find(context)
    elif kind == NUMBER:
        if context.previous and context.previous.isascii() and context.previous.isalpha():
            # The scan begins no number behind a letter, save where a label stands before it.
            yield from ids.find_labelled(context)
            yield from phone.find_labelled(context)
            return
        kinds = wanted & _kinds_of_number(context.body)
        if context.body[0] == "(" and ")" not in context.body:
            inner = Context(context.before + "(", context.body[1:], context.after, context.language)
            for span in _spans(kind, inner, wanted):
                yield Span(span.begin + 1, span.end + 1, span.kind, span.certainty)
            return
        if ids.ID in kinds:
            yield from ids.find(context)
        if context.body[-1].isalpha():
            context = _before(context, len(context.body) - 1)
            if ids.ID in kinds:
                yield from ids.find(context)
        if address.IP in kinds:
            yield from address.find4(context)
        if passport.PASSPORT in kinds:
            yield from passport.find(context)
        if payment.CARD in kinds:
            yield from payment.find_card(context)
        if phone.PHONE in kinds:
            yield from phone.find(context)


@lru_cache(maxsize=1 << 13)
def _kinds_of_number(body: str) -> frozenset[str]:
    """The kinds that a run of digits and separators can be, whatever stands around it. Nine in ten runs, decimals and
    dates above all, can be none, and the same runs come again and again."""
    while body[0] == "(" and ")" not in body:
        body = body[1:]
    digits = _cut(body, len(body) - 1) if body[-1].isalpha() else body
    can_be = {
        ids.ID: ids.may_be(shape_of(body)) or ids.may_be(shape_of(digits)),
        address.IP: address.may_be4(digits),
        passport.PASSPORT: passport.may_be(digits),
        payment.CARD: payment.may_be_card(digits),
        phone.PHONE: phone.may_be(digits),
    }
    return frozenset(kind for kind, can in can_be.items() if can)


def _anchored(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], units: Units, languages: Codes, wanted: frozenset[str]
) -> Iterator[Hit]:
    """What stands beside the words of `stages.pii.anchors`."""
    view = memoryview(np.ascontiguousarray(data).data)
    language_names, codes, begins = languages.names, languages.codes.tolist(), offsets.tolist()
    for document, start, end, anchor in anchors.find(data, units, languages):
        kind = _KIND_OF[anchor.kind if anchor is not None else anchors.ENDING]
        if kind not in wanted or (anchor is not None and not _can_be(anchor, data, start, end)):
            continue
        low = max(begins[document], start - _ANCHOR_BYTES_BEFORE)
        high = min(begins[document + 1], end + _ANCHOR_BYTES_AFTER)
        before, word, after = (str(view[a:b], "utf-8", "ignore") for a, b in ((low, start), (start, end), (end, high)))
        for span in _beside(anchor, plain(before), plain(word), plain(after), language_names[codes[document]]):
            yield (
                document,
                start + _bytes_to(span.begin, before, word, after),
                start + _bytes_to(span.end, before, word, after),
                KINDS.index(span.kind),
                span.certainty,
            )


def _can_be(anchor: anchors.Anchor, data: NDArray[np.uint8], start: int, end: int) -> bool:
    """What a look at a few bytes tells: a label has a colon behind it, a street of this sort a capital, or a digit
    before it."""
    if anchor.kind == anchors.LABEL:
        # The longest term has two units more; a full-width colon begins with 0xEF.
        return any(byte in (0x3A, 0xEF) for byte in data[end : end + 24].tolist())
    if anchor.kind == anchors.BEFORE:
        # A no-break space has two bytes.
        return data[start] < 97 or any(48 <= byte <= 57 or byte == 44 for byte in data[max(0, start - 3) : start])
    return True


def _beside(anchor: anchors.Anchor | None, before: str, word: str, after: str, language: str) -> list[Span]:
    if anchor is None or anchor.kind == anchors.NAMED:
        return postal.find_ending(before, word, after, language)
    if anchor.kind == anchors.BEFORE:
        return postal.find_before(before, word, after, language)
    if anchor.kind == anchors.STREET:
        return postal.find_street(before, word, after, language)
    if not (word + after).lower().startswith(anchor.term):
        return []
    size = len(anchor.term)
    if anchor.kind == anchors.BIRTHDATE:
        return birthdate.find((word + after)[size:], size, language)
    find = plate.find if anchor.kind == anchors.PLATE else postal.find_label
    return find((word + after)[size:], size)


def _before(context: Context, end: int) -> Context:
    """The context with what stands in the body from `end` on, and what joins it, given to what follows."""
    body = _cut(context.body, end)
    return Context(context.before, body, context.body[len(body) :] + context.after, context.language)


def _cut(body: str, end: int) -> str:
    """The body as far as `end`, without what would join it to what follows."""
    return body[:end].rstrip(" -./(")


def _bytes_to(place: int, before: str, body: str, after: str) -> int:
    """Bytes from the beginning of the body to a place in code points, which may lie before or after the body."""
    if place < 0:
        return -len(before[place:].encode())
    if place <= len(body):
        return len(body[:place].encode())
    return len(body.encode()) + len(after[: place - len(body)].encode())


def _without_overlaps(hits: list[Hit]) -> list[Hit]:
    """The hits in order of place, each overlap decided for the more certain, then the kind of higher priority, then the
    longer, then the first."""
    hits.sort(key=lambda hit: (hit[0], hit[1], -hit[2]))
    kept: list[Hit] = []
    cluster: list[Hit] = []
    reach = (-1, -1)
    for hit in hits:
        if cluster and (hit[0], hit[1]) >= reach:
            kept.extend(_best(cluster))
            cluster = []
        reach = (hit[0], hit[2]) if not cluster else max(reach, (hit[0], hit[2]))
        cluster.append(hit)
    kept.extend(_best(cluster))
    return kept


def _best(cluster: list[Hit]) -> list[Hit]:
    if len(cluster) <= 1:
        return cluster
    # Those chosen do not overlap, so that only the two beside a hit can overlap with it; text of one kind after another
    # makes clusters as long as the text.
    chosen: list[Hit] = []
    for hit in sorted(cluster, key=lambda hit: (-hit[4], hit[3], hit[1] - hit[2], hit[1])):
        place = bisect_left(chosen, hit[1], key=_start)
        before = chosen[place - 1] if place > 0 else None
        after = chosen[place] if place < len(chosen) else None
        if (before is None or before[2] <= hit[1]) and (after is None or hit[2] <= after[1]):
            chosen.insert(place, hit)
    return chosen


def _start(hit: Hit) -> int:
    return hit[1]
