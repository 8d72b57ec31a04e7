"""From a finished run to its report: reads the manifest and `scores/`, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import pyarrow as pa
import yaml

from curator.errors import UserError
from curator.recipe.model import Recipe
from curator.recipe.overlay import Origins
from curator.registry import STAGES, names, stage_class
from curator.report.histograms import bin_edges, count_scores
from curator.report.html import render
from curator.report.model import (
    WORTH_SAYING,
    Action,
    ArmComparison,
    EvaluationRow,
    Example,
    Failure,
    Histogram,
    Report,
    Row,
    SamplingRow,
    StageNote,
    Step,
    Totals,
)
from curator.report.thresholds import describe_overlay, thresholds
from curator.run.directory import RunDirectory
from curator.run.failures import failures_of
from curator.run.funnel import language_label, tally_of
from curator.run.journal import CRASH_SENTENCE, is_crash
from curator.run.store import put
from curator.run.tally import (
    ALL_OTHERS,
    COPIES,
    CREATED,
    ERASED,
    FAILED,
    HELD,
    IN,
    KEPT,
    LANGUAGE,
    OTHERS,
    SOURCE,
    Tally,
    parse_event,
)
from curator.stage import Column, Parameters, Stage
from curator.text.tokens import UNIT
from curator.verdict import DROP, REPEAT

SOURCES_SHOWN = 50
LANGUAGES_WITH_HISTOGRAM = 6


def write_report(
    directory: RunDirectory, manifest: Mapping[str, object], comparisons: Sequence[ArmComparison] = ()
) -> None:
    """Write `report.html`, with what models learned if they were asked."""
    report = replace(build_report(directory, manifest), comparisons=comparisons)
    put(directory.report, render(report).encode())


def build_report(directory: RunDirectory, manifest: Mapping[str, object]) -> Report:
    """All that the page shows of a run."""
    recipe = Recipe.model_validate(manifest["recipe"])
    tally = tally_of(manifest)
    stages = [entry.name for entry in recipe.stages]
    coverage = cast("dict[str, dict[str, str]]", manifest["coverage"])
    facts = cast("dict[str, dict[str, object]]", manifest["facts"])
    given = manifest.get("origins")
    origins = None if given is None else Origins.model_validate(given)
    languages = [_row(tally, LANGUAGE, name, coverage) for name in _by_size(tally, LANGUAGE)]
    return Report(
        name=recipe.name,
        fingerprint=cast("str", manifest["fingerprint"])[:16],
        recipe=_recipe_yaml(recipe),
        token_unit=_token_unit(cast("str", manifest["token"])),
        stages=stages,
        totals=_totals(tally),
        steps=_steps(tally, stages),
        languages=languages,
        sources=_sources(tally),
        histograms=_histograms(directory, recipe, tally),
        thresholds=thresholds(recipe, origins),
        overlay=describe_overlay(origins),
        examples=[_example(example) for example in cast("list[dict[str, object]]", manifest["examples"])],
        sampling=_sampling(facts.get("sampling", {}), tally),
        sampling_sources=_sampling_sources(facts.get("sampling", {}), tally),
        evaluation=_evaluation(facts.get("decontamination", {})),
        notes=[_note(name, facts.get(name, {})) for name in (*_before_stages(facts), *stages)],
        failures=_failures(directory),
        warnings=cast("list[str]", manifest.get("warnings", [])),
        versions=sorted(cast("dict[str, str]", manifest["versions"]).items()),
    )


def _totals(tally: Tally) -> Totals:
    events = tally.events()

    def numbers(event: str) -> tuple[int, int, int]:
        return events.get(event, (0, 0, 0))

    dropped = sum(found[0] for event, found in events.items() if (verdict := parse_event(event)) and verdict[1] == DROP)
    return Totals(
        documents_in=numbers(IN)[0] + numbers(FAILED)[0],
        tokens_in=numbers(IN)[1],
        bytes_in=numbers(IN)[2],
        created=numbers(CREATED)[0],
        kept=numbers(KEPT)[0],
        held_out=numbers(HELD)[0],
        dropped=dropped,
        failed=numbers(FAILED)[0],
        copies=numbers(COPIES)[0],
        tokens_out=numbers(KEPT)[1] + numbers(COPIES)[1],
        bytes_out=numbers(KEPT)[2] + numbers(COPIES)[2],
        erased=numbers(ERASED)[0],
    )


def _steps(tally: Tally, stages: Sequence[str]) -> list[Step]:
    events = tally.events()
    steps: list[Step] = []
    for stage in stages:
        for event, (documents, tokens, _) in events.items():
            verdict = parse_event(event)
            if verdict is None or verdict[0] != stage:
                continue
            _, action, rule = verdict
            if action == REPEAT:
                documents, tokens, _ = events.get(COPIES, (0, 0, 0))
            steps.append(Step(stage, rule, cast("Action", action), _sentence(stage, rule), documents, tokens))
        if CREATED in events and _derives(stage):
            documents, tokens, _ = events[CREATED]
            steps.append(Step(stage, f"{stage}.created", "create", "derived from a kept document", documents, tokens))
    return steps


def _class(stage: str) -> type[Stage[Parameters]] | None:
    """The class of a stage; None where its package is not installed here (the run may come from elsewhere)."""
    return stage_class(stage) if stage in names(STAGES) else None


def _derives(stage: str) -> bool:
    found = _class(stage)
    return found is not None and found.derives


def _sentence(stage: str, rule: str) -> str:
    """The sentence of a rule, for all documents: x stands for the score of each, t for the threshold."""
    found = _class(stage)
    template = CRASH_SENTENCE if is_crash(rule) else found.rules.get(rule, "") if found else ""
    try:
        told = template.format(
            score="x",
            threshold="t",
            keeper="a kept document",
            run="that was named",
            copies="n",
            lang="its language",
            kind="…",
        )
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"the sentence of rule {rule!r} has an unknown placeholder {error}", stage=stage) from error
    return f"{told[:1].lower()}{told[1:].rstrip('.')}"


def _by_size(tally: Tally, dimension: str) -> list[str]:
    return sorted(
        tally.names(dimension),
        key=lambda name: (-tally.documents(IN, dimension, name) - tally.documents(CREATED, dimension, name), name),
    )


def _row(tally: Tally, dimension: str, name: str, coverage: Mapping[str, Mapping[str, str]]) -> Row:
    from curator.language.tags import display_name, is_valid

    is_language = dimension == LANGUAGE
    events = tally.events(dimension, name)
    dropped: dict[str, int] = {}
    for event, found in events.items():
        verdict = parse_event(event)
        if verdict and verdict[1] == DROP:
            dropped[verdict[0]] = dropped.get(verdict[0], 0) + found[0]
    came, kept = events.get(IN, (0, 0, 0)), events.get(KEPT, (0, 0, 0))
    return Row(
        tag=language_label(name) if is_language else name,
        name=display_name(name) if is_language and is_valid(name) else "",
        documents_in=came[0],
        tokens_in=came[1],
        kept=kept[0],
        tokens_kept=kept[1],
        dropped=dropped,
        created=events.get(CREATED, (0, 0, 0))[0],
        held_out=events.get(HELD, (0, 0, 0))[0],
        copies=events.get(COPIES, (0, 0, 0))[0],
        coverage={stage: notes[name] for stage, notes in coverage.items() if name in notes},
    )


def _sources(tally: Tally) -> list[Row]:
    """The largest groups of sources, the rest as one row."""
    ordered = [name for name in _by_size(tally, SOURCE) if name != OTHERS]
    others = [OTHERS] if OTHERS in tally.names(SOURCE) else []
    shown = [_row(tally, SOURCE, name, {}) for name in ordered[:SOURCES_SHOWN]]
    rest = [_row(tally, SOURCE, name, {}) for name in ordered[SOURCES_SHOWN:] + others]
    if rest:
        stages = {stage for row in rest for stage in row.dropped}
        shown.append(
            Row(
                tag=ALL_OTHERS if others else f"{len(rest)} others",
                name="",
                documents_in=sum(row.documents_in for row in rest),
                tokens_in=sum(row.tokens_in for row in rest),
                kept=sum(row.kept for row in rest),
                tokens_kept=sum(row.tokens_kept for row in rest),
                dropped={stage: sum(row.dropped.get(stage, 0) for row in rest) for stage in sorted(stages)},
                created=sum(row.created for row in rest),
                held_out=sum(row.held_out for row in rest),
                copies=sum(row.copies for row in rest),
            )
        )
    return shown


def _example(values: Mapping[str, object]) -> Example:
    stage, rule = cast("str", values["stage"]), cast("str", values["rule"])
    return Example(
        stage=stage,
        rule=rule,
        sentence=_sentence(stage, rule),
        id=cast("str", values["id"]),
        language=cast("str", values["lang"]),
        excerpt=cast("str", values["excerpt"]),
        score=cast("float | None", values["score"]),
        threshold=cast("float | None", values["threshold"]),
        keeper=cast("str | None", values["keeper"]),
        beside=cast("str | None", values.get("beside")),
        beside_language=cast("str | None", values.get("beside_lang")),
    )


def _sampling(facts: Mapping[str, object], tally: Tally) -> list[SamplingRow]:
    """The plan beside what came out, in shares of all tokens."""
    from curator.language.tags import display_name, list_language

    plan = cast("list[dict[str, object]]", facts.get("languages", []))
    realised = _written(tally, LANGUAGE, list_language)
    whole = sum(realised.values()) or 1
    available = sum(cast("int", row["tokens"]) for row in plan) or 1
    target = sum(cast("int", row["target"]) for row in plan) or 1
    rows = []
    for row in sorted(plan, key=lambda row: -cast("int", row["tokens"])):
        name = cast("str", row["language"])
        shortfall = cast("int", row["shortfall"])
        rows.append(
            SamplingRow(
                tag=name,
                name=display_name(name),
                natural=cast("int", row["tokens"]) / available,
                target=cast("int", row["target"]) / target,
                realised=realised.get(name, 0) / whole,
                repeats=cast("float", row["repeats"]),
                note=f"{shortfall:,} tokens short" if shortfall > 0 else "",
            )
        )
    return rows


def _sampling_sources(facts: Mapping[str, object], tally: Tally) -> list[SamplingRow]:
    """The same of the sources that the plan tells apart; the last is all others together."""
    plan = cast("list[dict[str, object]]", facts.get("sources", []))
    named = {cast("str", row["source"]) for row in plan}
    realised = _written(tally, SOURCE, lambda group: group if group in named else "")
    whole = sum(realised.values()) or 1
    available, target = (sum(cast("int", row[name]) for row in plan) or 1 for name in ("tokens", "target"))
    rows = []
    for row in plan:
        name = cast("str", row["source"])
        tokens, wanted, planned = (cast("int", row[key]) for key in ("tokens", "wanted", "target"))
        off = abs(planned - wanted) / target
        rows.append(
            SamplingRow(
                tag=name or "others",
                name="",
                natural=tokens / available,
                target=planned / target,
                realised=realised.get(name, 0) / whole,
                repeats=planned / tokens if tokens else 0.0,
                note=f"the recipe asks for {wanted / target:.1%}" if off >= WORTH_SAYING else "",
            )
        )
    return rows


def _written(tally: Tally, dimension: str, group: Callable[[str], str]) -> dict[str, int]:
    """Tokens in the shards, copies included, by the group of each name."""
    found: dict[str, int] = {}
    for name in tally.names(dimension):
        events = tally.events(dimension, name)
        tokens = sum(events.get(event, (0, 0, 0))[1] for event in (KEPT, COPIES))
        found[group(name)] = found.get(group(name), 0) + tokens
    return found


def _evaluation(facts: Mapping[str, object]) -> list[EvaluationRow]:
    """What decontamination says of each evaluation set."""
    rows = []
    for row in cast("list[dict[str, int]]", facts.get("sets", [])):
        lengths = [
            f"{row[key]} {unit}"
            for key, unit in (("ngram_units", "words"), ("ngram_characters", "characters"))
            if row[key]
        ]
        counts = {name: row[name] for name in ("examples", "dirty", "clean", "common_only", "too_short", "documents")}
        name, overlap = cast("str", row["set"]), cast("list[int]", row["overlap"])
        rows.append(EvaluationRow(name, **counts, overlap=overlap, ngram=", ".join(lengths)))
    return rows


def _before_stages(facts: Mapping[str, object]) -> list[str]:
    """What there is to say of reading and of languages."""
    return [name for name in ("reading", "language") if name in facts]


def _note(stage: str, facts: Mapping[str, object]) -> StageNote:
    found = _class(stage)
    shown = [(name.replace("_", " "), _fact(value)) for name, value in facts.items() if not _is_table(value)]
    return StageNote(stage, found.about if found else "", shown)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _fact(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_fact(inner) for inner in value) or "none"
    return str(value)


def _failures(directory: RunDirectory) -> list[Failure]:
    found = sorted(failures_of(directory.failed), key=lambda failures: (failures.code, failures.file))
    return [Failure(each.code, each.meaning.words, each.file, each.records) for each in found]


def _token_unit(token: str) -> str:
    if token == UNIT:
        return "a unit (a word; a character in scripts without spaces)"
    kind, _, digest = token.partition(" sha256:")
    return f"a piece of the tokenizer of the recipe ({kind}, SHA-256 {digest[:16]}…)"


def _recipe_yaml(recipe: Recipe) -> str:
    values = recipe.model_dump(mode="json")
    values["stages"] = [{entry.name: entry.parameters} for entry in recipe.stages]
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


@dataclass(frozen=True)
class _Measured:
    """A column to draw, and where its threshold lies."""

    column: Column
    threshold: float | None


def _measured(recipe: Recipe) -> list[_Measured]:
    """Float columns of the recipe's stages, in order."""
    found: list[_Measured] = []
    for entry in recipe.stages:
        stage = _class(entry.name)
        if stage is None:
            continue
        made = stage(stage.parameters_type.model_validate(entry.parameters))
        for column in (*made.columns, *made.scored):
            if not column.internal and pa.types.is_floating(column.type):
                value = _parameter(entry.parameters, column.threshold) if column.threshold else None
                found.append(_Measured(column, float(value) if isinstance(value, (int, float)) else None))
    return found


def _parameter(parameters: Mapping[str, object], path: str) -> object:
    """The value at a dotted path, None where there is none."""
    value: object = parameters
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _histograms(directory: RunDirectory, recipe: Recipe, tally: Tally) -> list[Histogram]:
    """Distributions of the scores: over all languages, and in the largest ones where a threshold cuts them."""
    largest = [name for name in _by_size(tally, LANGUAGE) if name != "und"][:LANGUAGES_WITH_HISTOGRAM]
    measured = {found.column.name: found for found in _measured(recipe)}
    edges = bin_edges(directory.scores, list(measured))
    counts = count_scores(directory.scores, edges, largest)
    return [
        Histogram(
            column=name,
            language=language,
            edges=edges[name].tolist(),
            counts=row.tolist(),
            threshold=found.threshold,
            dropped=found.column.drops if found.threshold is not None else None,
            about=found.column.about,
        )
        for name, found in measured.items()
        if name in counts
        for language, row in zip((None, *largest), counts[name], strict=True)
        if row.any() and (language is None or found.threshold is not None)
    ]
