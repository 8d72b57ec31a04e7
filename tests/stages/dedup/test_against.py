"""Runs against earlier runs: the same survivors as one run over everything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from curator.errors import UserError
from curator.explain import explain
from curator.run.directory import RunDirectory
from curator.run.verify import verify
from stages.dedup import against, build
from stages.dedup.against import Rule, find_similar
from stages.dedup.index import Index
from stages.dedup.minhash import Ragged, jaccard_between, true_jaccard
from tests.runs import hashes, rows, run_stages, write_jsonl
from tests.stages.dedup.dumps import make_dumps
from tests.stages.dedup.indexes import SCHEME, random_signatures, write_index


def dedup(**parameters: object) -> str:
    return f"dedup: {json.dumps(parameters)}"


def survivors(run: Path) -> set[str]:
    return {str(row["id"]) for row in rows(run, "shards")}


def ids(*dumps: list[dict[str, str]]) -> set[str]:
    return {document["id"] for dump in dumps for document in dump}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_dump_against_earlier_ones_keeps_what_one_run_over_all_would_keep(tmp_path: Path, seed: int) -> None:
    dumps = make_dumps(seed, 150, 120, 120)
    files = [write_jsonl(tmp_path / f"{number}.jsonl", dump) for number, dump in enumerate(dumps)]
    runs = [tmp_path / f"run{number}" for number in range(3)]
    for number, file in enumerate(files):
        earlier = [str(run) for run in runs[:number]]
        run_stages([file], runs[number], dedup(index=True, against=earlier), language="off")
    run_stages(files, tmp_path / "whole", "dedup", language="off")
    whole = survivors(tmp_path / "whole")
    for number, dump in enumerate(dumps):
        assert survivors(runs[number]) == whole & ids(dump)
    found = [row for row in rows(runs[2], "decisions") if str(row["rule"]).endswith("_earlier")]
    assert len(found) > 10
    assert {row["rule"] for row in found} == {"dedup.exact_earlier", "dedup.near_earlier"}


@pytest.mark.slow
@pytest.mark.parametrize("band", [0.0, 1.0])
def test_it_is_the_same_whether_estimates_or_true_similarities_decide(tmp_path: Path, band: float) -> None:
    dumps = make_dumps(11, 150, 150)
    a, b = (write_jsonl(tmp_path / f"{number}.jsonl", dump) for number, dump in enumerate(dumps))
    given = {"verify_band": band, "threshold": 0.7}
    run_stages([a], tmp_path / "a", dedup(index=True, **given), language="off")
    run_stages([b], tmp_path / "b", dedup(against=[str(tmp_path / "a")], **given), language="off")
    run_stages([a, b], tmp_path / "whole", dedup(**given), language="off")
    assert survivors(tmp_path / "b") == survivors(tmp_path / "whole") & ids(dumps[1])


def test_a_document_that_a_later_stage_dropped_still_keeps_its_like_away(tmp_path: Path) -> None:
    dump = make_dumps(3, 60)[0]
    a, b = (write_jsonl(tmp_path / name, dump) for name in ("a.jsonl", "b.jsonl"))
    noisy = "entropy: {max_characters: 4}"
    run_stages([a], tmp_path / "a", dedup(index=True), noisy, language="off")
    assert len(survivors(tmp_path / "a")) < len(Index(tmp_path / "a"))
    run_stages([b], tmp_path / "b", dedup(against=[str(tmp_path / "a")]), noisy, language="off")
    assert survivors(tmp_path / "b") == set()


def test_a_document_that_an_earlier_stage_dropped_is_not_in_the_index(tmp_path: Path) -> None:
    dump = make_dumps(3, 60)[0]
    a, b = (write_jsonl(tmp_path / name, dump) for name in ("a.jsonl", "b.jsonl"))
    run_stages([a], tmp_path / "a", "entropy: {max_characters: 4}", dedup(index=True), language="off")
    run_stages([b], tmp_path / "b", dedup(against=[str(tmp_path / "a")]), language="off")
    assert 0 < len(Index(tmp_path / "a")) == len(survivors(tmp_path / "a"))
    assert survivors(tmp_path / "b")
    assert verify(RunDirectory(tmp_path / "b")).problems == []


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    dumps = make_dumps(21, 200, 200)
    a, b = (write_jsonl(folder / f"{number}.jsonl", dump) for number, dump in enumerate(dumps))
    run_stages([a], folder / "a", dedup(index=True), language="off", name="spring")
    run_stages([b], folder / "b", dedup(against=[str(folder / "a")]), language="off")
    return folder


def test_a_decision_names_the_earlier_run_and_its_document(two: Path) -> None:
    name = Index(two / "a").header.name
    assert name.startswith("spring-")
    kept = {row["id"] for row in rows(two / "a", "shards")}
    found = [row for row in rows(two / "b", "decisions") if str(row["rule"]).endswith("_earlier")]
    for row in found:
        detail = row["detail"]
        assert isinstance(detail, dict)
        assert detail["run"] == name
        assert row["keeper"] in kept
    near = next(row for row in found if row["rule"] == "dedup.near_earlier")
    (told,) = explain(RunDirectory(two / "b"), str(near["id"]))
    assert told.sentences[0].startswith(
        f"dedup dropped it: it is a near-duplicate of {near['keeper']} of the earlier run {name}: Jaccard"
    )


def test_the_record_says_which_index_it_was_and_not_where_it_lies(two: Path) -> None:
    manifest = json.loads((two / "b" / "manifest.json").read_bytes())
    header = Index(two / "a").header
    assert manifest["recipe"]["stages"][0]["parameters"]["against"] == [header.name]
    assert manifest["models"] == {f"dedup: index {header.name}": header.checksum}
    assert str(two) not in (two / "b" / "manifest.json").read_text()
    assert str(two) not in (two / "b" / "report.html").read_text()


def test_an_index_may_lie_anywhere_and_alone(two: Path, tmp_path: Path) -> None:
    (two / "a" / "index").rename(tmp_path / "moved")
    try:
        run_stages([two / "1.jsonl"], tmp_path / "b", dedup(against=[str(tmp_path / "moved")]), language="off")
    finally:
        (tmp_path / "moved").rename(two / "a" / "index")
    assert hashes(tmp_path / "b") == hashes(two / "b")


@pytest.mark.slow
def test_partitions_and_what_is_held_at_a_time_change_no_byte(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curator.scaling.PARTITION_BYTES", 3_000)
    monkeypatch.setattr(build, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(build, "_CHUNK_BYTES", 1_000)
    monkeypatch.setattr(against, "_PAIRS", 11)
    run_stages([two / "0.jsonl"], tmp_path / "a", dedup(index=True), language="off", name="spring")
    assert hashes(tmp_path / "a") == hashes(two / "a")
    run_stages([two / "1.jsonl"], tmp_path / "b", dedup(against=[str(two / "a")]), language="off")
    assert hashes(tmp_path / "b") == hashes(two / "b")


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"permutations": 128}, "permutations: 256 there, 128 here; bands: 25 there"),
        ({"threshold": 0.6}, "bands: 25 there"),
        ({"shingle_units": 4}, "shingle_units: 5 there, 4 here"),
        ({"signature_seed": 9}, "signature_seed: 0 there, 9 here"),
    ],
)
def test_an_index_of_another_scheme_is_refused_with_what_differs(
    two: Path, tmp_path: Path, parameters: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        run_stages([two / "1.jsonl"], tmp_path / "b", dedup(against=[str(two / "a")], **parameters), language="off")
    assert not (tmp_path / "b").exists()


def test_an_index_that_is_not_there_or_named_twice_is_refused_before_anything_is_read(
    two: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"there is no index; a run leaves one with `dedup: \{index: true\}`"):
        run_stages([two / "1.jsonl"], tmp_path / "b", dedup(against=[str(tmp_path / "none")]), language="off")
    given = [str(two / "a"), str(two / "a" / "index")]
    with pytest.raises(UserError, match="name each index once"):
        run_stages([two / "1.jsonl"], tmp_path / "b", dedup(against=given), language="off")
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_the_first_index_that_has_a_similar_document_is_named(two: Path, tmp_path: Path) -> None:
    run_stages([two / "0.jsonl"], tmp_path / "again", dedup(index=True), language="off", name="autumn")
    for first, second in ((two / "a", tmp_path / "again"), (tmp_path / "again", two / "a")):
        run = tmp_path / f"against-{first.name}"
        run_stages([two / "1.jsonl"], run, dedup(against=[str(first), str(second)]), language="off")
        assert survivors(run) == survivors(two / "b")
        details = [row["detail"] for row in rows(run, "decisions") if row["detail"]]
        named = {detail["run"] for detail in details if isinstance(detail, dict)}
        assert named == {Index(first).header.name}


def test_the_cost_of_a_question_grows_with_the_logarithm_of_the_index(tmp_path: Path) -> None:
    """Pages of the tables that are looked at for the same 200 questions, in indexes of 300 to 30,000 documents."""
    asked = random_signatures(200, seed=99)
    exact = np.random.default_rng(98).integers(0, 1 << 64, (200, 2), dtype=np.uint64)
    pages = []
    for factor in (1, 10, 100):
        write_index(tmp_path / str(factor), random_signatures(300 * factor, seed=factor))
        index = Index(tmp_path / str(factor))
        found = find_similar(index, exact, asked, _no_sets, Rule(0.85, 0.06, 64))
        assert len(found.places) == 0
        pages.append(index.pages)
    lookups = 200 * (SCHEME.bands + 1)
    assert pages[1] - pages[0] <= 4 * lookups, "log2(10) is 3.3"
    assert pages[2] - pages[1] <= 4 * lookups
    table_pages = 300 * 100 * SCHEME.bands * 8 // 4096
    assert pages[2] / lookups < 12 < table_pages


def _no_sets(places: NDArray[np.int64]) -> Ragged:
    raise AssertionError("nothing is in doubt")


def test_jaccard_between_two_collections_is_that_within_their_union() -> None:
    chosen = np.random.default_rng(4)
    sets = [np.unique(chosen.integers(0, 60, chosen.integers(0, 50))).astype(np.uint64) for _ in range(40)]
    left, right = ragged(sets[:15]), ragged(sets[15:])
    i, j = chosen.integers(0, 15, 300), chosen.integers(0, 25, 300)
    expected = true_jaccard(ragged(sets), i, j + 15)
    assert np.array_equal(jaccard_between(left, right, i, j), expected)


def ragged(sets: list[NDArray[np.uint64]]) -> Ragged:
    offsets = np.cumsum([0, *(len(values) for values in sets)])
    return Ragged(offsets.astype(np.int64), np.concatenate([np.zeros(0, np.uint64), *sets]))
