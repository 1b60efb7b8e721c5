"""What can never work is said when a definition is loaded, and what is right is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, check_folder

Change = Callable[[Any], None]
Write = Callable[..., Path]

SETTINGS = "destination.settings.properties"
SAVE = "destination.requests.save.rest"
STATUS = "destination.errorRules.0.when"
THING = "count.fields.properties.thing"
BY = "count.fields.properties.by"


def _set(path: str, value: object) -> Change:
    """Sets what a dotted path leads to."""

    def change(documents: Any) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        place = documents
        for key in parents:
            place = place[key]
        place[last] = value

    return change


def _all(*changes: Change) -> Change:
    def change(documents: Any) -> None:
        for one in changes:
            one(documents)

    return change


def _setting(**spec: Any) -> Change:
    return _set(f"{SETTINGS}.more", {"title": "More", "description": "More.", **spec})


def _field(**spec: Any) -> Change:
    return _set("count.fields.properties.more", {"title": "More", "description": "More.", **spec})


BAD: dict[str, tuple[Change, str, str]] = {
    # name: (change, place, end or part of the message)
    "a format of a setting": (
        _set(f"{SETTINGS}.apiKey.format", "pasword"),
        "/settings/properties/apiKey/format",
        "but is pasword; did you mean password?",
    ),
    "a format of a field": (
        _set(f"{THING}.format", "emial"),
        "/fields/properties/thing/format",
        "but is emial; did you mean email?",
    ),
    "a format of an answer": (
        _set("destination.requests.count.expect", {"type": "string", "format": "datetime"}),
        "/requests/count/expect/format",
        "did you mean date-time?",
    ),
    "a keyword of a field": (
        _set(f"{THING}.maxLenght", 3),
        "/fields/properties/thing/maxLenght",
        "did you mean maxLength?",
    ),
    "a key of the file": (_set("destination.nmae", "x"), "/nmae", "did you mean name?"),
    "a method": (
        _set(f"{SAVE}.method", "post"),
        "/requests/save/rest/method",
        "not 'post'; did you mean POST?",
    ),
    "a directive": (
        _set(f"{THING}.default", {"@pth": "$.event"}),
        "/fields/properties/thing/default",
        "did you mean @path?",
    ),
    "a setting to require": (
        _set("destination.settings.required", ["apikey"]),
        "/settings/required/0",
        "did you mean apiKey?",
    ),
    "a setting of the credentials": (
        _set("destination.authentication.fields", ["apikey"]),
        "/authentication/fields/0",
        "did you mean apiKey?",
    ),
    "a request of the credentials": (
        _set("destination.authentication.test", "fnd"),
        "/authentication/test",
        "did you mean find?",
    ),
    "a request of an action": (
        _set("count.perform.request", "cuont"),
        "/perform/request",
        "did you mean count?",
    ),
    "an action of a preset": (
        _set("destination.presets.0.partnerAction", "Count"),
        "/presets/0/partnerAction",
        "did you mean count?",
    ),
    "a field to require": (
        _set("count.fields.required", ["thinng"]),
        "/fields/required/0",
        "did you mean thing?",
    ),
    "a field that may be missing": (
        _set("count.unmapped.missing", "thinng"),
        "/unmapped/missing",
        "did you mean thing?",
    ),
    "a field that is touched": (
        _set("count.touches", [{"@path": "$.payload.thinng"}]),
        "/touches/0",
        "did you mean thing?",
    ),
    "a status as text": (
        _set(STATUS, {"status": "401"}),
        "/errorRules/0/when/status",
        "not '401'; write 401 without quotes",
    ),
    "a status as text in a list": (
        _set(STATUS, {"status": [404, "401"]}),
        "/errorRules/0/when/status/1",
        "not '401'; write 401 without quotes",
    ),
    "a class of statuses": (
        _set(STATUS, {"status": "5xxx"}),
        "/errorRules/0/when/status",
        "must be integer or text of the form ^[1-5]xx$ or array, not '5xxx'",
    ),
    "a status that no answer has": (
        _set(STATUS, {"status": [700]}),
        "/errorRules/0/when/status/0",
        "must be a number from 100 to 599 or string, not 700",
    ),
    "a number as text": (
        _set("destination.transport.concurrency", "4"),
        "/transport/concurrency",
        "must be integer; write 4 without quotes",
    ),
    "true as text": (
        _set("destination.requests.find.idempotent", "true"),
        "/requests/find/idempotent",
        "must be boolean; write true without quotes",
    ),
    "a setting's default of another type": (
        _setting(type="integer", default="many"),
        "/settings/properties/more/default",
        "does not fit its own setting: must be an integer",
    ),
    "a setting's default beside its choices": (
        _setting(type="string", enum=["eu", "us"], default="uk"),
        "/settings/properties/more/default",
        "does not fit its own setting: must be one of",
    ),
    "a setting's default beside its pattern": (
        _setting(type="string", pattern="^https://", default="http://a.example"),
        "/settings/properties/more/default",
        "does not fit its own setting: must match ^https://",
    ),
    "a setting's default that is refused": (
        _setting(
            type="string", default="pub_1", **{"x-refuse": [{"pattern": "^pub", "message": "no"}]}
        ),
        "/settings/properties/more/default",
        "does not fit its own setting: no",
    ),
    "a field's default of another type": (
        _field(type="integer", default="many"),
        "/fields/properties/more/default",
        "does not fit its own field: must be an integer",
    ),
    "a field's default that is always the same": (
        _field(type="integer", default={"@template": "many"}),
        "/fields/properties/more/default",
        "does not fit its own field: must be an integer",
    ),
    "a field's default within": (
        _field(
            type="object",
            properties={"a": {"type": "array", "items": {"type": "integer"}}},
            default={"a": [1, "b"]},
        ),
        "/fields/properties/more/default/a/1",
        "does not fit its own field: must be an integer",
    ),
    "a constant of a subscription": (
        _set("destination.presets.0.mapping", {"by": "many", "thing": {"@path": "$.event"}}),
        "/presets/0/mapping/by",
        "does not fit its own field: must be an integer",
    ),
    "a URL that is a path": (
        _set(f"{SAVE}.url", "/pages"),
        "/requests/save/rest/url",
        "must be an absolute URL that begins with https:// or http://",
    ),
    "a URL without a scheme": (
        _set("destination.transport.baseUrl", "api.example.com/v1"),
        "/transport/baseUrl",
        "must be an absolute URL",
    ),
    "a URL of another scheme": (
        _set(f"{SAVE}.url", {"@template": "ftp://{{settings.endpoint}}"}),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "a URL without a host": (
        _set(f"{SAVE}.url", "https:///v1"),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "a URL that is a number": (
        _set(f"{SAVE}.url", 8080),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "one of two URLs": (
        _set(
            f"{SAVE}.url",
            {
                "@if": {
                    "exists": {"@path": "$.settings.limit"},
                    "then": "https://a.example",
                    "else": "b.example",
                }
            },
        ),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "a URL of a setting's default": (
        _all(
            _setting(type="string", default="eu1"),
            _set(f"{SAVE}.url", {"@template": "{{settings.more}}.example.com"}),
        ),
        "/requests/save/rest/url",
        "must be an absolute URL",
    ),
    "GET with JSON": (
        _set(f"{SAVE}.method", "GET"),
        "/requests/save/rest/json",
        "must not be set: a GET request has no body",
    ),
    "GET with a form": (
        _set(SAVE, {"method": "GET", "url": "http://a.example", "form": {"a": "b"}}),
        "/requests/save/rest/form",
        "must not be set: a GET request has no body",
    ),
}

WARNED: dict[str, tuple[Change, str, str]] = {
    # A definition with one of these is loaded: it does at Segment what it does here.
    "a type in a preset": (
        _set("destination.presets.0.subscribe", 'type = "trak"'),
        "/presets/0/subscribe",
        "group, identify, page, screen, track; did you mean track?",
    ),
    "a type in an action": (
        _set("count.defaultSubscription", 'event = "A" and type = "Track"'),
        "/defaultSubscription",
        'at character 17: type = "Track" never holds',
    ),
    "no event has not that type": (
        _set("count.defaultSubscription", 'type != "delet"'),
        "/defaultSubscription",
        'type != "delet" always holds',
    ),
}

GOOD: dict[str, Change] = {
    "a format": _set(f"{SETTINGS}.apiKey.format", "uri"),
    "a class of statuses": _set(STATUS, {"status": [404, "5xx"]}),
    "a setting's default as text": _setting(type="integer", default="5"),
    "a setting's default of its choices": _setting(type="string", enum=["eu"], default="eu"),
    "a setting's default that is empty": _setting(type="string", default=""),
    "a field's default that is coerced": _set(f"{THING}.default", 5),
    "a field's default that is empty": _field(type="string", default=""),
    "a field's default of the event": _field(type="integer", default={"@path": "$.event"}),
    "a constant of a subscription": _set(
        "destination.presets.0.mapping", {"by": "7", "thing": "x", "other": {}}
    ),
    "a URL": _set(f"{SAVE}.url", "HTTPS://a.example"),
    "a URL with a host of a setting": _set(
        f"{SAVE}.url", {"@template": "https://{{settings.apiKey}}"}
    ),
    "a URL with a scheme of a setting": _set(
        f"{SAVE}.url", {"@template": "{{settings.apiKey}}://a.example"}
    ),
    "a URL of a setting": _set("destination.transport.baseUrl", {"@path": "$.settings.apiKey"}),
    "a URL of a setting's default": _set(
        f"{SAVE}.url", {"@template": "{{settings.endpoint}}/pages"}
    ),
    "GET": _set(SAVE, {"method": "GET", "url": "http://a.example", "query": {"a": "b"}}),
    "DELETE with JSON": _set(f"{SAVE}.method", "DELETE"),
    "types": _set(
        "count.defaultSubscription",
        'type = "identify" or type = "track" or type = "page" or type = "screen"'
        ' or type = "group" or type = "alias" or event = "trak"',
    ),
}


@pytest.mark.parametrize(("change", "place", "message"), BAD.values(), ids=BAD)
def test_what_can_never_work(
    write_definition: Write, change: Change, place: str, message: str
) -> None:
    """It is an issue with file, line and place, which says what would be right."""
    issues = check_folder(write_definition(change))
    found = [issue for issue in issues if issue.path == place and message in issue.message]
    assert found, list(map(str, issues))
    assert found[0].file is not None
    assert found[0].line is not None


@pytest.mark.parametrize(("change", "place", "message"), WARNED.values(), ids=WARNED)
def test_what_does_no_harm(
    load: Callable[..., DestinationDefinition], change: Change, place: str, message: str
) -> None:
    """A mistake that changes no delivery is a warning of the definition, which is loaded."""
    (warning,) = load(change).warnings
    assert warning.path == place
    assert message in warning.message
    assert warning.line is not None


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_what_works(write_definition: Write, change: Change) -> None:
    """What is near a mistake and none is no issue, nor a warning."""
    assert list(map(str, check_folder(write_definition(change)))) == []
