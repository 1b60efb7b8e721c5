"""Whose data it is: accounts at partners, and the scopes that deliveries belong to."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from destinations.errors import UsageError
from destinations.pipeline.queue import Scope
from destinations.runtime.account_identity import AccountIdentity, normalised
from destinations.secrets import shown_url
from destinations.store.connection import Database

__all__ = ["Accounts", "KnownAccount", "account_label", "check_label", "shown_account"]

_SALT_BYTES: Final = 16

_SAME: Final = """
    SELECT account.id FROM partner_accounts AS account
    JOIN credentials ON credentials.partner_account = account.id
    WHERE digest = ? AND slug = ? AND coalesce(name, '') = coalesce(CAST(? AS TEXT), '')
        AND endpoint = ? AND environment = ? ORDER BY account.id LIMIT 1
"""
_UNNAMED: Final = "unnamed-"
_NO_ENDPOINT: Final = "None"
"""What earlier versions noted where each request of a definition said its own address."""


def shown_account(number: int | None, name: str | None, endpoint: str, environment: str) -> str:
    """Return an account as operators know it: its name, or else its endpoint and label.

    There may be several without a name at one place. The values in the query of a URL are masked.
    """
    if name or number is None:
        return name or ""
    endpoint = shown_url(endpoint)
    place = f"{endpoint} ({environment} environment)" if environment else endpoint
    return f"{place}, {account_label(number, name)}"


def account_label(number: int | None, name: str | None) -> str:
    """Return the name of an account, or what stands for it: ``unnamed-`` and its number."""
    return name or ("" if number is None else f"{_UNNAMED}{number}")


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account at a partner that a store knows; ``name`` is what an operator called it.

    ``since`` is when it was first used, in seconds since 1970, UTC.
    """

    id: int
    slug: str
    name: str | None
    endpoint: str
    environment: str
    since: float = field(default=0.0, compare=False)

    @property
    def shown(self) -> str:
        """The name that is shown to operators."""
        return shown_account(self.id, self.name, self.endpoint, self.environment)

    @property
    def label(self) -> str:
        """The name that selects it on the command line."""
        return account_label(self.id, self.name)


