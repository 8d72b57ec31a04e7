"""Deduplication against a plain reference: all pairs, true Jaccard, in keeper order."""

from pathlib import Path

import pytest

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
