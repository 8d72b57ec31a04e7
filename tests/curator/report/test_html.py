"""The report page: what it shows, that hostile text stays text, that it stands alone, and that a browser likes it."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import lxml.html
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.report import charts
from curator.report.html import format_bytes, format_compact, format_difference, format_share, render
from curator.report.model import (
    ArmComparison,
    ArmRow,
    EvaluationRow,
    Example,
    Failure,
    Histogram,
    Report,
    Row,
    SamplingRow,
    StageNote,
    Step,
    Threshold,
    Totals,
)

HOSTILE = "</title><script>alert(1)</script><img src=x onerror='alert(2)'> \"&amp; \u202e{{ 7 * 7 }}\x00\x1b[31m"
STAGES = ("dedup", "entropy", "sampling", "augmentation")


def make_comparison(budget: str, arm: str = "web") -> ArmComparison:
    """A recipe that helped, and that would have helped more without one of its stages."""
    rows = [
        ArmRow("raw", 1010, 1, 2.5, 0.0, 0.0, 0.0, 0.0, None, None, None),
        ArmRow(arm, 700, 2, 2.4375, -0.0625, -0.081, -0.04, -0.0605, -0.0625, -0.081, -0.04),
        ArmRow(f"{arm} without entropy", 720, 2, 2.41, -0.09, -0.11, 0.02, -0.089, 0.0275, 0.01, 0.05),
    ]
    return ArmComparison(budget, (180_000, 200_704), (10.2, 14.9), 1, 119, 107, rows, [("oc", 12, rows)])


def make_report() -> Report:
    """A small report in which every part of the page has something to show, and the counts balance."""
    languages = [
        Row(
            "oc",
            "Occitan",
            300,
            60_000,
            280,
            59_000,
            {"dedup": 15, "entropy": 5},
            copies=560,
            coverage={"pii": "names not checked"},
        ),
        Row("ja", "Japanese", 500, 90_000, 210, 30_000, {"dedup": 265, "entropy": 15, "sampling": 10}),
        *(Row(f"x{number:02d}", "", 5, 900, 5, 900) for number in range(40)),
    ]
    return Report(
        name="web",
        fingerprint="9f3c1a7b",
        recipe="name: web\nstages:\n  - dedup: {threshold: 0.85}\n",
        token_unit="a unit",  # noqa: S106  # a unit of text
        stages=STAGES,
        totals=Totals(1010, 186_000, 1_200_000, 20, 700, 10, 310, 10, 560, 190_000, 410_000),
        steps=[
            Step("dedup", "dedup.exact", "drop", "The same text as {keeper}.", 100, 20_000),
            Step("dedup", "dedup.near", "drop", "Similar to an earlier document.", 180, 30_000),
            Step("entropy", "entropy.noise", "drop", "Noise.", 20, 900),
            Step("entropy", "entropy.odd", "flag", "Odd.", 7, 800),
            Step("sampling", "sampling.quota", "drop", "Over its share.", 10, 2_000),
            Step("sampling", "sampling.repeat", "repeat", "Written again.", 560, 90_000),
            Step("augmentation", "augmentation.created", "create", "Translated there and back.", 20, 4_000),
        ],
        languages=languages,
        sources=[Row("udhr", "", 1010, 186_000, 710, 100_000, {"dedup": 280}, created=20)],
        histograms=[
            Histogram("entropy.bits", None, [0, 2, 4, 6, 8], [1, 0, 30, 979], 6.2, "below", "Bits."),
            Histogram("entropy.bits", "oc", [0, 5, 10], [10, 290], 6.2, "below"),
        ],
        thresholds=[
            Threshold("entropy", "min_bits", "", 6.2, "default"),
            Threshold("entropy", "max_excess", "", None, "--set"),
            Threshold("entropy", "min_bits", "oc in source <b>", 5.25, "overlay: 99 of 100 documents pass"),
        ],
        overlay="Overlay <i>.yaml, fitted to x.",
        examples=[
            Example(
                "dedup",
                "dedup.near",
                "Similar.",
                "udhr/he/3",
                "he",
                "כל בני האדם נולדו בני חורין",
                0.91,
                0.85,
                "udhr/he/1",
            ),
            Example(
                "augmentation",
                "augmentation.substitution",
                "",
                "udhr/oc/3#a1",
                "oc",
                "Tot individu a drech a la vida e a la seguretat de sa persona. " * 4,
                beside="Tot individu a drech a la libertat e a la seguretat de sa persona. " * 4,
            ),
        ],
        sampling=[
            SamplingRow("ja", "Japanese", 0.6, 0.5, 0.49, 0.9),
            SamplingRow("oc", "Occitan", 0.01, 0.06, 0.04, 4, "1,200 tokens short"),
        ],
        evaluation=[
            EvaluationRow(
                "quiz", 1200, 310, 880, 12, 10, 95, [4, 0, 6, 0, 0, 0, 0, 0, 0, 300], "13 words, 24 characters"
            )
        ],
        comparisons=[make_comparison("tokens"), make_comparison("seconds")],
        notes=[StageNote("dedup", "Finds duplicates.", [("candidates", "1,204")])],
        failures=[Failure("json.syntax", "the line is not JSON", "part-1.jsonl", 10)],
        warnings=["3 ids repeat."],
        versions=[("numpy", "2.4.6")],
    )


REPORT = make_report()
EMPTY = Report("empty", "0", "", "a unit", (), Totals(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (), (), ())


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(REPORT) == render(make_report())


def test_every_section_with_data_is_there_and_reachable_from_the_contents() -> None:
    page = lxml.html.fromstring(render(REPORT))
    links = {link.get("href", "").removeprefix("#") for link in page.xpath("//nav//a")}
    sections = {section.get("id") for section in page.iter("section")}
    named = "funnel, retention, coverage, scores, thresholds, sampling, evaluation, comparison, examples, failures"
    named += ", recipe"
    assert links == sections == set(named.split(", "))


def test_a_run_without_documents_still_has_a_page() -> None:
    page = lxml.html.fromstring(render(EMPTY))
    assert "0 documents came in" in page.text_content()
    assert {section.get("id") for section in page.iter("section")} == {"funnel", "retention", "recipe"}


def test_every_number_of_the_model_stands_on_the_page() -> None:
    text = " ".join(lxml.html.fromstring(render(REPORT)).text_content().split())
    assert "1,010 records came in, of which 10 could not be read, 20 were created and 700 were kept" in text
    assert "1,010 in + 20 created = 700 kept + 10 held out + 310 dropped + 10 failed" in text
    for expected in (
        "Occitan",
        "names not checked",
        "dedup.near",
        "− 180",
        "560 copies",
        "7 flagged",
        "1,200 tokens short",
        "880 (12 with common phrases)",
        "13 words, 24 characters",
    ):
        assert expected in text
    for expected in ("json.syntax", "part-1.jsonl", "3 ids repeat.", "9f3c1a7b", "udhr/he/1", "0.91 (threshold 0.85)"):
        assert expected in text


def test_rows_of_languages_and_sources_say_nothing_of_records_that_failed() -> None:
    page = lxml.html.fromstring(render(REPORT))
    tables = page.xpath("//details/div[@role='region']/table[caption[contains(text(), 'Dropped')]]")
    headings = [[cell.text for cell in table.xpath("thead//th")] for table in tables]
    counted = ["held out", "kept", "copies", "tokens in", "tokens kept"]
    assert [(heads[0], heads[-5:]) for heads in headings] == [("language", counted), ("source", counted)]
    assert not any("failed" in heads for heads in headings)


def test_every_threshold_is_shown_with_where_it_came_from_and_off_is_said() -> None:
    (section,) = lxml.html.fromstring(render(REPORT)).xpath("//section[@id='thresholds']")
    rows = [[" ".join(cell.text_content().split()) for cell in row] for row in section.xpath(".//tbody/tr")]
    assert rows == [
        ["entropy min_bits", "everywhere", "6.2", "default"],
        ["entropy max_excess", "everywhere", "off", "--set"],
        ["entropy min_bits", "oc in source <b>", "5.25", "overlay: 99 of 100 documents pass"],
    ]
    assert "Overlay <i>.yaml, fitted to x." in section.text_content()
    assert "1 for single languages and sources" in section.text_content()


def test_a_comparison_shows_each_arm_and_what_was_bought() -> None:
    (section,) = lxml.html.fromstring(render(REPORT)).xpath("//section[@id='comparison']")
    first = section.xpath(".//table")[0]
    rows = [[" ".join(cell.text_content().split()) for cell in row] for row in first.xpath(".//tbody/tr")]
    assert rows == [
        ["raw", "", "2.5000", "+0.0000", "+0.0000", "", "1,010", "1"],
        ["web", "", "2.4375", "\N{MINUS SIGN}0.0625", "\N{MINUS SIGN}0.0605", "\N{MINUS SIGN}0.0625", "700", "2"],
        ["web without entropy", "", "2.4100", "\N{MINUS SIGN}0.0900", "\N{MINUS SIGN}0.0890", "+0.0275", "720", "2"],
    ]
    captions = [" ".join(caption.text_content().split()) for caption in section.xpath(".//caption")]
    assert captions == [
        "The same 200,704 tokens for each model, in 10 to 15 seconds; 1 model of each arm.",
        "oc, 12 held out",
        "The same 10 seconds for each model, in which it saw 180 k to 201 k tokens; 1 model of each arm.",
        "oc, 12 held out",
    ]
    assert "say nothing of what another seed would give" in section.text_content()


@given(
    differences=st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 2), st.floats(0, 2)), max_size=5),
)
def test_the_scale_of_differences_holds_every_interval_and_0(differences: list[tuple[float, float, float]]) -> None:
    raw = make_comparison("tokens").rows[0]
    rows = [replace(raw, difference=at, low=at - below, high=at + above) for at, below, above in differences]
    scale = charts.DifferenceScale.around(rows)
    places = [scale.place(value) for row in rows for value in (row.low, row.difference, row.high)]
    assert all(0 <= place <= 100 for place in [*places, scale.place(0)])


def test_the_funnel_passes_on_what_each_stage_leaves_and_ends_with_what_was_kept() -> None:
    rows = charts.funnel(REPORT.steps, REPORT.stages, REPORT.totals)
    assert [(row.stage, row.entering, row.leaving) for row in rows] == [
        ("reading", 1010, 1000),
        ("dedup", 1000, 720),
        ("entropy", 720, 700),
        ("sampling", 700, 690),
        ("augmentation", 690, 710),
    ]
    assert rows[-1].leaving == REPORT.totals.kept + REPORT.totals.held_out


def test_counts_that_do_not_balance_are_said_in_a_warning() -> None:
    assert REPORT.totals.balance
    assert "do not add up" not in render(REPORT)
    broken = replace(REPORT, totals=replace(REPORT.totals, dropped=309))
    assert "do not add up" in render(broken)


def test_languages_far_below_the_whole_are_marked_and_the_rest_are_folded_away() -> None:
    page = lxml.html.fromstring(render(REPORT))
    low = page.xpath("//tr[@class='low']/th//bdi/text()")
    assert low == ["ja"]
    folded = page.xpath("//section[@id='retention']//details//table[contains(@class, 'rates')]//tbody/tr")
    assert len(folded) == len(REPORT.languages) - 24


def test_hostile_text_in_any_field_stays_text() -> None:
    report = replace(
        REPORT,
        name=HOSTILE,
        fingerprint=HOSTILE,
        recipe=HOSTILE,
        token_unit=HOSTILE,
        stages=(*STAGES, HOSTILE),
        steps=[Step(HOSTILE, HOSTILE, "drop", HOSTILE, 3, 4)],
        languages=[Row(HOSTILE, HOSTILE, 9, 9, 8, 9, {HOSTILE: 1}, coverage={HOSTILE: HOSTILE})],
        sources=[Row(HOSTILE, HOSTILE, 9, 9, 8, 9, {HOSTILE: 1})],
        histograms=[Histogram(HOSTILE, language, [0, 1], [4], 0.5, "above", HOSTILE) for language in (None, HOSTILE)],
        examples=[Example(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, 2, HOSTILE)],
        sampling=[SamplingRow(HOSTILE, HOSTILE, 0.5, 0.5, 0.5, 1, HOSTILE)],
        evaluation=[EvaluationRow(HOSTILE, 9, 4, 5, 1, 0, 3, [4], HOSTILE)],
        comparisons=[replace(make_comparison(HOSTILE, HOSTILE), languages=[(HOSTILE, 1, make_comparison("").rows)])],
        notes=[StageNote(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)])],
        failures=[Failure(HOSTILE, HOSTILE, HOSTILE, 1)],
        warnings=[HOSTILE],
        versions=[(HOSTILE, HOSTILE)],
    )
    source = render(report)
    page = lxml.html.fromstring(source)
    assert page.xpath("//script | //img | //iframe | //object | //link | //form") == []
    assert [name for element in page.iter() for name in element.attrib if name.startswith("on")] == []
    assert "<script" not in source
    assert "\x00" not in source
    assert "\x1b" not in source
    assert "49" not in page.xpath("//h1")[0].text_content()
    plain = HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    assert page.xpath("//blockquote")[0].text_content() == plain


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_of_a_document_comes_back_as_it_was(text: str) -> None:
    example = Example("dedup", "dedup.near", "", "a", "en", text)
    page = lxml.html.fromstring(render(replace(EMPTY, examples=[example])))
    shown = page.xpath("//blockquote")[0].text_content()
    expected = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", text)
    # The HTML standard turns no other character into another; lxml drops these few, which are no characters.
    assert re.sub(r"[\ufffe\uffff]", "", shown) == re.sub(r"[\ufffe\uffff]", "", expected)


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    source = render(REPORT)
    page = lxml.html.fromstring(source)
    assert page.xpath("//@src | //@srcset | //@action | //@data | //@poster") == []
    assert all(link.startswith("#") for link in page.xpath("//@href"))
    assert not re.search(r"url\(|@import|https?://|//[a-z]+\.", source)
    policy = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_examples_keep_their_direction_and_language() -> None:
    quote = lxml.html.fromstring(render(REPORT)).xpath("//blockquote")[0]
    assert quote.get("dir") == "auto"
    assert quote.get("lang") == "he"
    unknown = replace(REPORT, examples=[replace(REPORT.examples[0], language="not a tag")])
    assert lxml.html.fromstring(render(unknown)).xpath("//blockquote")[0].get("lang") is None


def test_charts_are_named_or_hidden_for_those_who_cannot_see_them() -> None:
    page = lxml.html.fromstring(render(REPORT))
    drawings = page.xpath("//svg")
    assert len(drawings) > 40
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") == "true" for drawing in drawings)
    assert all(table.xpath("./caption") or table.get("aria-label") for table in page.iter("table"))


@pytest.mark.parametrize(("side", "expected"), [("below", 2), ("above", 1), (None, 0)])
def test_a_histogram_draws_each_bin_and_colours_the_dropped_side(side: str | None, expected: int) -> None:
    data = Histogram("e.bits", None, [0, 1, 2, 3, 4], [5, 10, 0, 20], 2.0, side)  # type: ignore[arg-type]  # any side
    drawing = lxml.html.fromstring(charts.histogram(data, "s1"))
    bars = drawing.xpath(".//rect")
    assert len(bars) == 3
    assert sum(bar.get("class") == "s1" for bar in bars) == expected
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[2] == 2 * heights[1] == 4 * heights[0]
    assert drawing.xpath(".//line[@class='threshold']")[0].get("x1") == "50%"
    titles = [bar.text_content() for bar in bars]
    assert sum(int(title.rsplit(" ", 1)[1]) for title in titles) == sum(data.counts)


def test_a_histogram_with_as_many_edges_as_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="edges"):
        Histogram("e.bits", None, [0, 1], [1, 2])


@given(sizes=st.lists(st.integers(0, 10**9), max_size=8), mark=st.floats(-1, 2))
def test_the_pieces_of_a_bar_fill_it_without_gap_or_overlap(sizes: list[int], mark: float) -> None:
    parts = [charts.Part(size, "kept", "") for size in sizes]
    drawing = lxml.html.fromstring(charts.stacked_bar(parts, sum(sizes), mark))
    end = 0.0
    for bar in drawing.xpath(".//rect"):
        assert float(bar.get("x").rstrip("%")) == pytest.approx(end, abs=0.05)
        end = float(bar.get("x").rstrip("%")) + float(bar.get("width").rstrip("%"))
    assert end == pytest.approx(100 if sum(sizes) else 0, abs=0.1)
    assert 0 <= float(drawing.xpath(".//line/@x1")[0].rstrip("%")) <= 100


@given(values=st.lists(st.floats(0, 1), min_size=1))
def test_the_sampling_scale_holds_all_shares_in_order(values: list[float]) -> None:
    scale = charts.LogScale.around(values)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    assert len(scale.ticks()) >= 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0%"), (1, "100%"), (0.9164, "91.6%"), (0.99999, ">99.9%"), (0.0004, "0.04%"), (1.008, "100.8%")],
)
def test_shares_never_round_to_all_or_nothing(value: float, expected: str) -> None:
    assert format_share(value) == expected


def test_large_numbers_are_short() -> None:
    assert [format_compact(value) for value in (9_999, 12_345, 999_600, 1_664_519)] == [
        "9,999",
        "12.3\u202fk",
        "1,000\u202fk",
        "1.66\u202fM",
    ]
    assert [format_bytes(value) for value in (812, 11_570_000, 999_600)] == ["812\u202fB", "11.6\u202fMB", "1\u202fMB"]


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_and_marks_have_enough_contrast_in_light_and_dark(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", render(EMPTY), flags=re.DOTALL)
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", blocks[scheme]))
    # WCAG 2.2: 4.5 for text (1.4.3), 3 for graphics (1.4.11).
    for text in ("ink", "muted", "accent", "warn"):
        assert contrast(colours[text], colours["paper"]) >= 4.5
    assert contrast(colours["warn"], colours["warn-paper"]) >= 4.5
    for graphic in ("kept", "other", *(f"s{place}" for place in range(charts.COLOURS))):
        assert contrast(colours[graphic], colours["paper"]) >= 3


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_a_browser_shows_it_without_sideways_scrolling_errors_or_requests(width: int, tmp_path: Path) -> None:
    long = "x" * 400
    example = replace(REPORT.examples[0], id=long, excerpt=long + " 中文" * 200)
    row = replace(REPORT.languages[0], tag=long[:60], name=long[:80])
    failure = Failure("text.encoding", "not UTF-8", "a/" * 150, 1)
    report = replace(REPORT, examples=[example], languages=[row, *REPORT.languages], failures=[failure], recipe=long)
    found = measure(render(report), width, tmp_path)
    # First as it opens, then with every part unfolded.
    assert found == f"closed {width} opened {width} requests 0 sections 11"


def measure(page: str, width: int, folder: Path) -> str:
    """What Chromium says of the page in a frame `width` pixels wide; fails on anything in its console."""
    script = """
      const frame = document.querySelector("iframe");
      frame.onload = () => {
        const inner = frame.contentDocument, root = inner.documentElement;
        const closed = root.scrollWidth;
        inner.querySelectorAll("details").forEach((part) => { part.open = true; });
        const requests = frame.contentWindow.performance.getEntriesByType("resource").length;
        const sections = inner.querySelectorAll("section").length;
        const opened = root.scrollWidth;
        const found = `closed ${closed} opened ${opened} requests ${requests} sections ${sections}`;
        document.body.textContent = `FOUND ${found} END`;
      };
      frame.srcdoc = JSON.parse(document.getElementById("page").textContent);
    """
    quoted = '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x80 and not c.isalnum() else c for c in page) + '"'
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe width="{width}" height="800" style="border:0"></iframe>'
        f'<script type="application/json" id="page">{quoted}</script><script>{script}</script>',
        encoding="utf-8",
    )
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars"]
    command += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
    ]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", wrapper.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    match = re.search(r"FOUND (.*?) END", html.unescape(done.stdout))
    assert match, done.stdout[-500:]
    return match[1]


def test_the_page_is_made_where_the_compiled_one_cannot_be_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = make_report()
    kept = render(report)
    monkeypatch.setattr("curator.report.html.__file__", str(tmp_path / "absent" / "html.py"))
    assert render(report) == kept
    assert not (tmp_path / "absent").exists()


def test_a_difference_that_rounds_to_nothing_has_no_sign_of_a_loss() -> None:
    assert [format_difference(value) for value in (-0.00001, 0.00001, -0.0312, None)] == [
        "+0.0000",
        "+0.0000",
        "−0.0312",
        "",
    ]
