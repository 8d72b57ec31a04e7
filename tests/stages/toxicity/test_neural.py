"""A sequence classifier from a folder: a tiny model whose answers are known, and folders that are refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from curator.errors import UserError
from stages.toxicity.neural import NeuralClassifier, NeuralParameters
from stages.toxicity.stage import BY_NEURAL, Toxicity, ToxicityParameters
from tests.runs import rows, run_stages, write_jsonl
from tests.stages.bert import copy_model
from tests.stages.toxicity.helpers import make_batch
from tests.stages.toxicity.models import save_classifier

pytestmark = pytest.mark.slow

LABELS = ("fine", "hate", "rude")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("model") / "tiny", LABELS)


def parameters(folder: Path, **values: object) -> NeuralParameters:
    return NeuralParameters.model_validate({"path": folder, "languages": ["en"], "labels": ["hate"], **values})


def worst(folder: Path, *texts: str, **values: object) -> list[float]:
    found = NeuralClassifier(parameters(folder, **values)).judge(texts).worst
    return [round(float(value), 2) for value in found]


def test_a_label_that_excludes_others_has_a_share_and_several_add_up(folder: Path) -> None:
    texts = ("good day", "bad day", "rude day", "bad rude day")
    assert worst(folder, *texts) == [0.0, 1.0, 0.0, 0.5]
    assert worst(folder, *texts, labels=["hate", "rude"]) == [0.0, 1.0, 1.0, 1.0]


def test_labels_by_themselves_are_judged_each_and_the_surest_counts(folder: Path, tmp_path: Path) -> None:
    several = copy_model(folder, tmp_path / "several", problem_type="multi_label_classification")
    texts = ("good day", "bad day", "rude day", "bad rude day")
    assert worst(several, *texts) == [0.0, 1.0, 0.0, 1.0]
    assert worst(several, *texts, labels=["hate", "rude"]) == [0.0, 1.0, 1.0, 1.0]
    assert worst(several, "bad rude day", outputs="one-of") == [0.5]
    assert worst(folder, "bad rude day", outputs="any-of") == [1.0]


def test_a_model_with_one_label_gives_its_probability(tmp_path: Path) -> None:
    single = save_classifier(tmp_path / "single", ("toxic",))
    assert worst(single, "good day", "bad day", labels=["toxic"]) == [0.0, 1.0]


def test_a_long_text_is_read_in_windows_and_its_worst_and_mean_are_kept(folder: Path) -> None:
    found = NeuralClassifier(parameters(folder, window_tokens=16)).judge(["good " * 300 + "bad bad bad", "", " "])
    assert found.worst[0] > 0.9
    assert found.mean[0] < 0.1
    assert np.isnan(found.worst).tolist() == [False, True, True]


def test_texts_together_are_judged_as_each_alone(folder: Path) -> None:
    texts = ["good " * count + "bad" for count in (0, 3, 50, 11, 90)]
    assert worst(folder, *texts) == [value for text in texts for value in worst(folder, text)]


def stage(folder: Path, **values: object) -> Toxicity:
    neural = {"path": str(folder), "languages": ["en"], "labels": ["hate"], **values}
    return Toxicity(ToxicityParameters.model_validate({"classifier": False, "neural": neural}))


def test_the_stage_drops_what_the_model_takes_for_abuse_in_its_languages(folder: Path) -> None:
    batch = make_batch([("en", "bad day"), ("en", "good day"), ("de", "bad day"), ("en-GB", "bad day")])
    made = stage(folder)
    columns = made.annotate(batch)
    assert columns["toxicity.neural"].is_valid().to_pylist() == [True, True, False, True]
    verdicts = made.decide(batch, columns, {}).table.to_pylist()
    assert [(row["row"], row["rule"], row["threshold"]) for row in verdicts] == [
        (0, BY_NEURAL, 0.7),
        (3, BY_NEURAL, 0.7),
    ]
    assert (made.costly, made.resources.holds_model, made.resources.memory_bytes > 1000) == (True, True, True)
    assert (made.coverage("en"), made.coverage("de")) == (None, "rules only")


def test_a_low_mean_keeps_a_long_text(folder: Path) -> None:
    batch = make_batch([("en", "good " * 300 + "bad bad bad bad bad bad")])
    for least, fallen in ((0.3, 0), (0.0, 1)):
        made = stage(folder, window_tokens=16, min_mean=least)
        assert made.decide(batch, made.annotate(batch), {}).table.num_rows == fallen


def test_a_run_records_the_models_hash_and_not_its_place(folder: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text, "lang": "en"} for text in ("good day", "bad day")])
    recipe = f"toxicity: {{neural: {{path: {folder}, languages: [en], labels: [hate]}}}}"
    run_stages([source], tmp_path / "run", recipe, language="off")
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == ["good day"]
    manifest = (tmp_path / "run" / "manifest.json").read_text()
    assert parameters(folder).requirement().identity in manifest
    assert str(folder) not in manifest


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"labels": ["toxic"]}, "has no label toxic; it has fine, hate, rude"),
        ({"labels": list(LABELS)}, "every text has it"),
    ],
)
def test_labels_that_cannot_tell_abuse_are_refused(folder: Path, values: dict[str, object], problem: str) -> None:
    assert problem in (parameters(folder, **values).requirement().problem or "")


@pytest.mark.parametrize(
    ("config", "values", "problem"),
    [
        ({"architectures": ["BertForTokenClassification"]}, {}, "another task"),
        ({"architectures": ["BertForMaskedLM"]}, {}, "another task"),
        ({"id2label": None}, {}, "it has none"),
        ({"problem_type": "regression"}, {}, "no probability"),
        ({"id2label": {"0": "hate"}}, {"outputs": "one-of"}, "always be taken"),
        ({"auto_map": {"AutoModel": "code.Model"}}, {}, "code of its own"),
    ],
)
def test_models_that_cannot_judge_are_refused(
    folder: Path, tmp_path: Path, config: dict[str, object], values: dict[str, object], problem: str
) -> None:
    other = copy_model(folder, tmp_path / "other", **config)
    assert problem in (parameters(other, **values).requirement().problem or "")


def test_a_folder_that_is_missing_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "good day", "lang": "en"}])
    recipe = f"toxicity: {{neural: {{path: {tmp_path / 'none'}, languages: [en], labels: [hate]}}}}"
    with pytest.raises(UserError, match="does not exist"):
        run_stages([source], tmp_path / "run", recipe, language="off")


class Run:
    """What a malicious pickle does."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("run-by-pickle"),))


