"""Log what happens to deliveries, with their ids and without their users."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from structlog.stdlib import BoundLogger

from destinations.errors import StoreDeniedError, TemporaryError
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.breaker import describe
from destinations.pipeline.observer import Observer, Point
from destinations.pipeline.queue import QueuedDelivery, Transition
from destinations.secrets import cure_of_refusal
from destinations.statuses import CODES, FINAL_REFUSALS
from destinations.telemetry.bursts import Burst, Bursts, Timer

__all__ = ["Logs", "subject_of"]

_REPEATED_SECONDS: Final = 60.0
_LONGEST: Final = 300
"""The most characters of a partner's or sender's text; it is masked before it is cut."""

_TROUBLE: Final[Mapping[Status, str]] = {
    Outcome.DEAD: "delivery dead",
    Outcome.REJECTED: "delivery rejected",
    State.HELD: "delivery held for an operator",
}


class Logs(Observer):
    """An observer that logs; see docs/observability.md for the lines.

    Users and partners' messages are customer data: the lines have ids, codes and counts, and the
    store has the rest.
    """

    def __init__(
        self,
        logger: BoundLogger,
        *,
        mask: Callable[[str], str] = str,
        monotonic: Callable[[], float] = time.monotonic,
        start_timer: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._logger = logger
        self._mask = mask
        self._monotonic = monotonic
        # Why deliveries waited for the store when that was last told, and when that was.
        self._told = "", -math.inf
        self.refresh()
        self._lock = threading.Lock()
        self._refusals = Bursts(
            self._tell_refusals, monotonic=monotonic, start_timer=start_timer
        )  # by destination, status and code
        self._unkept = Bursts(self._tell_unkept, monotonic=monotonic, start_timer=start_timer)
        self._turned_away = Bursts(
            self._tell_turned_away, monotonic=monotonic, start_timer=start_timer
        )
        # The destinations whose last attempt failed.
        self._failing: set[str] = set()

    def refresh(self) -> None:
        """Cache the logger's level, as thousands of lines a second may be suppressed."""
        self._debugs = self._logger.isEnabledFor(logging.DEBUG)

    def broken(self, observer: Observer, error: Exception) -> None:
        """Log an exception from another observer."""
        name = type(observer).__name__.lower()
        self._logger.error("observer failed", observer=name, exc_info=error)

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `Observer.accepted`."""
        if self._debugs:
            self._logger.debug(
                "events accepted", destination=destination, events=events, duplicates=duplicates
            )

    def ended(self, destination: str, ended: Sequence[Transition]) -> None:
        """See `Observer.ended`."""
        if self._debugs:
            self._logger.debug(
                "deliveries ended on arrival",
                destination=destination,
                outcomes=dict(Counter(one.result.outcome.value for one in ended)),
            )

    def refused(
        self, destination: str, status: int, peer: str = "", code: str = "", number: int = 1
    ) -> None:
        """See `Observer.refused`: a few lines for each code; see `Bursts`."""
        self._refusals.add((destination, status, code or CODES[status]), peer, number)

    def unkept(self, destination: str, number: int) -> None:
        """See `Observer.unkept`."""
        self._unkept.add(destination, number=number)

    def turned_away(self, most: int) -> None:
        """See `Observer.turned_away`."""
        self._turned_away.add(most)

    def close(self) -> None:
        """Log what was not logged yet of bursts; safe to repeat."""
        self._refusals.close()
        self._unkept.close()
        self._turned_away.close()

    def _tell_refusals(self, kind: tuple[str, int, str], burst: Burst) -> None:
        destination, status, code = kind
        # No sender sends these events again, so what is lost has a line at the level warning, too.
        is_loss = burst.begins and bool(destination) and status in FINAL_REFUSALS
        self._logger.log(
            logging.WARNING if is_loss else logging.INFO,
            _worded("requests refused", burst, over="requests no longer refused"),
            destination=destination,
            status=status,
            code=code,
            refused=burst.number,
            **_in_all(burst),
            peer=burst.last,
        )

    def _tell_unkept(self, destination: str, burst: Burst) -> None:
        message = (
            "refused events not kept: more came than can be written or may be kept, or the store "
            "has no room"
        )
        self._logger.warning(
            _worded(message, burst, over="refused events kept again"),
            destination=destination,
            events=burst.number,
            **_in_all(burst),
        )

    def _tell_turned_away(self, most: int, burst: Burst) -> None:
        message = f"connections turned away: as many are open as may be ({most:,})"
        self._logger.warning(
            _worded(message, burst, over="connections no longer turned away"),
            most=most,
            turned_away=burst.number,
            **_in_all(burst),
        )

    def reached(self, destination: str, point: Point, deliveries: Sequence[QueuedDelivery]) -> None:
        """See `Observer.reached`."""
        if self._debugs:
            self._logger.debug(
                "point reached",
                destination=destination,
                point=point,
                deliveries=[one.id for one in deliveries],
            )

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:
        """See `Observer.transitioned`.

        Write one line for the outcomes of each action, one for retries, one for repeated
        questions, and one for each delivery in trouble.
        """
        found: dict[Status, list[Transition]] = {}
        for one in transitions:
            found.setdefault(one.result.outcome, []).append(one)
        for outcome, alike in found.items():
            if outcome is not Outcome.DELIVERED:
                self._troubles(destination, alike)
        ended = [one for outcome in Outcome for one in found.get(outcome, ())]
        again = found.get(State.READY, [])
        asked = [one for one in found.get(State.UNKNOWN, ()) if one.stage != "send"]
        for these in _by_action(ended):
            outcomes = dict(Counter(one.result.outcome.value for one in these))
            self._group(logging.INFO, "deliveries settled", destination, these, outcomes=outcomes)
        if again:
            level = logging.WARNING if self._begins_to_fail(destination) else logging.INFO
            for these in _by_action(again):
                self._retry(level, "deliveries failed, retry planned", destination, these)
        elif any(one.stage == "send" for one in ended):
            self._succeeded(destination)
        for these in _by_action(asked):
            message = "question about lost answers failed, retry planned"
            self._retry(logging.WARNING, message, destination, these)

    def _troubles(self, destination: str, transitions: Sequence[Transition]) -> None:
        for one in transitions:
            trouble = _trouble_of(one)
            if trouble is not None:
                self._trouble(trouble, destination, one)

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """See `Observer.breaker`."""
        write = self._logger.warning if state == "open" else self._logger.info
        write(
            "circuit breaker changed",
            destination=destination,
            state=state,
            reason=self._mask(reason)[:_LONGEST],
        )

    def paused(self, destination: str, action: str, reason: str) -> None:
        """See `Observer.paused`."""
        if reason:
            self._logger.error(
                "action paused: the partner refuses its requests, whatever the events are; fix "
                "the definition or the settings and reload, or use destinations resume",
                destination=destination,
                action=action,
            )
        else:
            self._logger.info("action resumed", destination=destination, action=action)

    def credentials(self, destination: str, state: str, reason: str = "") -> None:
        """See `Observer.credentials`."""
        if state == "refused":
            self._logger.error(
                "credentials refused by the partner: deliveries wait; "
                f"{self._mask(cure_of_refusal(reason))}",
                destination=destination,
            )
        else:
            self._logger.info("credentials accepted again", destination=destination)

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """See `Observer.drifted`."""
        self._logger.warning(
            "unexpected balance found",
            destination=destination,
            subject=subject_of(key),
            expected=expected,
            found=found,
        )

    def failed(self, destination: str, error: BaseException) -> None:
        """See `Observer.failed`."""
        if isinstance(
            error, TemporaryError | StoreDeniedError
        ):  # such as a database that starts again
            if self._is_news(str(error)):
                self._logger.warning(
                    "deliveries wait for the store",
                    destination=destination,
                    reason=self._mask(str(error))[:_LONGEST],
                )
            return
        self._logger.error(
            "delivery failed with an internal error", destination=destination, exc_info=error
        )

    def _is_news(self, reason: str) -> bool:
        """Return whether a reason is another one than before, or was not told for a minute."""
        now = self._monotonic()
        with self._lock:
            before, at = self._told
            if reason == before and now - at < _REPEATED_SECONDS:
                return False
            self._told = reason, now
        return True

    def _begins_to_fail(self, destination: str) -> bool:
        with self._lock:
            begins = destination not in self._failing
            self._failing.add(destination)
        return begins

    def _succeeded(self, destination: str) -> None:
        with self._lock:
            self._failing.discard(destination)

    def _retry(
        self, level: int, message: str, destination: str, transitions: Sequence[Transition]
    ) -> None:
        # Only codes and statuses: the reason may repeat the partner's words about a person.
        causes = dict(Counter(describe(one.result.code, one.result.status) for one in transitions))
        attempts = max(one.attempts for one in transitions)
        self._group(level, message, destination, transitions, causes=causes, attempts=attempts)

    def _group(
        self,
        level: int,
        message: str,
        destination: str,
        transitions: Sequence[Transition],
        **more: object,
    ) -> None:
        self._logger.log(
            level,
            message,
            destination=destination,
            action=transitions[0].delivery.action,
            deliveries=len(transitions),
            **more,
            first_delivery=min(one.delivery.id for one in transitions),
            last_delivery=max(one.delivery.id for one in transitions),
        )

    def _trouble(self, message: str, destination: str, transition: Transition) -> None:
        delivery, result = transition.delivery, transition.result
        self._logger.warning(
            message,
            destination=destination,
            delivery=delivery.id,
            event_id=delivery.event.id,
            action=delivery.action,
            code=result.code,
            status=result.status,
            stage=transition.stage,
            attempts=transition.attempts,
        )


def _worded(message: str, burst: Burst, *, over: str) -> str:
    """Return the message of a burst: at a stop it goes on, as far as is known."""
    if burst.is_cut:
        return f"{message.partition(':')[0]} until the server stopped"
    return over if burst.has_ended else message


def _in_all(burst: Burst) -> Mapping[str, int]:
    return {"in_all": burst.total} if burst.is_last else {}


def _trouble_of(transition: Transition) -> str | None:
    """Return the message for a delivery that may need attention; None for others."""
    outcome = transition.result.outcome
    if transition.resent:
        return "answer lost, delivery sent again"
    if outcome is State.UNKNOWN and transition.stage == "send":
        return "answer lost"
    return _TROUBLE.get(outcome)


def _by_action(transitions: Sequence[Transition]) -> Iterable[Sequence[Transition]]:
    found: dict[str, list[Transition]] = {}
    for one in transitions:
        found.setdefault(one.delivery.action, []).append(one)
    return found.values()


def subject_of(key: str) -> str:
    """Return a name for a balance without its user: half of the key's SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
