"""The entropy stage: what it measures, what it drops, and what it must leave alone."""

from __future__ import annotations

import base64
import collections
import io
import itertools
import json
import math
import random
import string
from collections.abc import Callable
from importlib import resources

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import Batch
from curator.verdict import round_score
from stages.entropy.characters import ORDER_PAIRS, ORDER_PAIRS_PER_CLASS
from stages.entropy.compression import COMPARABLE_BYTES
from stages.entropy.parameters import EntropyParameters, Thresholds
from stages.entropy.stage import Entropy
from stages.entropy.units import MEASURED_UNITS, SEQUENCE_CHARACTERS, SEQUENCE_UNITS


def batch_of(texts: list[str], source: str = "web", lang: str = "und") -> Batch:
    count = len(texts)
    return Batch(
        pa.RecordBatch.from_pydict(
            {
                "text": pa.array(texts, pa.string()),
                "source": pa.array([source] * count, pa.string()),
                "lang": pa.array([lang] * count, pa.string()),
            }
        )
    )


def measure(texts: list[str]) -> dict[str, list[float | None]]:
    columns = Entropy(EntropyParameters()).annotate(batch_of(texts))
    return {name.removeprefix("entropy."): column.to_pylist() for name, column in columns.items()}


def rules_for(
    texts: list[str], parameters: EntropyParameters | None = None, source: str = "web", lang: str = "und"
) -> list[str | None]:
    stage = Entropy(parameters or EntropyParameters())
    batch = batch_of(texts, source, lang)
    columns = {**stage.annotate(batch), "units": pa.array(batch.units.counts)}
    table = stage.decide(batch, columns, {}).table
    found: list[str | None] = [None] * len(texts)
    for row, rule in zip(table["row"].to_pylist(), table["rule"].to_pylist(), strict=True):
        assert found[row] is None
        found[row] = rule
    return found


# References in plain Python


def entropy_of(items: list[int] | str) -> float:
    counts = collections.Counter(items)
    total = len(items)
    if len(counts) < 2:
        return 0.0
    plain = -sum(count / total * math.log2(count / total) for count in counts.values())
    return plain + (len(counts) - 1) / (2 * total * math.log(2))


def repetition_of(hashes: list[int], line_of: list[int], length: int) -> float:
    covered = [False] * len(hashes)
    before: set[tuple[int, ...]] = set()
    for begin in range(len(hashes) - length + 1):
        sequence = tuple(hashes[begin : begin + length])
        if len(hashes) > length and sequence in before:
            covered[begin : begin + length] = [True] * length
        before.add(sequence)
    lines: dict[int, list[int]] = {}
    for place, line in enumerate(line_of):
        lines.setdefault(line, []).append(place)
    before = set()
    for places in lines.values():
        content = tuple(hashes[place] for place in places)
        if content in before:
            for place in places:
                covered[place] = True
        before.add(content)
    return sum(covered) / len(covered) if covered else 0.0


def class_of(character: str) -> int | None:
    if ord(character) >= 128:
        return ord(character) % 64
    if character.isalpha():
        return string.ascii_lowercase.index(character.lower()) + 1
    return 32 + int(character) if character.isdigit() else None


def order_of(text: str) -> float | None:
    classes = [class_of(character) for character in text]
    pairs = [(a, b) for a, b in itertools.pairwise(classes) if a is not None and b is not None]
    both = collections.Counter(pairs)
    left = collections.Counter(a for a, _ in pairs)
    right = collections.Counter(b for _, b in pairs)
    if len(pairs) < max(ORDER_PAIRS, ORDER_PAIRS_PER_CLASS * len(left)):
        return None
    total = len(pairs)
    information = sum(count / total * math.log2(count * total / (left[a] * right[b])) for (a, b), count in both.items())
    once = sum(count == 1 for count in both.values())
    twice = sum(count == 2 for count in both.values())
    possible = min(len(both) + once * (once - 1) / (2 * (twice + 1)), len(left) * len(right))
    return information - (possible - len(left) - len(right) + 1) / (2 * total * math.log(2))


def near(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-9)


WORDS = st.sampled_from(
    ["a", "b", "the", "The", "ключ", "x1", "42", "字", "典", "ไ", "ท", "é", "e\u0301", "😀", "\u200d", "ع"]
)
SEPARATORS = st.sampled_from([" ", "\n", "  ", ", ", "\n\n", "", "\0", "\u202e", " -- \n", " --  \n", "    ...  "])
TEXT = st.one_of(
    st.lists(st.tuples(WORDS, SEPARATORS), max_size=60).map(lambda parts: "".join(a + b for a, b in parts)),
    st.tuples(st.text(st.sampled_from("abcdeABCDE019 .字典ไท😀éж\n"), max_size=90), st.integers(1, 12)).map(
        lambda pair: pair[0] * pair[1]
    ),
    st.text(st.characters(codec="utf-8"), max_size=60),
)


