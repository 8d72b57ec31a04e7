"""`curator calibrate` and `--overlay`, as people run them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import lxml.html
import pytest
import yaml

from tests.command import curator, json_of, told
from tests.curator.calibrate.corpus import write_good
from tests.runs import hashes, recipe_text, write_jsonl

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of good text, a recipe, and the overlay that was fitted to the corpus."""
    folder = tmp_path_factory.mktemp("calibrate")
    write_good(folder, 720, seed=1).rename(folder / "good.jsonl")
    (folder / "r.yaml").write_text(recipe_text("dedup", "entropy: {min_bits: 6.1}", language="off"))
    done = curator("calibrate", "good.jsonl", "-r", "r.yaml", "--pass", "0.8", "-o", "o.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "table.txt").write_text(done.stdout)
    return folder


def test_the_table_says_what_was_fitted_and_what_was_there_before(folder: Path) -> None:
    table = (folder / "table.txt").read_text()
    assert re.search(
        r"^web +ru +entropy\.min_order +\d+ +0\.35 +0\.\d+ +\d\d\.\d\d to \d+\.\d\d%$", table, re.MULTILINE
    )
    assert "720 documents: " in table
    assert table.splitlines()[-1] == "overlay: o.yaml"


def test_without_a_file_the_overlay_is_standard_output(folder: Path) -> None:
    done = curator("calibrate", "good.jsonl", "-r", "r.yaml", "--pass", "0.8", cwd=folder)
    assert done.stdout == (folder / "o.yaml").read_text()
    assert done.stdout.startswith("# Thresholds for the recipe 'test', fitted by `curator calibrate`")


def test_json_is_one_document_with_all_that_was_fitted(folder: Path) -> None:
    done = curator(
        "calibrate",
        "good.jsonl",
        "-r",
        "r.yaml",
        "--pass",
        "0.8",
        "--by",
        "language",
        "-o",
        "l.yaml",
        "--json",
        cwd=folder,
    )
    found = json_of(done)
    rows = cast("list[dict[str, object]]", found["fitted"])
    assert (found["documents"], found["minimum"], found["by"], found["overlay"]) == (720, 14, "language", "l.yaml")
    assert {(row["source"], row["language"]) for row in rows} == {(None, "en"), (None, "ru")}
    assert {row["before"] for row in rows if row["parameter"] == "min_order"} == {0.35}
    assert [file["name"] for file in cast("list[dict[str, object]]", found["corpus"])] == ["good.jsonl"]
    overlay = yaml.safe_load((folder / "l.yaml").read_text())
    assert overlay["calibration"]["fitted"] == [{k: v for k, v in row.items() if k != "before"} for row in rows]


def test_a_finished_run_is_calibrated_without_reading_its_text_again(folder: Path) -> None:
    assert curator("process", "good.jsonl", "-o", "run0", "-r", "r.yaml", cwd=folder).returncode == 0
    (folder / "good.jsonl").rename(folder / "away.jsonl")
    try:
        done = curator("calibrate", "run0", "--pass", "0.8", cwd=folder)
    finally:
        (folder / "away.jsonl").rename(folder / "good.jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "o.yaml").read_text()


def test_a_run_with_an_overlay_says_in_its_manifest_and_report_where_thresholds_came_from(folder: Path) -> None:
    arguments = ("process", "good.jsonl", "-r", "r.yaml", "--overlay", "o.yaml", "--set", "entropy.max_excess=0.7")
    done = curator(*arguments, "-o", "run1", cwd=folder)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((folder / "run1" / "manifest.json").read_bytes())
    overlay = yaml.safe_load((folder / "o.yaml").read_text())
    assert manifest["origins"]["overlay"]["name"] == "o.yaml"
    assert manifest["origins"]["overlay"]["calibration"] == overlay["calibration"]
    assert str(folder) not in (folder / "run1" / "manifest.json").read_text()
    page = lxml.html.fromstring((folder / "run1" / "report.html").read_text())
    (section,) = page.xpath("//section[@id='thresholds']")
    assert "Overlay o.yaml (" in section.text_content()
    assert "passes all that were fitted for its group" in section.text_content()
    rows = {
        tuple(cell.text_content() for cell in row)[:2]: [c.text_content() for c in row] for row in section.iter("tr")
    }
    assert rows["entropy min_order", "everywhere"][2:] == ["0.35", "default"]
    assert rows["entropy min_bits", "everywhere"][2:] == ["6.1", "recipe"]
    assert rows["entropy max_excess", "everywhere"][2:] == ["0.7", "--set"]
    assert "off" not in {cells[2] for cells in rows.values()}, "nobody turned a rule off"
    fitted = next(row for row in overlay["calibration"]["fitted"] if row["parameter"] == "min_order")
    shown = rows["entropy min_order", f"{fitted['language']} in source {fitted['source']}"]
    assert shown[2] == f"{fitted['threshold']:.6g}"
    assert shown[3].startswith(f"overlay: {fitted['passing']} of {fitted['documents']} documents pass, of such text")
    # A second run, begun with two workers, gives the same bytes; and resuming needs the same values, however given.
    assert curator(*arguments, "-o", "run2", "--workers", "2", cwd=folder).returncode == 0
    assert hashes(folder / "run1") == hashes(folder / "run2")
    assert curator(*arguments, "-o", "run2", "--resume", cwd=folder).returncode == 0
    refused = curator("process", "good.jsonl", "-r", "r.yaml", "-o", "run2", "--resume", cwd=folder)
    assert (refused.returncode, "was started with something else" in told(refused)) == (2, True)
    assert curator("report", "run1", cwd=folder).returncode == 0


def test_the_other_commands_take_an_overlay(folder: Path) -> None:
    shown = curator("recipe", "show", "r.yaml", "--overlay", "o.yaml", cwd=folder)
    merged = yaml.safe_load(shown.stdout)["stages"][1]["entropy"]
    overlay = yaml.safe_load((folder / "o.yaml").read_text())
    assert merged["sources"] == overlay["stages"][0]["entropy"]["sources"]
    assert curator("recipe", "validate", "r.yaml", "--overlay", "o.yaml", cwd=folder).returncode == 0
    assert curator("plan", "-r", "r.yaml", "--overlay", "o.yaml", cwd=folder).returncode == 0
    assert curator("doctor", "-r", "r.yaml", "--overlay", "o.yaml", cwd=folder).returncode == 0
    assert told(curator("plan", "-r", "r.yaml", "--overlay", "r.yaml", cwd=folder)).startswith(
        "curator: r.yaml: line 1"
    )


def test_where_most_documents_are_of_small_sources_the_way_out_is_told(folder: Path) -> None:
    lines = (folder / "good.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    texts = [{**json.loads(line), "source": f"page{number}.example"} for number, line in enumerate(lines)]
    write_jsonl(folder / "pages.jsonl", texts)
    arguments = ("calibrate", "pages.jsonl", "-r", "r.yaml", "--pass", "0.8", "-o", "p.yaml")
    done = curator(*arguments, cwd=folder)
    assert "60 of 60 documents are of a source that has too few of their language; --by language" in done.stderr
    assert "60 groups not calibrated" in done.stdout
    assert "of a source that has too few" not in curator(*arguments, "--by", "language", cwd=folder).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["good.jsonl", "--pass", "1.5"], 2, "--pass 1.5 is not between 0 and 1"),
        (["good.jsonl", "--by", "author"], 2, "--by author: expected source or language"),
        (["empty.jsonl", "-r", "r.yaml"], 2, "the input has no document"),
        (["broken.jsonl", "-r", "r.yaml"], 3, "150 of 150 records could not be read"),
        (["broken.jsonl", "-r", "r.yaml"], 3, "; or calibrate on what can be read: --set max_error_rate=1)"),
        (["stopped"], 2, "the run is not finished"),
        (["stopped", "good.jsonl"], 2, "a run is calibrated by itself"),
        (["good.jsonl", "-o", "no/such/folder.yaml"], 2, "lies in no folder that there is"),
    ],
)
def test_what_cannot_be_calibrated_is_told_in_one_line(
    folder: Path, arguments: list[str], code: int, problem: str
) -> None:
    (folder / "empty.jsonl").write_text("")
    (folder / "broken.jsonl").write_text("{\n" * 150)
    for name in ("events", "work"):
        (folder / "stopped" / name).mkdir(parents=True, exist_ok=True)
    done = curator("calibrate", *arguments, cwd=folder)
    assert (done.returncode, problem in told(done)) == (code, True), done.stderr
    assert done.stdout == ""


def test_text_at_which_no_rule_looks_is_told_and_so_is_an_overlay_without_a_threshold(folder: Path) -> None:
    (folder / "short.jsonl").write_text("".join(f'{{"text": "word {number}", "lang": "en"}}\n' for number in range(30)))
    done = curator("calibrate", "short.jsonl", "-r", "r.yaml", "--pass", "0.8", "-o", "s.yaml", cwd=folder)
    assert done.returncode == 0
    assert "0 groups not calibrated, 30 documents in groups at which no rule looks" in done.stdout
    assert "no threshold was fitted: the overlay changes nothing" in done.stderr
    assert (
        json_of(curator("calibrate", "short.jsonl", "-r", "r.yaml", "--pass", "0.8", "--json", cwd=folder))["unseen"]
        == 30
    )
