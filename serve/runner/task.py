"""What a worker process is told, and what it leaves: the files of an attempt's folder.

task.json      what to run
lock           held from before the process begins until it has ended, by the kernel: the sign that it lives
pid            the process
heartbeat      touched every two seconds
log            what it writes for people
adopted        there when it found its job running already, whose first word came long ago
outcome.json   how it ended; missing when it was killed
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curator.training import TrainingConfig
from serve.models import OverlayText
from serve.places import Allowances

TASK = "task.json"
LOCK = "lock"
PID = "pid"
HEARTBEAT = "heartbeat"
LOG = "log"
OUTCOME = "outcome.json"
ADOPTED = "adopted"

HEARTBEAT_SECONDS = 2.0


class Task(BaseModel):
    """One attempt of a run. `recipe` is the name of a packaged one, else `recipe_text` its text; places are resolved
    already. `workers` 0 and `memory_bytes` None mean what the Ray cluster has: the one at the address `ray`, which does
    the tasks, or the one whose dashboard has the address `ray_jobs`, where the driver of the run `run` is a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["run"] = "run"
    inputs: tuple[str, ...]
    output: str
    recipe: str
    recipe_text: str | None
    overlay: OverlayText | None = None
    overrides: tuple[str, ...]
    workers: int
    memory_bytes: int | None
    ray: str | None
    run: str = ""
    ray_jobs: str | None = None
    resume: bool
    input_roots: tuple[str, ...]
    output_roots: tuple[str, ...]
    allowances: Allowances = Allowances()


class TrainedOn(BaseModel):
    """A run whose shards a training reads: its directory, and the fingerprint that it told, where that is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    output: str
    fingerprint: str | None


class TrainingTask(BaseModel):
    """One attempt of a training, on these runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["training"] = "training"
    runs: tuple[TrainedOn, ...]
    output: str
    config: TrainingConfig
    tokenizer: str | None
    device: str
    resume: bool
    input_roots: tuple[str, ...]
    output_roots: tuple[str, ...]


AnyTask = Task | TrainingTask

_TASK: TypeAdapter[AnyTask] = TypeAdapter(Annotated[AnyTask, Field(discriminator="kind")])


def read_task(folder: Path) -> AnyTask:
    """The task of a folder."""
    return _TASK.validate_json((folder / TASK).read_bytes())


class Outcome(BaseModel):
    """How a worker ended: the exit code of `curator process` or `train`, and what stopped it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exit_code: int
    error: str | None = None
    message: str | None = None


def read_outcome(folder: Path) -> Outcome | None:
    """How the worker of a folder ended, None where it left no word, or none that can be read."""
    try:
        return Outcome.model_validate_json((folder / OUTCOME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
