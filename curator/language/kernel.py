"""A fastText model over many spans of text in one call: the sums of their rows, from which
`curator.language.classification` predicts, equal to fastText's own `predict`.

What fastText does with a line (fastText 0.9, Dictionary::getLine, Model::predict), and what is done here:

- The line is split at space, tab, line feed, vertical tab, form feed, carriage return and NUL; `</s>` is added at the
  end. A document is one line here: a line feed and the word `</s>`, which end the line there, are space.
- A word of the dictionary gives its own row and those of its character n-grams (summed once, when the model is
  prepared); any other word gives those of its n-grams. N-grams are taken from `<word>`, n counts code points, a bare
  boundary is none.
- An n-gram's row follows from FNV-1a (32 bit, bytes above 127 sign-extended, as fastText's `int8_t` cast has it) modulo
  the number of buckets; a pruned model keeps a few buckets, found by a bitmap and the number of bits set before it.
- The hidden vector is the mean of all rows; the Huffman tree, the softmax or a sigmoid over the output rows gives
  probabilities.

Sums run in float32 in the order of the text, so a span has one result whatever stands beside it in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.language.model import END_OF_SENTENCE, LABEL_PREFIX, FastTextModel
from curator.text.segment import read_only

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_FNV_BASIS = np.uint64(2166136261)
_FNV_PRIME = np.uint64(16777619)
_WORD = np.uint64(0xFFFFFFFF)
_SIGN_EXTENSION = np.uint64(0xFFFFFF00)
_ZERO, _ONE, _TOP_BIT, _IN_CELL, _CELL = np.uint64(0), np.uint64(1), np.uint64(7), np.uint64(63), np.uint64(6)
_BYTE_BITS, _BYTE, _PAIR = np.uint64(8), np.uint64(0xFF), np.uint64(9)

PARTS = 8
"""A row of a model of 16 dimensions quantised by fastText's defaults is as many codes, of two dimensions each."""

_LABEL_PREFIX_BYTES = np.frombuffer(LABEL_PREFIX.encode(), dtype=np.uint8)


class Words(NamedTuple):
    """The dictionary: `slots` int32[2**k] is an open-addressing table from a word's hash to its number (-1: empty);
    word w is `data[offsets[w]:offsets[w + 1]]`; `sums` float32[words, dimension] and `inputs` int32[words] are the sum
    and number of its rows; `end` is the number of the word that ends a line, -1 for none."""

    slots: NDArray[np.int32]
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    sums: NDArray[np.float32]
    inputs: NDArray[np.int32]
    end: int


class Ngrams(NamedTuple):
    """The n-grams of `min_n` to `max_n` characters: bit b of `bitmap` says that bucket b has a row, which is
    `ranks[b // 64]` plus the number of bits set before b in its word. `multiplier` and `shift` divide by `buckets`.

    Rows are `vectors` float32[rows, dimension]; of a model whose rows are `PARTS` codes for two dimensions each,
    `codes` uint64[rows] with `norms` float32[rows] and `centroids` float32[PARTS * 256 * 2] instead: they take a fifth
    of the memory, so that they stay in the cache of a core, which is what most of the time goes into.
    """

    min_n: int
    max_n: int
    buckets: np.uint64
    multiplier: np.uint64
    shift: np.uint64
    bitmap: NDArray[np.uint64]
    ranks: NDArray[np.int64]
    vectors: NDArray[np.float32]
    codes: NDArray[np.uint64]
    norms: NDArray[np.float32]
    centroids: NDArray[np.float32]


class Scratch(NamedTuple):
    """Room for one word: `word` uint64[bytes], sign-extended; `starts` uint64[characters + 1], where each begins;
    `hits` uint64[n-grams], the buckets that have rows."""

    word: NDArray[np.uint64]
    starts: NDArray[np.uint64]
    hits: NDArray[np.uint64]


class Paths(NamedTuple):
    """The way from the root of the Huffman tree to each label: label l is reached by the inner nodes
    `nodes[offsets[l]:offsets[l + 1]]` (rows of the output matrix), on the right side of each where `sides` is 1, on the
    left where it is 0. Empty under another loss."""

    offsets: NDArray[np.int64]
    nodes: NDArray[np.int32]
    sides: NDArray[np.uint8]


@dataclass(frozen=True)
class PreparedModel:
    """A model laid out for prediction."""

    model: FastTextModel
    words: Words
    ngrams: Ngrams
    paths: Paths


