"""A program for `test_instructions.py`: reads each hostile text, of the length that is given, for every kind."""

from __future__ import annotations

import sys

from tests.stages.pii.helpers import find
from tests.stages.pii.hostile import PIECES, language_of, repeated


def main(length: int) -> None:
    """Read what repeats each piece to so many bytes of UTF-8."""
    for piece in PIECES:
        find(repeated(piece, length), language_of(piece))


if __name__ == "__main__":
    main(int(sys.argv[1]))
