"""Replays deliveries: the raw event goes through today's definition, as if it had just come.

Never what was or may have been applied: that is decided by `destinations.operations.resolve`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.errors import UsageError
from destinations.operations.changes import reopen
from destinations.operations.ledger import DROPPED, LedgerEntry, raw_event
from destinations.operations.serving import who_serves
from destinations.outcome import Outcome, Result
from destinations.queue import State
from destinations.runtime.action import Payload
from destinations.runtime.destination import Destination, slug_of
from destinations.segment.event import EventError, check_event, read_json
from destinations.store import Store

__all__ = [
    "Replay",
    "Replayed",
    "Today",
    "plan_replay",
    "replay",
    "waiting_for_nobody",
    "why_not_replayed",
]

_CHUNK: Final = 500
_IS_GONE: Final = "SELECT 1 FROM events WHERE id = ? AND raw IS NULL"
_NOT_TAKEN: Final = Result(Outcome.FILTERED, "no subscription takes this event today")
_WHY_NOT: Final = {
    State.READY: "it waits for its turn already",
    State.SENDING: "it is being sent",
    State.UNKNOWN: "it may have been applied, and the partner is asked",
    State.HELD: "it may have been applied: decide with destinations deliveries resolve",
}


@dataclass(frozen=True, slots=True)
class Today:
    """What today's definition makes of an event for one subscription.

    ``action`` is the subscription's key. It would be sent if ``result`` is None; then ``payload``
    is what it would carry, unless that was not asked for.
    """

    action: str
    result: Result | None = None
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay of one delivery does.

    ``refused`` says why it is not done; then ``today`` is None. ``added`` are deliveries for
    subscriptions that take the event today and had none. ``version`` is that of the definition.
    """

    entry: LedgerEntry
    version: str
    today: Today | None = None
    refused: str = ""
    added: tuple[Today, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would be different afterwards."""
        if self.today is None:
            return False
        result = self.today.result
        same = result is not None and (result.outcome, result.reason) == (
            self.entry.outcome,
            self.entry.reason,
        )
        return bool(self.added) or not same


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many deliveries wait again, ended at once, were added, and changed in between."""

    reopened: int = 0
    ended: int = 0
    added: int = 0
    changed_meanwhile: int = 0

    def plus(self, other: Replayed) -> Replayed:
        """Both together."""
        return Replayed(
            self.reopened + other.reopened,
            self.ended + other.ended,
            self.added + other.added,
            self.changed_meanwhile + other.changed_meanwhile,
        )


def why_not_replayed(entry: LedgerEntry) -> str:
    """Why a delivery must not be replayed; empty if it may."""
    if entry.state is not State.DONE:
        return _WHY_NOT[entry.state]
    if entry.code == DROPPED:
        return "it was dropped"
    if entry.outcome is Outcome.DELIVERED:
        return "it was delivered"
    if entry.outcome is Outcome.UNKNOWN:
        return "it may have been applied"
    return ""


def plan_replay(
    store: Store, destination: Destination, entry: LedgerEntry, *, payloads: bool = False
) -> Replay:
    """What a replay would do; nothing is written. ``payloads`` keeps them to be shown."""
    version = destination.definition.version
    refused = why_not_replayed(entry)
    if refused:
        return Replay(entry, version, refused=refused)
    raw = raw_event(store, entry.event_id)
    if raw is None:
        return Replay(entry, version, refused="its raw event is not kept any more")
    todays = _today(destination, raw, payloads=payloads)
    rows = store.all("SELECT action FROM deliveries WHERE event_id = ?", (entry.event_id,))
    known = {action for (action,) in rows}
    # Subscriptions that have another name now: which of today's stands for them cannot be told, so
    # no delivery is added for their actions, lest the event go twice.
    gone = {key for key in known if key and key not in destination.keys}
    unclear = {slug_of(key) for key in gone}
    added = [
        today
        for key, today in todays.items()
        if key and key not in known and slug_of(key) not in unclear
    ]
    if entry.action in gone:
        heir = _heir(destination, entry.action, known)
        if heir is None:
            there = ", ".join(sorted(destination.keys))
            why = f"there is no subscription {entry.action!r} any more; known are: {there}"
            return Replay(entry, version, refused=why)
        todays[entry.action] = todays.get(heir) or todays.get("") or Today(heir, _NOT_TAKEN)
    today = todays.get(entry.action)
    if today is None and not entry.action and added:
        # It stood for an event that nothing took: now it is the first delivery of those there are.
        today = added.pop(0)
    if today is None:
        action = f"{entry.action} " if entry.action else ""
        reason = f"no subscription {action}takes this event today"
        today = todays.get("", Today(entry.action, Result(Outcome.FILTERED, reason)))
        today = Today(entry.action, today.result)
    return Replay(entry, version, today, added=tuple(added))


def _heir(destination: Destination, key: str, known: Collection[str]) -> str | None:
    """The one subscription of today that a key without one can mean; None if there is none."""
    same = destination.keys_beside(key)
    had = [one for one in known if slug_of(one) == slug_of(key)]
    return same[0] if (len(same), len(had)) == (1, 1) else None


def _today(destination: Destination, raw: bytes, *, payloads: bool) -> dict[str, Today]:
    """By the subscription's key; one that is empty says why no subscription gets the event."""
    try:
        event = check_event(read_json(raw))
    except EventError as error:
        return {"": Today("", Result.invalid(error.message, error.code))}
    refused = destination.admit(event)
    if refused is not None:
        return {"": Today("", refused)}
    found = {}
    for key, what in destination.deliveries(event):
        action = key or ""
        if isinstance(what, Result):
            found[action] = Today(action, what)
        else:
            found[action] = Today(action, None, what.payload if payloads else None)
    return found


def replay(store: Store, replays: Iterable[Replay], *, now: float) -> Replayed:
    """Does what was planned, a few hundred to a transaction, so that others write in between.

    What would be sent waits for its turn; what ends without being sent has its new outcome at once.
    A delivery that changed since it was planned is left alone and counted. Raises `UsageError` if
    the store cannot be written; what was done by then is done, and safe to repeat.
    """
    planned = [one for one in replays if one.changes]
    total = Replayed()
    for start in range(0, len(planned), _CHUNK):
        try:
            total = total.plus(_replay(store, planned[start : start + _CHUNK], now))
        except UsageError as error:
            if not start:
                raise
            msg = f"{error}; {start:,} of {len(planned):,} were replayed: replay again for the rest"
            raise UsageError(msg) from None
    return total


def _replay(store: Store, planned: Sequence[Replay], now: float) -> Replayed:
    reopened = ended = added = missed = 0
    with store.transaction() as connection:
        for one in planned:
            assert one.today is not None  # noqa: S101 - else it changes nothing
            if connection.execute(_IS_GONE, (one.entry.event_id,)).fetchone():
                done = False  # its event was let go since it was planned
            elif one.today.result is None:
                done = reopen(connection, one.entry, action=one.today.action)
                reopened += done
            else:
                done = _end_again(connection, one, one.today.result, now)
                ended += done
            missed += not done
            if done:
                added += sum(_add(connection, one, today, now) for today in one.added)
    return Replayed(reopened, ended, added, missed)


def waiting_for_nobody(store: Store, replays: Iterable[Replay]) -> list[str]:
    """The destinations for which replays make deliveries wait, and that the server does not have.

    None of them while no server runs.
    """
    waits = {
        one.entry.destination
        for one in replays
        if any(today.result is None for today in (one.today, *one.added) if today is not None)
    }
    served = who_serves(store)
    return sorted(name for name in waits if served.running and served.has(name) is False)


def _end_again(connection: sqlite3.Connection, one: Replay, result: Result, now: float) -> bool:
    assert one.today is not None  # noqa: S101 - it has a result
    done = connection.execute(
        """
        UPDATE deliveries SET action = ?, outcome = ?, code = ?, status = ?, reason = ?,
            stage = 'map', definition_version = ?, settled_at = ?
        WHERE id = ? AND state = 'done' AND outcome IS ? AND settled_at IS ?
        """,
        (
            one.today.action,
            *_of_result(result),
            one.version,
            now,
            one.entry.id,
            one.entry.outcome,
            one.entry.settled_at,
        ),
    )
    return bool(done.rowcount)


def _add(connection: sqlite3.Connection, one: Replay, today: Today, now: float) -> int:
    """A delivery that the event did not have."""
    ended = today.result is not None
    values = _of_result(today.result) if today.result is not None else (None, None, None, "")
    done = connection.execute(
        """
        INSERT OR IGNORE INTO deliveries (event_id, destination, user, action, state,
            outcome, code, status, reason, stage, definition_version, settled_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            one.entry.event_id,
            one.entry.destination,
            one.entry.user,
            today.action,
            State.DONE if ended else State.READY,
            *values,
            "map" if ended else "",
            one.version,
            now if ended else None,
        ),
    )
    if done.rowcount and not ended:
        # New as it is, only this tells a running server of it.
        connection.execute("INSERT INTO reopened VALUES (?)", (done.lastrowid,))
    return done.rowcount


def _of_result(result: Result) -> tuple[object, ...]:
    return result.outcome, result.code, result.status, result.reason
