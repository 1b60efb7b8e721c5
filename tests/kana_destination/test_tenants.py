"""A server that all customers of Kana send to: each has a key, balances and rules of its own."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.errors import StoreFullError, UsageError
from destinations.http.transport import HttpTransport
from destinations.operations import (
    asked_of_server,
    lock_account,
    pause_destination,
    resume_destination,
)
from destinations.operations import requests as operation_requests
from destinations.pipeline import fair_share
from destinations.pipeline.ledger import Selection
from destinations.secrets import Secret
from destinations.server import ServeConfig, Service, read_config
from destinations.server.config_model import SealingConfig
from destinations.server.running import CONFIGURATION
from destinations.store import (
    KeptConnection,
    SqliteStore,
    Tenants,
    TenantSecrets,
    TenantStore,
    broken_rules,
)
from destinations.telemetry import Observation, observe
from kana_destination.plugin import stored_rules
from kana_destination.sandbox import Sandbox

_SEALING_KEY = "A" * 43 + "="
_OTHER = SealingConfig(Secret("B" * 42 + "A="))


def key_of(name: str) -> str:
    """Return the API key of an account."""
    return f"prv_test_{name:_>24}"


def account(name: str) -> dict[str, Any]:
    """Return the seed of an account with a user and a feature."""
    return {
        "apiKey": key_of(name),
        "users": [{"id": "u1"}, {"id": "u2"}],
        "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    }


class Server:
    """A server with the endpoint ``/v1/kana`` for all customers of a sandbox."""

    def __init__(self, folder: Path, observation: Observation, sandbox: Sandbox) -> None:
        self.store = folder / "store.sqlite3"
        self.sandbox = sandbox
        self._observation = observation
        path = folder / "serve.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "listen": {"host": "127.0.0.1", "port": 0},
                    "store": {"path": str(self.store)},
                    "sealing": {"key": {"env": "SEALING_KEY"}},
                    "destinations": [
                        {
                            "name": "kana",
                            "destination": "kana",
                            "settings": {"endpoint": sandbox.url},
                            "receiver": {"tenants": {"key": "apiKey"}},
                        }
                    ],
                }
            )
        )
        self.config = read_config(path, {"SEALING_KEY": _SEALING_KEY})
        self.start()

    def start(self, *sealing: Any) -> None:
        """Start, as a process does; with other sealing keys, or with None without any."""
        config = self.config
        if sealing:
            config = replace(config, sealing=None if sealing[0] is None else _OTHER)
            config = replace(config, destinations=()) if sealing[0] is None else config
        service = Service(config, self._observation)
        service.start()
        self.service = service

    def post(self, name: str, event: Any, **headers: str) -> requests.Response:
        """Post an event with the key of an account."""
        data = event if isinstance(event, bytes) else json.dumps(event)
        auth = (key_of(name), "")
        return requests.post(
            self.service.urls["kana"], data, auth=auth, headers=headers, timeout=30
        )

    def wait(self) -> None:
        """Return when nothing waits; fails if that takes for ever."""
        pause = threading.Event()
        for _ in range(1_200):
            with SqliteStore(self.store, read_only=True) as store:
                if store.database.one("SELECT count(*) FROM open") == (0,):
                    return
            pause.wait(0.025)
        raise AssertionError("something waits")

    def usage(self, name: str) -> Mapping[str, Mapping[str, int]]:
        """Return what an account of the sandbox counted."""
        answer = requests.get(
            f"{self.sandbox.url.rsplit('/', 1)[0]}/snapshot",
            headers={"Authorization": f"Bearer {key_of(name)}"},
            timeout=30,
        )
        usage: Mapping[str, Mapping[str, int]] = answer.json()["usage"]
        return usage

    def stop(self) -> None:
        """Stop, and look whether the store is as it has to be."""
        self.service.stop()
        with SqliteStore(self.store, read_only=True) as store:
            assert broken_rules(store.database) == []


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers for a sandbox with accounts of these names."""
    with contextlib.ExitStack() as stack:
        observation = observe(stream=io.StringIO(), level="warning")
        stack.callback(observation.close)

        def make(*names: str) -> Server:
            sandbox = Sandbox({"accounts": [account(name) for name in names]}).start()
            stack.callback(sandbox.stop)
            server = Server(tmp_path, observation, sandbox)
            stack.callback(server.stop)
            return server

        yield make


def track(message_id: str, value: int = 1, **properties: Any) -> dict[str, Any]:
    """Return an event that adds to the feature of a user."""
    return {
        "type": "track",
        "event": "Called",
        "userId": "u1",
        "messageId": message_id,
        "properties": {"featureId": "calls", "delta": value, **properties},
    }


def test_everything_belongs_to_a_tenant(serve: Callable[..., Server]) -> None:
    """The same messageId and user of two customers are two; a duplicate is one of its own only."""
    server = serve("a", "b")
    for name, value in (("a", 5), ("b", 7), ("a", 5)):
        assert server.post(name, track("m1", value)).status_code == 200
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 5}}
    assert server.usage("b") == {"u1": {"calls": 7}}


def test_rules_belong_to_a_tenant(serve: Callable[..., Server]) -> None:
    """A rule of one customer maps no event of another, whose event stays unmapped."""
    server = serve("a", "b")
    unmapped = {
        **track("m1"),
        "properties": {"delta": 3},
    }
    for name in ("a", "b"):
        assert server.post(name, track("first")).status_code == 200
    with SqliteStore(server.store) as store:
        first = Tenants(store.database).all("kana")[0]
        stored_rules(TenantStore(store, first.id)).add(
            ("called", {"name": "called", "event": "Called", "feature": "calls"})
        )
    threading.Event().wait(0.1)
    for name in ("a", "b"):
        assert server.post(name, unmapped).status_code == 200
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 4}}
    assert server.usage("b") == {"u1": {"calls": 1}}


