"""`curator tokenizer`: train, report, extend, align, export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from curator.cli.local import need_local
from curator.cli.output import counted, print_json, print_line, print_note, print_table
from curator.cli.packages import require
from curator.cli.train import TrainingProgress
from curator.errors import UserError
from curator.run.store import make_folder, put
from curator.sizes import format_size, parse_size
from curator.training import TokenizerSection, parse_training_config

if TYPE_CHECKING:
    from curator.report.fairness import FairnessPage
    from model.vocabulary.fairness import LanguageCost, TokenizerCost
    from model.vocabulary.sample import LanguageSize
    from model.vocabulary.search import AlphaSearch, Trial

SEARCH = "search"
_LARGEST = 10


def train_tokenizer_command(
    runs: Sequence[str],
    output: Path,
    vocabulary: int,
    kind: str,
    alpha: str,
    sample: str,
    seed: int,
    as_json: bool,
) -> None:
    """Train a tokenizer, write its file, and tell how many bytes of each language it saw."""
    need_new_file(output)
    values: dict[str, object] = {"vocabulary": vocabulary, "kind": kind, "sample_bytes": parse_sample(sample)}
    if alpha != SEARCH:
        values["alpha"] = alpha
    section: TokenizerSection = parse_training_config({"tokenizer": values}).tokenizer
    require("sentencepiece", extra="tokenizer")
    from model.data.shards import open_corpus
    from model.tokenizer_training import train_tokenizer

    corpora = [open_corpus(run) for run in runs]
    search: AlphaSearch | None = None
    if alpha == SEARCH:
        from model.vocabulary.search import search_alpha

        search = search_alpha(corpora, section, seed, _tell_trial)
        section = section.model_copy(update={"alpha": search.best.alpha})
    trained = train_tokenizer(corpora, section, seed, (TrainingProgress(),))
    make_folder(output.absolute().parent)
    put(output, trained.data)
    if as_json:
        told: dict[str, object] = {"file": str(output), "vocabulary": vocabulary, "alpha": section.alpha}
        told |= {"sample_bytes": trained.sample_bytes, "counts": trained.counts}
        print_json(told | ({} if search is None else {"search": asdict(search)}))
        return
    if search is not None:
        _print_search(search)
    largest = sorted(trained.sample_bytes.items(), key=lambda item: -item[1])[:_LARGEST]
    weighted = {name: size * trained.counts[name] for name, size in trained.sample_bytes.items()}
    total = sum(weighted.values())
    rows = [[name, format_size(size), f"{weighted[name] / total:.2%}"] for name, size in largest]
    print_table(["lang", "sample", "counts for"], rows)
    languages, size = counted(len(trained.sample_bytes), "language"), sum(trained.sample_bytes.values())
    print_line(f"{languages}, {format_size(size)} of text")
    print_line(f"tokenizer: {output}")


def report_tokenizers_command(
    tokenizers: Sequence[Path], on: Path | None, languages: Sequence[str], page: Path | None, as_json: bool
) -> None:
    """Print what each language costs with each tokenizer, and write it as a page where one is asked for."""
    if page is not None:
        need_new_file(page)
    from curator.report.fairness import render_fairness
    from curator.tokenize import load_tokenizer
    from model.vocabulary.fairness import compare_languages
    from model.vocabulary.parallel import load_parallel

    text = load_parallel(on)
    costs = [compare_languages(load_tokenizer(path), str(path), text, languages) for path in tokenizers]
    if page is not None:
        make_folder(page.absolute().parent)
        put(page, render_fairness(_page(text.name, costs)).encode())
    if as_json:
        told: dict[str, object] = {"text": text.name, "tokenizers": [_cost_json(cost) for cost in costs]}
        print_json(told | ({} if page is None else {"page": str(page)}))
        return
    for cost in costs:
        print_line(f"{cost.tokenizer}: {cost.vocabulary:,} tokens")
        headings = ["lang", "words", "tokens/word", "tokens/character", "against English", "unknown", "parts"]
        print_table(headings, [_cost_row(row) for row in cost.languages])
        worst = cost.most_fertile
        print_line(
            f"tokens/word: {cost.mean_tokens_per_word:.3f} in the mean of {len(cost.languages)} languages, "
            f"{worst.cost.tokens_per_word:.3f} in {worst.language}"
        )
        print_line()
    if len(costs) > 1:
        _print_comparison(costs)
    if page is not None:
        print_line(f"page: {page}")


def export_tokenizer_command(tokenizer: Path, output: Path, as_json: bool) -> None:
    """Write a folder that `AutoTokenizer.from_pretrained` loads."""
    need_local(output)
    require("sentencepiece", extra="tokenizer")
    from curator.tokenize import load_tokenizer
    from model.vocabulary.hugging_face import fast_tokenizer

    loaded = load_tokenizer(tokenizer)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError("the output is not empty", file=str(output), hint="choose another output")
    files = fast_tokenizer(loaded.data, str(tokenizer))
    make_folder(output)
    for name, data in files.items():
        put(output / name, data)
    if as_json:
        print_json({"folder": str(output), "vocabulary": loaded.vocabulary})
        return
    print_line(f"{output}: {loaded.vocabulary:,} tokens")


def extend_tokenizer_command(
    tokenizer: Path,
    runs: Sequence[str],
    output: Path,
    languages: Sequence[str],
    pieces: int,
    sample: str,
    seed: int,
    as_json: bool,
) -> None:
    """Extend a tokenizer, write its file, and tell what the languages cost before and after, on text that it has not
    seen."""
    need_new_file(output)
    size = parse_sample(sample)
    require("sentencepiece", extra="tokenizer")
    from curator.tokenize import load_tokenizer, read_tokenizer
    from model.data.shards import open_corpus
    from model.vocabulary.extend import extend_tokenizer
    from model.vocabulary.fairness import measure_cost
    from model.vocabulary.sample import measure_languages, take_held_out, take_sample
    from model.vocabulary.search import HELD_OUT, HELD_OUT_BYTES

    before = load_tokenizer(tokenizer)
    corpora = [open_corpus(run) for run in runs]
    sizes = _only(measure_languages(corpora), languages)
    taken = take_sample(corpora, sizes, alpha=0.0, sample_bytes=size, seed=seed, held_out=HELD_OUT)
    extension = extend_tokenizer(before.data, taken.texts, pieces, str(tokenizer))
    after = read_tokenizer(extension.data, str(output))
    judged = take_held_out(corpora, sizes, each_bytes=HELD_OUT_BYTES, seed=seed, share=HELD_OUT)
    costs = {name: (measure_cost(before, texts), measure_cost(after, texts)) for name, texts in judged.items()}
    make_folder(output.absolute().parent)
    put(output, extension.data)
    if as_json:
        print_json(
            {
                "file": str(output),
                "vocabulary": after.vocabulary,
                "first_new_id": before.vocabulary,
                "characters": extension.characters,
                "tokens_per_word": {
                    name: {"before": old.tokens_per_word, "after": new.tokens_per_word}
                    for name, (old, new) in costs.items()
                },
            }
        )
        return
    rows = [[name, f"{old.tokens_per_word:.3f}", f"{new.tokens_per_word:.3f}"] for name, (old, new) in costs.items()]
    print_table(["lang", "tokens/word before", "after"], rows)
    if unjudged := sorted(set(sizes) - set(costs)):
        print_line(f"not judged, for lack of held-out text: {', '.join(unjudged)}")
    print_line(
        f"{after.vocabulary:,} tokens: {before.vocabulary:,} as they were, {extension.characters:,} new characters, "
        f"{len(extension.added) - extension.characters:,} new pieces"
    )
    print_line(f"tokenizer: {output}")


def align_tokenizer_command(
    tokenizer: Path,
    runs: Sequence[str],
    output: Path,
    pivot: str,
    threshold: float,
    sample: str,
    seed: int,
    as_json: bool,
) -> None:
    """Align the pieces of a tokenizer, write the file, and show the closest pairs."""
    need_new_file(output)
    size = parse_sample(sample)
    from curator.document import UNDETERMINED
    from curator.tokenize import load_tokenizer
    from model.data.shards import open_corpus
    from model.vocabulary.align import align_pieces
    from model.vocabulary.sample import measure_languages, take_sample

    loaded = load_tokenizer(tokenizer)
    corpora = [open_corpus(run) for run in runs]
    taken = take_sample(corpora, measure_languages(corpora), alpha=0.0, sample_bytes=size, seed=seed)
    texts: dict[str, list[str]] = {}
    for name, text in zip(taken.languages, taken.texts, strict=True):
        if name != UNDETERMINED:
            texts.setdefault(name, []).append(text)
    alignment, left_out = align_pieces(loaded, texts, pivot=pivot, threshold=threshold, seed=seed)
    make_folder(output.absolute().parent)
    put(output, alignment.dump())
    groups = alignment.groups
    if as_json:
        print_json({"file": str(output), "pairs": len(alignment.pairs), "groups": len(groups), "left_out": left_out})
        return
    closest = sorted(alignment.pairs, key=lambda pair: -pair.similarity)[:_LARGEST]
    print_table(
        ["lang", "piece", f"in {pivot}", "cosine"],
        [[pair.language, pair.piece, pair.pivot_piece, f"{pair.similarity:.3f}"] for pair in closest],
        left=3,
    )
    print_line(f"{len(alignment.pairs):,} pairs in {len(groups):,} groups")
    if left_out:
        print_line(f"left out, for lack of text or of pieces in common: {', '.join(sorted(left_out))}")
    print_line(f"alignment: {output}")


def need_new_file(output: Path) -> None:
    """UserError when there is something where a file is to be written."""
    need_local(output)
    if output.exists():
        raise UserError("is there already", file=str(output), hint="choose another output")


def parse_sample(text: str) -> int:
    """Bytes of `--sample`. UserError when it is no size."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise UserError(f"cannot use --sample {text}", hint=str(error)) from error


