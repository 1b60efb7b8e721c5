from __future__ import annotations

import itertools
from typing import Any

import pytest

from destinations import Answer, Call, IntegrationError
from kana_destination.identify import identify
from kana_destination.user_list import users_with

_COUNTER = itertools.count()


def _identify(user: str, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "traits": traits, "messageId": f"m{next(_COUNTER)}"}


# Traits, what Kana holds of the user afterwards, the requests made, and what the row says.
CASES = {
    "a user that is missing is created with all fields": (
        "new",
        {"name": "New", "email": "new@example.com", "billingUserId": "cus_9"},
        {"name": "New", "email": "new@example.com", "billingId": "cus_9"},
        ["user", "user", "createUser"],
        "created",
    ),
    "userId alone creates a user": (
        "bare",
        {},
        {"name": None, "email": None},
        ["user", "createUser"],
        "created",
    ),
    "a field that differs is updated, the others stay": (
        "u1",
        {"name": "Uno"},
        {"name": "Uno", "email": "one@example.com"},
        ["user", "updateUser"],
        "updated name",
    ),
    "email and billingId are updated where the API takes them": (
        "u2",
        {"email": "two@example.com", "billingId": "cus_2"},
        {"email": "two@example.com", "billingId": "cus_2"},
        ["user", "user", "__type", "updateUser"],
        "updated email, billingId",
    ),
    "nothing to change is delivered without a write": (
        "u1",
        {"name": "One", "email": "one@example.com"},
        {"name": "One", "email": "one@example.com"},
        ["user"],
        "nothing to change",
    ),
    "billingUserId beats billingId": (
        "u2",
        {"billingUserId": "cus_a", "billingId": "cus_b"},
        {"billingId": "cus_a"},
        ["user", "__type", "updateUser"],
        "updated billingId",
    ),
    "other traits are dropped, empty ones change nothing": (
        "u1",
        {"plan": "pro", "name": "", "email": None},
        {"name": "One", "email": "one@example.com"},
        ["user"],
        "nothing to change",
    ),
}


@pytest.mark.parametrize(
    ("user", "traits", "held", "requests", "reason"), CASES.values(), ids=CASES
)
def test_what_kana_holds_after_an_identify(
    kana: Any, user: str, traits: Any, held: Any, requests: list[str], reason: str
) -> None:
    """Each case leaves the user as it says, with just these requests, and says what was done."""
    kana.run(_identify(user, **traits))
    assert kana.result(1).outcome == "delivered"
    assert kana.result(1).reason == reason
    assert {key: kana.users[user][key] for key in held} == held
    assert kana.requested == requests


@pytest.mark.parametrize(
    ("user", "traits"), [(case[0], case[1]) for case in CASES.values()], ids=CASES
)
def test_a_repeat_changes_nothing(kana: Any, user: str, traits: Any) -> None:
    """The same identify again is one look-up and no write."""
    kana.run(_identify(user, **traits))
    users, count = kana.users, kana.sandbox.requests.count
    kana.run(_identify(user, **traits))
    assert kana.users == users
    assert kana.sandbox.requests.count == count + 1


def test_a_user_created_by_somebody_else_is_updated(kana: Any) -> None:
    """If createUser finds that the id exists by now, the user is looked up again and updated."""
    kana.sandbox.faults.add(
        {
            "match": {"rootField": "user"},
            "errors": {
                "*": {
                    "message": "User not found",
                    "code": "BAD_USER_INPUT",
                    "exception": "UserNotFoundError",
                }
            },
        }
    )
    kana.run(_identify("u1", name="Uno"))
    assert kana.result(1).outcome == "delivered"
    assert kana.users["u1"]["name"] == "Uno"
    roots = kana.requested
    assert roots == ["user", "createUser", "user", "updateUser"]


def test_a_partner_that_contradicts_itself_is_an_error() -> None:
    """A user who neither is found nor can be created ends in a clear error, not in a loop."""
    steps = identify({"id": "ghost"})
    only = users_with("ghost", left_overs_of=["ghost"])
    assert next(steps) == Call("findUser", {"id": "ghost"}, only)
    assert steps.send(Answer("missing")).request == "createUser"
    assert steps.send(Answer("exists")).request == "findUser"
    with pytest.raises(IntegrationError, match="neither finds nor creates the user 'ghost'"):
        steps.send(Answer("missing"))


