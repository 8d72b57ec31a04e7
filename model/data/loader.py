"""The batches of a training, made ahead by background threads, each with the state from which the next one follows.

The state is bound to the shards (their hashes), the tokenizer and the settings of the data: a training goes on in the
middle of a row group, with another number of threads or ranks, and refuses to go on with other data.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from curator.errors import UserError
from curator.tokenize import Tokenizer
from curator.training import DataSection
from model.data.batch import Batch, pack
from model.data.lanes import Lane
from model.data.order import Order, Selection
from model.data.shards import Corpus

BATCHES_AHEAD = 4

State = Mapping[str, object]


def shares_of(corpora: Sequence[Corpus], section: DataSection) -> list[float]:
    """The share of tokens of each corpus: as given, else by the size of what is read of it. They sum to 1."""
    if len(corpora) == 1 and not section.weights:
        return [1.0]
    weights = list(section.weights) or [float(corpus.text_bytes_in(section.languages)) for corpus in corpora]
    for corpus, weight in zip(corpora, weights, strict=False):
        if not (section.weights or weight):
            said = f"no document of the run is in {', '.join(section.languages)}"
            raise UserError(said, file=corpus.root, hint="leave out the run, or check data.languages")
    if len(weights) != len(corpora):
        said = f"weights in data.weights: {len(weights)}, runs: {len(corpora)}"
        raise UserError(said, hint="give one for each run, in their order")
    if min(weights) <= 0:
        raise UserError("a run has a weight that is not above 0", hint="leave out a run that is not to be trained on")
    return [weight / sum(weights) for weight in weights]


class Loader:
    """Batches of one rank, without end. `state` of the constructor is that of all ranks, as `Checkpoint` holds it.

    UserError when the state is of other data, DataError when a shard is not as its manifest says.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        tokenizer: Tokenizer,
        section: DataSection,
        *,
        state: State | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if section.batch % ranks:
            raise UserError(f"{ranks} ranks cannot share {section.batch} sequences", hint="make data.batch a multiple")
        self._length = section.sequence
        self.binding = binding(corpora, tokenizer, section)
        shares = shares_of(corpora, section)
        selection = Selection(section.languages, section.validation_share)
        orders = [Order(corpus, selection, window_bytes=section.window_bytes, seed=section.seed) for corpus in corpora]
        lanes = _lane_states(state, self.binding, section.batch)
        each = section.batch // ranks
        self._executor = ThreadPoolExecutor(section.threads, "tokenise")
        mine = range(rank * each, (rank + 1) * each)

        def lane(number: int) -> Lane:
            return Lane(number, section.batch, orders, shares, tokenizer, self._executor, lanes[number])

        self._queue: queue.Queue[tuple[Batch, list[dict[str, object]], int] | BaseException] = queue.Queue(
            BATCHES_AHEAD
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._produce, args=(lambda: [lane(number) for number in mine],), name="pack", daemon=True
        )
        self._thread.start()
        self.lane_states: list[dict[str, object]] = []
        self.epoch = 0

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.next()

    def next(self) -> Batch:
        """The next batch; `lane_states` is then where this rank's lanes stand behind it."""
        found = self._queue.get()
        if isinstance(found, BaseException):
            raise found
        batch, self.lane_states, self.epoch = found
        return batch

    def close(self) -> None:
        """End the threads."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.02)
            except queue.Empty:
                continue
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _produce(self, make: Callable[[], list[Lane]]) -> None:
        try:
            lanes = make()
            while not self._stop.is_set():
                batch = pack([lane.sequence(self._length) for lane in lanes])
                self._queue.put((batch, [lane.state for lane in lanes], min(lane.epoch for lane in lanes)))
        except Exception as error:  # noqa: BLE001 (handed to the thread that asks for the next batch, and raised there)
            self._queue.put(error)


def binding(corpora: Sequence[Corpus], tokenizer: Tokenizer, section: DataSection) -> dict[str, object]:
    """What a state is bound to: the shards' hashes, the tokenizer, and the settings that change what a lane reads."""
    settings = section.model_dump(mode="json", exclude={"threads"})
    return {
        "shards": [corpus.identity for corpus in corpora],
        "tokenizer": tokenizer.sha256,
        "settings": settings | {"shares": shares_of(corpora, section)},
    }


def full_state(bound: Mapping[str, object], lanes: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The state of a loader: what it is bound to, and where each lane stands, in order."""
    return {"binding": dict(bound), "lanes": [dict(lane) for lane in lanes]}


def _lane_states(state: State | None, bound: Mapping[str, object], lanes: int) -> list[Mapping[str, object] | None]:
    if state is None:
        return [None] * lanes
    before = cast("Mapping[str, object]", state["binding"])
    for name, what in (("shards", "the shards"), ("tokenizer", "the tokenizer"), ("settings", "data settings")):
        if before[name] != bound[name]:
            changed = what
            if name == "settings":
                old, new = (cast("Mapping[str, object]", values[name]) for values in (before, bound))
                changed = ", ".join(f"data.{key}" for key in new if old.get(key) != new[key])
            raise UserError(
                f"the checkpoint is of other data: {changed} changed",
                hint="go on with the same, or start a new training in another folder",
            )
    return list(cast("list[Mapping[str, object] | None]", state["lanes"]))
