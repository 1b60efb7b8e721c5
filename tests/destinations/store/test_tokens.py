"""Access tokens go with the customer whose they are, unless somebody else uses them as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from destinations.oauth2 import KeptToken
from destinations.operations.tokens import StoredTokens
from destinations.store import (
    SealedValues,
    Sealer,
    SealingKey,
    Tenant,
    Tenants,
    broken_rules,
    erase_tenant,
    merge_tenants,
)
from tests.stores import AnyStore, both_kinds, open_again

AddTenant = Callable[..., Tenant]

NAME, TOKEN = "oauth2/crm/00ff", KeptToken("a", 1_000.0, 60.0, "r")


def _sealed(store: AnyStore) -> SealedValues:
    return SealedValues(store.database, Sealer(SealingKey.parse("A" * 43 + "=")))


def _keep(store: AnyStore, *owners: str, name: str = NAME) -> None:
    """Keep a token as a process does that delivers for these owners."""
    tokens = StoredTokens(store, _sealed(store))
    kept, version = tokens.load(name)
    for owner in owners:
        tokens.own(name, owner)
    if kept is None:
        assert tokens.save(name, TOKEN, version) is not None


def _notes(store: AnyStore) -> Sequence[tuple[str, str]]:
    query = "SELECT name, value FROM server WHERE substr(name, 1, 6) = 'token '"
    return store.database.all(query)


OWNERS = {
    "its own": ((("sample/{a}",),), False),
    "with another customer": ((("sample/{a}", "sample/{b}"),), True),
    "with another customer, in another process": ((("sample/{a}",), ("sample/{b}",)), True),
    "with a destination of the configuration": ((("sample/{a}",), ("",)), True),
    "of another customer": ((("sample/{b}",),), True),
}


@both_kinds
@pytest.mark.parametrize("case", OWNERS)
def test_a_customer_is_erased(store: AnyStore, add_tenant: AddTenant, case: str) -> None:
    """Its token goes with it, and what says whose it is; the token of others stays."""
    a, b = add_tenant(store, "Acme"), add_tenant(store, "Other")
    processes, stays = OWNERS[case]
    for owners in processes:
        _keep(store, *(one.format(a=a.id, b=b.id) for one in owners))
    assert erase_tenant(store.database, a) == 0
    assert (_sealed(store).get(NAME) is not None) is stays
    assert bool(_notes(store)) is stays
    assert a.id not in str(_notes(store))
    assert broken_rules(store.database) == []
    assert erase_tenant(store.database, b) == 0
    assert (_sealed(store).get(NAME) is not None) is ("configuration" in case)


@both_kinds
def test_customers_are_merged(store: AnyStore, add_tenant: AddTenant) -> None:
    """Both had a token; they go with the one that is left."""
    a, b = add_tenant(store, "Acme"), add_tenant(store, "Other", now=2_000.0)
    _keep(store, f"sample/{a.id}")
    _keep(store, f"sample/{b.id}", name="oauth2/crm/ee")
    merge_tenants(store.database, a, b, 3_000.0)
    assert broken_rules(store.database) == []
    (left,) = Tenants(store.database).all()
    assert erase_tenant(store.database, left) == 0
    assert _sealed(store).names("oauth2/") == []
    assert _notes(store) == []


@both_kinds
def test_what_is_left_is_found(store: AnyStore) -> None:
    """A token whose owner is not there is named by `store check`."""
    _keep(store, "sample/gone")
    assert broken_rules(store.database) == [
        ("every access token must have owners that are there", f"broken by token owners:{NAME}")
    ]


def test_nothing_is_written_by_who_reads(store: AnyStore) -> None:
    """A command that only reads uses the token all the same."""
    _keep(store, "sample/one")
    with open_again(store, read_only=True) as reader:
        tokens = StoredTokens(reader, _sealed(reader))
        tokens.own(NAME, "sample/two")
        assert tokens.load(NAME)[0] == TOKEN
    assert [value for _, value in _notes(store)] == ['["sample/one"]']
