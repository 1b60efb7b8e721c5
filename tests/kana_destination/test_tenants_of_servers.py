"""Several servers share a store in PostgreSQL: each customer is the same one at all of them."""

from __future__ import annotations

import contextlib
import io
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.postgres.store import PostgresStore
from destinations.server import Role, Service, read_config
from destinations.store import Tenants, broken_rules
from destinations.telemetry import Observation, observe
from kana_destination.sandbox import Sandbox
from tests.kana_destination.test_tenants import (
    _SEALING_KEY,
    Beside,
    Wire,
    _until,
    account,
    key_of,
    track,
    wire,
)
from tests.postgres_server import new_store_address

__all__ = ["wire"]  # a fixture


class Servers:
    """Two servers of one configuration, for all customers of a sandbox."""

    def __init__(
        self, folder: Path, observation: Observation, sandbox: Sandbox, roles: Sequence[Role]
    ) -> None:
        self.address = new_store_address()
        self.sandbox = sandbox
        path = folder / "serve.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "listen": {"host": "127.0.0.1", "port": 0},
                    "store": {
                        "postgres": {
                            "dsn": str(self.address),
                            "hardStop": False,
                            "leaseSeconds": 3,
                            "durability": "single-node",
                        }
                    },
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
        config = read_config(path, {"SEALING_KEY": _SEALING_KEY})
        self.services = [Service(config, observation, role=role) for role in roles]
        self._receivers = [one for one in self.services if one.receives]
        for one in self.services:
            one.start()
        self._turns = itertools.cycle(self._receivers)
        _until(self._share)

    def _share(self) -> bool:
        """Return whether both deliver."""
        with PostgresStore(self.address, read_only=True) as store:
            row = store.database.one("SELECT count(DISTINCT worker) FROM lanes")
        return row == (sum(one.delivers for one in self.services),)

    def post(self, name: str, event: Any, at: int | None = None) -> requests.Response:
        """Post an event with the key of an account: to a server, or to each in turn."""
        service = next(self._turns) if at is None else self.services[at]
        return requests.post(service.urls["kana"], json=event, auth=(key_of(name), ""), timeout=30)

    def accept(self, name: str, event: Any, at: int | None = None) -> None:
        """Post an event until it is accepted, as senders do."""
        _until(lambda: self.post(name, event, at).status_code == 200)

    def wait(self) -> None:
        """Return when nothing waits."""

        def is_done() -> bool:
            with PostgresStore(self.address, read_only=True) as store:
                return store.database.one("SELECT count(*) FROM open") == (0,)

        _until(is_done)

    def tenants(self) -> Mapping[str, str]:
        """Return the ids of tenants, by the names of the accounts whose keys lead to them."""
        with PostgresStore(self.address, read_only=True) as store:
            tenants = Tenants(store.database)
            return {one.id: one.scope.tenant for one in tenants.all("kana")}

    def total(self, *names: str) -> int:
        """Return what the accounts of the sandbox counted together."""
        total = 0
        for name in names:
            answer = requests.get(
                f"{self.sandbox.url.rsplit('/', 1)[0]}/snapshot",
                headers={"Authorization": f"Bearer {key_of(name)}"},
                timeout=30,
            )
            usage = answer.json()["usage"]
            total += sum(each.get("calls", 0) for each in usage.values())
        return total

    def stop(self) -> None:
        """Stop both, and look whether the store is as it has to be."""
        with contextlib.ExitStack() as stack:
            for one in self.services:
                stack.callback(one.stop)
        with PostgresStore(self.address, read_only=True) as store:
            assert broken_rules(store.database) == []


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Servers]]:
    """Starts two servers for a sandbox with accounts of these names."""
    with contextlib.ExitStack() as stack:
        observation = observe(stream=io.StringIO(), level="warning")
        stack.callback(observation.close)

        def make(*names: str, roles: Sequence[Role] = ("both", "both")) -> Servers:
            sandbox = Sandbox({"accounts": [account(name) for name in names]}).start()
            stack.callback(sandbox.stop)
            servers = Servers(tmp_path, observation, sandbox, roles)
            stack.callback(servers.stop)
            return servers

        yield make


def _of_user(message_id: str, user: int, value: int = 1) -> dict[str, Any]:
    return {**track(message_id, value), "userId": f"u{user % 2 + 1}"}


def test_a_customer_is_the_same_everywhere(serve: Callable[..., Servers]) -> None:
    """Whoever sees a key first: each event counts once, with the key that it came with."""
    names = [f"t{number}" for number in range(6)]
    servers = serve(*names)
    expected = dict.fromkeys(names, 0)
    for number in range(12):
        for nth, name in enumerate(names):
            value = 1 + (number + nth) % 5
            event = _of_user(f"m{number}", number, value)
            expected[name] += value
            servers.accept(name, event)
            if number % 3 == 0:  # again, at the other one
                servers.accept(name, event)
    servers.wait()
    assert {name: servers.total(name) for name in names} == expected
    assert len(servers.tenants()) == len(names)


def test_one_receives_and_the_other_delivers(serve: Callable[..., Servers]) -> None:
    """Who delivers knows a customer from the first event on, though it never sees a key."""
    names = [f"t{number}" for number in range(4)]
    servers = serve(*names, roles=("receive", "deliver"))
    for name in names:
        for user in range(3):
            servers.accept(name, _of_user(f"{name} {user}", user, 2))
        # Nothing more comes that would let it look again.
        servers.wait()
        assert servers.total(name) == 6


