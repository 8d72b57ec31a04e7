"""Trains a SentencePiece tokenizer on the shards of runs.

What it sees is `model.vocabulary.sample`. Which documents are in it is a hash of seed and key: the same runs give the
same bytes. Text comes out of it as it went in, save that it is in NFC: no spaces removed, bytes for characters without
a token, digits each by itself.
"""

from __future__ import annotations

import io
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curator.errors import UserError
from curator.run.events import Listener
from curator.tokenize import INSTALL
from curator.training import TokenizerSection
from model.data.shards import Corpus
from model.vocabulary.nfc import nfc_rules
from model.vocabulary.pieces import finish_training
from model.vocabulary.sample import LINE_BYTES, Sample, lines_of, measure_languages, take_sample
from model.vocabulary.words import words_of

SPELLED = "/0123456789<>ABCDEFknsux"
"""The characters of `<unk>`, `</s>` and `<0x0A>`: with pieces for them, unigram in a `tokenizer.json` can spell texts
that look like these tokens."""

LEAST_SEEDS, SEEDS_A_PIECE = 100_000, 10
"""Pieces that unigram begins with, and of which it throws a quarter out again and again: this many, or this many for a
piece that is wanted. SentencePiece's default, a million, takes longer and is no better (decision 40)."""

READINGS = 3
"""How often each row group is looked at: for the sizes of languages, for the ranks of documents, for their text."""

_LIMIT = re.compile(r"<= (\d+)")


@dataclass(frozen=True)
class TrainedTokenizer:
    """A SentencePiece model, how many bytes of each language it was trained on, and how often they counted."""

    data: bytes
    sample_bytes: dict[str, int]
    counts: dict[str, int]


def train_tokenizer(
    corpora: Sequence[Corpus], section: TokenizerSection, seed: int, listeners: Sequence[Listener] = ()
) -> TrainedTokenizer:
    """Train on a sample of the corpora. UserError when the package is missing or there is too little text.

    Listeners are told of events `tokenizer`, in no log: what is trained; `done` of `groups` while text is read; the
    `sample` in bytes before SentencePiece learns from it, which tells nothing.
    """

    def emit(**fields: object) -> None:
        for listener in listeners:
            listener({"kind": "tokenizer", **fields})

    emit(vocabulary=section.vocabulary, algorithm=section.kind)
    groups = READINGS * sum(len(corpus.groups) for corpus in corpora)
    done = itertools.count(1)

    def on_group() -> None:
        emit(done=next(done), groups=groups)

    sizes = measure_languages(corpora, on_group)
    sample = take_sample(
        corpora, sizes, alpha=section.alpha, sample_bytes=section.sample_bytes, seed=seed, on_group=on_group
    )
    emit(sample=sum(sample.bytes_of.values()), languages=len(sample.bytes_of))
    return TrainedTokenizer(train_on(sample, section), sample.bytes_of, sample.counts_of)


def train_on(sample: Sample, section: TokenizerSection) -> bytes:
    """The model that SentencePiece makes of a sample. UserError when the package is missing or there is too little
    text; the error says how many tokens the text supports, where SentencePiece does."""
    try:
        from sentencepiece import SentencePieceTrainer
    except ModuleNotFoundError as error:
        raise UserError("the package sentencepiece is not installed", hint=INSTALL) from error
    read = words_of if section.kind == "unigram" else lines_of
    model = io.BytesIO()
    stopped: list[BaseException] = []
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "nfc.tsv"
        rules.write_text(nfc_rules(), encoding="ascii")
        try:
            SentencePieceTrainer.train(
                sentence_iterator=_noting(read(sample, section.vocabulary), stopped),
                model_writer=model,
                input_format="tsv",
                vocab_size=section.vocabulary,
                model_type=section.kind,
                byte_fallback=True,
                required_chars=SPELLED if section.kind == "unigram" else "",
                # SentencePiece covers 0.98 of the characters at least; how many get tokens is decided before.
                character_coverage=1.0,
                normalization_rule_tsv=str(rules),
                remove_extra_whitespaces=False,
                split_digits=True,
                seed_sentencepiece_size=max(LEAST_SEEDS, SEEDS_A_PIECE * section.vocabulary),
                max_sentence_length=2 * LINE_BYTES,
                shuffle_input_sentence=False,
                # More threads sum floats in another order, and another vocabulary comes out.
                num_threads=1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            if stopped:
                raise stopped[0] from None
            found = _LIMIT.search(str(error))
            room = f"{int(found[1]):,} tokens at most" if found else "fewer tokens"
            raise UserError(
                f"{sum(sample.bytes_of.values()):,} bytes of text are too little for a tokenizer of "
                f"{section.vocabulary:,}",
                hint=f"make the vocabulary smaller ({room}), or give more text",
            ) from error
    return finish_training(model.getvalue())


def _noting(lines: Iterator[str], stopped: list[BaseException]) -> Iterator[str]:
    """The same lines. What is raised while they are read, Ctrl-C above all, is noted: SentencePiece makes an error of
    its own of it, as it does of too little text."""
    try:
        yield from lines
    except GeneratorExit:
        raise
    except BaseException as error:
        stopped.append(error)
        raise
