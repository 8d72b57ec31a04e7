"""Folders of models: what is found wrong with one before it is loaded. What models say is tested with their stages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from curator.pretrained import PretrainedFolder, PretrainedParameters


def make_folder(path: Path, **config: object) -> Path:
    """A folder as `save_pretrained` leaves it, with weights of nothing."""
    from safetensors.numpy import save_file

    path.mkdir()
    values = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes"}, **config}
    (path / "config.json").write_text(json.dumps(values))
    (path / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros(3, dtype=np.float32)}, path / "model.safetensors")
    return path


def problem(path: Path) -> str | None:
    return PretrainedFolder(path, "ForSequenceClassification").problem()


def test_a_whole_folder_has_no_problem_and_an_identity_that_follows_its_files(tmp_path: Path) -> None:
    one, same, other = (make_folder(tmp_path / name) for name in ("one", "same", "other"))
    (other / "tokenizer.json").write_text("[]")
    found = [PretrainedFolder(path, "ForSequenceClassification").requirement() for path in (one, same, other)]
    assert [requirement.problem for requirement in found] == [None] * 3
    assert found[0].identity == found[1].identity != found[2].identity


def test_a_problem_of_the_caller_is_told_after_those_of_the_folder(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "model")
    folder = PretrainedFolder(path, "ForSequenceClassification")
    assert folder.requirement("has another flaw").problem == "has another flaw"
    (path / "tokenizer.json").unlink()
    assert "tokenizer.json" in (folder.requirement("has another flaw").problem or "")
    assert folder.requirement().identity == ""


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    path = make_folder(tmp_path / "model")
    (path / missing).unlink()
    assert missing in (problem(path) or "")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
def test_weights_in_pickle_alone_are_refused(tmp_path: Path, name: str) -> None:
    path = make_folder(tmp_path / "model")
    (path / "model.safetensors").rename(path / name)
    assert f"only {name}, which is pickle" in (problem(path) or "")


@pytest.mark.parametrize(("config", "expected"), [("[]", "not an object"), ("{", "not JSON"), ("3", "not an object")])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, config: str, expected: str) -> None:
    path = make_folder(tmp_path / "model")
    (path / "config.json").write_text(config)
    assert expected in (problem(path) or "")
    assert PretrainedFolder(path, "ForSequenceClassification").labels == {}


def test_labels_are_those_with_numbers(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "model", id2label={"0": "no", "1": "yes", "x": "what"})
    assert PretrainedFolder(path, "ForSequenceClassification").labels == {0: "no", 1: "yes"}


@pytest.mark.parametrize("languages", [["english"], ["en-GB"], []])
def test_languages_are_named_as_lists_have_them(tmp_path: Path, languages: list[str]) -> None:
    with pytest.raises(ValidationError):
        PretrainedParameters(path=tmp_path, languages=tuple(languages))


def test_a_gpu_is_asked_of_the_engine_where_the_recipe_names_one(tmp_path: Path) -> None:
    path = make_folder(tmp_path / "model")
    asked = [
        PretrainedParameters(path=path, languages=("en",), device=device).resources() for device in ("auto", "cuda")
    ]
    assert [resources.num_gpus for resources in asked] == [0.0, 1.0]
    assert all(resources.holds_model and resources.memory_bytes > 0 for resources in asked)
