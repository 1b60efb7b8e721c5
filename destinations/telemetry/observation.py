"""Set up all observers of a process."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TextIO

from prometheus_client import disable_created_metrics

from destinations.pipeline.ledger import Ledger
from destinations.pipeline.observer import Observer, Observers
from destinations.telemetry.alert_figures import MessageResult
from destinations.telemetry.log_lines import Form, Level, LogLines
from destinations.telemetry.logs import Logs
from destinations.telemetry.masks import Masks
from destinations.telemetry.metrics import Metrics, TenantCounts
from destinations.telemetry.queue_figures import QueueFigures, QueueProbe
from destinations.telemetry.store_figures import StoreFigures
from destinations.telemetry.tracing import Tracing, check_installed, is_wanted, open_tracing

__all__ = ["Observation", "check_tracing", "observe"]


class Observation:
    """Metrics, logs and traces of one process, open until `close`."""

    def __init__(self, lines: LogLines, masks: Masks, tracing: Tracing | None) -> None:
        self._masks = masks
        self._lines = lines
        self._metrics = Metrics()
        self._probe: QueueProbe | None = None
        self._closing = contextlib.ExitStack()
        self._closing.enter_context(lines)  # sets the logger's level
        lines.thread_ended = functools.partial(self._metrics.internal_error, "")
        self._logs = Logs(lines.logger, mask=masks.foreign)
        self._closing.callback(self._logs.close)
        observers: list[Observer] = [self._metrics, self._logs]
        if tracing is not None:
            observers.append(tracing)
            self._closing.callback(tracing.close)
        self.logger = lines.logger
        self.observer: Observer = Observers(observers, self._broken)

    def metrics(self) -> bytes:
        """Return the text for ``/metrics``; its type is `destinations.telemetry.CONTENT_TYPE`."""
        return self._metrics.exposition()

    def mask(self, secrets: Iterable[str]) -> None:
        """Mask these secrets, and the last ones that they replace; see `Masks.exchange`."""
        self._masks.exchange(secrets)

    def masked(self, text: str) -> str:
        """Return foreign text with every secret, and every part of one, masked.

        See `destinations.secrets.Masker.foreign`.
        """
        return self._masks.foreign(text)

    def log(self, level: Level, form: Form) -> None:
        """Change the log's level and form; see `observe`."""
        self._lines.use(level, form)
        self._logs.refresh()

    def follow(self, destination: str, ledger: Ledger, actions: Collection[str] = ()) -> None:
        """Show the gauges of an opened queue; called again after a reload.

        Counters of its ``actions`` begin at 0.
        """
        self._metrics.follow(destination, self._read(destination, ledger), actions)

    def follow_source(self, source: str) -> None:
        """Show the counters of what a source is refused, from 0."""
        self._metrics.follow_source(source)

    def follow_store(self, read: Callable[[], StoreFigures]) -> None:
        """Show the gauges of the store, which are read for each scrape."""
        self._metrics.follow_store(read)

    def follow_tenants(self, read: Callable[[], TenantCounts]) -> None:
        """Show how many tenants destinations have, which is read for each scrape."""
        self._metrics.follow_tenants(read)

    def follow_ready(self, is_ready: Callable[[], bool]) -> None:
        """Show whether events should be sent here, which is asked for each scrape."""
        self._metrics.follow_ready(is_ready)

    def follow_alerts(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Show how many alerts of each rule are open, which is read for each scrape."""
        self._metrics.follow_alerts(read)

    def alert_message(self, sink: str, result: MessageResult) -> None:
        """Count a message about an alert: sent, failed, or given up."""
        self._metrics.alert_message(sink, result)

    def loaded(self, *, successful: bool) -> None:
        """Show that the configuration was loaded, or that a reload of it failed."""
        self._metrics.loaded(successful=successful)

    def stopped(self, destination: str, *, is_stopped: bool) -> None:
        """Show whether an operator has paused a destination."""
        self._metrics.stopped(destination, is_stopped=is_stopped)

    def keep(
        self, destinations: Collection[str], ledger: Ledger, unconfigured: Collection[str]
    ) -> None:
        """Follow only the queues of these destinations and of ``unconfigured``.

        ``unconfigured`` ones have deliveries in the store, but are no longer configured.
        """
        self._metrics.keep(destinations)
        for name in unconfigured:
            self._metrics.watch(name, self._read(name, ledger))

    def _read(self, destination: str, ledger: Ledger) -> Callable[[], QueueFigures]:
        if self._probe is None or self._probe.ledger is not ledger:
            self._probe = QueueProbe(ledger)
        return functools.partial(self._probe.read, destination)

    def end_bursts(self) -> None:
        """Log what was left out of bursts so far, so that a line about the end can be the last."""
        self._logs.close()
        self._lines.end_bursts()

    def close(self) -> None:
        """Flush traces and restore the logging; safe to repeat."""
        self._closing.close()

    def _broken(self, observer: Observer, error: Exception) -> None:
        self._metrics.broken(observer)
        if observer is not self._logs:
            self._logs.broken(observer, error)


def observe(
    secrets: Iterable[str] = (),
    *,
    stream: TextIO | None = None,
    level: Level = "info",
    form: Form = "auto",
    environment: Mapping[str, str] | None = None,
) -> Observation:
    """Begin to observe this process; all its log lines go to ``stream`` (default: stderr).

    Traces are made if OpenTelemetry's variables in ``environment`` (default: this process's) name
    an endpoint. Raises `UsageError` if they do and the extra is not installed.
    """
    environment = os.environ if environment is None else environment
    tracing = open_tracing() if is_wanted(environment) else None
    # The time at which a counter was created is of no use here, and doubles the text.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types
    masks = Masks(secrets)
    return Observation(LogLines(masks, stream=stream, level=level, form=form), masks, tracing)


def check_tracing(environment: Mapping[str, str]) -> None:
    """Raise `UsageError` if traces are wanted but the extra is not installed."""
    if is_wanted(environment):
        check_installed()
