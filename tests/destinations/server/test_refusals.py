"""A server whose partner refuses: single events, or all requests of an action."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.clock import SystemClock
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import ServeConfig, Service, read_config
from destinations.store import SqliteStore
from destinations.telemetry import Observation
from kana_destination.sandbox import Sandbox

KEY = "the-key-of-receivers"
ROOT = Path(__file__).resolve().parents[3]

Answer = tuple[int, Mapping[str, str], bytes]
Listen = Callable[[Callable[[bytes], Answer]], Any]
Configure = Callable[..., ServeConfig]
Start = Callable[[ServeConfig], Service]


def _counts(message: str, user: str = "", by: int = 1) -> dict[str, Any]:
    properties = {"by": by, "thing": message}
    event = {"type": "track", "event": "E", "userId": user or message, "messageId": message}
    return {**event, "properties": properties}


def _page(message: str, user: str) -> dict[str, Any]:
    return {"type": "page", "name": message, "userId": user, "messageId": message}


def _post(service: Service, *events: dict[str, Any]) -> None:
    url = service.urls["one"]
    answer = requests.post(url, json=list(events), headers={"Authorization": KEY}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == len(events)


def _text(service: Service, path: str) -> str:
    url = re.sub("/v1/.*", path, service.urls["one"])
    return requests.get(url, timeout=30).text


def _until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3_000):
        if is_so():
            return
        pause.wait(0.02)
    raise AssertionError("it did not become so")


def _success(body: bytes) -> Answer:
    names = [name for name in json.loads(body)["variables"] if re.fullmatch(r"by_\d+", name)]
    data = {f"e{index}": {"done": True} for index in range(len(names))}
    return 200, {"content-type": "application/json"}, json.dumps({"data": data}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store."""
    return tmp_path / "s.sqlite3"


@pytest.fixture
def configured(
    configure: Configure, write_definition: Callable[..., Path]
) -> Callable[..., ServeConfig]:
    """The destination ``one``, which counts and saves at a URL."""

    def change(documents: Any) -> None:
        del documents["sync"]
        destination = documents["destination"]
        destination["presets"].pop()
        requests_ = destination["requests"]
        requests_["save"]["rest"]["url"] = {"@template": "{{settings.endpoint}}/pages"}
        requests_["count"]["graphql"] = {
            "document": "mutation Count($by: Int!, $thing: String!)"
            " { count(by: $by, thing: $thing) { done why } }",
            "variables": {"by": {"@path": "$.payload.by"}, "thing": {"@path": "$.payload.thing"}},
        }
        destination["transport"]["timeout"] = {"connect": 5, "read": 10, "total": 20}
        destination["transport"]["retry"]["backoff"] = {"base": 0.01, "cap": 0.05}

    def make(url: str, **delivery: Any) -> ServeConfig:
        write_definition(change)
        settings = {"apiKey": "${KEY_one}", "endpoint": url}
        return configure("one", of={"one": {"settings": settings, "delivery": delivery}})

    return make


def _entries(path: Path) -> list[LedgerEntry]:
    with SqliteStore(path, read_only=True) as store:
        return list(store.ledger().find(Selection()))


def _outcomes(path: Path, action: str) -> set[object]:
    return {one.status for one in _entries(path) if one.action == action}


