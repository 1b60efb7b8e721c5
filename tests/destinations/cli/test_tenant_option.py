"""``--tenant``: what belongs to one customer of an endpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import TemporaryError
from destinations.operations import StoredPauses, tenant_changes
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.store import (
    RefusedEvent,
    SqliteStore,
    Tenant,
    Tenants,
    TenantStore,
)

Command = Callable[..., Any]

_TENANTS_OF_KANA = """
sealing: {key: {env: SEALING_KEY}}
destinations: [{name: kana, destination: kana, receiver: {tenants: {key: apiKey}}}]
"""


@pytest.fixture
def tenants(
    store: SqliteStore, add_delivery: Callable[..., int], add_tenant: Callable[..., Tenant]
) -> tuple[Tenant, Tenant]:
    """Two of ``kana`` with deliveries and refused events of the same user; one has a name."""
    made = add_tenant(store, "key-a", "kana"), add_tenant(store, "key-b", "kana")
    for one in made:
        add_delivery(store, scope=one.scope, status=Outcome.DEAD)
        raw = RefusedEvent(one.scope.id, 1.0, 400, "NOT_JSON", "no", "/", "", b"x", 1)
        store.refused().add([raw], 10, 1_000)
    add_delivery(store, scope=made[0].scope)
    add_delivery(store, destination="plain", status=Outcome.DEAD)
    Tenants(store.database).call(made[0], "Acme")
    return made


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("deliveries", "list"), 3),
        (("deliveries", "list", "--tenant", "Acme"), 1),
        (("deliveries", "list", "--tenant", "Acme", "--all"), 2),
        (("deliveries", "list", "--tenant", "{b}", "--all"), 1),
        (("refused", "list"), 2),
        (("refused", "list", "--tenant", "{b}"), 1),
    ],
)
def test_what_is_listed(
    command: Command,
    store: SqliteStore,
    tenants: tuple[Tenant, Tenant],
    arguments: tuple[str, ...],
    expected: int,
) -> None:
    """Only what is of that tenant."""
    given = [one.format(b=tenants[1].id[:8]) for one in arguments]
    assert command(*given, "--store", store.path, "--json").json["total"] == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("deliveries", "list"),
        ("deliveries", "drop", "--reason", "x"),
        ("deliveries", "resolve", "--applied"),
        ("deliveries", "export"),
        ("deliveries", "replay"),
        ("refused", "list"),
        ("refused", "export"),
        ("status",),
        ("kana", "unmapped"),
        ("kana", "flags"),
        ("kana", "merge", "u1", "u2", "--yes"),
        ("kana", "rules", "list"),
    ],
)
def test_an_unknown_tenant(
    command: Command, store: SqliteStore, tenants: tuple[Tenant, Tenant], arguments: tuple[str, ...]
) -> None:
    """It is an error everywhere, not an empty selection."""
    done = command(*arguments, "--tenant", "nobody", "--store", store.path)
    assert (done.code, "unknown tenant 'nobody'" in done.err) == (2, True)
    assert len(tenants) == 2


def test_the_column(command: Command, store: SqliteStore, tenants: tuple[Tenant, Tenant]) -> None:
    """The tenant is in the table where there are some, by its name or else its id."""
    text = command("deliveries", "list", "--store", store.path).out
    assert "  tenant  " in text
    assert " Acme " in text
    assert tenants[1].id in text
    alone = command("deliveries", "list", "--destination", "plain", "--store", store.path).out
    assert "tenant" not in alone
    (first, *_) = command("deliveries", "list", "--store", store.path, "--json").json["deliveries"]
    assert first["tenant"] == tenants[0].id
    shown = command("deliveries", "show", str(first["id"]), "--store", store.path).out
    assert f"{tenants[0].id} Acme" in shown


def test_the_column_of_what_was_refused(
    command: Command, store: SqliteStore, tenants: tuple[Tenant, Tenant]
) -> None:
    """Who sent it is in the table where there are tenants, by the name or else the id."""
    title, first, second = command("refused", "list", "--store", store.path).out.splitlines()[1:4]
    assert title.split()[2:4] == ["source/destination", "tenant"]
    assert first.split()[2:4] == ["kana", "Acme"]
    assert second.split()[2:4] == ["kana", tenants[1].id]
    found = command("refused", "list", "--store", store.path, "--json").json["refused"]
    assert [one["tenant"] for one in found] == [one.id for one in tenants]


def test_the_status_of_one(
    command: Command, store: SqliteStore, tenants: tuple[Tenant, Tenant]
) -> None:
    """One block, with the numbers of that tenant."""
    where = ("--tenant", "Acme", "--store", store.path)
    assert f"kana, tenant {tenants[0].id}" in command("status", *where).out
    (only,) = command("status", *where, "--json").json["destinations"]
    assert only["tenant"] == tenants[0].id
    assert only["counts"] == {"ready": 1, "dead": 1}
    assert (
        command("status", "--store", store.path, "--json").json["destinations"][0]["tenant_status"]
        is None
    )


@pytest.mark.parametrize(
    ("state", "key", "words"),
    [
        ("proven", "proven", "key proven\n"),
        ("unchecked", "unchecked", "key unchecked: the partner could not be asked about it yet"),
        ("refused", "refused", "key refused since 1970-01-01T01:00:00Z: its events wait until"),
        ("paused", "proven", "is paused since 1970-01-01T02:00:00Z: its events wait until: "),
        ("action", "proven", "kana: count pauses: the API has changed. "),
    ],
)
def test_why_nothing_of_one_is_delivered(
    command: Command,
    store: SqliteStore,
    add_tenant: Callable[..., Tenant],
    state: str,
    key: str,
    words: str,
) -> None:
    """The status of one tenant says whose it is, and why its events wait."""
    one = add_tenant(store, "key-a", "kana", is_proven=state != "unchecked")
    tenants = Tenants(store.database)
    tenants.call(one, "Acme")
    if state == "refused":
        tenants.refuse(one, 3_600.0)
    elif state == "paused":
        tenants.pause(one, 7_200.0)
    elif state == "action":
        StoredPauses(store, one.scope.full_name).write({"count": "the API has changed"})
    where = ("--tenant", "Acme", "--store", store.path)
    out = command("status", *where).out
    assert f"kana, tenant {one.id} Acme" in out
    assert words in out
    resume = f"destinations resume kana --tenant {one.id} --store {store.path}"
    assert (resume in out) is (state in {"paused", "action"})
    (only,) = command("status", *where, "--json").json["destinations"]
    assert only["tenant_status"]["name"] == "Acme"
    assert only["tenant_status"]["key"] == key
    assert only["tenant_status"]["paused_at"] == (7_200.0 if state == "paused" else None)
    assert only["paused"] == ({"count": "the API has changed"} if state == "action" else {})


def test_changes(command: Command, store: SqliteStore, tenants: tuple[Tenant, Tenant]) -> None:
    """What is dropped is that tenant's alone."""
    where = ("--store", store.path)
    done = command(*("deliveries", "drop", "--tenant", "Acme", "--reason", "test", "--yes", *where))
    assert (done.code, done.out) == (0, "Dropped: 2.\n")
    counts = store.ledger().totals(0.0)
    assert {one.tenant: dict(one.counts) for one in counts if one.tenant} == {
        tenants[0].id: {Outcome.DROPPED: 2},
        tenants[1].id: {Outcome.DEAD: 1},
    }


