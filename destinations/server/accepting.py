"""Plan the events of a body, bring the good ones into the queue, and return the outcome of each."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from destinations.pipeline.dedupe import CONFLICT, content
from destinations.pipeline.derived_ids import DerivedId, DerivedIds
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import Arrival, Receipt, Transition
from destinations.runtime.plan import Plan, plan
from destinations.segment.event import CALL_UNSUPPORTED, DELETE, EVENT_TYPES, with_spec_names
from destinations.server.body import Body
from destinations.server.future_bridge import FutureBridge
from destinations.server.ingest_route import IngestRoute
from destinations.server.refused_events import Refusal
from destinations.server.replies import Reply, error
from destinations.statuses import CODES

__all__ = ["IN_PLACE", "UNCERTAIN", "accept", "ended_at_once"]

IN_PLACE: Final = 100
"""Up to this many events are planned in the same thread: at about 20 microseconds each, that delays
others less than handing the events to another thread and back."""

UNCERTAIN: Final = (
    "has neither a messageId nor a timestamp, so it would count again each "
    "time it is sent: give it one of them"
)
_CONFLICT: Final = (
    "another event with this messageId and different content was accepted before, and may have an "
    "effect"
)


@dataclass(frozen=True, slots=True)
class _Refused:
    index: int
    status: int
    code: str
    message: str

    def refusal(self, raw: bytes) -> Refusal:
        """Return the refusal of the event that ``raw`` is."""
        return Refusal(self.status, self.code, self.message, raw, len(raw))


async def accept(
    route: IngestRoute, body: Body, observer: Observer, bridge: FutureBridge
) -> tuple[Reply, Sequence[Refusal]]:
    """Return the answer, once everything that it says is accepted is durable.

    With it comes a refusal for each event that was not accepted.

    Raises `QueueFullError` if nothing was accepted and may be later.
    """
    if len(body.events) > IN_PLACE:
        planned, refused = await asyncio.to_thread(_plan, route, body.events)
    else:
        planned, refused = _plan(route, body.events)
    accepted = 0
    if planned:
        arrivals = [arrival for _, arrival in planned]
        receipts = await bridge.result(route.inbox.accept(route.scope, arrivals))
        for (index, _), receipt in zip(planned, receipts, strict=True):
            if receipt.conflict:
                # Segment knows no 409, and takes what it does not know for something that passes.
                status = 409 if route.tenants is None else 400
                refused.append(_Refused(index, status, CONFLICT, _CONFLICT))
        accepted = sum(not receipt.conflict for receipt in receipts)
        duplicates = sum(receipt.duplicate and not receipt.conflict for receipt in receipts)
        if accepted:
            observer.accepted(route.name, accepted, duplicates)
        ended = ended_at_once(arrivals, receipts)
        if ended:
            observer.ended(route.name, ended)
    refused.sort(key=lambda item: item.index)
    refusals = [item.refusal(body.events[item.index]) for item in refused]
    return _reply(body, accepted, refused), refusals


def _reply(body: Body, accepted: int, refused: list[_Refused]) -> Reply:
    if not body.is_batch and refused:
        message = refused[0].message
        if message.startswith(("is ", "has ", "must ")):  # as one in a list of events
            message = f"the event {message}"
        return error(refused[0].status, message, code=refused[0].code)
    if not refused:
        return Reply(200, {"accepted": accepted})
    rejected = [
        {
            "index": item.index,
            "status": item.status,
            "code": item.code,
            "message": item.message,
        }
        for item in refused
    ]
    if accepted:
        return Reply(200, {"accepted": accepted, "rejected": rejected})
    statuses = {item.status for item in refused}
    status = statuses.pop() if len(statuses) == 1 else 400
    message = f"none of {len(refused):,} events was accepted; the first: {refused[0].message}"
    if len(refused) == 1:
        message = f"the event was not accepted: {refused[0].message}"
    codes = {item.code for item in refused}
    code = codes.pop() if len(codes) == 1 else CODES[status]
    whole = {"message": message, "code": code, "accepted": 0, "rejected": rejected}
    return Reply(status, whole)


def ended_at_once(arrivals: Sequence[Arrival], receipts: Sequence[Receipt]) -> list[Transition]:
    """Return the new events that need no delivery."""
    return [
        transition
        for arrival, receipt in zip(arrivals, receipts, strict=True)
        if not receipt.duplicate and not receipt.conflict
        for transition in arrival.ended
    ]


def _plan(
    route: IngestRoute, events: Sequence[bytes]
) -> tuple[list[tuple[int, Arrival]], list[_Refused]]:
    """Return the acceptable events by their index in the body, and the rejected ones."""
    found: list[tuple[int, Arrival]] = []
    refused: list[_Refused] = []
    # Read before anything is planned: if the rules change after that, it is planned again.
    digest = route.intake.digest
    now = time.time()
    ids = DerivedIds(None)
    for index, raw in enumerate(events):
        planned = plan(route.destination, raw, received_at=now)
        if route.tenants is not None and (planned.refusal is not None or not planned.message_id):
            # Segment's customers name fields in any case.
            named = with_spec_names(raw)
            if named != raw:
                planned = plan(route.destination, named, received_at=now)
        if planned.refusal is not None:
            status = planned.refusal.status or 400
            code = planned.refusal.code or CODES[status]
            refused.append(_Refused(index, status, code, planned.refusal.reason))
        elif not _is_supported(route, planned.type):
            refused.append(_unsupported(route, index, planned.type))
        else:
            derived = _id_of(planned, index, ids)
            if not derived.is_certain and planned.adds:
                refused.append(_Refused(index, 400, "MESSAGE_ID_MISSING", UNCERTAIN))
                continue
            arrival = route.intake.arrival(planned, digest, message_id=derived.id, accepted_at=now)
            found.append((index, arrival))
    return found, refused


def _is_supported(route: IngestRoute, call: str) -> bool:
    """Return whether a destination takes a call at all."""
    if call == DELETE and route.destination.deletion is None:
        return False
    return route.types is None or call in route.types


def _unsupported(route: IngestRoute, index: int, call: str) -> _Refused:
    """Return the refusal of a call that the destination does not take, with those that it does."""
    deletes = () if route.destination.deletion is None else (DELETE,)
    supported = ", ".join(sorted(route.types or (*EVENT_TYPES, *deletes)))
    message = f"{call} calls are not supported; supported are: {supported}"
    return _Refused(index, 501, CALL_UNSUPPORTED, message)


def _id_of(planned: Plan, index: int, ids: DerivedIds) -> DerivedId:
    """Return the identity of an event, which it keeps when its body comes again.

    Without a messageId and a time of its own it is a new one each time it comes.
    """
    if planned.message_id:
        return DerivedId(planned.message_id)
    derived = ids.id_of(content(planned.event) if planned.event else planned.raw, index)
    return derived if derived.is_certain else derived._replace(id=f"none:{uuid.uuid4()}")
