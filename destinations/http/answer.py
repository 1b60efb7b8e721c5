"""Results of a request: an answer, or a failure with all that a retry depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from destinations.definition import ANSWER_BYTES, ErrorClass
from destinations.errors import (
    APIError,
    IntegrationError,
    InvalidAuthenticationError,
    RetryableError,
    SelfTimeoutError,
    TransportError,
)
from destinations.http.listed_items import ReadItems, Selection
from destinations.outcome import Retry, WaitFor

__all__ = ["Answer", "Concern", "Context", "Failure", "HttpRequest", "HttpResponse", "Part"]

Concern = Literal["event", "request", "key", "permission"]
"""The subject of a refusal: an event, the document or the URL, the key, or the key's permissions.

Only the first is a verdict on events.
"""

Context = Mapping[str, Any]
"""The root object of request templates: ``event``, ``payload`` and ``settings``."""

Part = Mapping[str, bytes]
"""One event's part of a request, as JSON by name."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request as it goes over the wire.

    With ``gzip``, ``body`` is compressed only when it is sent, so that whatever shows requests can
    read it. ``host_of_event`` says that its host or port depends on the event, ``public_only`` that
    a stranger chose them in another way. An answer may have ``answer_bytes``, once it is
    decompressed. ``list_path`` leads to what may be a list in it, of which items that ``only`` does
    not take may be left out; None takes all. One ``for_token`` asks for an access token, and
    belongs to no request of the definition. It must not leave where
    ``may_leave`` says so, right before its first byte would.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    host_of_event: bool = False
    answer_bytes: int = ANSWER_BYTES
    list_path: tuple[str, ...] | None = None
    only: Selection | None = None
    public_only: bool = False
    gzip: bool = False
    for_token: bool = False
    may_leave: Callable[[], bool] | None = field(default=None, compare=False, repr=False)

    def check_turn(self) -> None:
        """Raise `TransportError` if it must not leave any more."""
        if self.may_leave is not None and not self.may_leave():
            raise TransportError("its turn came too late, so it was not sent", sent=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One HTTP response; the names in ``headers`` are in lower case.

    ``items`` are items of a list that belong to the body, and are not in it any more.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    items: ReadItems | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The partner's answer for one event.

    ``name`` is ``ok`` for a success, else the name of one of the request's ``answers``. ``data``
    is the root field's value (GraphQL) or the parsed body (REST); None for other names. For several
    root fields it is an object of their values by alias, whatever the name; a root field that
    failed or did not run has the value None.
    """

    name: str
    data: Any = None


WITHOUT_REASON: Final = "rejected by the partner, without a reason"
"""The reason shown when a partner refuses without one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason for which an event has no answer.

    ``retryable``: the same request may succeed later. ``nothing_applied``: the request certainly
    changed nothing. ``whole_request``: the request failed, not this event. ``status`` is 0 if no
    answer came. ``retry_after`` is in seconds. ``attempts`` is the highest number of attempts with
    this failure. ``unplaced``: some event of the batch failed, and it may be this one.
    ``concerns`` is what it is about, as far as one answer shows; ``wait_for`` is what may end it.
    ``for_operator``: nothing can be sent before an operator has fixed something. ``made``: there
    was a request at all. ``is_there`` says that the partner has this very event already, or some
    event of the batch. ``beside``: the event itself is fine, but was not applied, as
    others of its batch failed. ``rule`` is the place of the rule that decided, as in
    ``errorRules[2]``; empty if none of the definition did. Without an access token nothing was
    ``attempted``, which costs the event no attempt.
    """

    message: str
    error_class: ErrorClass
    status: int
    retryable: bool
    nothing_applied: bool
    whole_request: bool = True
    retry_after: float | None = None
    attempts: int | None = None
    unplaced: bool = False
    concerns: Concern = "event"
    wait_for: WaitFor | None = None
    for_operator: bool = False
    made: bool = True
    is_there: Literal["event", "batch"] | None = None
    beside: bool = False
    rule: str = field(default="", compare=False)
    attempted: bool = True

    @property
    def is_answered(self) -> bool:
        """Return whether the partner answered at all."""
        return self.status > 0

    def retry(self) -> Retry:
        """Return the advice of the failure for the next attempt."""
        return Retry(
            self.retry_after,
            self.attempts,
            self.whole_request,
            self.concerns,
            self.wait_for,
            self.for_operator,
            attempted=self.attempted,
        )

    def error(self) -> IntegrationError:
        """Return the failure as the error class that Segment's framework would raise."""
        if self.error_class == "authentication":
            return InvalidAuthenticationError(self.message)
        if self.error_class == "timeout":
            return SelfTimeoutError(self.message)
        if self.retryable and self.status < 400:
            return RetryableError(self.message, _STATUS[self.error_class])
        status = self.status if self.status >= 400 else _STATUS[self.error_class]
        return APIError(self.message, status)


# Statuses for errors that came with HTTP 200, as in GraphQL.
_STATUS: Mapping[str, int] = {
    "authentication": 401,
    "permission": 403,
    "not_found": 404,
    "invalid": 400,
    "conflict": 409,
    "rate_limit": 429,
    "timeout": 408,
    "unavailable": 503,
    "internal": 500,
}
