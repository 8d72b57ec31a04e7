"""What a model has learned of each language: bits for a byte of text, and a cloze test made of the text itself.

Bits per byte is the negative log-likelihood of a document's tokens and its end, in bits, by its bytes in UTF-8: models
with other tokenizers can be compared, where these leave nothing of a text out. A document longer than a sequence is
cut, and what follows a cut does not see what was before it.

A cloze question is the beginning of a document and four continuations, its own and those of three other documents of
its language; the model answers with the one that it finds likeliest. Chance is a quarter; nothing is downloaded.

Intervals hold 95% of what documents drawn again (bootstrap, Efron 1979) give; of few documents they say little.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from curator.tokenize import Tokenizer
from model.data.documents import TextDocument
from model.decoder import Decoder
from model.kernels import linear_cross_entropy

DRAWS = 1000
"""Of the bootstrap."""
_DRAWS_AT_ONCE = 50
INTERVAL = (2.5, 97.5)
PREFIX_TOKENS, CONTINUATION_TOKENS, CHOICES = 24, 12, 4
"""Of a cloze question."""
ALL = "all"


@dataclass(frozen=True)
class DocumentScores:
    """Nats and bytes of each document, in order: float64[documents]."""

    languages: tuple[str, ...]
    nats: NDArray[np.float64]
    sizes: NDArray[np.float64]
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class LanguageScore:
    """A language (or all): bits per byte with its interval, None of one document; and the share of cloze questions that
    were answered right, None where the documents are too few or too short for a question."""

    language: str
    documents: int
    bytes: int
    bits_per_byte: float
    low: float | None
    high: float | None
    cloze: float | None
    questions: int


def score_documents(
    decoder: Decoder, tokenizer: Tokenizer, documents: Sequence[TextDocument], *, sequence: int, batch: int = 16
) -> DocumentScores:
    """The nats of each document."""
    encoded = tokenizer.encode_documents([document.text for document in documents])
    nats = np.zeros(len(documents))
    for owners, losses in _losses(decoder, encoded, sequence, batch):
        np.add.at(nats, owners, losses)
    sizes = np.array([max(1, len(document.text.encode())) for document in documents], np.float64)
    counts = np.array([len(ids) - 1 for ids in encoded], np.int64)
    return DocumentScores(tuple(document.lang for document in documents), nats, sizes, counts)


def count_changed(tokenizer: Tokenizer, documents: Sequence[TextDocument]) -> int:
    """How many documents, in NFC, do not come back from their tokens as they were. What a tokenizer leaves out costs a
    model nothing, so bits per byte of such documents are too few."""
    encoded = tokenizer.encode([document.text for document in documents])
    return sum(
        unicodedata.normalize("NFC", tokenizer.decode(ids.tolist())) != unicodedata.normalize("NFC", document.text)
        for ids, document in zip(encoded, documents, strict=True)
    )


def evaluate(
    decoder: Decoder, tokenizer: Tokenizer, documents: Sequence[TextDocument], *, sequence: int, batch: int = 16
) -> list[LanguageScore]:
    """The score of all documents, then of each language, the one with most bytes first."""
    scores = score_documents(decoder, tokenizer, documents, sequence=sequence, batch=batch)
    answers = cloze_answers(decoder, tokenizer, documents, batch=batch)
    languages = np.array(scores.languages)
    names = sorted(set(scores.languages), key=lambda name: (-scores.sizes[languages == name].sum(), name))
    found = []
    for name in [ALL, *names]:
        rows = [row for row, language in enumerate(scores.languages) if name in (ALL, language)]
        bits, low, high = bits_per_byte(scores.nats[rows], scores.sizes[rows])
        asked = [answers[row] for row in rows if row in answers]
        found.append(
            LanguageScore(
                language=name,
                documents=len(rows),
                bytes=int(scores.sizes[rows].sum()),
                bits_per_byte=bits,
                low=low,
                high=high,
                cloze=sum(asked) / len(asked) if asked else None,
                questions=len(asked),
            )
        )
    return found


def bits_per_byte(nats: NDArray[np.float64], sizes: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    """Bits per byte of documents, and the ends of its interval: [documents] twice. The same each time. One document
    has no interval: drawn again it is always itself."""
    bits = float(nats.sum() / sizes.sum() / math.log(2))
    if len(nats) == 1:
        return bits, None, None
    low, high = np.percentile(resampled(nats, sizes), INTERVAL)
    return bits, float(low), float(high)


def cloze_answers(
    decoder: Decoder, tokenizer: Tokenizer, documents: Sequence[TextDocument], *, batch: int = 16
) -> dict[int, bool]:
    """Whether the model answered right, by the number of each document that is long enough for a question."""
    length = PREFIX_TOKENS + CONTINUATION_TOKENS
    encoded = [ids[:length] for ids in tokenizer.encode_documents([document.text for document in documents])]
    by_language: dict[str, list[int]] = {}
    for number, (document, ids) in enumerate(zip(documents, encoded, strict=True)):
        if len(ids) == length:
            by_language.setdefault(document.lang, []).append(number)
    asked, choices = [], []
    for members in by_language.values():
        if len(members) < CHOICES:
            continue
        for place, number in enumerate(members):
            asked.append(number)
            # The own continuation first, then those of the next documents of the language.
            for step in range(CHOICES):
                other = encoded[members[(place + step) % len(members)]]
                choices.append(np.concatenate([encoded[number][:PREFIX_TOKENS], other[PREFIX_TOKENS:]]))
    nats = np.zeros(len(choices))
    for owners, losses in _losses(decoder, choices, length, batch, skip=PREFIX_TOKENS - 1):
        np.add.at(nats, owners, losses)
    each = nats.reshape(-1, CHOICES)
    # A text that goes on like another one is no answer.
    right = each[:, 0] < each[:, 1:].min(axis=1, initial=math.inf)
    return dict(zip(asked, right.tolist(), strict=True))


@torch.inference_mode()
def _losses(
    decoder: Decoder, encoded: Sequence[NDArray[np.int32]], sequence: int, batch: int, *, skip: int = 0
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Which document each target belongs to, and its loss, batch by batch; without the first `skip` of a document."""
    device = decoder.embedding_VD.device
    pieces = [
        (owner, begin, ids[begin : begin + sequence + 1])
        for owner, ids in enumerate(encoded)
        for begin in range(0, len(ids) - 1, sequence)
    ]
    for chosen in _of_tokens(pieces, sequence * batch):
        lengths = [len(ids) - 1 for _, _, ids in chosen]
        inputs_T = torch.from_numpy(np.concatenate([ids[:-1] for _, _, ids in chosen])).to(device, torch.int64)
        targets_T = torch.from_numpy(np.concatenate([ids[1:] for _, _, ids in chosen])).to(device, torch.int64)
        documents = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32, device=device)
        hidden_TD = decoder(inputs_T, documents).hidden_TD
        found = linear_cross_entropy(hidden_TD, decoder.head_VD.to(hidden_TD.dtype), targets_T)
        owners = np.repeat([owner for owner, _, _ in chosen], lengths)
        places = np.concatenate(
            [np.arange(begin, begin + length) for (_, begin, _), length in zip(chosen, lengths, strict=True)]
        )
        counted = places >= skip
        yield owners[counted], found.losses_T.cpu().double().numpy()[counted]


_Piece = tuple[int, int, NDArray[np.int32]]


def _of_tokens(pieces: Sequence[_Piece], tokens: int) -> Iterator[list[_Piece]]:
    """Consecutive pieces of at most so many tokens together, or one piece."""
    chosen: list[_Piece] = []
    size = 0
    for piece in pieces:
        if chosen and size + len(piece[2]) > tokens:
            yield chosen
            chosen, size = [], 0
        chosen.append(piece)
        size += len(piece[2])
    if chosen:
        yield chosen


def resampled(nats: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits per byte of documents drawn again and again, the same draws each time: float64[DRAWS]."""
    random = np.random.default_rng(0)
    even = np.full(len(nats), 1 / len(nats))
    drawn = []
    for _ in range(0, DRAWS, _DRAWS_AT_ONCE):
        counts = random.multinomial(len(nats), even, size=_DRAWS_AT_ONCE).astype(np.float64)
        drawn.append((counts @ nats) / (counts @ sizes) / math.log(2))
    return np.concatenate(drawn)
