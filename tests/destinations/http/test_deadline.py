from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from destinations.definition import Timeouts
from destinations.http import HttpRequest
from destinations.http.transport import HttpTransport, TransportError


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
def test_an_answer_that_drips_is_given_up(dripping: str):
    """The total time-out holds wherever in the answer the server drips, and it counts as sent."""
    transport = HttpTransport(Timeouts(connect=5, read=5, total=0.3))
    try:
        with pytest.raises(TransportError, match=r"took longer than 0\.3 s") as caught:
            transport.send(HttpRequest("POST", dripping, {}, b"{}"))
    finally:
        transport.close()
    assert caught.value.sent
    assert caught.value.timeout
