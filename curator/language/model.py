"""A fastText supervised model, read into flat NumPy arrays.

Reads the binary format of fastText (version 12, which every release since 2017 writes): whole models (`.bin`) and
product-quantised ones (`.ftz`), whose matrices are dequantised here. The file is mapped, not read: the matrices of a
whole model stay in the page cache, which all workers share (GlotLID has 1.6 GB). Nothing is unpickled and nothing is
executed; a file that is not what it should be is a `UserError`. Prediction is in `curator.language.kernel`.

Sources: Joulin et al. 2016, "FastText.zip" (product quantisation, section 3); the format as fastText 0.9 writes it.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from blake3 import blake3

from curator.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = 793712314
VERSION = 12
END_OF_SENTENCE = "</s>"
LABEL_PREFIX = "__label__"

_ScalarT = TypeVar("_ScalarT", bound=np.generic)

_SUPERVISED = 3
_HEAD_BYTES = 8
_NO_MODEL = "this is not a fastText model"
_HINT = "give a fastText classifier, a .bin or .ftz file"
_CENTROIDS = 256
_SENTINEL_COUNT = 10**15
"""The count of an inner node that is not built yet in the Huffman tree, as fastText has it."""


class Loss(IntEnum):
    """How hidden vectors become probabilities of labels. Those of negative sampling and of one-vs-all are each label's
    own: they need not add up to 1."""

    HIERARCHICAL_SOFTMAX = 1
    NEGATIVE_SAMPLING = 2
    SOFTMAX = 3
    ONE_VERSUS_ALL = 4


@dataclass(frozen=True)
class FastTextModel:
    """A model as the file has it. Rows of `input` are words, then character n-grams.

    `words` and `labels` are in the order of the file (labels without their prefix). An n-gram that hashes to bucket b
    has the row `len(words) + r`, where r is b itself in a whole model (`kept_buckets` is None), or the place of b in
    the sorted `kept_buckets` of a pruned one. `children`, int32[labels - 1, 2], is the Huffman tree of the hierarchical
    softmax: row i holds the left and right child of inner node `labels + i`; empty under another loss.
    """

    words: tuple[bytes, ...]
    labels: tuple[str, ...]
    min_n: int
    max_n: int
    buckets: int
    kept_buckets: NDArray[np.int64] | None
    input: NDArray[np.float32]
    output: NDArray[np.float32]
    loss: Loss
    children: NDArray[np.int32]
    identity: str

    @property
    def dimension(self) -> int:
        """Width of the hidden vector."""
        return int(self.input.shape[1])


@lru_cache(maxsize=4)
def load_model(path: Path) -> FastTextModel:
    """Read the model at `path`; read once per process.

    Raises UserError when the file is missing, not a supervised fastText model of version 12, cut short, or of a kind
    that prediction does not cover (word n-grams).
    """
    try:
        with path.open("rb") as file:
            if len(file.read(_HEAD_BYTES)) < _HEAD_BYTES:
                raise UserError(_NO_MODEL, file=str(path), hint=_HINT)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UserError(f"cannot read the language model: {error.strerror or error}", file=str(path)) from error
    return _Parser(data, str(path)).parse()


def identity_of(path: Path) -> str:
    """The BLAKE3 of a file, hexadecimal. OSError when it cannot be read."""
    return blake3().update_mmap(path).hexdigest()


@dataclass(frozen=True)
class _Settings:
    dimension: int
    loss: Loss
    min_n: int
    max_n: int
    buckets: int


@dataclass(frozen=True)
class _Dictionary:
    words: tuple[bytes, ...]
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    kept: NDArray[np.int32] | None
    """int32[n, 2]: bucket, and its row after the words."""


class _Parser:
    """A cursor over the bytes of a file; every read past the end is a `UserError` that names the file and the place."""

    def __init__(self, data: mmap.mmap, file: str) -> None:
        self.data = data
        self.file = file
        self.place = 0

    def parse(self) -> FastTextModel:
        settings = self._settings()
        dictionary = self._dictionary()
        word_count, label_count = len(dictionary.words), len(dictionary.labels)
        input_matrix = self._matrix(self._flag())
        output = self._matrix(self._flag())
        if self.place != len(self.data):
            raise self._wrong(f"{len(self.data) - self.place} bytes follow the end of the model")
        ngram_rows = settings.buckets if dictionary.kept is None else len(dictionary.kept)
        if input_matrix.shape != (word_count + ngram_rows, settings.dimension):
            raise self._wrong(f"the input matrix has shape {input_matrix.shape}, not what the dictionary says")
        if output.shape != (label_count, settings.dimension):
            raise self._wrong(f"the output matrix has shape {output.shape}, not what the dictionary says")
        kept: NDArray[np.int64] | None = None
        if dictionary.kept is not None:
            buckets, rows = dictionary.kept[:, 0].astype(np.int64), dictionary.kept[:, 1].astype(np.int64)
            if len(rows) and (
                not np.array_equal(np.sort(rows), np.arange(len(rows)))
                or len(np.unique(buckets)) != len(buckets)
                or int(buckets.min()) < 0
                or int(buckets.max()) >= settings.buckets
            ):
                raise self._wrong("the list of kept n-grams does not match the input matrix")
            order = np.argsort(buckets)
            kept = buckets[order]
            input_matrix[word_count:] = input_matrix[word_count:][rows[order]]
        hierarchical = settings.loss is Loss.HIERARCHICAL_SOFTMAX
        return FastTextModel(
            words=dictionary.words,
            labels=dictionary.labels,
            min_n=settings.min_n,
            max_n=settings.max_n,
            buckets=settings.buckets,
            kept_buckets=kept,
            input=input_matrix,
            output=output,
            loss=settings.loss,
            children=huffman_children(dictionary.label_counts) if hierarchical else np.zeros((0, 2), np.int32),
            identity=blake3(self.data).hexdigest(),
        )

    def _settings(self) -> _Settings:
        if struct.unpack_from("<i", self.data)[0] != MAGIC:
            raise self._wrong(_NO_MODEL)
        _, version = self._unpack("<ii")
        if version != VERSION:
            raise self._wrong(f"the format has version {version}; version {VERSION} can be read")
        dimension, _, _, _, _, word_ngrams, loss, kind, buckets, min_n, max_n, _, _ = self._unpack("<12id")
        if kind != _SUPERVISED:
            raise self._wrong("the model is not a classifier (it was not trained with 'supervised')")
        if loss not in tuple(Loss):
            raise self._wrong(f"the model was trained with loss {loss}, which fastText 0.9 does not have")
        if word_ngrams > 1:
            raise self._wrong(f"the model uses word {word_ngrams}-grams, which are not supported")
        if not (0 < dimension <= 1 << 16 and 0 <= buckets < 1 << 31 and min_n >= 0 and 0 <= max_n <= 64):
            raise self._wrong("the settings in the header make no sense")
        return _Settings(dimension, Loss(loss), min_n, max_n if buckets else 0, buckets)

    def _dictionary(self) -> _Dictionary:
        size, word_count, label_count, _, pruned_size = self._unpack("<iiiqq")
        if not (word_count >= 0 and label_count > 0 and size == word_count + label_count):
            raise self._wrong("the dictionary's sizes make no sense")
        entries: list[bytes] = []
        counts: list[int] = []
        for number in range(size):
            end = self.data.find(b"\0", self.place)
            if end < 0:
                raise self._truncated()
            entries.append(self.data[self.place : end])
            self.place = end + 1
            count, kind = self._unpack("<qb")
            if kind != (number >= word_count):
                raise self._wrong("words and labels are out of order in the dictionary")
            counts.append(count)
        kept: NDArray[np.int32] | None = None
        if pruned_size >= 0:
            kept = self._array(np.int32, 2 * pruned_size).reshape(-1, 2)
        labels = tuple(entry.decode("utf-8", "replace").removeprefix(LABEL_PREFIX) for entry in entries[word_count:])
        return _Dictionary(tuple(entries[:word_count]), labels, tuple(counts[word_count:]), kept)

    def _matrix(self, quantised: bool) -> NDArray[np.float32]:
        if not quantised:
            rows, columns = self._shape()
            return self._array(np.float32, rows * columns).reshape(rows, columns)
        has_norms = self._flag()
        rows, columns = self._shape()
        (code_count,) = self._unpack("<i")
        codes = self._array(np.uint8, code_count)
        matrix = self._dequantise(codes, rows, columns)
        if has_norms:
            norm_codes = self._array(np.uint8, rows)
            matrix *= self._dequantise(norm_codes, rows, 1)
        return matrix

    def _dequantise(self, codes: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float32]:
        """Rows from codes and the centroids that follow in the file: part m of a row is centroid codes[row, m]."""
        dimension, parts, width, last_width = self._unpack("<4i")
        if (
            dimension != columns
            or parts < 1
            or width * (parts - 1) + last_width != columns
            or len(codes) != rows * parts
        ):
            raise self._wrong("the quantiser does not match its matrix")
        centroids = self._array(np.float32, dimension * _CENTROIDS)
        codes = codes.reshape(rows, parts)
        full = centroids[: (parts - 1) * _CENTROIDS * width].reshape(parts - 1, _CENTROIDS, width)
        last = centroids[(parts - 1) * _CENTROIDS * width :].reshape(_CENTROIDS, last_width)
        matrix = np.empty((rows, columns), dtype=np.float32)
        for part in range(parts - 1):
            matrix[:, part * width : (part + 1) * width] = full[part][codes[:, part]]
        matrix[:, (parts - 1) * width :] = last[codes[:, parts - 1]]
        return matrix

    def _shape(self) -> tuple[int, int]:
        rows, columns = self._unpack("<qq")
        if rows < 0 or columns < 0:
            raise self._wrong("a matrix has a negative size")
        return rows, columns

    def _flag(self) -> bool:
        (value,) = self._unpack("<B")
        return value != 0

    def _unpack(self, layout: str) -> tuple[int, ...]:
        end = self.place + struct.calcsize(layout)
        if end > len(self.data):
            raise self._truncated()
        values = struct.unpack_from(layout, self.data, self.place)
        self.place = end
        return values

    def _array(self, kind: type[_ScalarT], count: int) -> NDArray[_ScalarT]:
        end = self.place + np.dtype(kind).itemsize * count
        if count < 0 or end > len(self.data):
            raise self._truncated()
        values = np.frombuffer(self.data, dtype=kind, count=count, offset=self.place)
        self.place = end
        return values

    def _wrong(self, message: str) -> UserError:
        return UserError(message, file=self.file, hint=_HINT)

    def _truncated(self) -> UserError:
        return UserError(
            f"the model file is cut short: it has {len(self.data)} bytes and should have more",
            file=self.file,
            position=self.place,
            hint="copy it again",
        )


def huffman_children(counts: tuple[int, ...]) -> NDArray[np.int32]:
    """The Huffman tree of labels in falling order of count: int32[labels - 1, 2], left and right child of inner nodes.

    Leaves are 0 to labels - 1, inner node i is `labels + i`, the root is the last. Ties fall as in fastText's
    HierarchicalSoftmaxLoss, because the rows of the output matrix belong to its inner nodes.
    """
    leaves = len(counts)
    total = list(counts) + [_SENTINEL_COUNT] * (leaves - 1)
    children = np.zeros((max(leaves - 1, 0), 2), dtype=np.int32)
    leaf, inner = leaves - 1, leaves
    for node in range(leaves, 2 * leaves - 1):
        for side in range(2):
            if leaf >= 0 and (inner >= len(total) or total[leaf] < total[inner]):
                children[node - leaves, side] = leaf
                leaf -= 1
            else:
                children[node - leaves, side] = inner
                inner += 1
        total[node] = total[int(children[node - leaves, 0])] + total[int(children[node - leaves, 1])]
    return children
