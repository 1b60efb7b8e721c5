"""Plans the events of a body, brings the good ones into the queue, and says what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from destinations.engine.watcher import Watcher
from destinations.queue import Incoming, Planned, Receipt
from destinations.segment.event import EventError
from destinations.server.body import Body
from destinations.server.future_bridge import Landing
from destinations.server.ingest import Route
from destinations.server.replies import Reply, error

__all__ = ["accept"]

_IN_PLACE: Final = 100
"""Up to so many events are planned where they are: at about 20 microseconds each that is less than
handing them to a thread and back would delay the others."""


@dataclass(frozen=True, slots=True)
class _Refused:
    index: int
    status: int
    message: str


async def accept(route: Route, body: Body, watcher: Watcher, landing: Landing) -> Reply:
    """The answer, once everything that it says is accepted is durable.

    Raises `QueueFullError` if nothing was accepted and may be later.
    """
    if len(body.events) > _IN_PLACE:
        planned, refused = await asyncio.to_thread(_plan, route, body.events)
    else:
        planned, refused = _plan(route, body.events)
    if planned:
        receipts = await landing.result(route.inbox.accept(planned))
        duplicates = sum(receipt.duplicate for receipt in receipts)
        watcher.accepted(route.name, len(receipts), duplicates)
        ended = _ended(planned, receipts)
        if ended:
            watcher.ended(route.name, ended)
    if not body.is_batch and refused:
        return error(refused[0].status, refused[0].message)
    if planned:
        for item in refused:  # where nothing was accepted, the whole request counts as refused
            watcher.refused(route.name, item.status)
    if not refused:
        return Reply(200, {"accepted": len(planned)})
    rejected = [
        {"index": item.index, "status": item.status, "message": item.message} for item in refused
    ]
    if planned:
        return Reply(200, {"accepted": len(planned), "rejected": rejected})
    status = 501 if all(item.status == 501 for item in refused) else 400
    message = f"none of {len(refused):,} events was accepted; the first: {refused[0].message}"
    return Reply(status, {"message": message, "accepted": 0, "rejected": rejected})


def _ended(planned: Sequence[Incoming], receipts: Sequence[Receipt]) -> list[Planned]:
    """What needs no delivering, of events that are new."""
    return [
        delivery
        for incoming, receipt in zip(planned, receipts, strict=True)
        if not receipt.duplicate
        for delivery in incoming.deliveries
        if delivery.result is not None
    ]


def _plan(route: Route, events: Sequence[bytes]) -> tuple[list[Incoming], list[_Refused]]:
    planned: list[Incoming] = []
    refused: list[_Refused] = []
    for index, raw in enumerate(events):
        try:
            incoming = route.plan(raw)
        except EventError as fault:
            refused.append(_Refused(index, 400, f"{fault.code}: {fault.message}"))
            continue
        if route.types is not None and incoming.type not in route.types:
            supported = ", ".join(sorted(route.types))
            message = f"{incoming.type} calls are not supported; supported are: {supported}"
            refused.append(_Refused(index, 501, message))
        else:
            planned.append(incoming)
    return planned, refused
