"""URLs across runs: who is dropped, by which rule and for whom is what one run over everything says."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curator.errors import CuratorError, DataError, UserError
from curator.explain import explain
from curator.run.directory import RunDirectory
from curator.run.forget import forget
from curator.run.phases import inputs
from curator.run.verify import verify
from curator.stage import Erased
from stages.dedup import build
from stages.dedup import erase as erasing
from stages.dedup.erase import erase, holds
from stages.dedup.header import HEADER, dump_header, read_header, verify_index
from stages.dedup.index import Index
from stages.dedup.urls import canonical_url
from tests.command import curator
from tests.runs import hashes, make_texts, rows, run_stages, write_jsonl
from tests.stages.dedup.dumps import make_dumps

URL_FILES = {"urls", "urls.owners", "urls.ids", "urls.ids.offsets", "urls.keys", "urls.rows"}
INPUT = {"metadata": ["url"]}

Document = dict[str, str | None]


def write_url(chosen: random.Random, page: int) -> str:
    """The URL of a page, in one of the ways of writing it."""
    host = f"{chosen.choice(['http://', 'https://'])}{chosen.choice(['', 'www.'])}site{page % 7}.example"
    return f"{host}/{page}{chosen.choice(['', '/', '#part', '?utm_source=x', '?fbclid=1&utm_medium=y'])}"


def with_urls(dumps: list[list[dict[str, str]]], seed: int, pages: int) -> list[list[Document]]:
    """The documents with a URL each, of so many pages; some have none, or what is none."""
    chosen = random.Random(seed)
    return [
        [
            {
                **document,
                "url": chosen.choice([None, "mailto:a@b.c"]) if chosen.random() < 0.25 else write_url(chosen, at),
            }
            for document in dump
            for at in [chosen.randrange(pages)]
        ]
        for dump in dumps
    ]


def few_texts(seed: int, *sizes: int) -> list[list[dict[str, str]]]:
    """Dumps that have few texts, none of them like another, in capitals or not."""
    chosen = random.Random(seed)
    texts = [" ".join(f"w{chosen.randrange(10_000)}" for _ in range(40)) for _ in range(25)]
    return [
        [
            {"id": f"dump{dump}-{number}", "text": chosen.choice([str.upper, str.lower])(chosen.choice(texts))}
            for number in range(size)
        ]
        for dump, size in enumerate(sizes)
    ]


def run_dedup(files: list[Path], run: Path, *against: Path, **parameters: object) -> None:
    given = {"url_field": "url", "index": True, "against": [str(path) for path in against], **parameters}
    run_stages(files, run, f"dedup: {json.dumps(given)}", language="off", input=INPUT, name=run.name)


def decided(run: Path) -> dict[str, tuple[str, str]]:
    """Of each document that was dropped the rule, without its being of an earlier run, and the keeper."""
    return {
        str(row["id"]): (str(row["rule"]).removesuffix("_earlier"), str(row["keeper"]))
        for row in rows(run, "decisions")
    }


def survivors(run: Path) -> list[str]:
    return [str(row["id"]) for row in rows(run, "shards")]


def run_one_after_the_other(folder: Path, dumps: list[list[Document]]) -> tuple[list[Path], Path]:
    """A run a dump, each against all before it, and one over everything."""
    files = [write_jsonl(folder / f"{number}.jsonl", dump) for number, dump in enumerate(dumps)]
    runs: list[Path] = []
    for number, file in enumerate(files):
        run_dedup([file], folder / f"run{number}", *runs)
        runs.append(folder / f"run{number}")
    run_dedup(files, folder / "whole", index=False)
    return runs, folder / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_rules_and_keepers_are_those_of_one_run_over_everything(tmp_path: Path, seed: int) -> None:
    dumps = with_urls(few_texts(seed, 40, 60, 60), seed, pages=30)
    runs, whole = run_one_after_the_other(tmp_path, dumps)
    expected = decided(whole)
    found: dict[str, tuple[str, str]] = {}
    for run in runs:
        found |= decided(run)
    assert found == expected
    assert [name for run in runs for name in survivors(run)] == survivors(whole)
    for run in runs:
        for row in rows(run, "decisions"):
            keeper = str(row["keeper"]).split("-")[0].removeprefix("dump")
            earlier = runs[int(keeper)] != run
            assert str(row["rule"]).endswith("_earlier") == earlier
            detail = row["detail"]
            assert (detail["run"] if isinstance(detail, dict) else None) == (
                read_header(runs[int(keeper)]).name if earlier else None
            )
        assert verify(RunDirectory(run)).problems == []
    by_url = {name: keeper for name, (rule, keeper) in expected.items() if rule == "dedup.url"}
    assert any(expected.get(keeper, ("",))[0] == "dedup.exact" for keeper in by_url.values()), "firsts that are dropped"
    here = {name for name in by_url if name.split("-")[0] == by_url[name].split("-")[0] != "dump0"}
    assert any(by_url[name] in expected for name in here), "the same in a later run"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_of_documents_that_are_nearly_the_same_those_stay_that_one_run_would_keep(tmp_path: Path, seed: int) -> None:
    dumps = with_urls(make_dumps(seed, 120, 100, 100), seed, pages=160)
    runs, whole = run_one_after_the_other(tmp_path, dumps)
    assert [name for run in runs for name in survivors(run)] == survivors(whole)
    found = {name: told for run in runs for name, told in decided(run).items()}
    by_url = {name: told for name, told in decided(whole).items() if told[0] == "dedup.url"}
    assert {name: told for name, told in found.items() if told[0] == "dedup.url"} == by_url
    assert {"dedup.url_earlier", "dedup.near_earlier"} <= {row["rule"] for row in rows(runs[2], "decisions")}


@pytest.mark.slow
def test_indexes_in_a_row_have_each_url_once(tmp_path: Path) -> None:
    dumps = with_urls(few_texts(9, 50, 50, 50), 9, pages=40)
    runs, _ = run_one_after_the_other(tmp_path, dumps)
    canonical = [
        (form, document["id"])
        for dump in dumps
        for document in dump
        if (form := canonical_url(document["url"] or "")) is not None
    ]
    first = dict(reversed(canonical))
    owners = [name for run in runs for name in Index(run).url_ids(np.arange(len(Index(run).urls)))]
    assert sorted(owners) == sorted(str(name) for name in first.values())
    kept = {name for run in runs for name in Index(run).ids(range(len(Index(run))))}
    assert not set(owners) <= kept, "some were dropped by their text"


@pytest.mark.slow
def test_a_document_that_an_earlier_stage_dropped_has_no_url(tmp_path: Path) -> None:
    noise: Document = {"id": "noise", "text": "a " * 300, "url": "http://a.b/1"}
    file = write_jsonl(tmp_path / "a.jsonl", [noise, {"id": "c", "text": "so it goes", "url": None}])
    run_stages([file], tmp_path / "a", "entropy", "dedup: {url_field: url, index: true}", language="off", input=INPUT)
    assert "noise" in decided(tmp_path / "a")
    assert len(Index(tmp_path / "a").urls) == 0
    run_dedup([write_jsonl(tmp_path / "b.jsonl", [{**noise, "id": "again"}])], tmp_path / "b", tmp_path / "a")
    assert survivors(tmp_path / "b") == ["again"]


@pytest.mark.slow
def test_a_url_of_a_document_that_is_held_out_is_known(tmp_path: Path) -> None:
    dump = with_urls([make_texts(120, seed=4)], 4, pages=50)[0]
    run_stages(
        [write_jsonl(tmp_path / "a.jsonl", dump)],
        tmp_path / "a",
        "dedup: {url_field: url, index: true}",
        holdout={"share": 0.2, "by": "content"},
        input=INPUT,
        language="off",
    )
    index = Index(tmp_path / "a")
    by_held_out = [row for row in rows(tmp_path / "a", "decisions") if row["rule"] == "holdout"]
    assert any(row["score"] is None for row in by_held_out), "who shares a URL with a document that is held out"
    assert len(index.urls) == len({canonical_url(document["url"] or "") for document in dump} - {None})
    named = {told[1] for told in decided(tmp_path / "a").values() if told[0] == "dedup.url"}
    named |= {str(row["keeper"]) for row in by_held_out if row["score"] is None}
    assert named <= set(index.url_ids(np.arange(len(index.urls))))
    again = [{"id": f"n{at}", "text": f"new {at}", "url": document["url"]} for at, document in enumerate(dump)]
    run_dedup([write_jsonl(tmp_path / "b.jsonl", again)], tmp_path / "b", tmp_path / "a")
    assert all(canonical_url(again[int(name[1:])]["url"] or "") is None for name in survivors(tmp_path / "b"))


PAGES: list[Document] = [
    {"id": "a", "text": "one thing is said here", "url": "http://www.a.b/x?utm_source=1"},
    {"id": "b", "text": "one thing, is said HERE", "url": "https://a.b/y"},
    {"id": "c", "text": "another matter altogether", "url": None},
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    run_dedup([write_jsonl(folder / "0.jsonl", PAGES)], folder / "spring")
    return folder / "spring"


def test_a_url_is_told_with_the_run_of_its_first_document_kept_or_not(pages: Path, tmp_path: Path) -> None:
    later: list[Document] = [
        {"id": "p", "text": "it has changed since", "url": "https://a.b/x/"},
        {"id": "q", "text": "and so has this", "url": "http://a.b/y#part"},
    ]
    run_dedup([write_jsonl(tmp_path / "in.jsonl", later)], tmp_path / "run", pages)
    assert survivors(tmp_path / "run") == []
    name = read_header(pages).name
    for document, keeper in (("p", "a"), ("q", "b")):
        (told,) = explain(RunDirectory(tmp_path / "run"), document)
        assert told.sentences[0] == (
            f"dedup dropped it: its URL is that of {keeper} of the earlier run {name}, up to ways of writing it."
        )
    assert {(row["rule"], row["score"]) for row in rows(tmp_path / "run", "decisions")} == {("dedup.url_earlier", None)}


def test_a_document_that_an_index_answers_by_its_text_still_has_its_url(pages: Path, tmp_path: Path) -> None:
    later: list[Document] = [
        {"id": "first", "text": PAGES[0]["text"], "url": "http://new.example/"},
        {"id": "second", "text": "something that nobody said", "url": "http://new.example"},
        {"id": "third", "text": "something that nobody said", "url": None},
    ]
    run_dedup([write_jsonl(tmp_path / "in.jsonl", later)], tmp_path / "run", pages, weight="members")
    assert decided(tmp_path / "run") == {"first": ("dedup.exact", "a"), "second": ("dedup.url", "first")}
    assert [(row["id"], row["weight"]) for row in rows(tmp_path / "run", "shards")] == [("third", 1.0)]
    facts = json.loads((tmp_path / "run" / "manifest.json").read_bytes())["facts"]["dedup"]
    assert (facts["url"], facts["earlier"], facts["clusters"]) == (1, 1, 0), "the first stands for none of this run"


@pytest.mark.slow
def test_the_first_index_that_has_the_url_is_named(pages: Path, tmp_path: Path) -> None:
    changed = [{**document, "text": f"{document['id']} is another text"} for document in PAGES]
    run_dedup([write_jsonl(tmp_path / "0.jsonl", changed)], tmp_path / "autumn")
    file = write_jsonl(tmp_path / "1.jsonl", [{"id": "p", "text": "it is new", "url": PAGES[0]["url"]}])
    for first, second in ((pages, tmp_path / "autumn"), (tmp_path / "autumn", pages)):
        run_dedup([file], tmp_path / f"against-{first.name}", first, second)
        (row,) = rows(tmp_path / f"against-{first.name}", "decisions")
        assert isinstance(row["detail"], dict)
        assert row["detail"]["run"] == read_header(first).name


@pytest.mark.slow
def test_partitions_and_what_is_held_at_a_time_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = with_urls(few_texts(5, 80, 80), 5, pages=60)
    a, b = (write_jsonl(tmp_path / f"{number}.jsonl", dump) for number, dump in enumerate(dumps))
    run_dedup([a], tmp_path / "0" / "a")
    run_dedup([b], tmp_path / "0" / "b", tmp_path / "0" / "a")
    monkeypatch.setattr(build, "_CHUNK_BYTES", 50)
    monkeypatch.setattr("curator.scaling.PARTITION_BYTES", 100)
    run_dedup([a], tmp_path / "1" / "a")
    run_dedup([b], tmp_path / "1" / "b", tmp_path / "1" / "a")
    for name in ("a", "b"):
        assert hashes(tmp_path / "1" / name) == hashes(tmp_path / "0" / name)


@pytest.mark.slow
def test_an_index_of_a_run_without_urls_has_none_of_it(pages: Path, tmp_path: Path) -> None:
    distinct = [{**document, "url": f"http://a.b/{document['id']}"} for document in PAGES]
    file = write_jsonl(tmp_path / "0.jsonl", distinct)
    run_dedup([file], tmp_path / "with")
    run_dedup([file], tmp_path / "without", url_field=None)
    files = set(read_header(tmp_path / "without").files)
    assert set(read_header(tmp_path / "with").files) - files == URL_FILES
    for name in files:
        index = Path("index") / name
        assert (tmp_path / "with" / index).read_bytes() == (tmp_path / "without" / index).read_bytes(), name
    assert b"urls" not in (tmp_path / "without" / "index" / HEADER).read_bytes()


def warnings_of(run: Path) -> list[str]:
    found: list[str] = json.loads((run / "manifest.json").read_bytes())["warnings"]
    return found


@pytest.mark.slow
def test_a_run_says_which_index_it_could_not_ask_for_urls(pages: Path, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "0.jsonl", PAGES)
    run_dedup([file], tmp_path / "bare", url_field=None)
    later = write_jsonl(tmp_path / "1.jsonl", [{"id": "p", "text": "it has changed", "url": "https://a.b/x/"}])
    run_dedup([later], tmp_path / "run", tmp_path / "bare")
    name = read_header(tmp_path / "bare").name
    assert warnings_of(tmp_path / "run") == [
        f"dedup: the index {name} has no URLs: documents are not compared by URL with it"
    ]
    assert survivors(tmp_path / "run") == ["p"]
    run_dedup([later], tmp_path / "both", tmp_path / "bare", pages)
    assert len(warnings_of(tmp_path / "both")) == 1
    assert survivors(tmp_path / "both") == []
    run_dedup([later], tmp_path / "texts", tmp_path / "bare", url_field=None)
    assert warnings_of(tmp_path / "texts") == warnings_of(pages) == []


def test_an_index_whose_urls_have_another_form_is_refused_where_urls_are_asked(pages: Path, tmp_path: Path) -> None:
    shutil.copytree(pages / "index", tmp_path / "index")
    (tmp_path / "index" / HEADER).write_bytes(dump_header(replace(read_header(pages), urls="0" * 32)))
    file = write_jsonl(tmp_path / "0.jsonl", PAGES)
    with pytest.raises(UserError, match=r"cannot be compared with: one form of URLs: 0{32} there"):
        run_dedup([file], tmp_path / "run", tmp_path / "index")
    run_dedup([file], tmp_path / "run", tmp_path / "index", url_field=None)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 4]) + path.read_bytes()[1:])


@pytest.mark.parametrize("file", sorted(URL_FILES))
@pytest.mark.parametrize(
    ("damage", "told"), [(cut, "bytes, not"), (flip, "is not as it was written"), (Path.unlink, "is missing")]
)
def test_damage_to_what_an_index_has_of_urls_is_told(
    pages: Path, tmp_path: Path, file: str, damage: Callable[[Path], None], told: str
) -> None:
    shutil.copytree(pages / "index", tmp_path / "index")
    verify_index(tmp_path / "index")
    damage(tmp_path / "index" / file)
    with pytest.raises(DataError, match=told):
        verify_index(tmp_path / "index")


@pytest.mark.parametrize("file", ["urls.rows", "urls.ids.offsets"])
def test_numbers_that_lead_out_of_the_list_of_urls_are_told_when_they_are_met(
    pages: Path, tmp_path: Path, file: str
) -> None:
    shutil.copytree(pages / "index", tmp_path / "index")
    data = np.full((pages / "index" / file).stat().st_size // 4, 0x7FFFFFF0, dtype=np.uint32)
    data.tofile(tmp_path / "index" / file)
    later = write_jsonl(tmp_path / "1.jsonl", [{"id": "p", "text": "it has changed", "url": "https://a.b/x/"}])
    with pytest.raises(CuratorError, match="is not as it was written"):
        run_dedup([later], tmp_path / "run", tmp_path / "index")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_without_some_documents_it_is_the_index_that_would_have_been_made_without_them(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_CHUNK_ROWS", 1 + 3 * seed)
    monkeypatch.setattr(erasing, "_CHUNK_BYTES", 40)
    monkeypatch.setattr(inputs, "LEAST_WEIGHT", 1)  # fifty files are read together
    dump = with_urls(few_texts(seed, 50), seed, pages=40)[0]
    # One file a document: its key does not depend on which others there are.
    for document in dump:
        write_jsonl(tmp_path / "in" / f"{document['id']}.jsonl", [document])
    run_dedup([tmp_path / "in"], tmp_path / "run")
    told = decided(tmp_path / "run")
    keys = {str(row["id"]): row["key"] for row in rows(tmp_path / "run", "scores")}
    # Those for whom nobody was dropped: with one more of them gone, others would be the first with their URL or text.
    free = sorted(keys.keys() - {keeper for _, keeper in told.values()})
    gone = random.Random(seed).sample(free, len(free) // 2)
    assert {"dedup.exact", "dedup.url"} <= {told[name][0] for name in gone if name in told}
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "run" / "index", left)
    (tmp_path / "written").mkdir()
    index = Index(left)
    wanted = [key for name in gone if isinstance(key := keys[name], bytes)]
    owners = set(index.url_ids(np.arange(len(index.urls)))) & set(gone)
    places = 2 * (len(owners) + sum(name not in told for name in gone))
    assert len(holds(left, wanted, gone)) == places > 0
    taken_out = Erased(sum(name not in told for name in gone), {"URL": len(owners)})
    assert erase(left, index.header.name, wanted, tmp_path / "written") == taken_out
    shutil.copytree(tmp_path / "written", left, dirs_exist_ok=True)
    assert holds(left, wanted, gone) == []
    for name in gone:
        (tmp_path / "in" / f"{name}.jsonl").unlink()
    run_dedup([tmp_path / "in"], tmp_path / "again")
    for name in verify_index(left).files:
        assert (left / name).read_bytes() == (tmp_path / "again" / "index" / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize(("gone", "taken_out", "stays"), [("a", 1, ["p"]), ("b", 0, ["q"]), ("c", 1, [])])
def test_the_url_of_a_document_that_was_forgotten_is_unknown_again(
    pages: Path, tmp_path: Path, gone: str, taken_out: int, stays: list[str]
) -> None:
    shutil.copytree(pages, tmp_path / "spring")
    shutil.copytree(pages / "index", tmp_path / "copy")
    later: list[Document] = [
        {"id": "p", "text": "it has changed since", "url": "https://a.b/x/"},
        {"id": "q", "text": "and so has this", "url": "http://a.b/y#part"},
    ]
    file = write_jsonl(tmp_path / "in.jsonl", later)
    run_dedup([file], tmp_path / "before", tmp_path / "spring")
    assert survivors(tmp_path / "before") == []
    outcome = forget(RunDirectory(tmp_path / "spring"), [gone], [tmp_path / "copy"])
    assert outcome.proof.problems == []
    assert [found["documents"] for found in outcome.indexes] == [taken_out, taken_out]
    urls = {} if gone == "c" else {"URL": 1}
    assert [found["further"] for found in outcome.indexes] == [urls, urls]
    for number, index in enumerate((tmp_path / "spring", tmp_path / "copy")):
        assert verify_index(index).documents == 2 - taken_out
        run_dedup([file], tmp_path / f"after{number}", index)
        assert survivors(tmp_path / f"after{number}") == stays
    files = json.loads((tmp_path / "spring" / "manifest.json").read_bytes())["files"]
    assert {file["rows"] for file in files if file["path"].startswith("index/")} == {2 - taken_out}
    assert verify(RunDirectory(tmp_path / "spring")).problems == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gone", "place", "told"),
    [
        ("a", "it was kept", "1 document and 1 URL taken out"),
        ("b", "it had been dropped", "1 URL taken out"),
        ("d", "it had been dropped", "had nothing of it, and stays as it was"),
    ],
)
def test_what_went_from_the_index_is_told(tmp_path: Path, gone: str, place: str, told: str) -> None:
    more: Document = {"id": "d", "text": PAGES[0]["text"]}
    run_dedup([write_jsonl(tmp_path / "0.jsonl", [*PAGES, more])], tmp_path / "run")
    done = curator("forget", tmp_path / "run", gone)
    assert done.returncode == 0
    assert place in done.stdout
    assert f"  index: {told}\n" in done.stdout
    assert ("  decisions/part-00000.parquet: 1 row removed\n" in done.stdout) == (place != "it was kept")


@pytest.mark.slow
def test_urls_that_an_index_answered_are_not_missed(tmp_path: Path) -> None:
    told = "dedup: no document has a URL in the field 'url', which url_field names: none was compared by it"
    document = {"id": "a", "text": "one text", "url": "http://a.b/1"}
    first, same, without = (
        write_jsonl(tmp_path / f"{name}.jsonl", documents)
        for name, documents in (
            ("first", [document]),
            ("same", [document, {"id": "b", "text": "another text"}]),
            ("without", [{"id": "c", "text": "a third text"}]),
        )
    )
    run_dedup([first], tmp_path / "run")
    for file, expected in ((same, False), (without, True)):
        run_dedup([file], tmp_path / file.stem, tmp_path / "run")
        manifest = json.loads((tmp_path / file.stem / "manifest.json").read_text())
        assert (told in manifest["warnings"], manifest["facts"]["dedup"].get("urls")) == (
            expected,
            0 if expected else None,
        )
