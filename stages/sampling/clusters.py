"""How the sizes of duplicate clusters weigh in a draw: a document that stays for many may be written more often.

`dedup` knows for how many documents each one stays. Sizes are told apart by powers of two, so that the tokens of a cell
can be counted for each class, and the target of the cell divided among the classes: those of class k are written
min(a * weight(k), cap) times, with a so that the target is met. Cuts are made from the largest clusters down, and what
a class misses of its part is taken over by the next one, so that the cell is as near to its target as it is without
classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.sampling.draw import cuts
from stages.sampling.joint import factors, repeats_of, whole_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

ClusterWeights = Literal["none", "log", "sqrt", "members"]

MEMBERS = "dedup.members"
"""The column of `dedup` with the size of the cluster of a document that stays; null for one that stays for itself."""

CLASSES = 8
"""Sizes 1, 2 to 3, 4 to 7, and so on; the last class is 128 and more."""


def classes_of(members: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each cluster size: int64[rows]."""
    return np.minimum(np.log2(np.maximum(members, 1)).astype(np.int64), CLASSES - 1)


def class_weights(kind: ClusterWeights) -> NDArray[np.float64]:
    """The weight of a document of each class, that of the smallest size in it: float64[classes], [1] for `none`."""
    sizes = 2.0 ** np.arange(CLASSES)
    if kind == "none":
        return np.ones(1)
    weights: NDArray[np.float64] = {"log": 1 + np.log(sizes), "sqrt": np.sqrt(sizes), "members": sizes}[kind]
    return weights


def divide_by_classes(
    target_C: NDArray[np.int64], tokens_CK: NDArray[np.int64], weight_K: NDArray[np.float64], cap: int
) -> NDArray[np.int64]:
    """The target of each cell divided among its classes: int64[C, K], rows add up to the target, or to the cap of all
    that is there."""
    if len(weight_K) == 1:
        return target_C[:, None]
    a_C = factors(tokens_CK.astype(np.float64), weight_K, target_C.astype(np.float64), float(cap))
    return whole_tokens(target_C, tokens_CK, repeats_of(a_C, weight_K, float(cap)), cap)


def cuts_by_classes(
    tokens_CKB: NDArray[np.int64], targets_CK: NDArray[np.int64], cap: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """As `stages.sampling.draw.cuts`, for each class: float64[C, K], float64[C, K], int64[C, K]."""
    whole_CK, cut_CK = np.zeros(targets_CK.shape), np.zeros(targets_CK.shape)
    drawn_CK = np.zeros(targets_CK.shape, dtype=np.int64)
    missed_C = np.zeros(len(targets_CK), dtype=np.int64)
    for number in reversed(range(targets_CK.shape[1])):
        tokens_CB = tokens_CKB[:, number]
        wanted_C = np.clip(targets_CK[:, number] + missed_C, 0, cap * tokens_CB.sum(axis=1))
        missed_C += targets_CK[:, number]
        whole_CK[:, number], cut_CK[:, number], drawn_CK[:, number] = cuts(tokens_CB, wanted_C)
        missed_C -= drawn_CK[:, number]
    return whole_CK, cut_CK, drawn_CK
