"""Names by a token classifier from a folder: a tiny model whose answers are known, and folders that are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from curator.errors import UserError
from stages.pii.ner import NerParameters, TokenClassifier
from stages.pii.recogniser import Finding
from stages.pii.stage import Pii, PiiParameters
from tests.runs import rows, run_stages, write_jsonl
from tests.stages.bert import MARKS, clear, copy_model, save_model, tiny_config
from tests.stages.pii.helpers import batch

pytestmark = pytest.mark.slow

POSITIONS = 32
NAMES = ("Zorblax", "Quent", "##ine", "##in", "went", "home", ",", ".", "Anna")
WORDS = (*MARKS, *NAMES, "4711")
PERSONS = {"Zorblax": 1, "Quent": 2, "Anna": 1, "4711": 2}
"""The label of each word that has one: B-PER, I-PER."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without layers, whose embedding of a word is its label."""
    import torch
    from transformers import BertForTokenClassification

    labels = ("O", "B-PER", "I-PER")
    model = BertForTokenClassification(tiny_config(WORDS, layers=0, positions=POSITIONS, labels=labels))
    clear(model)
    with torch.no_grad():
        for place, word in enumerate(WORDS):
            model.bert.embeddings.word_embeddings.weight[place, PERSONS.get(word, 0)] = 1.0
        for label in range(3):
            model.classifier.weight[label, label] = 1.0
    return save_model(tmp_path_factory.mktemp("model") / "tiny", model, WORDS)


def names(folder: Path, *texts: str) -> list[list[str]]:
    model = NerParameters(path=folder, languages=("en",)).recogniser()
    return [[text[low:high] for low, high, _ in found] for text, found in zip(texts, model.find(texts), strict=True)]


def test_words_of_one_person_are_joined_and_all_pieces_of_a_word_belong_to_it(folder: Path) -> None:
    assert names(folder, "🙂 Zorblax Quentine went home, Zorblax.", "went home", "", "Zorblax Zorblax-Quent") == [
        ["Zorblax Quentine", "Zorblax"],
        [],
        [],
        ["Zorblax", "Zorblax-Quent"],
    ]


@pytest.mark.parametrize("lead", range(0, 60, 7))
def test_a_long_text_is_read_in_windows_and_each_name_is_found_once(folder: Path, lead: int) -> None:
    text = "went " * lead + "Zorblax Quentine went home, " * 40
    assert names(folder, text) == [["Zorblax Quentine"] * 40]


def test_texts_together_have_the_names_that_each_has_alone(folder: Path) -> None:
    texts = ["went " * count + "Zorblax Quentine" for count in (0, 3, 50, 11, 90)]
    assert names(folder, *texts) == [found for text in texts for found in names(folder, text)]


def stage(folder: Path, **parameters: object) -> Pii:
    return Pii(PiiParameters.model_validate({"ner": {"path": str(folder), "languages": ["en"]}, **parameters}))


def test_the_stage_redacts_names_of_the_model_and_of_the_rules_in_languages_of_the_model(folder: Path) -> None:
    texts = ["é Zorblax Quentine went home. Mr Anna Miller, a@b.org", "Zorblax Quentine went home."]
    documents = batch(texts, ["en", "de"])
    made = stage(folder)
    verdicts = made.decide(documents, made.annotate(documents), {})
    assert verdicts.edits.to_pylist() == [
        {"row": 0, "text": "é [REDACTED_NAME] went home. Mr [REDACTED_NAME], [REDACTED_EMAIL]"}
    ]
    assert (stage(folder).coverage("en"), made.costly, made.resources.holds_model) == (None, True, True)
    assert Pii(PiiParameters()).costly is False


def test_a_run_with_a_model_has_its_hash_and_not_its_place(folder: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "Zorblax Quentine went home.", "lang": "en"}] * 2)
    recipe = f"pii: {{ner: {{path: {folder}, languages: [en]}}}}"
    run_stages([source], tmp_path / "run", recipe, language="off")
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == ["[REDACTED_NAME] went home."] * 2
    manifest = (tmp_path / "run" / "manifest.json").read_text()
    assert NerParameters(path=folder, languages=("en",)).recogniser().requirement().identity in manifest
    assert str(folder) not in manifest


