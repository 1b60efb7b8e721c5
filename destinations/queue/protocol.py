"""What the workers need of a queue, whatever keeps it.

The order is: `Queue.accept` makes events durable; `Queue.claim` hands out batches, in the order of
each user; `Queue.sending` notes what a lost answer will be judged by, where a request must not be
repeated; `Queue.settle` says what became of each, or `Queue.give_back` that nothing did. All times
are in seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from destinations.errors import DestinationsError
from destinations.outcome import Result

__all__ = [
    "Amount",
    "Claimed",
    "Expectation",
    "Inbox",
    "Incoming",
    "Planned",
    "Queue",
    "QueueFullError",
    "Receipt",
    "Stage",
    "State",
    "Step",
]


class State(StrEnum):
    """Where a delivery is on its way."""

    READY = "ready"
    """Waits for its turn, or until it may be tried again."""
    SENDING = "sending"
    """On its way; after a crash it is unknown whether it was applied."""
    UNKNOWN = "unknown"
    """Sent, and the answer was lost: the partner is asked."""
    HELD = "held"
    """Asking did not tell; a person has to decide."""
    DONE = "done"
    """Has its outcome."""


Stage = Literal["accept", "map", "send", "settle"]
"""Where a delivery ended."""


class QueueFullError(DestinationsError):
    """Nothing was accepted: the queue is too long or its disk is full.

    ``retry_after`` is in seconds.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        self.message = message
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Planned:
    """One delivery of an event: to do if ``result`` is None, else ended before it began.

    ``action`` is the key that `Destination.deliveries` gives; empty where
    no subscription takes the event.
    """

    action: str
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event as it was received, with its deliveries."""

    raw: bytes
    message_id: str
    type: str
    user: str
    deliveries: Sequence[Planned]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says that an event is durable: its id, or that of the one with its ``messageId`` before."""

    event_id: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a lost answer of one delivery is judged by: ``amount`` was to be added under ``key``.

    ``payload`` is what was sent, as JSON: what is asked later is about that, whatever a mapping or
    rule makes of the event by then.
    """

    key: str
    amount: int
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """What the partner holds under a key: counted in ``period``, which ends at ``ends_at``.

    ``user`` is whose events add to it; empty if several users' do.
    """

    user: str
    amount: int
    period: str | None = None
    ends_at: float | None = None
    asked_at: float = 0.0


@dataclass(slots=True)
class Claimed:
    """A delivery that a worker has in hand. ``attempts`` are those before this one.

    ``limited`` are those of them whose failure has a bound of its own, ``suspected`` those whose
    whole request failed, for which one of its events may be to blame; both count from the start of
    the process. What is suspected again and again travels with fewer others, in the end alone.
    ``raw`` is None where the event was let go after a delivery of it had ended before. ``reopened``
    says that a person opened or added it, when it was read.
    """

    id: int
    event_id: int
    user: str
    action: str
    raw: bytes | None
    accepted_at: float
    state: State = State.READY
    attempts: int = 0
    first_attempt_at: float | None = None
    next_at: float = 0.0
    expectation: Expectation | None = None
    reopened: bool = False
    limited: int = 0
    suspected: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next for a claimed delivery: ``state`` and, if it is done, its result.

    ``attempts`` are all so far, ``limited`` and ``suspected`` those of `Claimed`. ``next_at`` is
    for what is ready or unknown: not before this. ``evidence`` is for a person who has to decide.
    ``applied`` says that the expected amount is with the partner now; ``forget`` that amounts of
    this user may be others than we know.
    """

    claimed: Claimed
    state: State
    result: Result
    stage: Stage = "send"
    attempts: int = 0
    limited: int = 0
    suspected: int = 0
    next_at: float = 0.0
    applied: bool = False
    forget: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Inbox(Protocol):
    """Where a receiver brings events."""

    def accept(self, events: Sequence[Incoming]) -> Future[Sequence[Receipt]]:
        """The receipts, in order, once all the events are durable: all of them or none.

        The future raises `QueueFullError`. Raised at once it means that the queue is too long.
        """
        ...


class Queue(Inbox, Protocol):
    """The queue of one destination. Several threads use it at once."""

    def claim(self, wait: float) -> Sequence[Claimed]:
        """The next batch, in user order; empty if there is none after ``wait`` seconds.

        All are of one action and in one state (ready or unknown). No other batch has events of
        their users until `settle` or `give_back`.
        """
        ...

    def sending(self, batch: Sequence[Claimed], asked: Mapping[str, Amount]) -> None:
        """Durably: these are about to be sent, with their expectations; ``asked`` was just asked.

        From now on a crash leaves them unknown.
        """
        ...

    def amounts(self, keys: Sequence[str]) -> Mapping[str, Amount]:
        """What is known to be with the partner, by key; nothing for keys that were never asked."""
        ...

    def settle(self, steps: Sequence[Step], asked: Mapping[str, Amount | None]) -> None:
        """Durably: what became of claimed deliveries; their users are free where the state lets."""
        ...

    def give_back(self, batch: Sequence[Claimed]) -> None:
        """Nothing became of them: they are claimed again, as if they had never been."""
        ...

    def close(self) -> None:
        """`claim` gives nothing more."""
        ...
