"""Recipes compared from raw text to intervals: what is held out is in no arm, nor what is nearly the same."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from curator.errors import DataError, UserError
from curator.recipe import load_recipe_text
from curator.recipe.model import Recipe
from curator.run.events import Event
from model.ablation.ablate import Request, ablate
from model.ablation.arms import StoppedError
from model.ablation.held_out import split_input
from model.data.documents import documents_of_files, documents_of_run
from model.data.shards import open_corpus
from tests.model.corpora import make_documents, tiny_config
from tests.runs import recipe_text, write_jsonl

pytestmark = pytest.mark.slow

READING = Recipe(name="read", stages=())


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 documents, each followed by a near-copy of itself."""
    found = []
    for document in make_documents(120, units=(40, 80)):
        found.append({"id": document["id"], "text": document["text"], "lang": document["lang"]})
        found.append({"id": f"{document['id']}-near", "text": f"{document['text']} more", "lang": document["lang"]})
    return write_jsonl(tmp_path_factory.mktemp("raw") / "raw.jsonl", found)


def request(raw: Path, output: Path, **changes: object) -> Request:
    recipe = load_recipe_text(recipe_text("dedup", "entropy"), "curated.yaml")
    config = tiny_config(data__validation_share=0)
    made = Request((str(raw),), (("curated", recipe),), output, config, tokens=3 * 128, held_out_share=0.1)
    return replace(made, **changes)  # type: ignore[arg-type] # what the test says


def test_near_duplicates_of_what_is_held_out_are_in_no_arm(raw: Path, tmp_path: Path) -> None:
    split = split_input((str(raw),), tmp_path, READING, 0.1, 0, 1)
    held_out, left = (
        [found.text for found in documents_of_files([str(path)])[0]] for path in (split.held_out, split.raw)
    )
    assert len(held_out) == split.held_out_documents >= 15
    assert len(left) == split.raw_documents
    assert split.too_similar > 5
    without_end = {text.removesuffix(" more") for text in left}
    assert not without_end & {text.removesuffix(" more") for text in held_out}
    assert len({text.removesuffix(" more") for text in held_out}) == len(held_out)


def test_every_language_is_held_out_and_left(raw: Path, tmp_path: Path) -> None:
    split = split_input((str(raw),), tmp_path, READING, 0.1, 0, 1)
    held_out, left = (
        {found.lang for found in documents_of_files([str(path)])[0]} for path in (split.held_out, split.raw)
    )
    assert held_out == left == {"en", "fr", "ru", "el", "hi"}


def test_recipes_are_compared_on_the_same_documents(raw: Path, tmp_path: Path) -> None:
    told: list[str] = []
    outcome = ablate(
        request(raw, tmp_path / "out", seconds=0.3, each_stage=True),
        lambda event: told.append(str(event["arm"])) if event["kind"] == "arm" else None,
    )
    arms = ["raw", "curated", "curated without dedup", "curated without entropy"]
    assert [(score.arm, score.budget) for score in outcome.scores] == [
        *((arm, "tokens") for arm in arms),
        *((arm, "seconds") for arm in arms),
    ]
    assert len({len(score.nats) for score in outcome.scores}) == 1
    for score in outcome.scores:
        assert score.tokens == 3 * 128 if score.budget == "tokens" else score.training_seconds >= 0.3
    documents = {score.arm: score.documents for score in outcome.scores}
    assert documents["curated"] < documents["raw"] == outcome.split.raw_documents
    assert 0 < outcome.filtered_documents <= outcome.split.held_out_documents
    texts = {found.text for found in documents_of_files([str(outcome.split.held_out)])[0]}
    for arm in ("raw", "curated"):
        corpus = open_corpus(str(tmp_path / "out" / "arms" / arm / "run"))
        assert not texts & {found.text for found in documents_of_run(corpus, None)}
    assert json.loads((tmp_path / "out" / "ablation.json").read_text())["trainings"][0]["arm"] == "raw"


def test_input_is_read_as_recipes_say_and_their_stages_have_its_metadata(tmp_path: Path) -> None:
    documents = make_documents(60, units=(40, 80))
    raw = write_jsonl(
        tmp_path / "raw.jsonl",
        [
            {"content": document["text"], "meta": {"url": f"https://example.org/{number // 2}"}, "lang": "en"}
            for number, document in enumerate(documents)
        ],
    )
    text = (
        "name: urls\ninput: {fields: {text: content}, metadata: [meta.url]}\n"
        "stages:\n  - dedup: {url_field: meta.url, threshold: 1.0}\n"
    )
    urls = load_recipe_text(text, "urls.yaml")
    without = load_recipe_text(
        "name: without\ninput: {fields: {text: content}}\nstages:\n  - dedup: {threshold: 1.0}\n", "without.yaml"
    )
    outcome = ablate(request(raw, tmp_path / "out", recipes=(("without", without), ("urls", urls))), lambda event: None)
    found = {score.arm: score.documents for score in outcome.scores}
    left = [json.loads(line) for line in outcome.split.raw.read_text().splitlines()]
    assert found["raw"] == found["without"] == len(left) == 60 - outcome.split.held_out_documents
    assert found["urls"] == len({document["meta"]["url"] for document in left}) < len(left)


