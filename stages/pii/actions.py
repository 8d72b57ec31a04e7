"""What becomes of personal data: a placeholder, a keyed hash, a pseudonym, the end of the document, or a note.

A hash and a pseudonym depend on a key that the recipe names and does not hold: whoever has it can tell whether two
values were the same, and nobody else can try values out. Both are BLAKE3 in its keyed mode (J. O'Connor et al., 2020,
section 2.3); the key is derived from the given secret (section 2.2), so that the hash of the fingerprint, derived under
another context, says nothing of it.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from blake3 import blake3
from pydantic import Field, model_validator

from curator.stage import Parameters, Requirement
from stages.pii.disguises import undisguise
from stages.pii.scan import scan

Action = Literal["redact", "hash", "pseudonymise", "drop", "flag"]

MIN_KEY_BYTES: Final = 16
"""128 bits: fewer can be tried out, and then so can the values."""
_KEY_CONTEXT: Final = "curator 2026-11-26 pii values"
_IDENTITY_CONTEXT: Final = "curator 2026-11-26 pii identity of the key"
_HASH_DIGITS: Final = 16
"""64 bits: among a million values two share a hash with a probability of 3e-8."""
_NUMBERS: Final = frozenset({"iban", "card", "id", "phone", "mac", "passport", "plate"})
"""Kinds whose separators mean nothing."""


class KeySource(Parameters):
    """Where the key of hashes and pseudonyms is read from: one of the two."""

    environment: str | None = Field(None, min_length=1, description="Name of the environment variable that holds it.")
    file: Path | None = Field(None, description="File that holds it; blanks at its end do not count.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.environment is None) == (self.file is None):
            raise ValueError("expected one of `environment` and `file`")
        return self

    def requirement(self) -> Requirement:
        """The key, known by a hash under a context of its own; neither its value nor where its file lies."""
        name = f"variable {self.environment}" if self.file is None else f"file {self.file.name}"
        secret, problem = self._read()
        identity = "" if problem else blake3(secret, derive_key_context=_IDENTITY_CONTEXT).hexdigest()
        return Requirement("key", name, identity, problem)

    def read(self) -> bytes:
        """The key of 32 bytes. UserError is raised before by `requirement`; ValueError where the key has gone since."""
        secret, problem = self._read()
        if problem:
            raise ValueError(f"the key of pii {problem}")
        return blake3(secret, derive_key_context=_KEY_CONTEXT).digest()

    def _read(self) -> tuple[bytes, str | None]:
        if self.file is None:
            value = os.environ.get(self.environment or "")
            if value is None:
                return b"", "is not set"
            secret = value.encode("utf-8", "surrogateescape")
        else:
            try:
                secret = self.file.read_bytes()
            except OSError as error:
                return b"", f"cannot be read: {error.strerror}"
        secret = secret.rstrip()
        if len(secret) < MIN_KEY_BYTES:
            return b"", f"has {len(secret)} bytes, fewer than the {MIN_KEY_BYTES} that a key needs"
        return secret, None


def undisguised(text: str) -> str:
    """A text as it is meant, as far as it is in disguise."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    offsets = np.array([0, len(data)], dtype=np.int64)
    changes = scan(data, offsets).changes
    return undisguise(data, offsets, changes).data.tobytes().decode() if len(changes) else text


def normal(kind: str, value: str) -> str:
    """The value in the form in which two ways of writing it are the same: without disguise, NFKC, case folded, single
    blanks; a number without its separators."""
    folded = unicodedata.normalize("NFKC", undisguised(value)).casefold()
    if kind in _NUMBERS:
        return "".join(letter for letter in folded if letter.isalnum() or letter == "+")
    return " ".join(folded.split())


def hashed(kind: str, value: str, key: bytes) -> str:
    """`[EMAIL_2C1D…]`: the kind and 64 bits of the keyed hash of the value. `key` has 32 bytes."""
    message = f"{kind}\0{normal(kind, value)}".encode()
    return f"[{kind.upper()}_{blake3(message, key=key).hexdigest()[:_HASH_DIGITS].upper()}]"
