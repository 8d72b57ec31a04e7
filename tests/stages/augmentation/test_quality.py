"""The gate between a parent and its child."""

from __future__ import annotations

import pytest

from stages.augmentation.quality import Gate

PARENT = (
    "Totes los èssers umans naisson liures e egals en dignitat e en dreches. Son dotats de rason e de consciéncia e se "
    "devon comportar los unes amb los autres dins un esperit de fraternitat, escriu [REDACTED_NAME] #solidari."
)
GATE = Gate(min_chrf=80, max_chrf=97)


def refusal(child: str) -> str | None:
    return GATE.judge(PARENT, child).refused


def test_a_child_with_some_words_changed_passes() -> None:
    judgement = GATE.judge(PARENT, PARENT.replace("dins un esperit", "en tota sòrta").replace("egals", "parièrs"))
    assert judgement.refused is None
    assert 80 < judgement.scores["chrf"] < 97
    assert judgement.scores["length_ratio"] == pytest.approx(1, abs=0.05)
    assert judgement.scores["marks"] == 0


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (PARENT, "near-copy"),
        (PARENT.replace("egals", "egaus"), "near-copy"),
        (PARENT[::-1].replace("]EMAN_DETCADER[", "[REDACTED_NAME]"), "noise"),
        (" \n", "empty"),
        (PARENT[: len(PARENT) // 2], "length"),
        (PARENT * 2, "length"),
        (PARENT.replace("dins", "*dins"), "marks"),
        (PARENT.replace("naisson", "@naisson"), "marks"),
        (PARENT.replace("[REDACTED_NAME]", "[*REDACTED_NAME]"), "marks"),
        (PARENT.replace("[REDACTED_NAME]", "Joan Ferrièr lo vesin"), "placeholders"),
        (PARENT.replace("[REDACTED_NAME]", "[REDACTED_NAMEN]"), "placeholders"),
    ],
)
def test_a_child_is_refused_for_the_reason_that_it_has(child: str, reason: str) -> None:
    assert refusal(child) == reason


def test_marks_that_the_parent_has_are_no_fault_of_the_child() -> None:
    assert GATE.judge("#ieu " + PARENT, "#ieu " + PARENT.replace("dins un esperit", "en tota sòrta")).refused is None


def test_the_bounds_are_inclusive() -> None:
    child = PARENT.replace("dins un esperit", "en tota sòrta")
    score = GATE.judge(PARENT, child).scores["chrf"]
    assert Gate(score, score).judge(PARENT, child).refused is None
    assert Gate(0, score - 1e-3).judge(PARENT, child).refused == "near-copy"
    assert Gate(score + 1e-3, 100).judge(PARENT, child).refused == "noise"