def test_rules_of_kana(
    command: Command,
    store: SqliteStore,
    add_delivery: Callable[..., int],
    add_tenant: Callable[..., Tenant],
) -> None:
    """A rule of one customer maps the events of that one; a rule of nobody maps none of theirs."""
    made = add_tenant(store, "key-a", "kana"), add_tenant(store, "key-b", "kana")
    event = {"type": "track", "event": "Called", "userId": "u1", "messageId": "m"}
    for one in made:
        add_delivery(
            store, event, scope=one.scope, subscription=None, status=Outcome.UNMAPPED, stage="plan"
        )
    # The account of a tenant is one of Kana.
    with store.database.transaction() as connection:
        connection.execute("UPDATE partner_accounts SET slug = 'kana'")
    config = store.path.with_name("serve.yaml")
    config.write_text(f"store: {{path: {store.path}}}\n" + _TENANTS_OF_KANA, "utf-8")
    where = ("--config", config)
    rule = ("--event", "Called", "--feature", "calls")
    # Each place that tells of rules names the command that maps something.
    right = f"destinations kana rules add --tenant TENANT --config {config}\n"
    counted = command("kana", "unmapped", *where)
    assert "2 unmapped events" in counted.out
    assert right in counted.out
    assert "Map them" not in counted.out
    assert command("kana", "unmapped", "--json", *where).json["by_tenant"] == [
        {"tenant": one.id, "name": None, "events": 1} for one in made
    ]
    of_one = command("kana", "unmapped", "--tenant", made[0].id, *where).out
    assert "1 unmapped event\n" in of_one
    right = f"Map them: destinations kana rules add --tenant {made[0].id} --config {config}\n"
    assert right in of_one
    done = command("kana", "rules", "add", "all", *rule, *where)
    assert (done.code, "wait" in done.out) == (0, False)
    assert f"add it with --tenant TENANT --config {config};" in done.err
    assert (
        command("kana", "rules", "list", "--json", "--store", store.path).json[0]["name"] == "all"
    )
    done = command("kana", "rules", "add", "own", *rule, "--tenant", made[0].id, *where)
    assert (done.code, "1 unmapped event waits" in done.out) == (0, True)
    assert "maps no event of a tenant" not in done.err
    totals = {one.tenant: dict(one.counts) for one in store.ledger().totals(0.0)}
    assert totals == {made[0].id: {State.READY: 1}, made[1].id: {Outcome.UNMAPPED: 1}}
    listed = command("kana", "rules", "list", "--tenant", made[0].id, "--json", *where)
    assert [one["name"] for one in json.loads(listed.out)] == ["own"]
    # A replay plans with the rules of each, too.
    TenantStore(store, made[1].id).documents("kana", "rule").add(
        ("calls", {"name": "calls", "event": "Called", "feature": "calls"})
    )
    done = command("deliveries", "replay", "--tenant", made[1].id, *where)
    assert (done.code, "1 delivery waits for its turn" in done.out) == (0, True)
    assert command("kana", "rules", "remove", "own", "--tenant", made[0].id, *where).code == 0


