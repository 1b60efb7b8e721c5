"""HTTP against a real server: what comes back, and what is certain when nothing does."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import ANY

import pytest

from destinations._version import __version__
from destinations.definition import Timeouts
from destinations.errors import TransportError, UnsendableError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.environment import environment_issues
from destinations.http.transport import HttpTransport

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
    assert running.bodies == [b"\0body\xff"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, f"destinations/{__version__}", id="ours"),
        ({"User-Agent": "Partner/2"}, "Partner/2"),
        ({"user-agent": "Partner/2"}, "Partner/2"),
    ],
)
def test_the_user_agent(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    headers: dict[str, str],
    expected: str,
) -> None:
    """Every request says once who sends it; the definition's own header replaces that."""
    running = server(_answer(OK))
    sending = transport()
    sending.send(HttpRequest("GET", running.url, headers, None))
    sending.send(_post(running.url, **headers))
    for head in running.heads:
        assert re.findall(r"(?im)^user-agent: (.*?)\r$", head.decode()) == [expected]
    assert len(running.heads) == 2


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
            "the answer is longer than the 16,777,216 bytes of answerBytes",
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


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(("answer_bytes", "is_read"), [(2_999, False), (3_000, True)])
def test_how_long_an_answer_may_be(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    answer_bytes: int,
    is_read: bool,
    encoding: str,
) -> None:
    """The definition says it for each request, and it is counted as it is read: decompressed."""
    body = gzip.compress(b"x" * 3_000) if encoding == "gzip" else b"x" * 3_000
    head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(body))
    running = server(_then_closes(HEAD + head + body))
    request = replace(_post(running.url), answer_bytes=answer_bytes)
    if is_read:
        assert transport().send(request).body == b"x" * 3_000
        return
    with pytest.raises(TransportError, match="longer than the 2,999 bytes") as caught:
        transport().send(request)
    assert caught.value.too_long


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
    sender.abort()
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
        ("http://127.0.0.1:CLOSED/", {}, "no connection: Connection refused"),
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
    url = url.replace("CLOSED", str(_closed_port()))
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
    answers = iter([_stops_midway, _then_closes(OK)])

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


def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def _hello_then(end: Serve) -> Callable[[socket.socket], None]:
    """Take the first bytes of a client, which are no HTTP request."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        end(connection, b"")

    return serve


def _hang(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


HANDSHAKES: dict[str, Callable[[socket.socket], None]] = {
    "reset": _hello_then(_resets),
    "close": _hello_then(_closes),
    "plain": _hello_then(_then_closes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
    "half of a record": _hello_then(_then_closes(b"\x16\x03\x03\x00\x40abc")),
    "alert": _hello_then(_then_closes(b"\x15\x03\x03\x00\x02\x02\x28")),
    "hang": _hang,
}


@contextlib.contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which each connection is served by a function."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        is_over = threading.Event()

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                if is_over.is_set():
                    connection.close()
                    return
                with connection, contextlib.suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield port
        is_over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 5).close()
        thread.join(10)


@pytest.mark.parametrize("kind", HANDSHAKES)
@pytest.mark.parametrize("proxied", [False, True])
def test_a_handshake_that_breaks(
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    *,
    proxied: bool,
) -> None:
    """A partner, or a proxy, with whom TLS does not come about got no byte of the request."""
    _no_proxies(monkeypatch)
    with _listening(HANDSHAKES[kind]) as port:
        url = f"https://127.0.0.1:{port}/"
        if proxied:
            monkeypatch.setenv("https_proxy", url)
            url = "https://api.example.com/v1"
        short = 0.3 if kind == "hang" else 10
        sender = transport(connect=short, read=short, total=20)
        for _ in range(2):
            with pytest.raises(TransportError) as caught:
                sender.send(_post(url))
            assert not caught.value.sent
            assert not isinstance(caught.value, UnsendableError)
            assert caught.value.message.startswith("no connection")


def _openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``cert.pem`` for 127.0.0.1, which it signs itself, and of ``key.pem``."""
    folder = tmp_path_factory.mktemp("tls")
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=partner"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        folder=folder,
    )
    return folder


