"""Messages to webhooks: where they stand, and to send one again."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from serve.context import PrincipalOf, ServiceOf
from serve.listing import CursorQuery, LimitQuery
from serve.models import Delivery, DeliveryPage
from serve.problems import ProblemError
from serve.routing import Routes
from serve.webhooks.outbox import list_deliveries, send_again

ROUTES = Routes("webhooks")


@ROUTES.add("GET", "/v1/deliveries", "admin", model=DeliveryPage, problems=("request.invalid",))
def list_all_deliveries(
    service: ServiceOf,
    run: Annotated[str | None, Query(max_length=32, description="about this run or training")] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> DeliveryPage:
    """Messages to webhooks, the newest first."""
    with service.runs.database.read() as session:
        return list_deliveries(session, run, None if cursor is None else int(cursor), limit)


@ROUTES.add(
    "POST",
    "/v1/deliveries/{delivery}/send",
    "admin",
    status=202,
    model=Delivery,
    problems=("delivery.unknown", "request.invalid", "request.media_type"),
)
def send_delivery_again(delivery: str, service: ServiceOf, principal: PrincipalOf) -> Delivery:
    """Send a message again that was delivered or given up. One that waits is sent anyway."""
    with service.runs.database.write() as session:
        found = send_again(session, delivery)
        if found is None:
            raise ProblemError("delivery.unknown", f"no message has the id {delivery!r}")
        service.runs.auditor.append(session, principal.name, "delivery.send", delivery, None, {"url": found.url})
    service.deliverer.look()
    return found
