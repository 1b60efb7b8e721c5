"""The HTTP server: where it listens, and what it does with heads that are too long or slow."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.http.loopback import is_loopback
from destinations.server import HttpServer, Receiver

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
        said = (
            rf"^listen\.port: cannot listen on 127\.0\.0\.1 port {port}: Address already in use; "
        )
        with pytest.raises(TemporaryError, match=said):
            HttpServer(_receiver(), "127.0.0.1", port)


def test_an_address_that_is_not_up() -> None:
    """It may come with its network, so the same start may work later; the setting is named."""
    said = r"^admin\.listen: cannot listen on 192\.0\.2\.1 port 0: Cannot assign requested address$"
    with pytest.raises(TemporaryError, match=said):
        HttpServer(_receiver(), "192.0.2.1", 0, setting="admin.listen")


@pytest.mark.parametrize(
    ("number", "passes"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)]
)
def test_a_name_without_an_address(
    number: int, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown one is a fault of the configuration; a name server that is away may come back."""

    def create_server(*_arguments: Any, **_given: Any) -> None:
        raise socket.gaierror(number, "no address")

    monkeypatch.setattr(socket, "create_server", create_server)
    said = r"^listen: cannot listen on here\.invalid port 0: no address$"
    with pytest.raises(UsageError, match=said) as caught:
        HttpServer(_receiver(), "here.invalid", 0)
    assert isinstance(caught.value, TemporaryError) == passes


def test_a_server_that_was_not_started_is_closed() -> None:
    """Its port is free again."""
    first = HttpServer(_receiver(), "127.0.0.1", 0)
    first.close()
    HttpServer(_receiver(), "127.0.0.1", first.port).close()
