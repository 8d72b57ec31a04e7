"""Errors as the service tells them: RFC 9457 problem details, each with a stable code (docs/service.md lists them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from curator.errors import TransientError
from serve.models import Problem, Violation

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its status and what it is in a few words."""

    status: int
    title: str


CODES: Mapping[str, Kind] = {
    "request.invalid": Kind(422, "A value of the request will not do"),
    "request.malformed": Kind(400, "The request is not well formed"),
    "request.too_large": Kind(413, "The request is too large"),
    "request.media_type": Kind(415, "The body is not JSON"),
    "request.host": Kind(421, "This host name is not served"),
    "request.origin": Kind(403, "This origin is not allowed"),
    "token.missing": Kind(401, "A token is needed"),
    "token.invalid": Kind(401, "The token is not valid"),
    "token.scope": Kind(403, "The token may not do this"),
    "rate.exceeded": Kind(429, "Too many requests"),
    "streams.exceeded": Kind(429, "Too many event streams"),
    "route.unknown": Kind(404, "There is no such route"),
    "route.method": Kind(405, "The route does not take this method"),
    "run.unknown": Kind(404, "There is no such run"),
    "run.refused": Kind(422, "The run cannot be made"),
    "run.output_in_use": Kind(409, "Another run or training works in this output"),
    "run.ended": Kind(409, "The run has ended"),
    "run.not_ended": Kind(409, "The run has not ended"),
    "run.not_finished": Kind(409, "The run has not finished"),
    "run.damaged": Kind(500, "What there is of the run cannot be read"),
    "training.unknown": Kind(404, "There is no such training"),
    "training.refused": Kind(422, "The training cannot be made"),
    "training.ended": Kind(409, "The training has ended"),
    "training.not_ended": Kind(409, "The training has not ended"),
    "recipe.invalid": Kind(422, "The recipe will not do"),
    "place.refused": Kind(403, "This place is not open to the service"),
    "roots.missing": Kind(403, "No place is open to the service"),
    "delivery.unknown": Kind(404, "There is no such message"),
    "webhook.refused": Kind(403, "This webhook is not allowed"),
    "key.conflict": Kind(409, "The Idempotency-Key was used for another request"),
    "document.unknown": Kind(404, "There is no such document"),
    "shard.unknown": Kind(404, "There is no such shard"),
    "report.missing": Kind(404, "The run has no report"),
    "log.missing": Kind(404, "The attempt has no log"),
    "range.invalid": Kind(416, "The log has no such range"),
    "package.failed": Kind(422, "A stage or reader of another package failed"),
    "preview.failed": Kind(422, "The files could not be read within the limits"),
    "store.unavailable": Kind(503, "The store does not answer"),
    "storage.unavailable": Kind(503, "The object storage does not answer"),
    "service.full": Kind(503, "The disk of the service is full or cannot be written"),
    "service.busy": Kind(503, "The service has too much to do"),
    "service.fault": Kind(500, "A fault in the service"),
}
"""Every problem that the service tells."""


class ProblemError(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        hint: str | None = None,
        errors: tuple[Violation, ...] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        kind = CODES[code]
        self.headers = dict(headers or {})
        self.problem = Problem(
            type=f"urn:curator:problem:{code}",
            title=kind.title,
            status=kind.status,
            detail=detail,
            code=code,
            hint=hint,
            errors=errors,
        )

    @property
    def body(self) -> bytes:
        """The problem as JSON."""
        return self.problem.model_dump_json(exclude_none=True).encode()


def storage_problem(error: TransientError) -> ProblemError:
    """The problem of object storage that does not answer, or fails for now."""
    detail = f"{error.file}: {error.message}" if error.file else error.message
    return ProblemError("storage.unavailable", detail, hint="try again later", headers={"Retry-After": "5"})
