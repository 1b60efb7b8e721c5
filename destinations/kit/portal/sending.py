"""Send the requests of a check, each on a connection of its own or all on one."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from destinations.definition import Timeouts
from destinations.errors import TransportError
from destinations.http.answer import HttpRequest, HttpResponse
from destinations.http.deadline import (
    Exchange,
    Watchdog,
    WatchedHTTPConnection,
    WatchedHTTPSConnection,
)
from destinations.http.environment import trusted_certificates
from destinations.http.transport import HttpTransport
from destinations.kit.portal.answer import EndpointAnswer

__all__ = ["send_each", "send_on_one_connection"]

_Connection = WatchedHTTPConnection | WatchedHTTPSConnection

_CLOSED: Final = EndpointAnswer(
    0, ending="announced", reason="the answer before it said that the connection would close"
)


def send_each(sent: Sequence[HttpRequest], seconds: float) -> Iterator[EndpointAnswer]:
    """Yield the answer to each request, within ``seconds``; each has a connection of its own.

    So a connection that ends unannounced after one answer is no fault of the next one.
    """
    for request in sent:
        transport = HttpTransport(Timeouts(seconds, seconds, seconds))
        with contextlib.closing(transport):
            try:
                answer = EndpointAnswer.of_response(transport.send(request))
            except TransportError as error:
                answer = EndpointAnswer.of_error(error)
        yield answer


def send_on_one_connection(sent: Sequence[HttpRequest], seconds: float) -> Iterator[EndpointAnswer]:
    """Yield the answers to requests for one host on one connection, each within ``seconds``.

    They end with the first request that gets none. `HttpTransport` would open another connection
    then, and not say so.
    """
    with contextlib.closing(Watchdog()) as watchdog:
        connection = _connection(sent[0].url, seconds)
        with contextlib.closing(connection):
            for number, request in enumerate(sent):
                if number and connection.sock is None:
                    yield _CLOSED
                    return
                with Exchange() as exchange:
                    watchdog.watch(exchange, seconds)
                    answer = _answer(connection, request, exchange)
                yield answer
                if not answer.status:
                    return


def _connection(url: str, seconds: float) -> _Connection:
    """Return a connection to the host of a URL, which is not open yet."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return WatchedHTTPConnection(host, parts.port, timeout=seconds)
    found = trusted_certificates()
    path = found[1] if found else DEFAULT_CA_BUNDLE_PATH
    trusted: dict[str, Any] = {"ca_cert_dir" if Path(path).is_dir() else "ca_certs": path}
    return WatchedHTTPSConnection(
        host, parts.port, timeout=seconds, cert_reqs="CERT_REQUIRED", **trusted
    )


def _answer(connection: _Connection, request: HttpRequest, exchange: Exchange) -> EndpointAnswer:
    try:
        response = _response(connection, request)
    except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        if exchange.expired or isinstance(error, TimeoutError):
            return EndpointAnswer(0, ending="timeout", reason="no answer: timed out")
        if not exchange.sent:
            return EndpointAnswer(0, ending="unreachable", reason="no connection")
        return EndpointAnswer(
            0, ending="broken", reason="the connection ended, and no answer had announced that"
        )
    if len(response.body) > request.answer_bytes:
        return EndpointAnswer(0, ending="too long", reason="the answer was too long to be read")
    return EndpointAnswer.of_response(response)


def _response(connection: _Connection, request: HttpRequest) -> HttpResponse:
    """Send a request and read its answer, one byte beyond ``answer_bytes`` at most."""
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request(
        request.method, target, request.body, dict(request.headers), preload_content=False
    )
    found = connection.getresponse()
    body = found.read(request.answer_bytes + 1, decode_content=False)
    headers = {name.lower(): value for name, value in found.headers.items()}
    return HttpResponse(found.status, headers, body)
