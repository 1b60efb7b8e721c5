"""Replace the wire between the transport and the partner with `responses`.

The transport itself is that of a run, including time-outs and broken connections.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import requests
import urllib3

from destinations.errors import TransportError
from destinations.extras import libraries_of
from destinations.http import HttpResponse
from destinations.kit.testing.case import ABSENT, FailureKind, RecordedRequest, RecordedResponse

with libraries_of("kit"):
    import responses
    from responses.registries import FirstMatchRegistry

__all__ = [
    "CutResponse",
    "Reply",
    "Wire",
    "failure_kind",
    "http_response",
    "recorded_request",
    "transport_error",
]

# Headers that the HTTP library adds itself, the same for every destination.
_OF_THE_LIBRARY: Final = frozenset(
    {"user-agent", "accept-encoding", "connection", "content-length", "host"}
)


@dataclass(frozen=True, slots=True)
class CutResponse:
    """A response whose body ends before its announced length."""

    response: HttpResponse


Reply = HttpResponse | CutResponse | FailureKind
"""The result of a request: a whole response, one that is cut off, or an error."""


class Wire:
    """A context in which ``reply`` answers every HTTP request of the process.

    An error from ``reply`` is raised where the request is made.
    """

    def __init__(self, reply: Callable[[RecordedRequest], Reply]) -> None:
        self._reply = reply
        self._mock = responses.RequestsMock(
            assert_all_requests_are_fired=False, registry=self._registry()
        )

    def __enter__(self) -> Self:
        self._mock.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._mock.stop(allow_assert=False)
        self._mock.reset()

    def _registry(self) -> type[FirstMatchRegistry]:
        answer = self._answer

        class Everything(FirstMatchRegistry):
            """Matches every request, as requests are compared by our own code."""

            def find(
                self, request: requests.PreparedRequest
            ) -> tuple[responses.BaseResponse | None, list[str]]:
                found = responses.CallbackResponse(
                    request.method or "", re.compile(""), callback=answer, content_type=None
                )
                return found, []

        return Everything

    def _answer(self, request: requests.PreparedRequest) -> Any:
        """Return a result for `responses`: an exception, or (status, headers, body)."""
        reply = self._reply(recorded_request(request))
        if isinstance(reply, str):
            return _exception(reply)
        if isinstance(reply, CutResponse):
            whole = reply.response
            headers = {**whole.headers, "content-length": str(max(1, len(whole.body)))}
            return whole.status, headers, whole.body[: len(whole.body) // 2]
        return reply.status, dict(reply.headers), reply.body


def recorded_request(request: requests.PreparedRequest) -> RecordedRequest:
    """Return a request in a case's form, with the destination's own headers."""
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _OF_THE_LIBRARY and (name, value) != ("Accept", "*/*")
    }
    body = request.body
    if isinstance(body, bytes) and request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    value = _json(body, headers)
    return RecordedRequest(
        method=request.method or "",
        url=request.url or "",
        headers=headers,
        json=value,
        body=str(body) if value is ABSENT and body else None,
    )


def _json(body: object, headers: Mapping[str, str]) -> Any:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    if not isinstance(body, str) or "json" not in kind or "ndjson" in kind:
        return ABSENT
    try:
        return json.loads(body)
    except ValueError:
        return ABSENT


def http_response(recorded: RecordedResponse) -> HttpResponse:
    """Return a case's response in the form of the wire."""
    headers = {name.lower(): value for name, value in recorded.headers.items()}
    if recorded.json is not ABSENT:
        headers.setdefault("content-type", "application/json")
        text = json.dumps(recorded.json, ensure_ascii=False)
    else:
        text = recorded.body or ""
    return HttpResponse(recorded.status, headers, text.encode("utf-8"))


def failure_kind(error: TransportError) -> FailureKind:
    """Return a case's name for a failure of the transport."""
    if error.sent:
        return "timeout" if error.timeout else "lost"
    return "connectTimeout" if error.timeout else "refused"


def transport_error(kind: FailureKind) -> TransportError:
    """Return the transport's error for a failure named in a case."""
    messages = {
        "refused": "no connection: Connection refused",
        "connectTimeout": "no connection: timed out",
        "timeout": "no answer: timed out",
        "lost": "the connection broke",
    }
    return TransportError(
        messages[kind],
        sent=kind in {"timeout", "lost"},
        timeout=kind in {"timeout", "connectTimeout"},
    )


def _exception(kind: FailureKind) -> Exception:
    """Return the error of the HTTP library that the transport translates to this failure."""
    match kind:
        case "connectTimeout":
            return requests.ConnectTimeout("timed out")
        case "timeout":
            return requests.ReadTimeout("timed out")
        case "lost":
            broken = urllib3.exceptions.ProtocolError("the connection was reset")
            return requests.ConnectionError(broken)
        case "refused":
            pool = urllib3.HTTPConnectionPool("localhost")
            connection = urllib3.connection.HTTPConnection("localhost")
            reason = urllib3.exceptions.NewConnectionError(connection, "Connection refused")
            reason.__cause__ = ConnectionRefusedError(111, "Connection refused")
            return requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(pool, "/", reason=reason)
            )
