"""Runs: one answer, nothing lost, resume that means the same."""

import fcntl
import gzip
import json
import os
import threading
import time
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import pytest

from curator.cluster.state import is_worked_in
from curator.errors import DataError, UserError
from curator.recipe import load_recipe_text
from curator.run.directory import LOOK_SECONDS, RunDirectory, RunLock
from curator.run.driver import Request, run
from curator.run.events import Event, read_events
from curator.run.execution import INLINE_BYTES
from curator.run.tally import Tally
from curator.run.verify import unbalanced, verify
from tests.command import curator
from tests.curator.readers.warc_files import response, warc_record
from tests.runs import hashes, make_texts, recipe_text, rows, run_stages, write_jsonl

TEXT = "The house stands on a small hill near the river, where children play."
ALL = ("dedup", "entropy: {min_bits: 3}", "toxicity", "outliers: {min_documents: 20}", "pii", "sampling: {alpha: 0.5}")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("input")
    return [
        write_jsonl(folder / "a.jsonl", make_texts(400, seed=1)),
        write_jsonl(folder / "b.jsonl", make_texts(300, seed=2)),
    ]


@pytest.fixture(scope="module")
def finished(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "run"
    run_stages(inputs, output, *ALL)
    return output


def test_every_document_is_accounted_for_by_file_and_in_all(finished: Path, inputs: list[Path]) -> None:
    found = verify(RunDirectory(finished))
    assert found.problems == []
    tally = Tally(json.loads((finished / "manifest.json").read_text())["funnel"])
    assert unbalanced(tally) == []
    assert tally.documents("in") == 700
    assert tally.documents("in", "file", "a.jsonl") == 400
    kept = {row["key"] for row in rows(finished, "shards")}
    dropped = {row["key"] for row in rows(finished, "decisions") if row["action"] == "drop"}
    seen = {row["key"] for row in rows(finished, "scores")}
    assert kept | dropped == seen
    assert kept & dropped == set()
    assert len(seen) == 700


def test_shards_hold_kept_documents_in_input_order(finished: Path) -> None:
    shards = rows(finished, "shards")
    order = [(row["provenance"]["file"], row["provenance"]["position"], row["copy"]) for row in shards]  # type: ignore[index]
    assert order == sorted(order)
    assert all(row["weight"] == 1.0 for row in shards)
    copies = [row for row in shards if row["copy"]]
    assert copies
    assert all(str(row["id"]).endswith(f"#{row['copy']}") for row in copies)
    assert not any("@example.org" in str(row["text"]) for row in shards)
    assert any("[REDACTED_EMAIL]" in str(row["text"]) for row in shards)


def test_the_manifest_holds_no_time_host_path_or_worker_count(finished: Path) -> None:
    text = (finished / "manifest.json").read_text()
    for secret in (str(finished.parent), os.uname().nodename, "mtime", "workers", "memory", '"time"'):
        assert secret not in text


def test_a_run_into_a_used_directory_is_refused(finished: Path, inputs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not empty.*--resume"):
        run_stages(inputs, finished, *ALL)
    (tmp_path / "something").write_text("")
    with pytest.raises(UserError, match="not empty"):
        run_stages(inputs, tmp_path, *ALL)
    with pytest.raises(UserError, match="not a run directory"):
        run_stages(inputs, tmp_path, *ALL, resume=True)


def test_resume_of_a_finished_run_verifies_and_changes_nothing(finished: Path, inputs: list[Path]) -> None:
    before = hashes(finished)
    outcome = run_stages(inputs, finished, *ALL, resume=True)
    assert outcome.was_finished
    assert hashes(finished) == before


def test_resume_of_a_damaged_finished_run_says_what_is_damaged(inputs: list[Path], tmp_path: Path) -> None:
    run_stages(inputs, tmp_path / "run", "dedup")
    shard = next((tmp_path / "run" / "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"shards/part-00000.parquet is not as it was written"):
        run_stages(inputs, tmp_path / "run", "dedup", resume=True)


def test_resume_with_another_recipe_or_input_is_refused_with_the_difference(inputs: list[Path], tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", make_texts(30))
    run_stages([file], tmp_path / "run", "dedup")
    with pytest.raises(UserError, match=r"threshold: 0.85 -> 0.8"):
        run_stages([file], tmp_path / "run", "dedup: {threshold: 0.8}", resume=True)
    write_jsonl(file, make_texts(31))
    with pytest.raises(UserError, match=r"input.a.jsonl changed"):
        run_stages([file], tmp_path / "run", "dedup", resume=True)


def test_resume_with_a_rule_turned_off_for_a_language_is_refused(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", make_texts(30))
    run_stages([file], tmp_path / "run", "entropy: {languages: {de: {min_bits: 5}}}")
    with pytest.raises(UserError, match=r"entropy\.languages\.de\.min_order: not given -> null"):
        run_stages([file], tmp_path / "run", "entropy: {languages: {de: {min_bits: 5, min_order: null}}}", resume=True)


def test_resume_on_a_missing_directory_starts(inputs: list[Path], tmp_path: Path) -> None:
    outcome = run_stages(inputs, tmp_path / "new", "dedup", resume=True)
    assert not outcome.resumed
    assert verify(outcome.directory).problems == []


def test_two_runs_into_one_directory_at_once_are_refused(inputs: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "run"
    directory = RunDirectory(root)
    directory.create()
    (root / "events").rmdir()
    (root / "work").rmdir()
    with (
        RunLock(directory),
        pytest.raises(UserError, match="wait until it has ended"),
    ):
        run_stages(inputs, root, "dedup")


def test_who_looks_whether_a_run_is_worked_in_refuses_no_other(tmp_path: Path) -> None:
    root = tmp_path / "run"
    RunDirectory(root).create()
    looking = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(LOOK_SECONDS / 4, os.close, [looking]).start()
    with RunLock(RunDirectory(root)) as lock:
        assert lock.is_held
        assert is_worked_in(root)


def test_bad_records_go_to_failed_and_the_rest_is_read(tmp_path: Path) -> None:
    good = [json.dumps({"id": f"g{n}", "text": f"a good document number {n}"}).encode() for n in range(50)]
    bad = [b"{not json", b'{"id": "x"}', b'{"text": 5}', b'["a"]', b'{"text": "\xff\xfe\xfd"}']
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"\n".join(good[:25] + bad + good[25:]) + b"\n")
    outcome = run_stages([file], tmp_path / "run", "entropy: {min_bits: 0}", language="off")
    failed = rows(tmp_path / "run", "failed")
    assert len(failed) == len(bad)
    assert len(rows(tmp_path / "run", "scores")) == len(good)
    assert verify(outcome.directory).problems == []
    lines = file.read_bytes().split(b"\n")
    starts = {sum(len(line) + 1 for line in lines[:n]): line for n, line in enumerate(lines)}
    for row in failed:
        assert starts[row["position"]] in bad  # type: ignore[index]
        assert set(row) == {"key", "file", "position", "line", "stage", "code", "sha256"}


def test_pages_that_were_cut_off_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    page = response(b"<p>" + TEXT.encode() + b"</p>")
    whole, damaged = warc_record(page), warc_record(b"\xff\xfe\xfd", "conversion", "text/plain")
    cut, lost = (record.replace(b"WARC-Type", b"WARC-Truncated: time\r\nWARC-Type", 1) for record in (whole, damaged))
    (tmp_path / "a.warc").write_bytes(lost + whole + cut)
    (tmp_path / "b.warc.gz").write_bytes(gzip.compress(cut) + gzip.compress(whole))
    inputs = [tmp_path / "a.warc", tmp_path / "b.warc.gz"]
    manifest = run_stages(inputs, tmp_path / "run", "pii", language="off").manifest
    assert manifest["facts"] == {"reading": {"warc.truncated": 2}}
    told = (
        "2 documents are pages that were cut off when they were crawled; what there is of them was read; "
        f"the first: a.warc at {len(lost + whole)}"
    )
    assert told in cast("list[str]", manifest["warnings"])
    assert told in (tmp_path / "run" / "report.html").read_text()
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [TEXT] * 4

    (tmp_path / "c.warc").write_bytes(whole)
    manifest = run_stages([tmp_path / "c.warc"], tmp_path / "whole", "pii", language="off").manifest
    assert (manifest["facts"], manifest["warnings"]) == ({}, [])


@pytest.mark.parametrize("empty", [b"", b"\n \n"])
def test_an_input_without_a_document_is_told_as_that(tmp_path: Path, empty: bytes) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(empty)
    inputs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for count, told in ((1, "the file has no document"), (2, "no file has a document")):
        manifest = run_stages(inputs[:count], tmp_path / f"run{count}", "pii").manifest
        assert manifest["warnings"] == [f"nothing was read: {told}"]
    (tmp_path / "c.jsonl").write_text(json.dumps({"text": TEXT}))
    assert run_stages([*inputs, tmp_path / "c.jsonl"], tmp_path / "run3", "pii").manifest["warnings"] == []


def test_half_an_emoji_costs_a_text_one_character_unless_nothing_is_repaired(tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": TEXT}),
        json.dumps({"text": f"{TEXT} \ud83d"}),
        json.dumps({"text": "\U0001f600 " + TEXT}),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    manifest = run_stages([tmp_path / "a.jsonl"], tmp_path / "run", "pii", language="off").manifest
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [TEXT, f"{TEXT} \ufffd", f"\U0001f600 {TEXT}"]
    assert manifest["facts"] == {"reading": {"json.surrogate": 1}}
    assert f"a.jsonl at {len(lines[0]) + 1}" in cast("list[str]", manifest["warnings"])[0]
    run_stages([tmp_path / "a.jsonl"], tmp_path / "strict", "pii", language="off", input={"repair": False})
    assert [row["code"] for row in rows(tmp_path / "strict", "failed")] == ["encoding.invalid_utf8"]


def test_texts_in_a_code_page_are_decoded_and_told(tmp_path: Path) -> None:
    sentence = "Все люди рождаются свободными и равными в своем достоинстве и правах, {}."
    texts = [sentence.format(number) for number in range(40)]
    lines = [json.dumps({"text": text.encode("cp1251").decode("latin-1")}) for text in texts]
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps({"text": TEXT}), *lines]) + "\n")
    (tmp_path / "b.txt").write_bytes("\n".join([*texts, "Да."]).encode("koi8-r"))
    (tmp_path / "c.csv").write_bytes("text\n{}\n".format("\n".join(f'"{text}"' for text in texts)).encode("cp866"))
    inputs = [tmp_path / name for name in ("a.jsonl", "b.txt", "c.csv")]
    manifest = run_stages(inputs, tmp_path / "run", "pii", workers=2).manifest
    kept = rows(tmp_path / "run", "shards")
    assert [row["text"] for row in kept] == [TEXT, *texts * 3]
    assert {row["lang"] for row in kept[1:]} == {"ru"}
    assert [(row["file"], row["code"]) for row in rows(tmp_path / "run", "failed")] == [
        ("b.txt", "encoding.invalid_utf8")
    ]
    assert manifest["facts"]["reading"] == {"encoding.code_page": 120}  # type: ignore[index]
    assert f"decoded; the first: a.jsonl at {kept[1]['id'].split(':')[1]}" in manifest["warnings"][0]  # type: ignore


def test_quotes_of_tsv_are_letters_where_the_recipe_says_so(tmp_path: Path) -> None:
    said = ['"I do not know.', "Who does?", '"Nobody," he said.', 'A "quote" inside']
    data = "text\tid\n" + "".join(f"{text}\t{number}\n" for number, text in enumerate(said))
    (tmp_path / "a.tsv").write_text(data)
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(data.encode()))
    inputs = [tmp_path / "a.tsv", tmp_path / "b.tsv.gz"]
    run_stages(inputs, tmp_path / "run", "pii", language="off", input={"quotes": "letters"})
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [*said, *said]
    run_stages(inputs, tmp_path / "enclosing", "pii", language="off")
    assert [row["code"] for row in rows(tmp_path / "enclosing", "failed")] == ["csv.quote"] * 2
    (tmp_path / "c.tsv").write_text(data.replace('"I do', "I do"))
    manifest = run_stages([tmp_path / "c.tsv"], tmp_path / "doubtful", "pii", language="off").manifest
    assert manifest["facts"] == {"reading": {"csv.text_behind_quote": 1}}
    assert "say so with --set input.quotes=letters: c.tsv at" in cast("list[str]", manifest["warnings"])[0]


def test_quotes_are_refused_where_no_file_has_any(inputs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"input\.quotes is 'letters', and is for CSV and TSV: the input is jsonl"):
        run_stages(inputs, tmp_path / "run", "pii", language="off", input={"quotes": "letters"})
    assert not (tmp_path / "run").exists()
    (tmp_path / "a.tsv").write_text("text\nthis is read\n")
    run_stages([*inputs, tmp_path / "a.tsv"], tmp_path / "run", "pii", language="off", input={"quotes": "letters"})


def test_too_many_failed_records_stop_the_run_once_and_resume_goes_on(tmp_path: Path) -> None:
    documents = make_texts(300)
    lines = [json.dumps(document) for document in documents] + ["broken"] * 150
    file = tmp_path / "in.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"150 of 450 records.*33.33%.*in.jsonl.*max_error_rate"):
        run_stages([file], tmp_path / "run", "dedup")
    outcome = run_stages([file], tmp_path / "run", "dedup", resume=True, max_error_rate=0.5)
    assert outcome.resumed
    assert len(rows(tmp_path / "run", "failed")) == 150
    reused = [
        event for event in read_events(outcome.directory.events) if event["kind"] == "task.done" and event["reused"]
    ]
    assert reused


def test_a_hundred_failed_records_never_stop_a_run(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("broken\n" * 100 + json.dumps({"text": "one good text"}) + "\n")
    run_stages([file], tmp_path / "run", "dedup")
    assert len(rows(tmp_path / "run", "shards")) == 1


def test_a_file_that_is_not_compressed_as_its_name_says_is_told(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl.gz"
    file.write_bytes(b"\x93\xfa\x00no gzip\n" * 10)
    outcome = run_stages([file], tmp_path / "few", "dedup")
    told = cast("list[str]", outcome.manifest["warnings"])
    assert "of 1 file nothing could be read: in.jsonl.gz (is not compressed, though its name says so)" in told
    assert verify(outcome.directory).problems == []
    file.write_bytes(b"\x93\xfa\x00no gzip\n" * 101)
    with pytest.raises(DataError, match=r"101 of 101 records .*the file is not compressed, .*rate=1\.00"):
        run_stages([file], tmp_path / "many", "dedup")
    assert len(rows(tmp_path / "many", "failed")) == 101


def test_a_file_of_which_nothing_could_be_read_is_named(tmp_path: Path) -> None:
    good = write_jsonl(tmp_path / "good.jsonl", make_texts(5))
    half = tmp_path / "half.jsonl"
    half.write_text(good.read_text() + "broken\n")
    bad = [tmp_path / f"bad{number}.jsonl" for number in range(5)]
    for path in bad:
        path.write_text("broken\n")
    (tmp_path / "empty.jsonl").write_text("")
    one = run_stages([good, half, bad[0], tmp_path / "empty.jsonl"], tmp_path / "one", "entropy", language="off")
    told = cast("list[str]", one.manifest["warnings"])
    assert "of 1 file nothing could be read: bad0.jsonl" in told
    many = run_stages([good, *bad], tmp_path / "many", "entropy", language="off")
    told = cast("list[str]", many.manifest["warnings"])
    assert told == ["of 5 files nothing could be read: bad0.jsonl, bad1.jsonl, bad2.jsonl and 2 more"]


def test_an_empty_input_gives_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("")
    outcome = run_stages([tmp_path / "in.jsonl"], tmp_path / "run", *ALL)
    assert verify(outcome.directory).problems == []
    assert rows(tmp_path / "run", "shards") == []


def test_a_corpus_of_which_nothing_is_kept_is_a_run_too(tmp_path: Path) -> None:
    texts = ["spam spam spam spam spam spam " * 40 + str(n) for n in range(2)]
    file = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    outcome = run_stages([file], tmp_path / "run", "entropy", "sampling", language="off")
    assert verify(outcome.directory).problems == []
    assert rows(tmp_path / "run", "shards") == []
    assert len(rows(tmp_path / "run", "scores")) == 2


def test_ids_that_repeat_are_kept_counted_and_named_once(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", [{"id": "same", "text": f"text number {n} of several"} for n in range(3)])
    outcome = run_stages([file], tmp_path / "run", "dedup", language="off")
    assert [row["id"] for row in rows(tmp_path / "run", "shards")] == ["same"] * 3
    warnings = outcome.manifest["warnings"]
    assert isinstance(warnings, list)
    (warning,) = warnings
    assert warning.startswith("2 documents have an id that an earlier one has, such as 'same'")
    assert warning in (tmp_path / "run" / "report.html").read_text().replace("&#39;", "'")
    one = write_jsonl(tmp_path / "one.jsonl", [{"id": "same", "text": f"text number {n} of two"} for n in range(2)])
    warnings = run_stages([one], tmp_path / "one", "dedup", language="off").manifest["warnings"]
    assert isinstance(warnings, list)
    assert warnings[0].startswith("1 document has an id that an earlier one has, such as 'same'")


def test_a_record_without_id_has_its_place_for_one(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", [{"text": "first text"}, {"text": "second one"}])
    run_stages([file], tmp_path / "run", "dedup", language="off")
    assert [row["id"] for row in rows(tmp_path / "run", "shards")] == ["in.jsonl:0", "in.jsonl:23"]


def test_fields_and_metadata_are_mapped(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", [{"body": {"main": "a text"}, "no": 7, "url": "u", "lang": "EN-us"}])
    recipe = load_recipe_text(
        recipe_text("dedup", input={"fields": {"text": "body.main", "id": "no"}, "metadata": ["url"]}), "r"
    )
    run(Request((str(file),), tmp_path / "run", recipe))
    (row,) = rows(tmp_path / "run", "shards")
    assert (row["id"], row["text"], row["lang"]) == ("7", "a text", "en-US")
    assert json.loads(row["provenance"]["metadata"]) == {"url": "u"}  # type: ignore[index]


def test_work_is_readable_by_its_owner_alone_and_removed_at_the_end(inputs: list[Path], tmp_path: Path) -> None:
    recipe = load_recipe_text(recipe_text("dedup"), "r")
    request = Request((str(inputs[0]),), tmp_path / "run", recipe, keep_work=True)
    run(request)
    assert ((tmp_path / "run" / "work").stat().st_mode & 0o777) == 0o700
    run_stages(inputs, tmp_path / "other", "dedup")
    assert not (tmp_path / "other" / "work").exists()


@pytest.mark.slow
def test_small_shards_are_cut_by_what_they_hold(tmp_path: Path) -> None:
    documents = [
        {"id": f"d{n}", "text": f"document {n} " + " ".join(f"word{n}x{k}" for k in range(900))} for n in range(2000)
    ]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    run_stages(
        [file],
        tmp_path / "run",
        "dedup",
        language="off",
        output={"shard_bytes": "8MB"},
    )
    shards = sorted((tmp_path / "run" / "shards").iterdir())
    assert len(shards) > 1
    assert [row["id"] for row in rows(tmp_path / "run", "shards")] == [f"d{n}" for n in range(2000)]


def test_a_stream_that_changed_under_the_same_size_and_time_is_noticed_on_resume(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl.gz"
    documents = make_texts(200)
    lines = [json.dumps(document) for document in documents] + ["broken"] * 150
    file.write_bytes(gzip.compress("\n".join(lines).encode(), 0, mtime=0))
    with pytest.raises(DataError):
        run_stages([file], tmp_path / "run", "dedup")
    times, size = file.stat(), file.stat().st_size
    other = [line.replace("a", "o") if number == 0 else line for number, line in enumerate(lines)]
    file.write_bytes(gzip.compress("\n".join(other).encode(), 0, mtime=0))
    assert file.stat().st_size == size
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=r"in.jsonl.gz: is not what it was when the run began"):
        run_stages([file], tmp_path / "run", "dedup", resume=True, max_error_rate=0.9)


@pytest.mark.slow
def test_many_sources_take_no_longer_than_one(tmp_path: Path) -> None:
    documents = [{"text": f"alpha beta {n}", "source": f"host{n}.example"} for n in range(20_000)]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    started = time.process_time()
    run_stages([file], tmp_path / "run", "dedup", language="off")
    assert time.process_time() - started < 60


def test_many_copies_are_cut_into_row_groups(tmp_path: Path) -> None:
    documents = [{"text": " ".join(f"word{n}x{k}" for k in range(30_000))} for n in range(2)]
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    sampling = "sampling: {max_repeats: 200, total: 6000000}"
    run_stages([file], tmp_path / "run", sampling, language="off")
    (path,) = (tmp_path / "run" / "shards").iterdir()
    shard = pq.ParquetFile(path)
    assert shard.metadata.num_rows == pytest.approx(200, abs=2)
    sizes = [shard.metadata.row_group(group).num_rows for group in range(shard.num_row_groups)]
    assert max(sizes) < 100
    copies = shard.read(columns=["copy"])["copy"].to_pylist()
    assert sorted(set(copies)) == list(range(max(copies) + 1))


def test_no_id_reaches_the_report_unmasked(tmp_path: Path) -> None:
    documents = [{"id": "ann@example.org", "text": "one text that stands here twice, word for word"} for _ in range(2)]
    outcome = run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", "dedup", language="off")
    assert "[REDACTED_EMAIL]" in str(outcome.manifest["warnings"])
    for name in ("report.html", "manifest.json"):
        assert "ann@example.org" not in (tmp_path / "run" / name).read_text()


def test_a_run_killed_before_its_first_word_is_begun_again(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "in.jsonl", make_texts(5))
    for folder in ("events", "work"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    (tmp_path / "run" / "events" / ".123-000001.jsonl").write_text("{")
    run_stages([file], tmp_path / "run", "dedup", resume=True)
    assert len(rows(tmp_path / "run", "scores")) == 5


def test_a_manifest_that_lacks_its_parts_is_broken_data(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(DataError, match="lacks coverage, examples"):
        verify(RunDirectory(tmp_path))


@pytest.mark.slow
def test_workers_import_nothing_from_the_working_directory(tmp_path: Path) -> None:
    for name in ("stages", "numpy", "curator"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the working directory')\n")
    for number in range(2):
        write_jsonl(tmp_path / "in" / f"{number}.jsonl", make_texts(2000, seed=number, units=(60, 240)))
    assert sum(path.stat().st_size for path in (tmp_path / "in").iterdir()) > INLINE_BYTES  # it has workers
    (tmp_path / "recipe.yaml").write_text(recipe_text("dedup"))
    done = curator("process", "in", "-o", "run", "-r", "recipe.yaml", "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_the_system_refuses_a_run_stands_in_its_last_event(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in.jsonl", [{"text": f"a text of its own, number {number}"} for number in range(9)])
    place, recipe = tmp_path / "run", load_recipe_text(recipe_text("dedup", language="off"), "test.yaml")

    def take_the_place_of_a_shard(event: Event) -> None:
        if event["kind"] == "phase.started" and "write" in str(event["phase"]):
            (place / "shards" / "part-00000.parquet").mkdir(parents=True)

    with pytest.raises(UserError, match="cannot be written: Is a directory") as caught:
        run(Request((str(tmp_path / "in.jsonl"),), place, recipe), [take_the_place_of_a_shard])
    last = read_events(place / "events")[-1]
    assert (last["kind"], last["error"], last["message"]) == ("run.stopped", "UserError", str(caught.value))
