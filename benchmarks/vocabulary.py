"""Vocabularies: what training one takes, and how fair it is beside one of SentencePiece alone.

    python benchmarks/vocabulary.py speed [--corpus FILE] [--kind bpe]
    python benchmarks/vocabulary.py fairness [--corpus FILE]
    python benchmarks/vocabulary.py alignment [--corpus FILE]

`speed` trains 32,000 pieces on 100 MB in a process of its own: wall and CPU seconds, and its highest memory. `fairness`
makes a mix of 20 languages, the largest with a hundred times the text of the smallest, and compares the language with
the most tokens a word: of SentencePiece with its own defaults and byte fallback on the mix as it is, and of `curator
tokenizer train --alpha search`. Both are asked about text of each language that none saw, and about the Universal
Declaration of Human Rights. `alignment` aligns Spanish with Portuguese and asks Apertium (`apertium-es-pt`) for the
translation of each Spanish word that is a piece: of the pairs whose translation is a piece as well, how many are it.

Without `--corpus`, one of 100 MB is built from packages first (`build_corpus.py`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from corpora import read_records

from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import TokenizerSection
from model.tokenizer_training import train_on
from model.vocabulary.align import align_pieces
from model.vocabulary.fairness import measure_cost
from model.vocabulary.parallel import load_parallel
from model.vocabulary.pieces import SPACE
from model.vocabulary.sample import COUNT_STEPS, Sample

LANGUAGES = 20
SKEW = 100
LARGEST_BYTES, JUDGED_BYTES = 4_000_000, 200_000
VOCABULARY, FAIR_VOCABULARY, ALIGNED_VOCABULARY = 32_000, 16_000, 12_000
RECIPE = "name: raw\nlanguage: off\nstages:\n  - sampling: {alpha: 1.0}\n"


def run_of(corpus: Path, folder: Path) -> Path:
    """A run that leaves the documents as they are."""
    (folder / "raw.yaml").write_text(RECIPE)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "curator",
        "process",
        corpus,
        "-o",
        folder / "run",
        "-r",
        folder / "raw.yaml",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def train(run: Path, output: Path, *options: str) -> tuple[float, float, float]:
    """Train a tokenizer by the command. Wall seconds, CPU seconds, highest memory in GB."""
    began = time.perf_counter()
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "curator",
        "tokenizer",
        "train",
        run,
        "-o",
        output,
        "--kind",
        "bpe",
        *options,
    ]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def speed(corpus: Path, folder: Path, kind: str) -> None:
    """32,000 pieces on 100 MB."""
    run = run_of(corpus, folder)
    options = ["--vocabulary", str(VOCABULARY), "--sample", "100MB", "--kind", kind]
    wall, cpu, memory = train(run, folder / "tokenizer.model", *options)
    print(f"{kind}, {VOCABULARY:,} pieces on 100 MB: {wall:.0f} s, {cpu:.0f} CPU s, {memory:.2f} GB")


def skewed_mix(corpus: Path, mix: Path) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Write a mix of the largest languages, geometric from 1 to 1/SKEW; bytes of each, and text that is not in it."""
    size: dict[str, int] = {}
    found: dict[str, list[str]] = {}
    for record in read_records(corpus):
        if "-" not in record["lang"]:
            found.setdefault(record["lang"], []).append(record["text"])
            size[record["lang"]] = size.get(record["lang"], 0) + len(record["text"].encode())
    chosen = sorted(size, key=lambda name: -size[name])[:LANGUAGES]
    taken: dict[str, int] = {}
    judged: dict[str, list[str]] = {}
    with mix.open("w", encoding="utf-8") as file:
        for place, name in enumerate(chosen):
            limit = LARGEST_BYTES * SKEW ** (-place / (LANGUAGES - 1))
            # Documents of a page lie side by side, so what is judged by is the end of each language.
            for text in found[name]:
                if taken.get(name, 0) >= limit:
                    break
                taken[name] = taken.get(name, 0) + len(text.encode())
                file.write(json.dumps({"text": text, "lang": name}, ensure_ascii=False) + "\n")
            judged[name] = []
            for text in reversed(found[name]):
                if sum(len(other.encode()) for other in judged[name]) >= JUDGED_BYTES:
                    break
                judged[name].append(text)
    return taken, judged


