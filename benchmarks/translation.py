"""Translations a second: of Apertium, where a pair is installed, and of the cache on disk.

    python benchmarks/translation.py [--pair oc-fr] [--rounds 3]

Sentences of the packaged sample in the source language, in one process and in two, with the CPU seconds of all programs
of the pair: a busy machine changes them less than it does the rate. Then the cache, with a hundred thousand sentences.
"""

from __future__ import annotations

import argparse
import importlib.resources
import io
import json
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import zstandard

from stages.augmentation.apertium import Apertium
from stages.augmentation.cache import TranslationCache
from stages.augmentation.sentences import cut, distinct

CACHED = 100_000
REPEATS = 10


def sentences_of(language: str) -> list[str]:
    """The distinct sentences of the sample in one language, REPEATS times with a number before each."""
    texts = []
    for path in (importlib.resources.files("pipelines") / "sample").iterdir():
        if path.name.endswith(".jsonl.zst"):
            lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read().splitlines()
            texts += [record["text"] for record in map(json.loads, lines) if record.get("lang") == language]
    once = distinct([cut(text) for text in texts])
    return [f"{number}: {sentence}" for number in range(REPEATS) for sentence in once]


def translate(source: str, target: str, sentences: list[str]) -> int:
    """How many of the sentences came back."""
    return sum(text is not None for text in Apertium().translate(source, target, sentences))


def children_cpu_s() -> float:
    """CPU seconds of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def apertium_rate(
    source: str, target: str, sentences: list[str], processes: int, rounds: int
) -> tuple[float, float, float]:
    """Sentences a second in so many processes, CPU milliseconds a sentence, medians; and the share of the sentences
    that came back sound, with few unknown words."""
    rates, costs = [], []
    for _ in range(rounds):
        began, spent = time.perf_counter(), children_cpu_s()
        with ProcessPoolExecutor(processes) as pool:
            parts = [sentences[place::processes] for place in range(processes)]
            done = sum(pool.map(translate, [source] * processes, [target] * processes, parts))
        rates.append(len(sentences) / (time.perf_counter() - began))
        costs.append((children_cpu_s() - spent) / len(sentences) * 1000)
    return statistics.median(rates), statistics.median(costs), done / len(sentences)


def cache_rate() -> tuple[float, float]:
    """Sentences a CPU second that are put into a cache, and found in it."""
    texts = [f"sentence number {number} of those that are kept" for number in range(CACHED)]
    with tempfile.TemporaryDirectory() as folder:
        cache = TranslationCache(Path(folder), "benchmark", "oc", "fr")
        began = time.process_time()
        cache.add({text: text for text in texts})
        added = time.process_time()
        found = len(cache.find(texts))
        return CACHED / (added - began), found / (time.process_time() - added)


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(description="Measure translators and the cache.")
    parser.add_argument("--pair", default="oc-fr")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    source, target = arguments.pair.split("-")
    if (source, target) in Apertium().pairs():
        sentences = sentences_of(source)
        for processes in (1, 2):
            rate, cost, sound = apertium_rate(source, target, sentences, processes, arguments.rounds)
            what = f"apertium {source}-{target}, {len(sentences):,} sentences, {processes} processes"
            print(f"{what}: {rate:,.0f} a second, {cost:.1f} CPU ms a sentence, {sound:.0%} sound")
    else:
        print(f"apertium {source}-{target} is not installed")
    added, found = cache_rate()
    print(f"cache: {added:,.0f} added and {found:,.0f} found a CPU second")


if __name__ == "__main__":
    main()
