"""``destinations report`` and ``run --report``: when a page is written, where, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from destinations.cli.run_recording import RecordedRun
from destinations.errors import StoreFullError
from destinations.operations import note_begin
from destinations.store import SqliteStore
from tests.forked import ForkedPopen
from tests.postgres_server import new_store_address
from tests.well_formed import parsed

Use = Callable[..., dict[str, Any]]

KEY = "prv_test_first"
NOBODY = "http://127.0.0.1:9"
PERSON = {"type": "identify", "userId": "cleo", "messageId": "i1", "traits": {"name": "C"}}
NO_PERSON = {"match": {"text": "cleo"}, "status": 503, "times": None}
MARKUP = '<script>alert("1")</script><img src=x onerror=alert(1)>'


def _page(path: Path) -> ET.Element:
    found = parsed(path.read_text(encoding="utf-8")).find("body")
    assert found is not None
    return found


def _said(path: Path) -> str:
    return " ".join(" ".join(_page(path).itertext()).split())


def _facts(path: Path) -> dict[str, str]:
    names = ["".join(one.itertext()) for one in _page(path).iter("dt")]
    values = ["".join(one.itertext()) for one in _page(path).iter("dd")]
    return dict(zip(names, values, strict=True))


def _totals(path: Path) -> dict[str, int]:
    """The last row of the first table: how many rows came to what."""
    table = next(_page(path).iter("table"))
    head, *_, last = [["".join(one.itertext()) for one in row] for row in table.iter("tr")]
    return {
        name: int(number.replace(",", "")) for name, number in zip(head[2:], last[2:], strict=True)
    }


def _mixed(use: Use) -> list[dict[str, Any]]:
    """Events that come to four outcomes."""
    unmapped = use()
    del unmapped["properties"]["featureId"]
    invalid = use(userId=" ann")
    page = {"type": "page", "userId": "ann", "messageId": "p1"}
    return [use(), use("bob"), unmapped, invalid, page]


def test_a_run_and_its_page(runs: Any, use: Use, tmp_path: Path) -> None:
    """The page has the totals that the run prints, and what it was; so has that of ``report``."""
    path, later = tmp_path / "run.html", tmp_path / "later.html"
    events = runs.file(*_mixed(use))
    done = runs("--report", path, events=events)
    assert done.code == 1
    assert f"Wrote the report of this run to {path}.\n" in done.err
    assert _totals(path) == {**runs.counts(done), "rows": 5}
    facts = _facts(path)
    assert facts["Input"] == str(events)
    assert facts["Exit code"] == "1"
    assert facts["Destination"].startswith("Kana (kana), version ")
    again = runs.command("report", later, "--store", runs.store)
    assert again.code == 0, again.err
    assert again.out.endswith("2 delivered, 1 filtered, 1 unmapped, 1 invalid.\n")
    assert _facts(later) == facts
    # Only the time at which the store was read is another one.
    assert (
        _said(later).partition("The account in the store")[0]
        == (_said(path).partition("The account in the store")[0])
    )
    assert "5 deliveries: the subscriptions add up to the total." in _said(later)
    assert "Called 1" in _said(later)  # the unmapped event, by its name


def test_a_run_with_a_database(runs: Any, use: Use, tmp_path: Path) -> None:
    """A store in a database has the same record, and the same figures."""
    address = str(new_store_address())
    path = tmp_path / "run.html"
    events = runs.file(*_mixed(use))
    done = runs("--report", path, "--store", address, events=events, keep=False)
    assert done.code == 1, done.err
    assert _totals(path) == {**runs.counts(done), "rows": 5}
    assert "5 deliveries: the subscriptions add up to the total." in _said(path)
    later = tmp_path / "later.html"
    assert runs.command("report", later, "--store", address).code == 0
    assert _totals(later) == _totals(path)


@pytest.mark.parametrize(
    ("arguments", "remembered"),
    [
        (["--no-store"], "nothing: the same events would be sent again"),
        (["--dry-run"], "nothing: a dry run"),
    ],
)
def test_a_run_that_keeps_nothing(
    runs: Any, use: Use, tmp_path: Path, arguments: list[str], remembered: str
) -> None:
    """The page is written all the same, advises no command, and nothing is recorded."""
    path = tmp_path / "run.html"
    keep = "--no-store" not in arguments
    done = runs("--report", path, *arguments, events=runs.file(*_mixed(use)), keep=keep)
    assert done.code == 1
    assert _facts(path)["Remembered"] == remembered
    assert not list(_page(path).iter("pre"))
    assert _totals(path) == {**runs.counts(done), "rows": 5}
    assert not runs.store.exists()


def test_a_run_that_fails(runs: Any, use: Use, tmp_path: Path) -> None:
    """The page of refused credentials says so, without the key; ``report`` has it as well."""
    path = tmp_path / "run.html"
    done = runs("--report", path, events=runs.file(use()), key="prv_test_another")
    assert done.code == 2
    said = _said(path)
    assert "The run failed: the credentials were refused, so no event was read" in said
    assert _facts(path)["Exit code"] == "2"
    assert "prv_test_another" not in path.read_text(encoding="utf-8")
    later = tmp_path / "later.html"
    assert runs.command("report", later, "--store", runs.store).code == 0
    assert "The run failed: the credentials were refused" in _said(later)


def test_a_run_that_cannot_begin(
    runs: Any, use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier page is replaced, so that nobody takes it for that of this run."""
    path = tmp_path / "run.html"
    assert runs("--report", path, events=runs.file(use())).code == 0
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    done = runs("--report", path, events=runs.file(use()), key="${NOT_SET_ANYWHERE}")
    assert done.code == 2
    assert "The run failed: " in _said(path)
    assert "NOT_SET_ANYWHERE is not set" in _said(path)
    assert "No row." in _said(path)