@lru_cache(maxsize=4)
def load_prepared(path: Path) -> PreparedModel:
    """The model at `path`, prepared; once per process. Raises UserError as `load_model` does."""
    from curator.language.model import load_model

    return prepare(load_model(path))


def prepare(model: FastTextModel) -> PreparedModel:
    """Lay a model out for prediction."""
    count = len(model.words)
    offsets = np.zeros(count + 1, dtype=np.int64)
    np.cumsum([len(word) for word in model.words], out=offsets[1:])
    end = END_OF_SENTENCE.encode()
    words = Words(
        slots=np.full(1 << max(4, (2 * count).bit_length()), -1, dtype=np.int32),
        data=read_only(np.frombuffer(b"".join(model.words) or b"\0", dtype=np.uint8)),
        offsets=offsets,
        sums=model.input[:count].copy(),
        inputs=np.ones(count, dtype=np.int32),
        end=model.words.index(end) if end in model.words else -1,
    )
    ngrams = _ngrams(model)
    _fill_words(words, ngrams, _scratch(max(map(len, model.words), default=0), ngrams))
    return PreparedModel(model, words, ngrams, _paths(model.children))


def _paths(children: NDArray[np.int32]) -> Paths:
    labels = len(children) + 1
    found: list[list[tuple[int, int]]] = [[] for _ in range(2 * labels - 1)]
    for node in reversed(range(len(children))):  # the root is the last, children come before their parents
        for side, child in enumerate(children[node].tolist()):
            found[child] = [*found[labels + node], (node, side)]
    steps = [step for label in range(labels) for step in found[label]]
    offsets = np.cumsum([0, *(len(found[label]) for label in range(labels))]).astype(np.int64)
    nodes, sides = np.array(steps, dtype=np.int32).reshape(-1, 2).T
    return Paths(offsets, np.ascontiguousarray(nodes), sides.astype(np.uint8))


def _ngrams(model: FastTextModel) -> Ngrams:
    words, quantised = len(model.words), model.quantised
    none = np.zeros(0, dtype=np.float32)
    vectors, codes, norms, centroids = model.input[words:], np.zeros(0, dtype=np.uint64), none, none
    if quantised is not None and quantised.codes.shape[1] == PARTS and model.dimension == 2 * PARTS:
        vectors = np.zeros((0, model.dimension), dtype=np.float32)
        codes = np.ascontiguousarray(quantised.codes[words:]).view("<u8").reshape(-1)
        norms, centroids = quantised.norms[words:], quantised.centroids.copy()
    bitmap, ranks = _bucket_index(model)
    divisor = max(model.buckets, 1)
    shift = 30 + divisor.bit_length()
    return Ngrams(
        min_n=model.min_n,
        max_n=model.max_n,
        buckets=np.uint64(model.buckets),
        multiplier=np.uint64((1 << shift) // divisor + 1),
        shift=np.uint64(shift),
        bitmap=bitmap,
        ranks=ranks,
        vectors=np.ascontiguousarray(vectors),
        codes=codes,
        norms=np.ascontiguousarray(norms),
        centroids=centroids,
    )


def _scratch(longest: int, ngrams: Ngrams) -> Scratch:
    """Room for words of up to `longest` bytes and their two boundaries."""
    word = np.empty(longest + 2, dtype=np.uint64)
    word[0] = ord("<")
    hits = np.empty((longest + 2) * max(ngrams.max_n, 1) + 1, dtype=np.uint64)
    return Scratch(word, np.zeros(longest + 3, dtype=np.uint64), hits)


def _bucket_index(model: FastTextModel) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    words = model.buckets // 64 + 1
    bits = np.zeros(words * 64, dtype=np.uint8)
    if model.kept_buckets is None:
        bits[: model.buckets] = 1
    else:
        bits[model.kept_buckets] = 1
    bitmap = np.packbits(bits, bitorder="little").view(np.uint64)
    counts = np.bitwise_count(bitmap).astype(np.int64)
    return bitmap, np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)[:-1]))


