"""What is wrong with keys of idempotency and windows is told with file, line and a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, Window, check_folder
from destinations.definition.comparison import Bump, compare
from tests.destinations.pipeline.metering import metered

Write = Callable[..., Path]
Load = Callable[..., DestinationDefinition]
Change = Callable[[dict[str, Any]], None]


def _count(**values: Any) -> Change:
    """Changes the request with a key; None removes."""

    def change(documents: dict[str, Any]) -> None:
        metered()(documents)
        request = documents["destination"]["requests"]["count"]
        for path, value in values.items():
            *parents, last = path.split("__")
            place = request
            for key in parents:
                place = place[int(key) if key.isdigit() else key]
            if value is None:
                del place[last]
            else:
                place[last] = value

    return change


def _window(**values: Any) -> Change:
    def change(documents: dict[str, Any]) -> None:
        documents["count"]["window"] = values

    return change


KEY = {"from": {"@path": "$.event.messageId"}, "for": "24h"}

ISSUES: dict[str, tuple[Change, str, str]] = {
    "idempotent": (
        _count(idempotent=True),
        "/requests/count/idempotencyKey",
        "has no effect: count is idempotent and sent again",
    ),
    "resend": (
        _count(onLostAnswer="resend"),
        "/requests/count/onLostAnswer",
        "must not be set: count has idempotencyKey, and what the key no longer protects is never",
    ),
    "too short": (
        _count(idempotencyKey__for="59s"),
        "/requests/count/idempotencyKey/for",
        "59s is too short: expected at least 1m, such as 24h",
    ),
    "no duration": (
        _count(idempotencyKey__for="a day"),
        "/requests/count/idempotencyKey/for",
        "a whole number and one of s, m, h, d and w, such as 90s, 15m, 24h or 30d",
    ),
    "header of a batch": (
        _count(idempotencyKey={**KEY, "header": "X-Key"}),
        "/requests/count/idempotencyKey/header",
        "needs batch.size 1: the batches of count share their headers; use field",
    ),
    "header and field": (
        _count(idempotencyKey={**KEY, "header": "X-Key", "field": "key"}),
        "/requests/count/idempotencyKey",
        "header",
    ),
    "a header that is there": (
        _count(idempotencyKey={**KEY, "header": "authorization"}, batch={"size": 1}),
        "/requests/count/idempotencyKey/header",
        "transport.headers has authorization already: keep only one",
    ),
    "a field that is there": (
        _count(idempotencyKey__field="by"),
        "/requests/count/idempotencyKey/field",
        "the body has 'by' already: remove it there",
    ),
    "a field of no object": (
        _count(rest__json=[{"@path": "$.payload.by"}]),
        "/requests/count/idempotencyKey/field",
        "needs an object as rest.json: the key becomes a member of it",
    ),
    "a field of GraphQL": (
        _count(
            rest=None,
            graphql={"document": "mutation M { count }"},
        ),
        "/requests/count/idempotencyKey/field",
        "is for REST requests: use header, as count is not one",
    ),
    "a mistyped root": (
        _count(idempotencyKey__from={"@path": "$.evnt.messageId"}),
        "/requests/count/idempotencyKey/from/@path",
        "unknown root 'evnt'",
    ),
    "a setting": (
        _count(idempotencyKey__from={"@path": "$.settings.limit"}),
        "/requests/count/idempotencyKey/from/@path",
        "must not read settings: expected event or payload, which stay the same",
    ),
    "an unknown field of the payload": (
        _count(idempotencyKey__from={"@path": "$.payload.thng"}),
        "/requests/count/idempotencyKey/from/@path",
        "did you mean thing?",
    ),
    "a repeat that is tried again": (
        _count(errorRules__0__retryable=True),
        "/requests/count/errorRules/0/retryable",
        "must be false: with repeatMeans the partner has the event, so nothing is repeated",
    ),
    "another meaning": (
        _count(errorRules__0__repeatMeans="filtered"),
        "/requests/count/errorRules/0/repeatMeans",
        "delivered",
    ),
    "all or nothing of one": (
        _count(batch={"size": 1, "allOrNothing": True}),
        "/requests/count/batch/allOrNothing",
        "has no effect: expected a REST request of several events",
    ),
    "a window without a limit": (
        _window(then="hold"),
        "/window",
        "",
    ),
    "a window with a mistyped root": (
        _window(then="hold", grace="30d", **{"from": {"@path": "$.payload.tme"}}),
        "/window/from/@path",
        "tme",
    ),
    "a window of no duration": (_window(then="hold", grace="30"), "/window/grace", "such as 90s"),
    "a window for an operator": (
        lambda documents: (
            _window(then="hold", grace="30d")(documents),
            documents["count"].update(operator=True),
            documents["count"].pop("defaultSubscription"),
            documents["count"].pop("unmapped"),
            documents["destination"]["presets"].pop(0),
        )[0],
        "/window",
        "must not be set: this action is only for operators",
    ),
}


@pytest.mark.parametrize("name", ISSUES)
def test_issues(write_definition: Write, name: str) -> None:
    """Each is at its own place, and says what was expected."""
    change, place, message = ISSUES[name]
    found = [one for one in check_folder(write_definition(change)) if one.path == place]
    assert found, list(check_folder(write_definition(change)))
    assert any(message in one.message for one in found), found
    assert all(one.line is not None and one.file for one in found)


def test_what_is_fine(write_definition: Write) -> None:
    """A key in a field, in a header, and a window by a field of the payload."""
    for change in (
        metered(asks=True, failures=True, all_or_nothing=True),
        metered(batch=1, header="Idempotency-Key"),
        _window(then="reject", grace="30d", ahead="5m", **{"from": {"@path": "$.payload.by"}}),
    ):
        assert list(check_folder(write_definition(change))) == []


def test_the_model(load: Load) -> None:
    """Durations are seconds, and the time of an event is its timestamp unless said otherwise."""
    definition = load(metered())
    key = definition.requests["count"].idempotency_key
    assert key is not None
    assert (key.seconds, key.field, key.header) == (86_400.0, "key", None)
    window = load(_window(then="hold", grace="30d")).actions["count"].window
    assert window == Window({"@path": "$.event.timestamp"}, "hold", 30 * 86_400.0)


@pytest.mark.parametrize(
    ("before", "after", "place", "bump"),
    [
        (metered(), _count(idempotencyKey=None), "/requests/count/idempotencyKey", Bump.MAJOR),
        (_count(idempotencyKey=None), metered(), "/requests/count/idempotencyKey", Bump.MINOR),
        (
            metered(),
            _count(idempotencyKey__from={"@path": "$.payload.thing"}),
            "/requests/count/idempotencyKey/from/@path",
            Bump.MAJOR,
        ),
        (
            metered(),
            _count(idempotencyKey__for="1h"),
            "/requests/count/idempotencyKey/for",
            Bump.MAJOR,
        ),
        (None, _window(then="reject", grace="1d"), "/actions/count/window", Bump.MAJOR),
        (_window(then="reject", grace="1d"), None, "/actions/count/window", Bump.MINOR),
    ],
)
def test_what_a_new_version_changes(
    load: Load, before: Change | None, after: Change | None, place: str, bump: Bump
) -> None:
    """`destinations diff` says it in the words of those who use the destination."""
    found = {one.path: one.bump for one in compare(load(before), load(after))}
    assert found[place] is bump
