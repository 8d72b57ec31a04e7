"""The Apertium stream format, written and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.augmentation.stream import LONGEST_RUN, Line, decode, encode, is_safe

LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40)


def decoded(stream: bytes, count: int) -> list[Line | None]:
    lines = decode(stream, count)
    assert lines is not None
    return lines


@given(st.lists(st.one_of(LINE, st.text(r"a[]{}^$/@<>\*#~|. ", max_size=30)), max_size=8))
def test_what_passes_through_untranslated_comes_back_as_it_was(lines: list[str]) -> None:
    for line, back in zip(lines, decoded(encode(lines), len(lines)), strict=True):
        # Blanks at the ends and nothing else may go; a line of blanks is no line.
        expected = line.strip(" ")
        assert (back.text if back else "") == expected
        assert back is None or (back.unknown, back.failed) == (0, 0)


def test_reserved_characters_are_escaped_and_literal_marks_pass_in_superblanks() -> None:
    assert encode(["a/b *c* [x] user@b.org"]) == rb"a\/b [*]c[*] \[x\] [user\@b.org]" + b".[][\n0]"


def test_addresses_and_placeholders_pass_through_whole() -> None:
    assert encode(["see https://x.org/a?b=c for [REDACTED_NAME]"]) == (
        rb"see [https:\/\/x.org\/a?b=c] for [\[REDACTED_NAME\]]" + b".[][\n0]"
    )


@pytest.mark.parametrize("line", ["a\0b", "a\uffff", "a " + "b" * (LONGEST_RUN + 1)])
def test_a_line_on_which_a_pipeline_hangs_is_known(line: str) -> None:
    assert not is_safe(line)
    assert is_safe("a " + "b" * LONGEST_RUN + " c")


def test_marks_are_taken_out_and_counted() -> None:
    stream = rb"Le *chat @manger #souris [*] \@ \#.[][" + b"\n0]"
    assert decoded(stream, 1) == [Line("Le chat manger souris * @ #", 4, 1, 2)]


@pytest.mark.parametrize("full_stop", [".", "।", "۔"])
def test_our_own_full_stop_goes_whatever_the_language_made_of_it(full_stop: str) -> None:
    assert decoded(f"A.{full_stop}[][\n0]".encode(), 1) == [Line("A.", 1, 0, 0)]


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"a.[][\n0]",
        b"a.[][\n1]b.[][\n0]",
        b"a.[][\n0]b.[][\n0]",
        b"a.[][\n0]b.[][\n1]c.[][\n2]",
        b"a.[][\n0]b.[][\n1]more",
        b"a.[][\n0]b.[][\nx]",
    ],
)
def test_lines_lost_doubled_or_moved_are_noticed(stream: bytes) -> None:
    assert decode(stream, 2) is None


@pytest.mark.parametrize("broken", [b"\xff", b"^casa<n>$", b"a]b", b"", b"[ ]", b"{x}"])
def test_a_broken_line_is_refused_and_its_neighbours_are_not(broken: bytes) -> None:
    lines = decoded(b"one.[][\n0]" + broken + b".[][\n1]three.[][\n2]", 3)
    assert [line.text if line else None for line in lines] == ["one", None, "three"]
