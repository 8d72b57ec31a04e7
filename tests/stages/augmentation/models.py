"""A tiny Marian with random weights, made here: its translations say nothing, and are the same each time."""

from __future__ import annotations

import io
import json
from pathlib import Path

SENTENCES = [
    "Totes los èssers umans naisson liures e egals.",
    "Tous les êtres humains naissent libres et égaux.",
    "Chascun a drech a la vida, a la libertat e a la seguretat.",
    "Tout individu a droit à la vie, à la liberté et à la sûreté.",
    "Nul ne sera tenu en esclavage ni en servitude.",
    "Degun non serà tengut en esclavatge ni en servitud.",
]
ENDLESS = SENTENCES[1]


def make_marian(folder: Path, seed: int = 2) -> Path:
    """A model and its tokenizer as the Helsinki group publishes them; the folder."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    for name in ("source.spm", "target.spm"):
        written = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES * 5),
            model_writer=written,
            vocab_size=90,
            character_coverage=1.0,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / name).write_bytes(written.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(number) for number in range(3, pieces.get_piece_size())), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    tokenizer = MarianTokenizer(
        source_spm=str(folder / "source.spm"), target_spm=str(folder / "target.spm"), vocab=str(folder / "vocab.json")
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    pad = len(words) - 1
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(words),
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_position_embeddings=64,
            pad_token_id=pad,
            decoder_start_token_id=pad,
            eos_token_id=0,
            forced_eos_token_id=0,
            init_std=1.0,
        )
    )
    model.final_logits_bias[0, 0] = 8.0  # so that translations end, all but that of ENDLESS
    model.eval()  # type: ignore[no-untyped-call]  # torch gives it no types
    model.generation_config.max_length = None
    model.save_pretrained(folder)
    return folder
