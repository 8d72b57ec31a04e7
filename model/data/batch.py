"""A batch of packed sequences, as arrays. NumPy alone: kernels are measured without the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Packed:
    """A sequence of a lane: `inputs` int32[S], `targets` int32[S], `weights` float32[S] of the loss of each target, and
    `lengths`, the pairs of each document in it, in order."""

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Sequences laid end to end, T = sequences x length pairs.

    `inputs` int32[T], `targets` int32[T], `weights` float32[T], `documents` int32[documents + 1] where each begins and
    where the last ends. A sequence's end is the end of a document.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    documents: NDArray[np.int32]
    sequences: int

    def parts(self, count: int) -> list[Batch]:
        """The batch in `count` parts of as many sequences each."""
        each = self.sequences // count
        length = len(self.inputs) // self.sequences
        found = []
        for begin in range(0, self.sequences, each):
            first, last = begin * length, (begin + each) * length
            at = (self.documents >= first) & (self.documents <= last)
            found.append(
                Batch(
                    self.inputs[first:last],
                    self.targets[first:last],
                    self.weights[first:last],
                    (self.documents[at] - first).astype(np.int32),
                    each,
                )
            )
        return found


def pack(sequences: Sequence[Packed]) -> Batch:
    """Sequences as a batch."""
    lengths = [length for sequence in sequences for length in sequence.lengths]
    return Batch(
        np.concatenate([sequence.inputs for sequence in sequences]),
        np.concatenate([sequence.targets for sequence in sequences]),
        np.concatenate([sequence.weights for sequence in sequences]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        len(sequences),
    )
