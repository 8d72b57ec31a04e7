"""Source groups: which group a source belongs to, by itself and in everything that a run says of sources."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curator.calibrate.calibrate import Settings, calibrate
from curator.errors import UserError
from curator.explain import explain
from curator.recipe import Recipe, load_recipe_text
from curator.run.counted import run_tally
from curator.run.directory import RunDirectory
from curator.run.forget import forget
from curator.run.manifest import load_manifest
from curator.run.pipeline import make_pipeline
from curator.run.tally import MOST_SOURCES, OTHERS
from curator.sources import group_metadata, group_sources
from stages.sampling.counts import counts_of_run
from stages.sampling.stage import Sampling, SamplingParameters
from tests.runs import hashes, make_texts, recipe_text, rows, run_stages, write_jsonl
from tests.stages.augmentation.engine import install

SITES: dict[str, Sequence[str]] = {
    "wiki": ["*.wikipedia.org", "wikinews"],
    "web": ["cc-*", "c4"],
    "old": ["cc-x*", "*-20*", "wikipedia.org"],
}


def groups_of(sources: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    found: list[str] = group_sources(pa.array(sources, pa.string()), group_metadata(groups)).to_pylist()
    return found


@pytest.mark.parametrize(
    ("source", "group"),
    [
        ("de.wikipedia.org", "wiki"),
        ("wikipedia.org", "old"),
        ("WIKINEWS", "WIKINEWS"),
        ("wikinews:de", "wikinews"),
        ("cc-main", "web"),
        ("cc-", "web"),
        ("cc-2024", "old"),
        ("cc-x1", "old"),
        ("xcc-main", "xcc-main"),
        ("c4", "web"),
        ("c4:en", "c4"),
        ("books:7:a", "books"),
        ("", ""),
    ],
)
def test_a_source_is_where_it_is_named_else_where_most_of_it_is_else_before_the_colon(source: str, group: str) -> None:
    assert groups_of([source], SITES) == [group]


def test_without_groups_a_source_counts_as_what_stands_before_its_first_colon() -> None:
    assert group_metadata({}) is None
    assert groups_of(["web:1", "web", ":", "a:b:c"], {}) == ["web", "web", "", "a"]


def reference(source: str, groups: Mapping[str, Sequence[str]]) -> str:
    """The group of one source, pattern by pattern."""
    fitting = [
        ("*" not in pattern, len(pattern.replace("*", "")), [-ord(character) for character in f"{pattern}\0"], group)
        for group, patterns in groups.items()
        for pattern in patterns
        if re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("*")), source, re.DOTALL)
    ]
    return max(fitting)[-1] if fitting else source.split(":")[0]


PIECES = st.text(st.sampled_from("ab:.*\\é\n%_$ ["), min_size=1, max_size=4)


@given(st.lists(PIECES, max_size=12), st.dictionaries(PIECES, st.sampled_from(["one", "two", "three"]), max_size=6))
@example(["a\nb", "ab"], {"a*": "one", "ab*": "two"})
def test_groups_are_those_of_the_reference_whatever_the_order(sources: list[str], of: dict[str, str]) -> None:
    groups: dict[str, list[str]] = {}
    for pattern, group in of.items():
        groups.setdefault(group, []).append(pattern)
    expected = [reference(source, groups) for source in sources]
    assert groups_of(sources, groups) == expected
    turned = {name: groups[name][::-1] for name in reversed(groups)}
    assert groups_of(sources, turned) == expected
    assert group_metadata(turned) == group_metadata(groups)


def test_the_longest_patterns_that_a_recipe_may_hold_are_matched() -> None:
    patterns = ["*a" * 500, "é" * 999 + "*", "x" * 999 + "*"]
    assert groups_of(["a" * 500, "é" * 1000, "x" * 998], {"long": patterns}) == ["long", "long", "x" * 998]


NAMES = {"wiki": ("de.wikipedia.org", "en.wikipedia.org:1", "wikinews"), "web": ("cc-1", "cc-2", "c4:web")}
GROUPS: dict[str, Sequence[str]] = {"wiki": ["*.wikipedia.org*", "wikinews"], "web": ["cc-*", "c4:web"]}


def run_twice(folder: Path, *stages: str, lang: str | None = None, language: object = None) -> tuple[Path, Path]:
    """Two runs on the same documents: one whose recipe maps their sources to groups, one whose sources are `GROUP:` and
    the source, so that they need no map. Padded: a document is known by where it begins."""
    named = [(group, name) for group, names in NAMES.items() for name in names] + [("books", "books:7")]
    texts = make_texts(280, seed=5, units=(30, 60))
    for place, (mapped, groups) in {"mapped": (True, GROUPS), "plain": (False, {})}.items():
        documents = []
        for number, document in enumerate(texts):
            group, name = named[number % len(named)]
            menu = f"\nAll pages that {group} or anybody else has written\n" if number % 3 else ""
            text = f"{document['text']} casa{menu}"
            source = name if mapped else f"{group}:{name}"
            given = {"id": document["id"], "text": text, "source": source, "pad": "-" * (40 - len(source))}
            documents.append(given if lang is None else {**given, "lang": lang})
        file = write_jsonl(folder / place / "in.jsonl", documents)
        run_stages([file], folder / place / "run", *stages, language=language or {}, input={"source_groups": groups})
    return folder / "mapped" / "run", folder / "plain" / "run"


def said(run: Path) -> dict[str, object]:
    """What a run says, but for the sources as they were named."""
    manifest = load_manifest(RunDirectory(run).manifest)
    shards, decisions = rows(run, "shards"), rows(run, "decisions")
    return {
        **{name: manifest[name] for name in ("funnel", "facts", "coverage")},
        "shards": [(row["id"], row["text"], row["copy"], row["parent"]) for row in shards],
        "decisions": decisions,
    }


@pytest.mark.slow
def test_sources_that_are_mapped_to_a_group_are_that_group_in_every_stage(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    options = json.dumps(install(tmp_path / "bin"))
    translators = f"[{{name: apertium, pivots: {{oc: fr}}, options: {options}}}]"
    loose = "min_words: 1, min_stop_words: null, min_terminals: null"
    stages = (
        "dedup",
        "boilerplate: {min_documents: 60, sources: {wiki: {min_documents: null}}}",
        f"quality: {{{loose}, sources: {{web: {{languages: {{oc: {{max_words: 50}}}}}}}}}}",
        "sampling: {total: 20000, max_repeats: 2, source_shares: {wiki: 0.3, web: 0.6}}",
        f"augmentation: {{max_share: 1, max_chrf: 100, translators: {translators}}}",
    )
    mapped, plain = map(said, run_twice(tmp_path, *stages, lang="oc"))
    assert mapped == plain
    counted = {(row[1], row[2]) for row in cast("list[list[object]]", mapped["funnel"]) if row[0] == "source"}
    assert {name for name, _ in counted} == {"wiki", "web", "books"}
    assert {
        ("wiki", "created"),
        ("web", "sampling/repeat/sampling.source_repeat"),
        ("web", "quality/drop/quality.many_words"),
        ("web", "boilerplate/edit/boilerplate.lines"),
    } <= counted
    assert not {("wiki", "quality/drop/quality.many_words"), ("wiki", "boilerplate/edit/boilerplate.lines")} & counted


@pytest.mark.slow
def test_reports_and_explanations_and_what_is_forgotten_and_calibrated_know_the_groups(tmp_path: Path) -> None:
    mapped, plain = run_twice(tmp_path, "entropy", language="off")
    page = (mapped / "report.html").read_text()
    assert page.count("<bdi>wiki</bdi>") == page.count("<bdi>books</bdi>") == 2
    assert "wikinews</bdi>" not in page
    for run, last in ((mapped, "Its source de.wikipedia.org counts as wiki."), (plain, "entropy left it as it is.")):
        (told,) = explain(RunDirectory(run), "d0")
        assert told.sentences[-1] == last
    for run in (mapped, plain):
        forget(RunDirectory(run), ["d0", "d3"])
    assert said(mapped) == said(plain)
    fitted = []
    for run in (mapped, plain):
        recipe = Recipe.model_validate(load_manifest(RunDirectory(run).manifest)["recipe"])
        outcome = calibrate(RunDirectory(run), recipe, Settings(share=0.8))
        fitted.append((outcome.calibration.fitted, outcome.calibration.unfitted))
    assert fitted[0] == fitted[1]
    assert {threshold.source for threshold in fitted[0][0]} == {"wiki", "web", "books"}


@pytest.mark.slow
def test_groups_change_nothing_with_the_number_of_workers_and_resuming_with_others_is_refused(tmp_path: Path) -> None:
    texts = make_texts(300, seed=3)
    documents = [{**document, "source": f"cc-{number % 7}"} for number, document in enumerate(texts)]
    files = [write_jsonl(tmp_path / f"{part}.jsonl", documents[part::3]) for part in range(3)]
    stages = "dedup", "sampling: {source_shares: {odd: 0.6}}"

    def go(run: str, *, groups: Mapping[str, Sequence[str]], workers: int = 1, resume: bool = False) -> None:
        given = {"source_groups": groups}
        run_stages(files, tmp_path / run, *stages, workers=workers, resume=resume, language="off", input=given)

    groups = {"odd": ["cc-1", "cc-3", "cc-5"], "even": ["cc-*"]}
    go("one", groups=groups)
    go("two", groups=groups, workers=2)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    with pytest.raises(UserError, match=r'recipe\.input\.source_groups\.odd: \["cc-1", "cc-3", "cc-5"\] -> \["cc-1"\]'):
        go("one", groups={**groups, "odd": ["cc-1"]}, resume=True)


def test_a_group_of_the_recipe_has_counts_of_its_own_however_late_it_comes() -> None:
    recipe = load_recipe_text(recipe_text("dedup", input={"source_groups": {"late": ["*"]}}), "test.yaml")
    tally = run_tally(make_pipeline(recipe))
    names = [*(f"site{number}" for number in range(MOST_SOURCES)), "late", "later"]
    tally.add(("source", name, "in", 1, 1, 1) for name in names)
    assert set(tally.names("source")) == {*names[:-1], OTHERS}


@pytest.mark.slow
def test_a_plan_of_sampling_groups_the_sources_of_a_run(tmp_path: Path) -> None:
    stage = Sampling(SamplingParameters(source_shares={"wiki": 0.5}))

    def planned(run: Path, groups: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
        table = counts_of_run(RunDirectory(run), stage, "unit", groups)
        totals = table.group_by("source").aggregate([("documents", "sum")]).to_pylist()
        return sorted((row["source"], row["documents_sum"]) for row in totals)

    mapped, plain = run_twice(tmp_path / "all", "dedup", language="off")
    assert planned(mapped, GROUPS) == planned(plain, {})
    assert planned(mapped, GROUPS)[1][1] > planned(mapped, {"wiki": ["wikinews"]})[1][1]
    mapped, _ = run_twice(tmp_path / "sampled", "sampling: {source_shares: {wiki: 0.5}}", language="off")
    assert [source for source, _ in planned(mapped, GROUPS)] == ["", "wiki"]
    with pytest.raises(UserError, match=r"its sampling told sources apart by other input\.source_groups"):
        planned(mapped, {})
