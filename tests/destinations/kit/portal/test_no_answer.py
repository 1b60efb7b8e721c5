"""Endpoints that give no answer, or none that can be read."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from destinations.errors import TemporaryError
from destinations.kit.portal import CHECKS, CheckedEndpoint, Endpoint, Row, Verdict
from destinations.secrets import Secret

KEY = Secret("prv_test_Ab1Cd2Ef3Gh4Ij5")


def _rows(url: str, *only: str, seconds: float = 30) -> list[Row]:
    checks = [check for check in CHECKS if not only or check.name in only]
    return list(CheckedEndpoint(Endpoint(url, KEY), seconds=seconds).run(checks))


@dataclass
class Given:
    """A reply of the endpoint; see its conftest."""

    status: int
    body: Any
    headers: dict[str, str]
    cut: bool = False


def test_an_endpoint_that_hangs(endpoint: Any) -> None:
    """After three time-outs the rest is skipped: nobody waits for all of them."""
    endpoint.open.clear()
    rows = _rows(endpoint.url, seconds=0.1)
    assert [row.verdict for row in rows[:3]] == [Verdict.FAULT] * 3
    assert {row.verdict for row in rows[3:]} == {Verdict.SKIPPED}
    assert (rows[0].status, rows[0].statuses) == (0, (0,))
    assert re.match("No answer: timed out|The answer took longer than 0.1 s", rows[0].message)
    assert "did not answer 3 checks in a row" in rows[3].message


def test_an_endpoint_that_hangs_before_a_call_is_known(endpoint: Any) -> None:
    """Looking for a call that it accepts ends as soon."""
    endpoint.open.clear()
    names = ("anonymous", "repeat", "correction", "field-case")
    rows = _rows(endpoint.url, *names, seconds=0.1)
    assert {row.verdict for row in rows} == {Verdict.SKIPPED}
    endpoint.open.set()
    assert len(endpoint.requests) == 3


def test_an_endpoint_that_hangs_now_and_then(endpoint: Any) -> None:
    """Only checks in a row count: one that is answered begins anew."""
    stop = threading.Event()
    endpoint.wrong = lambda r, right: right if r.type != "page" else stop.wait(30) and None
    rows = _rows(endpoint.url, "track", "page", "get", seconds=0.3)
    stop.set()
    verdicts = [row.verdict for row in rows]
    assert verdicts == [Verdict.OK, Verdict.FAULT, Verdict.OK]


def test_a_connection_that_hangs_after_an_answer(endpoint: Any) -> None:
    """The second call on a connection has a time-out of its own."""
    stop, numbers = threading.Event(), iter(range(9))
    # The first call shows that it is accepted, the second and the third share a connection.
    endpoint.wrong = lambda _, right: right if next(numbers) < 2 else stop.wait(30) and None
    (row,) = _rows(endpoint.url, "keep-alive", seconds=0.3)
    stop.set()
    assert (row.verdict, row.statuses) == (Verdict.FAULT, (200, 0))
    assert row.message.startswith("No answer: timed out. ")


def test_a_closed_port() -> None:
    """It may pass by itself, and the message names the place."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TemporaryError, match=f"cannot reach http://127.0.0.1:{port}/v1: no conn"):
        _rows(f"http://127.0.0.1:{port}/v1")


def test_an_endpoint_that_goes_away(endpoint: Any) -> None:
    """What was reached before has rows of all checks, also of those that come too late."""

    def go(_: Any, right: Any) -> Any:
        endpoint._server.socket.close()
        return right

    endpoint.wrong = go
    rows = _rows(endpoint.url, "track", "identify", "no-key")
    assert [row.verdict for row in rows] == [Verdict.OK, Verdict.FAULT, Verdict.FAULT]
    assert "onnection" in rows[1].message


@pytest.fixture
def raw() -> Iterator[Callable[[bytes], str]]:
    """Starts a server that answers each connection with these bytes; returns its URL."""
    servers: list[socket.socket] = []

    def start(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


# What comes over the wire; then a part of what is said.
BYTES = {
    "nothing": (b"", "The connection broke"),
    "no HTTP": (b"garbage\r\n\r\n", "The connection broke"),
    "a cut answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "The connection broke"),
    "an unknown status": (
        b"HTTP/1.0 999 No\r\n\r\n",
        "HTTP has no status 999",
    ),
}


@pytest.mark.parametrize(("answer", "text"), BYTES.values(), ids=BYTES)
def test_answers_that_are_not_http(raw: Callable[[bytes], str], answer: bytes, text: str) -> None:
    """They are faults of the endpoint, and the rest of the checks is made."""
    rows = _rows(raw(answer), "track", "no-key")
    assert [row.verdict for row in rows] == [Verdict.FAULT] * 2
    assert text in rows[0].message


@pytest.mark.parametrize("name", ["track", "keep-alive"])
def test_a_huge_answer(endpoint: Any, name: str) -> None:
    """No more of it is read than a message could have."""
    huge = Given(200, b" " * (64 * 1024 + 1), {})
    numbers = iter(range(9))
    endpoint.wrong = lambda _, right: right if name != "track" and next(numbers) < 2 else huge
    (row,) = _rows(endpoint.url, name)
    assert row.verdict is Verdict.FAULT
    assert "The answer was too long to be read" in row.message
