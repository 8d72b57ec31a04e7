"""E-mail addresses (RFC 5321 and 6531, less quoted local parts and address literals)."""

from __future__ import annotations

import re
import string
from typing import Final

from stages.pii.context import Context, Span

EMAIL: Final = "email"

_LOCAL: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_LOCAL_ASCII: Final = string.ascii_letters + string.digits + "_.!#$%&'*+/=?^`{|}~-"
_MAX_LOCAL: Final = 64  # RFC 5321, section 4.5.3.1.1
_DOMAIN: Final = re.compile(r"[\w.-]{3,255}")
_LABEL: Final = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?\Z")
_LEADING: Final = "!#$%&'*+/=?^`{|}~-."

_UNIT_ENDINGS: Final = (
    *("automount", "device", "mount", "path", "scope", "service", "slice", "socket", "swap", "target", "timer"),
)
_FILE_ENDINGS: Final = (
    *("conf", "css", "gif", "h", "html", "ico", "jpeg", "jpg", "js", "json", "lock", "png", "py", "so", "svg"),
    *("tmp", "txt", "webp", "xml", "yaml", "yml"),
)
_NO_DOMAINS: Final = frozenset((*_UNIT_ENDINGS, *_FILE_ENDINGS))
"""Endings of files and systemd units (`getty@tty1.service`, `icon@2x.png`), none of which is a top-level domain."""


def find(context: Context) -> list[Span]:
    """The address around an `@` (the body), or nothing."""
    local = _local_part(context.before)
    domain = _domain(context.after)
    if not local or not domain:
        return []
    return [Span(-len(local), 1 + len(domain), EMAIL, 3)]


def _local_part(before: str) -> str:
    before = before[-_MAX_LOCAL - 1 :]
    match_text = before[len(before.rstrip(_LOCAL_ASCII)) :][-_MAX_LOCAL:]
    wide = None if before.isascii() else _LOCAL.search(before)
    if wide is not None and len(wide.group()) > len(match_text):
        # Letters beyond ASCII belong to the address only in a script with spaces: 联系foo@bar.com begins at foo.
        match_text = wide.group()[_unspaced_end(wide.group()) :]
    match_text = match_text.lstrip(_LEADING)
    for separator in "=/":
        # `to=foo@bar.com`, `/home/foo@bar.com`: legal in a local part, never meant so in running text.
        match_text = match_text.rsplit(separator, 1)[-1]
    if not match_text or len(match_text) > _MAX_LOCAL or match_text.endswith(".") or ".." in match_text:
        return ""
    return match_text


def _domain(after: str) -> str:
    match = _DOMAIN.match(after)
    if match is None:
        return ""
    text = match.group()
    text = text[: _script_change(text)].rstrip(".-_")
    labels = text.split(".")
    while len(labels) >= 2:
        if _is_domain(labels):
            return ".".join(labels)
        # `foo@bar.com.Next sentence` and `foo@bar.com.2`: a shorter name may be the right one.
        labels.pop()
    return ""


def _is_domain(labels: list[str]) -> bool:
    top = labels[-1]
    if not 2 <= len(top) <= 24 or top.lower() in _NO_DOMAINS:
        return False
    if not (top.isalpha() or top.lower().startswith("xn--") or not top.isascii()) or "_" in top:
        return False
    return all(_LABEL.match(label) is not None for label in labels)


def _is_unspaced(character: str) -> bool:
    return "\u2e80" <= character <= "\ud7ff" or "\uf900" <= character <= "\ufaff" or "\u0e00" <= character <= "\u0eff"


def _unspaced_end(text: str) -> int:
    """Where the part after the last character of a script without spaces (or Hangul, whose particles are attached)
    begins, unless all of it is such a script."""
    if all(_is_unspaced(character) for character in text if character.isalpha()):
        return 0
    return max((place + 1 for place, character in enumerate(text) if _is_unspaced(character)), default=0)


def _script_change(text: str) -> int:
    """Where an unspaced script begins inside a label that began in another one (`bar.com谢谢`)."""
    if text.isascii():
        return len(text)
    plain_label = False
    for place, character in enumerate(text):
        if character == ".":
            plain_label = False
        elif _is_unspaced(character):
            if plain_label:
                return place
        elif character.isalpha():
            plain_label = True
    return len(text)