@pytest.mark.parametrize(("status", "way"), [(404, "resume"), (405, "reload"), (308, "restart")])
def test_an_action_that_is_refused_pauses(
    start: Start,
    configured: Callable[..., ServeConfig],
    listen: Listen,
    command: Callable[..., Any],
    stream: io.StringIO,
    path: Path,
    *,
    way: str,
    status: int,
) -> None:
    """Its events stay ready, whatever happens; others go on, and so does it when told to."""
    is_bad = True
    counted: list[str] = []

    def partner(body: bytes) -> Answer:
        if b"mutation" not in body:
            return 200, {}, b"{}"
        if is_bad:
            return status, {"location": "/elsewhere"}, b"nothing here"
        variables = json.loads(body)["variables"]
        counted.extend(value for name, value in variables.items() if name.startswith("thing"))
        return _success(body)

    running = listen(partner)
    config = configured(running.url)
    service = start(config)
    metric = 'destinations_action_paused{action="count",destination="one"}'
    for number in range(10):
        _post(service, *[_counts(f"c{number}-{one}") for one in range(50)])
    _until(lambda: f"{metric} 1.0" in _text(service, "/metrics"))
    _post(service, *[_counts(f"d-{one}") for one in range(50)])
    # Behind an event that pauses those of its own user wait; nobody else does.
    _post(service, *[_page(f"p-{one}", f"reader {one}") for one in range(20)], _page("q", "d-1"))
    _until(lambda: sum(one.status is Outcome.DELIVERED for one in _entries(path)) == 20)
    assert _outcomes(path, "count") == {State.READY}
    assert sum(b"mutation" in body for body in running.bodies) <= 40
    assert stream.getvalue().count("action paused") == 1
    shown = command("status", "--store", path).out
    (waiting, *_) = [one.id for one in _entries(path) if one.status is State.READY]
    for told in (
        shown,
        command("deliveries", "show", str(waiting), "--store", path).out,
        command("deliveries", "list", "--store", path).out,
    ):
        assert f"one: count pauses: HTTP {status}" in told
        assert f"until: destinations resume one --store {path}" in told
    ready = requests.get(re.sub("/v1/.*", "/readyz", service.urls["one"]), timeout=30)
    assert ready.status_code == 200
    assert ready.text.splitlines()[0] == "ready"
    assert "one: count pauses" in ready.text
    (scope,) = command("status", "--store", path, "--json").json["destinations"]
    assert list(scope["paused"]) == ["count"]
    is_bad = False
    if way == "resume":
        done = command("resume", "one", "--store", path)
        assert done.code == 0
        assert f"one, count: resumed. It was paused because: HTTP {status}" in done.out
    elif way == "reload":
        service.reload(config)
    else:
        service.stop()
        service = start(config)
    _until(lambda: _outcomes(path, "count") == {Outcome.DELIVERED})
    _until(lambda: _outcomes(path, "save") == {Outcome.DELIVERED})
    assert f"{metric} 0.0" in _text(service, "/metrics")
    assert len(counted) == len(set(counted)) == 550
    assert _text(service, "/readyz") == "ready\n"
    done = command("resume", "one", "--store", path)
    assert done.out == "Nothing of one is paused.\n"
    assert "pauses" not in command("status", "--store", path).out


@pytest.mark.parametrize("restarts", [False, True])
def test_an_operator_pauses(
    start: Start,
    configured: Callable[..., ServeConfig],
    listen: Listen,
    command: Callable[..., Any],
    stream: io.StringIO,
    path: Path,
    *,
    restarts: bool,
) -> None:
    """Nothing is delivered, after a restart either, until it is resumed; then each event once."""
    running = listen(_success)
    config = configured(running.url)
    service = start(config)
    metric = 'destinations_paused{destination="one"}'
    assert f"{metric} 0.0" in _text(service, "/metrics")
    assert command("pause", "one", "--store", path).out == "one: paused; its events wait.\n"
    assert command("pause", "one", "--store", path).out == "one is paused already.\n"
    _until(lambda: f"{metric} 1.0" in _text(service, "/metrics"))
    _post(service, _counts("a"), _counts("b"))
    if restarts:
        service.stop()
        service = start(config)
        assert f"{metric} 1.0" in _text(service, "/metrics")
        _post(service, _counts("c"))
    waiting = len(_entries(path))
    threading.Event().wait(0.3)
    assert not running.bodies
    shown = command("status", "--store", path)
    assert "one is paused since " in shown.out
    assert f"until: destinations resume one --store {path}" in shown.out
    (scope,) = command("status", "--store", path, "--json").json["destinations"]
    assert (scope["queue"], scope["paused_at"] is None) == (waiting, False)
    assert "one is paused by an operator" in _text(service, "/readyz")
    assert command("resume", "one", "--store", path).out == "one: resumed.\n"
    _until(lambda: _outcomes(path, "count") == {Outcome.DELIVERED})
    assert len(_entries(path)) == waiting
    assert sum(body.count(b'"by_') for body in running.bodies) >= 1
    assert f"{metric} 0.0" in _text(service, "/metrics")
    assert "destination one resumed" in stream.getvalue()
    assert command("resume", "one", "--store", path).out == "Nothing of one is paused.\n"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_proves_nothing(
    start: Start, configured: Callable[..., ServeConfig], listen: Listen, path: Path, status: int
) -> None:
    """Some events may have been carried out; the action pauses, and all others stay ready."""

    def partner(_: bytes) -> Answer:
        return status, {"location": "/elsewhere"}, b"nothing here"

    running = listen(partner)
    service = start(configured(running.url))
    metric = 'destinations_action_paused{action="count",destination="one"}'
    for number in range(10):
        _post(service, *[_counts(f"c{number}-{one}") for one in range(50)])
    _until(lambda: f"{metric} 1.0" in _text(service, "/metrics"))
    statuses = [one.status for one in _entries(path)]
    assert statuses.count(State.READY) >= 480
    assert {one for one in statuses if one is not State.READY} <= {State.UNKNOWN, State.HELD}


