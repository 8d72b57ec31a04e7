"""What the entropy stage drops by default, by language, and what it costs.

    python benchmarks/entropy.py CORPUS.jsonl.zst... [--json] [--cache FOLDER] [--units 100]

Counts texts of at least `--units` units in each language of the corpus (records with `text` and `lang`), and in the
declarations of human rights (benchmarks/language.py), whole and in pieces of about 800 characters. Of clean text one in
fifty may fall at most, in any language with 50 texts. Time is that of `annotate` without segmentation, which stages
share.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
from corpora import read_records
from language_texts import declarations

from curator.document import Batch
from curator.language.tags import list_language
from stages.entropy.parameters import EntropyParameters
from stages.entropy.stage import Entropy

BATCH_TEXTS = 2000
PIECE_CHARACTERS = 800
FEW_TEXTS = 50

Text = tuple[str, str, str]
"""Group (a language, or what kind of declaration), list language, text."""


@dataclass
class Removal:
    """How many texts were judged and dropped, by which rules."""

    judged: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    cpu_s: float = 0.0


def records(path: Path) -> Iterator[Text]:
    """Language and text of each record of a corpus."""
    for record in read_records(path):
        language = list_language(record.get("lang"))
        yield language, language, record["text"]


def pieces(folder: Path) -> Iterator[Text]:
    """Declarations, whole and in pieces of some articles."""
    for language, articles in declarations(folder):
        yield "declaration", language, "\n".join(articles)
        piece = ""
        for article in articles:
            piece += article + "\n"
            if len(piece) > PIECE_CHARACTERS:
                yield "piece of one", language, piece
                piece = ""


def judge(texts: list[Text], least_units: int, removal: Removal) -> None:
    """Add what the stage decides about some texts."""
    stage = Entropy(EntropyParameters())
    batch = Batch(
        pa.RecordBatch.from_pydict(
            {
                "text": pa.array([text for _, _, text in texts]),
                "source": pa.array(["web"] * len(texts)),
                "lang": pa.array([language for _, language, _ in texts]),
            }
        )
    )
    counts = batch.units.counts
    begin = time.process_time()
    columns = stage.annotate(batch)
    removal.cpu_s += time.process_time() - begin
    removal.bytes += len(batch.text_buffer[0])
    table = stage.decide(batch, {**columns, "units": pa.array(counts)}, {}).table
    removal.judged.update(group for (group, _, _), count in zip(texts, counts, strict=True) if count >= least_units)
    for row, rule in zip(table["row"].to_pylist(), table["rule"].to_pylist(), strict=True):
        if counts[row] >= least_units:
            removal.dropped[texts[row][0]] += 1
            removal.rules[rule] += 1


def measure(corpora: list[Path], folder: Path, least_units: int) -> Removal:
    """The counts over all texts."""
    removal = Removal()
    judge([("und", "und", "warm up")], least_units, Removal())
    batch: list[Text] = []
    for source in (*(records(path) for path in corpora), pieces(folder)):
        for text in source:
            batch.append(text)
            if len(batch) == BATCH_TEXTS:
                judge(batch, least_units, removal)
                batch = []
    if batch:
        judge(batch, least_units, removal)
    return removal


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpora", nargs="*", type=Path, help="JSONL files, plain or .zst")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "curator-udhr", help="where texts are kept")
    parser.add_argument("--units", type=int, default=100, help="shorter texts are not counted")
    arguments = parser.parse_args()
    removal = measure(arguments.corpora, arguments.cache, arguments.units)
    if arguments.json:
        json.dump(vars(removal), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    print(f"{'language':16} {'texts':>7} {'dropped':>8} {'share':>7}")
    for group in sorted(removal.judged, key=lambda group: -removal.dropped[group] / removal.judged[group]):
        texts, dropped = removal.judged[group], removal.dropped[group]
        if texts >= FEW_TEXTS:
            print(f"{group:16} {texts:7} {dropped:8} {dropped / texts:7.2%}")
    total, dropped = sum(removal.judged.values()), sum(removal.dropped.values())
    print(f"{'all':16} {total:7} {dropped:8} {dropped / total:7.2%}")
    print("by rule: " + ", ".join(f"{rule} {count}" for rule, count in removal.rules.most_common()))
    megabytes = removal.bytes / 1e6
    print(f"annotate: {1e3 * removal.cpu_s / megabytes:.1f} ms of CPU per MB over {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
