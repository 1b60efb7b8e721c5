"""Processes kept events again that were unmapped: each at most once, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, Protocol

from destinations.clock import Clock
from destinations.http.transport import Transport
from destinations.outcome import Outcome, Result
from destinations.runner.ledger import Row
from destinations.runner.run import Memories, Report, Run
from destinations.runner.source import Entry
from destinations.runner.undelivered import wrap
from destinations.runtime.destination import Destination
from destinations.segment.event import check_event, read_json

__all__ = ["Unmapped", "process_again"]


class Unmapped(Protocol):
    """Where unmapped events are kept; `destinations.store.KeptEvents` is one."""

    def unmapped(self) -> Iterator[tuple[str, bytes]]:
        """(action, raw event), the oldest first."""
        ...

    def sending(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Notes, durably, that these are about to be sent."""
        ...

    def mapped(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Notes what became of them."""
        ...


def process_again(
    destination: Destination,
    transport: Transport,
    kept: Unmapped,
    *,
    answers: MutableMapping[str, Any] | None = None,
    clock: Clock | None = None,
    recorders: Sequence[Callable[[Sequence[tuple[Row, bytes]]], None]] = (),
) -> Report:
    """Delivers the kept events that a rule maps by now; the others stay as they are.

    The lines of the report's rows count the events that are mapped now, from 1.
    """
    run = Run(
        destination,
        transport,
        clock=clock,
        recorders=[kept.mapped, *recorders],
        memories=Memories(answers=answers, before_sending=kept.sending),
    )
    found = (
        (action, data) for action, data in kept.unmapped() if _is_mapped(destination, action, data)
    )
    return run.execute(
        Entry(number, wrap(Outcome.UNMAPPED, action, data))
        for number, (action, data) in enumerate(found, start=1)
    )


def _is_mapped(destination: Destination, action: str, data: bytes) -> bool:
    event = check_event(read_json(data))
    return any(
        not isinstance(what, Result) or what.outcome is not Outcome.UNMAPPED
        for _, what in destination.deliveries(event, only=action)
    )
