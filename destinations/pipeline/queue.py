"""Define the contract between the engine and a queue: in memory, in SQLite, or in a database.

The engine works in rounds, and a round is one `Queue.commit`: the outcomes of deliveries
(`Transition`), events that arrived (`Arrival`), and what is sent next (`ClaimedBatch`). Only then
is anything sent or reported. Deliveries that wait come in through a `Source`. All times are
in seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, Protocol

from destinations.errors import TemporaryError
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.attempts import AttemptPolicy, KeptExchange
from destinations.pipeline.breaker import LONGEST_WAIT
from destinations.runtime.amounts import Usage
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = [
    "LONG_AGO",
    "Arrival",
    "Balance",
    "Behind",
    "ChangedByOthersError",
    "ClaimedBatch",
    "Committed",
    "Drift",
    "DurableQueue",
    "EventSettings",
    "History",
    "Inbox",
    "Increment",
    "Past",
    "Queue",
    "QueuedDelivery",
    "QueuedEvent",
    "Receipt",
    "Recheck",
    "Restored",
    "Round",
    "Scope",
    "SharedEvent",
    "Source",
    "Stage",
    "Transition",
]

LONG_AGO: Final = -1.0e10
"""A first attempt of which nobody knows how long ago it was: too long for its idempotency key."""

Stage = Literal["plan", "send", "reconcile", "operator"]
"""Where a delivery got its outcome or state."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The deliveries of one queue: its ``id`` in the store, and its ``name``.

    For `serve` that is a destination of the configuration, or one ``tenant`` of it; for `run` an
    account at the partner. Events are recognised by their messageId within a scope, and users are
    in order within it.
    """

    id: int
    name: str
    tenant: str = field(default="", compare=False)

    @property
    def full_name(self) -> str:
        """The name, and the tenant if it is that of one: what the scope's notes are kept under."""
        return f"{self.name}/{self.tenant}" if self.tenant else self.name


class Increment(NamedTuple):
    """The ``amount`` that a delivery adds to the partner's balance under ``key``."""

    key: str
    amount: int


SEVERAL: Final = ""
"""Stands for the user of a balance to which several users' events add."""

OTHERS: Final = "\tothers"
"""Instead of a user: another destination or run of the account has added to a balance since."""


class Balance(NamedTuple):
    """The amount that the partner keeps under a key: counted in ``period``, until ``ends_at``.

    ``user`` is whose events add to it, `SEVERAL` or `OTHERS` where it is not comparable.
    """

    user: str
    amount: int
    period: str | None = None
    ends_at: float | None = None
    asked_at: float = 0.0

    def of(self, user: str) -> Balance:
        """Return the same balance as that of a user."""
        return self._replace(user=user)

    def plus(self, amount: int) -> Balance:
        """Return the balance with an amount that was added."""
        user, before, period, ends_at, asked_at = self
        return Balance(user, before + amount, period, ends_at, asked_at)


@dataclass(frozen=True, slots=True)
class Recheck:
    """A balance that is looked at again, as ``deliveries`` (ids) were sent a second time.

    ``amount`` is what the partner should show, None if that is not known; ``payload`` is of
    ``action`` and adds to it. ``due`` is empty before they were sent.
    """

    user: str
    action: str
    payload: bytes
    amount: int | None
    period: str | None = None
    due: tuple[float, ...] = ()
    deliveries: tuple[int, ...] = ()


class Drift(NamedTuple):
    """A balance that was not as expected: another writer adds to it, or a request came late.

    ``deliveries`` are the ids of those that were sent a second time, and may count twice.
    """

    key: str
    user: str
    expected: int
    found: int
    noticed_at: float
    deliveries: tuple[int, ...] = ()


class Restored(NamedTuple):
    """The record of a restored store about a delivery that waited in it.

    ``amount`` is what the partner held under ``key`` when it was copied, counted in ``period``; it
    is None where the copy does not tell, for the reason ``why``.
    """

    copied_at: float
    why: str = ""
    key: str | None = None
    amount: int | None = None
    period: str | None = None


class EventSettings(NamedTuple):
    """Settings that came with an event: a name for them, and they themselves, sealed."""

    name: str
    sealed: str


