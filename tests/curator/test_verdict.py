"""Verdicts and rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.verdict import DROP, EDIT, FLAG, REPEAT, VERDICT_SCHEMA, Redaction, VerdictBuilder, Verdicts, round_score


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_rounding_keeps_six_significant_digits(value: float) -> None:
    if abs(value) < 1e-15:
        return
    rounded = float(round_score(np.array([value]))[0])
    assert rounded == pytest.approx(float(f"{value:.5e}"), rel=2e-6)
    assert f"{rounded:.10g}" == f"{float(f'{rounded:.6g}'):.10g}"
    assert float(round_score(np.array([rounded]))[0]) == rounded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_gives_a_number_near_by_for_every_number(value: float) -> None:
    rounded = float(round_score(np.array([value]))[0])
    assert rounded == pytest.approx(value, rel=6e-6, abs=1e-305)


def test_rounding_leaves_zero_and_what_is_no_number() -> None:
    values = round_score(np.array([0.0, np.nan, np.inf, -np.inf]))
    assert values[0] == 0
    assert np.isnan(values[1])
    assert values[2] == np.inf
    assert values[3] == -np.inf


def test_the_first_drop_of_a_row_stands() -> None:
    builder = VerdictBuilder(4)
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    builder.drop(np.array([True, False, True, False]), "a.low", scores, 2.5)
    builder.drop(np.array([2, 3]), "a.high", scores, keeper=["x", "y"])
    table = builder.build().table
    assert table.schema == VERDICT_SCHEMA
    assert table.select(["row", "rule", "score", "threshold", "keeper"]).to_pylist() == [
        {"row": 0, "rule": "a.low", "score": 1.0, "threshold": 2.5, "keeper": None},
        {"row": 2, "rule": "a.low", "score": 3.0, "threshold": 2.5, "keeper": None},
        {"row": 3, "rule": "a.high", "score": 4.0, "threshold": None, "keeper": "y"},
    ]


def test_edits_flags_and_repeats_stand_beside_each_other() -> None:
    builder = VerdictBuilder(3)
    builder.repeat(np.array([2]), "s.repeat", np.array([0, 0, 3]))
    builder.flag(np.array([1]), "o.odd", 0.5, 0.25)
    builder.edit(
        0,
        "[X] and [Y]",
        [{"kind": "x", "begin": 0, "end": 4}, {"kind": "y", "begin": 9, "end": 12}],
        {"x": "p.x", "y": "p.y"},
    )
    verdicts = builder.build()
    rows = verdicts.table.to_pylist()
    assert [(row["row"], row["action"], row["rule"], row["copies"]) for row in rows] == [
        (0, EDIT, "p.x", None),
        (0, EDIT, "p.y", None),
        (1, FLAG, "o.odd", None),
        (2, REPEAT, "s.repeat", 3),
    ]
    assert rows[1]["detail"]["begin"] == 9
    assert verdicts.edits.to_pylist() == [{"row": 0, "text": "[X] and [Y]"}]


def test_no_verdicts_are_empty_tables() -> None:
    assert len(Verdicts.none().table) == 0
    builder = VerdictBuilder(2)
    builder.drop(np.zeros(2, dtype=np.bool_), "a.b")
    assert len(builder.build().table) == 0


def test_drops_of_all_rules_are_drops() -> None:
    builder = VerdictBuilder(1)
    builder.drop(np.array([0]), "a.b")
    assert builder.build().table["action"].to_pylist() == [DROP]


def test_an_edit_that_nobody_can_ask_about_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one replaced span"):
        VerdictBuilder(1).edit(0, "new", [], {})


def test_drops_and_flags_can_say_where_and_like_what() -> None:
    builder = VerdictBuilder(3)
    spans: list[Redaction] = [{"kind": "a", "begin": 1, "end": 2}, {"kind": "b", "begin": 3, "end": 4}]
    builder.drop(np.array([1]), "s.first")
    builder.drop(np.array([1, 2]), "s.second", keeper=["x", "y"], spans=spans)  # row 1 is dropped already
    builder.flag(np.array([0, 0]), "s.third", keeper=["x", "y"], spans=spans)
    rows = [(row["row"], row["rule"], row["keeper"], row["detail"]) for row in builder.build().table.to_pylist()]
    nothing = {"parent": None, "method": None, "engine": None, "run": None}
    assert rows == [
        (0, "s.third", "x", {**spans[0], **nothing}),
        (0, "s.third", "y", {**spans[1], **nothing}),
        (1, "s.first", None, None),
        (2, "s.second", "y", {**spans[1], **nothing}),
    ]
