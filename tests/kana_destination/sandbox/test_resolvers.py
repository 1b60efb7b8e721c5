"""Queries and mutations over HTTP: what they answer and what they leave behind."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            '{ user(id: "ann") { id name email billingId metadata } }',
            {
                "user": {
                    "id": "ann",
                    "name": "Ann",
                    "email": "ann@example.com",
                    "billingId": None,
                    "metadata": None,
                }
            },
        ),
        (
            "{ users { id billingId metadata } }",
            {
                "users": [
                    {"id": "ann", "billingId": None, "metadata": None},
                    {"id": "bob", "billingId": "cus_2", "metadata": None},
                    {"id": "cid", "billingId": None, "metadata": {"tier": 1}},
                ]
            },
        ),
        (
            '{ feature(id: "sso") { id type unitLabel packages { id } } }',
            {
                "feature": {
                    "id": "sso",
                    "type": "BINARY",
                    "unitLabel": None,
                    "packages": [{"id": "paid"}],
                }
            },
        ),
        (
            "{ features { id } }",
            {"features": [{"id": "calls"}, {"id": "days"}, {"id": "sso"}]},
        ),
        (
            """{ package(id: "boost") {
                   name isAddon status updatedAt prices metadata
                   features { id name type limit resetPeriod overageEnabled } } }""",
            {
                "package": {
                    "name": "Boost",
                    "isAddon": True,
                    "status": "PUBLISHED",
                    "updatedAt": "2022-10-20T12:00:00.000Z",
                    "prices": None,
                    "metadata": None,
                    "features": [
                        {
                            "id": "calls",
                            "name": "Calls",
                            "type": "CONSUMABLE",
                            "limit": 50,
                            "resetPeriod": "YEAR",
                            "overageEnabled": False,
                        }
                    ],
                }
            },
        ),
        (
            "{ packages(status: PUBLISHED) { id } }",
            {"packages": [{"id": "free"}, {"id": "paid"}, {"id": "boost"}]},
        ),
        (
            '{ subscription(id: "sub_0002") { id userId status package { id } } }',
            {
                "subscription": {
                    "id": "sub_0002",
                    "userId": "bob",
                    "status": "ACTIVE",
                    "package": {"id": "free"},
                }
            },
        ),
        (
            """{ all: subscriptions { id }
                 ann: subscriptions(userId: "ann") { id }
                 free: subscriptions(packageId: "free") { id }
                 none: subscriptions(userId: "ann", packageId: "free") { id }
                 nobody: subscriptions(userId: "nobody") { id } }""",
            {
                "all": [{"id": "sub_0001"}, {"id": "sub_0002"}],
                "ann": [{"id": "sub_0001"}],
                "free": [{"id": "sub_0002"}],
                "none": [],
                "nobody": [],
            },
        ),
        (
            "{ __schema { queryType { name } mutationType { name } } }",
            {"__schema": {"queryType": {"name": "Query"}, "mutationType": {"name": "Mutation"}}},
        ),
    ],
)
def test_queries_answer_what_the_account_holds(
    client: Any, query: str, expected: dict[str, Any]
) -> None:
    """Every query shows the seed's account, with the documented names."""
    assert client.data(query) == expected


@pytest.mark.parametrize(
    ("query", "path", "name"),
    [
        ('{ user(id: "x") { id } }', ["user"], "UserNotFoundError"),
        ('{ a: user(id: "x") { id } b: user(id: "ann") { id } }', ["a"], "UserNotFoundError"),
        ('{ feature(id: "x") { id } }', ["feature"], "FeatureNotFoundError"),
        ('{ package(id: "x") { id } }', ["package"], "PackageNotFoundError"),
        ('{ subscription(id: "x") { id } }', ["subscription"], "SubscriptionNotFoundError"),
        ('{ showUsage(userId: "x", featureId: "calls") { past { periodEnd } } }', ["showUsage"],
         "UserNotFoundError"),
        ('{ showUsage(userId: "ann", featureId: "x") { past { periodEnd } } }', ["showUsage"],
         "FeatureNotFoundError"),
        ('{ canUseFeature(userId: "x", featureId: "sso") { access } }', ["canUseFeature"],
         "UserNotFoundError"),
        ('mutation { updateUser(id: "x", input: {id: "x"}) { id } }', ["updateUser"],
         "UserNotFoundError"),
        ('mutation { createUser(input: {id: "ann"}) { id } }', ["createUser"], "Error"),
        ('mutation { createUser(input: {id: ""}) { id } }', ["createUser"], "Error"),
        ('mutation { updateUser(id: "ann", input: {id: "bob"}) { id } }', ["updateUser"], "Error"),
        ('mutation { subscribe(userId: "x", packageIds: ["free"]) { id } }', ["subscribe"],
         "UserNotFoundError"),
        ('mutation { subscribe(userId: "cid", packageIds: ["x"]) { id } }', ["subscribe"],
         "PackageNotFoundError"),
        ('mutation { updateFeature(id: "x", input: {name: "X"}) { id } }', ["updateFeature"],
         "FeatureNotFoundError"),
        ('mutation { updatePackage(id: "x", input: {name: "X"}) { id } }', ["updatePackage"],
         "PackageNotFoundError"),
    ],
)  # fmt: skip
def test_error_in_a_non_null_field_nulls_all_data(
    client: Any, query: str, path: list[str], name: str
) -> None:
    """``data`` is null as a whole, with one error in the documented shape, and nothing changed."""
    before = client.sandbox.snapshot()
    answer = client(query)
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["path"] == path
    assert error["locations"][0]["line"] == 1
    assert error["extensions"] == {
        "code": "BAD_USER_INPUT",
        "exception": {"name": name, "message": error["message"]},
    }
    assert client.sandbox.snapshot() == before


def test_mutations_before_an_error_are_applied_and_those_after_it_are_not(client: Any) -> None:
    """Aliased non-null mutations run one after another; the error nulls the data of all."""
    answer = client(
        """mutation {
          one: createUser(input: {id: "one"}) { id }
          two: createUser(input: {id: "one"}) { id }
          three: createUser(input: {id: "three"}) { id }
        }"""
    )
    assert answer["data"] is None
    assert [error["path"] for error in answer["errors"]] == [["two"]]
    assert [user["id"] for user in client.sandbox.snapshot()["users"]] == [
        "ann", "bob", "cid", "one",
    ]  # fmt: skip


def test_user_token_is_made_for_users_that_exist(client: Any) -> None:
    """``generateUserToken`` is nullable: an unknown user gives an error beside a null."""
    query = "mutation($u: String!) { generateUserToken(userId: $u) { token } }"
    first = client.data(query, u="ann")["generateUserToken"]["token"]
    assert first != client.data(query, u="ann")["generateUserToken"]["token"]
    answer = client(query, u="nobody")
    assert answer["data"] == {"generateUserToken": None}
    assert answer["errors"][0]["extensions"]["exception"]["name"] == "UserNotFoundError"
