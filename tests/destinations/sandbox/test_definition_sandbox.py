"""The sandbox that is made from a definition, over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from destinations.definition import DestinationDefinition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.errors import DefinitionError
from destinations.http.transport import HttpTransport
from destinations.kit.testing.sequence import deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.subject import open_subject
from destinations.runtime.action import Call, Done
from destinations.runtime.destination import Code, Destination
from destinations.sandbox.definition_sandbox import DefinitionSandbox

Load = Callable[..., DestinationDefinition]

KEY = "Bearer placeholder-apiKey"
EVENT = {"external_id": "u1", "name": "Ordered", "time": "2026-01-15T12:00:00Z"}
RIGHT: dict[str, Any] = {"headers": {"Authorization": KEY}, "json": {"events": [EVENT]}}


@pytest.fixture
def braze() -> Iterator[DefinitionSandbox]:
    """The sandbox of Braze, which has batches whose answers tell the events apart."""
    with DefinitionSandbox(open_subject("braze").definition) as sandbox:
        yield sandbox


def _post(sandbox: DefinitionSandbox, path: str = "/users/track", **options: Any) -> Any:
    return requests.request("POST", sandbox.url + path, timeout=10, **{**RIGHT, **options})


def test_an_expected_request_has_a_success(braze: DefinitionSandbox) -> None:
    """The answer is what the definition expects, and the log has the request under its name."""
    answer = _post(braze)
    assert (answer.status_code, answer.json()) == (200, {"message": "success"})
    (record,) = requests.get(f"{braze.url}/requests", timeout=10).json()["requests"]
    shown = ("request", "method", "url", "events", "status", "fault", "issues")
    assert [record[name] for name in shown] == [
        *("trackEvents", "POST", f"{braze.url}/users/track", 1, 200, False, [])
    ]
    assert braze.snapshot() == {"trackEvents": (1, 1)}


WITHOUT_TIME = {name: value for name, value in EVENT.items() if name != "time"}


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"path": "/users/trac"}, 404, "url: leads to no request: expected"),
        ({"path": "/"}, 404, "{settings.endpoint}/users/track"),
        (
            {"headers": {}},
            401,
            "header Authorization: is missing: expected Bearer {settings.apiKey}",
        ),
        (
            {"headers": {"Authorization": "Bearer mine"}},
            401,
            "is wrong: expected Bearer {settings.apiKey}",
        ),
        ({"path": "/users/track?a=1"}, 400, "query a: is unexpected: expected none"),
        ({"json": None, "data": b""}, 400, "body: is missing: expected JSON"),
        ({"json": {"events": []}}, 400, "body /events: "),
        ({"json": {"events": [WITHOUT_TIME]}}, 400, "body /events/0: 'time' is a required"),
        ({"json": {"events": [{**EVENT, "name": 5}]}}, 400, "body /events/0/name: must be string"),
        ({"json": {"events": [{**EVENT, "x": 5}]}}, 400, "'x' was unexpected"),
        ({"json": {"events": [EVENT] * 76}}, 400, "body /events: "),
        ({"json": {"others": [EVENT]}}, 400, "'others' was unexpected"),
        ({"json": {"attributes": [{"email": "a"}]}}, 400, "'external_id' is a required"),
        (
            {"json": None, "data": b"{", "headers": {"Authorization": KEY}},
            400,
            "header Content-Type: is missing: expected application/json",
        ),
    ],
)
def test_what_is_refused(
    braze: DefinitionSandbox, options: dict[str, Any], status: int, message: str
) -> None:
    """The answer says what is wrong and what would be right; so does the log. Nothing is taken."""
    answer = _post(braze, **options)
    said = answer.json()
    messages = " ".join(error["message"] for error in said["errors"])
    assert (answer.status_code, message in messages) == (status, True), messages
    assert said["nearest"]["method"] == "POST"
    assert said["nearest"]["headers"]["Authorization"] == "Bearer {settings.apiKey}"
    (record,) = braze.requests
    assert (record.request, record.status, record.fault) == (None, status, False)
    assert [f"refused by the sandbox: {issue}" for issue in record.issues] == [
        error["message"] for error in said["errors"]
    ]
    assert braze.snapshot() == {}


def test_another_method(braze: DefinitionSandbox) -> None:
    """It is 405, and says which one is right."""
    answer = requests.put(f"{braze.url}/users/track", timeout=10, **RIGHT)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_secrets_are_masked(braze: DefinitionSandbox) -> None:
    """Neither its own secret nor what somebody sends in its place is shown, wherever it stands."""
    secret = braze.settings["apiKey"]
    _post(braze, headers={"Authorization": "Bearer of_somebody_else", "X-Trace": secret})
    _post(braze, f"/{secret}/users?key={secret}", json={"events": [{**EVENT, "name": secret}]})
    text = requests.get(f"{braze.url}/requests", timeout=10).text + json.dumps(
        _post(braze, headers={}).json()
    )
    assert secret not in text
    assert "of_somebody_else" not in text


@pytest.mark.parametrize(
    ("rule", "status", "body"),
    [
        ({"status": 503, "retryAfter": 2}, 503, {"message": "Service Unavailable"}),
        ({"match": {"request": "trackEvents"}, "status": 500}, 500, None),
        ({"match": {"request": "setAttributes"}, "status": 500}, 200, None),
        ({"match": {"rootField": "trackEvents"}, "status": 500}, 500, None),
        ({"match": "Ordered", "status": 500}, 500, None),
        ({"nth": 2, "status": 500}, 200, None),
        ({"body": '{"message": "other"}'}, 200, {"message": "other"}),
        (
            {"errors": {"e0": {"message": "no"}}},
            200,
            {"message": "success", "errors": [{"message": "no", "type": "no", "index": 0}]},
        ),
        (
            {"errors": {"*": {"message": "gone", "code": "NOT_FOUND", "exception": None}}},
            404,
            {"message": "gone", "code": "NOT_FOUND"},
        ),
    ],
)
def test_faults(braze: DefinitionSandbox, rule: Any, status: int, body: Any) -> None:
    """The rules are those of Kana's sandbox; ``request`` is a name of the definition."""
    made = requests.post(f"{braze.url}/faults", json=[rule], timeout=10)
    assert made.json() == {"added": 1, "rules": 1}
    answer = _post(braze)
    assert answer.status_code == status
    assert body in (None, answer.json())
    assert [record.fault for record in braze.requests] == [len(braze.faults) == 0]


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ({"request": "nope"}, r"/0/match/request: unknown request 'nope'; known: .*trackEvents.*"),
        ({"request": "trackEvent"}, r".*; did you mean trackEvents\?"),
        ({"operation": "Track"}, r"/0/match/operation: unknown operation 'Track'; known: none"),
        ({"rootField": "track"}, r"/0/match/rootField: unknown rootField 'track'; known: .*"),
    ],
)
def test_a_fault_that_would_never_apply(braze: DefinitionSandbox, match: Any, message: str) -> None:
    """It is refused, over HTTP and in Python, and so is every other rule beside it."""
    rules = [{"match": match, "status": 500}, {"status": 503}]
    answer = requests.post(f"{braze.url}/faults", json=rules, timeout=10)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert re.fullmatch(message, error["message"])
    with pytest.raises(DefinitionError, match=message):
        braze.faults.add(*rules)
    assert len(braze.faults) == 0


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ({"drop": "before"}, {}),
        ({"drop": "after"}, {"trackEvents": (1, 1)}),
        ({"drop": "after", "again": [0]}, {"trackEvents": (2, 2)}),
        ({"late": 5}, {}),
    ],
)
def test_lost_answers(braze: DefinitionSandbox, rule: Any, taken: Any) -> None:
    """The connection closes, whether the events were taken or not; late ones may arrive."""
    braze.faults.add(rule)
    with pytest.raises(requests.ConnectionError):
        _post(braze)
    assert braze.snapshot() == taken
    braze.arrive()
    assert braze.snapshot() != {} or rule == {"drop": "before"}


