"""Held-out documents: who they are, where they go, and that nothing like them is trained on."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest

from curator.errors import UserError
from curator.explain import explain
from curator.recipe import load_recipe_text
from curator.run.directory import RunDirectory
from curator.run.driver import Outcome
from curator.run.forget import forget
from curator.run.holdout import host_of
from curator.run.verify import verify
from tests.command import curator
from tests.runs import hashes, make_texts, recipe_text, rows, run_stages, write_jsonl

STAGES = ("dedup", "entropy: {min_bits: 3}", "sampling: {alpha: 0.3, max_repeats: 3}")


def ids(run: Path, kind: str) -> set[str]:
    return {cast("str", row["id"]).split("#")[0] for row in rows(run, kind)}


def held(tmp_path: Path, documents: Sequence[dict[str, str]], name: str, *stages: str, **holdout: object) -> Outcome:
    source = write_jsonl(tmp_path / f"{name}-input" / "in.jsonl", documents)
    return run_stages([source], tmp_path / name, *(stages or STAGES), holdout={"share": 0.2, **holdout})


@pytest.fixture(scope="module")
def documents() -> list[dict[str, str]]:
    return make_texts(800, seed=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, str]]) -> Path:
    folder = tmp_path_factory.mktemp("holdout")
    held(folder, documents, "whole")
    return folder / "whole"


def test_a_share_of_the_documents_is_held_out_once_each_and_none_of_them_trained_on(whole: Path) -> None:
    out, shards = rows(whole, "heldout"), rows(whole, "shards")
    assert 0.15 < len(out) / len(out + [row for row in shards if row["copy"] == 0]) < 0.25
    assert {row["copy"] for row in out} == {0}
    assert len({row["key"] for row in out}) == len(out)
    assert not ids(whole, "heldout") & ids(whole, "shards")
    assert any(cast("int", row["copy"]) > 0 for row in shards), "sampling repeats what is trained on"


def test_the_run_adds_up_and_says_what_was_held_out(whole: Path) -> None:
    assert not verify(RunDirectory(whole)).problems
    manifest = json.loads((whole / "manifest.json").read_text())
    funnel = {row[2]: row[3] for row in manifest["funnel"] if row[0] == "all"}
    assert funnel["held out"] == len(rows(whole, "heldout"))
    assert manifest["facts"]["dedup"]["holdout"] == funnel["dedup/drop/holdout"] > 0
    one = cast("str", rows(whole, "heldout")[0]["id"])
    assert explain(RunDirectory(whole), one)[0].fate == "held out"
    assert f"{funnel['held out']:,} held out" in (whole / "report.html").read_text()


def test_what_is_like_a_held_out_document_is_dropped_and_says_so(whole: Path) -> None:
    dropped = [row for row in rows(whole, "decisions") if row["rule"] == "holdout"]
    assert {row["action"] for row in dropped} == {"drop"}
    known = ids(whole, "heldout") | {cast("str", row["id"]) for row in rows(whole, "decisions")}
    assert {row["keeper"] for row in dropped} <= known
    assert "which is held out" in " ".join(explain(RunDirectory(whole), cast("str", dropped[0]["id"]))[0].sentences)


def test_the_held_out_ones_are_the_same_when_data_is_added_and_in_any_order(
    tmp_path: Path, documents: list[dict[str, str]], whole: Path
) -> None:
    joined = [*make_texts(300, seed=9), *documents]
    more = [{**document, "id": f"{number}-{document['id']}"} for number, document in enumerate(joined)]
    random.Random(1).shuffle(more)
    held(tmp_path, more, "more")
    before = {row["text"] for row in rows(whole, "heldout")}
    assert before <= {row["text"] for row in rows(tmp_path / "more", "heldout")} | near_twins(tmp_path / "more")
    assert not before & {row["text"] for row in rows(tmp_path / "more", "shards")}


def near_twins(run: Path) -> set[object]:
    """Texts of documents that were dropped as like another one that is held out as well."""
    names = {row["id"] for row in rows(run, "decisions") if str(row["rule"]).startswith("dedup.")}
    source = (run.parent / f"{run.name}-input" / "in.jsonl").read_text().splitlines()
    return {document["text"] for document in map(json.loads, source) if document["id"] in names}


@pytest.mark.slow
def test_engine_workers_and_a_resumed_run_change_nothing(tmp_path: Path, documents: list[dict[str, str]]) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", documents[:300])
    for name, workers in (("one", 1), ("two", 2)):
        run_stages([source], tmp_path / name, *STAGES, workers=workers, holdout={"share": 0.2})
    assert rows(tmp_path / "one", "heldout") == rows(tmp_path / "two", "heldout")
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_texts_that_are_the_same_are_held_out_together_without_dedup(tmp_path: Path) -> None:
    texts = [f"text number {number} of a kind that says little" for number in range(200)]
    twice = [
        {"id": f"{number}-{turn}", "text": text.upper() if turn else text}
        for turn in range(2)
        for number, text in enumerate(texts)
    ]
    held(tmp_path, twice, "run", "entropy: {min_bits: 1}", by="content")
    found = Counter(name.split("-")[0] for name in ids(tmp_path / "run", "heldout"))
    assert set(found.values()) == {2}
    assert 20 < len(found) < 60


def test_hosts_are_held_out_whole(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [
        {
            "id": f"{number}",
            "text": f"page {number} of a site",
            "url": f"https://www.site{number % 40}.example/{number}",
        }
        for number in range(400)
    ]
    write_jsonl(source, lines)
    run_stages(
        [source],
        tmp_path / "run",
        "entropy: {min_bits: 1}",
        holdout={"share": 0.2, "by": "host"},
        input={"metadata": ["url"]},
    )
    out = {int(name) % 40 for name in ids(tmp_path / "run", "heldout")}
    trained = {int(name) % 40 for name in ids(tmp_path / "run", "shards")}
    assert out
    assert trained
    assert not out & trained


@pytest.mark.slow
def test_forgetting_a_held_out_document_keeps_the_run_whole(tmp_path: Path, documents: list[dict[str, str]]) -> None:
    held(tmp_path, documents[:300], "run")
    gone = cast("str", rows(tmp_path / "run", "heldout")[0]["id"])
    before = len(rows(tmp_path / "run", "heldout"))
    forget(RunDirectory(tmp_path / "run"), [gone])
    assert len(rows(tmp_path / "run", "heldout")) == before - 1
    assert not verify(RunDirectory(tmp_path / "run")).problems


def test_held_out_documents_have_the_columns_of_a_shard(whole: Path) -> None:
    schema = pq.read_schema(next((whole / "heldout").glob("*.parquet")))
    assert schema.equals(pq.read_schema(next((whole / "shards").glob("*.parquet"))))


def test_clusters_need_deduplication(tmp_path: Path, documents: list[dict[str, str]]) -> None:
    with pytest.raises(UserError, match="holdout: by: cluster needs the stage dedup"):
        held(tmp_path, documents[:10], "run", "entropy")
    assert not (tmp_path / "run").exists()


def test_hosts_need_the_field_of_the_url(tmp_path: Path, documents: list[dict[str, str]]) -> None:
    with pytest.raises(UserError, match="holdout needs the field 'url', which is not read"):
        held(tmp_path, documents[:10], "run", by="host")


@pytest.mark.parametrize("share", [0, 0.6, "much"])
def test_a_share_beyond_half_is_refused(share: object) -> None:
    with pytest.raises(UserError, match="holdout"):
        load_recipe_text(recipe_text("dedup", holdout={"share": share}), "test.yaml")


@pytest.mark.slow
def test_the_funnel_on_the_terminal_names_them(tmp_path: Path, documents: list[dict[str, str]]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(*STAGES, holdout={"share": 0.2}))
    done = curator("process", write_jsonl(tmp_path / "in.jsonl", documents[:200]), "-o", tmp_path / "run", "-r", recipe)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("held out") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.Example.org:8080/a", "example.org"),
        ("http://b.example./x?y", "b.example"),
        ("ftp://example.org/", None),
        ("no url", None),
        ("https://", None),
    ],
)
def test_the_host_of_a_url(url: str, host: str | None) -> None:
    assert host_of(url) == host
