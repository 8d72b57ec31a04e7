"""Large buckets of deduplication: what comparing with a few representatives costs in recall, and saves in time.

    python benchmarks/buckets.py [--families 40] [--members 400] [--rows 1000000] [--memory 1GB]

Recall: families of documents, each a page of made-up words in which one word in twenty to one in sixty was replaced.
Members of a family share their buckets. A pair of true 5-gram Jaccard similarity 0.85 and above (all pairs, exact) is
missed when both documents stay.

Rows: one boilerplate page of 60 words on which three words differ from document to document, so that nearly no two are
near duplicates and nearly all share buckets: everything is compared and nothing is dropped, the worst there is.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from all_pairs import similar_pairs
from dedup import RECIPE
from measure import Measured, measure

THRESHOLD = 0.85
REPRESENTATIVES = (1, 2, 4, 8, 16, 32, 64, 256, 1024)
PAGE_WORDS = 120
BOILERPLATE_WORDS, CHANGED_WORDS = 60, 3
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=int, default=40)
    parser.add_argument("--members", type=int, default=400)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory", default="1GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        recall(root, arguments.families, arguments.members)
        one_page(root, arguments.rows, arguments.memory)


def recall(root: Path, families: int, members: int) -> None:
    """Recall and what stays, by the number of representatives."""
    texts = [text for family in range(families) for text in family_texts(family, members)]
    random.Random(1).shuffle(texts)
    corpus = write(root / "families.jsonl", iter(texts))
    left, right, _ = similar_pairs(texts, THRESHOLD)
    print(f"{families} families of {members}: {len(left):,} pairs of J >= {THRESHOLD}")
    print(f"{'representatives':>16}{'recall':>9}{'kept':>8}{'pairs compared':>16}{'beyond':>10}{'CPU s':>8}")
    for number in REPRESENTATIVES:
        run = root / f"families-{number}"
        done = curate(corpus, run, number)
        facts = facts_of(run)
        kept = {
            int(name)
            for path in (run / "shards").glob("*.parquet")
            for name in pq.read_table(path, columns=["id"])["id"].to_pylist()
        }
        missed = sum(a in kept and b in kept for a, b in zip(left.tolist(), right.tolist(), strict=True))
        print(
            f"{number:16}{1 - missed / max(len(left), 1):9.4f}{len(kept):8,}{facts['candidate_pairs']:16,}"
            f"{facts['beyond_representatives']:10,}{done.cpu_s:8.1f}",
            flush=True,
        )


def one_page(root: Path, rows: int, memory: str) -> None:
    """Time and memory of one page on `rows` documents, beside a tenth of them."""
    print(f"\none page on so many documents, --memory {memory}")
    print(f"{'documents':>16}{'MB':>8}{'CPU s':>8}{'peak MB':>9}{'pairs compared':>16}{'buckets cut':>13}{'kept':>11}")
    for count in (rows // 10, rows):
        corpus = write(root / "page.jsonl", page_texts(count))
        run = root / f"page-{count}"
        done = curate(corpus, run, 64, "--memory", memory)
        facts = facts_of(run)
        kept = sum(pq.read_metadata(path).num_rows for path in (run / "shards").glob("*.parquet"))
        print(
            f"{count:16,}{corpus.stat().st_size / 1e6:8.0f}{done.cpu_s:8.1f}{done.peak_bytes / 1e6:9.0f}"
            f"{facts['candidate_pairs']:16,}{facts['large_buckets']:13,}{kept:11,}",
            flush=True,
        )


def family_texts(family: int, members: int) -> Iterator[str]:
    """Members of one family: the page of the family with some words replaced."""
    chance = random.Random(family)
    page = [word(chance) for _ in range(PAGE_WORDS)]
    for _ in range(members):
        one_in = chance.uniform(20, 60)
        yield " ".join(word(chance) if chance.random() < 1 / one_in else own for own in page)


def page_texts(count: int) -> Iterator[str]:
    """The boilerplate page with a few words of each document's own."""
    chance = random.Random(0)
    page = [word(chance) for _ in range(BOILERPLATE_WORDS)]
    for _ in range(count):
        own = page.copy()
        for place in chance.sample(range(BOILERPLATE_WORDS), CHANGED_WORDS):
            own[place] = word(chance)
        yield " ".join(own)


def word(chance: random.Random) -> str:
    """A made-up word of three to five syllables."""
    return "".join(chance.choice(CONSONANTS) + chance.choice(VOWELS) for _ in range(chance.randint(3, 5)))


def write(path: Path, texts: Iterator[str]) -> Path:
    """A JSONL file, ids counted from 0."""
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    return path


def curate(corpus: Path, run: Path, representatives: int, *options: str) -> Measured:
    """Deduplicate; ends the benchmark when it fails."""
    recipe = run.with_suffix(".yaml")
    recipe.write_text(RECIPE)
    chosen = ["-o", str(run), "-r", str(recipe), "--set", f"dedup.bucket_representatives={representatives}", "--json"]
    done = measure([sys.executable, "-m", "curator", "process", str(corpus), *chosen, *options])
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return done


def facts_of(run: Path) -> dict[str, int]:
    """What the run says of deduplication."""
    facts: dict[str, int] = json.loads((run / "manifest.json").read_text())["facts"]["dedup"]
    return facts


if __name__ == "__main__":
    main()
