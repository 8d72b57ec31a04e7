"""Planted boilerplate and planted repeats in ten languages; what both stages cost, exchange and hold.

    python benchmarks/spans.py CORPUS.jsonl.zst [--cost OTHER.jsonl.zst] [--grow 40]

1. How many units the declarations have in scripts without spaces, where the English one has one: what `min_characters`
   goes by.
2. Repeats. Texts are units of a language in random order, so that they share nothing long of themselves; passages of
   0.6 to 4 times the length of a repeat are put into three of them each. Recall: planted passages of at least that
   length whose later places are found, to the last unit. Precision: units found that are planted, with up to three more
   on either side that happen to be the same.
3. Boilerplate. Each language is a source of its own, whose pages have a line of twenty units and a menu; every page
   also has short lines that are frequent in an order of its own, and a line that too few have. Recall and precision by
   line.
4. Cost on the corpus (or on `--cost`): CPU ms per MB over `dedup` alone, bytes of the exchange for each document, peak
   memory; with `--grow` also on so many MB grown from it (`grow_corpus.py`).
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from measure import Measured, measure
from pipeline import lines, text_bytes

from curator.document import string_buffer
from curator.recipe import load_recipe
from curator.run.driver import Request, run
from curator.text.segment import UNSPACED as CHARACTER
from curator.text.segment import segment

LANGUAGES = {lang: lang for lang in ["en", "de", "fr", "ru", "el", "hi", "ko", "zh", "ja"]} | {"udhr-tha2": "th"}
"""Tags of the corpus with the language that is shown: Thai has its declaration alone."""
DECLARATIONS = {
    "udhr-eng": "en",
    "udhr-cmn_hant": "zh",
    "udhr-jpn": "ja",
    "udhr-mya": "my",
    "udhr-khm": "km",
    "udhr-tha2": "th",
    "udhr-lao": "lo",
}
UNSPACED = ("zh", "ja", "th")
LENGTHS = (0.6, 0.9, 1.0, 1.1, 1.5, 2.0, 4.0)
PAGES, MIN_DOCUMENTS = 60, 20
Record = Mapping[str, str]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--cost", type=Path, help="measure the cost on this corpus")
    parser.add_argument("--grow", type=int, default=0, help="also measure on this many MB grown from the corpus")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    pools = by_language(arguments.corpus)
    print_ratios(arguments.corpus)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        repeats(pools, root, random.Random(0))
        boilerplate(pools, root, random.Random(1))
        corpus = arguments.cost or arguments.corpus
        cost(corpus, root / "cost", arguments.workers)
        if arguments.grow:
            grown = root / "grown.jsonl"
            script = str(Path(__file__).with_name("grow_corpus.py"))
            options = ["--megabytes", str(arguments.grow)]
            subprocess.run([sys.executable, script, str(corpus), str(grown), *options], check=True)
            cost(grown, root / "grown-cost", arguments.workers)


def by_language(corpus: Path) -> dict[str, list[str]]:
    """Units of each language, of its longest documents; of scripts without spaces characters
    alone."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for line in lines(corpus):
        record = json.loads(line)
        if record["lang"] in LANGUAGES:
            found[LANGUAGES[record["lang"]]].append(record["text"])
    pools = {}
    for lang in LANGUAGES.values():
        texts = sorted(found[lang], key=len, reverse=True)[:40]
        words = [word for text in texts for word in units(text, characters=lang in UNSPACED)]
        if len(set(words)) > 100:
            pools[lang] = words[:60_000]
    return pools


def units(text: str, *, characters: bool = False) -> list[str]:
    """The units of a text; with `characters` only those of scripts without spaces."""
    data, offsets = string_buffer(pa.array([text], pa.string()))
    found = segment(data, offsets)
    places = zip(found.starts.tolist(), found.ends.tolist(), found.kinds.tolist(), strict=True)
    return [data[a:b].tobytes().decode() for a, b, kind in places if kind & CHARACTER or not characters]


