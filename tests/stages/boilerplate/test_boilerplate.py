"""Boilerplate against a plain reference, and what it does to texts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.engine.local import LocalExecutor
from curator.errors import UserError
from curator.explain import explain
from curator.recipe import load_recipe_text
from curator.run.corpus import Corpus
from curator.run.directory import RunDirectory
from curator.run.part import Part
from curator.stage import Parameters, Stage
from curator.text.segment import UNSPACED, segment
from stages.boilerplate.lines import Measure, find_lines, mark_boilerplate
from stages.boilerplate.relate import COUNT, find_boilerplate
from stages.boilerplate.stage import Boilerplate, BoilerplateParameters
from tests.relating import relate
from tests.runs import recipe_text, rows, run_stages, write_jsonl

BLANK = " \t\r\xa0\u3000"
Key = tuple[object, ...]


class Line:
    """A line of a text as the reference sees it."""

    def __init__(self, text: str, begin: int, end: int, measure: Measure) -> None:
        content = text[begin:end].strip(BLANK + "\n")
        first = begin + text[begin:end].index(content)
        self.begin = len(text[:first].encode())
        self.end = self.begin + len(content.encode())
        units = segment(*string_buffer(pa.array([content])))
        self.key: Key = tuple(units.hashes.tolist()) or (content,)
        self.units = len(units.hashes)
        unspaced = int(np.count_nonzero(units.kinds & UNSPACED))
        self.mass = (self.units - unspaced) * measure.characters + unspaced * measure.units
        self.is_long = self.mass >= measure.whole


def split(text: str, by: str, measure: Measure) -> list[Line]:
    """Lines, or paragraphs, that are not blank."""
    bounds, place = [], 0
    for line in text.split("\n"):
        bounds.append((place, place + len(line), not line.strip(BLANK)))
        place += len(line) + 1
    if by == "line":
        return [Line(text, begin, end, measure) for begin, end, blank in bounds if not blank]
    groups = itertools.groupby(bounds, key=lambda bound: bound[2])
    parts = [list(group) for blank, group in groups if not blank]
    return [Line(text, part[0][0], part[-1][1], measure) for part in parts]


def reference(
    texts: Sequence[str], sources: Sequence[str], by: str, keep: str, measure: Measure, needed: int
) -> list[list[tuple[int, int]]]:
    """Bytes of each run of lines that is boilerplate."""
    documents = [split(text, by, measure) for text in texts]
    places: dict[Key, list[int]] = {}
    elements: list[list[tuple[Key | None, Key | None]]] = []
    for row, lines in enumerate(documents):
        found: list[tuple[Key | None, Key | None]] = []
        for place, line in enumerate(lines):
            own: Key | None = ("own", sources[row], line.key) if line.is_long else None
            following = lines[place + 1] if place + 1 < len(lines) else None
            pair: Key | None = None
            if following is not None and not (line.is_long and following.is_long):
                pair = ("pair", sources[row], line.key, following.key)
            found.append((own, pair))
            for key in filter(None, (own, pair)):
                if row not in places.setdefault(key, []):
                    places[key].append(row)
        elements.append(found)
    spans: list[list[tuple[int, int]]] = []
    for row, lines in enumerate(documents):

        def counts(key: Key | None, row: int = row) -> bool:
            if key is None or len(places[key]) < needed:
                return False
            return keep == "none" or places[key][0] != row

        marked = []
        for place in range(len(lines)):
            before = elements[row][place - 1][1] if place else None
            marked.append(any(map(counts, (*elements[row][place], before))))
        spans.append([])
        for is_marked, group in itertools.groupby(range(len(lines)), key=marked.__getitem__):
            run = list(group)
            if is_marked and sum(lines[place].mass for place in run) >= measure.whole:
                spans[-1].append((lines[run[0]].begin, lines[run[-1]].end))
    return spans


LINE = st.sampled_from(
    [
        "a b c",
        "A b, C!",
        "a",
        "b",
        "c d",
        "一二三",
        "一",
        "ก ข ค",
        "---",
        "* * *",
        "é\u0301x y",
        "\u200f",
        " a b c",
        "🙂",
        "\0 q",
    ]
)
END = st.sampled_from(["\n", "\n", "\n\n", "\n \u3000\n", " \n", "\r\n", "\n\t"])
TEXT = st.lists(st.tuples(LINE, END), max_size=7).map(lambda parts: "".join(itertools.chain(*parts)))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(TEXT, st.sampled_from(["one", "two:x", "two:y"])), min_size=1, max_size=7),
    st.sampled_from(["line", "paragraph"]),
    st.sampled_from(["none", "first"]),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(2, 3),
    st.lists(st.integers(1, 6), max_size=3),
)
def test_what_many_documents_of_a_source_have_is_found_and_nothing_else_in_any_cut_of_the_corpus(
    documents: list[tuple[str, str]], by: str, keep: str, units: int, characters: int, needed: int, cuts: list[int]
) -> None:
    given_parameters = {"by": by, "keep": keep, "min_units": units, "min_characters": characters}
    parameters = BoilerplateParameters.model_validate({**given_parameters, "min_documents": needed})
    stage = cast("Stage[Parameters]", Boilerplate(parameters))
    texts, sources = [text for text, _ in documents], [source for _, source in documents]
    found = relate(stage, texts, sources=sources, cuts=cuts)
    groups = [source.split(":")[0] for source in sources]
    expected = reference(texts, groups, by, keep, Measure(units, characters), needed)
    assert [[(span["begin"], span["end"]) for span in spans] for spans in found] == expected
    for row, spans in enumerate(found):
        for span in spans:
            assert cast("int", span["documents"]) >= needed
            keeper = span["keeper"]
            assert keeper is None if keep == "none" else int(cast("str", keeper)) < row


def test_lines_are_found_in_a_slice_of_a_buffer() -> None:
    data, offsets = string_buffer(pa.array(["before\n", "one two three\n\nfour", ""]).slice(1))
    found = find_lines(data, offsets, segment(data, offsets), np.zeros((2, 2), np.uint64), Measure(2, 2), "line")
    assert (found.offsets.tolist(), found.begins.tolist(), found.ends.tolist()) == ([0, 2, 2], [0, 15], [13, 19])
    assert found.units.tolist() == [3, 1]


def test_a_document_that_needs_no_boilerplate_is_never_marked() -> None:
    many = np.array([9, 9], dtype=np.int64)
    arguments = (np.array([0, 2]), np.array([4, 4], np.int32), many, many)
    assert len(mark_boilerplate(*arguments, np.array([1 << 62]), Measure(2, 2))) == 0
    assert mark_boilerplate(*arguments, np.array([9]), Measure(2, 2)).tolist() == [[0, 2, 9]]


HEADER = "The Example Company welcomes you to its pages today"
MENU = "Home\nAbout\nContact us\nImprint\nPrivacy\nTerms of use\nHelp"


def pages(
    count: int, source: str, body: str = "Page {} has a sentence of its own that nobody else has."
) -> list[dict[str, str]]:
    text = f"{HEADER}\n\n{MENU}\n\n{body}\n"
    return [{"id": f"{source}{number}", "source": source, "text": text.format(number)} for number in range(count)]


def test_a_header_of_a_thousand_documents_goes_and_the_same_line_in_another_source_stays(tmp_path: Path) -> None:
    documents = pages(1000, "site") + pages(30, "other")
    run = tmp_path / "run"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], run, "boilerplate", language="off")
    texts = {str(row["id"]): str(row["text"]) for row in rows(run, "shards")}
    assert texts["site7"] == "Page 7 has a sentence of its own that nobody else has.\n"
    assert texts["other7"] == documents[1007]["text"]
    edits = [row for row in rows(run, "decisions") if row["id"] == "site7"]
    assert [(row["action"], row["rule"], row["score"], row["threshold"]) for row in edits] == [
        ("edit", "boilerplate.lines", 1000, 100)
    ]
    (told,) = explain(RunDirectory(run), "site7")
    (sentence,) = told.sentences
    assert sentence.startswith("boilerplate edited it (characters 0 to 110): its lines here stand in 1000 or more doc")
    assert told.scores["boilerplate.units"] == 19
    assert len(texts) == 1030


def test_frequent_short_lines_stay_where_they_stand_in_an_order_of_their_own(tmp_path: Path) -> None:
    items = ["bread", "milk", "eggs", "butter", "flour", "salt", "cheese", "apples", "rice", "tea", "beans", "oil"]
    generator = np.random.default_rng(3)
    lists = [generator.permutation(items).tolist() for _ in range(60)]
    talk = "“Yes.”\n“No.”\n“Why?”\nHe went on for a while, and said number {}."
    documents = [{"id": f"l{n}", "text": "What to buy:\n" + "\n".join(order)} for n, order in enumerate(lists)]
    documents += [{"id": f"t{n}", "text": talk.format(n)} for n in range(60)]
    run_stages(
        [write_jsonl(tmp_path / "in.jsonl", documents)],
        tmp_path / "run",
        "boilerplate: {min_documents: 30}",
        language="off",
    )
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [document["text"] for document in documents]


def test_the_first_document_keeps_what_the_others_lose_and_is_named(tmp_path: Path) -> None:
    documents = pages(40, "site")
    stage = "boilerplate: {min_documents: 40, keep: first}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    texts = [str(row["text"]) for row in rows(tmp_path / "run", "shards")]
    assert texts[0] == documents[0]["text"]
    assert not any(HEADER in text or "Imprint" in text for text in texts[1:])
    assert {row["keeper"] for row in rows(tmp_path / "run", "decisions")} == {"site0"}


def test_a_flag_tells_where_and_changes_nothing(tmp_path: Path) -> None:
    documents = pages(40, "site")
    stage = "boilerplate: {min_documents: 40, action: flag}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [document["text"] for document in documents]
    decision = rows(tmp_path / "run", "decisions")[0]
    detail = cast("dict[str, int]", decision["detail"])
    assert decision["action"] == "flag"
    assert documents[0]["text"][detail["begin"] : detail["end"]] == f"{HEADER}\n\n{MENU}"


def test_a_document_of_which_too_little_is_left_is_dropped(tmp_path: Path) -> None:
    documents = [*pages(40, "site"), *pages(1, "site", "Too short.")[:1]]
    documents[-1]["id"] = "short"
    stage = "boilerplate: {min_documents: 40}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    decisions = [row for row in rows(tmp_path / "run", "decisions") if row["id"] == "short"]
    assert [(row["action"], row["rule"], row["score"], row["threshold"]) for row in decisions] == [
        ("drop", "boilerplate.empty", 2, 10)
    ]


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        ({"min_documents": 50}, set()),
        ({"min_documents": 50, "sources": {"site": {"min_documents": 20}}}, {"site"}),
        ({"min_documents": 10, "min_share": 0.5}, {"site", "other"}),
        ({"min_documents": 10, "min_share": 1.0, "sources": {"other": {"min_share": 0.8}}}, {"site", "other"}),
        ({"min_documents": 10, "min_share": 1.0}, {"site"}),
        ({"min_documents": 10, "sources": {"site": {"min_documents": None}}}, {"other"}),
        ({"min_documents": 10, "languages": {"de": {"min_documents": None}}}, {"site"}),
    ],
)
def test_thresholds_are_those_of_the_source_and_the_language(parameters: dict[str, object], changed: set[str]) -> None:
    """Twenty pages of one source, twenty of another in German, which also has a page without their lines."""
    documents = pages(20, "site") + pages(20, "other")
    texts = [*(page["text"] for page in documents), "This document has nothing of what all the others have."]
    sources = [*(page["source"] for page in documents), "other:x"]
    stage = cast("Stage[Parameters]", Boilerplate(BoilerplateParameters.model_validate(parameters)))
    found = relate(stage, texts, sources=sources, langs=[*["en"] * 20, *["de"] * 21], cuts=[7, 30])
    assert {source for source, spans in zip(sources, found, strict=True) if spans} == changed


def test_lines_in_scripts_without_spaces_are_lines_like_any_other(tmp_path: Path) -> None:
    bodies = {
        "zh": "本页第{}号介绍了本公司的产品和服务内容。",
        "ja": "このページの{}番は製品とサービスを紹介します。",
        "th": "หน้านี้หมายเลข{}แนะนำสินค้าและบริการของเรา",
    }
    headers = {
        "zh": "欢迎光临示例公司的网站，请阅读使用条款。",
        "ja": "サンプル株式会社のウェブサイトへようこそ。",
        "th": "ยินดีต้อนรับสู่เว็บไซต์ของบริษัทตัวอย่าง",
    }
    documents = [
        {"id": f"{lang}{n}", "source": lang, "text": f"{headers[lang]}\n{bodies[lang].format(n)}"}
        for lang in bodies
        for n in range(30)
    ]
    stage = "boilerplate: {min_documents: 30}"
    run_stages([write_jsonl(tmp_path / "in.jsonl", documents)], tmp_path / "run", stage, language="off")
    texts = {str(row["id"]): row["text"] for row in rows(tmp_path / "run", "shards")}
    assert texts == {f"{lang}{n}": bodies[lang].format(n) for lang in bodies for n in range(30)}


def test_unknown_actions_are_refused() -> None:
    with pytest.raises(UserError, match="action"):
        load_recipe_text(recipe_text("boilerplate: {action: delete}"), "r")


def test_more_documents_in_a_part_than_a_row_can_count_are_refused(tmp_path: Path) -> None:
    parts = (Part(str(tmp_path), "a", COUNT.limit("count"), 0),)
    with pytest.raises(UserError, match="16,777,216 documents"):
        find_boilerplate(Corpus(parts, LocalExecutor(1), tmp_path), BoilerplateParameters())
