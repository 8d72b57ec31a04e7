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

Sums run in float32 in the order of the text, so a span has one result whatever stands beside it in the batch. A batch
of words goes through in steps, each a loop of its own: words, hashes of all n-grams, those that have rows, sums.
Text is valid UTF-8; of other bytes, none that goes on with a character is its fifth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.kernel.tables import kept
from curator.language.dictionary import FNV_BASIS, Words, extend, fill_slots, find_word
from curator.language.model import END_OF_SENTENCE, LABEL_PREFIX, FastTextModel, Loss
from curator.text.segment import read_only

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_ZERO, _ONE, _TWO, _IN_CELL, _CELL = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(63), np.uint64(6)
_BYTE_BITS, _BYTE = np.uint32(8), np.uint32(0xFF)

_BEGIN, _END = np.uint32(ord("<") | 1 << 24), np.uint32(ord(">") | 2 << 24)
"""Boundaries of a word, told from characters by a fourth byte that no character has."""
_MARK = np.uint32(24)

BATCH = 512
"""Characters that are hashed together: enough for whole vectors, few enough that what is kept of them stays in the
nearest cache."""

_Eight = tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]

_LABEL_PREFIX_BYTES = np.frombuffer(LABEL_PREFIX.encode(), dtype=np.uint8)


class Ngrams(NamedTuple):
    """The n-grams of `min_n` to `max_n` characters: bit b of `bitmap` says that bucket b has a row, which is
    `ranks[b // 64]` plus the number of bits set before b in its cell, of `vectors` float32[rows, dimension].
    `multiplier` and `shift` divide by `buckets`.

    From `first_word` on, a multiple of 64, bits stand for the words of the dictionary, whose ranks go on behind the
    rows. Bit `buckets` is never set.
    """

    min_n: int
    max_n: int
    buckets: np.uint32
    multiplier: np.uint32
    shift: np.uint64
    first_word: np.uint32
    bitmap: NDArray[np.uint64]
    ranks: NDArray[np.uint32]
    vectors: NDArray[np.float32]