def test_another_model_has_another_identity(folder: Path, tmp_path: Path) -> None:
    other = copy_model(folder, tmp_path / "tiny", hidden_dropout_prob=0.5)
    models = [NerParameters(path=path, languages=("en",)).recogniser() for path in (folder, other)]
    identities = {model.requirement().identity for model in models}
    assert len(identities - {""}) == 2


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"architectures": ["BertForSequenceClassification"]}, "another task"),
        ({"architectures": None}, "another task"),
        ({"id2label": {"0": "O", "1": "B-LOC"}}, "it has LOC, O"),
        ({"id2label": None}, "it has none"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "code of its own"),
    ],
)
def test_models_that_cannot_tell_names_are_refused(
    folder: Path, tmp_path: Path, config: dict[str, object], problem: str
) -> None:
    broken = copy_model(folder, tmp_path / "broken", **config)
    assert problem in (NerParameters(path=broken, languages=("en",)).recogniser().requirement().problem or "")


def test_labels_of_another_name_are_named_in_the_recipe(folder: Path, tmp_path: Path) -> None:
    other = copy_model(folder, tmp_path / "other", id2label={"0": "O", "1": "B-human", "2": "I-human"})
    parameters = NerParameters(path=other, languages=("en",), labels=("human",))
    model = parameters.recogniser()
    assert model.requirement().problem is None
    assert model.find(["Zorblax Quentine went"]) == [[(0, 16, "name")]]


def test_kinds_of_a_recipe_stand_beside_persons_and_a_number_is_found_whole(folder: Path, tmp_path: Path) -> None:
    other = copy_model(folder, tmp_path / "other", id2label={"0": "O", "1": "B-PER", "2": "B-PHONE"})
    model = TokenClassifier(["en"], {"PHONE": "phone"}, path=other)
    assert model.kinds == {"name", "phone"}
    assert model.find(["Zorblax went home, 4711."]) == [[Finding(0, 7, "name"), Finding(19, 23, "phone")]]


def test_a_label_that_the_model_has_not_is_no_kind_of_it(folder: Path) -> None:
    assert TokenClassifier(["en"], {"MAIL": "email"}, path=folder).kinds == {"name"}


def test_pickled_missing_and_damaged_weights_are_refused_before_data_is_read(folder: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "x", "lang": "en"}])

    def refusal(path: Path) -> str:
        with pytest.raises(UserError) as caught:
            run_stages([source], tmp_path / "run", f"pii: {{ner: {{path: {path}, languages: [en]}}}}")
        assert not (tmp_path / "run" / "shards").exists()
        return str(caught.value)

    broken = copy_model(folder, tmp_path / "broken")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "damaged" in refusal(broken)
    (broken / "model.safetensors").unlink()
    assert "has no model.safetensors" in refusal(broken)
    (broken / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    assert "pickle" in refusal(broken)
    assert "does not exist" in refusal(tmp_path / "nowhere")
    for file, problem in (("tokenizer.json", "has no tokenizer.json"), ("config.json", "config.json cannot be read")):
        path = copy_model(folder, tmp_path / file)
        (path / file).unlink()
        assert problem in refusal(path)


def test_weights_that_lack_a_part_are_refused_when_they_are_loaded(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = copy_model(folder, tmp_path / "part")
    tensors = load_file(path / "model.safetensors")
    del tensors["classifier.weight"]
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path / "model.safetensors")
    with pytest.raises(UserError, match=r"not complete: classifier\.weight"):
        names(path, "Zorblax")


@pytest.mark.parametrize("languages", [[], ["en-GB"], ["English"]])
def test_a_model_needs_languages_as_lists_have_them(folder: Path, languages: list[str]) -> None:
    with pytest.raises(ValidationError):
        NerParameters.model_validate({"path": str(folder), "languages": languages})


def test_a_model_without_the_kind_name_is_refused(folder: Path) -> None:
    with pytest.raises(ValidationError, match="no `name`"):
        stage(folder, kinds=["email"])
