"""A sequence classifier of the Hugging Face layout, read from a folder: the probability that a text is abusive.

What the folder must have and what is refused is in `curator.pretrained`. Which of the model's labels stand for abuse
says the recipe, since they mean something else in each model. Its probability is the model's own, not calibrated here.
A text is read in windows that overlap; the worst and the mean over windows are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydantic import Field

from curator.pretrained import PretrainedFolder, PretrainedParameters
from stages.toxicity.classifier import Judgement

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer
    from torch import Tensor, nn

    from curator.stage import Requirement

_OVERLAP: Final = 4
"""An nth of a window is read twice."""
_BATCH: Final = 32
"""Windows that are judged at a time, the longest first, so that little is padded."""


class NeuralParameters(PretrainedParameters):
    """A sequence classifier, and the languages that it was made for."""

    labels: tuple[str, ...] = Field(min_length=1, description="Labels of the model that stand for abuse.")
    outputs: Literal["auto", "one-of", "any-of"] = Field(
        default="auto",
        description="one-of: its labels exclude each other (softmax), any-of: each is judged by itself (sigmoid),"
        " auto: as its configuration says.",
    )
    threshold: float = Field(default=0.7, gt=0, le=1, description="Probability from which a document falls.")
    min_mean: float = Field(
        default=0.3, ge=0, le=1, description="Mean probability under which the worst window does not decide."
    )
    window_tokens: int = Field(
        default=128, ge=16, le=512, description="Tokens of a window; fewer where the model takes fewer."
    )

    def folder(self) -> PretrainedFolder:
        """The folder of the model."""
        return PretrainedFolder(self.path, "ForSequenceClassification", self.device)

    def requirement(self) -> Requirement:
        """The model by the BLAKE3 of its files, and what is wrong with it."""
        folder = self.folder()
        return folder.requirement(self._problem(folder))

    def _problem(self, folder: PretrainedFolder) -> str | None:
        known = list(folder.labels.values())
        unknown = [label for label in self.labels if label not in known]
        if unknown:
            return f"has no label {', '.join(unknown)}; it has {', '.join(known) or 'none'}: name those of abuse"
        if folder.config.get("problem_type") == "regression":
            return "gives a number that is no probability (regression); expected is a classifier"
        if len(known) == 1 and self.outputs == "one-of":
            return f"has one label, {known[0]}, which would always be taken: outputs: any-of"
        if set(self.labels) == set(known) and len(known) > 1 and not _any_of(folder, self.outputs):
            return f"has no label but {', '.join(known)}: if all stand for abuse, every text has it"
        return None


def _any_of(folder: PretrainedFolder, outputs: str) -> bool:
    if outputs == "auto":
        return len(folder.labels) == 1 or folder.config.get("problem_type") == "multi_label_classification"
    return outputs == "any-of"


class NeuralClassifier:
    """A loaded model. Its folder has passed `NeuralParameters.requirement`."""

    def __init__(self, parameters: NeuralParameters) -> None:
        self._parameters = parameters
        self._folder = parameters.folder()
        self.languages = frozenset(parameters.languages)

    def judge(self, texts: Sequence[str]) -> Judgement:
        """The worst window and the mean over windows of each text; NaN for a text without tokens."""
        windows: list[tuple[int, Encoding]] = []
        for index, text in enumerate(texts):
            encoding = self._tokenizer.encode(text)
            if any(not special for special in encoding.special_tokens_mask):
                windows += [(index, part) for part in (encoding, *encoding.overflowing)]
        places = sorted(range(len(windows)), key=lambda place: -len(windows[place][1].ids))
        probabilities = np.zeros(len(windows))
        for first in range(0, len(places), _BATCH):
            some = places[first : first + _BATCH]
            probabilities[some] = self._probabilities([windows[place][1] for place in some])
        owners = np.array([index for index, _ in windows], dtype=np.int64)
        sizes = np.bincount(owners, minlength=len(texts))
        worst = np.full(len(texts), -np.inf)
        np.maximum.at(worst, owners, probabilities)
        mean = np.bincount(owners, weights=probabilities, minlength=len(texts)) / np.maximum(sizes, 1)
        return Judgement(np.where(sizes == 0, np.nan, worst), np.where(sizes == 0, np.nan, mean))

    def _probabilities(self, windows: Sequence[Encoding]) -> NDArray[np.float64]:
        import torch

        model, padding = self._model, self._folder.padding
        size = max(len(window.ids) for window in windows)
        rows = [window.ids + [padding] * (size - len(window.ids)) for window in windows]
        masks = [[1] * len(window.ids) + [0] * (size - len(window.ids)) for window in windows]
        tokens, mask = (torch.tensor(values, device=self._folder.device_of(model)) for values in (rows, masks))
        with torch.inference_mode():
            logits: Tensor = model(input_ids=tokens, attention_mask=mask).logits.double()
        chosen = [number for number, label in self._folder.labels.items() if label in self._parameters.labels]
        if _any_of(self._folder, self._parameters.outputs):
            found = torch.sigmoid(logits)[:, chosen].amax(dim=1)
        else:
            found = torch.softmax(logits, dim=1)[:, chosen].sum(dim=1)
        return np.asarray(found.cpu().numpy(), dtype=np.float64)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokens = min(self._parameters.window_tokens, self._folder.max_tokens)
        return self._folder.tokenizer(tokens, tokens // _OVERLAP)

    @cached_property
    def _model(self) -> nn.Module:
        return self._folder.load("toxicity")
