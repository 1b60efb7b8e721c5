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

from destinations.errors import UsageError
from destinations.http.transport import HttpTransport
from destinations.operations import asked_of_server, pause_destination, resume_destination
from destinations.secrets import Secret
from destinations.server import Service, read_config
from destinations.server.config_model import SealingConfig
from destinations.store import SqliteStore, Tenants, TenantStore, broken_rules
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
    (refused,) = [one.err for one in done if one.code]
    assert "was merged into" in refused
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