def test_a_question_that_is_declined(runs: Any, use: Use, tmp_path: Path) -> None:
    """Who does not want an input to be sent again has not run it: the page stays as it is."""
    path, events = tmp_path / "run.html", runs.file(use())
    assert runs("--report", path, events=events).code == 0
    before = path.read_bytes()
    runs.type("n\n")
    assert runs("--report", path, "--again", events=events).code == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("typed", "option", "code"),
    [("n\n", "--again", 1), ("", "--again", 2), ("", "--undelivered", 2)],
    ids=["declined", "nobody answers", "a file that exists"],
)
def test_a_command_that_did_nothing(
    runs: Any, use: Use, tmp_path: Path, typed: str, option: str, code: int
) -> None:
    """The last run is still the one that did something, and its record is what it was."""
    path, events = tmp_path / "run.html", runs.file(use(), use("bob"))
    report = ("report", path, "--store", runs.store)
    assert runs(events=events).code == 0
    runs.type(typed)
    given = [option] if option == "--again" else [option, runs.file(use())]
    assert runs(*given, events=events).code == code
    done = runs.command(*report)
    assert (done.code, done.err) == (0, "")
    assert _totals(path) == {"delivered": 2, "rows": 2}
    assert _facts(path)["Exit code"] == "0"
    assert "This is not the last run" not in _said(path)


def test_a_question_that_is_declined_after_a_delivery(runs: Any, use: Use, tmp_path: Path) -> None:
    """What earlier runs had left was delivered before it was asked: that is recorded."""
    path, events = tmp_path / "run.html", runs.file(use(), PERSON)
    runs.partner.faults.add(NO_PERSON)
    assert runs("--outage", "0.2", events=events).code == 75
    runs.partner.faults.clear()
    left = runs.statuses.count("ready")
    assert left
    runs.type("n\n")
    assert runs("--resume", "--again", events=events).code == 1
    assert runs.statuses == ["delivered", "delivered"]
    done = runs.command("report", path, "--store", runs.store)
    assert (done.code, done.err) == (0, "")
    assert _totals(path) == {"delivered": left, "rows": left}


