"""Substitution of noun phrases on the packaged sample: what the gate says of it, and what it costs.

    python benchmarks/substitution.py [LANGUAGE...] [--show 3]

For each language, the first 40 documents of the sample, 3,000 characters of each at most: how many had no phrase to
replace, how many new texts were refused and why, and CPU milliseconds for 1,000 characters, programs included.
"""

from __future__ import annotations

import argparse
import importlib.resources
import io
import json
import resource
from collections import Counter

import numpy as np
import zstandard

from stages.augmentation.parameters import AugmentationParameters
from stages.augmentation.quality import Gate
from stages.augmentation.substitution.substitutor import SUBSTITUTORS

DOCUMENTS, CHARACTERS = 40, 3000


def sample_of(language: str) -> list[str]:
    """The beginnings of documents in one language."""
    texts: list[str] = []
    for path in sorted((importlib.resources.files("pipelines") / "sample").iterdir(), key=str):
        if path.name.endswith(".jsonl.zst"):
            lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read().splitlines()
            texts += [record["text"] for record in map(json.loads, lines) if record.get("lang") == language]
    return [text[:CHARACTERS] for text in texts[:DOCUMENTS]]


def cpu_s() -> float:
    """CPU seconds of this process and of those below it that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(description="Measure substitution.")
    parser.add_argument("languages", nargs="*", default=list(SUBSTITUTORS))
    parser.add_argument("--show", type=int, default=0, help="lines that changed, of each language")
    arguments = parser.parse_args()
    defaults = AugmentationParameters()
    gate = Gate(defaults.min_chrf, defaults.max_chrf)
    for language in arguments.languages:
        made = SUBSTITUTORS[language]()
        problem = made.requirement().problem
        if problem is not None:
            print(f"{language}: {problem}")
            continue
        texts = sample_of(language)
        began = cpu_s()
        found = made.substitute(texts, np.arange(2 * len(texts), dtype=np.uint64).reshape(-1, 2), 0)
        cost = (cpu_s() - began) * 1e6 / max(sum(map(len, texts)), 1)
        fates = Counter(
            "no phrase" if new is None else gate.judge(text, new).refused or "passed"
            for text, new in zip(texts, found, strict=True)
        )
        print(f"{language}: {len(texts)} documents, {dict(fates)}, {cost:.0f} CPU ms for 1,000 characters")
        lines = (
            pair
            for text, new in zip(texts, found, strict=True)
            if new is not None
            for pair in zip(text.split("\n"), new.split("\n"), strict=True)
            if pair[0] != pair[1]
        )
        for (before, after), _ in zip(lines, range(arguments.show), strict=False):
            print(f"  - {before}\n  + {after}")


if __name__ == "__main__":
    main()
