"""Loading once what every worker of a run needs: kernels, models and tables of a recipe.

The fork server does this before it starts a worker, so that the workers share the memory and none spends time on it.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.run.phases.languages import identify_languages
from curator.run.phases.read import binary16
from curator.run.pipeline import UNITS, Pipeline, pipeline_of
from curator.text.normalise import normalise
from curator.text.tokens import count_tokens

_TEXT = (
    "On 3 May a letter from Anna Smith, of 12 Long Street, came to the house; write to her at anna@mail.invalid.\n"
    "Она живёт в этом доме. 她住在这座房子里。\n"
)
"""A little of everything, so that each kernel is called once."""


def warm_up(recipe_json: str) -> None:
    """Take one document through the stages of a recipe; what it says is not kept anywhere."""
    pipeline = pipeline_of(recipe_json)
    text = normalise(pa.array([_TEXT], pa.string()), repair=pipeline.recipe.input.repair).text
    detected = identify_languages(text, pipeline.recipe.language).detected
    batch = Batch(_document(text, detected, pipeline))
    columns: dict[str, pa.Array] = {
        "tokens": pa.array(count_tokens(batch, pipeline.recipe.tokenizer)),
        UNITS.name: pa.array(batch.units.counts),
    }
    for stage in pipeline.early():
        columns.update(stage.annotate(batch))
        if stage.edits_text and not (stage.observes or stage.relates):
            stage.decide(batch, columns, {})


def _document(text: pa.StringArray, language: pa.StringArray, pipeline: Pipeline) -> pa.RecordBatch:
    values = {
        "key": binary16(np.zeros((1, 2), dtype=np.uint64)),
        "text": text,
        "lang": language,
        "source": pa.array([pipeline.recipe.input.source]),
        "metadata": pa.array([json.dumps({})]),
    }
    rest = {"id": pa.array([""]), "file": pa.array([""]), "position": pa.array([0], pa.int64())}
    arrays = [values.get(field.name, rest.get(field.name, pa.nulls(1, field.type))) for field in DOCUMENT_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT_SCHEMA)
