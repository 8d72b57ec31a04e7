"""Mixed pages: blocks of lines, the languages that they add up to, and what the recipe makes of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.language.identify import Identification, Policy, identify
from curator.language.paragraphs import SECOND_SHARE, weigh_paragraphs
from curator.language.windows import BLOCK_BYTES, BLOCKS, LONGEST_BLOCK_BYTES, cut_blocks
from curator.verdict import round_score

ENGLISH = (
    "Everyone has the right to freedom of thought, conscience and religion; this right includes freedom to change his "
    "religion or belief, and freedom, either alone or in community with others, to manifest his religion or belief."
)
FRENCH = (
    "Toute personne a droit à la liberté de pensée, de conscience et de religion ; ce droit implique la liberté de "
    "changer de religion ou de conviction, seule ou en commun, tant en public qu'en privé, par l'enseignement."
)
JAPANESE = (
    "すべて人は、思想、良心及び宗教の自由を享有する権利を有する。この権利は、宗教又は信念を変更する自由を含む。" * 2
)


def run(*texts: str, policy: Policy | None = None) -> Identification:
    return identify(*string_buffer(pa.array(texts, pa.string())), policy)


def page(*parts: tuple[str, int]) -> str:
    return "\n".join(paragraph for text, times in parts for paragraph in [text] * times)


def told(result: Identification, row: int = 0) -> tuple[str, str, str]:
    names = result.languages.names
    mixture = result.mixture
    return names[result.languages.codes[row]], names[mixture.first[row]], names[mixture.second[row]]


def test_the_languages_of_a_mixed_page_are_told_by_paragraph() -> None:
    result = run(page((ENGLISH, 6), (FRENCH, 6)), page((JAPANESE, 6), (ENGLISH, 4)))
    assert told(result, 0) in (("und", "en", "fr"), ("und", "fr", "en"))
    assert told(result, 1)[1:] == ("ja", "en")
    assert 0.4 < result.mixture.shares[0] < 0.6


def test_a_page_in_one_language_is_not_read_again() -> None:
    result = run(page((ENGLISH, 20)), "", "short", FRENCH)
    assert np.isnan(result.mixture.shares).all()
    assert not result.mixture.first.any()
    assert not result.mixture.second.any()


def test_a_mixed_page_is_named_after_most_of_its_letters_where_the_recipe_wants_it() -> None:
    text = page((ENGLISH, 7), (FRENCH, 4))
    usual, dominant = run(text), run(text, policy=Policy(mixed="dominant"))
    assert told(usual)[0] in ("und", "en")
    assert told(dominant) == ("en", "en", "fr")
    assert dominant.reasons.names[dominant.reasons.codes[0]] == "paragraphs"
    assert dominant.scores[0] == dominant.mixture.shares[0] >= 0.6


def test_a_page_of_halves_is_named_after_neither() -> None:
    result = run(page((ENGLISH, 8), (FRENCH, 8)), policy=Policy(mixed="dominant"))
    assert told(result)[0] == "und"


def test_a_page_whose_windows_missed_its_language_is_undetermined() -> None:
    """Three of the four windows fall on English by chance; the paragraphs say what most of the page is."""
    text = "\n".join([ENGLISH * 4, page((FRENCH, 18)), ENGLISH * 6, page((FRENCH, 36)), ENGLISH * 4])
    result = run(text)
    assert told(result) == ("und", "fr", "en")
    assert result.reasons.names[result.reasons.codes[0]] == "mixed"


PIECES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.tuples(st.sampled_from([ENGLISH, "漢字かな", "😀", "x", "é\n", "\n", "नमस्ते "]), st.integers(1, 400)).map(
        lambda pair: pair[0] * pair[1]
    ),
)


@pytest.mark.slow
@given(texts=st.lists(st.lists(PIECES, max_size=6).map("".join), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_blocks_are_whole_characters_in_order_and_cover_what_fits(texts: list[str]) -> None:
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    begins, ends = cut_blocks(data, offsets[:-1], offsets[1:])
    for row, text in enumerate(texts):
        begin, end = int(offsets[row]), int(offsets[row + 1])
        place, covered = begin, b""
        for block in range(BLOCKS * row, BLOCKS * (row + 1)):
            assert place <= begins[block] <= ends[block] <= end
            part = data[begins[block] : ends[block]].tobytes()
            part.decode("utf-8")
            assert len(part) <= LONGEST_BLOCK_BYTES + 64 + 4
            assert len(part) >= BLOCK_BYTES or ends[block] == end or begins[block] == ends[block]
            covered += part
            place = int(ends[block])
        if end - begin <= BLOCKS * BLOCK_BYTES:
            assert covered == text.encode()


def test_blocks_end_where_lines_do() -> None:
    lines = [ENGLISH + "\n", FRENCH + "\n"] * 10
    data, offsets = string_buffer(pa.array(["".join(lines)]))
    begins, ends = cut_blocks(data, offsets[:-1], offsets[1:])
    found = [data[b:e].tobytes().decode() for b, e in zip(begins, ends, strict=True) if e > b]
    assert found == lines


PARAGRAPHS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 500)), max_size=30)


@pytest.mark.slow
@given(paragraphs=PARAGRAPHS)
@settings(max_examples=200, deadline=None)
def test_paragraphs_add_up_as_a_plain_count_does(paragraphs: list[tuple[int, int, int]]) -> None:
    texts, names, letters = (np.array([row[place] for row in paragraphs], dtype=np.int64) for place in range(3))
    mixture = weigh_paragraphs(texts, names.astype(np.int32), letters, 4, 5)
    for text in range(4):
        own = [row for row in paragraphs if row[0] == text]
        if not own:
            assert np.isnan(mixture.shares[text])
            continue
        total = sum(row[2] for row in own)
        amounts = {name: sum(row[2] for row in own if row[1] == name) for name in {row[1] for row in own} - {0}}
        order = sorted(amounts, key=lambda name: (-amounts[name], name))
        assert mixture.first[text] == (order[0] if order else 0)
        share = amounts[order[0]] / max(total, 1) if order else 0.0
        assert mixture.shares[text] == round_score(np.array([share]))[0]
        has_second = len(order) > 1 and amounts[order[1]] >= SECOND_SHARE * total
        assert mixture.second[text] == (order[1] if has_second else 0)
