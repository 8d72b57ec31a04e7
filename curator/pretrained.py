"""Models of the Hugging Face layout, read from a folder: `config.json`, `model.safetensors`, `tokenizer.json`.

Nothing in a folder is run: weights in pickle and models that bring code are refused, and the tokenizer is data. Nothing
is fetched. Weights may be in one file or in several with an index.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from blake3 import blake3
from pydantic import Field, field_validator

from curator.errors import UserError
from curator.language.tags import checked_list_languages
from curator.stage import Parameters, Requirement, Resources

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import nn

PACKAGES: Final = ("torch", "transformers", "tokenizers", "safetensors")
Device = Literal["auto", "cpu", "cuda"]
Task = Literal["ForTokenClassification", "ForSequenceClassification", "Model"]
"""The end of the name of a model's architecture; `Model` has no head, and gives a vector for each token."""
_CONFIG: Final = "config.json"
_TOKENIZER: Final = "tokenizer.json"
_WEIGHTS: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MAX_TOKENS: Final = 512
"""For a model that does not say how many it takes."""


class PretrainedParameters(Parameters):
    """A model in a folder, and the languages that it was made for."""

    path: Path = Field(description="Folder of the model: `config.json`, `model.safetensors`, `tokenizer.json`.")
    languages: tuple[str, ...] = Field(min_length=1, description="Languages whose documents the model reads.")
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")

    @field_validator("languages")
    @classmethod
    def _list_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return checked_list_languages(languages)

    def resources(self) -> Resources:
        """What a task with the model needs. A GPU is asked for where the recipe says so, not where one happens to
        be."""
        return Resources(
            memory_bytes=sum(file.stat().st_size for file in self.path.glob("*.safetensors")),
            num_gpus=1.0 if self.device == "cuda" else 0.0,
            holds_model=True,
        )


class PretrainedFolder:
    """A folder with a model for a task."""

    def __init__(self, path: Path, task: Task, device: Device = "auto") -> None:
        self.path = path
        self.task = task
        self.device = device

    def requirement(self, problem: str | None = None) -> Requirement:
        """The model by the BLAKE3 of its files, or what is wrong: with the folder, else the `problem` that the caller
        found."""
        problem = self.problem() or problem
        identity = "" if problem else _identity(tuple((file, file.stat().st_mtime_ns) for file in self._files()))
        return Requirement("model", self.path.name, identity, problem)

    def problem(self) -> str | None:
        """Why the model cannot be loaded, None when it can; looked at without loading it."""
        missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
        if missing:
            return f"needs {', '.join(missing)}: install the extra transformers"
        if not self.path.is_dir():
            return f"the folder {self.path} does not exist"
        if not (self.path / _WEIGHTS).is_file() and not (self.path / _INDEX).is_file():
            pickled = sorted(file.name for pattern in _PICKLES for file in self.path.glob(pattern))
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
        return self._problem_of(config) or self._damage() or self._problem_of_device()

    @cached_property
    def config(self) -> Mapping[str, object]:
        """`config.json`, {} where it is not there or no JSON object."""
        try:
            config = json.loads((self.path / _CONFIG).read_bytes())
        except (OSError, ValueError):
            return {}
        return config if isinstance(config, dict) else {}

    @property
    def labels(self) -> dict[int, str]:
        """The labels of the model by number; {} where the configuration names none."""
        labels = self.config.get("id2label")
        pairs = labels.items() if isinstance(labels, dict) else ()
        return {int(key): str(label) for key, label in pairs if str(key).isdecimal()}

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads at a time."""
        positions = self.config.get("max_position_embeddings")
        most = positions if isinstance(positions, int) and positions > 0 else _MAX_TOKENS
        padding = self.config.get("pad_token_id")
        # RoBERTa and its heirs count positions from the padding token's number on.
        offset = padding + 1 if "roberta" in str(self.config.get("model_type")) and isinstance(padding, int) else 0
        return min(most - offset, _MAX_TOKENS)

    @property
    def padding(self) -> int:
        """The token that fills up short rows."""
        padding = self.config.get("pad_token_id")
        return padding if isinstance(padding, int) else 0

    def tokenizer(self, max_tokens: int, stride: int) -> Tokenizer:
        """The tokenizer, which cuts a text into windows of `max_tokens` that overlap by `stride`."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.path / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens, stride=stride)
        return tokenizer

    def load(self, stage: str) -> nn.Module:
        """The model, ready to judge, on a GPU where there is one and `device` allows it. UserError if weights are
        missing or of another shape."""
        import torch
        from transformers.utils.logging import disable_progress_bar

        where = "cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu"
        disable_progress_bar()  # type: ignore[no-untyped-call]  # the library has no types here
        model, loading = self._auto_class().from_pretrained(
            self.path, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        if loading["missing_keys"] or loading["mismatched_keys"]:
            missing = ", ".join(sorted(map(str, loading["missing_keys"]))[:3]) or "weights of another shape"
            raise UserError(
                f"the model {self.path.name} is not complete: {missing}",
                stage=stage,
                hint="save it again with `save_pretrained`",
            )
        loaded: nn.Module = model.to(torch.device(where)).eval()
        return loaded

    @staticmethod
    def device_of(model: nn.Module) -> torch.device:
        """Where a loaded model runs."""
        return next(model.parameters()).device

    def _auto_class(self) -> Any:
        from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

        if self.task == "ForTokenClassification":
            return AutoModelForTokenClassification
        return AutoModel if self.task == "Model" else AutoModelForSequenceClassification

    def _files(self) -> list[Path]:
        return [self.path / _CONFIG, self.path / _TOKENIZER, *sorted(self.path.glob("*.safetensors*"))]

    def _problem_of(self, config: dict[str, object]) -> str | None:
        if "auto_map" in config:
            return "brings code of its own, which is not run"
        architectures = config.get("architectures")
        names = [str(name) for name in architectures] if isinstance(architectures, list) else []
        if not any(name.endswith(self.task) for name in names):
            return f"is for another task ({', '.join(names) or 'none named'}); expected is a model …{self.task}"
        return None

    def _problem_of_device(self) -> str | None:
        if self.device != "cuda":
            return None
        import torch

        return None if torch.cuda.is_available() else "device: cuda, and there is no GPU here (auto takes one)"

    def _damage(self) -> str | None:
        from safetensors import SafetensorError, safe_open

        for file in sorted(self.path.glob("*.safetensors")):
            try:
                with safe_open(file, framework="np"):
                    pass
            except SafetensorError:
                return f"{file.name} is damaged or no safetensors file"
        return None


@lru_cache(maxsize=8)
def _identity(files: tuple[tuple[Path, int], ...]) -> str:
    """BLAKE3 of the names and bytes of files; the times only tell when to read them again."""
    whole = blake3()
    for path, _ in files:
        part = blake3().update_mmap(path)
        whole.update(f"{path.name} {part.hexdigest()}\n".encode())
    return str(whole.hexdigest())
