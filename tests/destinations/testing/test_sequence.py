from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from destinations.runtime.destination import Destination
from destinations.testing.case import ABSENT
from destinations.testing.sequence import deliver_in_sequence, entries_of
from destinations.testing.stand_ins import StillClock


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
    events = [
        "not json",
        {"type": "screen", "userId": "u"},
        {"type": "track", "event": "E", "userId": "u", "properties": {"by": 1}},
        _count("u", 1),
    ]
    transport = scripted([replies.success])
    rows = deliver_in_sequence(bind(), transport, StillClock(), entries_of(events))
    assert [(row.row.action, row.row.result.outcome.value) for row in rows] == [
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
    transport = scripted([replies.http(401, {}), replies.http(200, {})])
    rows = deliver_in_sequence(bind(), transport, StillClock(), entries_of([page] * 3))
    assert [row.row.result.outcome.value for row in rows] == ["retrying"] * 3
    assert len(transport.requests) == 1
