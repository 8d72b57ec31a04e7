"""Translations a second: of Apertium, where a pair is installed, and of the cache on disk.

    python benchmarks/translation.py [--pair oc-fr] [--rounds 3]
    python benchmarks/translation.py --programs oci-fra
    python benchmarks/translation.py --pivot-text fr-oc

Sentences of the packaged sample in the source language, in one process and in two, with the CPU seconds of all programs
of the pair: a busy machine changes them less than it does the rate. Then the cache, with a hundred thousand sentences.

`--programs` runs the programs of a mode one after the other, on 1,000 sentences: CPU seconds to load, and milliseconds
a sentence. `--pivot-text` translates the articles of the packaged declaration from a pivot, and says what the gate
makes of them.
"""

from __future__ import annotations

import argparse
import importlib.resources
import io
import json
import os
import resource
import shlex
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from curator.language.tags import list_language
from curator.recipe.model import Language
from curator.run.phases.languages import identify_languages
from model.vocabulary.parallel import load_parallel
from stages.augmentation.apertium import Apertium
from stages.augmentation.cache import TranslationCache
from stages.augmentation.method import Translation
from stages.augmentation.quality import Gate
from stages.augmentation.sentences import cut, distinct
from stages.augmentation.stream import encode

CACHED = 100_000
REPEATS = 10
PROFILED = 1000
MODES = Path("/usr/share/apertium/modes")


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


def cpu_of_programs(mode: str) -> None:
    """Print what each program of a mode takes to load, and for a sentence."""
    recipe = (MODES / f"{mode}.mode").read_text(encoding="utf-8").replace("$1", "-g").replace("$2", "")
    programs = [shlex.split(program) for program in recipe.strip().split("|")]
    sentences = sentences_of(list_language(mode.partition("-")[0]))[:PROFILED]
    load, whole = (spent_by(programs, encode(some)) for some in (sentences[:1], sentences))
    for program, alone, all_of_them in zip(programs, load, whole, strict=True):
        name = f"{program[0]} {Path(program[-1]).name if len(program) > 1 else ''}"
        each = (all_of_them - alone) / len(sentences) * 1000
        print(f"{name:45} {alone:6.2f} s to load {each:6.2f} ms a sentence")
    each = (sum(whole) - sum(load)) / len(sentences) * 1000
    print(f"{'all':45} {sum(load):6.2f} s to load {each:6.2f} ms a sentence")


def spent_by(programs: list[list[str]], stream: bytes) -> list[float]:
    """CPU seconds of each program, the one's output being the next one's input."""
    spent = []
    for program in programs:
        began = children_cpu_s()
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        stream = subprocess.run(program, input=stream, stdout=subprocess.PIPE, env=environment, check=False).stdout
        spent.append(children_cpu_s() - began)
    return spent


def pivot_text(pivot: str, language: str) -> None:
    """Print what becomes of the articles of the declaration in a pivot language."""
    declaration = load_parallel()
    tag = next(tag for tag in declaration.lines if list_language(tag) == pivot)
    texts = declaration.texts(tag)
    method = Translation(Apertium(), (pivot, language), round_trip=True)
    made = method.make(texts, np.zeros((len(texts), 2), dtype=np.uint64), 0)
    gate = Gate(80, 97)
    there = [(one, method.judge(gate, text, one)) for text, one in zip(texts, made, strict=True) if one is not None]
    judged = [judgement for _, judgement in there]
    fates = Counter(judgement.refused or "passed" for judgement in judged)
    passed = [one.text for one, judgement in there if judgement.refused is None]
    identified = Counter(identify_languages(pa.array(passed, pa.string()), Language()).detected.to_pylist())
    print(f"{pivot}-{language}: {len(texts)} articles, {len(judged)} translated, {dict(fates)}")
    for name in ("round_trip_chrf", "chrf", "length_ratio"):
        values = [judgement.scores[name] for judgement in judged]
        print(f"{name}: {min(values):.4g} to {max(values):.4g}, median {statistics.median(values):.4g}")
    print(f"of what passed, identified as: {dict(identified)}")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description="Measure translators and the cache.")
    parser.add_argument("--pair", default="oc-fr")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", metavar="MODE")
    parser.add_argument("--pivot-text", metavar="PAIR")
    arguments = parser.parse_args()
    if arguments.programs:
        cpu_of_programs(arguments.programs)
        return
    if arguments.pivot_text:
        pivot_text(*arguments.pivot_text.split("-"))
        return
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