@pytest.mark.parametrize(
    ("event", "status", "words"),
    [
        (track("1"), 200, None),
        ({"type": "identify", "userId": "u1", "messageId": "1"}, 200, None),
        ({"type": "page", "userId": "u1", "messageId": "1"}, 501, "page calls are not supported"),
        ({"type": "screen", "userId": "u1", "messageId": "1"}, 501, "screen calls"),
        ({"type": "group", "userId": "u1", "groupId": "g", "messageId": "1"}, 501, "group calls"),
        ({"type": "alias", "userId": "u1", "previousId": "o", "messageId": "1"}, 501, "alias"),
        ({"type": "delete", "userId": "u1", "messageId": "1"}, 501, "delete calls"),
        ({"type": "track", "event": "E", "anonymousId": "a", "messageId": "1"}, 400, "userId"),
        ({"TYPE": "track", "Event": "E", "userid": "u1", "MessageID": "1"}, 200, None),
        (b"no json", 400, "JSON"),
        (b"[1]", 400, ""),
        (b"{}", 400, ""),
    ],
)
def test_answers(serve: Callable[..., Server], event: Any, status: int, words: str | None) -> None:
    """The protocol's answers, each refusal in words that the customer understands."""
    answer = serve("a").post("a", event)
    assert answer.status_code == status
    if words is not None:
        assert words in answer.json()["message"]


def test_a_conflict(serve: Callable[..., Server]) -> None:
    """Another content under the same messageId is the client's fault: Segment knows no 409."""
    server = serve("a")
    assert server.post("a", track("1")).status_code == 200
    server.wait()
    assert server.post("a", track("1", 9)).status_code == 400


@pytest.mark.parametrize(
    ("key", "status"),
    [(key_of("stranger"), 401), ("", 401), ("k" * 10_240, 401)],
)
def test_other_keys(serve: Callable[..., Server], key: str, status: int) -> None:
    """Nobody else's key is taken, and none from the URL."""
    server = serve("a")
    url = server.service.urls["kana"]
    answer = requests.post(url, json=track("1"), auth=(key, ""), timeout=30)
    assert answer.status_code == status
    assert answer.json()["message"]
    in_url = requests.post(f"{url}?key={key_of('a')}", json=track("1"), timeout=30)
    assert in_url.status_code == 401


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreFullError("/a/path: no room", "the store cannot be written"), "cannot be written"),
        (ZeroDivisionError("a secret"), "internal error"),
    ],
)
def test_a_customer_who_cannot_be_added(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """The event is to come again, which Segment sees to after a 503 only."""
    server = serve("a", "b")

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(TenantSecrets, "add", fail)
        answer = server.post("a", track("m1"))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["message"].endswith("; nothing was accepted")
    assert words in answer.json()["message"]
    assert server.post("a", track("m1")).status_code == 200
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 1}}


