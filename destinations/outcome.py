"""What became of an event in one subscription, and what is still to come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from destinations.errors import IntegrationError

__all__ = [
    "ANSWER_LOST",
    "Effect",
    "ManualChange",
    "Outcome",
    "Result",
    "Retry",
    "State",
    "Status",
    "WaitFor",
]


class Outcome(StrEnum):
    """How an event ends in a subscription, in the order in which tables show the outcomes."""

    DELIVERED = "delivered"
    """The partner has it; its answer fits the rules of a success."""
    FILTERED = "filtered"
    """Not meant to be sent: no subscription, the integrations object, a duplicate."""
    UNMAPPED = "unmapped"
    """Names nothing to deliver to yet; kept until a rule maps it."""
    INVALID = "invalid"
    """Not an event, or its payload does not fit the fields; nothing was sent."""
    REJECTED = "rejected"
    """The partner refused it for good."""
    DEAD = "dead"
    """Given up after the last attempt."""
    DROPPED = "dropped"
    """Given up by an operator; never sent again."""


class State(StrEnum):
    """Where a delivery is in the queue."""

    READY = "ready"
    """Waits for its turn, or for its next attempt."""
    SENDING = "sending"
    """Its request is under way."""
    UNKNOWN = "unknown"
    """Sent, and the answer was lost, or the process ended before it came: the partner is asked."""
    HELD = "held"
    """The partner's answer does not tell; an operator decides."""
    DONE = "done"
    """Has its outcome."""


ANSWER_LOST: Final = "ANSWER_LOST"
"""The code of what was sent, and never answered: no partner has said anything of it."""

Status = Outcome | State
"""An outcome, or the state of what has none yet: ``ready``, ``unknown`` or ``held``."""


class Effect(StrEnum):
    """What a delivery has changed at the partner so far."""

    NONE = "none"
    """Certainly nothing."""
    MAYBE = "maybe"
    """Perhaps: an answer was lost, or one of several requests was carried out."""
    APPLIED = "applied"
    """All of it."""


@dataclass(frozen=True, slots=True)
class ManualChange:
    """A change that the partner's API does not take, so that an operator has to make it.

    ``fields`` are those of the partner's user ``subject``. ``settled`` names fields that have
    their value by now: earlier changes that wait for them are obsolete, those of other fields
    stay. ``absorbed`` is a user who is part of the subject from now on: of what waits for it, the
    ``inherited`` fields wait for the subject, unless that waits for a value of its own, and the
    others are obsolete.
    """

    subject: str
    fields: Mapping[str, str]
    settled: frozenset[str] = frozenset()
    absorbed: str | None = None
    inherited: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WaitFor:
    """What an event that failed waits for: one of ``action`` for the same user, so many seconds."""

    action: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Retry:
    """What the partner's answer says about the next attempt.

    ``after`` is its ``Retry-After`` in seconds; ``attempts`` bounds the attempts that meet this
    failure; ``whole_request`` tells that the request failed as a whole, whatever its events are.
    ``concerns`` tells what a refusal is about: other than an event it is the ``request`` (the
    document or the address), the ``key``, or the ``permission`` of a key that is valid.
    ``wait_for`` is what a server waits for before it gives the event up. ``for_operator`` tells
    that nothing can be sent before an operator has mended something: no event is given up by it.
    """

    after: float | None = None
    attempts: int | None = None
    whole_request: bool = True
    concerns: Literal["event", "request", "key", "permission"] = "event"
    wait_for: WaitFor | None = None
    for_operator: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt came to, with its reasons.

    ``outcome`` is final, or a state: ``ready`` if nothing was applied and the event may be sent
    again as ``retry`` says, ``unknown`` if the answer was lost. ``reason`` is one line for people.
    ``errors`` lists every fault of an invalid payload. ``code`` and ``status`` are Segment's (see
    `destinations.errors`). ``attempts`` counts the requests that carried the event. ``manual`` is
    what remains for an operator to do. ``maybe_applied`` tells that the request, or an earlier one
    for the same event, may have changed something, ``has_begun`` that what it is to change may be
    half done: others must keep off it until the event is tried again. ``applied_in_part`` tells
    that one of several requests that must not be repeated was certainly carried out.
    """

    outcome: Status
    reason: str = ""
    code: str | None = None
    status: int | None = None
    errors: tuple[str, ...] = ()
    attempts: int = 0
    manual: ManualChange | None = None
    retry: Retry | None = None
    maybe_applied: bool = False
    has_begun: bool = False
    applied_in_part: bool = False

    @classmethod
    def of_error(cls, outcome: Status, error: IntegrationError, *, attempts: int = 0) -> Result:
        """Return the result that an error ends in."""
        return cls(outcome, error.message, error.code, error.status, attempts=attempts)

    @classmethod
    def invalid(cls, reason: str, code: str, errors: tuple[str, ...] = ()) -> Result:
        """Return the result of what must not be sent: 400 with all its errors."""
        return cls(Outcome.INVALID, reason, code, 400, errors)
