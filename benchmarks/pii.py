"""How well, and how fast, the `pii` stage finds personal data: `python benchmarks/pii.py [CORPUS] [--count N]`.

Synthetic part: faker's numbers, filtered by libphonenumber and python-stdnum, in carrier sentences of 15 locales
(`pii_carriers.tsv`); recall and precision per kind and locale. A span counts when kind and both ends are right. The
committed hard negatives are read too: whatever is found there is an error. Names are from faker, from which most of the
gazetteer comes: read their recall as coverage of common names, not of all. `--hyperscan` compares the scan with one of
Hyperscan.

`--ids` measures, instead of all this, how many random numbers of a shape pass the check of an identity number.

With a corpus (JSONL, zstd): hits per kind and megabyte, a sample masked to shape, and megabytes per CPU second.
"""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import json
import random
import re
import string
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import phonenumbers
import pyarrow as pa
from corpora import read_records
from faker import Faker
from stdnum import iban

from curator.document import Codes, string_buffer
from curator.language.tags import list_language
from curator.text.segment import segment
from stages.pii.detect import KINDS, Hits, detect
from stages.pii.kinds.ids import NEEDS, id_numbers, shapes_of

ROOT = Path(__file__).parent
NEGATIVES = ROOT.parent / "tests" / "stages" / "pii" / "hard_negatives.jsonl"
SAMPLE = 12
SHOWN = (
    ("email", "phone", "iban", "card", "ip", "id", "name"),
    ("mac", "secret", "passport", "birthdate", "plate", "address", "username"),
)
"""Kinds of the synthetic part, by table."""
DATES = {"de": "%d.%m.%Y", "fi": "%d.%m.%Y", "ru": "%d.%m.%Y", "pl": "%d.%m.%Y", "tr": "%d.%m.%Y", "sv": "%Y-%m-%d"}
"""How a date is written; elsewhere `%d/%m/%Y`, in Chinese, Japanese and Korean with 年月日 or 년월일."""
IDS = {
    "en_US": (("ssn", "us.ssn"),),
    "de_DE": (("rvnr", "de.rvnr"),),
    "fr_FR": (("ssn", "fr.nir"),),
    "es_ES": (("nif", "es.dni"), ("nie", "es.nie"), ("nuss", "es.nuss")),
    "it_IT": (("ssn", "it.codicefiscale"),),
    "pt_BR": (("cpf", "br.cpf"), ("ssn", "br.cpf")),
    "nl_NL": (("ssn", "nl.bsn"),),
    "pl_PL": (("ssn", "pl.pesel"),),
    "sv_SE": (("ssn", "se.personnummer"),),
    "fi_FI": (("ssn", "fi.hetu"),),
    "ru_RU": (("individuals_inn", "ru.inn"),),
    "tr_TR": (("ssn", "tr.tckimlik"),),
    "zh_CN": (("ssn", "cn.ric"),),
    "ko_KR": (("ssn", "kr.rrn"),),
}
"""For each locale the methods of faker that make identity numbers, and the kind of number that they should be."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", nargs="?", type=Path)
    parser.add_argument("--count", type=int, default=40, help="values for each sentence")
    parser.add_argument("--hyperscan", action="store_true")
    parser.add_argument("--ids", action="store_true", help="how many numbers of a shape pass each check by chance")
    parser.add_argument("--misses", action="store_true", help="print what was missed or wrong in the synthetic part")
    arguments = parser.parse_args()
    if arguments.ids:
        by_chance()
        return
    synthetic(arguments.count, arguments.misses)
    negatives()
    if arguments.corpus is not None:
        corpus(arguments.corpus, arguments.hyperscan)


def run(texts: list[str], languages: list[str], kinds: tuple[str, ...] = KINDS) -> tuple[Hits, float]:
    """Hits in all texts, and the CPU seconds that they took without segmentation."""
    data, offsets = string_buffer(pa.array(texts, pa.large_string()))
    names = tuple(dict.fromkeys(languages))
    codes = Codes(np.array([names.index(language) for language in languages], dtype=np.int32), names)
    units = segment(data, offsets)
    begin = time.process_time()
    hits = detect(data, offsets, codes, lambda: units, kinds)
    return hits, time.process_time() - begin


def synthetic(count: int, show_misses: bool) -> None:
    """Recall and precision on carrier sentences."""
    lines = (ROOT / "pii_carriers.tsv").read_text(encoding="utf-8").splitlines()
    carriers = [line.split("\t") for line in lines if not line.startswith("#")]
    texts, languages, gold = [], [], []
    for locale in dict.fromkeys(row[0] for row in carriers):
        fake = Faker(locale)
        fake.seed_instance(7)
        makers = generators(fake, locale)
        for _, kind, sentence in (row for row in carriers if row[0] == locale):
            for _ in range(count):
                value = makers[kind]()
                if value is None:
                    continue
                begin = sentence.index("{}")
                texts.append(sentence.replace("{}", value))
                languages.append(list_language(locale.replace("_", "-")))
                gold.append((locale, kind, begin, begin + len(value)))
    hits, _ = run(texts, languages)
    found: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for document, begin, end, kind in zip(
        hits.documents.tolist(), hits.begins.tolist(), hits.stops.tolist(), hits.kinds.tolist(), strict=True
    ):
        found[document].append((KINDS[kind], begin, end))
    total: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    covered: Counter[tuple[str, str]] = Counter()
    claimed: Counter[str] = Counter()
    for document, (locale, kind, begin, end) in enumerate(gold):
        spans = found[document]
        total[locale, kind] += 1
        exact = (kind, begin, end) in spans
        right[locale, kind] += exact
        covered[locale, kind] += any(low <= begin and end <= high for _, low, high in spans)
        claimed.update(name for name, _, _ in spans)
        if show_misses and (not exact or len(spans) > 1):
            shown = [(name, texts[document][low:high]) for name, low, high in spans]
            print(f"  {locale} {kind}: {texts[document]!r} -> {shown}")
    print(f"recall on {len(gold)} sentences, kind and both ends right (covered by any kind):")
    for kinds in SHOWN:
        print(f"{'':8}" + "".join(f"{kind:>14}" for kind in kinds))
        for locale in (*dict.fromkeys(locale for locale, *_ in gold), "all"):
            row = f"{locale:8}"
            for kind in kinds:
                keys = [key for key in total if key[1] == kind and locale in (key[0], "all")]
                number = sum(total[key] for key in keys)
                shares = (sum(table[key] for key in keys) / number for table in (right, covered)) if number else ()
                row += f"{' '.join(f'{share:.3f}' for share in shares):>14}"
            print(row)
    print("precision:")
    for kind in itertools.chain.from_iterable(SHOWN):
        exact_hits = sum(right[key] for key in right if key[1] == kind)
        print(f"  {kind:8} {exact_hits / max(claimed[kind], 1):.3f} of {claimed[kind]}")
    without = sum(right[key] for key in right if key[1] != "name")
    print(f"  all but names {without / sum(number for kind, number in claimed.items() if kind != 'name'):.4f}")


def generators(fake: Faker, locale: str) -> dict[str, Callable[[], str | None]]:
    """For each kind a function that makes a valid value (None where the locale has none)."""
    region = locale.rpartition("_")[2]
    numbers = {number.name: number for number in id_numbers()}
    chooser = random.Random(locale)

    def phone() -> str | None:
        for _ in range(200):
            value = fake.phone_number()
            try:
                number = phonenumbers.parse(value, region)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                return value
        return None

    def identity() -> str | None:
        if locale not in IDS:
            return None
        method, name = chooser.choice(IDS[locale])
        for _ in range(200):
            value = str(getattr(fake, method)())
            if numbers[name].is_valid(value):
                return value
        return None

    def email() -> str:
        make = chooser.choice((fake.email, fake.company_email, fake.free_email))
        return str(make())

    def secret() -> str:
        prefix, length = chooser.choice((("ghp_", 36), ("AIza", 35), ("sk_live_", 24), ("npm_", 36)))
        return prefix + "".join(chooser.choices(string.ascii_letters + string.digits, k=length))

    def birthdate() -> str:
        date = fake.date_of_birth(minimum_age=1, maximum_age=99)
        signs = {"ja": "年月日", "zh": "年月日", "ko": "년월일"}.get(locale[:2])
        if signs is not None:
            return f"{date.year}{signs[0]}{date.month}{signs[1]}{date.day}{signs[2]}"
        return str(date.strftime(DATES.get(locale[:2], "%d/%m/%Y")))

    def name() -> str:
        if locale[:2] in ("ja", "ko", "zh"):
            return f"{fake.last_name()}{fake.first_name()}"
        return f"{fake.first_name()} {fake.last_name()}"

    return {
        "email": email,
        "phone": phone,
        "iban": lambda: grouped(until(fake.iban, is_account), chooser),
        "card": lambda: grouped(fake.credit_card_number(), chooser),
        "ip": lambda: fake.ipv4_public() if chooser.random() < 0.7 else until(fake.ipv6, is_unicast),
        "id": identity,
        "mac": lambda: until(fake.mac_address, lambda value: not int(value[:2], 16) & 1 and not is_digits(value)),
        "secret": secret,
        "passport": fake.passport_number,
        "birthdate": birthdate,
        "plate": lambda: " ".join(fake.license_plate().split()),
        "address": lambda: ", ".join(fake.address().split("\n")),
        "username": lambda: fake.user_name()[:15],
        "name": name,
    }


def until(make: Callable[[], str], accept: Callable[[str], bool]) -> str | None:
    """The first value that is accepted, None after many that are not (faker's British IBANs are one digit short)."""
    return next((value for value in (make() for _ in range(200)) if accept(value)), None)


def is_digits(value: str) -> bool:
    """Whether a MAC address has no letter, as one in 280 has: without a cue such stay in the text by rule."""
    return value.replace(":", "").isdigit()


def is_account(value: str) -> bool:
    """Whether an IBAN has the length and the check digits of its country."""
    return bool(iban.is_valid(value, check_country=False))


def is_unicast(value: str) -> bool:
    """Whether an IPv6 address is one of a single machine; the others stay in the text by rule."""
    address = ipaddress.IPv6Address(value)
    return not (address.is_multicast or address.is_loopback or address.is_unspecified)


def grouped(value: str | None, chooser: random.Random) -> str | None:
    """A number as it is, or in groups of four."""
    if value is None:
        return None
    return " ".join(re.findall(".{1,4}", value)) if chooser.random() < 0.5 and len(value) >= 16 else value


def by_chance(draws: int = 4_000) -> None:
    """For each identity number and what it needs, the largest share of random numbers of a shape that are valid."""
    chooser = random.Random(0)
    letters = {"9": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    print(f"{'':18}" + "".join(f"{need:>10}" for need in NEEDS))
    for number in id_numbers():
        row = f"{number.name:18}"
        for need in NEEDS:
            shares = [
                sum(
                    number.is_valid("".join(chooser.choice(letters.get(sign, sign)) for sign in shape))
                    for _ in range(draws)
                )
                / draws
                for shape in sorted(shapes_of(number, need))
            ]
            row += f"{max(shares):10.4f}" if shares else f"{'':10}"
        print(row)


def negatives() -> None:
    """What is found where nothing is."""
    rows = [json.loads(line) for line in NEGATIVES.read_text(encoding="utf-8").splitlines()]
    hits, _ = run([row["text"] for row in rows], [row["lang"] for row in rows])
    print(f"hard negatives: {len(rows)} texts, {len(hits)} hits")
    for document, begin, end, kind in zip(hits.documents, hits.begins, hits.stops, hits.kinds, strict=True):
        row = rows[document]
        print(f"  {KINDS[kind]} {row['lang']}: {row['text'][begin:end]!r} in {row['text']!r}")


def corpus(path: Path, compare: bool) -> None:
    """Hits and speed on a corpus."""
    texts, languages = zip(*read(path), strict=True)
    size_mb = sum(len(text.encode()) for text in texts) / 1e6
    run(list(texts[:10]), list(languages[:10]))
    batches = list(batched(list(texts), list(languages)))
    counts: Counter[str] = Counter()
    samples: dict[str, list[str]] = defaultdict(list)
    seconds = 0.0
    for part, tags in batches:
        hits, spent = run(part, tags)
        seconds += spent
        counts.update(KINDS[kind] for kind in hits.kinds.tolist())
        for document, begin, end, kind in zip(
            hits.documents.tolist(), hits.begins.tolist(), hits.stops.tolist(), hits.kinds.tolist(), strict=True
        ):
            samples[KINDS[kind]].append(f"{tags[document]}: {shape(part[document][begin:end])}")
    speed = f"{size_mb / seconds:.1f} MB/s, {1e3 * seconds / size_mb:.1f} ms/MB"
    print(f"{path.name}: {size_mb:.1f} MB, {seconds:.2f} CPU s, {speed}")
    chooser = random.Random(0)
    for kind in KINDS:
        print(f"  {kind:12} {counts[kind] / size_mb:8.2f} per MB")
        shapes = sorted(set(samples[kind]))
        for line in chooser.sample(shapes, min(SAMPLE, len(shapes))):
            print(f"      {line}")
    without = sum(run(part, tags, tuple(kind for kind in KINDS if kind != "name"))[1] for part, tags in batches)
    print(f"without names: {size_mb / without:.1f} MB/s, {1e3 * without / size_mb:.1f} ms/MB")
    if compare:
        hyperscan_scan(list(texts), size_mb)


def hyperscan_scan(texts: list[str], size_mb: float) -> None:
    """The candidate scan alone: ours, and one of Hyperscan with the same shapes as patterns."""
    import hyperscan

    from stages.pii.scan import scan

    data, offsets = string_buffer(pa.array(texts, pa.large_string()))
    scan(data[:100], np.array([0, 100]))
    begin = time.process_time()
    ours = scan(data, offsets)
    spent = time.process_time() - begin
    print(f"scan: kernel {size_mb / spent:.0f} MB/s, {len(ours)} candidates")
    patterns = (
        rb"[A-Za-z0-9]@[A-Za-z0-9]",
        rb"(\d[ ./()-]{0,2}){6}\d",
        rb"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d",
        rb"\b[A-Z]{2}\d{2}[ ]?[A-Z0-9]{4}",
        rb"[0-9a-f]:[0-9a-f]{0,4}:[0-9a-f]{0,4}:",
        rb"://[^ /@]{1,64}:[^ /@]{1,64}@",
    )
    for named, flags in (("every match", 0), ("first match a text", hyperscan.HS_FLAG_SINGLEMATCH)):
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=list(patterns), ids=list(range(len(patterns))), flags=[flags] * len(patterns))
        raw = data.tobytes()
        for unit, blocks in (("whole buffer", [raw]), ("per text", [text.encode() for text in texts])):
            ends: list[int] = []

            def note(_id: int, _start: int, end: int, _flags: int, kept: object) -> None:
                kept.append(end)  # type: ignore[attr-defined]

            scratch = hyperscan.Scratch(database)
            begin = time.process_time()
            for block in blocks:
                database.scan(block, match_event_handler=note, context=ends, scratch=scratch)
            spent = time.process_time() - begin
            print(f"scan: hyperscan, {named}, {unit}: {size_mb / spent:.0f} MB/s, {len(ends)} ends")


def batched(texts: list[str], languages: list[str], limit: int = 4 << 20) -> Iterator[tuple[list[str], list[str]]]:
    """Texts and their languages in batches of about `limit` bytes, as the engine cuts them."""
    first, size = 0, 0
    for place, text in enumerate(texts):
        size += len(text.encode())
        if size >= limit or place + 1 == len(texts):
            yield texts[first : place + 1], languages[first : place + 1]
            first, size = place + 1, 0


def read(path: Path) -> Iterator[tuple[str, str]]:
    """(text, language) of each document."""
    for record in read_records(path):
        yield record["text"], list_language(record["lang"])


def shape(text: str) -> str:
    """A found value with digits as 9 and letters as x."""
    return "".join("9" if letter.isdigit() else "x" if letter.isalpha() else letter for letter in text)


if __name__ == "__main__":
    main()
