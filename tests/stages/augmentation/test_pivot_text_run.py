"""A run whose small language gets children of documents of a large one, by a real translator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from curator.document import Batch
from curator.explain import explain
from curator.recipe.model import Language
from curator.run.directory import RunDirectory
from curator.run.phases.derive import in_their_language
from curator.stage import Child
from model.vocabulary.parallel import load_parallel
from stages.augmentation.apertium import Apertium
from tests.runs import hashes, rows, run_stages, write_jsonl

pytestmark = pytest.mark.slow

PAIRS = {("fr", "oc"), ("oc", "fr")}
ENGLISH = "The house stands on the hill near the river, and the children play in the meadow when the weather is good."
FRENCH = "La maison est sur la colline près de la rivière, et les enfants jouent dans le pré quand il fait beau temps."
AFRIKAANS = "Die huis staan op die heuwel naby die rivier, en die kinders speel in die veld wanneer die weer goed is."


@pytest.mark.skipif(not Apertium().pairs() >= PAIRS, reason="Apertium fr-oc is not installed")
def test_documents_of_a_pivot_feed_a_small_language(tmp_path: Path) -> None:
    declaration = load_parallel()
    documents = [
        {"id": f"{lang}{number}", "text": text, "lang": lang}
        for lang, count in (("fr", 30), ("oc", 14))
        for number, text in enumerate(declaration.texts(lang)[-count:])
    ]
    choice = {"name": "apertium", "pivot_text": {"oc": "fr"}}
    stages = (
        "dedup",
        "entropy: {min_bits: 0.1, min_order: null}",
        f"augmentation: {json.dumps({'methods': ['translation'], 'translators': [choice], 'max_share': 1})}",
    )
    one = write_jsonl(tmp_path / "in" / "one.jsonl", documents)
    run_stages([one], tmp_path / "run", *stages, holdout={"share": 0.3})
    languages = {cast("str", row["id"]): row["lang"] for row in rows(tmp_path / "run", "scores")}
    held = {row["id"] for row in rows(tmp_path / "run", "heldout")}
    children = [row for row in rows(tmp_path / "run", "shards") if row["parent"] is not None]
    assert len(children) >= 3
    assert any(name in held for name in languages if languages[name] == "fr"), "and none of them has a child"
    for child in children:
        provenance = cast("dict[str, str]", child["provenance"])
        assert child["lang"] == "oc"
        assert languages[cast("str", child["parent"])] == "fr"
        assert child["parent"] not in held
        assert provenance["method"] == "translation"
        assert provenance["engine"] == f"apertium {Apertium().version} fr-oc"
        scores = json.loads(provenance["metadata"])
        assert scores["chrf"] < 80 <= scores["round_trip_chrf"]
    own = sum(
        cast("int", row["tokens"])
        for row in rows(tmp_path / "run", "scores")
        if row["id"] in languages and str(row["id"]).startswith("oc")
    )
    assert sum(cast("int", child["tokens"]) for child in children) <= own
    report = (tmp_path / "run" / "report.html").read_text()
    assert 'parent · fr</p><blockquote dir="auto" lang="fr">' in report
    (told,) = explain(RunDirectory(tmp_path / "run"), cast("str", children[0]["id"]))
    assert any("translation, apertium" in sentence for sentence in told.sentences)
    run_stages([one], tmp_path / "again", *stages, holdout={"share": 0.3}, workers=2)
    assert hashes(tmp_path / "again") == hashes(tmp_path / "run")


@pytest.mark.parametrize(
    ("tag", "child", "kept"),
    [
        ("af", AFRIKAANS, True),
        ("af-ZA", AFRIKAANS, True),
        ("af", ENGLISH, False),  # it was not translated: what its parent is, it may not be
        ("af", FRENCH, False),
        ("af", "1 2 3", False),
        ("fur", "1 2 3", True),  # the model has no label for it, and takes it for a relative
        ("frp", FRENCH, True),
    ],
)
def test_a_translation_must_be_in_its_language(tag: str, child: str, kept: bool) -> None:
    batch = Batch(pa.record_batch({"text": pa.array([ENGLISH]), "lang": pa.array(["en"])}))
    children = [Child(0, child, tag, "translation", "engine")]
    assert in_their_language(batch, children, Language()) == (children if kept else [])
