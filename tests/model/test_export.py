"""A model goes to Mixtral's layout and comes back, and `AutoModelForCausalLM` gives the logits that ours gives."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from curator.cli.evaluate import export_command
from curator.errors import CuratorError, UserError
from model.directory import ModelDirectory, load_decoder, read_description
from model.export import export_model, import_model
from model.train import Request, train
from tests.model.corpora import make_documents, tiny_config

CPU = torch.device("cpu")
IDS = torch.arange(5, 45)


def trained(folder: Path, place: str, **changes: object) -> ModelDirectory:
    train(Request((place,), folder / "model", tiny_config(steps=3, model__depth=2, **changes)))
    return ModelDirectory(folder / "model")


def ours(directory: ModelDirectory) -> Tensor:
    decoder = load_decoder(directory, CPU)[0]
    with torch.no_grad():
        return decoder.logits(decoder(IDS, torch.tensor([0, len(IDS)], dtype=torch.int32)).hidden_TD)


def theirs(folder: Path) -> Tensor:
    with warnings.catch_warnings():
        # What transformers' own imports say is not about us.
        warnings.simplefilter("ignore")
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        with torch.no_grad():
            logits: Tensor = model(IDS[None]).logits[0]
    return logits


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"model__attention__pattern": "window", "model__attention__window": 6}, {"average": 0.5}],
    ids=["dense", "window", "average"],
)
def test_transformers_gives_the_same_logits(tmp_path: Path, place: str, changes: dict[str, object]) -> None:
    directory = trained(tmp_path, place, **changes)
    export_model(directory, tmp_path / "exported")
    expected = ours(directory)
    found = theirs(tmp_path / "exported")
    # Both sum floats in another order; the step of a logit from one token to the next is a thousand times larger.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    assert expected.std(0).min() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_transformers_cuts_text_as_the_model_learned_it(tmp_path: Path, place: str, kind: str) -> None:
    directory = trained(tmp_path, place, tokenizer__kind=kind)
    export_model(directory, tmp_path / "exported")
    tokenizer = load_decoder(directory, CPU)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoTokenizer

        theirs = AutoTokenizer.from_pretrained(tmp_path / "exported", local_files_only=True)
    texts = [str(document["text"]) for document in make_documents(50)] + ["", " two  spaces", "</s> дом\n<unk>"]
    for text, ids in zip(texts, tokenizer.encode_documents(texts), strict=True):
        assert theirs(text)["input_ids"] == ids[:-1].tolist()
        assert theirs.decode(ids, skip_special_tokens=True) == text
    assert (theirs.bos_token_id, theirs.eos_token_id) == (tokenizer.begin, tokenizer.end)


@pytest.mark.slow
def test_a_tokenizer_that_auto_tokenizer_cannot_have_is_said(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [str(document["text"]) for document in make_documents(200)]
    path = str(tmp_path / "foreign")
    # Its rules of normalisation and of spaces are SentencePiece's own.
    SentencePieceTrainer.train(sentence_iterator=iter(texts), model_prefix=path, vocab_size=200, minloglevel=2)
    train(Request((place,), tmp_path / "model", tiny_config(steps=1), Path(f"{path}.model")))
    export_command(tmp_path / "model", tmp_path / "exported", best=False, as_json=False)
    assert "encode with that file" in capsys.readouterr().err
    names = {found.name for found in (tmp_path / "exported").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.model"}


@pytest.mark.slow
def test_a_model_comes_back_as_it_went(tmp_path: Path, place: str) -> None:
    directory = trained(tmp_path, place)
    export_model(directory, tmp_path / "exported")
    import_model(tmp_path / "exported", tmp_path / "back")
    before, after = (
        load_decoder(found, CPU)[0].state_dict() for found in (directory, ModelDirectory(tmp_path / "back"))
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(ours(ModelDirectory(tmp_path / "back")), ours(directory))


@pytest.mark.slow
def test_a_checkpoint_in_several_files_is_imported(tmp_path: Path, place: str) -> None:
    directory = trained(tmp_path, place)
    folder = tmp_path / "exported"
    export_model(directory, folder)
    tensors = load_file(folder / "model.safetensors")
    weight_map: dict[str, str] = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2])):
        save_file({name: tensors[name] for name in names}, folder / f"model-{number}.safetensors")
        weight_map |= dict.fromkeys(names, f"model-{number}.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    import_model(folder, tmp_path / "back")
    assert torch.equal(ours(ModelDirectory(tmp_path / "back")), ours(directory))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model__shared_expert_width": 16}, "a shared expert"),
        ({"model__router": "sigmoid"}, "a sigmoid router"),
        ({"loss__balance": "bias"}, "a router bias"),
        ({"model__attention__pattern": "block_sparse"}, "block-sparse attention"),
    ],
)
def test_what_does_not_map_is_refused_by_name(
    tmp_path: Path, place: str, changes: dict[str, object], told: str
) -> None:
    directory = trained(tmp_path, place, **changes)
    with pytest.raises(UserError, match=told):
        export_model(directory, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model_type", "llama", "type llama"),
        ("hidden_act", "gelu", "hidden_act gelu"),
        ("rope_parameters", {"rope_type": "yarn"}, "rope_type yarn"),
        ("tie_word_embeddings", True, "tied embeddings"),
        ("hidden_size", None, "no whole number hidden_size"),
        ("num_attention_heads", -4, "no whole number num_attention_heads"),
        ("rms_norm_eps", "small", "no number rms_norm_eps above 0"),
        ("num_hidden_layers", 3, r"lacks model\.layers\.2"),
        ("sliding_window", 0, "no whole number sliding_window"),
        ("max_position_embeddings", "many", "no whole number max_position_embeddings"),
        ("vocab_size", 399, "the tokenizer has 400 tokens, the model 399"),
    ],
)
def test_a_folder_that_is_something_else_is_refused(
    tmp_path: Path, place: str, key: str, value: object, told: str
) -> None:
    folder = tmp_path / "exported"
    export_model(trained(tmp_path, place), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(CuratorError, match=told):
        import_model(folder, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("config.json", "[]", "is no object"),
        ("model.safetensors.index.json", "[]", "weights cannot be read"),
        ("model.safetensors.index.json", '{"weight_map": []}', "weights cannot be read"),
    ],
)
def test_json_of_another_form_is_refused(tmp_path: Path, place: str, file: str, text: str, told: str) -> None:
    folder = tmp_path / "exported"
    export_model(trained(tmp_path, place), folder)
    (folder / file).write_text(text)
    with pytest.raises(CuratorError, match=told):
        import_model(folder, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.slow
def test_a_model_that_does_not_say_how_long_its_texts_are_is_imported(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "exported"
    export_model(trained(tmp_path, place), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": None}))
    import_model(folder, tmp_path / "back")
    assert read_description(ModelDirectory(tmp_path / "back")).config.data.sequence == 256


@pytest.mark.slow
def test_a_used_folder_is_not_written_to(tmp_path: Path, place: str) -> None:
    directory = trained(tmp_path, place)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        export_model(directory, tmp_path / "used")
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["notes.txt"]