@dataclass(slots=True, eq=False)
class QueuedEvent:
    """One event as it was read, with what it is recognised by.

    ``fingerprint`` is a digest of its content, ``former`` the one that it had in earlier versions,
    0 if that is the same. ``id`` is 0 until it has a row, ``count`` how many
    deliveries it has. ``raw`` is None where it has to be looked up. ``replaces`` is the event that
    it corrects, ``conflicts_with`` the one whose messageId it must not have. ``is_part`` says
    that it came for only one of its subscriptions. ``settings`` names the settings that came with
    it; empty for those of its destination. ``shared`` is what it has in common with the events of
    other destinations that came as the same one.
    """

    message_id: str
    type: str
    user: str
    accepted_at: float
    raw: bytes | None = None
    fingerprint: int = 0
    id: int = 0
    count: int = 0
    replaces: History | None = None
    conflicts_with: History | None = None
    is_part: bool = False
    former: int = 0
    settings: str = ""
    shared: SharedEvent | None = None


@dataclass(slots=True, eq=False)
class SharedEvent:
    """A raw event that came for several destinations, and is kept once for all of them.

    ``id`` is 0 until it has a row.
    """

    id: int = 0


EARLIER_WAITS: Final = "EARLIER_WAITS"
"""The code of a deletion that waits for what came before it, of the same user."""

EARLIER_HELD: Final = "EARLIER_HELD"
"""The code of a deletion that waits until an operator has decided on such a delivery."""

DELETION_FIRST: Final = "DELETION_FIRST"
"""The code of an event that waits for the deletion of its user, which came before it."""

ERASED: Final = "erased-"
"""What the ids of an erased user begin with, instead of their own text."""


@dataclass(slots=True, eq=False)
class QueuedDelivery:
    """One event for one subscription, on its way through the pipeline.

    ``key`` is None for what reaches no subscription. ``nth`` counts the deliveries of the event;
    ``id`` is 0 as long as it has no row; ``again`` says that its row has an outcome, which the
    next one takes the place of. ``plan`` names what ``payload`` (JSON) was made by; an
    empty payload has to be made first, and ``replanned`` says that its row has another one.
    ``rule_failures`` counts the failures that have a bound of
    their own, ``batch_failures`` those of whole requests, for which one of its events may be to
    blame: it travels with fewer others, in the end with none. ``line`` is that of the file that it
    was read from, 0 for none. ``size`` is how many bytes it holds in memory; ``is_claimed`` says
    that it is part of a batch, ``has_failure`` that its row says why an attempt failed.
    ``last_failure`` is the code and status of that, if another process, or an earlier
    configuration, made the attempt.
    ``restored`` is set for what waited in a copy of the store, and may have been delivered since.
    ``was_sent`` says that an earlier process has sent it, and has not said what came of that,
    ``is_left`` that nothing has been decided about it since, ``released`` that an operator sends
    it, whatever the window of its action says. ``waits_as`` is why it must not be sent yet, as that
    was said last; see `Behind`. ``usage`` is what it counts for at the partner; it is kept beside
    its row, and None for one that was read from there.
    """

    event: QueuedEvent
    key: SubscriptionKey | None
    nth: int = 0
    payload: bytes = b""
    plan: str = ""
    increment: Increment | None = None
    replanned: bool = False
    again: bool = False
    id: int = 0
    state: State = State.READY
    effect: Effect = Effect.NONE
    attempts: int = 0
    first_attempt_at: float | None = None
    next_at: float = 0.0
    rule_failures: int = 0
    batch_failures: int = 0
    line: int = 0
    touches: tuple[str, ...] | None = None
    has_begun: bool = False
    size: int = 0
    is_claimed: bool = False
    has_failure: bool = False
    last_failure: tuple[str, int | None] | None = None
    restored: Restored | None = None
    was_sent: bool = False
    is_left: bool = False
    released: bool = False
    waits_as: str = ""
    usage: Usage | None = None

    @property
    def user(self) -> str:
        """Whose order is kept."""
        return self.event.user

    @property
    def is_untried(self) -> bool:
        """Whether nothing was ever sent: waiting for an access token is no attempt."""
        return not self.attempts and not self.was_sent and self.effect is Effect.NONE

    @property
    def is_of_erased(self) -> bool:
        """Whether it asks the partner to delete a user who was erased here.

        Nothing may be kept of it, once it is over, that names the user.
        """
        return self.user.startswith(ERASED)

    @property
    def action(self) -> str:
        """The slug of the action; empty where it reaches none."""
        return "" if self.key is None else self.key.action


