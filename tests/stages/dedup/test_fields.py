"""Ranks and URLs from metadata."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup.fields import LAST_RANK, rank_of_field, url_hashes
from stages.dedup.urls import canonical_url


def metadata(*values: object) -> pa.StringArray:
    return pa.array([json.dumps({"x": value}) for value in values], pa.string())


def test_the_oldest_day_comes_first_and_what_is_no_date_last() -> None:
    column = metadata("2020-01-02", "2019-12-31T23:59:59Z", 1577836800, "yesterday", None, [1], 1e300)
    ranks = rank_of_field(column, "x", "oldest").tolist()
    assert ranks[1] < ranks[2] < ranks[0] < LAST_RANK
    assert ranks[2] == ranks[0] - 1, "2020-01-01 in seconds"
    assert ranks[3:] == [LAST_RANK] * 4
    newest = rank_of_field(column, "x", "newest").tolist()
    assert newest[0] < newest[2] < newest[1] < LAST_RANK
    assert newest[3:] == [LAST_RANK] * 4


def test_a_year_a_month_and_seconds_as_text_are_dates() -> None:
    column = metadata("2001", "2000-12", "946684800", 946684800, "2001-01-01", "1999-13", "12 May")
    ranks = rank_of_field(column, "x", "oldest").tolist()
    assert ranks[2] == ranks[3] < ranks[1] < ranks[0] == ranks[4] < LAST_RANK
    assert ranks[5:] == [LAST_RANK] * 2


def test_a_time_with_an_offset_counts_by_its_day_in_utc() -> None:
    column = metadata("2024-01-01T23:30:00-05:00", "2024-01-02T00:30:00Z", "2024-01-02", "9999-12-31T23:00:00-05:00")
    ranks = rank_of_field(column, "x", "oldest").tolist()
    assert ranks[0] == ranks[1] == ranks[2] < ranks[3] == LAST_RANK


def test_a_number_that_is_too_great_for_a_float_is_the_best() -> None:
    column = metadata(10**400, 1e300, "9" * 400, 7, -(10**400), "seven", [7], None)
    ranks = rank_of_field(column, "x", "best").tolist()
    assert ranks[0] == ranks[1] == ranks[2] < ranks[3] < ranks[4] < LAST_RANK
    assert ranks[5:] == [LAST_RANK] * 3
    assert rank_of_field(metadata(10**400), "x", "newest").tolist() == [LAST_RANK]


def test_a_document_without_metadata_comes_last() -> None:
    assert rank_of_field(pa.array([None, "{}"], pa.string()), "x", "best").tolist() == [LAST_RANK, LAST_RANK]


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=2, max_size=30))
def test_a_higher_score_never_comes_after_a_lower_one(scores: list[float]) -> None:
    finite = [score for score in scores if np.isfinite(score)]
    ranks = rank_of_field(metadata(*finite), "x", "best").tolist()
    pairs = [(a, b) for a in zip(finite, ranks, strict=True) for b in zip(finite, ranks, strict=True)]
    assert all(a[1] <= b[1] for a, b in pairs if a[0] > b[0])
    clearly = [(a, b) for a, b in pairs if b[0] > 0 and a[0] > b[0] * 1.001 and np.isfinite(a[0])]
    assert all(a[1] < b[1] for a, b in clearly)


@pytest.mark.parametrize(
    "same",
    [
        ["http://example.org", "https://www.example.org/", "HTTP://EXAMPLE.ORG:80/#top", "http://u:p@example.org/"],
        ["http://a.b/x/../y?b=2&a=1", "https://a.b/y/?a=1&b=2&utm_source=mail&fbclid=7", "http://a.b/%79?a=1&b=2"],
        ["http://b\u00fccher.de/\u00e4", "http://xn--bcher-kva.de/%c3%a4"],
        ["http://a.b/shop;jsessionid=1F?id=3", "http://a.b/shop?id=3&PHPSESSID=99"],
        ["http://a.b/?id=3&pk_campaign=x&mtm_source=y&pk_kwd", "http://a.b/?id=3"],
        ["http://a.b/?id=3&lang=de", "http://a.b/?lang=de&amp;id=3", "http://a.b/?id=3&amp;lang=de&amp;srsltid=Afm"],
        ["http://a.b/#!/%7Ex", "https://www.a.b/?utm_source=z#!/~x"],
    ],
)
def test_ways_of_writing_a_url_are_one(same: list[str]) -> None:
    assert len({canonical_url(url) for url in same}) == 1
    hashes = url_hashes(metadata(*same), "x")
    assert (hashes == hashes[0]).all()
    assert hashes.any()


def test_other_pages_stay_other_pages() -> None:
    urls = ["http://a.b/?id=1", "http://a.b/?id=2", "http://a.b/x", "http://a.b:8080/", "http://c.a.b/", "http://a.b/X"]
    assert len({canonical_url(url) for url in urls}) == len(urls)


def test_a_fragment_that_names_a_page_and_an_own_parameter_stay() -> None:
    urls = ["http://a.b/#!topic/1", "http://a.b/#!topic/2", "http://a.b/#/1", "http://a.b/#/2", "http://a.b/#top"]
    urls += ["http://a.b/?pk_id=1", "http://a.b/?pk_id=2", "http://a.b/?pk=1", "http://a.b/?mtm_page=1"]
    assert len({canonical_url(url) for url in urls}) == len(urls)


def test_what_is_no_web_page_has_no_url() -> None:
    assert [canonical_url(url) for url in ("", "a.b/c", "mailto:a@b.c", "ftp://a.b/", "http://", "file:///x")] == [
        None
    ] * 6
    assert not url_hashes(metadata("a.b/c", None, 7), "x").any()
