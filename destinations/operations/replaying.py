"""Replay deliveries: plan the raw event with today's definition, as if it had just arrived.

A delivery that was applied, or may have been, is never replayed: `resolve` decides on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from destinations.errors import UsageError
from destinations.http.json_bytes import decode_json
from destinations.operations.decisions import why_user_deleted
from destinations.operations.locks import server_status
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.dedupe import CONFLICT, fingerprints
from destinations.pipeline.intake import Intake
from destinations.pipeline.ledger import Ledger, LedgerEntry, Replan
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.runtime.destination import Destination
from destinations.runtime.heirs import heir
from destinations.runtime.plan import Plan, PlannedDelivery, plan
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import DELETE
from destinations.store import OpenStore

__all__ = [
    "PlannedReplay",
    "Replayed",
    "deletes_more",
    "plan_replay",
    "replay",
    "unserved_destinations",
    "why_not_replayed",
]

_CHUNK: Final = 500
_NAMED: Final = 3
"""So many later deliveries are named."""

_WHY_NOT_OF_CODE: Final = {
    "REPLACED": "a corrected event has replaced its event",
    # A run with a named input gives it another identity, and sends it under that one.
    "MESSAGE_ID_MISSING": (
        "it has neither a messageId nor a time of its own: run its input with --input-id NAME, and"
        " drop this delivery"
    ),
}
_NOT_TAKEN: Final = Result(Outcome.FILTERED, "no subscription takes this event today")
_WHY_NOT: Final = {
    State.READY: "it already waits for its turn",
    State.SENDING: "it is being sent",
    State.UNKNOWN: "it may have been applied, and the partner is asked",
    State.HELD: "it may have been applied: decide with destinations deliveries resolve",
    Outcome.DELIVERED: "it was delivered",
    Outcome.DROPPED: "it was dropped",
    Outcome.FILTERED: "its raw event was deleted",
}


@dataclass(frozen=True, slots=True)
class PlannedReplay:
    """The result of replaying one delivery.

    ``refused`` says why it is not replayed; then ``replan`` is None. ``warning`` says what an
    operator has to know before.
    """

    entry: LedgerEntry
    replan: Replan | None = None
    refused: str = ""
    warning: str = ""

    @property
    def changes(self) -> bool:
        """Whether the replay changes anything."""
        if self.replan is None:
            return False
        result = self.replan.result
        same = result is not None and (result.outcome, result.reason) == (
            self.entry.status,
            self.entry.reason,
        )
        return bool(self.replan.added) or not same


@dataclass(frozen=True, slots=True)
class Replayed:
    """The numbers of deliveries that wait again, ended at once, were added, or had changed."""

    reopened: int = 0
    ended: int = 0
    added: int = 0
    changed_since: int = 0


def why_not_replayed(entry: LedgerEntry) -> str:
    """Return why a delivery must not be replayed; empty if it may."""
    return _WHY_NOT_OF_CODE.get(entry.code or "", "") or _WHY_NOT.get(entry.status, "")


def plan_replay(ledger: Ledger, destination: Destination, entry: LedgerEntry) -> PlannedReplay:
    """Return the effect of a replay with today's ``destination``; nothing is written."""
    refused = (
        why_not_replayed(entry) or why_in_conflict(ledger, entry) or why_user_deleted(ledger, entry)
    )
    if refused:
        return PlannedReplay(entry, refused=refused)
    raw = ledger.raw_event(entry.event_id)
    if raw is None:
        return PlannedReplay(entry, refused="its raw event was deleted")
    intake = Intake(destination)
    digest = intake.digest
    only = _asked_by_operator(destination, entry.key)
    planned = plan(destination, raw, only=only, received_at=entry.accepted_at)
    todays = {one.key: one for one in planned.deliveries}
    of_event = ledger.of_event(entry)
    known = {one.key for one in of_event}
    # If subscriptions were renamed, nothing shows which of today's replaces which. So nothing is
    # added for their actions, so that the event is not sent twice.
    gone = {key for key in known if key is not None and key not in destination.by_key}
    unclear = {key.action for key in gone}
    added = [
        one
        for key, one in todays.items()
        if key is not None and key not in known and key.action not in unclear
    ]
    actions = {one.action for one in destination.by_key}
    if any(
        one.key in gone and one.action not in actions and one.effect is Effect.NONE
        for one in of_event
    ):
        added = []  # any of today's subscriptions may take the place of such a one
    # What counts once is not added beside a delivery that counts, or may when it is replayed.
    added = [one for one in added if not _counts_already(destination, one, of_event)]
    key, refused = _key_of_today(destination, entry, todays, of_event)
    if refused:
        return PlannedReplay(entry, refused=refused)
    today = todays.get(key)
    if today is None and key is None and added:
        # It stood for an event that nothing took: now it is the first delivery of those there are.
        today = added.pop(0)
    if today is None:
        today = PlannedDelivery(None, result=_end_of(planned, entry))
    event = _event(planned, entry)
    delivery, result = _filled(intake, event, today, digest)
    if delivery.key is None:
        delivery.key = key
    if entry.effect is not Effect.NONE:
        action = destination.actions.get(delivery.action)
        # It must not end as never sent either: no trace of it would be left.
        if result is not None or action is None or not action.is_idempotent:
            why = f"it may have been applied: {entry.reason}; drop it, or send its event again"
            return PlannedReplay(entry, refused=why)
    more = tuple(_filled(intake, event, one, digest) for one in added)
    warning = "" if result is not None else deletes_more(ledger, entry)
    return PlannedReplay(entry, Replan(entry, delivery, result, more), warning=warning)


