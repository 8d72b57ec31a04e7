"""From a training configuration to the shape of a model: what is not given is derived from the depth."""

from __future__ import annotations

from curator.errors import UserError
from curator.training import AttentionSection, TrainingConfig
from model.config import DEPTHS, EXPERT_FACTOR, HEAD_WIDTH, WIDTH_PER_LAYER, AttentionPattern, ModelConfig


def model_config(config: TrainingConfig, vocabulary: int) -> ModelConfig:
    """The shape that a configuration means, for a tokenizer of `vocabulary` tokens. UserError where it does not fit."""
    section = config.model
    layers = section.depth or DEPTHS[section.size]
    width = section.width or WIDTH_PER_LAYER * layers
    heads = section.heads or max(1, width // HEAD_WIDTH)
    if width % heads:
        raise UserError(f"a width of {width} cannot be cut into {heads} heads", hint="give model.heads a divisor")
    return ModelConfig(
        vocabulary=vocabulary,
        layers=layers,
        width=width,
        heads=heads,
        key_value_heads=section.key_value_heads or (heads // 2 if heads % 2 == 0 else heads),
        head_width=width // heads,
        experts=section.experts,
        experts_per_token=section.experts_per_token,
        expert_width=section.expert_width or EXPERT_FACTOR * width,
        shared_expert_width=section.shared_expert_width,
        router=section.router,
        router_bias=config.loss.balance == "bias",
        pattern=_pattern(section.attention),
        rope_base=section.rope_base,
        norm_epsilon=section.norm_epsilon,
    )


def _pattern(section: AttentionSection) -> AttentionPattern:
    if section.pattern == "window":
        return AttentionPattern("window", window=section.window)
    if section.pattern == "block_sparse":
        return AttentionPattern("block_sparse", block=section.block, local=section.local, stride=section.stride)
    return AttentionPattern()


def describe_shape(shape: ModelConfig) -> str:
    """The shape in one line, for people."""
    shared = f", a shared expert of {shape.shared_expert_width}" if shape.shared_expert_width else ""
    layers = "1 layer" if shape.layers == 1 else f"{shape.layers} layers"
    return (
        f"{layers} of width {shape.width}, {shape.heads} query and {shape.key_value_heads} key/value "
        f"heads of {shape.head_width}, {shape.experts_per_token} of {shape.experts} experts of {shape.expert_width}"
        f"{shared}, {shape.pattern.kind} attention, {shape.vocabulary:,} tokens: "
        f"{shape.parameters / 1e6:.1f} M parameters, {shape.active_parameters / 1e6:.1f} M of them active"
    )