def embed(
    prepared: PreparedModel, data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The sum of the rows of each span `data[begins[i]:ends[i]]`, without end of sentence, and how many rows that is:
    (float32[spans, dimension], int32[spans]). Spans that belong to one text are joined by adding both."""
    sums = np.zeros((len(begins), prepared.model.dimension), dtype=np.float32)
    inputs = np.zeros(len(begins), dtype=np.int32)
    scratch = _scratch(int((ends - begins).max(initial=0)), prepared.ngrams)
    _embed(read_only(data), begins, ends, prepared.words, prepared.ngrams, scratch, sums, inputs)
    return sums, inputs


@inline_kernel
def _bits_set(value: np.uint64) -> np.uint64:
    value = value - ((value >> np.uint64(1)) & np.uint64(0x5555555555555555))
    value = (value & np.uint64(0x3333333333333333)) + ((value >> np.uint64(2)) & np.uint64(0x3333333333333333))
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.uint64((value * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inline_kernel
def _mark(
    value: np.uint64,
    ngrams: Ngrams,
    hits: NDArray[np.uint64],
    found: np.uint64,
) -> np.uint64:
    """Put the bucket of a hash behind the `found` ones, where the next overwrites it unless it has a row; how many are
    found then."""
    # The quotient is right or one too large (Granlund and Montgomery 1994); a division takes several times as long.
    bucket = value - ((value * ngrams.multiplier) >> ngrams.shift) * ngrams.buckets
    if bucket > value:
        bucket += ngrams.buckets
    hits[found] = bucket
    return np.uint64(found + ((ngrams.bitmap[bucket >> _CELL] >> (bucket & _IN_CELL)) & _ONE))


@inline_kernel
def _extend(value: np.uint64, wide: np.uint64) -> np.uint64:
    """The hash with a sign-extended byte more."""
    return ((value ^ wide) * _FNV_PRIME) & _WORD


@inline_kernel
def _mark_two_to_four(
    word: NDArray[np.uint64],
    size: np.uint64,
    ngrams: Ngrams,
    hits: NDArray[np.uint64],
) -> np.uint64:
    """The buckets of the 2-, 3- and 4-grams of a word whose characters are bytes."""
    found = _ZERO
    start, end = _ZERO, size
    first, second = word[0], word[1]
    third = word[2] if size > 2 else _ZERO
    while start + np.uint64(3) < end:
        fourth = word[start + np.uint64(3)]
        value = _extend(_extend(_FNV_BASIS, first), second)
        found = _mark(value, ngrams, hits, found)
        value = _extend(value, third)
        found = _mark(value, ngrams, hits, found)
        value = _extend(value, fourth)
        found = _mark(value, ngrams, hits, found)
        first, second, third = second, third, fourth
        start += _ONE
    if start + np.uint64(2) < end:
        value = _extend(_extend(_FNV_BASIS, first), second)
        found = _mark(value, ngrams, hits, found)
        value = _extend(value, third)
        found = _mark(value, ngrams, hits, found)
        first, second = second, third
    value = _extend(_extend(_FNV_BASIS, first), second)
    return _mark(value, ngrams, hits, found)


@inline_kernel
def _mark_any(scratch: Scratch, count: np.uint64, ngrams: Ngrams) -> np.uint64:
    """The buckets of the n-grams of a word of `count` characters."""
    found = _ZERO
    least, most = np.uint64(ngrams.min_n), np.uint64(ngrams.max_n)
    for first in range(count):
        value = _FNV_BASIS
        last = min(first + most, count)
        place = scratch.starts[first]
        for after in range(first + _ONE, last + _ONE):
            end = scratch.starts[after]
            while place < end:
                value = _extend(value, scratch.word[place])
                place += _ONE
            n = after - first
            if n < least or (n == _ONE and (first == 0 or after == count)):
                continue
            found = _mark(value, ngrams, scratch.hits, found)
    return found


@inline_kernel
def _add_rows(hits: NDArray[np.uint64], found: np.uint64, ngrams: Ngrams, total: NDArray[np.float32]) -> None:
    """Add the rows of buckets to `total`, in their order."""
    for hit in range(found):
        bucket = hits[hit]
        cell = bucket >> _CELL
        row = np.uint64(ngrams.ranks[cell]) + _bits_set(ngrams.bitmap[cell] & ((_ONE << (bucket & _IN_CELL)) - _ONE))
        if ngrams.codes.shape[0] == 0:
            for axis in range(total.shape[0]):
                total[axis] += ngrams.vectors[row, axis]
            continue
        code, norm = ngrams.codes[row], ngrams.norms[row]
        for part in range(PARTS):
            pair = (np.uint64(part) << _PAIR) | ((code & _BYTE) << _ONE)
            total[2 * part] += ngrams.centroids[pair] * norm
            total[2 * part + 1] += ngrams.centroids[pair | _ONE] * norm
            code >>= _BYTE_BITS


@inline_kernel
def _put(byte: np.uint8, size: np.uint64, count: np.uint64, scratch: Scratch) -> tuple[np.uint64, np.uint64]:
    """Put a byte, sign-extended, behind a word of `size` bytes and `count` characters: (the byte, characters then)."""
    wide = np.uint64(byte) | ((np.uint64(0) - (np.uint64(byte) >> _TOP_BIT)) & _SIGN_EXTENSION)
    scratch.word[size] = wide
    scratch.starts[count] = size
    # A byte that goes on with a character leaves the place to the next one.
    return wide, count + (_ONE if byte & 0xC0 != 0x80 else _ZERO)


@inline_kernel
def _close(size: np.uint64, count: np.uint64, ngrams: Ngrams, scratch: Scratch) -> np.uint64:
    """End a word with its boundary, and put the buckets of its n-grams that have rows into `hits`; how many."""
    scratch.word[size] = np.uint64(ord(">"))
    scratch.starts[count] = size
    scratch.starts[count + _ONE] = size + _ONE
    if count == size and ngrams.min_n == 2 and ngrams.max_n == 4:
        return np.uint64(_mark_two_to_four(scratch.word, size + _ONE, ngrams, scratch.hits))
    return np.uint64(_mark_any(scratch, count + _ONE, ngrams))


@kernel
def _fill_words(words: Words, ngrams: Ngrams, scratch: Scratch) -> None:
    mask = np.uint64(words.slots.shape[0] - 1)
    for number in range(words.offsets.shape[0] - 1):
        value = _FNV_BASIS
        size, count = _ONE, _ONE
        for place in range(words.offsets[number], words.offsets[number + 1]):
            wide, count = _put(words.data[place], size, count, scratch)
            value = _extend(value, wide)
            size += _ONE
        slot = value & mask
        while words.slots[slot] >= 0:
            slot = (slot + _ONE) & mask
        words.slots[slot] = number
        if number != words.end and ngrams.max_n > 0:
            found = _close(size, count, ngrams, scratch)
            _add_rows(scratch.hits, found, ngrams, words.sums[number])
            words.inputs[number] += np.int32(found)


@inline_kernel
def _is_space(byte: np.uint8) -> bool:
    # Nearly every byte is larger: one comparison.
    return bool(byte <= 32 and (byte == 32 or 9 <= byte <= 13 or byte == 0))


@kernel
def _embed(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    words: Words,
    ngrams: Ngrams,
    scratch: Scratch,
    sums: NDArray[np.float32],
    inputs: NDArray[np.int32],
) -> None:
    for span in range(begins.shape[0]):
        total = sums[span]
        inside = _ZERO
        # Unsigned where an array is looked into: Numba tests a signed index for being negative.
        place, end = np.uint64(begins[span]), np.uint64(ends[span])
        while place < end:
            if _is_space(data[place]):
                place += _ONE
                continue
            value = _FNV_BASIS
            size, count = _ONE, _ONE
            begin = place
            while place < end:
                byte = data[place]
                if _is_space(byte):
                    break
                wide, count = _put(byte, size, count, scratch)
                value = _extend(value, wide)
                size += _ONE
                place += _ONE
            number = _find_word(data, begin, place, value, words)
            if number >= 0:
                if number != words.end:
                    word = np.uint64(number)
                    for axis in range(total.shape[0]):
                        total[axis] += words.sums[word, axis]
                    inside += np.uint64(words.inputs[word])
            elif ngrams.max_n > 0 and not _starts_with(data, begin, place, _LABEL_PREFIX_BYTES):
                found = _close(size, count, ngrams, scratch)
                _add_rows(scratch.hits, found, ngrams, total)
                inside += found
        inputs[span] = inside


@inline_kernel
def _find_word(data: NDArray[np.uint8], begin: np.uint64, end: np.uint64, value: np.uint64, words: Words) -> int:
    """The number of the word `data[begin:end]`, -1 where the dictionary has none."""
    mask = np.uint64(words.slots.shape[0] - 1)
    slot = value & mask
    while words.slots[slot] >= 0:
        number = np.uint64(words.slots[slot])
        first = np.uint64(words.offsets[number])
        if np.uint64(words.offsets[number + _ONE]) - first == end - begin:
            place = begin
            while place < end and data[place] == words.data[first + (place - begin)]:
                place += _ONE
            if place == end:
                return int(number)
        slot = (slot + _ONE) & mask
    return -1


@inline_kernel
def _starts_with(data: NDArray[np.uint8], begin: np.uint64, end: np.uint64, prefix: NDArray[np.uint8]) -> bool:
    size = np.uint64(prefix.shape[0])
    if end - begin < size:
        return False
    place = _ZERO
    while place < size and data[begin + place] == prefix[place]:
        place += _ONE
    return bool(place == size)
