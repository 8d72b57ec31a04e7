"""Recipes that name a tokenizer: its pieces are counted wherever tokens are, and units where units are meant."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest

from curator.cli.inspect import recipe_validate_command
from curator.errors import UserError
from curator.run.directory import RunDirectory
from curator.run.driver import Outcome
from curator.text.tokens import count_tokens, token_name
from curator.tokenize import Tokenizer, load_tokenizer
from stages.sampling.counts import counts_of_run
from stages.sampling.stage import Sampling, SamplingParameters
from tests.curator.test_tokenize import json_tokenizer
from tests.model.corpora import make_documents, tokenizer_of
from tests.model.corpora import write_run as write_training_run
from tests.runs import hashes, make_texts, recipe_text, rows, run_stages, write_jsonl
from tests.stages.quality.helpers import batch_of

STAGES = ("dedup", "entropy: {min_bits: 3}", "pii", "sampling: {alpha: 0.3, max_repeats: 3}")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    made = tokenizer_of(write_training_run(folder / "run", make_documents(60)), 350)
    path = folder / "pieces.model"
    path.write_bytes(made.data)
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "in.jsonl", make_texts(300, seed=3))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, corpus: Path, pieces: Path) -> tuple[Outcome, Path]:
    folder = tmp_path_factory.mktemp("counted") / "run"
    return run_stages([corpus], folder, *STAGES, tokenizer=str(pieces)), folder


def tokens_of(tokenizer: Tokenizer, text: object) -> int:
    return len(tokenizer.encode([str(text)])[0])


def test_shards_have_the_tokens_of_their_texts_as_edited(counted: tuple[Outcome, Path], pieces: Path) -> None:
    tokenizer = load_tokenizer(pieces)
    found = rows(counted[1], "shards")
    assert [row["tokens"] for row in found] == [tokens_of(tokenizer, row["text"]) for row in found]
    edited = {row["id"] for row in rows(counted[1], "decisions") if row["action"] == "edit"}
    assert any(row["id"] in edited for row in found)


def test_scores_have_tokens_and_units(counted: tuple[Outcome, Path], corpus: Path, pieces: Path) -> None:
    tokenizer = load_tokenizer(pieces)
    texts = {json.loads(line)["id"]: json.loads(line)["text"] for line in corpus.read_text().splitlines()}
    scores = rows(counted[1], "scores")
    assert {row["id"]: row["tokens"] for row in scores} == {
        name: tokens_of(tokenizer, text) for name, text in texts.items()
    }
    units = batch_of([texts[str(row["id"])] for row in scores]).units.counts.tolist()
    assert [row["units"] for row in scores] == units


def test_the_plan_of_sampling_is_in_tokens_of_the_tokenizer(counted: tuple[Outcome, Path]) -> None:
    manifest = counted[0].manifest
    facts = manifest["facts"]["sampling"]  # type: ignore[index]
    dropped = {row["id"] for row in rows(counted[1], "decisions") if row["action"] == "drop"}
    sampled = {row["id"] for row in rows(counted[1], "decisions") if row["stage"] == "sampling"}
    scores = [row for row in rows(counted[1], "scores") if row["id"] not in dropped - sampled]
    # What `pii` edited has other tokens than it was read with.
    assert facts["total"] == pytest.approx(sum(int(str(row["tokens"])) for row in scores), rel=0.01)
    assert facts["total"] > 1.2 * sum(int(str(row["units"])) for row in scores)


def test_the_manifest_names_the_tokenizer_by_its_content_and_no_path(
    counted: tuple[Outcome, Path], pieces: Path
) -> None:
    manifest = counted[0].manifest
    assert manifest["token"] == f"sentencepiece sha256:{load_tokenizer(pieces).sha256}"
    assert manifest["recipe"]["tokenizer"] == manifest["token"]  # type: ignore[index]
    assert str(pieces.parent) not in json.dumps(manifest)


def test_what_is_measured_in_units_decides_the_same_with_and_without_a_tokenizer(
    counted: tuple[Outcome, Path], corpus: Path, tmp_path: Path
) -> None:
    run_stages([corpus], tmp_path / "plain", *STAGES[:3])
    judged = [
        [row for row in rows(run, "decisions") if row["stage"] != "sampling"]
        for run in (counted[1], tmp_path / "plain")
    ]
    assert judged[0] == judged[1]


@pytest.mark.slow
def test_another_place_of_the_same_tokenizer_gives_the_same_bytes_and_another_tokenizer_another_fingerprint(
    counted: tuple[Outcome, Path], corpus: Path, pieces: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.model"
    moved.write_bytes(pieces.read_bytes())
    again = run_stages([corpus], tmp_path / "again", *STAGES, tokenizer=str(moved))
    assert hashes(tmp_path / "again") == hashes(counted[1])
    other = json_tokenizer(tmp_path, "<s>", "</s>")
    different = run_stages([corpus], tmp_path / "other", *STAGES, tokenizer=str(other))
    assert different.manifest["fingerprint"] != again.manifest["fingerprint"]
    assert str(different.manifest["token"]).startswith("json sha256:")


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read: No such file"), (b"nonsense", "is no tokenizer")]
)
def test_a_tokenizer_that_is_missing_or_broken_is_refused_before_anything_is_read(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "broken.model"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: {problem}"):
        run_stages(
            [write_jsonl(tmp_path / "in.jsonl", [{"text": "a"}])], tmp_path / "run", "dedup", tokenizer=str(path)
        )
    assert not (tmp_path / "run").exists()


def test_validation_of_a_recipe_says_that_its_tokenizer_is_none(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("dedup", tokenizer=str(recipe)))
    with pytest.raises(UserError, match=f"tokenizer.*{recipe}: is no tokenizer .expected a model of SentencePiece or"):
        recipe_validate_command(str(recipe), None, (), as_json=False)


def test_a_plan_from_a_run_that_counted_otherwise_is_refused(counted: tuple[Outcome, Path], pieces: Path) -> None:
    stage = Sampling(SamplingParameters())
    with pytest.raises(UserError, match="it counted tokens by another measure than the recipe does"):
        counts_of_run(RunDirectory(counted[1]), stage, token_name(None), {})
    of_run = counts_of_run(RunDirectory(counted[1]), stage, token_name(str(pieces)), {})
    facts = counted[0].manifest["facts"]["sampling"]  # type: ignore[index]
    assert pc.sum(of_run["tokens"]).as_py() == facts["total"]


def test_limits_in_a_tokenizer_json_cut_no_text(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as TokenizerFile

    path = json_tokenizer(tmp_path, "<s>", "</s>")
    whole = load_tokenizer(path).count(["many words stand in this text of ours"])
    limited = TokenizerFile.from_file(str(path))
    limited.enable_truncation(3)
    limited.enable_padding(length=99)
    limited.save(str(path))
    assert load_tokenizer(path).count(["many words stand in this text of ours"]).tolist() == whole.tolist()
    assert int(whole[0]) > 3


def test_without_a_tokenizer_a_token_is_a_unit() -> None:
    batch = batch_of(["two words", "三个字"])
    assert count_tokens(batch, None).tolist() == [2, 3]
    assert token_name(None) == "unit"
