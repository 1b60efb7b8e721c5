"""A queue for as long as a process lives: what is finished is counted, and not kept.

It satisfies `destinations.pipeline.queue.Queue` and recognises messages. What a message is
recognised by is kept for all of them: a few in memory, many in a temporary file, which vanishes
with the process.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from destinations.outcome import Effect, ManualChange, Outcome, State
from destinations.pipeline.account_names import folded
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.dedupe import Verdict, conflict, recognise
from destinations.pipeline.queue import (
    EARLIER_HELD,
    Arrival,
    Balance,
    Behind,
    Committed,
    History,
    Past,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Recheck,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import DELETE

__all__ = ["MemoryQueue", "SeenMessages"]

_IN_MEMORY: Final = 50_000
"""How many messages are recognised in memory (about 10 MiB); a look on disk costs as much as
mapping an event."""

_CORRECTABLE: Final = 1

_CORRECTABLE_PAST: Final = Past(0, 0, State.DONE, Outcome.FILTERED, Effect.NONE)
_WAITING_PAST: Final = Past(0, 0, State.READY, None, Effect.MAYBE)
_LASTING_PAST: Final = Past(0, 0, State.DONE, Outcome.FILTERED, Effect.APPLIED)


class Seen(NamedTuple):
    """The content of a message as a number, and whether other content may replace it."""

    number: int
    correctable: bool


class SeenMessages:
    """The contents of messages by id: a fingerprint, and whether other content may replace it.

    Exact, and bounded in memory: a large one is a temporary SQLite file.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        # A number each, as a tuple would take more than twice as much.
        self._recent: dict[str, int] = {}
        self._in_memory = in_memory
        self._older: sqlite3.Connection | None = None

    def get(self, message_id: str) -> Seen | None:
        """Return the history of a message."""
        found = self._recent.get(message_id)
        if found is None and self._older is not None:
            key = _key(message_id)
            row = self._older.execute("SELECT seen FROM seen WHERE id = ?", (key,)).fetchone()
            found = None if row is None else row[0]
        return None if found is None else Seen(found >> 1, bool(found & _CORRECTABLE))

    def add(self, message_id: str, number: int = 0, *, correctable: bool = False) -> None:
        """Note what a message holds by now: a fingerprint, a count, or nothing but its id."""
        self._recent[message_id] = number << 1 | correctable
        if len(self._recent) > self._in_memory:
            self._spill()

    def close(self) -> None:
        """Forget all of them."""
        self._recent.clear()
        if self._older is not None:
            self._older.close()
            self._older = None

    def _spill(self) -> None:
        if self._older is None:
            # The empty name makes a file that is deleted when it is closed (sqlite.org/c3ref/open).
            self._older = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._older.execute("PRAGMA journal_mode = OFF")
            self._older.execute("PRAGMA synchronous = OFF")
            self._older.execute(
                "CREATE TABLE seen (id BLOB PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID"
            )
        self._older.execute("BEGIN")
        self._older.executemany(
            "INSERT OR REPLACE INTO seen VALUES (?, ?)",
            sorted((_key(one), seen) for one, seen in self._recent.items()),
        )
        self._older.execute("COMMIT")
        self._recent.clear()


def _key(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=12).digest()


class _Open:
    """An event of which something is not finished, and what is known of its deliveries."""

    __slots__ = ("correctable", "deliveries", "event", "left")

    def __init__(self, event: QueuedEvent) -> None:
        self.event = event
        self.deliveries: dict[SubscriptionKey | None, Past] = {}
        self.left = 0
        self.correctable = True


