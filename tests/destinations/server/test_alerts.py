"""A server tells people: through a real webhook, beside deliveries, and one server of several."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from destinations.clock import SystemClock
from destinations.operations import alert_status, resume_credentials
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.postgres.store import PostgresStore
from destinations.server import ServeConfig, Service
from destinations.store import SqliteStore
from destinations.telemetry import Observation
from tests.postgres_server import new_store_address

KEY: Final = "the-key-of-receivers"
SIGNING: Final = bytes(range(32))
SECRET: Final = "whsec_" + base64.b64encode(SIGNING).decode()


class QuickClock(SystemClock):
    """The machine's time; what only waits for the next look waits shortly."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `destinations.clock.Clock`."""
        return stop.wait(min(seconds, 0.05))


class Pager:
    """A webhook receiver; what it got is verified, and kept by its id."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.status = 200
        self.retry_after: str | None = None
        self.hangs: threading.Event | None = None
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                identity = self.headers["webhook-id"]
                signed = f"{identity}.{self.headers['webhook-timestamp']}.".encode() + body
                digest = base64.b64encode(hmac.new(SIGNING, signed, hashlib.sha256).digest())
                assert self.headers["webhook-signature"] == f"v1,{digest.decode()}"
                if pager.hangs is not None:
                    pager.hangs.wait(30)
                pager.ids.append(identity)
                if pager.status == 200:
                    pager.got.append(json.loads(body))
                self.send_response(pager.status)
                if pager.retry_after is not None:
                    self.send_header("Retry-After", pager.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/page"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def types(self) -> list[str]:
        """The types of what it got."""
        return [one["type"] for one in self.got]

    def close(self) -> None:
        """Stop."""
        if self.hangs is not None:
            self.hangs.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def pager() -> Iterator[Pager]:
    """A webhook receiver."""
    with contextlib.closing(Pager()) as made:
        yield made


def _until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(2_000):
        if is_so():
            return
        pause.wait(0.02)
    raise AssertionError("it did not become so")


@pytest.fixture
def rules(
    configure: Callable[..., ServeConfig], write: Callable[[str, Any], Path], pager: Pager
) -> Callable[..., ServeConfig]:
    """A configuration with one destination and these conditions, told to the pager."""
    write("secret", SECRET)

    def make(*conditions: dict[str, Any], **more: Any) -> ServeConfig:
        only = {"destination": "one", **more.pop("only")} if "only" in more else {}
        sink = {"url": pager.url, "secret": {"file": "secret"}, "allowPrivate": True}
        sink["timeoutSeconds"] = 5
        alerts = [
            {"when": one, "to": {"name": "pager", "webhook": sink}, "closeAfter": "1s", **only}
            for one in conditions
        ]
        endpoint = more.pop("endpoint", None)
        settings = {"apiKey": "${KEY_one}", "endpoint": endpoint}
        of = {"one": {"settings": settings}} if endpoint else None
        return configure("one", of=of, alerts=alerts, **more)

    return make


@pytest.fixture
def serve(observation: Observation) -> Iterator[Callable[[ServeConfig], Service]]:
    """Starts services that look often, and stops them."""
    with contextlib.ExitStack() as stack:

        def make(config: ServeConfig) -> Service:
            service = Service(config, observation, clock=QuickClock())
            stack.callback(service.stop)
            service.start()
            service.watch_queues()
            return service

        yield make


def _post(service: Service, *messages: str, by: Any = 1) -> None:
    events = [
        {
            "type": "track",
            "event": "E",
            "userId": f"user of {one}",
            "messageId": one,
            "properties": {"by": by, "thing": one},
        }
        for one in messages
    ]
    url, headers = service.urls["one"], {"Authorization": KEY}
    answer = requests.post(url, json=events, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def _text(service: Service, path: str) -> str:
    return requests.get(re.sub("/v1/.*", path, service.urls["one"]), timeout=30).text


Answer = tuple[int, dict[str, str], bytes]


class Switch:
    """A partner that takes no key until it is told to."""

    def __init__(self) -> None:
        self.is_good = False

    def answer(self, body: bytes) -> Answer:
        """Answer a request."""
        if not self.is_good:
            return 401, {}, b"who are you?"
        names = [name for name in json.loads(body)["variables"] if re.fullmatch(r"by_\d+", name)]
        data = {f"e{index}": {"done": True} for index in range(len(names))}
        return 200, {"content-type": "application/json"}, json.dumps({"data": data}).encode()


def test_refused_credentials_are_told(
    serve: Callable[[ServeConfig], Service],
    rules: Callable[..., ServeConfig],
    listen: Callable[..., Any],
    command: Callable[..., Any],
    pager: Pager,
    tmp_path: Path,
) -> None:
    """The message names the cure, a metric and the command show it, and its end is told."""
    switch = Switch()
    config = rules({"credentials": "refused"}, endpoint=listen(switch.answer).url)
    service = serve(config)
    _post(service, "m1")
    _until(lambda: pager.types == ["alert.opened"])
    data = pager.got[0]["data"]
    assert (data["rule"], data["destination"]) == ("credentials", "one")
    assert "INVALID_AUTHENTICATION 401" in data["summary"]
    assert (
        "Replace the key, then reload the server if the key is in a file, or restart it"
        in data["summary"]
    )
    assert data["command"] == f"destinations resume one --config {tmp_path / 'c.yaml'}"
    assert "api-key-one" not in json.dumps(pager.got)
    metrics = _text(service, "/metrics")
    assert 'destinations_alerts_open{rule="credentials"} 1.0' in metrics
    assert 'destinations_alert_messages_total{result="sent",sink="pager"} 1.0' in metrics
    shown = command("alerts", "list", "--store", tmp_path / "s.sqlite3").out
    assert "credentials, one: the partner refuses the credentials" in shown
    switch.is_good = True
    words = data["command"].split()[1:3]
    assert "resumed" in command(*words, "--store", tmp_path / "s.sqlite3").out
    _until(lambda: pager.types == ["alert.opened", "alert.closed"])
    assert pager.got[1]["data"]["alert"] == data["alert"]


@pytest.mark.parametrize("way", ["500", "429", "hangs"])
def test_deliveries_do_not_wait_for_a_sink(
    serve: Callable[[ServeConfig], Service],
    rules: Callable[..., ServeConfig],
    pager: Pager,
    stream: io.StringIO,
    tmp_path: Path,
    way: str,
) -> None:
    """Whatever it does, events are accepted and delivered, and it gets the message in the end."""
    if way == "hangs":
        pager.hangs = threading.Event()
    else:
        pager.status = int(way)
        pager.retry_after = "6" if way == "429" else None
    service = serve(rules({"silence": {"for": "1s"}}))
    failed = 'destinations_alert_messages_total{result="failed",sink="pager"}'
    if way == "hangs":
        _until(lambda: "alerts_open" in _text(service, "/metrics"))
    else:
        _until(lambda: f"{failed} 1.0" in _text(service, "/metrics"))
    for number in range(5):
        _post(service, f"m{number}")
    store = SqliteStore(tmp_path / "s.sqlite3", read_only=True)
    with store:
        ledger = store.ledger()

        def statuses() -> list[object]:
            return [one.status for one in ledger.find(Selection())]

        _until(lambda: statuses() == [Outcome.DELIVERED] * 5)
    assert pager.got == []
    if pager.hangs is not None:
        pager.hangs.set()
    pager.status, pager.retry_after = 200, None
    _until(lambda: bool(pager.got))
    assert pager.got[0]["type"].startswith("alert.")
    if way != "hangs":
        assert f"sink pager: HTTP {way}; it is tried again" in stream.getvalue()
        assert SECRET not in stream.getvalue()


def test_a_reload_exchanges_the_rules(
    serve: Callable[[ServeConfig], Service], rules: Callable[..., ServeConfig], pager: Pager
) -> None:
    """A rule that is added holds from then on; one that is gone is closed by a message."""
    service = serve(rules())
    service.reload(rules({"silence": {"for": "1s"}}))
    _until(lambda: pager.types == ["alert.opened"])
    # The sink is still there, as another rule has it.
    service.reload(rules({"held": {}}))
    _until(lambda: pager.types == ["alert.opened", "alert.closed"])
    assert "not configured any more" in pager.got[1]["data"]["summary"]


def test_a_restart_tells_nothing_twice(
    serve: Callable[[ServeConfig], Service],
    rules: Callable[..., ServeConfig],
    listen: Callable[..., Any],
    pager: Pager,
    tmp_path: Path,
) -> None:
    """The next start knows what is open, and who was told."""
    config = rules({"credentials": "refused"}, endpoint=listen(Switch().answer).url)
    service = serve(config)
    _post(service, "m1")
    _until(lambda: pager.types == ["alert.opened"])
    service.stop()
    service = serve(config)
    metric = 'destinations_credentials_refused{destination="one"} 1.0'
    _until(lambda: metric in _text(service, "/metrics"))
    open_now = 'destinations_alerts_open{rule="credentials"} 1.0'
    _until(lambda: open_now in _text(service, "/metrics"))
    service.stop()
    assert pager.types == ["alert.opened"]
    with SqliteStore(tmp_path / "s.sqlite3", read_only=True) as store:
        (alert,) = alert_status(store, 0).alerts
    assert alert.opened_at <= alert.told_at


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_counts_come_from_the_store(
    serve: Callable[[ServeConfig], Service],
    rules: Callable[..., ServeConfig],
    pager: Pager,
    kind: str,
) -> None:
    """What is counted is what the store counts, also of one subscription alone."""
    store: dict[str, Any] = {"path": "s.sqlite3"}
    if kind == "postgres":
        dsn = str(new_store_address())
        store = {"postgres": {"dsn": dsn, "hardStop": False, "durability": "single-node"}}
    share = {"invalidRate": {"over": 0.4, "in": "15m", "least": 4}}
    config = rules(share, store=store, only={"subscription": "Counts"})
    service = serve(config)
    assert service._alerting is not None
    watch = service._alerting._watch
    # The first look is what later ones are compared with.
    _until(lambda: watch._windows.looked_at is not None)
    _post(service, "m1", "m2")
    _post(service, "m3", "m4", "m5", by="much")
    _until(lambda: pager.types == ["alert.opened"])
    data = pager.got[0]["data"]
    assert (data["destination"], data["subscription"]) == ("one", "Counts")
    assert data["figures"]["invalid"] == 3
    assert data["figures"]["ended"] in {4, 5}


def _tells(service: Service) -> bool:
    """Return whether a server has an open alert in hand; the metrics of both are the same here."""
    assert service._alerting is not None
    return bool(service._alerting._watch.open["credentials"])


def test_one_of_two_servers_tells(
    serve: Callable[[ServeConfig], Service],
    rules: Callable[..., ServeConfig],
    listen: Callable[..., Any],
    pager: Pager,
) -> None:
    """Two servers of a database send one message; if one is gone, the other goes on from there."""
    address = new_store_address()
    switch = Switch()
    store = {"postgres": {"dsn": str(address), "hardStop": False, "leaseSeconds": 5}}
    store["postgres"]["durability"] = "single-node"
    endpoint = listen(switch.answer).url
    config = rules({"credentials": "refused"}, endpoint=endpoint, store=store)
    first, second = serve(config), serve(config)
    _post(first, *(f"a{one}" for one in range(20)))
    _post(second, *(f"b{one}" for one in range(20)))
    _until(lambda: bool(pager.got))

    def chiefs() -> list[bool]:
        return [_tells(each) for each in both]

    both = (first, second)
    _until(lambda: any(chiefs()))
    pause = threading.Event()
    for _ in range(40):  # some looks of both
        assert sum(chiefs()) == 1
        pause.wait(0.05)
    assert pager.types == ["alert.opened"]
    chief, other = both if chiefs()[0] else both[::-1]
    chief.stop()
    _until(lambda: _tells(other))
    assert pager.types == ["alert.opened"]
    switch.is_good = True
    with PostgresStore(address) as opened:
        resume_credentials(opened, "one")
    _until(lambda: pager.types == ["alert.opened", "alert.closed"])
    assert len(set(pager.ids)) == 2