@pytest.mark.slow
@given(texts=st.lists(TEXT, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_every_measure_equals_its_plain_reference(texts: list[str]) -> None:
    found = measure(texts)
    batch = batch_of(texts)
    data, _ = batch.text_buffer
    units = batch.units
    for row, text in enumerate(texts):
        places = range(units.offsets[row], units.offsets[row + 1])
        hashes = [int(units.hashes[place]) for place in places]
        unspaced = sum(int(units.kinds[place]) & 8 > 0 for place in places)
        line_of = [data[: units.starts[place]].tobytes().count(b"\n") for place in places]
        length = SEQUENCE_CHARACTERS if 2 * unspaced > len(hashes) else SEQUENCE_UNITS
        assert near(found["bits"][row], entropy_of(hashes))
        assert near(found["characters"][row], entropy_of(text))
        assert near(found["repetition"][row], repetition_of(hashes, line_of, length))
        assert near(found["order"][row], order_of(text)) or near(
            (found["order"][row] or 0) + 1, (order_of(text) or 0) + 1
        )
        assert near(found["unspaced"][row], unspaced / len(hashes) if hashes else 0.0)
        share = entropy_of(hashes) / math.log2(min(max(len(hashes), 2), 1024))
        assert near(found["normalised"][row], None if len(hashes) < 2 else min(share, 1.0))


def test_a_text_with_every_pair_of_classes_is_measured_and_leaves_no_trace_in_the_next() -> None:
    letters = [chr(0x400 + place) for place in range(64)]
    every = "".join(former + latter for former in letters for latter in letters) + "the end of it"
    found = measure([every, every[:4000], every])["order"]
    for order, text in zip(found, (every, every[:4000], every), strict=True):
        expected = order_of(text)
        assert order is not None
        assert expected is not None
        assert near(order + 1, expected + 1)


@pytest.mark.slow
@given(texts=st.lists(TEXT, min_size=1, max_size=4), skip=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_a_document_is_measured_alike_alone_and_in_any_batch(texts: list[str], skip: int) -> None:
    together = measure(texts)
    for name, values in together.items():
        sliced = Entropy(EntropyParameters()).annotate(Batch(batch_of(texts).documents.slice(min(skip, len(texts)))))
        assert sliced[f"entropy.{name}"].to_pylist() == values[skip:]
    for row, text in enumerate(texts):
        assert {name: values[0] for name, values in measure([text]).items()} == {
            name: values[row] for name, values in together.items()
        }


def test_the_middle_of_a_very_long_text_is_measured() -> None:
    chance = random.Random(5)
    words = [f"w{chance.randint(0, 5000)}" for _ in range(MEASURED_UNITS)]
    middle = " ".join(words)
    edge = "same " * 1000
    inside, whole = measure([middle]), measure([edge + middle + " " + edge])
    assert inside["bits"] == whole["bits"]
    assert inside["repetition"] == whole["repetition"]


def test_compression_is_the_ratio_of_zstd_for_the_middle_of_a_text() -> None:
    texts = [
        "short",
        "",
        "x" * (COMPARABLE_BYTES - 1),
        "x" * COMPARABLE_BYTES,
        "na " * 400,
        "".join(random.Random(1).choices(string.printable, k=9000)),
    ]
    found = measure(texts)["compression"]
    assert found[:3] == [None, None, None]
    for text, ratio in list(zip(texts, found, strict=True))[3:]:
        raw = text.encode()
        assert len(raw) >= COMPARABLE_BYTES
        begin = max(0, (len(raw) - 4096) // 2)
        compressor = zstandard.ZstdCompressor(level=-1, write_content_size=False)
        piece = raw[begin : begin + 4096]
        expected = round_score(np.array([len(compressor.compress(piece)) / len(piece)]))[0]
        assert ratio == expected


# What falls


def words_of(alphabet: str, chance: random.Random, count: int) -> str:
    return " ".join("".join(chance.choices(alphabet, k=chance.randint(2, 9))) for _ in range(count))


def keyboard_rolls(chance: random.Random, count: int) -> str:
    rows = ["qwertyuiop", "asdfghjkl", "zxcvbnm"]
    words = []
    for _ in range(count):
        word = ""
        while len(word) < 6:
            row, begin = chance.choice(rows), chance.randrange(6)
            word += row[begin : begin + chance.randint(2, 5)][:: chance.choice([1, -1])]
        words.append(word)
    return " ".join(words)


SENTENCE = "The quick brown fox jumps over the lazy dog near the bank of the river. "
PARAGRAPH = (
    "Everyone has the right to life, liberty and security of person, and nobody shall be held in slavery or servitude; "
    "slavery and the slave trade shall be prohibited in all their forms, wherever they are found by the courts of law. "
)
MENU = "Home\nAbout us\nContact\nProducts\nLog in\nRegister\nPrivacy policy\nTerms of use\n"

NOISE: dict[str, Callable[[random.Random, int], str]] = {
    "random letters": lambda chance, n: words_of(string.ascii_lowercase, chance, n),
    "random letters of both cases": lambda chance, n: words_of(string.ascii_letters, chance, n),
    "random Cyrillic letters": lambda chance, n: words_of("абвгдежзийклмнопрстуфхцчшщъыьэюя", chance, n),
    "keyboard mash": lambda chance, n: words_of("asdfjklasdfghjklqwertyuiopzxcvbnm", chance, n),
    "keyboard rolls": keyboard_rolls,
    "random bytes in base64": lambda chance, n: base64.encodebytes(chance.randbytes(n * 5)).decode(),
    "random bytes in hexadecimal": lambda chance, n: " ".join(chance.randbytes(4).hex() for _ in range(n)),
    "a table of numbers": lambda chance, n: "\n".join(
        "\t".join(str(chance.randint(0, 99999)) for _ in range(6)) for _ in range(n // 6)
    ),
    "a table of decimals": lambda chance, n: "\n".join(
        "\t".join(f"{chance.random():.3f}" for _ in range(6)) for _ in range(n // 6)
    ),
    "a table of small numbers": lambda chance, n: "\n".join(
        " ".join(str(chance.randint(0, 99)) for _ in range(10)) for _ in range(n // 10)
    ),
    "one sentence repeated": lambda chance, n: SENTENCE * (n // 15 + 1),
    "one paragraph repeated": lambda chance, n: PARAGRAPH * (n // 36 + 1),
    "a menu repeated": lambda chance, n: MENU * (n // 12 + 1),
    "random ideographs": lambda chance, n: "".join(chr(chance.randint(0x4E00, 0x9FA5)) for _ in range(n)),
    "random Thai letters": lambda chance, n: "".join(chr(chance.randint(0xE01, 0xE2E)) for _ in range(2 * n)),
}


@pytest.mark.parametrize("units", [320, 1000, 5000])
@pytest.mark.parametrize("kind", NOISE)
def test_noise_and_boilerplate_fall(kind: str, units: int) -> None:
    texts = [NOISE[kind](random.Random(seed), units) for seed in range(8)]
    assert all(rules_for(texts)), kind


@pytest.mark.parametrize("text", ["no " * 20, "ha! " * 40, "=-=- " * 5 + "yes no " * 30, "啊" * 60])
def test_a_short_text_that_says_one_thing_falls_by_normalised_entropy_or_repetition(text: str) -> None:
    assert rules_for([text])[0] in {"entropy.low_normalised", "entropy.repetition"}


# What stays


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes.",
        "👍",
        "1",
        "東京",
        "no no no",
        "All human beings are born free and equal in dignity and rights.",
        "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
        "சமுதாயத்தின் பண்பாட்டு வாழ்க்கையிற் சுதந்திரமாகப் பங்குகொள்வதற்கும், கலைகளைத் துய்ப்பதற்கும்",
    ],
)
def test_a_short_text_stays(text: str) -> None:
    assert rules_for([text]) == [None]


def sample(name: str) -> list[dict[str, str]]:
    packed = resources.files("pipelines").joinpath("sample", name).read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as stream:
        return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]


@pytest.mark.parametrize("name", ["declarations.jsonl.zst", "handbooks.jsonl.zst"])
def test_at_most_one_clean_text_in_fifty_falls_in_any_language_of_the_sample(name: str) -> None:
    records = sample(name)
    dropped = rules_for([record["text"] for record in records])
    total: collections.Counter[str] = collections.Counter()
    gone: collections.Counter[str] = collections.Counter()
    for record, rule in zip(records, dropped, strict=True):
        group = record.get("lang") or record["id"].split("/")[1]
        total[group] += 1
        gone[group] += rule is not None
    assert len(total) >= 10
    assert sum(gone.values()) <= 0.005 * len(records)
    assert {group for group in total if total[group] >= 50 and gone[group] > 0.02 * total[group]} == set()


def test_every_planted_noise_of_the_sample_falls_except_damaged_encoding() -> None:
    truth = resources.files("pipelines").joinpath("sample", "truth.jsonl").read_text(encoding="utf-8").splitlines()
    planted = {
        entry["id"]
        for entry in map(json.loads, truth)
        if entry["kind"] == "noise" and entry["detail"]["noise"] != "mojibake"
    }
    texts = [record["text"] for record in sample("mail.jsonl.zst") if record["id"] in planted]
    assert texts
    assert all(rules_for(texts))


# Thresholds

PLAIN = " ".join(random.Random(3).choices([f"word{index}" for index in range(60)], k=800))
"""About 5.9 bits."""


def test_a_text_under_the_bits_that_are_asked_for_falls_and_the_record_says_by_how_much() -> None:
    stage = Entropy(EntropyParameters(max_repetition=None))
    batch = batch_of([PLAIN], lang="en")
    columns = {**stage.annotate(batch), "units": pa.array(batch.units.counts)}
    table = stage.decide(batch, columns, {}).table
    assert table["rule"].to_pylist() == ["entropy.low"]
    assert table["score"].to_pylist() == columns["entropy.bits"].to_pylist()
    assert table["threshold"].to_pylist() == [6.2]


@pytest.mark.parametrize(
    ("parameters", "source", "lang", "dropped"),
    [
        ({}, "web:page", "en", True),
        ({"min_bits": 5.0}, "web:page", "en", False),
        ({"min_bits": None}, "web:page", "en", False),
        ({"sources": {"books": {"min_bits": 5.0}}}, "web:page", "en", True),
        ({"sources": {"web": {"min_bits": 5.0}}}, "web:page", "en", False),
        ({"sources": {"web": {"min_bits": None}}}, "web:page", "en", False),
        ({"languages": {"en": {"min_bits": 5.0}}}, "web:page", "en-GB", False),
        ({"languages": {"fr": {"min_bits": 5.0}}}, "web:page", "en", True),
        ({"sources": {"web": {"min_bits": 5.0}}, "languages": {"en": {"min_bits": 6.5}}}, "web:page", "en", True),
        ({"sources": {"web": {"min_bits": 5.0}}, "languages": {"en": {"min_order": 0.1}}}, "web:page", "en", False),
        ({}, "web:page", "haw", False),
        ({"languages": {"haw": {"min_bits": 6.2}}}, "web:page", "haw", True),
        ({"min_bits": None, "max_repetition": None}, "web:page", "haw", False),
        ({}, "web:page", "und", False),
        ({"min_bits": 7.4}, "web:page", "und", True),
        ({"languages": {"und": {"min_bits": 6.2}}}, "web:page", "und", True),
    ],
)
def test_thresholds_go_from_parameters_over_source_to_language(
    parameters: dict[str, object], source: str, lang: str, dropped: bool
) -> None:
    given_parameters = EntropyParameters.model_validate(parameters)
    assert (rules_for([PLAIN], given_parameters, source, lang) == ["entropy.low"]) is dropped


def test_a_threshold_that_is_off_leaves_the_others_in_force() -> None:
    off = EntropyParameters(min_bits=None, min_bits_unspaced=None)
    assert rules_for(["no " * 60], off) == ["entropy.low_normalised"]
    assert rules_for([SENTENCE * 100], off) == ["entropy.compression"]


def test_every_rule_can_be_told_in_words() -> None:
    for rule, sentence in Entropy.rules.items():
        assert rule.startswith("entropy.")
        assert "1.5" in sentence.format(score=1.5, threshold=2, keeper="", copies=0, lang="en")


def test_an_empty_batch_has_no_verdicts() -> None:
    assert rules_for([]) == []


def test_another_threshold_never_changes_which_texts_a_rule_judges() -> None:
    texts = [
        " ".join(f"w{number % kinds}" for number in range(units)) for units in (10, 60, 300, 700) for kinds in (3, 90)
    ]
    texts += ["".join(chr(0x4E00 + number % 40) for number in range(200))]
    batch = batch_of(texts)
    usual = Entropy(EntropyParameters())
    columns = {**usual.annotate(batch), "units": pa.array(batch.units.counts)}
    other = Entropy(
        EntropyParameters(
            min_bits=3.0, min_bits_unspaced=9.0, min_normalised=None, languages={"en": Thresholds(min_bits=9.0)}
        )
    )
    for first, second in zip(usual.cuts(batch, columns), other.cuts(batch, columns), strict=True):
        assert (first.parameter, first.drops) == (second.parameter, second.drops)
        np.testing.assert_array_equal(first.score, second.score)
    assert [cut.parameter for cut in usual.cuts(batch, columns)] == list(Thresholds.model_fields)


def test_a_long_text_is_judged_by_its_bits_and_a_short_one_by_its_share_of_them() -> None:
    long, short = " ".join(f"w{n % 60}" for n in range(464)), " ".join(f"w{n % 60}" for n in range(463))
    batch = batch_of([long, short, "".join(chr(0x4E00 + n % 40) for n in range(116))], lang="en")
    stage = Entropy(EntropyParameters())
    columns = {**stage.annotate(batch), "units": pa.array(batch.units.counts)}
    looks = {cut.parameter: (~np.isnan(cut.score)).tolist() for cut in stage.cuts(batch, columns)}
    assert looks["min_bits"] == [True, False, False]
    assert looks["min_normalised"] == [False, True, False]
    assert looks["min_bits_unspaced"] == [False, False, True]
