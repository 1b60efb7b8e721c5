"""A claimed delivery is mapped when it is sent: with the definition and the settings of today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from destinations.engine.watcher import Watcher
from destinations.outcome import Outcome, Result
from destinations.queue import Claimed
from destinations.runtime.destination import Delivery, Destination
from destinations.segment.event import Event, EventError, check_event, read_json

__all__ = ["Mapped", "Remapper"]

_NO_EVENT: Final = Result(
    Outcome.DEAD, "its event was let go before, so there is nothing to send", "EVENT_GONE"
)
_GONE: Final = Result(
    Outcome.FILTERED, "today's definition does not send this event to this action"
)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A claimed delivery with what today's definition makes of its event."""

    claimed: Claimed
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Remapper:
    """For one destination, under its configured ``name``."""

    name: str
    destination: Destination
    watcher: Watcher

    def mapped(self, claimed: Claimed) -> Mapped | Result:
        """What is to be sent, or the end of an event that is sent no more."""
        if claimed.raw is None:
            return _NO_EVENT
        try:
            event = check_event(read_json(claimed.raw))
        except EventError as error:
            return Result.invalid(error.message, error.code)
        try:
            what = self._what(claimed.action, event)
        except Exception as error:  # noqa: BLE001 - a fault of ours must fail its event only
            self.watcher.failed(self.name, error)
            return Result(Outcome.DEAD, f"a fault while it was mapped: {type(error).__name__}")
        if isinstance(what, Delivery):
            return Mapped(claimed, what)
        return _GONE if what.outcome is Outcome.FILTERED else what

    def _what(self, key: str, event: Event) -> Delivery | Result:
        known = self.destination.keys
        # The subscription was renamed, or its action has others now. Where one alone can be meant,
        # it is; else a person has to say what is, as the event must neither get lost nor go twice.
        meant = [key] if key in known else self.destination.keys_beside(key)
        if len(meant) != 1:
            reason = f"there is no subscription {key!r} any more; known are: "
            return Result(Outcome.DEAD, reason + ", ".join(sorted(known)), "SUBSCRIPTION_GONE")
        return self.destination.deliveries(event, only=meant[0])[0][1]
