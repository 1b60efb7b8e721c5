"""HTTP against a real server: what comes back, and what is certain when nothing does."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from destinations.definition import Timeouts
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport, TransportError, UnsendableError

Serve = Callable[[socket.socket, bytes], None]


@dataclass
class Server:
    """A server of one function, which gets each connection's socket and each request's head.

    The function may return at any point: then the connection is closed.
    """

    serve: Serve
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Listens on a free port of this machine."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/"

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                if self.done.is_set():
                    connection.close()
                    return
                self.connections += 1
                self._start(self._handle, connection)

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb")
            while head := _head(stream):
                self.heads.append(head)
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                self.bodies.append(stream.read(length))
                self.serve(connection, head)

    def close(self) -> None:
        """Lets everything end."""
        self.done.set()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self.listener.close()
        for thread in self._threads:
            thread.join(10)


def _head(stream: BinaryIO) -> bytes:
    lines = b""
    while line := stream.readline():
        lines += line
        if line == b"\r\n":
            return lines
    return b""


@pytest.fixture
def server() -> Iterator[Callable[[Serve], Server]]:
    """Starts servers; they end with the test."""
    servers: list[Server] = []

    def start(serve: Serve) -> Server:
        servers.append(Server(serve))
        return servers[-1]

    yield start
    for running in servers:
        running.close()


@pytest.fixture
def transport() -> Iterator[Callable[..., HttpTransport]]:
    """Makes transports with generous time-outs, unless other seconds are given."""
    made: list[HttpTransport] = []

    def make(
        connect: float = 10, read: float = 10, total: float = 20, **options: Any
    ) -> HttpTransport:
        made.append(HttpTransport(Timeouts(connect, read, total), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _post(url: str, **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, headers, b"{}")


def _answer(text: bytes) -> Serve:
    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(text)

    return serve


HEAD = b"HTTP/1.1 200 OK\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Some: Thing\r\n\r\nok"


def test_a_request_and_its_answer(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """Method, path, headers and body arrive as they are; status, headers and body come back."""
    running = server(_answer(OK))
    headers = {"Authorization": "Bearer ä"}
    request = HttpRequest("PUT", running.url + "a?b=c", headers, b"\0body\xff")
    response = transport().send(request)
    assert (response.status, response.body) == (200, b"ok")
    assert response.headers["x-some"] == "Thing"
    (head,) = running.heads
    assert head.startswith(b"PUT /a?b=c HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer \xe4\r\n" in head
    assert b"\r\nUser-Agent: kana-destination/" in head
    assert running.bodies == [b"\0body\xff"]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops", 500, b"oops"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            200,
            b"abcde",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/x\r\nContent-Length: 2\r\n\r\nno",
            302,
            b"no",
        ),
        (
            b"HTTP/1.1 307 Again\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
            307,
            b"",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
            % (len(gzip.compress(b"z" * 10_000)), gzip.compress(b"z" * 10_000)),
            200,
            b"z" * 10_000,
        ),
    ],
)
def test_answers(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    answer: bytes,
    status: int,
    body: bytes,
) -> None:
    """Every whole answer is one, of any status; redirects are not followed."""
    running = server(_answer(answer))
    response = transport().send(_post(running.url))
    assert (response.status, response.body) == (status, body)
    assert len(running.heads) == 1


def _silent(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)  # until the client has gone


def _stops_midway(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    connection.recv(1)


def _closes(connection: socket.socket, _: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def _resets(connection: socket.socket, _: bytes) -> None:
    # A close with a linger time of 0 resets the connection.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def _then_closes(text: bytes) -> Serve:
    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_RDWR)

    return serve


@pytest.mark.parametrize(
    ("serve", "timeout", "message"),
    [
        (_silent, True, "no answer: timed out"),
        (_stops_midway, True, "the answer stopped coming: timed out"),
        (_closes, False, "the connection broke before the answer was complete"),
        (_resets, False, "the connection broke before the answer was complete"),
        (_then_closes(b"HTTP/1.1 20"), False, "the connection broke"),
        # `http.client` takes the end of the connection for that of the headers.
        (_then_closes(HEAD), False, "the answer was cut off"),
        (_then_closes(HEAD + b"Content-Le"), False, "the answer was cut off"),
        (_then_closes(HEAD + b"Content-Type: text/plain\r\n"), False, "the answer was cut off"),
        (_then_closes(b"not http at all\r\n\r\n"), False, "the connection broke"),
        (_then_closes(HEAD + b"Content-Length: 9\r\n\r\nabc"), False, "the connection broke"),
        (
            _then_closes(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
            False,
            "the connection broke",
        ),
        (
            _then_closes(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
            False,
            "the connection broke",
        ),
        (
            _then_closes(
                HEAD
                + b"Content-Encoding: gzip\r\nContent-Length: 40\r\n\r\n"
                + gzip.compress(b"abc")[:12]
            ),
            False,
            "the connection broke",
        ),
        (
            _then_closes(HEAD + b"Content-Length: 99999999\r\n\r\n" + b"x" * (17 << 20)),
            False,
            "the answer is longer than 16,777,216 bytes",
        ),
    ],
)
def test_what_was_sent_without_an_answer(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    serve: Serve,
    timeout: bool,
    message: str,
) -> None:
    """Once the request was sent, everything but a whole answer leaves open what was done."""
    running = server(serve)
    with pytest.raises(TransportError) as caught:
        transport(read=0.2 if timeout else 10).send(_post(running.url))
    assert caught.value.sent
    assert caught.value.timeout is timeout
    assert caught.value.message.startswith(message)
    assert "0x" not in caught.value.message
    assert len(running.heads) == 1


def test_hanging_up(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """What is under way comes back at once, and nothing is sent any more."""
    asked = threading.Event()

    def serve(connection: socket.socket, head: bytes) -> None:
        asked.set()
        _silent(connection, head)

    running, sender = server(serve), transport()
    failures: list[TransportError] = []

    def send() -> None:
        with pytest.raises(TransportError) as caught:
            sender.send(_post(running.url))
        failures.append(caught.value)

    thread = threading.Thread(target=send)
    thread.start()
    assert asked.wait(10)
    sender.hang_up()
    thread.join(10)
    send()
    assert [(one.sent, one.timeout, one.message) for one in failures] == [
        (True, True, "no answer until it was given up"),
        (False, True, "no answer until it was given up"),
    ]
    assert len(running.heads) == 1


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("url", "headers", "message"),
    [
        (f"http://127.0.0.1:{_closed_port()}/", {}, "no connection: Connection refused"),
        ("http://127.0.0.1:99999/", {}, "the request cannot be sent: "),
        ("http://exa mple.com/", {}, "the request cannot be sent: "),
        (f"http://{'a' * 70}/", {}, "the request cannot be sent: "),
        ("http://[::1/", {}, "the request cannot be sent: "),
        ("http://127.0.0.1:9/", {"A": "b\nc"}, "the request cannot be sent: "),
        ("http://127.0.0.1:9/", {"A": "\N{SNOWMAN}"}, "the request cannot be sent: "),
    ],
)
def test_what_was_not_sent(
    transport: Callable[..., HttpTransport], url: str, headers: dict[str, str], message: str
) -> None:
    """Without a connection it is certain that the partner got nothing."""
    with pytest.raises(TransportError) as caught:
        transport().send(_post(url, **headers))
    assert not caught.value.sent
    assert caught.value.message.startswith(message)
    never = isinstance(caught.value, UnsendableError)
    assert never == message.startswith("the request cannot be sent")


def test_a_connection_that_is_not_accepted(transport: Callable[..., HttpTransport]) -> None:
    """A time-out while connecting is certain as well: the partner got nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The queue of a server that accepts nothing is full after few connections.
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        sender, url = transport(connect=0.2), f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransportError) as caught:
            sender.send(_post(url))
    assert not caught.value.sent
    assert caught.value.timeout
    assert caught.value.message == "no connection: timed out"


