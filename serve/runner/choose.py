"""Which queued run is next: the highest priority, then the owner with the fewest at work, then who waits longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serve.store.queries import Waiting


def choose_next(queue: Sequence[Waiting], working: Mapping[str, int]) -> Waiting | None:
    """The next of a queue; `working` counts the runs of each owner that are being worked on."""
    return min(queue, key=lambda one: (-one.priority, working.get(one.owner, 0), one.run), default=None)