class MemoryQueue:
    """See the module. All of its deliveries are of one scope.

    ``keys`` are those of all subscriptions: of a finished event they are known as one.
    """

    attempts: AttemptPolicy | None = None

    def __init__(
        self,
        name: str = "",
        keys: Iterable[SubscriptionKey] = (),
        *,
        in_memory: int = _IN_MEMORY,
    ) -> None:
        self.scope = Scope(0, name)
        self._keys: Sequence[SubscriptionKey | None] = (None, *keys)
        self._seen = SeenMessages(in_memory)
        self._open: dict[str, _Open] = {}
        self._balances: dict[str, Balance] = {}
        self._others: dict[str, dict[int, bool]] = {}
        # Subscriptions for which events came separately from others of the same events.
        self._parts: set[SubscriptionKey] = set()
        self._ids = 0
        self._waiting = 0
        # Users of whom an operator would have to decide on something; whose deletion waits for it.
        self._held: set[str] = set()
        self._held_up: set[str] = set()
        self.manual_changes: list[ManualChange] = []

    def commit(self, round_: Round) -> Committed:
        """See `destinations.pipeline.queue.Queue.commit`; nothing here can fail."""
        for _, transition in round_.transitions:
            self._transition(transition)
        for (_, key), balance in round_.balances.items():
            if balance is None:
                self._balances.pop(key, None)
            else:
                self._balances[key] = balance
        claimed = [one for batch in round_.batches for one in batch.deliveries]
        for delivery in (*claimed, *(one for _, one in round_.waiting)):
            if not delivery.id:
                self._take_in(delivery)
        for _, arrival in round_.arrivals:
            self._arrive(arrival)
        behind = {one: why for one in claimed if (why := self._behind(one)) is not None}
        return Committed(behind=behind)

    def _behind(self, delivery: QueuedDelivery) -> Behind | None:
        """Return why a delivery must not be sent; see `destinations.store.deletions`.

        What waits of a user goes in its order here. So only what is held stands before a deletion.
        """
        user = delivery.user
        if delivery.event.type != DELETE:
            if user not in self._held_up:
                return None
            return Behind(EARLIER_HELD, "waits for the deletion of its user")
        if user not in self._held:
            return None
        self._held_up.add(user)
        return Behind(EARLIER_HELD, "waits until what is held of its user is decided")

    def held_up(
        self,
        scope: Scope,  # noqa: ARG002 - there is one
        deliveries: Collection[QueuedDelivery],  # noqa: ARG002 - as above
    ) -> Collection[QueuedDelivery]:
        """Return nothing: no other process delivers from it."""
        return ()

    def deletion_since(self, scope: Scope, user: str, delivery: int) -> int | None:  # noqa: ARG002 - see `Queue`
        """Return None: an event that comes again in one run is a duplicate anyway."""
        return None

    def came_since(self, user: str, deletion: int) -> int | None:  # noqa: ARG002 - see `Queue`
        """Return None: a deletion that comes again in one run is a duplicate anyway."""
        return None

    def history(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:  # noqa: ARG002 - there is one
        """Return the history of messages."""
        found: dict[str, History] = {}
        for message_id in message_ids:
            history = self._history(message_id)
            if history is not None:
                found[message_id] = history
        return found

    def known_elsewhere(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:  # noqa: ARG002 - there is one
        """Return nothing: there is no other queue."""
        return {}

    def lost_elsewhere(self, scopes: Sequence[Scope]) -> Mapping[str, Sequence[Scope]]:  # noqa: ARG002 - there is one
        """Return nothing: there is no other queue."""
        return {}

    def raw_events(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Look nothing up: each has its own."""

    def balances(self, scope: Scope, keys: Sequence[str]) -> Mapping[str, Balance]:  # noqa: ARG002 - there is one
        """Return the balances before the requests whose answers were lost, by key."""
        return {key: self._balances[key] for key in keys if key in self._balances}

    def rechecks(self, scope: Scope) -> Mapping[str, Recheck]:  # noqa: ARG002 - there is one
        """Return nothing: what is to be looked at later is not, once the process has ended."""
        return {}

    def waiting(self, scope: Scope) -> int:  # noqa: ARG002 - there is one
        """Return how many deliveries wait."""
        return self._waiting

    def poll(self) -> bool:
        """Return False: no other process can write here."""
        return False

    def take_lanes(self) -> None:
        """Do nothing: this process delivers for all users."""

    def news(self) -> Collection[int]:
        """Return nothing: no other process adds to it."""
        return ()

    @property
    def is_shared(self) -> bool:
        """No other process delivers from it."""
        return False

    def set_back(self, scopes: Sequence[Scope], seconds: float) -> None:
        """Do nothing: what waits is in the memory of its pipeline."""

    def fence(self, token: int) -> None:
        """Do nothing: no other process delivers from it."""

    def close(self) -> None:
        """Forget everything."""
        self._seen.close()

    # -- messages ------------------------------------------------------------------------------

    def _history(self, message_id: str) -> History | None:
        deliveries: dict[SubscriptionKey | None, Past] = {}
        fingerprint = 0
        whole = self._seen.get(message_id)
        if whole is not None:
            fingerprint = whole.number
            deliveries = dict.fromkeys(self._keys, _past(correctable=whole.correctable))
        for key in self._parts:
            part = self._seen.get(_part(message_id, key))
            if part is not None:
                fingerprint = part.number
                deliveries[key] = _past(correctable=part.correctable)
        opened = self._open.get(message_id)
        if opened is not None:
            fingerprint = opened.event.fingerprint
            deliveries |= opened.deliveries
        if not deliveries:
            return None
        return History(0, fingerprint, deliveries, self._others.get(message_id, {}))

    def _arrive(self, arrival: Arrival) -> None:
        """Take in an event that came from outside, unless it was there before."""
        event = arrival.event
        history = self._history(event.message_id)
        verdict = recognise(history, event.fingerprint)
        if verdict is Verdict.CONFLICT:
            assert history is not None  # noqa: S101 - there is no conflict with nothing
            event.conflicts_with = history
            self._transition(Transition(QueuedDelivery(event, None), conflict(history), "plan"))
        elif verdict is Verdict.NEW or verdict is Verdict.CORRECTION:
            event.replaces = history
            for delivery in arrival.deliveries:
                self._take_in(delivery)
            for transition in arrival.ended:
                self._transition(transition)
        is_refused = verdict is Verdict.CONFLICT or verdict is Verdict.REFUSED
        is_known = verdict in {Verdict.SAME, Verdict.REPLACED, Verdict.REFUSED}
        arrival.receipt = Receipt(event.id, duplicate=is_known, conflict=is_refused)

    def _take_in(self, delivery: QueuedDelivery) -> None:
        self._ids += 1
        self._waiting += 1
        delivery.id = self._ids
        opened = self._opened(delivery.event)
        opened.left += 1
        opened.deliveries[delivery.key] = _WAITING_PAST

    def _opened(self, event: QueuedEvent) -> _Open:
        event.id = event.id or self._ids
        opened = self._open.get(event.message_id)
        if opened is None or not event.message_id:
            if event.replaces is not None:
                replaced = self._others.setdefault(event.message_id, {})
                replaced[event.replaces.fingerprint] = False
                replaced.pop(event.fingerprint, None)  # refused, as that was still under way
            opened = self._open[event.message_id] = _Open(event)
        return opened

    def _transition(self, transition: Transition) -> None:
        delivery = transition.delivery
        if transition.forget:
            names = transition.forget
            for key in [key for key, one in self._balances.items() if folded(one.user) in names]:
                del self._balances[key]
        if transition.result.manual is not None:
            self.manual_changes.append(transition.result.manual)
        if not transition.ends_waiting:
            return
        event = delivery.event
        if transition.result.outcome is State.HELD and event.type != DELETE:
            self._held.add(event.user)
        was_waiting = bool(delivery.id)
        self._waiting -= was_waiting
        if not was_waiting:  # it has its row at once
            self._ids += 1
            delivery.id = self._ids
        if event.conflicts_with is not None:
            event.id = delivery.id
            self._others.setdefault(event.message_id, {})[event.fingerprint] = True
            return
        opened = self._opened(event)
        opened.left -= was_waiting
        correctable = transition.effect is Effect.NONE and transition.state is State.DONE
        opened.correctable = opened.correctable and correctable
        opened.deliveries[delivery.key] = _past(correctable=correctable)
        if opened.left <= 0:
            del self._open[event.message_id]
            if event.message_id:
                self._finish(opened)

    def _finish(self, opened: _Open) -> None:
        """Remember the identity of the event."""
        event, correctable = opened.event, opened.correctable
        if event.is_part:
            for key in opened.deliveries:
                if key is not None:
                    self._parts.add(key)
                    part = _part(event.message_id, key)
                    self._seen.add(part, event.fingerprint, correctable=correctable)
            return
        before = self._seen.get(event.message_id)
        if before is not None and before.number == event.fingerprint:
            correctable = correctable and before.correctable  # another of its deliveries was
        self._seen.add(event.message_id, event.fingerprint, correctable=correctable)


def _past(*, correctable: bool) -> Past:
    return _CORRECTABLE_PAST if correctable else _LASTING_PAST


def _part(message_id: str, key: SubscriptionKey) -> str:
    """Return the identity of an event that came for one subscription only."""
    return "\0".join((message_id, *key))
