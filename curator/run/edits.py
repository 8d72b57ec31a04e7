"""What passes of a run changed in texts: the new texts of a part, and how large documents are with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.document import string_buffer

EDITED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("units", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Measures:
    """Tokens, units and bytes of UTF-8 of documents: int64[rows] each. Where the recipe names no tokenizer, `tokens`
    are the units."""

    tokens: NDArray[np.int64]
    units: NDArray[np.int64]
    size: NDArray[np.int64]

    def within(self, begin: int, end: int) -> Measures:
        """Those of rows [begin, end), apart from these."""
        return Measures(*(each[begin:end].copy() for each in (self.tokens, self.units, self.size)))

    def put(self, rows: NDArray[np.int64], measures: Measures) -> None:
        """Put `measures` in the place of those of `rows`."""
        self.tokens[rows], self.units[rows], self.size[rows] = measures.tokens, measures.units, measures.size


@dataclass(frozen=True)
class Edits:
    """New texts: `rows` (sorted, within the part), `texts`, and the `measures` of each."""

    rows: NDArray[np.int64]
    texts: pa.StringArray
    measures: Measures

    def within(self, begin: int, end: int) -> Edits:
        """The edits of rows [begin, end), with rows counted from `begin`."""
        if len(self.rows) == 0:
            return self
        first, last = np.searchsorted(self.rows, [begin, end])
        part = slice(first, last)
        return Edits(self.rows[part] - begin, self.texts[first:last], self.measures.within(part.start, part.stop))

    @staticmethod
    @cache
    def none() -> Edits:
        """No edits."""
        return Edits.of(EDITED_SCHEMA.empty_table())

    @staticmethod
    def of(table: pa.Table) -> Edits:
        """The edits of a table of EDITED_SCHEMA; of those of one row the last stands."""
        rows = table["row"].to_numpy().astype(np.int64)
        places = _last_of_each(rows)
        table = table.select(["text", "tokens", "units"]).take(pa.array(places))
        texts = pa.concat_arrays([pa.array([], pa.string()), *table["text"].chunks])
        size = np.diff(string_buffer(texts)[1])
        return Edits(rows[places], texts, Measures(table["tokens"].to_numpy(), table["units"].to_numpy(), size))

    def as_table(self, begin: int) -> pa.Table:
        """A table of EDITED_SCHEMA, its rows counted from `begin` rows earlier."""
        columns = [self.rows + begin, self.texts, self.measures.tokens, self.measures.units]
        return pa.table(
            [pa.array(column, kind) for column, kind in zip(columns, EDITED_SCHEMA.types, strict=True)],
            schema=EDITED_SCHEMA,
        )

    def with_later(self, rows: NDArray[np.int64], texts: pa.StringArray, measures: Measures) -> Edits:
        """These edits with later ones, which take their place in rows that have both."""
        every = np.concatenate([self.rows, rows])
        places = _last_of_each(every)
        own = self.measures
        return Edits(
            every[places],
            pa.concat_arrays([self.texts, texts]).take(pa.array(places)),
            Measures(
                np.concatenate([own.tokens, measures.tokens])[places],
                np.concatenate([own.units, measures.units])[places],
                np.concatenate([own.size, measures.size])[places],
            ),
        )

    def text_of(self, row: int) -> str | None:
        """The new text of a row, None where it has none."""
        place = int(np.searchsorted(self.rows, row))
        if place == len(self.rows) or self.rows[place] != row:
            return None
        text: str = self.texts[place].as_py()
        return text

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The documents of a batch with their new texts."""
        if len(self.rows) == 0:
            return batch
        mask = np.zeros(batch.num_rows, dtype=np.bool_)
        mask[self.rows] = True
        text = pc.replace_with_mask(batch.column("text"), pa.array(mask), self.texts)
        return batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), text)


def _last_of_each(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each distinct row stands last, by row: int64[distinct rows]."""
    _, places = np.unique(rows[::-1], return_index=True)
    return len(rows) - 1 - places