@dataclass(slots=True, eq=False)
class Arrival:
    """An event that came from outside, with its deliveries.

    ``deliveries`` are to be sent, ``ended`` are those that are not. ``settings`` are those that
    came with the event, to be kept. ``receipt`` is set by the commit.
    """

    event: QueuedEvent
    deliveries: Sequence[QueuedDelivery] = ()
    ended: Sequence[Transition] = ()
    receipt: Receipt | None = None
    settings: EventSettings | None = None


class Receipt(NamedTuple):
    """Says that an event is durable.

    ``duplicate``: it was accepted before, under this id. ``conflict``: another event with its
    messageId was, so that it is kept as rejected.
    """

    event_id: int
    duplicate: bool = False
    conflict: bool = False


@dataclass(slots=True, eq=False)
class ClaimedBatch:
    """Deliveries of one action that share a request: an intent, from the commit until an outcome.

    ``durable`` says that a crash must leave them ``unknown``: their request must not be repeated.
    ``balances`` are those that it adds to, by key, as they are before. ``intent`` is the queue's
    own name for it, 0 where it keeps none. ``names`` are those of the accounts at the partner that
    its deliveries touch, folded; none where no event touches another account than its user's.
    """

    scope: Scope
    deliveries: list[QueuedDelivery]
    durable: bool = True
    at: float = 0.0
    balances: Mapping[str, Balance] = field(default_factory=dict)
    intent: int = 0
    names: Mapping[QueuedDelivery, Sequence[str]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Transition:
    """The result of a delivery: ``result.outcome`` if that is final, else a state.

    ``attempts`` are all so far. ``next_at`` is for what is ready or unknown: not before this.
    ``evidence`` is for an operator who has to decide. ``applied`` says that its increment is with
    the partner now; ``forget`` names, folded, whose balances may have changed otherwise; ``resent``
    that it is sent again although its answer was lost. ``balance`` is what the partner holds
    without it, where it is to be tried again. ``begins_waiting`` says that it waits for another
    event of its user from now on: its time counts from here.
    """

    delivery: QueuedDelivery
    result: Result
    stage: Stage = "send"
    attempts: int = 0
    rule_failures: int = 0
    batch_failures: int = 0
    next_at: float = 0.0
    effect: Effect = Effect.NONE
    applied: bool = False
    forget: tuple[str, ...] = ()
    resent: bool = False
    balance: Balance | None = None
    begins_waiting: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """The state that it leaves the delivery in."""
        outcome = self.result.outcome
        return State.DONE if isinstance(outcome, Outcome) else outcome

    @property
    def ends_waiting(self) -> bool:
        """Whether the engine has nothing more to do for the delivery."""
        outcome = self.result.outcome
        return outcome is not State.READY and outcome is not State.UNKNOWN


class ChangedByOthersError(TemporaryError):
    """Nothing was written: another process may have merged or erased whose events these are."""


@dataclass(slots=True)
class Round:
    """The changes that one commit makes durable, of one scope or of several.

    ``returned`` are batches whose request is over: what of them has no transition is ready as
    before. ``waiting`` are deliveries that get a row without being sent now. ``balances``, by scope
    and key, are what was held before requests whose answers were lost; None forgets one.
    ``rechecks`` are balances to be looked at again, None for one that is over, and ``drifts`` those
    that were not as expected. Nothing of a restored copy that adds under a key of ``trusted`` was
    delivered since: it waits like others. What the partner held before lost answers, by
    scope and key of ``added_to``, is not comparable any more: another writer adds to it.
    ``exchanges`` are requests that are kept, each with the deliveries of its batch.
    """

    arrivals: list[tuple[Scope, Arrival]] = field(default_factory=list)
    transitions: list[tuple[Scope, Transition]] = field(default_factory=list)
    returned: list[ClaimedBatch] = field(default_factory=list)
    batches: list[ClaimedBatch] = field(default_factory=list)
    waiting: list[tuple[Scope, QueuedDelivery]] = field(default_factory=list)
    balances: dict[tuple[Scope, str], Balance | None] = field(default_factory=dict)
    rechecks: dict[tuple[Scope, str], Recheck | None] = field(default_factory=dict)
    drifts: list[tuple[Scope, Drift]] = field(default_factory=list)
    trusted: list[tuple[Scope, str]] = field(default_factory=list)
    added_to: list[tuple[Scope, str]] = field(default_factory=list)
    exchanges: list[tuple[Scope, Sequence[QueuedDelivery], KeptExchange]] = field(
        default_factory=list
    )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.arrivals
            or self.transitions
            or self.returned
            or self.batches
            or self.waiting
            or self.balances
            or self.rechecks
            or self.drifts
            or self.trusted
            or self.added_to
            or self.exchanges
        )

    @property
    def has_tenants(self) -> bool:
        """Whether it writes something of customers of a partner, who can be merged or erased."""
        pairs = chain(
            self.arrivals, self.transitions, self.waiting, self.drifts, self.trusted, self.added_to
        )
        of_batches = (one.scope for one in self.batches)
        of_keys = (scope for scope, _ in chain(self.balances, self.rechecks))
        of_exchanges = (scope for scope, _, _ in self.exchanges)
        scopes = chain((scope for scope, _ in pairs), of_batches, of_keys, of_exchanges)
        return any(scope.tenant for scope in scopes)

    def leave(self, scopes: Collection[Scope]) -> None:
        """Leave out the outcomes of deliveries of these scopes: they are found out again."""
        self.transitions = [one for one in self.transitions if one[0] not in scopes]
        self.returned = [one for one in self.returned if one.scope not in scopes]
        self.drifts = [one for one in self.drifts if one[0] not in scopes]
        self.balances = {key: one for key, one in self.balances.items() if key[0] not in scopes}
        self.rechecks = {key: one for key, one in self.rechecks.items() if key[0] not in scopes}
        self.exchanges = [one for one in self.exchanges if one[0] not in scopes]


