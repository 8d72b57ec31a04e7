"""Which documents a model is asked about."""

from __future__ import annotations

from curator.cli.evaluate import _choose
from model.data.documents import TextDocument

ENGLISH = [TextDocument(f"en{number}", "en", "text") for number in range(400)]
FRENCH = [TextDocument(f"fr{number}", "fr", "texte") for number in range(3)]


def test_a_sample_is_drawn_from_all_documents_of_a_language_and_keeps_their_order() -> None:
    chosen = _choose([*ENGLISH, *FRENCH], [], 40)
    places = [ENGLISH.index(document) for document in chosen[:40]]
    assert places == sorted(set(places))
    assert 5 < sum(place < 200 for place in places) < 35
    assert chosen[40:] == FRENCH


def test_the_same_documents_give_the_same_sample_wherever_they_stand() -> None:
    assert set(_choose(reversed(ENGLISH), [], 40)) == set(_choose(ENGLISH, [], 40))
    assert set(_choose(ENGLISH, [], 20)) < set(_choose(ENGLISH, [], 40))


def test_documents_of_other_languages_are_left_out_and_without_a_limit_none_else() -> None:
    assert _choose([*FRENCH, *ENGLISH], ["en"], 0) == ENGLISH


def test_of_documents_with_the_same_name_the_first_are_taken() -> None:
    same = [TextDocument("x", "en", str(number)) for number in range(9)]
    assert _choose(same, [], 2) == same[:2]
