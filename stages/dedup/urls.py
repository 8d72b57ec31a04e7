"""One form of a URL for all ways in which the same page is addressed.

The URL is parsed as browsers do (WHATWG URL standard, by ada-url): host in lower case and Punycode, no dot segments, no
default port. Then, after RFC 3986 section 6.2: percent-encoded unreserved characters are decoded, other escapes are in
upper case. And what does not say which page it is falls away: scheme (http and https), `www.`, user and password,
fragment, a slash at the end, session ids, and the parameters by which advertisers and mailings follow a visitor.
The remaining parameters are sorted; an ampersand that was left as HTML writes it (`&amp;`) is one. A fragment that
begins with `!` or `/` stays: by it a page that is one program says which of its pages is meant (Google's "Making AJAX
applications crawlable", 2009; the hash mode of routers). Hosts and paths of pages for telephones and of AMP are other
pages here: which of them say the same is told by their texts.
"""

from __future__ import annotations

import re
from functools import cache

from blake3 import blake3

from curator.text.urls import parse_web_url

_FOLLOWING = re.compile(
    r"(?:(?:utm|oly|hsa|vero)_[a-z_]+|_hs[a-z]+"
    r"|(?:mtm|pk)_(?:campaign|keyword|kwd|source|medium|content|cid|group|placement)"
    r"|(?:fb|g|dc|y|ys|tt|tw)clid|gclsrc|gbraid|wbraid|msclkid|igshid|mc_[ce]id|mkt_tok|_ga|_gl"
    r"|ml_subscriber(?:_hash)?|li_fat_id|ef_id|s_cid|wickedid|rb_clickid|srsltid|igsh|_openstat)$",
    re.IGNORECASE,
)
"""Parameters that say where a visitor came from: those that Google Analytics, Matomo, HubSpot, Piwik, Facebook, Google
Ads, Microsoft, Yandex, TikTok, X, LinkedIn, Mailchimp, Marketo and others add to links."""

_SESSION = re.compile(r"(?:phpsessid|jsessionid|aspsessionid[a-z]*|sessionid|cfid|cftoken)$", re.IGNORECASE)
_PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid)=[^/;]*", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_PROBES = (
    "HTTP://user:word@www.Example.org:80/a/../b%7Ec%2f;jsessionid=1/?b=2&utm_source=x&a=%41&&fbclid=3&c#part",
    "https://bücher.example./übung?PHPSESSID=1&q=ä b&q=+",
    "http://example.org/?c&amp;a&amp;srsltid=1",
    "http://example.org/#!/page%7e",
    "http://example.org/x#/page?a=1",
    "https://[::1]:8443/%zz",
    "ftp://example.org/",
    "",
)
"""What meets the rules by which URLs are brought into one form: what becomes of it tells whether two versions compare
URLs in the same way."""


@cache
def url_scheme() -> str:
    """A digest of what `canonical_url` makes of probes."""
    forms = [canonical_url(url) or "" for url in _PROBES]
    return str(blake3("\n".join(forms).encode()).hexdigest()[:32])


def canonical_url(url: str) -> str | None:
    """The canonical form, without its scheme (`example.org/page?a=1`); None for what is not an http(s) URL."""
    parsed = parse_web_url(url)
    if parsed is None:
        return None
    host = parsed.host.removeprefix("www.").rstrip(".")
    path = _decode(_PATH_SESSION.sub("", parsed.pathname)).rstrip("/")
    fields = [_decode(field) for field in parsed.search.removeprefix("?").replace("&amp;", "&").split("&") if field]
    kept = sorted(field for field in fields if not _says_nothing(field.partition("=")[0]))
    query = f"?{'&'.join(kept)}" if kept else ""
    fragment = _decode(parsed.hash) if parsed.hash.startswith(("#!", "#/")) else ""
    return f"{host}{path}{query}{fragment}"


def _says_nothing(name: str) -> bool:
    return bool(_FOLLOWING.match(name) or _SESSION.match(name))


def _decode(text: str) -> str:
    return _ESCAPE.sub(_decode_one, text)


def _decode_one(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
