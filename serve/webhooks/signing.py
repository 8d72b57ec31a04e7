"""Signatures of messages, as Standard Webhooks has them (https://www.standardwebhooks.com, 1.0.0): HMAC-SHA-256 over
id, time and body with dots between, in base64, one for each secret. Its libraries check them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

from curator.errors import UserError

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""The size of a secret (Standard Webhooks, 1.0.0, "Signature scheme")."""


def sign(identity: str, moment: int, body: bytes, secrets: Sequence[bytes]) -> Mapping[str, str]:
    """The headers of a message: its id, its time in seconds since 1970, and a signature for each secret."""
    signed = f"{identity}.{moment}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def load_secret(path: Path) -> bytes:
    """The secret of a file, in base64, with or without `whsec_`. UserError for one that will not do, or that others
    may read."""
    try:
        text = path.read_text(encoding="ascii").strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("the secret of webhooks cannot be read", file=str(path)) from error
    if mode & 0o077:
        raise UserError("others may read the secret of webhooks", file=str(path), hint="chmod 600")
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        hint = "`openssl rand -base64 32` makes one"
        raise UserError(f"a secret is {LEAST_BYTES} to {MOST_BYTES} bytes in base64", file=str(path), hint=hint)
    return secret
