"""Recognisers of Presidio: those that come with it by name, one's own by an entry point; the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from curator.errors import UserError
from stages.pii.presidio import PIECE, Presidio
from stages.pii.recogniser import RecogniserChoice, create
from stages.pii.stage import Pii, PiiParameters
from tests.command import installed_package
from tests.stages.pii.helpers import batch

# Presidio takes six seconds to import, which who does not run these tests need not wait for.
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not find_spec("presidio_analyzer"), reason="Presidio is not installed (extra recognisers)"),
]

NUMBER = "AB 12 34 56 C"
"""A British insurance number in form, which nobody has."""
OWN = """
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult


class Badge(PatternRecognizer):
    def __init__(self):
        super().__init__(supported_entity="BADGE", patterns=[Pattern("badge", r"ZQ-[0-9]{4}", 0.8)])


class Everybody(EntityRecognizer):
    def __init__(self):
        super().__init__(supported_entities=["PERSON"])

    def load(self):
        pass

    def analyze(self, text, entities, nlp_artifacts):
        begin = text.find(" Zorblax")
        return [RecognizerResult("PERSON", begin, begin + 8, 0.9)] if begin >= 0 else []
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[None]:
    """A package with two recognisers of its own, and a function that is none."""
    entries = ["badge = own_badges:Badge", "everybody = own_badges:Everybody", "broken = json:loads"]
    with installed_package(tmp_path, "own_badges", "curator.recognisers", entries, OWN):
        yield


def stage(*choices: dict[str, object], **parameters: object) -> Pii:
    recognisers = [{"languages": ["en"], **choice} for choice in choices]
    return Pii(PiiParameters.model_validate({"recognisers": recognisers, **parameters}))


def shipped(name: str, **options: object) -> dict[str, object]:
    return {"name": "presidio", "options": {"recogniser": name, **options}, "kinds": {"UK_NINO": "id"}}


def test_one_that_comes_with_presidio_finds_what_the_rules_do_not() -> None:
    documents = batch([f"é🙂 {NUMBER} stands here; a@b.org.", NUMBER], ["en", "de"])
    made = stage(shipped("UkNinoRecognizer"))
    assert [requirement.problem for requirement in made.requirements()] == [None]
    assert made.decide(documents, made.annotate(documents), {}).edits.to_pylist() == [
        {"row": 0, "text": "é🙂 [REDACTED_ID] stands here; [REDACTED_EMAIL]."}
    ]
    assert "presidio-analyzer" in made.packages


def test_places_are_those_of_the_whole_text_and_scores_below_the_least_do_not_count() -> None:
    text = "é " * PIECE + f"\n{NUMBER}"
    made = Presidio(["en"], {"UK_NINO": "id"}, "UkNinoRecognizer")
    ((finding,),) = made.find([text])
    assert text[finding.begin : finding.end] == NUMBER
    assert Presidio(["en"], {"UK_NINO": "id"}, "UkNinoRecognizer", min_score=1.0).find([text]) == [[]]


@pytest.mark.parametrize("score", [-0.1, 1.1])
def test_a_least_score_that_no_match_can_have_is_refused(own: None, score: float) -> None:
    own_one: dict[str, object] = {"name": "badge", "kinds": {"BADGE": "id"}, "options": {"min_score": score}}
    for choice in (own_one, shipped("UkNinoRecognizer", min_score=score)):
        with pytest.raises(UserError, match="min_score"):
            stage(choice)


def test_ones_own_is_named_by_its_entry_point(own: None) -> None:
    documents = batch(["Badge ZQ-1234 of Zorblax", "Nobody"])
    made = stage({"name": "badge", "kinds": {"BADGE": "id"}}, {"name": "everybody"})
    assert [requirement.problem for requirement in made.requirements()] == [None, None]
    assert len({requirement.identity for requirement in made.requirements()}) == 2
    assert made.decide(documents, made.annotate(documents), {}).edits.to_pylist() == [
        {"row": 0, "text": "Badge [REDACTED_ID] of [REDACTED_NAME]"}
    ]
    assert made.packages[-1] == "own_badges"


def test_another_source_has_another_identity(own: None, tmp_path: Path) -> None:
    (before,) = stage({"name": "everybody"}).requirements()
    with (tmp_path / "own_badges.py").open("a") as file:
        file.write("CHANGED = True\n")
    (after,) = stage({"name": "everybody"}).requirements()
    assert before.identity != after.identity


def test_what_cannot_be_used_is_refused_before_data_is_read(own: None) -> None:
    def problem(choice: dict[str, object], **parameters: object) -> str:
        (requirement,) = stage(choice, **parameters).requirements()
        return requirement.problem or ""

    assert "did you mean 'UkNinoRecognizer'" in problem(shipped("UkNinoRecogniser"))
    assert "made of patterns" in problem(shipped("SpacyRecognizer"))
    assert "network" in problem(shipped("EmailRecognizer"))
    assert "finds BADGE: say in `kinds`" in problem({"name": "badge"})
    assert "not among `kinds`" in problem({"name": "everybody"}, kinds=["email"])
    with pytest.raises(UserError, match="names no class"):
        create(RecogniserChoice(name="broken", languages=("en",)))
    with pytest.raises(UserError, match="options of recogniser 'presidio'"):
        create(RecogniserChoice(name="presidio", languages=("en",)))
