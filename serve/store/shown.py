"""Runs as lists show them, as JSON that is made once for each change of a run."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sqlalchemy.engine import Connection

from serve.store.queries import Filter, Version, list_versions, runs_of

MOST_TEXTS = 5000
"""Runs that are remembered, about 700 bytes each; the one that was not asked for longest goes first."""


class ShownRuns:
    """The runs that were shown last. May be asked from any thread."""

    def __init__(self) -> None:
        self._texts: OrderedDict[Version, str] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self, connection: Connection, chosen: Filter, before: int | None, limit: int
    ) -> tuple[list[str], int | None]:
        """The newest runs of a filter whose internal number is below `before`, each as JSON; the number to go on from,
        None at the end."""
        versions = list_versions(connection, chosen, before, limit)
        following = versions[limit - 1][0] if len(versions) > limit else None
        versions = versions[:limit]
        with self._lock:
            texts = {version: self._texts[version] for version in versions if version in self._texts}
            for version in texts:
                self._texts.move_to_end(version)
        missing = [version for version in versions if version not in texts]
        if missing:
            runs = runs_of(connection, [version[0] for version in missing])
            made = {version: runs[version[0]].model_dump_json() for version in missing}
            texts.update(made)
            with self._lock:
                self._texts.update(made)
                while len(self._texts) > MOST_TEXTS:
                    self._texts.popitem(last=False)
        return [texts[version] for version in versions], following
