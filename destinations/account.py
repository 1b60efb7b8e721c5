"""A destination with everything that outlives a run of it: what was kept, found out, left to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from destinations.clock import Clock, SystemClock
from destinations.http.transport import Transport
from destinations.outcome import Outcome
from destinations.runner import Entry, Memories, Recorder, Report, Run, process_again
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Destination
from destinations.store import Capabilities, KeptEvents, ManualChanges, Store

__all__ = ["Account"]


class Account:
    """One account at the partner, with its part of the store."""

    def __init__(
        self,
        destination: Destination,
        transport: Transport,
        store: Store,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.destination = destination
        self.store = store
        name, masker = destination.account, destination.settings.masker
        self.kept = KeptEvents(store, name, destination.definition.version, masker)
        self.manual_changes = ManualChanges(store, name)
        self.capabilities = Capabilities(store, name)
        self._transport = transport
        self._clock = clock or SystemClock()

    @property
    def recorders(self) -> Sequence[Recorder]:
        """What a run has to tell of its rows."""
        return (self.kept.record, self.manual_changes.record)

    def run(self, recorders: Iterable[Recorder], entries: Iterable[Entry]) -> Report:
        """Delivers entries; see `destinations.runner.Run`."""
        self.kept.begin_run()
        memories = Memories(
            answers=self.capabilities,
            history=self.kept.earlier,
            before_sending=self.kept.sending,
        )
        run = Run(
            self.destination,
            self._transport,
            clock=self._clock,
            recorders=recorders,
            memories=memories,
        )
        try:
            return run.execute(entries)
        finally:
            self.kept.flush()

    def courier(self) -> Courier:
        """For requests outside of any event."""
        return Courier(self.destination, self._transport, self._clock, memory=self.capabilities)

    def process_unmapped(self) -> Report | None:
        """Delivers kept events that are mapped by now; None if there are no unmapped ones."""
        if not self.kept.count(Outcome.UNMAPPED):
            return None
        self.kept.begin_run()
        return process_again(
            self.destination,
            self._transport,
            self.kept,
            answers=self.capabilities,
            clock=self._clock,
            recorders=[self.manual_changes.record],
        )

    @staticmethod
    def summary(report: Report) -> str:
        """The outcomes of a report in a few words."""
        outcomes = report.ledger.outcomes
        return ", ".join(
            f"{outcomes[outcome]:,} {outcome.value}" for outcome in Outcome if outcomes[outcome]
        )
