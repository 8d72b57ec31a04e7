"""Reading fastText models. Models to read are the one in the package and small ones that fastText trains here."""

from __future__ import annotations

import heapq
import struct
from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import UserError
from curator.language.identifier import MODEL_PATH
from curator.language.model import Loss, huffman_children, identity_of, load_model

BYTES = MODEL_PATH.read_bytes()


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "model.ftz"
    path.write_bytes(data)
    return path


def test_rows_words_and_labels_of_the_packaged_model_are_those_that_fasttext_reads() -> None:
    ours, theirs = load_model(MODEL_PATH), fasttext.load_model(str(MODEL_PATH))
    assert [word.decode("utf-8", "replace") for word in ours.words] == theirs.get_words(on_unicode_error="replace")
    assert ["__label__" + label for label in ours.labels] == theirs.get_labels()
    assert (ours.dimension, ours.loss) == (theirs.get_dimension(), Loss.HIERARCHICAL_SOFTMAX)
    for row in range(0, len(ours.words), 97):
        np.testing.assert_allclose(ours.input[row], theirs.get_input_vector(row), rtol=1e-6, atol=1e-9)


@given(cut=st.integers(0, len(BYTES) - 1))
@settings(max_examples=40, deadline=None)
def test_a_file_that_is_cut_short_is_a_user_error_that_names_it(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("cut"), BYTES[:cut])
    with pytest.raises(UserError) as raised:
        load_model(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a fastText model"),
        (b"\x80\x04\x95pickle", "not a fastText model"),
        (BYTES[:4] + struct.pack("<i", 11) + BYTES[8:], "version 11"),
        (BYTES + b"\0", "1 bytes follow"),
        (BYTES[:28] + struct.pack("<i", 3) + BYTES[32:], "3-grams"),
        (BYTES[:32] + struct.pack("<i", 5) + BYTES[36:], "loss 5"),
        (BYTES[:36] + struct.pack("<i", 1) + BYTES[40:], "not a classifier"),
        (BYTES[:64] + struct.pack("<iii", 5, 3, 7) + BYTES[76:], "sizes make no sense"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_reason(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_model(write(tmp_path, data))


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the language model"):
        load_model(tmp_path / "none.bin")


@given(counts=st.lists(st.integers(1, 10**6), min_size=1, max_size=60))
def test_the_tree_is_a_huffman_tree(counts: list[int]) -> None:
    counts.sort(reverse=True)
    children = huffman_children(tuple(counts))
    depth = [0] * (2 * len(counts) - 1)
    for node in reversed(range(len(children))):
        for child in children[node]:
            depth[child] = depth[node + len(counts)] + 1
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    assert sum(count * length for count, length in zip(counts, depth, strict=False)) == cost
    assert sorted(children.reshape(-1)) == list(range(2 * len(counts) - 2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cbow", "skipgram"])
def test_a_model_that_was_trained_without_labels_is_refused(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "train.txt"
    source.write_text("the house stands near the river\n" * 50, encoding="utf-8")
    model = fasttext.train_unsupervised(str(source), model=kind, dim=10, bucket=100, epoch=1, thread=10, verbose=0)
    model.save_model(str(tmp_path / "model.bin"))
    with pytest.raises(UserError, match="not a classifier") as raised:
        load_model(tmp_path / "model.bin")
    assert "model.bin" in str(raised.value)


@given(data=st.binary(max_size=400), head=st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise_anything_but_a_user_error(
    data: bytes, head: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("any"), (BYTES[:80] if head else b"") + data)
    with pytest.raises(UserError):
        load_model(path)


def test_the_matrices_of_a_whole_model_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    source = tmp_path / "train.txt"
    source.write_text("__label__a one two\n__label__b three four\n" * 20, encoding="utf-8")
    path = tmp_path / "model.bin"
    fasttext.train_supervised(
        str(source), dim=10, bucket=100, minn=2, maxn=3, lr=0.05, thread=10, verbose=0
    ).save_model(str(path))
    model = load_model(path)
    assert not model.input.flags.owndata
    assert not model.input.flags.writeable
    assert model.identity == identity_of(path)
