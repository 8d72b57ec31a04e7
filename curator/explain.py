"""What happened to one document of a run, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from curator.errors import UserError
from curator.recipe.model import Recipe
from curator.registry import stage_class
from curator.run.directory import RunDirectory
from curator.run.failures import MEANINGS, Meaning
from curator.run.journal import CRASH_SENTENCE, is_crash
from curator.run.manifest import load_manifest, need_files
from curator.run.tally import FAILED
from curator.sources import group_metadata, group_sources
from curator.storage.parquet import parquet_tables, read_of_run
from curator.storage.path import AnyPath, matching
from curator.verdict import DROP, EDIT, FLAG, REPEAT


class UnknownDocumentError(UserError):
    """The run has no document of this id or key."""


@dataclass(frozen=True)
class Explanation:
    """One document: its scores, the decisions about it in order, the sentences that tell them, where it is now."""

    id: str
    key: str
    scores: Mapping[str, object]
    decisions: Sequence[Mapping[str, object]]
    sentences: Sequence[str]
    fate: str

    def as_json(self) -> dict[str, object]:
        """The explanation as JSON values."""
        return {
            "id": self.id,
            "key": self.key,
            "fate": self.fate,
            "sentences": list(self.sentences),
            "scores": dict(self.scores),
            "decisions": [dict(decision) for decision in self.decisions],
        }


def explain(directory: RunDirectory, document: str) -> list[Explanation]:
    """Explain every document of this id (ids may repeat), or the one of this key (32 hexadecimal digits).

    A copy `ID#1` is explained as `ID`. UnknownDocumentError when the run has no such document, another error
    when the run cannot be read.
    """
    manifest = load_manifest(directory.manifest)
    need_files(directory.manifest, manifest, "scores", "decisions", "shards", "heldout", "failed")
    recipe = Recipe.model_validate(manifest["recipe"])
    scores = _find(directory.scores, document)
    if not scores and (copy := re.fullmatch(r"(.*)#\d+", document, re.DOTALL)):
        scores = _find(directory.scores, copy[1])
    if not scores:
        failed = _find_failed(directory, document)
        if failed:
            return failed
        raise UnknownDocumentError(
            f"no document has the id or key {document!r}",
            file=str(directory.root),
            hint="ids stand in scores/; a record without one has FILE:POSITION",
        )
    return [_explain(directory, recipe, row) for row in scores]


def _explain(directory: RunDirectory, recipe: Recipe, row: Mapping[str, object]) -> Explanation:
    key = cast("bytes", row["key"])
    decisions = _rows(directory.decisions, pc.field("key") == pa.scalar(key, pa.binary(16)))
    kept = _rows(directory.shards, pc.field("key") == pa.scalar(key, pa.binary(16)), ["key", "copy", "tokens"])
    held_out = _rows(directory.heldout, pc.field("key") == pa.scalar(key, pa.binary(16)), ["key", "copy"])
    sentences = [_sentence(decision) for decision in decisions]
    dropped = next((decision for decision in decisions if decision["action"] == DROP), None)
    if dropped is not None:
        fate = f"dropped by {dropped['stage']}"
    else:
        untouched = [entry.name for entry in recipe.stages if not any(d["stage"] == entry.name for d in decisions)]
        fate = "held out" if held_out else "kept" if len(kept) == 1 else f"kept, written {len(kept)} times"
        if untouched:
            sentences.append(f"{_join(untouched)} left it as it is.")
    groups, source = group_metadata(recipe.input.source_groups), row.get("source")
    if groups and source is not None:
        sentences.append(f"Its source {source} counts as {group_sources(pa.array([source]), groups)[0]}.")
    shown = {name: value for name, value in row.items() if name not in ("id", "key") and value is not None}
    plain = [{**decision, "key": key.hex()} for decision in decisions]
    return Explanation(cast("str", row["id"]), key.hex(), shown, plain, sentences, fate)


def _sentence(decision: Mapping[str, object]) -> str:
    rule, stage, action = (cast("str", decision[name]) for name in ("rule", "stage", "action"))
    detail = cast("Mapping[str, object] | None", decision["detail"]) or {}
    if action == "derive":
        return f"{stage} made it from {detail.get('parent')} ({detail.get('method')}, {detail.get('engine')})."
    try:
        template = stage_class(stage).rules.get(rule)
    except UserError:
        template = None  # the package of the stage is not installed here; the record stands without its words
    if is_crash(rule):
        template = CRASH_SENTENCE
    words = template or f"rule {rule}: score {{score}}, threshold {{threshold}}"
    values = {
        "score": _number(decision["score"]),
        "threshold": _number(decision["threshold"]),
        "copies": _number(decision["score"]),
        "keeper": decision["keeper"],
        "kind": detail.get("kind"),
        "run": detail.get("run"),
        "lang": decision["lang"],
    }
    verb = {DROP: "dropped it", EDIT: "edited it", FLAG: "flagged it", REPEAT: "repeats it"}.get(action, action)
    places = [f"characters {detail['begin']} to {detail['end']}"] if detail.get("begin") is not None else []
    if template and decision["keeper"] is not None and "{keeper}" not in template:
        places.append(f"like {decision['keeper']}")
    where = f" ({', '.join(places)})" if places else ""
    told = words.format(**values).rstrip(".")
    return f"{stage} {verb}{where}: {told[:1].lower()}{told[1:]}."


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else "none"


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _find(folder: AnyPath, document: str) -> list[dict[str, object]]:
    return _rows(folder, pc.field("id") == document) or _find_key(folder, document)


def _find_key(folder: AnyPath, key: str) -> list[dict[str, object]]:
    if re.fullmatch("[0-9a-fA-F]{32}", key) is None:
        return []
    return _rows(folder, pc.field("key") == pa.scalar(bytes.fromhex(key), pa.binary(16)))


def _rows(folder: AnyPath, condition: pc.Expression, columns: list[str] | None = None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for path in matching(folder, "*.parquet"):
        with read_of_run(path):
            for table in parquet_tables(path, columns, condition):
                found.extend(table.to_pylist())
    return found


def _find_failed(directory: RunDirectory, document: str) -> list[Explanation]:
    """Records that could not be read, by FILE:POSITION or by key."""
    if place := re.fullmatch(r"(.*):([0-9]{1,18})", document, re.DOTALL):
        rows = _rows(directory.failed, (pc.field("file") == place[1]) & (pc.field("position") == int(place[2])))
    else:
        rows = _find_key(directory.failed, document)
    return [_explain_failed(row) for row in rows]


def _explain_failed(row: Mapping[str, object]) -> Explanation:
    code = cast("str", row["code"])
    meaning = MEANINGS.get(code, Meaning(code))
    advice = f" ({meaning.advice})" if meaning.advice else ""
    place = f" in line {row['line']}" if row["line"] is not None else ""
    sentence = f"The record{place} could not be read: {meaning.words}{advice}."
    return Explanation(f"{row['file']}:{row['position']}", cast("bytes", row["key"]).hex(), {}, [], [sentence], FAILED)