def test_a_customer_whose_requests_are_refused(
    serve: Callable[..., Server], command: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the customer, for whom all that waited is delivered once an operator says so.

    The others go on.
    """
    server = serve("a", "b")
    for name in ("a", "b"):
        assert server.post(name, track("first")).status_code == 200
    server.wait()
    faults = server.sandbox.account(key_of("a")).faults
    faults.add({"match": {"rootField": "recordUsage"}, "times": None, "status": 401})
    for number in range(8):
        assert server.post("a", track(f"m{number}")).status_code == 200
    with SqliteStore(server.store, read_only=True) as store:
        tenant = Tenants(store.database).all("kana")[0]
    pause = threading.Event()
    words = f"destinations resume kana --tenant {tenant.id} tries again"
    for _ in range(1_200):
        if words in caplog.text:
            break
        pause.wait(0.025)
    assert words in caplog.text
    assert server.post("b", track("second")).status_code == 200
    faults.clear()
    where = ("--tenant", tenant.id, "--store", server.store)
    assert "track: resumed." in command("resume", "kana", *where).out
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 9}}
    assert server.usage("b") == {"u1": {"calls": 2}}


def test_a_restart(serve: Callable[..., Server]) -> None:
    """A tenant is the same after a restart: what is repeated does not count again."""
    server = serve("a", "b")
    server.post("a", track("1", 2))
    server.wait()
    server.service.stop()
    server.start()
    assert server.post("a", track("1", 2)).status_code == 200
    assert server.post("a", track("2", 3)).status_code == 200
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 5}}


def test_a_reload(serve: Callable[..., Server]) -> None:
    """Tenants stay the same when the configuration is loaded again, and so does what they sent."""
    server = serve("a", "b")
    server.post("a", track("1", 2))
    for _ in range(2):
        server.service.reload(server.config)
        server.post("a", track("1", 2))
        server.post("b", track("1", 5))
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 2}}
    assert server.usage("b") == {"u1": {"calls": 5}}


def test_a_paused_destination(serve: Callable[..., Server]) -> None:
    """It accepts events, also after a restart, and delivers each of them once it is resumed."""
    server = serve("a", "b")
    server.post("a", track("1", 2))
    server.wait()
    with SqliteStore(server.store) as store:
        pause_destination(store, "kana", 1.0)
    server.service.stop()
    server.start()
    for name in ("a", "b"):
        assert server.post(name, track("2", 3)).status_code == 200
    server.service.stop()
    server.start()
    assert server.usage("b") == {}
    with SqliteStore(server.store) as store:
        assert resume_destination(store, "kana")
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 5}}
    assert server.usage("b") == {"u1": {"calls": 3}}


@pytest.mark.parametrize("sealing", [None, _OTHER])
def test_without_the_sealing_key(serve: Callable[..., Server], sealing: Any) -> None:
    """A start is refused with one sentence that names the key; nothing is lost by it."""
    server = serve("a")
    server.post("a", track("1", 2))
    server.wait()
    server.service.stop()
    with pytest.raises(UsageError, match=r"need the key [0-9a-f]{8}"):
        server.start(sealing)
    server.start()
    assert server.post("a", track("1", 2)).status_code == 200
    assert server.usage("a") == {"u1": {"calls": 2}}


def test_keys_are_in_no_file(serve: Callable[..., Server]) -> None:
    """No byte of the store, its journal or its backup has a key."""
    server = serve("a")
    server.post("a", track("1", 2))
    server.wait()
    files = list(server.store.parent.glob("store.sqlite3*"))
    assert files
    for path in files:
        assert key_of("a").encode() not in path.read_bytes()


def _tenants(server: Server) -> Mapping[str, str]:
    """Return the ids of tenants by the order of their first events, from a."""
    with SqliteStore(server.store, read_only=True) as store:
        found = Tenants(store.database).all("kana")
    return dict(zip("abc", (one.id for one in found), strict=False))


def test_a_merge(serve: Callable[..., Server], command: Callable[..., Any]) -> None:
    """What was sent with one key is recognised with the other, and both keys are of one tenant."""
    server = serve("a", "b")
    server.post("a", track("1", 2))
    server.post("b", track("2", 3))
    server.wait()
    server.service.stop()
    ids = _tenants(server)
    done = command("tenants", "merge", ids["a"], ids["b"], "--yes", "--store", server.store)
    assert (done.code, "1 delivery moved" in done.out) == (0, True)
    server.start()
    for name, message_id, value in (("a", "1", 2), ("b", "1", 2), ("a", "2", 3), ("b", "2", 3)):
        assert server.post(name, track(message_id, value)).status_code == 200
    assert server.post("a", track("3", 4)).status_code == 200
    server.wait()
    usage = [server.usage(name).get("u1", {}).get("calls", 0) for name in ("a", "b")]
    assert sum(usage) == 2 + 3 + 4
    with SqliteStore(server.store, read_only=True) as store:
        assert len(Tenants(store.database).all("kana")) == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_a_paused_tenant(
    serve: Callable[..., Server], command: Callable[..., Any], *, restarts: bool
) -> None:
    """Its events are accepted and wait, also over a restart; those of others are delivered."""
    server = serve("a", "b")
    for name in ("a", "b"):
        server.post(name, track("1"))
    server.wait()
    ids = _tenants(server)
    where = ("--tenant", ids["a"], "--store", server.store)
    assert command("pause", "kana", *where).code == 0
    pause = threading.Event()
    pause.wait(1.5)
    shown = requests.get(f"{server.service.pages_url}/metrics", timeout=30).text
    assert 'destinations_tenants{destination="kana",state="paused"} 1.0' in shown
    assert 'destinations_tenants{destination="kana",state="proven"} 1.0' in shown
    if restarts:
        server.service.stop()
        server.start()
    for name in ("a", "b"):
        assert server.post(name, track("2")).status_code == 200
    for _ in range(1_200):
        if server.usage("b") == {"u1": {"calls": 2}}:
            break
        pause.wait(0.025)
    assert server.usage("b") == {"u1": {"calls": 2}}
    assert server.usage("a") == {"u1": {"calls": 1}}
    assert command("resume", "kana", *where).code == 0
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 2}}


def test_lines_name_the_tenant(tmp_path: Path, command: Callable[..., Any]) -> None:
    """What became of its deliveries is logged with its id, or the name that it was given since."""
    stream = io.StringIO()
    with contextlib.ExitStack() as stack:
        observation = observe(stream=stream, level="info", form="json")
        stack.callback(observation.close)
        sandbox = Sandbox({"accounts": [account("a"), account("b")]}).start()
        stack.callback(sandbox.stop)
        server = Server(tmp_path, observation, sandbox)
        stack.callback(server.stop)
        for name in ("a", "b"):
            server.post(name, track("1"))
        server.wait()
        ids = _tenants(server)
        named = command("tenants", "name", ids["b"], "Acme", "--store", server.store)
        assert named.code == 0
        server.service.stop()
        server.start()
        server.post("b", track("2"))
        server.post("b", track("3", featureId="unknown"))
        server.wait()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = {"deliveries settled", "delivery rejected"}
    found = {(one["message"], one.get("tenant")) for one in lines if one["message"] in told}
    assert found == {
        ("deliveries settled", ids["a"]),
        ("deliveries settled", ids["b"]),
        ("deliveries settled", "Acme"),
        ("delivery rejected", "Acme"),
    }
    others = [one for one in lines if one["message"] not in told]
    assert [one for one in others if "tenant" in one] == []


# -- merged and erased beside the server ---------------------------------------------------------

_SEND = HttpTransport.send


class Wire:
    """Notes with which keys requests to the partner are under way; ``gate`` holds some back."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.held = threading.Event()
        self.holds = ""
        self.under_way: list[str] = []
        self.usages: list[str] = []

    def send(self, transport: HttpTransport, request: Any) -> Any:
        """Send a request, once the gate is open if it is with the key that is held back."""
        key = str(request.headers["Authorization"]).removeprefix("Bearer ").strip("_")
        self.under_way.append(key)
        try:
            if b"recordUsage" in request.body:
                self.usages.append(key)
                if self.holds and key.endswith(self.holds):
                    self.held.set()
                    assert self.gate.wait(60)
            return _SEND(transport, request)
        finally:
            self.under_way.remove(key)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """What a server of this process sends."""
    noted = Wire()

    def send(transport: HttpTransport, request: Any) -> Any:
        return noted.send(transport, request)

    monkeypatch.setattr(HttpTransport, "send", send)
    yield noted
    noted.gate.set()


class Beside(threading.Thread):
    """A command that runs while the server goes on."""

    def __init__(self, command: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._command = command
        self._arguments = arguments
        self.start()

    def run(self) -> None:
        """Call the command."""
        self._done = self._command(*self._arguments)

    def result(self) -> Any:
        """Return what it came to, once it has ended."""
        self.join(90)
        return self._done


def _total(server: Server, *names: str) -> int:
    return sum(server.usage(name).get("u1", {}).get("calls", 0) for name in names)


def _until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1_200):
        if holds():
            return
        pause.wait(0.025)
    raise AssertionError("it did not become so")


@pytest.mark.parametrize("slow", ["a", "b"])
def test_a_merge_beside_the_server(
    serve: Callable[..., Server], command: Callable[..., Any], wire: Wire, slow: str
) -> None:
    """It waits for what is under way of both; nothing counts twice, and later events are INTO's."""
    server = serve("a", "b")
    for name, message_id, value in (("a", "1", 2), ("b", "1", 3), ("b", "2", 5)):
        assert server.post(name, track(message_id, value)).status_code == 200
    server.wait()
    ids = _tenants(server)
    wire.holds = slow
    server.post(slow, track("3", 7))
    assert wire.held.wait(30)
    where = ("--yes", "--store", server.store)
    merging = Beside(command, "tenants", "merge", ids["a"], ids["b"], *where)
    with SqliteStore(server.store, read_only=True) as store:
        _until(lambda: bool(asked_of_server(store)))
    # Events of both come all the while, and wait.
    for name in ("a", "b"):
        assert server.post(name, track("4", 11)).status_code == 200
    merging.join(1.5)
    assert merging.is_alive()
    assert len(_tenants(server)) == 2
    wire.gate.set()
    done = merging.result()
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"The server has merged {ids['a']} into {ids['b']}: ")
    assert list(_tenants(server).values()) == [ids["b"]]
    for name, message_id, value in (("a", "1", 2), ("a", "2", 5), ("b", "3", 7), ("a", "5", 13)):
        assert server.post(name, track(message_id, value)).status_code in {200, 400}
    server.wait()
    # "1" and "4" are of both: each was accepted once by each of them, before they were one.
    assert _total(server, "a", "b") == 2 + 3 + 5 + 7 + 2 * 11 + 13
    again = command("tenants", "merge", ids["a"], ids["b"], *where)
    assert (again.code, "nothing is left to do" in again.out) == (0, True)
    server.service.stop()
    server.start()
    for name in ("a", "b"):
        server.post(name, track("5", 13))
    server.wait()
    assert _total(server, "a", "b") == 2 + 3 + 5 + 7 + 2 * 11 + 13
    assert list(_tenants(server).values()) == [ids["b"]]


