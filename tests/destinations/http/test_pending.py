"""A request that is not written yet."""

from __future__ import annotations

import pytest

from destinations.definition import (
    PendingDefinition,
    RequestDefinition,
    RetryDefinition,
    Timeouts,
    TransportDefinition,
)
from destinations.errors import ResolveError
from destinations.http import HttpResponse, PendingRequest, compile_request

DEFINITION = RequestDefinition("send", "Sends.", idempotent=False, call=PendingDefinition("all."))
TRANSPORT = TransportDefinition(
    "https://example.com", {}, Timeouts(1, 1, 1), RetryDefinition(1, 1, 1), 1
)


def test_a_pending_request_is_never_made() -> None:
    """Each step towards sending is refused with what is missing, also where there is a URL."""
    request = compile_request(DEFINITION, TRANSPORT, ())
    assert isinstance(request, PendingRequest)
    assert request.definition is DEFINITION
    assert (request.reads_event, request.takes_payload_bytes) == (False, False)
    for step in (
        lambda: request.part({}),
        lambda: request.prepare([{}], {}),
        lambda: request.read(HttpResponse(200, {}, b""), 1),
    ):
        with pytest.raises(ResolveError, match=r"it is not written yet: all\."):
            step()