def plain_sentencepiece(mix: Path) -> Tokenizer:
    """SentencePiece's own defaults, with byte fallback, on every line of the mix."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    texts = (json.loads(line)["text"] for line in mix.open(encoding="utf-8"))
    SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.split("\n") if line.strip()),
        model_writer=model,
        vocab_size=FAIR_VOCABULARY,
        model_type="bpe",
        byte_fallback=True,
        num_threads=1,
        minloglevel=2,
    )
    return read_tokenizer(model.getvalue(), "SentencePiece")


def worst(tokenizer: Tokenizer, texts: dict[str, list[str]]) -> tuple[str, float, float]:
    """The language with the most tokens a word, its number, and the mean of all."""
    rates = {name: measure_cost(tokenizer, own).tokens_per_word for name, own in texts.items()}
    name = max(rates, key=lambda language: rates[language])
    return name, rates[name], sum(rates.values()) / len(rates)


def fairness(corpus: Path, folder: Path) -> None:
    """The worst language of 20, with SentencePiece alone and with ours."""
    mix = folder / "mix.jsonl"
    taken, judged = skewed_mix(corpus, mix)
    print(f"{len(taken)} languages, {sum(taken.values()):,} bytes: {taken}")
    plain = plain_sentencepiece(mix)
    options = ["--vocabulary", str(FAIR_VOCABULARY), "--alpha", "search", "--sample", "1GB"]
    train(run_of(mix, folder), folder / "tokenizer.model", *options)
    ours = read_tokenizer((folder / "tokenizer.model").read_bytes(), "ours")
    declaration = load_parallel()
    of_declaration = {
        name: declaration.texts(tag)
        for name in taken
        for tag in sorted(declaration.lines, key=len)
        if tag.partition("-")[0] == name
    }
    for what, texts in (("text that none saw", judged), ("the declaration", of_declaration)):
        before, after = worst(plain, texts), worst(ours, texts)
        told = [f"{rate:.3f} tokens a word in {name} (mean {mean:.3f})" for name, rate, mean in (before, after)]
        less = 1 - after[1] / before[1]
        print(f"{what}, {len(texts)} languages: SentencePiece {told[0]}, ours {told[1]}: {less:.1%} less")


def translations(words: list[str]) -> dict[str, str]:
    """What Apertium makes of Spanish words in Portuguese; without those that it does not know."""
    done = subprocess.run(
        ["apertium", "es-pt"], input="\n\n".join(words), check=True, capture_output=True, text=True
    ).stdout.split("\n\n")
    pairs = zip(words, (line.strip() for line in done), strict=True)
    return {word: line for word, line in pairs if line and line[0] not in "*@#"}


def alignment(corpus: Path) -> None:
    """Pairs of Spanish and Portuguese, by their cosine."""
    texts: dict[str, list[str]] = {"es": [], "pt": []}
    for record in read_records(corpus):
        if record["lang"] in texts:
            texts[record["lang"]].append(record["text"])
    every = [(text, name) for name, own in texts.items() for text in own]
    counts = dict.fromkeys(texts, COUNT_STEPS)
    sample = Sample([text for text, _ in every], [name for _, name in every], counts, counts)
    tokenizer = read_tokenizer(train_on(sample, TokenizerSection(vocabulary=ALIGNED_VOCABULARY)), "es and pt")
    pieces = set(tokenizer.pieces())
    began = time.process_time()
    found, _ = align_pieces(tokenizer, texts, pivot="pt", threshold=0.0)
    seconds = time.process_time() - began
    words = [pair.piece[1:] for pair in found.pairs if pair.piece[:1] == SPACE and pair.piece[1:].isalpha()]
    known = {SPACE + word: SPACE + line for word, line in translations(words).items() if SPACE + line in pieces}
    print(f"{sum(map(len, texts['es'])):,} and {sum(map(len, texts['pt'])):,} characters, {seconds:.0f} CPU s")
    for threshold in (0.0, 0.5, 0.7, 0.8, 0.85, 0.9):
        pairs = [pair for pair in found.pairs if pair.similarity >= threshold]
        asked = [pair for pair in pairs if pair.piece in known]
        right = sum(known[pair.piece] == pair.pivot_piece for pair in asked)
        share = right / max(len(asked), 1)
        print(f"cosine {threshold}: {len(pairs)} pairs; {right} of {len(asked)} are Apertium's ({share:.0%})")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "fairness", "alignment"))
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--kind", choices=("bpe", "unigram"), default="bpe")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = given.corpus
        if corpus is None:
            corpus = folder / "corpus.jsonl.zst"
            script = Path(__file__).parent / "build_corpus.py"
            subprocess.run([sys.executable, script, corpus, "--megabytes", "100"], check=True)
        if given.what == "speed":
            speed(corpus, folder, given.kind)
        elif given.what == "fairness":
            fairness(corpus, folder)
        else:
            alignment(corpus)


if __name__ == "__main__":
    main()
