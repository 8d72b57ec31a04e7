"""Passages are cut out with their windows, and nothing of what stays changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.decontamination.cut import JOINT, cut_passages


def letters(text: str) -> int:
    """The letters of a text of `NASTY`."""
    return sum(4 if character in "中文" else 1 for character in text)


NASTY = st.text(st.sampled_from("ab c,.\n中文กำ\u0301\u200d👩é\u202e\0"), min_size=1, max_size=120)


def test_a_window_that_ends_in_a_word_takes_the_whole_word() -> None:
    text = "alpha beta gamma DELTA epsilon zeta eta"
    begin = text.index("DELTA")
    cut = cut_passages(text, [(begin, begin + 5)], 3, 1)
    assert cut.text == f"alpha beta{JOINT}zeta eta"
    assert cut.removed == [(text.index("gamma"), text.index(" zeta"))]
    assert cut.pieces == 2


def test_a_window_has_as_much_text_in_any_script() -> None:
    removed = {}
    for name, character in {"latin": "a ", "ideographs": "中", "kana": "の", "hangul": "가 ", "thai": "ก"}.items():
        text = f"{character * 200}X{character * 200}"
        begin = text.index("X")
        ((low, high),) = cut_passages(text, [(begin, begin + 1)], 40, 1).removed
        assert begin - low == high - begin - 1
        removed[name] = begin - low
    assert removed == {"latin": 40, "ideographs": 10, "kana": 20, "hangul": 27, "thai": 40}
    # A piece of 10 ideographs says what one of 40 letters does.
    assert cut_passages("X" + "中" * 10, [(0, 1)], 0, 40).text == "中" * 10
    assert cut_passages("X" + "中" * 9, [(0, 1)], 0, 40).longest == 36


def test_short_pieces_go_and_are_counted() -> None:
    text = f"{'a ' * 20}X b X {'c ' * 20}"
    passages = [(place, place + 1) for place, letter in enumerate(text) if letter == "X"]
    cut = cut_passages(text, passages, 0, 10)
    assert cut.pieces == 3
    assert cut.text == f"{('a ' * 20).strip()}{JOINT}{('c ' * 20).strip()}"
    assert cut.removed == [(passages[0][0], passages[1][1])]
    assert cut_passages("a X b", [(2, 3)], 0, 10).text == ""


@given(NASTY, st.data(), st.integers(0, 20), st.integers(1, 20))
def test_what_stays_is_the_rest_and_no_passage_stays(
    text: str, draw: st.DataObject, window: int, min_piece: int
) -> None:
    bounds = sorted(draw.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    passages = list(zip(bounds[::2], bounds[1::2], strict=False))
    cut = cut_passages(text, passages, window, min_piece)
    edges = [0, *(bound for span in cut.removed for bound in span), len(text)]
    kept = [text[low:high] for low, high in zip(edges[::2], edges[1::2], strict=True)]
    assert cut.text == JOINT.join(piece.strip() for piece in kept if piece)
    assert all(letters(piece) >= min_piece for piece in kept if piece)
    for begin, end in passages:
        low, high = next((low, high) for low, high in cut.removed if low <= begin and end <= high)
        assert low == 0 or letters(text[low:begin]) >= window
        assert high == len(text) or letters(text[end:high]) >= window
    assert all(any(low <= begin and end <= high for begin, end in passages) for low, high in cut.removed)
