"""Finds pieces of different languages that mean the same, from text of each language alone.

A piece is known by the company that it keeps: counts of its neighbours, weighted by positive pointwise mutual
information with smoothed contexts and factored by SVD, as vectors (Levy, Goldberg and Dagan 2015,
https://aclanthology.org/Q15-1016). The space of each language is turned onto that of the pivot by an orthogonal map
(Schönemann 1966), first by the pieces that both languages have (names, numbers, loans), then by the pairs that the map
itself finds, some times over (Artetxe et al. 2018, https://aclanthology.org/P18-1073). Two pieces are a pair when each
is the other's nearest, distances corrected for pieces that are near to everything (CSLS, Conneau et al. 2018,
https://arxiv.org/abs/1710.04087), and their cosine reaches the threshold.

What it is good for hangs on the text: languages that write of the same things, in amounts from a megabyte on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from curator.errors import UserError
from curator.tokenize import Tokenizer
from model.vocabulary.alignment import Alignment, Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD = 0.85
"""Cosine from which two pieces are alike, the product's."""
WINDOW = 4
"""Neighbours on each side that count."""
LEAST_COUNT = 20
"""A rarer piece has too little company to be known by."""
LARGEST = 10_000
"""Pieces of a language that are looked at, the most frequent."""
WIDTH = 48
"""Of vectors: at 128 an eighth of the pairs reach the threshold, no more of them right; at 32 fewer are right (decision
35)."""
SMOOTHING = 0.75
"""Exponent over the counts of contexts (Levy et al. 2015, section 3.2)."""
LEAST_ANCHORS = 20
"""Fewer pieces in common do not fix a map."""
LEAST_PIECES = 10_000
"""A text with fewer pieces is too little: with hardly more frequent pieces than dimensions, the map fits by chance. On
the packaged sample, to Spanish, the 31 languages with 2,000 to 6,500 pieces had all but one of the pairs from 0.85 (110
or so, nonsense as far as looked at), and the 30 with 11,000 to 182,000 that one."""
ROUNDS = 5
NEIGHBOURS = 10
"""Of CSLS, as in Conneau et al. 2018."""


@dataclass(frozen=True)
class Space:
    """The frequent pieces of a language, uint ids [n], their vectors of length 1, float32 [n, width], and how many
    pieces its text has, frequent or not."""

    tokens: NDArray[np.int64]
    vectors_NW: NDArray[np.float32]
    pieces: int


def align_pieces(
    tokenizer: Tokenizer, texts: Mapping[str, Sequence[str]], *, pivot: str, threshold: float = THRESHOLD, seed: int = 0
) -> tuple[Alignment, dict[str, str]]:
    """Pairs of each language with the pivot; and the languages that were left out, each with the reason.

    UserError when the pivot has no text, or too little.
    """
    if pivot not in texts:
        raise UserError(f"there is no text in {pivot}", hint=f"the pivot can be one of {', '.join(sorted(texts))}")
    ignored = _ignored(tokenizer)
    center = learn_space(tokenizer, texts[pivot], ignored, seed)
    if center.pieces < LEAST_PIECES or len(center.tokens) < LEAST_ANCHORS:
        raise UserError(f"there is too little text in {pivot}", hint="give more, or choose another pivot")
    found: dict[int, Pair] = {}
    left_out: dict[str, str] = {}
    pieces = tokenizer.pieces()
    for language in sorted(set(texts) - {pivot}):
        space = learn_space(tokenizer, texts[language], ignored, seed)
        if space.pieces < LEAST_PIECES:
            left_out[language] = f"{space.pieces:,} pieces of text, of {LEAST_PIECES:,} needed"
            continue
        anchors = np.intersect1d(space.tokens, center.tokens)
        if len(anchors) < LEAST_ANCHORS:
            left_out[language] = f"{len(anchors)} frequent pieces in common with {pivot}, of {LEAST_ANCHORS} needed"
            continue
        for row, column, cosine in match_spaces(space, center):
            token, pivot_token = int(space.tokens[row]), int(center.tokens[column])
            if cosine < threshold or token in center.tokens or pivot_token in space.tokens:
                continue
            pair = Pair(token, pieces[token], language, pivot_token, pieces[pivot_token], round(cosine, 6))
            if token not in found or found[token].similarity < pair.similarity:
                found[token] = pair
    ordered = tuple(found[token] for token in sorted(found))
    return Alignment(tokenizer.sha256, pivot, threshold, ordered), left_out


