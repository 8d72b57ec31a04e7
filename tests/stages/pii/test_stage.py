"""The stage: columns, edits, and that all else stays byte for byte."""

from __future__ import annotations

import itertools
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curator.document import Batch
from curator.verdict import EDIT
from stages.pii.detect import KINDS
from stages.pii.mask import mask, mask_texts
from stages.pii.redact import PLACEHOLDERS, redact
from stages.pii.stage import DROP, FLAG, HASH, PSEUDONYM, Pii, PiiParameters
from tests.stages.pii.helpers import batch

TEXTS = [
    "Write to anna@example.org 🙂 or call +49 30 12345678.",
    "Nothing here.",
    "\u200fاتصل على +20 2 12345678 أو a@b.eg\u200f",
    "Herr Müller, DE89 3704 0044 0532 0130 00",
    "",
]
LANGUAGES = ["en", "en", "ar", "de", "fr"]


def run(stage: Pii, documents: Batch) -> tuple[dict[str, pa.Array], dict[int, str]]:
    columns = dict(stage.annotate(documents))
    verdicts = stage.decide(documents, columns, {})
    return columns, dict(zip(verdicts.edits["row"].to_pylist(), verdicts.edits["text"].to_pylist(), strict=True))


def test_personal_data_is_replaced_and_the_rest_stays() -> None:
    columns, edits = run(Pii(PiiParameters()), batch(TEXTS, LANGUAGES))
    assert edits == {
        0: "Write to [REDACTED_EMAIL] 🙂 or call [REDACTED_PHONE].",
        2: "\u200fاتصل على [REDACTED_PHONE] أو [REDACTED_EMAIL]\u200f",
        3: "Herr [REDACTED_NAME], [REDACTED_IBAN]",
    }
    assert columns["pii.count"].to_pylist() == [2, 0, 2, 2, 0]


def test_the_record_holds_kinds_and_places_but_no_values() -> None:
    stage = Pii(PiiParameters())
    documents = batch(TEXTS[:1])
    verdicts = stage.decide(documents, stage.annotate(documents), {})
    assert verdicts.table["action"].to_pylist() == [EDIT, EDIT]
    assert verdicts.table["rule"].to_pylist() == ["pii.email", "pii.phone"]
    details = verdicts.table["detail"].to_pylist()
    assert [(detail["kind"], TEXTS[0][detail["begin"] : detail["end"]]) for detail in details] == [
        ("email", "anna@example.org"),
        ("phone", "+49 30 12345678"),
    ]
    assert "anna" not in str(verdicts.table.to_pydict())


def test_columns_have_the_declared_types() -> None:
    stage = Pii(PiiParameters())
    columns = stage.annotate(batch(TEXTS, LANGUAGES))
    assert {name: array.type for name, array in columns.items()} == {
        column.name: column.type for column in stage.columns
    }


def test_only_the_kinds_of_the_recipe_are_replaced() -> None:
    _, edits = run(Pii(PiiParameters(kinds=("email",))), batch(TEXTS, LANGUAGES))
    assert edits[0] == "Write to [REDACTED_EMAIL] 🙂 or call +49 30 12345678."
    assert 3 not in edits


@pytest.mark.parametrize("kinds", [(), ("mail",), ("email", "Name")])
def test_kinds_that_do_not_exist_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        PiiParameters(kinds=kinds)


def test_every_kind_has_a_placeholder_and_a_rule() -> None:
    assert set(KINDS) == set(PLACEHOLDERS) == set(PiiParameters().kinds)
    assert set(Pii.rules) == {*(f"pii.{kind}" for kind in KINDS), HASH, PSEUDONYM, DROP, FLAG}
    assert all(re.fullmatch(r"\[REDACTED_[A-Z]+\]", placeholder) for placeholder in PLACEHOLDERS.values())


def test_a_batch_that_is_a_slice_gives_the_same() -> None:
    whole, part = batch(TEXTS, LANGUAGES), Batch(batch(TEXTS, LANGUAGES).documents.slice(2, 2))
    stage = Pii(PiiParameters())
    expected = stage.annotate(whole)["pii.spans"].to_pylist()[2:4]
    assert stage.annotate(part)["pii.spans"].to_pylist() == expected


def test_an_empty_batch_has_empty_columns() -> None:
    columns, edits = run(Pii(PiiParameters()), batch([]))
    assert all(len(column) == 0 for column in columns.values())
    assert edits == {}


PIECES = st.sampled_from(
    [
        "a@b.org",
        "+49 30 12345678",
        "8.8.8.8",
        "Anna Miller",
        "4111 1111 1111 1111",
        "http://a:b1@c/",
        " ",
        "\n",
        "é",
        "🙂",
    ]
)


@pytest.mark.slow
@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=12).map("".join))
def test_text_outside_the_spans_is_untouched(text: str) -> None:
    documents = batch([text.replace("\ud800", "")])
    columns, edits = run(Pii(PiiParameters()), documents)
    spans = columns["pii.spans"][0].as_py()
    assert all(before["end"] <= after["begin"] for before, after in itertools.pairwise(spans))
    assert all(span["begin"] < span["end"] <= len(text) for span in spans)
    if spans:
        ends = [0, *(span["end"] for span in spans)]
        begins = [*(span["begin"] for span in spans), len(text)]
        kept = [text[end:begin] for end, begin in zip(ends, begins, strict=True)]
        placeholders = [PLACEHOLDERS[span["kind"]] for span in spans]
        assert edits[0] == "".join(part for pair in zip(kept, [*placeholders, ""], strict=True) for part in pair)


def test_redacted_text_has_nothing_left_to_redact() -> None:
    once = mask_texts(TEXTS, LANGUAGES)
    assert mask_texts(once, LANGUAGES) == once


def test_the_more_certain_span_wins_where_two_overlap() -> None:
    assert mask("anna.miller@example.org", "en") == "[REDACTED_EMAIL]"
    assert mask("https://Anna:Miller99@example.org/", "en") == "https://[REDACTED_CREDENTIALS]@example.org/"
    assert mask("DE89 3704 0044 0532 0130 00", "de") == "[REDACTED_IBAN]"


def test_masking_takes_any_tag() -> None:
    assert mask("mail a@b.org", "zh-Hant-TW") == "mail [REDACTED_EMAIL]"
    assert mask("mail a@b.org", "no such tag!") == "mail [REDACTED_EMAIL]"
    assert mask_texts([], []) == []


def test_coverage_says_what_is_not_checked() -> None:
    stage = Pii(PiiParameters())
    assert stage.coverage("de") is None
    assert "names not checked" in (stage.coverage("und") or "")
    assert "telephone" in (stage.coverage("und") or "")
    assert Pii(PiiParameters(kinds=("email",))).coverage("und") is None


def test_redact_keeps_a_text_without_spans() -> None:
    assert redact("abc", []) == "abc"


def test_nested_brackets_and_a_megabyte_without_a_space_are_read() -> None:
    texts = ["[" * 10_000 + "]" * 10_000, "x" * 1_000_000, "ж" * 500_000, "漢" * 300_000]
    assert mask_texts(texts, ["en", "en", "ru", "zh"]) == texts