class Accounts:
    """The accounts and scopes of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, identity: AccountIdentity) -> KnownAccount | None:
        """Return the account that ``identity`` is of, if the store knows it.

        That is the one of its name, else the one of its endpoint, environment and credentials. One
        of an earlier version, which noted no credentials, is taken by any credentials if it is the
        only one there. Raises `UsageError` for a name whose credentials are those of an account
        with another name, and for a label (see `account_label`) of no account.
        """
        found = self._of_credentials(identity)
        if identity.name is None:
            return found
        if _is_label(identity.name):
            return self._unnamed(identity, found)
        named = self._where("slug = ? AND name = ?", identity.slug, identity.name)
        is_named = named and named[0].id in self._owners(identity)
        if found is not None and found.name not in {None, identity.name} and not is_named:
            msg = (
                f"these credentials are those of the account {found.name!r}, not of "
                f"{identity.name!r}: use that name, or other credentials"
            )
            raise UsageError(msg)
        return named[0] if named else found

    def _unnamed(self, identity: AccountIdentity, found: KnownAccount | None) -> KnownAccount:
        """Return the account of a label; ``found`` is the one of the credentials."""
        unnamed = {one.label: one for one in self.of_slug(identity.slug) if one.name is None}
        check_label(identity.name, list(unnamed))
        wanted = unnamed[identity.name or ""]
        if found is not None and found.id != wanted.id:
            msg = (
                f"these credentials are those of the account {found.label!r}, not of "
                f"{wanted.label!r}: use that name, or other credentials"
            )
            raise UsageError(msg)
        return wanted

    def _of_credentials(self, identity: AccountIdentity) -> KnownAccount | None:
        owners = self._owners(identity)
        known = self.at(identity)
        found = next((one for one in known if one.id in owners), None)
        if found is None and identity.endpoint != _NO_ENDPOINT:
            nowhere = self.at(replace(identity, endpoint=_NO_ENDPOINT))
            found = next((one for one in nowhere if one.id in owners), None)
        if found is None and len(known) == 1 and known[0].name is None:
            return None if self._has_credentials(known[0]) else known[0]
        return found

    def _owners(self, identity: AccountIdentity) -> set[int]:
        """Return the accounts that have these credentials, wherever they are."""
        query = "SELECT partner_account FROM credentials WHERE digest = ?"
        return {owner for (owner,) in self._database.all(query, (self._digest(identity),))}

    def at(self, identity: AccountIdentity) -> Sequence[KnownAccount]:
        """Return the accounts of the same destination at the same endpoint and environment.

        An earlier version may have noted the endpoint in another spelling.
        """
        known = self._where("slug = ? AND environment = ?", identity.slug, identity.environment)
        endpoint = identity.endpoint
        return [one for one in known if endpoint in {one.endpoint, normalised(one.endpoint)}]

    def elsewhere(self, identity: AccountIdentity) -> Sequence[KnownAccount]:
        """Return the accounts of the same destination and credentials at other endpoints."""
        owners, here = self._owners(identity), self.at(identity)
        return [one for one in self.of_slug(identity.slug) if one.id in owners and one not in here]

    def has_something(self, account: int) -> bool:
        """Return whether anything was ever kept of an account, or a server delivers to it.

        If not, its credentials may be a typing error that the partner has refused.
        """
        query = """
            SELECT EXISTS (SELECT 1 FROM scopes WHERE partner_account = ?1 AND served)
            OR EXISTS (
                SELECT 1 FROM tallies JOIN scopes ON scopes.id = tallies.scope
                WHERE partner_account = ?1
            )
            OR EXISTS (SELECT 1 FROM manual_changes WHERE partner_account = ?1)
        """
        row = self._database.one(query, (account,))
        return bool(row and row[0])

    def add(self, identity: AccountIdentity) -> int:
        """Note a new account with its credentials; returns its id.

        That of the same one, if another process has just noted it.
        """
        digest = self._digest(identity)
        same = (identity.slug, identity.name, identity.endpoint, identity.environment)
        with self._database.transaction() as connection:
            known = connection.execute(_SAME, (digest, *same)).fetchone()
            if known is not None:
                return int(known[0])
            done = connection.execute(
                "INSERT INTO partner_accounts (slug, name, endpoint, environment, noted_at)"
                " VALUES (?, ?, ?, ?, ?) RETURNING id",
                (
                    *(identity.slug, identity.name, identity.endpoint, identity.environment),
                    time.time(),
                ),
            )
            (account,) = done.fetchone()
            connection.execute("INSERT INTO credentials VALUES (?, ?)", (digest, account))
        return int(account)

    def use(self, account: int, identity: AccountIdentity) -> None:
        """Note that an account has these credentials, too, and the name if it had none.

        Its endpoint is noted as well, where an earlier version noted none.
        """
        name = None if identity.name is None or _is_label(identity.name) else identity.name
        digest = self._digest(identity)
        if self.get(account).endpoint == _NO_ENDPOINT != identity.endpoint:
            with self._database.transaction() as connection:
                connection.execute(
                    "UPDATE partner_accounts SET endpoint = ? WHERE id = ?",
                    (identity.endpoint, account),
                )
        known = self._database.one(
            "SELECT name FROM partner_accounts JOIN credentials ON partner_account = id"
            " WHERE digest = ? AND id = ?",
            (digest, account),
        )
        if known is None or known[0] != name:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO credentials VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (digest, account),
                )
                connection.execute(
                    "UPDATE partner_accounts SET name = coalesce(name, ?) WHERE id = ?",
                    (name, account),
                )

    def move(self, account: int, identity: AccountIdentity) -> None:
        """Note that an account is at another endpoint now."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE partner_accounts SET endpoint = ?, environment = ? WHERE id = ?",
                (identity.endpoint, identity.environment, account),
            )
        self.use(account, identity)

    def served(self, destination: str, identity: AccountIdentity) -> Scope:
        """Return the scope of a server's destination, by its name in the configuration.

        Its account is as `of_served` says, or a new one.
        """
        found = self.of_served(destination, identity)
        if found is None:
            account = self.add(identity)
        else:
            account = found.id
            self.use(account, identity)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO scopes (destination, served, partner_account) VALUES (?, TRUE, ?)"
                " ON CONFLICT (destination, tenant) WHERE served DO UPDATE SET"
                " partner_account = excluded.partner_account",
                (destination, account),
            )
            (scope,) = connection.execute(
                "SELECT id FROM scopes WHERE destination = ? AND tenant = '' AND served",
                (destination,),
            ).fetchone()
        return Scope(scope, destination)

    def of_source(self, name: str) -> Scope:
        """Return the scope of a source, by its name in the configuration; it may be new."""
        query = "SELECT id FROM scopes WHERE destination = ? AND is_source"
        row = self._database.one(query, (name,))
        if row is None:
            with self._database.transaction() as connection:
                row = connection.execute(
                    "INSERT INTO scopes (destination, served, is_source) VALUES (?, FALSE, TRUE)"
                    " ON CONFLICT DO NOTHING RETURNING id",
                    (name,),
                ).fetchone()
            row = row or self._database.one(query, (name,))  # another process was faster
        assert row is not None  # noqa: S101 - it was written
        return Scope(int(row[0]), name)

    def of_tenant(self, destination: str, tenant: str, identity: AccountIdentity) -> Scope:
        """Return the scope of a tenant of a server's destination, which may be new.

        Its account is that of the credentials in ``identity``, wherever they were used, else a new
        one.
        """
        query = "SELECT id FROM scopes WHERE destination = ? AND tenant = ? AND served"
        row = self._database.one(query, (destination, tenant))
        if row is not None:
            return Scope(row[0], destination, tenant)
        owners = [self.get(one) for one in self._owners(identity)]
        found = [one for one in owners if one.slug == identity.slug]
        account = found[0].id if found else self.add(identity)
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO scopes (destination, tenant, served, partner_account)"
                " VALUES (?, ?, TRUE, ?) ON CONFLICT DO NOTHING RETURNING id",
                (destination, tenant, account),
            ).fetchone()
        row = row or self._database.one(query, (destination, tenant))  # another one was faster
        assert row is not None  # noqa: S101 - it was written
        return Scope(int(row[0]), destination, tenant)

    def of_served(self, destination: str, identity: AccountIdentity) -> KnownAccount | None:
        """Return the account of a server's destination by its name; None if it is a new one.

        With other credentials at the same endpoint it is the account that it was before.
        """
        found = self.find(identity)
        before = self._database.one(
            "SELECT partner_account FROM scopes WHERE destination = ? AND tenant = '' AND served",
            (destination,),
        )
        same = [one for one in self.at(identity) if before is not None and one.id == before[0]]
        if found is None and same and same[0].name in {None, identity.name}:
            found = same[0]
        return found

    def served_names(self) -> Sequence[str]:
        """Return the names of all destinations that servers had, sorted."""
        query = "SELECT DISTINCT destination FROM scopes WHERE served ORDER BY destination"
        return [name for (name,) in self._database.all(query)]

    def served_by(self, account: int) -> Sequence[Scope]:
        """Return the scopes of servers' destinations that deliver to an account, by name."""
        rows = self._database.all(
            "SELECT id, destination, tenant FROM scopes WHERE served AND partner_account = ?"
            " ORDER BY destination, tenant",
            (account,),
        )
        return [Scope(*row) for row in rows]

    def get(self, account: int) -> KnownAccount:
        """Return an account by its id."""
        return self._where("id = ?", account)[0]

    def of_scope(self, scope: Scope) -> KnownAccount:
        """Return the account to which the deliveries of a scope go."""
        condition = "id = (SELECT partner_account FROM scopes WHERE scopes.id = ?)"
        return self._where(condition, scope.id)[0]

    def of_slug(self, slug: str) -> Sequence[KnownAccount]:
        """Return all accounts of a destination."""
        return self._where("slug = ?", slug)

    def run(self, slug: str, account: int) -> Scope:
        """Return the scope of the runs of an account."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT id FROM scopes WHERE NOT served AND partner_account = ?", (account,)
            ).fetchone()
            if row is None:
                row = connection.execute(
                    "INSERT INTO scopes (destination, served, partner_account) VALUES (?, FALSE, ?)"
                    " RETURNING id",
                    (slug, account),
                ).fetchone()
        return Scope(row[0], slug)

    def scopes_of(self, account: int) -> Sequence[int]:
        """Return the ids of all scopes of an account: of servers, of tenants and of runs."""
        query = "SELECT id FROM scopes WHERE partner_account = ? ORDER BY id"
        return [scope for (scope,) in self._database.all(query, (account,))]

    def scopes(self) -> Sequence[Scope]:
        """Return all scopes, those of servers and those of runs."""
        return [
            Scope(*row)
            for row in self._database.all("SELECT id, destination, tenant FROM scopes ORDER BY id")
        ]

    def scope_of_runs(self, account: int) -> Scope | None:
        """Return the scope of the runs of an account; None if there were none."""
        row = self._database.one(
            "SELECT id, destination FROM scopes WHERE NOT served AND partner_account = ?",
            (account,),
        )
        return None if row is None else Scope(*row)

    def _where(self, condition: str, *values: str | int) -> Sequence[KnownAccount]:
        rows = self._database.all(
            "SELECT id, slug, name, endpoint, environment, noted_at FROM partner_accounts"  # noqa: S608 - constants
            f" WHERE {condition} ORDER BY id",
            values,
        )
        return [KnownAccount(*row) for row in rows]

    def _has_credentials(self, account: KnownAccount) -> bool:
        query = "SELECT 1 FROM credentials WHERE partner_account = ? LIMIT 1"
        return self._database.one(query, (account.id,)) is not None

    def _digest(self, identity: AccountIdentity) -> bytes:
        """Return a digest of the credentials that reveals nothing: its salt is the store's."""
        return hashlib.blake2b(
            identity.credentials.encode("utf-8", "surrogatepass"), digest_size=16, key=self._salt()
        ).digest()

    def _salt(self) -> bytes:
        row = self._database.one("SELECT value FROM server WHERE name = 'salt'")
        if row is None and self._database.is_read_only:
            return b"none yet"  # nothing was noted with it
        if row is None:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO server VALUES ('salt', ?) ON CONFLICT DO NOTHING",
                    (secrets.token_hex(_SALT_BYTES),),
                )
            row = self._database.one("SELECT value FROM server WHERE name = 'salt'")
        assert row is not None  # noqa: S101 - it was written
        return bytes.fromhex(row[0])


def check_label(name: str | None, labels: Sequence[str] = ()) -> None:
    """Raise `UsageError` for a label (see `account_label`) that none of the accounts has."""
    if name is not None and _is_label(name) and name not in labels:
        shown = ", ".join(labels) or "none"
        msg = (
            f"unknown account {name!r}: names of this form stand for accounts without a name, "
            f"of which there are: {shown}"
        )
        raise UsageError(msg)


def _is_label(name: str) -> bool:
    """Return whether a name stands for an account without a name."""
    return name.startswith(_UNNAMED) and name.removeprefix(_UNNAMED).isdecimal()