def test_merges_both_ways(serve: Callable[..., Server], command: Callable[..., Any]) -> None:
    """Of A into B and B into A at once, the first counts; the other says that both are one."""
    server = serve("a", "b")
    for name in ("a", "b"):
        server.post(name, track("1"))
    server.wait()
    ids = _tenants(server)
    where = ("--yes", "--store", server.store)
    pairs = ((ids["a"], ids["b"]), (ids["b"], ids["a"]))
    both = [Beside(command, "tenants", "merge", *pair, *where) for pair in pairs]
    done = [one.result() for one in both]
    assert sorted(one.code for one in done) == [0, 2]
    (refused,) = [pair for pair, one in zip(pairs, done, strict=True) if one.code]
    # Alone: two at once in one process write to each other's output.
    again = command("tenants", "merge", *refused, *where)
    assert (again.code, "was merged into" in again.err) == (2, True)
    assert len(_tenants(server)) == 1
    for name in ("a", "b"):
        assert server.post(name, track("2")).status_code == 200
    server.wait()
    assert _total(server, "a", "b") == 3


def test_merges_while_events_stream_in(
    serve: Callable[..., Server], command: Callable[..., Any]
) -> None:
    """Every accepted event counts once, before, during and after each of many merges."""
    names = [f"t{number}" for number in range(8)]
    server = serve(*names)
    for name in names:
        assert server.post(name, track(f"first {name}")).status_code == 200
    with SqliteStore(server.store, read_only=True) as store:
        ids = [one.id for one in Tenants(store.database).all("kana")]
    stop, counts = threading.Event(), dict.fromkeys(names, 1)

    def stream(own: list[str]) -> None:
        while not stop.is_set():
            for name in own:
                answer = server.post(name, track(f"{name} {counts[name]}"))
                counts[name] += answer.status_code == 200

    senders = [threading.Thread(target=stream, args=(names[nth::2],)) for nth in range(2)]
    for sender in senders:
        sender.start()
    try:
        for gone, kept in itertools.pairwise(ids):
            done = command("tenants", "merge", gone, kept, "--yes", "--store", server.store)
            assert done.code == 0, done.err
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    server.wait()
    assert _total(server, *names) == sum(counts.values())
    with SqliteStore(server.store, read_only=True) as store:
        assert [one.id for one in Tenants(store.database).all("kana")] == [ids[-1]]


