"""Show the alerts of a server as gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["AlertGauges", "MessageResult"]

MessageResult = Literal["sent", "failed", "given_up"]
"""What became of a message; one that failed is tried again."""


class AlertGauges(Collector):
    """The number of open alerts by rule; ``read`` is None before there are rules."""

    def __init__(self) -> None:
        self.read: Callable[[], Mapping[str, int]] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauge, with a value for each rule."""
        family = GaugeMetricFamily(
            "destinations_alerts_open",
            "Open alerts of a rule, at the server that tells people of them.",
            labels=("rule",),
        )
        for rule, number in ({} if self.read is None else self.read()).items():
            family.add_metric((rule,), number)
        yield family
