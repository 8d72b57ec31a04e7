"""Phase `derive`: children of the survivors of a part, read like any document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import child_keys
from curator.run.part import Part
from curator.run.phases.judge import candidates
from curator.run.phases.languages import identify_languages
from curator.run.phases.read import PartWriter, binary16
from curator.run.pipeline import pipeline_of
from curator.run.states import load_state
from curator.run.store import Outputs
from curator.run.tally import CREATED
from curator.stage import Child
from curator.verdict import round_score

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class DeriveInput:
    """A part to derive from; its children become a part of another name."""

    part: Part

    @property
    def name(self) -> str:
        """The name of the part of children."""
        return f"{self.part.name}-children"


@dataclass(frozen=True)
class DeriveTask:
    """Derives children from a part. `states` are (stage, file) of what was fitted; those of other stages than `stage`
    reach `derive` under their names with the stage before them (`sampling.target_tokens`)."""

    recipe: str
    stage: str
    states: tuple[tuple[str, str], ...]

    def __call__(self, item: DeriveInput, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        pipeline = pipeline_of(self.recipe)
        stage = pipeline.stage(self.stage)
        state = {
            name if owner == self.stage else f"{owner}.{name}": array
            for owner, path in self.states
            for name, array in load_state(path).items()
        }
        writer = PartWriter(pipeline, outputs)
        found = candidates(item.part, pipeline.recipe.tokenizer, stage, state)
        children = stage.derive(*found, state) if found is not None else ()
        if found is not None and children:
            documents = child_documents(found[0], children)
            identified = identify_languages(documents.column("text"), pipeline.recipe.language)
            writer.write(documents, identified.checked(documents.column("lang")), CREATED)
        writer.close()
        return writer.result()


def child_documents(batch: Batch, children: Sequence[Child]) -> pa.RecordBatch:
    """Documents of children: id `PARENT#aN`, keys from the parents' keys."""
    rows = np.array([child.row for child in children], dtype=np.int64)
    seen: dict[int, int] = {}
    ordinals = []
    for row in rows.tolist():
        seen[row] = seen.get(row, 0) + 1
        ordinals.append(seen[row])
    parents = batch.documents.take(pa.array(rows))
    ids = parents.column("id").to_pylist()
    columns: dict[str, pa.Array] = {
        "key": binary16(child_keys(batch.keys[rows], np.array(ordinals, dtype=np.int64))),
        "id": pa.array([f"{parent}#a{ordinal}" for parent, ordinal in zip(ids, ordinals, strict=True)], pa.string()),
        "text": pa.array([child.text for child in children], pa.string()),
        "lang": pa.array([child.lang for child in children], pa.string()),
        "parent": parents.column("id"),
        "method": pa.array([child.method for child in children], pa.string()),
        "engine": pa.array([child.engine for child in children], pa.string()),
        "metadata": pa.array([_scores(child) for child in children], pa.string()),
    }
    arrays = [columns.get(name, parents.column(name)) for name in DOCUMENT_SCHEMA.names]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT_SCHEMA)


def _scores(child: Child) -> str | None:
    if not child.scores:
        return None
    values = round_score(np.array(list(child.scores.values()), dtype=np.float64))
    return json.dumps(dict(zip(child.scores, values.tolist(), strict=True)))
