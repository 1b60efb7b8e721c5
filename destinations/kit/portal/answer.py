"""Read what an endpoint answered: its status, and the message that a customer would see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from destinations.errors import TransportError
from destinations.http.answer import HttpResponse

__all__ = ["Ending", "EndpointAnswer"]

Ending = Literal["", "announced", "broken", "timeout", "too long", "unreachable"]
"""The way in which a connection ended before an answer came; empty if one came.

``announced``: the answer before it said that the connection would close. ``unreachable``: there was
no connection, or it ended before the request was written.
"""


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The answer to one request, or why there is none.

    ``status`` is 0 without an answer; then ``ending`` and ``reason`` say how and why. ``message``
    is the text that Segment shows to the customer; it is empty if there is none, and
    ``message_issue`` says what it lacks to be shown.
    """

    status: int
    message: str = ""
    message_issue: str = ""
    ending: Ending = ""
    reason: str = ""

    @classmethod
    def of_response(cls, response: HttpResponse) -> EndpointAnswer:
        """Return what a response says."""
        message, issue = _message(response)
        return cls(response.status, message, issue)

    @classmethod
    def of_error(cls, error: TransportError) -> EndpointAnswer:
        """Return why no answer came."""
        if error.too_long:
            return cls(0, ending="too long", reason="the answer was too long to be read")
        if not error.sent:
            return cls(0, ending="unreachable", reason=error.message)
        return cls(0, ending="timeout" if error.timeout else "broken", reason=error.message)

    @property
    def is_accepted(self) -> bool:
        """Whether the event was taken."""
        return 200 <= self.status < 300


def _message(response: HttpResponse) -> tuple[str, str]:
    """Return the message in a body, and why Segment cannot show it; one of them is empty."""
    if not response.body.strip():
        return "", "its body is empty"
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return "", "its body is not JSON"
    found = body.get("message") if isinstance(body, dict) else None
    if not isinstance(found, str) or not found.strip():
        return "", 'its JSON has no text under "message"'
    declared = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        return found, f"its Content-Type is {declared or 'missing'}, not application/json"
    return found, ""
