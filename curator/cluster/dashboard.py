"""A Ray cluster over HTTP, at the address of its dashboard: its nodes, its jobs, and the packages that it keeps for
them.

Plain requests with a timeout, so that a command needs no Ray, whose import takes a second, and cannot hang: to the API
of Ray Jobs (https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html), and to the two
addresses for packages that Ray's own `JobSubmissionClient` uses. With RAY_AUTH_MODE=token the token of RAY_AUTH_TOKEN,
RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token goes along, as Ray's own tools send it. It is kept nowhere.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from curator.errors import TransientError, UserError

TIMEOUT_SECONDS = 8.0
"""How long an answer may take."""

LOGS_TIMEOUT_SECONDS = 30.0

SUBMIT_TIMEOUT_SECONDS = 60.0
"""A new cluster takes jobs some seconds after it answers, and waits for that."""

PUT_TIMEOUT_SECONDS = 600.0

JobStatus = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = ("STOPPED", "SUCCEEDED", "FAILED")
"""Statuses of Ray Jobs after which nothing more happens."""


class NoAnswer(TransientError):  # noqa: N818 (what it is, in the words of this module)
    """The cluster does not answer: it is gone, or not reachable now."""


@dataclass(frozen=True)
class ClusterNode:
    """A node that is up, and what it has in all: CPUs, GPUs, memory in bytes."""

    name: str
    is_head: bool
    cpus: float
    gpus: float
    memory_bytes: float


@dataclass(frozen=True)
class SubmittedJob:
    """A job as Ray knows it. `exit_code` is that of its entrypoint, None before it ended."""

    submission: str
    status: JobStatus
    message: str
    exit_code: int | None
    metadata: Mapping[str, str]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in ENDED


class Dashboard:
    """The dashboard at an address. Its methods raise NoAnswer where nothing, or no Ray, answers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._headers = _token_headers()

    def ray_version(self) -> str:
        """The version of Ray that the cluster runs. NoAnswer too where what answers is no Ray dashboard."""
        try:
            found = json.loads(self._request("GET", "/api/version"))
            return cast("str", found["ray_version"])
        except (ValueError, KeyError, TypeError, urllib.error.HTTPError) as error:
            raise NoAnswer(f"what answers at {self.address} is no Ray dashboard", hint=_HINT) from error

    def nodes(self) -> list[ClusterNode]:
        """The nodes that are up."""
        try:
            found = json.loads(self._request("GET", "/api/v0/nodes?limit=10000"))["data"]["result"]["result"]
        except urllib.error.HTTPError as error:
            raise NoAnswer(f"{self.address} does not list its nodes: HTTP {error.code}", hint=_HINT) from error
        return [_node(values) for values in found if values["state"] == "ALIVE"]

    def job(self, submission: str) -> SubmittedJob | None:
        """A job by its submission id, None where the cluster knows none."""
        try:
            return _job(json.loads(self._request("GET", f"/api/jobs/{submission}")))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise self._refused(error) from error

    def jobs(self) -> list[SubmittedJob]:
        """All jobs that were submitted through Ray Jobs."""
        try:
            found = json.loads(self._request("GET", "/api/jobs/"))
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error
        return [_job(values) for values in found if values.get("submission_id")]

    def logs(self, submission: str) -> str:
        """What a job has written to standard output and error; empty where that is lost with its node."""
        try:
            found = json.loads(self._request("GET", f"/api/jobs/{submission}/logs", LOGS_TIMEOUT_SECONDS))
        except urllib.error.HTTPError as error:
            if error.code in (404, 500):
                return ""
            raise self._refused(error) from error
        return cast("str", found["logs"] or "")

    def has_package(self, package: str) -> bool:
        """Whether the cluster keeps a package. It goes on to do so for some minutes, until a job uses it."""
        try:
            self._request("GET", f"{_PACKAGES}/{package}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise self._refused(error) from error
        return True

    def put_package(self, package: str, archive: bytes) -> None:
        """Give the cluster a package: a ZIP archive."""
        try:
            self._request("PUT", f"{_PACKAGES}/{package}", PUT_TIMEOUT_SECONDS, archive)
        except urllib.error.HTTPError as error:
            raise TransientError(
                f"Ray did not take a package of {len(archive):,} bytes: {_said(error)}", hint="submit again"
            ) from error

    def submit(self, job: Mapping[str, object]) -> bool:
        """Start a job, as the API of Ray Jobs has it; False where there is one with its id already."""
        data = json.dumps(job).encode()
        said = ""
        for _ in range(2):  # the head of a new cluster takes jobs some seconds after it answers; it waits ten itself
            try:
                self._request("POST", "/api/jobs/", SUBMIT_TIMEOUT_SECONDS, data)
                return True
            except urllib.error.HTTPError as error:
                said = _said(error)
            if "already exists" in said:
                return False
            if "No available agent" not in said:
                break
        raise TransientError(f"Ray did not take the job: {said}", hint="submit again")

    def stop(self, submission: str) -> None:
        """Ask a job to end; Ray kills it where it has not ended after some seconds."""
        try:
            self._request("POST", f"/api/jobs/{submission}/stop")
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error

    def _request(self, method: str, path: str, timeout_s: float = TIMEOUT_SECONDS, data: bytes | None = None) -> bytes:
        kind = {} if data is None else {"Content-Type": "application/json" if method == "POST" else "application/zip"}
        request = urllib.request.Request(  # noqa: S310 (checked by cluster_address)
            f"{self.address}{path}", data, {**self._headers, **kind}, method=method
        )
        try:
            with _OPENER.open(request, timeout=timeout_s) as answer:
                return cast("bytes", answer.read())
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                hint = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or ask who runs the cluster"
                raise UserError(f"{self.address} refuses access: HTTP {error.code}", hint=hint) from error
            raise
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no Ray dashboard answers at {self.address}", hint=_HINT) from error

    def _refused(self, error: urllib.error.HTTPError) -> NoAnswer:
        return NoAnswer(f"{self.address} answered HTTP {error.code}", hint="try again; the head's log tells more")


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without the proxies of the environment: a cluster is reached directly, as by Ray's own tools within it."""

_PACKAGES = "/api/packages/gcs"

_HINT = "the address is http://HOST:8265 of the cluster's head; `ray status` there tells whether it is up"


def cluster_address(given: str, option: str = "--address") -> str:
    """The address in one form. UserError where it is no HTTP address, or has a password in it; `option` is that which
    has it."""
    text = given.rstrip("/")
    text = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UserError(f"{option} {given}: {error}", hint=_HINT) from error
    if parts.username is not None or parts.password is not None:
        raise UserError(f"{option} has a name or password in it", hint="a token goes into RAY_AUTH_TOKEN")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UserError(f"{option} {given} is no address of a Ray dashboard", hint=_HINT)
    if port is None:
        raise UserError(f"{option} {given} has no port", hint=_HINT)
    return text


def _token_headers() -> dict[str, str]:
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return {}
    token = os.environ.get("RAY_AUTH_TOKEN")
    if token is None:
        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        try:
            token = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"RAY_AUTH_MODE is token, and the token cannot be read: {error.strerror}",
                file=str(path),
                hint="set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH",
            ) from error
    return {"Authorization": f"Bearer {token.strip()}"}


def last_line(text: str) -> str:
    """The last line that says something: Ray ends what it quotes with a line that has a full stop alone."""
    lines = [line.strip() for line in text.splitlines() if any(character.isalnum() for character in line)]
    return lines[-1] if lines else ""


def _said(error: urllib.error.HTTPError) -> str:
    """What Ray says of an error, often at the end of a traceback."""
    return last_line(error.read().decode(errors="replace")) or f"HTTP {error.code}"


def _node(values: Mapping[str, object]) -> ClusterNode:
    there = cast("Mapping[str, float]", values.get("resources_total") or {})
    return ClusterNode(
        name=f"{values['node_ip']} ({str(values['node_id'])[:8]})",
        is_head=bool(values["is_head_node"]),
        cpus=there.get("CPU", 0.0),
        gpus=there.get("GPU", 0.0),
        memory_bytes=there.get("memory", 0.0),
    )


def _job(values: Mapping[str, object]) -> SubmittedJob:
    return SubmittedJob(
        submission=str(values["submission_id"]),
        status=cast("JobStatus", values["status"]),
        message=str(values.get("message") or ""),
        exit_code=cast("int | None", values.get("driver_exit_code")),
        metadata=cast("Mapping[str, str]", values.get("metadata") or {}),
    )
