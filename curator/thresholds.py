"""Thresholds that differ by source and by language: what a document is judged by.

The parameters of a stage hold the thresholds that hold everywhere, and two mappings, `sources` and `languages`, of
those that differ. They cascade: the parameters; then `sources` for the document's source group; then what the stage
itself knows of a language; then `languages` for its list language. A null turns a rule off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from curator.stage import Parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch, Codes


class Cascading(Protocol):
    """Parameters with thresholds by source group and by list language; see the module."""

    @property
    def sources(self) -> Mapping[str, Parameters]:
        """Other thresholds by source group."""
        ...

    @property
    def languages(self) -> Mapping[str, Parameters]:
        """Other thresholds by list language."""
        ...


def thresholds_of(
    batch: Batch, parameters: Cascading, name: str, known: Mapping[str, float | None] | None = None
) -> NDArray[np.float64]:
    """The threshold `name` for each document, NaN where the rule is off: float64[rows].

    `known` is what the stage knows of a language whatever the source: list language -> threshold.
    """
    values = np.full(len(batch), _as_float(getattr(parameters, name)), dtype=np.float64)
    if parameters.sources:
        _override(values, batch.source_groups, _named(parameters.sources, name))
    if known:
        _override(values, batch.languages, known)
    if parameters.languages:
        _override(values, batch.languages, _named(parameters.languages, name))
    return values


def _named(groups: Mapping[str, Parameters], name: str) -> dict[str, float | None]:
    """The groups that say something of this threshold."""
    return {group: getattr(given, name) for group, given in groups.items() if name in given.model_fields_set}


def _override(values: NDArray[np.float64], codes: Codes, given: Mapping[str, float | None]) -> None:
    for group in codes.names:
        if group in given:
            values[codes.mask(group)] = _as_float(given[group])


def _as_float(value: float | None) -> float:
    return np.nan if value is None else value
