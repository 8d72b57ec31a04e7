"""Decontamination: planted text of an evaluation set found, and CPU milliseconds per MB of corpus.

    python benchmarks/decontamination.py CORPUS.jsonl.zst [--examples 20000] [--repeat 3]

The corpus has `text` and `lang` (`benchmarks/build_corpus.py` makes one of Debian packages). Evaluation examples are
units of the corpus's own documents in random order, 20 to 60 words or 50 to 150 characters, so that nothing but what is
planted has their n-grams. In each language a part of some examples is put into documents: of whole examples, of exactly
one n-gram, and of one unit less, which is no overlap. Then a run with the stage alone (`language: off`) says what it
found. Times are those of the stage's methods on batches whose units are there already, as in a run.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pipeline import lines

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import file_keys
from curator.recipe import load_recipe_text
from curator.run.driver import Request, run
from curator.stage import Columns, State
from curator.text.segment import UNSPACED, segment
from stages.decontamination.index import load_index
from stages.decontamination.ngrams import find_ngrams
from stages.decontamination.parameters import DecontaminationParameters
from stages.decontamination.stage import Decontamination

LANGUAGES = ("en", "de", "fr", "es", "ru", "ko", "ar", "hi", "zh", "ja", "th")
PLANTED_PER_LANGUAGE = 60
BATCH_BYTES = 4 << 20
KINDS = ("whole", "one n-gram", "one unit less")


@dataclass(frozen=True)
class Example:
    """An example in its language: its units, and what stands between them."""

    lang: str
    units: tuple[str, ...]
    separator: str
    ngram: int

    @property
    def text(self) -> str:
        """The units as a text."""
        return self.separator.join(self.units)

    def part(self, kind: str, chosen: random.Random) -> str:
        """What is planted of it."""
        if kind == "whole":
            return self.text
        length = self.ngram - (kind == "one unit less")
        begin = chosen.randint(0, len(self.units) - length)
        return self.separator.join(self.units[begin : begin + length])


def read(path: Path) -> list[dict[str, str]]:
    """The documents of the corpus: id, text, lang (its primary subtag; Thai declarations count as Thai)."""
    documents = []
    for line in lines(path):
        document = json.loads(line)
        tag = document.get("lang", "und")
        lang = "th" if tag.startswith("udhr-tha") else tag.split("-")[0]
        documents.append({"id": document["id"], "text": document["text"], "lang": lang})
    return documents


def units_of(texts: Sequence[str]) -> tuple[list[str], bool]:
    """The units of texts, and whether most are characters of a script without spaces."""
    data = "\n".join(texts).encode()
    units = segment(np.frombuffer(data, dtype=np.uint8), np.array([0, len(data)], dtype=np.int64))
    found = [data[begin:end].decode() for begin, end in zip(units.starts.tolist(), units.ends.tolist(), strict=True)]
    unspaced = (units.kinds & UNSPACED) != 0
    if 2 * int(unspaced.sum()) > len(found):
        return [unit for unit, single in zip(found, unspaced.tolist(), strict=True) if single], True
    return [unit for unit, single in zip(found, unspaced.tolist(), strict=True) if not single], False


def make_examples(documents: Sequence[dict[str, str]], count: int, chosen: random.Random) -> dict[str, list[Example]]:
    """Examples of each language that has documents."""
    examples: dict[str, list[Example]] = {}
    for lang in LANGUAGES:
        texts = [document["text"] for document in documents if document["lang"] == lang][:400]
        if not texts:
            continue
        units, unspaced = units_of(texts)
        low, high, ngram = (50, 150, 32) if unspaced else (20, 60, 13)
        examples[lang] = [
            Example(lang, tuple(chosen.choices(units, k=chosen.randint(low, high))), "" if unspaced else " ", ngram)
            for _ in range(count // len(LANGUAGES) + 1)
        ]
    return examples


def plant(
    documents: list[dict[str, str]], examples: dict[str, list[Example]], chosen: random.Random
) -> dict[str, tuple[str, str]]:
    """Put parts of examples into documents of their language, each into one. Returns the kind and language by id."""
    planted: dict[str, tuple[str, str]] = {}
    for lang, of_lang in examples.items():
        hosts = [place for place, document in enumerate(documents) if document["lang"] == lang]
        hosts = chosen.sample(hosts, min(len(hosts), PLANTED_PER_LANGUAGE))
        for number, place in enumerate(hosts):
            example, kind = of_lang[number], KINDS[number % len(KINDS)]
            text = documents[place]["text"]
            begin = text.find(" ", chosen.randrange(len(text))) + 1
            # A word of its own on both sides, so that no neighbour can make an n-gram whole by chance.
            pieces = (text[:begin], f"begin{number}", example.part(kind, chosen), f"end{number}", text[begin:])
            host = {"id": f"planted-{lang}-{number}", "text": "\n".join(pieces), "lang": lang}
            planted[host["id"]] = (kind, lang)
            documents[place] = host
    return planted


def batches(documents: Sequence[dict[str, str]]) -> Iterator[Batch]:
    """The documents as stages see them, their units segmented."""
    pending: list[str] = []
    size = 0
    for number, document in enumerate(documents, 1):
        pending.append(document["text"])
        size += len(document["text"].encode())
        if size >= BATCH_BYTES or number == len(documents):
            keys = file_keys("corpus", np.arange(number - len(pending), number))
            columns = {field.name: pa.nulls(len(pending), field.type) for field in DOCUMENT_SCHEMA}
            columns["key"] = pa.array([key.tobytes() for key in keys], pa.binary(16))
            columns["text"] = pa.array(pending, pa.string())
            batch = Batch(pa.RecordBatch.from_pydict(columns))
            assert len(batch.units.offsets)  # noqa: S101 (segments now, outside of what is timed)
            yield batch
            pending, size = [], 0


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of this process for one call."""
    begin = time.process_time()
    work()
    return 1000 * (time.process_time() - begin)


