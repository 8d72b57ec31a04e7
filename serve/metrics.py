"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serve.kinds import Kind
from serve.webhooks.outbox import counts

if TYPE_CHECKING:
    from serve.context import Service

MEDIA_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_requests_registry = CollectorRegistry()
REQUESTS = Counter(
    "curator_http_requests", "Requests answered", ("method", "route", "status"), registry=_requests_registry
)
SECONDS = Histogram(
    "curator_http_request_seconds",
    "Seconds until an answer began",
    ("route",),
    buckets=_SECONDS,
    registry=_requests_registry,
)


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answer."""
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)


def exposition(service: Service) -> bytes:
    """All that is counted."""
    registry = CollectorRegistry()
    runs = Gauge("curator_runs", "Runs in each state", ("state",), registry=registry)
    trainings = Gauge("curator_trainings", "Trainings in each state", ("state",), registry=registry)
    for gauge, kind in ((runs, Kind.RUN), (trainings, Kind.TRAINING)):
        for state, count in service.runs.counts(kind).items():
            gauge.labels(state.value).set(count)
    deliveries = Gauge("curator_webhook_deliveries", "Messages to webhooks", ("standing",), registry=registry)
    with service.runs.database.read() as session:
        for standing, count in counts(session).items():
            deliveries.labels(standing).set(count)
    Gauge("curator_streams", "Event streams that are open", registry=registry).set(service.feed.count())
    turned = Gauge("curator_runner_idle_seconds", "Seconds since the runner's last turn", registry=registry)
    turned.set(max(0.0, time.time() - service.runner.turned))
    return generate_latest(registry) + generate_latest(_requests_registry)
