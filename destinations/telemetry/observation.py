"""All observers of a process, put together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TextIO

from prometheus_client import disable_created_metrics

from destinations.engine.watcher import Watcher
from destinations.telemetry.log_lines import Form, Level, LogLines
from destinations.telemetry.logs import Logs
from destinations.telemetry.masks import Masks
from destinations.telemetry.metrics import Metrics
from destinations.telemetry.queue_figures import QueueProbe
from destinations.telemetry.tracing import Tracing, check_installed, is_wanted, open_tracing
from destinations.telemetry.watchers import Watchers

__all__ = ["Observation", "check_tracing", "observe"]


class Observation:
    """Metrics, logs and traces of one process, open until `close`."""

    def __init__(self, lines: LogLines, masks: Masks, tracing: Tracing | None) -> None:
        self._masks = masks
        self._lines = lines
        self._metrics = Metrics()
        self._closing = contextlib.ExitStack()
        self._closing.enter_context(lines)  # from here on its logger has its level
        self._logs = Logs(lines.logger)
        watchers: list[Watcher] = [self._metrics, self._logs]
        if tracing is not None:
            watchers.append(tracing)
            self._closing.callback(tracing.close)
        self.logger = lines.logger
        self.watcher: Watcher = Watchers(watchers, self._broken)

    def metrics(self) -> bytes:
        """The text for ``/metrics``; its type is `destinations.telemetry.CONTENT_TYPE`."""
        return self._metrics.exposition()

    def mask(self, secrets: Iterable[str]) -> None:
        """Keeps these out of the logs too."""
        self._masks.add(secrets)

    def log(self, level: Level, form: Form) -> None:
        """Logs so from now on; see `observe`."""
        self._lines.use(level, form)
        self._logs.refresh()

    def follow(
        self,
        destination: str,
        store: Path,
        length: Callable[[], int],
        actions: Collection[str] = (),
    ) -> None:
        """Shows the gauges of a queue that was opened; again after a reload.

        What is counted for its ``actions`` begins at 0.
        """
        self._metrics.follow(destination, QueueProbe(store, destination, length).read, actions)

    def keep(self, destinations: Collection[str], store: Path, strays: Collection[str]) -> None:
        """Follows no queue but those of these destinations, and those of ``strays``.

        From the latter, which wait in the store too, nobody delivers.
        """
        self._metrics.keep(destinations)
        for name in strays:
            self._metrics.watch(name, QueueProbe(store, name, None).read)

    def close(self) -> None:
        """Sends what is left of traces, and leaves logging as it was; safe to repeat."""
        self._closing.close()

    def _broken(self, watcher: Watcher, error: Exception) -> None:
        self._metrics.broken(watcher)
        if watcher is not self._logs:
            self._logs.broken(watcher, error)


def observe(
    secrets: Iterable[str] = (),
    *,
    stream: TextIO | None = None,
    level: Level = "info",
    form: Form = "auto",
    environment: Mapping[str, str] | None = None,
) -> Observation:
    """Begins to observe this process; from now on all that it logs goes to ``stream`` (stderr).

    Traces are made if OpenTelemetry's variables in ``environment`` (this process's) say where to.
    Raises `UsageError` if they do and the extra is not installed.
    """
    environment = os.environ if environment is None else environment
    tracing = open_tracing() if is_wanted(environment) else None
    # When a counter began is in no query, and doubles the text.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    masks = Masks(secrets)
    return Observation(LogLines(masks, stream=stream, level=level, form=form), masks, tracing)


def check_tracing(environment: Mapping[str, str]) -> None:
    """Raises `UsageError` if `observe` would: traces are wanted that cannot be made."""
    if is_wanted(environment):
        check_installed()
