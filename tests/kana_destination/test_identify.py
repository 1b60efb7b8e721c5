from __future__ import annotations

import itertools
from typing import Any

import pytest

from destinations import Answer, Call, IntegrationError
from kana_destination.identify import identify

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
    assert next(steps) == Call("findUser", {"id": "ghost"})
    assert steps.send(Answer("missing")).request == "createUser"
    assert steps.send(Answer("exists")).request == "findUser"
    with pytest.raises(IntegrationError, match="neither finds nor creates the user 'ghost'"):
        steps.send(Answer("missing"))