@pytest.mark.parametrize("status", [401, 403])
def test_a_firewall_refuses_one_event(
    start: Start, configured: Callable[..., ServeConfig], listen: Listen, path: Path, status: int
) -> None:
    """Its authentication test is passed, so the key is not to blame; the others are delivered."""

    def partner(body: bytes) -> Answer:
        if b"query Find" in body:
            return 200, {}, b'{"data": {"e0": {"id": "x", "name": "y"}}}'
        if b"OR 1=1" in body:
            return status, {}, b"<html>Request blocked</html>"
        return _success(body)

    service = start(configured(listen(partner).url))
    _post(service, *[_counts(f"c{one}") for one in range(10)], _counts("OR 1=1"))
    _until(lambda: len(_entries(path)) == 11)
    _until(lambda: sum(one.status is Outcome.DELIVERED for one in _entries(path)) == 10)
    _post(service, _counts("later"))
    _until(lambda: all(isinstance(one.status, Outcome) for one in _entries(path)))
    (one,) = [one for one in _entries(path) if one.status is not Outcome.DELIVERED]
    assert (one.message_id, one.status) == ("OR 1=1", Outcome.REJECTED)


def test_the_credentials_are_refused(
    start: Start,
    configured: Callable[..., ServeConfig],
    listen: Listen,
    command: Callable[..., Any],
    stream: io.StringIO,
    path: Path,
) -> None:
    """The page of readiness, a gauge and the log name the destination until an event is taken."""
    is_known = False

    def partner(body: bytes) -> Answer:
        return _success(body) if is_known else (401, {}, b"who are you?")

    running = listen(partner)
    config = configured(running.url)
    service = start(config)
    metric = 'destinations_credentials_refused{destination="one"}'
    assert f"{metric} 0.0" in _text(service, "/metrics")
    _post(service, _counts("c1"))
    _until(lambda: f"{metric} 1.0" in _text(service, "/metrics"))
    # Ready all the same: what comes is kept, for this destination and the others.
    assert _text(service, "/readyz") == (
        "ready\none: the partner refuses the credentials, its events wait; replace the key, then "
        "reload the server if the key is in a file, or restart it if the key is in its "
        "environment; destinations resume tries the same key again\n"
    )
    assert "destinations_ready 1.0" in _text(service, "/metrics")
    shown = command("status", "--store", path).out
    assert "one: the partner refuses the credentials since 20" in shown
    assert "restart it if the key is in its environment. Try the same key again" in shown
    assert f"again with: destinations resume one --store {path}" in shown
    (status,) = json.loads(command("status", "--store", path, "--json").out)["destinations"]
    assert status["credentials_refused"]["reason"] == "INVALID_AUTHENTICATION 401"
    # It pauses: what comes now waits, and is not tried.
    asked = len(running.bodies)
    _post(service, *[_counts(f"d{one}") for one in range(20)])
    assert len(running.bodies) == asked
    assert {one.status for one in _entries(path)} == {State.READY}
    service.reload(config)
    assert f"{metric} 0.0" in _text(service, "/metrics")
    _until(lambda: f"{metric} 1.0" in _text(service, "/metrics"))
    is_known = True
    said_by_resume = command("resume", "one", "--store", path).out
    assert said_by_resume == (
        "one: resumed. It was paused because the partner refused the credentials.\n"
    )
    _until(lambda: {one.status for one in _entries(path)} == {Outcome.DELIVERED})
    assert "refuses the credentials" not in command("status", "--store", path).out
    _until(lambda: f"{metric} 0.0" in _text(service, "/metrics"))
    assert _text(service, "/readyz") == "ready\n"
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    said = [(one["level"], one["message"]) for one in lines]
    told = [one for one in said if one[1].startswith("credentials")]
    refused = (
        "credentials refused by the partner: deliveries wait; replace the key, then reload the "
        "server if the key is in a file, or restart it if the key is in its environment"
    )
    assert told == [("error", refused)] * 2 + [("info", "credentials accepted again")]


