"""Make the faults of a partner and the network from a definition.

The expected outcome follows from `status_of`: a failure that may pass is retried if that cannot
apply a request twice; otherwise the request is sent once and the event ends as ``unknown``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from destinations.definition import (
    DestinationDefinition,
    ErrorRule,
    GraphQLDefinition,
    RequestDefinition,
)
from destinations.http import HttpResponse
from destinations.kit.testing.wire import CutResponse, Reply
from destinations.sandbox.answers import (
    MESSAGE,
    error_answer,
    graphql_error,
    partial_answer,
    rule_that_reads,
    success,
    unplaced_answer,
)

__all__ = ["RETRY_AFTER", "PartnerFault", "partner_faults"]

RETRY_AFTER: Final = 1
"""The ``Retry-After`` of the fault cases, in seconds."""

Kind = Literal["status", "answer", "network", "rule", "token", "window", "key", "choices", "usage"]


@dataclass(frozen=True, slots=True)
class PartnerFault:
    """One fault; ``times`` is how often it happens: once, or every time (None).

    ``reply`` makes its response to a request, and ``later`` those to all after the first, if they
    are others; of the kinds ``token``, ``window``, ``key``, ``choices`` and ``usage`` the
    name says what happens. ``rule`` is the definition's rule that it tests.
    """

    name: str
    kind: Kind
    reply: Reply
    times: int | None = None
    rule: ErrorRule | None = None
    later: Reply | None = None


_Make = Callable[[RequestDefinition, int], Reply | None]


def partner_faults(
    request: RequestDefinition, definition: DestinationDefinition, count: int
) -> Iterator[PartnerFault]:
    """Return every fault that ``request`` can meet when it carries ``count`` events."""
    for name, kind, times, make in _FAULTS:
        reply = make(request, count)
        if reply is not None:
            yield PartnerFault(name, kind, reply, times)
    for rule in (*request.error_rules, *definition.error_rules):
        response = error_answer(rule.when, request)
        # If another rule matches first, the definition is faulty, which is reported elsewhere.
        if response is not None and rule_that_reads(response, request, definition) is rule.when:
            yield PartnerFault(f"error: {rule.when}", "rule", response, rule=rule)
            if rule.repeat_means is not None:
                name = f"time-out after sending, then error: {rule.when}"
                yield PartnerFault(name, "rule", "timeout", rule=rule, later=response)


def _http(status: int, **headers: str) -> _Make:
    def make(request: RequestDefinition, _count: int) -> Reply:
        is_graphql = isinstance(request.call, GraphQLDefinition)
        body = {"errors": [graphql_error()]} if is_graphql else {"message": MESSAGE}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return _json(status, body, named)

    return make


def _always(reply: Reply) -> _Make:
    return lambda _request, _count: reply


def _errors_in_success(request: RequestDefinition, _count: int) -> Reply | None:
    if not isinstance(request.call, GraphQLDefinition):
        return None
    return _json(200, {"errors": [graphql_error()], "data": None}, {})


def _not_expected(request: RequestDefinition, _count: int) -> Reply | None:
    """Return a response with a success's status, but a body of another shape."""
    if not isinstance(request.call, GraphQLDefinition) and request.expect is None:
        return None
    return _json(200, {"unexpected": MESSAGE}, {})


def _not_json(request: RequestDefinition, _count: int) -> Reply | None:
    if not isinstance(request.call, GraphQLDefinition) and request.expect is None:
        return None
    page = f"<html><body>{MESSAGE}</body></html>"
    return HttpResponse(200, {"content-type": "text/html"}, page.encode())


def _partial(request: RequestDefinition, count: int) -> Reply | None:
    return partial_answer(request, count)


def _cut(request: RequestDefinition, count: int) -> Reply:
    return CutResponse(success(request, count))


def _json(status: int, body: object, headers: dict[str, str]) -> HttpResponse:
    named = {"content-type": "application/json", **headers}
    return HttpResponse(status, named, json.dumps(body).encode())


_FAULTS: Final[tuple[tuple[str, Kind, int | None, _Make], ...]] = (
    ("401", "status", None, _http(401)),
    ("403", "status", None, _http(403)),
    ("429 with Retry-After, once", "status", 1, _http(429, retry_after=str(RETRY_AFTER))),
    ("429 with Retry-After", "status", None, _http(429, retry_after=str(RETRY_AFTER))),
    ("500, once", "status", 1, _http(500)),
    ("500", "status", None, _http(500)),
    ("time-out before sending, once", "network", 1, _always("connectTimeout")),
    ("time-out before sending", "network", None, _always("connectTimeout")),
    ("no connection", "network", None, _always("refused")),
    ("time-out after sending, once", "network", 1, _always("timeout")),
    ("time-out after sending", "network", None, _always("timeout")),
    ("connection lost after sending", "network", None, _always("lost")),
    ("answer cut off", "network", None, _cut),
    ("200 with errors", "answer", None, _errors_in_success),
    ("200 with an error for one event", "answer", None, _partial),
    ("200 with an error for an event that it does not name", "answer", None, unplaced_answer),
    ("200 that is not JSON", "answer", None, _not_json),
    ("200 of another shape", "answer", None, _not_expected),
)
