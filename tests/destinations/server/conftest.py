"""A receiver behind a real port with an inbox that a test looks into, a service, and a partner."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import QueueFullError
from destinations.pipeline.intake import Intake
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import (
    Arrival,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Scope,
    Transition,
)
from destinations.secrets import Secret
from destinations.server import (
    Authenticator,
    HttpServer,
    IngestRoute,
    Limits,
    Receiver,
    ServeConfig,
    Service,
    read_config,
)
from destinations.server.network_addresses import parse_network
from destinations.telemetry import Observation, observe


class FakeInbox:
    """Takes events at once, or as a test says: full, or not before it lets them be durable."""

    def __init__(self) -> None:
        self.taken: list[QueuedEvent] = []
        self.deliveries: list[QueuedDelivery] = []
        self.full: QueueFullError | None = None
        self.broken: Exception | None = None
        self.held: list[Future[Sequence[Receipt]]] | None = None
        self.on_accept: Callable[[], None] = lambda: None
        self._refused: set[int] = set()

    def accept(
        self,
        scope: Scope,  # noqa: ARG002 - it has one alone
        arrivals: Sequence[Arrival],
    ) -> Future[Sequence[Receipt]]:
        """See `destinations.pipeline.queue.Inbox`."""
        if self.full is not None:
            raise self.full
        answer: Future[Sequence[Receipt]] = Future()
        if self.broken is not None:
            answer.set_exception(self.broken)
            return answer
        receipts = [self._receipt(arrival) for arrival in arrivals]
        if self.held is None:
            answer.set_result(receipts)
        else:
            self.held.append(answer)
        self.on_accept()
        return answer

    def distribute(
        self, parts: Sequence[tuple[Scope, Sequence[Arrival]]]
    ) -> Future[Sequence[Receipt]]:
        """See `destinations.pipeline.queue.Inbox`."""
        ((scope, arrivals),) = parts  # it has one alone
        return self.accept(scope, arrivals)

    def _receipt(self, arrival: Arrival) -> Receipt:
        """Say of an event what a queue would in which the first of its name is under way."""
        event = arrival.event
        for number, known in enumerate(self.taken, 1):
            if known.message_id == event.message_id:
                if known.fingerprint == event.fingerprint:
                    return Receipt(number, duplicate=True)
                refused_before = event.fingerprint in self._refused
                self._refused.add(event.fingerprint)
                return Receipt(number, duplicate=refused_before, conflict=True)
        self.taken.append(event)
        self.deliveries += arrival.deliveries
        return Receipt(len(self.taken))


class Noted(Observer):
    """Keeps what a receiver tells."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []
        self.peers: list[str] = []
        self.codes: list[str] = []
        self.internal_errors: list[str] = []

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `Observer.accepted`."""
        self.notes.append(("accepted", destination, events, duplicates))

    def ended(self, destination: str, ended: Sequence[Transition]) -> None:
        """See `Observer.ended`."""
        self.notes.append(("ended", destination, ended))

    def refused(
        self, destination: str, status: int, peer: str = "", code: str = "", number: int = 1
    ) -> None:
        """See `Observer.refused`."""
        self.notes += [("refused", destination, status)] * number
        self.codes += [code] * number
        self.peers.append(peer)

    def internal_error(self, destination: str) -> None:
        """See `Observer.internal_error`."""
        self.internal_errors.append(destination)


@dataclass
class Running:
    """A receiver that serves two destinations, ``one`` and ``two``."""

    server: HttpServer
    receiver: Receiver
    inboxes: dict[str, FakeInbox]
    observer: Noted
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
        trusted: Sequence[str] = (),
    ) -> Running:
        destination = bind()
        reasons: list[str] = []
        observer = Noted()
        receiver = Receiver(
            metrics=lambda: b"events_total 1\n",
            unready=lambda: reasons,
            limits=limits,
            observer=observer,
            trusted=[parse_network(each) for each in trusted],
        )
        inboxes = {"one": FakeInbox(), "two": FakeInbox()}
        authenticators = {
            "one": Authenticator([*map(Secret, keys)], [*map(Secret, signatures)]),
            "two": Authenticator([*map(Secret, other_keys)]),
        }
        intake = Intake(destination)
        receiver.routes = {
            name: IngestRoute(
                name,
                authenticators[name],
                destination,
                intake,
                Scope(number, name),
                inbox,
                types,
            )
            for number, (name, inbox) in enumerate(inboxes.items(), 1)
        }
        server = HttpServer(receiver, "127.0.0.1", 0, refused=partial(observer.refused, ""))
        server.start()
        running.append(Running(server, receiver, inboxes, observer, reasons))
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


class Partner:
    """Counts things on a port of this machine; ``counted`` has each with the key that it came by.

    While it ``is_down`` it says that it is busy. While ``open`` is not set it leaves requests
    waiting, of which ``reached`` tells; with ``lets_go`` it drops them without an answer.
    """

    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []
        self.is_down = False
        self.lets_go = False
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.requests = 0
        self._changed = threading.Condition()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                partner.answer(self)

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}/graphql"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        """Count what a request names."""
        body = json.loads(to.rfile.read(int(to.headers["content-length"])))
        self.requests += 1
        self.reached.set()
        self.open.wait(60)
        if self.lets_go:
            to.close_connection = True
            return
        key = to.headers["authorization"].removeprefix("Bearer ")
        names = [name for name in body["variables"] if re.fullmatch(r"thing_\d+", name)]
        if not self.is_down:
            with self._changed:
                self.counted += [(key, body["variables"][name]) for name in names]
                self._changed.notify_all()
        found: dict[str, Any] = {
            "data": {f"e{index}": {"done": True} for index in range(len(names))}
        }
        if self.is_down:
            found = {"errors": [{"message": "later", "extensions": {"code": "BUSY"}}]}
        answer = json.dumps(found).encode()
        to.send_response(200)
        to.send_header("content-length", str(len(answer)))
        to.end_headers()
        with contextlib.suppress(ConnectionError):
            to.wfile.write(answer)

    @property
    def things(self) -> list[str]:
        """What was counted, in order."""
        return [thing for _, thing in self.counted]

    def wait_for(self, *things: str) -> None:
        """Return when each of these was counted; fails if that takes for ever."""
        with self._changed:
            assert self._changed.wait_for(lambda: set(things) <= set(self.things), 60), self.things

    def close(self) -> None:
        """End all that is under way."""
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def partner() -> Iterator[Partner]:
    """A partner that counts."""
    made = Partner()
    yield made
    made.close()


def _counting_things(documents: dict[str, Any]) -> None:
    """Let the partner be told of what is counted, and have it try again soon."""
    _without_code(documents)
    count = documents["destination"]["requests"]["count"]
    count["graphql"] = {
        "document": "mutation Count($by: Int!, $thing: String!)"
        " { count(by: $by, thing: $thing) { done why } }",
        "variables": {"by": {"@path": "$.payload.by"}, "thing": {"@path": "$.payload.thing"}},
    }
    transport = documents["destination"]["transport"]
    transport["timeout"] = {"connect": 30, "read": 60, "total": 60}
    transport["retry"]["backoff"] = {"base": 0.01, "cap": 0.01}


RECEIVER_KEY = "the-key-of-receivers"


def _without_nulls(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture
def configure(
    write: Callable[[str, Any], Path],
    write_definition: Callable[..., Path],
    partner: Partner,
) -> Callable[..., ServeConfig]:
    """A configuration of destinations by name, which deliver to the partner.

    ``key`` is that of receivers, ``api_key`` the end of all keys for the partner. ``of`` has more
    keys of single destinations (None for those left out), the rest are other keys of the whole.
    """
    write_definition(_counting_things)

    def make(
        *names: str,
        key: str = RECEIVER_KEY,
        api_key: str = "",
        of: dict[str, dict[str, Any]] | None = None,
        **more: Any,
    ) -> ServeConfig:
        document = {
            "store": {"path": "s.sqlite3"},
            "listen": {"port": 0},
            "drainSeconds": 30,
            "destinations": [
                _without_nulls(
                    {
                        "name": name,
                        "destination": "./sample",
                        "settings": {"apiKey": f"${{KEY_{name}}}", "endpoint": partner.url},
                        "receiver": {"keys": ["${RECEIVER}"]},
                        **(of or {}).get(name, {}),
                    }
                )
                for name in names
            ],
        } | more
        environment = {f"KEY_{name}": f"api-key-{name}{api_key}" for name in names}
        environment["RECEIVER"] = key
        return read_config(write("c.yaml", json.dumps(document)), environment)

    return make


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines of the log go."""
    return io.StringIO()


@pytest.fixture
def observation(stream: io.StringIO) -> Iterator[Observation]:
    """Metrics and logs of a service."""
    with contextlib.closing(observe(stream=stream, environment={})) as made:
        yield made


@pytest.fixture
def start(observation: Observation, partner: Partner) -> Iterator[Callable[[ServeConfig], Service]]:
    """Starts services, and stops them."""
    started: list[Service] = []

    def make(config: ServeConfig) -> Service:
        service = Service(config, observation)
        service.start()
        service.watch_queues()
        started.append(service)
        return service

    yield make
    partner.open.set()
    for service in started:
        service.stop()
