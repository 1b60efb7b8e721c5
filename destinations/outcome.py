"""What became of an event: exactly one outcome for every event and subscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from destinations.errors import IntegrationError

__all__ = ["Again", "ManualChange", "Outcome", "Result"]


class Outcome(StrEnum):
    """The outcomes of an event, in the order in which tables show them."""

    DELIVERED = "delivered"
    """The partner has it; its answer fits the rules of a success."""
    FILTERED = "filtered"
    """Not meant to be sent: no subscription, the integrations object, a duplicate."""
    UNMAPPED = "unmapped"
    """Names nothing to deliver to yet; kept until a rule maps it."""
    INVALID = "invalid"
    """Not an event, or its payload does not fit the fields; nothing was sent."""
    REJECTED = "rejected"
    """The partner said no, for good."""
    RETRYING = "retrying"
    """Not delivered yet: the run stopped first; safe to send again."""
    UNKNOWN = "unknown"
    """Sent, and the answer was lost: it may have been applied. Never sent again by itself."""
    DEAD = "dead"
    """Given up after the last attempt; nothing was applied."""


@dataclass(frozen=True, slots=True)
class ManualChange:
    """What the partner's API does not take, so that a person has to make the change.

    ``fields`` are those of the partner's user ``subject``. ``settled`` names fields that are as
    they should be by now, so that what was left to be done of them before is not any longer; what
    was left of other fields stays.
    """

    subject: str
    fields: Mapping[str, str]
    settled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Again:
    """What the partner's answer says on trying again.

    ``after`` is its ``Retry-After`` in seconds; ``attempts`` bounds those that meet this failure;
    ``whole_request`` tells that it says nothing of this event, but of the partner.
    """

    after: float | None = None
    attempts: int | None = None
    whole_request: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome with its reasons.

    ``reason`` is one line for people. ``errors`` lists every fault of an invalid payload.
    ``code`` and ``status`` are Segment's (`destinations.errors`). ``attempts`` counts the requests
    that carried the event. ``manual`` is what remains for a person to do. ``again`` is there where
    the event may be sent again.
    """

    outcome: Outcome
    reason: str = ""
    code: str | None = None
    status: int | None = None
    errors: tuple[str, ...] = ()
    attempts: int = 0
    manual: ManualChange | None = None
    again: Again | None = None

    @classmethod
    def of_error(cls, outcome: Outcome, error: IntegrationError, *, attempts: int = 0) -> Result:
        """The result that an error ends in."""
        return cls(outcome, error.message, error.code, error.status, attempts=attempts)

    @classmethod
    def invalid(cls, reason: str, code: str, errors: tuple[str, ...] = ()) -> Result:
        """A result for what must not be sent: 400 with all its errors."""
        return cls(Outcome.INVALID, reason, code, 400, errors)