def learn_space(tokenizer: Tokenizer, texts: Sequence[str], ignored: NDArray[np.bool_], seed: int) -> Space:
    """The vectors of the frequent pieces of some texts; an empty space where there are too few."""
    documents = [ids[~ignored[ids]] for ids in tokenizer.encode(list(texts))]
    counts = np.bincount(np.concatenate([*documents, np.empty(0, np.int32)]), minlength=tokenizer.vocabulary)
    tokens = np.argsort(-counts, kind="stable")[:LARGEST]
    tokens = np.sort(tokens[counts[tokens] >= LEAST_COUNT]).astype(np.int64)
    width = min(WIDTH, len(tokens) - 1)
    if width < 2:
        return Space(np.empty(0, np.int64), np.empty((0, 1), np.float32), int(counts.sum()))
    weights = _mutual_information(_neighbours(documents, tokens, tokenizer.vocabulary))
    from sklearn.utils.extmath import randomized_svd

    left, values, _ = randomized_svd(weights, width, n_iter=4, random_state=seed)
    # The root of the values, as recommended there (section 3.3).
    return Space(tokens, _normalise((left * np.sqrt(values)).astype(np.float32)), int(counts.sum()))


def match_spaces(space: Space, center: Space) -> list[tuple[int, int, float]]:
    """Rows of both spaces that are each other's nearest once the first is turned onto the second, with their cosine."""
    _, rows, columns = np.intersect1d(space.tokens, center.tokens, return_indices=True)
    for _ in range(ROUNDS):
        width = min(space.vectors_NW.shape[1], center.vectors_NW.shape[1])
        source, target = space.vectors_NW[:, :width], center.vectors_NW[:, :width]
        left, _, right = np.linalg.svd(source[rows].T @ target[columns])
        cosines = _normalise(source @ (left @ right)) @ _normalise(target).T
        rows, columns = _mutual_nearest(cosines)
        if len(rows) < LEAST_ANCHORS:
            break
    return [(int(row), int(column), float(cosines[row, column])) for row, column in zip(rows, columns, strict=True)]


def _ignored(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Tokens that are no pieces of words: parts of characters, marks, unknown."""
    ignored = tokenizer.parts_of_characters().copy()
    marks = [tokenizer.begin, tokenizer.end, *([] if tokenizer.unknown is None else [tokenizer.unknown])]
    ignored[marks] = True
    return ignored


def _neighbours(
    documents: Sequence[NDArray[np.int32]], tokens: NDArray[np.int64], vocabulary: int
) -> sparse.csr_matrix:
    """How often each frequent piece stands within WINDOW of each other one: float64 [n, n]."""
    place = np.full(vocabulary, -1, np.int64)
    place[tokens] = np.arange(len(tokens))
    total: sparse.csr_matrix = sparse.csr_matrix((len(tokens), len(tokens)))
    # A gap of WINDOW between documents, so that all can be shifted at once.
    gap = np.full(WINDOW, -1, np.int64)
    line = np.concatenate([part for ids in documents for part in (place[ids], gap)])
    for distance in range(1, WINDOW + 1):
        one, two = line[:-distance], line[distance:]
        both = (one >= 0) & (two >= 0)
        pairs = sparse.coo_matrix((np.ones(both.sum()), (one[both], two[both])), shape=total.shape).tocsr()
        total = total + pairs + pairs.T
    return total


def _mutual_information(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    found = counts.tocoo()
    own = np.asarray(counts.sum(axis=1)).ravel()
    context = own**SMOOTHING
    expected = own[found.row] * (context / context.sum())[found.col]
    values = np.maximum(np.log(found.data / expected), 0.0)
    return sparse.csr_matrix((values, (found.row, found.col)), shape=counts.shape)


def _normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred, so that what all pieces share is left out, and of length 1."""
    centred = vectors - vectors.mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9), np.float32)


def _mutual_nearest(cosines: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns that are each other's nearest by CSLS."""
    many = min(NEIGHBOURS, *cosines.shape)
    of_rows = np.sort(cosines, axis=1)[:, -many:].mean(axis=1)
    of_columns = np.sort(cosines, axis=0)[-many:].mean(axis=0)
    corrected = 2 * cosines - of_rows[:, None] - of_columns[None, :]
    forward, back = corrected.argmax(axis=1), corrected.argmax(axis=0)
    rows = np.flatnonzero(back[forward] == np.arange(len(forward)))
    return rows, forward[rows]
