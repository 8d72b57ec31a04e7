"""Writes a model as a folder that `AutoModelForCausalLM` loads, and makes a model of such a folder."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from curator.errors import CuratorError, DataError, TransientError, UserError
from curator.run.store import make_folder, put
from curator.storage.refused import storage_error
from curator.tokenize import SentencePieceTokenizer, Tokenizer, load_tokenizer
from curator.training import MOST, parse_training_config
from model.checkpoint import CheckpointWriter
from model.config import ModelConfig
from model.decoder import Decoder
from model.directory import Description, ModelDirectory, fill, load_decoder, write_description
from model.mixtral import from_mixtral, mixtral_config, number_of, shape_of, to_mixtral
from model.vocabulary.hugging_face import fast_tokenizer

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
SEQUENCE = 256
"""Of a model that does not say for how many tokens it is."""


def export_model(directory: ModelDirectory, output: Path, *, best: bool = False) -> ModelConfig:
    """Write `config.json`, `model.safetensors` and the tokenizer's files; the shape of what was written.

    UserError when the folder is used, or the model has what Mixtral has no word for.
    """
    _refuse_used(output)
    decoder, tokenizer, description, _ = load_decoder(directory, torch.device("cpu"), best=best)
    shape = description.shape
    config = mixtral_config(shape, description.config.data.sequence, tokenizer.begin, tokenizer.end)
    tensors = to_mixtral(dict(decoder.state_dict()), shape)
    make_folder(output.absolute().parent)
    beside = output.absolute().parent / f".{os.getpid()}-{output.name}"
    try:
        try:
            beside.mkdir()
        except OSError as error:
            raise storage_error(error, output) from error
        # Loaders ask for the framework in the header.
        try:
            save_file(tensors, beside / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:
            raise TransientError(f"cannot be written: {error}", file=str(output), hint="free some space") from error
        for name, data in _tokenizer_files(tokenizer).items():
            put(beside / name, data)
        put(beside / CONFIG, (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())
        if output.exists():
            output.rmdir()
        beside.rename(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return shape


def import_model(folder: Path, output: Path) -> ModelConfig:
    """Make a model of a folder with a Mixtral: its shape. It can be asked and exported, not trained further.

    UserError when the output is used or the folder holds what this model does not have, DataError when it is broken.
    """
    _refuse_used(output)
    path = folder / CONFIG
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError("has no config.json", file=str(folder), hint="expected a folder with a Mixtral") from error
    except ValueError as error:
        raise DataError("is not JSON", file=str(path)) from error
    if not isinstance(config, dict):
        raise DataError("is no object", file=str(path), hint="is this a model of Mixtral?")
    try:
        shape = shape_of(config)
    except CuratorError as error:
        raise type(error)(error.message, file=str(path), hint=error.hint) from error
    tokenizer = _tokenizer(folder)
    if tokenizer.vocabulary > shape.vocabulary:
        raise DataError(
            f"the tokenizer has {tokenizer.vocabulary:,} tokens, the model {shape.vocabulary:,}",
            file=str(folder),
            hint="put the tokenizer there that the model was trained with",
        )
    decoder = Decoder(shape)
    with torch.no_grad():
        fill(dict(decoder.state_dict()), from_mixtral(_load(folder), shape), str(folder))
    section = {"depth": shape.layers, "width": shape.width, "heads": shape.heads}
    positions = min(MOST, number_of(config, "max_position_embeddings", SEQUENCE))
    training = parse_training_config({"model": section, "data": {"sequence": positions}}, str(path))
    description = Description(training, shape, f"tokenizer{tokenizer.suffix}", tokenizer.sha256, ())
    write_description(ModelDirectory(output), description)
    put(output / description.tokenizer_file, tokenizer.data)
    writer = CheckpointWriter(output)
    writer.write(0, {"model": dict(decoder.state_dict())}, {"best": {"loss": None, "step": None}})
    writer.wait()
    return replace(shape)


def _tokenizer_files(tokenizer: Tokenizer) -> dict[str, bytes]:
    """The tokenizer's own file, and for one of SentencePiece what AutoTokenizer takes, if there is that."""
    own = {f"tokenizer{tokenizer.suffix}": tokenizer.data}
    if not isinstance(tokenizer, SentencePieceTokenizer):
        return own
    try:
        return own | fast_tokenizer(tokenizer.data, "the tokenizer of the model", begins=True)
    except UserError:
        return own  # the command tells that AutoTokenizer would cut text otherwise


def _tokenizer(folder: Path) -> Tokenizer:
    for name in ("tokenizer.json", "tokenizer.model"):
        if (folder / name).exists():
            return load_tokenizer(folder / name)
    raise UserError("has no tokenizer", file=str(folder), hint="expected tokenizer.json or tokenizer.model")


def _load(folder: Path) -> dict[str, Tensor]:
    """The tensors of one file, or of those that an index names."""
    try:
        index = json.loads((folder / INDEX).read_bytes()) if (folder / INDEX).exists() else None
        names = [WEIGHTS] if index is None else sorted(set(index["weight_map"].values()))
        found: dict[str, Tensor] = {}
        for name in names:
            if Path(name).name != name:
                raise DataError(f"names a file outside: {name}", file=str(folder / INDEX))
            found |= load_file(folder / name)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("its weights cannot be read", file=str(folder), hint=f"expected {WEIGHTS}") from error
    return found


def _refuse_used(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError("the output is not empty", file=str(output), hint="choose another output")
