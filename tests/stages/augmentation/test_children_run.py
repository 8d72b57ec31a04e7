"""Children in a run: in their language, like no other document, and judged by every earlier stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from curator.document import Batch
from curator.recipe.model import Language
from curator.run.phases.derive import children_of, find_stops, in_their_language, made_table, stays
from curator.stage import Child
from tests.runs import rows, run_stages, write_jsonl
from tests.stages.augmentation.engine import install

WORDS = "l'ostal es bastit sul puèg prèp del riu e los dròlles jògan dins lo prat quand fa bon temps"
FRENCH = "La maison est sur la colline près de la rivière, et les enfants jouent dans le pré quand il fait beau temps."
ENDS = ["LOSE", "BYTES", "one that comes through"]
ENGLISH = "The house stands on the hill near the river, and the children play in the meadow when the weather is good."


def text(number: int, house: str) -> str:
    return " ".join(
        f"{word}{number} {house}" if place % 4 == 0 else f"{word}{number}"
        for place, word in enumerate(WORDS.split() * 2)
    )


def augmentation(folder: Path, **parameters: object) -> str:
    values = {
        "max_share": 1,
        "translators": [{"name": "apertium", "pivots": {"oc": "fr"}, "options": install(folder)}],
        **parameters,
    }
    return f"augmentation: {values!r}".replace("'", '"')


@pytest.mark.slow
def test_a_child_that_is_like_a_document_or_another_child_is_dropped(tmp_path: Path) -> None:
    documents = [
        {"id": "first", "text": text(1, "casa")},  # its child is `there`
        {"id": "there", "text": text(1, "ostal")},
        {"id": "second", "text": text(2, "casa")},  # these two have the same child
        {"id": "third", "text": text(2, "maison")},
        {"id": "fourth", "text": text(3, "casa")},
    ]
    source = write_jsonl(tmp_path / "in.jsonl", [{**document, "lang": "oc"} for document in documents])
    run = tmp_path / "run"
    run_stages([source], run, "dedup", "entropy: {min_bits: 1}", augmentation(tmp_path, min_chrf=50), language="off")
    created = {row["id"] for row in rows(run, "decisions") if row["action"] == "derive"}
    assert {"first#a1", "second#a1", "third#a1", "fourth#a1"} <= created
    dropped = {row["id"]: (row["stage"], row["keeper"]) for row in rows(run, "decisions") if row["action"] == "drop"}
    assert dropped == {"first#a1": ("dedup", "there"), "third#a1": ("dedup", "second#a1")}
    kept = {row["id"] for row in rows(run, "shards") if row["parent"] is not None}
    assert kept == {"second#a1", "fourth#a1"}
    examples = cast("list[dict[str, str]]", json.loads((run / "manifest.json").read_text())["examples"])
    shown = [example for example in examples if example["action"] == "derive"]
    assert [(example["id"], example["rule"]) for example in shown] == [
        ("second#a1", "augmentation.back-translation"),
        ("fourth#a1", "augmentation.back-translation"),
    ]
    assert "ostal" in shown[0]["excerpt"]
    assert "casa" in shown[0]["beside"]
    report = (run / "report.html").read_text()
    assert report.count('<div class="beside">') == 2
    scored = {row["id"]: row["entropy.bits"] for row in rows(run, "scores")}
    assert all(scored[name] is not None for name in kept)


@pytest.mark.slow
def test_children_fill_what_a_language_lacks_of_the_plan_of_sampling_and_no_more(tmp_path: Path) -> None:
    """24 documents of Occitan and 96 of English: with an exponent of 1 nothing is lacking, with less the more."""
    documents = [{"text": text(number, "casa"), "lang": "oc"} for number in range(24)]
    documents += [{"text": f"{ENGLISH} {number}", "lang": "en"} for number in range(96)]
    source = write_jsonl(tmp_path / "in.jsonl", documents)
    made, derived = [], augmentation(tmp_path, min_chrf=50)
    for alpha in (1.0, 0.85, 0.3):
        run = tmp_path / f"run{alpha}"
        sampling = f"sampling: {{alpha: {alpha}, max_repeats: 4}}"
        run_stages([source], run, sampling, derived, language="off")
        facts = json.loads((run / "manifest.json").read_text())["facts"]
        (plan,) = [row for row in facts["sampling"]["languages"] if row["language"] == "oc"]
        tokens = sum(cast("int", row["tokens"]) for row in rows(run, "scores") if "#a" in str(row["id"]))
        made.append(tokens)
        assert tokens <= max(0, plan["wanted"] - plan["tokens"])
    assert made[0] == 0
    assert 0 < made[1] < made[2]


@pytest.mark.slow
def test_a_child_is_not_dropped_for_being_like_its_parent(tmp_path: Path) -> None:
    documents = [
        {"id": f"own{number}", "text": " ".join(f"{word}{number}" for word in WORDS.split() * 2) + " casa"}
        for number in range(3)
    ]
    documents.append({"id": "like", "text": documents[0]["text"].replace("casa", "ostal").replace("prat0", "camp", 1)})
    source = write_jsonl(tmp_path / "in.jsonl", [{**document, "lang": "oc"} for document in documents])
    # By 5-grams child and parent are alike at .94, `like` and the child above .75, `like` and the parent at .73.
    plan = augmentation(tmp_path, min_chrf=0, max_chrf=100)
    run_stages([source], tmp_path / "run", "dedup: {threshold: 0.75}", "entropy: {min_bits: 1}", plan, language="off")
    decisions = rows(tmp_path / "run", "decisions")
    created = {row["id"] for row in decisions if row["action"] == "derive"}
    assert created == {"own0#a1", "own1#a1", "own2#a1", "like#a1"}
    dropped = {row["id"]: row["keeper"] for row in decisions if row["action"] == "drop"}
    assert dropped == {"own0#a1": "like", "like#a1": "like"}, "like another document, and a copy of its parent"


@pytest.mark.slow
def test_a_translator_that_answers_in_another_language_makes_no_child(tmp_path: Path) -> None:
    occitan = (
        "Totes los èssers umans naisson liures e egals en dignitat e en dreches. Son dotats de rason e de consciéncia "
        "e se devon comportar los unes amb los autres dins un esperit de fraternitat, dins la casa e fòra de la casa."
    )
    documents = [{"id": "good", "text": f"{occitan} Un."}, {"id": "bad", "text": f"{occitan} OTHER"}]
    source = write_jsonl(tmp_path / "in.jsonl", [{**document, "lang": "oc"} for document in documents])
    plan = augmentation(tmp_path, min_chrf=0, max_chrf=100)
    outcome = run_stages([source], tmp_path / "run", "entropy: {min_bits: 0.1, min_order: null}", plan)
    created = [row["id"] for row in rows(tmp_path / "run", "decisions") if row["action"] == "derive"]
    facts = cast("dict[str, dict[str, object]]", outcome.manifest["facts"])["augmentation"]
    assert (created, facts["in_another_language"], facts["beyond_share"]) == (["good#a1"], 1, 0)
    assert facts["refused"] == {"oc": {"in another language": 1}}
    assert outcome.manifest["warnings"] == []


@pytest.mark.slow
def test_a_run_says_why_a_language_has_no_child(tmp_path: Path) -> None:
    documents = [{"id": end, "text": f"{text(place, 'casa')} {end}", "lang": "oc"} for place, end in enumerate(ENDS)]
    source = write_jsonl(tmp_path / "in.jsonl", documents)
    plan = augmentation(tmp_path, max_share=1.0, min_chrf=99, max_chrf=100)
    outcome = run_stages([source], tmp_path / "run", "entropy: {min_bits: 0.1, min_order: null}", plan)
    facts = cast("dict[str, dict[str, object]]", outcome.manifest["facts"])["augmentation"]
    assert facts["refused"] == {"oc": {"no text": 2, "noise": 1}}
    assert outcome.manifest["warnings"] == ["augmentation made no text in oc that passes its gate: no text 2, noise 1"]


def test_children_of_the_greatest_hashes_are_left_out_where_a_language_may_have_no_more_tokens() -> None:
    counts = [(4, "oc"), (9, "fr"), (3, "oc-FR"), (2, "oc"), (1, "oc"), (50, "es")]
    children = [
        Child(row, "u " * count, tag, "method", "engine", {"chrf": 81.5}) for row, (count, tag) in enumerate(counts)
    ]
    words = np.array([30, 5, 10, 20, 40, 7], dtype=np.uint64)
    whole = made_table(children, words, None)
    assert children_of(whole) == children
    stops = find_stops([whole.slice(4), whole.slice(0, 4)], {"oc": 6, "fr": 8, "de": 1})
    assert stops == (("fr", 5), ("oc", 30))
    assert np.flatnonzero(stays(whole, stops)).tolist() == [2, 3, 5]
    assert find_stops([whole], {"oc": 10, "fr": 9}) == ()
    assert find_stops([], {"oc": 6}) == ()


@pytest.mark.parametrize(
    ("parent", "tag", "child", "kept"),
    [
        (FRENCH, "fr", FRENCH, True),
        (FRENCH, "fr-CA", FRENCH, True),
        (FRENCH, "fr", ENGLISH, False),
        (FRENCH, "fr", "1 2 3", False),  # no language, and its parent has one
        (FRENCH, "oc", FRENCH, True),  # as its parent, whatever that is
        (FRENCH, "oc", ENGLISH, False),
        (FRENCH, "en", ENGLISH, True),
        ("1 2 3", "oc", "1 2 3", True),
    ],
)
def test_a_child_is_of_its_language_or_of_what_its_parent_is_taken_for(
    parent: str, tag: str, child: str, kept: bool
) -> None:
    batch = Batch(pa.record_batch({"text": pa.array([parent], pa.string()), "lang": pa.array([tag], pa.string())}))
    children = [Child(0, child, tag, "method", "engine")]
    assert in_their_language(batch, children, Language()) == (children if kept else [])
    assert in_their_language(batch, children, None) == children
