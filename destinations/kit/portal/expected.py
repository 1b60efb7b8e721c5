"""Judge an answer by those that the protocol of Direct Destinations allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from destinations.kit.portal.answer import Ending, EndpointAnswer

__all__ = ["Expected", "Judgement", "Verdict", "judge"]


class Verdict(StrEnum):
    """The result of a check. A note is for a person to look at: it is no fault by itself."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the reason for it; an ``ok`` has none."""

    verdict: Verdict
    reason: str = ""


_OK: Final = Judgement(Verdict.OK)


@dataclass(frozen=True, slots=True)
class Expected:
    """The answers that are right.

    ``success`` is the judgement on 200 and 202, and ``errors`` are the error statuses that are
    right. If ``needs_message``, these have a message for the customer. ``endings`` judges
    connections that end without an answer; those that are not in it are wrong. ``why`` says in a
    sentence what another answer costs.
    """

    errors: tuple[int, ...] = ()
    success: Judgement = _OK
    needs_message: bool = True
    endings: Mapping[Ending, Judgement] = field(default_factory=dict)
    why: str = ""

    def __str__(self) -> str:
        """Write it as people list it: ``2xx, 400 or 413``; a note is no fault, so it counts."""
        names = [*(["2xx"] if self.accepts else []), *map(str, self.errors)]
        *others, last = names
        return f"{', '.join(others)} or {last}" if others else last

    @property
    def accepts(self) -> bool:
        """Whether a success is right, or a note."""
        return self.success.verdict is not Verdict.FAULT


_PROTOCOL: Final = (200, 202)
"""The statuses of a success. The protocol has no other one."""


def judge(expected: Expected, answer: EndpointAnswer) -> Judgement:
    """Return the judgement on an answer, with its reason in sentences."""
    if not answer.status:
        reason = f"{answer.reason[:1].upper()}{answer.reason[1:]}."
        return expected.endings.get(answer.ending) or _fault(expected, reason)
    if answer.is_accepted:
        if expected.success == _OK and answer.status not in _PROTOCOL:
            reason = f"The protocol has 200 and 202 for a success, and not {answer.status}."
            return Judgement(Verdict.NOTE, reason)
        return expected.success
    if answer.status not in expected.errors:
        return _fault(expected, _reason(answer.status))
    if expected.needs_message and answer.message_issue:
        reason = f"The customer sees no reason: {answer.message_issue}."
        return Judgement(Verdict.FAULT, reason)
    return _OK


def _fault(expected: Expected, reason: str) -> Judgement:
    return Judgement(Verdict.FAULT, f"{reason} {expected.why}".rstrip())


_REASONS: Final = {
    401: "The answer calls the key wrong, and it is not.",
    403: "The answer says that the key lacks a permission.",
    404: "The answer says that nothing is at this URL.",
    429: "Segment repeats an event after 429: the test account allows too few events for these "
    "checks, or a customer's events will wait.",
}


def _reason(status: int) -> str:
    """Return what an answer means to Segment that is not expected."""
    if status in _REASONS:
        return _REASONS[status]
    if 500 <= status < 600:
        return f"Segment takes {status} for a failure that passes, and repeats the event."
    if 400 <= status < 500:
        return f"Segment does not repeat an event after {status}."
    if 300 <= status < 400:
        return f"The protocol has no redirect, and this one ({status}) is not followed."
    return f"HTTP has no status {status}."
