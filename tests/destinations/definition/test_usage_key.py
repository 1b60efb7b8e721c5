"""What is wrong with ``usage`` of an action is told with file, line and a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, UsageStep, check_folder
from destinations.definition.comparison import Bump, compare
from tests.destinations.pipeline.metering import metered

Write = Callable[..., Path]
Load = Callable[..., DestinationDefinition]
Change = Callable[[dict[str, Any]], None]

GET: Any = {
    "description": "What was counted.",
    "idempotent": True,
    "rest": {
        "method": "GET",
        "url": "http://127.0.0.1:9/usage",
        "query": {
            "of": {"@path": "$.usage.user"},
            "from": {"@path": "$.usage.from"},
            "to": {"@path": "$.usage.to"},
        },
    },
}
METERS = {
    "description": "The meters.",
    "idempotent": True,
    "rest": {"method": "GET", "url": "http://127.0.0.1:9/meters"},
}
OF_METER = {
    **GET,
    "rest": {
        **GET["rest"],
        "path": [{"@path": "$.answers.meter.id"}],
    },
}
FIND: Any = {
    "items": {"@path": "$.answer.meters"},
    "where": {"event": {"@path": "$.usage.feature"}},
}
USAGE = {
    "user": {"@path": "$.payload.thing"},
    "feature": "things",
    "amount": {"@path": "$.payload.by"},
    "ask": {"request": "used", "shown": {"@path": "$.answer.used"}},
}
STEPS: Any = {
    **USAGE,
    "ask": {
        "steps": [
            {"name": "meter", "request": "meters", "find": FIND},
            {"name": "used", "request": "ofMeter"},
        ],
        "shown": {"@path": "$.answers.used.amount"},
    },
}


def _given(base: Any = USAGE, **values: Any) -> Change:
    """Gives usage; ``a__b`` is the key b of a, ``R_`` begins a request's, None removes."""

    def change(documents: dict[str, Any]) -> None:
        metered()(documents)
        requests = documents["destination"]["requests"]
        has_steps = base is STEPS
        copies = {"meters": METERS, "ofMeter": OF_METER} if has_steps else {"used": GET}
        requests.update({name: _copied(request) for name, request in copies.items()})
        documents["count"]["usage"] = _copied(base)
        for path, value in values.items():
            is_request = path.startswith("R_")
            *parents, last = path.removeprefix("R_").split("__")
            place: Any = requests if is_request else documents["count"]["usage"]
            for key in parents:
                place = place[int(key) if key.isdigit() else key]
            if value is None:
                del place[last]
            else:
                place[last] = value

    return change


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


ISSUES: dict[str, tuple[Change, str, str]] = {
    "no request": (_given(ask__request="usd"), "/usage/ask/request", "did you mean used?"),
    "no question": (_given(ask__request=None), "/usage/ask", "request"),
    "two questions": (
        _given(ask__steps=STEPS["ask"]["steps"]),
        "/usage/ask",
        "request",
    ),
    "a mistyped key": (_given(featur="x"), "/usage", "feature"),
    "a request that changes something": (
        _given(ask__request="count"),
        "/usage/ask/request",
        "count must be idempotent, as it only asks what was counted",
    ),
    "a POST that may change something": (
        _given(R_used__rest__method="POST"),
        "/usage/ask/request",
        "used must only read: make it a GET request, or say readOnly: true",
    ),
    "a mutation": (
        _given(R_used__rest=None, R_used__graphql={"document": "mutation M { count }"}),
        "/usage/ask/request",
        "used must only read",
    ),
    "an unknown field": (_given(user={"@path": "$.payload.thng"}), "/usage/user/@path", "thing?"),
    "the event": (
        _given(feature={"@path": "$.event.event"}),
        "/usage/feature/@path",
        "must not read event: write a field of the action",
    ),
    "an unknown setting": (
        _given(feature={"@path": "$.settings.limt"}),
        "/usage/feature/@path",
        "did you mean limit?",
    ),
    "a secret": (
        _given(feature={"@path": "$.settings.apiKey"}),
        "/usage/feature",
        "must not read apiKey, which is secret",
    ),
    "an amount that is none": (_given(amount=True), "/usage/amount", "must be a number"),
    "text as an amount": (_given(amount="all"), "/usage/amount", "must be a number"),
    "a mistyped time": (_given(at={"@path": "$.event.timestmp"}), "/usage/at/@path", "timestamp?"),
    "the answer of steps": (
        _given(ask__shown={"@path": "$.answers.used"}),
        "/usage/ask/shown/@path",
        "must not read answers: the question has no steps; write $.answer",
    ),
    "an unknown step": (
        _given(STEPS, ask__shown={"@path": "$.answers.usd.amount"}),
        "/usage/ask/shown/@path",
        "did you mean used?",
    ),
    "a step twice": (
        _given(STEPS, ask__steps__1__name="meter"),
        "/usage/ask/steps/1/name",
        "step 1 is called 'meter' as well; give each its own name",
    ),
    "pages of a last step that looks for one item": (
        _given(STEPS, ask__steps__1__find=FIND, ask__next={"@path": "$.answer.next"}),
        "/usage/ask/next",
        "has no effect: the last step looks for one item; use next of its find",
    ),
    "a step that comes later": (
        _given(STEPS, R_meters__rest__query={"a": {"@path": "$.answers.used.id"}}),
        "/requests/meters/rest/query/a/@path",
        "the step used does not come before the step meter of usage of count",
    ),
    "a step without a name": (_given(STEPS, ask__steps__0__name="The meter"), "", "such as find"),
    "a place in the usage": (
        _given(STEPS, ask__steps__0__find__where={"event": {"@path": "$.usage.featur"}}),
        "/usage/ask/steps/0/find/where/event/@path",
        "did you mean feature?",
    ),
    "the payload in a question": (
        _given(R_used__rest__query__x={"@path": "$.payload.thing"}),
        "/requests/used/rest/query/x/@path",
        "must not use event or payload: usage is asked for without an event",
    ),
    "answers without steps": (
        _given(R_used__rest__query__x={"@path": "$.answers.meter.id"}),
        "/requests/used/rest/query/x/@path",
        "must not read answers: no step comes before this request",
    ),
    "usage in a request of an event": (
        _given(R_count__rest__json={"by": {"@path": "$.usage.user"}}),
        "/requests/count/rest/json/by/@path",
        "must not read usage: no question about usage makes this request",
    ),
    "everybody": (
        _given(R_used__rest__query__of=None),
        "/usage/ask/request",
        "no request reads $.usage.user, so every user has the same answer",
    ),
    "always": (
        _given(R_used__rest__query__from=None),
        "/usage/ask/request",
        "no request reads $.usage.from, so the answer is that of another time",
    ),
    "pages that are the same": (
        _given(ask__next={"@path": "$.answer.next"}),
        "/usage/ask/next",
        "has no effect: no mapping of the last request reads $.page",
    ),
    "only the first page": (
        _given(R_used__rest__query__page={"@path": "$.page"}),
        "/usage/ask",
        "needs next, as the last request reads $.page: only one page would be added up",
    ),
    "an answer that no request has": (
        _given(ask__nothing=["missing"]),
        "/usage/ask/nothing/0",
        "its requests have no answer 'missing'; they have: none",
    ),
    "no duration": (_given(ask__aligned="hourly"), "/usage/ask/aligned", "such as 90s"),
    "no duration to settle": (_given(ask__settlesAfter="5"), "/usage/ask/settlesAfter", "90s"),
    "a test that asks the same": (
        lambda documents: (
            _given()(documents),
            documents["destination"].update(
                authentication={"scheme": "custom", "fields": ["apiKey"], "test": "used"}
            ),
        )[0],
        "/requests/used/rest/query/of/@path",
        "must not read usage: the authentication test makes this request as well",
    ),
    "usage for an operator": (
        lambda documents: (
            _given()(documents),
            documents["count"].update(operator=True),
            documents["count"].pop("defaultSubscription"),
            documents["count"].pop("unmapped"),
            documents["destination"]["presets"].pop(0),
        )[0],
        "/usage",
        "must not be set: this action is only for operators",
    ),
}


