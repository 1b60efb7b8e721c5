"""The HTTP side of a stand-in: connections, routes, and answers sent as fault rules demand.

Routes: ``POST /faults`` (a JSON list of rules) and ``DELETE /faults``; ``GET /requests``; and those
of the service, such as its view ``GET /snapshot``. All other requests are for the partner.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from destinations.errors import DefinitionError, UsageError
from destinations.http.answer import HttpResponse
from destinations.sandbox.exchange import ServedAccount, exchange
from destinations.sandbox.faults import FaultRule
from destinations.sandbox.wire import (
    ORIGIN_HEADER,
    WireError,
    WireRequest,
    json_response,
    read_json,
)

__all__ = ["Route", "RunningServer", "Service"]

_MAX_BODY: Final = 10 * 1024 * 1024

# How often the server looks whether it is to stop.
_POLL_SECONDS: Final = 0.02

View = Callable[[ServedAccount[Any]], object]
"""Returns the JSON value that ``GET`` shows of an account."""


Route = Callable[[ServedAccount[Any], bytes], HttpResponse]
"""Answers a request that is not for the partner, by the account and the body."""


class Service(ABC):
    """The subject of a server: accounts at a partner; ``name`` is that of the header ``Server``.

    ``views`` are shown at further paths, such as ``/snapshot``; ``routes`` has others, by path and
    method.
    """

    name: str = "sandbox"
    views: Mapping[str, View] = {}
    routes: Mapping[str, Mapping[str, Route]] = {}

    @abstractmethod
    def open(self, authorization: str | None) -> ServedAccount[Any] | HttpResponse:
        """Return the account for faults and views, or the answer to a key that opens none."""

    @abstractmethod
    def find(self, request: WireRequest) -> ServedAccount[Any]:
        """Return the account for a request to the partner.

        Raises `WireError` where the partner has no such path or method.
        """


class RunningServer:
    """A server for a service, in threads of this process, on 127.0.0.1 only.

    Port 0 picks a free one. Raises `UsageError` if the port cannot be used.
    """

    def __init__(self, service: Service, port: int = 0) -> None:
        try:
            self._server = _Server(service, port)
        except (OSError, OverflowError) as error:
            raise UsageError(f"cannot use the port {port}: {error}") from None
        self.origin: Final = f"http://127.0.0.1:{self._server.server_port}"
        self._thread: threading.Thread | None = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": _POLL_SECONDS},
            name=service.name,
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, and end every connection; safe to repeat."""
        if self._thread is not None:
            self._server.shutdown()
            self._server.close_connections()
            self._server.server_close()
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    """A server with a thread for each connection, on 127.0.0.1 only. Port 0 picks a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that :meth:`close_connections` can end it."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error, unless the client has closed the connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """Close the connections that are kept alive, and end the waits of fault rules."""
        self.stopping.set()
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # The client closed it at the same moment.
                    continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sys_version = ""
    disable_nagle_algorithm = True
    server: _Server

    def version_string(self) -> str:
        """Return the header ``Server``."""
        return self.server.service.name

    def handle_one_request(self) -> None:
        """Read one request and answer it, whatever its method is."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if len(self.raw_requestline) > 65536 or not self.parse_request():
            self.close_connection = True
            return
        try:
            self._dispatch()
        except WireError as problem:
            self.close_connection = True
            self._send(problem.response())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - their signature
        """Print nothing: the log is in memory (``GET /requests``)."""

    def _dispatch(self) -> None:
        names = dict.fromkeys(name.lower() for name in self.headers)
        headers = {name: ", ".join(self.headers.get_all(name, ())) for name in names}
        request = WireRequest(self.command, self.path, headers, self._body())
        routes = _routes(self.server.service).get(request.path)
        if routes is None or ORIGIN_HEADER in headers:
            self._exchange(request)
        elif self.command not in routes:
            allowed = ", ".join(routes)
            message = f"Invalid method {self.command}: expected {allowed}"
            self._send(WireError(405, message, {"allow": allowed}).response())
        else:
            served = self.server.service.open(headers.get("authorization"))
            if isinstance(served, ServedAccount):
                self._send(routes[self.command](served, request.body))
            else:
                self._send(served)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            raise WireError(411, "The body comes in chunks: expected a Content-Length")
        text = self.headers.get("Content-Length", "0").strip()
        if not (text.isascii() and text.isdigit()):
            raise WireError(400, "Invalid Content-Length: expected a number of bytes")
        if int(text) > _MAX_BODY:
            raise WireError(413, f"The body is too large: expected at most {_MAX_BODY} bytes")
        body = self.rfile.read(int(text))
        if len(body) < int(text):
            raise ConnectionResetError("the client went away before its request was complete")
        return body

    def _exchange(self, request: WireRequest) -> None:
        wait = self.server.stopping.wait
        try:
            served = self.server.service.find(request)
        except WireError as problem:
            self._send(problem.response())
            return
        done = exchange(served, request, wait)
        stops = bool(done.rule.delay) and wait(done.rule.delay)
        if done.answer is None or stops:
            self.close_connection = True
        else:
            self._send(done.answer, done.rule)

    def _send(self, answer: HttpResponse, rule: FaultRule | None = None) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        body = b"" if self.command == "HEAD" else answer.body
        if rule is not None and rule.cut is not None and rule.cut < len(body):
            body = body[: rule.cut]
            self.close_connection = True
        if rule is not None and rule.drip is not None:
            self.end_headers()
            for start in range(0, len(body), rule.drip.bytes):
                self.wfile.write(body[start : start + rule.drip.bytes])
                self.server.stopping.wait(rule.drip.interval)
            return
        # Send head and body together, in one packet if they fit.
        self._headers_buffer.extend((b"\r\n", body))  # type: ignore[attr-defined]  # made by send_response
        self.flush_headers()


def _add_faults(served: ServedAccount[Any], body: bytes) -> HttpResponse:
    try:
        added = served.faults.add_json(read_json(body))
    except DefinitionError as error:
        return json_response({"errors": [{"message": str(issue)} for issue in error.issues]}, 400)
    return json_response({"added": added, "rules": len(served.faults)})


def _clear_faults(served: ServedAccount[Any], _body: bytes) -> HttpResponse:
    served.faults.clear()
    return json_response({"rules": len(served.faults)})


def _shown(view: View) -> Mapping[str, Route]:
    return {"GET": lambda served, _body: json_response(view(served))}


def _routes(service: Service) -> Mapping[str, Mapping[str, Route]]:
    """Return the answers to requests that are not for the partner, by path and method."""
    return {
        "/faults": {"POST": _add_faults, "DELETE": _clear_faults},
        "/requests": _shown(lambda served: served.requests.to_json()),
        **{path: _shown(view) for path, view in service.views.items()},
        **service.routes,
    }