def test_a_tenant_erased_beside_the_server(
    serve: Callable[..., Server], command: Callable[..., Any], wire: Wire
) -> None:
    """With a request under way nothing of it is left, and with the same key it is a new one."""
    server = serve("a", "b")
    for name in ("a", "b"):
        server.post(name, track("1", 2))
    server.wait()
    ids = _tenants(server)
    wire.holds = "a"
    server.post("a", track("2", 3, secret="of-the-gone"))
    assert wire.held.wait(30)
    server.post("a", track("3", 5, secret="of-the-gone"))
    where = ("--store", server.store)
    erasing = Beside(command, "tenants", "forget", ids["a"], "--yes", *where)
    erasing.join(1.5)
    assert erasing.is_alive()
    wire.gate.set()
    done = erasing.result()
    assert (done.code, f"Erased by the server: 3 events of {ids['a']}" in done.out) == (0, True)
    # What was under way is with the partner; what waited was not sent.
    assert server.usage("a") == {"u1": {"calls": 5}}
    data = b"".join(one.read_bytes() for one in server.store.parent.glob("store.sqlite3*"))
    assert ids["a"].encode() not in data
    assert b"of-the-gone" not in data
    assert server.post("a", track("1", 2)).status_code == 200
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 7}}
    with SqliteStore(server.store, read_only=True) as store:
        found = {one.id: one for one in Tenants(store.database).all("kana")}
        assert found.keys() == {ids["a"], ids["b"]}
    copy = server.store.with_name("copy.sqlite3")
    assert command("store", "backup", copy, *where).code == 0
    assert command("tenants", "forget", ids["b"], "--yes", *where).code == 0
    server.service.stop()
    assert command("store", "restore", copy, "--to", server.store, "--yes").code == 0
    assert list(_tenants(server).values()) == [ids["a"]]
    server.start()


def test_a_reload_while_tenants_wait_to_be_merged(
    serve: Callable[..., Server], command: Callable[..., Any], wire: Wire
) -> None:
    """It is done nevertheless, and both deliver again."""
    server = serve("a", "b")
    for name in ("a", "b"):
        server.post(name, track("1"))
    server.wait()
    ids = _tenants(server)
    wire.holds = "a"
    server.post("a", track("2"))
    assert wire.held.wait(30)
    where = ("--yes", "--store", server.store)
    merging = Beside(command, "tenants", "merge", ids["a"], ids["b"], *where)
    merging.join(1.0)
    opener = threading.Timer(0.5, wire.gate.set)
    opener.start()
    server.service.reload(server.config)
    assert merging.result().code == 0
    for name in ("a", "b"):
        assert server.post(name, track("3")).status_code == 200
    server.wait()
    assert _total(server, "a", "b") == 5 - 1  # "3" is one event of one tenant now


# -- commands with the key of a tenant -----------------------------------------------------------


def _configure(server: Server, ask_after: float) -> Path:
    """Let the server ask about lost answers so many seconds later; returns its configuration."""
    path = server.store.with_name("serve.yaml")
    document = yaml.safe_load(path.read_text())
    document["destinations"][0]["delivery"] = {"settleAfterSeconds": ask_after}
    path.write_text(yaml.safe_dump({**document, "drainSeconds": 0}))
    server.config = read_config(path, {"SEALING_KEY": _SEALING_KEY})
    return path


def _statuses(server: Server) -> dict[str, list[str]]:
    """Return what became of the deliveries of each tenant."""
    found: dict[str, list[str]] = {}
    with SqliteStore(server.store, read_only=True) as store:
        assert broken_rules(store.database) == []
        for one in store.ledger().find(Selection()):
            found.setdefault(one.tenant, []).append(str(one.status))
    return {tenant: sorted(statuses) for tenant, statuses in found.items()}


@pytest.fixture
def lost(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Server, Mapping[str, str]]]:
    """Makes a store in which the answers to a user of two tenants were lost, and events wait."""
    monkeypatch.setenv("SEALING_KEY", _SEALING_KEY)

    def make(drop: str) -> tuple[Server, Mapping[str, str]]:
        server = serve("a", "b")
        _configure(server, 600.0)
        fault = {"match": {"rootField": "recordUsage"}, "times": None, "drop": drop}
        for number, name in enumerate(("a", "b"), 1):
            server.service.stop()  # else the next one waits, as nobody answers
            server.start()
            faults = server.sandbox.account(key_of(name)).faults
            faults.add(fault)
            server.post(name, track("1", 5))
            _until(lambda: sum(one == ["unknown"] for one in _statuses(server).values()) == 1)
            server.post(name, track("2", 7))
            _until(lambda: len(_statuses(server)) == number)  # noqa: B023 - called at once
            faults.clear()
        server.service.stop()
        return server, _tenants(server)

    return make


