"""`curator eval`, `curator export` and `curator import`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from curator.cli.local import need_local
from curator.cli.output import counted, print_json, print_line, print_note, print_table
from curator.cli.packages import require
from curator.errors import UserError

if TYPE_CHECKING:
    from model.data.documents import TextDocument
    from model.directory import Description

_WHOLE = "the whole model has to fit twice"
"""What to say where a model does not fit into memory."""


def evaluate_command(
    model: Path,
    on: str | None,
    languages: Sequence[str],
    documents: int,
    best: bool,
    device: str,
    as_json: bool,
) -> None:
    """Print the scores of a model on text, by language."""
    require("torch", "safetensors", extra="train")
    from model.directory import ModelDirectory, load_decoder
    from model.evaluate import count_changed, evaluate
    from model.train import find_device
    from model.trainer import saying_out_of_memory

    with saying_out_of_memory("make --documents smaller, or name languages by --lang"):
        decoder, tokenizer, description, step = load_decoder(ModelDirectory(model), find_device(device), best=best)
        asked = _read(on, description) if on else _kept_for_validation(description)
        on = on or ", ".join(source.place for source in description.sources)
        chosen = _choose(asked, languages, documents)
        missing = sorted(set(languages) - {document.lang for document in chosen})
        if missing or not chosen:
            told = f"there is no document in {', '.join(missing)}" if missing else "there is no document"
            raise UserError(told, file=on, hint="check --lang, or take other text")
        scores = evaluate(decoder, tokenizer, chosen, sequence=description.config.data.sequence)
        changed = count_changed(tokenizer, chosen)
    if changed:
        print_note(
            f"curator: the tokenizer leaves out or changes something of {changed:,} of "
            f"{counted(len(chosen), 'document')}: "
            "the bits per byte are too few to be compared with those of another tokenizer"
        )
    if as_json:
        values = {"model": str(model), "step": step, "on": on, "changed_by_tokenizer": changed}
        print_json(values | {"scores": [asdict(score) for score in scores]})
        return
    rows = [
        [
            score.language,
            score.documents,
            score.bytes,
            f"{score.bits_per_byte:.4f}",
            "" if score.low is None else f"{score.low:.4f} to {score.high:.4f}",
            "" if score.cloze is None else f"{100 * score.cloze:.0f}%",
            score.questions or "",
        ]
        for score in scores
    ]
    print_table(["lang", "documents", "bytes", "bits/byte", "95% interval", "cloze", "questions"], rows)


def export_command(model: Path, output: Path, best: bool, as_json: bool) -> None:
    """Write a model for Hugging Face."""
    need_local(output)
    require("torch", "safetensors", extra="train")
    from model.directory import ModelDirectory
    from model.export import export_model
    from model.trainer import saying_out_of_memory

    with saying_out_of_memory(_WHOLE):
        shape = export_model(ModelDirectory(model), output, best=best)
    if not (output / "tokenizer.json").exists():
        print_note("curator: nothing that AutoTokenizer reads cuts text as tokenizer.model does; encode with that file")
    _tell(output, shape.parameters, as_json)


def import_command(folder: Path, output: Path, as_json: bool) -> None:
    """Make a model of a folder of Hugging Face."""
    need_local(output)
    require("torch", "safetensors", extra="train")
    from model.export import import_model
    from model.trainer import saying_out_of_memory

    with saying_out_of_memory(_WHOLE):
        shape = import_model(folder, output)
    _tell(output, shape.parameters, as_json)


def _tell(output: Path, parameters: int, as_json: bool) -> None:
    if as_json:
        print_json({"output": str(output), "parameters": parameters})
        return
    print_line(f"{output}: {parameters:,} parameters")


def _read(on: str, description: Description) -> Iterable[TextDocument]:
    """The documents of files; or of a run, those alone that the model never saw if it was trained on the run."""
    from curator.run.failures import describe_failures
    from model.data.documents import documents_of_files, documents_of_run, is_run
    from model.data.shards import open_corpus

    if is_run(on):
        corpus = open_corpus(on)
        share = description.config.data.validation_share if description.is_of(corpus) else None
        return documents_of_run(corpus, share)
    documents, failures = documents_of_files([on])
    if failures:
        records = counted(sum(found.records for found in failures), "record")
        print_note(f"curator: {records} could not be read: {describe_failures(failures)}; the rest is asked about")
    return documents


def _kept_for_validation(description: Description) -> Iterator[TextDocument]:
    """What the model was not taught of the runs that it was trained on."""
    from model.data.documents import documents_of_run
    from model.data.shards import open_corpus

    if not description.sources:
        raise UserError("the model does not say on which runs it was trained", hint="name text, or a run, with --on")
    for source in description.sources:
        corpus = open_corpus(source.place)
        if not description.is_of(corpus):
            raise UserError(
                "is not the run that the model was trained on", file=source.place, hint="name it, or text, with --on"
            )
        yield from documents_of_run(corpus, description.config.data.validation_share)


def _choose(documents: Iterable[TextDocument], languages: Sequence[str], most: int) -> list[TextDocument]:
    """Of each language, or of those that were named, at most so many documents, in their order: those whose names have
    the smallest hashes, wherever they stand."""
    chosen: dict[str, list[tuple[int, int, TextDocument]]] = {}
    for number, document in enumerate(documents):
        if languages and document.lang not in languages:
            continue
        draw = int.from_bytes(blake3(document.name.encode("utf-8", "surrogateescape")).digest(8))
        heap = chosen.setdefault(document.lang, [])
        heappush(heap, (-draw, -number, document))
        if most and len(heap) > most:
            heappop(heap)  # the greatest hash, and of equal ones the last document
    return [document for _, _, document in sorted(chain(*chosen.values()), key=lambda entry: -entry[1])]
