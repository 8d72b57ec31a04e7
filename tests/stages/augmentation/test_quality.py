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


FRENCH = (
    "Tous les êtres humains naissent libres et égaux en dignité et en droits; écrivez à [REDACTED_NAME] s'il le faut."
)
OCCITAN = "Totes los èssers umans naisson liures e egals en dignitat e en dreches; escrivètz a [REDACTED_NAME] se cal."


@pytest.mark.parametrize(
    ("child", "returned", "reason"),
    [
        (OCCITAN, FRENCH, None),  # that it comes back as it was is what one hopes for
        (OCCITAN, FRENCH.replace("droits", "droit"), None),
        (OCCITAN, None, None),
        (OCCITAN, FRENCH[::-1], "noise"),
        (FRENCH, FRENCH, "near-copy"),
        (FRENCH.replace("faut.", "faut!"), FRENCH, "near-copy"),
        (OCCITAN * 2, FRENCH, "length"),
        (OCCITAN[:40] + "[REDACTED_NAME]", FRENCH, "length"),
        (OCCITAN.replace("liures", "*libres"), FRENCH, "marks"),
        (OCCITAN.replace("[REDACTED_NAME]", "[REDACTED_MAIL]"), FRENCH, "placeholders"),
        (" ", FRENCH, "empty"),
    ],
)
def test_a_translation_is_judged_by_what_comes_back(child: str, returned: str | None, reason: str | None) -> None:
    judgement = GATE.judge_translation(FRENCH, child, returned, 1.0)
    assert judgement.refused == reason
    assert ("round_trip_chrf" in judgement.scores) == (returned is not None)


def test_lengths_are_seen_against_those_that_texts_of_the_languages_have() -> None:
    chinese = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。"
    english = (
        "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience."
    )
    assert GATE.judge_translation(english, chinese, english, 1.0).refused == "length"
    assert GATE.judge_translation(english, chinese, english, 0.263).refused is None
