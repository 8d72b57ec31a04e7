"""The report reads what `curator ablate` wrote, and says what is no comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curator.errors import DataError, UserError
from curator.report.comparison import read_comparison

ROW = {
    "budget": "tokens",
    "low": 2.0,
    "high": 3.0,
    "difference_low": -0.2,
    "difference_high": 0.1,
    "bought": None,
    "bought_low": None,
    "bought_high": None,
}


def write(folder: Path) -> dict[str, object]:
    rows = [
        {**ROW, "arm": arm, "part": part, "language": language, "documents": documents, "bits_per_byte": bits}
        | {"difference": bits - 2.5}
        for part, documents in (("whole", 9), ("filtered", 7))
        for language, documents in (("all", documents), ("fr", 3), ("oc", 4))
        for arm, bits in (("raw", 2.5), ("web", 2.25 if part == "whole" else 2.375))
    ]
    trainings = [
        {"arm": arm, "budget": "tokens", "seed": seed, "tokens": 100 + seed, "seconds": 1.5 + seed, "epochs": 2}
        | {"documents": 90}
        for arm in ("raw", "web")
        for seed in (0, 1)
    ]
    values: dict[str, object] = {
        "held_out_documents": 9,
        "filtered_documents": 7,
        "raw_documents": 90,
        "too_similar_to_held_out": 1,
        "trainings": trainings,
        "comparisons": rows,
    }
    (folder / "ablation.json").write_text(json.dumps(values))
    return values


def test_arms_stand_in_order_with_the_filtered_difference_beside_the_whole(tmp_path: Path) -> None:
    write(tmp_path)
    (found,) = read_comparison(tmp_path)
    assert [(row.arm, row.difference, row.filtered) for row in found.rows] == [("raw", 0, 0), ("web", -0.25, -0.125)]
    assert (found.budget, found.seeds, found.tokens, found.seconds) == ("tokens", 2, (100, 101), (1.5, 2.5))
    assert (found.documents, found.kept_by_all) == (9, 7)
    assert [(tag, documents) for tag, documents, _ in found.languages] == [("oc", 4), ("fr", 3)]


def test_a_folder_without_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no comparison"):
        read_comparison(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"comparisons": []}', "\udcff"])
def test_what_is_no_comparison_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "ablation.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match="is no comparison"):
        read_comparison(tmp_path)
