"""What each piece of the reading pass costs: CPU milliseconds per MB of text, in one process, after warm-up.

python benchmarks/budget.py CORPUS.jsonl[.zst] [--recipe web] [--megabytes 20] [--repeat 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from curator.document import Batch
from curator.readers.base import ReadOptions, Records, Split
from curator.readers.detect import discover
from curator.readers.registry import load_reader
from curator.recipe import Recipe, load_recipe
from curator.run.phases.languages import identify_languages
from curator.run.phases.read import PartWriter, ingest
from curator.run.pipeline import make_pipeline
from curator.run.store import Outputs
from curator.text.normalise import normalise


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--recipe", default="web")
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    pipeline = make_pipeline(recipe)
    split = first_split(arguments.corpus, int(arguments.megabytes * 1e6))
    reader = load_reader(split.file.format)
    options = ReadOptions()
    records = list(reader.read(split, options))
    texts = [piece.records.column("text") for piece in records]
    megabytes = sum(text.nbytes for text in texts) / 1e6
    documents = [ingest(piece, split, pipeline)[0] for piece in records]
    costs: dict[str, float] = {}

    def measure(name: str, function: Callable[[], object]) -> None:
        function()
        taken = []
        for _ in range(arguments.repeat):
            started = time.process_time()
            function()
            taken.append(time.process_time() - started)
        costs[name] = 1000 * statistics.median(taken) / megabytes
        print(f"{name:24}{costs[name]:8.2f} ms per MB")

    print(f"{megabytes:.1f} MB of text, {sum(len(text) for text in texts)} documents")
    measure("parse", lambda: list(reader.read(split, options)))
    measure("normalise", lambda: [normalise(text, repair=True) for text in texts])
    measure("identify language", lambda: [identify_languages(d.column("text"), recipe.language) for d in documents])
    measure("units", lambda: [Batch(d).units for d in documents])
    batches = [Batch(d) for d in documents]
    for batch in batches:
        _ = batch.units, batch.languages
    for stage in pipeline.early():
        measure(stage.name, lambda stage=stage: [stage.annotate(batch) for batch in batches])  # type: ignore[misc]
    measure("the whole task", lambda: whole(records, split, recipe))
    print(f"{'sum of pieces':24}{sum(list(costs.values())[:-1]):8.2f} ms per MB")


def first_split(corpus: str, size: int) -> Split:
    """The first split of a corpus, of about `size` bytes."""
    (file,) = discover([corpus], "auto")
    return next(iter(load_reader(file.format).splits(file, ReadOptions(), size)))


def whole(records: list[Records], split: Split, recipe: Recipe) -> None:
    """Everything that the reading task does after parsing, files written."""
    pipeline = make_pipeline(recipe)
    with tempfile.TemporaryDirectory() as folder:
        writer = PartWriter(pipeline, Outputs(Path(folder), "part"))
        for piece in records:
            documents, _, languages = ingest(piece, split, pipeline)
            writer.write(documents, languages, "in")
        writer.close()


if __name__ == "__main__":
    main()
