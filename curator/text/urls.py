"""URLs of the web, parsed as browsers do (WHATWG URL standard, by ada-url)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ada_url import URL

SCHEMES = ("http:", "https:")


def parse_web_url(url: str) -> URL | None:
    """A URL in its parts; None for what is not an http(s) URL with a host."""
    from ada_url import URL

    try:
        parsed = URL(url)
    except ValueError:
        return None
    return parsed if parsed.protocol in SCHEMES and parsed.host else None
