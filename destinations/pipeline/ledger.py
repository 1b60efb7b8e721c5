"""Define the contract of a ledger: the outcome of every delivery, and what operators can change.

A change contains the delivery as the operator saw it, and is left out if the delivery has changed
since. So all of it can be used while a server delivers from the same store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.queue import Drift, Increment, QueuedDelivery
from destinations.runtime.subscription_key import SubscriptionKey, connection_of

__all__ = [
    "NEEDS_OPERATOR",
    "DeliveryClass",
    "Ledger",
    "LedgerDrift",
    "LedgerEntry",
    "LedgerPage",
    "Replan",
    "ScopeTotals",
    "Selection",
    "Tally",
    "summed",
]

NEEDS_OPERATOR: Final[frozenset[Status]] = frozenset(
    {State.HELD, Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID}
)
"""The statuses that need an operator."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One event in one subscription; all times are in seconds since 1970, UTC.

    ``destination`` is the name in a server's configuration, or for a run the slug; ``account`` says
    which account at the partner it is. ``key`` is None where no subscription took the event.
    ``increment`` and ``evidence`` are what a lost answer is judged by. ``plan`` names what made the
    payload, see `Destination.plan_digest`. ``restored`` says that it waited in a copy of the store
    which was restored, and may have been delivered since. ``fingerprint`` is a digest of the event
    as it was sent, 0 if it is not known. ``tenant`` is the id of the customer of
    a partner whose event it is, empty if it is of none, and ``tenant_name`` the name it was given.
    """

    id: int
    event_id: int
    scope: int
    destination: str
    account: str
    key: SubscriptionKey | None
    status: Status
    effect: Effect
    attempts: int
    user: str
    type: str
    message_id: str
    accepted_at: float
    first_attempt_at: float | None
    next_at: float | None
    settled_at: float | None
    code: str | None
    http_status: int | None
    stage: str
    reason: str
    plan: str
    increment: Increment | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    restored: bool = False
    fingerprint: int = 0
    tenant: str = ""
    tenant_name: str | None = None

    @property
    def state(self) -> State:
        """The state in the queue."""
        return self.status if isinstance(self.status, State) else State.DONE

    @property
    def outcome(self) -> Outcome | None:
        """The outcome; None before it ends."""
        return self.status if isinstance(self.status, Outcome) else None

    @property
    def action(self) -> str:
        """The slug of its action; empty where it has none."""
        return "" if self.key is None else self.key.action

    @property
    def connection(self) -> str:
        """The version of the connection that it was planned by; empty for presets."""
        return connection_of(self.plan)

    @property
    def subscription(self) -> str:
        """The name of its subscription; empty where it has none."""
        return "" if self.key is None else self.key.name


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of deliveries: all given conditions must hold.

    ``statuses`` are outcomes and states. ``since`` (inclusive) and ``until`` are times of
    acceptance. ``account`` is its name, or its label. ``restored`` are those of a restored copy.
    ``slug`` restricts it to the scopes of a destination, whatever a server calls it. ``tenant`` is
    a customer of a partner, by its name, its id or the beginning of that; empty, it is none.
    ``subscription`` is a name. ``message_id`` finds an event for as long as a second one of that
    messageId is recognised. ``ended_since`` (inclusive) and ``ended_until`` are times of the
    outcome: what has none yet is not among them.
    """

    destination: str | None = None
    account: str | None = None
    slug: str | None = None
    statuses: frozenset[Status] | None = None
    code: str | None = None
    user: str | None = None
    since: float | None = None
    until: float | None = None
    restored: bool = False
    tenant: str | None = None
    subscription: str | None = None
    message_id: str | None = None
    ended_since: float | None = None
    ended_until: float | None = None


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some deliveries of a selection, in order; ``last`` is the id up to which was looked.

    More may follow after that, even if there are none here; None if there is nothing more.
    """

    entries: Sequence[LedgerEntry]
    last: int | None


@dataclass(frozen=True, slots=True)
class DeliveryClass:
    """The number of deliveries of a destination with the same status and code."""

    destination: str
    status: Status
    code: str | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class LedgerDrift:
    """A balance of a destination that was not as expected."""

    destination: str
    account: str
    drift: Drift


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of deliveries of a subscription with one status, by the day on which they ended.

    ``subscription`` and ``action`` are its names, empty for what no subscription took. ``day``
    counts from 1970, UTC, and is 0 for what waits. ``scope`` is 0 for a sum over several.
    """

    destination: str
    tenant: str
    subscription: str
    status: Status
    day: int
    count: int
    action: str = ""
    scope: int = 0


