"""Which documents are held out: a hash of what a document says decides, or of the host that it comes from.

So a document is held out or not whatever else is in the corpus, and stays so as data is added; texts that are the same
up to folding share their fate.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from curator.keys import random_fractions
from curator.text.content import content_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch
    from curator.recipe.model import Holdout

NAME = "holdout"


def members(batch: Batch, holdout: Holdout, seed: int) -> NDArray[np.bool_]:
    """Whether each document is held out: bool[rows]. A document without a host goes by its content."""
    hashes = content_hashes(batch.units, *batch.text_buffer)
    if holdout.by == "host":
        _take_hosts(hashes, batch, holdout.url_field)
    return random_fractions(seed, NAME, hashes) < holdout.share


def _take_hosts(hashes: NDArray[np.uint64], batch: Batch, field: str) -> None:
    """Put the hash of each document's host in the place of that of its content."""
    known: dict[str, NDArray[np.uint64]] = {}
    for row, metadata in enumerate(batch.documents.column("metadata").to_pylist()):
        url = None if metadata is None else json.loads(metadata).get(field)
        host = host_of(url) if isinstance(url, str) else None
        if host is not None:
            if host not in known:
                known[host] = np.frombuffer(blake3(host.encode()).digest(length=16), dtype=np.uint64)
            hashes[row] = known[host]


def host_of(url: str) -> str | None:
    """The host of an http(s) URL, without `www.`; None for anything else."""
    from ada_url import URL

    try:
        parsed = URL(url)
    except ValueError:
        return None
    if parsed.protocol not in ("http:", "https:") or not parsed.hostname:
        return None
    return str(parsed.hostname).removeprefix("www.").rstrip(".")
