"""The labels of a fastText model for sums of rows (see `curator.language.kernel`): by its Huffman tree, softmax, or one
sigmoid a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.language.kernel import embed
from curator.language.model import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.language.kernel import Paths, PreparedModel

TOP = 3
"""How many labels a prediction gives."""

_HIERARCHICAL_SOFTMAX, _SOFTMAX = Loss.HIERARCHICAL_SOFTMAX.value, Loss.SOFTMAX.value
_LOG_FLOOR = 1e-5
"""fastText adds this to a probability before it takes the logarithm."""

_SIGMOID_BOUND = 8.0
_SIGMOID_STEPS = 32.0
"""fastText's losses of single labels look the sigmoid up in a table, 512 steps from -8 to 8."""


@dataclass(frozen=True)
class Predictions:
    """The `TOP` best labels of each span, best first: `labels` int32[spans, 3] (-1: none), `probabilities`
    float64[spans, 3]."""

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float64]


def classify(prepared: PreparedModel, sums: NDArray[np.float32], inputs: NDArray[np.int32]) -> Predictions:
    """The best labels for sums of rows, as `embed` gives them; the end of sentence is added here."""
    model = prepared.model
    hidden, inputs = _hidden(prepared, sums, inputs)
    labels = np.full((len(inputs), TOP), -1, dtype=np.int32)
    probabilities = np.zeros((len(inputs), TOP), dtype=np.float64)
    _classify(hidden, inputs, model.output, model.children, model.loss.value, labels, probabilities)
    return Predictions(labels, probabilities)


def probability_of(
    prepared: PreparedModel, sums: NDArray[np.float32], inputs: NDArray[np.int32], labels: NDArray[np.int32]
) -> NDArray[np.float64] | None:
    """The probability of one label for each of the sums, as `classify` gives it to a label that is among the best:
    float64[spans], 0 where the label is -1 or the span is empty. None for a model that has no tree of labels: there one
    costs as much as all."""
    model = prepared.model
    if model.loss is not Loss.HIERARCHICAL_SOFTMAX:
        return None
    hidden, inputs = _hidden(prepared, sums, inputs)
    probabilities = np.zeros(len(inputs), dtype=np.float64)
    _follow_paths(hidden, inputs, model.output, prepared.paths, labels, probabilities)
    return probabilities


def _hidden(
    prepared: PreparedModel, sums: NDArray[np.float32], inputs: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The hidden vectors of lines with these sums of rows, and how many rows these are."""
    words = prepared.words
    if words.end >= 0:
        sums = sums + words.sums[words.end]
        inputs = inputs + words.inputs[words.end]
    return sums / np.maximum(inputs, 1).astype(np.float32)[:, None], inputs


def predict(
    prepared: PreparedModel, data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> Predictions:
    """The best labels of each span, as fastText's `predict` gives them for the span as one line."""
    return classify(prepared, *embed(prepared, data, begins, ends))


@inline_kernel
def _insert(label: int, probability: float, labels: NDArray[np.int32], probabilities: NDArray[np.float64]) -> None:
    """Put a label into its place among the best so far, behind those that are as probable."""
    place = TOP
    while place > 0 and (labels[place - 1] < 0 or probabilities[place - 1] < probability):
        if place < TOP:
            labels[place] = labels[place - 1]
            probabilities[place] = probabilities[place - 1]
        place -= 1
    if place < TOP:
        labels[place] = label
        probabilities[place] = probability


@inline_kernel
def _sigmoid(activation: float) -> float:
    if activation < -_SIGMOID_BOUND:
        return 0.0
    if activation > _SIGMOID_BOUND:
        return 1.0
    step = np.floor((activation + _SIGMOID_BOUND) * _SIGMOID_STEPS)
    return float(1.0 / (1.0 + np.exp(_SIGMOID_BOUND - step / _SIGMOID_STEPS)))


@inline_kernel
def _dot(left: NDArray[np.float32], right: NDArray[np.float32]) -> np.float32:
    """The inner product, in four sums that do not wait for each other."""
    first = second = third = fourth = np.float32(0.0)
    whole = left.shape[0] // 4 * 4
    for axis in range(0, whole, 4):
        first += left[axis] * right[axis]
        second += left[axis + 1] * right[axis + 1]
        third += left[axis + 2] * right[axis + 2]
        fourth += left[axis + 3] * right[axis + 3]
    for axis in range(whole, left.shape[0]):
        first += left[axis] * right[axis]
    return np.float32((first + second) + (third + fourth))


@inline_kernel
def _right(hidden: NDArray[np.float32], output: NDArray[np.float32]) -> float:
    """The probability of the right side of an inner node."""
    return float(1.0 / (1.0 + np.exp(-np.float64(_dot(hidden, output)))))


@kernel
def _follow_paths(
    hidden: NDArray[np.float32],
    inputs: NDArray[np.int32],
    output: NDArray[np.float32],
    paths: Paths,
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float64],
) -> None:
    for span in range(hidden.shape[0]):
        label = labels[span]
        if inputs[span] == 0 or label < 0:
            continue
        score = 0.0
        for step in range(paths.offsets[label], paths.offsets[label + 1]):
            right = _right(hidden[span], output[paths.nodes[step]])
            score += np.log((right if paths.sides[step] else 1.0 - right) + _LOG_FLOOR)
        probabilities[span] = np.exp(score)


