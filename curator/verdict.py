"""Verdicts: what a stage decides about documents.

Keeping is the rule and is not written down; a `Verdicts` holds only what differs from it: `drop`, `edit`, `repeat`, and
`flag` (the document stays, and the record says what was noticed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

DROP, EDIT, REPEAT, FLAG = "drop", "edit", "repeat", "flag"

DETAIL = pa.struct(
    [
        ("kind", pa.string()),
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("parent", pa.string()),
        ("method", pa.string()),
        ("engine", pa.string()),
        ("run", pa.string()),
    ]
)
"""`begin` and `end` count code points in the text as it entered the stage; never the value itself. `run` names the
earlier run to which the keeper of a dropped document belongs; null where the keeper is a document of this one."""

VERDICT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("keeper", pa.string()),
        pa.field("copies", pa.int32()),
        pa.field("detail", DETAIL),
    ]
)

EDIT_SCHEMA = pa.schema([pa.field("row", pa.int32(), nullable=False), pa.field("text", pa.string(), nullable=False)])


class Redaction(TypedDict):
    """One replaced span of an edit: its kind, and where it stood (code points, half-open)."""

    kind: str
    begin: int
    end: int


def round_score(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values rounded to 6 significant digits, as every score is before it is compared or written: float64[n]."""
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values) & (values != 0)
    magnitude = np.floor(np.log10(np.abs(values, where=finite, out=np.ones_like(values))))
    digits = 5 - magnitude
    # Scaling by a power of ten in either direction keeps the factor an exact integer up to 10**22.
    up = np.power(10.0, np.maximum(digits, 0))
    down = np.power(10.0, np.maximum(-digits, 0))
    rounded = np.rint(values * up / down) / up * down
    return np.where(finite, rounded, values)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of one stage on one batch: `table` (VERDICT_SCHEMA) and the new texts, `edits` (EDIT_SCHEMA)."""

    table: pa.Table
    edits: pa.Table

    @staticmethod
    def none() -> Verdicts:
        """All documents are kept as they are."""
        return Verdicts(VERDICT_SCHEMA.empty_table(), EDIT_SCHEMA.empty_table())


@dataclass
class VerdictBuilder:
    """Collects the verdicts of a batch. A row that was dropped already is not dropped twice: the first rule stands."""

    rows_in_batch: int
    _tables: list[pa.Table] = field(default_factory=list)
    _edits: list[tuple[int, str]] = field(default_factory=list)
    _dropped: NDArray[np.bool_] | None = None

    def drop(
        self,
        rows: NDArray[np.bool_] | NDArray[np.int64],
        rule: str,
        score: NDArray[np.float64] | float | None = None,
        threshold: NDArray[np.float64] | float | None = None,
        keeper: Sequence[str] | None = None,
        run: Sequence[str] | None = None,
    ) -> None:
        """Drop `rows` (a mask over the batch, or row numbers). `score` and `threshold` are one value, or one per row of
        the batch; `keeper` is one id per dropped row, `run` the earlier run that it belongs to."""
        index = self._index(rows)
        if self._dropped is None:
            self._dropped = np.zeros(self.rows_in_batch, dtype=np.bool_)
        fresh = ~self._dropped[index]
        if keeper is not None:
            keeper = [name for name, new in zip(keeper, fresh.tolist(), strict=True) if new]
        if run is not None:
            run = [name for name, new in zip(run, fresh.tolist(), strict=True) if new]
        index = index[fresh]
        self._dropped[index] = True
        self._add(index, DROP, rule, score, threshold, keeper, run=run)

    def flag(
        self,
        rows: NDArray[np.bool_] | NDArray[np.int64],
        rule: str,
        score: NDArray[np.float64] | float | None = None,
        threshold: NDArray[np.float64] | float | None = None,
    ) -> None:
        """Note `rule` on documents that stay."""
        self._add(self._index(rows), FLAG, rule, score, threshold, None)

    def repeat(self, rows: NDArray[np.bool_] | NDArray[np.int64], rule: str, copies: NDArray[np.int64]) -> None:
        """Write these documents `copies` times in all (one per row of the batch, at least 2)."""
        index = self._index(rows)
        self._add(index, REPEAT, rule, None, None, None, copies[index])

    def edit(self, row: int, text: str, redactions: Sequence[Redaction], rule_of: Mapping[str, str]) -> None:
        """Give `row` a new text; the record holds one line per replaced span, with the rule that its kind maps to.
        ValueError without any: an edit that nobody can ask about is none."""
        if not redactions:
            raise ValueError("an edit names at least one replaced span")
        self._edits.append((row, text))
        details = [{**redaction, "parent": None, "method": None, "engine": None} for redaction in redactions]
        count = len(redactions)
        self._tables.append(
            pa.table(
                {
                    "row": pa.array([row] * count, pa.int32()),
                    "action": pa.array([EDIT] * count, pa.string()),
                    "rule": pa.array([rule_of[redaction["kind"]] for redaction in redactions], pa.string()),
                    "score": pa.nulls(count, pa.float64()),
                    "threshold": pa.nulls(count, pa.float64()),
                    "keeper": pa.nulls(count, pa.string()),
                    "copies": pa.nulls(count, pa.int32()),
                    "detail": pa.array(details, DETAIL),
                },
                schema=VERDICT_SCHEMA,
            )
        )

    def build(self) -> Verdicts:
        """The verdicts, by row and then in the order in which they were given."""
        if not self._tables:
            return Verdicts.none()
        table = pa.concat_tables(self._tables)
        order = np.argsort(table["row"].to_numpy(), kind="stable")
        edits = pa.table(
            {
                "row": pa.array([row for row, _ in self._edits], pa.int32()),
                "text": pa.array([text for _, text in self._edits], pa.string()),
            },
            schema=EDIT_SCHEMA,
        )
        return Verdicts(table.take(pa.array(order)), edits)

    def _index(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> NDArray[np.int64]:
        return np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)

    def _add(
        self,
        index: NDArray[np.int64],
        action: str,
        rule: str,
        score: NDArray[np.float64] | float | None,
        threshold: NDArray[np.float64] | float | None,
        keeper: Sequence[str] | None,
        copies: NDArray[np.int64] | None = None,
        run: Sequence[str] | None = None,
    ) -> None:
        count = len(index)
        if count == 0:
            return
        self._tables.append(
            pa.table(
                {
                    "row": pa.array(index.astype(np.int32)),
                    "action": pa.repeat(pa.scalar(action, pa.string()), count),
                    "rule": pa.repeat(pa.scalar(rule, pa.string()), count),
                    "score": _values(score, index),
                    "threshold": _values(threshold, index),
                    "keeper": pa.nulls(count, pa.string()) if keeper is None else pa.array(keeper, pa.string()),
                    "copies": pa.nulls(count, pa.int32()) if copies is None else pa.array(copies.astype(np.int32)),
                    "detail": pa.nulls(count, DETAIL)
                    if run is None
                    else pa.array([{"run": name} for name in run], DETAIL),
                },
                schema=VERDICT_SCHEMA,
            )
        )


def _values(value: NDArray[np.float64] | float | None, index: NDArray[np.int64]) -> pa.Array:
    if value is None:
        return pa.nulls(len(index), pa.float64())
    if isinstance(value, np.ndarray):
        return pa.array(round_score(value[index]))
    return pa.array(round_score(np.full(len(index), float(value))))
