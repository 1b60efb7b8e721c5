"""Every step of one event, by the code that delivers, with nothing sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition.document import Document
from destinations.definition.settings import check_settings, named_settings
from destinations.outcome import Outcome
from destinations.runtime.destination import Code, Destination
from destinations.runtime.explain import Explanation, SubscriptionExplanation, explain

Bind = Callable[..., Destination]


def _explain(destination: Destination, event: object) -> Explanation:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return explain(destination, data)


def _matched(explanation: Explanation) -> SubscriptionExplanation:
    (found,) = (one for one in explanation.subscriptions if one.matches)
    return found


ASKED = "unknown; the partner is asked"
PAGE = {"type": "page", "userId": "u", "name": "home"}
TRACK = {"type": "track", "event": "Used", "userId": "u", "properties": {"by": 1, "thing": "t"}}


@pytest.mark.parametrize(
    ("event", "outcome", "reason"),
    [
        (b"{", Outcome.INVALID, "is not JSON"),
        ({"type": "track"}, Outcome.INVALID, "has neither a userId"),
        ({**TRACK, "integrations": {"All": False}}, Outcome.FILTERED, "the event's integrations"),
        ({**TRACK, "userId": None, "anonymousId": "a"}, Outcome.INVALID, "Sample needs userId"),
        ({**TRACK, "type": "screen"}, Outcome.FILTERED, "no subscription takes screen events"),
    ],
)
def test_what_ends_before_any_subscription(
    bind: Bind, event: object, outcome: Outcome, reason: str
) -> None:
    """The result is that of a run; subscriptions are shown as far as they were asked."""
    explanation = _explain(bind(), event)
    assert explanation.result is not None
    assert explanation.result.outcome is outcome
    assert explanation.result.reason.startswith(reason)
    assert not any(one.matches for one in explanation.subscriptions)


def test_every_step_has_its_values(bind: Bind) -> None:
    """Clauses, directives, changes, payload and request, and those that do not match as well."""
    properties = {"by": "2", "thing": "t", "more": 1}
    explanation = _explain(bind(), {**TRACK, "properties": properties})
    assert [one.name for one in explanation.subscriptions] == ["Counts", "Pages", "People"]
    followed = _matched(explanation)
    assert followed.clauses == [{"text": 'type = "track"', "value": "track", "held": True}]
    assert {step["path"]: step["value"] for step in followed.mapping} == {"/by": "2", "/thing": "t"}
    assert followed.changes == [{"path": "/by", "kind": "coerced", "before": "2", "after": 2}]
    assert followed.payload == {"by": 2, "thing": "t"}
    (planned,) = followed.requests
    assert planned.request is not None
    assert planned.request["method"] == "POST"
    assert planned.request["body"]["variables"] == {"by_0": 2}


@pytest.mark.parametrize(
    ("properties", "outcome"),
    [({"by": 1}, Outcome.UNMAPPED), ({"by": 1.5, "thing": "t"}, Outcome.INVALID)],
    ids=str,
)
def test_a_payload_that_is_none(bind: Bind, properties: Any, outcome: Outcome) -> None:
    """The steps up to there are shown, then the result that a run would record; no request."""
    followed = _matched(_explain(bind(), {**TRACK, "properties": properties}))
    assert followed.mapped == properties
    assert followed.result is not None
    assert followed.result.outcome is outcome
    assert (followed.payload, followed.requests) == (None, [])


def test_a_rest_request(bind: Bind) -> None:
    """Method, address and body as they would go out, and what each answer would mean."""
    followed = _matched(_explain(bind(), {"type": "page", "userId": "u", "name": "home"}))
    (planned,) = followed.requests
    assert planned.request is not None
    assert planned.request["method"] == "PUT"
    assert planned.request["url"] == "http://127.0.0.1:9/pages/home"
    assert planned.request["body"] == {"by": "u"}
    outcomes = dict(planned.outcomes)
    assert outcomes["a success"] == "delivered"
    assert outcomes["code BUSY"] == "tried again, then dead"
    assert outcomes["sent, but no answer"] == "tried again, then dead"


def _asking(documents: Any) -> None:
    """Lets the partner be asked about lost answers of the request ``count``."""
    documents["destination"]["requests"]["count"]["reconcile"] = {
        "ask": "find",
        "key": {"@path": "$.payload.thing"},
        "amount": {"@path": "$.payload.by"},
        "shown": {"@path": "$.answer.name"},
    }


def _resending(documents: Any) -> None:
    documents["destination"]["requests"]["count"]["onLostAnswer"] = "resend"


BY_STATUS = [
    # an event, a change of the definition, and what follows answers that no rule reads
    (
        PAGE,
        None,
        {
            "status 401": "stops the run",
            "status 403": "waits; its action pauses",
            "status 408, 423 or 429": "tried again, then dead",
            "another 4xx": "rejected",
            "status 501": "rejected",
            "another 5xx": "tried again, then dead",
        },
    ),
    (
        TRACK,
        None,
        {
            "status 401": "stops the run",
            "status 403, 404, 405, 410 or 415": "waits; its action pauses",
            "status 413": "rejected",
            "status 429": "tried again, then dead",
            "another 4xx": "held",
            "another 5xx": "held",
        },
    ),
    (TRACK, _asking, {"another 4xx": ASKED, "another 5xx": ASKED, "sent, but no answer": ASKED}),
    (
        TRACK,
        _resending,
        {
            "another 4xx": "held",
            "status 501": "held",
            "another 5xx": "sent again; it may count twice",
            "sent, but no answer": "sent again; it may count twice",
        },
    ),
]


@pytest.mark.parametrize(("event", "change", "expected"), BY_STATUS)
def test_what_answers_without_a_rule_mean(
    bind: Bind, event: Any, change: Any, expected: dict[str, str]
) -> None:
    """Statuses are listed by what follows, and the words are those of a run or a server."""
    (planned,) = _matched(_explain(bind(change), event)).requests
    outcomes = dict(planned.outcomes)
    assert {name: outcomes.get(name) for name in expected} == expected
    if change is None:
        found = [name for name in outcomes if re.match(r"status \d|another \dxx", name)]
        assert found == list(expected)


def test_what_may_not_be_repeated_is_held(bind: Bind) -> None:
    """The table of answers is that of delivery: it depends on whether a repeat does harm."""
    (planned,) = _matched(_explain(bind(), TRACK)).requests
    outcomes = dict(planned.outcomes)
    assert outcomes["an answer that matches a refusal"] == "rejected"
    assert outcomes["code BUSY"] == "tried again, then dead"
    assert outcomes["code BROKEN"] == "held"
    assert outcomes["sent, but no answer"] == "held"
    assert outcomes["no connection"] == "tried again, then dead"
    assert outcomes["message like ^Who are you"] == "stops the run"


def test_a_request_that_cannot_be_made(bind: Bind) -> None:
    """What would keep it from being sent is shown in its place."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["save"]["rest"]["url"] = {"@path": "$.settings.limit"}

    (planned,) = _matched(
        _explain(bind(change), {"type": "page", "userId": "u", "name": "home"})
    ).requests
    assert planned.request is None
    assert planned.note.startswith("cannot be made: /url: must be an absolute")


