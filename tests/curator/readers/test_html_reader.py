"""The HTML reader: main text, encodings, and pages that no browser would take."""

from __future__ import annotations

import time

import pytest

from curator.readers.base import ReadOptions
from curator.readers.html import HtmlReader, decode_page, is_malformed, page_text
from tests.curator.readers.reader_files import COMPRESS, read_bytes

READER = HtmlReader()

ARTICLES = {
    "en": ("All human beings are born free and equal in dignity and rights.", "They are endowed with reason."),
    "ru": ("Все люди рождаются свободными и равными в своем достоинстве и правах.", "Они наделены разумом."),
    "ar": ("يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.", "وقد وهبوا عقلاً وضميرًا."),
    "zh": ("人人生而自由，在尊严和权利上一律平等。", "他们赋有理性和良心，并应以兄弟关系的精神相对待。"),
    "ja": (
        "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
        "人間は、理性と良心とを授けられている。",
    ),
    "hi": (
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
        "उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है।",
    ),
    "he": ("כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.", "כולם חוננו בתבונה ובמצפון."),
    "th": ("มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ", "ต่างมีเหตุผลและมโนธรรม"),
    "ko": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
        "인간은 천부적으로 이성과 양심을 부여받았다.",
    ),
    "de": ("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", "Sie sind mit Vernunft begabt."),
}  # Universal Declaration of Human Rights, article 1
PAGE = """<!doctype html><html><head><title>Title</title><style>p {{ color: red }}</style>
<script>var tracking = "script text";</script></head><body>
<div class="cookie-consent">We use cookies.</div><header><nav><ul><li><a href="/">Home</a></li></ul></nav></header>
<main><article><h1>Heading</h1><p>{}</p><img src="x.jpg" alt="picture text"><p>{}
<a href="/x">Link in text</a></p></article>
<form><input value="form text"><button>Send</button></form></main>
<aside class="sidebar"><h3>Most read</h3><ul><li><a href="/1">Another story</a></li></ul></aside>
<footer>Copyright 2021</footer></body></html>"""


@pytest.mark.parametrize("language", ARTICLES)
def test_the_article_stays_and_what_is_around_it_goes(language: str) -> None:
    page = PAGE.format(*ARTICLES[language]).encode()
    text = page_text(page)
    for sentence in (*ARTICLES[language], "Heading", "Link in text"):
        assert sentence in text
    for noise in ("cookies", "Home", "script", "color", "Most read", "Another story", "Copyright", "Send", "picture"):
        assert noise not in text


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("ru", "windows-1251"),
        ("ru", "koi8-r"),
        ("ja", "shift_jis"),
        ("ja", "euc_jp"),
        ("ja", "iso2022_jp"),
        ("ko", "euc_kr"),
        ("zh", "gb18030"),
        ("th", "tis-620"),
        ("he", "windows-1255"),
        ("de", "iso-8859-1"),
        ("ar", "utf-8"),
        ("hi", "utf-16"),
        ("hi", "utf-16-le"),
        ("hi", "utf-16-be"),
        ("hi", "utf-32"),
        ("hi", "utf-8-sig"),
    ],
)
def test_the_encoding_is_taken_from_meta_from_http_or_from_a_byte_order_mark(language: str, encoding: str) -> None:
    sentence = ARTICLES[language][0]
    page = f"<html><body><p>{sentence}</p></body></html>"
    if not encoding.startswith(("utf-16", "utf-32", "utf-8-sig")):
        meta = f'<meta charset="{encoding}">{page}'.encode(encoding)
        assert sentence in decode_page(meta)
    assert page == decode_page(page.encode(encoding), encoding)


