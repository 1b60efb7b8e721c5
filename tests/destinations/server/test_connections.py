"""Connections: as many as there are descriptors for, and what becomes of the others."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.server import connections

resource = pytest.importorskip("resource")

_PROGRAM = """
import contextlib, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from destinations.server import HttpServer, Receiver, connections
from destinations.telemetry import observe
with contextlib.closing(observe(form="json", environment={})) as observation:
    receiver = Receiver(metrics=observation.metrics, unready=tuple)
    most = int(sys.argv[2]) or connections.most_connections(4_096, 8)
    told = observation.observer.turned_away
    server = HttpServer(receiver, "127.0.0.1", 0, most=most, turned_away=told)
    server.start()
    print(server.port, most, flush=True)
    for line in sys.stdin:
        with contextlib.ExitStack() as stack:  # as a store needs them
            try:
                for _ in range(int(line)):
                    stack.enter_context(open("/dev/null"))
            except OSError as error:
                print(error, flush=True)
            else:
                print("opened", flush=True)
    server.close()
"""


class _Server:
    """A server in a process of its own, with a limit of descriptors."""

    def __init__(self, limit: int, most: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(limit), str(most)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        self.port, self.most = map(int, self._said().split())

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def opens(self, number: int) -> str:
        """Let it open so many files; return what it says."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return self._said()

    def ask(self) -> bytes:
        """Return the answer to one request."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return _read(connection)

    def end(self) -> list[dict[str, object]]:
        """Return the lines of its log."""
        _, errors = self._process.communicate(timeout=60)
        return [json.loads(line) for line in errors.splitlines()]


def _read(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            answer += piece
    return answer


@contextlib.contextmanager
def _idle(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections that say nothing."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            for _ in range(number)
        ]


def test_more_connections_than_descriptors() -> None:
    """The rest is told so, the store has its files, and the log has a line for it and an end."""
    server = _Server(256)
    assert server.most == 256 - 96 - 8
    with _idle(server.port, 300) as idle:
        assert _read(idle[-1]).startswith(b"HTTP/1.1 503 ")
        assert server.opens(80) == "opened"
    while not server.ask().startswith(b"HTTP/1.1 200 "):
        pass  # they end one after another
    lines = server.end()
    assert [line["level"] for line in lines] == ["warning"] * len(lines)
    assert len(lines) <= 4
    assert "connections turned away" in str(lines[0]["message"])
    assert lines[-1]["message"] == "connections turned away until the server stopped"
    assert int(str(lines[-1]["in_all"])) >= 300 - server.most


def test_no_descriptor_is_left() -> None:
    """It is as with too many connections: also if others have taken those in reserve."""
    server = _Server(64, most=1_000)
    with _idle(server.port, 200) as idle:
        assert _read(idle[-1]).startswith(b"HTTP/1.1 503 ")
    while not server.ask().startswith(b"HTTP/1.1 200 "):
        pass
    lines = server.end()
    assert 2 <= len(lines) <= 4
    assert {line["level"] for line in lines} == {"warning"}
    assert lines[-1]["message"] == "connections turned away until the server stopped"


@pytest.mark.parametrize(
    ("limit", "configured", "partner", "most"),
    [
        (1_024, 4_096, 8, 920),
        (1_024, 100, 8, 100),
        (1_024, 2_000, 8, 920),
        (1_024, 4_096, 800, 512),
        (64, 4_096, 8, 32),
        (1_048_576, 4_096, 8, 4_096),
        (1_048_576, 9_000, 8, 9_000),
        (resource.RLIM_INFINITY, 4_096, 8, 4_096),
    ],
)
def test_how_many_there_may_be(
    monkeypatch: pytest.MonkeyPatch, limit: int, configured: int, partner: int, most: int
) -> None:
    """As many as configured, of the descriptors that are not for others."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert connections.most_connections(configured, partner) == most
