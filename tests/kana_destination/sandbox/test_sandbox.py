"""The sandbox as an object: starting, stopping, and keeping its account in a file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.errors import DefinitionError, UsageError
from kana_destination.sandbox import Sandbox

ADD = "mutation($i: CreateUsageEventInput!) { recordUsage(input: $i) { recorded } }"
ONE = {"userId": "ann", "featureId": "calls", "delta": 1}


def test_context_manager_starts_and_stops(seed: dict[str, Any]) -> None:
    """While it is open it answers at ``url``; afterwards nothing listens there."""
    with Sandbox(seed) as sandbox:
        url, headers = sandbox.url, {"Authorization": sandbox.api_key}
        body = {"query": "{ users { id } }"}
        assert requests.post(url, json=body, headers=headers, timeout=5).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.post(url, json=body, headers=headers, timeout=5)
    with pytest.raises(UsageError, match="not started"):
        _ = sandbox.url


def test_starting_and_stopping_can_be_repeated(seed: dict[str, Any]) -> None:
    """A second start or stop does nothing; a stopped sandbox is not started again."""
    sandbox = Sandbox(seed)
    sandbox.start()
    url = sandbox.url
    assert sandbox.start().url == url
    sandbox.stop()
    sandbox.stop()
    with pytest.raises(UsageError, match="has been stopped"):
        sandbox.start()


def test_stopping_ends_connections_and_waits(client: Any) -> None:
    """A request that a rule holds back for minutes ends at once, without an answer."""
    client.data("{ users { id } }")
    client.sandbox.faults.add({"delay": 300})
    failed: list[Exception] = []

    def ask() -> None:
        try:
            client(ADD, i=ONE)
        except requests.RequestException as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while client.sandbox.requests.count < 2 or len(client.sandbox.requests) < 2:
        thread.join(0.005)
    client.sandbox.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert len(failed) == 1


def test_port_can_be_chosen_and_must_be_free(seed: dict[str, Any]) -> None:
    """A port in use, or one that is none, is wrong usage and named."""
    with Sandbox(seed) as first:
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        for wrong in (port, 70_000, -1):
            with pytest.raises(UsageError, match=f"cannot use the port {wrong}"):
                Sandbox(seed, port=wrong).start()
    with Sandbox(seed, port=port) as second:
        assert f":{port}/" in second.url


def test_the_key_that_is_shown_has_the_documented_form(seed: dict[str, Any]) -> None:
    """The prefix and 32 characters."""
    assert Sandbox(seed).api_key.removeprefix("prv_test_").isalnum()
    assert len(Sandbox(seed).api_key) == len("prv_test_") + 32


def test_snapshots_do_not_change_afterwards(client: Any) -> None:
    """A snapshot is a picture, not a view."""
    before = client.sandbox.snapshot()
    client.data(ADD, i=ONE)
    assert before["usage"]["ann"] == {"calls": 7}
    assert client.sandbox.snapshot()["usage"]["ann"] == {"calls": 8}


def change_everything(client: Any) -> None:
    """Every kind of change, some of them to the same things."""
    client.data(
        """mutation {
          a: createUser(input: {id: "new", metadata: {plan: {a: 1}}}) { id }
          b: updateUser(id: "ann", input: {id: "ann-2", name: "Anna"}) { id }
          c: createFeature(input: {id: "gb", name: "GB", type: CONSUMABLE}) { id }
          d: createPackage(input: {id: "p", name: "P", status: PUBLISHED, prices: [1],
                                   features: [{id: "gb", limit: 3, resetPeriod: DAY}]}) { id }
          e: updateFeature(id: "sso", input: {unitLabel: "u", metadata: [1]}) { id }
          f: subscribe(userId: "new", packageIds: ["p", "boost"]) { id }
          g: recordUsage(input: {userId: "new", featureId: "gb", delta: 4}) { recorded }
          h: recordUsage(input: {userId: "ann-2", featureId: "calls", delta: 4}) { recorded }
        }"""
    )


def test_account_is_kept_in_a_file(connect: Any, tmp_path: Path, clock: Any) -> None:
    """Opened again it is the same, also in its order; the seed does not come back."""
    path = tmp_path / "account.db"
    first = connect(db=path)
    change_everything(first)
    clock.set(2022, 11, 5)
    first.data(ADD, i={**ONE, "userId": "ann-2", "delta": 2})
    held = first.sandbox.snapshot()
    assert held["usage"]["ann-2"] == {"calls": 2}
    first.sandbox.stop()
    second = connect(db=path, seed=None)
    assert second.sandbox.snapshot() == held
    clock.set(2022, 10, 21)
    assert second.sandbox.snapshot()["usage"]["ann-2"] == {"calls": 11}
    assert second.data('mutation { createUser(input: {id: "more"}) { id } }')
    assert second.data('mutation { subscribe(userId: "cid", packageIds: ["free"]) { id } }') == {
        "subscribe": [{"id": "sub_0005"}]
    }


def test_mutations_are_in_the_file_before_their_answer(
    connect: Any, tmp_path: Path, clock: Any
) -> None:
    """What another process would find after a crash, at any moment, is what was answered."""
    path, copy = tmp_path / "account.db", tmp_path / "copy.db"
    client = connect(db=path)
    for number in range(1, 4):
        client.data(ADD, i=ONE)
        for suffix in ("", "-wal"):
            Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
        crashed = Sandbox(db=copy, clock=clock)
        assert crashed.snapshot() == client.sandbox.snapshot()
        assert crashed.snapshot()["usage"]["ann"] == {"calls": 7 + number}
        crashed.stop()


def test_what_cannot_be_written_is_not_done(
    connect: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is an error without data, and the account is as it was before the request."""
    client = connect(db=tmp_path / "account.db")
    before = client.sandbox.snapshot()
    connection = client.sandbox._store._connection
    connection.execute("PRAGMA query_only = ON")
    answer = client('mutation { createUser(input: {id: "new"}) { id } }')
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "readonly" in capsys.readouterr().err
    assert client.sandbox.snapshot() == before
    connection.execute("PRAGMA query_only = OFF")
    client.data('mutation { createUser(input: {id: "new"}) { id } }')
    assert [user["id"] for user in client.sandbox.snapshot()["users"]][-1] == "new"


def test_wrong_seed_leaves_no_file(tmp_path: Path) -> None:
    """The seed is checked before anything is opened."""
    with pytest.raises(DefinitionError):
        Sandbox({"users": [{}]}, db=tmp_path / "account.db")
    assert list(tmp_path.iterdir()) == []


def test_threads_lose_nothing(client: Any) -> None:
    """Writes from several connections at a time all count."""

    def work() -> None:
        with requests.Session() as session:
            for _ in range(25):
                session.post(
                    client.sandbox.url,
                    json={"query": ADD, "variables": {"i": ONE}},
                    headers={"Authorization": client.sandbox.api_key},
                    timeout=10,
                ).raise_for_status()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.sandbox.snapshot()["usage"]["ann"] == {"calls": 107}
    assert client.sandbox.requests.count == 100
    assert client.sandbox.requests.count_of("recordUsage") == 100
