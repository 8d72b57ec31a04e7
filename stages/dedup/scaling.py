"""How deduplication grows with the corpus, for `curator plan`: read from the code beside it, which it must follow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from curator.scaling import PARTITION_BYTES, Exchange, Need, Quantities, Scaling, Work
from stages.dedup.exact import TEXTS, URLS
from stages.dedup.index import MAX_DOCUMENTS
from stages.dedup.near import BANDS, PAIRS, VERIFIED_TOGETHER, bands_of
from stages.dedup.orders import ORDER

if TYPE_CHECKING:
    from stages.dedup.stage import DedupParameters

ARROW_STRING_BYTES = 2**31 - 1
"""Bytes that one Arrow array of type string holds: its offsets are int32 (Arrow columnar format, variable-size binary
layout)."""

SAME_BYTES = 72
"""Memory of `exact._write` for a copy: pairs twice while they are joined (32), rows (16), their order (8), and the
sorted rows (16)."""

INDEX_BYTES = 32
"""What `near._Sets.open` holds for a document in doubt: row, file, begin, end."""


def scaling_of(parameters: DedupParameters) -> Scaling:
    """The exchanges, needs and work of deduplication with these parameters."""
    bands, _ = bands_of(parameters)
    formats = (URLS, TEXTS) if parameters.url_field is not None else (TEXTS,)
    hashes = [Exchange(rows, _documents, _parts) for rows in formats]
    banded = Exchange(
        BANDS,
        lambda given: bands * (given.documents - given.fact("dedup.exact") - given.fact("dedup.url")),
        _parts,
        lambda given: bands * given.documents,
    )
    verify = Exchange(PAIRS, _candidates, _groups)
    needs = [_SAME, _KEEP, _KEEPER_IDS, _DOUBTFUL, _INDEXES, _VERIFY_PARTS, _ROWS]
    if parameters.index:
        needs.append(Need("index", "rows of an index are 32-bit", "one task", "documents", _documents, MAX_DOCUMENTS))
    return Scaling((*hashes, banded, verify), tuple(needs), (_GATHER, _NEEDED, _OPEN_SETS, _SEND_PARTS))


def _documents(given: Quantities) -> float:
    return given.documents


def _parts(given: Quantities) -> float:
    return given.parts


def _candidates(given: Quantities) -> float:
    return given.fact("dedup.candidate_pairs")


def _doubtful(given: Quantities) -> float:
    """Documents in doubt: two a pair at most."""
    return min(2 * given.fact("dedup.pairs_in_doubt"), given.documents)


def _pairs_of_a_task(given: Quantities) -> float:
    """Documents of the pairs in doubt of one partition of `verify`: two a pair."""
    return 2 * given.fact("dedup.pairs_in_doubt") / given.partitions["verify"]


def _dropped(given: Quantities) -> float:
    return given.fact("dedup.exact") + given.fact("dedup.near") + given.fact("dedup.url")


def _groups(given: Quantities) -> float:
    """Tasks that emit candidate pairs: one for each PARTITION_BYTES of a partition of bands, and at least one."""
    return max(given.partitions["bands"], math.ceil(_candidates(given) * PAIRS.row_bytes / PARTITION_BYTES))


_SAME = Need(
    "copies of a text",
    f"one task sorts all pairs of copies: {SAME_BYTES} bytes each (exact._write)",
    "one task",
    "bytes",
    lambda given: SAME_BYTES * given.fact("dedup.exact"),
)
_KEEP = Need(
    "who stays",
    "one task decides: a bit for each document, some 300 bytes and its keeper's id for each that is dropped "
    "(relate._Keep)",
    "one task",
    "bytes",
    lambda given: given.documents / 8 + _dropped(given) * (given.constant("dropped_bytes") + 3 * given.id_bytes),
)
_KEEPER_IDS = Need(
    "ids of keepers",
    "they stand in one Arrow array of strings, whose offsets are 32-bit (relate._ids)",
    "one task",
    "bytes",
    lambda given: _dropped(given) * given.id_bytes,
    ARROW_STRING_BYTES,
)
_DOUBTFUL = Need(
    "documents in doubt",
    "one task sorts their rows, and holds each up to three times while it joins them (near._write_needed)",
    "one task",
    "bytes",
    lambda given: 3 * 8 * _doubtful(given),
)
_INDEXES = Need(
    "index of shingle sets",
    f"each task that compares in full holds {INDEX_BYTES} bytes for each document of its pairs (near._Sets)",
    "every task",
    "bytes",
    lambda given: INDEX_BYTES * min(_doubtful(given), _pairs_of_a_task(given)),
)
_VERIFY_PARTS = Need(
    "parts that a verifying task gets",
    "each task of `verify` is sent the list of all parts (near._Verify)",
    "every task",
    "bytes",
    lambda given: given.parts * given.constant("part_bytes"),
)
_ROWS = Need(
    "documents in one run",
    "a document's place in keeper order has so many bits for its row (orders.ORDER)",
    "every task",
    "documents",
    _documents,
    ORDER.limit("row"),
)
_GATHER = Work(
    "opening signatures",
    "the two documents of a pair lie in different parts: a file is opened for each part that a block of pairs touches",
    "tasks",
    lambda given: (given.constant("open_s") + given.constant("select_s") * VERIFIED_TOGETHER) * 2 * _touched(given),
)
_NEEDED = Work(
    "finding the documents in doubt",
    "one task sorts them, each about twice, while the others wait",
    "driver",
    lambda given: 2 * given.constant("unique_s") * _doubtful(given),
)
_OPEN_SETS = Work(
    "opening indexes of shingle sets",
    "each task that compares in full opens the index of every part",
    "tasks",
    lambda given: given.constant("open_s") * given.partitions["verify"] * min(given.parts, _doubtful(given)),
)
_SEND_PARTS = Work(
    "sending the list of parts",
    "with every task of `verify`",
    "driver",
    lambda given: given.constant("part_send_s") * given.partitions["verify"] * given.parts,
)


def _touched(given: Quantities) -> float:
    """Parts that blocks of pairs touch on one side, over all blocks: a block has VERIFIED_TOGETHER pairs or what its
    partition has."""
    pairs = _candidates(given)
    blocks = max(given.partitions["verify"], pairs / VERIFIED_TOGETHER)
    each = pairs / blocks if blocks else 0.0
    # Pairs thrown onto parts at random: the parts that none of them meets stay closed.
    return blocks * given.parts * -math.expm1(-each / given.parts) if given.parts else 0.0
