"""Tell what a partner refuses of single events from what it refuses whatever the events are.

What it says about the document, the address or the key is not a verdict on an event. But one answer
does not show what it is about: a firewall refuses single events with the words for a wrong key. So
the other refusals count as well, and whether anything was accepted since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from destinations.outcome import Outcome, Result, State
from destinations.pipeline.queue import LONG_AGO, QueuedDelivery

__all__ = ["PauseNotes", "Refusals", "is_refused_key"]

_EVENTS: Final[Mapping[str, int]] = {"request": 3, "key": 5, "permission": 5}
"""The number of consecutive refused events that cannot be a coincidence."""

_TRIES: Final = 3
"""The number of times that a run sends an event if no other event shows more of the cause."""

_TRIES_SERVED: Final = 10
"""The same for a server whose key is known to be good: other events may still show the cause."""

_REFUSED_KEY: Final = "INVALID_AUTHENTICATION"
_FORBIDDEN: Final = 403


class PauseNotes(Protocol):
    """The notes for operators on paused actions; removing one ends its pause."""

    def write(self, reasons: Mapping[str, str]) -> None:
        """Note the actions that pause, with the reasons; none of them removes the note."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether the note was removed by another process."""
        ...

    def write_key(self, reason: str) -> None:
        """Note that the credentials are refused, or with an empty reason that they are not."""
        ...

    def write_token(self, reason: str) -> None:
        """Note why there is no access token (OAuth2), or with an empty reason that there is one."""
        ...

    @property
    def is_key_gone(self) -> bool:
        """Whether the note on the credentials was removed by another process."""
        ...


def is_refused_key(result: Result) -> bool:
    """Return whether the credentials are refused, for certain."""
    return result.code == _REFUSED_KEY


class Refusals:
    """The refusals of one destination since something was accepted.

    ``ends`` says that there is a last delivery, as in a run: a refusal that nothing else explains
    is then decided at the end.
    """

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends
        # By what is refused: the messages, and when something was taken last.
        self._seen: dict[tuple[str, str], set[str]] = {}
        self._taken_at: dict[str, float] = {}
        self.paused: dict[str, str] = {}
        """The actions that pause, by slug, each with its reason."""
        self.is_key_refused = False
        """Whether the credentials were refused, for certain, since something was taken last."""

    def resume(self) -> None:
        """Let everything go again."""
        self.paused.clear()
        self._seen.clear()
        self.is_key_refused = False

    def refuse_key(self) -> None:
        """Note that the credentials were refused, for certain, by the answer to a question."""
        self.is_key_refused = True

    def judge(
        self,
        action: str,
        deliveries: Sequence[QueuedDelivery],
        results: Sequence[Result],
        now: float,
        *,
        is_last: bool,
    ) -> Sequence[Result]:
        """Return the results of a batch, by the refusals before it; an action may pause by them.

        ``is_last`` says that nothing else waits, nor will.
        """
        is_taken = any(one.outcome is Outcome.DELIVERED for one in results)
        if is_taken:
            self._take(action, now)
        refused = [_concern(one) for one in results]
        for delivery, concern in zip(deliveries, refused, strict=True):
            if concern:
                key = (concern, "" if concern == "key" else action)
                self._seen.setdefault(key, set()).add(delivery.event.message_id)
        judged = [
            self._judge(action, delivery, result, concern, is_last=is_last) if concern else result
            for delivery, result, concern in zip(deliveries, results, refused, strict=True)
        ]
        if not is_taken and any(map(is_refused_key, judged)):
            self.is_key_refused = True
        return judged

    def _take(self, action: str, now: float) -> None:
        self._taken_at[action] = self._taken_at[""] = now
        self.is_key_refused = False
        for concern, of_action in list(self._seen):
            if of_action in {"", action}:
                del self._seen[concern, of_action]

    def _judge(
        self,
        action: str,
        delivery: QueuedDelivery,
        result: Result,
        concern: str,
        *,
        is_last: bool,
    ) -> Result:
        of_action = "" if concern == "key" else action
        if result.outcome is State.UNKNOWN:  # the partner is asked for its outcome
            if len(self._seen[concern, of_action]) >= _EVENTS[concern] and concern == "request":
                self._refuse_all(action, result, concern)
            return result
        if len(self._seen[concern, of_action]) >= _EVENTS[concern]:
            return self._refuse_all(action, result, concern)
        began = None if delivery.first_attempt_at == LONG_AGO else delivery.first_attempt_at
        if began is not None and self._taken_at.get(of_action, began - 1) >= began:
            # Others are taken, before and after: it is this one.
            return replace(result, outcome=Outcome.REJECTED, retry=None)
        if self._ends and (is_last or delivery.attempts + 1 >= _TRIES):
            is_firewall = concern == "key" and result.status == _FORBIDDEN
            if is_firewall or concern == "permission" or of_action in self._taken_at:
                return replace(result, outcome=Outcome.REJECTED, retry=None)
            return self._refuse_all(action, result, concern)
        if concern == "permission" and delivery.attempts + 1 >= _TRIES_SERVED:
            return replace(result, outcome=Outcome.REJECTED, retry=None)
        return result

    def _refuse_all(self, action: str, result: Result, concern: str) -> Result:
        if concern == "key":
            return replace(result, code=_REFUSED_KEY, status=401)
        self.paused.setdefault(action, result.reason)
        return result


def _concern(result: Result) -> str:
    """Return the subject of a refusal that is not about the event; empty for others."""
    if result.outcome is not State.READY and result.outcome is not State.UNKNOWN:
        return ""
    if result.retry is None or is_refused_key(result):
        return ""
    concern = result.retry.concerns
    return "" if concern == "event" else concern
