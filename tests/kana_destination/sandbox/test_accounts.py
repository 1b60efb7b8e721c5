"""A sandbox with an account for each key: what is in one is never seen at another."""

from __future__ import annotations

import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import UsageError
from kana_destination.sandbox.execution import GraphQLRequest

A, B = "prv_live_first", "prv_live_second"
ADD = "mutation($i: CreateUsageEventInput!) { recordUsage(input: $i) { recorded } }"
CREATE = "mutation($i: CreateUserInput!) { createUser(input: $i) { id } }"
RENAME = 'mutation { updateUser(id: "ann", input: {id: "ann", name: "Other"}) { id } }'
SUBSCRIBE = 'mutation { subscribe(userId: "cid", packageIds: ["paid"]) { id } }'
USERS = "{ users { id name } }"


@pytest.fixture
def two(connect: Any, seed: dict[str, Any]) -> Any:
    """A client of a sandbox with two accounts that begin with the same content."""
    return connect(seed=of_two(seed))


def of_two(seed: dict[str, Any]) -> dict[str, Any]:
    """A seed in which each key has the small account."""
    return {"accounts": [{"apiKey": key, **deepcopy(seed)} for key in (A, B)]}


def ask(client: Any, key: str, query: str, **variables: Any) -> Any:
    """The JSON of the answer to a GraphQL request with this key."""
    body = {"query": query, "variables": variables}
    return client.post(json=body, headers={"Authorization": key}).json()


def shown(client: Any, key: str, path: str = "/snapshot") -> Any:
    """What the sandbox shows of the key's account over HTTP."""
    answer = client.at("GET", path, headers={"Authorization": key})
    assert answer.status_code == 200
    return answer.json()


def rules(client: Any, key: str, method: str = "POST", *added: dict[str, Any]) -> Any:
    """The answer to added or deleted fault rules."""
    headers = {"Authorization": key}
    answer = client.at(method, "/faults", headers=headers, json=list(added) if added else None)
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (CREATE, {"i": {"id": "new"}}),
        (RENAME, {}),
        (SUBSCRIBE, {}),
        (ADD, {"i": {"userId": "ann", "featureId": "calls", "delta": 5}}),
        ('mutation { createFeature(input: {id: "gb", name: "GB", type: CONSUMABLE}) { id } }', {}),
        ('mutation { createPackage(input: {id: "p", name: "P", status: PUBLISHED}) { id } }', {}),
    ],
)
@pytest.mark.parametrize(("changed", "other"), [(A, B), (B, A)])
def test_what_is_changed_in_one_account_is_not_seen_in_another(
    two: Any, query: str, variables: dict[str, Any], changed: str, other: str
) -> None:
    """Users, subscriptions, usage, features and packages are the account's own."""
    before = shown(two, other)
    assert shown(two, changed) == before
    assert "errors" not in ask(two, changed, query, **variables)
    assert shown(two, changed) != before
    assert shown(two, other) == before
    assert ask(two, other, USERS) == {
        "data": {"users": [{key: user[key] for key in ("id", "name")} for user in before["users"]]}
    }


def test_requests_are_counted_for_each_account(two: Any) -> None:
    """Each account has its own numbers, and no request of another."""
    ask(two, A, USERS)
    ask(two, A, RENAME)
    ask(two, B, USERS)
    found = {key: shown(two, key, "/requests") for key in (A, B)}
    assert {key: (log["count"], log["fields"]) for key, log in found.items()} == {
        A: (2, {"users": 1, "updateUser": 1}),
        B: (1, {"users": 1}),
    }
    assert [one["number"] for one in found[B]["requests"]] == [1]


def test_faults_are_of_one_account(two: Any) -> None:
    """A rule fits only requests of its account, by their numbers there, and only it deletes it."""
    rule = {"nth": 2, "status": 503, "times": None}
    assert rules(two, A, "POST", rule) == {"added": 1, "rules": 1}
    assert rules(two, B, "DELETE") == {"rules": 0}
    post = {"json": {"query": USERS}}
    statuses = [
        (key, two.post(**post, headers={"Authorization": key}).status_code)
        for key in (B, B, A, B, A, A)
    ]
    assert statuses == [(B, 200), (B, 200), (A, 200), (B, 200), (A, 503), (A, 200)]
    assert rules(two, A, "DELETE") == {"rules": 0}


