"""Events for each partner that counts, and what a correct count of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from tests.destinations.metering.partners import Metronome

__all__ = ["SAMPLES", "Sample", "span"]

HOUR: Final = 3_600
DAY: Final = 24 * HOUR


@dataclass(frozen=True)
class Feature:
    """A kind of event: its ``name`` at the partner, and the property that is added up, if any.

    Without one, events are counted. ``mapping`` is that of its subscription.
    """

    kind: str
    name: str
    adds: str | None = None
    mapping: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """Users by the names of events, each with the partner's own; features; values of amounts."""

    action: str
    users: Mapping[str, str]
    features: tuple[Feature, Feature]
    amounts: Sequence[object] = (1, 2, 3)
    aligned: int = 60
    unaligned: int = 0

    @property
    def connection(self) -> Mapping[str, object]:
        """A subscription for each kind of events."""
        return {
            "subscriptions": [
                {
                    "name": one.kind,
                    "partnerAction": self.action,
                    "subscribe": f'event = "{one.kind}"',
                    "mapping": one.mapping,
                }
                for one in self.features
            ]
        }

    def events(self, start: int, end: int) -> Iterator[Mapping[str, Any]]:
        """Yield events from ``start`` on and before ``end``, and two that lie outside."""
        for name in self.users:
            for feature in self.features:
                times = (start - 1, start, start + HOUR, end - 1, end)
                amounts = (self.amounts[0], *self.amounts, self.amounts[0])
                for at, amount in zip(times, amounts, strict=True):
                    values = self.values(feature, amount)
                    yield {
                        "type": "track",
                        "event": feature.kind,
                        "userId": name,
                        "messageId": self.message(name, feature, at),
                        "timestamp": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.000Z",
                        "properties": values,
                    }

    def message(self, user: str, feature: Feature, at: int) -> str:
        """Return the ID of an event."""
        return f"{list(self.users).index(user)}-{self.features.index(feature)}-{at}"

    def values(self, feature: Feature, amount: object) -> Mapping[str, object]:
        """Return the properties of an event."""
        return {} if feature.adds is None else {feature.adds: amount}

    @property
    def expected(self) -> Mapping[tuple[str, str], Decimal]:
        """What is counted between the two times, by user and feature."""
        added = sum((Decimal(str(one)) for one in self.amounts), Decimal())
        return {
            (user, one.name): Decimal(len(self.amounts)) if one.adds is None else added
            for user in self.users
            for one in self.features
        }


def span(sample: Sample, now: float) -> tuple[int, int]:
    """Return two times of which partners still take events: the last day, or some hours."""
    if sample.aligned == DAY:
        end = int(now) // DAY * DAY
        return end - DAY, end
    end = (int(now) - 2 * HOUR) // 60 * 60
    return end - 6 * HOUR, end


_NAMES: Final = {"team/1 ä@example.com": "team/1 ä@example.com", "a+b&c=d": "a+b&c=d"}


def _property(name: str) -> Mapping[str, str]:
    return {"@path": f"$.properties.{name}"}


SAMPLES: Final = {
    "openmeter": Sample(
        "ingestEvent",
        _NAMES,
        (
            Feature("request", "requests_total", None, {"meter": "requests_total"}),
            Feature(
                "prompt",
                "tokens_total",
                "tokens",
                {"meter": "tokens_total", "amount": _property("tokens")},
            ),
        ),
        amounts=(1, 2.5, "4"),
        aligned=1,
    ),
    "stripe-billing-meters": Sample(
        "createMeterEvent",
        {"cus_NciAYcXfLnqBoz": "cus_NciAYcXfLnqBoz", "cus_2": "cus_2"},
        (Feature("api_requests", "api_requests", "value"), Feature("tokens", "tokens", "value")),
        unaligned=1,
    ),
    "lago": Sample(
        "recordUsage",
        _NAMES,
        (Feature("storage", "storage"), Feature("API calls/é", "API calls/é")),
        aligned=1,
    ),
    "orb": Sample(
        "ingestEvent",
        _NAMES,
        (
            Feature("async_job_run", "async_job_run"),
            Feature(
                "compute",
                "Compute / time (ms)",
                "compute_time_ms",
                {"metric": "Compute / time (ms)", "amount": _property("compute_time_ms")},
            ),
        ),
        amounts=(412, 0.5, -3),
        aligned=1,
    ),
    "metronome": Sample(
        "sendEvent",
        {"team/1 ä@example.com": "team/1 ä@example.com", Metronome.direct: Metronome.direct},
        (
            Feature("api_request", "api_request"),
            Feature(
                "transfer",
                "Data transfer",
                "bytes",
                {"metric": "Data transfer", "amount": _property("bytes")},
            ),
        ),
        amounts=("20480", "0.25", 3),
        aligned=DAY,
        unaligned=HOUR,
    ),
    "m3ter": Sample(
        "submitMeasurement",
        _NAMES,
        (Feature("api_requests", "api_requests"), Feature("storage", "storage")),
        aligned=1,
    ),
}