def _tell_trial(trial: Trial) -> None:
    print_note(
        f"[search] alpha {trial.alpha:g}: {trial.worst_tokens_per_word:.3f} tokens a word in {trial.worst}, "
        f"{trial.mean_tokens_per_word:.3f} in the mean"
    )


def _print_search(search: AlphaSearch) -> None:
    rows = [
        [
            f"{trial.alpha:g}",
            trial.worst,
            f"{trial.worst_tokens_per_word:.3f}",
            f"{trial.mean_tokens_per_word:.3f}",
            "<- taken" if trial == search.best else "",
        ]
        for trial in search.trials
    ]
    print_table(["alpha", "worst", "its tokens/word", "mean tokens/word", ""], rows, left=2)
    if search.left_out:
        print_line(f"not judged, for lack of held-out text: {', '.join(search.left_out)}")
    print_line()


def _cost_row(row: LanguageCost) -> list[object]:
    cost = row.cost
    return [
        row.language,
        cost.words,
        f"{cost.tokens_per_word:.3f}",
        f"{cost.tokens_per_character:.3f}",
        "" if row.against_english is None else f"{row.against_english:.3f}",
        f"{cost.unknown_share:.2%}",
        f"{cost.parts_share:.2%}",
    ]


def _print_comparison(costs: Sequence[TokenizerCost]) -> None:
    """Tokens a word of each language, a column a tokenizer."""
    rates = [{row.language: row.cost.tokens_per_word for row in cost.languages} for cost in costs]
    for number, cost in enumerate(costs, 1):
        print_line(f"{number}: {cost.tokenizer}")
    rows = [[name, *(f"{rate[name]:.3f}" for rate in rates)] for name in sorted(rates[0])]
    print_table(["tokens/word", *(str(number) for number in range(1, len(costs) + 1))], rows)


