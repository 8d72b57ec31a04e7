"""What each rule of the stage `quality` does to clean text, language by language, and what garbage it catches.

    python benchmarks/quality.py [CORPUS.jsonl.zst...] [--fit] [--write] [--cache FOLDER]

Clean text is the Universal Declaration of Human Rights (benchmarks/language.py) in pieces of about 800 characters. The
even pieces of a declaration fit `stages/quality/data/languages.tsv` (`--fit`), the odd ones are judged; corpora
(records with `text` and `lang`) are judged beside them. A text with too few words counts in that rule alone. Garbage is
made from the declarations (benchmarks/quality_garbage.py). `--write` puts all of it into docs/quality-rules.md. Time is
that of all measures without segmentation, which stages share.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pyarrow as pa
from entropy import PIECE_CHARACTERS, Text, records
from language import declarations, fetch
from numpy.typing import NDArray
from quality_garbage import KINDS, material
from quality_page import write_page

from curator.document import UNDETERMINED, Batch
from stages.quality.languages import Language, loosen, write_languages
from stages.quality.parameters import QualityParameters, Thresholds
from stages.quality.rules import RULES, Rule
from stages.quality.sequences import REPEATED_LENGTHS, TOP_LENGTHS
from stages.quality.stage import measure

BATCH_TEXTS = 2000
LEAST_FITTED = 2
"""A language is measured from so many texts on."""
MARGIN = 1.1
"""A threshold is loosened this much beyond the worst text that it is fitted on."""
OFF_FROM = 4.0
"""Where it would have to be loosened by more than this factor, the rule says nothing in the language and is off."""
TOGETHER = (
    tuple(f"max_top_{length}_grams" for length in TOP_LENGTHS),
    tuple(f"max_repeated_{length}_grams" for length in REPEATED_LENGTHS),
)
"""Thresholds of the same measure at several lengths: a language that needs one of them looser needs all."""
TOGETHER_MARGIN = 1.5
"""MARGIN for these: of ten texts one or two repeat themselves far more than the others."""
GARBAGE_LANGUAGES = ("ar", "de", "en", "es", "fi", "hi", "ja", "ko", "ru", "sw", "th", "tr", "vi", "zh")
SAMPLES = 5
PARAMETERS = QualityParameters()
ACTIVE = tuple(rule for rule in RULES if getattr(PARAMETERS, rule.parameter) is not None)


@dataclass
class Tally:
    """Texts by language, and those that fall: by rule and language with the rules as they are, and by any rule, as
    they are and with the thresholds of the papers everywhere."""

    texts: Counter[str] = field(default_factory=Counter)
    judged: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    dropped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_papers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_any: Counter[str] = field(default_factory=Counter)
    by_any_paper: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    cpu_s: float = 0.0


def pieces(folder: Path, parity: int) -> Iterator[Text]:
    """The even (0) or odd (1) pieces of each declaration."""
    for language, articles in declarations(folder):
        piece = ""
        number = 0
        for article in articles:
            piece += article + "\n"
            if len(piece) > PIECE_CHARACTERS:
                if number % 2 == parity:
                    yield "piece", language, piece
                number += 1
                piece = ""


def batch_of(texts: Sequence[Text]) -> Batch:
    """Texts as a stage sees them."""
    return Batch(
        pa.RecordBatch.from_pydict(
            {
                "text": pa.array([text for _, _, text in texts]),
                "source": pa.array(["web"] * len(texts)),
                "lang": pa.array([language for _, language, _ in texts]),
            }
        )
    )


def falls(rule: Rule, scores: NDArray[np.float64], limit: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The texts that a rule drops."""
    return scores < limit if rule.drops == "below" else scores > limit


def fit(texts: Sequence[Text]) -> dict[str, Language]:
    """The thresholds that differ by language so that none of these texts falls; see MARGIN, OFF_FROM, TOGETHER."""
    scores = measure(batch_of(texts))
    languages = np.array([language for _, language, _ in texts])
    found = {}
    for language, count in Counter(languages.tolist()).items():
        if language != UNDETERMINED and count >= LEAST_FITTED:
            rows = languages == language
            factors = {rule.parameter: _factor(rule, scores[rule.measure][rows]) for rule in ACTIVE}
            for group in TOGETHER:
                factors.update(dict.fromkeys(group, TOGETHER_MARGIN / MARGIN * max(factors[name] for name in group)))
            loosened = {rule.parameter: _loosened(rule, factors[rule.parameter]) for rule in ACTIVE}
            differ = {name: value for name, value in loosened.items() if factors[name] > 1}
            found[language] = Language(count, differ)
    return found


def _factor(rule: Rule, scores: NDArray[np.float64]) -> float:
    """How much looser a threshold has to be for texts with these scores and MARGIN; at most 1 if it need not."""
    usual = float(getattr(PARAMETERS, rule.parameter))
    known = scores[~np.isnan(scores)]
    if len(known) == 0:
        return 0.0
    if rule.drops == "above":
        return float(MARGIN * known.max() / usual)
    return float(MARGIN * usual / known.min()) if known.min() > 0 else np.inf


def _loosened(rule: Rule, factor: float) -> float | None:
    """The threshold loosened by a factor, None where that leaves nothing of it."""
    usual = float(getattr(PARAMETERS, rule.parameter))
    value = usual * factor if rule.drops == "above" else usual / max(factor, 1e-9)
    return None if factor > OFF_FROM or value > _most(rule) else float(f"{value:.2g}")