def test_an_input_that_cannot_be_read_is_told_with_what_recipes_can_say(tmp_path: Path) -> None:
    raw = write_jsonl(tmp_path / "raw.jsonl", [{"content": f"text {number}"} for number in range(200)])
    with pytest.raises(DataError, match="there is no text field") as told:
        split_input((str(raw),), tmp_path / "out", READING, 0.1, 0, 1)
    assert told.value.hint is not None
    assert "--" not in told.value.hint
    assert "input: {fields: {text: NAME}}" in told.value.hint


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        (None, "raw.jsonl: does not exist"),
        ([], r"raw\.jsonl: there is no document"),
        ([{"text": "the house", "lang": "en"}, {"text": "la maison", "lang": "fr"}], "no language has two"),
        ([{"content": f"text {number}"} for number in range(200)], "there is no text field"),
    ],
    ids=["no file", "no document", "too few", "not read"],
)
def test_a_comparison_that_could_not_begin_leaves_its_folder_to_the_next(
    tmp_path: Path, documents: list[dict[str, str]] | None, told: str
) -> None:
    raw = tmp_path / "raw.jsonl"
    if documents is not None:
        write_jsonl(raw, documents)
    with pytest.raises((UserError, DataError), match=told):
        ablate(request(raw, tmp_path / "out"), lambda event: None)
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_cannot_run_is_refused_before_text_is_read(raw: Path, tmp_path: Path) -> None:
    recipe = load_recipe_text(recipe_text("dedup: {against: [nowhere]}"), "next.yaml")
    events: list[Event] = []
    with pytest.raises(UserError, match="nowhere: there is no index"):
        ablate(request(raw, tmp_path / "out", recipes=(("next", recipe),)), events.append)
    assert events == []
    assert not (tmp_path / "out").exists()


def test_what_was_done_is_not_done_again(raw: Path, tmp_path: Path) -> None:
    first = ablate(request(raw, tmp_path / "out"), lambda event: None)
    (tmp_path / "out" / "ablation.json").unlink()
    (tmp_path / "out" / "arms" / "curated" / "scores-0.json").unlink()
    again = ablate(request(raw, tmp_path / "out", resume=True), lambda event: None)
    assert again.comparisons == first.comparisons


def test_a_model_whose_training_was_stopped_is_not_compared(raw: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event["kind"] == "step" and event["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError) as told:
        ablate(request(raw, tmp_path / "out"), stop)
    assert told.value.signal == signal.SIGTERM
    assert not list((tmp_path / "out").glob("arms/*/scores-*.json"))
    again = ablate(request(raw, tmp_path / "out", resume=True), lambda event: None)
    assert [score.tokens for score in again.scores] == [3 * 128, 3 * 128]


def test_steps_that_were_taken_again_are_counted_once(raw: Path, tmp_path: Path) -> None:
    ablate(request(raw, tmp_path / "out"), lambda event: None)
    arm = tmp_path / "out" / "arms" / "raw"
    before = json.loads((arm / "scores-0.json").read_bytes())
    (arm / "scores-0.json").unlink()
    for piece in sorted((arm / "seed-0" / "events").iterdir()):
        (piece.parent / f"9{piece.name[1:]}").write_bytes(piece.read_bytes())
    ablate(request(raw, tmp_path / "out", resume=True), lambda event: None)
    assert json.loads((arm / "scores-0.json").read_bytes()) == before


def test_another_request_is_refused(raw: Path, tmp_path: Path) -> None:
    split_input((str(raw),), tmp_path / "work", READING, 0.1, 0, 1)
    with pytest.raises(UserError, match="not empty"):
        ablate(request(raw, tmp_path / "work"), lambda event: None)
    twice = request(raw, tmp_path / "out").recipes * 2
    with pytest.raises(UserError, match="need different names"):
        ablate(request(raw, tmp_path / "out", recipes=twice), lambda event: None)
    ablate(request(raw, tmp_path / "out"), lambda event: None)
    with pytest.raises(UserError, match="seeds changed"):
        ablate(request(raw, tmp_path / "out", seeds=2, resume=True), lambda event: None)
