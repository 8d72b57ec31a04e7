"""Names of persons by a token classifier of the Hugging Face layout, read from a folder.

The folder has `config.json`, `model.safetensors` (or an index of several) and `tokenizer.json`. Nothing in it is run:
weights in pickle and models that bring code are refused, and the tokenizer is data. A text longer than the model takes
is read in windows that overlap; each word is judged in the window in which it stands further from the edge.
"""

from __future__ import annotations

import importlib.util
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3
from pydantic import Field, field_validator

from curator.errors import UserError
from curator.language.tags import list_language
from curator.stage import Parameters, Requirement

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from torch import nn

_CONFIG: Final = "config.json"
_TOKENIZER: Final = "tokenizer.json"
_WEIGHTS: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
PACKAGES: Final = ("torch", "transformers", "tokenizers", "safetensors")
_TASK: Final = "ForTokenClassification"
_SCHEMES: Final = ("B-", "I-", "E-", "S-", "L-", "U-")
"""Prefixes of the label of a word: begin, inside, end, single; last and unit in another spelling."""
_BEGINS: Final = ("B-", "S-", "U-")
_MAX_TOKENS: Final = 512
"""For a model that does not say how many it takes."""
_OVERLAP: Final = 4
"""An nth of a window is read twice."""
_BATCH: Final = 16
"""Windows that are judged at a time, the longest first, so that little is padded."""


class NerParameters(Parameters):
    """A model for names, and the languages that it was made for."""

    path: Path = Field(
        description="Folder of a token classifier: `config.json`, `model.safetensors`, `tokenizer.json`."
    )
    languages: tuple[str, ...] = Field(min_length=1, description="Languages whose documents the model reads.")
    labels: tuple[str, ...] = Field(
        ("PER", "PERSON"),
        min_length=1,
        description="Labels of a person, without `B-` and `I-`; the model must have one.",
    )

    @field_validator("languages")
    @classmethod
    def _list_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        for language in languages:
            if list_language(language) != language:
                raise ValueError(f"{language!r}: expected a language as lists have it: {list_language(language)!r}")
        return languages

    def requirement(self) -> Requirement:
        """The model by the BLAKE3 of its files, and what is wrong with it."""
        missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
        if missing:
            return Requirement(
                "model", self.path.name, "", f"needs {', '.join(missing)}: install the extra transformers"
            )
        problem = self._problem()
        identity = "" if problem else _identity(tuple((file, file.stat().st_mtime_ns) for file in self._files()))
        return Requirement("model", self.path.name, identity, problem)

    def _files(self) -> list[Path]:
        return [self.path / _CONFIG, self.path / _TOKENIZER, *sorted(self.path.glob("*.safetensors*"))]

    def _problem(self) -> str | None:
        if not self.path.is_dir():
            return f"the folder {self.path} does not exist"
        if not (self.path / _WEIGHTS).is_file() and not (self.path / _INDEX).is_file():
            pickled = sorted(path.name for path in self.path.glob("*.bin")) + sorted(
                path.name for path in self.path.glob("*.pt")
            )
            found = f", only {pickled[0]}, which is pickle and could run code: convert it" if pickled else ""
            return f"has no {_WEIGHTS}{found}"
        if not (self.path / _TOKENIZER).is_file():
            return f"has no {_TOKENIZER}; `AutoTokenizer.from_pretrained(…).save_pretrained(…)` writes one"
        try:
            config = json.loads((self.path / _CONFIG).read_bytes())
        except OSError as error:
            return f"{_CONFIG} cannot be read: {error.strerror}"
        except ValueError:
            return f"{_CONFIG} is not JSON"
        if not isinstance(config, dict):
            return f"{_CONFIG} is not an object"
        return self._problem_of(config) or self._damage()

    def _damage(self) -> str | None:
        from safetensors import SafetensorError, safe_open

        for file in sorted(self.path.glob("*.safetensors")):
            try:
                with safe_open(file, framework="np"):
                    pass
            except SafetensorError:
                return f"{file.name} is damaged or no safetensors file"
        return None

    def _problem_of(self, config: dict[str, object]) -> str | None:
        if "auto_map" in config:
            return "brings code of its own, which is not run"
        architectures = config.get("architectures")
        names = [str(name) for name in architectures] if isinstance(architectures, list) else []
        if not any(name.endswith(_TASK) for name in names):
            return f"is for another task ({', '.join(names) or 'none named'}); expected is a model …{_TASK}"
        labels = config.get("id2label")
        known = sorted({_entity(str(label)) for label in labels.values()}) if isinstance(labels, dict) else []
        if not set(known) & set(self.labels):
            return f"has none of the labels {', '.join(self.labels)}; it has {', '.join(known) or 'none'}: name its own"
        return None


def weights_bytes(path: Path) -> int:
    """Bytes of the weights in a folder, 0 where there are none."""
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))


@lru_cache(maxsize=8)
def _identity(files: tuple[tuple[Path, int], ...]) -> str:
    """BLAKE3 of the names and bytes of files; the times only tell when to read them again."""
    whole = blake3()
    for path, _ in files:
        part = blake3().update_mmap(path)
        whole.update(f"{path.name} {part.hexdigest()}\n".encode())
    return str(whole.hexdigest())


def _entity(label: str) -> str:
    """A label without the prefix of its scheme."""
    return label[2:] if label.startswith(_SCHEMES) else label


@dataclass(frozen=True)
class _Window:
    """A stretch of a text as the model reads it, and the characters for which it is asked (half-open)."""

    text: int
    encoding: Encoding
    begin: int
    end: int


