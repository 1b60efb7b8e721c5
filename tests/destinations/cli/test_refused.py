"""``destinations refused``: what a receiver refused, and how it is fed back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.runtime.account_identity import AccountIdentity
from destinations.store import RefusedEntry, RefusedEvent, SqliteStore, StoredRefused

pytestmark = pytest.mark.usefixtures("sandbox_thread")

Command = Callable[..., Any]

ANONYMOUS = b'{"type": "track", "event": "E", "messageId": "m1"}'


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., None]:
    """Adds a refused event to the store."""

    def added(destination: str, raw: bytes, **more: Any) -> None:
        with SqliteStore(tmp_path / "store.sqlite3") as store:
            identity = AccountIdentity("kana", "http://127.0.0.1/", "", f"k {destination}", None)
            scope = store.accounts().served(destination, identity).id
            given: dict[str, Any] = {"at": 1_700_000_000.0, "status": 400, "length": len(raw)}
            given |= {"code": "NO_USER_ANON_ID", "reason": "needs a user", "peer": "192.0.2.1"}
            event = RefusedEvent(scope, path=f"/v1/{destination}", raw=raw, **(given | more))
            store.refused().add([event], 100, 1_000_000)

    return added


@pytest.fixture
def path(tmp_path: Path, add: Callable[..., None]) -> Path:
    """A store with an event that was refused, a body, one that was cut, and one of another name."""
    add("kana", ANONYMOUS, message_id="m1")
    add("kana", b"[\x1b[31m", code="BAD_REQUEST", reason="is not JSON")
    add("kana", b'{"a":"', code="TOO_LARGE", length=90_000, is_whole=False, user="u1")
    add("other", b"{}", at=1_700_000_100.0)
    return tmp_path / "store.sqlite3"


def test_the_table_of_a_tenant(
    command: Command, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant stands after the source or destination that an event was sent to."""
    find = StoredRefused.find

    def of_tenant(self: StoredRefused, *given: Any, **more: Any) -> list[RefusedEntry]:
        return [
            replace(one, tenant="a1b2c3", tenant_name="acme") for one in find(self, *given, **more)
        ]

    monkeypatch.setattr(StoredRefused, "find", of_tenant)
    columns, row = (
        line.split() for line in command("refused", "list", "--store", path).out.splitlines()[1:3]
    )
    assert columns[:4] == ["id", "refused", "source/destination", "tenant"]
    assert row[2:4] == ["kana", "acme"]


def test_the_status_counts_them(command: Command, path: Path) -> None:
    """They are no deliveries, so no outcome counts them: a line does, by code."""
    text = command("status", "--store", path).out
    assert (
        "4 refused events (2 NO_USER_ANON_ID, 1 BAD_REQUEST, 1 TOO_LARGE): kept, but no "
        f"deliveries; destinations refused list --store {path}"
    ) in text
    assert command("status", "--store", path, "--json").json["refused"] == [
        {"destination": "kana", "code": "BAD_REQUEST", "events": 1},
        {"destination": "kana", "code": "NO_USER_ANON_ID", "events": 1},
        {"destination": "kana", "code": "TOO_LARGE", "events": 1},
        {"destination": "other", "code": "NO_USER_ANON_ID", "events": 1},
    ]


