"""The configuration of a training: frozen, and strict about names. Nothing here imports torch.

One dial sets the size of the model (`model.size`, or `model.depth`); `model/config.py` derives the rest, and every
derived value can be given instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curator.configuration import read_configuration
from curator.errors import UserError
from curator.validation import first_problem, misspelling

MOST = 1 << 20
"""Of a width, or of what a batch has: no machine can hold more, and products of these do not overflow."""

Parallel = Literal["data", "fsdp", "experts"]
"""How several processes share a model."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AttentionSection(_Strict):
    """What a token attends to: tokens of its own document, never later ones."""

    pattern: Literal["dense", "window", "block_sparse"] = Field(
        "dense", description="all earlier tokens; the last `window`; or local blocks and every `stride`-th block"
    )
    window: int = Field(256, ge=1, description="tokens that a token sees, itself included")
    block: int = Field(64, ge=1, description="tokens of a block of block_sparse")
    local: int = Field(4, ge=1, description="blocks that a token sees before and with its own")
    stride: int = Field(4, ge=1, description="beyond those, each stride-th block")


class ModelSection(_Strict):
    """The shape of the model. What is null is derived from `size` or `depth`."""

    size: Literal["tiny", "small", "base"] = Field("tiny", description="a depth of 4, 8 or 16")
    depth: int | None = Field(None, ge=1, le=128, description="layers; instead of size")
    width: int | None = Field(None, ge=8, le=MOST, description="width of the residual stream; 64 a layer")
    heads: int | None = Field(None, ge=1, le=MOST, description="query heads; one for each 64 of the width")
    key_value_heads: int | None = Field(
        None, ge=1, le=MOST, description="heads of keys and values; half the query heads"
    )
    experts: int = Field(8, ge=1, le=128, description="experts of a layer")
    experts_per_token: int = Field(2, ge=1, description="experts that a token goes to")
    expert_width: int | None = Field(None, ge=8, le=MOST, description="inner width of an expert; twice the width")
    shared_expert_width: int = Field(
        0, ge=0, le=MOST, description="inner width of an expert that all tokens go to; 0: none"
    )
    router: Literal["softmax", "sigmoid"] = Field("softmax", description="how router logits become probabilities")
    attention: AttentionSection = AttentionSection()
    rope_base: float = Field(10_000.0, gt=1, description="base of the rotary embedding")
    norm_epsilon: float = Field(1e-5, gt=0, description="epsilon of RMSNorm")


class DataSection(_Strict):
    """What is trained on, and in which order."""

    sequence: int = Field(256, ge=2, le=MOST, description="tokens of a sequence")
    batch: int = Field(8, ge=1, le=MOST, description="sequences of a step, over all ranks and accumulated parts")
    weights: tuple[float, ...] = Field((), description="share of tokens of each run, in their order; empty: by size")
    languages: tuple[str, ...] = Field((), description="only documents of these tags; empty: all")
    validation_share: float = Field(0.01, ge=0, lt=1, description="share of documents kept for validation")
    window_bytes: int = Field(64 << 20, gt=0, description="bytes of text that are shuffled together")
    threads: int = Field(1, ge=1, le=64, description="threads that tokenise")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the order")


class OptimizerSection(_Strict):
    """How parameters follow gradients."""

    name: Literal["adamw", "lion", "hybrid", "muon"] = Field(
        "adamw",
        description="hybrid: AdamW, and Lion in steps whose gradient norm is above switch_norm; muon: Muon for hidden "
        "matrices, AdamW for the rest",
    )
    learning_rate: float = Field(1e-3, gt=0, description="the highest, after the warm-up")
    weight_decay: float = Field(0.1, ge=0, description="of matrices; norms have none")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the mean of gradients")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's decay of the mean of their squares")
    epsilon: float = Field(1e-8, gt=0, description="what AdamW adds to the root of that")
    clip_norm: float = Field(1.0, gt=0, description="the gradient is scaled down to this norm")
    lion_beta1: float = Field(0.9, ge=0, lt=1, description="Lion's share of the mean in the sign")
    lion_beta2: float = Field(0.99, ge=0, lt=1, description="Lion's decay of the mean of gradients")
    lion_rate: float = Field(0.2, gt=0, description="Lion's learning rate as a share of AdamW's")
    switch_norm: float = Field(2.0, gt=0, description="gradient norm, before clipping, above which hybrid takes Lion")
    muon_momentum: float = Field(0.95, ge=0, lt=1, description="Muon's decay of the mean of gradients")


class ScheduleSection(_Strict):
    """The learning rate over steps: a linear warm-up, then cosines that start anew."""

    warmup: int = Field(20, ge=0, description="steps of the warm-up")
    cycle: int | None = Field(None, ge=1, description="steps of the first cosine; null: all that are left")
    cycle_factor: float = Field(1.0, ge=1, description="each cosine is longer than the last by this factor")
    floor: float = Field(0.1, ge=0, le=1, description="share of the rate at the end of a cosine")