def test_plugin_code_is_played_through(bind: Bind) -> None:
    """Each answer that the definition declares leads on, with the example for a success."""
    followed = _matched(_explain(bind(), {"type": "identify", "userId": "u1"}))
    shown = [(planned.after, planned.name, planned.note) for planned in followed.requests]
    assert shown == [
        ((), "find", ""),
        (("missing",), "create", ""),
        (("ok",), None, "found Ada"),
        (("missing", "ok"), None, "created"),
    ]


def test_steps_are_played_through(bind: Bind, with_steps: Any) -> None:
    """Each choice of a step leads on, with the answers that the mappings of later steps read."""

    def change(documents: Any) -> None:
        with_steps(documents)
        documents["sync"]["perform"]["repeatable"] = True

    event = {"type": "identify", "userId": "u1", "traits": {"email": "a@x", "name": "A"}}
    followed = _matched(_explain(bind(change), event))
    shown = [(one.after, one.step, one.name, one.note) for one in followed.requests]
    other = "find: ok, with which no step goes on"
    unchanged = (
        "rejected: no step fits, so nothing was changed: find answered something else;"
        " left out: create, change"
    )
    created, changed = (f"find: ok, with which {one} goes on" for one in ("create", "change"))
    assert shown == [
        ((), "find", "search", ""),
        ((created,), "create", "add", ""),
        ((changed,), "change", "alter", ""),
        ((other,), "", None, unchanged),
        ((created, "create: ok"), "", None, "steps: find, create"),
        ((changed, "change: ok"), "", None, "steps: find, change"),
    ]
    first, second, third = followed.requests[:3]
    assert third.request is not None
    assert third.request["url"] == "http://127.0.0.1:9/v1/contacts/c7"
    assert dict(first.outcomes)["a success"] == "goes on"
    again = "made again from the first step on"
    assert dict(first.outcomes)["sent, but no answer"] == f"{again}, then dead"
    assert dict(second.outcomes)["sent, but no answer"] == f"{again} after 2m, then dead"
    assert dict(second.outcomes)["a success"] == "delivered"
    assert dict(third.outcomes)["a success"] == "delivered"
    assert (first.when, followed.repeatable) == ("", {"after": 120.0})
    assert second.when.startswith('the answer to find fits {"type": "object"')


