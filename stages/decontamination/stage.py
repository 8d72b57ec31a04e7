"""Stage `decontamination`: text of evaluation sets has no place in training data.

After Brown et al. 2020 (GPT-3), appendix C. A document is contaminated if it shares an n-gram with an example of a set:
13 units by default, fewer in a set of short examples, more in scripts without spaces (see the module `index`). N-grams
that more than `max_documents` documents have are common phrases, such as licences and proverbs, and are ignored.
Documents that earlier stages dropped do not count, so that the place of this stage is behind `dedup`: many mirrors of a
test set do not make it a common phrase then. A contaminated document is dropped or flagged, or the shared text is cut
out of it.

What it does not find: text that was paraphrased or translated, and examples that are shorter than `min_units`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import ClassVar, cast

import numpy as np
import pyarrow as pa

from curator.document import Batch
from curator.errors import CuratorError, DataError
from curator.stage import Column, Columns, Requirement, Stage, State
from curator.text.points import code_points
from curator.verdict import Redaction, VerdictBuilder, Verdicts, round_score
from stages.decontamination.cut import cut_passages
from stages.decontamination.findings import MATCH, MATCHES, Finding, Found, find_sets, passages, read_matches
from stages.decontamination.index import Index, load_index
from stages.decontamination.ngrams import covered_units, find_ngrams
from stages.decontamination.parameters import DecontaminationParameters, EvaluationSet
from stages.decontamination.summary import describe_sets, fit_summary, merge_summaries, summarise

OVERLAP = "decontamination.overlap"
BY_OVERLAP = "decontamination.overlap"
BY_PIECES = "decontamination.pieces"
BY_NOTHING_LEFT = "decontamination.nothing_left"
REMOVED = "decontamination.removed"
IDENTITY = "identity"


class Decontamination(Stage[DecontaminationParameters]):
    """Drops, cuts or flags text of evaluation sets."""

    name = "decontamination"
    about = "text of evaluation sets, by n-gram overlap: drop the document, cut the text out, or flag it"
    parameters_type = DecontaminationParameters
    columns = (Column(MATCHES, pa.list_(MATCH), "n-grams of evaluation sets in the text", internal=True),)
    scored: tuple[Column, ...] = (
        Column(
            OVERLAP,
            pa.float64(),
            "share of units in n-grams of evaluation sets, common phrases left out",
            threshold="threshold",
            drops="above",
        ),
    )
    rules: ClassVar[Mapping[str, str]] = {
        BY_OVERLAP: "a share of {score} of its units stands in n-grams of the evaluation set {kind}; the limit, for "
        "all sets together, is {threshold}",
        BY_PIECES: "without its text of the evaluation set {kind} it would fall into {score} pieces; the limit is "
        "{threshold}",
        BY_NOTHING_LEFT: "without its text of the evaluation set {kind} the longest piece has {score} letters, "
        "fewer than {threshold}",
        REMOVED: "text of the evaluation set {kind} was cut out, and what stands beside it",
    }
    observes = True

    def __init__(self, parameters: DecontaminationParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        self.edits_text = parameters.action == "remove"

    def requirements(self) -> Sequence[Requirement]:
        """Each set, by the BLAKE3 of its file. One that cannot be read as a whole is a problem."""
        try:
            identities = load_index(self.parameters).identities
        except CuratorError:
            return [self._requirement(given) for given in self.parameters.sets]
        return [
            Requirement("evaluation set", given.name, identity)
            for given, identity in zip(self.parameters.sets, identities, strict=True)
        ]

    def _requirement(self, given: EvaluationSet) -> Requirement:
        """One set by itself, so that each problem is named."""
        try:
            alone = load_index(self.parameters.model_copy(update={"sets": (given,)}))
        except CuratorError as error:
            return Requirement("evaluation set", given.name, "", str(error))
        return Requirement("evaluation set", given.name, alone.identities[0])

    def recorded(self) -> Mapping[str, object]:
        """The parameters, with the names of the sets' files in the place of their paths."""
        values = super().recorded()
        sets = cast("list[dict[str, str]]", values["sets"])
        return {**values, "sets": [{**given, "path": PurePath(given["path"]).name} for given in sets]}

    def annotate(self, batch: Batch) -> Columns:
        """The n-grams of the sets that stand in each document."""
        units = batch.units
        data, offsets = batch.text_buffer
        index = load_index(self.parameters)
        matches = find_ngrams(units, index.table)
        first = units.offsets[matches.documents] + matches.units
        places = np.concatenate([units.starts[first], units.ends[first + index.lengths[matches.ngrams] - 1]])
        order = np.argsort(places, kind="stable")
        points = np.empty(len(places), dtype=np.int32)
        points[order] = code_points(data, offsets, np.tile(matches.documents, 2)[order], places[order])
        begins, ends = np.split(points, 2)
        values = pa.StructArray.from_arrays(
            [pa.array(matches.ngrams), pa.array(matches.units), pa.array(begins), pa.array(ends)], fields=list(MATCH)
        )
        counts = np.bincount(matches.documents, minlength=len(batch))
        starts = np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(counts, dtype=np.int32)])
        return {MATCHES: pa.ListArray.from_arrays(pa.array(starts), values)}

    def observe(self, batch: Batch, columns: Columns) -> pa.Table:
        """The documents that have each n-gram."""
        column = columns[MATCHES]
        rows = np.repeat(np.arange(len(batch)), column.value_lengths().to_numpy(zero_copy_only=False))
        ngrams = column.flatten().field("ngram").to_numpy(zero_copy_only=False)
        return self.merge([summarise(ngrams, rows, batch.keys)])

    def merge(self, summaries: Sequence[pa.Table]) -> pa.Table:
        """Of each n-gram the documents with the least keys, one more than `max_documents` at most."""
        return merge_summaries(summaries, self.parameters.max_documents)

    def fit(self, summary: pa.Table) -> State:
        """The common phrases, the counts of each set, and `identity` U[sets], which tells the files."""
        index = load_index(self.parameters)
        fitted = fit_summary(summary, index, self.parameters.max_documents)
        return {**fitted, IDENTITY: np.array(index.identities, dtype=np.str_)}

    def score(self, batch: Batch, columns: Columns, state: State) -> Columns:
        """`decontamination.overlap` of each document."""
        found = read_matches(columns[MATCHES], self._index(state), state)
        covered = covered_units(found.offsets, found.units, found.lengths, found.kept)
        return {OVERLAP: pa.array(round_score(covered / np.maximum(columns["units"].to_numpy(), 1)))}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Drops, flags or edits, as `action` says."""
        index = self._index(state)
        found = read_matches(columns[MATCHES], index, state)
        rows = np.flatnonzero(columns[OVERLAP].to_numpy() > self.parameters.threshold)
        of_rows = {row: found.of(row) for row in rows.tolist()}
        findings = {row: find_sets(of_row, index) for row, of_row in of_rows.items()}
        verdicts = VerdictBuilder(len(batch))
        if self.parameters.action == "remove":
            for row, of_row in of_rows.items():
                self._remove(verdicts, batch, row, of_row, findings[row][0], index)
            return verdicts.build()
        units = columns["units"].to_numpy().astype(np.float64)
        flags = self.parameters.action == "flag"
        told = verdicts.flag if flags else verdicts.drop
        for rank in range(max(map(len, findings.values()), default=0) if flags else 1):
            ranked = {row: found[rank] for row, found in findings.items() if len(found) > rank}
            share = np.zeros(len(batch))
            share[list(ranked)] = [finding.units for finding in ranked.values()]
            told(
                np.array(list(ranked), dtype=np.int64),
                BY_OVERLAP,
                share / np.maximum(units, 1),
                self.parameters.threshold,
                [self._example(finding, index) for finding in ranked.values()],
                [self._span(finding) for finding in ranked.values()],
            )
        return verdicts.build()

    def _remove(
        self, verdicts: VerdictBuilder, batch: Batch, row: int, found: Found, finding: Finding, index: Index
    ) -> None:
        """Cut the text of all sets out of a document, or drop it where too little is left."""
        limits = self.parameters
        text = batch.text[row].as_py()
        cut = cut_passages(text, passages(found), limits.window_characters, limits.min_piece_characters)
        if cut.pieces > limits.max_pieces:
            rule, score, threshold = BY_PIECES, cut.pieces, limits.max_pieces
        elif not cut.text:
            rule, score, threshold = BY_NOTHING_LEFT, cut.longest, limits.min_piece_characters
        else:
            spans = []
            for begin, end in cut.removed:
                inside = find_sets(found.within(begin, end), index)[0]
                spans.append(Redaction(kind=limits.sets[inside.set].name, begin=begin, end=end))
            verdicts.edit(row, cut.text, spans, dict.fromkeys((given.name for given in limits.sets), REMOVED))
            return
        keeper, span = [self._example(finding, index)], [self._span(finding)]
        verdicts.drop(np.array([row]), rule, float(score), float(threshold), keeper, span)

    def facts(self, state: State) -> Mapping[str, object]:
        """For each set how much of it was found, by how many documents; see `stages.decontamination.summary`."""
        names = [given.name for given in self.parameters.sets]
        return {
            "max_documents": self.parameters.max_documents,
            "documents": int(state["documents"][0]),
            "common": len(state["common"]),
            "sets": describe_sets(state, names, self._index(state)),
        }

    def _index(self, state: State) -> Index:
        """The index, if it is that of the state: its files are read by every worker."""
        index = load_index(self.parameters)
        for given, now, then in zip(self.parameters.sets, index.identities, state[IDENTITY].tolist(), strict=True):
            if now != then:
                raise DataError("is not what it was when the run began", stage=self.name, file=given.path)
        return index

    def _example(self, finding: Finding, index: Index) -> str:
        """The example that a document has most of, as `SET:NUMBER`."""
        return f"{self.parameters.sets[finding.set].name}:{int(index.numbers[finding.example])}"

    def _span(self, finding: Finding) -> Redaction:
        return Redaction(kind=self.parameters.sets[finding.set].name, begin=finding.begin, end=finding.end)
