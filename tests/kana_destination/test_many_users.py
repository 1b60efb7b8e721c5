"""Identifies and merges beside thousands of users, whose list is read while it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations import HttpRequest, HttpResponse, HttpTransport, Sender
from kana_destination.user_list import list_users, users_with
from kana_destination.users import left_over_id

MakeKana = Callable[..., Any]
MOMENT = "2022-01-10T09:00:00Z"

USERS = [
    {"id": "merged", "name": "Merged"},
    {"id": "m@example.com", "email": "m@example.com", "billingId": "cus_m"},
    {"id": "shared@example.com", "email": "shared@example.com", "billingId": "cus_s"},
    {"id": "has it", "email": " Shared@Example.com"},
    {"id": "free@example.com", "email": "free@example.com", "billingId": "cus_f"},
    {"id": "known", "email": "known@example.com"},
    {"id": left_over_id("merged", 3), "email": "shared@example.com"},
]
TRAITS = [
    ("merged", {"email": "m@example.com"}),
    ("new", {"email": "nobody@example.com", "name": "New"}),
    ("sharing", {"email": "shared@example.com"}),
    ("renamed", {"email": "Free@Example.com"}),
    ("known", {"email": "known@example.com", "name": "Known"}),
]
EVENTS = [
    {"type": "identify", "messageId": f"m{at}", "userId": user, "traits": traits}
    for at, (user, traits) in enumerate(TRAITS)
]
_OWN = frozenset({*(str(user["id"]) for user in USERS), *(user for user, _ in TRAITS)})


def _account(crowd: int) -> dict[str, Any]:
    """Return a seed with the users between the two halves of a crowd."""
    others = [
        {"id": f"other_{at}", "email": f"o{at}@example.com", "name": "x" * 60}
        for at in range(crowd)
    ]
    half = crowd // 2
    users = [*others[:half], *USERS, *others[half:]]
    return {"users": [{"createdAt": MOMENT, **user} for user in users], "features": []}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[HttpRequest, HttpResponse]]:
    """Every request with its answer as the transport returned it."""
    seen: list[tuple[HttpRequest, HttpResponse]] = []
    send = HttpTransport.send

    def spied(self: HttpTransport, request: HttpRequest) -> HttpResponse:
        response = send(self, request)
        seen.append((request, response))
        return response

    monkeypatch.setattr(HttpTransport, "send", spied)
    return seen


def test_a_crowd_changes_nothing(
    make_kana: MakeKana, answers: list[tuple[HttpRequest, HttpResponse]]
) -> None:
    """Each identify does what it does in a small account; the list is read once for all of them."""
    found = []
    for crowd in (0, 3_000):
        kana = make_kana(_account(crowd))
        kana.run(*EVENTS)
        results = [kana.result(line + 1) for line in range(len(EVENTS))]
        own = {
            key: {**user, "createdAt": MOMENT}
            for key, user in kana.users.items()
            if key[:6] != "other_"
        }
        found.append(([(one.outcome, one.reason) for one in results], own))
        assert kana.requested.count("users") == 1
        assert len(kana.users) == crowd + len(own)
    assert found[0] == found[1]
    notes = [reason for _, reason in found[0][0]]
    assert [str(note).split(",")[0].split(" ")[0] for note in notes] == [
        *("merged", "created", "created", "renamed", "updated"),
    ]
    ((rest, read),) = [
        (len(response.body), response.items.items)
        for _, response in answers
        if response.items is not None
    ]
    assert rest < 300_000
    assert {user["id"] for user in read} <= _OWN


def test_who_is_selected(make_kana: MakeKana) -> None:
    """Ids, an email in any spelling, and left-overs of a user are found; nobody else is kept."""
    kana = make_kana(_account(3_000))
    only = users_with("known", "other_7", email="SHARED@example.com", left_overs_of=["merged"])
    transport = HttpTransport(kana.definition.transport.timeouts)
    users = Sender(kana.bind(), transport).perform(list_users(only))
    transport.close()
    assert {*users.by_id} == {
        *("known", "other_7", "shared@example.com", "has it"),
        left_over_id("merged", 3),
    }
    assert [one.number for one in users.left_overs_of("merged")] == [3]
    assert {one["id"] for one in users.with_email("shared@example.com")} == {
        *("shared@example.com", "has it"),
    }