@pytest.fixture
def breaking() -> Iterator[int]:
    """A port where TLS never comes about."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        yield port
        is_over.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def test_a_handshake_that_breaks(
    breaking: int, start: Start, configured: Callable[..., ServeConfig], path: Path
) -> None:
    """Nothing was sent, so nothing is unknown; also of what must not be sent twice."""
    service = start(configured(f"https://127.0.0.1:{breaking}/graphql"))
    _post(service, *[_counts(f"c{one}") for one in range(40)])
    _until(lambda: any(one.attempts for one in _entries(path)))
    assert {one.status for one in _entries(path)} <= {State.READY, State.SENDING}
    assert {one.effect.value for one in _entries(path)} == {"none"}


_ENVIRONMENT_ISSUES = [("SSL_CERT_FILE", "/not/there"), ("HTTPS_PROXY", "gopher://127.0.0.1")]


@pytest.fixture(params=_ENVIRONMENT_ISSUES, ids=lambda issue: issue[0])
def faulty_variable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a variable by which this machine cannot connect to anybody."""
    for other in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    name, value = request.param
    monkeypatch.setenv(name, value)
    return str(name)


def test_what_an_operator_has_to_mend(
    start: Start, configured: Callable[..., ServeConfig], path: Path, faulty_variable: str
) -> None:
    """A server says so before the first event, and charges none with it, however long it lasts."""
    service = start(configured("https://api.example.com/graphql", deadlineSeconds=0.1))
    _until(lambda: "starting" not in _text(service, "/readyz"))
    found = _text(service, "/readyz")
    assert "one cannot be delivered to: " in found
    assert (faulty_variable in found) or "the proxy for https requests" in found
    _post(service, *[_counts(f"c{one}") for one in range(9)])
    _until(lambda: any(one.attempts > 3 for one in _entries(path)))
    assert {one.status for one in _entries(path)} <= {State.READY, State.SENDING}
    assert {one.effect.value for one in _entries(path)} == {"none"}


@pytest.mark.usefixtures("faulty_variable")
def test_what_an_operator_has_to_mend_before_anything_is_asked(
    start: Start, write: Callable[[str, Any], Path], path: Path
) -> None:
    """Nor is an event charged whose balance has to be asked for first."""
    destination = {
        "name": "one",
        "destination": str(ROOT / "definitions" / "kana"),
        "settings": {"apiKey": "${KEY}", "endpoint": "https://api.example.com/graphql"},
        "receiver": {"keys": ["${RECEIVER}"]},
        "delivery": {"deadlineSeconds": 0.1},
    }
    config = {"listen": {"port": 0}, "store": {"path": str(path)}, "destinations": [destination]}
    environment = {"KEY": "prv_test_first", "RECEIVER": KEY}
    service = start(read_config(write("serve.json", json.dumps(config)), environment))
    _post(service, *[_usage(f"u{one}", f"c{one}", 1) for one in range(3)])
    _until(lambda: any(one.attempts > 3 for one in _entries(path)))
    assert {one.status for one in _entries(path)} <= {State.READY, State.SENDING}


def _usage(user: str, message_id: str, delta: int) -> dict[str, Any]:
    properties = {"featureId": "calls", "delta": delta}
    event = {"type": "track", "event": "E", "userId": user, "messageId": message_id}
    return {**event, "properties": properties}


