"""Run the calls of a page through the runtime without sending anything."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.definition.settings import named_settings
from destinations.kit.partner_page.browser import SAMPLE_SECONDS, Browser
from destinations.kit.partner_page.calls import Call
from destinations.outcome import Status
from destinations.runtime.destination import Code, Destination
from destinations.runtime.explain import explain
from destinations.segment.event import Event

__all__ = ["EXAMPLE_USER", "Runtime", "SampleResult"]

EXAMPLE_USER: Final = "user_0042"
"""The user id in samples."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """The result of one event at one action.

    ``payload`` is the action's; if the event ends before, ``outcome`` says how and ``reason`` why,
    with the HTTP ``status`` if it was refused. ``action`` is None if no action takes the event.
    """

    event: Event
    action: str | None
    payload: Any = None
    outcome: Status | None = None
    reason: str = ""
    status: int | None = None


class Runtime:
    """A destination with names in place of its settings' values, and one browser for its page.

    The visitor is `EXAMPLE_USER` until a sample identifies another, as a destination without
    Identify calls may still need a known user.
    """

    def __init__(self, definition: DestinationDefinition, code: Code | None) -> None:
        self._destination = Destination(definition, named_settings(definition), code)
        self._browser = Browser(EXAMPLE_USER)

    def run(self, calls: Iterable[Call]) -> list[SampleResult]:
        """Return the payloads of each call, in order; raises `SampleError` for an invalid call."""
        return [result for call in calls for result in self.follow(self._browser.send(call))]

    def follow(self, event: Event) -> list[SampleResult]:
        """Return the result of one event for each action that takes it."""
        # A sample is never late, whenever the page is made.
        data = json.dumps(event).encode()
        explanation = explain(self._destination, data, now=SAMPLE_SECONDS)
        if explanation.result is not None:
            end = explanation.result
            return [SampleResult(event, None, None, end.outcome, end.reason, end.status)]
        return [
            SampleResult(
                event,
                followed.action,
                followed.payload,
                followed.result.outcome if followed.result else None,
                followed.result.reason if followed.result else "",
                followed.result.status if followed.result else None,
            )
            for followed in explanation.subscriptions
            if followed.matches
        ]
