"""Requests whose time as a whole is over are cut off, wherever they are, and say what was sent."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3

from destinations.definition import Timeouts
from destinations.errors import TransportError
from destinations.http import HttpRequest
from destinations.http.deadline import Exchange, Permission, Watchdog, WatchedHTTPConnection
from destinations.http.transport import HttpTransport


@pytest.fixture
def dripping(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that sends one byte now and then, of whatever the test says, without an end."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    first: bytes = request.param

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(first)
            while not done.wait(0.02):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    done.set()
    listener.close()
    server.join(5)


@pytest.mark.parametrize(
    "dripping",
    [
        b"HTTP/1.1 200 OK\r\nX-Endless: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 ",
    ],
    ids=["in a header", "in a body", "in a body without length", "in the status line"],
    indirect=True,
)
def test_an_answer_that_drips_is_given_up(dripping: str) -> None:
    """The total time-out holds wherever in the answer the server drips, and it counts as sent."""
    transport = HttpTransport(Timeouts(connect=5, read=5, total=0.3))
    try:
        with pytest.raises(TransportError, match=r"took longer than 0\.3 s") as caught:
            transport.send(HttpRequest("POST", dripping, {}, b"{}"))
    finally:
        transport.close()
    assert caught.value.sent
    assert caught.value.timeout


_TCP_CLOSED = 7
"""What TCP_INFO says first of a connection that was reset; one that was ended is at 8."""


def _ends(listener: socket.socket, answer: bytes, done: threading.Event, ends: list[bool]) -> None:
    """Take a request, answer it, and note whether the connection was reset in the end."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        while b"{}" not in connection.recv(65536):
            pass
        connection.sendall(answer)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        done.wait(10)
        ends.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSED)


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the system does not tell")
@pytest.mark.parametrize(
    ("timeouts", "answer", "is_reset"),
    [
        (Timeouts(connect=5, read=5, total=0.2), b"", True),
        (Timeouts(connect=5, read=0.2, total=5), b"", True),
        (Timeouts(connect=5, read=5, total=0.2), b"HTTP/1.1 200 OK\r\nX-Part: ", True),
        (
            Timeouts(connect=5, read=5, total=5),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            False,
        ),
    ],
    ids=["the whole time", "the time of an answer", "in an answer", "answered"],
)
def test_how_connections_end(timeouts: Timeouts, answer: bytes, *, is_reset: bool) -> None:
    """After a request is given up, the system sends none of it any more: it resets the connection.

    Else a network that lets nothing pass for a while would deliver it later.
    """
    ends: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()
        args = (listener, answer, done, ends)
        server = threading.Thread(target=_ends, args=args, daemon=True)
        server.start()
        transport = HttpTransport(timeouts)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with contextlib.suppress(TransportError):
            transport.send(HttpRequest("POST", url, {}, b"{}"))
        transport.close()
        done.set()
        server.join(10)
    assert ends == [is_reset]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such limit")
def test_what_the_system_sends_again(answering: tuple[str, list[str]]) -> None:
    """It sends nothing again once the time is over, also if this process is stopped by then."""
    url, _ = answering
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    connection = WatchedHTTPConnection(host, int(port))
    with contextlib.closing(connection), Exchange(seconds=2.5):
        connection.request("POST", "/", body=b"{}", headers={})
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500


class _Noted(Exchange):
    """An exchange that tells when it is cut off."""

    __slots__ = ("cut", "order")

    def __init__(self, order: list[_Noted]) -> None:
        super().__init__()
        self.cut = threading.Event()
        self.order = order

    def expire(self) -> None:
        """See `Exchange`."""
        super().expire()
        self.order.append(self)
        self.cut.set()


class _Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> _Time:
    """The time of `watchdog`."""
    return _Time()


@pytest.fixture
def watchdog(time: _Time) -> Iterator[Watchdog]:
    """A watchdog that ends with the test."""
    watching = Watchdog(time)
    yield watching
    watching.close()


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "deadlines"]


def test_exchanges_end_when_their_time_is_over(watchdog: Watchdog, time: _Time) -> None:
    """In the order of their times, whatever that of their beginnings was, and no other does."""
    order: list[_Noted] = []
    late, early, later = (_Noted(order) for _ in range(3))
    watchdog.watch(late, 20.0)
    watchdog.watch(early, 10.0)
    watchdog.watch(later, 1_000.0)
    time.now = 30.0
    now = _Noted(order)
    watchdog.watch(now, -25.0)  # an earlier time than all, so that the thread looks at the clock
    assert late.cut.wait(10)
    assert now.cut.wait(10)
    assert order.index(early) < order.index(late)
    assert [one.expired for one in (now, early, late, later)] == [True, True, True, False]


