"""Packages of an extra that a command needs, asked for before it does anything."""

from __future__ import annotations

from importlib.util import find_spec

from curator.errors import UserError


def require(*modules: str, extra: str) -> None:
    """UserError that names the first of these modules that is not installed, and the extra that has it."""
    for module in modules:
        if find_spec(module) is None:
            raise UserError(f"the package {module} is not installed", hint=f"pip install 'curator-corpora[{extra}]'")
