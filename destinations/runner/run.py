"""One run over a stream of entries: a reader, workers that send, and the account of it all.

The reader maps each event; the workers take batches in the order of each user. Everything that is
under way is bounded, so memory does not depend on the length of the stream.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from destinations.backlog import Backlog
from destinations.clock import Clock, SystemClock
from destinations.http.transport import Transport
from destinations.outcome import Outcome, Result
from destinations.runner.intake import History, Intake
from destinations.runner.interrupt import Interrupt
from destinations.runner.ledger import Ledger, Row
from destinations.runner.source import Entry
from destinations.runtime.action import Action
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Delivery, Destination
from destinations.segment.event import Event

__all__ = ["Memories", "Recorder", "Report", "Run", "Stopped"]

Recorder = Callable[[Sequence[tuple[Row, bytes]]], None]
"""Told of rows as they come, each with what was read for it; calls do not overlap."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended before its input did, and at which line."""

    why: Literal["authentication", "interrupted"]
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Memories:
    """What outlives a run, for a run to use.

    ``answers`` keeps those that are asked once. ``history`` knows events of earlier runs.
    ``before_sending`` is told of (action, raw event) that are about to be sent.
    """

    answers: MutableMapping[str, Any] | None = None
    history: History | None = None
    before_sending: Callable[[Sequence[tuple[str, bytes]]], None] | None = None


@dataclass(slots=True)
class Report:
    """What a run did. ``lines`` counts all that were read, ``empty`` those without an entry."""

    lines: int = 0
    empty: int = 0
    requests: int = 0
    seconds: float = 0.0
    stopped: Stopped | None = None
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A delivery on its way to a worker, with the entry that it came from."""

    line: int
    data: bytes
    action: str | None
    delivery: Delivery

    @property
    def user(self) -> str:
        return _user(self.delivery.event)

    @property
    def kind(self) -> Action:
        return self.delivery.subscription.action

    @property
    def size(self) -> int:
        return len(self.data)


class Run:
    """Delivers a stream of entries to one destination; use it once."""

    def __init__(
        self,
        destination: Destination,
        transport: Transport,
        *,
        clock: Clock | None = None,
        recorders: Iterable[Recorder] = (),
        memories: Memories | None = None,
    ) -> None:
        memories = memories or Memories()
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._courier = Courier(
            destination, transport, self._clock, stop=self._stop, memory=memories.answers
        )
        self._recorders = tuple(recorders)
        self._before_sending = memories.before_sending
        self._intake = Intake(destination, memories.history)
        self._backlog: Backlog[_Parcel] = Backlog()
        self._workers = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(destination.definition.transport.concurrency)
        ]
        self._report = Report()
        self._recording = threading.Lock()
        self._broken: BaseException | None = None

    def execute(self, entries: Iterable[Entry]) -> Report:
        """Delivers everything; returns when every entry that was read has its rows.

        An interrupt (Ctrl-C) stops reading and sending, and what was not sent ends as
        ``retrying``; so does a refusal of the credentials. An error in reading or in a recorder
        does the same, and is raised when all that was under way has its rows.
        """
        began = self._clock.monotonic()
        for worker in self._workers:
            worker.start()
        try:
            with Interrupt(self._interrupted) as interrupt:
                self._read(interrupt.items(iter(entries)))
                self._finish()
        except BaseException:
            self._stop.set()
            self._finish()
            raise
        finally:
            self._stop.set()
            self._intake.close()
        if self._broken is not None:
            raise self._broken
        self._report.requests = self._courier.requests_sent
        self._report.seconds = self._clock.monotonic() - began
        return self._report

    def _finish(self) -> None:
        self._backlog.close()
        for worker in self._workers:
            while worker.is_alive():
                worker.join(0.2)  # short, so that an interrupt is noticed on every platform

    def _interrupted(self) -> None:
        # No lock here: a signal handler runs in the middle of whatever the main thread does.
        if self._report.stopped is None:
            self._report.stopped = Stopped("interrupted", self._report.lines, "interrupted")
        self._stop.set()

    def _halt(self, stopped: Stopped) -> None:
        with self._recording:
            if self._report.stopped is None:
                self._report.stopped = stopped
        self._stop.set()

    def _read(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._report.lines += 1
            if entry.data:
                self._accept(entry)
            else:
                self._report.empty += 1
            if self._stop.is_set():
                return

    def _accept(self, entry: Entry) -> None:
        """Takes one entry to the workers, or to its row where it ends at once."""
        for taken in self._intake.take(entry):
            if isinstance(taken.what, Result):
                self._end(taken.line, taken.action, taken.what, taken.data)
            else:
                self._dispatch(_Parcel(taken.line, taken.data, taken.action, taken.what))

    def _dispatch(self, parcel: _Parcel) -> None:
        if not self._backlog.put(parcel, given_up=self._stop.is_set):
            reason = "the run was stopped before it was sent"
            result = Result(Outcome.RETRYING, reason)
            self._end(parcel.line, parcel.action, result, parcel.data)

    def _work(self) -> None:
        """Delivers batch by batch until all is done: after a stop nothing is sent."""
        while batch := self._backlog.take():
            try:
                self._deliver(batch)
            except BaseException as error:  # noqa: BLE001 - raised again by execute
                self._broken = self._broken or error
                self._stop.set()
            finally:
                self._backlog.done(batch)

    def _deliver(self, batch: Sequence[_Parcel]) -> None:
        if self._before_sending is not None:
            self._before_sending([(parcel.action or "", parcel.data) for parcel in batch])
        try:
            results = self._courier.deliver([parcel.delivery for parcel in batch])
        except Exception as error:
            # A fault of ours: nobody knows what of the batch was sent, so that is what is recorded.
            reason = f"the run failed while this was being sent: {type(error).__name__}"
            self._record(
                *(
                    (Row(item.line, item.action, Result(Outcome.UNKNOWN, reason)), item.data)
                    for item in batch
                )
            )
            raise
        rows = [
            (Row(parcel.line, parcel.action, result), parcel.data)
            for parcel, result in zip(batch, results, strict=True)
        ]
        self._record(*rows)
        for row, _ in rows:
            if row.result.code == "INVALID_AUTHENTICATION":
                self._halt(Stopped("authentication", row.line, row.result.reason))

    def _end(self, line: int, action: str | None, result: Result, data: bytes) -> None:
        self._record((Row(line, action, result), data))

    def _record(self, *rows: tuple[Row, bytes]) -> None:
        with self._recording:
            for row, _ in rows:
                self._report.ledger.add(row)
            for recorder in self._recorders:
                recorder(rows)


def _user(event: Event) -> str:
    """Whose order an event belongs to."""
    user: str = event.get("userId") or event.get("anonymousId") or ""
    return user
