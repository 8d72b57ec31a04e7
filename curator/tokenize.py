"""Tokenizers: loads one from a file and turns text into token ids and back. Nothing here imports torch.

Two kinds of file are read: a model of SentencePiece (Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226), and
the JSON of Hugging Face `tokenizers`. Which it is, is told by content. Both need the extra `tokenizer`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer as TokenizerFile

BEGIN_NAMES = ("<s>", "<|begin_of_text|>", "<bos>", "[BOS]", "<|startoftext|>")
END_NAMES = ("</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "[EOS]")
"""How published tokenizers call the tokens at the two ends of a document."""
UNKNOWN_NAMES = ("<unk>", "[UNK]", "<|unk|>")

INSTALL = "pip install 'curator-corpora[tokenizer]'"
"""What to do where a package of a tokenizer is missing."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_DECOMPOSED, _COMPATIBLE = "e\u0301", "ﬁ"
"""Texts that tell NFC from no normalisation and from NFKC."""


class Tokenizer(ABC):
    """Text to token ids and back. `begin` and `end` stand around a document; `sha256` is that of the file."""

    suffix: str
    vocabulary: int
    begin: int
    end: int

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token ids of each text, without `begin` and `end`; several threads may call this at once.

        Halves of surrogate pairs, which are no text, count as U+FFFD.
        """
        return [np.array(ids, np.int32) for ids in self._encode(_without_surrogates(texts))]

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """How many ids `encode` gives each text: int64[texts]."""
        return np.fromiter((self._count(text) for text in _without_surrogates(texts)), np.int64, len(texts))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; `begin` and `end` have none."""
        return self._decode([int(token) for token in ids if token not in (self.begin, self.end)])

    def encode_documents(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token ids of each text between `begin` and `end`: at least 2 ids."""
        begin, end = np.array([self.begin], np.int32), np.array([self.end], np.int32)
        return [np.concatenate([begin, ids, end]) for ids in self.encode(texts)]

    @property
    @abstractmethod
    def unknown(self) -> int | None:
        """The id of what has no token; None where there is none."""

    @abstractmethod
    def pieces(self) -> list[str]:
        """The text of each token in the tokenizer's own spelling, by id."""

    @abstractmethod
    def parts_of_characters(self) -> NDArray[np.bool_]:
        """Which tokens spell a part of a character: bytes for what has no token, and ends of byte sequences."""

    @abstractmethod
    def _encode(self, texts: list[str]) -> list[list[int]]: ...

    @abstractmethod
    def _count(self, text: str) -> int: ...

    @abstractmethod
    def _decode(self, ids: list[int]) -> str: ...


class SentencePieceTokenizer(Tokenizer):
    """A model of SentencePiece. UserError when it has no begin or end of sentence."""

    suffix = ".model"

    def __init__(self, data: bytes, processor: SentencePieceProcessor, file: str) -> None:
        super().__init__(data)
        self._processor = processor
        self.vocabulary = processor.vocab_size()
        self.begin, self.end = processor.bos_id(), processor.eos_id()
        if min(self.begin, self.end) < 0:
            raise UserError(
                "the tokenizer has no ids for the begin and end of a text",
                file=file,
                hint="train it with bos_id and eos_id, or let `curator tokenizer train` make one",
            )

        # The rules of such a model compose marks that stand in order; full NFC sorts them first.
        self._is_nfc = unicodedata.normalize("NFC", _DECOMPOSED) in processor.normalize(
            _DECOMPOSED
        ) and _COMPATIBLE in processor.normalize(_COMPATIBLE)

    @property
    def unknown(self) -> int | None:
        """The id of what has no token; None where there is none."""
        found = int(self._processor.unk_id())
        return found if found >= 0 else None

    def pieces(self) -> list[str]:
        """The text of each token, spaces as `▁`, bytes as `<0x0A>`, by id."""
        return [str(self._processor.id_to_piece(token)) for token in range(self.vocabulary)]

    def parts_of_characters(self) -> NDArray[np.bool_]:
        """Which tokens are bytes."""
        return np.array([self._processor.is_byte(token) for token in range(self.vocabulary)], np.bool_)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if self._is_nfc:
            texts = [unicodedata.normalize("NFC", text) for text in texts]
        found: list[list[int]] = self._processor.encode(texts, out_type=int, num_threads=1)
        return found

    def _count(self, text: str) -> int:
        return len(self._encode([text])[0])

    def _decode(self, ids: list[int]) -> str:
        return str(self._processor.decode(ids))


class JsonTokenizer(Tokenizer):
    """A `tokenizer.json`. UserError when it names no begin or end by one of the usual names."""

    suffix = ".json"

    def __init__(self, data: bytes, tokenizer: TokenizerFile, file: str) -> None:
        super().__init__(data)
        self._tokenizer = tokenizer
        self.vocabulary = tokenizer.get_vocab_size(with_added_tokens=True)
        # Some (GPT-2's) have one token for both ends.
        end = _first(tokenizer, END_NAMES)
        begin = _first(tokenizer, BEGIN_NAMES)
        if end is None:
            names = ", ".join(END_NAMES)
            raise UserError("the tokenizer has no token for the end of a text", file=file, hint=f"add one of {names}")
        self.end = end
        self.begin = end if begin is None else begin

    @property
    def unknown(self) -> int | None:
        """The id of what has no token; None where there is none."""
        named = json.loads(self._tokenizer.to_str())["model"].get("unk_token")
        return _first(self._tokenizer, [named] if named else UNKNOWN_NAMES)

    def pieces(self) -> list[str]:
        """The text of each token in the spelling of the file, by id; empty where an id has none."""
        found = [""] * self.vocabulary
        for piece, token in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if token < self.vocabulary:
                found[token] = piece
        return found

    def parts_of_characters(self) -> NDArray[np.bool_]:
        """Which tokens are bytes, or by bytes that are no whole characters (byte-level BPE)."""
        byte_level = "ByteLevel" in json.dumps(json.loads(self._tokenizer.to_str())["decoder"])
        spelled = _byte_of_letter() if byte_level else {}
        return np.array([_is_part(piece, spelled) for piece in self.pieces()], np.bool_)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _count(self, text: str) -> int:
        # The way for batches starts threads, which a process that is forked later would lose.
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids))


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file. UserError when it cannot be read, is none, or a package is missing."""
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "name a model of SentencePiece or a tokenizer.json"
        raise UserError(f"cannot be read: {error.strerror}", file=str(path), hint=hint) from error
    return read_tokenizer(data, str(path))


def read_tokenizer(data: bytes, file: str) -> Tokenizer:
    """The tokenizer that the bytes of a file hold; `file` is its name in errors."""
    if data[:64].lstrip()[:1] == b"{":
        return _read_json(data, file)
    try:
        from sentencepiece import SentencePieceProcessor
    except ModuleNotFoundError as error:
        raise UserError("the package sentencepiece is not installed", hint=INSTALL) from error
    processor = SentencePieceProcessor()
    try:
        loaded = bool(data) and processor.LoadFromSerializedProto(data)
    except (RuntimeError, ValueError) as error:
        raise _not_a_tokenizer(file) from error
    if not loaded:
        raise _not_a_tokenizer(file)
    return SentencePieceTokenizer(data, processor, file)


def _read_json(data: bytes, file: str) -> JsonTokenizer:
    try:
        from tokenizers import Tokenizer as TokenizerFile
    except ModuleNotFoundError as error:
        raise UserError("the package tokenizers is not installed", hint=INSTALL) from error
    try:
        tokenizer = TokenizerFile.from_buffer(data)
    except ValueError as error:
        raise _not_a_tokenizer(file) from error
    # A published file may carry the limits of the model that it was used with.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return JsonTokenizer(data, tokenizer, file)


def _not_a_tokenizer(file: str) -> UserError:
    return UserError("is no tokenizer", file=file, hint="expected a model of SentencePiece or a tokenizer.json")


def _without_surrogates(texts: Sequence[str]) -> list[str]:
    return [text if text.isascii() else _SURROGATE.sub("\ufffd", text) for text in texts]


def _first(tokenizer: TokenizerFile, names: Sequence[str]) -> int | None:
    return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), None)


def _byte_of_letter() -> dict[str, int]:
    """The letters by which byte-level BPE spells bytes: printable ones by themselves, the rest from U+0100 on (GPT-2,
    Radford et al. 2019)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def _is_part(piece: str, byte_of_letter: dict[str, int]) -> bool:
    if not byte_of_letter:
        return bool(_BYTE.fullmatch(piece))
    if not all(letter in byte_of_letter for letter in piece):
        return False
    try:
        bytes(byte_of_letter[letter] for letter in piece).decode()
    except UnicodeDecodeError:
        return True
    return False
