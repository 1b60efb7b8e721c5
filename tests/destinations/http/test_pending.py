from __future__ import annotations

import pytest

from destinations.definition import (
    PendingDefinition,
    RequestDefinition,
    RetryPolicy,
    Timeouts,
    TransportDefinition,
)
from destinations.errors import ResolveError
from destinations.http import HttpResponse, PendingRequest, compile_request

DEFINITION = RequestDefinition("send", "Sends.", idempotent=False, call=PendingDefinition("all."))
TRANSPORT = TransportDefinition(
    "https://example.com", {}, Timeouts(1, 1, 1), RetryPolicy(1, 1, 1, 1, 1), 1
)


def test_a_pending_request_is_never_made() -> None:
    """Each step towards sending is refused with what is missing, also where there is a URL."""
    request = compile_request(DEFINITION, TRANSPORT, ())
    assert isinstance(request, PendingRequest)
    assert request.definition is DEFINITION
    for step in (
        lambda: request.parts({}),
        lambda: request.prepare([{}], {}),
        lambda: request.read(HttpResponse(200, {}, b""), 1),
    ):
        with pytest.raises(ResolveError, match=r"it is not written yet: all\."):
            step()
