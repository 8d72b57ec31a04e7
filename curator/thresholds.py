"""Thresholds that differ by source and by language: what a document is judged by.

The parameters of a stage hold the thresholds that hold everywhere, and two mappings, `sources` and `languages`, of
those that differ. They cascade, the most specific last: the parameters; `sources` for the document's source group; what
the stage itself knows of a language; `languages` for its list language; `languages` within `sources`, for the list
language in the source group. A null turns a rule off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Protocol, TypeAlias, cast

import numpy as np
from pydantic import AfterValidator

from curator.language.tags import checked_list_language
from curator.stage import Column, Columns, Cut, Parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch, Codes

ListLanguage: TypeAlias = Annotated[str, AfterValidator(checked_list_language)]
"""What thresholds go by: one for another tag, such as `de-AT`, would hold for no document."""


class Cascading(Protocol):
    """Parameters with thresholds by source group and by list language; see the module."""

    @property
    def sources(self) -> Mapping[str, Parameters]:
        """Other thresholds by source group; those that have `languages` hold further ones by list language."""
        ...

    @property
    def languages(self) -> Mapping[str, Parameters]:
        """Other thresholds by list language."""
        ...


def thresholds_of(
    batch: Batch, parameters: Cascading, name: str, known: Mapping[str, float | None] | None = None
) -> NDArray[np.float64]:
    """The threshold `name` for each document, NaN where the rule is off: float64[rows].

    `known` is what the stage knows of a language whatever the source: list language -> threshold. It turns no rule on.
    """
    values = np.full(len(batch), _as_float(getattr(parameters, name)), dtype=np.float64)
    if parameters.sources:
        _override(values, batch.source_groups, _named(parameters.sources, name))
    if known:
        off = np.isnan(values)
        _override(values, batch.languages, known)
        values[off] = np.nan
    if parameters.languages:
        _override(values, batch.languages, _named(parameters.languages, name))
    for source, given in parameters.sources.items():
        inner: Mapping[str, Parameters] = getattr(given, "languages", {})
        if inner and source in batch.source_groups.names:
            _override(values, batch.languages, _named(inner, name), batch.source_groups.mask(source))
    return values


def column_cuts(batch: Batch, columns: Columns, declared: Sequence[Column], parameters: Parameters) -> tuple[Cut, ...]:
    """The cuts of the columns that declare a threshold and a side, where the parameters cascade; else none."""
    if not parameters.cascades:
        return ()
    return tuple(
        Cut(column.threshold, column.drops, as_scores(columns, column.name), limit)
        for column in declared
        if column.threshold is not None and column.drops is not None
        for limit in [thresholds_of(batch, cast("Cascading", parameters), column.threshold)]
    )


def as_scores(columns: Columns, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN where it is null: float64[rows]."""
    values: NDArray[np.float64] = columns[name].to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values


def _named(groups: Mapping[str, Parameters], name: str) -> dict[str, float | None]:
    """The groups that say something of this threshold."""
    return {group: getattr(given, name) for group, given in groups.items() if name in given.model_fields_set}


def _override(
    values: NDArray[np.float64],
    codes: Codes,
    given: Mapping[str, float | None],
    within: NDArray[np.bool_] | None = None,
) -> None:
    for group in codes.names:
        if group in given:
            rows = codes.mask(group)
            values[rows if within is None else rows & within] = _as_float(given[group])


def _as_float(value: float | None) -> float:
    return np.nan if value is None else value
