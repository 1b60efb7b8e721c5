from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.shipped import SHIPPED

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
    "no event": (
        "{nonsense",
        ["invalid (400 NOT_JSON): a value (from byte 1 on) does not end"],
    ),
}


@pytest.mark.parametrize(("event", "shown"), CASES.values(), ids=CASES)
def test_each_outcome_is_explained(
    command: Callable[..., Any], write: Write, event: Any, shown: list[str]
) -> None:
    """Every step is shown with its values, secrets masked, and nothing is sent."""
    settings = write("s.json", {"apiKey": "prv_test_canary", "endpoint": "http://127.0.0.1:9/"})
    done = command("explain", "kana", write("event.json", event), "--settings", settings)
    assert done.code == (1 if "invalid (400" in shown[0] else 0)
    for text in shown:
        assert text in done.out
    assert "canary" not in done.out + done.err


def test_settings_that_are_not_there(command: Callable[..., Any], write: Write) -> None:
    """Nothing is sent, so a secret need not be there; the other settings are those of the file."""
    settings = write("s.json", {"apiKey": "${NOT_SET}", "endpoint": "http://127.0.0.1:9/"})
    done = command("explain", "kana", write("event.json", _event()), "--settings", settings)
    assert done.code == 0
    assert "POST http://127.0.0.1:9/" in done.out
    assert "Authorization: <apiKey>" in done.out
    assert "apiKey is shown as <apiKey>: the environment variable NOT_SET is not set" in done.err


@pytest.mark.parametrize(
    ("properties", "errors"),
    [
        ({"featureId": "f", "delta": 1.5}, ["/delta must be a whole number"]),
        ({"featureId": {}, "delta": 1.5}, ["/featureId", "/delta must be a whole number"]),
    ],
)
def test_errors_of_an_invalid_payload(
    command: Callable[..., Any], write: Write, properties: dict[str, Any], errors: list[str]
) -> None:
    """One error is in the line of the outcome alone; of several, each has a line of its own."""
    done = command("explain", "kana", write("event.json", _event(properties=properties)))
    (_, _, told) = done.out.partition("invalid (400 PAYLOAD_VALIDATION_FAILED)")
    lines = [line for line in told.splitlines()[1:] if line.startswith("    /")]
    assert len(lines) == (len(errors) if len(errors) > 1 else 0), done.out
    for error in errors:
        assert error in told


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


CONNECTION = """
subscriptions:
  - name: Calls
    partnerAction: track
    subscribe: event = "Used"
    mapping: {featureId: {"@template": "feature-{{event}}"}}
"""


def test_a_connection(command: Callable[..., Any], write: Write) -> None:
    """Its subscriptions take the place of the presets."""
    connection = write("connection.yaml", CONNECTION)
    done = command("explain", "kana", write("e.json", _event()), "--connection", connection)
    assert (done.code, done.err) == (0, "")
    assert "Calls (track): matches" in done.out
    assert '"featureId": "feature-Used"' in done.out
    assert "Record usage" not in done.out
    broken = write("connection.yaml", CONNECTION.replace("track", "trak"))
    done = command("explain", "kana", write("e.json", _event()), "--connection", broken)
    assert done.code == 2
    assert "connection.yaml:4: /subscriptions/0/partnerAction: unknown action" in done.err


LINES = [_event(), _event(userId=None), _event(type="page")]


def test_several_events(command: Callable[..., Any], write: Write) -> None:
    """Each is told apart by its line; the exit code is 1 as one of them is invalid."""
    done = command("explain", "kana", write("events.ndjson", LINES))
    assert done.code == 1
    heads = [line for line in done.out.splitlines() if line.startswith("Line ")]
    assert heads == ["Line 1", "Line 2", "Line 3"]
    assert "\n\nLine 2\ninvalid (400 NO_USER_ANON_ID)" in done.out


def test_several_events_as_json(command: Callable[..., Any], write: Write) -> None:
    """Each is one object on a line of its own, and says which line it was."""
    done = command("explain", "kana", write("events.json", LINES), "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [one["destination"] for one in found] == ["kana"] * 3
    assert [one["line"] for one in found] == [1, 1, 1]
    assert [one["result"] and one["result"]["outcome"] for one in found] == [
        *(None, "invalid", "filtered")
    ]


# What is read, further arguments, the exit code and how many events are explained.
READ: dict[str, tuple[str, Any, list[str], int, int]] = {
    "one event on many lines": ("e.ndjson", json.dumps(_event(), indent=2), [], 0, 1),
    "gzip": ("e.gz", gzip.compress(b"%s\n" % json.dumps(_event()).encode() * 2), [], 0, 2),
    "lines in .json": ("e.json", f"{json.dumps(_event())}\n" * 2, [], 0, 2),
    "a limit": ("e.ndjson", [_event(), _event(userId=None)], ["--limit", "1"], 0, 1),
    "a limit behind an invalid one": (
        *("e.ndjson", [_event(userId=None), _event(), _event()]),
        *(["--limit", "2"], 1, 2),
    ),
    "an undelivered event": (
        "e.ndjson",
        [{"undelivered": {"outcome": "dead", "action": "track"}, "rawEvent": _event()}],
        [],
        0,
        1,
    ),
    "an array that is cut off": ("e.json", f"[{json.dumps(_event())},", [], 1, 2),
}


@pytest.mark.parametrize(("name", "content", "options", "code", "number"), READ.values(), ids=READ)
def test_what_is_read(  # noqa: PLR0917 - what a case has
    command: Callable[..., Any],
    write: Write,
    name: str,
    content: Any,
    options: list[str],
    code: int,
    number: int,
) -> None:
    """Whatever form it has, as nothing is delivered."""
    done = command("explain", "kana", write(name, content), "--json", *options)
    assert (done.code, len(done.out.splitlines())) == (code, number)


REFUSED: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "expected either FILE or --sample"),
    "both": (["e.ndjson", "--sample"], "expected either FILE or --sample"),
    "no events": (["empty.ndjson"], "no events in empty.ndjson"),
    "UTF-16": (["wide.ndjson"], "wide.ndjson is UTF-16: expected UTF-8"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    command: Callable[..., Any],
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    """Exit code 2 and one sentence."""
    folder = write("empty.ndjson", "\n").parent
    write("wide.ndjson", json.dumps(_event()).encode("utf-16"))
    monkeypatch.chdir(folder)
    done = command("explain", "kana", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_the_samples_of_a_definition(command: Callable[..., Any]) -> None:
    """Each of them is explained, under the name that the definition gives it."""
    done = command("explain", "kana", "--sample")
    assert done.code == 0
    heads = [line for line in done.out.splitlines() if line.startswith("Sample ")]
    assert heads == ["Sample identify", "Sample track", "Sample rule"]
    assert '"featureId": "report-exports"' in done.out
    found = command("explain", "kana", "--sample", "--limit", "2", "--json").out.splitlines()
    assert [json.loads(line)["sample"] for line in found] == ["identify", "track"]


@pytest.mark.parametrize("slug", SHIPPED)
def test_samples_are_valid(command: Callable[..., Any], slug: str) -> None:
    """Every destination has some, also where its definition names none, and none is invalid."""
    done = command("explain", slug, "--sample")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Sample ")
