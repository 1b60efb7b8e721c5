"""All observers of a process, put together."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TextIO

from prometheus_client import disable_created_metrics

from destinations.pipeline.ledger import Ledger
from destinations.pipeline.observer import Observer, Observers
from destinations.telemetry.log_lines import Form, Level, LogLines
from destinations.telemetry.logs import Logs
from destinations.telemetry.masks import Masks
from destinations.telemetry.metrics import Metrics
from destinations.telemetry.queue_figures import QueueFigures, QueueProbe
from destinations.telemetry.tracing import Tracing, check_installed, is_wanted, open_tracing

__all__ = ["Observation", "check_tracing", "observe"]


class Observation:
    """Metrics, logs and traces of one process, open until `close`."""

    def __init__(self, lines: LogLines, masks: Masks, tracing: Tracing | None) -> None:
        self._masks = masks
        self._lines = lines
        self._metrics = Metrics()
        self._probe: tuple[Ledger, QueueProbe] | None = None
        self._closing = contextlib.ExitStack()
        self._closing.enter_context(lines)  # from here on its logger has its level
        self._logs = Logs(lines.logger, mask=masks.foreign)
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
        """Keep these out of the logs too."""
        self._masks.add(secrets)

    def log(self, level: Level, form: Form) -> None:
        """Log so from now on; see `observe`."""
        self._lines.use(level, form)
        self._logs.refresh()

    def follow(self, destination: str, ledger: Ledger, actions: Collection[str] = ()) -> None:
        """Show the gauges of a queue that was opened; again after a reload.

        What is counted for its ``actions`` begins at 0.
        """
        self._metrics.follow(destination, self._read(destination, ledger), actions)

    def keep(self, destinations: Collection[str], ledger: Ledger, strays: Collection[str]) -> None:
        """Follow no queue but those of these destinations, and those of ``strays``.

        From the latter, which wait in the store too, nobody delivers.
        """
        self._metrics.keep(destinations)
        for name in strays:
            self._metrics.watch(name, self._read(name, ledger))

    def _read(self, destination: str, ledger: Ledger) -> Callable[[], QueueFigures]:
        if self._probe is None or self._probe[0] is not ledger:
            self._probe = (ledger, QueueProbe(ledger))
        return functools.partial(self._probe[1].read, destination)

    def close(self) -> None:
        """Send what is left of traces, and leaves logging as it was; safe to repeat."""
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
    """Begin to observe this process; from now on all that it logs goes to ``stream`` (stderr).

    Traces are made if OpenTelemetry's variables in ``environment`` (this process's) say where to.
    Raises `UsageError` if they do and the extra is not installed.
    """
    environment = os.environ if environment is None else environment
    tracing = open_tracing() if is_wanted(environment) else None
    # When a counter began is in no query, and doubles the text.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types
    masks = Masks(secrets)
    return Observation(LogLines(masks, stream=stream, level=level, form=form), masks, tracing)


def check_tracing(environment: Mapping[str, str]) -> None:
    """Raise `UsageError` if `observe` would: traces are wanted that cannot be made."""
    if is_wanted(environment):
        check_installed()
