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
from curator.text.urls import parse_web_url

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch
    from curator.recipe.model import Holdout

NAME = "holdout"


def members(batch: Batch, holdout: Holdout, seed: int) -> NDArray[np.bool_]:
    """Whether each document is held out: bool[rows]. A document without a host goes by its content."""
    hashes = batch.content_hashes
    if holdout.by == "host":
        hashes = _with_hosts(batch, holdout.url_field)
    return random_fractions(seed, NAME, hashes) < holdout.share


def _with_hosts(batch: Batch, field: str) -> NDArray[np.uint64]:
    """The hash of each document's host, of its content where it has none: uint64[rows, 2]."""
    hashes = batch.content_hashes.copy()
    known: dict[str, NDArray[np.uint64]] = {}
    for row, metadata in enumerate(batch.documents.column("metadata").to_pylist()):
        url = None if metadata is None else json.loads(metadata).get(field)
        host = host_of(url) if isinstance(url, str) else None
        if host is not None:
            if host not in known:
                known[host] = np.frombuffer(blake3(host.encode()).digest(length=16), dtype=np.uint64)
            hashes[row] = known[host]
    return hashes


def host_of(url: str) -> str | None:
    """The host of an http(s) URL, without `www.`; None for anything else."""
    parsed = parse_web_url(url)
    return None if parsed is None else str(parsed.hostname).removeprefix("www.").rstrip(".")
