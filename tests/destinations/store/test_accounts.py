from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.pipeline.queue import Scope
from destinations.runtime.account_identity import AccountIdentity, identity_of
from destinations.runtime.destination import Destination
from destinations.store import Accounts, KnownAccount, SqliteStore, broken_rules
from tests.stores import AnyStore, OpenStore, few_in_postgres

URL = "http://127.0.0.1:9/graphql"


@pytest.fixture
def accounts(store: AnyStore) -> Accounts:
    """The accounts of an empty store."""
    return store.accounts()


def _identity(
    key: str = "key",
    name: str | None = None,
    *,
    endpoint: str = URL,
    environment: str = "",
    slug: str = "sample",
) -> AccountIdentity:
    return AccountIdentity(slug, endpoint, environment, key, name)


def _id(found: KnownAccount | None) -> int | None:
    return None if found is None else found.id


# -- which account it is ---------------------------------------------------------------------------


def test_an_account_is_found_again(accounts: Accounts) -> None:
    """By the same credentials at the same endpoint; nothing is before it is noted."""
    assert accounts.find(_identity()) is None
    account = accounts.add(_identity())
    assert accounts.find(_identity()) == KnownAccount(account, "sample", None, URL, "")
    assert accounts.get(account) == accounts.find(_identity())


def test_an_account_that_was_nowhere(accounts: Accounts) -> None:
    """One whose requests each said their own address is known by its credentials, and moves."""
    nowhere, other = _identity(endpoint="None"), _identity("another key", endpoint="None")
    account, others = accounts.add(nowhere), accounts.add(other)
    assert _id(accounts.find(_identity())) == account
    assert accounts.find(_identity("a third key")) is None
    assert accounts.find(_identity(slug="elsewhere")) is None
    accounts.use(account, _identity())
    assert accounts.get(account).endpoint == URL
    assert _id(accounts.find(_identity())) == account
    assert _id(accounts.find(other)) == others
    assert accounts.get(others).endpoint == "None"


@few_in_postgres("LOCALHOST", "apiKey")
@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ({}, True),
        ({"endpoint": "http://LOCALHOST:9/graphql/"}, True),
        ({"endpoint": "HTTP://[::1]:9/graphql"}, True),
        ({"endpoint": "http://127.0.0.1:10/graphql"}, False),
        ({"endpoint": "http://127.0.0.1:9/"}, False),
        ({"endpoint": "https://127.0.0.1:9/graphql"}, False),
        ({"endpoint": "http://a.example.com:9/graphql"}, False),
        ({"apiKey": "sk_test_9876543210"}, False),
    ],
    ids=str,
)
def test_spellings_of_one_endpoint(
    accounts: Accounts, bind: Callable[..., Destination], other: dict[str, Any], *, is_same: bool
) -> None:
    """However its URL is written it is the same; elsewhere, or with another key, it is not."""
    account = accounts.add(identity_of(bind()))
    found = accounts.find(identity_of(bind(**other)))
    assert (_id(found) == account) is is_same


@few_in_postgres
@pytest.mark.parametrize(
    "other",
    [
        _identity("other key"),
        _identity(endpoint="http://b/"),
        _identity(environment="live"),
        _identity(slug="other"),
    ],
    ids=str,
)
def test_what_makes_another_account(accounts: Accounts, other: AccountIdentity) -> None:
    """Nothing of one is ever taken for another's."""
    account = accounts.add(_identity())
    assert accounts.find(other) is None
    second = accounts.add(other)
    assert second != account
    assert (_id(accounts.find(_identity())), _id(accounts.find(other))) == (account, second)
    assert accounts.run("sample", account) != accounts.run("sample", second)


def test_several_keys_of_one_account(accounts: Accounts) -> None:
    """Each of them is the account's, in any order; one that is not noted is not."""
    account = accounts.add(_identity("old"))
    accounts.use(account, _identity("new"))
    accounts.use(account, _identity("new"))
    found = [_id(accounts.find(_identity(key))) for key in ("old", "new", "old", "third")]
    assert found == [account, account, account, None]
    assert [one.id for one in accounts.at(_identity("third"))] == [account]