class Behind(NamedTuple):
    """The reason why a delivery must wait: it, or what it waits for, is the deletion of its user.

    ``ids`` are deliveries that wait as well, and that go first; see `destinations.store.deletions`.
    """

    code: str
    reason: str
    ids: tuple[int, ...] = ()


@dataclass(slots=True)
class Committed:
    """The results of a commit.

    ``gone`` are deliveries of batches that an operator has dropped since, and of transitions
    that an operator was faster than. ``changed`` says that another process wrote, so that sources
    have something new. ``excluded`` are deliveries of batches that have to wait, as a request of
    another process touches the same account; those that are ``behind`` others of their user, too.
    """

    gone: set[QueuedDelivery] = field(default_factory=set)
    excluded: set[QueuedDelivery] = field(default_factory=set)
    behind: Mapping[QueuedDelivery, Behind] = field(default_factory=dict)
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """The result of an earlier delivery of a repeated event.

    ``nth`` is its number among the event's. ``settled_at`` is None as long as it has no outcome,
    and where a queue does not keep that.
    """

    id: int
    nth: int
    state: State
    outcome: Outcome | None
    effect: Effect
    reason: str = ""
    code: str | None = None
    settled_at: float | None = None
    restored: Restored | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The history of a messageId: the latest event that had it, and its deliveries.

    ``others`` are the fingerprints of other contents: True for those that were refused as they came
    under its messageId, False for those that it replaced. ``fingerprint`` of 0 is that of an event
    whose content is not known any more. ``next_nth`` is free for another delivery. ``restored`` is
    set if it ended, without an effect, before the store was restored from a copy: what corrects it
    now may have been delivered after that copy was made.
    """

    event_id: int
    fingerprint: int
    deliveries: Mapping[SubscriptionKey | None, Past]
    others: Mapping[int, bool] = field(default_factory=dict)
    next_nth: int = 0
    restored: Restored | None = None


class Source(Protocol):
    """The deliveries of one scope that wait in a queue, in the order in which they were accepted.

    One thread uses it at a time.
    """

    def unknown(self) -> Sequence[QueuedDelivery]:
        """Return those whose answers were lost."""
        ...

    def begun(self) -> Sequence[QueuedDelivery]:
        """Return the ready ones of which a request may have been carried out, in order."""
        ...

    def ready(self, limit: int) -> Sequence[QueuedDelivery]:
        """Return the next ready ones, of all users; fewer than ``limit`` if there are no more."""
        ...

    def get(self, ids: Iterable[int]) -> Sequence[QueuedDelivery]:
        """Return those of these ids that are ready, in order."""
        ...

    def passed(self, delivery: QueuedDelivery) -> None:
        """Note that a new delivery is already in memory, so that `ready` continues after it."""
        ...

    def is_ahead(self, delivery: QueuedDelivery) -> bool:
        """Return whether `ready` has not come to a delivery yet."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes add to it, and read from it: then `ready` has all that is new."""
        ...

    def owns(self, user: str) -> bool:
        """Return whether this process delivers for a user; see `destinations.pipeline.lease`."""
        ...

    def changes(self) -> tuple[Sequence[QueuedDelivery], Sequence[int]]:
        """Return the changes of operators since the last call.

        That are deliveries that wait again, and the ids of those that waited and do not any more.
        """
        ...


