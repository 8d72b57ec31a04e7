"""Which addresses a message may go to: those that are allowed, and that lie in no network of our own.

A name is resolved once, every address that it has is looked at, and the connection goes to one that was looked at: so
a name that resolves to something else a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from curator.errors import UserError

MAX_URL = 1000

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_TRANSLATED = tuple(IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
"""Addresses that stand for others: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380)."""

_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out for the public (RFC 4291, section 2.4). What lies elsewhere, as addresses that stand for
IPv4 (`::a.b.c.d`, `::ffff:0:a.b.c.d`) and of sites (`fec0::/10`), is not public, whatever `is_global` says."""

_PORTS = {"http": 80, "https": 443}


class AddressError(UserError):
    """An address that a message may not go to."""


@dataclass(frozen=True)
class Pinned:
    """Where a connection goes: `addresses` are what the name of the host was resolved to."""

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, *, any_scheme: bool = False) -> str:
    """The URL, if a message could go there. ValueError for anything but a plain https URL (or http, `any_scheme`)."""
    if len(url) > MAX_URL or not url.isascii() or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ValueError(f"an address has at most {MAX_URL} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in (("https", "http") if any_scheme else ("https",)):
        raise ValueError("is not an https URL")
    if not parts.hostname or parts.username is not None or parts.password is not None or port == 0:
        raise ValueError("names no host, or a user")
    if parts.fragment or "\\" in url or any(part in (".", "..") for part in parts.path.split("/")):
        raise ValueError("holds `..`, a backslash or a fragment")
    return url


def is_allowed(url: str, allowed: Sequence[str]) -> bool:
    """Whether a URL will do, and is one of these or lies below one that ends with `/`: same scheme, host and port."""
    try:
        parts = urlsplit(check_url(url, any_scheme=True))
    except ValueError:
        return False
    return any(_lies_below(parts, urlsplit(one)) for one in allowed)


def pin(url: str, networks: Sequence[Network]) -> Pinned:
    """Resolve a URL to addresses. AddressError unless all addresses of its host are public, or in these networks;
    OSError where the name cannot be resolved."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    found = tuple(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    for address in found:
        if not _may_be_reached(ip_address(address.partition("%")[0]), networks):
            raise AddressError(f"{host} is {address}, which is not public", hint="webhooks.networks allows a network")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Pinned(parts.scheme, host, port, found, path)


def _lies_below(given: SplitResult, allowed: SplitResult) -> bool:
    if (given.scheme, given.hostname) != (allowed.scheme, allowed.hostname):
        return False
    if (given.port or _PORTS[given.scheme]) != (allowed.port or _PORTS[allowed.scheme]):
        return False
    path, above = given.path or "/", allowed.path or "/"
    return (path, given.query) == (above, allowed.query) or (above.endswith("/") and path.startswith(above))


def _may_be_reached(address: Address, networks: Sequence[Network]) -> bool:
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    if any(plain in network for network in networks):
        return True
    if isinstance(plain, IPv6Address) and (plain not in _UNICAST or any(plain in network for network in _TRANSLATED)):
        return False
    return plain.is_global and not plain.is_multicast
