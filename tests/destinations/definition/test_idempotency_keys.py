"""What is wrong with keys of idempotency and windows is told with file, line and a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, Window, check_folder
from destinations.definition.comparison import Bump, compare
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.errors import SettingsError
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


def _by_setting(
    name: str = "grace", path: str = "$.settings.grace", **changes: Any
) -> Callable[[dict[str, Any]], None]:
    """Let a setting say how old an event may be; None removes a keyword of the setting."""

    def change(documents: dict[str, Any]) -> None:
        spec = {"title": "Grace", "description": "How long.", "type": "string", "default": "12h"}
        spec = {key: one for key, one in {**spec, **changes}.items() if one is not None}
        documents["destination"]["settings"]["properties"][name] = spec
        documents["count"]["window"] = {"grace": {"@path": path}, "then": "hold"}

    return change


OF_GRACE, GRACE = "/settings/properties/grace", "/actions/count/window/grace"
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
    "a grace of another root": (
        _by_setting(path="$.event.grace"),
        "/window/grace/@path",
        "the path of a setting, such as $.settings.gracePeriod",
    ),
    "a grace that is computed": (
        _window(then="hold", grace={"@if": {"exists": "x", "then": "1d"}}),
        "/window/grace",
        "'@path'",
    ),
    "a grace of no setting": (
        _by_setting(path="$.settings.grce"),
        "/window/grace/@path",
        "unknown setting 'grce'; known: apiKey, endpoint, limit, grace; did you mean grace?",
    ),
    "a grace of a number": (
        _by_setting(type="integer", default=12),
        "/window/grace/@path",
        "grace must be a setting of type string that is not a secret",
    ),
    "a secret grace": (
        _by_setting(format="password", default=None),
        "/window/grace/@path",
        "grace must be a setting of type string that is not a secret",
    ),
    "a grace without a default": (
        _by_setting(default=None),
        "/window/grace/@path",
        "grace must have a default, such as 12h, for accounts that do not say it",
    ),
    "a default that is not a duration": (
        _by_setting(default="12 hours"),
        f"{OF_GRACE}/default",
        "invalid duration '12 hours': expected a whole number and one of s, m, h, d, w",
    ),
    "a choice that is not a duration": (
        _by_setting(enum=["12h", "a week"]),
        f"{OF_GRACE}/enum/1",
        "invalid duration 'a week'",
    ),
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
        _by_setting(enum=["12h", "2w"]),
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
    window = load(_by_setting()).actions["count"].window
    assert window is not None
    assert (window.grace, window.ahead, window.grace_setting) == (43_200.0, None, "grace")


GIVEN: dict[str, tuple[object, str | None]] = {
    "a duration": ("2d", None),
    "the default": (None, None),
    "a sentence": (
        "12 hours",
        (
            "invalid duration '12 hours': expected a whole number and one of s, m, h, d, w, such as"
            " 90s, 15m or 4h"
        ),
    ),
    "nothing": ("", "invalid duration ''"),
    "no time at all": ("0h", "invalid duration '0h'"),
    "more than a hundred years": ("36501d", "expected at most 36500d, a hundred years"),
    "a number": (12, "must be a string, got a number"),
    "a secret": ("sk_test_0123456789", "invalid duration '***'"),
}


@pytest.mark.parametrize(("value", "message"), GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("pattern", [None, "^[0-9]+[smhdw]$"])
def test_the_grace_of_an_account(
    load: Load, value: object, message: str | None, pattern: str | None
) -> None:
    """What is not a duration is refused with the settings, once and in words."""
    definition = load(_by_setting(pattern=pattern))
    given = {"apiKey": "sk_test_0123456789", **({} if value is None else {"grace": value})}
    document = Document("account.yaml", given, {"/grace": 7})
    if message is None:
        assert check_settings(definition, document)["grace"] == (value or "12h")
        return
    with pytest.raises(SettingsError) as caught:
        check_settings(definition, document)
    (issue,) = caught.value.issues
    assert (issue.file, issue.line, issue.path) == ("account.yaml", 7, "/grace")
    assert message in issue.message
    assert "sk_test" not in issue.message


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
        (
            _window(then="hold", grace="12h"),
            _by_setting(),
            "/actions/count/window/grace",
            Bump.MINOR,
        ),
        (
            _by_setting(),
            _window(then="hold", grace="12h"),
            "/actions/count/window/grace",
            Bump.MAJOR,
        ),
        (_by_setting(), _by_setting(default="1h"), GRACE, Bump.MAJOR),
        (_by_setting(), _by_setting(default="2d"), GRACE, Bump.MINOR),
    ],
)
def test_what_a_new_version_changes(
    load: Load, before: Change | None, after: Change | None, place: str, bump: Bump
) -> None:
    """`destinations diff` says it in the words of those who use the destination."""
    found = {one.path: one.bump for one in compare(load(before), load(after))}
    assert found[place] is bump
