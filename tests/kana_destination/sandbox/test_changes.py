"""Mutations of users, features, packages and subscriptions over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

UPDATE = """mutation($id: String!, $i: UpdateUserInput!) {
  updateUser(id: $id, input: $i) { id name email billingId metadata }
}"""


@pytest.mark.parametrize(
    ("user", "given", "expected"),
    [
        ("ann", {"id": "ann"}, {"name": "Ann", "email": "ann@example.com"}),
        ("ann", {"id": "ann", "name": "Anna"}, {"name": "Anna", "email": "ann@example.com"}),
        ("ann", {"id": "ann", "name": None}, {"name": None, "email": "ann@example.com"}),
        ("ann", {"id": "ann", "email": "a@example.com"}, {"email": "a@example.com"}),
        ("ann", {"id": "ann", "billingId": "cus_1"}, {"billingId": "cus_1", "name": "Ann"}),
        ("cid", {"id": "cid", "name": "Cid"}, {"metadata": {"tier": 1}}),
        ("cid", {"id": "cid", "metadata": {"a": [1, None]}}, {"metadata": {"a": [1, None]}}),
        ("cid", {"id": "cid", "metadata": None}, {"metadata": None}),
    ],
)
def test_update_user_changes_what_is_given(
    client: Any, user: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Absent keys are left alone, nulls clear, and metadata is replaced as a whole."""
    found = client.data(UPDATE, id=user, i=given)["updateUser"]
    assert found == {**found, **expected}
    (held,) = [one for one in client.sandbox.snapshot()["users"] if one["id"] == user]
    assert held == {**held, **expected}


@pytest.mark.parametrize("key", ["email", "billingId"])
def test_documented_update_takes_no_email_and_no_billing_id(connect: Any, key: str) -> None:
    """With the documented input the whole document is refused and nothing is changed."""
    client = connect(api="documented")
    before = client.sandbox.snapshot()
    answer = client(UPDATE, id="ann", i={"id": "ann", "name": "Anna", key: "x"})
    assert "data" not in answer
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert key in error["message"]
    assert "UpdateUserInput" in error["message"]
    assert client.sandbox.snapshot() == before


@pytest.mark.parametrize(
    ("api", "names"),
    [
        ("documented", {"id", "name", "metadata"}),
        ("current", {"id", "name", "metadata", "email", "billingId"}),
    ],
)
def test_introspection_shows_what_an_update_takes(connect: Any, api: str, names: set[str]) -> None:
    """A client can find out beforehand which keys are accepted."""
    data = connect(api=api).data('{ __type(name: "UpdateUserInput") { inputFields { name } } }')
    assert {one["name"] for one in data["__type"]["inputFields"]} == names


def test_renaming_a_user_moves_usage_and_subscriptions(client: Any) -> None:
    """The user keeps its place in ``users``; its old id is free again."""
    assert client.data(UPDATE, id="ann", i={"id": "ann-2"})["updateUser"]["id"] == "ann-2"
    held = client.sandbox.snapshot()
    assert [user["id"] for user in held["users"]] == ["ann-2", "bob", "cid"]
    assert held["usage"] == {"ann-2": {"calls": 7}, "bob": {"calls": 10}}
    assert held["subscriptions"][0]["userId"] == "ann-2"
    data = client.data('{ subscriptions(userId: "ann-2") { userId package { id } } }')
    assert data == {"subscriptions": [{"userId": "ann-2", "package": {"id": "paid"}}]}
    client.data('mutation { createUser(input: {id: "ann"}) { id } }')
    assert "ann" not in client.sandbox.snapshot()["usage"]


def test_created_users_come_last_with_the_moment_of_creation(client: Any) -> None:
    """All fields of the input are kept."""
    given = {"id": "new", "name": "N", "email": "n@example.com", "billingId": "c", "metadata": [1]}
    query = """mutation($i: CreateUserInput!) {
      createUser(input: $i) { id name email billingId metadata } }"""
    assert client.data(query, i=given) == {"createUser": given}
    assert client.sandbox.snapshot()["users"][-1] == {
        **given,
        "createdAt": "2022-10-20T12:00:00.000Z",
    }


def test_features_are_created_and_updated(client: Any) -> None:
    """A new feature can be used at once; an update changes only what is given."""
    data = client.data(
        """mutation {
          made: createFeature(input: {id: "gb", name: "GB", type: CONSUMABLE, unitLabel: "GB"}) {
            id type unitLabel metadata }
          changed: updateFeature(id: "gb", input: {name: "Storage", metadata: {a: 1}}) {
            name unitLabel metadata }
          used: recordUsage(input: {userId: "ann", featureId: "gb"}) { recorded }
        }"""
    )
    assert data == {
        "made": {"id": "gb", "type": "CONSUMABLE", "unitLabel": "GB", "metadata": None},
        "changed": {"name": "Storage", "unitLabel": "GB", "metadata": {"a": 1}},
        "used": {"recorded": True},
    }


