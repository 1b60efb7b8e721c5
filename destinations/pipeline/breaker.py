"""The circuit breaker: whether a destination may be sent to at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

__all__ = ["LONGEST_WAIT", "Breaker", "BreakerState", "CircuitBreaker", "SharedBreaker", "describe"]

BreakerState = Literal["closed", "open", "half-open"]

_FAILURES: Final = 5
"""The number of consecutive failures that open the breaker."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
LONGEST_WAIT: Final = 3600.0
"""Seconds; a partner that asks for more than an hour is asked again after one."""


def describe(what: str | None, status: int | None) -> str:
    """Return why the partner is not sent to, for logs: a class or code, and an HTTP status.

    Never the partner's own words, which may tell of a person.
    """
    return " ".join(str(part) for part in (what, status) if part) or "no answer"


class CircuitBreaker:
    """Decides whether requests may go to one destination. ``draw`` gives 0 to 1 for the jitter.

    While the partner is down one request at a time is sent as a probe, at growing intervals of up
    to a minute; the first that is answered closes the breaker. Where events were sent in vain, an
    answered question does not: a partner that may be read from need not take anything. All times
    are those of a monotonic clock, in seconds.
    """

    def __init__(
        self, draw: Callable[[], float], notify: Callable[[BreakerState, str], None]
    ) -> None:
        self._draw = draw
        self._notify = notify
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self.state: BreakerState = "closed"
        self.probes = 0
        self.failing_since: float | None = None
        """Since when the partner has answered nothing; None if its last answer was one."""
        self.untaken_since: float | None = None
        """Since when no event was taken, though some were sent; None if the last one was."""

    def wait(self, now: float) -> float:
        """Return the seconds until something may be sent, 0 if it may now."""
        if now < self._until:
            return self._until - now
        return _FIRST_PAUSE if self.state != "closed" and self._probing else 0.0

    @property
    def limit(self) -> int | None:
        """The largest number of requests under way; None if the destination decides."""
        return None if self.state == "closed" else 1

    def used(self) -> None:
        """Note that something is being sent."""
        if self.state != "closed":
            self._probing = True
        if self.state == "open":
            self.probes += 1
            self._become("half-open", "a probe is sent")

    def unused(self) -> None:
        """Note that nothing was sent, so another request may be the probe."""
        self._probing = False
        if self.state == "half-open":
            self.probes -= 1
            self._become("open", "nothing was sent")

    def answered_question(self) -> None:
        """Note that the partner answered a question, which does not prove that it takes events."""
        if self.untaken_since is not None:
            self._probing = False
            self.failing_since = None
        else:
            self.answered()

    def unanswered(self, began: float) -> None:
        """Note that events were sent then, and got no answer."""
        if self.untaken_since is None:
            self.untaken_since = began

    def answered(self) -> None:
        """Note that the partner answered a delivery."""
        self._failures = 0
        self.untaken_since = None
        self._probing = False
        self.failing_since = None
        if self.state != "closed":
            self._until = 0.0
            self._become("closed", "the partner answers")

    def try_now(self) -> None:
        """Let the next probe be sent at once, as an operator asks for it."""
        self._until = 0.0

    def concerned(self, *, of_account: bool) -> CircuitBreaker:  # noqa: ARG002 - see `SharedBreaker`
        """Return the breaker that a failure concerns: this one."""
        return self

    def failed(
        self,
        now: float,
        reason: str,
        retry_after: float | None = None,
        began: float | None = None,
        *,
        at_once: bool = False,
        is_outage: bool = True,
    ) -> None:
        """Note that a whole request, which ``began`` then, failed in a way that may pass.

        ``retry_after`` is what the partner asked for. ``at_once`` opens the breaker whatever was
        before: each further failure costs something that cannot be made good. If it ``is_outage``,
        the partner has answered nothing since then; it is not where it is to be asked some time
        later, as nothing may be sent until then.
        """
        self._failures += 1
        if at_once:
            self._failures = max(self._failures, _FAILURES)
        if self.failing_since is None and is_outage:
            self.failing_since = now if began is None else began
        was_probe, self._probing = self._probing, False
        if retry_after is not None:
            self._until = max(self._until, now + min(retry_after, LONGEST_WAIT))
        if self._failures >= _FAILURES or was_probe:
            exponent = min(max(self._failures - _FAILURES, 0), 10)
            bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**exponent)
            # Never less than half, so that probes are bounded; the jitter spreads several.
            self._until = max(self._until, now + bound * (0.5 + 0.5 * self._draw()))
            self._become("open", reason)

    def _become(self, state: BreakerState, reason: str) -> None:
        if state != self.state:
            self.state = state
            self._notify(state, reason)


class SharedBreaker:
    """The breaker of one tenant, together with that of the endpoint that all tenants share.

    What the partner says about an account (401, 403, 429) concerns its tenant alone; no answer, and
    what it says about itself, all of them.
    """

    def __init__(self, endpoint: CircuitBreaker, own: CircuitBreaker) -> None:
        self._endpoint = endpoint
        self._own = own

    @property
    def failing_since(self) -> float | None:
        """See `CircuitBreaker.failing_since`."""
        return _earlier(self._endpoint.failing_since, self._own.failing_since)

    @property
    def untaken_since(self) -> float | None:
        """See `CircuitBreaker.untaken_since`; others' events that are taken prove nothing here."""
        return self._own.untaken_since

    @property
    def limit(self) -> int | None:
        """The number of requests that this tenant may have under way."""
        limits = [one for one in (self._endpoint.limit, self._own.limit) if one is not None]
        return min(limits, default=None)

    def wait(self, now: float) -> float:
        """Return the seconds until this tenant may send."""
        return max(self._endpoint.wait(now), self._own.wait(now))

    def used(self) -> None:
        """See `CircuitBreaker.used`."""
        self._endpoint.used()
        self._own.used()

    def unused(self) -> None:
        """See `CircuitBreaker.unused`."""
        self._endpoint.unused()
        self._own.unused()

    def answered_question(self) -> None:
        """See `CircuitBreaker.answered_question`."""
        self._endpoint.answered_question()
        self._own.answered_question()

    def unanswered(self, began: float) -> None:
        """See `CircuitBreaker.unanswered`; the endpoint is told where the failure concerns it."""
        self._own.unanswered(began)

    def answered(self) -> None:
        """See `CircuitBreaker.answered`."""
        self._endpoint.answered()
        self._own.answered()

    def try_now(self) -> None:
        """See `CircuitBreaker.try_now`; the endpoint's own pause stays."""
        self._own.try_now()

    def concerned(self, *, of_account: bool) -> CircuitBreaker:
        """Return the breaker that a failure concerns, and tell the other one of the request.

        A failure is ``of_account`` if the partner limits or refuses the account of this tenant, and
        may well answer others.
        """
        if of_account:
            self._endpoint.answered_question()  # it is there
            return self._own
        self._own.unused()
        return self._endpoint


Breaker: TypeAlias = CircuitBreaker | SharedBreaker
"""Decides whether requests may go."""


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((time for time in (one, other) if time is not None), default=None)
