"""Outcomes, states and results of an event in one subscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from destinations.errors import IntegrationError

__all__ = [
    "ANSWER_LOST",
    "NO_STEP",
    "OUTSIDE_WINDOW",
    "AttemptKind",
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
    """The end of an event in a subscription; tables show outcomes in this order."""

    DELIVERED = "delivered"
    """The partner has it; its answer fits the rules of a success."""
    FILTERED = "filtered"
    """Not meant to be sent: no subscription takes it, a filter dropped it (`drop`, `sample`), the
    integrations object excludes it, or it is a duplicate or was replaced by a corrected event."""
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
    """The state of a delivery in the queue."""

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
"""The code of a delivery that was sent and never answered."""

AttemptKind = Literal["send", "question", "credentials"]
"""What a request was made for: to deliver, to ask about a lost answer (or about a balance before
sending), or to find out whether a refusal is about the credentials."""

Status = Outcome | State
"""An outcome, or a state without one yet: ``ready``, ``unknown`` or ``held``."""


class Effect(StrEnum):
    """The effect of a delivery at the partner so far."""

    NONE = "none"
    """Certainly nothing."""
    MAYBE = "maybe"
    """Perhaps: an answer was lost, or one of several requests was carried out."""
    APPLIED = "applied"
    """All of it."""


@dataclass(frozen=True, slots=True)
class ManualChange:
    """A change that the partner's API does not support, so that an operator has to make it.

    ``fields`` are to be set for the partner's user ``subject``. ``settled`` names fields that have
    their value by now, so earlier changes of these are obsolete. ``absorbed`` is a user who was
    merged into the subject: its waiting changes of ``inherited`` fields move to the subject, unless
    the subject has its own, and its other changes are obsolete.
    """

    subject: str
    fields: Mapping[str, str]
    settled: frozenset[str] = frozenset()
    absorbed: str | None = None
    inherited: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WaitFor:
    """A failed event waits up to ``seconds`` for an event of ``action`` with the same user."""

    action: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Retry:
    """The partner's answer, as far as it decides about the next attempt.

    ``after`` is its ``Retry-After`` in seconds. ``attempts`` is the highest number of attempts with
    this failure. ``whole_request`` says that the request failed as a whole, whatever its events.
    ``concerns`` is the subject of a refusal: an ``event``, the ``request`` (document or URL), the
    ``key``, or the ``permission`` of a valid key. ``wait_for`` is what a server waits for before
    it gives the event up. ``for_operator`` says that nothing can be sent before an operator has
    fixed something; no event is given up because of it. ``at_least`` is how many seconds the event
    waits in any case, as its request may still arrive. Without an access token nothing was
    ``attempted``, which costs no attempt.
    """

    after: float | None = None
    attempts: int | None = None
    whole_request: bool = True
    concerns: Literal["event", "request", "key", "permission"] = "event"
    wait_for: WaitFor | None = None
    for_operator: bool = False
    at_least: float = 0.0
    attempted: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one attempt, with its reasons.

    ``outcome`` is final, or a state: ``ready`` if nothing was applied and the event may be sent
    again as ``retry`` says, ``unknown`` if the answer was lost. ``reason`` is one line for people.
    ``errors`` lists every fault of an invalid payload. ``code`` and ``status`` are Segment's (see
    `destinations.errors`). ``attempts`` counts the requests that carried the event. ``manual`` is
    left for an operator to do. ``maybe_applied`` says that the request, or an earlier one for the
    same event, may have changed something. ``has_begun`` says that its changes may be half done,
    so no other event may touch them until it is tried again. ``applied_in_part`` says that one of
    several requests that must not be repeated was certainly applied.
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
        """Return the result for an error."""
        return cls(outcome, error.message, error.code, error.status, attempts=attempts)

    @classmethod
    def invalid(cls, reason: str, code: str, errors: tuple[str, ...] = ()) -> Result:
        """Return the result for an event that must not be sent: status 400 with all its errors."""
        return cls(Outcome.INVALID, reason, code, 400, errors)


NO_STEP: Final = "NO_STEP"
"""The code of an event whose steps only read, as none that changes something fits."""

OUTSIDE_WINDOW: Final = "OUTSIDE_WINDOW"
"""The code of an event that comes too late for the partner, or too early."""
