"""The size of a corpus, told or measured on its files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curator.errors import UserError
from curator.estimate import sample
from curator.estimate.rates import load_rates
from curator.estimate.sample import measured_size, told_size
from curator.readers.detect import discover
from curator.recipe import load_recipe
from tests.runs import make_texts, write_jsonl

RATES = load_rates()
TEXTS = make_texts(400)
BYTES = sum(len(document["text"].encode()) for document in TEXTS)


def test_what_is_not_told_is_as_in_the_corpus_of_the_rates() -> None:
    assert told_size(1e9, None, RATES, compressed=False).documents == pytest.approx(1e9 / RATES.document_bytes)
    assert told_size(None, 1e6, RATES, compressed=False).text_bytes == pytest.approx(1e6 * RATES.document_bytes)
    both = told_size(1e14, 1e11, RATES, compressed=True)
    assert (both.text_bytes, both.documents, both.stream_share) == (1e14, 1e11, 1.0)


def test_more_documents_than_bytes_are_refused() -> None:
    with pytest.raises(UserError, match="too little for 1,000 documents"):
        told_size(100, 1000, RATES, compressed=False)


def test_no_size_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="no size"):
        told_size(None, None, RATES, compressed=False)


def test_small_plain_files_are_measured_exactly(tmp_path: Path) -> None:
    files = [write_jsonl(tmp_path / f"{number}.jsonl", TEXTS) for number in range(3)]
    found = measured_size(discover([str(tmp_path)]), load_recipe("web"), RATES)
    assert found.documents == pytest.approx(1200)
    assert found.text_bytes == pytest.approx(3 * BYTES)
    assert found.plain_bytes == found.stored_bytes == sum(file.stat().st_size for file in files)
    assert found.stream_share == 0
    assert found.id_bytes == pytest.approx(sum(len(document["id"]) for document in TEXTS) / 400)


@pytest.mark.slow
def test_files_that_are_not_read_count_by_their_size(tmp_path: Path) -> None:
    for number in range(100):
        write_jsonl(tmp_path / f"{number}.jsonl", TEXTS)
    found = measured_size(discover([str(tmp_path)]), load_recipe("web"), RATES)
    assert found.documents == pytest.approx(40_000)
    assert "72 of 100 files" in found.origin
    assert found.files == 100


def test_the_largest_files_do_not_speak_for_the_small_ones(tmp_path: Path) -> None:
    for number, document in enumerate(TEXTS):
        long = {**document, "text": document["text"] * (200 if number < 8 else 1)}
        write_jsonl(tmp_path / f"{number:03d}.jsonl", [long])
    files = discover([str(tmp_path)])
    found = measured_size(files, load_recipe("web"), RATES)
    assert found.documents == pytest.approx(400, rel=0.2)
    assert found.stored_bytes == pytest.approx(sum(file.size for file in files))


def test_many_files_are_estimated_without_reading_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        write_jsonl(tmp_path / f"{number:02d}.jsonl", TEXTS)
    monkeypatch.setattr(sample, "OTHERS_BYTES", 5 * (tmp_path / "00.jsonl").stat().st_size)
    found = measured_size(discover([str(tmp_path)]), load_recipe("web"), RATES)
    assert found.documents == pytest.approx(24_000)
    assert f"{8 + 5} of 60 files" in found.origin


def test_a_compressed_file_is_a_stream_with_the_size_of_its_content(tmp_path: Path) -> None:
    plain = "".join(json.dumps(document) + "\n" for document in TEXTS).encode()
    (tmp_path / "in.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(plain))
    found = measured_size(discover([str(tmp_path)]), load_recipe("web"), RATES)
    assert found.stream_share == 1
    assert found.documents == pytest.approx(400)
    assert found.plain_bytes == pytest.approx(len(plain))
    assert found.stored_bytes == pytest.approx((tmp_path / "in.jsonl.zst").stat().st_size)


def test_row_groups_that_are_not_read_count_by_their_share(tmp_path: Path) -> None:
    text = ["some words of a document " * 2000] * 1000  # 50 MB in ten row groups
    table = pa.table({"text": text})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100, compression="none", use_dictionary=False)
    found = measured_size(discover([str(tmp_path)]), load_recipe("web"), RATES)
    assert found.documents == pytest.approx(1000, rel=0.1)
    assert found.text_bytes == pytest.approx(50e6, rel=0.1)


def test_an_input_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(UserError, match="no text was found"):
        measured_size(discover([str(tmp_path)]), load_recipe("web"), RATES)
