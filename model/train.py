"""A training from its request to its end: data, directory, steps, validations, checkpoints, and being stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import cast

import torch

from curator.errors import AGAIN, UserError
from curator.run.directory import RunDirectory, RunLock
from curator.run.events import EventLog, Listener
from curator.run.store import make_folder, put
from curator.tokenize import Tokenizer, load_tokenizer, read_tokenizer
from curator.training import TrainingConfig
from model.beginning import Beginning, choose_beginning
from model.build import describe_shape
from model.checkpoint import CheckpointWriter, checkpoints, latest, sweep_unfinished
from model.data.batch import Batch
from model.data.loader import Loader, shares_of
from model.data.shards import Corpus, need_languages, open_corpus
from model.data.validation import validation_batches
from model.directory import (
    Description,
    ModelDirectory,
    Source,
    describe,
    read_description,
    read_own_tokenizer,
    refuse_other_training,
    write_description,
)
from model.metrics import Board, Meter, StepMetrics, measure_peak
from model.ranks import Alone, Ranks
from model.sharded import host_copies
from model.state import as_lanes, training_state
from model.tokenizer_training import train_tokenizer
from model.trainer import DTYPES, AlarmError, Trainer, lost_process, out_of_memory

STOPPING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Request:
    """What to train, on which runs, and where to. `tokenizer` None: the model's own, or one trained on the runs.

    `initialise_from` is a model whose parameters this one begins with, `alignment` a file of pieces to tie.
    """

    runs: tuple[str, ...]
    output: Path
    config: TrainingConfig
    tokenizer: Path | None = None
    device: str = "cpu"
    resume: bool = False
    initialise_from: Path | None = None
    alignment: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """How a training ended. `signal` is what stopped it before its last step, None if nothing did."""

    description: Description
    step: int
    tokens: int
    last: StepMetrics | None
    validation_loss: float | None
    best_loss: float | None
    signal: int | None


def train(
    request: Request,
    listeners: tuple[Listener, ...] = (),
    ranks: Ranks | None = None,
    stopped: list[int] | None = None,
) -> Outcome:
    """Train to the last step, or until a signal; whatever ends it, the state is in a checkpoint.

    `stopped` is where a listener of the first rank puts the number of a signal; without it, those of this process are
    noted.

    UserError and DataError for what the request or the data cannot be, before anything is written; AlarmError when the
    training stops by itself.
    """
    ranks = ranks or Alone()
    device = find_device(request.device)
    # The command sets one thread for a process, since its engine has many of them.
    torch.set_num_threads(request.config.threads or len(os.sched_getaffinity(0)))
    _need_whole_parts(request.config, ranks)
    directory = ModelDirectory(request.output)
    resuming = request.resume and directory.is_begun()
    if directory.root.is_file():
        raise UserError("is a file, not a folder", file=str(directory.root), hint="choose another output")
    if ranks.rank == 0 and not resuming:
        _refuse_used(directory, request)
    corpora = [open_corpus(run) for run in request.runs]
    need_languages(corpora, request.config.data.languages)
    shares_of(corpora, request.config.data)  # weights that will not do are told before a tokenizer is trained
    # Every rank trains the same one; the first tells of it.
    tokenizer = _tokenizer(request, directory, corpora, () if ranks.rank else listeners, resuming=resuming)
    beginning = choose_beginning(request.initialise_from, request.alignment, directory, tokenizer, resuming=resuming)
    if beginning != Beginning() and request.config.parallel != "data":
        hint = "take `parallel: data`, or begin without --initialise-from and --align"
        raise UserError(
            f"parameters are not taken over where they are divided (`parallel: {request.config.parallel}`)", hint=hint
        )
    sources = [Source(corpus.root, corpus.name, corpus.fingerprint, corpus.identity) for corpus in corpora]
    description = describe(request.config, tokenizer, sources)
    if resuming:
        refuse_other_training(read_description(directory), description, directory.root)
    validation = validation_batches(corpora, tokenizer, request.config)
    # All ranks have looked at the directory before the first one writes there, and go on when it is ready.
    ranks.agree(False)
    with ExitStack() as held:
        if ranks.rank == 0:
            # Before anything is written or removed: another training may have begun here since this one looked.
            make_folder(directory.root)
            held.enter_context(RunLock(RunDirectory(directory.root)))
            if not resuming:
                _refuse_used(directory, request)
        finished = False
        try:
            if ranks.rank == 0:
                if not resuming:
                    write_description(directory, description)
                    beginning.write(directory)
                    put(directory.root / description.tokenizer_file, tokenizer.data)
                sweep_unfinished(directory.root)
            ranks.agree(False)
            training = _Training(
                request, directory, description, tokenizer, corpora, validation, device, ranks, beginning
            )
            if resuming and ranks.rank == 0:  # now that its checkpoint is read
                write_description(directory, description)
            outcome = training.run(listeners, stopped)
            finished = True
        except AlarmError:
            # The log tells what led to it, though there may be no checkpoint from before.
            finished = training.steps > 0
            raise
        except (RuntimeError, MemoryError) as error:
            told = out_of_memory(error) or lost_process(error)
            if told is None:
                raise
            raise told from error
        finally:
            if not (finished or resuming or ranks.rank):
                directory.remove_unless_begun(description.tokenizer_file)
    return outcome


class _Training:
    """The state of `train` between its steps."""

    def __init__(
        self,
        request: Request,
        directory: ModelDirectory,
        description: Description,
        tokenizer: Tokenizer,
        corpora: Sequence[Corpus],
        validation: Sequence[Batch],
        device: torch.device,
        ranks: Ranks,
        beginning: Beginning,
    ) -> None:
        self._config = request.config
        self._directory = directory
        self._description = description
        self._validation = validation
        self._ranks = ranks
        shape = description.shape
        peak = measure_peak(device, DTYPES[self._config.precision])
        self._trainer = Trainer(
            self._config, shape, device, ranks, Meter(shape, self._config.data.sequence, peak * ranks.size)
        )
        found = latest(directory.root) if request.resume and checkpoints(directory.root) else None
        beginning.apply(self._trainer, tokenizer, restores=found is not None)
        state: Mapping[str, object] | None = None
        if found is not None:
            self._trainer.restore(found)
            state = as_lanes(training_state(found).data)
        self._loader = Loader(corpora, tokenizer, self._config.data, state=state, rank=ranks.rank, ranks=ranks.size)
        each = self._config.data.batch // ranks.size
        lanes = [] if state is None else cast("list[dict[str, object]]", state["lanes"])
        self._lanes = lanes[ranks.rank * each : (ranks.rank + 1) * each]
        self._writer = CheckpointWriter(directory.root)
        self._saved = None if found is None else found.step
        self._last_validation: float | None = None

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._trainer.progress.step

    def run(self, listeners: tuple[Listener, ...], told: list[int] | None) -> Outcome:
        trainer, config = self._trainer, self._config
        last: StepMetrics | None = None
        stopped: list[int] = [] if told is None else told
        with ExitStack() as stack:
            stack.callback(self._loader.close)
            if told is None:
                stack.enter_context(noting(stopped))
            emit = self._start_log(stack, listeners)
            emit(
                "training",
                step=trainer.progress.step,
                steps=config.steps,
                warmup=config.schedule.warmup,
                shape=describe_shape(self._description.shape),
                tokens_per_step=config.data.batch * config.data.sequence,
            )
            stack.callback(self._writer.wait)
            trainer.skip_time()
            while not trainer.is_over and not self._ranks.agree(bool(stopped)):
                batch = self._loader.next()
                self._lanes = self._loader.lane_states
                step = trainer.progress.step
                try:
                    last, loads = trainer.take_step(batch, self._loader.epoch)
                except AlarmError as error:
                    if trainer.progress.step == step or trainer.alarms.has_diverged:
                        self._drop_diverged(error)
                    elif trainer.progress.step != self._saved:
                        self._save(emit)
                    emit("alarm", message=error.message)
                    raise
                emit("step", **asdict(last))
                if self._board is not None:
                    self._board.step(last, loads)
                self._after_step(emit)
            if trainer.progress.step != self._saved and trainer.progress.step:
                self._save(emit)
            self._writer.wait()
            emit("end", step=trainer.progress.step, stopped=stopped[0] if stopped else None)
        progress = trainer.progress
        return Outcome(
            self._description,
            progress.step,
            progress.tokens,
            last,
            self._last_validation,
            None if progress.best_step is None else progress.best_loss,
            stopped[0] if stopped and not trainer.is_over else None,
        )

    def _start_log(self, stack: ExitStack, listeners: tuple[Listener, ...]) -> Callable[..., None]:
        self._board: Board | None = None
        if self._ranks.rank:
            return lambda kind, **fields: None
        log = EventLog(make_folder(self._directory.events), listeners)
        stack.callback(log.flush)
        self._board = Board(self._directory.tensorboard, self._trainer.progress.step + 1)
        stack.callback(self._board.close)
        return log.emit

    def _after_step(self, emit: Callable[..., None]) -> None:
        step = self._trainer.progress.step
        last = self._trainer.is_over
        better = False
        if self._validation and (last or step % self._config.validation.every == 0):
            before = self._trainer.progress.best_step
            loss = self._trainer.validate(self._validation)
            better = self._trainer.progress.best_step != before
            self._last_validation = loss
            emit("validation", step=step, loss=loss)
            if self._board is not None:
                self._board.validation(step, loss)
        if last or step % self._config.checkpoint.every == 0 or (better and self._config.checkpoint.keep_best):
            self._save(emit)

    def _drop_diverged(self, error: AlarmError) -> None:
        """Leave the checkpoints from before the loss rose, of which `--resume` takes the last, and say which that is.
        The one of the lowest validation loss is good by that."""
        if self._ranks.rank:
            return
        self._writer.wait()
        there = [found.step for found in checkpoints(self._directory.root)]
        first, best = self._trainer.first_doubtful, self._trainer.progress.best_step
        good = [step for step in there if step < first or step == best]
        self._writer.keep(set(good))
        left = f"{AGAIN}: it goes on from step {good[-1]}, before that" if good else "no checkpoint is from before it"
        error.hint = f"{left}; {error.hint}"

    def _save(self, emit: Callable[..., None]) -> None:
        """Begin to write a checkpoint. What is not the same on all ranks is gathered: lanes, and what of the model is
        divided."""
        trainer = self._trainer
        step = trainer.progress.step
        self._saved = step
        self._writer.wait()
        lanes = self._ranks.gather(self._lanes)
        tensors = host_copies(trainer.tensors(), keep=self._ranks.rank == 0)
        if self._ranks.rank:
            return
        there = sorted({found.step for found in checkpoints(self._directory.root)} | {step})
        keep = set(there[-self._config.checkpoint.keep_last :])
        if not trainer.is_over or trainer.alarms.state.above:
            # Should the loss turn out to have risen from here on, this is what there is to go on from.
            keep.update([earlier for earlier in there if earlier < trainer.first_doubtful][-1:])
        if self._config.checkpoint.keep_best and trainer.progress.best_step is not None:
            keep.add(trainer.progress.best_step)
        self._writer.write(step, tensors, trainer.state(self._loader.binding, lanes), keep)
        emit("checkpoint", step=step)
        trainer.skip_time()


def _refuse_used(directory: ModelDirectory, request: Request) -> None:
    if directory.is_used() and not (request.resume and directory.is_half_begun()):
        hint = "choose another output" if request.resume else f"choose another output, or {AGAIN}"
        raise UserError("the output is not empty", file=str(directory.root), hint=hint)


def _need_whole_parts(config: TrainingConfig, ranks: Ranks) -> None:
    parts = ranks.size * config.accumulation
    if config.data.batch % parts:
        raise UserError(
            f"{config.data.batch} sequences cannot be cut into {config.accumulation} parts for {ranks.size} ranks",
            hint=f"make data.batch a multiple of {parts}",
        )


def find_device(name: str) -> torch.device:
    """The device of that name, `cpu` or `cuda` (the current one). UserError when the machine has none."""
    if name == "cpu":
        return torch.device("cpu")
    if name != "cuda":
        raise UserError(f"there is no device {name}", hint="expected cpu or cuda")
    if not torch.cuda.is_available():
        raise UserError("there is no CUDA device here", hint="leave out --device cuda to compute on the CPU")
    return torch.device("cuda", torch.cuda.current_device())


@contextmanager
def noting(stopped: list[int]) -> Iterator[None]:
    """Note SIGTERM and SIGINT instead of dying of them; a second one is obeyed as before."""
    before: Mapping[int, object] = {number: signal.getsignal(number) for number in STOPPING}

    def note(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        signal.signal(number, before[number])  # type: ignore[arg-type] # what getsignal gave

    try:
        for number in STOPPING:
            signal.signal(number, note)
        yield
    finally:
        for number in STOPPING:
            signal.signal(number, before[number])  # type: ignore[arg-type] # what getsignal gave


def _tokenizer(
    request: Request,
    directory: ModelDirectory,
    corpora: Sequence[Corpus],
    listeners: tuple[Listener, ...],
    *,
    resuming: bool,
) -> Tokenizer:
    if request.tokenizer is not None:
        return load_tokenizer(request.tokenizer)
    if resuming:
        return read_own_tokenizer(directory, read_description(directory))
    trained = train_tokenizer(corpora, request.config.tokenizer, request.config.seed, listeners)
    return read_tokenizer(trained.data, "the trained tokenizer")