def test_an_exchange_that_is_over_is_left_alone(watchdog: Watchdog, time: _Time) -> None:
    """Its connection may serve another request by then."""
    order: list[_Noted] = []
    with _Noted(order) as over:
        watchdog.watch(over, 10.0)
    time.now = 30.0
    last = _Noted(order)
    watchdog.watch(last, -25.0)
    assert last.cut.wait(10)
    over.expire()
    assert not over.expired


def test_one_thread_watches_all(watchdog: Watchdog) -> None:
    """It begins with the first exchange, and ends with the watchdog."""
    before = _threads()
    for seconds in (50.0, 40.0, 60.0):
        watchdog.watch(Exchange(), seconds)
    (thread,) = set(_threads()) - set(before)
    watchdog.close()
    assert not thread.is_alive()
    watchdog.watch(Exchange(), 10.0)  # nothing begins anew
    assert not set(_threads()) - set(before)


class _Server(http.server.ThreadingHTTPServer):
    """A server whose clients may leave in the middle."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing is printed."""


class _Answering(http.server.BaseHTTPRequestHandler):
    """Answers everything, and keeps connections open."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.visits.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def answering() -> Iterator[tuple[str, list[str]]]:
    """The URL of a server that answers, and the paths that it was asked for."""
    visits: list[str] = []
    server = _Server(("127.0.0.1", 0), _Answering)
    server.visits = visits  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", visits
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """The exchanges that transports make, in order."""
    made: list[Exchange] = []

    class Kept(Exchange):
        __slots__ = ()

        def __init__(
            self, permission: Permission | None = None, seconds: float | None = None
        ) -> None:
            super().__init__(permission, seconds)
            made.append(self)

    monkeypatch.setattr("destinations.http.transport.Exchange", Kept)
    return made


def test_a_transport_has_one_thread_for_all_requests(answering: tuple[str, list[str]]) -> None:
    """Also if several threads send; it ends with the transport."""
    url, visits = answering
    before = _threads()
    transport = HttpTransport(Timeouts(10, 10, 20))

    def send() -> None:
        for _ in range(5):
            transport.send(HttpRequest("POST", url, {}, b"{}"))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(visits) == 15
    assert len(set(_threads()) - set(before)) == 1
    transport.close()
    assert not set(_threads()) - set(before)


def test_time_that_ends_while_connecting(
    answering: tuple[str, list[str]], exchanges: list[Exchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent any more, and that is certain; so the request may be sent again."""
    url, visits = answering
    real = socket.getaddrinfo

    def slow(*arguments: Any, **options: Any) -> Any:
        exchanges[-1].expire()  # there is no connection yet that could be cut off
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    transport = HttpTransport(Timeouts(10, 10, 20))
    with contextlib.closing(transport):
        with pytest.raises(TransportError, match="took longer than 20 s") as caught:
            transport.send(HttpRequest("POST", url + "late", {}, b"{}"))
        assert (caught.value.sent, caught.value.timeout) == (False, True)
        monkeypatch.undo()
        transport.send(HttpRequest("POST", url + "again", {}, b"{}"))
    assert visits == ["/again"]


@pytest.mark.parametrize(
    ("expired", "sent"), [("before", False), ("after", True)], ids=["before", "after"]
)
def test_what_was_sent_when_time_ended(
    answering: tuple[str, list[str]], expired: str, sent: bool
) -> None:
    """Until the first byte leaves nothing was sent; from then on that is open."""
    url, _ = answering
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    connection = WatchedHTTPConnection(host, int(port))
    with contextlib.closing(connection), Exchange() as exchange:
        assert (exchange.connected, exchange.sent) == (False, False)
        connection.connect()
        assert (exchange.connected, exchange.sent) == (True, False)
        if expired == "before":
            exchange.expire()
        with contextlib.suppress(urllib3.exceptions.ConnectTimeoutError):
            connection.request("POST", "/", body=b"{}", headers={})
        if expired == "after":
            exchange.expire()
        assert (exchange.sent, exchange.expired) == (sent, True)


def test_exchanges_of_threads_are_apart() -> None:
    """A connection belongs to the exchange of the thread that uses it."""
    seen: list[bool] = []

    def other(connect: Callable[[], None]) -> None:
        with contextlib.suppress(OSError), Exchange() as exchange:
            seen.append(exchange.connected)
            connect()

    with Exchange() as exchange:
        connection = WatchedHTTPConnection("127.0.0.1", 9)
        thread = threading.Thread(target=other, args=(lambda: None,))
        thread.start()
        thread.join(10)
        with contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
            connection.connect()
        assert exchange.connected
    assert seen == [False]