ADDRESS = "ann.lee@example.com"

# An email as it comes, and under which addresses it is looked up.
SPELLINGS = {
    ADDRESS: [ADDRESS],
    "Ann.Lee@Example.com": ["Ann.Lee@Example.com", ADDRESS],
    " ann.lee@example.com": [" ann.lee@example.com", ADDRESS],
    "\tANN.LEE@EXAMPLE.COM \n": ["\tANN.LEE@EXAMPLE.COM \n", ADDRESS],
    "\u00a0ann.lee@example.com\u2003": ["\u00a0ann.lee@example.com\u2003", ADDRESS],
}


def _stripe(address: str, **more: Any) -> dict[str, Any]:
    return {"id": address, "email": address, "billingId": "cus_1", **more}


@pytest.mark.parametrize(("email", "looked_up"), SPELLINGS.items(), ids=repr)
def test_what_is_looked_up(email: str, looked_up: list[str]) -> None:
    """The address as it came and, if that differs, trimmed and in lower case; nothing else."""
    steps = identify({"id": "1", "email": email})
    made = [next(steps)]
    while made[-1].request == "findUser":
        made.append(steps.send(Answer("missing")))
    assert [call.payload["id"] for call in made[:-1]] == ["1", *looked_up]


@pytest.mark.parametrize("email", SPELLINGS)
@pytest.mark.parametrize("exists", [False, True], ids=["missing", "without an email"])
def test_a_stripe_user_is_found_by_every_spelling(make_kana: Any, email: str, exists: bool) -> None:
    """It is renamed to or merged with the user, whose billing id it brings."""
    users = [_stripe(ADDRESS), *([{"id": "1", "name": "Ann"}] if exists else [])]
    kana = make_kana({"users": users})
    kana.run(_identify("1", email=email))
    assert kana.result(1).outcome == "delivered"
    assert kana.users["1"]["billingId"] == "cus_1"
    assert ADDRESS not in kana.users


@pytest.mark.parametrize("email", list(SPELLINGS)[1:])
def test_stripe_users_of_both_spellings(make_kana: Any, email: str) -> None:
    """Which of them is meant is for a person to decide: neither is renamed."""
    kana = make_kana({"users": [_stripe(email), _stripe(ADDRESS, billingId="cus_2")]})
    kana.run(_identify("1", email=email))
    assert set(kana.users) == {"1", email, ADDRESS}
    assert kana.result(1).reason == "created"


@pytest.mark.parametrize("email", SPELLINGS)
@pytest.mark.parametrize("other", SPELLINGS)
def test_others_are_found_by_every_spelling(make_kana: Any, email: str, other: str) -> None:
    """Another user of the address makes it a case for a person, however it is spelled there."""
    kana = make_kana({"users": [_stripe(ADDRESS), {"id": "2", "email": other}]})
    kana.run(_identify("1", email=email))
    assert set(kana.users) == {"1", "2", ADDRESS}
    assert kana.result(1).reason == "created"


def test_no_address_is_none(make_kana: Any) -> None:
    """Nothing is looked up for an email that is the userId itself, in whatever case."""
    kana = make_kana({"users": [_stripe(ADDRESS)]})
    kana.run(_identify(ADDRESS, email=ADDRESS.upper()))
    assert kana.requested.count("user") == 1


@pytest.mark.parametrize("trait", ["billingUserId", "billingId"])
@pytest.mark.parametrize("value", ["hello world", "cus_1 ", "\tcus_1", "cus\u00a01"])
def test_a_billing_id_that_cannot_be_one(kana: Any, trait: str, value: str) -> None:
    """Neither Stripe nor Chargebee has customers with such an ID: nothing is written."""
    kana.run(_identify("u2", name="Two", **{trait: value}))
    result = kana.result(1)
    assert result.outcome == "invalid"
    assert "billingId has white space" in result.reason
    assert "a customer at Stripe or Chargebee" in result.reason
    assert kana.requested == []
