"""The stage in whole runs: what it does to texts and records, with the other stages, however the work is cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import stages.substrings.relate
from curator.explain import explain
from curator.run.directory import RunDirectory
from curator.run.tally import Tally
from curator.run.verify import unbalanced
from tests.runs import hashes, make_texts, rows, run_stages, write_jsonl
from tests.stages.augmentation.engine import install

TOGETHER = (
    "dedup",
    "entropy: {min_bits: 3}",
    "toxicity",
    "outliers: {min_documents: 20}",
    "boilerplate: {min_documents: 40}",
    "substrings: {min_units: 20, min_characters: 40}",
    "pii",
    "sampling: {alpha: 0.5}",
)


def words(count: int, seed: int) -> list[str]:
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 5000, count).tolist()]


def text(*parts: list[str]) -> str:
    return " ".join(word for part in parts for word in part)


def substrings_rule(units: int, enough: int) -> str:
    return f"{units} units here stand word for word in first, before it; {enough} are enough"


def repeating(count: int, seed: int) -> list[dict[str, str]]:
    """Documents of which some have a header of their source, some a stretch of an earlier one, some an address."""
    chosen = np.random.default_rng(seed)
    documents = make_texts(count, seed=seed, units=(60, 160))
    for number, document in enumerate(documents):
        own = document["text"].split()
        if chosen.random() < 0.3:
            other = documents[int(chosen.integers(0, number + 1))]["text"].split()
            own = [*own[:20], *other[-50:-10], *own[20:]]
        header = f"This is a page of the {document['source'].split(':')[0]} collection of many pages\n\n"
        document["text"] = (header if chosen.random() < 0.5 else "") + " ".join(own) + " mail to me@example.org please"
    return documents


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three files of over a megabyte in all, so that workers are worth starting."""
    folder = tmp_path_factory.mktemp("input")
    return [write_jsonl(folder / f"{number}.jsonl", repeating(400, number)) for number in range(3)]