@pytest.mark.parametrize("name", ISSUES)
def test_issues(write_definition: Write, name: str) -> None:
    """Each is at its own place, and says what was expected."""
    change, place, message = ISSUES[name]
    found = [one for one in check_folder(write_definition(change)) if one.path.startswith(place)]
    assert any(message in one.message for one in found), list(
        check_folder(write_definition(change))
    )
    assert all(one.line is not None and one.file for one in found)


FINE: dict[str, Change] = {
    "one request": _given(),
    "steps": _given(STEPS),
    "pages": _given(
        ask__next={"@path": "$.answer.next"},
        ask__aligned="1h",
        R_used__rest__query__page={"@path": "$.page"},
    ),
    "a POST that reads": _given(R_used__rest__method="POST", R_used__readOnly=True),
    "a setting and the event's time": _given(
        user={"@template": "{{payload.thing}}@{{settings.limit}}"},
        at={"@path": "$.event.receivedAt"},
        amount="2.5",
    ),
    "a query": _given(
        R_used__rest=None,
        R_used__graphql={
            "document": "query Q($u: String, $f: String, $t: String) { used(u: $u, f: $f, t: $t) }",
            "variables": {
                "u": {"@path": "$.usage.user"},
                "f": {"@path": "$.usage.from"},
                "t": {"@path": "$.usage.to"},
            },
        },
    ),
    "an answer that means nothing": _given(
        ask__nothing=["missing"],
        R_used__answers=[{"name": "missing", "when": {"status": 404}}],
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine(write_definition: Write, name: str) -> None:
    """Requests of all kinds may ask, if they only read."""
    assert list(check_folder(write_definition(FINE[name]))) == []


def test_the_model(load: Load) -> None:
    """One request is a step; the amount is 1 and the time the event's unless said otherwise."""
    usage = (
        load(_given(amount=None, ask__aligned="1h", ask__settlesAfter="5m")).actions["count"].usage
    )
    assert usage is not None
    assert (usage.amount, usage.at) == (1, {"@path": "$.event.timestamp"})
    assert usage.ask.steps == (UsageStep("ask", "used"),)
    assert (usage.ask.aligned, usage.ask.settles_after, usage.ask.nothing) == (3600.0, 300.0, ())
    steps = load(_given(STEPS)).actions["count"].usage
    assert steps is not None
    assert steps.ask.steps[0] == UsageStep("meter", "meters", FIND["items"], FIND["where"])
    assert load(metered()).actions["count"].usage is None


@pytest.mark.parametrize(
    ("before", "after", "place", "bump"),
    [
        (metered(), _given(), "", Bump.MINOR),
        (_given(), metered(), "", Bump.MAJOR),
        (_given(), _given(user={"@path": "$.payload.by"}), "/user", Bump.MINOR),
        (_given(), _given(ask__aligned="1h"), "/ask", Bump.PATCH),
    ],
)
def test_what_a_new_version_changes(
    load: Load, before: Change, after: Change, place: str, bump: Bump
) -> None:
    """`destinations diff` says it in the words of those who use the destination."""
    found = {one.path: one.bump for one in compare(load(before), load(after))}
    assert found[f"/actions/count/usage{place}"] is bump
