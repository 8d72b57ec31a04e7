"""The loader: each document once an epoch, bit-exact from any state, whatever the threads and ranks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.errors import DataError, UserError
from curator.tokenize import Tokenizer
from curator.training import DataSection
from model.data.batch import Batch
from model.data.lanes import Lane
from model.data.loader import Loader, full_state, shares_of
from model.data.order import Order, Selection
from model.data.shards import open_corpus
from model.data.validation import validation_batches
from tests.model.corpora import DATA, make_documents, tiny_config, tokenizer_of, write_run

BATCHES = 40


def changed(section: DataSection, **changes: object) -> DataSection:
    return DataSection.model_validate({**section.model_dump(), **changes})


def read(
    places: Sequence[str], tokenizer: Tokenizer, section: DataSection = DATA, count: int = BATCHES, **options: object
) -> tuple[list[Batch], list[dict[str, object]]]:
    """Batches, and the state behind each as a checkpoint holds it."""
    with Loader([open_corpus(place) for place in places], tokenizer, section, **options) as loader:  # type: ignore[arg-type] # what the test says
        batches, states = [], []
        for _ in range(count):
            batches.append(loader.next())
            states.append(json.loads(json.dumps(full_state(loader.binding, loader.lane_states))))
    return batches, states


def same(left: Batch, right: Batch) -> bool:
    arrays = ("inputs", "targets", "weights", "documents")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in arrays)


def joined(parts: Sequence[Batch]) -> Batch:
    """What several ranks read of one batch, laid end to end."""
    starts = np.cumsum([0, *(len(part.inputs) for part in parts)])
    documents = [part.documents[:-1] + start for part, start in zip(parts, starts, strict=False)]
    return Batch(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([*documents, starts[-1:]]).astype(np.int32),
        sum(part.sequences for part in parts),
    )


def documents_of(batches: Sequence[Batch], tokenizer: Tokenizer) -> list[str]:
    """The documents that end in these batches, of all lanes, put together again."""
    lanes: list[list[int]] = [[] for _ in range(batches[0].sequences)]
    for batch in batches:
        for lane, targets in zip(lanes, batch.targets.reshape(batch.sequences, -1), strict=True):
            lane.extend(targets.tolist())
    found = []
    for lane in lanes:
        start = 0
        for place, token in enumerate(lane):
            if token == tokenizer.end:
                found.append(tokenizer.decode(lane[start:place]))
                start = place + 1
    return found


def test_every_document_comes_once_an_epoch(place: str, tokenizer: Tokenizer) -> None:
    section = changed(DATA, validation_share=0, batch=2)
    with Loader([open_corpus(place)], tokenizer, section) as loader:
        batches = []
        while loader.epoch == 0:
            batches.append(loader.next())
    found = Counter(documents_of(batches, tokenizer))
    texts = {str(document["text"]) for document in make_documents(200)}
    assert set(found) <= texts
    # The lane that is ahead has begun the second epoch: nothing comes twice before all came once, for each lane.
    assert len(texts - set(found)) <= 2
    assert sum(count - 1 for count in found.values()) <= 40


def test_a_target_is_the_token_that_follows(place: str, tokenizer: Tokenizer) -> None:
    for batch in read([place], tokenizer)[0]:
        starts = set(batch.documents.tolist())
        follows = [row for row in range(len(batch.inputs) - 1) if row + 1 not in starts]
        assert np.array_equal(batch.targets[follows], batch.inputs[[row + 1 for row in follows]])
        assert tokenizer.end not in batch.inputs
        assert tokenizer.begin not in batch.targets


def test_the_ends_of_sequences_are_ends_of_documents(place: str, tokenizer: Tokenizer) -> None:
    for batch in read([place], tokenizer)[0]:
        assert set(range(0, 129, 32)) <= set(batch.documents.tolist())
        assert (np.diff(batch.documents) > 0).all()


@pytest.mark.slow
@settings(max_examples=12)
@given(at=st.integers(0, BATCHES - 3), threads=st.integers(1, 3), ranks=st.sampled_from([1, 2, 4]))
def test_it_goes_on_from_any_state_with_other_threads_and_ranks(
    place: str, tokenizer: Tokenizer, at: int, threads: int, ranks: int
) -> None:
    batches, states = read([place], tokenizer)
    section = changed(DATA, threads=threads)
    parts = [read([place], tokenizer, section, 2, state=states[at], rank=rank, ranks=ranks)[0] for rank in range(ranks)]
    for step in range(2):
        assert same(joined([part[step] for part in parts]), batches[at + 1 + step])


def test_ranks_together_have_the_state_of_one(place: str, tokenizer: Tokenizer) -> None:
    alone = read([place], tokenizer)[1][-1]
    parts = [read([place], tokenizer, rank=rank, ranks=2)[1][-1]["lanes"] for rank in range(2)]
    assert [lane for part in parts for lane in part] == alone["lanes"]  # type: ignore[attr-defined] # JSON


def test_a_state_stands_in_the_middle_of_row_groups_and_documents(place: str, tokenizer: Tokenizer) -> None:
    lanes = [lane for state in read([place], tokenizer)[1] for lane in state["lanes"]]  # type: ignore[attr-defined] # JSON
    assert any(lane["places"][0][2] > 0 and lane["open"] is not None for lane in lanes)


def test_another_seed_is_another_order(place: str, tokenizer: Tokenizer) -> None:
    first, second = (read([place], tokenizer, changed(DATA, seed=seed), 1)[0][0] for seed in (0, 1))
    assert not same(first, second)


def test_a_part_of_a_batch_is_its_sequences(place: str, tokenizer: Tokenizer) -> None:
    for batch in read([place], tokenizer)[0]:
        parts = batch.parts(4)
        assert [part.sequences for part in parts] == [1] * 4
        assert same(joined(parts), batch)


def test_the_weight_of_a_document_stands_on_all_its_targets(place: str, tokenizer: Tokenizer) -> None:
    weights = {str(document["text"]): document["weight"] for document in make_documents(200)}
    batches = read([place], tokenizer, changed(DATA, batch=1))[0]
    targets = np.concatenate([batch.targets for batch in batches])
    found = np.concatenate([batch.weights for batch in batches])
    start = 0
    for end in np.flatnonzero(targets == tokenizer.end).tolist():
        text = tokenizer.decode(targets[start:end].tolist())
        assert set(found[start : end + 1]) == {weights[text]}
        start = end + 1


@pytest.mark.slow
def test_runs_share_the_tokens_as_their_weights_say(tmp_path: Path, place: str, tokenizer: Tokenizer) -> None:
    other = write_run(tmp_path / "other", make_documents(80, seed=5), name="other")
    states = read([place, other], tokenizer, changed(DATA, weights=(3, 1)), 400)[1]
    tokens = np.sum([lane["tokens"] for lane in states[-1]["lanes"]], axis=0)  # type: ignore[attr-defined] # JSON
    assert tokens[0] / tokens.sum() == pytest.approx(0.75, abs=0.02)


def test_runs_are_mixed_by_what_is_read_of_them(tmp_path: Path, place: str) -> None:
    documents = make_documents(200)
    greek = write_run(tmp_path / "greek", [found for found in documents if found["lang"] == "el"], name="greek")
    corpora = [open_corpus(place), open_corpus(greek)]
    assert shares_of(corpora, changed(DATA, languages=("el",))) == [0.5, 0.5]
    assert shares_of(corpora, DATA)[0] > 0.7
    with pytest.raises(UserError, match=r"greek: no document of the run is in hi \(leave out the run"):
        shares_of(corpora, changed(DATA, languages=("hi",)))


def test_only_the_languages_that_were_named_are_read(place: str, tokenizer: Tokenizer) -> None:
    section = changed(DATA, languages=("el", "hi"))
    allowed = {str(found["text"]) for found in make_documents(200) if found["lang"] in ("el", "hi")}
    found = documents_of(read([place], tokenizer, section)[0], tokenizer)
    assert found
    assert set(found) <= allowed


def test_a_language_without_documents_is_said(place: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="no document is left for training in xx"):
        read([place], tokenizer, changed(DATA, languages=("xx",)))


def test_a_share_that_leaves_no_document_for_validation_is_said(place: str, tokenizer: Tokenizer) -> None:
    config = tiny_config(data__validation_share=1e-9)
    said = r"left for validation \(data.validation_share 1e-09 took none: a larger one takes more, 0 leaves"
    with pytest.raises(UserError, match=said):
        validation_batches([open_corpus(place)], tokenizer, config)


@pytest.mark.slow
def test_what_validates_is_never_trained_on(place: str, tokenizer: Tokenizer) -> None:
    config = tiny_config(validation__sequences=1000, data__batch=1)
    held = set(documents_of(validation_batches([open_corpus(place)], tokenizer, config), tokenizer))
    trained = set(documents_of(read([place], tokenizer, count=150)[0], tokenizer))
    assert len(held) > 5
    assert not held & trained


@pytest.mark.slow
@pytest.mark.parametrize("made", [{"copy": 1}, {"parent": "any"}], ids=["copies", "children"])
def test_what_was_made_of_a_document_stands_on_its_side(
    tmp_path: Path, tokenizer: Tokenizer, made: dict[str, object]
) -> None:
    documents = make_documents(100)
    others = [{**document, "id": f"{document['id']}#1", **made} for document in documents]
    place = write_run(tmp_path / "run", [*documents, *others])
    config = tiny_config(validation__sequences=1000, data__batch=1)
    held = set(documents_of(validation_batches([open_corpus(place)], tokenizer, config), tokenizer))
    trained = set(documents_of(read([place], tokenizer, count=150)[0], tokenizer))
    assert held
    assert not held & trained


@pytest.mark.parametrize("what", ["shards", "tokenizer", "settings"])
def test_a_state_of_other_data_is_refused(tmp_path: Path, place: str, tokenizer: Tokenizer, what: str) -> None:
    state = read([place], tokenizer, count=1)[1][0]
    if what == "shards":
        place = write_run(tmp_path / "run", make_documents(200, seed=1))
    if what == "tokenizer":
        tokenizer = tokenizer_of(place, 390)
    section = changed(DATA, seed=1) if what == "settings" else DATA
    told = {"shards": "the shards changed", "tokenizer": "the tokenizer changed", "settings": r"data\.seed changed"}
    with pytest.raises(UserError, match=told[what]):
        read([place], tokenizer, section, state=state)


def test_a_shard_that_changed_is_refused_when_it_is_read(tmp_path: Path, tokenizer: Tokenizer) -> None:
    place = write_run(tmp_path / "run", make_documents(50), shards=1)
    path = Path(place) / "shards" / "part-00000.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="not as its run wrote it"):
        read([place], tokenizer)


@pytest.mark.parametrize("harm", ["removed", "changed"])
def test_a_shard_that_is_harmed_after_it_was_read_is_said_when_it_is_read_again(tmp_path: Path, harm: str) -> None:
    corpus = open_corpus(write_run(tmp_path / "run", make_documents(50), shards=1))
    corpus.read(corpus.groups[0])
    path = Path(str(corpus.shards[0].path))
    data = bytearray(path.read_bytes())
    path.unlink()
    if harm == "changed":
        data[len(data) // 4] ^= 1
        path.write_bytes(data)
    told = {"removed": "a shard is missing", "changed": "not as its run wrote it"}[harm]
    with pytest.raises(DataError, match=told):
        corpus.read(corpus.groups[1])


def test_a_shard_of_another_size_is_refused_at_once(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", make_documents(50), shards=1)
    with (Path(place) / "shards" / "part-00000.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="not as its run wrote it"):
        open_corpus(place)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no manifest\.json"):
        open_corpus(str(tmp_path))


def test_ranks_that_cannot_share_a_batch_are_refused(place: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="3 ranks cannot share 4 sequences"):
        read([place], tokenizer, ranks=3)


def test_the_first_batch_of_many_lanes_waits_for_few_documents(place: str, tokenizer: Tokenizer) -> None:
    asked = 0

    class Counting:
        """The tokenizer, and how many documents it was given."""

        def encode_documents(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
            nonlocal asked
            asked += len(texts)
            return tokenizer.encode_documents(texts)

    corpus = open_corpus(place)
    order = Order(corpus, Selection(), window_bytes=1 << 20, seed=0)
    with ThreadPoolExecutor(1) as executor:
        for number in range(64):
            Lane(number, 64, [order], [1.0], cast("Tokenizer", Counting()), executor).sequence(8)
    assert asked <= 64 * 8