def print_ratios(corpus: Path) -> None:
    """Units of the declarations against the English one."""
    counts = collections.Counter[str]()
    for line in lines(corpus):
        record = json.loads(line)
        lang = DECLARATIONS.get(record["lang"])
        if lang:
            counts[lang] = max(counts[lang], len(units(record["text"])))
    told = [f"{lang} {counts[lang] / counts['en']:.2f}" for lang in DECLARATIONS.values() if counts["en"]]
    print("units of the declaration, English 1:", ", ".join(told) or "not in this corpus", flush=True)


def joined(words: Sequence[str], lang: str) -> str:
    """Units as text."""
    return ("" if lang in UNSPACED else " ").join(words)


def repeats(pools: Mapping[str, Sequence[str]], root: Path, rng: random.Random) -> None:
    """Table 2."""
    records: list[Record] = []
    truth: dict[str, list[tuple[int, int, bool]]] = {}
    for lang, pool in pools.items():
        least = 100 if lang in UNSPACED else 50
        for number, length in enumerate(LENGTHS * 3):
            words = rng.choices(pool, k=round(length * least))
            for place in range(3):
                name = f"{lang}-{number}-{place}"
                before, behind = (rng.choices(pool, k=rng.randint(100, 300)) for _ in range(2))
                records.append({"id": name, "lang": lang, "text": joined([*before, *words, *behind], lang)})
                expected = place > 0 and len(words) >= least
                truth[name] = [(len(before), len(before) + len(words), expected)]
    found = spans(execute(records, root / "repeats", "[substrings: {action: flag}]"))
    print("repeats    planted  recall  precision (units)")
    for lang in pools:
        names = [name for name in truth if name.startswith(f"{lang}-")]
        planted = hit = right = flagged = 0
        for name in names:
            text = next(record["text"] for record in records if record["id"] == name)
            ((begin, end, expected),) = truth[name]
            covered = {unit for a, b in found[name] for unit in unit_range(text, a, b)}
            flagged += len(covered)
            right += sum(begin - 3 <= unit < end + 3 for unit in covered) if expected else 0
            planted += expected
            hit += expected and set(range(begin, end)) <= covered
        print(f"{lang:10} {planted:7} {hit / planted:7.4f} {right / flagged if flagged else 1:10.4f}")


def unit_range(text: str, begin: int, end: int) -> range:
    """The units of a span of code points."""
    first = len(units(text[:begin]))
    return range(first, first + len(units(text[begin:end])))


def boilerplate(pools: Mapping[str, Sequence[str]], root: Path, rng: random.Random) -> None:
    """Table 3."""
    records: list[Record] = []
    wanted: dict[str, tuple[str, set[str], set[str]]] = {}
    for lang, pool in pools.items():
        header, rare = (joined(rng.choices(pool, k=20), lang) for _ in range(2))
        menu = [joined(rng.sample(pool, 2), lang) for _ in range(9)]
        items = [joined(rng.sample(pool, 2), lang) for _ in range(12)]
        for page in range(PAGES):
            body = [joined(rng.sample(pool, 40), lang) for _ in range(4)]
            rng.shuffle(items)
            few = [rare] if page < MIN_DOCUMENTS // 2 else []
            parts = [header, *menu, "", body[0], *items, *body[1:3], *few, body[3]]
            name = f"{lang}-{page}"
            records.append({"id": name, "lang": lang, "source": lang, "text": "\n".join(parts)})
            wanted[name] = ("\n".join(parts), {header, *menu}, {*body, *items, *few})
    stage = f"[boilerplate: {{min_documents: {MIN_DOCUMENTS}}}]"
    shards = rows(execute(records, root / "boilerplate", stage), "shards")
    kept = {row["id"]: row["text"].split("\n") for row in shards}
    print("boilerplate  lines  recall  precision")
    for lang in pools:
        gone = wrong = planted = 0
        for name in (name for name in wanted if name.startswith(f"{lang}-")):
            _, bad, good = wanted[name]
            left = set(kept[name])
            planted += len(bad)
            gone += len(bad - left)
            wrong += len(good - left)
        print(f"{lang:10} {planted:7} {gone / planted:7.4f} {gone / max(1, gone + wrong):10.4f}")


