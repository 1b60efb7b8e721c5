from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import ForkedPopen, run_forked

pytestmark = pytest.mark.usefixtures("sandbox_thread")

Write = Callable[[str, Any], Path]

OUTCOMES = [
    "delivered",
    "filtered",
    "unmapped",
    "invalid",
    "rejected",
    "dead",
    "dropped",
    "ready",
    "unknown",
    "held",
]


def _track(number: int, **changes: Any) -> dict[str, Any]:
    event = {
        "type": "track",
        "event": "Used",
        "messageId": f"m{number}",
        "userId": "user_0001",
        "properties": {"featureId": "api-calls"},
    }
    return {**event, **changes}


WRAPPED = '{"undelivered":{"outcome":"ready","action":"track"},"rawEvent":{"messageId":"m1"}}\n'
MIXED = [
    _track(1),
    _track(2, properties={}),
    _track(3, type="page", event=None),
    _track(4, properties={"featureId": "nope"}),
    _track(5, userId=None, anonymousId="a"),
    _track(1),
    {"type": "identify", "userId": "fresh", "messageId": "m6", "traits": {"name": "F"}},
]


def test_an_array_with_faults(command: Callable[..., Any], write: Write, tmp_path: Path) -> None:
    """What is wrong with it has rows, all events count, and the same input does so again."""
    one, two, three = (json.dumps(_track(number)) for number in (1, 2, 3))
    events = write("events.json", f"[{one}\n{two},, {three}]\nthe end")
    kept = ["--store", tmp_path / "store.sqlite3"]
    for store in (kept, kept, []):
        done = command("run", "kana", "--events", events, "--sandbox", *store)
        assert done.code == 1
        shown = " ".join(done.out.split())
        assert "6 lines read: 6 rows, one for each." in shown
        assert " 2 a comma is missing before element 2" in shown
        assert "Not all of the input could be read" not in shown


def test_an_event_without_an_end(command: Callable[..., Any], write: Write) -> None:
    """The report says from where on events may be missing, for people and for machines."""
    one, two, three = (json.dumps(_track(number)) for number in (1, 2, 3))
    events = write("events.json", f"[{one},\n{two[:-1]},\n{three}]")
    done = command("run", "kana", "--events", events, "--sandbox", "--json")
    assert (done.code, done.json["unreadable_from_line"]) == (1, 2)
    assert {key: count for key, count in done.json["outcomes"].items() if count} == {
        "delivered": 1,
        "invalid": 1,
    }
    assert "from line 2 on events may be missing; the table gives the reason" in done.err
    assert "element 2 of the array" in " ".join(done.err.split())


def test_the_object_of_json(command: Callable[..., Any], write: Write) -> None:
    """The object has every outcome, and rows is their sum; all else goes to standard error."""
    events = write("events.ndjson", MIXED)
    done = command("run", "kana", "--events", events, "--sandbox", "--json")
    report = done.json
    assert done.code == 1
    assert list(report["outcomes"]) == OUTCOMES
    assert {key: count for key, count in report["outcomes"].items() if count} == {
        "delivered": 2,
        "filtered": 2,
        "unmapped": 1,
        "invalid": 1,
        "rejected": 1,
    }
    assert report["rows"] == sum(report["outcomes"].values()) == report["lines"] == 7
    assert report["by_action"] == {
        "-": {"filtered": 1, "invalid": 1},
        "identify": {"delivered": 1},
        "track": {"delivered": 1, "filtered": 1, "unmapped": 1, "rejected": 1},
    }
    assert report["requests"] >= 3
    assert report["seconds"] > 0
    assert "Outcomes" in done.err
    assert "7 lines read: 7 rows, one for each." in done.err


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([_track(1)], 0),
        ([_track(1), _track(1), _track(2, properties={}), _track(3, type="page")], 0),
        ([_track(1, properties={"featureId": "nope"})], 1),
        ([{"type": "track"}], 1),
        ([], 0),
    ],
)
def test_exit_codes(command: Callable[..., Any], write: Write, events: Any, code: int) -> None:
    """0 if every row was delivered, filtered or kept as unmapped, else 1."""
    done = command("run", "kana", "--events", write("e.ndjson", events), "--sandbox")
    assert done.code == code


def test_an_array_is_read_by_the_files_ending(command: Callable[..., Any], write: Write) -> None:
    """A .json file holds an array; --format says so for any other name."""
    events = write("events.json", [_track(1), _track(2)])
    assert command("run", "kana", "--events", events, "--sandbox", "--json").json["rows"] == 2
    other = write("events.txt", json.dumps([_track(1), _track(2)]))
    arguments = ("run", "kana", "--events", other, "--sandbox", "--json", "--format", "json")
    assert command(*arguments).json["outcomes"]["delivered"] == 2


