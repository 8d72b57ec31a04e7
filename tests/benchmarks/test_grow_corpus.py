"""Growing a corpus makes new documents, and keeps the planted duplicates what they were."""

from __future__ import annotations

import collections
import importlib
import itertools
import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
MASK = 2**64 - 1
MIX = 0x9E3779B97F4A7C15
TEXTS = {
    "en": "The old farmer sold his two horses at the market, and bought a cow — «a fine one» — for his daughter. ",
    "el": "Ο γέρος αγρότης πούλησε τα δύο άλογά του στην αγορά και αγόρασε μια αγελάδα για την κόρη του. ",
    "ja": "年老いた農夫は市場で二頭の馬を売り、娘のために牛を一頭買いました。「よい牛だ」と彼は言った。",
    "th": "ชาวนาเฒ่าขายม้าสองตัวของเขาที่ตลาด แล้วซื้อวัวหนึ่งตัวให้ลูกสาวของเขา ",
    "und": "𐍈 ‒ 👩‍🌾 sold \u0000 2 🐴🐴, ﬁnally! ",
}


def grow(source: Path, out: Path, megabytes: int, seed: int = 0) -> list[dict[str, str]]:
    """Run the script as a user does; the records that it wrote."""
    script = ROOT / "benchmarks" / "grow_corpus.py"
    command = [sys.executable, str(script), str(source), str(out), "--megabytes", str(megabytes), "--seed", str(seed)]
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": str(ROOT)})
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 KB of documents in five languages, with an exact and a near duplicate of each, and the truth about them."""
    folder = tmp_path_factory.mktemp("corpus")
    records, truth = [], []
    for lang, text in TEXTS.items():
        for number in range(20):
            words = text * 20
            long = "".join(f"{words[place : place + 40]}{lang}{number}x{place}. " for place in range(0, 1500, 40))
            name = f"{lang}/{number}"
            near = long.replace(f"x{40 * number}.", "y.")
            versions = [(name, long), (f"{name}=", long), (f"{name}-", near)]
            records += [{"id": key, "text": version, "source": "made:here", "lang": lang} for key, version in versions]
            truth += [
                {"a": name, "b": f"{name}=", "kind": "exact", "rate": 0, "jaccard": 1.0},
                {"a": name, "b": f"{name}-", "kind": "near", "rate": 0.01, "jaccard": 0.9},
            ]
    path = folder / "small.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "small.truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in truth))
    return path


@pytest.fixture(scope="module")
def grown(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """The corpus grown to 2 MB."""
    out = tmp_path_factory.mktemp("grown") / "large.jsonl"
    return out, grow(source, out, 2)


def test_it_reaches_the_size_with_distinct_ids(grown: tuple[Path, list[dict[str, str]]]) -> None:
    _, records = grown
    size = sum(len(record["text"].encode()) for record in records)
    assert 2_000_000 <= size < 2_010_000
    assert len({record["id"] for record in records}) == len(records)


def test_the_first_round_is_the_input_itself(source: Path, grown: tuple[Path, list[dict[str, str]]]) -> None:
    original = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    assert grown[1][: len(original)] == original


def test_rounds_of_a_document_are_distinct_documents(grown: tuple[Path, list[dict[str, str]]]) -> None:
    by_name = collections.defaultdict(list)
    for record in grown[1]:
        by_name[record["id"].partition("~")[0]].append(record["text"])
    rounds = [versions for versions in by_name.values() if len(versions) > 1]
    assert len(rounds) >= 250
    assert all(len(set(versions)) == len(versions) for versions in rounds)


def test_planted_pairs_stay_what_they_were_in_every_round(grown: tuple[Path, list[dict[str, str]]]) -> None:
    out, records = grown
    texts = {record["id"]: record["text"] for record in records}
    truth = [json.loads(line) for line in (out.parent / "large.truth.jsonl").read_text("utf-8").splitlines()]
    later = [pair for pair in truth if "~" in pair["a"]]
    assert len(later) > 100
    for pair in later:
        same = texts[pair["a"]] == texts[pair["b"]]
        assert same == (pair["kind"] == "exact")
        assert pair["jaccard"] == 1 if same else 0.75 < pair["jaccard"] < 1
    share = len({pair["b"] for pair in truth}) / len(records)
    assert abs(share - 2 / 3) < 0.05


def test_variants_are_valid_text_with_the_punctuation_of_the_original(
    grown: tuple[Path, list[dict[str, str]]],
) -> None:
    by_id = {record["id"]: record["text"] for record in grown[1]}
    for name in ("en/3", "el/3", "ja/3"):
        signs = [
            [character for character in by_id[key] if unicodedata.category(character) in ("Po", "Pd", "Ps", "Pe", "Pi")]
            for key in (name, f"{name}~1")
        ]
        assert signs[0] == signs[1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(source: Path, tmp_path: Path) -> None:
    first = grow(source, tmp_path / "a.jsonl", 1)
    assert grow(source, tmp_path / "b.jsonl", 1) == first
    assert grow(source, tmp_path / "c.jsonl", 1, seed=1) != first


@pytest.fixture(scope="module", autouse=True)
def script() -> Iterator[object]:
    """The script as a module, with its siblings found."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("grow_corpus")
    sys.path.remove(str(ROOT / "benchmarks"))