@pytest.mark.parametrize(
    ("options", "code", "left"),
    [
        (("--tenant", "Acme"), 0, {"b": 1, "plain": 1}),
        (("--tenant", "Acme", "--destination", "kana"), 0, {"b": 1, "plain": 1}),
        (("--destination", "kana"), 0, {"plain": 1}),
        (("--everywhere",), 0, {}),
        (("--tenant", "nobody"), 2, {"a": 2, "b": 1, "plain": 1}),
        (("--tenant", "Acme", "--account", "unnamed-1"), 2, {"a": 2, "b": 1, "plain": 1}),
        (("--tenant", "Acme", "--everywhere"), 2, {"a": 2, "b": 1, "plain": 1}),
    ],
)
def test_erasing_a_user(
    command: Command,
    store: SqliteStore,
    tenants: tuple[Tenant, Tenant],
    *,
    options: tuple[str, ...],
    code: int,
    left: dict[str, int],
) -> None:
    """The user of one customer, of all customers of a destination, or of all of the store."""
    path = store.path
    store.close()
    done = command("forget", "u1", *options, "--yes", "--store", path)
    assert done.code == code, done.err
    names = {tenants[0].id: "a", tenants[1].id: "b", "": "plain"}
    with SqliteStore(path, read_only=True) as opened:
        found = Counter(
            names[one.tenant] for one in opened.ledger().find(Selection()) if one.user == "u1"
        )
    assert found == left


def test_a_backup(command: Command, store: SqliteStore, tenants: tuple[Tenant, Tenant]) -> None:
    """A copy has the tenants, their names and their deliveries, but for one that was erased since.

    What waited is looked at.
    """
    path = store.path
    copy = path.with_name("copy.sqlite3")
    assert command("store", "check", "--store", path).code == 0
    assert command("store", "backup", copy, "--store", path).code == 0
    store.close()
    other = tenants[1].id
    assert command("tenants", "name", other, "Other", "--store", path).code == 0
    assert command("tenants", "forget", other, "--yes", "--store", path).code == 0
    path.unlink()
    for _ in range(2):  # the copy does not note it, whatever was restored before
        done = command("store", "restore", copy, "--to", path, "--yes")
        assert (done.code, "Tenants who were erased: 1.\n" in done.out) == (0, True), done.err
        found = command("tenants", "list", "--store", path, "--json").json["tenants"]
        assert [(one["id"], one["name"]) for one in found] == [(tenants[0].id, "Acme")]
        assert command("store", "check", "--store", path).code == 0
        assert other.encode() not in path.read_bytes()


def test_a_backup_of_a_tenant_that_came_again(
    command: Command,
    store: SqliteStore,
    tenants: tuple[Tenant, Tenant],
    add_tenant: Callable[..., Tenant],
) -> None:
    """It is of after the erasure: what the tenant sent since stays."""
    path = store.path
    copy = path.with_name("copy.sqlite3")
    store.close()
    assert command("tenants", "forget", tenants[1].id, "--yes", "--store", path).code == 0
    with SqliteStore(path) as opened:
        assert add_tenant(opened, "key-b", "kana").id == tenants[1].id
    assert command("store", "backup", copy, "--store", path).code == 0
    done = command("store", "restore", copy, "--to", path, "--yes")
    assert (done.code, "erased" in done.out) == (0, False)
    found = command("tenants", "list", "--store", path, "--json").json["tenants"]
    assert [one["id"] for one in found] == [one.id for one in tenants]


def test_an_erasure_that_was_cut_off(
    command: Command,
    store: SqliteStore,
    tenants: tuple[Tenant, Tenant],
    add_tenant: Callable[..., Tenant],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same command completes it; a copy that was made after that keeps who came again."""
    path, gone = store.path, tenants[1].id
    copy = path.with_name("copy.sqlite3")
    store.close()

    def killed(*_: Any, **_more: Any) -> int:
        raise TemporaryError("killed")

    with monkeypatch.context() as cut:
        cut.setattr(tenant_changes, "erase_tenant", killed)
        assert command("tenants", "forget", gone, "--yes", "--store", path).code == 75
    assert command("tenants", "forget", gone, "--yes", "--store", path).code == 0
    with SqliteStore(path) as opened:
        assert add_tenant(opened, "key-b", "kana").id == gone
    assert command("store", "backup", copy, "--store", path).code == 0
    assert command("store", "restore", copy, "--to", path, "--yes").code == 0
    found = command("tenants", "list", "--store", path, "--json").json["tenants"]
    assert gone in [one["id"] for one in found]
