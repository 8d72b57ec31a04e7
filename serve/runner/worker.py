"""The process of an attempt: `python -m serve.runner.worker FOLDER DESCRIPTOR`.

It runs `curator process`, or `curator train`, on the task of its folder and leaves how that ended. It is a session of
its own, so that it goes on when the server ends; the descriptor is the lock, which the kernel lets go when the process
ends, however that happens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

from curator.allocator import keep_memory
from curator.cli.process import process_command
from curator.collector import collect_seldom
from curator.errors import AGAIN, AGAIN_CHANGED, INTERRUPTED, Bug, CuratorError, Stopped
from curator.recipe import load_recipe, load_with_origins
from curator.run.error_rate import BY_CLIENT
from curator.run.store import make_folder, put
from curator.storage.refused import telling_refusals
from curator.training import dump_training_config
from serve.finished import open_finished
from serve.places import Places
from serve.runner.task import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    OUTCOME,
    PID,
    AnyTask,
    Outcome,
    Task,
    TrainingTask,
    read_task,
)

TRAINING_WORDS = {AGAIN_CHANGED: "submit another training with that", AGAIN: "resume the training"}
"""How a client goes on, who types no option of `curator train`. What a training is resumed with stays as it was."""

_RECIPE = "recipe.yaml"
_CONFIG = "training.json"
_OVERLAY = "overlay"


def main(folder: Path, descriptor: int) -> None:
    """Run the task of a folder."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.set_inheritable(descriptor, False)  # what the run starts must not hold the lock longer than this process does
    put(folder / PID, str(os.getpid()).encode())
    threading.Thread(target=_beat, args=(folder / HEARTBEAT,), name="heartbeat", daemon=True).start()
    fault = "a fault in Curator; the log has more"
    outcome: Outcome | None = Outcome(exit_code=Bug.exit_code, error=Bug.__name__, message=fault)
    try:
        outcome = _work(read_task(folder), folder)
    except KeyboardInterrupt:
        outcome = Outcome(exit_code=INTERRUPTED, error=KeyboardInterrupt.__name__)
    finally:
        sys.stderr.flush()
        if outcome is not None:  # of what was lost nobody knows how it ended
            put(folder / OUTCOME, outcome.model_dump_json().encode())


def _work(task: AnyTask, folder: Path) -> Outcome | None:
    try:
        with telling_refusals():
            if isinstance(task, TrainingTask):
                _train(task, folder)
            elif task.ray_jobs is not None:
                return _run_as_job(task, task.ray_jobs, folder)
            else:
                _run(task, folder)
    except Stopped:
        return Outcome(exit_code=INTERRUPTED, error=KeyboardInterrupt.__name__)
    except CuratorError as error:
        if error.exit_code == Bug.exit_code:
            traceback.print_exc()
        error.reword(TRAINING_WORDS if isinstance(task, TrainingTask) else BY_CLIENT.again)
        return Outcome(exit_code=error.exit_code, error=type(error).__name__, message=str(error))
    return Outcome(exit_code=0)


def _run(task: Task, folder: Path) -> None:
    keep_memory()
    recipe, overlay = _prepare(task, folder)
    process_command(
        task.inputs,
        task.output,
        recipe,
        overlay,
        task.workers,
        None if task.memory_bytes is None else str(task.memory_bytes),
        task.overrides,
        task.resume,
        keep_work=False,
        ray=task.ray,
        as_json=False,
        resuming=BY_CLIENT,
    )


def _run_as_job(task: Task, address: str, folder: Path) -> Outcome | None:
    from curator.cluster.submit import make_specification
    from serve.runner.job import run_as_job

    recipe, overlay = _prepare(task, folder)
    loaded, origins = load_with_origins(recipe, task.overrides, overlay)
    specification = make_specification(
        task.inputs, task.output, loaded, origins, task.workers or None, task.memory_bytes, resume=task.resume
    )
    return run_as_job(address, task.run, specification, folder)


def _prepare(task: Task, folder: Path) -> tuple[str, Path | None]:
    """The recipe and the overlay of a task, as the command line takes them. UserError where a place is not open any
    more: what lies below the roots may have changed while the run waited."""
    recipe = task.recipe
    if task.recipe_text is not None:
        recipe = str(folder / _RECIPE)
        put(Path(recipe), task.recipe_text.encode())
    overlay = None
    if task.overlay is not None:
        # In a folder of its own, by its own name, which the manifest has.
        make_folder(folder / _OVERLAY)
        overlay = folder / _OVERLAY / task.overlay.name
        put(overlay, task.overlay.text.encode())
    places = Places(task.input_roots, task.output_roots, task.allowances)
    loaded = load_recipe(recipe, task.overrides, overlay)
    places.check_recipe(loaded)
    places.output(task.output)
    places.discover(task.inputs, loaded.input.format)
    return recipe, overlay


def _train(task: TrainingTask, folder: Path) -> None:
    from curator.cli.train import train_command

    config = folder / _CONFIG
    put(config, dump_training_config(task.config).encode())
    places = Places(task.input_roots, task.output_roots)
    places.output(task.output)
    for run in task.runs:
        open_finished(run.id, run.output, run.fingerprint)  # it may have been replaced while the training waited
    tokenizer = None if task.tokenizer is None else Path(places.file(task.tokenizer))
    train_command(
        tuple(run.output for run in task.runs),
        Path(task.output),
        config,
        tokenizer,
        initialise_from=None,
        alignment=None,
        steps=None,
        device=task.device,
        resume=task.resume,
        overrides=(),
        ray=None,
        workers=0,
        as_json=False,
        resuming=TRAINING_WORDS,
    )


def _beat(path: Path) -> None:
    ended = threading.Event()  # never set: the thread ends with the process
    while True:
        path.touch()
        ended.wait(HEARTBEAT_SECONDS)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    collect_seldom()
    main(Path(sys.argv[1]), int(sys.argv[2]))