@kernel
def _classify(
    hidden: NDArray[np.float32],
    inputs: NDArray[np.int32],
    output: NDArray[np.float32],
    children: NDArray[np.int32],
    loss: int,
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float64],
) -> None:
    label_count = output.shape[0]
    stack = np.empty(label_count + 1, dtype=np.int32)
    stack_scores = np.empty(label_count + 1, dtype=np.float64)
    activations = np.empty(label_count, dtype=np.float64)
    for span in range(hidden.shape[0]):
        if inputs[span] == 0:
            continue
        if loss == _HIERARCHICAL_SOFTMAX:
            # Depth first, the likelier branch before the other (fastText goes left first), leaving a branch as soon as
            # three better labels are known.
            depth = 1
            stack[0] = 2 * label_count - 2
            stack_scores[0] = 0.0
            third = -np.inf
            while depth > 0:
                depth -= 1
                node, score = stack[depth], stack_scores[depth]
                if score < third:
                    continue
                if node < label_count:
                    _insert(node, score, labels[span], probabilities[span])
                    if labels[span, TOP - 1] >= 0:
                        third = probabilities[span, TOP - 1]
                    continue
                right = _right(hidden[span], output[node - label_count])
                likelier = np.int64(right > 0.5)
                likely = np.log(max(right, 1.0 - right) + _LOG_FLOOR)
                unlikely = np.log(min(right, 1.0 - right) + _LOG_FLOOR)
                stack[depth] = children[node - label_count, 1 - likelier]
                stack_scores[depth] = score + unlikely
                stack[depth + 1] = children[node - label_count, likelier]
                stack_scores[depth + 1] = score + likely
                depth += 2
            for place in range(TOP):
                if labels[span, place] >= 0:
                    probabilities[span, place] = np.exp(probabilities[span, place])
        else:
            highest = -np.inf
            for label in range(label_count):
                activations[label] = _dot(hidden[span], output[label])
                highest = max(highest, activations[label])
            if loss != _SOFTMAX:
                for label in range(label_count):
                    probability = _sigmoid(activations[label]) + _LOG_FLOOR
                    _insert(label, probability, labels[span], probabilities[span])
                continue
            normaliser = 0.0
            for label in range(label_count):
                activations[label] = np.exp(activations[label] - highest)
                normaliser += activations[label]
            for label in range(label_count):
                _insert(label, activations[label] / normaliser + _LOG_FLOOR, labels[span], probabilities[span])
