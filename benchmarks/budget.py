"""What each piece of a run costs beside its budget: CPU milliseconds per MB of text, in one process, and the floor.

python benchmarks/budget.py CORPUS.jsonl[.zst] [--recipe web] [--repeat 3]

A process of its own runs the recipe from start to end, start-up included, with a clock on each piece. A piece that is
called from within another is charged to itself alone; modules and machine code are start-up whenever they are loaded.
What no clock is on is the run's own reading and writing: parse,
normalise, files of the run, shards. MB are 10**6 bytes of UTF-8 text. The floor is measured in turn with the runs.
"""

from __future__ import annotations

import argparse
import functools
import importlib._bootstrap
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

BUDGET = {
    "read and write": 20,
    "language": 15,
    "units and signatures": 20,
    "dedup exchange": 10,
    "entropy": 12,
    "toxicity": 25,
    "outliers": 8,
    "pii": 33,
    "sampling, report, start": 20,
}
REST, START = "read and write", "sampling, report, start"
TIMES_THE_FLOOR = 8
_PIECE_OF_STAGE = {"sampling": START, "augmentation": START}
_METHODS = (
    *("annotate", "observe", "merge", "fit", "divide", "join", "relate", "settle", "score", "decide", "cuts"),
    *("candidates", "derive", "coverage", "facts"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="web")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run_with_clocks(arguments.corpus, arguments.recipe, arguments.child)))
        return
    from pipeline import floor_seconds, text_bytes  # loads what a run does not

    megabytes = text_bytes(arguments.corpus) / 1e6
    command = [sys.executable, __file__, str(arguments.corpus), "--recipe", arguments.recipe, "--child"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        floors, found = [], []
        for number in range(arguments.repeat):
            floors.append(floor_seconds(arguments.corpus, root))
            done = subprocess.run([*command, str(root / f"run-{number}")], check=True, stdout=subprocess.PIPE)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{megabytes:.1f} MB of text, one process, median of {arguments.repeat}\n")
    print(f"{'':26}{'CPU ms per MB':>14}{'budget':>8}")
    pieces = list(dict.fromkeys([*BUDGET, *(name for costs in found for name in costs)]))
    for name in pieces:
        cost = 1000 * statistics.median(costs.get(name, 0.0) for costs in found) / megabytes
        print(f"{name:26}{cost:14.1f}{BUDGET.get(name, ''):>8}{'  over' if cost > BUDGET.get(name, cost) else ''}")
    whole = 1000 * statistics.median(sum(costs.values()) for costs in found) / megabytes
    print(f"{'in all':26}{whole:14.1f}{sum(BUDGET.values()):>8}{'  over' if whole > sum(BUDGET.values()) else ''}")
    floor = 1000 * statistics.median(floors) / megabytes
    print(f"{'floor':26}{floor:14.1f}{'':8}  {whole / floor:.1f} times, asked {TIMES_THE_FLOOR}")


class Clock:
    """CPU time by piece, each moment charged to the innermost piece that runs."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._pieces = [REST]
        self._since = time.process_time()
        self.spent[START] = self._since  # of the process, until here

    def charge(self) -> None:
        """Charge the time since the last call to the piece that runs."""
        now = time.process_time()
        self.spent[self._pieces[-1]] += now - self._since
        self._since = now

    def around(self, piece: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time charged to a piece."""

        @functools.wraps(function)
        def timed(*arguments: object, **options: object) -> object:
            self.charge()
            self._pieces.append(piece)
            try:
                return function(*arguments, **options)
            finally:
                self.charge()
                self._pieces.pop()

        return timed


def run_with_clocks(corpus: Path, recipe: str, output: Path) -> dict[str, float]:
    """CPU seconds by piece of a run in this process. Everything until the run begins is start-up, and so is what it
    loads later: a module, the machine code of a kernel."""
    from curator.allocator import keep_memory

    keep_memory()  # as the command does, before Arrow is loaded
    from curator.cli.main import run
    from curator.document import Batch
    from curator.kernel.function import Kernel
    from curator.recipe import load_recipe
    from curator.report import build
    from curator.run.phases import derive, read
    from curator.run.pipeline import make_pipeline

    stages = make_pipeline(load_recipe(recipe)).stages
    clock = Clock()
    for stage in stages:
        for method in _METHODS:
            piece = _PIECE_OF_STAGE.get(stage.name, stage.name)
            if stage.name == "dedup":
                piece = "dedup exchange" if method == "relate" else "units and signatures"
            setattr(type(stage), method, clock.around(piece, getattr(type(stage), method)))
    for module in (read, derive):
        module.identify_languages = clock.around("language", module.identify_languages)  # type: ignore[attr-defined]
    units: Any = Batch.__dict__["units"]
    units.func = clock.around("units and signatures", units.func)
    loader: Any = importlib._bootstrap  # what an import statement calls
    loader._find_and_load = clock.around(START, loader._find_and_load)
    Kernel._prepare = clock.around(START, Kernel._prepare)  # type: ignore[method-assign]
    build.write_report = clock.around(START, build.write_report)
    code = run(["process", str(corpus), "-o", str(output), "-r", recipe, "--workers", "1", "--memory", "4GB", "--json"])
    clock.charge()
    if code:
        raise SystemExit(code)
    return dict(clock.spent)


if __name__ == "__main__":
    main()
