from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.kit.testing.case import Case
from destinations.kit.testing.personal_data import counted, is_reserved, personal_values

EVENT = {"type": "track", "event": "Report Opened", "timestamp": "2024-01-15T12:00:00Z"}

# An event or the JSON of an answer, and what in it is personal.
EVENTS: dict[str, tuple[Any, dict[str, str]]] = {
    "ids": (
        {"userId": "u-7", "anonymousId": "a-7", "previousId": "p-7", "messageId": "m-7"},
        {"u-7": "ID", "a-7": "ID", "p-7": "ID", "m-7": "ID"},
    ),
    "a number as an id": ({"userId": 1234}, {"1234": "ID"}),
    "traits": (
        {
            "traits": {
                "firstName": "Ada",
                "email": "ada@acme.io",
                "phone": "+44 20 7946 0958",
                "address": {"street": "12 Main Street", "state": "NY", "country": "US"},
                "billingUserId": "cus_1",
                "company": {"name": "Acme"},
                "plan": "pro",
                "logins": 3,
            }
        },
        {
            "Ada": "name",
            "ada@acme.io": "email",
            "+44 20 7946 0958": "phone",
            "12 Main Street": "address",
            "cus_1": "ID",
            "Acme": "name",
        },
    ),
    "traits in the context": ({"context": {"traits": {"name": "Ada"}}}, {"Ada": "name"}),
    "an address of the network": (
        {"context": {"ip": "203.0.113.9", "device": {"id": "d-1"}}},
        {"203.0.113.9": "IP address", "d-1": "ID"},
    ),
    "things": ({"properties": {"id": "sku-1", "featureId": "seats", "name": "Seats"}}, {}),
    "a person among the properties": (
        {"properties": {"invited": {"id": "u-8", "email": "b@acme.io"}}},
        {"u-8": "ID", "b@acme.io": "email"},
    ),
    "an email in a text": ({"properties": {"note": "for b@acme.io, now"}}, {"b@acme.io": "email"}),
    "what programs write for nothing": ({"userId": "undefined", "messageId": "-"}, {}),
    "an id that is an email": ({"userId": "ada@acme.io"}, {"ada@acme.io": "email"}),
    "a raw line": ('{"userId": "ada@acme.io"', {"ada@acme.io": "email"}),
}

ANSWERS: dict[str, tuple[Any, dict[str, str]]] = {
    "persons": (
        {"data": [{"id": "u-9", "name": "Bo", "email": None, "metadata": {"plan": "pro"}}]},
        {"u-9": "ID", "Bo": "name"},
    ),
    "a person by the key": ({"user": {"id": "u-9", "name": "Bo"}}, {"u-9": "ID", "Bo": "name"}),
    "things": ({"features": [{"id": "seats", "name": "Seats", "type": "CONSUMABLE"}]}, {}),
    "the id of a user": ({"userId": "u-9", "orderId": "o-9"}, {"u-9": "ID"}),
    "a key": ({"b@acme.io": True}, {"b@acme.io": "email"}),
    "keys that only look like it": ({"user": {"paid": "x1", "valid": "y1"}}, {}),
}


@pytest.mark.parametrize(("event", "values"), EVENTS.values(), ids=EVENTS)
def test_values_of_an_event(
    make_case: Callable[..., Case], event: Any, values: dict[str, str]
) -> None:
    """IDs, traits, persons and emails are found, with their kind; things are not."""
    event = event if isinstance(event, str) else {**EVENT, **event}
    case = make_case(lambda data: data.update(events=[event, event], interactions=[]))
    assert personal_values(case) == values


@pytest.mark.parametrize(("answer", "values"), ANSWERS.values(), ids=ANSWERS)
def test_values_of_an_answer(
    make_case: Callable[..., Case], answer: Any, values: dict[str, str]
) -> None:
    """The partner's other customers are found as well, and its products are not."""

    def change(data: dict[str, Any]) -> None:
        data["events"] = [EVENT, EVENT]
        request = {"method": "GET", "url": "https://api.example.com/"}
        response = {"status": 200, "json": answer}
        data["interactions"] = [{"request": request, "response": response}]

    assert personal_values(make_case(change)) == values


def test_what_follows_from_another_value(make_case: Callable[..., Case]) -> None:
    """An ID that begins with another one is no value of its own: it would lose that form."""
    user = {"id": "user_0001~left-over", "email": None}

    def change(data: dict[str, Any]) -> None:
        data["events"] = [{**EVENT, "userId": "user_0001", "context": {"user": user}}] * 2
        data["interactions"] = []

    assert personal_values(make_case(change)) == {"user_0001": "ID"}


def test_counted() -> None:
    """Each kind with its number, in the order in which they occur."""
    assert counted({}) == ""
    assert counted({"a": "ID", "b": "name", "c": "ID"}) == "2 IDs, 1 name"
    assert (
        counted({"a": "address", "b": "IP address", "c": "address"}) == "2 addresses, 1 IP address"
    )


@pytest.mark.parametrize(
    ("email", "is_free"),
    [
        ("a@example.com", True),
        ("a@mail.example.org", True),
        ("a@acme.test", True),
        ("a@acme.io", False),
        ("a@myexample.com", False),
    ],
)
def test_reserved_domains(email: str, is_free: bool) -> None:
    """An email at a domain that nobody can own is nobody's."""
    assert is_reserved(email) is is_free
