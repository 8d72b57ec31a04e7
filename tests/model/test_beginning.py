"""Trainings that begin from another model, or with aligned pieces: what is taken over, tied, and kept for a resume."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from curator.errors import CuratorError, DataError, UserError
from curator.tokenize import Tokenizer, read_tokenizer
from model.beginning import choose_beginning
from model.checkpoint import latest
from model.decoder import Decoder
from model.directory import ModelDirectory, load_decoder
from model.initialise import initialise_from, share_rows, tie_embedding
from model.train import Request, train
from model.vocabulary.alignment import Alignment, Pair, read_alignment
from model.vocabulary.extend import extend_tokenizer
from tests.model.corpora import TINY, tiny_config
from tests.model.vocabulary.test_extend import GEORGIAN, NEW, WELSH

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Old:
    """A trained model, a longer tokenizer, and an alignment of that."""

    model: Path
    tokenizer: Tokenizer
    extended: Path
    alignment: Path


@pytest.fixture(scope="module")
def old(place: str, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Old:
    folder = tmp_path_factory.mktemp("old")
    (folder / "old.model").write_bytes(tokenizer.data)
    train(Request((place,), folder / "model", tiny_config(steps=4), folder / "old.model"))
    (folder / "new.model").write_bytes(extend_tokenizer(tokenizer.data, WELSH + GEORGIAN, NEW, "old.model").data)
    new = read_tokenizer((folder / "new.model").read_bytes(), "new.model")
    (folder / "alignment.json").write_bytes(align(new, (270, 300), (271, 300), (420, 301)).dump())
    return Old(folder / "model", tokenizer, folder / "new.model", folder / "alignment.json")


def align(tokenizer: Tokenizer, *pairs: tuple[int, int]) -> Alignment:
    pieces = tokenizer.pieces()
    made = [Pair(token, pieces[token], "cy", pivot, pieces[pivot], 0.9) for token, pivot in pairs]
    return Alignment(tokenizer.sha256, "en", 0.85, tuple(made))


def request_of(place: str, output: Path, old: Old, steps: int = 4, **changes: object) -> Request:
    return Request(
        (place,), output, tiny_config(steps=steps, **changes), old.extended, initialise_from=old.model,
        alignment=old.alignment,
    )  # fmt: skip


def test_rows_are_copied_or_means_of_parts(old: Old) -> None:
    source, known, description, _ = load_decoder(ModelDirectory(old.model), CPU)
    extended = read_tokenizer(old.extended.read_bytes(), "new.model")
    decoder = Decoder(replace(description.shape, vocabulary=extended.vocabulary))
    decoder.initialise(5)
    drawn_VD = decoder.embedding_VD.detach().clone()
    initialise_from(decoder, extended, ModelDirectory(old.model))
    first = known.vocabulary
    assert extended.vocabulary == first + NEW
    assert torch.equal(decoder.embedding_VD[:first], source.embedding_VD)
    assert bool((decoder.embedding_VD != drawn_VD).any(dim=1).all())
    piece = max((piece for piece in extended.pieces()[first:] if piece.startswith("▁")), key=len)
    token = extended.pieces().index(piece)
    parts = known.encode([piece.removeprefix("▁")])[0].tolist()
    assert len(parts) > 1
    for name in ("embedding_VD", "head_VD"):
        expected = getattr(source, name)[parts].mean(dim=0)
        assert torch.equal(getattr(decoder, name)[token], expected)
    assert torch.equal(decoder.norm_D, source.norm_D)
    ours, theirs = dict(decoder.state_dict()), dict(source.state_dict())
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name.startswith("layers."))


def test_a_new_piece_within_a_word_has_no_space_among_its_parts(old: Old) -> None:
    source, known, description, _ = load_decoder(ModelDirectory(old.model), CPU)
    extended = read_tokenizer(old.extended.read_bytes(), "new.model")
    inner = [piece for piece in extended.pieces()[known.vocabulary :] if not piece.startswith("▁")]
    decoder = Decoder(replace(description.shape, vocabulary=extended.vocabulary))
    initialise_from(decoder, extended, ModelDirectory(old.model))
    pieces = known.pieces()
    two = next(piece for piece in inner if len(piece) == 2 and all(letter in pieces for letter in piece))
    expected = source.embedding_VD[[pieces.index(letter) for letter in two]].mean(dim=0)
    assert torch.equal(decoder.embedding_VD[extended.pieces().index(two)], expected)


def test_a_model_of_another_shape_is_refused(old: Old) -> None:
    with pytest.raises(UserError, match=r"is a model of another shape: .*give the same `model` section"):
        initialise_from(Decoder(TINY), old.tokenizer, ModelDirectory(old.model))


@pytest.mark.parametrize(
    "change", [{"heads": 2, "key_value_heads": 1, "head_width": 16}, {"rope_base": 1e6}, {"experts_per_token": 1}]
)
def test_a_model_of_another_kind_is_refused_where_its_tensors_have_the_same_shapes(
    old: Old, change: dict[str, Any]
) -> None:
    shape = load_decoder(ModelDirectory(old.model), CPU)[2].shape
    decoder, other = Decoder(shape), Decoder(replace(shape, **change))
    assert [tensor.shape for tensor in other.state_dict().values()] == [
        tensor.shape for tensor in decoder.state_dict().values()
    ]
    with pytest.raises(UserError, match=rf"another shape: {', '.join(change)} differ.*same `model` section"):
        initialise_from(other, old.tokenizer, ModelDirectory(old.model))


@pytest.mark.long
def test_a_training_begins_where_the_other_was(place: str, old: Old, tmp_path: Path) -> None:
    """Nothing is learned at a rate of nearly 0, so the loss of both beginnings is what they brought."""
    still = {"optimizer__learning_rate": 1e-9}
    losses = []
    for name, origin in (("drawn", None), ("taken", old.model)):
        request = replace(request_of(place, tmp_path / name, old, 1, **still), initialise_from=origin, alignment=None)
        losses.append(train(request).validation_loss)
    drawn, taken = losses
    assert drawn is not None
    assert taken is not None
    assert taken < drawn - 0.01


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_as_it_began(place: str, old: Old, tmp_path: Path) -> None:
    changes = {"average": 0.9, "accumulation": 2, "schedule__cycle": 4}
    train(request_of(place, tmp_path / "whole", old, 4, **changes))
    train(request_of(place, tmp_path / "half", old, 2, **changes))
    request = request_of(place, tmp_path / "half", old, 4, **changes)
    train(replace(request, resume=True, initialise_from=None, alignment=None))
    whole, half = latest(tmp_path / "whole"), latest(tmp_path / "half")
    assert half.hashes == whole.hashes
    for kind in ("model", "average"):
        rows = half.tensors(kind)["embedding_VD"]
        assert torch.equal(rows[301], rows[420])
        # The origin has learned both of these apart.
        assert not torch.equal(rows[300], rows[271])
        head = half.tensors(kind)["head_VD"]
        assert not torch.equal(head[301], head[420])


def test_tied_rows_learn_what_one_shared_row_would() -> None:
    """The model with a row for each token against one with a row for each group."""
    groups = ((3, 5, 7), (10, 11))
    owner = list(range(TINY.vocabulary))
    for first, *others in groups:
        for token in others:
            owner[token] = first
    tokens = torch.tensor([3, 5, 5, 7, 10, 11, 3, 20, 11])
    documents = torch.tensor([0, 9], dtype=torch.int32)
    gradients = []
    for ids, tied in ((tokens, groups), (torch.tensor(owner)[tokens], ())):
        decoder = Decoder(TINY)
        decoder.initialise(0)
        share_rows(decoder, groups)
        tie_embedding(decoder, tied)
        decoder(ids, documents).hidden_TD.square().mean(dim=0)[:5].sum().backward()
        assert decoder.embedding_VD.grad is not None
        gradients.append(decoder.embedding_VD.grad)
    tied_VD, shared_VD = gradients
    torch.testing.assert_close(tied_VD, shared_VD[owner])
    assert bool((shared_VD[[3, 10]].abs().sum(dim=1) > 0).all())


@pytest.mark.long
def test_another_beginning_is_refused_when_a_training_goes_on(place: str, old: Old, tmp_path: Path) -> None:
    train(replace(request_of(place, tmp_path / "model", old, 2), alignment=None))
    with pytest.raises(UserError, match="began with another --align"):
        train(replace(request_of(place, tmp_path / "model", old, 4), resume=True, initialise_from=None))
    assert json.loads((tmp_path / "model" / "beginning.json").read_text())["groups"] == []


@pytest.mark.long
def test_a_beginning_that_fails_leaves_nothing(place: str, old: Old, tmp_path: Path) -> None:
    request = request_of(place, tmp_path / "model", old, 2, model__width=64)
    with pytest.raises(UserError, match="another shape"):
        train(request)
    assert not (tmp_path / "model").exists()


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda values: [], UserError, "is no alignment"),
        (lambda values: values | {"format": 2}, UserError, "is no alignment"),
        (lambda values: values | {"tokenizer": "0" * 64}, UserError, "of another tokenizer"),
        (lambda values: values | {"pairs": [{"token": 1}]}, DataError, "not as it was written"),
        (lambda values: values | {"pairs": [values["pairs"][0] | {"pivot_token": [1]}]}, DataError, "not as it was"),
        (lambda values: values | {"pairs": values["pairs"] * 2}, DataError, "in two groups"),
        (lambda values: values | {"pairs": [values["pairs"][0] | {"token": 10**6}]}, DataError, "has not"),
    ],
)
def test_an_alignment_that_is_none_is_refused(
    tmp_path: Path, old: Old, change: Change, error: type[CuratorError], told: str
) -> None:
    path = tmp_path / "alignment.json"
    path.write_text(json.dumps(change(json.loads(old.alignment.read_text()))))
    with pytest.raises(error, match=told):
        read_alignment(path, read_tokenizer(old.extended.read_bytes(), "new.model"))
    path.write_text("{")
    with pytest.raises(UserError, match="is no alignment"):
        read_alignment(path, old.tokenizer)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"origin": null, "groups": []}', "tied: is required"),
        ('{"origin": {"place": "/m"}, "groups": [], "tied": []}', "origin.step: is required"),
        ('{"origin": null, "groups": [3], "tied": []}', "groups.0: expected a list"),
        ("[]", "expected a mapping"),
        ("{", "Invalid JSON"),
    ],
)
def test_a_beginning_that_was_changed_by_hand_is_refused(tmp_path: Path, old: Old, text: str, told: str) -> None:
    (tmp_path / "beginning.json").write_text(text)
    with pytest.raises(DataError, match=f"{re.escape(told)}.*was it changed by hand"):
        choose_beginning(None, None, ModelDirectory(tmp_path), old.tokenizer, resuming=True)
