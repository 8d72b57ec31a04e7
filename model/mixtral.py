"""The model in the layout of Hugging Face's Mixtral (Jiang et al. 2024, https://arxiv.org/abs/2401.04088), both ways.

Names and shapes are those of the published checkpoints: `w1` is the gate, `w3` up and `w2` down, each [out, in]. What
Mixtral has no word for is refused by name: a shared expert, a sigmoid router, a router bias, block-sparse attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from curator.errors import DataError, UserError
from model.config import AttentionPattern, ModelConfig

_NORMS = {"attention_norm_D": "input_layernorm", "experts_norm_D": "post_attention_layernorm"}
_OUTER = {"embedding_VD": "model.embed_tokens.weight", "norm_D": "model.norm.weight", "head_VD": "lm_head.weight"}


def refuse_what_does_not_map(shape: ModelConfig) -> None:
    """UserError that names what Mixtral does not have."""
    foreign = {
        "a shared expert (model.shared_expert_width)": shape.shared_expert_width > 0,
        "a sigmoid router (model.router)": shape.router != "softmax",
        "a router bias (loss.balance: bias)": shape.router_bias,
        "block-sparse attention (model.attention.pattern)": shape.pattern.kind == "block_sparse",
    }
    found = [what for what, has in foreign.items() if has]
    if found:
        raise UserError(f"this does not map on Mixtral: {', '.join(found)}", hint="train a model without, to export it")


def mixtral_config(shape: ModelConfig, positions: int, begin: int, end: int) -> dict[str, object]:
    """What `config.json` says; `positions` is the length that the model was trained for."""
    refuse_what_does_not_map(shape)
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.expert_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_width,
        "hidden_act": "silu",
        "num_local_experts": shape.experts,
        "num_experts_per_tok": shape.experts_per_token,
        "max_position_embeddings": positions,
        "rms_norm_eps": shape.norm_epsilon,
        # Versions of transformers before 5 read the first, later ones the second.
        "rope_theta": shape.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_base},
        "sliding_window": shape.pattern.window if shape.pattern.kind == "window" else None,
        "tie_word_embeddings": False,
        "attention_dropout": 0.0,
        "bos_token_id": begin,
        "eos_token_id": end,
        "torch_dtype": "float32",
    }


def shape_of(config: Mapping[str, object]) -> ModelConfig:
    """The shape that a `config.json` of Mixtral means. UserError names what this model does not have."""
    if config.get("model_type") != "mixtral":
        raise UserError(f"is a model of type {config.get('model_type')}", hint="only mixtral can be imported")
    rope = config.get("rope_parameters")
    rope = rope if isinstance(rope, dict) else {}
    kind = rope.get("rope_type", "default")
    heads, width = number_of(config, "num_attention_heads"), number_of(config, "hidden_size")
    for what, foreign in (
        (f"hidden_act {config.get('hidden_act')}", config.get("hidden_act", "silu") != "silu"),
        (f"rope_type {kind}", kind != "default" or config.get("rope_scaling") is not None),
        ("tied embeddings", bool(config.get("tie_word_embeddings", False))),
    ):
        if foreign:
            raise UserError(f"has {what}, which this model does not", hint="it cannot be imported")
    window = None if config.get("sliding_window") is None else number_of(config, "sliding_window")
    return ModelConfig(
        vocabulary=number_of(config, "vocab_size"),
        layers=number_of(config, "num_hidden_layers"),
        width=width,
        heads=heads,
        key_value_heads=number_of(config, "num_key_value_heads"),
        head_width=number_of(config, "head_dim") if config.get("head_dim") else width // heads,
        experts=number_of(config, "num_local_experts"),
        experts_per_token=number_of(config, "num_experts_per_tok"),
        expert_width=number_of(config, "intermediate_size"),
        pattern=AttentionPattern() if window is None else AttentionPattern("window", window=window),
        rope_base=_float(rope if "rope_theta" in rope else config, "rope_theta", 10_000.0),
        norm_epsilon=_float(config, "rms_norm_eps", 1e-5),
    )


def to_mixtral(state: Mapping[str, Tensor], shape: ModelConfig) -> dict[str, Tensor]:
    """Parameters under Mixtral's names and in its layout, one tensor for each expert."""
    refuse_what_does_not_map(shape)
    found = {theirs: state[ours] for ours, theirs in _OUTER.items()}
    splits = [width * shape.head_width for width in (shape.heads, shape.key_value_heads, shape.key_value_heads)]
    for layer in range(shape.layers):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        for norm, name in _NORMS.items():
            found[f"{theirs}.{name}.weight"] = state[f"{ours}.{norm}"]
        packed = torch.split(state[f"{ours}.attention.query_key_value_CD"], splits)
        for name, tensor in zip("qkv", packed, strict=True):
            found[f"{theirs}.self_attn.{name}_proj.weight"] = tensor
        found[f"{theirs}.self_attn.o_proj.weight"] = state[f"{ours}.attention.output_DC"]
        found[f"{theirs}.block_sparse_moe.gate.weight"] = state[f"{ours}.experts.router_ED"]
        gate, up = state[f"{ours}.experts.gate_up_EDG"].chunk(2, dim=2)
        for expert in range(shape.experts):
            prefix = f"{theirs}.block_sparse_moe.experts.{expert}"
            found[f"{prefix}.w1.weight"] = gate[expert].T
            found[f"{prefix}.w3.weight"] = up[expert].T
            found[f"{prefix}.w2.weight"] = state[f"{ours}.experts.down_EFD"][expert].T
    return {name: tensor.contiguous() for name, tensor in found.items()}