def test_a_partner_that_is_away(runs: Any, use: Use, tmp_path: Path) -> None:
    """The page says why the run stopped, and has the command that goes on with it."""
    path = tmp_path / "run.html"
    events = runs.file(use(), use("bob"))
    done = runs("--report", path, "--outage", "0", "--no-check", events=events, where=NOBODY)
    assert done.code == 75
    assert _totals(path) == {"ready": 2, "rows": 2}
    commands = ["".join(one.itertext()) for one in _page(path).iter("pre")]
    assert commands[0].startswith(f"destinations run kana --events {events} --settings ")
    assert "--outage 0 --no-check" in commands[0]
    assert "The run stopped: the partner or the store was not available" in _said(path)


def test_a_run_that_is_interrupted(tmp_path: Path, use: Use) -> None:
    """Each line that was read has its row on the page."""
    path = tmp_path / "run.html"
    process = ForkedPopen[bytes](
        [
            *(sys.executable, "-P", "-m", "destinations", "run", "kana", "--events", "-"),
            *("--sandbox", "--json", "--report", str(path)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    # More events than may wait: once the last is written, some were delivered.
    lines = [json.dumps(use()).encode() + b"\n" for _ in range(5_000)]
    process.stdin.write(b"".join(lines))
    process.stdin.flush()
    os.kill(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    report = json.loads(out)
    assert _totals(path)["rows"] == report["rows"]
    assert report["line"] == report["lines"]
    said = re.search(r"Interrupted after line (\d+)\.", errors.decode())
    assert said, errors
    assert f"The run was interrupted after line {said[1]}." in _said(path)
    assert _facts(path)["Exit code"] == "130"


def test_a_run_that_was_killed(runs: Any, use: Use, tmp_path: Path) -> None:
    """It has no record: neither is that of the run before it taken for it, nor is it concealed."""
    path = tmp_path / "run.html"
    report = ("report", path, "--store", runs.store)
    _leave_begun(runs.store)
    done = runs.command(*report)
    assert done.code == 2
    assert "no run is recorded" in done.err  # of an account that the store does not have
    assert runs(events=runs.file(use())).code == 0
    assert runs.command(*report).err == ""
    _leave_begun(runs.store)
    done = runs.command(*report)
    assert (done.code, "has no record: it is going on, or was ended from" in done.err) == (0, True)
    said = _said(path)
    assert "This is not the last run: the one that began" in said
    assert "Of the run that began" in said.partition("Every row was delivered")[0]
    with SqliteStore(runs.store) as store:
        store.forget("lastRun 1")
    done = runs.command(*report)
    assert done.code == 2
    assert "has no record: it is going on, or was ended from outside" in done.err
    assert runs(events=runs.file(use("bob"))).code == 0
    assert runs.command(*report).err == ""
    assert "This is not the last run" not in _said(path)


def test_the_inputs_of_a_run_that_was_killed(runs: Any, use: Use, tmp_path: Path) -> None:
    """It names the command of that run, with its inputs, and not the page of another run."""
    path, first = tmp_path / "again.html", tmp_path / "first.html"
    assert runs("--report", first, events=runs.file(use())).code == 0
    again = "destinations run kana --events more.jsonl"
    _leave_begun(runs.store, again)
    done = runs.command("report", path, "--store", runs.store)
    assert f"If it was ended, go on with: {again}\n" in done.err
    assert f"If it was ended, go on with: {again}" in _said(path)
    with SqliteStore(runs.store) as store:  # as an earlier version has noted it
        store.note({"beganRun 1 0000": time.time()})
    assert runs.command("report", path, "--store", runs.store).code == 0
    said = _said(path).partition("Of the run that began")[0]
    assert "Deliver what it left in the store, and feed its input again after that:" in said
    assert "--report" not in said


def test_a_run_notes_its_inputs(
    runs: Any, use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends without a record is gone on with by its own command."""
    events = runs.file(use())
    monkeypatch.setattr(RecordedRun, "ended", lambda *_: None)  # as if it was killed just before
    assert runs(events=events).code == 0
    done = runs.command("report", tmp_path / "run.html", "--store", runs.store)
    assert done.code == 2
    assert f"Go on with: destinations run kana --events {events}" in done.err


def _leave_begun(store: Path, continued_by: str = "") -> None:
    """Leave a store as a run that is killed does."""
    with SqliteStore(store) as opened:
        note_begin(opened, 1, time.time(), continued_by)


def test_after_an_erasure(runs: Any, use: Use, tmp_path: Path) -> None:
    """The record is gone with the user, and that is told."""
    path = tmp_path / "run.html"
    assert runs(events=runs.file(use(), use("bob"))).code == 0
    assert runs.command("forget", "ann", "--everywhere", "--store", runs.store, "--yes").code == 0
    done = runs.command("report", path, "--store", runs.store)
    assert done.code == 2
    assert "the record of the last run was erased by destinations forget" in done.err


def test_samples_and_what_needs_nobody(runs: Any, use: Use, tmp_path: Path) -> None:
    """Events stand beside the reasons, without their values; nothing asks for what nobody needs."""
    path = tmp_path / "run.html"
    unmapped = use()
    del unmapped["properties"]["featureId"]
    assert runs("--report", path, events=runs.file(use(), unmapped)).code == 0
    said = _said(path)
    assert "1 event of them, with masks for their values" in said
    assert '"userId": "***", "properties": {' in said
    assert "List what needs a decision" not in said
    assert "Make the rule, then deliver what waits" in said
    commands = ["".join(one.itertext()) for one in _page(path).iter("pre")]
    assert not any(" replay " in one for one in commands)
    invalid = use(userId=" ann")
    assert runs("--report", path, events=runs.file(invalid)).code == 1
    assert "List what needs a decision" in _said(path)


def test_nobody_reads_what_is_printed(runs: Any, use: Use, tmp_path: Path) -> None:
    """The page is whole, also where the command is piped into one that has ended."""
    path = tmp_path / "run.html"
    arguments = [str(one) for one in runs.arguments("--report", path, events=runs.file(use()))]
    reads, writes = os.pipe()
    os.close(reads)
    process = ForkedPopen[bytes](
        [sys.executable, "-P", "-m", "destinations", *arguments],
        stdout=writes,
        stderr=subprocess.PIPE,
    )
    os.close(writes)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert _totals(path) == {"delivered": 1, "rows": 1}


def test_markup_and_secrets(runs: Any, use: Use, tmp_path: Path) -> None:
    """What events say and a partner quotes stays text, and the key is nowhere on the page."""
    hostile = [
        use(MARKUP),
        use("bob", event=MARKUP, properties={"featureId": MARKUP, "delta": 1}),
        use("bob", properties={"featureId": f"{KEY} {KEY.upper()}", "delta": 1}),
        use("cat", event=f"{MARKUP} {KEY}", properties={}),
        use("dan", properties={"featureId": KEY, "delta": MARKUP}),
        {"type": MARKUP, "userId": MARKUP, "messageId": MARKUP},
    ]
    path = tmp_path / "run.html"
    assert runs("--report", path, events=runs.file(*hostile)).code == 1
    later = tmp_path / "later.html"
    assert runs.command("report", later, "--store", runs.store).code == 0
    for one in (path, later):
        text = one.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "<img" not in text
        assert KEY not in text.lower()
        assert f"{MARKUP} ***" in _said(one)  # the name of an event, as text
        assert f"Feature '{MARKUP}' does not exist" in _said(one)
        assert not [tag for tag in _page(one).iter() if tag.tag in {"script", "img"}]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("notes.txt", "it is not a report of a run, and is not replaced; name another file"),
        (".", "it is a folder; name a file in it"),
        ("missing/run.html", "there is no folder"),
        ("store.sqlite3", "is the file of --store; name another one"),
        ("store.sqlite3-wal", "a file of this name belongs to the store"),
        ("undelivered.ndjson", "is the file of --undelivered; name another one"),
    ],
)
def test_where_no_page_can_be(runs: Any, use: Use, tmp_path: Path, name: str, message: str) -> None:
    """It is said in one line before an event is sent, and nothing is changed."""
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    SqliteStore(runs.store).close()
    done = runs(
        *("--report", tmp_path / name, "--undelivered", tmp_path / "undelivered.ndjson"),
        events=runs.file(use()),
    )
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert message in line
    assert not runs.usage
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_disk_that_fills_up(
    runs: Any, use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is told as it was, and then that its page could not be written."""

    def full(_page: object, *_: object) -> None:
        raise StoreFullError("cannot write run.html: no space; make room for it")

    monkeypatch.setattr("destinations.cli.run_recording.write_report", full)
    done = runs("--report", tmp_path / "run.html", events=runs.file(use()))
    assert done.code == 75
    assert runs.counts(done) == {"delivered": 1}
    assert done.err.endswith("Error: cannot write run.html: no space; make room for it\n")


def test_a_record_that_cannot_be_kept(
    runs: Any, use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose events are delivered does not fail because of its record."""
    path = tmp_path / "run.html"

    def full(*_: object) -> None:
        raise StoreFullError("the disk is full")

    monkeypatch.setattr("destinations.cli.run_recording.note_run", full)
    done = runs("--report", path, events=runs.file(use()))
    assert done.code == 0
    assert "The run could not be recorded in the store: the disk is full\n" in done.err
    assert _totals(path) == {"delivered": 1, "rows": 1}


def test_a_run_with_nothing_to_do_hides_no_other(runs: Any, use: Use, tmp_path: Path) -> None:
    """The last run that did something is the one that is reported."""
    assert runs(events=runs.file(use())).code == 0
    assert runs().code == 0
    path = tmp_path / "run.html"
    assert runs.command("report", path, "--store", runs.store).code == 0
    assert _totals(path) == {"delivered": 1, "rows": 1}


def test_what_is_resumed_first(runs: Any, use: Use, tmp_path: Path) -> None:
    """What earlier runs left and the events of the file are told apart."""
    done = runs.process(
        "--outage", "0", "--no-check", events="-", where=NOBODY, lines=_line(use()), account="main"
    )
    assert done.code == 75
    path = tmp_path / "run.html"
    arguments = ("--resume", "--report", path, "--same-account")
    done = runs(*arguments, events=runs.file(use()), account="main")
    assert done.code == 0, done.err
    assert _totals(path) == {"delivered": 1, "rows": 1}
    assert "what earlier runs had left was delivered: 1 delivered." in _said(path)


def _line(event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_which_run(runs: Any, use: Use, tmp_path: Path) -> None:
    """Of several accounts, the run that ended last is reported, or that of the named one."""
    path = tmp_path / "run.html"
    for name, key, number in (("first", KEY, 1), ("second", "prv_test_second", 2)):
        events = runs.file(*(use() for _ in range(number)))
        assert runs(events=events, key=key, account=name).code == 0
    for account, rows in ((None, 2), ("second", 2), ("first", 1)):
        chosen = () if account is None else ("--account", account)
        done = runs.command("report", path, "--store", runs.store, *chosen)
        assert done.code == 0, done.err
        assert _totals(path) == {"delivered": rows, "rows": rows}
        assert _facts(path)["Account"] == (account or "second")
    done = runs.command("report", path, "--store", runs.store, "--destination", "slack")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: no run of slack is recorded in {runs.store}: ")


def test_a_store_without_a_run(command: Callable[..., Any], tmp_path: Path) -> None:
    """It is said what would make a record; no page is written, and no store is made."""
    path, store = tmp_path / "run.html", tmp_path / "store.sqlite3"
    missing = command("report", path, "--store", store)
    assert missing.code == 2
    assert f"there is no store {store}" in missing.err
    SqliteStore(store).close()
    done = command("report", path, "--store", store)
    assert done.code == 2
    assert "every destinations run with a store records itself when it ends" in done.err
    assert not path.exists()


def test_force(runs: Any, use: Use, tmp_path: Path) -> None:
    """Another file is replaced only if that is asked for."""
    path = tmp_path / "notes.html"
    path.write_text("mine", encoding="utf-8")
    runs(events=runs.file(use()))
    done = runs.command("report", path, "--store", runs.store)
    assert (done.code, path.read_text(encoding="utf-8")) == (2, "mine")
    assert "name another file, or use --force" in done.err
    assert runs.command("report", path, "--store", runs.store, "--force").code == 0
    assert runs.command("report", path, "--store", runs.store).code == 0
    assert _totals(path) == {"delivered": 1, "rows": 1}
