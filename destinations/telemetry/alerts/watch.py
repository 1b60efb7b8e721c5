"""Look at the figures of a server again and again, and let people know.

One process of a store does that, also if several deliver from it. What it knows is kept in the
store: another process, or the next start, goes on with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from destinations.clock import WallClock
from destinations.telemetry.alert_figures import MessageResult
from destinations.telemetry.alerts.book import AlertBook, Message
from destinations.telemetry.alerts.delivering import Sender, SinkHealth, SinkWorker
from destinations.telemetry.alerts.figures import Figures
from destinations.telemetry.alerts.judging import judged
from destinations.telemetry.alerts.rules import AlertConfig, AlertRule, Sink
from destinations.telemetry.alerts.windows import Windows

__all__ = ["AlertNotes", "AlertWatch"]

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0
_KEEP_SECONDS: Final = 60.0
"""How often counts are written: each time is a commit, and they only matter for the next start."""

_CLOSE_SECONDS: Final = 5.0
_LAST_MESSAGE_SECONDS: Final = 1.0


class AlertNotes(Protocol):
    """Keeps what is known of alerts; see `destinations.operations.alerts.StoredAlerts`."""

    def read(self) -> Mapping[str, Any] | None:
        """Return what was kept; None if nothing was."""
        ...

    def write(self, kept: Mapping[str, Any]) -> None:
        """Keep what is known."""
        ...

    def read_counts(self) -> Mapping[str, Any] | None:
        """Return the counts that were kept; None if none were."""
        ...

    def write_counts(self, kept: Mapping[str, Any]) -> None:
        """Keep counts."""
        ...

    def leave(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Leave alerts to the process that tells people now."""
        ...

    def take_left(self) -> Sequence[Mapping[str, Any]]:
        """Return what others have left, once."""
        ...

    def silenced(self, now: float) -> Collection[str]:
        """Return the names of the rules that an operator has silenced."""
        ...