def test_standard_input_is_ndjson() -> None:
    """``--events -`` reads one event a line from standard input; empty lines make no row."""
    data = f"{json.dumps(_track(1))}\n\n{json.dumps(_track(2))}"
    done = run_forked(
        [
            sys.executable,
            "-P",
            "-m",
            "destinations",
            "run",
            "kana",
            "--events",
            "-",
            "--sandbox",
            "--json",
        ],
        input=data.encode(),
        capture_output=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert (report["lines"], report["empty"], report["rows"]) == (3, 1, 2)


def test_what_was_not_delivered_can_be_fed_back(
    command: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    """The file holds what was neither delivered nor filtered; fed back it gives the same rows."""
    events = write("events.ndjson", MIXED)
    first = tmp_path / "undelivered.ndjson"
    command("run", "kana", "--events", events, "--sandbox", "--undelivered", first)
    lines = [json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()]
    notes = {line["undelivered"]["line"]: line["undelivered"] for line in lines}
    assert {number: note["outcome"] for number, note in notes.items()} == {
        2: "unmapped",
        4: "rejected",
        5: "invalid",
    }
    assert notes[4]["reason"] == "Feature 'nope' does not exist"
    again = command("run", "kana", "--events", first, "--sandbox", "--json")
    assert {key: count for key, count in again.json["outcomes"].items() if count} == {
        "unmapped": 1,
        "rejected": 1,
        "invalid": 1,
    }


@pytest.mark.parametrize("outcome", ["unknown", "held"])
def test_what_may_have_been_applied_is_held_when_fed_back(
    command: Callable[..., Any], write: Write, tmp_path: Path, outcome: str
) -> None:
    """It is not sent again, and it is not lost."""
    wrapped = {"undelivered": {"outcome": outcome, "action": "track"}, "rawEvent": _track(1)}
    second = tmp_path / "second.ndjson"
    done = command(
        "run",
        "kana",
        "--events",
        write("first.ndjson", [wrapped]),
        "--sandbox",
        "--json",
        "--undelivered",
        second,
    )
    assert (done.code, done.json["outcomes"]["held"]) == (1, 1)
    assert done.json["requests"] == 0
    kept = json.loads(second.read_text(encoding="utf-8"))
    assert kept["undelivered"]["outcome"] == "held"
    assert kept["rawEvent"] == _track(1)


@pytest.mark.parametrize(
    ("is_kept", "holds"), [(False, "something\n"), (False, WRAPPED), (True, "something\n")]
)
def test_an_undelivered_file_is_never_overwritten(
    command: Callable[..., Any], write: Write, tmp_path: Path, *, is_kept: bool, holds: str
) -> None:
    """A file that no earlier run of this store wrote is refused before anything is sent."""
    events = write("events.ndjson", MIXED)
    full = write("undelivered.ndjson", holds)
    store = ("--store", tmp_path / "s.sqlite3") if is_kept else ()
    done = command("run", "kana", "--events", events, "--sandbox", "--undelivered", full, *store)
    assert done.code == 2
    assert "is not empty; feed it back or move it away" in done.err
    assert full.read_text(encoding="utf-8") == holds
    same = command("run", "kana", "--events", events, "--sandbox", "--undelivered", events)
    assert "is the file that --events reads" in same.err


def test_the_store_keeps_what_is_not_delivered(
    command: Callable[..., Any], write: Write, tmp_path: Path
) -> None:
    """It is in the store once, also when the same file is run again, and what to do is said."""
    events = write("events.ndjson", MIXED)
    store = tmp_path / "a folder" / "store.sqlite"
    for _ in range(2):
        done = command("run", "kana", "--events", events, "--sandbox", "--store", store)
    assert done.code == 1
    assert "Kept for you to decide: 1 unmapped, 1 invalid, 1 rejected." in done.out
    assert f"destinations deliveries list --store '{store}'" in done.out
    listed = command("deliveries", "list", "--store", store, "--json", "--outcome", "unmapped").json
    assert [one["message_id"] for one in listed["deliveries"]] == ["m2"]


SETTINGS_ISSUES = {
    "no key": ({}, "lacks apiKey|apiKey"),
    "an empty key": ({"apiKey": ""}, "apiKey"),
    "a key of the client API": ({"apiKey": "pub_test_secret"}, "use the Admin API"),
    "an unknown setting": (
        {"apiKey": "prv_test_x", "apikey": "y"},
        "no such setting; it has: apiKey",
    ),
    "an endpoint that is none": ({"apiKey": "prv_test_x", "endpoint": "kana"}, "endpoint"),
    "a variable that is not set": (
        {"apiKey": "${NOT_SET_ANYWHERE}"},
        "NOT_SET_ANYWHERE is not set",
    ),
}


@pytest.mark.parametrize(("settings", "message"), SETTINGS_ISSUES.values(), ids=SETTINGS_ISSUES)
def test_wrong_settings(
    command: Callable[..., Any], write: Write, settings: Any, message: str
) -> None:
    """One clear message, exit code 2, no secret shown, nothing sent."""
    done = command(
        "run", "kana", "--events", write("e.ndjson", MIXED), "--settings", write("s.json", settings)
    )
    assert done.code == 2
    assert any(part in done.err for part in message.split("|"))
    assert "secret" not in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nope", "--events", "e.ndjson"), "unknown destination 'nope'"),
        (
            ("run", "kana", "--events", "missing.ndjson"),
            "cannot read the events file missing.ndjson",
        ),
        (("run", "kana", "--sandbox"), "run without --events needs a store: --sandbox without"),
        (("run", "kana", "--no-store"), "run without --events needs a store: --no-store keeps"),
        (("run", "kana", "--events", "-", "--seed", "s.yaml"), "use --sandbox as well"),
        (("run", "kana", "--no-store", "--store", "x"), "--store cannot be used with --no-store"),
        (("run", "kana", "--events", "e", "--resume", "--no-store"), "--resume needs a store"),
        (("run", "kana", "--events", "e", "--again", "--sandbox"), "--again needs a store"),
        (("run", "kana", "--again"), "--again, --dry-run, --input-id and --limit need --events"),
        (("run", "kana", "--dry-run"), "--again, --dry-run, --input-id and --limit need --events"),
        (
            ("run", "kana", "--input-id", "x"),
            "--again, --dry-run, --input-id and --limit need --events",
        ),
        (
            ("run", "kana", "--events", "e", "--dry-run", "--again"),
            "--dry-run cannot be used with --again",
        ),
        (
            ("run", "kana", "--events", "e", "--dry-run", "--undelivered", "u"),
            "--dry-run cannot be used with --again, --resume or --undelivered: it sends and writes",
        ),
        (("run", "kana", "--events", "e", "--outage", "-1"), "--outage"),
        (("run", "kana", "--events", "e", "--format", "xml"), "xml"),
        (("explain", "kana", "missing.json"), "cannot read the event file missing.json"),
        (("sandbox", "kana", "--seed", "missing.yaml"), "missing.yaml"),
        (
            ("sandbox", "kana", "--api", "old"),
            "unknown API 'old' of the Kana sandbox: expected current or documented",
        ),
        (("conformance", "missing"), "missing"),
        (("validate", "missing"), "neither installed"),
        (("nonsense",), "No such command"),
    ],
    ids=" ".join,
)
def test_wrong_usage(
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """Whatever is wrong with a call: one message that names it, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    done = command(*arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_definition_is_refused_before_anything_is_sent(
    command: Callable[..., Any], write: Write, kana_folder: Path
) -> None:
    """Every issue is told with its file and line."""
    path = kana_folder / "track.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("'@path'", "'@paht'", 1), encoding="utf-8"
    )
    done = command("run", kana_folder, "--events", write("e.ndjson", MIXED), "--sandbox")
    assert done.code == 2
    assert f"{path}:" in done.err
    assert "@paht" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_with_its_account(number: signal.Signals) -> None:
    """What was sent is accounted for, and the exit code is 130."""
    process = ForkedPopen[bytes](
        [
            sys.executable,
            "-P",
            "-m",
            "destinations",
            "run",
            "kana",
            "--events",
            "-",
            "--sandbox",
            "--json",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    # More events than may wait: once the last is written, some were delivered.
    process.stdin.write(b"".join(json.dumps(_track(n)).encode() + b"\n" for n in range(5_000)))
    process.stdin.flush()
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    report = json.loads(out)
    assert process.returncode == 130
    assert report["stopped"] == "interrupted"
    assert report["rows"] == report["lines"]
    assert {key for key, count in report["outcomes"].items() if count} <= {"delivered", "ready"}
    assert b"Interrupted after line" in err
    assert b"Traceback" not in err


def test_a_sandbox_needs_no_key_of_the_file(command: Callable[..., Any], write: Write) -> None:
    """What leads to the sandbox replaces what the file says, also a variable that is not set."""
    settings = write("s.yaml", "apiKey: ${NOT_SET_ANYWHERE}\n")
    events = write("e.ndjson", [_track(1)])
    done = command("run", "kana", "--events", events, "--sandbox", "--settings", settings, "--json")
    assert done.code == 0, done.err
    assert done.json["outcomes"]["delivered"] == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no disk that is always full")
def test_undelivered_on_a_full_disk(command: Callable[..., Any], write: Write) -> None:
    """It ends the run, and may pass by itself."""
    events = write("events.ndjson", [_track(1, properties={"featureId": "nope"})])
    done = command("run", "kana", "--events", events, "--sandbox", "--undelivered", "/dev/full")
    assert done.code == 75
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err
