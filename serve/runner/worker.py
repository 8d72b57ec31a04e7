"""The process of an attempt: `python -m serve.runner.worker FOLDER DESCRIPTOR`.

It runs `curator process` on the task of its folder and leaves how that ended. It is a session of its own, so that it
goes on when the server ends; the descriptor is the lock, which the kernel lets go when the process ends, however that
happens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

from curator.cli.process import process_command
from curator.collector import collect_seldom
from curator.errors import INTERRUPTED, Bug, CuratorError
from curator.recipe import load_recipe
from curator.run.store import put
from serve.places import Places
from serve.runner.task import HEARTBEAT, HEARTBEAT_SECONDS, OUTCOME, PID, TASK, Outcome, Task

_RECIPE = "recipe.yaml"


def main(folder: Path, descriptor: int) -> None:
    """Run the task of a folder."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.set_inheritable(descriptor, False)  # what the run starts must not hold the lock longer than this process does
    put(folder / PID, str(os.getpid()).encode())
    threading.Thread(target=_beat, args=(folder / HEARTBEAT,), name="heartbeat", daemon=True).start()
    outcome = Outcome(exit_code=Bug.exit_code, error=Bug.__name__, message="a fault in Curator; the log has more")
    try:
        outcome = _run(Task.model_validate_json((folder / TASK).read_bytes()), folder)
    except KeyboardInterrupt:
        outcome = Outcome(exit_code=INTERRUPTED, error=KeyboardInterrupt.__name__)
    finally:
        sys.stderr.flush()
        put(folder / OUTCOME, outcome.model_dump_json().encode())


def _run(task: Task, folder: Path) -> Outcome:
    recipe = task.recipe
    if task.recipe_text is not None:
        recipe = str(folder / _RECIPE)
        put(Path(recipe), task.recipe_text.encode())
    places = Places(task.input_roots, task.output_roots)
    try:
        # A second look: what lies below the roots may have changed while the run waited.
        loaded = load_recipe(recipe, task.overrides)
        places.check_recipe(loaded)
        places.output(task.output)
        places.discover(task.inputs, loaded.input.format)
        process_command(
            task.inputs,
            task.output,
            recipe,
            None,
            task.workers,
            None if task.memory_bytes is None else str(task.memory_bytes),
            task.overrides,
            task.resume,
            keep_work=False,
            ray=task.ray,
            as_json=False,
        )
    except CuratorError as error:
        if error.exit_code == Bug.exit_code:
            traceback.print_exc()
        return Outcome(exit_code=error.exit_code, error=type(error).__name__, message=str(error))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        return Outcome(exit_code=code, error=KeyboardInterrupt.__name__ if code == INTERRUPTED else None)
    return Outcome(exit_code=0)


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