class AlertWatch:
    """Watches for one server. `configure`, `start` and `close` are called in one thread.

    ``gather`` reads the figures for these rules. The one process for which ``is_chief`` tells
    people. ``tell`` counts messages. ``options`` name the store in commands.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        notes: AlertNotes,
        *,
        gather: Callable[[Sequence[AlertRule]], Figures],
        is_chief: Callable[[], bool],
        make_sender: Callable[[Sink], Sender],
        tell: Callable[[str, MessageResult], None],
        clock: WallClock,
        options: str = "",
    ) -> None:
        self._notes = notes
        self._gather = gather
        self._asks_chief = is_chief
        self._make_sender = make_sender
        self._tell = tell
        self._clock = clock
        self.options = options
        # The book and what goes with it; the threads of sinks use it, too.
        self._lock = threading.RLock()
        self._book = AlertBook()
        self._windows = Windows()
        self._config = AlertConfig()
        self._destinations: Sequence[str] = ()
        self._workers: dict[str, SinkWorker] = {}
        self._health: dict[str, SinkHealth] = {}
        self._is_chief = False
        self._is_reconfigured = False
        self._is_changed = False
        self._kept_at = -_KEEP_SECONDS
        # The ids of alerts that the store has.
        self._kept: Collection[str] = ()
        self._fault = ""
        self._open: Mapping[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def configure(self, config: AlertConfig, destinations: Sequence[str]) -> None:
        """Use these rules from now on; sinks that are the same as before go on."""
        with self._lock:
            former = self._config.sinks
            for name in [one for one in self._workers if former[one] != config.sinks.get(one)]:
                worker = self._workers.pop(name)
                self._health[name] = worker.health
                worker.close()
            longest = max((rule.condition.within for rule in config.rules), default=0.0)
            if self._config.rules != config.rules:
                kept = self._windows.to_json()
                self._windows = Windows(longest)
                self._windows.read(kept)
            self._config, self._destinations = config, tuple(destinations)
            self._is_reconfigured = True
            for name, sink in config.sinks.items():
                if name not in self._workers:
                    self._workers[name] = self._worker(name, sink)
                    if self._thread is not None:
                        self._workers[name].start()

    def _worker(self, name: str, sink: Sink) -> SinkWorker:
        return SinkWorker(
            name,
            self._make_sender(sink),
            next_message=self._next,
            sent=self._sent,
            may_send=lambda: self._is_chief and self._is_chief_now(),
            tell=self._tell,
            clock=self._clock,
            health=self._health.pop(name, None),
        )

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()
        for worker in self._workers.values():
            worker.start()

    def close(self) -> None:
        """Stop, and keep what is known; safe to repeat.

        Messages that are under way have a moment to end, so that the next start does not send them
        again.
        """
        self._stop.set()
        for worker in self._workers.values():
            worker.stop()
        until = self._clock.monotonic() + _LAST_MESSAGE_SECONDS
        for worker in self._workers.values():
            worker.close(until - self._clock.monotonic())
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)
            self._thread = None
            with self._lock:
                if self._is_chief and (self._config.rules or self._is_changed):
                    self._keep(counts=True)
                self._is_chief = False
                self._note_open()

    @property
    def open(self) -> Mapping[str, int]:
        """By rule, how many of its alerts were open at the last look; waits for nothing."""
        return self._open

    def _note_open(self) -> None:
        counts = dict.fromkeys((rule.name for rule in self._config.rules), 0)
        for alert in self._book.open if self._is_chief else ():
            counts[alert.rule] = counts.get(alert.rule, 0) + 1
        self._open = counts

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - it has to go on
                self._log_fault(f"{type(error).__name__}: {error}")
            self._clock.wait(_LOOK_SECONDS, self._stop)

    def look(self) -> None:
        """Judge all conditions once, by what is known now."""
        config = self._config
        has_nothing = not config.rules and not self._book.alerts
        if (has_nothing and not self._is_reconfigured) or not self._take_over():
            return
        figures = self._gather(config.rules)
        silenced, left = self._silenced(figures.now), self._left(figures)
        with self._lock:
            self._is_changed |= self._book.adopt(left, figures.now)
            if config is not self._config:  # it was exchanged meanwhile
                return
            if not figures.is_read:
                self._log_fault(f"the store cannot be read: {figures.unwritable}")
            else:
                self._windows.add(figures.tallies, figures.now, figures.parts)
            findings = [
                finding
                for rule in config.rules
                for finding in judged(
                    rule, self._destinations, figures, self._windows, self.options
                )
            ]
            if self._is_reconfigured:
                self._is_reconfigured = False
                self._is_changed |= self._book.reconfigure(
                    *(config.rules, self._destinations, config.sinks.keys(), figures.now)
                )
            self._is_changed |= self._book.take(config.rules, findings, figures.now, silenced)
            self._tell_of_given_up()
            self._note_open()
            is_due = bool(config.rules) and self._is_due_to_keep()
            if self._is_changed or is_due:
                self._keep(counts=is_due)
        self._wake()

    def _take_over(self) -> bool:
        """Return whether this process watches; reads what the one before it knew if it begins."""
        is_chief = self._is_chief_now()
        with self._lock:
            if is_chief and not self._is_chief:
                self._read()
            elif self._is_chief and not is_chief and self._is_changed:
                # What could not be kept, such as that the store was away, is for the next one.
                left = [one for one in self._book.to_json() if one["id"] not in self._kept]
                if left:
                    self._notes.leave(left)
                self._is_changed = False
            self._is_chief = is_chief
            self._note_open()
        return is_chief

    def _is_chief_now(self) -> bool:
        """Return whether it is this process that tells people; as before while it is not known."""
        try:
            return self._asks_chief()
        except Exception as error:  # noqa: BLE001 - that the store is away is to be told, too
            self._log_fault(f"who sends is not known: {error}")
            return self._is_chief

    def _read(self) -> None:
        kept = self._notes.read() or {}
        self._book = AlertBook()
        self._book.read(kept.get("alerts", ()))
        self._kept = {one.id for one in self._book.alerts}
        for name, health in kept.get("sinks", {}).items():
            if name in self._workers:
                self._workers[name].health = SinkHealth(**health)
        longest = max((rule.condition.within for rule in self._config.rules), default=0.0)
        self._windows = Windows(longest)
        self._windows.read(self._notes.read_counts())
        self._is_reconfigured = True  # it may have had other rules

    def _silenced(self, now: float) -> Collection[str]:
        try:
            return self._notes.silenced(now)
        except Exception as error:  # noqa: BLE001 - then nothing is silent
            self._log_fault(f"silences not read: {error}")
            return ()

    def _left(self, figures: Figures) -> Sequence[Mapping[str, Any]]:
        try:
            return self._notes.take_left() if figures.is_read else ()
        except Exception as error:  # noqa: BLE001 - they stay there
            self._log_fault(f"what others have left not read: {error}")
            return ()

    def _keep(self, *, counts: bool) -> None:
        """Keep what is known; where the store cannot be written, it is kept in memory."""
        kept = {
            "alerts": self._book.to_json(),
            "sinks": {name: one.health.to_json() for name, one in self._workers.items()},
        }
        try:
            self._notes.write(kept)
            if counts:
                self._notes.write_counts(self._windows.to_json())
                self._kept_at = self._clock.monotonic()
        except Exception as error:  # noqa: BLE001 - people are told even so
            self._log_fault(f"not kept in the store: {error}")
        else:
            self._kept = {one.id for one in self._book.alerts}
            self._is_changed = False
            self._fault = ""

    def _is_due_to_keep(self) -> bool:
        return self._clock.monotonic() - self._kept_at >= _KEEP_SECONDS

    def _log_fault(self, fault: str) -> None:
        """Log what is wrong, once as long as it is the same."""
        if fault != self._fault:
            self._fault = fault
            _LOG.error("alerts not watched as they should be: %s", fault)

    def _tell_of_given_up(self) -> None:
        for sink, message in self._book.given_up:
            _LOG.error(
                "message about alert %s given up: it cannot go to sink %s", message.rule, sink
            )
            self._tell(sink, "given_up")
        self._book.given_up.clear()

    # -- for the threads of sinks --------------------------------------------------------------

    def _next(self, sink: str) -> Message | None:
        with self._lock:
            return self._book.next_for(sink)

    def _sent(self, sink: str, message: Message) -> None:
        with self._lock:
            self._book.sent(sink, message)
            self._is_changed = True
            if self._is_chief:  # a restart must not tell of it again
                self._keep(counts=False)

    def _wake(self) -> None:
        with self._lock:
            for worker in self._workers.values():
                worker.wake()
