from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kana_destination.cases import Case, cases

X = "x@example.com"
Z = "z@example.com"
EMAILS = {"no email": None, "same email": X, "another email": Z}
NEW = {"name": "New", "email": X}

# The requests of each row, beside the two that both APIs need to set an email.
SETS_EMAIL = ["__type", "updateUser"]
BOTH = ["showUsage", "showUsage"]
REQUESTS: dict[tuple[str, bool, bool], list[str]] = {
    ("missing", False, False): ["user", "user", "createUser"],
    ("missing", False, True): ["user", "user", "createUser"],
    ("missing", True, False): ["user", "user", "users", "updateUser"],
    ("missing", True, True): ["user", "user", "users", "createUser"],
    ("no email", False, False): ["user", "user", *SETS_EMAIL],
    ("no email", False, True): ["user", "user", *SETS_EMAIL],
    ("no email", True, False): [
        *["user", "user", "users"],
        *["features", *BOTH, *BOTH],  # whether Kana can count the sums
        *["updateUser", "updateUser"],  # freeze
        *[*BOTH, "updateUser", "recordUsage", *BOTH],  # move: only one feature was used
        *["updateUser", "updateUser"],  # the plan is done; adopt
    ],
    ("no email", True, True): ["user", "user", "users", *SETS_EMAIL],
    ("same email", False, False): ["user", "updateUser"],
    ("same email", False, True): ["user", "updateUser"],
    ("same email", True, False): ["user", "updateUser"],
    ("same email", True, True): ["user", "updateUser"],
    ("another email", False, False): ["user", *SETS_EMAIL],
    ("another email", False, True): ["user", *SETS_EMAIL],
    ("another email", True, False): ["user", *SETS_EMAIL],
    ("another email", True, True): ["user", *SETS_EMAIL],
}


def _seed(case: Case) -> dict[str, Any]:
    users: list[dict[str, Any]] = []
    usage = []
    if case.user != "missing":
        users.append({"id": "1", "name": "Old", "email": EMAILS[case.user], "metadata": {"a": 1}})
        usage.append({"userId": "1", "featureId": "calls", "used": 5})
    if case.stripe:
        users.append({"id": X, "email": X, "billingId": "cus_1"})
        usage.append({"userId": X, "featureId": "calls", "used": 7})
    if case.others:
        users.append({"id": "2", "name": "Two", "email": X})
    features = [
        {"id": "calls", "name": "Calls", "type": "CONSUMABLE"},
        {"id": "seats", "name": "Seats", "type": "CONSUMABLE"},
    ]
    return {"users": users, "features": features, "usage": usage}


def _event(message: str = "m1") -> dict[str, Any]:
    return {"type": "identify", "userId": "1", "messageId": message, "traits": NEW}


def _expected(case: Case, api: str) -> dict[str, dict[str, Any]]:
    """Every user that Kana must hold afterwards, by id."""
    email = X if api == "current" or case.user in {"missing", "same email"} else EMAILS[case.user]
    one: dict[str, Any] = {"name": "New", "email": email, "billingId": None}
    users: dict[str, dict[str, Any]] = {}
    if case.others:
        users["2"] = {"name": "Two", "email": X, "billingId": None}
    if case.then in {"rename", "merge"}:
        one = {"name": "New", "email": X, "billingId": "cus_1"}
    elif case.stripe:
        users[X] = {"name": None, "email": X, "billingId": "cus_1"}
    if case.then == "merge":
        users["1~left-over~1"] = {"name": "Old", "email": None, "billingId": None}
    return {**users, "1": one}


def _held(kana: Any) -> dict[str, dict[str, Any]]:
    return {
        user_id: {key: user[key] for key in ("name", "email", "billingId")}
        for user_id, user in kana.users.items()
    }


def _name(case: Case) -> str:
    others = "others" if case.others else "no others"
    return f"{case.user}, {'Stripe' if case.stripe else 'no Stripe'}, {others}: {case.then}"


@pytest.mark.parametrize("api", ["current", "documented"])
@pytest.mark.parametrize("case", cases().values(), ids=_name)
def test_a_row_of_the_table(make_kana: Callable[..., Any], case: Case, api: str) -> None:
    """What Kana holds after the event, with which requests, through both kinds of API."""
    kana = make_kana(_seed(case), api=api)
    kana.run(_event())
    assert kana.result(1).outcome == "delivered"
    assert _held(kana) == _expected(case, api)
    expected = REQUESTS[case.user, case.stripe, case.others]
    assert kana.requested == expected
    waits = _expected(case, api)["1"]["email"] != X
    assert kana.result(1).manual.fields == ({"email": X} if waits else {})


@pytest.mark.parametrize("api", ["current", "documented"])
@pytest.mark.parametrize("case", cases().values(), ids=_name)
def test_repeating_a_row_changes_nothing(
    make_kana: Callable[..., Any], case: Case, api: str
) -> None:
    """The same event again leaves users and usage as they are, without a write."""
    kana = make_kana(_seed(case), api=api)
    kana.run(_event())
    users, usage, before = kana.users, kana.usage, len(kana.requested)
    kana.run(_event("m2"))
    assert kana.users == users
    assert kana.usage == usage
    assert not {"updateUser", "createUser", "recordUsage"} & set(kana.requested[before:])


