"""The runner of labelled benchmarks reads their formats and counts as text-dedup does, on small sets made here."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runs import write_jsonl

ROOT = Path(__file__).parents[2]


def paper(number: int) -> str:
    """The abstract of a paper that has nothing of another."""
    return " ".join(f"term{number}x{place}" for place in range(40))


def core_row(core_id: int, abstract: str, duplicates: list[int], kind: str) -> dict[str, object]:
    """A row in the format of CORE."""
    return {
        "core_id": str(core_id),
        "doi": None,
        "original_title": "A Title",
        "original_abstract": abstract.upper(),
        "processed_title": "a title",
        "processed_abstract": abstract,
        "cat": kind,
        "labelled_duplicates": [str(other) for other in duplicates],
    }


CORE = [
    core_row(11, paper(1), [12], "near_dup"),
    core_row(12, paper(1).replace("term1x7 ", ""), [11], "near_dup"),
    core_row(21, paper(2), [22], "exact_dup"),
    core_row(22, paper(2), [21], "exact_dup"),
    core_row(31, paper(3), [], "non_dup"),
    core_row(41, paper(4), [], "non_dup"),
    # Labelled as duplicates, and with nothing in common: two that are missed.
    core_row(51, paper(5), [52], "near_dup"),
    core_row(52, paper(6), [51], "near_dup"),
    # The same text, and not labelled: two that are wrongly found.
    core_row(61, paper(7), [], "non_dup"),
    core_row(62, paper(7), [], "non_dup"),
]

ARTICLES = {
    "img-1": {"article": paper(1) + " by the associ-\nated press", "headline": "one"},
    "img-2": {"article": paper(1).replace(" ", ", ") + " by the\nassociated press", "headline": "one"},
    "img-3": {"article": paper(2), "headline": "two"},
    "img-4": {"article": paper(3), "headline": "three"},
    "img-5": {"article": paper(3) + " more", "headline": "three"},
}
PAIRS = [["img-1", "img-2"], ["img-4", "img-5"]]
CLUSTERS = [1, 1, 2, 3, 3]


def run(*arguments: str | Path) -> str:
    """Run the script as a user does."""
    command = [sys.executable, str(ROOT / "benchmarks" / "labelled_dedup.py"), *map(str, arguments), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script as a module, with its siblings found."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("labelled_dedup")
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_core_is_read_and_counted(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"train.{ending}"
    if ending == "jsonl":
        write_jsonl(file, CORE)
    else:
        pq.write_table(pa.Table.from_pylist(CORE), file)
    told = run("core", file)
    # 4 true and 2 false positives, 2 true and 2 false negatives.
    assert "duplicates: precision 0.6667, recall 0.6667" in told
    assert "others:     precision 0.5000, recall 0.5000" in told
    assert "macro F1 0.5833, accuracy 0.6000" in told
    assert "mean precision (text-dedup's macro F1) 0.5833, text-dedup: 0.9518" in told


@pytest.mark.long
def test_news_copy_is_read_in_both_of_its_formats(tmp_path: Path) -> None:
    rows = [{**article, "cluster": cluster} for article, cluster in zip(ARTICLES.values(), CLUSTERS, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
    (tmp_path / "test_inf_data.json").write_text(json.dumps(ARTICLES))
    (tmp_path / "full_test_gt.json").write_text(json.dumps(PAIRS))
    one = run("news-copy", tmp_path / "test.parquet")
    other = run("news-copy", tmp_path / "test_inf_data.json", "--pairs", tmp_path / "full_test_gt.json")
    for told in (one, other):
        assert "adjusted Rand index 1.0000, text-dedup: 0.7293" in told
    strict = run("news-copy", tmp_path / "test.parquet", "--threshold", "0.99")
    # Only the pair whose texts are equal once they are prepared: one of the two pairs that there are.
    assert "adjusted Rand index 0.6154" in strict


def test_files_as_others_write_them_are_read(script: ModuleType, tmp_path: Path) -> None:
    row = {**CORE[0], "processed_abstract": None, "labelled_duplicates": None}
    lines, array = tmp_path / "core.jsonl", tmp_path / "core.json"
    lines.write_bytes(b"\xef\xbb\xbf" + json.dumps(row).encode() + b"\r\n\r\n")
    array.write_text(json.dumps([row]))
    for path in (lines, array):
        assert script.read_core(path) == (["11"], ["a title "], {"11": frozenset()})


def test_files_that_lack_something_are_refused_in_one_line(script: ModuleType, tmp_path: Path) -> None:
    articles, pairs = tmp_path / "articles.json", tmp_path / "pairs.json"
    articles.write_text(json.dumps(ARTICLES))
    pairs.write_text(json.dumps([*PAIRS, ["img-1", "img-9"]]))
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"article": "a"}\n')
    for path, given, message in ((articles, pairs, "img-9"), (rows, None, "record 0 has no cluster; it has article")):
        with pytest.raises(SystemExit, match=message):
            script.read_news_copy(path, given)


def test_classes_are_those_of_the_paper(script: ModuleType) -> None:
    labels = {name: frozenset(duplicates) for name, duplicates in (("a", "b"), ("b", "a"), ("c", ""), ("d", "ef"))}
    predicted = {"a": frozenset("bc"), "b": frozenset(), "c": frozenset("a"), "d": frozenset("e")}
    found = script.classify(labels, predicted)
    # All labelled ones and more is still right; some of them is not.
    counts = (found.true_positive, found.false_positive, found.true_negative, found.false_negative, found.exact)
    assert counts == (1, 2, 0, 1, 0)
    assert found.macro_precision == pytest.approx((1 / 3 + 0) / 2)
    assert script.classify({}, {}).accuracy == 0


def test_what_text_dedup_calls_macro_f1_is_not_macro_f1(script: ModuleType) -> None:
    found = script.Classes(90, 10, 50, 50, 0)
    assert found.macro_precision == pytest.approx((0.9 + 0.5) / 2)
    f1 = 2 * 0.9 * (90 / 140) / (0.9 + 90 / 140), 2 * 0.5 * (50 / 60) / (0.5 + 50 / 60)
    assert found.macro_f1 == pytest.approx(sum(f1) / 2)


def test_articles_lose_what_scanning_adds(script: ModuleType) -> None:
    assert (
        script.article_text("The associ-\nated\npress's “well-known” (A.P.)") == "The associated presss well-known AP"
    )


def test_pairs_are_joined_into_clusters(script: ModuleType) -> None:
    joined = script.unite(["a", "b", "c", "d", "e"], [("d", "e"), ("c", "a"), ("e", "c")])
    assert joined == {"a": "a", "b": "b", "c": "a", "d": "a", "e": "a"}