@pytest.fixture(scope="module")
def finished(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "run"
    run_stages(inputs, output, *TOGETHER)
    return output


def test_both_stages_work_among_the_others_and_every_document_is_accounted_for(finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_bytes())
    tally = Tally(manifest["funnel"])
    assert unbalanced(tally) == []
    events = tally.events()
    assert all(events[name][0] > 100 for name in ("boilerplate/edit/boilerplate.lines", "pii/edit/pii.email"))
    assert events["substrings/edit/substrings.repeat"][0] > 100
    assert not any("collection of many pages" in str(row["text"]) for row in rows(finished, "shards"))
    assert not any("example.org" in str(row["text"]) for row in rows(finished, "shards"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_no_byte(inputs: list[Path], finished: Path, tmp_path: Path, workers: int) -> None:
    assert sum(path.stat().st_size for path in inputs) > 1_000_000
    run_stages(inputs, tmp_path / "run", *TOGETHER, workers=workers)
    assert hashes(tmp_path / "run") == hashes(finished)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2_000, 100_000])
def test_the_number_of_partitions_changes_no_byte(
    inputs: list[Path], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("curator.scaling.PARTITION_BYTES", size)
    monkeypatch.setattr(stages.substrings.relate, "PAIRS_TOGETHER", size // 100)
    run_stages(inputs, tmp_path / "run", *TOGETHER)
    assert hashes(tmp_path / "run") == hashes(finished)


@pytest.mark.slow
def test_the_second_stage_sees_what_the_first_left(tmp_path: Path) -> None:
    """Without its header a document has no repeat that is long enough; with it, it would."""
    header = " ".join(f"head{number}" for number in range(40))
    shared = words(30, 1)
    documents = [{"id": str(n), "text": f"{header}\n{text(shared)} {text(words(30, n + 5))}"} for n in range(20)]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    run_stages([file], tmp_path / "both", "boilerplate: {min_documents: 20}", "substrings", language="off")
    assert {row["stage"] for row in rows(tmp_path / "both", "decisions")} == {"boilerplate"}
    run_stages([file], tmp_path / "one", "substrings", language="off")
    assert len(rows(tmp_path / "one", "decisions")) == 19


@pytest.mark.slow
def test_documents_that_were_dropped_before_take_no_part(tmp_path: Path) -> None:
    body, tail = words(300, 1), words(60, 2)
    documents = [
        {"id": "whole", "text": text(body, words(60, 3))},
        {"id": "near", "text": text(body, tail)},
        {"id": "other", "text": text(words(40, 4), tail)},
    ]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    for given, expected in (("dedup: {threshold: 0.6}", []), ("dedup: {threshold: 0.9}", ["near", "other"])):
        run = tmp_path / given[-4:-1]
        run_stages([file], run, given, "substrings", language="off")
        assert [row["id"] for row in rows(run, "decisions") if row["stage"] == "substrings"] == expected


@pytest.mark.slow
def test_a_repeat_is_told_with_its_place_and_the_document_that_has_it(tmp_path: Path) -> None:
    shared = text(words(60, 1))
    documents = [
        {"id": "first", "text": f"Été 🙂 {text(words(20, 2))}. {shared}. {text(words(20, 3))}"},
        {"id": "second", "text": f"Été 🙂 {text(words(30, 4))}. {shared}. {text(words(20, 5))}"},
        {"id": "rest", "text": f"So: {shared}"},
    ]
    run = tmp_path / "run"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], run, "substrings", language="off")
    texts = {str(row["id"]): row["text"] for row in rows(run, "shards")}
    assert texts == {
        "first": documents[0]["text"],
        "second": f"Été 🙂 {text(words(30, 4))}. {text(words(20, 5))}",
    }
    edit, drop = rows(run, "decisions")
    detail = cast("Mapping[str, int]", edit["detail"])
    assert documents[1]["text"][detail["begin"] : detail["end"]] == shared
    assert (edit["score"], edit["threshold"], edit["keeper"]) == (60, 50, "first")
    assert (drop["rule"], drop["score"], drop["threshold"]) == ("substrings.empty", 1, 10)
    edited, dropped = (explain(RunDirectory(run), name)[0].sentences[0] for name in ("second", "rest"))
    place = f"characters {detail['begin']} to {detail['end']}"
    assert edited == f"substrings edited it ({place}): {substrings_rule(60, 50)}."
    assert dropped.startswith(
        "substrings dropped it: without what stands word for word in earlier documents, such as f"
    )
    scores = {row["id"]: row["substrings.units"] for row in rows(run, "scores")}
    assert scores == {"first": 0, "second": 60, "rest": 60}


@pytest.mark.slow
def test_in_a_script_without_spaces_a_repeat_is_cut_where_phrases_end(tmp_path: Path) -> None:
    shared = (
        "任何人不得使为奴隶或奴役；一切形式的奴隶制度和奴隶买卖均应予以禁止。"
        "任何人不得加以酷刑，或施以残忍的待遇或刑罚。"
    )
    documents = [
        {"id": "first", "text": f"人人有权享有主张的权利。{shared}人人完全平等。"},
        {"id": "second", "text": f"人人有思想、良心和宗教自由的权利。{shared}人人都有受教育的权利。"},
    ]
    stage = "substrings: {min_characters: 50}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    assert rows(tmp_path / "run", "shards")[1]["text"] == "人人有思想、良心和宗教自由的权利。人人都有受教育的权利。"
    (edit,) = rows(tmp_path / "run", "decisions")
    detail = cast("Mapping[str, int]", edit["detail"])
    assert documents[1]["text"][detail["begin"] : detail["end"]] == f"的权利。{shared}人人"


@pytest.mark.slow
def test_a_flag_tells_where_and_changes_nothing(tmp_path: Path) -> None:
    shared = text(words(60, 1))
    documents = [{"id": f"{n}", "text": f"{text(words(5, n + 9))} {shared}"} for n in range(2)]
    stage = "substrings: {action: flag}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [document["text"] for document in documents]
    (flag,) = rows(tmp_path / "run", "decisions")
    detail = cast("Mapping[str, int]", flag["detail"])
    assert (flag["action"], flag["keeper"]) == ("flag", "0")
    assert documents[1]["text"][detail["begin"] : detail["end"]] == shared


@pytest.mark.slow
def test_of_children_alone_is_taken_what_survivors_have_already(tmp_path: Path) -> None:
    """The child differs from its parent in one word; the stretch before that word is long enough, the one behind is
    not."""
    parent = [*words(60, 1), "casa", *words(30, 2)]
    documents = [{"id": "parent", "lang": "oc", "text": text(parent)}]
    documents += [{"id": f"o{n}", "lang": "oc", "text": text(words(90, n + 5))} for n in range(3)]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    options = {"translators": [{"name": "apertium", "pivots": {"oc": "fr"}, "options": install(tmp_path)}]}
    given = {**options, "max_share": 1.0, "max_chrf": 100.0, "below_tokens": 1000}
    stages_given = ("boilerplate: {min_documents: 2}", "substrings", f"augmentation: {json.dumps(given)}")
    run_stages([file], tmp_path / "run", *stages_given, language="off")
    texts = {str(row["id"]): row["text"] for row in rows(tmp_path / "run", "shards")}
    assert {name: texts[name] for name in ("parent", "o0", "o1", "o2")} == {d["id"]: d["text"] for d in documents}
    assert texts["parent#a1"] == text(["ostal"], words(30, 2))
    (edit,) = (row for row in rows(tmp_path / "run", "decisions") if row["action"] == "edit")
    assert (edit["id"], edit["keeper"], edit["score"]) == ("parent#a1", "parent", 60)
    dropped = {row["id"] for row in rows(tmp_path / "run", "decisions") if row["action"] == "drop"}
    assert dropped == {"o0#a1", "o1#a1", "o2#a1"}


def test_an_empty_input_gives_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("")
    run_stages([tmp_path / "in.jsonl"], tmp_path / "run", "boilerplate", "substrings")
    assert rows(tmp_path / "run", "shards") == []
