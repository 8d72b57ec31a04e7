"""Tiny BERTs whose answers are known, in folders as Hugging Face lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BertConfig, PreTrainedModel

WIDTH = 8
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""What the words of every model begin with."""


def tiny_config(words: tuple[str, ...], *, layers: int, positions: int, labels: tuple[str, ...] = ()) -> BertConfig:
    """The shape of a model of one head and `WIDTH` dimensions."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=1,
        intermediate_size=WIDTH,
        max_position_embeddings=positions,
        pad_token_id=0,
        id2label=dict(enumerate(labels)) or None,
        label2id={label: number for number, label in enumerate(labels)} or None,
    )


def clear(model: PreTrainedModel) -> None:
    """Make every parameter 0, save the weights of normalisation, which are 1."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)


def save_model(path: Path, model: PreTrainedModel, words: tuple[str, ...], *, add_special_tokens: bool = True) -> Path:
    """Write a model, and a tokenizer that knows `words`: `MARKS`, whole words, and parts that begin with ##."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    model.save_pretrained(path)
    places = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(places, unk_token=MARKS[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if add_special_tokens:
        ends = (("[SEP]", places["[SEP]"]), ("[CLS]", places["[CLS]"]))
        tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def copy_model(folder: Path, target: Path, **config: object) -> Path:
    """The folder with other values in its `config.json`."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    values = json.loads((folder / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**values, **config}))
    return target
