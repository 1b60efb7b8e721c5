from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kana_destination.sandbox import Sandbox

Make = Callable[..., dict[str, Any]]


def test_nothing_is_unmapped(cli: Any) -> None:
    """An empty store is no error."""
    done = cli.local("unmapped")
    assert (done.code, done.out) == (0, "0 unmapped events\n")
    empty: dict[str, Any] = {"by_event": [], "by_property": [], "by_tenant": []}
    assert cli.local("unmapped", "--json").json == {"events": 0, **empty}


def test_the_counts(cli: Any, track: Make) -> None:
    """By event name, and by property path and value, dots for nesting; the most frequent first."""
    cli.run(
        track("Seat Added", plan={"name": "pro", "years": 2.0}, first=True),
        track("Seat Added", plan={"name": "pro", "years": 3}, first=True),
        track("API Called", plan={"name": "free"}, list=[1, {"a": 2}], nothing=None),
        track("API Called", featureId="calls", plan={"name": "pro"}),
        track("Seat Added", "bob", text="x"),
    )
    found = cli.local("unmapped", "--json").json
    assert found["events"] == 4
    assert found["by_event"] == [
        {"event": "Seat Added", "events": 3},
        {"event": "API Called", "events": 1},
    ]
    counts = [item["events"] for item in found["by_property"]]
    assert counts == sorted(counts, reverse=True)
    values = {(item["path"], item["value"]): item["events"] for item in found["by_property"]}
    assert values == {
        ("first", "true"): 2,
        ("plan.name", "pro"): 2,
        ("plan.name", "free"): 1,
        ("plan.years", "2"): 1,
        ("plan.years", "3"): 1,
        ("nothing", "null"): 1,
        ("text", "x"): 1,
    }


@pytest.mark.parametrize(("top", "names"), [(1, 1), (3, 3), (20, 5)])
def test_the_tables(cli: Any, track: Make, top: int, names: int) -> None:
    """--top limits the lines; the total counts them all."""
    cli.run(*[track(f"Event {number}") for number in range(5)])
    text = cli.local("unmapped", "--top", str(top)).out
    assert text.startswith("5 unmapped events\n")
    assert sum(f"Event {number} " in text for number in range(5)) == names
    assert f"Map them: destinations kana rules add --store {cli.store}\n" in text


def test_a_name_that_would_drive_the_terminal(cli: Any, track: Make) -> None:
    """Event names come from anywhere: no control character reaches the terminal."""
    cli.run(track("\x1b[2J[bold]gone[/bold]"))
    done = cli.local("unmapped")
    assert "1 unmapped event\n" in done.out
    assert "\x1b" not in done.out
    assert "[bold]gone[/bold]" in done.out


def test_an_event_is_counted_once(cli: Any, track: Make) -> None:
    """A file that is run again adds nothing."""
    events = [track(), track()]
    for _ in range(3):
        assert cli.outcomes(*events) == {"unmapped": 2}
    assert cli.local("unmapped", "--json").json["events"] == 2


def test_many_events(cli: Any, track: Make) -> None:
    """Page after page, none is left out."""
    cli.run(*[track(number=number % 7) for number in range(1_100)])
    found = cli.local("unmapped", "--json").json
    assert found["by_event"] == [{"event": "API Called", "events": 1_100}]
    assert sum(item["events"] for item in found["by_property"]) == 1_100


def test_equal_events_without_a_message_id(
    command: Callable[..., Any], write: Callable[[str, Any], Path], tmp_path: Path
) -> None:
    """Each of them counts once when a rule comes, and never again when the file is run again."""
    event = {"type": "track", "event": "Used", "userId": "user_0001", "properties": {"n": 1}}
    events, store = write("equal.ndjson", [event] * 3), tmp_path / "equal.sqlite3"
    with Sandbox() as sandbox:
        before = sandbox.snapshot()["usage"]["user_0001"]["api-calls"]
        settings = write("s.json", {"apiKey": sandbox.api_key, "endpoint": sandbox.url})
        shared = ("--settings", settings, "--store", store)
        command("run", "kana", "--events", events, *shared)
        rule = ("Used", "--event", "Used", "--feature", "api-calls")
        command("kana", "rules", "add", *rule, *shared)
        for _ in range(2):
            assert sandbox.snapshot()["usage"]["user_0001"]["api-calls"] == before + 3
            done = command("run", "kana", "--events", events, *shared, "--json").json
            assert done["outcomes"]["filtered"] == 3