@dataclass(slots=True)
class ScopeTotals:
    """The deliveries of one scope: by status, of all times and of today (UTC).

    ``served`` says that it is that of a server's destination, ``partner_account`` is its account,
    and ``label`` what chooses that.
    ``oldest`` is when the first of what waits was accepted, ``next_at`` when the next of what
    sleeps is due. ``tenant`` is the customer of the partner whose scope it is, empty for none;
    ``tenants`` is of how many customers it is the sum, see `summed`.
    """

    id: int
    destination: str
    account: str
    partner_account: int | None
    served: bool
    label: str = ""
    counts: dict[Status, int] = field(default_factory=dict)
    today: dict[Status, int] = field(default_factory=dict)
    oldest: float | None = None
    next_at: float | None = None
    tenant: str = ""
    tenants: int = 0

    def add(self, other: ScopeTotals) -> None:
        """Add the numbers of another scope."""
        for own, more in ((self.counts, other.counts), (self.today, other.today)):
            for status, number in more.items():
                own[status] = own.get(status, 0) + number
        self.oldest = min((one for one in (self.oldest, other.oldest) if one), default=None)
        self.next_at = min((one for one in (self.next_at, other.next_at) if one), default=None)


def summed(totals: Iterable[ScopeTotals]) -> list[ScopeTotals]:
    """Return the totals with those of all customers of a destination added up, in the same order.

    There may be thousands of them. The sum is of no one account, and is counted in ``tenants``.
    """
    found: list[ScopeTotals] = []
    sums: dict[str, ScopeTotals] = {}
    for one in totals:
        if not one.tenant:
            found.append(one)
            continue
        if one.destination not in sums:
            sums[one.destination] = ScopeTotals(one.id, one.destination, "", None, served=True)
            found.append(sums[one.destination])
        sums[one.destination].add(one)
        sums[one.destination].tenants += 1
    return found


@dataclass(frozen=True, slots=True)
class Replan:
    """The replay of an entry: it waits again as ``delivery``, or has ``result`` at once.

    ``added`` are deliveries of its event that it did not have, each with its end if it has one.
    """

    entry: LedgerEntry
    delivery: QueuedDelivery
    result: Result | None = None
    added: Sequence[tuple[QueuedDelivery, Result | None]] = ()


class Ledger(Protocol):
    """See the module. Methods raise `UsageError` if the store cannot be read or written."""

    def find(self, selection: Selection, *, limit: int | None = None) -> Iterator[LedgerEntry]:
        """Yield the deliveries of a selection in the order of their ids, at most ``limit``."""
        ...

    def get(self, delivery_id: int) -> LedgerEntry:
        """Return one delivery; raises `UsageError` if there is none of that id."""
        ...

    def of_event(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """Return all deliveries of the event of an entry."""
        ...

    def of_message(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """Return the deliveries of the event that has the messageId of an entry.

        That is another one than the entry's where it was refused or replaced. Empty if none is kept
        any more.
        """
        ...

    def raw_event(self, event_id: int) -> bytes | None:
        """Return an event as it was read; None if nothing needs it any more."""
        ...

    def payload(self, entry: LedgerEntry) -> bytes:
        """Return the payload of a delivery as JSON; empty if it is not kept."""
        ...

    def classes(self, selection: Selection) -> Sequence[DeliveryClass]:
        """Count a selection by destination, status and code, the most frequent first."""
        ...

    def subscription_names(self, destination: str | None = None) -> Sequence[str]:
        """Return the names of the subscriptions with deliveries, of one destination or all."""

    def drifts(self) -> Sequence[LedgerDrift]:
        """Return the balances that were not as expected, the latest last."""
        ...

    def totals(self, now: float) -> Sequence[ScopeTotals]:
        """Return how all scopes stand, without counting their deliveries one by one."""
        ...

    def tallies(
        self, since_day: int = 0, *, scope: int | None = None, served: bool = False
    ) -> Sequence[Tally]:
        """Return how deliveries stand, without counting them one by one.

        They are all that waits or is held, and what ended since a day; of one ``scope``, or of all
        that are ``served``, if that is given.
        """
        ...

    def deletion_since(self, entry: LedgerEntry) -> int | None:
        """Return the deletion of its user that came after a delivery, and was or may be applied.

        None if there is none. Then the delivery may be sent: a deletion that waits comes after it.
        """
        ...

    def delivered_since(self, deletion: LedgerEntry, user: str) -> Sequence[int]:
        """Return the deliveries of a ``user`` that the partner has, or may have, since a deletion.

        They are those that it would delete as well, if it was asked to now.
        """
        ...

    def drop(self, entries: Sequence[LedgerEntry], reason: str, now: float) -> int:
        """End deliveries as ``dropped``: they are never sent. Returns how many still were as said.

        All in one commit, or none. A delivery that is being sent is not touched.
        """
        ...

    def resolve(self, entries: Sequence[LedgerEntry], *, applied: bool, now: float) -> int:
        """Decide on held and unknown deliveries; returns how many still were as said.

        What was applied is delivered; what was not waits for its turn again.
        """
        ...

    def replan(self, replans: Sequence[Replan], now: float) -> Sequence[int]:
        """Make planned changes; returns the indexes of those whose deliveries were unchanged."""
        ...
