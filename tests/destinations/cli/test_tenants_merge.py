"""``destinations tenants merge``: a customer got a new key, so it was taken for two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.operations import asked_of_server, lock_server, tenant_changes
from destinations.outcome import ManualChange, Outcome, State, Status
from destinations.pipeline.queue import OTHERS, Balance, Drift, Recheck, Round
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import (
    RefusedEvent,
    RefusedSelection,
    SealedValues,
    Sealer,
    SealingKey,
    SqliteStore,
    Tenant,
    Tenants,
    TenantSecrets,
    TenantStore,
)

Command = Callable[..., Any]
Add = Callable[..., Any]


def _secrets(store: SqliteStore) -> TenantSecrets:
    sealed = SealedValues(store.database, Sealer(SealingKey.parse("A" * 43 + "=")))
    return TenantSecrets(store.database, sealed)


def _merge(command: Command, store: SqliteStore, *arguments: str) -> Any:
    return command("tenants", "merge", *arguments, "--yes", "--store", store.path)


@pytest.mark.parametrize("is_newer", [False, True])
def test_all_of_it_moves(
    command: Command, store: SqliteStore, add_tenant: Add, add_delivery: Add, *, is_newer: bool
) -> None:
    """Deliveries and messages, keys and names go along; the settings are those accepted last."""
    gone, kept = add_tenant(store, "key-old"), add_tenant(store, "key-new", now=2_000.0)
    if is_newer:
        Tenants(store.database).prove(gone, 3_000.0)
    statuses: list[Status] = [State.READY, State.UNKNOWN, State.HELD, *Outcome]
    for number, status in enumerate(statuses):
        add_delivery(store, scope=gone.scope, message_id=f"m{number}", status=status)
    add_delivery(store, scope=kept.scope, message_id="own")
    Tenants(store.database).call(gone, "Acme")
    done = _merge(command, store, "Acme", kept.id)
    assert done.code == 0
    assert f"Merged Acme into {kept.id}: {len(statuses)} deliveries moved." in done.out
    (only,) = Tenants(store.database).all()
    assert (only.id, only.name, only.noted_at) == (kept.id, "Acme", 1_000.0)
    ids = [*(f"m{number}" for number in range(len(statuses))), "own"]
    assert set(store.queue().history(only.scope, ids)) == set(ids)
    secrets = _secrets(store)
    assert secrets.settings(only) == {"apiKey": "key-old" if is_newer else "key-new"}
    keys = secrets.keys("sample")
    assert {keys[secrets.digest(key)] for key in ("key-old", "key-new")} == {only.scope.id}
    found = command("tenants", "show", kept.id, "--store", store.path, "--json").json
    assert found["keys"] == 2
    assert sum(found["counts"].values()) == len(statuses) + 1
    # The credentials of both are those of one account.
    accounts = store.accounts()
    for key in ("key-old", "key-new"):
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", key)
        account = accounts.find(identity)
        assert account is not None
        assert accounts.served_by(account.id) == [only.scope]


@pytest.mark.parametrize(
    ("of_gone", "of_kept", "winner"),
    [
        (Outcome.DELIVERED, Outcome.DEAD, "gone"),
        (State.READY, Outcome.INVALID, "gone"),
        (State.HELD, Outcome.REJECTED, "gone"),
        (Outcome.DELIVERED, Outcome.DELIVERED, "kept"),
        (Outcome.DEAD, Outcome.DELIVERED, "kept"),
        (Outcome.DEAD, Outcome.DEAD, "kept"),
        (Outcome.DEAD, State.READY, "kept"),
    ],
)
def test_one_message_of_both(
    command: Command,
    store: SqliteStore,
    add_tenant: Add,
    add_delivery: Add,
    *,
    of_gone: Status,
    of_kept: Status,
    winner: str,
) -> None:
    """It leads to the event that had an effect, so that a repeat does not count again."""
    gone, kept = add_tenant(store, "key-old"), add_tenant(store, "key-new")
    ids = {
        "gone": add_delivery(store, scope=gone.scope, message_id="m", status=of_gone),
        "kept": add_delivery(store, scope=kept.scope, message_id="m", status=of_kept),
    }
    _merge(command, store, gone.id, kept.id)
    found = store.queue().history(kept.scope, ["m"])["m"]
    assert found.event_id == ids[winner] // 1000


def test_what_both_have(
    command: Command, store: SqliteStore, add_tenant: Add, add_delivery: Add
) -> None:
    """INTO keeps what it has of a name; balances that both have are asked for again."""
    gone, kept = add_tenant(store, "key-old"), add_tenant(store, "key-new")
    for one, letter in ((gone, "g"), (kept, "k")):
        rules = TenantStore(store, one.id).documents("sample", "rule")
        rules.add(("both", {"of": letter}), (letter, {"of": letter}))
        answers = TenantStore(store, one.id).answers("sample at x")
        answers["both"] = answers[letter] = letter
        row = store.database.one("SELECT partner_account FROM scopes WHERE id = ?", (one.scope.id,))
        assert row is not None
        changes = [ManualChange(user, {"email": letter}) for user in ("both", letter)]
        store.manual_changes([row[0]]).note(*changes)
        raw = RefusedEvent(one.scope.id, 1.0, 400, "NOT_JSON", "no", "/", "", b"x", 1)
        store.refused().add([raw], 10, 1_000)
        delivery = add_delivery(store, scope=one.scope, status=State.HELD, user=letter)
        store.queue().commit(
            Round(
                balances={(one.scope, key): Balance("u1", 5) for key in ("both", letter)},
                rechecks={
                    (one.scope, key): Recheck("u1", "count", b"{}", 5, None, (9.0,), (delivery,))
                    for key in ("both", letter)
                },
                drifts=[
                    (one.scope, Drift(key, "u1", 1, 2, 10.0 + (letter == "g"), (delivery,)))
                    for key in ("both", letter)
                ],
            )
        )
    _merge(command, store, gone.id, kept.id)
    (only,) = Tenants(store.database).all()
    own = TenantStore(store, only.id)
    rules_now = {one.name: one.content["of"] for one in own.documents("sample", "rule").entries()}
    assert rules_now == {"both": "k", "g": "g", "k": "k"}
    assert dict(own.answers("sample at x")) == rules_now
    row = store.database.one("SELECT partner_account FROM scopes WHERE id = ?", (only.scope.id,))
    assert row is not None
    changes_now = store.manual_changes([row[0]]).entries()
    assert {user: fields["email"] for user, fields in changes_now.items()} == rules_now
    queue = store.queue()
    assert set(queue.balances(only.scope, ["both", "g", "k"])) == {"g", "k"}
    rechecks = queue.rechecks(only.scope)
    assert {key: one.amount for key, one in rechecks.items()} == {"both": None, "g": 5, "k": 5}
    assert len(rechecks["both"].deliveries) == 2
    drifts = {one.drift.key: one.drift.noticed_at for one in store.ledger().drifts()}
    assert drifts == {"both": 11.0, "g": 11.0, "k": 10.0}
    assert {one.event.scope for one in store.refused().find(RefusedSelection())} == {only.scope.id}


@pytest.mark.parametrize(
    ("gone", "kept", "code", "words"),
    [
        ("{a}", "{a}", 2, "both are the tenant {a}"),
        ("{a}", "{c}", 2, "only tenants of one destination can be merged"),
        ("nobody", "{b}", 2, "unknown tenant 'nobody'"),
        ("{a}", "nobody", 2, "unknown tenant 'nobody'"),
    ],
)
def test_what_cannot_be_merged(
    command: Command,
    store: SqliteStore,
    add_tenant: Add,
    *,
    gone: str,
    kept: str,
    code: int,
    words: str,
) -> None:
    """It is said, and nothing is changed."""
    made = (add_tenant(store, "a"), add_tenant(store, "b"), add_tenant(store, "c", "other"))
    ids: dict[str, str] = {name: one.id for name, one in zip("abc", made, strict=True)}
    both = gone.format(**ids), kept.format(**ids)
    done = _merge(command, store, *both)
    assert (done.code, words.format(**ids) in done.err) == (code, True)
    # Nobody is asked about what cannot be done.
    asked = command("tenants", "merge", *both, "--store", store.path)
    assert (asked.code, "cannot be undone" in asked.out + asked.err) == (code, False)
    assert len(Tenants(store.database).all()) == 3


@pytest.mark.parametrize("then", [None, "c"])
@pytest.mark.parametrize("text", ["{a}", "Acme", "{a:.6}"])
def test_again(
    command: Command, store: SqliteStore, add_tenant: Add, *, text: str, then: str | None
) -> None:
    """The same command a second time says that it was done, also if INTO was merged since."""
    made: dict[str, Tenant] = {key: add_tenant(store, key) for key in "abc"}
    ids = {key: one.id for key, one in made.items()}
    Tenants(store.database).call(made["a"], "Acme")
    assert _merge(command, store, ids["a"], ids["b"]).code == 0
    if then is not None:
        assert _merge(command, store, ids["b"], ids[then]).code == 0
    done = _merge(command, store, text.format(**ids), ids["b"])
    assert (done.code, done.err) == (0, "")
    assert f"{text.format(**ids)} was merged into Acme at " in done.out
    assert "nothing is left to do" in done.out
    shown = command("tenants", "show", ids["a"], "--store", store.path)
    assert (shown.code, "it was merged into Acme at " in shown.err) == (2, True)


@pytest.mark.parametrize(("gone", "kept"), [("{b}", "{a}"), ("{a}", "{c}"), ("Acme", "Acme")])
def test_another_merge_of_a_merged_one(
    command: Command, store: SqliteStore, add_tenant: Add, *, gone: str, kept: str
) -> None:
    """The other way round, into another one, or with itself: it is refused, and nothing changes."""
    made: dict[str, Tenant] = {key: add_tenant(store, key) for key in "abc"}
    ids = {key: one.id for key, one in made.items()}
    Tenants(store.database).call(made["a"], "Acme")
    assert _merge(command, store, ids["a"], ids["b"]).code == 0
    assert _merge(command, store, gone.format(**ids), kept.format(**ids)).code == 2
    assert {one.id for one in Tenants(store.database).all()} == {ids["b"], ids["c"]}


def test_unchecked_keys(command: Command, store: SqliteStore, add_tenant: Add) -> None:
    """If one proved wrong, it would take the events of the other along."""
    gone, kept = (add_tenant(store, key, is_proven=False) for key in "ab")
    done = _merge(command, store, gone.id, kept.id)
    assert (done.code, "has not accepted the key" in done.err) == (2, True)
    Tenants(store.database).prove(gone, 1.0)
    assert _merge(command, store, gone.id, kept.id).code == 0


def test_a_server_that_does_not_come_to_it(
    command: Command, store: SqliteStore, add_tenant: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends after a while, and says where to look; without a server it does it later."""
    gone, kept, other = (add_tenant(store, key) for key in "abc")
    monkeypatch.setattr(tenant_changes, "_PATIENCE", 0.0)
    with lock_server(store.path):
        for _ in range(2):
            done = _merge(command, store, gone.id, kept.id)
            assert (done.code, "handed over to the server: " in done.err) == (75, True)
        assert f"see destinations tenants show {gone.id}" in done.err
        for again in (("merge", gone.id, other.id), ("forget", gone.id)):
            done = command("tenants", *again, "--yes", "--store", store.path)
            assert (done.code, "the server is asked already" in done.err) == (75, True)
    assert len(Tenants(store.database).all()) == 3
    shown = command("tenants", "show", gone.id, "--store", store.path)
    assert f"is to be:           merged into {kept.id} once nothing of it" in shown.out
    assert _merge(command, store, gone.id, kept.id).code == 0
    assert asked_of_server(store) == []


