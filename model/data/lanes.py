"""A lane: one place of the batch, with its own documents, which it packs into sequences of tokens.

A document becomes pairs of a token and the one that follows it; pairs of documents are laid end to end and cut into
sequences. No token is lost and none is predicted from another document. A document that is cut goes on in the next
sequence, where attention does not see its beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from curator.tokenize import Tokenizer
from model.data.batch import Packed
from model.data.order import Order, Place

FIRST_ROWS = 2
CHUNK_ROWS = 32
CHUNK_BYTES = 1 << 18
CHUNKS_AHEAD = 2
"""What a thread tokenises at once, and how much of it is ready before it is needed. The first chunks of a lane are
small, each twice the last: the first batch waits for those of all lanes."""


@dataclass(frozen=True)
class Document:
    """A document's tokens between begin and end, its weight, its place, and the place behind it."""

    tokens: NDArray[np.int32]
    weight: float
    place: Place
    following: Place


class Stream:
    """The documents of one corpus that go to one lane, tokenised ahead by an executor's threads."""

    def __init__(
        self, order: Order, lane: int, lanes: int, place: Place, tokenizer: Tokenizer, executor: Executor
    ) -> None:
        self._order = order
        self._lane, self._lanes = lane, lanes
        self._tokenizer = tokenizer
        self._executor = executor
        self._rows = self._walk(place)
        self._chunk_rows = FIRST_ROWS
        self._ahead: deque[Future[list[Document]]] = deque()
        self._ready: deque[Document] = deque()

    def next(self) -> Document:
        """The next document; there is always one."""
        while not self._ready:
            while len(self._ahead) < CHUNKS_AHEAD:
                self._ahead.append(self._executor.submit(self._encode, self._chunk()))
            self._ready.extend(self._ahead.popleft().result())
        return self._ready.popleft()

    def _encode(self, chunk: list[tuple[str, float, Place, Place]]) -> list[Document]:
        tokens = self._tokenizer.encode_documents([text for text, _, _, _ in chunk])
        return [Document(found, row[1], row[2], row[3]) for found, row in zip(tokens, chunk, strict=True)]

    def _chunk(self) -> list[tuple[str, float, Place, Place]]:
        chunk: list[tuple[str, float, Place, Place]] = []
        size = 0
        while len(chunk) < self._chunk_rows and size < CHUNK_BYTES:
            chunk.append(next(self._rows))
            size += len(chunk[-1][0])
        self._chunk_rows = min(CHUNK_ROWS, 2 * self._chunk_rows)
        return chunk

    def _walk(self, place: Place) -> Iterator[tuple[str, float, Place, Place]]:
        epoch, number, taken = place.epoch, place.window, place.taken
        while True:
            if number == 0 and taken == 0:
                self._order.first_rows(epoch)
            while number < self._order.windows(epoch):
                window = self._order.window(epoch, number)
                for row in window.rows_of(self._lane, self._lanes)[taken:]:
                    yield (
                        window.texts[row].as_py(),
                        float(window.weights[row]),
                        Place(epoch, number, taken),
                        Place(epoch, number, taken + 1),
                    )
                    taken += 1
                number, taken = number + 1, 0
            epoch, number = epoch + 1, 0


class Lane:
    """Packs the documents of one place of the batch; `state` says where it stands, and `Lane` goes on from there."""

    def __init__(
        self,
        number: int,
        lanes: int,
        orders: Sequence[Order],
        shares: Sequence[float],
        tokenizer: Tokenizer,
        executor: Executor,
        state: Mapping[str, object] | None = None,
    ) -> None:
        self._shares = shares
        self._places = [Place() for _ in orders]
        self._tokens = [0 for _ in orders]
        self._open: tuple[int, Document] | None = None
        self._offset = 0
        if state is not None:
            self._places = [Place(*place) for place in cast("list[list[int]]", state["places"])]
            self._tokens = list(cast("list[int]", state["tokens"]))
        opened = None if state is None else cast("list[int] | None", state["open"])
        starts = list(self._places)
        if opened is not None:
            starts[opened[0]] = Place(*opened[1:4])
        self._streams = [
            Stream(order, number, lanes, place, tokenizer, executor)
            for order, place in zip(orders, starts, strict=True)
        ]
        if opened is not None:
            self._open = (opened[0], self._streams[opened[0]].next())
            self._offset = opened[4]

    @property
    def state(self) -> dict[str, object]:
        """JSON: the place in each corpus, the tokens taken of each, and the document that was cut, if one was."""
        opened = None
        if self._open is not None:
            corpus, document = self._open
            place = document.place
            opened = [corpus, place.epoch, place.window, place.taken, self._offset]
        return {
            "places": [[place.epoch, place.window, place.taken] for place in self._places],
            "tokens": list(self._tokens),
            "open": opened,
        }

    @property
    def epoch(self) -> int:
        """The epoch of the corpus that is furthest back."""
        return min(place.epoch for place in self._places)

    def sequence(self, length: int) -> Packed:
        """The next `length` pairs."""
        inputs, targets = np.empty(length, np.int32), np.empty(length, np.int32)
        weights = np.empty(length, np.float32)
        lengths = []
        filled = 0
        while filled < length:
            if self._open is None:
                self._open = self._next()
                self._offset = 0
            document = self._open[1]
            pairs = min(len(document.tokens) - 1 - self._offset, length - filled)
            begin, end = self._offset, self._offset + pairs
            inputs[filled : filled + pairs] = document.tokens[begin:end]
            targets[filled : filled + pairs] = document.tokens[begin + 1 : end + 1]
            weights[filled : filled + pairs] = document.weight
            lengths.append(pairs)
            filled += pairs
            self._offset = end
            if end == len(document.tokens) - 1:
                self._open = None
        return Packed(inputs, targets, weights, tuple(lengths))

    def _next(self) -> tuple[int, Document]:
        """The next document, of the corpus that is furthest behind its share of tokens."""
        behind = [taken / share for taken, share in zip(self._tokens, self._shares, strict=True)]
        corpus = behind.index(min(behind))
        document = self._streams[corpus].next()
        self._places[corpus] = document.following
        self._tokens[corpus] += len(document.tokens) - 1
        return corpus, document
