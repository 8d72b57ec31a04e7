"""What differs between a run and a training, as the runner sees them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from curator.run.directory import RunDirectory
from curator.run.events import Event
from curator.storage.path import AnyPath, as_path
from serve.folds import Fold, RunFold, TrainingFold
from serve.kinds import Kind
from serve.models import RunRequest
from serve.runner.task import AnyTask, Task, TrainedOn, TrainingTask
from serve.settings import Settings
from serve.states import Begin, Succeed
from serve.store.runs import RunStore
from serve.store.tables import RunRow
from serve.training_models import TrainingRequest

EARLY_STEPS = 200
"""Steps of a training that are kept one by one."""


class Work(ABC):
    """One kind. `FIRST` is the event with which it says that it works, `BEGAN` and `SUCCEEDED` what history tells then
    and at its end; `GRACE_SECONDS` how long a process may take to end when it is told to, before it is killed."""

    FIRST: ClassVar[str]
    BEGAN: ClassVar[str]
    SUCCEEDED: ClassVar[str]
    GRACE_SECONDS: ClassVar[float]

    @abstractmethod
    def events(self, output: str) -> AnyPath:
        """The folder of its event log."""

    @abstractmethod
    def new_fold(self) -> Fold:
        """What folds its events."""

    @abstractmethod
    def kept(self, events: Sequence[Event]) -> Sequence[Event]:
        """Those events of a piece that the store keeps."""

    @abstractmethod
    def is_used(self, output: str) -> bool:
        """Whether its directory has events, so that those of another attempt go on from them."""

    @abstractmethod
    def is_finished(self, output: str) -> bool:
        """Whether its directory says that it has succeeded."""

    @abstractmethod
    def task(self, run: RunRow, attempt: int, settings: Settings, store: RunStore) -> AnyTask:
        """What its process is told."""


class RunWork(Work):
    """A run of a recipe."""

    FIRST = "run.started"
    BEGAN = Begin.WHY
    SUCCEEDED = Succeed.WHY
    GRACE_SECONDS = 20.0

    def events(self, output: str) -> AnyPath:
        """The folder of its event log."""
        return RunDirectory(as_path(output)).events

    def new_fold(self) -> Fold:
        """What folds its events."""
        return RunFold()

    def kept(self, events: Sequence[Event]) -> Sequence[Event]:
        """All of them."""
        return events

    def is_used(self, output: str) -> bool:
        """Whether its directory holds anything."""
        return RunDirectory(as_path(output)).is_used()

    def is_finished(self, output: str) -> bool:
        """Whether its manifest is written."""
        return RunDirectory(as_path(output)).manifest.exists()

    def task(self, run: RunRow, attempt: int, settings: Settings, store: RunStore) -> Task:
        """What its process is told."""
        request = RunRequest.model_validate(run.request)
        workers, memory = (0, None) if settings.is_on_cluster else (settings.workers, settings.memory_bytes)
        return Task(
            inputs=request.inputs,
            output=run.output,
            recipe=request.recipe if isinstance(request.recipe, str) else run.recipe,
            recipe_text=None if isinstance(request.recipe, str) else json.dumps(request.recipe, ensure_ascii=False),
            overlay=request.overlay,
            overrides=request.overrides,
            workers=request.workers or workers,
            memory_bytes=request.memory or memory,
            ray=settings.ray,
            run=run.id,
            ray_jobs=settings.ray_jobs,
            resume=attempt > 1,
            input_roots=settings.places.input_roots,
            output_roots=settings.places.output_roots,
            allowances=settings.places.allowances,
        )


class TrainingWork(Work):
    """A training. It ends after the step that it is in, with a checkpoint, which may take a while."""

    FIRST = "training"
    BEGAN = "the training began"
    SUCCEEDED = "its last step is done"
    GRACE_SECONDS = 120.0

    def events(self, output: str) -> AnyPath:
        """The folder of its event log."""
        return Path(output) / "events"

    def new_fold(self) -> Fold:
        """What folds its events."""
        return TrainingFold()

    def kept(self, events: Sequence[Event]) -> Sequence[Event]:
        """Of later steps the last of each piece: there may be millions, and a piece is put every two seconds."""
        steps = [place for place, event in enumerate(events) if event["kind"] == "step"]
        return [
            # `end` is what closes a stream.
            {**event, "kind": "training.ended"} if event["kind"] == "end" else event
            for place, event in enumerate(events)
            if event["kind"] != "step" or place == steps[-1] or int(str(event["step"])) <= EARLY_STEPS
        ]

    def is_used(self, output: str) -> bool:
        """Whether there are events. A training that fails before its first checkpoint leaves none."""
        folder = Path(output) / "events"
        return folder.is_dir() and any(folder.iterdir())

    def is_finished(self, output: str) -> bool:
        """Never: a training that has reached its last step says so when it is asked to go on."""
        return False

    def task(self, run: RunRow, attempt: int, settings: Settings, store: RunStore) -> TrainingTask:
        """What its process is told."""
        request = TrainingRequest.model_validate(run.request)
        config = request.config
        if config.threads is None:
            config = config.model_copy(update={"threads": settings.workers})
        return TrainingTask(
            runs=tuple(
                TrainedOn(id=each, output=output, fingerprint=store.fingerprint(each))
                for each, output in zip(request.runs, store.outputs(request.runs), strict=True)
            ),
            output=run.output,
            config=config,
            tokenizer=request.tokenizer,
            device=request.device,
            resume=attempt > 1,
            input_roots=settings.places.input_roots,
            output_roots=settings.places.output_roots,
        )


WORK: Mapping[str, Work] = {Kind.RUN: RunWork(), Kind.TRAINING: TrainingWork()}
"""By kind."""
