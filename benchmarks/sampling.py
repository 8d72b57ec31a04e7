"""The stage `sampling`: the time of a plan, the cost of applying it, and how near a draw comes to its target.

    python benchmarks/sampling.py

A plan for 1,000 languages in 6 sources from counts; observing and deciding batches of documents, per document; and the
relative error of the tokens of a language of so many documents with very different lengths (lognormal, sigma 1.2),
against that of a draw with the probability alone.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import file_keys, random_fractions
from stages.sampling.draw import BINS, bins_of, cuts, number_of_copies
from stages.sampling.stage import SUMMARY_SCHEMA, TOKENS, Sampling, SamplingParameters

LANGUAGES, SOURCES = 1000, {"web": 0.45, "books": 0.22, "papers": 0.15, "dialogue": 0.10, "code": 0.08}
DOCUMENTS = 10**9
BATCH = 20_000
SIGMA = 1.2


def counts(sources: tuple[str, ...]) -> pa.Table:
    """A thousand languages by Zipf's law, each with some of every source."""
    chosen = np.random.default_rng(0)
    rows = []
    for place in range(LANGUAGES):
        documents = int(DOCUMENTS / 7.5 / (place + 1)) + 1
        for source, share in zip(sources, chosen.dirichlet(np.ones(len(sources))), strict=True):
            count = int(documents * share)
            rows.append(
                {
                    "language": f"l{place}",
                    "source": source,
                    "cluster": 0,
                    "bin": None,
                    "documents": count,
                    "tokens": 500 * count,
                }
            )
    return pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA)


def batch_of(count: int) -> Batch:
    """Documents of 40 languages in 5 sources."""
    chosen = np.random.default_rng(1)
    columns: dict[str, pa.Array] = {
        "key": pa.array([row.tobytes() for row in file_keys("corpus", np.arange(count))], pa.binary(16)),
        "id": pa.array([str(row) for row in range(count)], pa.string()),
        "text": pa.array([""] * count, pa.string()),
        "source": pa.array(chosen.choice([*SOURCES], count).tolist(), pa.string()),
        "lang": pa.array([f"l{place}" for place in chosen.zipf(1.5, count) % 40], pa.string()),
        "file": pa.array(["corpus"] * count, pa.string()),
        "position": pa.array(np.arange(count)),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA))


def seconds_of_a_plan(parameters: dict[str, object]) -> float:
    """CPU seconds of a plan from counts; the median of five."""
    stage = Sampling(SamplingParameters.model_validate(parameters))
    table = counts(stage.parameters.sources)
    found = []
    for _ in range(5):
        began = time.process_time()
        stage.fit(table)
        found.append(time.process_time() - began)
    return statistics.median(found)


def microseconds_a_document() -> tuple[float, float]:
    """CPU of `observe` and of `decide` for one document; medians of five batches."""
    stage = Sampling(SamplingParameters(alpha=0.5, source_shares=SOURCES))
    tokens = {TOKENS: pa.array(np.random.default_rng(2).integers(1, 1000, BATCH))}
    state = stage.fit(stage.observe(batch_of(BATCH), tokens))
    observing, deciding = [], []
    for _ in range(5):
        batch = batch_of(BATCH)
        began = time.process_time()
        stage.observe(batch, tokens)
        between = time.process_time()
        stage.decide(batch, {}, state)
        observing.append(between - began)
        deciding.append(time.process_time() - between)
    return statistics.median(observing) / BATCH * 1e6, statistics.median(deciding) / BATCH * 1e6


def errors_of_a_draw(documents: int) -> tuple[float, float]:
    """Largest relative error in 200 languages of so many documents: by the cut, and by the probability alone."""
    by_cut, by_chance = 0.0, 0.0
    for seed in range(200):
        chosen = np.random.default_rng(seed)
        lengths = chosen.lognormal(6, SIGMA, documents).astype(np.int64) + 1
        fractions = random_fractions(seed, "sampling", file_keys("corpus", np.arange(documents)))
        repeats = chosen.uniform(0.3, 3)
        target = int(repeats * lengths.sum())
        tokens = np.zeros((1, BINS), dtype=np.int64)
        np.add.at(tokens[0], bins_of(fractions), lengths)
        drawn = cuts(tokens, np.array([target]))[2][0]
        whole = np.full(documents, np.floor(repeats))
        alone = (number_of_copies(whole, np.full(documents, repeats % 1), fractions) * lengths).sum()
        by_cut = max(by_cut, abs(drawn / target - 1))
        by_chance = max(by_chance, abs(alone / target - 1))
    return by_cut, by_chance


def main() -> None:
    """Print it all."""
    for title, parameters in (
        ("languages", {}),
        ("languages and sources", {"source_shares": SOURCES, "alpha": 0.3, "max_repeats": 8}),
    ):
        print(f"plan of {LANGUAGES:,} {title}: {seconds_of_a_plan(parameters):.3f} CPU s")
    observing, deciding = microseconds_a_document()
    print(f"a document: {observing:.2f} microseconds to observe, {deciding:.2f} to decide")
    for documents in (1000, 10_000):
        by_cut, by_chance = errors_of_a_draw(documents)
        print(f"{documents:,} documents: tokens off by {by_cut:.2%} at most, by chance alone {by_chance:.2%}")


if __name__ == "__main__":
    main()
