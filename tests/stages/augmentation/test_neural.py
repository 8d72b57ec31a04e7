"""Translators by neural models: tiny ones of random weights, loaded as any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from curator.errors import UserError
from stages.augmentation import neural
from stages.augmentation.ctranslate import CTranslate2
from stages.augmentation.hugging_face import HuggingFace
from stages.augmentation.method import Made, Translation
from stages.augmentation.neural import NeuralTranslator, batches
from stages.augmentation.parameters import AugmentationParameters
from stages.augmentation.stage import Augmentation
from stages.augmentation.translator import Translator, TranslatorChoice, create
from tests.command import curator
from tests.runs import recipe_text, write_jsonl
from tests.stages.augmentation.models import ENDLESS, SENTENCES, make_marian

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of transformers and of SWIG, none of ours

TEXTS = ["\n\n".join(SENTENCES[2:4]), "", "12", SENTENCES[2] + "  " + SENTENCES[0]]


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_marian(tmp_path_factory.mktemp("models") / "marian")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, marian: Path) -> Path:
    from ctranslate2.converters import TransformersConverter

    folder = tmp_path_factory.mktemp("converted") / "ct2"
    TransformersConverter(str(marian), copy_files=["source.spm", "target.spm"]).convert(str(folder))
    return folder


def both(marian: Path, converted: Path) -> list[NeuralTranslator]:
    return [
        HuggingFace(models={"oc-fr": str(marian), "fr-oc": str(marian)}, max_tokens=48),
        CTranslate2(models={"oc-fr": str(converted), "fr-oc": str(converted)}, max_tokens=48),
    ]


def test_texts_come_back_sentence_by_sentence_the_same_each_time(marian: Path, converted: Path) -> None:
    for translator in both(marian, converted):
        assert isinstance(translator, Translator)
        first = translator.translate("oc", "fr", TEXTS)
        assert first[0] is not None
        assert first[0].count("\n\n") == 1
        assert first[1:3] == ["", "12"]
        assert first == translator.translate("oc", "fr", TEXTS)
        assert translator.translate("oc", "fr", TEXTS[3:]) == first[3:]


def test_both_engines_give_the_translations_of_one_model(marian: Path, converted: Path) -> None:
    slow, fast = both(marian, converted)
    assert slow.translate("oc", "fr", TEXTS) == fast.translate("oc", "fr", TEXTS)


def test_text_of_a_pivot_goes_to_the_language_and_comes_back_for_its_parent(marian: Path, converted: Path) -> None:
    for translator in both(marian, converted):
        keys = np.zeros((len(TEXTS), 2), dtype=np.uint64)
        made = Translation(translator, ("fr", "oc"), round_trip=True).make(TEXTS, keys, 0)
        there = translator.translate("fr", "oc", TEXTS)
        back = translator.translate("oc", "fr", [text or "" for text in there])
        assert made == [
            None if text is None or returned is None else Made(text, returned)
            for text, returned in zip(there, back, strict=True)
        ]
        alone = Translation(translator, ("fr", "oc"), round_trip=False).make(TEXTS, keys, 0)
        assert alone == [None if text is None else Made(text) for text in there]
        assert alone[0] is not None


def test_a_sentence_that_is_too_long_or_whose_translation_never_ends_leaves_its_text_untranslated(
    marian: Path, converted: Path
) -> None:
    long = " ".join(["libertat"] * 60)
    for translator in both(marian, converted):
        found = translator.translate("oc", "fr", [long, SENTENCES[0], ENDLESS])
        assert found[0] is None
        assert found[1] is not None
        assert found[2] is None


def test_a_run_that_ends_in_between_keeps_what_was_translated(
    marian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neural, "KEPT_TOGETHER", 2)
    translator = HuggingFace(models={"oc-fr": str(marian)}, cache=str(tmp_path / "cache"), max_tokens=48)
    texts = [SENTENCES[2], SENTENCES[3], SENTENCES[0]]
    asked: list[list[str]] = []
    run = translator.run

    def ends(folder: Path, source: str, target: str, sentences: Sequence[str]) -> list[str | None]:
        asked.append(list(sentences))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return run(folder, source, target, sentences)

    monkeypatch.setattr(translator, "run", ends)
    with pytest.raises(KeyboardInterrupt):
        translator.translate("oc", "fr", texts)
    assert None not in translator.translate("oc", "fr", texts)
    assert asked == [texts[:2], texts[2:], texts[2:]]


def test_a_cache_answers_without_the_model(marian: Path, tmp_path: Path) -> None:
    options = {"models": {"oc-fr": str(marian)}, "cache": str(tmp_path / "cache"), "max_tokens": 48}
    first = HuggingFace(**options).translate("oc", "fr", TEXTS)
    again = HuggingFace(**options)
    assert again.translate("oc", "fr", TEXTS) == first
    assert not again._loaded


def test_a_model_of_several_languages_is_told_them_by_a_prefix(converted: Path) -> None:
    options = {
        "model": str(converted),
        "languages": {"oc": "oc", "fr": "fr", "es": "es"},
        "style": "prefix",
        "max_tokens": 48,
    }
    translator = CTranslate2(**options)
    assert len(translator.pairs()) == 6
    assert translator.translate("oc", "fr", SENTENCES[:1]) is not None
    assert translator.requirement(("oc", "es")).problem is None
    assert "no model for this pair" in str(translator.requirement(("oc", "de")).problem)


def test_more_positions_than_a_model_has_are_refused(marian: Path, converted: Path) -> None:
    problem = HuggingFace(models={"oc-fr": str(marian)}).requirement(("oc", "fr")).problem
    assert problem is not None
    assert "max_tokens is 256, and the model" in problem
    with pytest.raises(UserError, match="a smaller max_tokens may help"):
        CTranslate2(models={"oc-fr": str(converted)}).translate("oc", "fr", [ENDLESS])


def test_the_identity_follows_the_files_and_the_options(marian: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(marian, copied)

    def identity(folder: Path, **options: object) -> str:
        return HuggingFace(models={"oc-fr": str(folder)}, max_tokens=48, **options).requirement(("oc", "fr")).identity

    before = identity(marian)
    assert identity(copied) == before
    assert identity(marian, beams=2) != before
    (copied / "generation_config.json").write_text("{}")
    assert identity(copied) != before


def test_what_cannot_be_loaded_is_said_before_any_text_is_read(marian: Path, tmp_path: Path) -> None:
    wrong, pickled, broken = tmp_path / "wrong", tmp_path / "pickled", tmp_path / "broken"
    for folder in (wrong, pickled, broken):
        shutil.copytree(marian, folder)
    config = json.loads((wrong / "config.json").read_text())
    (wrong / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (broken / "config.json").write_text("{")
    for folder, said in (
        (tmp_path / "none", "there is no config.json"),
        (wrong, "is not sequence to sequence: its architecture is ['BertForMaskedLM']"),
        (pickled, "other formats are pickles, which can run code: not loaded"),
        (broken, "is not JSON"),
    ):
        translator = HuggingFace(models={"oc-fr": str(folder)}, max_tokens=48)
        problem = translator.requirement(("oc", "fr")).problem
        assert problem is not None
        assert said in problem
        assert not translator.pairs()
        with pytest.raises(UserError):
            translator.translate("oc", "fr", ["a"])
    empty = CTranslate2(models={"oc-fr": str(tmp_path)}).requirement(("oc", "fr")).problem
    assert empty is not None
    assert "model.bin and config.json missing" in empty


def test_a_gpu_that_is_asked_for_and_not_there_is_said(marian: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    problem = HuggingFace(models={"oc-fr": str(marian)}, device="cuda").requirement(("oc", "fr")).problem
    assert problem is not None
    assert "there is no GPU here" in problem


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give `models`, a folder for each pair, or `model` and `languages`"),
        ({"models": {"french": "/x"}}, "is no pair of languages"),
        ({"model": "/x"}, "`model` needs `languages`"),
        ({"models": {"oc-fr": "/x"}, "beams": 0}, "beams"),
        ({"models": {"oc-fr": "/x"}, "temperature": 1}, "temperature"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], said: str) -> None:
    for name in ("transformers", "ctranslate2"):
        with pytest.raises(UserError, match=said):
            create(TranslatorChoice(name=name, options=options))


def test_without_pivots_the_recipe_is_told_to_name_them(marian: Path) -> None:
    choice = {"name": "transformers", "options": {"models": {"oc-fr": str(marian)}}}
    stage = Augmentation(AugmentationParameters.model_validate({"translators": [choice]}))
    assert [requirement.problem for requirement in stage.requirements()] == [
        "translators: transformers needs `pivots`, a language and its pivot for each language"
    ]


def test_a_run_makes_children_with_a_model_of_its_recipe(converted: Path, tmp_path: Path) -> None:
    options = {"models": {"oc-fr": str(converted), "fr-oc": str(converted)}, "max_tokens": 48}
    choice = {"name": "ctranslate2", "pivots": {"oc": "fr"}, "options": options}
    augmentation = f"augmentation: {json.dumps({'translators': [choice], 'min_chrf': 0, 'max_chrf': 100})}"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(augmentation))
    documents = [{"id": f"d{n}", "text": f"{SENTENCES[0]} {SENTENCES[2]} {n}", "lang": "oc"} for n in range(8)]
    done = curator("process", write_jsonl(tmp_path / "in.jsonl", documents), "-o", tmp_path / "run", "-r", recipe)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "run" / "manifest.json").read_text())["facts"]["augmentation"]["languages"]
    assert [row["route"] for row in facts] == ["oc-fr-oc"]
    assert facts[0]["chosen_documents"] > 0
    assert curator("verify", tmp_path / "run").returncode == 0
    assert curator("doctor", "-r", recipe).returncode == 0


def test_batches_hold_every_place_once_and_keep_to_their_size() -> None:
    lengths = [3, 50, 7, 7, 1, 20, 19]
    found = batches(lengths, 40)
    assert sorted(place for batch in found for place in batch) == list(range(7))
    assert all(len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 40 for batch in found)
