"""Examples of children: where they differ from their parents, and masked before that is sought."""

from __future__ import annotations

from curator.run.examples import EXCERPT_CHARACTERS, Example, mask_examples


def child(excerpt: str, beside: str) -> Example:
    return Example(
        "augmentation", "derive", "augmentation.x", "00", "d#a1", "en", None, None, None, None, excerpt, beside
    )


def test_a_child_and_its_parent_are_shown_from_a_little_before_their_first_difference_on() -> None:
    before = "the house stands on a hill and nothing differs here " * 20
    (shown,) = mask_examples([child(f"{before}a pear falls.", f"{before}an apple falls.")])
    assert shown.excerpt.endswith("a pear falls.")
    assert shown.beside is not None
    assert shown.beside.endswith("an apple falls.")
    assert EXCERPT_CHARACTERS // 3 < len(shown.excerpt) < EXCERPT_CHARACTERS


def test_both_are_masked() -> None:
    (shown,) = mask_examples(
        [child("Write to jana.doe@example.org, a pear falls.", "Write to jana.doe@example.org, an apple falls.")]
    )
    assert "jana.doe" not in f"{shown.excerpt} {shown.beside}"
    assert "pear" in shown.excerpt
    assert "apple" in str(shown.beside)


def test_what_is_no_child_has_nothing_beside_it() -> None:
    (shown,) = mask_examples([Example("dedup", "drop", "dedup.near", "00", "d", "en", None, None, "k", None, "a text")])
    assert (shown.excerpt, shown.beside) == ("a text", None)
