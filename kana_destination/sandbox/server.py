"""The HTTP side of the sandbox: connections, routes, and answers sent as fault rules demand.

Routes: ``POST /graphql``; ``POST /faults`` (a JSON list of rules) and ``DELETE /faults``;
``GET /requests``; ``GET /snapshot``. The key says which account each is about.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from destinations.errors import DefinitionError
from kana_destination.sandbox.accounts import Accounts
from kana_destination.sandbox.errors import KanaError, request_error
from kana_destination.sandbox.exchange import Answer, ServedAccount, serve_graphql
from kana_destination.sandbox.faults import FaultRule
from kana_destination.sandbox.graphql_http import RequestHead, WireError, read_json

__all__ = ["GRAPHQL_PATH", "SandboxServer"]

GRAPHQL_PATH: Final = "/graphql"
_MAX_BODY: Final = 10 * 1024 * 1024


class SandboxServer(ThreadingHTTPServer):
    """A server with a thread for each connection, on 127.0.0.1 only. Port 0 picks a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, accounts: Accounts, port: int) -> None:
        self.accounts = accounts
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
    server_version = "kana-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    server: SandboxServer

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
            self._send(Answer.of(problem.to_json(), problem.status))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - their signature
        """Print nothing: the log is in memory (``GET /requests``)."""

    def _dispatch(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        routes = _ROUTES.get(path, {})
        methods = ("POST",) if path == GRAPHQL_PATH else tuple(routes)
        if not methods:
            known = ", ".join((GRAPHQL_PATH, *_ROUTES))
            self._refuse(404, f"Unknown path; known: {known}")
        elif self.command not in methods:
            allowed = ", ".join(methods)
            message = f"Invalid method {self.command}: expected {allowed}"
            self._refuse(405, message, ("Allow", allowed))
        elif path == GRAPHQL_PATH:
            self._graphql(body)
        else:
            try:
                served = self.server.accounts.open(self.headers.get("Authorization"))
            except KanaError as error:
                self._send(Answer.of(request_error(error), 401))
            else:
                self._send(routes[self.command](served, body))

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

    def _graphql(self, body: bytes) -> None:
        wait = self.server.stopping.wait
        head = RequestHead(
            self.headers.get("Authorization"),
            self.headers.get("Content-Type"),
            ", ".join(self.headers.get_all("Accept", ())),
        )
        served = self.server.accounts.find(head.authorization)
        exchange = serve_graphql(served, head, body, wait)
        stops = bool(exchange.rule.delay) and wait(exchange.rule.delay)
        if exchange.answer is None or stops:
            self.close_connection = True
        else:
            self._send(exchange.answer, exchange.rule)

    def _refuse(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        body = Answer.of(WireError(status, message).to_json()).body
        self._send(Answer(status, body, headers))

    def _send(self, answer: Answer, rule: FaultRule | None = None) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
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


def _add_faults(served: ServedAccount, body: bytes) -> Answer:
    try:
        added = served.faults.add_json(read_json(body))
    except DefinitionError as error:
        return Answer.of({"errors": [{"message": str(issue)} for issue in error.issues]}, 400)
    return Answer.of({"added": added, "rules": len(served.faults)})


def _clear_faults(served: ServedAccount, _body: bytes) -> Answer:
    served.faults.clear()
    return Answer.of({"rules": len(served.faults)})


def _requests(served: ServedAccount, _body: bytes) -> Answer:
    return Answer.of(served.requests.to_json())


def _snapshot(served: ServedAccount, _body: bytes) -> Answer:
    return Answer.of(served.snapshot())


Route = Callable[[ServedAccount, bytes], Answer]

_ROUTES: Final[Mapping[str, Mapping[str, Route]]] = {
    "/faults": {"POST": _add_faults, "DELETE": _clear_faults},
    "/requests": {"GET": _requests},
    "/snapshot": {"GET": _snapshot},
}