def test_weights_in_pickle_are_refused_and_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = copy_model(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps(Run()))
    assert "pickle" in (parameters(pickled).requirement().problem or "")
    with pytest.raises(OSError, match=r"model\.safetensors"):
        NeuralClassifier(parameters(pickled)).judge(["bad"])
    assert not (tmp_path / "run-by-pickle").exists()


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    damaged = copy_model(folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\xff" * 100)
    assert "damaged" in (parameters(damaged).requirement().problem or "")


def test_a_model_without_some_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    partial = copy_model(folder, tmp_path / "partial")
    weights = load_file(partial / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "classifier" not in name}, partial / "model.safetensors"
    )
    with pytest.raises(UserError, match="not complete"):
        NeuralClassifier(parameters(partial)).judge(["bad"])


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error_before_anything_is_read(folder: Path) -> None:
    import torch

    problem = parameters(folder, device="cuda").requirement().problem
    assert (problem is None) == torch.cuda.is_available()


@pytest.mark.parametrize("values", [{"languages": ["english"]}, {"languages": []}, {"labels": []}, {"kind": "x"}])
def test_parameters_that_mean_nothing_are_refused(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parameters(tmp_path, **values)


def test_the_configuration_says_how_many_tokens_are_read(folder: Path, tmp_path: Path) -> None:
    roberta = copy_model(folder, tmp_path / "roberta", model_type="roberta", pad_token_id=1)
    assert (parameters(folder).folder().max_tokens, parameters(roberta).folder().max_tokens) == (64, 62)
    assert json.loads((roberta / "config.json").read_text())["pad_token_id"] == 1
