"""The option `--memory`."""

from __future__ import annotations

from curator.errors import UserError
from curator.sizes import parse_size


def parse_memory(given: str) -> int:
    """Bytes of what was given. UserError for what is no size."""
    try:
        return parse_size(given)
    except ValueError as error:
        raise UserError(f"--memory {given}: {error}") from error
