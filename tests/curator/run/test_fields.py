"""Fields that a recipe names and no document has are told; those that any document has are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.recipe.model import FieldNames, Input
from curator.run.fields import Wanted, wanted_fields
from tests.curator.readers.warc_files import response, warc_record
from tests.runs import run_stages, write_jsonl

TEXT = "The house stands on a small hill near the river where children play."


def warnings_of(tmp_path: Path, documents: Sequence[Mapping[str, object]], **given: object) -> list[str]:
    """What a run over these documents tells."""
    file = write_jsonl(tmp_path / "a.jsonl", documents)
    manifest = run_stages([file], tmp_path / "run", "pii", language="off", input=given).manifest
    return cast("list[str]", manifest["warnings"])


def test_fields_that_no_document_has_are_named(tmp_path: Path) -> None:
    documents: list[Mapping[str, object]] = [
        {"text": TEXT, "id": "a", "source": "books", "date": None, "note": ""},
        {"text": TEXT, "inner": {"url": "x"}, "n": 0, "lang": "en", "tongue": " "},
    ]
    told = warnings_of(
        tmp_path,
        documents,
        fields={"id": "identity", "source": "site", "lang": "tongue"},
        metadata=["url", "date", "note", "inner", "n"],
        source="crawl",
    )
    assert told == [
        "no document has anything in the field 'url', which input.metadata names",
        "no document has anything in the field 'date', which input.metadata names",
        "no document has anything in the field 'note', which input.metadata names",
        "no document has an id in the field 'identity', which input.fields.id names",
        "no document has a source other than 'crawl' in the field 'site', which input.fields.source names",
        "no document has a language in the field 'tongue', which input.fields.lang names",
    ]


def test_one_document_that_has_a_field_is_enough_whatever_file_it_is_in(tmp_path: Path) -> None:
    fields = {"url": "http://a.b", "identity": 7, "site": "books", "tongue": "en"}
    files = [write_jsonl(tmp_path / f"{name}.jsonl", [{"text": TEXT}] * 3) for name in "abd"]
    files.append(write_jsonl(tmp_path / "c.jsonl", [{"text": TEXT}, {"text": TEXT, **fields}]))
    given = {"fields": {"id": "identity", "source": "site", "lang": "tongue"}, "metadata": ["url"]}
    manifest = run_stages(files, tmp_path / "run", "pii", language="off", input=given).manifest
    assert manifest["warnings"] == []


def test_without_documents_or_fields_of_ones_own_no_field_is_missed(tmp_path: Path) -> None:
    assert warnings_of(tmp_path / "none", [], metadata=["url"]) == ["nothing was read: the file has no document"]
    assert warnings_of(tmp_path / "usual", [{"text": TEXT}]) == []


def test_columns_of_parquet_that_are_not_there_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [TEXT], "url": ["u"]}), tmp_path / "a.parquet")
    given = {"metadata": ["url", "page.url"]}
    manifest = run_stages([tmp_path / "a.parquet"], tmp_path / "run", "pii", language="off", input=given).manifest
    assert manifest["warnings"] == ["no document has anything in the field 'page.url', which input.metadata names"]


def test_headers_of_warc_that_no_record_has_are_not_missed(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(warc_record(response(TEXT.encode())))
    given = {"metadata": ["url", "WARC-Truncated"]}
    manifest = run_stages([tmp_path / "a.warc"], tmp_path / "run", "pii", language="off", input=given).manifest
    assert manifest["warnings"] == []


def test_a_language_that_the_text_tells_is_none_of_the_field(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", [{"text": TEXT}])
    manifest = run_stages([file], tmp_path / "run", "pii", input={"fields": {"lang": "tongue"}}).manifest
    assert ["lang", "en", "in", 1] in [row[:4] for row in cast("list[list[object]]", manifest["funnel"])]
    assert manifest["warnings"] == ["no document has a language in the field 'tongue', which input.fields.lang names"]


@pytest.mark.parametrize("use", ["id", "source", "lang"])
def test_fields_that_are_called_as_by_default_are_not_looked_for(use: str) -> None:
    assert wanted_fields(Input()) == []
    chosen = wanted_fields(Input(fields=FieldNames(**{use: "other"})))
    assert [(field.use, field.name) for field in chosen] == [(use, "other")]
    assert all(isinstance(field, Wanted) for field in chosen)
