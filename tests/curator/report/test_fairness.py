"""The page of the vocabulary report: every number, hostile names, no English, many languages, a browser."""

from __future__ import annotations

from pathlib import Path

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.report import charts
from curator.report.fairness import FairnessPage, LanguageRow, TokenizerRows, render_fairness
from tests.curator.report.test_html import CHROMIUM, HOSTILE, measure

TAGS = [f"{first}{second}" for first in "abcdefg" for second in "nopqrst"]


def tokenizer(name: str, factor: float = 1.0, *, english: bool = True) -> TokenizerRows:
    """49 languages; the first is the dearest."""
    rows = tuple(
        LanguageRow(
            tag=tag,
            name=f"Language {tag}",
            words=1_234 + place,
            tokens_per_word=factor * (9.5 - 0.125 * place),
            tokens_per_character=factor * 0.25 + place / 1000,
            against_english=7.5 - 0.125 * place if english else None,
            unknown=place / 10_000,
            parts=place / 1000,
        )
        for place, tag in enumerate(TAGS)
    )
    return TokenizerRows(name, 32_000, factor * 6.5, rows)


ONE = FairnessPage("declaration.jsonl.zst", (tokenizer("mine.model"),))
TWO = FairnessPage("declaration.jsonl.zst", (tokenizer("mine.model"), tokenizer("theirs.json", 1.5)))


def cells(page: str, label: str) -> list[list[str]]:
    """The cells of the table in the region of this label."""
    region = lxml.html.fromstring(page).xpath(f'//div[@aria-label="{label}"]//tbody/tr')
    return [[" ".join(cell.text_content().split()) for cell in row] for row in region]


def test_the_page_has_every_number_of_the_table() -> None:
    found = cells(render_fairness(ONE), "All numbers of mine.model")
    assert len(found) == len(TAGS)
    assert found[2] == ["ap Language ap", "1,236", "9.250", "0.252", "7.250", "0.02%", "0.20%"]


def test_a_bar_for_each_language_is_as_long_as_it_is_dear_and_english_is_marked() -> None:
    tree = lxml.html.fromstring(render_fairness(ONE))
    widths = [float(rect.get("width").rstrip("%")) for rect in tree.xpath('//section[@id="tokenizer1"]//td//rect')]
    assert len(widths) == len(TAGS)
    assert widths[:3] == pytest.approx([100, 100 * 7.375 / 7.5, 100 * 7.25 / 7.5], abs=0.01)
    marks = {line.get("x1") for line in tree.xpath('//section[@id="tokenizer1"]//td//line')}
    assert marks == {"13.33%"}


def test_tokenizers_stand_side_by_side_where_they_differ_the_most_first() -> None:
    tree = lxml.html.fromstring(render_fairness(TWO))
    rows = tree.xpath('//section[@id="comparison"]//tbody/tr')
    assert len(rows) == len(TAGS)
    assert rows[0].text_content().split() == ["an", "Language", "an1:", "9.5002:", "14.250", "9.500", "·", "14.250"]
    dots = rows[0].xpath(".//circle")
    assert [dot.get("class") for dot in dots] == ["s0", "s1"]
    assert [float(dot.get("cx").rstrip("%")) for dot in dots] == pytest.approx([100 * 9.5 / 14.25, 100], abs=0.01)


def test_without_english_bars_are_tokens_per_word() -> None:
    page = FairnessPage("mine.tsv", (tokenizer("mine.model", english=False),))
    tree = lxml.html.fromstring(render_fairness(page))
    assert not tree.xpath('//section[@id="tokenizer1"]//td//line')
    assert "times the tokens of English" not in tree.text_content()
    assert cells(render_fairness(page), "All numbers of mine.model")[0][4] == ""


def test_a_language_that_shares_no_line_with_english_has_no_bar_on_its_scale() -> None:
    rows = (*tokenizer("m").rows[:2], LanguageRow("xx", "", 9, 99.0, 9.0, None, 0.0, 0.0))
    tree = lxml.html.fromstring(render_fairness(FairnessPage("mine.tsv", (TokenizerRows("m", 300, 40.0, rows),))))
    bars = tree.xpath('//section[@id="tokenizer1"]//td[contains(@class, "bar")]')
    assert [len(bar.xpath(".//rect")) for bar in bars] == [1, 1, 0]


def test_a_text_without_a_word_still_has_a_page() -> None:
    row = LanguageRow("en", "English", 0, 0.0, 0.0, None, 0.0, 0.0)
    assert "0.000" in render_fairness(FairnessPage("empty.tsv", (TokenizerRows("m", 300, 0.0, (row,)),)))


def test_hostile_names_stay_text_and_nothing_is_loaded() -> None:
    row = LanguageRow(HOSTILE, HOSTILE, 1, 1.0, 1.0, 1.0, 0.0, 0.0)
    page = render_fairness(FairnessPage(HOSTILE, (TokenizerRows(HOSTILE, 300, 1.0, (row,)),)))
    tree = lxml.html.fromstring(page)
    assert not tree.xpath("//script | //img | //link | //*[@src] | //iframe")
    assert all(anchor.startswith("#") for anchor in tree.xpath("//a/@href"))
    assert "49" not in tree.xpath("//h2")[0].text_content()
    assert "\x1b" not in page


@given(st.floats(0.01, 1e7))
def test_an_axis_has_few_ticks_all_on_it(high: float) -> None:
    places = [float(x.rstrip("%")) for x in lxml.html.fromstring(charts.linear_axis(high, "x")).xpath(".//text/@x")]
    assert 1 <= len(places) <= 11
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_without_sideways_scrolling_errors_or_requests(width: int, tmp_path: Path) -> None:
    long = FairnessPage("x" * 300, (tokenizer("y" * 200), *TWO.tokenizers))
    found = measure(render_fairness(long), width, tmp_path)
    assert found == f"closed {width} opened {width} requests 0 sections 4"
