"""What processes that the server starts know of its environment."""

from __future__ import annotations

import os

from serve.audit import KEY_VARIABLE

CLIENT_VARIABLE = "CURATOR_TOKEN"

_SECRET_VARIABLES = (KEY_VARIABLE, CLIENT_VARIABLE)
"""What they have no use for."""


def without_secrets() -> dict[str, str]:
    """The environment of this process, less the secrets that are the server's alone."""
    return {name: value for name, value in os.environ.items() if name not in _SECRET_VARIABLES}
