"""A recorded case: events, their HTTP interactions, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from destinations.definition import Preset
from destinations.definition.settings import Settings
from destinations.outcome import Status

__all__ = [
    "ABSENT",
    "AskedUsage",
    "Case",
    "ExpectedOutcome",
    "ExpectedUsage",
    "FailureKind",
    "Interaction",
    "Recorded",
    "RecordedAgainst",
    "RecordedRequest",
    "RecordedResponse",
    "Served",
]

FailureKind = Literal["refused", "connectTimeout", "timeout", "lost"]
"""Why there is no response. Nothing was sent: ``refused`` and ``connectTimeout``. Sent, but no
answer came: ``timeout``, and ``lost`` where the connection broke."""

RecordedAgainst = Literal["sandbox", "test", "live"]
"""Who answered: a stand-in on this machine, the partner's test environment, or the partner for a
real account."""


class _Absent:
    """The type of `ABSENT`, which stands for a part that a case does not have; null is a value."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Recorded:
    """The kind of partner that answered, and the version of this package that recorded it."""

    against: RecordedAgainst
    version: str


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """An expected request; ``headers`` are the ones to compare.

    ``json`` is the body as a value, `ABSENT` if there is no body or ``body`` has its text.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = ABSENT
    body: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """The partner's answer; the body is ``json`` or ``body``, or missing."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = ABSENT
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """One request, with its response or its failure.

    ``at`` is when it is made at the earliest, in seconds after the clock of the case.
    """

    request: RecordedRequest
    result: RecordedResponse | FailureKind
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """The rules of a server, by which a case is delivered, until its last request has its result.

    What still fails ``deadline`` seconds after its first attempt is dead; None for no deadline.
    With ``asks`` the partner is asked about lost answers.
    """

    deadline: float | None = None
    asks: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedUsage:
    """The usage that is kept of an event, for the comparison with the partner.

    Parts that are `ABSENT` are not compared. ``amount`` is a number or its text, and None if the
    event gives no number. ``at`` is the text of an ISO time.
    """

    user: Any = ABSENT
    feature: Any = ABSENT
    amount: Any = ABSENT
    at: Any = ABSENT


@dataclass(frozen=True, slots=True)
class AskedUsage:
    """A question to the partner, after all events: what it has counted in a time.

    ``start`` and ``end`` are texts of ISO times. The partner shows the number ``shown``, or its
    text; or it is `ABSENT`, and ``error`` is a part of why that is unknown.
    """

    action: str
    user: str
    feature: str
    start: str
    end: str
    shown: Any = ABSENT
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """The outcome of event number ``event`` (from 1) in one matching subscription.

    ``held`` is for what is ``unknown`` and cannot be asked about. ``action`` is None for an event
    that reaches none. ``reason``, ``code`` and ``usage`` are compared unless they are None,
    ``payload`` unless it is `ABSENT`.
    """

    event: int
    action: str | None
    outcome: Status
    reason: str | None = None
    code: str | None = None
    payload: Any = ABSENT
    usage: ExpectedUsage | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One case file. ``clock`` is the text of an ISO time, ``subscriptions`` None for the presets.

    ``events`` holds objects, and texts for raw lines. ``recorded`` is None for a case that was
    written by hand, and ``served`` for one that is delivered as by a run. The last of the
    ``interactions`` are those of the questions in ``usage``.
    """

    name: str
    description: str
    settings: Settings
    clock: str
    events: tuple[Mapping[str, Any] | str, ...]
    interactions: tuple[Interaction, ...]
    expected: tuple[ExpectedOutcome, ...]
    subscriptions: tuple[Preset, ...] | None = None
    recorded: Recorded | None = None
    served: Served | None = None
    usage: tuple[AskedUsage, ...] = ()