def _page(text: str, costs: Sequence[TokenizerCost]) -> FairnessPage:
    from curator.language.tags import display_name
    from curator.report.fairness import FairnessPage, LanguageRow, TokenizerRows

    return FairnessPage(
        text,
        tuple(
            TokenizerRows(
                name=cost.tokenizer,
                vocabulary=cost.vocabulary,
                mean_tokens_per_word=cost.mean_tokens_per_word,
                rows=tuple(
                    LanguageRow(
                        tag=row.language,
                        name=display_name(row.language),
                        words=row.cost.words,
                        tokens_per_word=row.cost.tokens_per_word,
                        tokens_per_character=row.cost.tokens_per_character,
                        against_english=row.against_english,
                        unknown=row.cost.unknown_share,
                        parts=row.cost.parts_share,
                    )
                    for row in cost.languages
                ),
            )
            for cost in costs
        ),
    )


def _cost_json(cost: TokenizerCost) -> dict[str, object]:
    return {
        "tokenizer": cost.tokenizer,
        "vocabulary": cost.vocabulary,
        "mean_tokens_per_word": cost.mean_tokens_per_word,
        "worst": cost.most_fertile.language,
        "worst_tokens_per_word": cost.most_fertile.cost.tokens_per_word,
        "languages": [
            {
                "language": row.language,
                **asdict(row.cost),
                "tokens_per_word": row.cost.tokens_per_word,
                "tokens_per_character": row.cost.tokens_per_character,
                "against_english": row.against_english,
            }
            for row in cost.languages
        ],
    }


def _only(sizes: Mapping[str, LanguageSize], languages: Sequence[str]) -> dict[str, LanguageSize]:
    """The sizes of these languages. UserError where there is no text in one."""
    from curator.language.tags import list_language

    wanted = sorted({list_language(tag) for tag in languages})
    missing = [name for name in wanted if name not in sizes or not sizes[name].bytes]
    if missing:
        raise UserError(f"there is no text in {', '.join(missing)}", hint=f"there is text in {', '.join(sizes)}")
    return {name: sizes[name] for name in wanted}