def _most(rule: Rule) -> float:
    """What a measure can reach."""
    shares = (item for item in Thresholds.model_fields[rule.parameter].metadata if hasattr(item, "le"))
    return next((float(item.le) for item in shares), np.inf)


def judge(texts: Iterable[Text]) -> Tally:
    """What falls."""
    tally = Tally()
    batch: list[Text] = []
    for text in texts:
        batch.append(text)
        if len(batch) == BATCH_TEXTS:
            _judge(batch, tally)
            batch = []
    if batch:
        _judge(batch, tally)
    return tally


def _judge(texts: list[Text], tally: Tally) -> None:
    batch = batch_of(texts)
    _ = batch.units, batch.languages
    begin = time.process_time()
    scores = measure(batch)
    tally.cpu_s += time.process_time() - begin
    tally.bytes += len(batch.text_buffer[0])
    languages = np.array([language for _, language, _ in texts])
    tally.texts.update(languages.tolist())
    enough = scores["words"] >= (PARAMETERS.min_words or 0)
    by_any = np.zeros(len(texts), dtype=np.bool_)
    by_any_paper = np.zeros(len(texts), dtype=np.bool_)
    for rule in ACTIVE:
        usual = np.full(len(texts), float(getattr(PARAMETERS, rule.parameter)))
        judged = ~np.isnan(scores[rule.measure])
        if rule.parameter != "min_words":
            judged &= enough
        dropped = judged & falls(rule, scores[rule.measure], loosen(usual, rule, batch, PARAMETERS))
        by_paper = judged & falls(rule, scores[rule.measure], usual)
        tally.judged[rule.name].update(languages[judged].tolist())
        tally.dropped[rule.name].update(languages[dropped].tolist())
        tally.by_papers[rule.name].update(languages[by_paper].tolist())
        by_any |= dropped
        by_any_paper |= by_paper
    tally.by_any.update(languages[by_any].tolist())
    tally.by_any_paper.update(languages[by_any_paper].tolist())


def catch(folder: Path) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """For each kind of garbage the share that falls, by rule and by `any`; and how many samples there are."""
    whole: dict[str, str] = {}
    for language, articles in declarations(folder):
        if language in GARBAGE_LANGUAGES:
            whole.setdefault(language, "\n".join(articles))
    made: dict[str, list[Text]] = defaultdict(list)
    for language, text in whole.items():
        given = material(text, language)
        for kind, make in KINDS.items():
            for seed in range(SAMPLES):
                made[kind].append((kind, language, make(given, random.Random(f"{kind} {language} {seed}"))))
        others = [other for other in whole if other != language]
        for seed, other in enumerate(random.Random(language).sample(others, SAMPLES)):
            lines = whole[other].splitlines()[5 * seed : 5 * seed + 12]
            made["tagged as another language"].append(("", language, "\n".join(lines)))
    caught = {}
    for kind, texts in made.items():
        batch = batch_of(texts)
        scores = measure(batch)
        fallen = {
            rule.name: falls(
                rule,
                scores[rule.measure],
                loosen(np.full(len(texts), float(getattr(PARAMETERS, rule.parameter))), rule, batch, PARAMETERS),
            )
            for rule in ACTIVE
        }
        caught[kind] = {name: float(rows.mean()) for name, rows in fallen.items() if rows.any()}
        caught[kind]["any"] = float(np.any(list(fallen.values()), axis=0).mean())
    return caught, {kind: len(texts) for kind, texts in made.items()}


def words_of(folder: Path) -> dict[str, float]:
    """Units of a whole declaration: the median of languages with spaces, and the mean of each without."""
    texts: list[Text] = [("", language, "\n".join(articles)) for language, articles in declarations(folder)]
    batch = batch_of(texts)
    length = measure(batch)["word_length"]
    counts = batch.units.counts
    found: dict[str, list[int]] = defaultdict(list)
    for (_, language, _), count, unspaced in zip(texts, counts.tolist(), np.isnan(length), strict=True):
        if unspaced:
            found[language].append(count)
    means = {language: float(np.mean(values)) for language, values in sorted(found.items())}
    return {"spaced": float(np.median(counts[~np.isnan(length)])), **means}


def main() -> None:
    """Measure; print, or write what is checked in."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpora", nargs="*", type=Path, help="JSONL files, plain or .zst")
    parser.add_argument("--fit", action="store_true", help="write stages/quality/data/languages.tsv, nothing else")
    parser.add_argument("--write", action="store_true", help="write docs/quality-rules.md")
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "curator-udhr", help="where texts are kept")
    arguments = parser.parse_args()
    folder = fetch(arguments.cache)
    if arguments.fit:
        write_languages(fit(list(pieces(folder, 0))))
        return
    judge([("", "und", "warm up")])
    tallies = judge(pieces(folder, 1)), judge(text for path in arguments.corpora for text in records(path))
    caught, samples = catch(folder)
    page = write_page(ACTIVE, PARAMETERS, *tallies, caught, samples, words_of(folder))
    if arguments.write:
        (Path(__file__).parents[1] / "docs" / "quality-rules.md").write_text(page, encoding="utf-8")
    else:
        print(page)
    for tally in tallies:
        if tally.bytes:
            megabytes = tally.bytes / 1e6
            print(f"measures: {1e3 * tally.cpu_s / megabytes:.1f} ms of CPU per MB over {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