def test_late_requests_arrive_in_their_account(two: Any) -> None:
    """A request that is held back waits for further requests of its own account."""
    rules(two, A, "POST", {"again": [1]})
    add = {"i": {"userId": "ann", "featureId": "calls", "delta": 1}}
    ask(two, A, ADD, **add)
    for _ in range(3):
        ask(two, B, USERS)
    assert shown(two, A)["usage"]["ann"] == {"calls": 8}
    assert two.sandbox.account(B).arrive() == 0
    assert two.sandbox.account(A).arrive() == 1
    assert {key: shown(two, key)["usage"]["ann"]["calls"] for key in (A, B)} == {A: 9, B: 7}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no key: expected the Admin API key"),
        ({"Authorization": "pub_test_secretpart"}, "client API"),
        ({"Authorization": "prv_test_secretpart"}, "unknown key: expected one of those"),
        ({"Authorization": f"{A}x"}, "unknown key: expected one of those"),
        ({"Authorization": f"Basic {A}"}, "unknown key: expected one of those"),
        ({"Authorization": f"{A} {B}"}, "unknown key: expected one of those"),
    ],
)
def test_other_keys_are_refused_and_leave_no_trace(
    two: Any, headers: dict[str, str], reason: str
) -> None:
    """The API refuses them as ever, the other paths with 401; no account logs them or lends a rule.

    So a wrong key never uses up a fault of an account.
    """
    rules(two, A, "POST", {"status": 503})
    answer = two.post(json={"query": USERS}, headers=headers)
    assert answer.status_code == 200
    (error,) = answer.json()["errors"]
    assert error["message"].startswith("Unauthenticated")
    assert reason in error["message"]
    for method, path in [("GET", "/snapshot"), ("GET", "/requests"), ("DELETE", "/faults")]:
        refused = two.at(method, path, headers=headers)
        assert (refused.status_code, set(refused.json())) == (401, {"errors"})
        assert "secretpart" not in refused.text
    assert {key: shown(two, key, "/requests")["count"] for key in (A, B)} == {A: 0, B: 0}
    assert len(two.sandbox.account(A).faults) == 1


@pytest.mark.parametrize("header", [A, f"Bearer {A}", f"bearer   {A} "])
def test_the_forms_of_a_key_open_one_account(two: Any, header: str) -> None:
    """With or without Bearer, as with one account."""
    assert ask(two, header, RENAME) == {"data": {"updateUser": {"id": "ann"}}}
    assert two.sandbox.account(A).snapshot()["users"][0]["name"] == "Other"


def test_the_object_shows_each_account(two: Any) -> None:
    """The sandbox itself stands for the first account; a key that is not in the seed has none."""
    assert two.sandbox.api_key == A
    two.sandbox.account(B).faults.add({"status": 503})
    assert len(two.sandbox.faults) == 0
    ask(two, B, USERS)
    assert two.sandbox.requests.count == 0
    assert two.sandbox.account(B).requests.count == 1
    assert two.sandbox.snapshot() == two.sandbox.account(A).snapshot()
    with pytest.raises(UsageError, match="unknown key"):
        two.sandbox.account("prv_test_other")


def test_without_accounts_all_keys_share_one(client: Any) -> None:
    """The one account is that of every accepted key."""
    assert client.sandbox.account("prv_test_any") is client.sandbox.account("prv_test_other")
    with pytest.raises(UsageError, match="prv_test_"):
        client.sandbox.account("prv_live_other")


def test_accounts_are_kept_in_one_file(connect: Any, seed: dict[str, Any], tmp_path: Path) -> None:
    """Each comes back as it was; one that the file does not hold yet starts from the seed."""
    path = tmp_path / "accounts.db"
    first = connect(seed=of_two(seed), db=path)
    ask(first, A, CREATE, i={"id": "new"})
    ask(first, B, ADD, i={"userId": "bob", "featureId": "days", "delta": 3})
    held = {key: shown(first, key) for key in (A, B)}
    assert held[A] != held[B]
    first.sandbox.stop()
    more = {"apiKey": "prv_more", "users": [{"id": "zoe"}]}
    second = connect(seed={"accounts": [more, {"apiKey": B}, {"apiKey": A}]}, db=path)
    assert {key: shown(second, key) for key in (A, B)} == held
    assert [user["id"] for user in shown(second, "prv_more")["users"]] == ["zoe"]
    second.sandbox.stop()
    for file in tmp_path.iterdir():
        for key in (A, B, "prv_more"):
            assert key.encode() not in file.read_bytes()


def test_the_account_without_a_key_of_its_own_is_apart_in_the_file(
    connect: Any, seed: dict[str, Any], tmp_path: Path
) -> None:
    """A file that a sandbox of one account has written takes no account's place."""
    path = tmp_path / "account.db"
    alone = connect(db=path)
    alone.data(CREATE, i={"id": "alone"})
    held = alone.sandbox.snapshot()
    alone.sandbox.stop()
    keyed = connect(seed=of_two(seed), db=path)
    assert [user["id"] for user in shown(keyed, A)["users"]] == ["ann", "bob", "cid"]
    ask(keyed, A, CREATE, i={"id": "new"})
    keyed.sandbox.stop()
    assert connect(db=path).sandbox.snapshot() == held


def test_accounts_write_to_the_file_side_by_side(
    connect: Any, seed: dict[str, Any], tmp_path: Path
) -> None:
    """Requests of two accounts at the same time all count, and none lands in the other's."""
    path = tmp_path / "accounts.db"
    client = connect(seed=of_two(seed), db=path)
    add = GraphQLRequest(ADD, {"i": {"userId": "ann", "featureId": "calls", "delta": 1}})
    failed: list[object] = []

    def work(key: str) -> None:
        account = client.sandbox.account(key).account
        failed.extend(answer for _ in range(100) if "errors" in (answer := account.run(add)))

    threads = [threading.Thread(target=work, args=(key,)) for key in (A, B, A, B)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    client.sandbox.stop()
    again = connect(seed=of_two({}), db=path)
    assert {key: shown(again, key)["usage"]["ann"]["calls"] for key in (A, B)} == {A: 207, B: 207}
