"""From bytes of a text buffer to code points of a document, in which the record counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def code_points(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], documents: NDArray[np.int32], places: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Code points between the beginning of each place's document and the place: int32[places]. `places` index `data`
    and ascend."""
    result = np.empty(len(places), dtype=np.int32)
    _count(data, offsets, documents, places, result)
    return result


@kernel
def _count(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    documents: NDArray[np.int32],
    places: NDArray[np.int64],
    result: NDArray[np.int32],
) -> None:
    document = -1
    at = 0
    points = 0
    for i in range(len(places)):
        if documents[i] != document:
            document = documents[i]
            at = offsets[document]
            points = 0
        while at < places[i]:
            points += (data[at] & 0xC0) != 0x80
            at += 1
        result[i] = points