@dataclass(frozen=True)
class Work:
    """Batches with all that `decide` needs."""

    stage: Decontamination
    batches: list[Batch]
    columns: list[Columns]
    state: State

    @staticmethod
    def on(documents: Sequence[dict[str, str]], stage: Decontamination) -> Work:
        """The stage on documents, up to `fit`."""
        made = list(batches(documents))
        columns: list[Columns] = [{**stage.annotate(batch), "units": pa.array(batch.units.counts)} for batch in made]
        pairs = zip(made, columns, strict=True)
        return Work(stage, made, columns, stage.fit(stage.merge([stage.observe(*pair) for pair in pairs])))

    def decide(self) -> int:
        """Scores and verdicts; how many verdicts."""
        count = 0
        for batch, columns in zip(self.batches, self.columns, strict=True):
            scored = self.stage.score(batch, columns, self.state)
            count += len(self.stage.decide(batch, {**columns, **scored}, self.state).table)
        return count


def measure(documents: Sequence[dict[str, str]], stage: Decontamination, repeat: int) -> float:
    """Print what the methods of the stage take on documents of which none is contaminated; CPU ms of `decide`."""
    work = Work.on(documents, stage)
    work.decide()
    megabytes = sum(len(batch.text_buffer[0]) for batch in work.batches) / 1e6
    table = load_index(stage.parameters).table
    pairs = list(zip(work.batches, work.columns, strict=True))
    parts: dict[str, Callable[[], object]] = {
        "search (kernel)": lambda: [find_ngrams(batch.units, table) for batch in work.batches],
        "annotate": lambda: [stage.annotate(batch) for batch in work.batches],
        "observe, merge": lambda: stage.merge([stage.observe(*pair) for pair in pairs]),
        "score, decide": work.decide,
    }
    taken = {name: statistics.median(cpu_ms(part) for _ in range(repeat)) for name, part in parts.items()}
    for name, milliseconds in taken.items():
        print(f"    {name:18}{milliseconds / megabytes:8.2f} CPU ms per MB")
    return taken["score, decide"]


def measure_index(parameters: DecontaminationParameters) -> None:
    """Print what making the index takes, and holding it."""
    tracemalloc.start()
    begin = time.process_time()
    index = load_index(parameters)
    seconds = time.process_time() - begin
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    count = len(index.lengths)
    size = index.table.pairs.nbytes
    print(
        f"    {count:,} distinct n-grams: index {held / count:.0f} bytes each (pairs {size / 1e6:.1f} MB), "
        f"{peak / count:.0f} at its making, {1e6 * seconds / count:.1f} CPU seconds per million"
    )


def parameters_of(path: Path, **further: object) -> DecontaminationParameters:
    """The parameters of the stage for one set."""
    return DecontaminationParameters.model_validate({"sets": [{"name": "planted", "path": str(path)}], **further})


def main() -> None:
    """Plant, run, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    chosen = random.Random(0)
    documents = read(arguments.corpus)
    clean = list(documents)
    examples = make_examples(documents, arguments.examples, chosen)
    planted = plant(documents, examples, chosen)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = folder / "examples.jsonl"
        texts = [example.text for of_lang in examples.values() for example in of_lang]
        every.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))
        size = sum(len(document["text"].encode()) for document in documents) / 1e6
        print(f"{size:.0f} MB of text, {len(texts):,} examples")
        parameters = parameters_of(every)
        measure_index(parameters)
        stage = Decontamination(parameters)
        without = measure(clean, stage, arguments.repeat)
        work = Work.on(documents, stage)
        verdicts = work.decide()
        taken = statistics.median(cpu_ms(work.decide) for _ in range(arguments.repeat)) - without
        print(f"    and for each of {verdicts} contaminated documents {taken / verdicts:.2f} CPU ms")
        corpus = folder / "in" / "corpus.jsonl"
        corpus.parent.mkdir()
        with corpus.open("w") as file:
            file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
        entry = {"decontamination": parameters.model_dump(mode="json")}
        recipe = load_recipe_text(json.dumps({"name": "planted", "language": "off", "stages": [entry]}), "planted")
        run(Request((str(corpus.parent),), folder / "run", recipe, workers=2))
        decisions = pq.read_table(folder / "run" / "decisions", columns=["id"]).column("id").to_pylist()
    report(planted, set(decisions))


def report(planted: dict[str, tuple[str, str]], found: set[str]) -> None:
    """Print how many of what was planted were found, by kind and language, and what else was."""
    counts: collections.Counter[tuple[str, str, bool]] = collections.Counter()
    for document, (kind, lang) in planted.items():
        counts[kind, lang, document in found] += 1
    for kind in KINDS:
        line = [
            f"{lang} {counts[kind, lang, True]}/{counts[kind, lang, True] + counts[kind, lang, False]}"
            for lang in LANGUAGES
            if counts[kind, lang, True] + counts[kind, lang, False]
        ]
        print(f"{kind:16}found: {', '.join(line)}")
    print(f"other documents found: {len(found - planted.keys())}")


if __name__ == "__main__":
    main()
