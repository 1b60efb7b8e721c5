"""``destinations tenants connect``: subscriptions and filters of one customer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import forget_tenant, merge_tenant
from destinations.outcome import Outcome
from destinations.store import SqliteStore, Tenant, Tenants, broken_rules

Command = Callable[..., Any]
Write = Callable[[str, Any], Path]

CALLS = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "API Called"',
    "mapping": {"featureId": "api-calls"},
}
OWN = {"subscriptions": [CALLS]}
EVENT = {
    "type": "track",
    "event": "API Called",
    "userId": "u1",
    "messageId": "m1",
    "timestamp": "2026-01-01T00:00:00Z",
    "properties": {"delta": 2, "email": "ann@example.com"},
}


@pytest.fixture
def tenant(store: SqliteStore, add_tenant: Callable[..., Tenant]) -> Tenant:
    """A customer of the destination ``kana``."""
    return add_tenant(store, "key-a", "kana")


@pytest.fixture
def config(store: SqliteStore, write: Write) -> Path:
    """A server whose customers have no emails in their events, as all do that have no other."""
    kana = {
        "name": "kana",
        "destination": "kana",
        "receiver": {"tenants": {"key": "apiKey"}},
        "filters": [{"blockProperties": ["email"]}],
    }
    served = {"store": {"path": str(store.path)}, "destinations": [kana]}
    return write("serve.json", {**served, "sealing": {"key": {"env": "SEALING_KEY"}}})


def _kept(store: SqliteStore) -> list[str | None]:
    return [one.connection for one in Tenants(store.database).all()]


def test_connect_and_remove(
    command: Command, write: Write, store: SqliteStore, tenant: Tenant, config: Path
) -> None:
    """It is shown with its version, and without it the default is used again."""
    file = write("own.json", OWN)
    done = command("tenants", "connect", tenant.id, file, "--config", config)
    assert done.code == 0, done.err
    (version,) = _kept(store)
    assert version is not None
    assert f"{tenant.id} of kana has the connection {version} now." in done.out
    shown = command("tenants", "show", tenant.id, "--store", store.path)
    assert f"connection:         {version}, its own since" in shown.out
    found = command("tenants", "show", tenant.id, "--store", store.path, "--json").json
    assert (found["connection"], found["connection_data"]) == (version, OWN)
    listed = command("tenants", "list", "--store", store.path)
    assert listed.out.splitlines()[1].endswith("connection")
    assert listed.out.splitlines()[2].endswith(version)
    assert broken_rules(store.database) == []
    removed = command("tenants", "connect", tenant.id, "--remove", "--store", store.path)
    assert "has the default connection now" in removed.out
    assert _kept(store) == [None]
    again = command("tenants", "connect", tenant.id, "--remove", "--store", store.path)
    assert (again.code, "has no connection of its own" in again.out) == (0, True)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"subscriptions": [{**CALLS, "partnerAction": "trakc"}]}, "did you mean track?"),
        ({"subscriptions": [{**CALLS, "subscribe": "type == 1"}]}, "/subscriptions/0/subscribe"),
        ({"subscriptions": [CALLS, {**CALLS, "name": "All"}]}, "'All' overlaps with 'Calls'"),
        ({"filters": [{"drop": "x = ="}]}, "/filters/0/drop"),
        ({"subscription": []}, "/subscription: is not a key here"),
    ],
)
def test_what_does_not_fit(  # noqa: PLR0917 - fixtures
    command: Command,
    write: Write,
    store: SqliteStore,
    tenant: Tenant,
    config: Path,
    own: Any,
    message: str,
) -> None:
    """It is refused with file, line and place, before anything is kept: exit code 2."""
    file = write("own.json", json.dumps(own, indent=1))
    done = command("tenants", "connect", tenant.id, file, "--config", config)
    assert done.code == 2
    assert f"{file}:" in done.err
    assert message in done.err
    assert _kept(store) == [None]


def test_wrong_usage(command: Command, write: Write, store: SqliteStore, tenant: Tenant) -> None:
    """Either a file or --remove; a destination that is not in the configuration is said."""
    for given in ((), (write("own.json", OWN), "--remove")):
        done = command("tenants", "connect", tenant.id, *given, "--store", store.path)
        assert (done.code, "expected either FILE or --remove" in done.err) == (2, True)


def test_explain(command: Command, write: Write, tenant: Tenant, config: Path) -> None:
    """It shows the tenant's own subscriptions, and of the default what it does not have."""
    event = write("event.json", EVENT)
    command("tenants", "connect", tenant.id, write("own.json", OWN), "--config", config)
    asked = ("explain", event, "--config", config, "--json")
    (own,) = command(*asked, "--tenant", tenant.id).json["subscriptions"]
    names = [one["name"] for one in command(*asked).json["subscriptions"]]
    assert (own["name"], own["payload"]["featureId"]) == ("Calls", "api-calls")
    assert names == ["Create and update users", "Record usage"]
    nobody = command(*asked, "--tenant", "nobody")
    assert (nobody.code, "unknown tenant 'nobody'" in nobody.err) == (2, True)
    assert "use --config" in command("explain", "kana", event, "--tenant", "x").err


def test_replay(
    command: Command,
    write: Write,
    store: SqliteStore,
    tenant: Tenant,
    config: Path,
    add_delivery: Callable[..., int],
) -> None:
    """What failed is planned again by the tenant's own connection."""
    delivery = add_delivery(
        store,
        EVENT,
        scope=tenant.scope,
        status=Outcome.UNMAPPED,
        subscription="Calls",
        action="track",
    )
    command("tenants", "connect", tenant.id, write("own.json", OWN), "--config", config)
    asked = ("deliveries", "replay", str(delivery), "--config", config, "--dry-run", "--json")
    (one,) = command(*asked).json["deliveries"]
    assert one["today"]["payload"]["featureId"] == "api-calls"


def test_forget_and_merge(
    command: Command,
    write: Write,
    store: SqliteStore,
    add_tenant: Callable[..., Tenant],
    config: Path,
) -> None:
    """It goes with the tenant; a merged one's goes on, unless the other has its own."""
    gone, kept, other = (add_tenant(store, f"key-{one}", "kana") for one in "abc")
    file, second = write("own.json", OWN), write("second.json", {"filters": [{"sample": 0.5}]})
    command("tenants", "connect", gone.id, file, "--config", config)
    command("tenants", "connect", other.id, second, "--config", config)
    (version, _, of_other) = _kept(store)
    merge_tenant(store, gone, kept, 2_000.0)
    assert _kept(store) == [version, of_other]
    (into,) = (one for one in Tenants(store.database).all() if one.id == kept.id)
    merge_tenant(store, into, other, 3_000.0)
    assert _kept(store) == [of_other]
    (last,) = Tenants(store.database).all()
    forget_tenant(store, last, 4_000.0)
    assert store.notes_with_prefix("connection:") == {}
    assert broken_rules(store.database) == []


def test_the_check_of_a_store(store: SqliteStore, tenant: Tenant) -> None:
    """A connection of nobody, or without its content, is found."""
    own = {"data": {}, "version": "1", "at": 0.0, "fault": ""}
    store.note({"connection:kana/nobody": own})
    ((rule, found),) = broken_rules(store.database)
    assert rule == "every connection of a tenant must belong to one, and have its version"
    assert "connection:kana/nobody" in found
    store.forget("connection:kana/nobody")
    store.note({f"connection:{tenant.scope.full_name}": {**own, "data": None}})
    assert len(broken_rules(store.database)) == 1
    store.forget(f"connection:{tenant.scope.full_name}")
