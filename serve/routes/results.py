"""What a finished run says: its funnel, decisions, documents, shards and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast

from fastapi import Query
from fastapi.responses import Response

from curator.run.funnel import funnel_json
from curator.run.manifest import Manifest
from curator.run.progress import Counts
from serve.context import ServiceOf
from serve.guarded.read import DecisionsQuestion, ExplainQuestion, FailuresQuestion, PreviewQuestion
from serve.models import (
    Count,
    DecisionPage,
    Explanations,
    FailureList,
    Funnel,
    Shard,
    ShardList,
    ShardPreview,
)
from serve.problems import ProblemError
from serve.routing import Routes
from serve.states import State

ROUTES = Routes("results")

SHARDS = "shards/"
PREVIEW_CHARACTERS = 2000
FAILURES_SHOWN = 1000

_OF_FINISHED = ("run.unknown", "run.not_finished", "run.damaged", "request.invalid")
_GUARDED = (*_OF_FINISHED, "package.failed", "preview.failed", "service.busy", "storage.unavailable")

Text = Annotated[str | None, Query(max_length=1000)]


@ROUTES.add("GET", "/v1/runs/{run}/funnel", "read", model=Funnel, problems=_OF_FINISHED)
def show_funnel(run: str, service: ServiceOf) -> Funnel:
    """What came in, what each rule took, and what is left, in all and per language; of a run that works, so far."""
    found = service.run(run)
    if found.state != State.SUCCEEDED:
        return _forming(service.runs.counted(run))
    manifest = service.finished(run).manifest
    recipe = cast("dict[str, list[dict[str, str]]]", manifest["recipe"])
    stages = tuple(stage["name"] for stage in recipe["stages"])
    return Funnel.model_validate(
        {
            **funnel_json(manifest),
            "is_final": True,
            "stages": stages,
            "warnings": manifest["warnings"],
            "fingerprint": manifest["fingerprint"],
        }
    )


@ROUTES.add("GET", "/v1/runs/{run}/decisions", "read", model=DecisionPage, problems=_GUARDED)
def list_decisions(
    run: str,
    service: ServiceOf,
    stage: Text = None,
    rule: Text = None,
    action: Text = None,
    lang: Text = None,
    id: Text = None,  # noqa: A002 (the column's name)
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,9}:[0-9]{1,18}$")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DecisionPage:
    """Verdicts other than keep, those of a stage, rule, action, language or document."""
    file, row = map(int, (cursor or "0:0").split(":"))
    given = {"stage": stage, "rule": rule, "action": action, "lang": lang, "id": id}
    equal = {name: value for name, value in given.items() if value is not None}
    directory = service.finished(run).directory
    question = DecisionsQuestion(run=str(directory.root), equal=equal, file=file, row=row, limit=limit)
    return DecisionPage.model_validate(service.guard.ask(question))


@ROUTES.add("GET", "/v1/runs/{run}/failures", "read", model=FailureList, problems=_GUARDED)
def list_failures(run: str, service: ServiceOf) -> FailureList:
    """Which records could not be read, by reason and file, the 1,000 most frequent of these first, and what to do."""
    directory = service.finished(run).directory
    question = FailuresQuestion(run=str(directory.root), limit=FAILURES_SHOWN)
    return FailureList.model_validate(service.guard.ask(question))


@ROUTES.add(
    "GET",
    "/v1/runs/{run}/documents/{document:path}/explain",
    "read",
    model=Explanations,
    problems=(*_GUARDED, "document.unknown"),
)
def explain_document(run: str, document: str, service: ServiceOf) -> Explanations:
    """What happened to a document, and why, in words; by its id, or its key in hexadecimal."""
    directory = service.finished(run).directory
    found = service.guard.ask(ExplainQuestion(run=str(directory.root), document=document))
    return Explanations.model_validate({"documents": found})


@ROUTES.add("GET", "/v1/runs/{run}/shards", "read", model=ShardList, problems=_OF_FINISHED)
def list_shards(run: str, service: ServiceOf) -> ShardList:
    """The shards, with rows, tokens, bytes and SHA-256."""
    return ShardList(shards=_shards(service.finished(run).manifest))


@ROUTES.add(
    "GET", "/v1/runs/{run}/shards/{name}/preview", "read", model=ShardPreview, problems=(*_GUARDED, "shard.unknown")
)
def preview_shard(
    run: str,
    name: str,
    service: ServiceOf,
    offset: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ShardPreview:
    """Some documents of a shard, each cut at 2,000 characters, read by a process with limits."""
    finished = service.finished(run)
    if name not in {shard.name for shard in _shards(finished.manifest)}:
        raise ProblemError("shard.unknown", f"the manifest has no shard {name!r}")
    question = PreviewQuestion(
        path=str(finished.directory.shards / name), offset=offset, limit=limit, characters=PREVIEW_CHARACTERS
    )
    found = cast("dict[str, object]", service.guard.ask(question))
    return ShardPreview.model_validate({"name": name, "offset": offset, **found})


@ROUTES.add("GET", "/v1/runs/{run}/report", "read", problems=(*_OF_FINISHED, "report.missing"), media_type="text/html")
def show_report(run: str, service: ServiceOf) -> Response:
    """The report, one HTML file that loads nothing."""
    directory = service.finished(run).directory
    try:
        page = directory.report.read_bytes()
    except FileNotFoundError:
        raise ProblemError("report.missing", "it was removed", hint="`curator report` writes it again") from None
    # It carries styles of its own, and is a page by itself: no script, and not as if it came from this origin.
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})


def _forming(counted: Mapping[str, object]) -> Funnel:
    everything = cast("Counts", counted.get("all", {}))
    languages = cast("dict[str, Counts]", counted.get("languages", {}))
    stages = dict.fromkeys(event.split("/")[0] for event in everything if "/" in event)
    return Funnel(
        is_final=False,
        all=_counts(everything),
        languages={name: _counts(counts) for name, counts in languages.items()},
        stages=tuple(stages),
    )


def _counts(counts: Counts) -> dict[str, Count]:
    return {event: Count(documents=documents, tokens=tokens) for event, (documents, tokens) in counts.items()}


def _shards(manifest: Manifest) -> tuple[Shard, ...]:
    entries = cast("list[dict[str, object]]", manifest["files"])
    return tuple(
        Shard.model_validate({**entry, "name": str(entry["path"]).removeprefix(SHARDS)})
        for entry in entries
        if str(entry["path"]).startswith(SHARDS)
    )