@pytest.mark.parametrize(
    ("drop", "told", "left", "used"),
    [
        ("after", "1 applied", ["delivered", "dropped"], {"u1": {"calls": 5}}),
        ("before", "1 not applied", ["dropped", "dropped"], {}),
    ],
)
@pytest.mark.parametrize("option", ["--tenant", "--destination", "--everywhere"])
def test_forgetting_a_user_whose_answer_was_lost(
    lost: Callable[[str], tuple[Server, Mapping[str, str]]],
    command: Callable[..., Any],
    option: str,
    *,
    drop: str,
    told: str,
    left: list[str],
    used: Any,
) -> None:
    """The partner is asked with the key of each tenant; it says whose rows they are."""
    server, ids = lost(drop)
    path = _configure(server, 0.05)
    where = {"--tenant": [ids["a"]], "--destination": ["kana"], "--everywhere": []}[option]
    accounts = {name: server.sandbox.account(key_of(name)) for name in ("a", "b")}
    before = {name: len(one.requests) for name, one in accounts.items()}
    done = command("forget", "u1", option, *where, "--config", path, "--yes")
    assert done.code == 0, done.err
    mine = ids.values() if option != "--tenant" else [ids["a"]]
    for one in mine:
        assert f"Of the tenant {one}: 2 rows.\n" in done.out
        assert f"kana, tenant {one}: lost answers settled: {told}.\n" in done.out
    asked = {
        name: [field for each in list(one.requests)[before[name] :] for _, field in each.roots]
        for name, one in accounts.items()
    }
    assert asked == {name: ["showUsage"] if ids[name] in mine else [] for name in accounts}
    for name in ("a", "b"):
        assert server.usage(name) == used
    others = {one: ["ready", "unknown"] for one in ids.values() if one not in mine}
    assert _statuses(server) == {**dict.fromkeys(mine, left), **others}
    server.start()
    server.wait()
    assert server.usage("a") == used


@pytest.mark.parametrize("key", [None, "B" * 42 + "A="])
def test_forgetting_a_user_without_the_sealing_key(
    lost: Callable[[str], tuple[Server, Mapping[str, str]]],
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
) -> None:
    """Nobody can be asked, so nothing is erased; it says what is missing."""
    server, ids = lost("after")
    path, before = _configure(server, 0.05), _statuses(server)
    if key is None:
        monkeypatch.delenv("SEALING_KEY")
    else:
        monkeypatch.setenv("SEALING_KEY", key)
    done = command("forget", "u1", "--tenant", ids["a"], "--config", path, "--yes")
    assert done.code == (75 if key is None else 2)
    assert ("SEALING_KEY is not set" if key is None else "it needs the sealing key ") in done.err
    assert _statuses(server) == before
    server.start()


@pytest.fixture
def of_two(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> tuple[Server, Mapping[str, str], Path]:
    """A server with two tenants whose users have used something, and its configuration."""
    monkeypatch.setenv("SEALING_KEY", _SEALING_KEY)
    server = serve("a", "b")
    for name in ("a", "b"):
        for user in ("u1", "u2"):
            event = {**track(user), "userId": user}
            assert server.post(name, event).status_code == 200
    server.wait()
    return server, _tenants(server), server.store.with_name("serve.yaml")


@pytest.mark.parametrize("is_running", [True, False], ids=["server", "no server"])
def test_merging_users_of_a_tenant(
    of_two: tuple[Server, Mapping[str, str], Path],
    command: Callable[..., Any],
    *,
    is_running: bool,
) -> None:
    """They are merged in the account of that tenant alone, by the server if one runs."""
    server, ids, path = of_two
    if not is_running:
        server.service.stop()
    where = ("--tenant", ids["b"], "--config", path)
    for _ in range(2):
        done = command("kana", "merge", "u1", "u2", "--yes", *where)
        assert (done.code, done.out) == (0, "Merged u1 into u2.\n"), done.err
    assert server.usage("a") == {"u1": {"calls": 1}, "u2": {"calls": 1}}
    assert server.usage("b")["u2"] == {"calls": 2}
    with SqliteStore(server.store, read_only=True) as store:
        merges = [one for one in store.ledger().find(Selection()) if one.action == "merge"]
        assert {one.tenant for one in merges} == ({ids["b"]} if is_running else set())
        # A tenant has no runs.
        assert all(one.tenant for one in store.accounts().scopes())
    boxes = {
        name: command("kana", "flags", "--tenant", ids[name], "--config", path, "--json").json
        for name in ("a", "b")
    }
    left = {name: [one["id"] for one in box["left-over"]["users"]] for name, box in boxes.items()}
    assert left == {"a": [], "b": ["u1~left-over~1"]}
    if not is_running:
        server.start()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--store", "{store}"), "--tenant needs --config FILE"),
        (("--config", "{path}", "--settings", "{path}"), "cannot be used with --settings"),
        (("--config", "{path}", "--account", "main"), "cannot be used with --settings, --account"),
    ],
)
def test_options_that_do_not_fit_a_tenant(
    of_two: tuple[Server, Mapping[str, str], Path],
    command: Callable[..., Any],
    *,
    options: tuple[str, ...],
    words: str,
) -> None:
    """It is said which of them, and nothing is asked."""
    server, ids, path = of_two
    given = [one.format(store=server.store, path=path) for one in options]
    for line in (("flags",), ("merge", "u1", "u2", "--yes")):
        done = command("kana", *line, "--tenant", ids["a"], *given)
        assert (done.code, words in done.err) == (2, True), done.err


# -- who else delivers to the account of a tenant --------------------------------------------------