@pytest.mark.parametrize(
    ("sentence", "name", "encoding"),
    [
        (ARTICLES["ko"][0] + " 똠방각하 펲시콜라", "euc-kr", "cp949"),
        (ARTICLES["ko"][0] + " 똠방각하 펲시콜라", "ks_c_5601-1987", "cp949"),
        (ARTICLES["ja"][0] + "①㈱～", "shift_jis", "cp932"),
        (ARTICLES["ja"][0] + "①㈱～", "windows-31j", "cp932"),
        ("佢哋賦有理性，人人生而自由，在尊嚴和權利上一律平等。", "big5", "big5hkscs"),
        (ARTICLES["zh"][0] + "𠮷", "gb2312", "gb18030"),
    ],
)
def test_a_name_means_the_wider_encoding_that_browsers_take_it_for(sentence: str, name: str, encoding: str) -> None:
    page = f"<p>{sentence}</p>".encode(encoding)
    assert sentence in decode_page(page, name)
    assert sentence in decode_page(f'<meta charset="{name}">'.encode() + page)


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("ru", "windows-1251"),
        ("ru", "mac_cyrillic"),
        ("ja", "shift_jis"),
        ("ko", "euc_kr"),
        ("ko", "cp949"),
        ("de", "cp1252"),
    ],
)
def test_without_a_word_on_it_the_encoding_is_detected(language: str, encoding: str) -> None:
    sentence = ARTICLES[language][0]
    assert sentence in decode_page(f"<html><body><p>{sentence}</p></body></html>".encode(encoding))


def test_valid_utf8_is_believed_before_a_wrong_declaration() -> None:
    page = f'<meta charset="iso-8859-1"><p>{ARTICLES["ru"][0]}</p>'.encode()
    assert ARTICLES["ru"][0] in decode_page(page, "iso-8859-1")


def test_one_damaged_byte_costs_one_character_and_not_the_encoding() -> None:
    sentence = ARTICLES["ru"][0]
    page = f'<meta charset="utf-8"><p>{sentence}</p><p>x'.encode() + b"\xff"
    text = decode_page(page)
    assert sentence in text
    assert text.count("\ufffd") == 1


def test_a_declaration_that_does_not_fit_the_bytes_is_not_believed() -> None:
    page = f'<meta charset="utf-8"><p>{ARTICLES["ru"][0]}</p>'.encode("windows-1251")
    assert ARTICLES["ru"][0] in decode_page(page)
    assert "Würde" in decode_page("<p>Würde</p>".encode("cp1252"), "no-such-encoding")


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_file_is_one_document_with_its_name_as_id(compression: str) -> None:
    page = PAGE.format(*ARTICLES["en"]).encode()
    found = read_bytes(READER, page, ReadOptions(), 10, compression)
    assert [(row["id"], row["position"], row["lang"], row["source"]) for row in found.rows] == [
        ("input", 0, None, None)
    ]
    assert ARTICLES["en"][0].encode() in found.records[0][1]
    assert len(found.splits) == 1


@pytest.mark.parametrize("page", [b"<html></html>", b"<script>x</script>", b" ", b"\x00", b"<", b"\xff\xfe"])
def test_a_page_without_text_is_a_document_without_text(page: bytes) -> None:
    found = read_bytes(READER, page, ReadOptions())
    assert found.failures == []
    assert len(found.records) == 1


def test_an_empty_file_has_no_document() -> None:
    assert read_bytes(READER, b"", ReadOptions()).splits == []


def test_a_page_over_the_limit_fails() -> None:
    found = read_bytes(READER, b"<p>text" * 100, ReadOptions(max_document_bytes=100))
    assert found.failures == [(0, "document.too_large")]


@pytest.mark.parametrize(
    "page",
    [
        b"<div>" * 100_000 + b"text",
        b"<DIV class=x>" * 600 + b"text",
        b"<article>" * 50_000,
        b"<p>text</p><div " + b" ".join(b"a%d" % n for n in range(50_000)) + b">",
        b"<p>text</p><div " + b" ".join(b"a%d=1" % n for n in range(50_000)),
        ("<div>" * 100_000 + "text").encode("utf-16"),
        ("<div>" * 100_000 + "text").encode("utf-16-be"),
    ],
)
def test_a_page_that_would_take_quadratic_time_fails_at_once(page: bytes) -> None:
    begin = time.process_time()
    assert read_bytes(READER, page, ReadOptions()).failures == [(0, "html.malformed")]
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    "page",
    [
        b"<div>text</div>" * 20_000,
        b"<div>" * 400 + b"text",
        b"<p>" + b"a long text " * 10_000,
        b'<img src="data:image/png;base64,' + b"A" * 100_000 + b'"><p>text',
        b'<img alt="' + b"many words " * 10_000 + b'"><p>text',
        b"<script>" + b"if (a<b) c(); " * 10_000 + b"</script>",
    ],
)
def test_large_but_ordinary_pages_are_not_malformed(page: bytes) -> None:
    assert not is_malformed(page)
