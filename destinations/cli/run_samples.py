"""The samples of a dry run: of each subscription the first event, and what would be sent for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from destinations.cli.explain_text import request_lines
from destinations.cli.json_output import json_text
from destinations.cli.tables import Bold, say
from destinations.http.json_bytes import decode_json
from destinations.outcome import State
from destinations.pipeline.places import Place, Places
from destinations.pipeline.report import Row
from destinations.runtime.destination import Destination
from destinations.runtime.explain import SubscriptionExplanation, explain
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker

__all__ = ["Sample", "Samples", "print_samples"]

_SHOWN: Final = 1_000
"""Characters of an event or a payload that are shown to people; ``--json`` has all of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An event that would be sent for a subscription, and the requests of that.

    Later requests of it may depend on the answers to the first one.
    """

    place: Place
    message_id: str
    event: Any
    explained: SubscriptionExplanation

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; secrets are not masked."""
        first = next(iter(self.explained.requests), None)
        later = {one.name for one in self.explained.requests[1:] if one.name}
        file = {"file": self.place.file} if self.place.file else {}
        request = None
        if first is not None:
            note = {"note": first.note} if first.note else {}
            request = {"name": first.name, **(first.request or {}), **note}
        return {
            "subscription": self.explained.name,
            "action": self.explained.action,
            **file,
            "line": self.place.line,
            "message_id": self.message_id,
            "event": self.event,
            "payload": self.explained.payload,
            "request": request,
            "later_requests": sorted(later),
        }


class Samples:
    """Keeps of each subscription the first event that would be sent.

    It takes the rows of one run, in order.
    """

    def __init__(self) -> None:
        self._first: dict[SubscriptionKey, tuple[Row, bytes]] = {}

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Look at rows and what was read for each; see `destinations.pipeline.run.Recorder`."""
        for row, raw in rows:
            key = row.key
            if key is None or row.outcome is not State.READY:
                continue
            known = self._first.get(key)
            if known is None or row.line < known[0].line:
                self._first[key] = row, raw

    def explained(self, destination: Destination, places: Places) -> Iterator[Sample]:
        """Yield a sample of each subscription, in the order of the destination's."""
        for subscription in destination.subscriptions:
            row, raw = self._first.get(subscription.key, (None, b""))
            if row is None:
                continue
            for one in explain(destination, raw).subscriptions:
                if one.name == subscription.name and one.payload is not None:
                    yield Sample(places.find(row.line), row.message_id, decode_json(raw), one)


def print_samples(samples: Iterable[Sample], masker: Masker) -> None:
    """Print samples, with their secrets masked and long values cut."""

    def show(indent: int, *parts: str) -> None:
        masked = (type(part)(_cut(masker.text(part))) for part in parts)
        say(" " * indent, *masked)

    for sample in samples:
        explained = sample.explained
        show(0, Bold(f"Sample of {explained.name} ({explained.action})"), f": {sample.place}")
        show(2, Bold("event"), f" {json_text(sample.event)}")
        show(2, Bold("payload"), f" {json_text(explained.payload, default=str)}")
        for line in request_lines(explained.requests[0]) if explained.requests else ():
            show(*line)
        if len(explained.requests) > 1:
            show(2, "what follows depends on its answer: see destinations explain")
        click.echo()


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