def test_accounts_at_one_endpoint(accounts: Accounts) -> None:
    """All of them are told, in the order in which they were noted; those elsewhere are not."""
    ids = [accounts.add(_identity(key)) for key in ("a", "b")]
    accounts.add(_identity("c", endpoint="http://b/"))
    accounts.add(_identity("c", slug="other"))
    assert [one.id for one in accounts.at(_identity("new"))] == ids
    assert len(accounts.of_slug("sample")) == 3
    assert [one.slug for one in accounts.of_slug("other")] == ["other"]


# -- names -----------------------------------------------------------------------------------------


def test_a_name_is_the_account(accounts: Accounts) -> None:
    """Whatever its endpoint and its key are by then: the operator says that it is the same."""
    account = accounts.add(_identity("key", "main"))
    for later in (
        _identity("key", "main"),
        _identity("new key", "main"),
        _identity("new key", "main", endpoint="http://b/"),
    ):
        assert _id(accounts.find(later)) == account
    assert accounts.find(_identity("key", "main", slug="other")) is None
    assert _id(accounts.find(_identity("key"))) == account  # the key alone is enough


def test_an_account_gets_a_name(accounts: Accounts) -> None:
    """One that had none gets it when it is used with one, and keeps it."""
    account = accounts.add(_identity())
    assert _id(accounts.find(_identity(name="main"))) == account
    accounts.use(account, _identity(name="main"))
    assert accounts.get(account).name == "main"
    accounts.use(account, _identity())
    accounts.use(account, _identity("new key", "other"))
    assert accounts.get(account).name == "main"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_name_with_the_credentials_of_another(accounts: Accounts, *, is_known: bool) -> None:
    """It is refused, as the events of one would get into the other: also where both are known."""
    first = accounts.add(_identity("key of one", "one"))
    if is_known:
        accounts.add(_identity("key of two", "two"))
    message = "these credentials are those of the account 'one', not of 'two'"
    with pytest.raises(UsageError, match=message):
        accounts.find(_identity("key of one", "two"))
    assert _id(accounts.find(_identity("key of one", "one"))) == first
    # Elsewhere the same key may be another account's.
    found = accounts.find(_identity("key of one", "two", endpoint="http://b/"))
    assert (found is not None) is is_known


def test_a_key_of_two_accounts(accounts: Accounts) -> None:
    """Where an operator has said that it is of both, the name tells which is meant."""
    first = accounts.add(_identity("a", "one"))
    second = accounts.add(_identity("b", "two"))
    accounts.use(second, _identity("a"))
    assert _id(accounts.find(_identity("a", "one"))) == first
    assert _id(accounts.find(_identity("a", "two"))) == second


@few_in_postgres("main-", "None-live")
@pytest.mark.parametrize(
    ("name", "environment", "shown"),
    [
        ("main", "live", "main"),
        (None, "live", f"{URL} (live environment), unnamed-1"),
        (None, "", f"{URL}, unnamed-1"),
    ],
)
def test_what_an_account_is_called(
    accounts: Accounts, name: str | None, environment: str, shown: str
) -> None:
    """By its name, else by endpoint and environment and a number, which stays."""
    account = accounts.add(_identity("key", name, environment=environment))
    other = accounts.add(_identity("another key", environment=environment))
    assert accounts.get(account).shown == shown != accounts.get(other).shown
    assert accounts.get(account).label == (name or "unnamed-1")


def test_an_account_by_its_label(accounts: Accounts) -> None:
    """It is chosen by it, with its key or a new one, and has no name from then on either."""
    first, second = accounts.add(_identity("a")), accounts.add(_identity("b"))
    for key in ("b", "new"):
        identity = _identity(key, "unnamed-2")
        assert _id(accounts.find(identity)) == second
        accounts.use(second, identity)
    assert (accounts.get(second).name, accounts.get(second).label) == (None, "unnamed-2")
    assert _id(accounts.find(_identity("new"))) == second
    assert _id(accounts.find(_identity("a", "unnamed-1"))) == first


