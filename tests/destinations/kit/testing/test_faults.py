from __future__ import annotations

from collections.abc import Callable

import pytest

from destinations.http import HttpResponse
from destinations.kit.testing.faults import partner_faults
from destinations.kit.testing.subject import Subject

# What every request can meet, then what only those can whose answers are looked at.
EVERYWHERE = [
    "401",
    "403",
    "429 with Retry-After, once",
    "429 with Retry-After",
    "500, once",
    "500",
    "time-out before sending, once",
    "time-out before sending",
    "no connection",
    "time-out after sending, once",
    "time-out after sending",
    "connection lost after sending",
    "answer cut off",
]
GRAPHQL = [
    *EVERYWHERE,
    "200 with errors",
    "200 with an error for one event",
    "200 that is not JSON",
    "200 of another shape",
    "error: message like ^Who are you",
    "error: code BUSY",
    "error: code BROKEN",
    "error: code BAD",
]


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("count", 2, GRAPHQL),
        ("find", 1, GRAPHQL),
        # Nothing is expected of its answers, and codes are of GraphQL alone.
        ("save", 1, [*EVERYWHERE, "error: message like ^Who are you"]),
    ],
)
def test_the_faults_that_a_request_can_meet(
    make_subject: Callable[..., Subject], name: str, count: int, names: list[str]
) -> None:
    """Made from its definition: its protocol, what is expected, and each of its error rules."""
    definition = make_subject().definition
    faults = list(partner_faults(definition.requests[name], definition, count))
    assert [fault.name for fault in faults] == names
    assert [fault.name for fault in faults if fault.times == 1] == [
        name for name in names if name.endswith(", once")
    ]
    assert all((fault.rule is not None) == fault.name.startswith("error:") for fault in faults)


def test_what_the_partner_says(make_subject: Callable[..., Subject]) -> None:
    """Statuses are what they are called, and 429 says how long to wait."""
    definition = make_subject().definition
    faults = {
        fault.name: fault.reply
        for fault in partner_faults(definition.requests["save"], definition, 1)
    }
    busy = faults["429 with Retry-After"]
    assert isinstance(busy, HttpResponse)
    assert (busy.status, busy.headers["retry-after"]) == (429, "1")
    assert faults["time-out before sending"] == "connectTimeout"