def from_mixtral(tensors: Mapping[str, Tensor], shape: ModelConfig) -> dict[str, Tensor]:
    """Parameters under our names, in float32. DataError when one is missing."""

    def take(name: str) -> Tensor:
        if name not in tensors:
            raise DataError(f"lacks {name}", hint="expected a checkpoint of Mixtral with one tensor for each expert")
        return tensors[name].to(torch.float32)

    found = {ours: take(theirs) for ours, theirs in _OUTER.items()}
    for layer in range(shape.layers):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        for norm, name in _NORMS.items():
            found[f"{ours}.{norm}"] = take(f"{theirs}.{name}.weight")
        packed = [take(f"{theirs}.self_attn.{name}_proj.weight") for name in "qkv"]
        found[f"{ours}.attention.query_key_value_CD"] = torch.cat(packed)
        found[f"{ours}.attention.output_DC"] = take(f"{theirs}.self_attn.o_proj.weight")
        found[f"{ours}.experts.router_ED"] = take(f"{theirs}.block_sparse_moe.gate.weight")
        prefixes = [f"{theirs}.block_sparse_moe.experts.{expert}" for expert in range(shape.experts)]
        gate_up = [torch.cat([take(f"{prefix}.{name}.weight").T for name in ("w1", "w3")], 1) for prefix in prefixes]
        found[f"{ours}.experts.gate_up_EDG"] = torch.stack(gate_up)
        found[f"{ours}.experts.down_EFD"] = torch.stack([take(f"{prefix}.w2.weight").T for prefix in prefixes])
    return found


def number_of(config: Mapping[str, object], name: str, default: int | None = None) -> int:
    """A whole number of a `config.json`. DataError when it has none and there is no default."""
    value = default if config.get(name) is None else config[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DataError(f"config.json has no whole number {name}", hint="is this a model of Mixtral?")
    return value


def _float(config: Mapping[str, object], name: str, default: float) -> float:
    value = config.get(name, default)
    if not isinstance(value, int | float) or not value > 0:
        raise DataError(f"config.json has no number {name} above 0", hint="is this a model of Mixtral?")
    return float(value)
