"""The translator `ctranslate2`: models of the engine CTranslate2 (Klein et al. 2020) from local folders, several times
faster on CPUs than what they were converted from.

A folder is what `ct2-transformers-converter` writes, with the SentencePiece models of Marian beside it (`source.spm`,
`target.spm`) or one for both (`sentencepiece.model`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from curator.errors import UserError
from stages.augmentation.neural import NeuralTranslator, batches

_SHARED = "sentencepiece.model"
_END = "</s>"


class CTranslate2(NeuralTranslator):
    """Translates with CTranslate2 from local folders."""

    name = "ctranslate2"
    package = "ctranslate2"

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._loaded: dict[Path, tuple[Any, Any, Any]] = {}

    @cached_property
    def has_gpu(self) -> bool:
        """Whether CTranslate2 has a GPU here."""
        import ctranslate2

        return int(ctranslate2.get_cuda_device_count()) > 0

    def problem_of(self, folder: Path) -> str | None:
        """A missing folder, or file in it."""
        missing = [name for name in ("model.bin", "config.json") if not (folder / name).is_file()]
        if missing:
            return f"no model of CTranslate2 in {folder}: {' and '.join(missing)} missing"
        if _sentencepiece(folder) is None:
            return f"{folder} has neither source.spm and target.spm nor {_SHARED}"
        return None

    def run(self, folder: Path, source: str, target: str, sentences: Sequence[str]) -> list[str | None]:
        """The translation of each sentence; None where it or its translation has more than `max_tokens`."""
        translator, encode, decode = self._load(folder)
        head, prefix = [], None
        if self.codes and self.options.style == "code":
            head, prefix = [self.codes[source]], [self.codes[target]]
        elif self.codes:
            head = [f"<2{self.codes[target]}>"]
        pieces = [[*head, *encode.encode(sentence, out_type=str), _END] for sentence in sentences]
        lengths = [len(tokens) for tokens in pieces]
        found: list[str | None] = [None] * len(sentences)
        for places in batches(lengths, self.options.batch_tokens):
            short = [place for place in places if lengths[place] <= self.options.max_tokens]
            if not short:
                continue
            try:
                made = translator.translate_batch(
                    [pieces[place] for place in short],
                    target_prefix=None if prefix is None else [prefix] * len(short),
                    beam_size=self.options.beams,
                    max_decoding_length=self.options.max_tokens,
                )
            except RuntimeError as error:  # of positions that the model does not have: nothing tells them before
                first = str(error).partition("\n")[0]
                raise UserError(first, file=str(folder), hint="a smaller max_tokens may help") from error
            for place, result in zip(short, made, strict=True):
                tokens = result.hypotheses[0]
                if len(tokens) < self.options.max_tokens:
                    found[place] = cast("str", decode.decode(tokens[len(prefix) if prefix else 0 :]))
        return found

    def _load(self, folder: Path) -> tuple[Any, Any, Any]:
        if folder not in self._loaded:
            import ctranslate2
            from sentencepiece import SentencePieceProcessor

            try:
                translator = ctranslate2.Translator(
                    str(folder),
                    device=self.device,
                    inter_threads=1,
                    intra_threads=1,
                )
                paths = _sentencepiece(folder) or ()
                encode, decode = (SentencePieceProcessor(model_file=str(path)) for path in paths)
            except (RuntimeError, ValueError, OSError) as error:
                first = str(error).strip().partition("\n")[0]
                raise UserError(f"the model cannot be loaded: {first}", file=str(folder)) from error
            self._loaded[folder] = (translator, encode, decode)
        return self._loaded[folder]


def _sentencepiece(folder: Path) -> tuple[Path, Path] | None:
    """The models that cut the source and join the target."""
    for names in (("source.spm", "target.spm"), (_SHARED, _SHARED)):
        if all((folder / name).is_file() for name in names):
            return folder / names[0], folder / names[1]
    return None