class Scratch(NamedTuple):
    """Room for a batch of characters: `characters` uint32, each the bytes of one, the first lowest; `hashes` uint32,
    of the n-grams that begin there; `crosses` uint32, 1 where these reach into the next word; `buckets` uint32[n,
    characters]; `hits` uint32, those that have rows; `known` uint32[words, 2], where words of the dictionary stand and
    their numbers; `stops` uint32[spans], where each span ends."""

    characters: NDArray[np.uint32]
    hashes: NDArray[np.uint32]
    crosses: NDArray[np.uint32]
    buckets: NDArray[np.uint32]
    hits: NDArray[np.uint32]
    known: NDArray[np.uint32]
    stops: NDArray[np.uint32]


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
@kept(PreparedModel, FastTextModel, Loss, Words, Ngrams, Paths)
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
        known=np.zeros(1 << max(0, (count // 4).bit_length()), dtype=np.uint64),
        slots=np.full(1 << max(4, (2 * count).bit_length()), -1, dtype=np.int32),
        data=read_only(np.frombuffer(b"".join(model.words) or b"\0", dtype=np.uint8)),
        offsets=offsets,
        sums=model.input[:count].copy(),
        inputs=np.ones(count, dtype=np.int32),
        end=model.words.index(end) if end in model.words else -1,
    )
    ngrams = _ngrams(model)
    # The n-grams of words are added to their rows before the dictionary is there, which would give their sums.
    begins, ends = offsets[:-1].copy(), offsets[1:].copy()
    if words.end >= 0:
        ends[words.end] = begins[words.end]
    without = words._replace(sums=read_only(words.sums))
    _embed(words.data, begins, ends, without, ngrams, _scratch(begins, ends, ngrams), words.sums, words.inputs)
    fill_slots(words.data, offsets, words.known, words.slots)
    return PreparedModel(model, without, ngrams, _paths(model.children))


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
    bitmap, ranks = _bucket_index(model)
    divisor = max(model.buckets, 1)
    shift = 30 + divisor.bit_length()
    return Ngrams(
        min_n=max(model.min_n, 1),
        max_n=model.max_n,
        buckets=np.uint32(model.buckets),
        multiplier=np.uint32((1 << shift) // divisor + 1),
        shift=np.uint64(shift),
        first_word=np.uint32(_first_word(model)),
        bitmap=bitmap,
        ranks=ranks,
        vectors=read_only(model.input[len(model.words) :]),
    )


def _first_word(model: FastTextModel) -> int:
    return (model.buckets // 64 + 1) * 64


def _scratch(begins: NDArray[np.int64], ends: NDArray[np.int64], ngrams: Ngrams) -> Scratch:
    """Room for a batch and for a word, with its boundaries, that is as long as the longest span."""
    size = BATCH + int((ends - begins).max(initial=0)) + 2 + ngrams.max_n
    lengths = max(ngrams.max_n - ngrams.min_n + 1, 1)
    return Scratch(
        characters=np.empty(size, dtype=np.uint32),
        hashes=np.empty(size, dtype=np.uint32),
        crosses=np.empty(size, dtype=np.uint32),
        buckets=np.empty((lengths, size), dtype=np.uint32),
        hits=np.empty(lengths * size + 1, dtype=np.uint32),
        known=np.empty((size, 2), dtype=np.uint32),
        stops=np.empty(len(begins), dtype=np.uint32),
    )


def _bucket_index(model: FastTextModel) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    first_word = _first_word(model)
    cells = first_word // 64 + len(model.words) // 64 + 1
    bits = np.zeros(cells * 64, dtype=np.uint8)
    if model.kept_buckets is None:
        bits[: model.buckets] = 1
    else:
        bits[model.kept_buckets] = 1
    bits[first_word : first_word + len(model.words)] = 1
    bitmap = np.packbits(bits, bitorder="little").view(np.uint64)
    counts = np.bitwise_count(bitmap).astype(np.uint32)
    return bitmap, np.concatenate((np.zeros(1, np.uint32), np.cumsum(counts, dtype=np.uint32)[:-1]))


def embed(
    prepared: PreparedModel, data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The sum of the rows of each span `data[begins[i]:ends[i]]`, without end of sentence, and how many rows that is:
    (float32[spans, dimension], int32[spans]). Spans that belong to one text are joined by adding both."""
    sums = np.zeros((len(begins), prepared.model.dimension), dtype=np.float32)
    inputs = np.zeros(len(begins), dtype=np.int32)
    scratch = _scratch(begins, ends, prepared.ngrams)
    _embed(read_only(data), begins, ends, prepared.words, prepared.ngrams, scratch, sums, inputs)
    return sums, inputs


@inline_kernel
def _bits_set(value: np.uint64) -> np.uint64:
    value = value - ((value >> np.uint64(1)) & np.uint64(0x5555555555555555))
    value = (value & np.uint64(0x3333333333333333)) + ((value >> np.uint64(2)) & np.uint64(0x3333333333333333))
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.uint64((value * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def _hash(size: np.int64, widest: np.int64, ngrams: Ngrams, scratch: Scratch) -> None:
    """The buckets of all n-grams that begin at the first `size` characters, which have up to `widest` bytes; where
    there is none, the bucket that has no row. Each loop is turned into vector code."""
    hashes, crosses = scratch.hashes, scratch.crosses
    for place in range(size):
        hashes[place] = FNV_BASIS
        crosses[place] = 0
    none = ngrams.buckets
    if ngrams.max_n < ngrams.min_n:
        scratch.buckets[0, :size] = none
    for before in range(ngrams.max_n):
        characters = scratch.characters[before:]
        for place in range(size):
            character = characters[place]
            hashes[place] = extend(hashes[place], character & _BYTE)
            if before > 0:
                crosses[place] |= np.uint32(character == _BEGIN)
        for further in range(1, widest):
            bits = np.uint32(further) * _BYTE_BITS
            for place in range(size):
                byte = np.uint32(characters[place] >> bits) & _BYTE
                value = hashes[place]
                longer = extend(value, byte)
                hashes[place] = longer if byte >= 0x80 else value
        if before + 1 < ngrams.min_n:
            continue
        buckets = scratch.buckets[before + 1 - ngrams.min_n]
        multiplier, shift = np.uint64(ngrams.multiplier), ngrams.shift
        for place in range(size):
            value = hashes[place]
            # The quotient is right or one too large (Granlund and Montgomery 1994); a division takes several times as
            # long. One too large leaves a negative rest, which is large without its sign.
            quotient = np.uint32((np.uint64(value) * multiplier) >> shift)
            rest = np.uint32(value - np.uint32(quotient * none))
            bucket = min(rest, np.uint32(rest + none))
            buckets[place] = none if crosses[place] else bucket
        if before == 0:
            for place in range(size):
                if 0 < characters[place] >> _MARK < 3:
                    buckets[place] = none


@inline_kernel
def _test(bucket: np.uint32, found: np.uint64, ngrams: Ngrams, hits: NDArray[np.uint32]) -> np.uint64:
    """Put a bucket behind the `found` hits, where the next overwrites it unless it has a row; how many are found
    then."""
    hits[found] = bucket
    wide = np.uint64(bucket)
    return np.uint64(found + ((ngrams.bitmap[wide >> _CELL] >> (wide & _IN_CELL)) & _ONE))


@inline_kernel
def _find_hits(start: np.uint64, stop: np.uint64, ngrams: Ngrams, scratch: Scratch) -> np.uint64:
    """Put the buckets that have rows of the characters from `start` to `stop` into `hits`, in their order; how many."""
    found = _ZERO
    buckets, hits = scratch.buckets, scratch.hits
    lengths = np.uint64(buckets.shape[0])
    for place in range(start, stop):
        if lengths == 3:
            found = _test(buckets[_ZERO, place], found, ngrams, hits)
            found = _test(buckets[_ONE, place], found, ngrams, hits)
            found = _test(buckets[_TWO, place], found, ngrams, hits)
            continue
        for length in range(lengths):
            found = _test(buckets[length, place], found, ngrams, hits)
    return found


@inline_kernel
def _add_eight(values: _Eight, rows: NDArray[np.float32], row: np.uint64, axis: int) -> _Eight:
    """Eight sums with eight numbers of a row more; kept in registers, while a loop over hits runs."""
    a, b, c, d, e, f, g, h = values
    return (
        a + rows[row, axis],
        b + rows[row, axis + np.uint64(1)],
        c + rows[row, axis + np.uint64(2)],
        d + rows[row, axis + np.uint64(3)],
        e + rows[row, axis + np.uint64(4)],
        f + rows[row, axis + np.uint64(5)],
        g + rows[row, axis + np.uint64(6)],
        h + rows[row, axis + np.uint64(7)],
    )


@inline_kernel
def _add_rows(
    hits: NDArray[np.uint32],
    found: np.uint64,
    ngrams: Ngrams,
    words: NDArray[np.float32],
    sums: NDArray[np.float32],
    span: np.uint64,
) -> None:
    """Add the rows of the first `found` hits to those of a span, in their order."""
    # All ranks before any row: neither waits for the other, so that many wait for memory together.
    count = np.uint64(ngrams.vectors.shape[0])
    for hit in range(found):
        bucket = np.uint64(hits[hit])
        cell = bucket >> _CELL
        before = ngrams.bitmap[cell] & ((_ONE << (bucket & _IN_CELL)) - _ONE)
        hits[hit] = np.uint64(ngrams.ranks[cell]) + _bits_set(before)
    whole = np.uint64(sums.shape[1] // 8 * 8)
    none = np.float32(0)
    for axis in range(_ZERO, whole, np.uint64(8)):
        values = _add_eight((none, none, none, none, none, none, none, none), sums, span, axis)
        for hit in range(found):
            rank = np.uint64(hits[hit])
            if rank < count:
                values = _add_eight(values, ngrams.vectors, rank, axis)
            else:
                values = _add_eight(values, words, rank - count, axis)
        for place in range(8):
            sums[span, axis + np.uint64(place)] = values[place]
    for axis in range(whole, np.uint64(sums.shape[1])):
        value = sums[span, axis]
        for hit in range(found):
            rank = np.uint64(hits[hit])
            value += ngrams.vectors[rank, axis] if rank < count else words[rank - count, axis]
        sums[span, axis] = value


@inline_kernel
def _is_space(byte: np.uint8) -> bool:
    # Nearly every byte is larger: one comparison.
    return bool(byte <= 32 and (byte == 32 or 9 <= byte <= 13 or byte == 0))


@kernel
def _lay(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    span: np.uint64,
    place: np.uint64,
    words: Words,
    scratch: Scratch,
    inputs: NDArray[np.int32],
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """Fill a batch with words, from `place` of a span on: (characters, the most bytes of one, words of the dictionary
    among them, and where the next batch begins, a span and a place). A word of the dictionary takes one character."""
    characters, known, stops = scratch.characters, scratch.known, scratch.stops
    spans = np.uint64(begins.shape[0])
    size, count, bits_most = _ZERO, _ZERO, np.uint32(0)
    while span < spans and size < BATCH:
        end = np.uint64(ends[span])
        while place < end and size < BATCH:
            byte = data[place]
            if _is_space(byte):
                place += _ONE
                continue
            value = FNV_BASIS
            begin = place
            characters[size] = _BEGIN
            last = size + _ONE
            while True:
                if byte < 0x80:
                    characters[last] = byte
                    last += _ONE
                    value = extend(value, np.uint32(byte))
                    place += _ONE
                else:
                    character = np.uint32(byte)
                    value = extend(value, np.uint32(byte))
                    place += _ONE
                    bits = _BYTE_BITS
                    while place < end and bits < 32 and data[place] & 0xC0 == 0x80:
                        character |= np.uint32(data[place]) << bits
                        value = extend(value, np.uint32(data[place]))
                        bits += _BYTE_BITS
                        place += _ONE
                    bits_most = max(bits, bits_most)
                    characters[last] = character
                    last += _ONE
                if place >= end:
                    break
                byte = data[place]
                if _is_space(byte):
                    break
            number = find_word(data, begin, place, value, words)
            if number >= 0:
                if number != words.end:
                    known[count, 0] = size
                    known[count, 1] = number
                    count += _ONE
                    inputs[span] += words.inputs[np.uint64(number)] - 1
                    size += _ONE
            elif not _starts_with(data, begin, place, _LABEL_PREFIX_BYTES):
                characters[last] = _END
                size = last + _ONE
        stops[span] = size
        if place >= end:
            span += _ONE
            place = np.uint64(begins[span]) if span < spans else _ZERO
    return size, max(np.uint64(bits_most >> np.uint32(3)), _ONE), count, span, place


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
    spans = np.uint64(begins.shape[0])
    span, place = _ZERO, np.uint64(begins[0]) if spans else _ZERO
    while span < spans:
        first = span
        size, widest, count, span, place = _lay(data, begins, ends, span, place, words, scratch, inputs)
        for after in range(size, size + np.uint64(ngrams.max_n)):
            scratch.characters[after] = _BEGIN
        _hash(np.int64(size), np.int64(widest), ngrams, scratch)
        for word in range(count):
            scratch.buckets[_ZERO, np.uint64(scratch.known[word, 0])] = ngrams.first_word + scratch.known[word, 1]
        start = _ZERO
        for number in range(first, min(span + _ONE, spans)):
            if start == size:
                break
            done = np.uint64(number)
            stop = np.uint64(scratch.stops[done])
            found = _find_hits(start, stop, ngrams, scratch)
            inputs[done] += np.int32(found)
            _add_rows(scratch.hits, found, ngrams, words.sums, sums, done)
            start = stop


@inline_kernel
def _starts_with(data: NDArray[np.uint8], begin: np.uint64, end: np.uint64, prefix: NDArray[np.uint8]) -> bool:
    size = np.uint64(prefix.shape[0])
    if end - begin < size:
        return False
    place = _ZERO
    while place < size and data[begin + place] == prefix[place]:
        place += _ONE
    return bool(place == size)
