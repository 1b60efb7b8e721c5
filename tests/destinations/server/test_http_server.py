"""The HTTP server: where it listens, and what it does with heads that are too long or slow."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.server import HttpServer, Receiver, is_loopback

Serve = Callable[..., Any]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - the point
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only what no other machine can reach counts."""
    assert is_loopback(host) is expected


def _receiver() -> Receiver:
    return Receiver(metrics=lambda: b"", unready=lambda: ())


def test_a_port_that_is_taken() -> None:
    """It is said before anything is served, as something that may pass."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TemporaryError, match=f"cannot listen on 127.0.0.1 port {port}"):
            HttpServer(_receiver(), "127.0.0.1", port)


def test_an_address_of_another_machine() -> None:
    """It is a fault of whoever configured it: trying again is no use."""
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1 port 0: ") as caught:
        HttpServer(_receiver(), "192.0.2.1", 0)
    assert not isinstance(caught.value, TemporaryError)


def test_a_server_that_was_not_started_is_closed() -> None:
    """Its port is free again."""
    first = HttpServer(_receiver(), "127.0.0.1", 0)
    first.close()
    HttpServer(_receiver(), "127.0.0.1", first.port).close()
