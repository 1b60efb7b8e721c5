"""What senders choose steers no terminal: every command shows control characters as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from destinations.cli.json_output import json_text

STEERING = "\x1b[2J\x07\x7f\x9b2J\u202eabc\u2066\u2028\r\n"


def _event(**changes: Any) -> dict[str, Any]:
    event = {"type": "track", "event": "E", "userId": "ann", "messageId": "m"}
    event["timestamp"] = "2026-11-28T10:00:00Z"
    return {**event, "properties": {"featureId": "calls", "delta": 1}, **changes}


EVENTS = {
    "a messageId": _event(messageId=f"m{STEERING}"),
    "a userId": _event(userId=f"u{STEERING}"),
    "a value": _event(properties={"featureId": f"f{STEERING}", "delta": 1}),
    "a value that is wrong": _event(properties={"featureId": "calls", "delta": f"z{STEERING}"}),
    "a name": _event(event=f"E{STEERING}", properties={}),
}


@pytest.mark.parametrize("event", EVENTS)
def test_no_command_prints_what_steers(runs: Any, command: Any, write: Any, event: str) -> None:
    """What is printed has only characters that can be seen, and line breaks of its own."""
    content = EVENTS[event]
    done = [runs(events=runs.file(content, _event(messageId="m2", userId="nobody")))]
    path = write("event.json", json.dumps(content))
    lines = [
        *("status", "deliveries list --all", "deliveries show 1000", "kana unmapped"),
        "deliveries replay 1000 2000 --dry-run",
        "deliveries replay --outcome unmapped --outcome invalid --outcome rejected --dry-run",
    ]
    for line in lines:
        done += [
            command(*line.split(), *json_, "--store", runs.store) for json_ in ([], ["--json"])
        ]
    done += [command("explain", "kana", path, *json_) for json_ in ([], ["--json"])]
    for one in done:
        assert one.code != 2 or "No such option" not in one.err
        strange = {c for c in one.out + one.err if not c.isprintable() and c != "\n"}
        assert strange == set()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "text", [STEERING, "\ud83d", "ä€😀", "\u00a0\ufeff\x00", "\U000e0001", '"\\'], ids=ascii
)
def test_json_text(text: str, indent: int | None) -> None:
    """It is the same JSON; what can be seen is as it is, everything else an escape."""
    value = {text: [text, 1.5, None]}
    shown = json_text(value, indent)
    assert json.loads(shown) == value
    assert {c for c in shown if not c.isprintable()} <= {"\n"}
    assert ("ä€😀" in shown) == ("ä€😀" in text)


@pytest.mark.parametrize("length", [100, 101, 5000])
def test_a_long_id(runs: Any, command: Any, length: int) -> None:
    """A table cuts it and keeps its other columns in sight; elsewhere it is whole."""
    user = "u" * length
    runs(events=runs.file(_event(userId=user), _event(messageId="m2", userId=user, properties={})))
    name = user if length <= 100 else "u" * 99 + "…"
    for line, behind in (
        ("deliveries list --all", "track/m"),
        ("deliveries replay 1000 2000 --dry-run", " -> "),
    ):
        done = command(*line.split(), "--store", runs.store)
        rows = [row for row in done.out.splitlines() if row.startswith(("1000 ", "2000 "))]
        assert len(rows) == 2
        for row in rows:
            assert name in row
            assert row.index(behind) < 200
    whole = command("deliveries", "list", "--all", "--json", "--store", runs.store).json
    assert {one["user"] for one in whole["deliveries"]} == {user}
    assert user in command("deliveries", "show", "1000", "--store", runs.store).out
