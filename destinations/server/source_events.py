"""Take the events of a source: complete them, plan them for each destination, and queue them all.

One commit makes all of it durable, and the raw event is kept once. What is wrong with one event, or
with what one destination asks of it, costs the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from destinations.errors import DestinationsError, EventError, TemporaryError
from destinations.http.json_bytes import encode_json
from destinations.outcome import Outcome, Result
from destinations.pipeline.dedupe import CONFLICT, content, fingerprints
from destinations.pipeline.derived_ids import DerivedIds
from destinations.pipeline.intake import CommonEvent
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import Arrival, Receipt, SharedEvent
from destinations.runtime.plan import Plan, PlannedDelivery, plan_event
from destinations.segment.event import (
    CALL_UNSUPPORTED,
    DELETE,
    MAX_EVENT_BYTES,
    Event,
    naming_delete,
    read_event,
    read_json,
)
from destinations.segment.ingestion import Sending, completed, sent_event
from destinations.server.accepting import IN_PLACE, UNCERTAIN, ended_at_once
from destinations.server.body import SentBody
from destinations.server.event_sources import EventSource
from destinations.server.future_bridge import FutureBridge
from destinations.server.ingest_route import IngestRoute
from destinations.server.refused_events import Refusal
from destinations.server.replies import Reply, error
from destinations.statuses import FEEDS_NOTHING

__all__ = ["accept_sent"]

_LOG = logging.getLogger(__name__)
_FAULT: Final = "an internal error while it was planned; the log says more"


@dataclass(slots=True)
class _Planned:
    """The arrivals of the events of a body, by destination; all have the same events, in order."""

    parts: list[tuple[IngestRoute, list[Arrival]]]
    refused: list[Refusal]
    accepted: int = 0


async def accept_sent(
    source: EventSource,
    body: SentBody,
    type_: str | None,
    peer: str,
    observer: Observer,
    bridge: FutureBridge,
) -> tuple[Reply, Sequence[Refusal]]:
    """Return the answer, once everything that it says is accepted is durable.

    With it comes a refusal for each event that was not accepted. ``type_`` is the type of the
    event, None for a batch. Raises `QueueFullError` if the store is full.
    """
    now = datetime.now(UTC)
    sending = Sending(now, type_, body.beside, source.context_traits)
    if len(body.events) * max(1, len(source.feeds)) > IN_PLACE:
        planned = await asyncio.to_thread(_plan, source, body.events, sending, observer)
    else:
        planned = _plan(source, body.events, sending, observer)
    if planned.accepted:
        parts = [(route.scope, arrivals) for route, arrivals in planned.parts]
        inbox = planned.parts[0][0].inbox
        receipts: Sequence[Receipt] = await bridge.result(inbox.distribute(parts))
        for route, arrivals in planned.parts:
            of_part, receipts = receipts[: len(arrivals)], receipts[len(arrivals) :]
            _tell(route, arrivals, of_part, peer, observer)
    refused = planned.refused
    if refused and not planned.accepted and source.feeds:
        first = refused[0]
        if type_ is not None:
            return error(first.status, first.reason, code=first.code), refused
        message = f"none of {len(refused):,} events was accepted; the first: {first.reason}"
        return error(first.status, message, code=first.code), refused
    return Reply(200, {"success": True}), refused


def _tell(
    route: IngestRoute,
    arrivals: Sequence[Arrival],
    receipts: Sequence[Receipt],
    peer: str,
    observer: Observer,
) -> None:
    """Tell the observer what became of the events for one destination."""
    conflicts = sum(one.conflict for one in receipts)
    duplicates = sum(one.duplicate and not one.conflict for one in receipts)
    if len(receipts) > conflicts:
        observer.accepted(route.name, len(receipts) - conflicts, duplicates)
    if conflicts:  # the ledger has them: an SDK would give its batch up if it were told
        observer.refused(route.name, 409, peer, CONFLICT, conflicts)
    ended = ended_at_once(arrivals, receipts)
    if ended:
        observer.ended(route.name, ended)


def _plan(
    source: EventSource, events: Sequence[bytes], sending: Sending, observer: Observer
) -> _Planned:
    """Return the arrivals of events at each destination, and those events that are refused."""
    # Read before anything is planned: if the rules change after that, it is planned again.
    digests = [route.intake.digest for route in source.feeds]
    planned = _Planned([(route, []) for route in source.feeds], [])
    ids = DerivedIds(None)
    now = sending.received_at.timestamp()
    for index, given in enumerate(events):
        try:
            _, sent = read_event(given, lambda value: sent_event(value, sending))
            message_id, is_certain = _id_of(sent, index, ids)
            event = completed(sent, message_id, sending)
            raw = encode_json(event)
            _check_size(raw)
        except EventError as error:
            deletes = any(one.destination.deletion is not None for one in source.feeds)
            fault = naming_delete(error) if deletes else error
            planned.refused.append(_refusal(given, sending, fault.message, fault.code))
            continue
        if not source.feeds:
            why = f"the source {source.name} feeds no destination"
            planned.refused.append(Refusal(400, FEEDS_NOTHING, why, raw, len(raw)))
            continue
        if event["type"] == DELETE and all(
            one.destination.deletion is None for one in source.feeds
        ):
            why = "delete calls are not supported by any destination of the source"
            planned.refused.append(_refusal(given, sending, why, CALL_UNSUPPORTED))
            continue
        plans = [_planned(route, raw, event, now, observer) for route in source.feeds]
        if not is_certain and any(one.adds for one in plans):
            planned.refused.append(_refusal(given, sending, UNCERTAIN, "MESSAGE_ID_MISSING"))
            continue
        shared = SharedEvent() if len(source.feeds) > 1 else None
        common = CommonEvent(fingerprints(sent), shared)
        for (route, arrivals), digest, found in zip(planned.parts, digests, plans, strict=True):
            arrivals.append(
                route.intake.arrival(
                    found, digest, message_id=message_id, accepted_at=now, common=common
                )
            )
        planned.accepted += 1
    return planned


def _planned(route: IngestRoute, raw: bytes, event: Event, now: float, observer: Observer) -> Plan:
    """Return the plan of an event for one destination, of which the others must not suffer.

    If it cannot be planned because of a fault in our code, it is dead, and can be replayed.
    """
    try:
        return plan_event(route.destination, raw, event, received_at=now)
    except TemporaryError:  # such as a store that cannot be read now: the event is sent again
        raise
    except Exception:  # noqa: BLE001 - nothing is known of it; only the log has the error
        _LOG.exception(
            "event not planned because of an internal error", extra={"destination": route.name}
        )
        observer.internal_error(route.name)
    user = event.get("userId") or event.get("anonymousId") or ""
    ended = PlannedDelivery(None, result=Result(Outcome.DEAD, _FAULT, "INTERNAL_ERROR"))
    return Plan(raw, event, event["messageId"], event["type"], user, [ended])


def _id_of(sent: Event, index: int, ids: DerivedIds) -> tuple[str, bool]:
    """Return the messageId of an event, and whether it keeps it when it is sent again.

    That is its own, or one made of its content. Without a time of its own it is a new event each
    time.
    """
    own = sent.get("messageId") or ""
    if own and not own.isspace():
        return str(own), True
    derived = ids.id_of(content(sent), index)
    return (derived.id, True) if derived.is_certain else (str(uuid.uuid4()), False)


def _check_size(raw: bytes) -> None:
    """Raise `EventError` for an event that is too long with what stood beside its batch."""
    if len(raw) > MAX_EVENT_BYTES:
        why = f"is {len(raw):,} bytes with what was added to it, more than {MAX_EVENT_BYTES:,}"
        raise EventError("TOO_LARGE", why)


def _refusal(given: bytes, sending: Sending, why: str, code: str) -> Refusal:
    """Return the refusal of an event, as it would be sent again: with its type, without the key."""
    raw = given
    with contextlib.suppress(DestinationsError):  # what cannot be read is kept as it came
        raw = encode_json(sent_event(read_json(given, limit=len(given)), sending))
    return Refusal(501 if code == CALL_UNSUPPORTED else 400, code, why, raw, len(raw))