def replay(ledger: Ledger, replays: Iterable[PlannedReplay], *, now: float) -> Replayed:
    """Make planned replays, a few hundred in each transaction, so that others can write.

    Deliveries to be sent wait for their turn; the others get their new outcome at once. A delivery
    that has changed since it was planned is skipped and counted. Raises `UsageError` if the
    store cannot be written; finished transactions stay, and it is safe to repeat the call.
    """
    planned = _once([one.replan for one in replays if one.changes and one.replan is not None])
    done = reopened = ended = added = 0
    for start in range(0, len(planned), _CHUNK):
        chunk = planned[start : start + _CHUNK]
        try:
            indexes = ledger.replan(chunk, now)
        except UsageError as error:
            if not start:
                raise
            msg = f"{error}; {start:,} of {len(planned):,} were replayed: replay again for the rest"
            raise UsageError(msg) from None
        for one in (chunk[index] for index in indexes):
            done += 1
            reopened += one.result is None
            ended += one.result is not None
            added += len(one.added)
    return Replayed(reopened, ended, added, len(planned) - done)


def unserved_destinations(store: OpenStore, replays: Iterable[PlannedReplay]) -> list[str]:
    """Return the destinations that get waiting deliveries but are not in the running server.

    Empty if no server runs.
    """
    waits = {
        one.entry.destination
        for one in replays
        if one.replan is not None
        and (one.replan.result is None or any(end is None for _, end in one.replan.added))
    }
    serving = server_status(store)
    return sorted(name for name in waits if serving.running and serving.has(name) is False)


def deletes_more(ledger: Ledger, entry: LedgerEntry) -> str:
    """Return that a deletion, sent now, would delete what came after it; empty if nothing came."""
    if entry.type != DELETE:
        return ""
    # Of an erasure, only the event has the id of the user.
    raw = ledger.raw_event(entry.event_id)
    event = {} if raw is None else decode_json(raw)
    later = ledger.delivered_since(entry, str(event.get("userId", entry.user)))
    if not later:
        return ""
    ids = ", ".join(map(str, later[:_NAMED])) + (", ..." if len(later) > _NAMED else "")
    what, them = ("1 event", "that") if len(later) == 1 else (f"{len(later):,} events", "those")
    return (
        f"{what} of its user reached the partner after it, or may have ({ids}): the partner deletes"
        f" {them}, too; drop the deletion to keep the user"
    )


def why_in_conflict(ledger: Ledger, entry: LedgerEntry) -> str:
    """Return why an event must not replace the one that has its messageId; empty if it may."""
    if entry.code != CONFLICT:
        return ""
    others = ledger.of_message(entry)
    if others and all(
        isinstance(one.status, Outcome) and one.effect is Effect.NONE for one in others
    ):
        return ""  # that one had no effect, so this one corrects it
    return (
        "another event has its messageId, and may have an effect: send it under a messageId of its "
        "own, and drop this one"
    )


