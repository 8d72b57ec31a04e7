"""Stage `dedup`: of documents that say the same, one stays.

A document is dropped if and only if it is similar to a document that is already kept, taking documents in keeper order.
Similar means: the same folded text (exact), or a Jaccard similarity of their shingle sets of at least `threshold`,
found by MinHash LSH (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3) and verified.
Because the comparison is with kept documents alone, a chain of small changes does not swallow documents that have
little in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curator.document import Batch
from curator.run.corpus import Corpus
from curator.stage import Column, Columns, Parameters, Stage, State
from curator.verdict import VerdictBuilder, Verdicts
from stages.dedup.minhash import choose_bands, exact_hashes, minhash, shingle_hashes

EXACT_COLUMN = "dedup.exact"
SIGNATURE_COLUMN = "dedup.signature"
EXACT, NEAR = "exact", "near"


class DedupParameters(Parameters):
    """Parameters of `dedup`."""

    permutations: Literal[64, 128, 256] = Field(256, description="length of a signature")
    threshold: float = Field(0.85, gt=0, le=1, description="Jaccard similarity from which two documents are the same")
    shingle_units: int = Field(5, ge=1, le=32, description="units in a shingle")
    signature_seed: int = Field(0, ge=0, lt=2**32, description="seed of the permutations, as datasketch takes it")
    recall: float = Field(0.995, gt=0, lt=1, description="share of pairs at the threshold that LSH has to find")
    verify_band: float = Field(
        0.06, ge=0, le=1, description="within this distance of the threshold the true Jaccard similarity decides"
    )
    keeper: Literal["first", "longest"] = Field("first", description="which document of a pair stays")
    bucket_representatives: int = Field(
        64, ge=1, description="in a larger LSH bucket a document is compared with this many of the first ones"
    )

    @model_validator(mode="after")
    def _has_bands(self) -> DedupParameters:
        choose_bands(self.permutations, self.threshold, self.recall)
        return self


class Dedup(Stage[DedupParameters]):
    """Exact and near-duplicate removal."""

    name: ClassVar[str] = "dedup"
    about: ClassVar[str] = "of documents that say the same, keep one (exact, and MinHash LSH with verified pairs)"
    parameters_type: ClassVar[type[Parameters]] = DedupParameters
    relates: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("datasketch",)
    relation: tuple[Column, ...] = (
        Column("dedup.keeper", pa.string(), "the document that stays in its place", internal=True),
        Column("dedup.similarity", pa.float64(), "Jaccard similarity with the keeper", internal=True),
        Column("dedup.kind", pa.string(), "exact or near", internal=True),
    )
    rules: ClassVar[Mapping[str, str]] = {
        "dedup.exact": "its text is the same as that of {keeper}, up to case, punctuation and compatibility forms",
        "dedup.near": "it is a near-duplicate of {keeper}: Jaccard similarity {score}, threshold {threshold}",
    }

    def __init__(self, parameters: DedupParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        width = parameters.permutations
        self.columns = (
            Column(EXACT_COLUMN, pa.list_(pa.uint64(), 2), "128-bit hash of the folded text", internal=True),
            Column(SIGNATURE_COLUMN, pa.list_(pa.uint32(), width), "MinHash signature", internal=True),
        )

    def annotate(self, batch: Batch) -> Columns:
        """Exact hash and signature of each document."""
        data, offsets = batch.text_buffer
        width = self.parameters.permutations
        exact = exact_hashes(batch.units, data, offsets)
        shingles = shingle_hashes(batch.units, data, offsets, self.parameters.shingle_units)
        signature = minhash(shingles, width, self.parameters.signature_seed)
        return {
            EXACT_COLUMN: pa.FixedSizeListArray.from_arrays(pa.array(exact.reshape(-1)), 2),
            SIGNATURE_COLUMN: pa.FixedSizeListArray.from_arrays(pa.array(signature.reshape(-1)), width),
        }

    def relate(self, corpus: Corpus) -> Path:
        """Find for each duplicate the document that stays."""
        from stages.dedup.relate import find_duplicates

        return find_duplicates(corpus, self.parameters)

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Drop what has a keeper."""
        verdicts = VerdictBuilder(len(batch))
        kinds, similarity = columns["dedup.kind"], columns["dedup.similarity"]
        score = pc.fill_null(similarity, 0.0).to_numpy(zero_copy_only=False)
        for kind in (EXACT, NEAR):
            rows = np.flatnonzero(pc.fill_null(pc.equal(kinds, kind), False).to_numpy(zero_copy_only=False))
            keepers = columns["dedup.keeper"].take(pa.array(rows)).to_pylist()
            threshold = self.parameters.threshold if kind == NEAR else None
            verdicts.drop(rows, f"dedup.{kind}", score, threshold, keepers)
        return verdicts.build()