def test_the_list(command: Command, path: Path) -> None:
    """Each with its reason, and how many there are of each; no character does anything."""
    done = command("refused", "list", "--store", path, "--raw")
    assert (done.code, done.err) == (0, "")
    for part in (
        f"4 refused events, in {path}",
        "NO_USER_ANON_ID: needs a user",
        "192.0.2.1",
        "/v1/kana",
        "\n1: " + ANONYMOUS.decode(),
        "(90,000 bytes as it came)",
    ):
        assert part in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"a":"\x1b[31m \x9b \xc2\x9b"}', None),
        (b"", ""),
        (b"[\x1b[31m", "[�[31m"),
        (b'{\r\n\t"a": 1}', '{���"a": 1}'),
        (bytes(range(256)) * 9, "binary, 2,304 bytes"),
        ("{}".encode("utf-16"), "binary, 6 bytes"),
        (gzip.compress(b"{}" * 99, mtime=0), "binary, "),
        ("{é…}".encode(), "{é…}"),
    ],
)
def test_raw_bytes_on_a_terminal(
    command: Command, path: Path, add: Callable[..., None], raw: bytes, shown: str | None
) -> None:
    """No character of a sender does anything, and what nobody can read is told by its size."""
    add("kana", raw)
    for options in (["--raw"], ["--raw", "--json"]):
        done = command("refused", "list", "--store", path, *options)
        assert all(one.isprintable() or one == "\n" for one in done.out)
    done = command("refused", "list", "--store", path, "--raw")
    if shown is not None:
        assert f"\n5: {shown}" in done.out


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], [1, 2, 3, 4]),
        (["--destination", "kana"], [1, 2, 3]),
        (["--code", "BAD_REQUEST"], [2]),
        (["--user", "u1"], [3]),
        (["--since", "2023-11-14T22:14:00Z"], [4]),
        (["--limit", "2"], [3, 4]),
        (["--code", "none"], []),
    ],
)
def test_what_is_selected(command: Command, path: Path, options: list[str], ids: list[int]) -> None:
    """The latest, the oldest of them first; all that are selected are counted."""
    shown = command("refused", "list", "--store", path, "--json", *options).json
    assert [one["id"] for one in shown["refused"]] == ids
    assert shown["total"] == (4 if "--limit" in options else len(ids))


def test_all_that_is_known(command: Command, path: Path) -> None:
    """As JSON; what came is JSON as well where it can be."""
    first, second, *_ = command("refused", "list", "--store", path, "--json").json["refused"]
    assert first == {
        "id": 1,
        "refused_at": 1_700_000_000.0,
        "destination": "kana",
        "account": "unnamed-1",
        "tenant": None,
        "path": "/v1/kana",
        "peer": "192.0.2.1",
        "status": 400,
        "code": "NO_USER_ANON_ID",
        "reason": "needs a user",
        "message_id": "m1",
        "user": None,
        "bytes": len(ANONYMOUS),
        "whole": True,
        "raw": json.loads(ANONYMOUS),
    }
    assert second["raw"] == "[\x1b[31m"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--destination", "kanna"], "of 'kanna'; it has some of: kana, other."),
        (
            ["--code", "NOPE"],
            (
                "with the code 'NOPE'; it has some with the code: "
                "BAD_REQUEST, NO_USER_ANON_ID, TOO_LARGE."
            ),
        ),
    ],
)
@pytest.mark.parametrize("name", ["list", "export"])
def test_a_name_or_code_that_is_not_there(
    command: Command, path: Path, name: str, options: list[str], told: str
) -> None:
    """It is told, with those that are."""
    done = command("refused", name, "--store", path, *options)
    assert done.code == 0
    assert done.err.splitlines()[0] == f"The store has no refused event {told}"


def test_export_and_feed_back(command: Command, path: Path, tmp_path: Path) -> None:
    """What is exported is read by a run, with the same reason, and repaired it is delivered."""
    file = tmp_path / "refused.ndjson"
    done = command("refused", "export", "--store", path, "--output", file, "--destination", "kana")
    assert done.code == 0
    assert "Exported: 2." in done.err
    assert "Left out" in done.err
    lines = file.read_text("utf-8").splitlines()
    assert [json.loads(line)["undelivered"]["code"] for line in lines] == [
        "NO_USER_ANON_ID",
        "BAD_REQUEST",
    ]
    event = json.loads(lines[0])
    event["rawEvent"] |= {"userId": "user_0001", "properties": {"featureId": "api-calls"}}
    file.write_text(f"{json.dumps(event)}\n{lines[1]}\n", "utf-8")
    done = command("run", "kana", "--sandbox", "--no-store", "--json", "--events", file)
    assert {name: n for name, n in done.json["outcomes"].items() if n} == {
        "delivered": 1,
        "invalid": 1,
    }
