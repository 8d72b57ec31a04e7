"""The translator `transformers`: any sequence-to-sequence model of Hugging Face from a local folder (Marian, NLLB,
M2M100, MADLAD).

Weights are read from safetensors alone: the other format of such folders is pickle, which runs code. Nothing is
fetched, and no code of a model's folder is run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from curator.errors import UserError
from stages.augmentation.neural import NeuralTranslator, batches

_SEQUENCE_TO_SEQUENCE = ("ForConditionalGeneration", "MTModel", "ForSeq2SeqLM")


class HuggingFace(NeuralTranslator):
    """Translates with `AutoModelForSeq2SeqLM` from local folders."""

    name = "transformers"
    package = "transformers"

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._loaded: dict[Path, tuple[Any, Any]] = {}

    @cached_property
    def has_gpu(self) -> bool:
        """Whether torch has a GPU here."""
        import torch

        return bool(torch.cuda.is_available())

    def problem_of(self, folder: Path) -> str | None:
        """A missing folder, another task, weights that only pickle could read."""
        try:
            config = json.loads((folder / "config.json").read_bytes())
        except OSError:
            return f"no model in {folder}: there is no config.json"
        except ValueError:
            return f"{folder / 'config.json'} is not JSON"
        named = config.get("architectures") if isinstance(config, dict) else None
        if not isinstance(named, list) or not any(str(name).endswith(_SEQUENCE_TO_SEQUENCE) for name in named):
            return f"the model in {folder} is not sequence to sequence: its architecture is {named}"
        positions = config.get("max_position_embeddings")
        if isinstance(positions, int) and positions < self.options.max_tokens:
            return f"max_tokens is {self.options.max_tokens}, and the model in {folder} takes {positions} at most"
        if not any(folder.glob("*.safetensors")):
            return f"{folder} has no *.safetensors; other formats are pickles, which can run code: not loaded"
        return None

    def run(self, folder: Path, source: str, target: str, sentences: Sequence[str]) -> list[str | None]:
        """The translation of each sentence; None where it or its translation has more than `max_tokens`."""
        import torch

        tokenizer, model = self._load(folder)
        options: dict[str, object] = {"num_beams": self.options.beams, "do_sample": False}
        prefix, first = "", 0
        if self.codes and self.options.style == "code":
            # The start and the code, which not every tokenizer takes for a mark.
            first = 2
            options["forced_bos_token_id"] = _tell(tokenizer, self.codes[source], self.codes[target], folder)
        elif self.codes:
            prefix = f"<2{self.codes[target]}> "
        encoded: list[list[int]] = tokenizer([prefix + sentence for sentence in sentences])["input_ids"]
        lengths = [len(ids) for ids in encoded]
        found: list[str | None] = [None] * len(sentences)
        for places in batches(lengths, self.options.batch_tokens):
            short = [place for place in places if lengths[place] <= self.options.max_tokens]
            if not short:
                continue
            padded = tokenizer.pad({"input_ids": [encoded[place] for place in short]}, return_tensors="pt")
            with torch.inference_mode():
                made = model.generate(
                    **padded.to(model.device), **options, max_new_tokens=self.options.max_tokens, max_length=None
                )
            texts = tokenizer.batch_decode(made[:, first:], skip_special_tokens=True)
            ended = made.shape[1] <= self.options.max_tokens  # the first token is the start
            for place, text, tokens in zip(short, texts, made, strict=True):
                if ended or int(tokens[-1]) == tokenizer.pad_token_id:
                    found[place] = cast("str", text)
        return found

    def _load(self, folder: Path) -> tuple[Any, Any]:
        if folder not in self._loaded:
            import torch
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

            try:
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
                model = AutoModelForSeq2SeqLM.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
                )
            except (OSError, ValueError, KeyError, ImportError) as error:
                first = str(error).strip().partition("\n")[0]
                raise UserError(f"the model cannot be loaded: {first}", file=str(folder)) from error
            model.to(torch.device(self.device)).eval()
            self._loaded[folder] = (tokenizer, model)
        return self._loaded[folder]


def _tell(tokenizer: Any, source: str, target: str, folder: Path) -> int:
    """Tell the tokenizer the source; the token with which translations into the target begin. UserError where the model
    does not know one of them."""
    codes = source, target
    if hasattr(tokenizer, "lang_code_to_token"):  # M2M100 is told `fr`, and its token is `__fr__`
        codes = source.strip("_"), target.strip("_")
    found = [_token(tokenizer, code) for code in codes]
    for code, token in zip(codes, found, strict=True):
        if token is None or token == tokenizer.unk_token_id:
            raise UserError(f"the model does not know the language code {code!r}", file=str(folder))
    tokenizer.src_lang = codes[0]
    return int(found[1])


def _token(tokenizer: Any, code: str) -> Any:
    tokens = getattr(tokenizer, "lang_code_to_token", None)
    return tokenizer.convert_tokens_to_ids(code if tokens is None else tokens.get(code, code))
