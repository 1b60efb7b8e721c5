"""The part of a run's input that any of several processes may deliver.

Runs that share a store share their work: each brings the events of its input into the queue, and
delivers those of its lanes, whoever has brought them. So each waits for the outcomes of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Final

from destinations.outcome import State
from destinations.pipeline.queue import Arrival, Queue, QueuedDelivery, Receipt, Scope, Source

__all__ = ["LinedSource", "SharedRun"]

_LOOK_SECONDS: Final = 0.5
_PAGE: Final = 1_000
MOST: Final = 20_000
"""So many deliveries of its input may be in the queue at once."""


class SharedRun:
    """The deliveries of a run's input that are in the queue, by their ids.

    ``bring`` makes arrivals durable. One thread uses it, that of the engine.
    """

    def __init__(
        self,
        queue: Queue,
        scope: Scope,
        bring: Callable[[Sequence[Arrival]], Future[Sequence[Receipt]]],
        monotonic: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._scope = scope
        self._bring = bring
        self._monotonic = monotonic
        self._looked_at = -_LOOK_SECONDS
        self._brought: list[tuple[Sequence[Arrival], Future[Sequence[Receipt]]]] = []
        self._done: list[tuple[Sequence[Arrival], Future[Sequence[Receipt]]]] = []
        # What gets its id with the round that writes it.
        self._written: list[QueuedDelivery] = []
        self.out: dict[int, QueuedDelivery] = {}

    @property
    def has_room(self) -> bool:
        """Whether more may come in."""
        return len(self.out) + len(self._brought) * _PAGE < MOST

    @property
    def is_over(self) -> bool:
        """Whether all that it brought has its outcome."""
        return not (self.out or self._brought or self._done or self._written)

    @property
    def is_bringing(self) -> bool:
        """Whether something that was brought is not durable yet."""
        return bool(self._brought or self._done)

    def bring(self, arrivals: Sequence[Arrival]) -> None:
        """Bring events into the queue, unless another process was faster; see `brought`."""
        if arrivals:
            self._brought.append((arrivals, self._bring(arrivals)))

    def brought(self) -> list[Arrival]:
        """Return the arrivals that have a receipt since the last call.

        Raises what kept them from being written.
        """
        self._note_brought()
        done, self._done = self._done, []
        found: list[Arrival] = []
        for arrivals, receipts in done:
            receipts.result()
            found += arrivals
        return found

    def _note_brought(self) -> None:
        """Wait for the outcomes of what is durable by now, before any of it is read."""
        done = [one for one in self._brought if one[1].done()]
        if not done:
            return
        self._brought = [one for one in self._brought if not one[1].done()]
        self._done += done
        for arrivals, _ in done:
            for arrival in arrivals:
                receipt = arrival.receipt
                if receipt is not None and not receipt.duplicate and not receipt.conflict:
                    self.out.update((one.id, one) for one in arrival.deliveries)

    def wait_for(self, delivery: QueuedDelivery) -> None:
        """Wait for the outcome of a delivery that is in the queue, or comes in with this round."""
        if delivery.id:
            self.out[delivery.id] = delivery
        else:
            self._written.append(delivery)

    def settled(self, delivery: QueuedDelivery) -> None:
        """Note that this process has delivered one."""
        self.out.pop(delivery.id, None)

    def look(self, is_here: Callable[[int], object], *, now: bool = False) -> list[QueuedDelivery]:
        """Return those that other processes have settled since the last call.

        ``is_here`` says whether this process is about to deliver one.
        """
        self._note_written()
        monotonic = self._monotonic()
        if not self.out or (not now and monotonic - self._looked_at < _LOOK_SECONDS):
            return []
        self._looked_at = monotonic
        away = [one for identity, one in self.out.items() if not is_here(identity)]
        found: list[QueuedDelivery] = []
        for start in range(0, len(away), _PAGE):
            found += self._settled_of(away[start : start + _PAGE])
        for delivery in found:
            del self.out[delivery.id]
        return found

    def _note_written(self) -> None:
        self.out.update((one.id, one) for one in self._written if one.id)
        self._written = [one for one in self._written if not one.id]

    def _settled_of(self, deliveries: Sequence[QueuedDelivery]) -> list[QueuedDelivery]:
        known = self._queue.history(self._scope, [one.event.message_id for one in deliveries])
        # Whoever delivers for their users leaves them, too.
        held_up = self._queue.held_up(self._scope, deliveries)
        found = []
        for delivery in deliveries:
            history = known.get(delivery.event.message_id)
            pasts = () if history is None else history.deliveries.values()
            past = next((one for one in pasts if one.id == delivery.id), None)
            # Of one that is not there any more, nothing is known but that it does not wait.
            is_over = past is None or past.state in {State.DONE, State.HELD}
            if is_over or delivery in held_up:
                found.append(delivery)
        return found

    def lines(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note in deliveries that were read from the queue what they are of in this input."""
        self._note_brought()
        self._note_written()
        for delivery in deliveries:
            own = self.out.get(delivery.id)
            if own is not None:
                delivery.line, delivery.event.raw = own.line, own.event.raw


class LinedSource:
    """A source whose deliveries know the lines of a run's input; see `Source`."""

    def __init__(self, source: Source, lines: Callable[[Sequence[QueuedDelivery]], None]) -> None:
        self._source = source
        self._lines = lines
        self.passed = source.passed
        self.is_ahead = source.is_ahead
        self.owns = source.owns

    @property
    def is_shared(self) -> bool:
        """See `Source.is_shared`."""
        return self._source.is_shared

    def unknown(self) -> Sequence[QueuedDelivery]:
        """See `Source.unknown`."""
        return self._lined(self._source.unknown())

    def begun(self) -> Sequence[QueuedDelivery]:
        """See `Source.begun`."""
        return self._lined(self._source.begun())

    def ready(self, limit: int) -> Sequence[QueuedDelivery]:
        """See `Source.ready`."""
        return self._lined(self._source.ready(limit))

    def get(self, ids: Iterable[int]) -> Sequence[QueuedDelivery]:
        """See `Source.get`."""
        return self._lined(self._source.get(ids))

    def changes(self) -> tuple[Sequence[QueuedDelivery], Sequence[int]]:
        """See `Source.changes`."""
        opened, ended = self._source.changes()
        return self._lined(opened), ended

    def _lined(self, found: Sequence[QueuedDelivery]) -> Sequence[QueuedDelivery]:
        self._lines(found)
        return found