def _settings(folder: Path, server: Server, name: str) -> Path:
    """Return the settings of runs and commands with the key of a tenant."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"apiKey": key_of(name), "endpoint": server.sandbox.url}))
    return path


def test_a_run_beside_the_server(
    serve: Callable[..., Server], command: Callable[..., Any], tmp_path: Path
) -> None:
    """It is kept out as beside a server of one account, whosever its own account is."""
    server = serve("a", "b")
    server.post("a", track("1"))
    server.wait()
    events = tmp_path / "events.json"
    events.write_text(json.dumps([track("2", 5)]))
    for name in ("a", "b"):
        given = ("--settings", _settings(tmp_path, server, name), "--store", server.store)
        done = command("run", "kana", "--events", events, *given, "--new-account")
        assert done.code == 75
        assert f"a server delivers from the store {server.store}; stop it, or use" in done.err
    assert (server.usage("a"), server.usage("b")) == ({"u1": {"calls": 1}}, {})


def test_a_command_with_the_key_of_a_tenant(
    serve: Callable[..., Server], command: Callable[..., Any], tmp_path: Path
) -> None:
    """The server does it, as for the account of a destination."""
    server = serve("a")
    for user in ("u1", "u2"):
        server.post("a", {**track(user), "userId": user})
    server.wait()
    given = ("--settings", _settings(tmp_path, server, "a"), "--store", server.store)
    assert command("kana", "merge", "u1", "u2", "--yes", *given).code == 0
    with SqliteStore(server.store, read_only=True) as store:
        merges = [one for one in store.ledger().find(Selection()) if one.action == "merge"]
        assert [one.tenant for one in merges] == list(_tenants(server).values())


def test_a_tenant_whose_account_a_command_delivers_to(
    serve: Callable[..., Server],
    command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its events are accepted, and wait for the command; those of others do not."""
    monkeypatch.setattr(fair_share, "_FAULT_SECONDS", 0.1)
    server = serve("a", "b")
    server.service.stop()
    events = tmp_path / "events.json"
    events.write_text(json.dumps([track("1", 2)]))
    given = ("--settings", _settings(tmp_path, server, "a"), "--store", server.store)
    assert command("run", "kana", "--events", events, *given, "--new-account").code == 0
    with SqliteStore(server.store) as store:
        (account,) = store.accounts().of_slug("kana")
    server.start()
    with lock_account(server.store, account.id, "it", by_server=False):
        for name in ("a", "b"):
            assert server.post(name, track("2", 5)).status_code == 200
        _until(lambda: server.usage("b") == {"u1": {"calls": 5}})
        assert server.usage("a") == {"u1": {"calls": 2}}
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 7}}


