"""What it costs to count tokens: CPU ms for a MB of text, of units and of tokenizers.

    python benchmarks/token_counts.py [--pieces 8000] [TOKENIZER...]

The text is the packaged sample. Without files, a tokenizer of either kind is trained on it: a BPE of SentencePiece, and
a byte-level BPE of the package `tokenizers`.
"""

from __future__ import annotations

import argparse
import importlib.resources
import io
import json
import statistics
import time
from pathlib import Path

import pyarrow as pa
import zstandard

from curator.document import Batch
from curator.tokenize import Tokenizer, load_tokenizer, read_tokenizer

ROUNDS = 5


def sample_texts() -> list[str]:
    """The texts of the sample, 0.5 MB of each of its files at most."""
    texts: list[str] = []
    for path in sorted((importlib.resources.files("pipelines") / "sample").iterdir(), key=str):
        if path.name.endswith(".jsonl.zst"):
            size = 0
            for line in zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read().splitlines():
                texts.append(json.loads(line)["text"])
                size += len(texts[-1].encode())
                if size > 500_000:
                    break
    return texts


def trained(texts: list[str], pieces: int) -> dict[str, Tokenizer]:
    """A tokenizer of each kind."""
    from sentencepiece import SentencePieceTrainer
    from tokenizers import Tokenizer as TokenizerFile
    from tokenizers import decoders, models, pre_tokenizers, trainers

    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.split("\n") if line),
        model_writer=written,
        model_type="bpe",
        vocab_size=pieces,
        byte_fallback=True,
        num_threads=1,
        minloglevel=2,
    )
    made = TokenizerFile(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=pieces, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return {
        f"sentencepiece, {pieces:,} pieces": read_tokenizer(written.getvalue(), "trained"),
        f"tokenizers, {pieces:,} pieces": read_tokenizer(made.to_str().encode(), "trained"),
    }


def main() -> None:
    """Print it all, the ways in turn."""
    parser = argparse.ArgumentParser(description="Measure what counting tokens costs.")
    parser.add_argument("--pieces", type=int, default=8000)
    parser.add_argument("tokenizers", nargs="*", type=Path)
    arguments = parser.parse_args()
    texts = sample_texts()
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    named = {str(path): load_tokenizer(path) for path in arguments.tokenizers} or trained(texts, arguments.pieces)
    column = pa.record_batch([pa.array(texts, pa.string())], names=["text"])
    spent: dict[str, list[float]] = {"units": [], **{name: [] for name in named}}
    counts = {}
    for _ in range(ROUNDS):
        for name, found in spent.items():
            began = time.process_time()
            counts[name] = int((Batch(column).units.counts if name == "units" else named[name].count(texts)).sum())
            found.append((time.process_time() - began) * 1000 / megabytes)
    print(f"{len(texts):,} texts, {megabytes:.1f} MB")
    for name, found in spent.items():
        print(f"{name}: {counts[name]:,} tokens, {statistics.median(found):.0f} CPU ms a MB")


if __name__ == "__main__":
    main()
