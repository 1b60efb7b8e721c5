"""Say what becomes of an event after a failed request, without sending one.

The words are those of a run and a server, which go on where the sender says ``unknown``: they ask
the partner, send again, or hold the event for an operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from destinations.definition import ErrorCondition, ErrorRule, RequestDefinition
from destinations.durations import shown_duration
from destinations.http import CompiledRequest, Failure, HttpResponse
from destinations.outcome import State
from destinations.runtime.sender import status_of

__all__ = [
    "AGAIN",
    "ASKED",
    "HELD",
    "PAUSES",
    "REFUSED",
    "RESENT",
    "STOPS",
    "THERE",
    "Loss",
    "ending",
    "endings_by_status",
    "endings_of_rule",
]

AGAIN: Final = "tried again, then dead"
REFUSED: Final = "tried again, then rejected"
PAUSES: Final = "waits; its action pauses"
STOPS: Final = "stops the run"
ASKED: Final = "unknown; the partner is asked"
HELD: Final = "held"
RESENT: Final = "sent again; it may count twice"
REPEATED: Final = "sent again with its key for {}, then {}"
THERE: Final = "filtered, as the partner has it; delivered after a lost answer"

_FORBIDDEN: Final = 403
_STATUSES: Final = {"4xx": range(400, 500), "5xx": range(500, 600)}


@dataclass(frozen=True, slots=True)
class Loss:
    """The rule for a request that may have been applied: ask the partner, send again, or hold.

    What is ``repeatable`` is done again from its first request on, which does no harm. What has an
    idempotency key is sent again for ``keys_last`` seconds before that.
    """

    asks: bool = False
    resends: bool = False
    repeatable: bool = False
    keys_last: float | None = None

    @classmethod
    def of(cls, requests: Iterable[RequestDefinition], *, repeatable: bool = False) -> Loss:
        """Return what follows for an action with these requests, as far as a definition says."""
        once = [one for one in requests if not one.idempotent]
        has_question = any(one.reconcile is not None for one in once)
        return cls(
            asks=bool(once) and once[0].reconcile is not None,
            resends=not has_question and all(one.on_lost_answer == "resend" for one in once),
            repeatable=repeatable,
            keys_last=_keys_last(once),
        )

    @property
    def state(self) -> State:
        """The state of what may have been applied, unless it is sent again."""
        return State.UNKNOWN if self.asks else State.HELD


def _keys_last(once: Sequence[RequestDefinition]) -> float | None:
    """Return for how long the partner recognises all of these requests; None if it does not."""
    keys = [one.idempotency_key.seconds for one in once if one.idempotency_key is not None]
    return min(keys) if keys and len(keys) == len(once) else None


def ending(
    request: CompiledRequest, failure: Failure, loss: Loss, *, tests_key: bool = True
) -> str:
    """Return what becomes of an event after this failure of a request.

    ``tests_key`` says that a test of the credentials can tell a refused key from a refused event.
    """
    status = status_of(
        request,
        error_class=failure.error_class,
        retryable=failure.retryable or failure.concerns != "event",
        nothing_applied=failure.nothing_applied or loss.repeatable,
    )
    if failure.is_there == "event":
        return THERE
    # A firewall refuses single events with a 403, and nothing shows that it is not about the key.
    is_firewall = failure.concerns == "key" and failure.status == _FORBIDDEN and not tests_key
    if failure.error_class == "authentication" and not is_firewall:
        return STOPS
    if status is State.UNKNOWN:
        may_pass = failure.retryable and failure.concerns == "event"
        if loss.keys_last is not None and may_pass:
            then = "the partner is asked" if loss.asks else HELD
            return REPEATED.format(shown_duration(loss.keys_last), then)
        if loss.asks:
            return ASKED
        return RESENT if loss.resends and may_pass else HELD
    if status is not State.READY:
        return status.value
    if failure.concerns == "event":
        return AGAIN
    return REFUSED if is_firewall else PAUSES


def endings_of_rule(
    request: CompiledRequest, rule: ErrorRule, loss: Loss, *, tests_key: bool = True
) -> Iterator[tuple[ErrorCondition, str]]:
    """Yield (condition, ending) for the answers that an error rule reads.

    The statuses of a rule may be about different things, such as an event and the address.
    """
    found: dict[str, list[int | str]] = {}
    for name in rule.when.status or ():
        ends = [
            (status, ending(request, request.failure_of(rule, status), loss, tests_key=tests_key))
            for status in _statuses(name)
        ]
        usual = Counter(end for _, end in ends).most_common(1)[0][0]
        for status, end in ends:
            if end != usual:
                found.setdefault(end, []).append(status)
        found.setdefault(usual, []).append(name)
    if rule.when.status is None:
        yield rule.when, ending(request, request.failure_of(rule, 0), loss, tests_key=tests_key)
    # What names single statuses comes before what names a class that holds them.
    for end, those in sorted(found.items(), key=lambda one: isinstance(one[1][-1], str)):
        yield replace(rule.when, status=tuple(those)), end


def _statuses(name: int | str) -> Iterable[int]:
    return [name] if isinstance(name, int) else range(int(name[0]) * 100, int(name[0]) * 100 + 100)


def endings_by_status(
    request: CompiledRequest, loss: Loss, *, tests_key: bool = True
) -> Iterator[tuple[str, str]]:
    """Yield (statuses, ending) for the answers that no rule of the definition reads."""
    for name, statuses in _STATUSES.items():
        found: dict[str, list[int]] = {}
        for status in statuses:
            (read,) = request.read(HttpResponse(status, {}, b""), 1)
            if isinstance(read, Failure) and not read.rule:
                end = ending(request, read, loss, tests_key=tests_key)
                found.setdefault(end, []).append(status)
        usual = max(found, key=lambda one: len(found[one]), default="")
        for end, those in found.items():
            if end != usual:
                yield f"status {_listed(those)}", end
        if usual:
            yield f"another {name}", usual


def _listed(statuses: list[int]) -> str:
    *others, last = map(str, statuses)
    return f"{', '.join(others)} or {last}" if others else last
