"""Share a partner's endpoint among tenants, so that none of them keeps the others waiting.

Tenants with something to send take turns, and a turn is one claim: however much one of them has
waiting, between two claims of another lie at most as many claims as there are tenants with work,
plus those under way. A tenant whose deliveries sleep, or who has as much under way as one may have,
takes no turn until that changes.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from destinations.pipeline.breaker import CircuitBreaker
from destinations.pipeline.pipeline import Job, Pipeline
from destinations.pipeline.queue import QueuedDelivery, Round, Scope

__all__ = ["FairShare"]

_FAULT_SECONDS: Final = 30.0
_KEPT: Final = 4_000
"""With more pipelines than this, one with nothing to do is closed at once: it is made again."""


class FairShare:
    """The pipelines of all tenants of one destination; everything in the engine's thread.

    ``make`` makes the pipeline of a scope when its turn has come. ``most`` requests may be under
    way at once, of all tenants together; how many of one, its pipeline says. While ``breaker`` is
    not closed, one request of all is the probe. ``changed`` gives the tenants whose deliveries an
    operator has changed since it was called last. ``failed`` is told of a tenant whose pipeline
    cannot be made; that is tried again later. ``kept`` pipelines are kept without work. Where other
    processes add to the queue, ``waiting`` gives the tenants for whom something waits, and
    ``scope_of`` a tenant by the number of its scope.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        name: str,
        make: Callable[[Scope], Pipeline],
        *,
        most: int,
        breaker: CircuitBreaker,
        changed: Callable[[], Collection[Scope]] = tuple,
        failed: Callable[[Scope, Exception], None] = lambda _scope, _error: None,
        kept: int = _KEPT,
        waiting: Callable[[], Collection[Scope]] = tuple,
        scope_of: Callable[[int], Scope | None] = lambda _: None,
    ) -> None:
        self.name = name
        self.most = most
        self.breaker = breaker
        self.pipelines: dict[Scope, Pipeline] = {}
        self.closing = False
        self.paused: AbstractSet[Scope] = frozenset()
        """Tenants that claim nothing; the set that the engine changes."""
        self.waiting = 0
        """How many deliveries of all tenants wait."""
        self._make = make
        self._changed = changed
        self._failed = failed
        self._waiting = waiting
        self._scope_of = scope_of
        self._kept = kept
        self._turns: deque[Scope] = deque()
        self._in_turn: set[Scope] = set()
        self._wakes: dict[Scope, float] = {}
        self._timers: list[tuple[float, int, Scope]] = []
        self._numbers = itertools.count()
        self._busy: set[Scope] = set()
        self._stale: set[Scope] = set()

    @property
    def under_way(self) -> int:
        """How many requests are under way."""
        return sum(self.pipelines[scope].under_way for scope in self._busy)

    def touch(self, scope: Scope) -> None:
        """Give a tenant a turn: something may have changed for it."""
        if scope not in self._in_turn and scope not in self.paused:
            self._in_turn.add(scope)
            self._turns.append(scope)

    def renew(self, scope: Scope) -> None:
        """Make the pipeline of a tenant again once nothing of it is under way."""
        self._stale.add(scope)
        self.touch(scope)

    def forget(self, scope: Scope) -> None:
        """Close the pipeline of a tenant, who has nothing under way, whatever waits."""
        self._wakes.pop(scope, None)
        self._stale.discard(scope)
        if scope in self._in_turn:
            self._in_turn.discard(scope)
            self._turns.remove(scope)
        pipeline = self.pipelines.pop(scope, None)
        if pipeline is not None:
            pipeline.leave()

    def forsake(self) -> None:
        """Forget all pipelines: what is under way is left for other processes."""
        for scope in list(self.pipelines):
            self.forget(scope)
        self._busy.clear()

    def added_to(self, scopes: Collection[int]) -> None:
        """Read on for tenants to whom other processes have added something, by their numbers."""
        for number in scopes:
            scope = self._scope_of(number)
            if scope is not None:
                pipeline = self.pipelines.get(scope)
                if pipeline is not None:
                    pipeline.look_for_more()
                self.touch(scope)

    def look_again(self) -> None:
        """Give all tenants a turn for whom something waits."""
        for scope in self._waiting():
            self.touch(scope)

    def arrived(self, scope: Scope, deliveries: Iterable[QueuedDelivery]) -> None:
        """Take in what is new in the queue; a closed pipeline reads it when its turn comes."""
        pipeline = self.pipelines.get(scope)
        for delivery in deliveries if pipeline is not None else ():
            assert pipeline is not None  # noqa: S101 - there is one
            pipeline.arrived(delivery)
        self.touch(scope)

    def look_at_changes(self) -> Collection[Scope]:
        """Take in what an operator has changed; returns whose deliveries that are."""
        scopes = self._changed()
        # An operator who lets paused actions go on changes no delivery.
        paused = [scope for scope, one in self.pipelines.items() if one.refusals.paused]
        for scope in dict.fromkeys((*scopes, *paused)):
            if scope in self.pipelines:
                self.pipelines[scope].look_at_changes()
            self.touch(scope)
        return scopes

    def claim(self, now: float, monotonic: float, round_: Round) -> Iterable[Job]:
        """Yield one job after another, one for each turn, while requests may go."""
        while self._timers and self._timers[0][0] <= monotonic:
            at, _, scope = heapq.heappop(self._timers)
            if self._wakes.get(scope) == at:
                del self._wakes[scope]
                self.touch(scope)
        while self._turns and self._free(monotonic):
            scope = self._turns.popleft()
            self._in_turn.discard(scope)
            if scope in self.paused:
                continue
            pipeline = self.pipelines.get(scope)
            if scope in self._stale and not (pipeline and pipeline.is_claimed):
                self._stale.discard(scope)
                if pipeline is not None:
                    self.pipelines.pop(scope).leave()
                    pipeline = None
            if pipeline is None:
                try:
                    pipeline = self.pipelines[scope] = self._make(scope)
                except Exception as error:  # noqa: BLE001 - such as settings that cannot be opened
                    # It alone has to wait; the others go on.
                    self._failed(scope, error)
                    self._wake(scope, monotonic + _FAULT_SECONDS)
                    continue
            pipeline.refill(now, monotonic, round_)
            job = next(iter(pipeline.claim(now, monotonic, round_)), None)
            if job is not None:
                self._busy.add(scope)
                self.touch(scope)
                yield job
            else:
                self._rest(scope, pipeline, monotonic)

    def over(self, scope: Scope) -> None:
        """Note that a job of a tenant has ended, or did not begin."""
        pipeline = self.pipelines.get(scope)
        if pipeline is None or not pipeline.under_way:
            self._busy.discard(scope)
        self.touch(scope)

    def next_turn(self, monotonic: float) -> float | None:
        """Return in how many seconds there may be something to do, None if nothing waits for it."""
        if self.closing:
            return None
        times = [self._timers[0][0] - monotonic] if self._timers else []
        if self._turns and self.under_way < self._most:
            times.append(self.breaker.wait(monotonic))
        return max(0.0, min(times)) if times else None

    def close(self) -> None:
        """Claim nothing more."""
        self.closing = True
        for pipeline in self.pipelines.values():
            pipeline.closing = True

    @property
    def _most(self) -> int:
        limit = self.breaker.limit
        return self.most if limit is None else limit

    def _free(self, monotonic: float) -> bool:
        """Return whether one more request may go."""
        if self.closing or self.breaker.wait(monotonic) > 0:
            return False
        return self.under_way < self._most

    def _wake(self, scope: Scope, at: float) -> None:
        if self._wakes.get(scope) != at:
            self._wakes[scope] = at
            heapq.heappush(self._timers, (at, next(self._numbers), scope))

    def _rest(self, scope: Scope, pipeline: Pipeline, monotonic: float) -> None:
        """Leave a tenant who has nothing to send now until something changes, or its time comes."""
        wait = pipeline.next_turn(monotonic)
        if wait is not None:
            self._wake(scope, monotonic + wait)
        elif len(self.pipelines) > self._kept and pipeline.is_settled:
            del self.pipelines[scope]
            pipeline.leave()
