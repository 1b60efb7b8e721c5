"""Count what happened within a time, from totals that are looked at again and again.

The store keeps totals, so what happened between two looks is their difference. The differences go
into buckets, of which the latest are added up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from destinations.outcome import Outcome, Status
from destinations.pipeline.ledger import Tally

__all__ = ["Window", "Windows", "standing"]

_BUCKETS: Final = 60
"""Buckets of the longest time that is asked for: no count is off by more than one of them."""

_SHORTEST: Final = 5.0

_ENDS: Final = (Outcome.DELIVERED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD)
"""The ends of what a subscription took."""

_Series = tuple[str, str, str, str]
"""Destination, tenant, subscription (both empty for all) and outcome."""

_Key = tuple[str, str, str, str, int]
"""Destination, tenant, subscription, status, and day."""


class Window:
    """The deliveries that a rule counts: of a destination, or one tenant or subscription of it."""

    __slots__ = ("destination", "subscription", "tenant")

    def __init__(self, destination: str, tenant: str = "", subscription: str = "") -> None:
        self.destination = destination
        self.tenant = tenant
        self.subscription = subscription

    def series(self, outcome: Outcome) -> _Series:
        """Return the name of the series of an outcome."""
        return (self.destination, self.tenant, self.subscription, outcome.value)


class Windows:
    """The counts of the last ``longest`` seconds. One thread at a time."""

    def __init__(self, longest: float = 3600.0) -> None:
        self._longest = longest
        self._bucket = max(_SHORTEST, longest / _BUCKETS)
        self._before: dict[_Key, int] | None = None
        self._parts: list[str] = []
        self._counts: dict[_Series, dict[int, int]] = {}
        self._accepted: dict[tuple[str, str], float] = {}
        self.looked_at: float | None = None

    def add(self, tallies: Sequence[Tally], now: float, parts: Sequence[str] = ()) -> None:
        """Take in the totals of now: of what waits, and of what ended today or the day before.

        If they have other ``parts`` than before (see `Figures`), they are not compared with those.
        """
        if list(parts) != self._parts:
            self._parts, self._before = list(parts), None
        totals: Counter[_Key] = Counter()
        for one in tallies:
            totals[one.destination, one.tenant, one.subscription, one.status.value, one.day] += (
                one.count
            )
        if self._before is not None:
            self._add_ends(totals, self._before, int(now // self._bucket))
            self._note_accepted(totals, self._before, now)
        self._before = dict(totals)
        self.looked_at = now
        oldest = int((now - self._longest) // self._bucket) - 1
        for series, counts in list(self._counts.items()):
            kept = {bucket: count for bucket, count in counts.items() if bucket >= oldest}
            if kept:
                self._counts[series] = kept
            else:
                del self._counts[series]

    def _add_ends(self, totals: Mapping[_Key, int], before: Mapping[_Key, int], at: int) -> None:
        ends = {outcome.value for outcome in _ENDS}
        for key, count in totals.items():
            destination, tenant, subscription, status, _ = key
            more = count - before.get(key, 0)
            if more <= 0 or status not in ends:
                continue
            for of_tenant in {"", tenant}:
                for of_subscription in {"", subscription}:
                    series = (destination, of_tenant, of_subscription, status)
                    counts = self._counts.setdefault(series, {})
                    counts[at] = counts.get(at, 0) + more

    def _note_accepted(
        self, totals: Mapping[_Key, int], before: Mapping[_Key, int], now: float
    ) -> None:
        """Note when something was accepted: what ends has waited before, so the sum shows it."""
        sums: Counter[tuple[str, str]] = Counter()
        first_day = min((key[4] for key in totals if key[4]), default=0)
        for found, sign in ((totals, 1), (before, -1)):
            for (destination, tenant, _, _, day), count in found.items():
                if day == 0 or day >= first_day:  # what is older is not read any more
                    sums[destination, tenant] += sign * count
                    if tenant:
                        sums[destination, ""] += sign * count
        for name, more in sums.items():
            if more > 0:
                self._accepted[name] = now

    def count(self, window: Window, outcome: Outcome, seconds: float, now: float) -> int:
        """Return how many deliveries ended so within the last ``seconds``."""
        first = int((now - seconds) // self._bucket)
        counts = self._counts.get(window.series(outcome), {})
        return sum(count for bucket, count in counts.items() if bucket > first)

    def ended(self, window: Window, seconds: float, now: float) -> int:
        """Return how many deliveries ended that a subscription took."""
        return sum(self.count(window, outcome, seconds, now) for outcome in _ENDS)

    def accepted_at(self, destination: str, tenant: str, now: float) -> float:
        """Return when something was accepted last; as far as is known, the first look."""
        return self._accepted.setdefault((destination, tenant), now)

    # -- across restarts -----------------------------------------------------------------------

    def to_json(self) -> Mapping[str, Any]:
        """Return all of it as JSON values."""
        return {
            "bucket": self._bucket,
            "parts": self._parts,
            "before": None
            if self._before is None
            else [[*key, count] for key, count in self._before.items()],
            "counts": [
                [*series, bucket, count]
                for series, counts in self._counts.items()
                for bucket, count in counts.items()
            ],
            "accepted": [[*name, at] for name, at in self._accepted.items()],
        }

    def read(self, kept: Mapping[str, Any] | None) -> None:
        """Take over what `to_json` returned; counts of buckets of another length are left."""
        if kept is None:
            return
        self._parts = kept["parts"]
        if kept["before"] is not None:
            self._before = {
                (destination, tenant, subscription, status, day): count
                for destination, tenant, subscription, status, day, count in kept["before"]
            }
        self._accepted = {(name, tenant): at for name, tenant, at in kept["accepted"]}
        if kept["bucket"] == self._bucket:
            for *series, bucket, count in kept["counts"]:
                destination, tenant, subscription, outcome = series
                one = self._counts.setdefault((destination, tenant, subscription, outcome), {})
                one[bucket] = count


def standing(tallies: Iterable[Tally], window: Window, status: Status) -> int:
    """Return how many deliveries have a status now."""
    return sum(
        one.count
        for one in tallies
        if one.status is status
        and one.destination == window.destination
        and window.tenant in {"", one.tenant}
        and window.subscription in {"", one.subscription}
    )
