"""What an estimate is asked for: a corpus by its size, and the nodes that are to work on it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from curator.errors import UserError
from curator.run.memory import DRIVER_BYTES, SERVER_BYTES, WORKER_BYTES
from curator.sizes import format_size, parse_size

NODE_FORM = "COUNTxCORES:MEMORY[:PRICE], such as 16x4:64GB:0.85"
_NODE = re.compile(r"(\d+)x(\d+):([^:]+)(?::(\d+(?:\.\d+)?))?")

MAX_DOCUMENTS = 1e18
"""More documents than this are a slip of the finger."""


@dataclass(frozen=True)
class CorpusSize:
    """A corpus: bytes of its text, documents, bytes of the files that hold it when they are not compressed, bytes as
    they lie, the share that lies in streams which the driver reads, and the mean bytes of an id. `origin` says where
    the numbers come from. In how many `files` it lies counts where they are many; 0 where it is not known."""

    text_bytes: float
    documents: float
    plain_bytes: float
    stored_bytes: float
    stream_share: float
    id_bytes: float
    origin: str
    files: float = 0.0

    def scaled(self, factor: float) -> CorpusSize:
        """A corpus of the same kind, so many times as large."""
        return CorpusSize(
            self.text_bytes * factor,
            self.documents * factor,
            self.plain_bytes * factor,
            self.stored_bytes * factor,
            self.stream_share,
            self.id_bytes,
            self.origin,
            self.files * factor,
        )


@dataclass(frozen=True)
class Node:
    """`count` equal machines: cores and bytes of memory of each, and the price of one for an hour (None: not given)."""

    count: int
    cores: int
    memory_bytes: int
    price: float | None = None

    @property
    def workers(self) -> int:
        """Worker processes on one machine: a core each, as far as they fit into its memory beside a driver."""
        return max(0, min(self.cores, (self.memory_bytes - DRIVER_BYTES - SERVER_BYTES) // WORKER_BYTES))


@dataclass(frozen=True)
class Cluster:
    """All nodes of a plan."""

    nodes: tuple[Node, ...]

    @property
    def machines(self) -> int:
        """How many machines."""
        return sum(node.count for node in self.nodes)

    @property
    def workers(self) -> int:
        """Worker processes on all machines."""
        return sum(node.count * node.workers for node in self.nodes)

    @property
    def driver_memory_bytes(self) -> int:
        """Memory of the largest machine, on which the driver and single tasks are taken to run."""
        return max(node.memory_bytes for node in self.nodes)

    @property
    def worker_memory_bytes(self) -> float:
        """The least memory that a worker has for itself on any machine."""
        return min(node.memory_bytes / node.workers for node in self.nodes)

    @property
    def price_an_hour(self) -> float | None:
        """Of all machines together; None where one has no price."""
        prices = [node.price for node in self.nodes]
        if any(price is None for price in prices):
            return None
        return sum(node.count * (node.price or 0.0) for node in self.nodes)


def parse_node(text: str) -> Node:
    """A node as `--node` takes it: COUNTxCORES:MEMORY[:PRICE]. UserError for anything else, and for a machine on which
    no worker fits."""
    match = _NODE.fullmatch(text)
    if match is None:
        raise UserError(f"--node {text}: not understood", hint=f"write {NODE_FORM}")
    count, cores = int(match[1]), int(match[2])
    if count == 0 or cores == 0:
        raise UserError(f"--node {text}: at least one node with one core", hint=f"write {NODE_FORM}")
    try:
        memory_bytes = parse_size(match[3])
    except ValueError as error:
        raise UserError(f"--node {text}: memory: {error}", hint=f"write {NODE_FORM}") from error
    node = Node(count, cores, memory_bytes, None if match[4] is None else float(match[4]))
    if node.workers == 0:
        least = format_size(DRIVER_BYTES + SERVER_BYTES + WORKER_BYTES)
        raise UserError(f"--node {text}: no worker fits into its memory", hint=f"at least {least}")
    return node


def parse_cluster(texts: Sequence[str]) -> Cluster:
    """The nodes of a plan; this machine where none is given."""
    return Cluster(tuple(parse_node(text) for text in texts) or (this_machine(),))


def this_machine() -> Node:
    """The machine that this runs on, without a price."""
    import psutil

    return Node(1, len(os.sched_getaffinity(0)), int(psutil.virtual_memory().total))


def parse_text_bytes(text: str) -> int:
    """`--size`: bytes of text. UserError for what is no size, or nothing."""
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UserError(f"--size {text}: {error}") from error
    if size == 0:
        raise UserError(f"--size {text}: there is nothing to plan for")
    return size


def parse_count(option: str, text: str) -> float:
    """`--documents` or `--files`: a number such as 250000 or 1e11. UserError for anything else."""
    try:
        count = float(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: expected a number such as 250000 or 1e11") from error
    if not math.isfinite(count) or not 1 <= count <= MAX_DOCUMENTS:
        raise UserError(f"{option} {text}: expected a number from 1 to {MAX_DOCUMENTS:.0e}")
    return count
