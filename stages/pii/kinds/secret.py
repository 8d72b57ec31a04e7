"""Keys that open something: API keys and tokens by the prefixes of those who issue them, JSON Web Tokens (RFC 7519),
private keys in PEM blocks (RFC 7468).

A prefix, an alphabet and a length together are so rare that nothing else is asked for. A secret without a prefix (a
password, 40 letters and digits) is found only where it follows the key to which it belongs (Amazon's). Public keys and
certificates stay. Every quantifier is possessive or of one length: no pattern can go back.
"""

from __future__ import annotations

import re
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span

SECRET: Final = "secret"  # noqa: S105 (the name of a kind)
BEFORE_BYTES: Final = 64
"""Longer than any prefix, and than what Slack puts before the last part of a token."""
AFTER_BYTES: Final = 16_384
"""An RSA key of 16,384 bits takes 12,500 bytes in PEM."""

_PREFIXES: Final = (
    "AKIA",  # Amazon Web Services, access keys; ASIA: temporary ones
    "ASIA",
    "AIza",  # Google API keys
    "GOCSPX-",  # Google, secrets of OAuth clients
    "ya29.",
    "ghp_",  # GitHub, personal, OAuth, of users, servers, and to refresh; fine-grained
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",  # GitLab
    "xoxb-",  # Slack
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "xoxe-",
    "xoxr-",
    "xapp-",
    "sk_live_",  # Stripe
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "whsec_",
    "sk-",  # OpenAI, Anthropic
    "npm_",
    "pypi-",
    "SG.",  # SendGrid
    "dop_v1_",  # DigitalOcean
    "shpat_",  # Shopify
    "shpss_",
    "eyJ",  # the beginning of a JSON object in base64: a JSON Web Token
)
_PREFIX: Final = pattern(r"(?<![A-Za-z0-9])(?:" + "|".join(map(re.escape, _PREFIXES)) + ")")
_KEY: Final = pattern(
    r"(?:A[KS]IA[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{35}"
    r"|GOCSPX-[A-Za-z0-9_-]{28}"
    r"|ya29\.[A-Za-z0-9_-]{20,512}+"
    r"|gh[pousr]_[A-Za-z0-9]{36,251}+"
    r"|github_pat_[A-Za-z0-9_]{36,251}+"
    r"|glpat-[A-Za-z0-9_-]{20,64}+"
    r"|(?:xox[bpaser]|xapp)-[A-Za-z0-9-]{24,255}+"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}+"
    r"|whsec_[A-Za-z0-9+/]{24,64}+"
    r"|sk-[A-Za-z0-9_-]{32,255}+"
    r"|npm_[A-Za-z0-9]{36}"
    r"|pypi-[A-Za-z0-9_-]{50,512}+"
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    r"|dop_v1_[a-f0-9]{64}"
    r"|shp(?:at|ss)_[a-fA-F0-9]{32}"
    r"|eyJ[A-Za-z0-9_-]{10,2048}+\.eyJ[A-Za-z0-9_-]{10,4096}+\.[A-Za-z0-9_-]{16,1024}+"
    r")(?![A-Za-z0-9])"
)
_SECRET_OF_AMAZON: Final = pattern(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_SECRET_WITHIN: Final = 160
"""Characters behind an access key in which the secret that belongs to it is looked for."""
_BLOCK: Final = pattern(r" (?:[A-Z]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)?-----")
_BLOCK_END: Final = pattern(r"-----END (?:[A-Z]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)?-----")
_LINES: Final = pattern(r"(?:\s{0,4}+[A-Za-z0-9+/=]{16,80}+)*+")
_MIN_BLOCK: Final = 40
"""Letters and digits of the shortest block (Ed25519 has 64): manuals show blocks with nothing or dots in them."""
_NOT_BASE64: Final = pattern(r"[^A-Za-z0-9+/=]+")


def find(context: Context) -> list[Span]:
    """The key that the body is or belongs to, and the secret behind it."""
    if context.body == "BEGIN":
        return _find_block(context)
    before = context.before[-BEFORE_BYTES:]
    text = before + context.body + context.after
    at = len(before)
    for prefix in _PREFIX.finditer(text, 0, at + 4):
        match = _KEY.match(text, prefix.start())
        if match is None or match.end() <= at:
            continue
        found = [Span(match.start() - at, match.end() - at, SECRET, 3)]
        if match.group().startswith("A") and match.group()[3] == "A":
            found += _secret_behind(text, match.end(), at)
        return found
    return []


def _secret_behind(text: str, end: int, at: int) -> list[Span]:
    """Amazon's secret, which has no prefix: 40 letters, digits and signs of base64, of more than one sort."""
    match = _SECRET_OF_AMAZON.search(text, end, end + _SECRET_WITHIN)
    if match is None or not re.search("[a-z]", match.group()) or not re.search("[A-Z]", match.group()):
        return []
    return [Span(match.start() - at, match.end() - at, SECRET, 3)]


def _find_block(context: Context) -> list[Span]:
    """A private key from its first hyphen to the last one of its end, or as far as lines of base64 go."""
    hyphens = len(context.before) - len(context.before.rstrip("-"))
    head = _BLOCK.match(context.after)
    if hyphens < 5 or head is None:
        return []
    foot = _BLOCK_END.search(context.after, head.end())
    lines = _LINES.match(context.after, head.end())
    stop = foot.start() if foot is not None else lines.end() if lines is not None else head.end()
    if len(_NOT_BASE64.sub("", context.after[head.end() : stop])) < _MIN_BLOCK:
        return []
    end = foot.end() if foot is not None else stop
    return [Span(-5, len(context.body) + end, SECRET, 3)]