def _deliver(destination: Destination, *events: dict[str, Any]) -> list[str]:
    transport = HttpTransport(destination.definition.transport.timeouts)
    try:
        rows = deliver_in_sequence(destination, transport, StillClock(), entries_of(events))
    finally:
        transport.close()
    return [row.row.result.outcome.value for row in rows]


def _at(url: object) -> Callable[[dict[str, Any]], None]:
    def change(documents: dict[str, Any]) -> None:
        documents["destination"]["requests"]["save"]["rest"]["url"] = url
        documents["destination"]["transport"]["baseUrl"] = url

    return change


def _sync(payload: dict[str, Any]) -> Any:
    found = yield Call("find", payload)
    return Done(f"found {found.data['name']}")


REGION = {
    "@if": {
        "exists": {"@path": "$.settings.limit"},
        "then": "https://eu.example.com/v1/",
        "else": "https://us.example.com/v1",
    }
}


@pytest.mark.parametrize(
    "url",
    [
        {"@path": "$.settings.endpoint"},
        "https://api.example.com/v2/",
        {"@template": "https://{{settings.limit}}.example.com/v2"},
        {"@template": "{{settings.endpoint}}/v2?token={{settings.apiKey}}"},
        REGION,
    ],
    ids=str,
)
def test_every_request_goes_to_it(load: Load, url: object) -> None:
    """Whatever its URL is made of, also one of its own; GraphQL, batches and REST are delivered."""
    definition = load(_at(url))
    with DefinitionSandbox(definition) as sandbox:
        connected = sandbox.connected(definition)
        values = {"limit": 3, **sandbox.settings}
        settings = check_settings(connected, Document("settings", values, {}))
        destination = Destination(connected, settings, Code({"sync": _sync}))
        outcomes = _deliver(
            destination,
            {"type": "page", "name": "a/b c", "userId": "u1", "messageId": "1"},
            *(
                {
                    "type": "track",
                    "event": "E",
                    "userId": f"u{at}",
                    "messageId": f"t{at}",
                    "properties": {"by": 1, "thing": "x"},
                }
                for at in range(3)
            ),
            {"type": "identify", "userId": "u1", "messageId": "2"},
        )
        assert outcomes == ["delivered"] * 5, [record.issues for record in sandbox.requests]
        assert {record.request for record in sandbox.requests} == {"save", "count", "find"}
        assert {record.status for record in sandbox.requests} == {200}
