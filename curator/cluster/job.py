"""The driver of a run on a cluster: what Ray Jobs starts (`ENTRYPOINT`).

It asks the nodes, runs the recipe with the Ray engine, and ends with the exit code that the command line has. The
specification comes as a file (`curator.cluster.specification`), so that the command line says nothing. On standard
output, which Ray Jobs keeps, a line for each of three moments goes to who submitted: the run was refused, it began, it
ended.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from curator.cluster.loose import add_loose_modules
from curator.cluster.specification import Specification, shipped_specification
from curator.errors import INTERRUPTED, Bug, CuratorError
from curator.run.error_rate import BY_CLIENT
from curator.run.events import Event
from curator.storage.path import as_path

ENTRYPOINT = "python -P -m curator.cluster.job"
"""The command of every job. It imports nothing from the directory in which the cluster was started."""

_MARK = "curator-report "

_log = logging.getLogger("curator")


class Report(BaseModel):
    """What the driver tells who submitted: `attempt` is that of the events, `message` and `exit_code` go with an end
    or a refusal."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["refused", "began", "ended"]
    attempt: int = 0
    exit_code: int = 0
    message: str = ""


def reports_of(logs: str) -> Iterator[Report]:
    """The reports in what a job wrote."""
    for line in logs.splitlines():
        if line.startswith(_MARK):
            try:
                yield Report.model_validate_json(line.removeprefix(_MARK))
            except ValidationError:
                continue  # cut short: the driver was killed while it wrote


def without_reports(logs: str) -> str:
    """What a job wrote for people."""
    return "".join(line for line in logs.splitlines(keepends=True) if not line.startswith(_MARK))


def execute(specification: Specification, driver: Driver) -> None:
    """Ask the nodes, then run. Raises what `curator.run.driver.run` does."""
    from curator.engine.cluster import Cluster
    from curator.engine.ray import connect

    connect("auto")
    signal.signal(signal.SIGTERM, _interrupt)  # how Ray Jobs ends a job; after connect, which sets its own
    from curator.cluster.nodes import NodeCheck
    from curator.readers.detect import discover

    files = discover(specification.inputs, specification.recipe.input.format)
    with NodeCheck(specification, [(file.path, file.size) for file in files]) as check:
        from curator.run.driver import Request, run
        from curator.run.pipeline import make_pipeline

        make_pipeline(specification.recipe)  # loading its stages takes a second, in which the nodes answer
        check.finish()
    request = Request(
        inputs=specification.inputs,
        output=as_path(specification.output),
        recipe=specification.recipe,
        resume=specification.resume,
        origins=specification.origins,
        cluster=Cluster("auto", specification.workers, specification.memory_bytes),
        resuming=BY_CLIENT,
    )
    run(request, [driver.note])


class Driver:
    """Tells how the run goes on, in the job's log."""

    def __init__(self) -> None:
        self.attempt = 0

    def note(self, event: Event) -> None:
        """Listens to the events of the run."""
        if event["kind"] == "run.started":
            self.attempt = cast("int", event["attempt"])
            self.report(Report(kind="began", attempt=self.attempt))
        elif event["kind"] == "phase.started":
            _log.info("[%d/%s] %s", cast("int", event["index"]) + 1, event["phases"], event["phase"])

    def end(self, exit_code: int, message: str = "") -> int:
        """Report the end; without a beginning it was a refusal, or there was nothing to do."""
        kind: Literal["refused", "ended"] = "refused" if exit_code and not self.attempt else "ended"
        if message:
            _log.error("curator: %s", message)
        self.report(Report(kind=kind, attempt=self.attempt, exit_code=exit_code, message=message))
        return exit_code

    def report(self, report: Report) -> None:
        """Write a report."""
        sys.stdout.write(f"{_MARK}{json.dumps(report.model_dump(), ensure_ascii=True)}\n")
        sys.stdout.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run what was submitted; the exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    driver = Driver()
    add_loose_modules()
    try:
        execute(shipped_specification(), driver)
    except KeyboardInterrupt:
        return driver.end(INTERRUPTED, "cancelled; what was finished is kept: resume goes on with it")
    except CuratorError as error:
        if error.exit_code == Bug.exit_code:
            traceback.print_exc()
        error.reword(BY_CLIENT.again)
        return driver.end(error.exit_code, str(error))
    except Exception as error:  # noqa: BLE001 (the outermost frame: whatever comes up to here is a bug)
        traceback.print_exc()
        return driver.end(Bug.exit_code, f"a fault in Curator: {type(error).__name__}; its log has the traceback")
    return driver.end(0)


if __name__ == "__main__":
    sys.exit(main())
