from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, Any], Path]


def _event(**changes: Any) -> dict[str, Any]:
    event = {
        "type": "track",
        "event": "Used",
        "userId": "user_0001",
        "properties": {"featureId": "api-calls", "delta": "2"},
    }
    return {**event, **changes}


# An event of each outcome that is known before anything is sent, and words that must be shown.
CASES: dict[str, tuple[Any, list[str]]] = {
    "a track that would be sent": (
        _event(),
        [
            "Record usage (track): matches",
            'type = "track"',
            'coerced: "2" became 2',
            "request recordUsage",
            "e0: recordUsage(input: $input_0)",
            '"delta": 2',
            "Authorization: ***",
            "sent, but no answer: unknown",
            "exception UserNotFoundError",
            "message like ^Unauthenticated: stops the run",
        ],
    ),
    "an identify, with what follows each answer": (
        {"type": "identify", "userId": "u", "traits": {"name": "N", "plan": "pro", "email": ""}},
        [
            "Create and update users (identify): matches",
            "blank traits, left out: email\n",
            "request findUser",
            "request createUser, after the answers missing",
            "request updateUser, after the answers ok",
            "done, after the answers missing, ok: created",
        ],
    ),
    "filtered by subscription": (
        _event(type="page"),
        ["does not match", "filtered", "no subscription takes page events"],
    ),
    "filtered by integrations": (
        _event(integrations={"All": False}),
        ["filtered", "integrations object excludes Kana"],
    ),
    "unmapped": (_event(properties={}), ["unmapped", "names no feature"]),
    "an invalid payload": (
        _event(properties={"featureId": "f", "delta": 1.5}),
        ["invalid (400 PAYLOAD_VALIDATION_FAILED)", "/delta must be a whole number"],
    ),
    "no userId": (
        _event(userId=None, anonymousId="a"),
        ["invalid (400 BAD_REQUEST)", "Kana needs userId"],
    ),
    "no event": ("{nonsense", ["invalid (400 NOT_JSON)", "is not JSON"]),
}


@pytest.mark.parametrize(("event", "shown"), CASES.values(), ids=CASES)
def test_each_outcome_is_explained(
    command: Callable[..., Any], write: Write, event: Any, shown: list[str]
) -> None:
    """Every step is shown with its values, secrets masked, and nothing is sent."""
    settings = write("s.json", {"apiKey": "prv_test_canary", "endpoint": "http://127.0.0.1:9/"})
    done = command("explain", "kana", write("event.json", event), "--settings", settings)
    assert done.code == 0
    for text in shown:
        assert text in done.out
    assert "canary" not in done.out + done.err


def test_explain_as_json(command: Callable[..., Any], write: Write) -> None:
    """The same for machines: clauses, directives, changes, payload and request."""
    done = command("explain", "kana", write("event.json", _event()), "--json")
    assert done.code == 0
    (_, track) = done.json["subscriptions"]
    assert track["clauses"] == [{"text": 'type = "track"', "value": "track", "held": True}]
    assert {step["path"]: step["value"] for step in track["mapping"]}["/featureId"] == "api-calls"
    assert track["changes"] == [{"path": "/delta", "kind": "coerced", "before": "2", "after": 2}]
    assert track["payload"] == {"userId": "user_0001", "featureId": "api-calls", "delta": 2}
    (request,) = track["requests"]
    assert request["request"]["url"] == "https://api.usekana.com/graphql"
    assert request["request"]["headers"]["Authorization"] == "<apiKey>"
    assert request["request"]["body"]["variables"]["input_0"]["delta"] == 2
