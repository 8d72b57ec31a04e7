"""Recognisers are found by name, read the documents of their languages, and yield to rules that have checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from curator.errors import UserError
from stages.pii.recogniser import Finding, RecogniserChoice, create, finding, pieces, trimmed
from stages.pii.stage import Pii, PiiParameters
from tests.command import installed_package
from tests.stages.pii.helpers import batch

SOURCE = """
from curator.stage import Requirement, Resources


class Own:
    packages = ()
    resources = Resources(memory_bytes=7, num_gpus=1.0)

    def __init__(self, languages, kinds, word):
        self.languages, self.kinds, self.word = frozenset(languages), frozenset(kinds.values()), word

    def requirement(self):
        return Requirement("word", self.word, self.word, None if self.word else "is empty")

    def find(self, texts):
        return [[(at, at + len(self.word), "name") for at in (text.find(self.word),) if at >= 0] for text in texts]
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path) -> Iterator[None]:
    """A package with a recogniser, and a function and a class that are none."""
    entries = ["own = own_words:Own", "function = json:loads", "other = json:JSONDecoder"]
    with installed_package(tmp_path, "own_words", "curator.recognisers", entries, SOURCE):
        yield


def stage(word: str, **parameters: object) -> Pii:
    choice = {"name": "own", "languages": ["en", "fr"], "kinds": {"X": "name"}, "options": {"word": word}}
    return Pii(PiiParameters.model_validate({"recognisers": [choice], **parameters}))


def edits(made: Pii, texts: list[str], languages: list[str]) -> list[object]:
    documents = batch(texts, languages)
    verdicts = made.decide(documents, made.annotate(documents), {})
    return [edit["text"] for edit in verdicts.edits.to_pylist()]


def test_a_recogniser_reads_the_documents_of_its_languages() -> None:
    texts = ["é🙂 the zorblax went", "der zorblax ging"]
    assert edits(stage("zorblax"), texts, ["en", "de"]) == ["é🙂 the [REDACTED_NAME] went"]


def test_what_a_rule_has_checked_stands_before_what_a_recogniser_finds() -> None:
    assert edits(stage("to zora@example.net or"), ["Write to zora@example.net or not"], ["en"]) == [
        "Write to [REDACTED_EMAIL] or not"
    ]


def test_of_two_names_that_overlap_the_longer_stands() -> None:
    assert edits(stage("Doctor Anna Miller"), ["Then Doctor Anna Miller spoke."], ["en"]) == [
        "Then [REDACTED_NAME] spoke."
    ]


def test_the_stage_has_the_packages_and_resources_of_its_recognisers() -> None:
    made = stage("zorblax")
    assert (made.costly, made.packages[-1], made.coverage("fr")) == (True, "own_words", None)
    assert (made.resources.memory_bytes, made.resources.num_gpus, made.resources.holds_model) == (7, 1.0, True)


def test_what_cannot_be_used_is_refused() -> None:
    assert [requirement.problem for requirement in stage("").requirements()] == ["is empty"]
    (unused,) = stage("x", kinds=["email"]).requirements()
    assert "not among `kinds`" in (unused.problem or "")
    for name, message in (
        ("own", "options"),
        ("function", "no class"),
        ("other", "options"),
        ("owm", "did you mean 'own'"),
    ):
        with pytest.raises(UserError, match=message):
            create(RecogniserChoice(name=name, languages=("en",)))
    with pytest.raises(ValidationError, match="expected a language as lists have it"):
        RecogniserChoice(name="own", languages=("en-GB",))


@pytest.mark.parametrize("text", ["", "a", "a b c d e f g h", "word " * 50, "x" * 95, "line\n" * 30 + "y" * 40])
def test_pieces_are_the_text_and_none_is_too_long(text: str) -> None:
    found = list(pieces(text, 20))
    assert "".join(piece for _, piece in found) == text
    assert all(text[begin:].startswith(piece) and 0 < len(piece) <= 20 for begin, piece in found)


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [(" Anna,", (0, 6), (1, 5)), ("(काली)", (0, 6), (1, 5)), ("12", (0, 2), None), ("...", (0, 3), None)],
)
def test_names_are_cut_at_letters(text: str, span: tuple[int, int], expected: tuple[int, int] | None) -> None:
    assert trimmed(text, *span) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("name", None), ("phone", Finding(11, 22, "phone"))],
)
def test_only_a_name_loses_what_is_no_letter_at_its_ends(kind: str, expected: Finding | None) -> None:
    assert finding(" +49 30 4711 ", 0, 13, kind, offset=10) == expected
    assert finding("  ", 0, 2, kind) is None