def test_packages_are_created_and_updated(client: Any, clock: Any) -> None:
    """A new package is a draft; once published it can be subscribed to."""
    made = client.data(
        """mutation {
          createPackage(input: {id: "team", name: "Team", prices: [{amount: 9}],
                                features: [{id: "calls", limit: 20}, {id: "sso"}]}) {
            status isAddon prices features { id limit resetPeriod overageEnabled } } }"""
    )
    assert made["createPackage"] == {
        "status": "DRAFT",
        "isAddon": False,
        "prices": [{"amount": 9}],
        "features": [
            {"id": "calls", "limit": 20, "resetPeriod": "MONTH", "overageEnabled": False},
            {"id": "sso", "limit": None, "resetPeriod": "MONTH", "overageEnabled": False},
        ],
    }
    clock.set(2022, 10, 21)
    changed = client.data(
        """mutation {
          updatePackage(id: "team", input: {status: PUBLISHED, features: [{id: "days"}]}) {
            name updatedAt features { id } }
          subscribe(userId: "cid", packageIds: ["team", "boost"]) { id userId package { id } } }"""
    )
    assert changed == {
        "updatePackage": {
            "name": "Team",
            "updatedAt": "2022-10-21T12:00:00.000Z",
            "features": [{"id": "days"}],
        },
        "subscribe": [
            {"id": "sub_0003", "userId": "cid", "package": {"id": "team"}},
            {"id": "sub_0004", "userId": "cid", "package": {"id": "boost"}},
        ],
    }


@pytest.mark.parametrize(
    ("mutation", "reason"),
    [
        ('createFeature(input: {id: "sso", name: "S", type: BINARY}) { id }', "already exists"),
        ('createPackage(input: {id: "free", name: "F"}) { id }', "already exists"),
        ('createPackage(input: {id: "p", name: "P", features: [{id: "x"}]}) { id }', "not exist"),
        (
            """createPackage(input: {id: "p", name: "P", features: [{id: "sso"}, {id: "sso"}]}) {
              id }""",
            "listed twice",
        ),
        ('updateFeature(id: "sso", input: {name: null}) { id }', "must not be null"),
        ('updatePackage(id: "free", input: {name: null}) { id }', "must not be null"),
        ('updatePackage(id: "free", input: {features: [{id: "x"}]}) { id }', "does not exist"),
    ],
)
def test_features_and_packages_that_cannot_be_are_refused(
    client: Any, mutation: str, reason: str
) -> None:
    """The error says why, and nothing is changed."""
    before = client.sandbox.snapshot()
    answer = client(f"mutation {{ {mutation} }}")
    assert reason in answer["errors"][0]["message"]
    assert client.sandbox.snapshot() == before


@pytest.mark.parametrize(
    ("user", "packages", "reason"),
    [
        ("cid", [], "at least one"),
        ("cid", ["draft"], "DRAFT"),
        ("cid", ["old"], "ARCHIVED"),
        ("cid", ["free", "paid"], "one base package"),
        ("ann", ["free"], "one base package"),
        ("ann", ["paid"], "already holds"),
        ("cid", ["boost", "boost"], "already holds"),
        ("cid", ["boost", "draft"], "DRAFT"),
    ],
)
def test_rules_of_subscribing(client: Any, user: str, packages: list[str], reason: str) -> None:
    """Breaking one is a ``SubscriptionError``, and no package of the request is subscribed to."""
    before = client.sandbox.snapshot()
    answer = client(
        "mutation($u: String!, $p: [String!]!) { subscribe(userId: $u, packageIds: $p) { id } }",
        u=user,
        p=packages,
    )
    (error,) = answer["errors"]
    assert error["extensions"]["exception"]["name"] == "SubscriptionError"
    assert reason in error["message"]
    assert client.sandbox.snapshot() == before


def test_base_package_can_follow_an_ended_one(connect: Any, seed: dict[str, Any]) -> None:
    """A cancelled subscription gives no access and does not stand in the way of another."""
    seed["subscriptions"][0]["status"] = "CANCELLED"
    client = connect(seed=seed)
    data = client.data(
        """mutation {
          before: recordUsage(input: {userId: "ann", featureId: "sso"}) { recorded }
          subscribe(userId: "ann", packageIds: ["paid"]) { status }
          after: recordUsage(input: {userId: "ann", featureId: "sso"}) { recorded } }"""
    )
    assert data == {
        "before": {"recorded": False},
        "subscribe": [{"status": "ACTIVE"}],
        "after": {"recorded": True},
    }