def test_a_new_customer_at_both_at_once(serve: Callable[..., Servers]) -> None:
    """It becomes one tenant, and what both took in counts once."""
    names = [f"t{number}" for number in range(4)]
    servers = serve(*names)
    for name in names:
        barrier = threading.Barrier(2)

        def send(at: int, name: str = name, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(30)
            servers.accept(name, track("same", 3), at)
            servers.accept(name, track(f"own {at}", 5), at)

        senders = [threading.Thread(target=send, args=(at,)) for at in range(2)]
        for one in senders:
            one.start()
        for one in senders:
            one.join(60)
    servers.wait()
    assert [servers.total(name) for name in names] == [13] * len(names)
    assert len(servers.tenants()) == len(names)


@pytest.mark.parametrize("slow", ["a", "b"])
def test_a_merge_beside_servers(
    serve: Callable[..., Servers], command: Callable[..., Any], wire: Wire, slow: str
) -> None:
    """It waits for what any server has under way; then all of them send for INTO alone."""
    servers = serve("a", "b")
    for name in ("a", "b"):
        servers.accept(name, track("1", 2))
    servers.wait()
    ids = _ids(servers, "a", "b")
    wire.holds = slow
    for user in range(2):
        servers.accept(slow, _of_user(f"3 {user}", user, 7))
    assert wire.held.wait(30)
    where = ("--yes", "--store", servers.address.url)
    merging = Beside(command, "tenants", "merge", ids["a"], ids["b"], *where)
    merging.join(2.5)
    assert merging.is_alive()
    assert len(servers.tenants()) == 2
    wire.gate.set()
    done = merging.result()
    assert (done.code, done.err) == (0, "")
    assert list(servers.tenants().values()) == [ids["b"]]
    for at in range(2):
        for name in ("a", "b"):
            servers.accept(name, track(f"new of {name}", 11), at)
            servers.accept(name, track("3 0", 7), at) if name == slow else None
    servers.wait()
    assert servers.total("a", "b") == 2 * 2 + 2 * 7 + 2 * 11
    # With both keys, at both servers, one after the other.
    for number in range(8):
        servers.accept("ab"[number % 2], track(f"later {number}", 1), number // 2 % 2)
    servers.wait()
    assert servers.total("a", "b") == 2 * 2 + 2 * 7 + 2 * 11 + 8


def test_merges_while_events_stream_in(
    serve: Callable[..., Servers], command: Callable[..., Any]
) -> None:
    """Every accepted event counts once, before, during and after each of several merges."""
    names = [f"t{number}" for number in range(6)]
    servers = serve(*names)
    for name in names:
        servers.accept(name, track(f"first {name}"))
    ids = list(servers.tenants())
    stop, counts = threading.Event(), dict.fromkeys(names, 1)
    faults: list[str] = []

    def stream(own: Sequence[str], at: int) -> None:
        for name in itertools.cycle(own):
            if stop.is_set():
                return
            event = _of_user(f"{name} {counts[name]}", counts[name])
            answer = servers.post(name, event, at)
            counts[name] += answer.status_code == 200
            if answer.status_code not in {200, 503}:
                faults.append(f"{answer.status_code} {answer.text}")

    senders = [threading.Thread(target=stream, args=(names[at::2], at)) for at in range(2)]
    for sender in senders:
        sender.start()
    try:
        for gone, kept in itertools.pairwise(ids):
            done = command("tenants", "merge", gone, kept, "--yes", "--store", servers.address.url)
            assert done.code == 0, done.err
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    assert faults == []
    servers.wait()
    # What was under way when the senders stopped may have been accepted as well.
    total = servers.total(*names)
    assert sum(counts.values()) <= total <= sum(counts.values()) + len(senders)
    assert list(servers.tenants()) == [ids[-1]]


def test_a_customer_erased_beside_servers(
    serve: Callable[..., Servers], command: Callable[..., Any], wire: Wire
) -> None:
    """What is under way anywhere ends before it; then its key is as if it had never been seen."""
    servers = serve("a", "b")
    for name in ("a", "b"):
        servers.accept(name, track("1", 2))
    servers.wait()
    ids = _ids(servers, "a", "b")
    wire.holds = "a"
    for user in range(2):
        servers.accept("a", _of_user(f"2 {user}", user, 3))
    assert wire.held.wait(30)
    where = ("--yes", "--store", servers.address.url)
    erasing = Beside(command, "tenants", "forget", ids["a"], *where)
    erasing.join(2.5)
    assert erasing.is_alive()
    wire.gate.set()
    done = erasing.result()
    assert (done.code, "Erased by the server" in done.out) == (0, True), done
    counted = servers.total("a")
    assert list(servers.tenants()) == [ids["b"]]
    for at in range(2):
        servers.accept("a", track("1", 2), at)
    servers.wait()
    assert servers.total("a") == counted + 2
    # With the same key it has the same id.
    assert set(servers.tenants()) == set(ids.values())


def _ids(servers: Servers, *names: str) -> Mapping[str, str]:
    """Return the ids of tenants by name, in the order in which they came."""
    return dict(zip(names, servers.tenants(), strict=True))
