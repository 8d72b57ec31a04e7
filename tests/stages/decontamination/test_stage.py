"""What becomes of documents with text of an evaluation set, in real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.plan import make_plan
from curator.recipe import load_recipe_text
from curator.report.build import build_report
from curator.run.directory import RunDirectory
from curator.run.manifest import load_manifest
from curator.run.pipeline import make_pipeline
from tests.command import curator, json_of
from tests.runs import hashes, make_texts, recipe_text, rows, run_stages, write_jsonl
from tests.stages.augmentation.engine import install
from tests.stages.decontamination.helpers import TEXTS, decided, decontaminate, facts_of, stage_text

UNSPACED = ("zh", "ja", "th")


def filler(number: int, lang: str = "en") -> str:
    """Text of a language that has nothing of the others, nor of itself under another number."""
    if lang in UNSPACED:
        letters = {"zh": "山水木火土金日月星風", "ja": "あかさたなはまやらわ", "th": "กขคงจฉชซดต"}[lang]
        return "".join(letters[int(digit)] for digit in str(7**50 * (number + 3)))
    return " ".join(f"{lang}{number}word{place}" for place in range(60))


def joined(lang: str, *parts: str) -> str:
    return ("" if lang in UNSPACED else " ").join(parts)


@pytest.mark.parametrize("lang", list(TEXTS))
def test_planted_text_is_found_in_every_language(tmp_path: Path, lang: str) -> None:
    planted = joined(lang, filler(1, lang), TEXTS[lang].upper(), filler(2, lang))
    documents = [
        {"id": "clean", "text": filler(3, lang)},
        {"id": "dirty", "text": planted},
        *({"id": other, "text": text} for other, text in TEXTS.items() if other != lang),
    ]
    run = decontaminate(tmp_path, documents, [{"text": TEXTS[lang]}])
    (decision,) = decided(run)["dirty"]
    assert decided(run).keys() == {"dirty"}
    assert decision["rule"] == "decontamination.overlap"
    assert decision["keeper"] == "quiz:0"
    detail = decision["detail"]
    assert isinstance(detail, dict)
    # The passage in code points: the text without its last mark of punctuation.
    place = planted.index(TEXTS[lang].upper())
    assert (detail["kind"], detail["begin"]) == ("quiz", place)
    assert planted[detail["begin"] : detail["end"]] == TEXTS[lang].upper().rstrip("。")


@pytest.mark.parametrize(("lang", "length"), [("en", 13), ("ru", 13), ("zh", 32), ("ja", 32), ("th", 32)])
def test_one_unit_less_than_an_n_gram_is_no_overlap(tmp_path: Path, lang: str, length: int) -> None:
    separator = "" if lang in UNSPACED else " "
    words = [f"{lang}{number}" for number in range(60)] if separator else list(filler(5, lang) + filler(9, lang))[:60]
    documents = [
        {"id": "less", "text": joined(lang, filler(1, lang), separator.join(words[20 : 19 + length]), filler(2, lang))},
        {"id": "enough", "text": joined(lang, filler(1, lang), separator.join(words[20 : 20 + length]))},
    ]
    run = decontaminate(tmp_path, documents, [{"text": separator.join(words)}])
    assert decided(run).keys() == {"enough"}


@pytest.mark.parametrize(("copies", "expected"), [(10, 10), (11, 0)])
def test_an_n_gram_that_more_documents_have_is_a_common_phrase(tmp_path: Path, copies: int, expected: int) -> None:
    documents = [{"id": f"d{number}", "text": f"{filler(number)} {TEXTS['en']}"} for number in range(copies)]
    run = decontaminate(tmp_path, documents, [{"text": TEXTS["en"]}])
    assert len(decided(run)) == expected
    facts = facts_of(run)
    assert facts["documents"] == expected
    assert (facts["dirty"], facts["clean"], facts["common_only"]) == ((1, 0, 0) if expected else (0, 1, 1))
    assert facts["matched"] == facts["ngrams"]


def test_copies_that_deduplication_drops_do_not_make_a_phrase_common(tmp_path: Path) -> None:
    documents = [{"id": f"d{number}", "text": f"{filler(0)} {TEXTS['en']}"} for number in range(40)]
    write_jsonl(tmp_path / "quiz.jsonl", [{"text": TEXTS["en"]}])
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    stage = stage_text([{"name": "quiz", "path": str(tmp_path / "quiz.jsonl")}])
    run_stages([file], tmp_path / "run", "dedup", stage, language="off")
    assert decided(tmp_path / "run").keys() == {"d0"}


def test_a_document_under_the_threshold_stays_and_its_score_is_written(tmp_path: Path) -> None:
    text = f"{filler(0)} {TEXTS['en']}"
    share = len(TEXTS["en"].split()) / len(text.split())
    for threshold, expected in ((share - 0.01, {"d"}), (share + 0.01, set())):
        folder = tmp_path / str(threshold)
        run = decontaminate(folder, [{"id": "d", "text": text}], [{"text": TEXTS["en"]}], threshold=threshold)
        assert decided(run).keys() == expected
        assert rows(run, "scores")[0]["decontamination.overlap"] == pytest.approx(share, abs=1e-5)


def test_a_flag_names_every_set_and_keeps_the_document(tmp_path: Path) -> None:
    for name in ("en", "de"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": filler(8)}, {"text": TEXTS[name]}])
    text = f"{TEXTS['de']} {filler(0)} {TEXTS['en']}"
    file = write_jsonl(tmp_path / "in.jsonl", [{"id": "d", "text": text}])
    sets = [{"name": name, "path": str(tmp_path / f"{name}.jsonl")} for name in ("en", "de")]
    run_stages([file], tmp_path / "run", stage_text(sets, action="flag"), language="off")
    told = [(row["action"], row["keeper"], row["score"]) for row in decided(tmp_path / "run")["d"]]
    whole = len(text.split())
    shares = {name: pytest.approx(len(TEXTS[name].split()) / whole, abs=1e-5) for name in ("en", "de")}
    assert told == [("flag", "en:1", shares["en"]), ("flag", "de:1", shares["de"])]
    assert [row["text"] for row in rows(tmp_path / "run", "shards")] == [text]


@pytest.mark.slow
def test_a_document_over_the_limit_by_several_sets_together_is_told_so(tmp_path: Path) -> None:
    for name in ("en", "de"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": TEXTS[name]}])
    file = write_jsonl(tmp_path / "in.jsonl", [{"id": "d", "text": f"{TEXTS['de']} and {TEXTS['en']}"}])
    sets = [{"name": name, "path": str(tmp_path / f"{name}.jsonl")} for name in ("en", "de")]
    run_stages([file], tmp_path / "run", stage_text(sets, threshold=0.8), language="off")
    (decision,) = decided(tmp_path / "run")["d"]
    (score,) = rows(tmp_path / "run", "scores")
    assert float(str(decision["score"])) < 0.8 < float(str(score["decontamination.overlap"]))
    assert "the limit, for all sets together, is 0.8." in curator("explain", tmp_path / "run", "d").stdout


def test_removal_takes_the_text_and_what_stands_beside_it(tmp_path: Path) -> None:
    before, after = filler(1), filler(2)
    text = f"{before} {TEXTS['ru']} {after}"
    run = decontaminate(tmp_path, [{"id": "d", "text": text}], [{"text": TEXTS["ru"]}], action="remove")
    (decision,) = decided(run)["d"]
    detail = decision["detail"]
    assert isinstance(detail, dict)
    assert (decision["action"], decision["rule"], detail["kind"]) == ("edit", "decontamination.removed", "quiz")
    (row,) = rows(run, "shards")
    kept = [text[: detail["begin"]], text[detail["end"] :]]
    assert row["text"] == "\n\n".join(piece.strip() for piece in kept)
    begin = text.index(TEXTS["ru"])
    assert 200 <= begin - detail["begin"] <= 200 + len("en1word60")
    assert set(str(row["text"]).split()) <= set(text.split()), "no word is cut in two"


def test_a_document_in_too_many_pieces_or_without_a_long_one_is_dropped(tmp_path: Path) -> None:
    passages = TEXTS["en"].split()[:13]
    many = " ".join(f"{filler(number)} {' '.join(passages)}" for number in range(12))
    documents = [{"id": "short", "text": f"a b c {TEXTS['en']} d e f"}, {"id": "many", "text": many}]
    run = decontaminate(tmp_path, documents, [{"text": TEXTS["en"]}], action="remove")
    found = {name: (row["action"], row["rule"], row["score"]) for name, (row,) in decided(run).items()}
    assert found == {
        "short": ("drop", "decontamination.nothing_left", 0.0),
        "many": ("drop", "decontamination.pieces", 12.0),
    }


@pytest.mark.slow
def test_the_report_of_a_set_says_how_much_of_it_is_dirty_and_by_how_much(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(100)]
    examples = [
        {"text": " ".join(words[:32])},  # 20 places, of which one document has 10
        {"text": TEXTS["en"]},  # all of it
        {"text": TEXTS["de"]},  # none
        {"text": "too short"},
        *({"text": f"{TEXTS['fr']} {number}"} for number in range(30)),
    ]
    documents = [
        {"id": "half", "text": " ".join(words[:22])},
        {"id": "less", "text": " ".join(words[:15])},
        {"id": "all", "text": TEXTS["en"]},
    ]
    run = decontaminate(tmp_path, documents, examples)
    facts = facts_of(run)
    counts = {name: facts[name] for name in ("examples", "too_short", "dirty", "clean", "documents", "overlap")}
    assert counts == {
        "examples": 34,
        "too_short": 1,
        "dirty": 2,
        "clean": 31,
        "documents": 3,
        "overlap": [0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    }
    (row,) = build_report(RunDirectory(run), load_manifest(run / "manifest.json")).evaluation
    assert (row.name, row.dirty, row.clean, row.ngram) == ("quiz", 2, 31, "13 words")
    page = (run / "report.html").read_text()
    assert '<section id="evaluation">' in page
    told = json_of(curator("report", run, "--json"))
    assert told["facts"] == json.loads((run / "manifest.json").read_bytes())["facts"]


@pytest.mark.slow
def test_explain_says_which_set_and_which_example(tmp_path: Path) -> None:
    text = f"{filler(0)} {TEXTS['en']}"
    run = decontaminate(tmp_path, [{"id": "d", "text": text}], [{"text": filler(9)}, {"text": TEXTS["en"]}])
    told = curator("explain", run, "d").stdout
    begin = text.index(TEXTS["en"])
    assert f"decontamination dropped it (characters {begin} to {len(text)}, like quiz:1): a share of" in told
    assert "of its units stands in n-grams of the evaluation set quiz; the limit, for all sets together, is 0." in told


def test_the_record_holds_no_text_of_a_set(tmp_path: Path) -> None:
    examples = [{"text": TEXTS["en"]}]
    run = decontaminate(tmp_path, [{"id": "d", "text": f"{filler(0)} {TEXTS['en']}"}], examples)
    decisions = json.dumps(rows(run, "decisions"), default=str, ensure_ascii=False)
    facts = json.dumps(facts_of(run))
    assert "lighthouse" not in decisions + facts


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_workers(tmp_path: Path) -> None:
    documents = [*make_texts(9000, seed=5, units=(60, 120))]
    examples = [{"text": document["text"]} for document in documents[::311]]
    write_jsonl(tmp_path / "quiz.jsonl", examples)
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    assert file.stat().st_size > 5_000_000, "more than one part, in worker processes"
    stage = stage_text([{"name": "quiz", "path": str(tmp_path / "quiz.jsonl")}], action="remove", max_documents=3)
    found = []
    for workers in (1, 2):
        run = tmp_path / f"run{workers}"
        run_stages([file], run, "dedup", stage, "pii", language="off", workers=workers)
        found.append(hashes(run))
    assert found[0] == found[1]
    assert len(decided(tmp_path / "run1")) >= len(examples)


@pytest.mark.slow
def test_children_go_through_it_too(tmp_path: Path) -> None:
    """A translator that makes `ostal` of `casa` brings back the text of a set."""
    words = [f"mot{number}" for number in range(80)]
    words[40] = "casa"
    made = " ".join(words).replace("casa", "ostal")
    documents = [{"id": f"d{number}", "lang": "oc", "text": filler(number, "oc")} for number in range(3)]
    documents.append({"id": "parent", "lang": "oc", "text": " ".join(words)})
    write_jsonl(tmp_path / "quiz.jsonl", [{"text": " ".join(made.split()[34:47])}])
    file = write_jsonl(tmp_path / "in.jsonl", documents)
    stage = stage_text([{"name": "quiz", "path": str(tmp_path / "quiz.jsonl")}])
    translators = [{"name": "apertium", "pivots": {"oc": "fr"}, "options": install(tmp_path)}]
    augmentation = f"augmentation: {json.dumps({'translators': translators, 'max_share': 1.0, 'max_chrf': 99.9})}"
    run_stages([file], tmp_path / "run", stage, augmentation, language="off")
    assert [row["action"] for row in decided(tmp_path / "run")["parent#a1"]] == ["drop"]
    assert decided(tmp_path / "run").keys() == {"parent#a1"}


def test_it_cannot_stand_after_a_stage_that_edits_text() -> None:
    stage = stage_text([{"name": "quiz", "path": "nowhere"}])
    with pytest.raises(UserError, match="'decontamination' stands after 'pii'"):
        make_plan(make_pipeline(load_recipe_text(recipe_text("pii", stage), "r")))
