from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.case import ABSENT
from destinations.kit.testing.sequence import deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.runtime.destination import Destination


def _count(user: str, by: int) -> dict[str, Any]:
    return {"type": "track", "event": "E", "userId": user, "properties": {"by": by, "thing": "t"}}


def test_which_events_share_a_request(
    bind: Callable[..., Destination], scripted: Any, replies: Any
) -> None:
    """All that may, up to the batch size, in order, and past nobody's earlier event."""
    page = {"type": "page", "name": "P", "userId": "u2"}
    more = [_count("u3", 3), _count("u4", 4), _count("u5", 5), _count("u1", 6)]
    events = [_count("u1", 1), page, _count("u2", 2), *more]

    def answer(request: Any) -> Any:
        return replies.http(200, {}) if request.method == "PUT" else replies.success(request)

    saved = scripted([answer])
    rows = deliver_in_sequence(bind(), saved, StillClock(), entries_of(events))
    sizes = [
        len(json.loads(request.body)["variables"])
        for request in saved.requests
        if request.method == "POST"
    ]
    assert sizes == [4, 2]  # 1, 3, 4, 5 of other users; then the page; then 2 and 6
    assert [request.method for request in saved.requests] == ["POST", "PUT", "POST"]
    assert [row.row.line for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert {row.row.result.outcome.value for row in rows} == {"delivered"}


def test_rows_of_what_is_not_sent(
    bind: Callable[..., Destination], scripted: Any, replies: Any
) -> None:
    """Every event has its row, with the payload where there was one."""
    events: list[Mapping[str, Any] | str] = [
        "not json",
        {"type": "screen", "userId": "u"},
        {"type": "track", "event": "E", "userId": "u", "properties": {"by": 1}},
        _count("u", 1),
    ]
    transport = scripted([replies.success])
    rows = deliver_in_sequence(bind(), transport, StillClock(), entries_of(events))
    assert [(row.row.key and row.row.key.action, row.row.result.outcome.value) for row in rows] == [
        (None, "invalid"),
        (None, "filtered"),
        ("count", "unmapped"),
        ("count", "delivered"),
    ]
    assert [row.payload for row in rows] == [ABSENT, ABSENT, ABSENT, {"by": 1, "thing": "t"}]


def test_nothing_is_sent_after_credentials_were_refused(
    bind: Callable[..., Destination], scripted: Any, replies: Any
) -> None:
    """As in a run: what follows is no fault of the events."""
    page = {"type": "page", "name": "P", "userId": "u"}
    transport = scripted([replies.http(401, {}), replies.http(401, {}), replies.http(200, {})])
    rows = deliver_in_sequence(bind(), transport, StillClock(), entries_of([page] * 3))
    assert [row.row.result.outcome.value for row in rows] == ["ready"] * 3
    assert len(transport.requests) == 2  # the second is the test of the key


PAGE = {"type": "page", "name": "P", "userId": "u"}
LONG = [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("event", "script", "outcome", "waits"),
    [
        (_count("u", 1), ["ok"], "delivered", []),
        (_count("u", 1), ["refused", "ok"], "delivered", [0.5]),
        (_count("u", 1), ["429", "ok"], "delivered", [7.0]),
        (_count("u", 1), ["429 for an hour", "ok"], "delivered", [20.0]),
        (_count("u", 1), ["busy", "refused", "ok"], "delivered", [0.5, 1.0]),
        (_count("u", 1), ["busy", "429", "refused", "ok"], "delivered", [0.5, 7.0, 2.0]),
        (_count("u", 1), ["refused"] * 4 + ["ok"], "delivered", LONG),
        (_count("u", 1), ["lost"], "unknown", []),
        (_count("u", 1), ["refused", "lost"], "unknown", [0.5]),
        (_count("u", 1), ["refused", "500"], "unknown", [0.5]),
        (_count("u", 1), ["refused", "bad"], "rejected", [0.5]),
        (_count("u", 1), ["refused", "401"], "ready", [0.5]),
        (PAGE, ["200"], "delivered", []),
        (PAGE, ["lost", "200"], "delivered", [0.5]),
        (PAGE, ["refused", "503", "200"], "delivered", [0.5, 1.0]),
        (PAGE, ["503", "423", "408", "500", "200"], "delivered", LONG),
        (PAGE, ["429", "200"], "delivered", [7.0]),
        (PAGE, ["lost", "400"], "rejected", [0.5]),
        (PAGE, ["503", "401"], "ready", [0.5]),
    ],
)
def test_attempts(
    bind: Callable[..., Destination],
    *,
    scripted: Any,
    replies: Any,
    event: dict[str, Any],
    script: list[str],
    outcome: str,
    waits: list[float],
) -> None:
    """An event is tried again as its last answer allows, with the waits of the definition."""
    own = {"message": "no", "path": ["e0"], "extensions": {"code": "BUSY"}}
    answers = {
        "ok": replies.data({"done": True}),
        "refused": replies.refused,
        "lost": replies.lost,
        "429": replies.http(429, retry_after="7"),
        "429 for an hour": replies.http(429, retry_after="3600"),
        "busy": replies.errors(own, data={"e0": None}),
        "bad": replies.errors("BAD"),
    }
    transport = scripted([answers.get(name) or replies.http(int(name), {}) for name in script])
    clock = StillClock()
    (row,) = deliver_in_sequence(bind(), transport, clock, entries_of([event]))
    assert row.row.result.outcome.value == outcome
    assert clock.waits == pytest.approx(waits)
    sent = [one for one in transport.requests if b"query Find" not in (one.body or b"")]
    assert len(sent) == len(script)
    assert len({request.body for request in sent}) == 1


def test_what_goes_wrong_ends_it(bind: Callable[..., Destination], scripted: Any) -> None:
    """An error that is none of the partner is raised at once, not met again and again."""

    def broken(_request: HttpRequest) -> HttpResponse:
        raise UsageError("not in the script")

    for event in (PAGE, _count("u", 1)):
        transport, clock = scripted([broken]), StillClock()
        with pytest.raises(UsageError, match="not in the script"):
            deliver_in_sequence(bind(), transport, clock, entries_of([event] * 3))
        assert len(transport.requests) == 1
        assert clock.waits == []
