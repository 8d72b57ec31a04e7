"""The packaged sample is what `pipelines/sample/LICENCES.md` and `truth.jsonl` say it is."""

from __future__ import annotations

import collections
import hashlib
import io
import ipaddress
import json
import re
import unicodedata
from collections.abc import Sequence
from importlib import resources
from typing import TypedDict

import ftfy
import phonenumbers
import pytest
import zstandard
from stdnum import iban, luhn

SAMPLE = resources.files("pipelines") / "sample"
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
MARKS = "".join(chr(code) for code in range(0x300, 0xFFFF) if unicodedata.category(chr(code))[0] == "M")
UNIT = re.compile(rf"[{UNSPACED}][{MARKS}]*|[^\W{UNSPACED}][^\W{UNSPACED}]*(?:[{MARKS}]+[^\W{UNSPACED}]*)*")
REGIONS = {"en": ("GB", "US"), "pt-BR": ("BR",), "sv": ("SE",)}


class Record(TypedDict, total=False):
    """A document of the sample."""

    id: str
    text: str
    source: str
    lang: str
    url: str
    synthetic: bool


class Value(TypedDict):
    """Where a planted value stands."""

    kind: str
    begin: int
    end: int


class Detail(TypedDict, total=False):
    """What is known about a planted record, by kind."""

    change: str
    rate: float
    edits: int
    units: int
    jaccard: float
    noise: str
    clean_sha256: str
    values: list[Value]


class Truth(TypedDict):
    """A planted record."""

    id: str
    kind: str
    of: str | None
    detail: Detail


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    """All records by id; an id that repeats fails here."""
    found: dict[str, Record] = {}
    for entry in SAMPLE.iterdir():
        if entry.name.endswith(".jsonl.zst"):
            with entry.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
                for line in io.TextIOWrapper(stream, "utf-8"):
                    record: Record = json.loads(line)
                    assert record["id"] not in found
                    found[record["id"]] = record
    return found


@pytest.fixture(scope="module")
def truth() -> list[Truth]:
    """The lines of truth.jsonl."""
    return [json.loads(line) for line in (SAMPLE / "truth.jsonl").read_text("utf-8").splitlines()]


def units(text: str) -> list[str]:
    """Words, or characters in scripts without spaces, as they are compared."""
    return UNIT.findall(unicodedata.normalize("NFKC", text).casefold())


def shingles(text: str) -> set[tuple[str, ...]]:
    """The 5-grams of units."""
    words = units(text)
    return {tuple(words[place : place + 5]) for place in range(max(1, len(words) - 4))}


def distance_within(first: Sequence[str], second: Sequence[str], limit: int) -> int | None:
    """Levenshtein distance if it is at most `limit` (Ukkonen's band), else None."""
    previous = {column: column for column in range(min(limit, len(second)) + 1)}
    for row, left in enumerate(first, start=1):
        current: dict[int, int] = {}
        for column in range(max(0, row - limit), min(len(second), row + limit) + 1):
            best = min(previous.get(column, limit + 1), current.get(column - 1, limit + 1)) + 1
            if column:
                best = min(best, previous.get(column - 1, limit + 1) + (left != second[column - 1]))
            current[column] = row if column == 0 else best
        previous = current
    found = previous.get(len(second), limit + 1)
    return found if found <= limit else None


def script(character: str) -> str:
    """The script of a letter, roughly: the first word of its Unicode name."""
    return unicodedata.name(character, "UNKNOWN").split()[0]


def test_the_compressed_sample_stays_under_4_mb() -> None:
    size = sum(len(entry.read_bytes()) for entry in SAMPLE.iterdir() if entry.is_file())
    assert 1_000_000 < size < 4_000_000