class Queue(Protocol):
    """Keeps deliveries and what the partner holds. One thread uses it at a time.

    ``attempts`` says what it keeps of requests; None keeps none.
    """

    attempts: AttemptPolicy | None

    def commit(self, round_: Round) -> Committed:
        """Make a round durable, all of it or nothing, and give what is new in it an id.

        Raises `StoreFullError`; `LeaseLostError` if others deliver what this process had; and
        `ChangedByOthersError`, with nothing written, if what others have changed must be taken in
        before. The next commit does not ask for that again.
        """
        ...

    def history(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:
        """Return the histories of messages by id, without new ones."""
        ...

    def known_elsewhere(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:
        """Return the histories of messages in other queues of the same partner account, by id.

        For those of runs these are queues of servers, and the other way round.
        """
        ...

    def raw_events(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Look up the raw events of deliveries that lack them."""
        ...

    def balances(self, scope: Scope, keys: Sequence[str]) -> Mapping[str, Balance]:
        """Return the balances before the requests whose answers were lost, by key."""
        ...

    def lost_elsewhere(self, scopes: Sequence[Scope]) -> Mapping[str, Sequence[Scope]]:
        """Return, by balance, the other scopes of its account with lost answers that add to it.

        Scopes that look at it again count, too. They are other destinations of a server, or runs.
        """
        ...

    def rechecks(self, scope: Scope) -> Mapping[str, Recheck]:
        """Return the balances of a scope that are to be looked at again, by key."""
        ...

    def waiting(self, scope: Scope) -> int:
        """Return how many deliveries of a scope wait, the unknown ones included."""
        ...

    def held_up(
        self, scope: Scope, deliveries: Collection[QueuedDelivery]
    ) -> Collection[QueuedDelivery]:
        """Return those that wait until an operator has decided on another one of their user."""
        ...

    def deletion_since(self, scope: Scope, user: str, delivery: int) -> int | None:
        """Return the deletion of a user that came after a delivery, and was or may be applied."""
        ...

    def came_since(self, user: str, deletion: int) -> int | None:
        """Return the first delivery of a user that came after a deletion of theirs, if any did."""
        ...

    def poll(self) -> bool:
        """Return whether another process has written since the last commit or poll."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes add to it, and deliver from it."""
        ...

    def set_back(self, scopes: Sequence[Scope], seconds: float) -> None:
        """Let deliveries of these scopes have been sent earlier: the clock was set back.

        What may have been applied is as old as before then, by the clock as it is now.
        """
        ...

    def fence(self, token: int) -> None:
        """Write results of deliveries only as long as the lease of this token lasts; 0 is none."""
        ...

    def take_lanes(self) -> None:
        """Let sources have the users of the lanes that the lease has now."""
        ...

    def news(self) -> Collection[int]:
        """Return the ids of scopes for which other processes have added something since."""
        ...

    def close(self) -> None:
        """Close everything that is open."""
        ...


class DurableQueue(Queue, Protocol):
    """A queue that outlives the process."""

    def recover(
        self,
        scopes: Iterable[Scope],
        reconcile_after: float,
        longest_wait: float = LONGEST_WAIT,
        longest_way: float = 0.0,
    ) -> None:
        """Make `unknown` what was being sent when the process before ended, with its balances.

        A balance that several users' events add to stays so.

        For the only process to deliver for these scopes from now on. The partner is asked
        ``reconcile_after`` seconds after the request was sent: that was at its intent, or, where it
        comes after others, up to ``longest_way`` seconds later. No attempt is further away than
        that, or ``longest_wait``: it may have been noted by a clock that was wrong.
        """
        ...

    def source(self, scope: Scope) -> Source:
        """Return a source of a scope's waiting deliveries, from the first one."""
        ...


class Inbox(Protocol):
    """The entrance for a receiver's events; safe for threads."""

    def accept(self, scope: Scope, arrivals: Sequence[Arrival]) -> Future[Sequence[Receipt]]:
        """Return the receipts, in order, once all the events are durable: all of them or none.

        The future raises `QueueFullError`. Raised at once it means that the queue is too long.
        """
        ...

    def distribute(
        self, parts: Sequence[tuple[Scope, Sequence[Arrival]]]
    ) -> Future[Sequence[Receipt]]:
        """Return the receipts of events for several scopes, part by part, as `accept` does.

        No queue is too long for them: their sender cannot wait for one of them.
        """
        ...
