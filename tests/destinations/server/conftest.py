"""A receiver behind a real port, with an inbox that a test looks into."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.engine.planning import plan
from destinations.queue import Incoming, QueueFullError, Receipt
from destinations.secrets import Secret
from destinations.server import Entrance, Guard, HttpServer, Limits, Receiver, Route


class FakeInbox:
    """Takes events at once, or as a test says: full, or not before it lets them be durable."""

    def __init__(self) -> None:
        self.taken: list[Incoming] = []
        self.full: QueueFullError | None = None
        self.broken: Exception | None = None
        self.held: list[Future[Sequence[Receipt]]] | None = None
        self.on_accept: Callable[[], None] = lambda: None

    def accept(self, events: Sequence[Incoming]) -> Future[Sequence[Receipt]]:
        """See `destinations.queue.Inbox`."""
        if self.full is not None:
            raise self.full
        answer: Future[Sequence[Receipt]] = Future()
        if self.broken is not None:
            answer.set_exception(self.broken)
            return answer
        known = {event.message_id for event in self.taken}
        receipts = [
            Receipt(number, event.message_id in known) for number, event in enumerate(events)
        ]
        self.taken += [event for event in events if event.message_id not in known]
        if self.held is None:
            answer.set_result(receipts)
        else:
            self.held.append(answer)
        self.on_accept()
        return answer


class Noted:
    """A watcher that keeps what a receiver tells."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: self.notes.append((name, *values))


@dataclass
class Running:
    """A receiver that serves two destinations, ``one`` and ``two``."""

    server: HttpServer
    receiver: Receiver
    inboxes: dict[str, FakeInbox]
    watcher: Noted
    reasons: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def post(self, body: Any, path: str = "/v1/one", **headers: str) -> requests.Response:
        """Posts bytes as they are, anything else as JSON; ``X_Signature="s"`` is a header."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(self.url + path, data=data, headers=named, timeout=30)

    def raw(self, data: bytes, *, until: bytes = b"", shut: bool = False) -> bytes:
        """What comes back for raw bytes: up to ``until``, or until the other side closes."""
        return self.raw_pieces([data], until=until, shut=shut)

    def raw_pieces(self, data: Sequence[bytes], *, until: bytes = b"", shut: bool = False) -> bytes:
        """As `raw`, each piece in a packet of its own."""
        with socket.create_connection(("127.0.0.1", self.server.port), 30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in data:
                connection.sendall(piece)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while not until or until not in answer:
                try:
                    piece = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                answer += piece
            return answer


Serve = Callable[..., Running]


@pytest.fixture
def serve(bind: Callable[..., Any]) -> Iterator[Serve]:
    """Starts a receiver; ``keys`` and ``signatures`` are those of the destination ``one``."""
    running: list[Running] = []

    def start(
        *,
        keys: Sequence[str] = (),
        signatures: Sequence[str] = (),
        other_keys: Sequence[str] = (),
        limits: Limits | None = None,
        types: frozenset[str] | None = None,
        patience: float = 5.0,
    ) -> Running:
        destination = bind()
        reasons: list[str] = []
        watcher = Noted()
        receiver = Receiver(
            metrics=lambda: b"events_total 1\n",
            unready=lambda: reasons,
            limits=limits,
            watcher=watcher,
        )
        inboxes = {"one": FakeInbox(), "two": FakeInbox()}
        guards = {
            "one": Guard([*map(Secret, keys)], [*map(Secret, signatures)]),
            "two": Guard([*map(Secret, other_keys)]),
        }
        receiver.entrances = {
            name: Entrance(
                Route(name, guards[name], lambda raw: plan(destination, raw), inbox, types),
                patience=patience,
            )
            for name, inbox in inboxes.items()
        }
        server = HttpServer(receiver, "127.0.0.1", 0)
        server.start()
        running.append(Running(server, receiver, inboxes, watcher, reasons))
        return running[-1]

    yield start
    for each in running:
        each.server.close()


def _without_code(documents: dict[str, Any]) -> None:
    del documents["sync"]
    destination = documents["destination"]
    destination["presets"] = [
        preset for preset in destination["presets"] if preset["partnerAction"] != "sync"
    ]


@pytest.fixture
def sample(write_definition: Callable[..., Path]) -> Path:
    """The folder ``sample`` of a destination that is pure data, beside the configuration."""
    return write_definition(_without_code)