def _key_of_today(
    destination: Destination,
    entry: LedgerEntry,
    todays: Collection[SubscriptionKey | None],
    of_event: Sequence[LedgerEntry],
) -> tuple[SubscriptionKey | None, str]:
    """Return the subscription for which an entry is planned again, or why it is not."""
    key = entry.key
    if key is not None and key.action in destination.counts_once:
        for other in of_event:
            if other.id != entry.id and other.action == key.action and _counts(other):
                return key, f"delivery {other.id} of its event counts for {key.action}"
        # Whichever subscription of the action takes it today: at most one does.
        return next((one for one in todays if one and one.action == key.action), key), ""
    if key is None or key in destination.by_key:
        return key, ""
    found = _renamed(destination, key, {one.key for one in of_event}) or heir(
        destination,
        key,
        todays,
        {
            one.key: one.id if one.effect is Effect.NONE else None
            for one in of_event
            if one.outcome is not Outcome.FILTERED
        },
    )
    if found is None:
        return key, ""  # nothing takes it today
    if found == "unclear":
        there = ", ".join(sorted(repr(one.name) for one in destination.by_key))
        return key, f"there is no subscription {key.name!r} any more; there are: {there}"
    return found, ""


def _counts(entry: LedgerEntry) -> bool:
    """Return whether a delivery has an effect, or may have or get one by itself."""
    return entry.effect is not Effect.NONE or entry.outcome is None


def _counts_already(
    destination: Destination, planned: PlannedDelivery, of_event: Sequence[LedgerEntry]
) -> bool:
    """Return whether an event has a delivery for the action of another one that counts once."""
    key = planned.key
    return (
        key is not None
        and key.action in destination.counts_once
        and any(
            one.action == key.action and one.outcome is not Outcome.FILTERED for one in of_event
        )
    )


def _once(replans: Iterable[Replan]) -> list[Replan]:
    """Let only the first of several deliveries of an event add deliveries that it lacked."""
    seen: set[tuple[int, SubscriptionKey | None]] = set()
    found = []
    for one in replans:
        event = one.entry.event_id
        added = [new for new in one.added if (event, new[0].key) not in seen]
        seen.update((event, delivery.key) for delivery, _ in added)
        found.append(one if len(added) == len(one.added) else replace(one, added=added))
    return found


def _asked_by_operator(
    destination: Destination, key: SubscriptionKey | None
) -> SubscriptionKey | None:
    """Return the key of an operator action, which no event reaches by itself."""
    return key if key in destination.operator_subscriptions else None


def _renamed(
    destination: Destination,
    key: SubscriptionKey | None,
    known: Collection[SubscriptionKey | None],
) -> SubscriptionKey | None:
    """Return the only subscription of today that a key without one can mean."""
    if key is None:
        return None
    successors: Sequence[SubscriptionKey] = [one.key for one in destination.successors(key)]
    had = [one for one in known if one is not None and one.action == key.action]
    return successors[0] if (len(successors), len(had)) == (1, 1) else None


def _end_of(planned: Plan, entry: LedgerEntry) -> Result:
    """Return why the event does not reach the subscription of an entry today."""
    by_key: Mapping[SubscriptionKey | None, PlannedDelivery] = {
        one.key: one for one in planned.deliveries
    }
    without = by_key.get(None)
    if without is not None and without.result is not None:
        return without.result
    if entry.key is None:
        return _NOT_TAKEN
    reason = f"no subscription {entry.key.name!r} takes this event today"
    return Result(Outcome.FILTERED, reason)


def _event(planned: Plan, entry: LedgerEntry) -> QueuedEvent:
    found, former = entry.fingerprint, 0
    if not found and planned.event is not None:
        found, former = fingerprints(planned.event)
    return QueuedEvent(
        entry.message_id,
        entry.type,
        entry.user,
        entry.accepted_at,
        planned.raw,
        found,
        entry.event_id,
        former=former,
    )


def _filled(
    intake: Intake, event: QueuedEvent, today: PlannedDelivery, digest: str
) -> tuple[QueuedDelivery, Result | None]:
    """Return a delivery with its payload, or with its outcome."""
    delivery = QueuedDelivery(event, today.key, plan=digest)
    if today.result is not None:
        return delivery, today.result
    return delivery, intake.fill(delivery, today, digest)