def kind_of(character: str) -> str:
    """Whether a character separates units, is a unit by itself, or is part of a longer one."""
    code = ord(character)
    separates = code < 0x80 and not character.isalnum()
    separates = separates or 0x80 <= code < 0xC0 or 0x2000 <= code < 0x3040 or 0xF000 <= code <= 0xFFFF
    alone = 0xE00 <= code < 0xF00 or 0x1000 <= code < 0x10C0 or 0x1780 <= code < 0x1800 or 0x3040 <= code < 0xA000
    return "separator" if separates else "alone" if alone else "part"


def vary_plainly(text: str, words: list[str], seed: int) -> str:
    """What the kernel does, a character at a time with Python's integers."""
    pieces: list[str] = []
    kinds: list[str] = []
    for character in text:
        kind = kind_of(character)
        if kind == "part" and kinds and kinds[-1] == "part":
            pieces[-1] += character
        else:
            pieces.append(character)
            kinds.append(kind)
    before = seed
    for place, kind in enumerate(kinds):
        if kind == "separator":
            continue
        this = 0xCBF29CE484222325
        for byte in pieces[place].encode():
            this = (this ^ byte) * 0x100000001B3 & MASK
        chance = (this ^ (before * MIX & MASK) ^ seed) * MIX & MASK
        chance ^= chance >> 29
        chance = chance * MIX & MASK
        chance ^= chance >> 32
        if words and chance % 5 == 0:
            pieces[place] = words[(chance >> 8) % len(words)]
        before = this
    return "".join(pieces)


@given(
    texts=st.lists(st.text() | st.text("aé日本ไทยกั 한ع. \u0301\u200d👩🌾\u0000「", max_size=40), max_size=4),
    words=st.lists(st.text(min_size=1, max_size=5), max_size=4),
    seed=st.integers(0, MASK),
)
def test_the_kernel_equals_its_plain_reference(script: object, texts: list[str], words: list[str], seed: int) -> None:
    encoded, known = [text.encode() for text in texts], [word.encode() for word in words]
    out = np.empty(6000, np.uint8)
    starts = np.zeros(len(texts) + 1, np.int64)
    script.vary(  # type: ignore[attr-defined]  # a module found at run time
        np.frombuffer(b"".join(encoded), np.uint8).copy(),
        np.cumsum([0, *map(len, encoded)]),
        np.zeros(len(texts), np.int64),
        np.frombuffer(b"".join(known), np.uint8).copy(),
        np.cumsum([0, *map(len, known)]),
        np.array([0, len(words)]),
        np.uint64(seed),
        out,
        starts,
    )
    found = [out[begin:end].tobytes().decode() for begin, end in itertools.pairwise(starts)]
    assert found == [vary_plainly(text, words, seed) for text in texts]