def test_usage_of_a_user_that_is_not_known_yet(
    start: Start, write: Callable[[str, Any], Path], path: Path
) -> None:
    """It waits for the identify of its user, and is counted as soon as that was delivered."""
    key = "prv_test_first"
    feature = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}
    seed = {"apiKeys": [key], "users": [{"id": "known"}], "features": [feature]}
    with Sandbox(seed) as sandbox:
        destination = {
            "name": "one",
            "destination": str(ROOT / "definitions" / "kana"),
            "settings": {"apiKey": "${KEY}", "endpoint": sandbox.url},
            "receiver": {"keys": ["${RECEIVER}"]},
        }
        config = {
            "store": {"path": str(path)},
            "listen": {"port": 0},
            "destinations": [destination],
        }
        file = write("kana.json", json.dumps(config))
        service = start(read_config(file, {"KEY": key, "RECEIVER": KEY}))
        _post(service, *[_usage("new", f"m{one}", 2) for one in range(5)], _usage("known", "k", 1))
        # More than four attempts: so many were once the end of it.
        _until(lambda: any(one.attempts > 4 for one in _entries(path)))
        found = {one.message_id: one.status for one in _entries(path)}
        assert found.pop("k") is Outcome.DELIVERED
        assert set(found.values()) <= {State.READY, State.SENDING}
        identify = {"type": "identify", "userId": "new", "messageId": "i", "traits": {"name": "N"}}
        _post(service, identify, _usage("new", "m5", 2))
        _until(lambda: all(one.status is Outcome.DELIVERED for one in _entries(path)))
        assert sandbox.snapshot()["usage"] == {"known": {"calls": 1}, "new": {"calls": 12}}


class JumpingClock(SystemClock):
    """The machine's time, and what a test adds to it."""

    jumped = 0.0

    def time(self) -> float:
        """See `destinations.clock.WallClock`."""
        return super().time() + self.jumped

    def monotonic(self) -> float:
        """See `destinations.clock.Clock`."""
        return super().monotonic() + self.jumped


def test_refused_credentials_over_a_weekend(
    configured: Callable[..., ServeConfig],
    listen: Listen,
    observation: Observation,
    request: pytest.FixtureRequest,
    path: Path,
) -> None:
    """Nothing is given up, however long it takes; one request is tried every five minutes."""
    is_known = False

    def partner(body: bytes) -> Answer:
        return _success(body) if is_known else (401, {}, b"who are you?")

    def is_asked_for(seconds: float, message: str) -> bool:
        """Let time pass, wake the server up with an event, and see whether the partner is asked."""
        before, clock.jumped = len(running.bodies), clock.jumped + seconds
        _post(service, _counts(message))
        pause = threading.Event()
        for _ in range(25):
            if len(running.bodies) > before:
                return True
            pause.wait(0.02)
        return False

    running, clock = listen(partner), JumpingClock()
    service = Service(configured(running.url), observation, clock=clock)
    request.addfinalizer(service.stop)
    service.start()
    service.watch_queues()
    _post(service, *[_counts(f"c{one}") for one in range(5)])
    metric = 'destinations_credentials_refused{destination="one"}'
    _until(lambda: f"{metric} 1.0" in _text(service, "/metrics"))
    assert not is_asked_for(250, "d1")
    assert not is_asked_for(40, "d2")
    for number in range(8):
        assert is_asked_for(8 * 3600, f"e{number}")
        _until(lambda: "half-open" not in _open_breaker(service))
    assert {one.status for one in _entries(path)} == {State.READY}
    # One at a time, with the question whether it is the key.
    assert len(running.bodies) < 30
    is_known = True
    assert is_asked_for(301, "f")
    _until(lambda: {one.status for one in _entries(path)} == {Outcome.DELIVERED})
    assert len(_entries(path)) == 16


def _open_breaker(service: Service) -> str:
    """Return the state of the breaker that is not 0."""
    shown = r'breaker_state\{destination="one",state="([a-z-]+)"\} 1'
    found = re.search(shown, _text(service, "/metrics"))
    assert found is not None
    return found[1]