@few_in_postgres
@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        ("a", "unnamed-2", "these credentials are those of the account 'unnamed-1', not of"),
        ("new", "unnamed-9", "unknown account 'unnamed-9': .* of which there are: unnamed-1"),
        ("new", "unnamed-3", "unknown account 'unnamed-3'"),
    ],
)
def test_a_label_that_cannot_be(accounts: Accounts, key: str, name: str, message: str) -> None:
    """It is no name to be given, nor that of an account which has one, nor of another's key."""
    accounts.add(_identity("a"))
    accounts.add(_identity("b"))
    accounts.add(_identity("c", "main"))
    with pytest.raises(UsageError, match=message):
        accounts.find(_identity(key, name))


# -- of earlier versions ---------------------------------------------------------------------------


def _of_earlier_version(store: AnyStore, environment: str = "") -> int:
    """An account as the migration makes it: without credentials."""
    with store.database.transaction() as connection:
        row = connection.execute(
            "INSERT INTO partner_accounts (slug, endpoint, environment, noted_at)"
            " VALUES ('sample', ?, ?, 0) RETURNING id",
            (URL, environment),
        ).fetchone()
    return int(row[0])


def test_an_account_that_noted_no_credentials(store: AnyStore, accounts: Accounts) -> None:
    """It is whose key is used first there; from then on another key is another account's."""
    account = _of_earlier_version(store)
    other = _of_earlier_version(store, "live")
    for key in ("a", "b"):
        assert _id(accounts.find(_identity(key))) == account
    assert _id(accounts.find(_identity("a", environment="live"))) == other
    accounts.use(account, _identity("a"))
    assert _id(accounts.find(_identity("a"))) == account
    assert accounts.find(_identity("b")) is None


def test_two_that_noted_no_credentials(store: AnyStore, accounts: Accounts) -> None:
    """Nobody can tell which of them it is."""
    _of_earlier_version(store)
    _of_earlier_version(store)
    assert accounts.find(_identity("a")) is None


# -- secrets ---------------------------------------------------------------------------------------


def test_credentials_are_not_in_the_file(tmp_path: Path) -> None:
    """Only digests of them, which are others in each store, so that no list of them tells more."""
    digests = []
    for name in ("one", "two"):
        with SqliteStore(tmp_path / name) as store:
            store.accounts().add(_identity("sk_live_very_secret"))
            digests += store.database.all("SELECT digest FROM credentials")
        assert b"very_secret" not in (tmp_path / name).read_bytes()
    assert len(set(digests)) == 2


@pytest.mark.parametrize("key", ["", "ü", "\ud800", "x" * 10_000])
def test_any_credentials(accounts: Accounts, key: str) -> None:
    """Whatever they are, they are found again."""
    account = accounts.add(_identity(key))
    assert _id(accounts.find(_identity(key))) == account
    assert accounts.find(_identity(f"{key} ")) is None


def test_a_store_that_is_only_read(store: AnyStore, open_store: OpenStore) -> None:
    """An account is found in it; one that is not there is not, also where none was ever noted."""
    with open_store(read_only=True) as read:
        assert read.accounts().find(_identity()) is None
    account = store.accounts().add(_identity())
    with open_store(read_only=True) as read:
        assert _id(read.accounts().find(_identity())) == account
        assert read.accounts().scope_of_runs(account) is None


# -- scopes ----------------------------------------------------------------------------------------


