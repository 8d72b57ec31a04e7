"""Phase `derive`: children of the survivors of a part, read like any document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, UNDETERMINED, Batch
from curator.keys import child_keys
from curator.language.tags import list_language
from curator.run.part import Part, write_table
from curator.run.phases.judge import candidates
from curator.run.phases.languages import identify_languages, knows_language
from curator.run.phases.read import PartWriter, binary16
from curator.run.pipeline import pipeline_of
from curator.run.states import load_state
from curator.run.store import Outputs
from curator.run.tally import CREATED
from curator.stage import Child
from curator.text.tokens import count_tokens
from curator.verdict import round_score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from curator.recipe.model import Language


PARENT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("lang", pa.string()),
    ]
)
"""The text of a child's parent and its tag; `row` counts the children of the part."""

PARENTS_SHOWN, PARENT_CHARACTERS = 20, 4000
"""More than the examples of a rule: some of the children will be dropped."""


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
        parents = PARENT_SCHEMA.empty_table()
        found = candidates(item.part, pipeline.recipe.tokenizer, stage, state)
        children = stage.derive(*found, state) if found is not None else ()
        made = len(children)
        if found is not None:
            children = in_their_language(found[0], children, pipeline.recipe.language)
        of_their_language = len(children)
        if found is not None and children:
            limits = stage.most_tokens(*found, state)
            children = within_limits(children, limits, pipeline.recipe.tokenizer)
        if found is not None and children:
            documents = child_documents(found[0], children)
            identified = identify_languages(documents.column("text"), pipeline.recipe.language)
            parents = parents_of(found[0], children)
            writer.write(documents, identified.checked(documents.column("lang")), CREATED)
        writer.close()
        write_table(outputs.path("parents"), parents)
        in_another, beyond = made - of_their_language, of_their_language - len(children)
        return {**writer.result(), "in_another_language": in_another, "beyond_share": beyond}


def parents_of(batch: Batch, children: Sequence[Child]) -> pa.Table:
    """The beginnings of the texts of the parents of the first children of a part, to be shown beside them."""
    shown = children[:PARENTS_SHOWN]
    texts = [batch.text[child.row].as_py()[:PARENT_CHARACTERS] for child in shown]
    tags = batch.documents.column("lang").take(pa.array([child.row for child in shown], pa.int64()))
    return pa.table([pa.array(range(len(shown)), pa.int32()), pa.array(texts, pa.string()), tags], schema=PARENT_SCHEMA)


def in_their_language(batch: Batch, children: Sequence[Child], language: Language | None) -> list[Child]:
    """The children that are identified as what they are to be. In the language of their parent that is their tag, or
    what their parent is identified as, or nothing where the parent is not identified as its tag either; in another
    language their tag; a language that the model has no label for it cannot judge. All of them where no language is
    identified."""
    if language is None or not children:
        return list(children)
    rows = sorted({child.row for child in children})
    texts = [*(batch.text[row].as_py() for row in rows), *(child.text for child in children)]
    detected = identify_languages(pa.array(texts, pa.string()), language).detected.to_pylist()
    of_parents = dict(zip(rows, detected, strict=False))
    of_documents = batch.languages
    kept = []
    for child, found in zip(children, detected[len(rows) :], strict=True):
        own, parent = list_language(child.lang), of_parents[child.row]
        if own == of_documents.names[of_documents.codes[child.row]]:
            is_its_own = found in (own, parent) or (found == UNDETERMINED and parent != own)
        else:
            is_its_own = list_language(found) == own or not knows_language(language, own)
        if is_its_own:
            kept.append(child)
    return kept


def within_limits(children: Sequence[Child], most_tokens: Mapping[str, int], tokenizer: str | None) -> list[Child]:
    """The children, in their order, that fit into the tokens that their language may have."""
    if not children:
        return []
    texts = Batch(pa.record_batch({"text": pa.array([child.text for child in children], pa.string())}))
    left = dict(most_tokens)
    kept = []
    for child, tokens in zip(children, count_tokens(texts, tokenizer).tolist(), strict=True):
        language = list_language(child.lang)
        if language in left:
            if tokens > left[language]:
                continue
            left[language] -= tokens
        kept.append(child)
    return kept


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
