"""A tiny Marian with random weights, made here: its translations say nothing, and are the same each time."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

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
        (folder / name).write_bytes(_sentencepiece())
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


def make_m2m100(folder: Path) -> Path:
    """An M2M100 as its authors published it, in small; the folder."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir(parents=True)
    pieces = folder / "sentencepiece.bpe.model"
    pieces.write_bytes(_sentencepiece())
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(_words(pieces))}))
    tokenizer = M2M100Tokenizer(vocab_file=str(vocabulary), spm_file=str(pieces))
    tokenizer.save_pretrained(folder)
    size = max(tokenizer.lang_token_to_id.values()) + 1
    return _save_in_small(M2M100ForConditionalGeneration, M2M100Config, size, folder)


def make_nllb(folder: Path) -> Path:
    """An NLLB, an M2M100 with another tokenizer, in small and of letters alone; the folder."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    tokenizer = NllbTokenizer(vocab=_letters(["<s>", "<pad>", "</s>", "<unk>"]), merges=[])
    tokenizer.save_pretrained(folder)
    return _save_in_small(M2M100ForConditionalGeneration, M2M100Config, len(tokenizer), folder)


def make_madlad(folder: Path) -> Path:
    """A MADLAD, a T5 that is told the target by a token before the text, in small and of letters alone; the folder."""
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    letters = list(_letters(["<pad>", "</s>", "<unk>"]))
    tokenizer = T5Tokenizer(
        vocab=[(letter, -1.0) for letter in letters], extra_ids=0, additional_special_tokens=["<2oc>", "<2fr>", "<2es>"]
    )
    tokenizer.save_pretrained(folder)
    import torch

    torch.manual_seed(3)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=20.0,
    )
    model = T5ForConditionalGeneration(config)
    model.generation_config.decoder_start_token_id = 0
    return _save(model, folder)


def _save_in_small(model: Any, config: Any, size: int, folder: Path) -> Path:
    import torch

    torch.manual_seed(3)
    small = {"encoder": 1, "decoder": 1}
    return _save(
        model(
            config(
                vocab_size=size,
                d_model=16,
                **{f"{name}_layers": count for name, count in small.items()},
                **{f"{name}_attention_heads": 2 * count for name, count in small.items()},
                **{f"{name}_ffn_dim": 32 * count for name, count in small.items()},
                max_position_embeddings=128,
                init_std=1.0,
            )
        ),
        folder,
    )


def _save(model: Any, folder: Path) -> Path:
    model.eval()
    # Nothing that weights of chance say ends, so the end becomes ever likelier.
    model.generation_config.exponential_decay_length_penalty = (6, 2.0)
    model.generation_config.max_length = None
    model.save_pretrained(folder)
    return folder


def _letters(marks: list[str]) -> dict[str, int]:
    found = [*marks, "▁", *sorted({letter for sentence in SENTENCES for letter in sentence} - {" "})]
    return {letter: number for number, letter in enumerate(found)}


def _sentencepiece() -> bytes:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_writer=written,
        vocab_size=90,
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return written.getvalue()


def _words(model: Path) -> list[str]:
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return ["<s>", "<pad>", "</s>", "<unk>", *(pieces.id_to_piece(n) for n in range(3, pieces.get_piece_size()))]