def test_a_lost_answer_of_a_step_that_must_not_be_repeated(bind: Bind, with_steps: Any) -> None:
    """An operator decides, unless the steps say that they are repeatable."""
    event = {"type": "identify", "userId": "u1", "traits": {"email": "a@x"}}
    followed = _matched(_explain(bind(with_steps), event))
    assert dict(followed.requests[1].outcomes)["sent, but no answer"] == "held"


def test_outcomes_of_a_step_after_one_that_must_not_be_repeated(
    bind: Bind, with_steps: Any
) -> None:
    """Whatever it answers, another attempt would make the earlier step twice: nothing is made."""

    def change(documents: Any) -> None:
        with_steps(documents)
        documents["sync"]["perform"]["steps"].append(
            {"name": "after", "request": "search", "when": {"create": "ok"}}
        )

    event = {"type": "identify", "userId": "u1", "traits": {"email": "a@x"}}
    followed = _matched(_explain(bind(change), event))
    steps = {one.step: dict(one.outcomes) for one in followed.requests}
    assert followed.repeatable is None
    assert steps["create"]["a success"] == "goes on"
    assert steps["create"]["no connection"] == "made again from the first step on, then dead"
    success = steps["after"].pop("a success")
    assert success == "delivered"
    assert {*steps["after"].values()} == {"held, as an earlier step was applied"}


def test_it_can_be_written_as_json(bind: Bind) -> None:
    """Every step is made of JSON values, also where a directive gave nothing."""
    explanation = _explain(bind(), {**TRACK, "properties": {"thing": "t", "more": ""}})
    assert json.loads(json.dumps(explanation.to_json()))["destination"] == "sample"


ODD_VALUES: dict[str, tuple[Any, Any]] = {
    "an array with an undefined item": ([{"@path": "$.nope"}, "x"], [None, "x"]),
    "a function": ({"@path": "$.event.search"}, None),
    "a function in an object": ({"f": {"@path": "$.event.search"}, "x": 1}, {"x": 1}),
    "a function that only a step sees": (
        {"@if": {"exists": {"@path": "$.event.search"}, "then": "x"}},
        "x",
    ),
    "an infinite number": (
        {"@json": {"mode": "decode", "value": {"@literal": "[1e999]"}}},
        [None],
    ),
}


@pytest.mark.parametrize(("mapping", "made"), ODD_VALUES.values(), ids=ODD_VALUES)
def test_values_that_json_has_no_word_for(bind: Bind, mapping: Any, made: Any) -> None:
    """They are null or absent, as in a request: the explanation is JSON all the same."""

    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"]["odd"] = {
            "title": "Odd",
            "description": "Anything.",
            "type": ["string", "array", "object", "null"],
            "default": mapping,
        }

    explanation = _explain(bind(change), {**TRACK, "properties": {"by": 1, "thing": "t"}})
    written = json.loads(json.dumps(explanation.to_json(), allow_nan=False))
    assert written["subscriptions"][0]["mapped"].get("odd") == made
    assert {"path", "directive", "value"} == written["subscriptions"][0]["mapping"][0].keys()


def _basic(documents: Any) -> None:
    destination = documents["destination"]
    del destination["transport"]["headers"]["Authorization"]
    user = {"title": "User", "description": "The user.", "type": "string"}
    destination["settings"]["properties"]["user"] = user
    destination["settings"]["required"] = ["user", "apiKey"]
    destination["authentication"] = {
        "scheme": "basic",
        "fields": ["user", "apiKey"],
        "test": "find",
    }