def _speaking_tls(
    folder: Path, *, asks_for_certificate: bool = False
) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if asks_for_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "cert.pem")

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            stream = secured.makefile("rb")
            if _head(stream):
                stream.read(2)
                secured.sendall(OK)

    return serve


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_whom_the_environment_trusts(
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
    name: str,
) -> None:
    """Each of the usual variables names the certificates; without them nothing is sent."""
    _no_proxies(monkeypatch)
    with _listening(_speaking_tls(certificate)) as port:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            transport().send(_post(f"https://127.0.0.1:{port}/"))
        assert not caught.value.sent
        monkeypatch.setenv(name, str(certificate / "cert.pem"))
        assert transport().send(_post(f"https://127.0.0.1:{port}/")).body == b"ok"


def test_a_partner_that_wants_a_certificate(
    transport: Callable[..., HttpTransport], monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """In TLS 1.3 it says so when the request was written; it has read nothing of that."""
    _no_proxies(monkeypatch)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    serve = _speaking_tls(certificate, asks_for_certificate=True)
    with _listening(serve) as port, pytest.raises(TransportError) as caught:
        transport().send(_post(f"https://127.0.0.1:{port}/"))
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"REQUESTS_CA_BUNDLE": "/not/there.pem"}, "REQUESTS_CA_BUNDLE names /not/there.pem: No "),
        ({"CURL_CA_BUNDLE": "/not/there.pem"}, "CURL_CA_BUNDLE names /not/there.pem: No such "),
        ({"SSL_CERT_FILE": "/not/there.pem"}, "SSL_CERT_FILE names /not/there.pem: No such file"),
        (
            {"SSL_CERT_FILE": "{tmp}/nonsense"},
            "SSL_CERT_FILE names .*, a file without certificates",
        ),
        (
            {"SSL_CERT_FILE": "{tmp}"},
            "SSL_CERT_FILE names .*, a directory without hashed certificates",
        ),
        ({"HTTPS_PROXY": "http://"}, "the proxy for https requests .* has no host"),
        ({"HTTPS_PROXY": "http://u:secret@127.0.0.1:99999"}, "the proxy .* is not an address"),
        ({"HTTPS_PROXY": "ftp://127.0.0.1"}, "the proxy for https .* has the scheme 'ftp'"),
        ({"ALL_PROXY": "http://a b:3128"}, "the proxy for https .* is not an address"),
        ({"HTTPS_PROXY": "http://[::1"}, "the proxy for https .* is not an address"),
        ({"HTTPS_PROXY": f"http://{'a' * 70}:1"}, "the proxy for https .* has no host"),
    ],
)
def test_issues_of_the_environment(
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    message: str,
) -> None:
    """They are the operator's: an event waits for them, and they are found before the first."""
    _no_proxies(monkeypatch)
    (tmp_path / "nonsense").write_text("nonsense", encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    url = "https://api.example.com/v1"
    (issue,) = environment_issues([url])
    assert re.search(message, issue)
    assert "secret" not in issue
    with pytest.raises(TransportError, match=message) as caught:
        transport().send(_post(url))
    assert not caught.value.sent
    assert not isinstance(caught.value, UnsendableError)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTPS_PROXY": "127.0.0.1:3128"},
        {"HTTPS_PROXY": "http://u:p@proxy.example.com"},
        {"HTTPS_PROXY": "ftp://nonsense", "NO_PROXY": "example.com"},
        {"HTTP_PROXY": "ftp://nonsense"},
    ],
)
def test_an_environment_without_issues(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """What a request does not use is left alone."""
    _no_proxies(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment_issues(["https://api.example.com/v1"]) == []
    monkeypatch.setenv("SSL_CERT_FILE", "/not/there.pem")
    assert environment_issues(["http://127.0.0.1:8080/v1"]) == (
        [] if "HTTP_PROXY" not in variables else [ANY]
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_asks_for_credentials(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    """With 407 nothing went on to the partner, whether a tunnel was asked for or not."""
    _no_proxies(monkeypatch)
    text = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    running = server(_then_closes(text))
    monkeypatch.setenv(f"{scheme}_proxy", running.url)
    with pytest.raises(TransportError, match=r"through the proxy: .*407") as caught:
        transport().send(_post(f"{scheme}://api.example.com/v1"))
    assert not caught.value.sent


def test_a_partner_that_asks_for_credentials_of_a_proxy(
    server: Callable[[Serve], Server],
    transport: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no proxy stands between, 407 is an answer like others: it proves nothing."""
    _no_proxies(monkeypatch)
    text = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    running = server(_then_closes(text))
    assert transport().send(_post(running.url)).status == 407


ODD_HEADS: Sequence[bytes] = (
    *(b"Content-Length: 2\r\nContent-Length: 3", b"Content-Length: 2, 3", b"Content-Length: two"),
    *(b"Content-Length: -1", b"Content-Length: 9" + b"9" * 40, b"Content-Length:"),
    *(b"Transfer-Encoding: chunked\r\nContent-Length: 2", b"Transfer-Encoding: odd, chunked"),
    *(b"Content-Encoding: odd", b"Content-Encoding: gzip, gzip", b"Content-Type: \xff\xfe"),
    *(
        b"no colon",
        b": no name",
        b" folded: 1",
        b"X: " + b"y" * 70_000,
        b"X: 1\r\n" * 150 + b"Y: 1",
    ),
    *(b"Location: http://[::1", b"Set-Cookie: \x00=\x00; expires=never", b"Connection: upgrade"),
    *(b"Retry-After: \xff", b"Keep-Alive: timeout=no", b"X\x00: 1"),
)
ODD_STATUSES: Sequence[bytes] = (
    *(b"HTTP/1.1 99 Low", b"HTTP/1.1 1000 High", b"HTTP/1.1 abc No", b"HTTP/1.1 -20 No"),
    *(b"HTTP/9.9 200 OK", b"HTTP/1.1", b"HTTP/1.1 200", b"\xff\xfe 200 OK", b"", b"\r\n\r\n"),
    *(b"HTTP/1.1 302 Found\r\nLocation: http://[::1", b"HTTP/1.1 101 Switching"),
)
ODD_BODIES: Sequence[bytes] = (
    *(b"zz\r\nok\r\n0\r\n\r\n", b"-2\r\nok\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\nok"),
    *(b"2;" + b"x" * 70_000, b"2\nok\n0\n\n", b"\r\n\r\n"),
)
ODD_ANSWERS: Sequence[bytes] = (
    *(HEAD + odd + b"\r\n\r\nok" for odd in ODD_HEADS),
    *(odd + b"\r\n\r\nok" for odd in ODD_STATUSES),
    *(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + odd for odd in ODD_BODIES),
)


@pytest.mark.parametrize("answer", ODD_ANSWERS, ids=lambda text: repr(text[:70]))
def test_an_answer_that_cannot_be_read(
    server: Callable[[Serve], Server], transport: Callable[..., HttpTransport], answer: bytes
) -> None:
    """It is an answer that was lost: what it is about was sent, whatever the libraries say."""
    running = server(_then_closes(answer))
    lost: list[TransportError] = []
    try:
        transport().send(_post(running.url))
    except TransportError as error:
        lost.append(error)
    assert all(one.sent and not isinstance(one, UnsendableError) for one in lost)
    assert len(running.heads) == 1


@contextlib.contextmanager
def _answering_early(text: bytes, *, resets: bool) -> Iterator[int]:
    """A partner that reads nothing of a body."""

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(64)
        connection.sendall(text)
        if resets:
            _resets(connection, b"")

    with _listening(serve) as port:
        yield port


BODY = b"x" * 20_000_000  # more than the buffers of a connection hold


def test_an_answer_before_the_end_of_the_body(transport: Callable[..., HttpTransport]) -> None:
    """It is read, though the rest of the body can't be written; the connection is done with."""
    text = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    with _answering_early(text, resets=False) as port:
        sender, url = transport(), f"http://127.0.0.1:{port}/"
        for _ in range(3):
            assert sender.send(HttpRequest("POST", url, {}, BODY)).status == 413


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 41"])
@pytest.mark.parametrize("resets", [False, True])
def test_a_request_that_was_not_written_to_its_end(
    transport: Callable[..., HttpTransport], text: bytes, *, resets: bool
) -> None:
    """A partner that lacks the end of it has done nothing, whatever became of its answer."""
    with _answering_early(text, resets=resets) as port:
        with pytest.raises(TransportError) as caught:
            transport().send(HttpRequest("POST", f"http://127.0.0.1:{port}/", {}, BODY))
        assert not caught.value.sent
        assert "before the request was complete" in caught.value.message


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
