"""Matching of terms: at unit boundaries, in the document's own language, the longest first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.document import Batch
from curator.text.fold import hash_terms
from stages.toxicity.rules import Matches, count_terms, match_terms
from stages.toxicity.terms import TermTable, compile_terms, term_table
from tests.stages.toxicity.helpers import listed_terms, make_batch


def match(documents: list[tuple[str, str]], table: TermTable | None = None) -> Matches:
    batch = make_batch(documents)
    return match_terms(batch.units, batch.languages, table or term_table(2))


def test_a_term_counts_as_a_whole_word_in_any_case_and_not_inside_another_word() -> None:
    term = listed_terms("en")[0]
    documents = [f"such a {term}.", f"such a {term.upper()}!", f"x{term}", f"{term}x", f"x{term}x", f"{term}\u0301"]
    assert match([("en", text) for text in documents]).matches.tolist() == [1, 1, 0, 0, 0, 0]


def test_capitals_of_turkish_are_those_of_its_letters() -> None:
    term = next(term for term in listed_terms("tr") if "i" in term)
    assert match([("tr", f"HEP {term.replace('i', 'İ').upper()} DEDİ")]).matches.tolist() == [1]


def test_no_term_is_found_in_place_names_that_contain_one() -> None:
    names = "Scunthorpe, Penistone, Cockermouth, Lightwater, Clitheroe, Middlesex, Essex, Arsenal, Dickson, Shitterton"
    assert match([("en", names), ("en-GB", names.upper())]).matches.tolist() == [0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "Dick Van Dyke and Dick Cheney met Willy Brandt.",
        "A cock crowed, and a blue tit, a great tit and a shag flew up from the dyke.",
        "Fanny Price put the shag carpet on the butt of the rifle.",
    ],
)
def test_names_and_birds_are_no_terms(text: str) -> None:
    assert match([("en", text)]).matches.tolist() == [0]


def test_what_a_list_took_from_english_by_a_wrong_sense_is_no_term() -> None:
    text = "«Ах!» — воскликнул он, взялся за ручку двери и купил урюк. Восклицание, закоулок, енот, хлебать, возводить."
    assert match([("ko", "하루 세끼 밥 세끼, 병자 호란"), ("tr", "otuzbir otuzbir")]).matches.tolist() == [0, 0]
    assert match([("ru", text), ("ru", "Ручки и тварь дрожащая, дамба и сук.")]).matches.tolist() == [0, 0]


def test_what_a_machine_translated_counts_only_when_asked_for() -> None:
    assert "bg" not in term_table(3).salts
    assert match([("bg", "аборт")]).checked.tolist() == [False]
    found = match([("bg", "аборт"), ("en", "a plain text")], term_table(4))
    assert found.matches.tolist() == [1, 0]
    assert len(term_table(4).salts) == 62


def test_terms_of_a_script_without_spaces_are_found_within_running_text() -> None:
    for language, before, after in (("zh", "今天", "很多"), ("ja", "これは", "です"), ("th", "วันนี้", "มาก")):
        terms = listed_terms(language)
        found = match([(language, f"{before}{term}{after}") for term in terms[:10]] + [(language, before + after)])
        assert (found.matches[:-1] >= 1).all()
        assert found.matches[-1] == 0


def test_a_list_is_never_applied_to_another_language() -> None:
    term = listed_terms("de")[0]
    assert term not in listed_terms("nl") + listed_terms("nl", 2)
    found = match([("de", term), ("nl", term), ("de-AT", term), ("und", term), ("sw", term), ("x-de", term)])
    assert found.matches.tolist() == [1, 0, 1, 0, 0, 0]
    assert found.checked.tolist() == [True, True, True, False, False, False]


@pytest.mark.slow
def test_every_list_language_finds_its_own_terms() -> None:
    table = term_table(2)
    for language in table.salts:
        terms = [term for tier in (1, 2) for term in listed_terms(language, tier)][:20]
        found = match([(language, term) for term in terms])
        assert found.units.tolist() == [len(hashes) for hashes in hash_terms(terms)]


def test_the_longest_term_counts_and_matches_do_not_overlap() -> None:
    table = compile_terms(["en"] * 3, ["one", "one two", "two three"], [1, 3, 1])
    found = match([("en", "one two three"), ("en", "one, three"), ("en", "two three one")], table)
    assert found.matches.tolist() == [1, 1, 2]
    assert found.units.tolist() == [2, 1, 3]
    assert found.severities.tolist() == [3, 1, 2]


def test_a_term_does_not_reach_into_the_next_document() -> None:
    table = compile_terms(["en"], ["one two"], [1])
    assert match([("en", "one"), ("en", "two"), ("en", "one two")], table).matches.tolist() == [0, 0, 1]


def test_an_empty_batch_has_no_matches() -> None:
    assert match([]).matches.tolist() == []


def reference(text: str, language: str, terms: list[tuple[str, str]]) -> tuple[int, int]:
    """Matches and matched units, by trying every term at every place."""
    own = [hashes.tolist() for hashes in hash_terms([term for name, term in terms if name == language])]
    units = hash_terms([text])[0].tolist()
    place = matches = matched = 0
    while place < len(units):
        sizes = [len(term) for term in own if term and units[place : place + len(term)] == term]
        matches += bool(sizes)
        matched += max(sizes, default=0)
        place += max(sizes, default=1)
    return matches, matched


WORDS = st.lists(st.sampled_from(["a", "b", "c", "A", "中", "文", "é", "b-c", "١", "'"]), min_size=1, max_size=4)


@pytest.mark.slow
@given(
    terms=st.lists(st.tuples(st.sampled_from(["en", "zh"]), WORDS.map(" ".join)), max_size=8, unique=True),
    texts=st.lists(st.tuples(st.sampled_from(["en", "zh", "fr"]), WORDS.map(" ".join)), max_size=5),
)
def test_matching_equals_trying_every_term_everywhere(
    terms: list[tuple[str, str]], texts: list[tuple[str, str]]
) -> None:
    distinct = {(language, tuple(hash_terms([term])[0].tolist())): term for language, term in terms}
    kept = [(language, term) for (language, _), term in distinct.items()]
    table = compile_terms([name for name, _ in kept], [term for _, term in kept], [1] * len(kept))
    found = match(texts, table)
    for row, (language, text) in enumerate(texts):
        assert (int(found.matches[row]), int(found.units[row])) == reference(text, language, kept)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_document_of_one_term_alone_is_wholly_matched(language: str) -> None:
    term = listed_terms(language)[1]
    found = match([(language, f"{term} {term} {term}")])
    assert found.matches[0] == 3
    assert found.units[0] == make_batch([(language, f"{term} {term} {term}")]).units.counts[0]


def test_terms_of_a_language_that_a_document_mixes_count_and_no_others() -> None:
    (german,), (english,) = listed_terms("de")[:1], listed_terms("en")[:1]
    text = f"{german} {english} 123 456"
    plain = make_batch([("de", text), ("en", text), ("und", text), ("de", text)])
    mixture = {
        "language.dominant": pa.array(["de", None, "en", "fr"]),
        "language.second": pa.array(["en", None, "de", None]),
    }
    alone, mixed = count_terms(plain, 2), count_terms(Batch(plain.documents, mixture), 2)
    assert (alone.matches.tolist(), alone.checked.tolist()) == ([1, 1, 0, 1], [True, True, False, True])
    assert (mixed.matches.tolist(), mixed.checked.tolist()) == ([2, 1, 2, 1], [True, True, True, True])


def test_a_disguised_term_counts_as_a_term_of_one_unit() -> None:
    term = listed_terms("en")[0]
    found = count_terms(make_batch([("en", f"{term} {term[:-1]}{term[-1] * 4} word")]), 2)
    assert (found.matches.tolist(), found.units.tolist()) == ([2], [2])


def test_a_selection_of_a_batch_keeps_what_its_documents_mix() -> None:
    batch = Batch(make_batch([("de", "a"), ("de", "b")]).documents, {"language.second": pa.array([None, "en"])})
    chosen = batch.select(np.array([1]))
    assert [codes.names for codes in chosen.mixed_languages] == [("en",)]
