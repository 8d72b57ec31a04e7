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
    """A span that a verdict is about (of an edit, one that was replaced): its kind, and where it stands (code points,
    half-open)."""

    kind: str
    begin: int
    end: int


@dataclass(frozen=True)
class Spans:
    """Places in texts, one or more a document, in the order in which they shall stand in the record.

    `rows` are int64[n], `begins` and `ends` code points (int64[n], half-open); `scores` and `thresholds` float64[n];
    `keepers` the id of the document in which the span stays, string[n], where there is one.
    """

    rows: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    thresholds: NDArray[np.float64] | None = None
    keepers: pa.StringArray | None = None


def round_score(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values rounded to 6 significant digits, as every score is before it is compared or written: float64[n]. Under
    1e-300 they have fewer, down to 0."""
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values) & (values != 0)
    magnitude = np.floor(np.log10(np.abs(values, where=finite, out=np.ones_like(values))))
    digits = np.minimum(5 - magnitude, 305)  # there is no power of ten that would scale the least floats
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
    _redactions: list[tuple[int, str, Redaction]] = field(default_factory=list)
    _dropped: NDArray[np.bool_] | None = None

    def drop(
        self,
        rows: NDArray[np.bool_] | NDArray[np.int64],
        rule: str,
        score: NDArray[np.float64] | float | None = None,
        threshold: NDArray[np.float64] | float | None = None,
        keeper: Sequence[str] | None = None,
        spans: Sequence[Redaction] | None = None,
        run: Sequence[str] | None = None,
    ) -> None:
        """Drop `rows` (a mask over the batch, or row numbers). `score` and `threshold` are one value, or one per row of
        the batch; `keeper` is one id, `spans` one span, `run` the earlier run of the keeper per dropped row."""
        index = self._index(rows)
        if self._dropped is None:
            self._dropped = np.zeros(self.rows_in_batch, dtype=np.bool_)
        fresh = ~self._dropped[index]
        if keeper is not None:
            keeper = [name for name, new in zip(keeper, fresh.tolist(), strict=True) if new]
        if spans is not None:
            spans = [span for span, new in zip(spans, fresh.tolist(), strict=True) if new]
        if run is not None:
            run = [name for name, new in zip(run, fresh.tolist(), strict=True) if new]
        index = index[fresh]
        self._dropped[index] = True
        self._add(index, DROP, rule, score, threshold, keeper, spans=spans, run=run)

    def flag(
        self,
        rows: NDArray[np.bool_] | NDArray[np.int64],
        rule: str,
        score: NDArray[np.float64] | float | None = None,
        threshold: NDArray[np.float64] | float | None = None,
        keeper: Sequence[str] | None = None,
        spans: Sequence[Redaction] | None = None,
    ) -> None:
        """Note `rule` on documents that stay; the rest as of `drop`."""
        self._add(self._index(rows), FLAG, rule, score, threshold, keeper, spans=spans)

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
        self._redactions.extend((row, rule_of[redaction["kind"]], redaction) for redaction in redactions)

    def edit_spans(self, rows: NDArray[np.int64], texts: pa.StringArray, spans: Spans, rule: str, kind: str) -> None:
        """Give `rows` new texts, from which `spans` (at least one a row) were cut; the record holds a line a span."""
        if not np.array_equal(np.unique(rows), np.unique(spans.rows)):
            raise ValueError("an edit names at least one replaced span")
        self._edits.extend(zip(rows.tolist(), texts.to_pylist(), strict=True))
        self._add_spans(spans, EDIT, rule, kind)

    def flag_spans(self, spans: Spans, rule: str, kind: str) -> None:
        """Note `rule` on places of documents that stay as they are."""
        self._add_spans(spans, FLAG, rule, kind)

    def build(self) -> Verdicts:
        """The verdicts, by row and then in the order in which they were given."""
        self._add_redactions()
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

    def _add_redactions(self) -> None:
        """One table of the redactions of the edits since the last table: a table for each edit took longer than all
        else that an edit costs."""
        if not self._redactions:
            return
        rows, rules, redactions = zip(*self._redactions, strict=True)
        count = len(rows)
        self._tables.append(
            pa.table(
                {
                    "row": pa.array(rows, pa.int32()),
                    "action": pa.repeat(pa.scalar(EDIT, pa.string()), count),
                    "rule": pa.array(rules, pa.string()),
                    "score": pa.nulls(count, pa.float64()),
                    "threshold": pa.nulls(count, pa.float64()),
                    "keeper": pa.nulls(count, pa.string()),
                    "copies": pa.nulls(count, pa.int32()),
                    "detail": _details(redactions, count),
                },
                schema=VERDICT_SCHEMA,
            )
        )
        self._redactions.clear()

    def _add_spans(self, spans: Spans, action: str, rule: str, kind: str) -> None:
        count = len(spans.rows)
        if count == 0:
            return
        places = {"begin": pa.array(spans.begins, pa.int64()), "end": pa.array(spans.ends, pa.int64())}
        given = {**places, "kind": pa.repeat(pa.scalar(kind, pa.string()), count)}
        detail = [given.get(field.name, pa.nulls(count, field.type)) for field in DETAIL]
        every = np.arange(count)
        self._add_redactions()
        self._tables.append(
            pa.table(
                {
                    "row": pa.array(spans.rows.astype(np.int32)),
                    "action": pa.repeat(pa.scalar(action, pa.string()), count),
                    "rule": pa.repeat(pa.scalar(rule, pa.string()), count),
                    "score": _values(spans.scores, every),
                    "threshold": _values(spans.thresholds, every),
                    "keeper": pa.nulls(count, pa.string()) if spans.keepers is None else spans.keepers,
                    "copies": pa.nulls(count, pa.int32()),
                    "detail": pa.StructArray.from_arrays(detail, fields=list(DETAIL)),
                },
                schema=VERDICT_SCHEMA,
            )
        )

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
        spans: Sequence[Redaction] | None = None,
        run: Sequence[str] | None = None,
    ) -> None:
        count = len(index)
        if count == 0:
            return
        self._add_redactions()
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
                    "detail": _details(spans, count)
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


def _details(spans: Sequence[Redaction] | None, count: int) -> pa.Array:
    if spans is None:
        return pa.nulls(count, DETAIL)
    return pa.array([{**span, "parent": None, "method": None, "engine": None} for span in spans], DETAIL)
