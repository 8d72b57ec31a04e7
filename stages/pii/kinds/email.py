"""E-mail addresses (RFC 5321 and 6531, less quoted local parts and address literals)."""

from __future__ import annotations

import string
from functools import lru_cache
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span, plain

EMAIL: Final = "email"

_LOCAL: Final = pattern(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}")
"""Matched from the end of a text on: a search for where it begins tries each place."""
_LOCAL_ASCII: Final = string.ascii_letters + string.digits + "_.!#$%&'*+/=?^`{|}~-"
_MAX_LOCAL: Final = 64  # RFC 5321, section 4.5.3.1.1
_DOMAIN: Final = pattern(r"[\w.-]{3,255}")
_LABEL: Final = pattern(r"[^\W_](?:[\w-]{0,61}[^\W_])?\Z")
_LEADING: Final = "!#$%&'*+/=?^`{|}~-."
_BREAK: Final = pattern(r"[=/|{}]|%[sSｓ](?=\Z)")
_OF_MACHINES: Final = "git"
"""Whose addresses before a colon are those of repositories (`git@github.com:owner/name.git`)."""

_UNIT_ENDINGS: Final = (
    *("automount", "device", "mount", "path", "scope", "service", "slice", "socket", "swap", "target", "timer"),
)
_FILE_ENDINGS: Final = (
    *("conf", "css", "deb", "gif", "gz", "h", "html", "ico", "jar", "jpeg", "jpg", "js", "json", "lock", "png"),
    *("rpm", "svg", "tar", "tgz", "tmp", "txt", "webp", "whl", "xml", "yaml", "yml"),
)
_NO_DOMAINS: Final = frozenset((*_UNIT_ENDINGS, *_FILE_ENDINGS))
"""Endings of files and systemd units (`getty@tty1.service`, `icon@2x.png`), none of which is a top-level domain."""


def find(context: Context) -> list[Span]:
    """The address around an `@` (the body), or nothing."""
    domain = _domain(context.after)
    local = _local_part(context.before, domain.isascii()) if domain else ""
    if not local or (plain(local).lower() == _OF_MACHINES and context.after[len(domain) :][:1] == ":"):
        return []
    return [Span(-len(local), 1 + len(domain), EMAIL, 3)]


def _local_part(before: str, plain_domain: bool) -> str:
    before = before[-_MAX_LOCAL - 1 :]
    match_text = before[len(before.rstrip(_LOCAL_ASCII)) :][-_MAX_LOCAL:]
    wide = None if before.isascii() else _LOCAL.match(before[::-1])
    if wide is not None and wide.end() > len(match_text):
        match_text = before[-wide.end() :]
        match_text = match_text[_foreign_end(match_text, plain_domain) :]
    # `to=foo@bar.com`, `/home/foo@bar.com`, `a@b.com|c@d.com`, `{foo@bar.com}`: legal in a local part, never meant so
    # in running text.
    match_text = _BREAK.split(match_text)[-1].lstrip(_LEADING)
    if not match_text or len(match_text) > _MAX_LOCAL or match_text.endswith(".") or ".." in match_text:
        return ""
    return match_text


def _domain(after: str) -> str:
    match = _DOMAIN.match(after)
    if match is None:
        return ""
    whole = match.group()
    text = whole if whole.isascii() else whole[: _script_change(whole)]
    return _longest_domain(text) or ("" if text == whole else _longest_domain(whole))


@lru_cache(maxsize=1 << 12)
def _longest_domain(text: str) -> str:
    labels = text.rstrip(".-_").split(".")
    while len(labels) >= 2:
        if _is_domain(labels):
            return ".".join(labels)
        # `foo@bar.com.Next sentence` and `foo@bar.com.2`: a shorter name may be the right one.
        labels.pop()
    return ""


def _is_domain(labels: list[str]) -> bool:
    # In plain letters and digits, so that `getty@ｔｔｙ1.ｓｅｒｖｉｃｅ` and `logo@１.５x` are none.
    top = plain(labels[-1])
    if not 2 <= len(top) <= 24 or top.lower() in _NO_DOMAINS:
        return False
    if not (top.isalpha() or top.lower().startswith("xn--") or not top.isascii()) or "_" in top:
        return False
    return all(_LABEL.match(label) is not None for label in labels)


def _is_foreign(character: str) -> bool:
    """Whether a letter is of another script than Latin."""
    return character.isalpha() and character >= "\u0370" and not "\u1e00" <= character <= "\u1eff"


def _foreign_end(text: str, plain_domain: bool) -> int:
    """Where a local part begins behind letters of another script that belong to the text before it: 联系foo, לfoo. What
    is all of one script stays whole, but for digits behind a script without spaces, where the domain is in ASCII:
    邮箱12345@qq.com begins at the digits."""
    end = max((place + 1 for place, character in enumerate(text) if _is_foreign(character)), default=0)
    tail = text[end:]
    if any(character.isalpha() for character in tail):
        return end
    digits = any(character.isdigit() for character in tail)
    return end if digits and plain_domain and end and _is_unspaced(text[end - 1]) else 0


def _is_unspaced(character: str) -> bool:
    return (
        "\u2e80" <= character <= "\ud7ff"
        or "\uf900" <= character <= "\ufaff"
        or "\u0e00" <= character <= "\u109f"
        or "\u1780" <= character <= "\u17ff"
    )


def _script_change(text: str) -> int:
    """Where another script begins inside a label that began in Latin letters (`bar.com谢谢`)."""
    plain_label = False
    for place, character in enumerate(text):
        if character == ".":
            plain_label = False
        elif _is_foreign(character):
            if plain_label:
                return place
        elif character.isalpha():
            plain_label = True
    return len(text)
