"""The commands for customers who send with keys of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from destinations.operations import (
    StoredPauses,
    lock_server,
    paused_actions,
    tenant_changes,
)
from destinations.outcome import ManualChange, Outcome, State
from destinations.store import (
    RefusedEvent,
    SqliteStore,
    Tenant,
    Tenants,
    TenantStore,
)

Command = Callable[..., Any]


@pytest.fixture
def tenants(
    store: SqliteStore, add_delivery: Callable[..., int], add_tenant: Callable[..., Tenant]
) -> list[Tenant]:
    """One that is good and has a queue, one unchecked, one refused, and one of another name."""
    made = [
        add_tenant(store, "key-a", now=1_000.0),
        add_tenant(store, "key-b", now=2_000.0, is_proven=False),
        add_tenant(store, "key-c", now=3_000.0),
        add_tenant(store, "key-d", "other", now=4_000.0),
    ]
    Tenants(store.database).refuse(made[2], 3_600.0)
    add_delivery(store, scope=made[0].scope, message_id="m1")
    add_delivery(store, scope=made[0].scope, status=State.HELD, message_id="m2")
    add_delivery(
        store, scope=made[0].scope, status=Outcome.DELIVERED, settled_at=time.time(), user="u9"
    )
    add_delivery(store, scope=made[1].scope, message_id="m1")
    return made


def test_the_list(command: Command, store: SqliteStore, tenants: list[Tenant]) -> None:
    """Each with the state of its key and its numbers, the oldest first; no key is shown."""
    done = command("tenants", "list", "--store", store.path)
    assert done.code == 0
    rows = done.out.splitlines()[2:6]
    assert [row.split()[0] for row in rows] == [one.id for one in tenants]
    assert rows[0].split()[-3:] == ["1", "1", "1"]
    assert "unchecked" in rows[1]
    assert "refused since 1970-01-01T01:00:00Z" in rows[2]
    assert "key-" not in done.out
    (first, *_) = command("tenants", "list", "--store", store.path, "--json").json["tenants"]
    assert first == {
        "id": tenants[0].id,
        "name": None,
        "destination": "sample",
        "noted_at": 1_000.0,
        "key": "proven",
        "proven_at": 1_000.0,
        "refused_since": None,
        "paused_at": None,
        "connection": None,
        "connection_fault": None,
        "queue": 1,
        "held": 1,
        "delivered_today": 1,
    }


@pytest.mark.parametrize(
    ("options", "expected", "total"),
    [
        ((), "abcd", 4),
        (("--destination", "other"), "d", 1),
        (("--destination", "nobody"), "", 0),
        (("--limit", "2"), "ab", 4),
        (("--limit", "2", "--skip", "1"), "bc", 4),
        (("--state", "refused"), "c", 1),
        (("--state", "unchecked", "--state", "refused"), "bc", 2),
        (("--state", "paused"), "d", 1),
        (("--state", "proven"), "a", 1),
    ],
)
def test_parts_of_the_list(
    command: Command,
    store: SqliteStore,
    tenants: list[Tenant],
    options: tuple[str, ...],
    expected: str,
    total: int,
) -> None:
    """Of ten thousand tenants only those are shown that one asks for, and how many there are."""
    command("tenants", "pause", tenants[3].id, "--store", store.path)
    found = command("tenants", "list", *options, "--store", store.path, "--json").json
    names = {one.id: name for one, name in zip(tenants, "abcd", strict=True)}
    assert "".join(names[one["id"]] for one in found["tenants"]) == expected
    assert found["total"] == total


def test_one(command: Command, store: SqliteStore, tenants: list[Tenant]) -> None:
    """All that is known of it, by its name; its key stays hidden."""
    stored = TenantStore(store, tenants[0].id)
    stored.documents("sample", "rule").add(("calls", {"name": "calls"}))
    command("tenants", "name", tenants[0].id[:6], "Acme Inc.", "--store", store.path)
    done = command("tenants", "show", "Acme Inc.", "--store", store.path)
    assert done.code == 0
    for part in (tenants[0].id, "Acme Inc.", "http://127.0.0.1/", "1 rule", "held", "proven"):
        assert part in done.out
    assert "key-a" not in done.out
    found = command("tenants", "show", "Acme Inc.", "--store", store.path, "--json").json
    assert found["counts"] == {"ready": 1, "held": 1, "delivered": 1}
    assert found["documents"] == {"rule": 1}
    assert found["keys"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nobody"), 2, "unknown tenant 'nobody': destinations tenants list shows them"),
        (("show", "{a:.3}"), 2, "the beginning of an id has at least 4 digits"),
        (("show", "{a:.4}"), 0, "proven"),
        (("show", "--help"), 0, "at least the first 4 digits of it"),
        (("name", "{a}", "acme"), 0, "{a} of sample is called acme now."),
        (("name", "{a}", "  "), 2, "must be visible text"),
        (("name", "{a}", "x" * 101), 2, "has at most 100 characters"),
        (("name", "{a}", "0123456789abcdef"), 2, "has the form of a tenant's id"),
        (("name", "{a}"), 2, "expected either NAME or --remove"),
        (("name", "{a}", "x", "--remove"), 2, "expected either NAME or --remove"),
        (("name", "{a}", "--remove"), 0, "{a} of sample has no name now."),
        (("name", "{a}", "taken"), 2, "another tenant of sample is called 'taken'"),
        (("name", "{a}", "acme", "--destination", "other"), 2, "unknown tenant"),
        (("pause", "taken"), 0, "taken of sample: paused; its events wait."),
        (("resume", "taken"), 0, "taken of sample is not paused."),
    ],
)
def test_what_they_answer(
    command: Command,
    store: SqliteStore,
    tenants: list[Tenant],
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    """What cannot be done is said, with its reason."""
    Tenants(store.database).call(tenants[1], "taken")
    given = [one.format(a=tenants[0].id) for one in arguments]
    done = command("tenants", *given, "--store", store.path)
    assert done.code == code
    assert words.format(a=tenants[0].id) in done.out + done.err


def test_a_name_that_begins_the_id_of_another(
    command: Command, store: SqliteStore, tenants: list[Tenant]
) -> None:
    """Nobody is paused who may not be meant; the whole id says who is."""
    Tenants(store.database).call(tenants[1], tenants[0].id[:8])
    done = command("tenants", "pause", tenants[0].id[:8], "--store", store.path)
    assert (done.code, "2 tenants are called" in done.err) == (2, True)
    assert all(one.paused_at is None for one in Tenants(store.database).all())
    assert command("tenants", "pause", tenants[1].id, "--store", store.path).code == 0


def test_one_key_at_several_destinations(
    command: Command,
    store: SqliteStore,
    tenants: list[Tenant],
    add_tenant: Callable[..., Tenant],
) -> None:
    """Its tenants have one id, so only the destination says which is meant."""
    add_tenant(store, "key-a", "other")
    done = command("tenants", "show", tenants[0].id, "--store", store.path)
    assert done.code == 2
    assert done.err.endswith("; use --destination\n")
    Tenants(store.database).call(tenants[1], "acme")
    Tenants(store.database).call(tenants[3], "acme")
    done = command("tenants", "show", "acme", "--store", store.path)
    assert done.err.endswith("; use --destination or the id\n")
    done = command("tenants", "show", "acme", "--destination", "other", "--store", store.path)
    assert done.code == 0
    of_one = ("--tenant", tenants[0].id, "--destination", "other", "--store", store.path)
    assert f"other, tenant {tenants[0].id}" in command("status", *of_one).out
    assert command("status", *of_one[2:]).code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "nobody"), "has no destination 'nobody'; it has: other, sample"),
        (("pause", "sample", "--tenant", "nobody"), "unknown tenant 'nobody'"),
        (("pause", "other", "--tenant", "{a}"), "unknown tenant"),
        (("resume", "sample", "--tenant", "nobody"), "unknown tenant 'nobody'"),
    ],
)
def test_what_cannot_be_paused(
    command: Command,
    store: SqliteStore,
    tenants: list[Tenant],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    """A name with a typing error is refused: it would pause nothing, without a word."""
    given = [one.format(a=tenants[0].id) for one in arguments]
    done = command(*given, "--store", store.path)
    assert (done.code, words in done.err) == (2, True)


def test_a_tenant_by_its_destination(
    command: Command, store: SqliteStore, tenants: list[Tenant]
) -> None:
    """One tenant is paused and resumed; with the whole destination it stays as it was."""
    where = ("--tenant", tenants[0].id[:8], "--store", store.path)
    assert "paused; its events wait" in command("pause", "sample", *where).out
    assert "is paused already" in command("pause", "sample", *where).out
    assert Tenants(store.database).find(tenants[0].id).paused_at is not None
    command("pause", "sample", "--store", store.path)
    resumed = command("resume", "sample", "--store", store.path)
    assert resumed.out == "sample: resumed.\n"
    # Whoever wants all of them to go on sees that one does not.
    assert "1 tenant of sample is still paused: " in resumed.err
    assert f"destinations tenants resume TENANT --store {store.path} resumes one" in resumed.err
    assert "still paused" in command("resume", "sample", "--store", store.path).err
    assert Tenants(store.database).find(tenants[0].id).paused_at is not None
    command("pause", "sample", "--store", store.path)
    done = command("resume", "sample", *where)
    assert done.out == f"Tenant {tenants[0].id} of sample: resumed.\n"
    assert done.err == "All of sample is paused, this tenant as well.\n"
    assert Tenants(store.database).find(tenants[0].id).paused_at is None


def test_the_paused_actions_of_all(
    command: Command, store: SqliteStore, tenants: list[Tenant]
) -> None:
    """An operator who has mended what concerned all of a destination need not name each."""
    for one in tenants:
        StoredPauses(store, one.scope.full_name).write({"track": "HTTP 410"})
    where = ("--store", store.path)
    done = command("resume", "sample", *where)
    assert (done.code, done.out) == (0, "sample: paused actions of 3 tenants resumed.\n")
    assert [bool(paused_actions(store, one.scope.full_name)) for one in tenants] == [
        *(False, False, False),
        True,  # of another destination
    ]
    assert command("resume", "sample", *where).out == "Nothing of sample is paused.\n"


def test_the_status_of_all(command: Command, store: SqliteStore, tenants: list[Tenant]) -> None:
    """All tenants of a destination are one block, which says how many are in trouble."""
    command("tenants", "pause", tenants[2].id, "--store", store.path)
    done = command("status", "--store", store.path)
    assert done.out.count("(server)") == 2
    assert "3 tenants (1 refused, 1 unchecked, 1 paused)" in done.out
    assert "queue 2 (2 ready, 1 held)" in done.out
    other, sample = command("status", "--store", store.path, "--json").json["destinations"]
    assert sample["tenants"] == {"all": 3, "refused": 1, "unchecked": 1, "paused": 1}
    assert sample["counts"] == {"ready": 2, "held": 1, "delivered": 1}
    assert sample["today"] == {"delivered": 1}
    assert (other["name"], other["tenants"]["all"]) == ("other", 1)


def test_forget(
    command: Command,
    store: SqliteStore,
    tenants: list[Tenant],
    add_delivery: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is left in any byte, and nothing of the others is gone."""
    gone, other = tenants[:2]
    add_delivery(store, {"type": "track", "secret": "of-the-gone"}, scope=gone.scope)
    for one in (gone, other):
        stored = TenantStore(store, one.id)
        stored.documents("sample", "rule").add(("calls", {"of": f"rule-of-{one.id}"}))
        stored.answers("sample at x")["can"] = f"answer-of-{one.id}"
        row = store.database.one("SELECT partner_account FROM scopes WHERE id = ?", (one.scope.id,))
        assert row is not None
        change = ManualChange("u1", {"email": f"mail-of-{one.id}"})
        store.manual_changes([row[0]]).note(change)
        event = RefusedEvent(
            *(one.scope.id, 1.0, 400, "NOT_JSON", "no", "/", "", f"raw-of-{one.id}".encode(), 1)
        )
        store.refused().add([event], 10, 1_000)
    where = ("--store", store.path)
    monkeypatch.setattr(tenant_changes, "_PATIENCE", 0.0)
    with lock_server(store.path):
        done = command("tenants", "forget", gone.id, "--yes", *where)
    assert (done.code, f"{gone.id} is erased once nothing" in done.err) == (75, True)
    assert command("tenants", "forget", gone.id, "--dry-run", *where).code == 0
    assert len(Tenants(store.database).all()) == 4
    store.close()
    done = command("tenants", "forget", gone.id, "--yes", *where)
    assert (done.code, f"Erased: 4 events of {gone.id} of sample" in done.out) == (0, True)
    again = command("tenants", "forget", gone.id, *where)
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith(f"{gone.id} was erased at ")
    assert again.out.endswith("Z: nothing is left to do.\n")
    elsewhere = command("tenants", "forget", gone.id, "--destination", "other", *where)
    assert (elsewhere.code, "unknown tenant" in elsewhere.err) == (2, True)
    beginning = command("tenants", "forget", gone.id[:6], *where)
    assert (beginning.code, "unknown tenant" in beginning.err) == (2, True)
    data = b"".join(path.read_bytes() for path in store.path.parent.glob("store.sqlite3*"))
    assert gone.id.encode() not in data
    assert b"of-the-gone" not in data
    for what in ("rule", "answer", "mail", "raw"):
        assert f"{what}-of-{other.id}".encode() in data
    shown = command("tenants", "show", gone.id, *where)
    assert (shown.code, f"unknown tenant {gone.id!r}: it was erased at " in shown.err) == (2, True)
    found = command("tenants", "show", other.id, *where, "--json").json
    assert found["counts"] == {"ready": 1}
