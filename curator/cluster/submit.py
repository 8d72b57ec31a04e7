"""Submitting a run to a Ray cluster: what is asked first, what is shipped, and the moment when the run begins or is
refused.

The id of a run comes from its key, and the submission ids of Ray Jobs from the run's id, so that the cluster itself
refuses a second submission of the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import blake3

from curator.cluster.dashboard import Dashboard, NoAnswer, SubmittedJob, last_line
from curator.cluster.distributions import distributions_of, expected_versions, installed_version, requirements_of
from curator.cluster.job import ENTRYPOINT, Report, reports_of, without_reports
from curator.cluster.loose import add_loose_modules
from curator.cluster.records import RunRecord, remove_record, save_record
from curator.cluster.resources import check_resources, driver_cpus
from curator.cluster.specification import Specification, absolute
from curator.cluster.state import progress_of
from curator.cluster.wheels import Folder, folders_of
from curator.errors import INTERRUPTED, Bug, CuratorError, DataError, TransientError, UserError
from curator.recipe.model import Recipe
from curator.recipe.overlay import Origins
from curator.run.pipeline import Pipeline, make_pipeline
from curator.storage.path import as_path

Standing = Literal["began", "waiting", "running before", "finished"]
"""What a submission came to: its run began; it waits for a CPU of the cluster; the same run was there already; there
was nothing to do, since the run is finished."""

BEGIN_SECONDS = 120.0
"""After so long a run that has neither begun nor been refused is left to itself."""

TELL_SECONDS = 10.0
"""After so long it is told what a run waits for."""

END_SECONDS = 15.0
"""How long a job may take to end after its driver told how it ended."""

_POLL_SECONDS = 0.1
_PREFIX = "curator"
_INSTALL_SECONDS = 1200
"""How long the nodes may take to install packages."""

_KERNELS = "curator.cluster.kernels.InstalledKernels,UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator"
"""Where Numba looks for compiled kernels on a node: first where `curator.cluster.kernels` says, then as ever."""

_KINDS: dict[int, type[CuratorError]] = {kind.exit_code: kind for kind in (UserError, DataError, TransientError)}


@dataclass(frozen=True)
class Submitted:
    """A run that the cluster has. `attempt` is that of its events, 0 where it has none of its own."""

    record: RunRecord
    standing: Standing
    attempt: int


def make_specification(
    inputs: Sequence[str],
    output: str,
    recipe: Recipe,
    origins: Origins,
    workers: int | None,
    memory_bytes: int | None,
    *,
    resume: bool,
) -> Specification:
    """The specification of a run on what is installed here. UserError where the recipe could not run here."""
    from curator.run.checks import check_recipe

    pipeline = check_recipe(recipe)
    return Specification(
        inputs=tuple(absolute(path) for path in inputs),
        output=absolute(output),
        recipe=recipe,
        origins=origins,
        workers=workers,
        memory_bytes=memory_bytes,
        resume=resume,
        expected=expected_versions(pipeline),
        models=_models(pipeline),
    )


def renew(specification: Specification, max_error_rate: float | None = None) -> Specification:
    """The same run, to be resumed with what is installed here now, where given with another `max_error_rate`."""
    changes = {} if max_error_rate is None else {"max_error_rate": max_error_rate}
    return make_specification(
        specification.inputs,
        specification.output,
        specification.recipe.model_copy(update=changes),
        specification.origins,
        specification.workers,
        specification.memory_bytes,
        resume=True,
    )


def run_id(specification: Specification, key: str | None) -> str:
    """The id of a run, 12 hexadecimal digits: from its key, else from recipe, inputs and output."""
    if key is None:
        return specification.digest()[:12]
    return blake3.blake3(b"key\0" + key.encode()).hexdigest()[:12]


def submit(
    address: str,
    specification: Specification,
    run: str,
    tell: Callable[[str], None],
    *,
    install: bool = False,
    begin_seconds: float = BEGIN_SECONDS,
) -> Submitted:
    """Submit a run and wait until it begins or is refused, so long at the most. `tell` gets sentences for the user.

    UserError where the cluster cannot run it, or another submission has its key; what the driver said where that
    refused."""
    dashboard = Dashboard(address)
    try:
        check_ray(dashboard)
        before = jobs_of(dashboard, run)
        if before:
            here = _same_run(dashboard, specification, run, before[-1])
            if here is not None:
                record = _record(address, specification, run, before[-1].submission, install)
                return _await_begin(dashboard, record, here, tell, begin_seconds)
        nodes = dashboard.nodes()
        others = [job for job in dashboard.jobs() if not job.has_ended and job.submission.startswith(f"{_PREFIX}-")]
        pipeline = make_pipeline(specification.recipe)
        check_resources(nodes, pipeline, specification.workers, specification.memory_bytes, len(others))
    except NoAnswer as error:
        raise UserError(error.message, hint=error.hint) from error
    number = 1 + (_number(before[-1]) if before else 0)
    record = _record(address, specification, run, f"{_PREFIX}-{run}-{number}", install)
    if _start(dashboard, record, driver_cpus(nodes)):
        return _await_begin(dashboard, record, "began", tell, begin_seconds)
    other = dashboard.job(record.submission)  # it came between
    if other is not None:
        _check_request(specification, other)
    return _await_begin(dashboard, record, "running before", tell, begin_seconds)


def _record(address: str, specification: Specification, run: str, submission: str, install: bool) -> RunRecord:
    return RunRecord(
        id=run,
        address=address,
        submission=submission,
        submitted=time.time(),
        install=install,
        specification=specification,
    )


def _models(pipeline: Pipeline) -> dict[str, str]:
    return {f"{user}: {found.kind} {found.name}": found.identity for user, found in pipeline.requirements()}


def check_ray(dashboard: Dashboard) -> None:
    """UserError where no Ray answers, or another version of it than is installed here."""
    here = installed_version("ray")
    if here is None:
        raise UserError("Ray is not installed here", hint="pip install 'curator-corpora[ray]'")
    try:
        there = dashboard.ray_version()
    except NoAnswer as error:
        raise UserError(error.message, hint=error.hint) from error
    if there != here:
        raise UserError(
            f"the cluster at {dashboard.address} runs Ray {there}, here it is {here}",
            hint=f"pip install 'ray[default]=={there}' here, or start the cluster with Ray {here}",
        )


def jobs_of(dashboard: Dashboard, run: str) -> list[SubmittedJob]:
    """The jobs of a run, in order."""
    found = [job for job in dashboard.jobs() if job.submission.startswith(f"{_PREFIX}-{run}-")]
    return sorted(found, key=_number)


def _number(job: SubmittedJob) -> int:
    return int(job.submission.rpartition("-")[2])


def _same_run(
    dashboard: Dashboard, specification: Specification, run: str, last: SubmittedJob
) -> Literal["running before", "finished"] | None:
    """Whether the last job of a run stands for this submission too; None where there must be another job."""
    _check_request(specification, last)
    if specification.resume:
        last = _await_end(dashboard, last)
    if not last.has_ended:
        # A job ends a moment after its run.
        done = not specification.resume and progress_of(as_path(specification.output), last).state == "finished"
        return "finished" if done else "running before"
    if specification.resume:
        return None
    if last.status == "SUCCEEDED":
        return "finished"
    if not any(report.kind == "began" for report in reports_of(dashboard.logs(last.submission))):
        return None
    ended = "was cancelled" if last.status == "STOPPED" else "failed"
    raise UserError(
        f"this run was submitted before, as {run}, and {ended}",
        hint="go on with it with --resume",
    )


def _await_end(dashboard: Dashboard, job: SubmittedJob) -> SubmittedJob:
    """The job as it is when Ray too says that it has ended, where its driver has told its end: who goes on with a run
    would be given the job that has just failed, and its end."""
    end = time.monotonic() + END_SECONDS
    while not job.has_ended and time.monotonic() < end:
        if all(report.kind == "began" for report in reports_of(dashboard.logs(job.submission))):
            break
        time.sleep(_POLL_SECONDS)
        job = dashboard.job(job.submission) or job
    return job


def _check_request(specification: Specification, other: SubmittedJob) -> None:
    """UserError where a job with the key of a submission is not for the same run."""
    if other.metadata.get("request") != specification.digest():
        raise UserError(
            f"this key was used for another run, into {other.metadata.get('output')}", hint="choose another --key"
        )


def _start(dashboard: Dashboard, record: RunRecord, cpus: int) -> bool:
    """Ship and submit; whether the cluster took it, False where it has a job with this id already."""
    specification = record.specification
    folders = [*folders_of(distributions_of(specification.recipe)), specification.folder()]
    try:
        for folder in folders:
            if not dashboard.has_package(folder.package):
                dashboard.put_package(folder.package, folder.archive())
        return dashboard.submit(
            {
                "entrypoint": ENTRYPOINT,
                "submission_id": record.submission,
                "runtime_env": _environment(record, folders),
                "metadata": {"request": specification.digest(), "output": specification.output},
                "entrypoint_num_cpus": cpus,
            }
        )
    except NoAnswer as error:
        raise TransientError(f"{record.address} does not answer any more", hint="submit again") from error


def _environment(record: RunRecord, folders: Sequence[Folder]) -> dict[str, object]:
    """What Ray lays out on a node before the driver or a worker starts there."""
    environment: dict[str, object] = {
        "py_modules": [f"gcs://{folder.package}" for folder in folders],
        "worker_process_setup_hook": f"{add_loose_modules.__module__}.{add_loose_modules.__name__}",
        "env_vars": {"NUMBA_CACHE_LOCATOR_CLASSES": _KERNELS},
        "config": {"setup_timeout_seconds": _INSTALL_SECONDS},
    }
    if record.install:
        environment["pip"] = requirements_of(record.specification.expected)
    return environment


def _await_begin(
    dashboard: Dashboard, record: RunRecord, standing: Standing, tell: Callable[[str], None], begin_seconds: float
) -> Submitted:
    """Wait for the driver's first word. A refusal is raised as the driver said it."""
    save_record(record)
    begin = time.monotonic()
    told = False
    while True:
        job = dashboard.job(record.submission)
        logs = dashboard.logs(record.submission) if job is not None and job.status != "PENDING" else ""
        for report in reports_of(logs):
            if report.kind == "refused" and report.exit_code != INTERRUPTED:
                remove_record(record.id)
                raise _error_of(report)
            if report.kind == "began":
                return Submitted(record, standing, report.attempt)
            if report.kind == "ended" and report.exit_code == 0:
                return Submitted(record, "finished", 0)
        if job is not None and job.has_ended:
            if job.status == "SUCCEEDED":  # and its log, which says so too, lies where Ray cannot read it
                return Submitted(record, "finished", 0)
            if job.status == "STOPPED":
                raise UserError(f"run {record.id} was cancelled before it began", hint="submit it again")
            raise TransientError(
                f"the driver did not start: {last_line(without_reports(logs)) or last_line(job.message)}",
                hint=f"`curator runs logs {record.id}` has the rest",
            )
        if time.monotonic() > begin + begin_seconds:
            return Submitted(record, "waiting", 0)
        if not told and time.monotonic() > begin + TELL_SECONDS:
            told = True
            what = (
                "for a CPU of the cluster, or for what the run needs there"
                if job and job.status == "PENDING"
                else ("for the nodes to answer")
            )
            tell(f"run {record.id} waits {what}")
        time.sleep(_POLL_SECONDS)


def _error_of(report: Report) -> CuratorError:
    return _KINDS.get(report.exit_code, Bug)(report.message)
