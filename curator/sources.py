"""Source groups: what a source counts as in thresholds, shares, counts and reports.

A recipe may map sources to groups (`input.source_groups`). A source that it names belongs where it is named; else the
pattern decides that fits with the most characters beside its `*`, the first by alphabet of equal ones. Order decides
nothing: fingerprint and manifest keep none of a mapping. All other sources are grouped by what stands before the first
':'.

The mapping travels in the metadata of the schema of documents, which every selection and every file of them keeps, so
that each batch knows its groups wherever it is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

_KEY = b"source_groups"


def group_metadata(groups: Mapping[str, Sequence[str]]) -> dict[bytes, bytes] | None:
    """The metadata of a schema of documents whose sources a recipe maps so, the same for the same groups however they
    were written; None where it maps none."""
    ordered = {group: sorted(groups[group]) for group in sorted(groups)}
    return {_KEY: json.dumps(ordered).encode()} if groups else None


def group_sources(sources: pa.StringArray, metadata: Mapping[bytes, bytes] | None) -> pa.StringArray:
    """The group of each source, by the metadata of its schema."""
    mapping = (metadata or {}).get(_KEY)
    if mapping is None:
        return _before_colon(sources)
    encoded = pc.dictionary_encode(sources)
    return _mapped(encoded.dictionary, *_matchers(mapping)).take(encoded.indices)


def _before_colon(sources: pa.StringArray) -> pa.StringArray:
    return pc.list_element(pc.split_pattern(sources, ":", max_splits=1), 0)


def _mapped(
    sources: pa.StringArray, named: pa.StringArray, groups: pa.StringArray, patterns: Sequence[tuple[str, str]]
) -> pa.StringArray:
    """The group of each of these sources; of patterns that fit, the last one stands."""
    found = _before_colon(sources)
    for expression, group in patterns:
        found = pc.if_else(pc.match_substring_regex(sources, expression), group, found)
    return pc.coalesce(groups.take(pc.index_in(sources, named)), found)


@lru_cache(maxsize=4)
def _matchers(mapping: bytes) -> tuple[pa.StringArray, pa.StringArray, tuple[tuple[str, str], ...]]:
    """The sources that are named, the group of each, and the patterns as expressions of RE2 with theirs, the deciding
    one last."""
    pairs = [(source, group) for group, sources in json.loads(mapping).items() for source in sources]
    exact = [pair for pair in pairs if "*" not in pair[0]]
    patterns = sorted((pair for pair in pairs if "*" in pair[0]), reverse=True)
    patterns.sort(key=lambda pair: len(pair[0].replace("*", "")))
    return (
        pa.array([source for source, _ in exact], pa.string()),
        pa.array([group for _, group in exact], pa.string()),
        tuple((f"^(?s:{'.*'.join(map(re.escape, pattern.split('*')))})$", group) for pattern, group in patterns),
    )