def test_a_tenant_that_comes_as_a_command_begins(
    serve: Callable[..., Server],
    command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command looks again once it has the lock, and does nothing beside the server."""
    server = serve("a")
    path = _settings(tmp_path, server, "a")

    @contextlib.contextmanager
    def late(*arguments: Any, **given: Any) -> Iterator[None]:
        assert server.post("a", track("1")).status_code == 200
        server.wait()
        with lock_account(*arguments, **given):
            yield

    monkeypatch.setattr(operation_requests, "lock_account", late)
    done = command(
        *("kana", "merge", "u1", "u2", "--yes", "--settings", path, "--store", server.store),
        "--new-account",
    )
    assert (done.code, "a server or another command delivers to kana at" in done.err) == (75, True)
    asked = [field for one in server.sandbox.requests for _, field in one.roots]
    assert "updateUser" not in asked


CALLS = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "Called"',
    "mapping": {"featureId": "calls"},
}
DOUBLE = {**CALLS, "name": "Double", "mapping": {"featureId": "calls", "delta": 20}}


def _bare(message_id: str, event: str = "Called") -> dict[str, Any]:
    """Return an event that names no feature."""
    return {**track(message_id, 1, featureId=None), "event": event}


def _connect(server: Server, command: Callable[..., Any], name: str, *arguments: Any) -> None:
    """Connect a tenant with a command, and return when the server has noticed that."""
    config = server.store.parent / "serve.yaml"
    done = command("tenants", "connect", name, *arguments, "--config", config)
    assert done.code == 0, done.err
    threading.Event().wait(1.5)


def test_a_connection_of_ones_own(
    serve: Callable[..., Server],
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
) -> None:
    """A running server takes it over, and keeps it over a restart; others have the default."""
    server = serve("a", "b")
    for name in ("a", "b"):
        assert server.post(name, track("1")).status_code == 200
    server.wait()
    ids = _tenants(server)
    _connect(server, command, ids["a"], write("own.json", {"subscriptions": [CALLS]}))
    for name in ("a", "b"):
        assert server.post(name, _bare("2")).status_code == 200
        assert server.post(name, _bare("3", "Other")).status_code == 200
    server.wait()
    assert (server.usage("a"), server.usage("b")) == ({"u1": {"calls": 2}}, {"u1": {"calls": 1}})
    server.service.stop()
    server.start()
    server.post("a", _bare("4"))
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 3}}
    _connect(server, command, ids["a"], "--remove")
    server.post("a", _bare("5"))
    server.post("a", track("6"))
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 4}}


def test_what_waits_is_planned_by_a_new_connection(
    serve: Callable[..., Server],
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
) -> None:
    """Nothing of it is lost, and nothing goes by the connection before."""
    server = serve("a")
    server.post("a", track("1"))
    server.wait()
    ids = _tenants(server)
    _connect(server, command, ids["a"], write("own.json", {"subscriptions": [CALLS]}))
    where = ("--tenant", ids["a"], "--store", server.store)
    command("pause", "kana", *where)
    threading.Event().wait(1.5)
    for number in range(2, 5):
        server.post("a", _bare(str(number)))
    again = {
        "subscriptions": [{**DOUBLE, "name": "Calls"}],
        "filters": [{"blockProperties": ["x"]}],
    }
    _connect(server, command, ids["a"], write("again.json", again))
    command("resume", "kana", *where)
    server.wait()
    assert server.usage("a") == {"u1": {"calls": 1 + 3 * 20}}


def test_a_default_connection(serve: Callable[..., Server]) -> None:
    """The subscriptions of the configuration are those of all customers."""
    server = serve("a", "b")
    server.service.stop()
    path = server.store.parent / "serve.yaml"
    text = yaml.safe_load(path.read_text())
    text["destinations"][0]["subscriptions"] = [CALLS]
    text["destinations"][0]["filters"] = [{"drop": 'event = "Called" and properties.x = "no"'}]
    path.write_text(yaml.safe_dump(text))
    server.config = read_config(path, {"SEALING_KEY": _SEALING_KEY})
    server.start()
    for name in ("a", "b"):
        server.post(name, _bare("1"))
        server.post(name, {**track("2", x="no")})
    server.wait()
    assert (server.usage("a"), server.usage("b")) == ({"u1": {"calls": 1}}, {"u1": {"calls": 1}})


def test_a_default_connection_that_does_not_fit_any_more(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    """After an upgrade the events of all customers wait, of new ones as well, until one fits."""
    server = serve("a", "b")
    server.post("a", track("1"))
    server.wait()
    server.service.stop()
    path = server.store.parent / "serve.yaml"

    def configured(*subscriptions: dict[str, Any]) -> ServeConfig:
        text = yaml.safe_load(path.read_text())
        # Without aliases for what occurs twice.
        text["destinations"][0]["subscriptions"] = json.loads(json.dumps(subscriptions))
        text["destinations"][0]["filters"] = [{"drop": 'event = "Noise"'}]
        path.write_text(yaml.safe_dump(text))
        return read_config(path, {"SEALING_KEY": _SEALING_KEY})

    server.config = configured(CALLS, {**CALLS, "name": "Gone", "partnerAction": "count"})
    with SqliteStore(server.store) as store:
        noted = dict(store.noted(CONFIGURATION) or {})
        spec = server.config.destinations[0].spec
        noted["destinations"] = [
            {**each, "subscriptions": spec["subscriptions"], "filters": spec["filters"]}
            for each in noted["destinations"]
        ]
        store.note({CONFIGURATION: noted})
    server.start()
    for name in ("a", "b"):
        assert server.post(name, _bare("2")).status_code == 200
        assert server.post(name, _bare("3", "Noise")).status_code == 200
    threading.Event().wait(1.5)
    assert (server.usage("a"), server.usage("b")) == ({"u1": {"calls": 1}}, {})
    assert any("does not fit the definition" in one for one in server.service.remarks())
    server.service.reload(configured(CALLS))
    server.wait()
    assert (server.usage("a"), server.usage("b")) == ({"u1": {"calls": 2}}, {"u1": {"calls": 1}})
    assert not any("does not fit" in one for one in server.service.remarks())
    lines = [one.getMessage() for one in caplog.records]
    assert not [one for one in lines if one.endswith((" paused", " resumed"))]


@pytest.mark.parametrize("waits", [True, False], ids=["what waited", "what comes"])
def test_a_connection_that_does_not_fit_any_more(
    serve: Callable[..., Server],
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
    *,
    waits: bool,
) -> None:
    """After an upgrade that tenant's events wait, the others go on, and operators are told."""
    server = serve("a", "b")
    for name in ("a", "b"):
        server.post(name, track("1"))
    server.wait()
    ids = _tenants(server)
    if waits:
        command("pause", "kana", "--tenant", ids["a"], "--store", server.store)
        threading.Event().wait(1.5)
        server.post("a", track("2"))
    server.service.stop()
    with SqliteStore(server.store) as store:
        tenants = Tenants(store.database)
        (one,) = (one for one in tenants.all() if one.id == ids["a"])
        gone = {"subscriptions": [CALLS, {**CALLS, "name": "Gone", "partnerAction": "count"}]}
        tenants.connect(one, KeptConnection(gone, "0badc0de", 0.0))
    command("resume", "kana", "--tenant", ids["a"], "--store", server.store)
    server.start()
    shown = command("tenants", "list", "--store", server.store)
    assert "0badc0de, does not fit" in shown.out
    shown = command("tenants", "show", ids["a"], "--store", server.store)
    assert "its events wait: /subscriptions/1/partnerAction: unknown action 'count'" in shown.out
    expected = 1
    if not waits:
        assert server.post("a", _bare("2")).status_code == 200
        assert server.post("a", _bare("3", "Nobody's")).status_code == 200
    server.post("b", track("2"))
    for _ in range(1_200):
        if server.usage("b") == {"u1": {"calls": 2}}:
            break
        threading.Event().wait(0.025)
    assert server.usage("b") == {"u1": {"calls": 2}}
    assert server.usage("a") == {"u1": {"calls": expected}}
    own = [CALLS] if not waits else [{**CALLS, "name": "Record usage"}]
    _connect(server, command, ids["a"], write("own.json", {"subscriptions": own}))
    for _ in range(1_200):
        if server.usage("a") == {"u1": {"calls": 2}}:
            break
        threading.Event().wait(0.025)
    assert server.usage("a") == {"u1": {"calls": 2}}
    assert "does not fit" not in command("tenants", "list", "--store", server.store).out