class LossSection(_Strict):
    """What is added to the loss of the next token. Each is taken over the whole batch of a step, all ranks."""

    balance: Literal["cv", "switch", "bias", "none"] = Field(
        "cv", description="squared coefficient of variation, Switch, a bias without loss, or none"
    )
    balance_weight: float = Field(0.01, ge=0, description="weight of cv or switch")
    bias_rate: float = Field(0.001, gt=0, description="step of the bias")
    router_z: float = Field(0.001, ge=0, description="weight of the router's z-loss")


class AlarmSection(_Strict):
    """When a training stops by itself."""

    divergence: float = Field(2.0, gt=1, description="loss above this many times the lowest average so far")
    divergence_steps: int = Field(20, ge=1, description="for so many steps in a row")
    dead_expert_steps: int = Field(200, ge=1, description="an expert without any token for so many steps")


class CheckpointSection(_Strict):
    """When the state is written, and how much of it is kept."""

    every: int = Field(100, ge=1, description="steps between checkpoints")
    keep_last: int = Field(2, ge=1, description="checkpoints that are kept")
    keep_best: bool = Field(True, description="keep that of the lowest validation loss as well")


class ValidationSection(_Strict):
    """How often the model is asked what it has learned."""

    every: int = Field(100, ge=1, description="steps between validations")
    sequences: int = Field(32, ge=1, description="sequences of a validation")


class TokenizerSection(_Strict):
    """The tokenizer that is trained when none is given."""

    vocabulary: int = Field(8192, ge=300, le=1 << 20, description="tokens, 256 bytes and 3 marks included")
    kind: Literal["unigram", "bpe"] = Field("bpe", description="SentencePiece's algorithm")
    alpha: float = Field(0.5, ge=0, le=1, description="exponent over the bytes of languages before sampling")
    sample_bytes: int = Field(20_000_000, ge=10_000, description="bytes of text that it is trained on")


class TrainingConfig(_Strict):
    """All of a training that is not the data and the machine."""

    steps: int = Field(1000, ge=1, description="batches to learn from")
    seconds: float | None = Field(
        None,
        gt=0,
        description="end after so many seconds of steps, if they come first; the rate follows them; null: steps alone",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the first parameters")
    accumulation: int = Field(1, ge=1, description="parts that a batch is computed in, one after the other")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of activations; bf16 and fp16 are slow on a CPU"
    )
    recompute: bool = Field(False, description="compute activations again instead of keeping them")
    parallel: Parallel = Field(
        "data",
        description="what several processes do: each has the whole model; each has a part of every parameter; or, "
        "besides, whole experts that tokens travel to",
    )
    threads: int | None = Field(None, ge=1, le=1024, description="threads that compute on the CPU; null: one a core")
    average: float | None = Field(None, gt=0, lt=1, description="decay of an average of the parameters; null: none")
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    loss: LossSection = LossSection()
    alarms: AlarmSection = AlarmSection()
    checkpoint: CheckpointSection = CheckpointSection()
    validation: ValidationSection = ValidationSection()
    tokenizer: TokenizerSection = TokenizerSection()

    @model_validator(mode="after")
    def _parts(self) -> TrainingConfig:
        if self.data.batch % self.accumulation:
            raise ValueError(f"accumulation {self.accumulation} does not divide data.batch {self.data.batch}")
        if self.model.experts_per_token > self.model.experts:
            raise ValueError("model.experts_per_token is greater than model.experts")
        return self


def load_training_config(path: Path | None, overrides: Sequence[str] = ()) -> TrainingConfig:
    """The configuration of a YAML file, or the defaults; `overrides` are `key.key=value`, the value in YAML.

    UserError names the key that is not understood.
    """
    values: object = {} if path is None else read_configuration(path, "a training configuration")
    if not isinstance(values, dict):
        raise UserError("is not a mapping", file=str(path), hint="expected keys such as steps and model")
    for override in overrides:
        key, found, text = override.partition("=")
        if not found:
            raise UserError(f"cannot use --set {override}", hint="expected KEY=VALUE, such as model.size=small")
        _set(values, key.split("."), text, override)
    return parse_training_config(values, None if path is None else str(path), overrides)


def parse_training_config(values: object, file: str | None = None, overrides: Sequence[str] = ()) -> TrainingConfig:
    """The configuration that these values are. UserError names the first key that is wrong, why, and where it was
    given: in the file, or by the last of the overrides that are for it."""
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        said, hint = misspelling(error, TrainingConfig) or (first_problem(error), "see docs/training.md")
        given = [each for each in overrides if _is_about(each.partition("=")[0], key, said)]
        place = f"--set {given[-1]}" if given else file
        raise UserError(said, file=place, hint=hint) from error


def dump_training_config(config: TrainingConfig) -> str:
    """The configuration as JSON, complete with defaults, the same for the same values."""
    return json.dumps(config.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def _is_about(override: str, key: str, said: str) -> bool:
    """Whether what is wrong with a key, or with all keys that an error of no key names, may be of an override."""
    if not key:
        return override in said
    return f"{key}.".startswith(f"{override}.") or f"{override}.".startswith(f"{key}.")


def _set(values: dict[str, object], keys: list[str], text: str, override: str) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UserError(f"cannot use --set {override}", hint=f"{key} has no keys below it")
        values = inner
    try:
        values[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"cannot use --set {override}", hint="the value is not YAML") from error