def execute(records: Sequence[Record], folder: Path, stages: str) -> Path:
    """The run of some stages on records."""
    folder.mkdir()
    file, recipe = folder / "in.jsonl", folder / "recipe.yaml"
    file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    recipe.write_text(f"name: spans\nlanguage: off\nstages: {stages}\n")
    run_command(file, recipe, folder / "run", 1)
    return folder / "run"


def run_command(file: Path, recipe: Path, output: Path, workers: int) -> Measured:
    """One `curator process`; ends the benchmark when it fails."""
    options = ["-o", str(output), "-r", str(recipe), "--workers", str(workers), "--json", "--keep-work"]
    done = measure([sys.executable, "-m", "curator", "process", str(file), *options])
    if done.returncode:
        sys.exit(done.stderr)
    return done


def rows(folder: Path, kind: str) -> list[dict[str, str]]:
    """All rows of one kind of file of a run."""
    return [row for path in sorted((folder / kind).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def spans(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """The places of decisions, by id."""
    found: dict[str, list[tuple[int, int]]] = collections.defaultdict(list)
    for path in sorted((folder / "decisions").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found[row["id"]].append((row["detail"]["begin"], row["detail"]["end"]))
    return found


def cost(corpus: Path, root: Path, workers: int) -> None:
    """Table 4. The phases are timed in this process, the second time that they run, so that no kernel is loaded."""
    root.mkdir()
    megabytes, documents = text_bytes(corpus) / 1e6, len(lines(corpus))
    print(f"{megabytes:.0f} MB: units alone {1000 * unit_seconds(corpus) / megabytes:.1f} CPU ms per MB")
    plain = 0.0
    for stages in ("dedup", "dedup, boilerplate", "dedup, substrings", "dedup, boilerplate, substrings"):
        recipe = root / "recipe.yaml"
        recipe.write_text(f"name: spans\nlanguage: off\nstages: [{stages}]\n")
        name = stages.replace(", ", "-")
        for attempt in ("first", "second"):
            taken = phase_seconds(corpus, recipe, root / f"{name}-{attempt}")
        plain = plain or sum(taken.values())
        told = ", ".join(
            f"{phase} {1000 * seconds / megabytes:.1f}" for phase, seconds in taken.items() if "dedup" not in phase
        )
        done = run_command(corpus, recipe, root / name, workers)
        emitted = sum(
            path.stat().st_size
            for stage in ("boilerplate", "substrings")
            for path in (root / name / "work").glob(f"relate-{stage}/*/emit/*.rows")
        )
        over = 1000 * (sum(taken.values()) - plain) / megabytes
        print(f"{stages}: {over:.1f} CPU ms per MB over dedup ({told or 'itself'}),", end=" ")
        memory = f"peak memory {done.peak_bytes / 1e6:.0f} MB"
        print(f"{emitted / documents:.0f} bytes exchanged a document, {memory}", flush=True)


def phase_seconds(corpus: Path, recipe: Path, output: Path) -> dict[str, float]:
    """CPU seconds of the phases that relate and judge, in this process."""
    taken: dict[str, float] = {}
    started = 0.0

    def listen(event: Mapping[str, object]) -> None:
        nonlocal started
        if event["kind"] == "phase.started":
            started = time.process_time()
        elif event["kind"] == "phase.ended" and str(event["phase"]).startswith(("relate", "judge")):
            taken[str(event["phase"])] = time.process_time() - started

    run(Request((str(corpus),), output, load_recipe(str(recipe))), [listen])
    return taken


def unit_seconds(corpus: Path) -> float:
    """CPU seconds of finding the units of all texts, for comparison with other machines and other load."""
    column = pa.array([json.loads(line)["text"] for line in lines(corpus)], pa.large_string())
    data, offsets = string_buffer(column)
    segment(data, offsets)
    started = time.process_time()
    segment(data, offsets)
    return time.process_time() - started


if __name__ == "__main__":
    main()
