"""Deduplication against a plain reference: all pairs, true Jaccard, in keeper order."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from curator.errors import UserError
from curator.run.driver import Outcome
from curator.text.fold import fold
from tests.runs import make_texts, rows, run_stages, write_jsonl

THRESHOLD = 0.85


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Plain reference for spaced scripts: runs of five folded words."""
    words = [fold(word) for word in text.split()]
    return frozenset(tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4)))


def jaccard(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    return len(left & right) / len(left | right)


def dropped_by_dedup(run: Path) -> dict[str, tuple[str, float, str]]:
    return {
        str(row["id"]): (str(row["keeper"]), float(row["score"]), str(row["rule"]))  # type: ignore[arg-type]
        for row in rows(run, "decisions")
        if row["stage"] == "dedup"
    }


@pytest.mark.slow
@pytest.mark.parametrize("keeper", ["first", "longest"])
def test_a_document_is_dropped_if_and_only_if_it_is_similar_to_a_kept_one(tmp_path: Path, keeper: str) -> None:
    documents = make_texts(700, seed=3)
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    run_stages([file], tmp_path / "run", f"dedup: {{keeper: {keeper}}}", language="off")
    dropped = dropped_by_dedup(tmp_path / "run")
    sets = {document["id"]: shingles(document["text"]) for document in documents}
    assert len(dropped) > 80
    for name, (other, score, rule) in dropped.items():
        assert other not in dropped, "a keeper is kept"
        true = jaccard(sets[name], sets[other])
        assert true >= THRESHOLD - 0.02
        assert score == pytest.approx(true, abs=0.1)
        assert (rule == "dedup.exact") == (true == 1.0) or rule == "dedup.near"
    order = [document["id"] for document in documents]
    if keeper == "longest":
        words = {document["id"]: len(document["text"].split()) for document in documents}
        order.sort(key=lambda name: -words[name])
    place = {name: number for number, name in enumerate(order)}
    assert all(place[other] < place[name] for name, (other, _, _) in dropped.items())
    kept = [name for name in order if name not in dropped]
    missed = [
        (name, other)
        for number, name in enumerate(kept)
        for other in kept[:number]
        if sets[name] & sets[other] and jaccard(sets[name], sets[other]) >= THRESHOLD + 0.02
    ]
    assert missed == []


def test_a_chain_of_small_changes_keeps_its_ends(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(200)]
    chain = []
    for step in range(12):
        changed = [f"x{number}" if number < 8 * step else word for number, word in enumerate(words)]
        chain.append({"id": f"c{step}", "text": " ".join(changed)})
    run_stages([write_jsonl(tmp_path / "in.jsonl", chain)], tmp_path / "run", "dedup", language="off")
    dropped = dropped_by_dedup(tmp_path / "run")
    assert 0 < len(dropped) < 11
    assert {"c0", "c11"}.isdisjoint(dropped) or jaccard(shingles(chain[11]["text"]), shingles(chain[10]["text"])) < 1
    sets = {link["id"]: shingles(link["text"]) for link in chain}
    assert all(jaccard(sets[name], sets[other]) >= THRESHOLD - 0.02 for name, (other, _, _) in dropped.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "texts",
    [
        ["Hello, World!", "hello world", "Ｈｅｌｌｏ　World"],
        ["短い文。", "短い文"],
        ["สวัสดี", "สวัสดี!"],
        ["!!!", "!!!"],
        ["one", "ONE"],
    ],
)
def test_a_document_shorter_than_a_shingle_is_still_compared(tmp_path: Path, texts: list[str]) -> None:
    documents = [{"id": f"s{number}", "text": text} for number, text in enumerate(texts)]
    documents += [{"id": "other", "text": "something else"}, {"id": "marks", "text": "???"}]
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", "dedup", language="off")
    dropped = dropped_by_dedup(tmp_path / "run")
    assert dropped == {f"s{number}": ("s0", 1.0, "dedup.exact") for number in range(1, len(texts))}


@pytest.mark.slow
def test_adding_an_exact_copy_changes_nothing_else(tmp_path: Path) -> None:
    documents = make_texts(300, seed=5)
    run_stages([write_jsonl(tmp_path / "a.jsonl", documents)], tmp_path / "a", "dedup", language="off")
    for number in (7, 150, 299):
        more = [*documents, {**documents[number], "id": "copy"}]
        run_stages([write_jsonl(tmp_path / f"{number}.jsonl", more)], tmp_path / f"b{number}", "dedup", language="off")
        after = dropped_by_dedup(tmp_path / f"b{number}")
        assert after.pop("copy")
        assert after == dropped_by_dedup(tmp_path / "a")


def test_many_copies_of_one_text_cost_no_pairs(tmp_path: Path) -> None:
    documents = [
        {"id": f"n{number}", "text": "the same notice stands on every page of this site"} for number in range(3000)
    ]
    outcome = run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", "dedup", language="off")
    assert len(rows(tmp_path / "run", "shards")) == 1
    assert outcome.manifest


def scores(run: Path) -> dict[str, dict[str, object]]:
    return {str(row["id"]): row for row in rows(run, "scores")}


def facts_of(outcome: Outcome) -> dict[str, int]:
    return cast("dict[str, dict[str, int]]", outcome.manifest["facts"])["dedup"]


TEXT = "the house stands on a small hill near the river where children play and old people talk about the weather"


@pytest.mark.parametrize(
    ("keeper", "stays"), [("oldest", "b"), ("newest", "c"), ("best", "c"), ("first", "a"), ("longest", "a")]
)
def test_the_keeper_rule_decides_which_copy_stays(tmp_path: Path, keeper: str, stays: str) -> None:
    values = {"a": ("2020-05-05", 1.5), "b": ("2019-05-05", -3.0), "c": ("2021-05-05", 2.5), "d": (None, None)}
    documents = [{"id": name, "text": TEXT, "date": date, "score": score} for name, (date, score) in values.items()]
    field = {"oldest": ", keeper_field: date", "newest": ", keeper_field: date", "best": ", keeper_field: score"}
    stage = f"dedup: {{keeper: {keeper}{field.get(keeper, '')}}}"
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    run_stages([file], tmp_path / "run", stage, language="off", input={"metadata": ["date", "score"]})
    assert [row["id"] for row in rows(tmp_path / "run", "shards")] == [stays]
    assert {keeper for keeper, _, _ in dropped_by_dedup(tmp_path / "run").values()} == {stays}


@pytest.mark.parametrize(("keeper", "what"), [("oldest", "date"), ("newest", "date"), ("best", "number")])
def test_a_keeper_field_that_no_document_has_is_said(tmp_path: Path, keeper: str, what: str) -> None:
    documents = [{"id": name, "text": TEXT, "made": "?", "date": 3} for name in "abc"]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    stage = f"dedup: {{keeper: {keeper}, keeper_field: made}}"
    outcome = run_stages([file], tmp_path / "run", stage, language="off", input={"metadata": ["made"]})
    told = f"dedup: no document has a {what} in the field 'made', which keeper_field names: "
    assert [warning.startswith(told) for warning in cast("list[str]", outcome.manifest["warnings"])] == [True]
    assert told.replace("'", "&#39;") in (tmp_path / "run" / "report.html").read_text()
    assert (facts_of(outcome)["compared"], facts_of(outcome)["unranked"]) == (3, 3)
    assert [row["id"] for row in rows(tmp_path / "run", "shards")] == ["a"]


@pytest.mark.slow
def test_documents_without_the_keeper_field_are_counted_where_others_have_it(tmp_path: Path) -> None:
    documents: list[Mapping[str, object]] = [{"text": "one", "date": "2020"}, {"text": "two"}, {"text": "three"}]
    stage = "dedup: {keeper: oldest, keeper_field: date}"
    for count, unranked in ((3, 2), (1, None), (0, None)):
        file = write_jsonl(tmp_path / f"{count}.jsonl", documents[:count])
        outcome = run_stages([file], tmp_path / f"run{count}", stage, language="off", input={"metadata": ["date"]})
        assert "keeper_field names" not in str(outcome.manifest["warnings"])
        assert facts_of(outcome).get("unranked") == unranked


@pytest.mark.slow
def test_a_url_field_that_no_document_has_is_said(tmp_path: Path) -> None:
    told = "dedup: no document has a URL in the field 'link', which url_field names: none was compared by it"
    documents: list[Mapping[str, object]] = [{"text": TEXT, "link": "page 7"}, {"text": "another text", "link": None}]
    stage = "dedup: {url_field: link}"
    for name, link, expected in (("none", "mailto:a@b.c", True), ("one", "http://a.b", False)):
        file = write_jsonl(tmp_path / f"{name}.jsonl", [*documents, {"text": "a third", "link": link}])
        outcome = run_stages([file], tmp_path / name, stage, language="off", input={"metadata": ["link"]})
        assert (told in cast("list[str]", outcome.manifest["warnings"])) is expected
        assert facts_of(outcome).get("urls") == (0 if expected else None)
    file = write_jsonl(tmp_path / "empty.jsonl", [])
    assert told not in str(run_stages([file], tmp_path / "run", stage, input={"metadata": ["link"]}).manifest)


def test_of_documents_with_one_url_one_stays_whatever_their_text(tmp_path: Path) -> None:
    documents: list[Mapping[str, object]] = [
        {"id": "a", "text": "one thing", "url": "http://www.a.b/x?utm_source=1"},
        {"id": "b", "text": "another matter", "url": "https://a.b/x/"},
        {"id": "c", "text": "another matter", "url": "https://a.b/y"},
        {"id": "d", "text": "one thing"},
        {"id": "e", "text": "a third", "url": None},
    ]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    stage = "dedup: {url_field: url, weight: members}"
    outcome = run_stages([file], tmp_path / "run", stage, language="off", input={"metadata": ["url"]})
    decided = {row["id"]: (row["keeper"], row["rule"], row["score"]) for row in rows(tmp_path / "run", "decisions")}
    assert decided == {"b": ("a", "dedup.url", None), "d": ("a", "dedup.exact", 1.0)}
    assert {row["id"]: row["weight"] for row in rows(tmp_path / "run", "shards")} == {"a": 3.0, "c": 1.0, "e": 1.0}
    assert facts_of(outcome)["url"] == 1


def test_a_field_that_the_recipe_does_not_read_is_refused(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", [{"id": "a", "text": TEXT, "url": "http://a.b"}])
    with pytest.raises(UserError, match=r"'url', which is not read .*metadata: \[url\]"):
        run_stages([file], tmp_path / "run", "dedup: {url_field: url}", language="off")
    with pytest.raises(UserError, match="needs keeper_field"):
        run_stages([file], tmp_path / "run", "dedup: {keeper: oldest}", language="off")


def test_the_size_of_a_cluster_is_kept_and_weighs(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(100)]
    near = " ".join([*words[:-1], "other"])
    documents = [{"id": f"n{number}", "text": " ".join(words)} for number in range(3)]
    documents += [{"id": "near", "text": near}, {"id": "near-copy", "text": near}, {"id": "alone", "text": TEXT}]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    run_stages([file], tmp_path / "run", "dedup: {weight: sqrt, max_weight: 2}", language="off")
    found = scores(tmp_path / "run")
    assert {name: row["dedup.cluster"] for name, row in found.items()} == {
        "n0": 5, "n1": None, "n2": None, "near": None, "near-copy": None, "alone": 1,
    }  # fmt: skip
    weights = {row["id"]: row["weight"] for row in rows(tmp_path / "run", "shards")}
    assert weights == {"n0": 2.0, "alone": 1.0}


def test_a_key_of_many_rows_costs_time_in_proportion_and_says_what_it_left_out(tmp_path: Path) -> None:
    """A template with one word changed: every document shares nearly every bucket with every other."""
    words = [f"w{number}" for number in range(200)]
    documents = [
        {"id": f"n{number}", "text": " ".join([*words[:50], f"x{number}", *words[51:], f"end{number}"])}
        for number in range(400)
    ]
    stage = "dedup: {bucket_representatives: 2}"
    outcome = run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    facts = facts_of(outcome)
    assert facts["large_buckets"] > 0
    assert facts["beyond_representatives"] > 0
    assert facts["candidate_pairs"] < 400 * 2 * 25
    assert len(rows(tmp_path / "run", "shards")) == 1


@pytest.mark.slow
def test_the_answer_does_not_depend_on_partitions_or_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", make_texts(400, seed=9))
    outcome = run_stages([file], tmp_path / "a", "dedup", language="off")
    monkeypatch.setattr("stages.dedup.near.PARTITION_BYTES", 4096)
    monkeypatch.setattr("curator.scaling.PARTITION_BYTES", 4096)
    monkeypatch.setattr("stages.dedup.relate.KEEP_ROWS", 16)
    monkeypatch.setattr("stages.dedup.near.SET_BYTES", 1000)
    monkeypatch.setattr("stages.dedup.keep.PAIRS_TOGETHER", 8)
    monkeypatch.setattr("curator.engine.partition.BLOCK_BYTES", 2048)
    other = run_stages([file], tmp_path / "b", "dedup", language="off")
    assert outcome.manifest == other.manifest