def test_the_scope_of_runs(accounts: Accounts) -> None:
    """One for each account, made when it is asked for."""
    first, second = accounts.add(_identity("a")), accounts.add(_identity("b"))
    assert accounts.scope_of_runs(first) is None
    scope = accounts.run("sample", first)
    assert scope.name == "sample"
    assert accounts.run("sample", first) == scope == accounts.scope_of_runs(first)
    assert accounts.run("sample", second) != scope
    assert accounts.scope_of_runs(99) is None


def test_the_scopes_of_a_server(store: AnyStore, accounts: Accounts) -> None:
    """One for each name in its configuration, apart from that of runs, also of one account."""
    one, two = accounts.served("one", _identity()), accounts.served("two", _identity())
    (account,) = accounts.of_slug("sample")
    run = accounts.run("sample", account.id)
    assert len({one, two, run}) == 3
    assert (one.name, two.name) == ("one", "two")
    assert accounts.served("one", _identity()) == one
    totals = {total.id: total for total in store.ledger().totals(0.0)}
    assert {total.partner_account for total in totals.values()} == {account.id}
    assert [totals[scope.id].served for scope in (one, two, run)] == [True, True, False]
    assert broken_rules(store.database) == []


def _account_of(store: AnyStore, scope: Scope) -> int | None:
    (found,) = [one for one in store.ledger().totals(0.0) if one.id == scope.id]
    return found.partner_account


def test_a_server_with_a_new_key(store: AnyStore, accounts: Accounts) -> None:
    """At the same endpoint its destination is the account that it was, with its queue."""
    scope = accounts.served("sample", _identity("old"))
    account = _account_of(store, scope)
    assert accounts.served("sample", _identity("new")) == scope
    assert _account_of(store, scope) == account
    assert _id(accounts.find(_identity("old"))) == _id(accounts.find(_identity("new"))) == account
    # Not so a destination of another name, which may be another customer's.
    other = accounts.served("other", _identity("third"))
    assert _account_of(store, other) != account


def test_a_server_at_another_endpoint(store: AnyStore, accounts: Accounts) -> None:
    """Its destination is another account from then on; what waits stays in its queue."""
    scope = accounts.served("sample", _identity("old"))
    account = _account_of(store, scope)
    assert accounts.served("sample", _identity("old", endpoint="http://b/")) == scope
    assert _account_of(store, scope) != account


def test_a_server_whose_account_gets_a_name(store: AnyStore, accounts: Accounts) -> None:
    """It stays the same account, with a new key as well; another name is another account."""
    scope = accounts.served("sample", _identity("old"))
    account = _account_of(store, scope)
    accounts.served("sample", _identity("new", "main"))
    assert _account_of(store, scope) == account
    assert accounts.get(account or 0).name == "main"
    accounts.served("sample", _identity("third", "other"))
    assert _account_of(store, scope) != account
    with pytest.raises(UsageError, match="those of the account 'main', not of 'other'"):
        accounts.served("sample", _identity("old", "other"))


# -- where it is -----------------------------------------------------------------------------------


def test_an_endpoint_in_another_spelling(accounts: Accounts) -> None:
    """One that an earlier version noted as it was written is still the same place."""
    account = accounts.add(_identity(endpoint="http://127.0.0.1:9//x/../%67raphql"))
    assert _id(accounts.find(_identity())) == account
    assert [one.id for one in accounts.at(_identity("new key"))] == [account]


def test_an_account_that_moves(accounts: Accounts) -> None:
    """Its credentials are known elsewhere until it has moved; then they are new where it was."""
    account, there = accounts.add(_identity()), _identity(endpoint="http://127.0.0.1:10/graphql")
    accounts.add(_identity("another key"))
    accounts.add(_identity(slug="other"))
    assert accounts.find(there) is None
    assert [one.id for one in accounts.elsewhere(there)] == [account]
    assert list(accounts.elsewhere(_identity())) == []
    accounts.move(account, there)
    assert _id(accounts.find(there)) == account
    assert accounts.get(account).endpoint == there.endpoint
    assert accounts.find(_identity()) is None
    assert [one.id for one in accounts.elsewhere(_identity())] == [account]