def _key_as_user(documents: Any) -> None:
    _basic(documents)
    documents["destination"]["transport"]["auth"] = {"basic": {"user": "apiKey"}}


def test_a_key_as_the_user_is_readable_without_settings(load: Any) -> None:
    """Without a password there is nothing after the colon."""

    def change(documents: Any) -> None:
        _key_as_user(documents)
        del documents["sync"]  # which code makes
        documents["destination"]["presets"].pop()

    definition = load(change)
    named = Destination(definition, named_settings(definition), Code())
    (request,) = _matched(_explain(named, TRACK)).requests
    assert request.request is not None
    assert request.request["headers"]["Authorization"] == "Basic <apiKey>:"


REGION = {
    "title": "Region",
    "description": "Where it is.",
    "type": "string",
    "enum": ["us", "eu"],
}


def test_an_address_is_readable_without_settings(load: Any) -> None:
    """The first of several addresses is shown where no setting chooses one."""

    def change(documents: Any) -> None:
        destination = documents["destination"]
        destination["settings"]["properties"]["region"] = REGION
        destination["settings"]["required"].append("region")
        urls = {"us": "https://us.example.com", "eu": "https://eu.example.com"}
        destination["transport"]["baseUrl"] = {"setting": "region", "urls": urls}
        del documents["sync"]  # which code makes
        destination["presets"].pop()

    definition = load(change)
    named = Destination(definition, named_settings(definition), Code())
    (request,) = _matched(_explain(named, TRACK)).requests
    assert request.request is not None
    assert request.request["url"] == "https://us.example.com"


def test_lines_are_shown_as_they_are_sent(bind: Bind) -> None:
    """Each line of a body, before it is compressed."""

    def change(documents: Any) -> None:
        rest = documents["destination"]["requests"]["save"]["rest"]
        del rest["json"]
        rest |= {"gzip": True, "ndjson": [{"index": {}}, {"page": {"@path": "$.payload.page"}}]}

    (request,) = _matched(_explain(bind(change), PAGE)).requests
    assert request.request is not None
    assert request.request["body"] == '{"index":{}}\n{"page":"home"}\n'
    assert request.request["headers"]["Content-Encoding"] == "gzip"


def test_basic_authentication_is_readable_without_settings(load: Any) -> None:
    """Names of settings are shown as such, and what real settings make is not."""

    def change(documents: Any) -> None:
        _basic(documents)
        del documents["sync"]  # which code makes
        documents["destination"]["presets"].pop()

    definition = load(change)
    code = Code()
    named = Destination(definition, named_settings(definition), code)
    (request,) = _matched(_explain(named, TRACK)).requests
    assert request.request is not None
    assert request.request["headers"]["Authorization"] == "Basic <user>:<apiKey>"
    given = Document("settings", {"user": "ada", "apiKey": "sk_test_0123456789"}, {})
    own = Destination(definition, check_settings(definition, given), code)
    (request,) = _matched(_explain(own, TRACK)).requests
    assert request.request is not None
    assert "sk_test" not in str(request.request["headers"])
    assert ":" not in request.request["headers"]["Authorization"]


@pytest.mark.parametrize("tests_key", [True, False])
def test_rules_whose_refusal_is_not_about_the_event(bind: Bind, *, tests_key: bool) -> None:
    """A forbidden key and a wrong address do not end the event; a rule's statuses may differ."""

    def change(documents: Any) -> None:
        refused = {"retryable": False, "nothingApplied": True}
        documents["destination"]["errorRules"] = [
            {"when": {"status": 403}, "class": "permission", **refused},
            {"when": {"status": "4xx"}, "class": "invalid", **refused},
        ]
        if not tests_key:
            del documents["destination"]["authentication"]

    followed = _matched(_explain(bind(change), TRACK))
    outcomes = followed.requests[0].outcomes
    shown = [one for one in outcomes if one[0].startswith("status 4")]
    assert shown == [
        ("status 403", "waits; its action pauses" if tests_key else "tried again, then rejected"),
        ("status 404 or 405 or 410 or 415", "waits; its action pauses"),
        ("status 4xx", "rejected"),
    ]
