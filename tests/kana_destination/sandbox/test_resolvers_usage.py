"""Recording usage over HTTP, and what is shown of usage, access and periods."""

from __future__ import annotations

from typing import Any

import pytest

ADD = "mutation($i: CreateUsageEventInput!) { recordUsage(input: $i) { recorded reason } }"
USAGE = """query($user: String!, $feature: String!) {
  showUsage(userId: $user, featureId: $feature) {
    current { periodStart periodEnd consumption { used budget overageEnabled } }
    past { periodStart periodEnd consumption { used } }
  }
}"""


def test_record_usage_gives_partial_results(client: Any, batch: Any) -> None:
    """Failing aliases are null with an error whose path is the alias; the others are applied."""
    answer = client(
        batch(4),
        i0={"userId": "ann", "featureId": "calls", "delta": 3},
        i1={"userId": "nobody", "featureId": "calls"},
        i2={"userId": "ann", "featureId": "nothing"},
        i3={"userId": "bob", "featureId": "calls", "delta": -12},
    )
    assert answer["data"] == {
        "r0": {"recorded": True, "reason": None},
        "r1": None,
        "r2": None,
        "r3": {"recorded": True, "reason": None},
    }
    assert [
        (error["path"], error["extensions"]["exception"]["name"]) for error in answer["errors"]
    ] == [(["r1"], "UserNotFoundError"), (["r2"], "FeatureNotFoundError")]
    assert client.sandbox.snapshot()["usage"] == {"ann": {"calls": 10}, "bob": {"calls": -2}}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({}, 8),
        ({"delta": None}, 8),
        ({"delta": 0}, 7),
        ({"delta": -20}, -13),
        ({"delta": 5, "action": "ADD"}, 12),
        ({"delta": 5, "action": "SET"}, 5),
        ({"delta": -5, "action": "SET"}, -5),
        ({"action": None}, 8),
    ],
)
def test_record_usage_adds_or_sets(client: Any, given: dict[str, Any], used: int) -> None:
    """ADD counts on top of the 7 of the seed, SET overwrites them; the default is ADD 1."""
    data = client.data(ADD, i={"userId": "ann", "featureId": "calls", **given})
    assert data == {"recordUsage": {"recorded": True, "reason": None}}
    shown = client.data(USAGE, user="ann", feature="calls")["showUsage"]
    assert shown["current"]["consumption"]["used"] == used


def test_usage_is_counted_without_a_subscription(client: Any) -> None:
    """A user with no package has usage too, and ``current`` is shown, with a budget of 0."""
    client.data(ADD, i={"userId": "cid", "featureId": "days", "delta": 4})
    assert client.data(USAGE, user="cid", feature="days")["showUsage"] == {
        "current": {
            "periodStart": "2022-10-01T00:00:00.000Z",
            "periodEnd": "2022-11-01T00:00:00.000Z",
            "consumption": {"used": 4, "budget": 0, "overageEnabled": False},
        },
        "past": [],
    }


def test_binary_feature_without_access_is_refused_without_an_error(client: Any) -> None:
    """``recorded`` is false, with a reason, and nothing is counted; with access it is counted."""
    refused = client.data(ADD, i={"userId": "bob", "featureId": "sso"})["recordUsage"]
    assert refused["recorded"] is False
    assert "no access" in refused["reason"]
    assert "sso" not in client.sandbox.snapshot()["usage"]["bob"]
    allowed = client.data(ADD, i={"userId": "ann", "featureId": "sso"})["recordUsage"]
    assert allowed == {"recorded": True, "reason": None}
    assert client.sandbox.snapshot()["usage"]["ann"]["sso"] == 1


def test_usage_stays_within_the_32_bits_that_can_be_shown(client: Any) -> None:
    """What would leave them is an error of its alias alone, and changes nothing."""
    answer = client(ADD, i={"userId": "ann", "featureId": "calls", "delta": 2**31 - 1})
    assert answer["data"] == {"recordUsage": None}
    assert "32-bit" in answer["errors"][0]["message"]
    assert client.sandbox.snapshot()["usage"]["ann"]["calls"] == 7


@pytest.mark.parametrize(
    ("user", "feature", "delta", "access", "consumption"),
    [
        ("bob", "calls", None, False, {"used": 10, "budget": 10, "overageEnabled": False}),
        ("bob", "calls", 0, True, {"used": 10, "budget": 10, "overageEnabled": False}),
        ("ann", "calls", 93, True, {"used": 7, "budget": 100, "overageEnabled": True}),
        ("ann", "calls", 94, True, {"used": 7, "budget": 100, "overageEnabled": True}),
        ("ann", "days", 5, True, {"used": 0, "budget": 5, "overageEnabled": False}),
        ("ann", "days", 6, False, {"used": 0, "budget": 5, "overageEnabled": False}),
        ("ann", "sso", None, True, None),
        ("bob", "sso", None, False, None),
        ("cid", "calls", None, False, {"used": 0, "budget": 0, "overageEnabled": False}),
    ],
)
def test_access_follows_limit_and_overage(
    client: Any, user: str, feature: str, delta: int | None, access: bool, consumption: Any
) -> None:
    """``canUseFeature`` looks at the package, the limit, what is used, and overage."""
    found = client.data(
        """query($user: String!, $feature: String!, $delta: Int) {
          canUseFeature(userId: $user, featureId: $feature, delta: $delta) {
            access reason consumption { used budget overageEnabled } } }""",
        user=user,
        feature=feature,
        delta=delta,
    )["canUseFeature"]
    assert found["reason"]
    assert (found["access"], found["consumption"]) == (access, consumption)


def test_entitlement_of_a_feature(client: Any) -> None:
    """The field asks for one user; an unknown one is an error that nulls this field only."""
    answer = client(
        """{ feature(id: "sso") {
               ann: entitlement(userId: "ann") { access }
               nobody: entitlement(userId: "nobody") { access } } }"""
    )
    assert answer["data"] == {"feature": {"ann": {"access": True}, "nobody": None}}
    assert answer["errors"][0]["path"] == ["feature", "nobody"]


def test_periods_go_by_and_past_ones_are_shown(client: Any, clock: Any) -> None:
    """With the next month the count begins anew; past periods come newest first."""
    clock.set(2022, 11, 2)
    client.data(ADD, i={"userId": "ann", "featureId": "calls", "delta": 2})
    clock.set(2022, 12, 31)
    client.data(ADD, i={"userId": "ann", "featureId": "calls", "delta": 4})
    client.data(ADD, i={"userId": "ann", "featureId": "calls", "delta": 1, "action": "SET"})
    shown = client.data(USAGE, user="ann", feature="calls")["showUsage"]
    assert shown["current"] == {
        "periodStart": "2022-12-01T00:00:00.000Z",
        "periodEnd": "2023-01-01T00:00:00.000Z",
        "consumption": {"used": 1, "budget": 100, "overageEnabled": True},
    }
    assert [
        (past["periodStart"][:10], past["periodEnd"][:10], past["consumption"]["used"])
        for past in shown["past"]
    ] == [("2022-11-01", "2022-12-01", 2), ("2022-10-01", "2022-11-01", 7)]
