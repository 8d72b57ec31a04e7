"""A Ray cluster, as a request names it. Imports nothing of Ray, so that asking for one costs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """Which cluster to use, and how much of it. `address` is that of its head (HOST:PORT), or `auto` for the one that
    this machine belongs to. At most `workers` tasks run at once, with their driver in `memory_bytes`; without these, as
    many as the nodes have room for."""

    address: str = "auto"
    workers: int | None = None
    memory_bytes: int | None = None