def test_a_slow_drip_meets_the_deadline(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """Bytes that keep coming, each in time, do not stretch a request beyond its total."""
    now = 0.0

    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _number in range(1000):
            if step.acquire(timeout=10):
                connection.sendall(b"x")

    def monotonic() -> float:
        nonlocal now
        now += 1.0  # each look at the clock is a second later
        step.release()  # and only then comes the next byte
        return now

    step = threading.Semaphore(0)
    running = server(drip)
    with pytest.raises(TransportError, match="the answer took longer than 5 s") as caught:
        transport(total=5, monotonic=monotonic).send(_post(running.url))
    assert caught.value.sent
    assert caught.value.timeout
    assert now < 20
    step.release(1000)  # the server notices by itself that nobody listens any more


def test_connections_are_used_again_unless_they_are_old(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """A connection that was idle for long may be closing: a request on it could be lost."""
    now = [0.0]
    running = server(_answer(OK))
    sender = transport(monotonic=lambda: now[0])
    for wait, connections in ((0.0, 1), (1.0, 1), (3.9, 1), (4.5, 2), (0.1, 2)):
        now[0] += wait
        sender.send(_post(running.url))
        assert running.connections == connections


def test_a_connection_that_the_server_closed_is_replaced(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """The next request takes a new connection instead of being lost on the old one."""
    running = server(_answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
    sender = transport()
    for _ in range(3):
        sender.send(_post(running.url))
    assert running.connections == 3


def test_each_thread_has_its_connections(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """Threads send side by side."""
    together = threading.Barrier(3, timeout=10)

    def serve(connection: socket.socket, _: bytes) -> None:
        together.wait()  # no answer before all three requests are here
        connection.sendall(OK)

    running = server(serve)
    sender = transport()
    responses: list[HttpResponse] = []
    threads = [
        threading.Thread(target=lambda: responses.append(sender.send(_post(running.url))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [response.status for response in responses] == [200] * 3


def test_credentials_of_the_environment_are_not_used(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ~/.netrc does not replace the header that the definition sets."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    running = server(_answer(OK))
    transport().send(_post(running.url, Authorization="Bearer k"))
    assert b"\r\nAuthorization: Bearer k\r\n" in running.heads[0]
    assert b"Basic" not in running.heads[0]


def test_a_connection_is_not_used_after_a_failure(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """The rest of an answer that was given up is never taken for the answer to another request."""
    answers = iter([_stops_midway, _answer(OK)])

    def serve(connection: socket.socket, head: bytes) -> None:
        next(answers)(connection, head)

    running = server(serve)
    sender = transport(read=0.2)
    with pytest.raises(TransportError):
        sender.send(_post(running.url))
    assert sender.send(_post(running.url)).body == b"ok"
    assert running.connections == 2


def test_the_proxy_of_the_environment_is_used(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests go through it, and where it cannot be reached nothing was sent."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = server(_answer(OK))
    monkeypatch.setenv("http_proxy", running.url)
    assert transport().send(_post("http://api.example.com/v1")).body == b"ok"
    assert running.heads[0].startswith(b"POST http://api.example.com/v1 HTTP/1.1\r\n")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{_closed_port()}/")
    with pytest.raises(TransportError) as caught:
        transport().send(_post("http://api.example.com/v1"))
    assert not caught.value.sent
    assert caught.value.message == "no connection through the proxy: Connection refused"


def test_a_failed_handshake(transport: Callable[..., HttpTransport]) -> None:
    """A partner that does not speak TLS got no byte of the request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransportError) as caught:
            transport().send(_post(url))
        thread.join(10)
    assert not caught.value.sent
    assert caught.value.message.startswith("no connection: ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno TLS from here on",
        b"",
    ],
    ids=["refuses", "speaks no TLS", "closes"],
)
def test_a_proxy_that_does_not_lead_to_the_partner(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes,
) -> None:
    """What the proxy is asked for is no part of the request, of which nothing was sent."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = server(_then_closes(answer))
    monkeypatch.setenv("https_proxy", running.url)
    with pytest.raises(TransportError) as caught:
        transport().send(_post("https://api.example.com/v1"))
    assert not caught.value.sent
    assert running.heads[0].startswith(b"CONNECT api.example.com:443 HTTP/1.")


def test_requests_with_the_same_head_have_their_own_bodies(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """What is made once for all of them says nothing of a body."""
    running = server(_answer(OK))
    sender = transport()
    bodies = [b"{}", b'{"a":1}', None, b"", b"{}"]
    for body in bodies:
        sender.send(HttpRequest("POST", running.url, {"A": "b"}, body))
    assert running.bodies == [body or b"" for body in bodies]
    assert running.connections == 1


def test_requests_with_other_heads_are_apart(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport]
) -> None:
    """Method, path and every header are those of the request itself, however many there are."""
    running = server(_answer(OK))
    sender = transport()
    for number in range(300):
        method = ("PUT", "POST")[number % 2]
        headers = {"X-Number": str(number)}
        sender.send(HttpRequest(method, f"{running.url}{number // 2}", headers, b"{}"))
    for number, head in enumerate(running.heads):
        method = ("PUT", "POST")[number % 2]
        assert head.startswith(f"{method} /{number // 2} HTTP/1.1\r\n".encode())
        assert f"\r\nX-Number: {number}\r\n".encode() in head
