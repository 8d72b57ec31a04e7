"""Stage `dedup`: of documents that say the same, one stays.

A document is dropped if and only if it is similar to a document that is already kept, taking documents in keeper order.
Similar means: the same folded text (exact), or a Jaccard similarity of their shingle sets of at least `threshold`,
found by MinHash LSH (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3) and verified.
Because the comparison is with kept documents alone, a chain of small changes does not swallow documents that have
little in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curator.document import Batch
from curator.run.corpus import Corpus
from curator.stage import WEIGHT, Column, Columns, Erased, Left, Parameters, Requirement, Stage, State
from curator.verdict import VerdictBuilder, Verdicts, round_score
from stages.dedup.fields import Keeper, rank_of_field, url_hashes
from stages.dedup.minhash import choose_bands, minhash, shingle_hashes
from stages.dedup.near import SIGNATURE_COLUMN
from stages.dedup.orders import RANK_COLUMN
from stages.dedup.relate import (
    EXACT,
    EXACT_COLUMN,
    HOLDOUT,
    NEAR,
    RUN_COLUMN,
    URL,
    URL_COLUMN,
    find_duplicates,
    find_same_urls,
)

if TYPE_CHECKING:
    from curator.scaling import Scaling
    from stages.dedup.header import Scheme

MEMBERS_COLUMN = "dedup.members"


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
    keeper: Keeper = Field(
        "first",
        description="which document stays: the first in the input, the longest, or by keeper_field the oldest, the "
        "newest (to the day) or the best (highest number); of equals the first",
    )
    keeper_field: str | None = Field(
        None, description="the field of input.metadata that has the date (oldest, newest) or the number (best)"
    )
    url_field: str | None = Field(
        None, description="the field of input.metadata that has the URL: of documents with the same one, one stays"
    )
    bucket_representatives: int = Field(
        64, ge=1, le=1024, description="in a larger LSH bucket a document is compared with this many of the first ones"
    )
    weight: Literal["none", "log", "sqrt", "members"] = Field(
        "none",
        description="the weight of a document that stays for n documents in all: 1, 1 + ln n, the square root of n, n",
    )
    max_weight: float = Field(10.0, ge=1, description="no document has a greater weight")
    index: bool = Field(False, description="leave an index, against which later runs can be deduplicated")
    against: tuple[str, ...] = Field(
        (),
        description="earlier runs with an index, or indexes: what they have is dropped; the first that has it is named",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> DedupParameters:
        choose_bands(self.permutations, self.threshold, self.recall)
        needs_field = self.keeper not in ("first", "longest")
        if needs_field != (self.keeper_field is not None):
            wanted = "needs keeper_field" if needs_field else "takes no keeper_field"
            raise ValueError(f"keeper {self.keeper!r} {wanted}")
        return self


class Dedup(Stage[DedupParameters]):
    """Exact and near-duplicate removal."""

    name: ClassVar[str] = "dedup"
    about: ClassVar[str] = "of documents that say the same, keep one (exact, and MinHash LSH with verified pairs)"
    parameters_type: ClassVar[type[Parameters]] = DedupParameters
    relates: ClassVar[bool] = True
    leaves: ClassVar[str] = "index"
    packages: tuple[str, ...] = ("ada-url", "datasketch")
    relation: tuple[Column, ...] = (
        Column("dedup.keeper", pa.string(), "the document that stays in its place", internal=True),
        Column("dedup.similarity", pa.float64(), "Jaccard similarity with the keeper", internal=True),
        Column("dedup.kind", pa.string(), "url, exact or near", internal=True),
        Column(MEMBERS_COLUMN, pa.int64(), "documents for which it stays, itself among them", internal=True),
    )
    rules: ClassVar[Mapping[str, str]] = {
        "dedup.url": "its URL is that of {keeper}, up to ways of writing it",
        "dedup.exact": "its text is the same as that of {keeper}, up to case, punctuation, symbols "
        "and compatibility forms",
        "dedup.near": "it is a near-duplicate of {keeper}: Jaccard similarity about {score}, threshold {threshold}",
        "holdout": "it is like {keeper}, which is held out",
        "dedup.url_earlier": "its URL is that of {keeper} of the earlier run {run}, up to ways of writing it",
        "dedup.exact_earlier": "its text is the same as that of {keeper} of the earlier run {run}, up to case, "
        "punctuation, symbols and compatibility forms",
        "dedup.near_earlier": "it is a near-duplicate of {keeper} of the earlier run {run}: Jaccard similarity "
        "about {score}, threshold {threshold}",
    }

    def __init__(self, parameters: DedupParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        width = parameters.permutations
        columns = [
            Column(EXACT_COLUMN, pa.list_(pa.uint64(), 2), "128-bit hash of the folded text", internal=True),
            Column(SIGNATURE_COLUMN, pa.list_(pa.uint32(), width), "MinHash signature", internal=True),
        ]
        if parameters.url_field is not None:
            columns.append(
                Column(URL_COLUMN, pa.list_(pa.uint64(), 2), "128-bit hash of the canonical URL", internal=True)
            )
        if parameters.keeper_field is not None:
            columns.append(Column(RANK_COLUMN, pa.int64(), "its rank by the keeper rule", internal=True))
        self.columns = tuple(columns)
        self.metadata = tuple(name for name in (parameters.url_field, parameters.keeper_field) if name is not None)
        self.scored = (
            Column("dedup.cluster", pa.int64(), "documents for which it stays, itself among them; null if dropped"),
        )
        if parameters.weight != "none":
            self.scored = (*self.scored, Column(WEIGHT, pa.float64(), "its weight in training"))
        if parameters.against:
            earlier = Column(RUN_COLUMN, pa.string(), "the earlier run to which the keeper belongs", internal=True)
            self.relation = (*self.relation, earlier)

    def scheme(self) -> Scheme:
        """What an index must have in common with this run."""
        from stages.dedup.header import Scheme
        from stages.dedup.index import text_scheme

        given = self.parameters
        bands, rows = choose_bands(given.permutations, given.threshold, given.recall)
        return Scheme(given.permutations, given.signature_seed, given.shingle_units, bands, rows, text_scheme())

    def scaling(self) -> Scaling:
        """Exchanges, memory of single processes, limits."""
        from stages.dedup.scaling import scaling_of

        return scaling_of(self.parameters)

    def requirements(self) -> Sequence[Requirement]:
        """The indexes of earlier runs."""
        if not self.parameters.against:
            return ()
        from stages.dedup.against import index_requirements

        return index_requirements(self.parameters, self.scheme())

    def warnings(self) -> Sequence[str]:
        """The indexes that cannot be asked for URLs."""
        if not self.parameters.against or self.parameters.url_field is None:
            return ()
        from stages.dedup.against import without_urls

        return [
            f"the index {name} has no URLs: documents are not compared by URL with it"
            for name in without_urls(self.parameters.against)
        ]

    def remarks(self, facts: Mapping[str, object]) -> Sequence[str]:
        """That there was nothing by which to choose the document that stays, or no URL to compare."""
        told = []
        if facts.get("unranked", 0) and facts["unranked"] == facts["compared"]:
            what = "number" if self.parameters.keeper == "best" else "date"
            named = f"in the field {self.parameters.keeper_field!r}, which keeper_field names"
            told.append(f"no document has a {what} {named}: of duplicates the first in the input stays")
        if facts.get("urls") == 0:
            named = f"in the field {self.parameters.url_field!r}, which url_field names"
            told.append(f"no document has a URL {named}: none was compared by it")
        return told

    def recorded(self) -> Mapping[str, object]:
        """The parameters, with the names of earlier runs in the place of their paths."""
        values = super().recorded()
        if self.parameters.against:
            values = {**values, "against": [requirement.name for requirement in self.requirements()]}
        return values

    def annotate(self, batch: Batch) -> Columns:
        """Exact hash and signature of each document; hash of its URL and rank where they are asked for."""
        data, offsets = batch.text_buffer
        width = self.parameters.permutations
        exact = batch.content_hashes
        shingles = shingle_hashes(batch.units, data, offsets, self.parameters.shingle_units)
        signature = minhash(shingles, width, self.parameters.signature_seed)
        columns = {
            EXACT_COLUMN: pa.FixedSizeListArray.from_arrays(pa.array(exact.reshape(-1)), 2),
            SIGNATURE_COLUMN: pa.FixedSizeListArray.from_arrays(pa.array(signature.reshape(-1)), width),
        }
        parameters, metadata = self.parameters, batch.documents.column("metadata")
        if parameters.url_field is not None:
            urls = url_hashes(metadata, parameters.url_field)
            columns[URL_COLUMN] = pa.FixedSizeListArray.from_arrays(pa.array(urls.reshape(-1)), 2)
        if parameters.keeper_field is not None:
            columns[RANK_COLUMN] = pa.array(rank_of_field(metadata, parameters.keeper_field, parameters.keeper))
        return columns

    def relate(self, corpus: Corpus) -> Path:
        """Find for each duplicate the document that stays: first in earlier runs, then in this one."""
        parameters = self.parameters
        if not parameters.against:
            return find_duplicates(corpus, parameters, find_same_urls(corpus, parameters))
        from stages.dedup.against import find_duplicates_across

        return find_duplicates_across(corpus, parameters, self.scheme())

    def leave(self, corpus: Corpus, run: str, through: Sequence[str]) -> Left | None:
        """The index of this run, if it is wanted."""
        if not self.parameters.index:
            return None
        from stages.dedup.build import build_index
        from stages.dedup.urls import url_scheme

        urls = "" if self.parameters.url_field is None else url_scheme()
        return build_index(corpus, run, self.scheme(), urls, through)

    @classmethod
    def erase(cls, folder: Path, run: str, keys: Sequence[bytes], target: Path) -> Erased:
        """Take documents out of an index."""
        from stages.dedup.erase import erase

        return erase(folder, run, keys, target)

    @classmethod
    def holds(cls, folder: Path, keys: Sequence[bytes], ids: Sequence[str]) -> list[str]:
        """Where an index holds anything of these documents."""
        from stages.dedup.erase import holds

        return holds(folder, keys, ids)

    def score(self, batch: Batch, columns: Columns, state: State) -> Columns:
        """For how many documents each one stays, and its weight."""
        members = pc.fill_null(columns[MEMBERS_COLUMN], 1)
        cluster = pc.if_else(pc.is_null(columns["dedup.kind"]), members, None)
        if self.parameters.weight == "none":
            return {"dedup.cluster": cluster}
        count = members.to_numpy(zero_copy_only=False).astype(np.float64)
        weights = {"log": 1 + np.log(count), "sqrt": np.sqrt(count), "members": count}[self.parameters.weight]
        return {
            "dedup.cluster": cluster,
            WEIGHT: pa.array(round_score(np.minimum(weights, self.parameters.max_weight))),
        }

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Drop what has a keeper."""
        verdicts = VerdictBuilder(len(batch))
        kinds, similarity = columns["dedup.kind"], columns["dedup.similarity"]
        score = pc.fill_null(similarity, 0.0).to_numpy(zero_copy_only=False)
        earlier = np.zeros(len(batch), dtype=np.bool_)
        if RUN_COLUMN in columns:
            earlier = columns[RUN_COLUMN].is_valid().to_numpy(zero_copy_only=False)
        kept_out = pc.fill_null(pc.equal(kinds, HOLDOUT), False).to_numpy(zero_copy_only=False)
        same_url = similarity.is_null().to_numpy(zero_copy_only=False)
        for rows, measured in ((kept_out & ~same_url, score), (kept_out & same_url, None)):
            keepers = columns["dedup.keeper"].take(pa.array(np.flatnonzero(rows))).to_pylist()
            verdicts.drop(rows, HOLDOUT, measured, None, keepers)
        for kind in (URL, EXACT, NEAR):
            found = pc.fill_null(pc.equal(kinds, kind), False).to_numpy(zero_copy_only=False)
            threshold = self.parameters.threshold if kind == NEAR else None
            here, there = np.flatnonzero(found & ~earlier), np.flatnonzero(found & earlier)
            keepers = columns["dedup.keeper"].take(pa.array(here)).to_pylist()
            verdicts.drop(here, f"dedup.{kind}", None if kind == URL else score, threshold, keepers)
            if len(there):
                keepers, runs = (columns[n].take(pa.array(there)).to_pylist() for n in ("dedup.keeper", RUN_COLUMN))
                measured = None if kind == URL else score
                verdicts.drop(there, f"dedup.{kind}_earlier", measured, threshold, keepers, run=runs)
        return verdicts.build()