class NameModel:
    """A loaded model. Its folder has passed `NerParameters.requirement`."""

    def __init__(self, parameters: NerParameters) -> None:
        self.parameters = parameters

    def find(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """For each text the names in it: (begin, end) in code points, ascending, without overlaps."""
        windows = [window for index, text in enumerate(texts) for window in self._windows(index, text)]
        words: list[list[tuple[int, int, str]]] = [[] for _ in texts]
        longest_first = sorted(range(len(windows)), key=lambda place: -len(windows[place].encoding.ids))
        judged: dict[int, list[tuple[int, int, str]]] = {}
        for first in range(0, len(windows), _BATCH):
            places = longest_first[first : first + _BATCH]
            for place, labels in zip(places, self._labels([windows[place] for place in places]), strict=True):
                judged[place] = list(_words(windows[place], labels))
        for place, window in enumerate(windows):
            words[window.text].extend(judged[place])
        return [list(self._names(text, found)) for text, found in zip(texts, words, strict=True)]

    def _windows(self, index: int, text: str) -> Iterator[_Window]:
        encoding = self._tokenizer.encode(text)
        parts = [encoding, *encoding.overflowing]
        begins = [_first_place(part, self._stride // 2 if number else 0) for number, part in enumerate(parts)]
        begins[0] = 0
        for part, begin, end in zip(parts, begins, [*begins[1:], len(text)], strict=True):
            yield _Window(index, part, begin, end)

    def _labels(self, windows: Sequence[_Window]) -> list[list[str]]:
        """The label of each token of each window."""
        import torch

        size = max(len(window.encoding.ids) for window in windows)
        rows = [window.encoding.ids + [self._padding] * (size - len(window.encoding.ids)) for window in windows]
        masks = [[1] * len(window.encoding.ids) + [0] * (size - len(window.encoding.ids)) for window in windows]
        with torch.inference_mode():
            logits = self._model(input_ids=torch.tensor(rows), attention_mask=torch.tensor(masks)).logits
        best = logits.argmax(dim=-1).tolist()
        return [
            [self._label_of[label] for label in row[: len(window.encoding.ids)]]
            for row, window in zip(best, windows, strict=True)
        ]

    def _names(self, text: str, words: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
        """Words of persons, those of one person joined."""
        wanted = self.parameters.labels
        begin = end = -1
        for low, high, label in words:
            if _entity(label) not in wanted:
                continue
            between = text[end:low] if end >= 0 else ""
            if end >= 0 and len(between) <= 2 and not between.strip(" -'.\u2019") and not label.startswith(_BEGINS):
                end = high
                continue
            yield from _trimmed(text, begin, end)
            begin, end = low, high
        yield from _trimmed(text, begin, end)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.parameters.path / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._max_tokens, stride=self._stride)
        return tokenizer

    @cached_property
    def _config(self) -> dict[str, object]:
        config: dict[str, object] = json.loads((self.parameters.path / _CONFIG).read_bytes())
        return config

    @property
    def _max_tokens(self) -> int:
        positions = self._config.get("max_position_embeddings")
        most = positions if isinstance(positions, int) and positions > 0 else _MAX_TOKENS
        padding = self._config.get("pad_token_id")
        # RoBERTa and its heirs count positions from the padding token's number on.
        offset = padding + 1 if "roberta" in str(self._config.get("model_type")) and isinstance(padding, int) else 0
        return min(most - offset, _MAX_TOKENS)

    @property
    def _stride(self) -> int:
        return self._max_tokens // _OVERLAP

    @property
    def _padding(self) -> int:
        padding = self._config.get("pad_token_id")
        return padding if isinstance(padding, int) else 0

    @cached_property
    def _label_of(self) -> dict[int, str]:
        labels = self._config["id2label"]
        return {int(key): str(label) for key, label in labels.items()} if isinstance(labels, dict) else {}

    @cached_property
    def _model(self) -> nn.Module:
        from transformers import AutoModelForTokenClassification
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # the library has no types here
        path = self.parameters.path
        model, loading = AutoModelForTokenClassification.from_pretrained(
            path, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        if loading["missing_keys"] or loading["mismatched_keys"]:
            missing = ", ".join(sorted(map(str, loading["missing_keys"]))[:3]) or "weights of another shape"
            raise UserError(
                f"the model {path.name} is not complete: {missing}",
                stage="pii",
                hint="save it again with `save_pretrained`",
            )
        loaded: nn.Module = model.eval()
        return loaded


def _first_place(encoding: Encoding, token: int) -> int:
    """Where the word of a token begins, in characters of the text; special tokens, which have no place, count."""
    for (begin, end), special in list(zip(encoding.offsets, encoding.special_tokens_mask, strict=True))[token:]:
        if not special and end > begin:
            return int(begin)
    return 0


def _words(window: _Window, labels: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(begin, end, label of its first token) of each word that the window is asked for."""
    previous: int | None = None
    begin = end = 0
    kept = ""
    for word, (low, high), label in zip(window.encoding.word_ids, window.encoding.offsets, labels, strict=True):
        if word is not None and word == previous:
            end = high
            continue
        if previous is not None and window.begin <= begin < window.end:
            yield begin, end, kept
        previous, begin, end, kept = word, low, high, label
    if previous is not None and window.begin <= begin < window.end:
        yield begin, end, kept


def _trimmed(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """A span without what is no letter at its ends: words of some tokenizers have blanks and commas."""
    while begin < end and not text[begin].isalpha():
        begin += 1
    while end > begin and not (text[end - 1].isalpha() or text[end - 1].isdigit() or _is_mark(text[end - 1])):
        end -= 1
    if end > begin >= 0:
        yield begin, end


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
