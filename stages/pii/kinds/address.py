"""IP addresses that can lead to a person or a site.

Private, loopback, link-local, multicast, reserved and documentation addresses (RFC 6890) are the same everywhere and
stay in the text, and so do networks (`130.155.160.0/255.255.240.0`). IPv6 addresses of a local kind (fc00::/7,
fe80::/10) are redacted where they are longer than a bare prefix: they carry random or hardware identifiers (RFC 4193,
section 3.2; RFC 4291, appendix A).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span
from stages.pii.cues import IP as IP_CUE
from stages.pii.cues import VERSION as VERSION_CUE

IP: Final = "ip"

_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = pattern(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_DOTTED: Final = pattern(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
_FOLLOWED: Final = pattern(r":\d{2,5}\b|/\d{1,2}\b")
_VERSION_BEFORE: Final = pattern(r"(?:[vV]|[A-Za-z_][-_/]|(?<!\.\d)(?<!\.\d\d)(?<!\.\d\d\d)[-+_~]|[=<>~!]=)\Z")
_THOUSANDS: Final = pattern(r"\d{1,3}(?:\.\d{3}){3}")
_RANGE: Final = pattern(rf"-(?={_OCTET}(?:\.{_OCTET}){{3}}(?![\w.-]))")
_SMALL_OCTET: Final = 50
"""Four numbers that are all below this are a section or a version until something says that they are an address: a
random address is that small in 0.15% of cases."""
_ULA = ipaddress.ip_network("fc00::/7")
_DOCUMENTATION = (ipaddress.ip_network("2001:db8::/32"), ipaddress.ip_network("3fff::/20"))
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_PAIRS: Final = pattern(r"[0-9a-fA-F]{1,2}(?::{1,2}[0-9a-fA-F]{1,2})+")


def may_be4(body: str) -> bool:
    """Whether `find4` can find anything in a run of digits, whatever stands around it."""
    return any(_IPV4.fullmatch(text) is not None and _is_public(text) for text in _DOTTED.findall(body))


def find4(context: Context) -> list[Span]:
    """The IPv4 addresses in a run of digits."""
    found = []
    for match in _DOTTED.finditer(context.body):
        text = match.group()
        if _IPV4.fullmatch(text) is None:
            continue
        before = context.before + context.body[: match.start()]
        after = context.body[match.end() :] + context.after
        if _is_address4(text, before, after, context):
            found.append(Span(match.start(), match.end(), IP, 3))
    return found


def _is_address4(text: str, before: str, after: str, context: Context) -> bool:
    if not _is_public(text):
        return False
    if after[:1] == "_" or (after[:1].isascii() and after[:1].isalnum()):
        return False
    if re.match(r"[-.]\w", after, re.ASCII) and _RANGE.match(after) is None:
        return False
    if before and before[-1].isascii() and (before[-1].isalnum() or before[-1] in "_."):
        return False
    if text.endswith(".0") and after.startswith("/"):
        return False
    if _FOLLOWED.match(after) is not None:
        return True
    cues = context.cues
    if _THOUSANDS.fullmatch(text) is not None and context.is_counted:
        return False
    if max(map(int, text.split("."))) < _SMALL_OCTET:
        # At the beginning of a line four small numbers are a heading's, whatever the line before is about.
        at_line_start = not before.rstrip(" ") or before.rstrip(" ")[-1] in "\n\r"
        return IP_CUE in cues and VERSION_CUE not in cues and not at_line_start
    return IP_CUE in cues or (VERSION_CUE not in cues and _VERSION_BEFORE.search(before) is None)


def _is_public(text: str) -> bool:
    address = ipaddress.IPv4Address(text)
    return address.is_global and not address.is_multicast and not address.is_reserved


def find6(context: Context) -> list[Span]:
    """The IPv6 address that the body is."""
    text = context.body.rstrip(".")
    if text.endswith(":") and not text.endswith("::"):
        text = text[:-1]
    if _PAIRS.fullmatch(text) or (context.previous and context.previous in "%$&.#/\\-_"):
        return []
    try:
        address = ipaddress.IPv6Address(text)
    except ipaddress.AddressValueError:
        return []
    if not _is_personal6(address) or (text.endswith("::") and context.next == "/"):
        return []
    groups = sum(bool(group) for group in text.split(":"))
    mapped = address.ipv4_mapped is not None
    if "::" in text and groups < 5 and not mapped and address not in _GLOBAL_UNICAST and IP_CUE not in context.cues:
        return []
    return [Span(0, len(text), IP, 3)]


def _is_personal6(address: ipaddress.IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_global
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    if any(address in network for network in _DOCUMENTATION):
        return False
    if address.is_link_local or address in _ULA:
        return int(address) & 0xFFFF_FFFF_FFFF_FFFF > 0xFFFF_FFFF
    return int(address) >> 112 != 0
