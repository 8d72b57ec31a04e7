"""A tiny sequence classifier whose answers are known: it finds the word `bad`."""

from __future__ import annotations

from pathlib import Path

from tests.stages.bert import MARKS, WIDTH, clear, save_model, tiny_config

WORDS = (*MARKS, "bad", "rude", "good", "day")
MEANINGS = {"bad": 1, "rude": 2}
"""The dimension that says so."""


def save_classifier(path: Path, labels: tuple[str, ...]) -> Path:
    """A BERT of one layer whose attention is the mean over words. Label i stands for dimension i, or 1 if alone."""
    import torch
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification(tiny_config(WORDS, layers=1, positions=64, labels=labels))
    clear(model)
    with torch.no_grad():
        weights = dict(model.named_parameters())
        for place, word in enumerate(WORDS):
            weights["bert.embeddings.word_embeddings.weight"][place, MEANINGS.get(word, 0)] = 1.0
        weights["bert.encoder.layer.0.attention.self.value.weight"].copy_(torch.eye(WIDTH) * 100)
        weights["bert.encoder.layer.0.attention.output.dense.weight"].copy_(torch.eye(WIDTH))
        weights["bert.pooler.dense.weight"].copy_(torch.eye(WIDTH))
        for number in range(len(labels)):
            dimension = 1 if len(labels) == 1 else number
            weights["classifier.weight"][number, dimension] = 20.0 if dimension else 0.0
    return save_model(path, model, WORDS)