@pytest.mark.parametrize("case", cases().values(), ids=_name)
def test_usage_is_kept(make_kana: Callable[..., Any], case: Case) -> None:
    """Whatever becomes of users, the usage of all of them together stays what it was."""
    kana = make_kana(_seed(case))
    before = sum(amounts.get("calls", 0) for amounts in kana.usage.values())
    kana.run(_event())
    active = {user: amounts for user, amounts in kana.usage.items() if "~" not in user}
    assert sum(amounts.get("calls", 0) for amounts in active.values()) == before
    if case.then == "merge":
        assert active["1"]["calls"] == 12


# The billing ID that the event brings, for a Stripe user with cus_1: what user 1 has afterwards,
# what waits where the API does not take it, and what the reason says.
BILLING: dict[str, tuple[dict[str, str], str, dict[str, str], str]] = {
    "none": ({}, "cus_1", {}, ""),
    "that of the Stripe user": ({"billingUserId": "cus_1"}, "cus_1", {}, ""),
    "another one": (
        {"billingUserId": "cus_new"},
        "cus_new",
        {"billingId": "cus_new"},
        "; the event's billingId replaced cus_1",
    ),
    "another one by its other name": (
        {"billingId": "cus_new"},
        "cus_new",
        {"billingId": "cus_new"},
        "; the event's billingId replaced cus_1",
    ),
}


@pytest.mark.parametrize("api", ["current", "documented"])
@pytest.mark.parametrize("user", ["no email", "missing"], ids=["case 7", "case 8"])
@pytest.mark.parametrize("billing", BILLING.values(), ids=BILLING)
def test_the_customer_of_a_stripe_user(
    make_kana: Callable[..., Any],
    billing: tuple[dict[str, str], str, dict[str, str], str],
    user: Any,
    api: str,
) -> None:
    """The event's billing ID counts, else the Stripe user's; a repeat changes nothing."""
    traits, held, waits, said = billing
    kana = make_kana(_seed(cases()[user, True, False]), api=api)
    event = {**_event(), "traits": {**NEW, **traits}}
    takes = api == "current" or not waits
    for message in ("m1", "m2"):
        kana.run({**event, "messageId": message})
        assert kana.result(1).outcome == "delivered"
        assert kana.users["1"]["billingId"] == (held if takes else "cus_1")
        assert kana.users["1"]["email"] == X
        assert kana.result(1).manual.fields == ({} if takes else waits)
        if message == "m1":
            assert (
                kana.result(1)
                .reason.partition("imported from Stripe")[2]
                .startswith(said if takes else "; the API cannot change billingId")
            )
            assert ("replaced" in kana.result(1).reason) is (takes and bool(said))


def test_nothing_to_change_is_one_look_up(make_kana: Callable[..., Any]) -> None:
    """User 1 with this email and these fields: one request, no listing, no write."""
    seed = {"users": [{"id": "1", **NEW}, {"id": X, "email": X, "billingId": "cus_1"}]}
    kana = make_kana(seed)
    kana.run(_event())
    assert kana.requested == ["user"]


def test_what_the_api_takes_is_asked_once(make_kana: Callable[..., Any]) -> None:
    """Three users whose email changes: the input type is described once."""
    kana = make_kana({"users": [{"id": str(number)} for number in range(3)]}, api="documented")
    kana.run(
        *(
            {
                "type": "identify",
                "userId": str(number),
                "messageId": str(number),
                "traits": {"email": f"{number}@example.com", "name": "N"},
            }
            for number in range(3)
        )
    )
    assert [kana.result(line).outcome for line in (1, 2, 3)] == ["delivered"] * 3
    assert 1 <= kana.requested.count("__type") <= kana.definition.transport.concurrency
    assert {user["name"] for user in kana.users.values()} == {"N"}


def test_an_api_that_does_not_describe_itself(make_kana: Callable[..., Any]) -> None:
    """If introspection is off, the fields are tried, and left for a person if they are refused."""
    kana = make_kana({"users": [{"id": "1"}]}, api="documented")
    kana.sandbox.faults.add(
        {
            "match": {"rootField": "__type"},
            "times": None,
            "errors": {
                "*": {"message": "introspection is off", "code": "GRAPHQL_VALIDATION_FAILED"}
            },
        }
    )
    kana.run(_event())
    assert kana.result(1).outcome == "delivered"
    assert kana.users["1"]["name"] == "New"
    assert kana.result(1).manual.fields == {"email": X}


def test_emails_as_ids(make_kana: Callable[..., Any]) -> None:
    """A company that uses emails as ids: its users are no Stripe imports of themselves."""
    kana = make_kana({"users": [{"id": X, "email": X, "billingId": "cus_1"}]})
    kana.run({**_event(), "userId": X})
    assert kana.requested == ["user", "updateUser"]
    assert kana.users[X]["name"] == "New"


def test_the_table_has_the_ten_cases_of_the_guide() -> None:
    """Each number of the guide is there once, in all sixteen combinations."""
    numbers = sorted(case.number for case in cases().values() if case.number is not None)
    assert numbers == list(range(1, 11))
    assert len(cases()) == 16
