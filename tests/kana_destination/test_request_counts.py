"""How many requests identify events take, by the case in which their users are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kana_destination.cases import Case, cases

_USERS = 20
_FIRST = {"missing": 3, "no email": 4, "same email": 2, "another email": 2}
"""The requests for a batch, as docs/kana-behaviour.md has them; merges are apart."""

_ALONE = [case for case in cases().values() if case.then != "merge"]
_IDS = [f"{case.user}, Stripe {case.stripe}, others {case.others}" for case in _ALONE]


def _account(case: Case, number: int) -> Iterator[dict[str, Any]]:
    email = f"m{number}@example.com"
    if case.user != "missing":
        emails = {"same email": email, "another email": f"former{number}@example.com"}
        yield {"id": f"u{number}", "email": emails.get(case.user)}
    if case.stripe:
        yield {"id": email, "email": email, "billingId": f"cus_{number}"}
    if case.others:
        yield {"id": f"other{number}", "email": email}


def _identifies(count: int, name: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "identify",
            "messageId": f"{name}{number}",
            "userId": f"u{number}",
            "traits": {"email": f"m{number}@example.com", "name": name},
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("case", _ALONE, ids=_IDS)
def test_the_requests_of_a_batch(make_kana: Callable[..., Any], case: Case) -> None:
    """A case takes as many as the documentation says, however many users are in it."""
    users = [user for number in range(_USERS) for user in _account(case, number)]
    kana = make_kana({"users": users, "features": []})
    report = kana.run(*_identifies(_USERS, "First"))
    assert report.totals.outcomes == {"delivered": _USERS}
    found = len(kana.sandbox.requests) - kana.requested.count("__type")
    assert found == _FIRST[case.user]
    report = kana.run(*_identifies(_USERS, "Second"))
    assert report.totals.outcomes == {"delivered": _USERS}
    assert len(kana.sandbox.requests) - kana.requested.count("__type") - found == 2


@pytest.mark.parametrize(("features", "used"), [(0, 0), (1, 0), (1, 1), (3, 2)])
def test_the_requests_of_merges(make_kana: Callable[..., Any], features: int, used: int) -> None:
    """Four for the batch; two for a user and for each of its features, and one for each used."""
    case = next(case for case in cases().values() if case.then == "merge")
    account = [user for number in range(3) for user in _account(case, number)]
    names = [f"f{at}" for at in range(features)]
    kana = make_kana(
        {
            "users": account,
            "features": [{"id": one, "name": one, "type": "CONSUMABLE"} for one in names],
        }
    )
    for number in range(3):
        for feature in names[:used]:
            event = {"type": "track", "event": "E", "userId": f"u{number}"}
            properties = {"featureId": feature, "delta": 5}
            kana.run({**event, "messageId": f"t{number}{feature}", "properties": properties})
    before = Counter(kana.requested)
    sent = len(kana.sandbox.requests)
    report = kana.run(*_identifies(3, "First"))
    assert report.totals.outcomes == {"delivered": 3}
    assert len(kana.sandbox.requests) - sent == 4 + 3 * (2 + 2 * features + used + bool(used))
    assert Counter(kana.requested)["users"] - before["users"] == 1
