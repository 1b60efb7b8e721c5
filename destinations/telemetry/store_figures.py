"""Show the figures of a server's store as gauges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["StoreFigures", "StoreGauges"]


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """The figures of a store: its size, the bytes free on its disk, and its limit, in bytes.

    ``free`` is None if it is not known, ``limit`` if there is none. ``writable`` says whether the
    last writes worked, ``backed_up_at`` when the store was backed up last, in seconds since 1970; 0
    if no backup is known, and None if it cannot be. ``durable`` says of a database whether no
    acknowledged event can be lost that must not be; None for a file.
    """

    size: int
    free: int | None
    limit: int | None
    writable: bool
    backed_up_at: float | None = 0.0
    durable: bool | None = None


class StoreGauges(Collector):
    """The gauges of a store; ``read`` is None before there is one."""

    def __init__(self) -> None:
        self.read: Callable[[], StoreFigures] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield a gauge for each figure that is known."""
        figures = None if self.read is None else self.read()
        known = (None,) * len(_GAUGES) if figures is None else _values(figures)
        for (name, text), value in zip(_GAUGES, known, strict=True):
            family = GaugeMetricFamily(f"destinations_store_{name}", text)
            if value is not None:
                family.add_metric((), value)
            yield family


_GAUGES = (
    ("bytes", "Bytes of the store's file and its log."),
    ("free_bytes", "Bytes that are free on the file system of the store."),
    ("limit_bytes", "Bytes that the store may have (store.maxBytes), if there is a limit."),
    ("writable", "0 from a write that failed until one works again, else 1."),
    (
        "last_backup_timestamp_seconds",
        "When destinations store backup copied the store last, in seconds since 1970; 0 if never.",
    ),
    ("durable", "0 while acknowledged events could be lost that must not be (PostgreSQL), else 1."),
)


def _values(figures: StoreFigures) -> tuple[float | None, ...]:
    writable = float(figures.writable)
    durable = None if figures.durable is None else float(figures.durable)
    return (figures.size, figures.free, figures.limit, writable, figures.backed_up_at, durable)
