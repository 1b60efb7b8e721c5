"""A recorded case: events, the HTTP interactions that they cause, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from destinations.definition import Preset
from destinations.definition.settings import Settings
from destinations.outcome import Status

__all__ = [
    "ABSENT",
    "Case",
    "ExpectedOutcome",
    "FailureKind",
    "Interaction",
    "RecordedRequest",
    "RecordedResponse",
]

FailureKind = Literal["refused", "connectTimeout", "timeout", "lost"]
"""Why there is no response. Nothing was sent: ``refused`` and ``connectTimeout``. Sent, but no
answer came: ``timeout``, and ``lost`` where the connection broke."""


class _Absent:
    """Its only value is `ABSENT`: what a case does not say, which is not the same as null."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it must be made. ``headers`` are those that matter.

    ``json`` is the body as a value, `ABSENT` where there is none or where ``body`` has its text.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = ABSENT
    body: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """What the partner answers; the body is ``json`` or ``body``, or there is none."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = ABSENT
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """One request and what came of it."""

    request: RecordedRequest
    result: RecordedResponse | FailureKind


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """What becomes of event number ``event`` (from 1) in one subscription that takes it.

    ``action`` is None for an event that reaches none. ``reason``, ``code`` and ``payload`` are
    compared unless they are None (``payload``: `ABSENT`).
    """

    event: int
    action: str | None
    outcome: Status
    reason: str | None = None
    code: str | None = None
    payload: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Case:
    """One case file. ``clock`` is the text of an ISO time, ``subscriptions`` None for the presets.

    ``events`` holds objects, and text for lines that are read as they stand.
    """

    name: str
    description: str
    settings: Settings
    clock: str
    events: tuple[Mapping[str, Any] | str, ...]
    interactions: tuple[Interaction, ...]
    expected: tuple[ExpectedOutcome, ...]
    subscriptions: tuple[Preset, ...] | None = None
