"""What the service takes and gives, as the OpenAPI document has it. Times are seconds since 1970."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from curator.sizes import Size
from serve.states import State

LABEL_NAME = r"^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$"
MAX_LABELS = 20
MAX_INPUTS = 1000
MAX_NOTIFIED = 5

Place = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
LabelName = Annotated[str, StringConstraints(pattern=LABEL_NAME)]
LabelValue = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
WebhookUrl = Annotated[str, StringConstraints(min_length=8, max_length=1000)]
Override = Annotated[str, StringConstraints(min_length=3, max_length=1000, pattern="^[^=]+=")]
Scope = Literal["read", "submit", "admin"]
"""What a token may do; each holds what stands before it."""


class Given(BaseModel):
    """What is sent to the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(BaseModel):
    """What the service answers."""

    model_config = ConfigDict(frozen=True)


class OverlayText(Given):
    """An overlay that `curator calibrate` wrote: the name of its file, which the manifest keeps, and its text."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    text: Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]


class RecipeChoice(Given):
    """A recipe: the name of a packaged one, or the whole recipe inline; thresholds of an overlay laid over it; values
    overridden by `stage.param=value`."""

    recipe: Annotated[str, StringConstraints(min_length=1, max_length=100)] | dict[str, object] = Field(
        "web", description="the name of a packaged recipe, or a recipe", examples=["web"]
    )
    overlay: OverlayText | None = Field(None, description="thresholds laid over the recipe")
    overrides: tuple[Override, ...] = Field((), max_length=100, examples=[["dedup.threshold=0.9"]])

    @field_validator("recipe")
    @classmethod
    def _is_text(cls, recipe: str | dict[str, object]) -> str | dict[str, object]:
        text = json.dumps(recipe, ensure_ascii=False)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError("holds half of a surrogate pair") from None
        if "\\u0000" in text:
            raise ValueError("holds a NUL")
        return recipe


class WorkRequest(Given):
    """What every kind of work is asked with: where to, and how it is queued and tried."""

    output: Place = Field(description="a new directory below an output root; relative to the first if not absolute")
    labels: dict[LabelName, LabelValue] = Field({}, max_length=MAX_LABELS, examples=[{"team": "web"}])
    priority: int = Field(0, ge=-100, le=100, description="higher ones first; above 0 for admin tokens only")
    timeout_s: float | None = Field(None, gt=0, le=10_000_000, description="seconds that an attempt may take")
    attempts: int = Field(3, ge=1, le=20, description="attempts made at most where one is lost or may be tried again")
    notify: tuple[WebhookUrl, ...] = Field(
        (), max_length=MAX_NOTIFIED, description="webhooks that are told how it ends, of those that the service allows"
    )


class RunRequest(RecipeChoice, WorkRequest):
    """A run to be made."""

    inputs: tuple[Place, ...] = Field(
        min_length=1, max_length=MAX_INPUTS, description="files, directories or globs below an input root"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="worker processes; those of the service if not given")
    memory: Size | None = Field(None, gt=0, description="bytes, or text as 4GB; those of the service if not given")

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "inputs": ["/data/crawl/*.jsonl.zst"],
                    "output": "crawl-2026-11",
                    "recipe": "web",
                    "overrides": ["dedup.threshold=0.9"],
                    "labels": {"team": "web"},
                }
            ]
        },
    )


class ResumeRequest(Given):
    """With what else a run goes on than before."""

    max_error_rate: float | None = Field(
        None, ge=0, le=1, description="share of records that may fail; as before if not given", examples=[0.02]
    )


class Progress(Told):
    """How far an attempt is, by the events of its run: phase `number` of `phases`, `tasks` of it done; `documents` and
    `bytes_read` of `bytes_total` read from the input."""

    phase: str = ""
    number: int = 0
    phases: int = 0
    tasks: int = 0
    documents: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    phase_started: float | None = None
    began: float | None = None


class Attempt(Told):
    """One attempt. `ask` says who wants it to end (`user`, `timeout`, empty); `exit_code`, `error` and `message` how it
    ended."""

    number: int
    state: State
    started: float | None = None
    ended: float | None = None
    heartbeat: float | None = None
    not_before: float = 0.0
    ask: str = ""
    exit_code: int | None = None
    error: str | None = None
    message: str | None = None


class Work(Told):
    """What is worked on. `state` is that of its last attempt, `attempt` the number of that."""

    id: str
    owner: str
    output: str
    labels: Mapping[str, str]
    priority: int
    created: float
    updated: float
    state: State
    attempt: int
    version: int
    exit_code: int | None = None
    error: str | None = None
    message: str | None = None


class Run(Work):
    """A run. `state` is that of its last attempt, `attempt` the number of that."""

    recipe: str
    progress: Progress


class Change(Told):
    """A transition that was taken."""

    version: int
    attempt: int
    before: State | None
    after: State
    time: float
    why: str
    actor: str


class RunDetails(Run):
    """A run with what was asked, its attempts and its history."""

    request: RunRequest
    attempts: tuple[Attempt, ...]
    history: tuple[Change, ...]


class RunPage(Told):
    """Some runs, the newest first; `next` is the cursor of those that follow, null at the end."""

    runs: tuple[Run, ...]
    next: str | None


class StoredEvent(Told):
    """An event. `id` grows along the stream; `origin` tells whether the run wrote it or the service."""

    id: int
    origin: Literal["run", "service"]
    attempt: int
    seq: int
    time: float
    kind: str
    fields: Mapping[str, object]


class EventPage(Told):
    """Some events, in order; `next` is what to give as `after` for those that follow."""

    events: tuple[StoredEvent, ...]
    next: int


class Count(Told):
    """Documents and tokens."""

    documents: int
    tokens: int


class Funnel(Told):
    """What came in, what each rule took, what is left: in all, and per language. Events are `in`, `failed`, `created`,
    `kept`, `copies`, `erased` and `STAGE/ACTION/RULE`. Of a run that has not succeeded it is what was counted so far,
    in all by task, per language by phase."""

    is_final: bool
    all: Mapping[str, Count]
    languages: Mapping[str, Mapping[str, Count]]
    stages: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    fingerprint: str | None = None


class Decision(Told):
    """A verdict other than keep."""

    id: str
    key: str
    stage: str
    action: str
    rule: str
    score: float | None
    threshold: float | None
    lang: str | None
    keeper: str | None


class DecisionPage(Told):
    """Some decisions, in the order of the record; `next` is the cursor of those that follow, null at the end."""

    decisions: tuple[Decision, ...]
    next: str | None


class Failure(Told):
    """Records of a file that could not be read for one reason: how many, and where the first is (`position` in bytes of
    what is read, `line` where there are lines). `meaning` says the code in words, `advice` what to do."""

    code: str
    file: str
    records: int
    position: int
    line: int | None
    meaning: str
    advice: str


class FailureList(Told):
    """What could not be read, the most frequent first; `records` in all."""

    failures: tuple[Failure, ...]
    records: int


class ExplainedDocument(Told):
    """What happened to one document, and why."""

    id: str
    key: str
    fate: str
    sentences: tuple[str, ...]
    scores: Mapping[str, object]
    decisions: tuple[Mapping[str, object], ...]


class Explanations(Told):
    """All documents of an id."""

    documents: tuple[ExplainedDocument, ...]


class Shard(Told):
    """A file of the output, as the manifest has it."""

    name: str
    rows: int
    tokens: int
    bytes: int
    sha256: str


class ShardList(Told):
    """The shards of a run."""

    shards: tuple[Shard, ...]


class PreviewRow(Told):
    """A document of a shard, its text cut."""

    id: str
    lang: str | None
    source: str | None
    tokens: int
    copy_number: int
    text: str
    is_cut: bool


class ShardPreview(Told):
    """Some documents of a shard."""

    name: str
    rows: int
    offset: int
    documents: tuple[PreviewRow, ...]


class Log(Told):
    """A part of what an attempt wrote: bytes `begin` to `end` of `bytes`."""

    attempt: int
    bytes: int
    begin: int
    end: int
    text: str


class RecipeSummary(Told):
    """A packaged recipe."""

    name: str
    about: str


class RecipeList(Told):
    """The packaged recipes."""

    recipes: tuple[RecipeSummary, ...]


class ValidRecipe(Told):
    """A recipe that can run here."""

    name: str
    stages: tuple[str, ...]
    phases: tuple[str, ...]


class StageSummary(Told):
    """A stage that is installed, with the JSON schema of its parameters."""

    name: str
    about: str
    rules: Mapping[str, str]
    parameters: Mapping[str, object]


class BrokenStage(Told):
    """A stage of another package that could not be loaded, and what may be told of why."""

    name: str
    detail: str


class StageList(Told):
    """The stages that are installed. `broken` are those that no recipe can have until their packages are mended and
    the service is started again."""

    stages: tuple[StageSummary, ...]
    broken: tuple[BrokenStage, ...]


Standing = Literal["waiting", "delivered", "given up"]
"""Where a message stands."""


class Delivery(Told):
    """A message to a webhook about the end of a run or training (`run`): where it stands, how often it was tried, when
    it is tried again at the earliest, and how the last try went."""

    id: str
    run: str
    url: str
    created: float
    standing: Standing
    tries: int
    not_before: float
    ended: float | None
    status: int | None
    error: str | None


class DeliveryPage(Told):
    """Some messages, the newest first; `next` is the cursor of those that follow, null at the end."""

    deliveries: tuple[Delivery, ...]
    next: str | None


class Me(Told):
    """Whose token it is, and what it may do."""

    name: str
    scope: Scope
    expires: float | None


class Health(Told):
    """That the server answers, and with which version."""

    status: Literal["ok"]
    version: str


class Violation(Told):
    """One value of a request that will not do."""

    place: str
    message: str


class Problem(Told):
    """What went wrong (RFC 9457). `code` is stable and what programs look at; `hint` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None
    errors: tuple[Violation, ...] | None = None
