"""Arabic without the points that scripture, verse and books for children have, and the model has hardly seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from curator.document import string_buffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCRIPT = "Arab"
_POINTS = r"[\x{0610}-\x{061A}\x{0640}\x{064B}-\x{065F}\x{0670}\x{06D6}-\x{06ED}]+"
"""Points and signs of recitation, and the tatweel, which stretches a word."""
_ALEF_WASLA, _ALEF = "\u0671", "\u0627"
"""The alef that is not spoken, which pointed text alone tells apart."""


def without_points(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts `rows` of `data[offsets[i]:offsets[i + 1]]` without points, laid out as those are."""
    texts = pa.array([data[offsets[row] : offsets[row + 1]].tobytes() for row in rows.tolist()], pa.binary())
    bare = pc.replace_substring_regex(texts.cast(pa.string()), _POINTS, "")
    return string_buffer(pc.replace_substring(bare, _ALEF_WASLA, _ALEF))