@pytest.mark.slow
def test_it_has_thousands_of_documents_of_natural_length(records: dict[str, Record]) -> None:
    lengths = sorted(len(units(record["text"])) for record in records.values() if "synthetic" not in record)
    assert len(lengths) > 3000
    assert sum(len(record["text"].encode()) for record in records.values()) > 8_000_000
    assert lengths[0] >= 20
    assert 100 < lengths[len(lengths) // 2] < 500
    assert lengths[-1] < 2100


def test_many_languages_are_there_and_low_resource_ones_among_them(records: dict[str, Record]) -> None:
    languages = collections.Counter(record["lang"] for record in records.values() if "lang" in record)
    assert len(languages) >= 60
    assert {"oc", "gl", "ast", "af", "br", "is", "ka", "th", "he", "am", "yo", "qu", "zh-CN", "ja", "ko"} <= set(
        languages
    )
    assert languages["oc"] >= 10


@pytest.mark.slow
def test_at_least_fifteen_scripts_carry_real_amounts_of_text(records: dict[str, Record]) -> None:
    letters = collections.Counter(
        script(character) for record in records.values() for character in record["text"][:400] if character.isalpha()
    )
    expected = {"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "CJK", "HIRAGANA", "HANGUL", "THAI", "GREEK", "HEBREW"}
    expected |= {"GEORGIAN", "ARMENIAN", "ETHIOPIC", "TAMIL", "BENGALI", "KHMER"}
    assert {name for name in expected if letters[name] < 1000} == set()


def test_a_share_of_the_records_names_no_language(records: dict[str, Record]) -> None:
    share = sum("lang" not in record for record in records.values()) / len(records)
    assert 0.15 < share < 0.4


def test_there_are_several_source_groups_and_some_urls(records: dict[str, Record]) -> None:
    groups = collections.Counter(record["source"].split(":")[0] for record in records.values())
    assert set(groups) == {"udhr", "help", "handbook", "web", "mail"}
    assert sum("url" in record for record in records.values()) > 1000


def test_texts_are_clean_paragraphs_without_markup(records: dict[str, Record]) -> None:
    real = [record for record in records.values() if record["source"].split(":")[0] in ("udhr", "help", "handbook")]
    for record in real:
        assert record["text"] == record["text"].strip()
        assert not re.search(r"</?(p|div|span|a|li|gui|em)\b[^<]*>|&(amp|lt|gt|nbsp);|\n\n|  ", record["text"]), record[
            "id"
        ]
        assert unicodedata.is_normalized("NFC", record["text"])


def test_every_planted_record_exists_once_and_the_shares_are_as_documented(
    records: dict[str, Record], truth: list[Truth]
) -> None:
    kinds = collections.Counter(line["kind"] for line in truth)
    assert len({line["id"] for line in truth}) == len(truth)
    assert {line["id"] for line in truth} <= set(records)
    assert {line["of"] for line in truth if line["of"]} <= set(records)
    assert 0.02 < kinds["exact"] / len(records) < 0.04
    assert 0.04 < kinds["near"] / len(records) < 0.06
    about = (SAMPLE / "LICENCES.md").read_text("utf-8")
    for kind, count in kinds.items():
        assert f"| `{kind}` | {count} |" in about


def test_exact_duplicates_have_the_same_folded_units(records: dict[str, Record], truth: list[Truth]) -> None:
    exact = [line for line in truth if line["kind"] == "exact"]
    for line in exact:
        copy, original = records[line["id"]]["text"], records[line["of"] or ""]["text"]
        assert units(copy) == units(original)
        assert (copy == original) == (line["detail"]["change"] == "none")
    assert {line["detail"]["change"] for line in exact} == {"none", "case", "spacing", "punctuation"}


@pytest.mark.slow
def test_near_duplicates_differ_by_the_edits_and_similarity_that_truth_states(
    records: dict[str, Record], truth: list[Truth]
) -> None:
    for line in (line for line in truth if line["kind"] == "near"):
        copy, original = records[line["id"]]["text"], records[line["of"] or ""]["text"]
        detail = line["detail"]
        mine, theirs = shingles(copy), shingles(original)
        assert round(len(mine & theirs) / len(mine | theirs), 4) == detail["jaccard"]
        # Leaving out a unit between two others can join them, which counts as two.
        distance = distance_within(units(original), units(copy), 2 * detail["edits"])
        assert distance is not None, line["id"]
        assert distance > 0
        assert detail["edits"] == max(1, round(detail["rate"] * detail["units"]))


def test_duplicates_are_planted_in_every_script_with_and_without_spaces(
    records: dict[str, Record], truth: list[Truth]
) -> None:
    planted = {script(next(filter(str.isalpha, records[line["of"]]["text"]))) for line in truth if line["of"]}
    assert planted >= {
        "LATIN",
        "CYRILLIC",
        "ARABIC",
        "CJK",
        "THAI",
        "KHMER",
        "LAO",
        "GREEK",
        "HEBREW",
        "HANGUL",
        "TAMIL",
    }
    similarities = [line["detail"]["jaccard"] for line in truth if line["kind"] == "near"]
    assert sum(value >= 0.85 for value in similarities) > 50
    assert sum(value < 0.7 for value in similarities) > 50


def test_damaged_texts_are_repaired_by_ftfy_to_what_they_were(records: dict[str, Record], truth: list[Truth]) -> None:
    damaged = [line for line in truth if line["detail"].get("noise") == "mojibake"]
    assert len(damaged) >= 10
    for line in damaged:
        text = records[line["id"]]["text"]
        assert hashlib.sha256(ftfy.fix_encoding(text).encode()).hexdigest() == line["detail"]["clean_sha256"]
        assert hashlib.sha256(text.encode()).hexdigest() != line["detail"]["clean_sha256"]


def test_every_kind_of_noise_is_there(truth: list[Truth]) -> None:
    noise = collections.Counter(line["detail"]["noise"] for line in truth if line["kind"] == "noise")
    assert set(noise) == {"letters", "repeated", "base64", "digits", "mojibake"}
    assert min(noise.values()) >= 5


def test_planted_personal_data_passes_its_checks_and_is_marked_synthetic(
    records: dict[str, Record], truth: list[Truth]
) -> None:
    seen: collections.Counter[str] = collections.Counter()
    languages = set()
    for line in (line for line in truth if line["kind"] == "pii"):
        record = records[line["id"]]
        assert record["synthetic"] is True
        lang = record["source"].split(":")[1].split("/")[0]
        languages.add(lang)
        for value in line["detail"]["values"]:
            found = record["text"][value["begin"] : value["end"]]
            assert is_valid(value["kind"], found, lang), (line["id"], value["kind"])
            seen[value["kind"]] += 1
    assert len(languages) >= 8
    assert {kind for kind, count in seen.items() if count >= 20} == {
        "name",
        "email",
        "phone",
        "iban",
        "card",
        "ip",
        "national",
    }


def is_valid(kind: str, value: str, lang: str) -> bool:
    """Whether a planted value is what its kind says."""
    if kind == "phone":
        numbers = [phonenumbers.parse(value, region) for region in REGIONS.get(lang, (lang.upper(),))]
        return any(map(phonenumbers.is_valid_number, numbers))
    if kind == "ip":
        return not ipaddress.ip_address(value).is_global
    if kind == "iban":
        return bool(iban.is_valid(value))
    if kind == "card":
        return bool(luhn.is_valid(re.sub(r"[ -]", "", value)))
    if kind == "email":
        return re.fullmatch(r"[a-z0-9.]+@(mail\.)?example\.(org|com|net)", value) is not None
    return len(value) >= 5
