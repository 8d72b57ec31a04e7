"""What the paragraphs of a mixed text say: which languages it is in, by letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.verdict import round_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOMINANT_SHARE = 0.6
"""The share of letters from which on a language is the text's language."""

SECOND_SHARE = 0.1
"""The share from which on a second language is named."""


@dataclass(frozen=True)
class Mixture:
    """By text, for those that were read by paragraph: `first` and `second` int32[texts], the languages that most
    letters are in (numbers of `Identifier.names`, 0 for none), and `shares` float64[texts], the share of the letters
    read that are in the first (6 significant digits; NaN where a text was not read by paragraph). Letters of paragraphs
    that are in no sure language count in the whole."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    shares: NDArray[np.float64]


def weigh_paragraphs(
    texts: NDArray[np.int64], names: NDArray[np.int32], letters: NDArray[np.int64], text_count: int, name_count: int
) -> Mixture:
    """The languages of texts from those of their paragraphs: each has its text, its language (0: not sure) and its
    letters. Between languages of as many letters, the one with the smaller number is first."""
    first = np.zeros(text_count, dtype=np.int32)
    second = np.zeros(text_count, dtype=np.int32)
    shares = np.full(text_count, np.nan)
    pairs, place = np.unique(texts * name_count + names, return_inverse=True)
    amount = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(amount, place, letters)
    total = np.zeros(text_count, dtype=np.int64)
    np.add.at(total, texts, letters)
    shares[texts] = 0.0
    named = pairs % name_count > 0
    pairs, amount = pairs[named], amount[named]
    owner = pairs // name_count
    order = np.lexsort((pairs, -amount, owner))
    pairs, amount, owner = pairs[order], amount[order], owner[order]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    rows = owner[starts]
    first[rows] = pairs[starts] % name_count
    shares[rows] = round_score(amount[starts] / np.maximum(total[rows], 1))
    following = starts[np.diff(starts, append=len(pairs)) > 1] + 1
    rows = owner[following]
    enough = amount[following] >= SECOND_SHARE * total[rows]
    second[rows[enough]] = pairs[following[enough]] % name_count
    return Mixture(first, second, shares)
