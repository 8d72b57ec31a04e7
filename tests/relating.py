"""A corpus for stages that relate documents, without a run around it: real parts, the real engine, in any cut."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA
from curator.engine.local import LocalExecutor
from curator.recipe import load_recipe_text
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.phases.languages import identify_languages
from curator.run.phases.read import PartWriter
from curator.run.pipeline import make_pipeline
from curator.run.store import Outputs
from curator.stage import Parameters, Stage
from curator.storage.ipc import read_table


def documents(texts: Sequence[str], sources: Sequence[str], langs: Sequence[str], first: int) -> pa.RecordBatch:
    """Documents with these texts; the id of each is its number in the corpus."""
    count = len(texts)
    columns = {
        "key": pa.array([(first + row).to_bytes(16, "big") for row in range(count)], pa.binary(16)),
        "id": pa.array([str(first + row) for row in range(count)], pa.string()),
        "text": pa.array(texts, pa.string()),
        "source": pa.array(sources, pa.string()),
        "lang": pa.array(langs, pa.string()),
        "file": pa.array(["file"] * count, pa.string()),
        "position": pa.array(range(first, first + count), pa.int64()),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA)


def relate(
    stage: Stage[Parameters],
    texts: Sequence[str],
    *,
    cuts: Sequence[int] = (),
    sources: Sequence[str] | None = None,
    langs: Sequence[str] | None = None,
) -> list[list[dict[str, object]]]:
    """What `stage` finds for each text, when the corpus is cut into parts before these numbers: the spans of its
    relation, an empty list for a text that has none."""
    pipeline = make_pipeline(load_recipe_text("name: x\nlanguage: off\nstages: [sampling]\n", "x"))
    bounds = sorted({0, *(cut for cut in cuts if cut < len(texts)), len(texts)})
    sources, langs = sources or ["web"] * len(texts), langs or ["und"] * len(texts)
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
            outputs = Outputs(Path(folder), f"{number:06d}")
            writer = PartWriter(pipeline, outputs)
            batch = documents(texts[begin:end], sources[begin:end], langs[begin:end], begin)
            identified = identify_languages(batch.column("text"), None)
            writer.write(batch, identified.checked(batch.column("lang")), "in")
            writer.close()
            outputs.commit(writer.result())
            parts.append(Part(folder, f"{number:06d}", end - begin, begin))
        corpus = Corpus(tuple(parts), LocalExecutor(1), Path(folder) / "relate")
        table = read_table(stage.relate(corpus)).combine_chunks()
        found: list[list[dict[str, object]]] = [[] for _ in texts]
        rows = table["row"].to_numpy()
        assert np.array_equal(rows, np.unique(rows))
        for row, spans in zip(rows.tolist(), table[stage.relation[0].name].to_pylist(), strict=True):
            found[row] = spans
        return found
