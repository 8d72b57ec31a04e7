"""First parameters of a model that are not drawn: those of another model, and one embedding for aligned pieces.

A model with another vocabulary takes over everything from a model of the same shape. Rows of embedding and head are
found by the text of their pieces, wherever they stand; a piece that the other vocabulary has not begins as the mean of
its parts, the pieces by which the other vocabulary spells it (Gee et al. 2022,
https://aclanthology.org/2022.emnlp-industry.41).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from curator.errors import UserError
from curator.tokenize import SentencePieceTokenizer, Tokenizer, read_tokenizer
from model.decoder import Decoder
from model.directory import ModelDirectory, load_decoder
from model.vocabulary.pieces import SPACE, without_prefix

ROWS = ("embedding_VD", "head_VD")
"""The parameters that have a row a token."""


@torch.no_grad()
def initialise_from(decoder: Decoder, tokenizer: Tokenizer, directory: ModelDirectory) -> None:
    """Take over the parameters of the last checkpoint of a model (its average where it has one).

    The row of a piece that has no parts stays as it was drawn.

    UserError when the shapes (`ModelConfig`) differ in more than the vocabulary; it names the keys.
    """
    source, known, description, _ = load_decoder(directory, torch.device("cpu"))
    # Heads of another number, or another base of the rotation, have tensors of the same shapes that mean another thing.
    their_shape, our_shape = asdict(source.config), asdict(decoder.config)
    wrong = [key for key in our_shape if key != "vocabulary" and our_shape[key] != their_shape[key]]
    if wrong:
        section = description.config.model.model_dump_json(exclude_defaults=True)
        balance = f", and loss.balance {description.config.loss.balance}" if "router_bias" in wrong else ""
        raise UserError(
            f"is a model of another shape: {', '.join(wrong)} differ",
            file=str(directory.root),
            hint=f"give the same `model` section: {section}{balance}",
        )
    theirs, ours = dict(source.state_dict()), dict(decoder.state_dict())
    place = {piece: token for token, piece in enumerate(known.pieces())}
    spell = _speller(known)
    parts = [
        [place[piece]] if piece in place else [part for part in spell(tokenizer, token, piece) if part != known.unknown]
        for token, piece in enumerate(tokenizer.pieces())
    ]
    for name in ROWS:
        for token, rows in enumerate(parts):
            if rows:
                ours[name][token] = theirs[name][rows].mean(dim=0).to(ours[name].device)
    for name in set(ours) - set(ROWS):
        ours[name].copy_(theirs[name])


@torch.no_grad()
def share_rows(decoder: Decoder, groups: Sequence[Sequence[int]]) -> None:
    """Begin the embedding of each group with the row of its first piece."""
    for first, *others in groups:
        for token in others:
            decoder.embedding_VD[token] = decoder.embedding_VD[first]


def tie_embedding(decoder: Decoder, groups: Sequence[Sequence[int]]) -> None:
    """Give all pieces of a group the sum of their gradients, so that rows that begin equal stay equal.

    The optimizer works on each number by itself, so equal rows with equal gradients are one parameter. The head is not
    tied: pieces with one row there could not be told apart when the next token is predicted.
    """
    if not groups:
        return
    members = torch.tensor([token for group in groups for token in group])
    owner = torch.tensor([number for number, group in enumerate(groups) for _ in group])

    def sum_of_group(gradient_VD: Tensor) -> Tensor:
        rows, groups_of = members.to(gradient_VD.device), owner.to(gradient_VD.device)
        sums = gradient_VD.new_zeros(len(groups), gradient_VD.shape[1]).index_add_(0, groups_of, gradient_VD[rows])
        return gradient_VD.index_copy(0, rows, sums[groups_of])

    decoder.embedding_VD.register_hook(sum_of_group)  # type: ignore[no-untyped-call] # torch names no types here


def _speller(known: Tokenizer) -> Callable[[Tokenizer, int, str], list[int]]:
    """How a tokenizer spells a piece of another one."""
    if not isinstance(known, SentencePieceTokenizer):
        return lambda other, token, piece: known.encode([other.decode([token])])[0].tolist()
    bare = read_tokenizer(without_prefix(known.data, "the tokenizer of the model"), "the tokenizer of the model")

    def spell(other: Tokenizer, token: int, piece: str) -> list[int]:
        text = piece if isinstance(other, SentencePieceTokenizer) else other.decode([token])
        return list(bare.encode([text.replace(SPACE, " ")])[0].tolist())

    return spell
