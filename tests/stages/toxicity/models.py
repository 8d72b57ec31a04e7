"""A tiny sequence classifier whose answers are known: it finds the word `bad`."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "bad", "rude", "good", "day")
MEANINGS = {"bad": 1, "rude": 2}
"""The dimension that says so."""


def save_classifier(path: Path, labels: tuple[str, ...]) -> Path:
    """A BERT of one layer whose attention is the mean over words. Label i stands for dimension i, or 1 if alone."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=64,
        pad_token_id=0,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        weights = dict(model.named_parameters())
        for place, word in enumerate(WORDS):
            weights["bert.embeddings.word_embeddings.weight"][place, MEANINGS.get(word, 0)] = 1.0
        weights["bert.encoder.layer.0.attention.self.value.weight"].copy_(torch.eye(8) * 100)
        weights["bert.encoder.layer.0.attention.output.dense.weight"].copy_(torch.eye(8))
        weights["bert.pooler.dense.weight"].copy_(torch.eye(8))
        for number in range(len(labels)):
            dimension = 1 if len(labels) == 1 else number
            weights["classifier.weight"][number, dimension] = 20.0 if dimension else 0.0
    model.save_pretrained(path)
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(WORDS)}, unk_token=WORDS[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def changed(folder: Path, target: Path, **config: object) -> Path:
    """A copy of the folder with other values in its `config.json`."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    values = json.loads((folder / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**values, **config}))
    return target