def test_erased_users(
    command: Command, store: SqliteStore, add_tenant: Add, add_delivery: Add
) -> None:
    """Their messageIds are digests: it is said how many events will not be recognised."""
    gone, kept = add_tenant(store, "a"), add_tenant(store, "b")
    add_delivery(store, scope=gone.scope, status=Outcome.DELIVERED, user="u9")
    store.close()
    command("forget", "u9", "--everywhere", "--yes", "--store", store.path)
    done = _merge(command, store, gone.id, kept.id)
    assert done.code == 0
    assert "Not recognised if they come again: 1 event of users who were erased." in done.err


@pytest.mark.parametrize(
    ("user", "status", "asked", "is_marked"),
    [
        ("u1", Outcome.DELIVERED, -100.0, True),
        ("u1", Outcome.DELIVERED, 100.0, False),
        ("u2", Outcome.DELIVERED, -100.0, False),
        ("u1", Outcome.INVALID, -100.0, False),
        ("u1", State.UNKNOWN, 0.0, True),
        ("u1", State.READY, 0.0, False),
    ],
)
@pytest.mark.parametrize("is_of_gone", [True, False])
def test_a_balance_to_which_the_other_has_added(
    command: Command,
    store: SqliteStore,
    add_tenant: Add,
    add_delivery: Add,
    *,
    user: str,
    status: Status,
    asked: float,
    is_marked: bool,
    is_of_gone: bool,
) -> None:
    """Both are one account at the partner: a lost answer must not be taken for what that added."""
    gone, kept = add_tenant(store, "key-old"), add_tenant(store, "key-new")
    own, other = (gone, kept) if is_of_gone else (kept, gone)
    ended = {} if isinstance(status, State) else {"settled_at": 5_000.0}
    add_delivery(store, scope=other.scope, user=user, status=status, **ended)
    before = Balance("u1", 5, asked_at=5_000.0 + asked)
    store.queue().commit(Round(balances={(own.scope, "k"): before}))
    assert _merge(command, store, gone.id, kept.id).code == 0
    (only,) = Tenants(store.database).all()
    (found,) = store.queue().balances(only.scope, ["k"]).values()
    assert (found.user, found.amount) == (OTHERS if is_marked else "u1", 5)
