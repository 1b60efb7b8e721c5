"""Keep the customers of a partner who send with keys of their own: each has a scope, and settings.

A key is recognised by a keyed digest. The key of that digest is random, made once, and sealed; so
neither the store nor a copy of it tells which keys there are, and another sealing key changes no
tenant.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import (
    Callable,
    Collection,
    Container,
    Iterable,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from destinations.errors import UsageError
from destinations.outcome import Outcome, State
from destinations.pipeline.queue import EventSettings, Scope
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.store import Documents, ManualChanges, Store
from destinations.store.accounts import Accounts
from destinations.store.codes import STATUS_CODES
from destinations.store.connection import Database
from destinations.store.erasures import Erasure, add_erasures
from destinations.store.event_settings import delete_spent_settings, sealed_name
from destinations.store.rows import DAY_MS
from destinations.store.sealing import SealedValues
from destinations.store.tenant_rows import (
    CONNECTION,
    MERGED,
    UNNAMED_ACCOUNT,
    change_notes,
    check_settled,
    erase_deliveries,
    erase_scope,
)
from destinations.store.tokens import erase_tokens

__all__ = [
    "ChangedTenants",
    "DocumentsVersion",
    "KeptConnection",
    "Tenant",
    "TenantNumbers",
    "TenantSecrets",
    "TenantStore",
    "Tenants",
    "begins_id",
    "erase_tenant",
    "erased_name",
    "latest_of",
    "settings_name",
    "tenant_name",
]

_VERSION_SECONDS: Final = 0.05
_DIGEST_KEY: Final = "tenants/digest key"
_KEY_BYTES: Final = 32
_ID_CHARACTERS: Final = 16
_LONGEST_NAME: Final = 100
_SETTINGS_CHARACTERS: Final = 32
SHORTEST_BEGINNING: Final = 4
"""The digits of an id that name a tenant at least."""

_COLUMNS: Final = (
    "scopes.id, scopes.destination, scopes.tenant, tenants.name, tenants.noted_at,"
    " tenants.proven_at, tenants.refused_since, tenants.paused_at,"
    " json_extract(connection.value, '$.version'),"
    " coalesce(json_extract(connection.value, '$.fault'), '')"
)
_ADD_KEY: Final = (
    "INSERT INTO tenant_keys (digest, destination, scope) VALUES (?, ?, ?)"
    " ON CONFLICT (digest, destination) DO UPDATE SET scope = excluded.scope"
)
_TENANTS: Final = (
    f"SELECT {_COLUMNS} FROM tenants JOIN scopes ON scopes.id = tenants.scope"  # noqa: S608 - constants
    " LEFT JOIN server AS connection"
    f" ON connection.name = '{CONNECTION}' || scopes.destination || '/' || scopes.tenant"
)


@dataclass(slots=True)
class Tenant:
    """A customer of a partner, by the scope of its events. Times are in seconds since 1970, UTC.

    ``proven_at`` is when the partner took its key last, None if it never did; ``refused_since`` is
    since when it refuses it, ``paused_at`` when an operator paused it. ``name`` is what an operator
    called it. ``connection`` is the version of a connection of its own, and ``connection_fault``
    why a server cannot use that one.
    """

    scope: Scope
    name: str | None
    noted_at: float
    proven_at: float | None = None
    refused_since: float | None = None
    paused_at: float | None = None
    connection: str | None = None
    connection_fault: str = ""

    @property
    def id(self) -> str:
        """The digest by which it is known."""
        return self.scope.tenant

    @property
    def shown(self) -> str:
        """The name that is shown to operators: the one that was given, or else the id."""
        return self.name or self.id


class KeptConnection(NamedTuple):
    """A connection of a tenant's own: its ``data``, and its version.

    ``at`` is since when it is there, in seconds since 1970; ``fault`` why it cannot be used.
    """

    data: Mapping[str, Any]
    version: str
    at: float
    fault: str = ""


class TenantNumbers(NamedTuple):
    """The numbers of a tenant: what waits, needs an operator, and was delivered today (UTC)."""

    queue: int = 0
    held: int = 0
    delivered_today: int = 0


def tenant_name(text: str) -> str:
    """Return a name for a tenant.

    Raises `UsageError` for one that is empty, too long, or like an id.
    """
    name = text.strip()
    if not name or not name.isprintable():
        raise UsageError("the name of a tenant must be visible text")
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"the name of a tenant has at most {_LONGEST_NAME} characters")
    if _is_id(name):
        raise UsageError(f"the name {name!r} has the form of a tenant's id: use another one")
    return name


def begins_id(tenant_id: str, text: str) -> bool:
    """Return whether a text is enough of the beginning of an id to name its tenant."""
    return len(text) >= SHORTEST_BEGINNING and tenant_id.startswith(text)


def _is_id(text: str) -> bool:
    return len(text) == _ID_CHARACTERS and all(one in "0123456789abcdef" for one in text)


class Tenants:
    """All tenants of a store, without their keys and settings; for operators as well."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, destination: str | None = None) -> Sequence[Tenant]:
        """Return the tenants of a destination, or of all; the oldest first."""
        where = "" if destination is None else " WHERE scopes.destination = ?"
        values = () if destination is None else (destination,)
        rows = self._database.all(f"{_TENANTS}{where} ORDER BY tenants.scope", values)
        return [_tenant(row) for row in rows]

    def get(self, destination: str, tenant_id: str) -> Tenant | None:
        """Return the tenant of a destination by its whole id; None if there is none."""
        row = self._database.one(
            f"{_TENANTS} WHERE scopes.destination = ? AND scopes.tenant = ?",
            (destination, tenant_id),
        )
        return None if row is None else _tenant(row)

    def merged(self, destination: str) -> Mapping[str, Tenant]:
        """Return what the merged tenants of a destination are part of now, by their former ids."""
        prefix = f"{MERGED}{destination}/"
        into = {
            name.removeprefix(prefix): json.loads(note)["into"]
            for name, note in self._database.all(
                "SELECT name, value FROM server WHERE substr(name, 1, ?) = ?",
                (len(prefix), prefix),
            )
        }
        there = {one.id: one for one in self.all(destination)}
        latest = {gone: latest_of(gone, into, there) for gone in into if gone not in there}
        return {gone: there[one] for gone, one in latest.items() if one in there}

    def find(self, text: str, destination: str | None = None) -> Tenant:
        """Return a tenant by its name, or by its id or the beginning of it.

        Raises `UsageError` if there is none, or more than one.
        """
        tenants = self.all(destination)
        found = [one for one in tenants if one.id == text]
        # Whoever reads a list may mean either: a name may be the beginning of another one's id.
        found = found or [one for one in tenants if one.name == text or begins_id(one.id, text)]
        if len(found) == 1:
            return found[0]
        if not found:
            short = len(text) < SHORTEST_BEGINNING and any(
                one.id.startswith(text) for one in tenants
            )
            least = f"the beginning of an id has at least {SHORTEST_BEGINNING} digits; "
            raise UsageError(
                f"unknown tenant {text!r}: {least if short else ''}destinations tenants list shows "
                "them"
            )
        shown = ", ".join(f"{one.id} of {one.scope.name}" for one in found[:5])
        # One key at several destinations has one id.
        is_one_id = len({one.id for one in found}) == 1
        way = "use --destination" if is_one_id else "use --destination or the id"
        raise UsageError(f"{len(found)} tenants are called {text!r}: {shown}; {way}")

    def call(self, tenant: Tenant, name: str | None) -> None:
        """Give a tenant a name, or take it away; raises `UsageError` if another has it."""
        if name is not None and any(
            one.name == name and one.scope.id != tenant.scope.id
            for one in self.all(tenant.scope.name)
        ):
            raise UsageError(f"another tenant of {tenant.scope.name} is called {name!r}")
        self._set(tenant, "name", name)
        tenant.name = name

    def pause(self, tenant: Tenant, at: float | None) -> None:
        """Note that a tenant is paused from then on, or with None that it is not."""
        self._set(tenant, "paused_at", at)
        tenant.paused_at = at

    def connect(self, tenant: Tenant, kept: KeptConnection | None) -> None:
        """Keep a connection of a tenant's own, or with None take it away."""
        name = CONNECTION + tenant.scope.full_name
        with self._database.transaction() as connection:
            change_notes(connection, {name: None if kept is None else kept._asdict()})
        tenant.connection = None if kept is None else kept.version
        tenant.connection_fault = "" if kept is None else kept.fault

    def connection(self, tenant: Tenant) -> KeptConnection | None:
        """Return the connection of a tenant's own; None if it has the default."""
        row = self._database.one(
            "SELECT value FROM server WHERE name = ?", (CONNECTION + tenant.scope.full_name,)
        )
        return None if row is None else KeptConnection(**json.loads(row[0]))

    def note_fault(self, tenant: Tenant, fault: str) -> None:
        """Note why the connection of a tenant cannot be used; empty if it can."""
        name = CONNECTION + tenant.scope.full_name
        with self._database.transaction() as connection:
            row = connection.execute("SELECT value FROM server WHERE name = ?", (name,)).fetchone()
            kept = None if row is None else json.loads(row[0])
            if kept is not None and kept["version"] == tenant.connection:
                change_notes(connection, {name: {**kept, "fault": fault}})
        tenant.connection_fault = fault

    def prove(self, tenant: Tenant, at: float) -> None:
        """Note that the partner took the key of a tenant."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE tenants SET proven_at = ?, refused_since = NULL WHERE scope = ?",
                (at, tenant.scope.id),
            )
        tenant.proven_at, tenant.refused_since = at, None

    def refuse(self, tenant: Tenant, at: float) -> None:
        """Note since when the partner refuses the key of a tenant."""
        self._set(tenant, "refused_since", at)
        tenant.refused_since = at

    def _set(self, tenant: Tenant, column: str, value: str | float | None) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE tenants SET {column} = ? WHERE scope = ?",  # noqa: S608 - constants
                (value, tenant.scope.id),
            )

    def numbers(self, now: float) -> Mapping[int, TenantNumbers]:
        """Return the numbers of all tenants with any, by scope; ``now`` is since 1970, UTC."""
        rows = self._database.all(
            "SELECT scope, sum(CASE WHEN status IN (?1, ?2) THEN count ELSE 0 END),"
            " sum(CASE WHEN status = ?3 THEN count ELSE 0 END),"
            " sum(CASE WHEN status = ?4 AND day = ?5 THEN count ELSE 0 END)"
            " FROM tallies WHERE scope IN (SELECT scope FROM tenants) GROUP BY scope",
            (
                *(STATUS_CODES[one] for one in (State.READY, State.UNKNOWN, State.HELD)),
                STATUS_CODES[Outcome.DELIVERED],
                round(now * 1000) // DAY_MS,
            ),
        )
        return {scope: TenantNumbers(*rest) for scope, *rest in rows}

    def count_keys(self, tenant: Tenant) -> int:
        """Return how many keys lead to a tenant."""
        query = "SELECT count(*) FROM tenant_keys WHERE scope = ?"
        row = self._database.one(query, (tenant.scope.id,))
        return 0 if row is None else int(row[0])

    def count_documents(self, tenant: Tenant) -> Mapping[str, int]:
        """Return how many documents the plugin keeps of a tenant, by kind."""
        return dict(
            self._database.all(
                "SELECT kind, count(*) FROM documents WHERE substr(destination, ?) = ?"
                " GROUP BY kind ORDER BY kind",
                (-len(tenant.id) - 1, f"/{tenant.id}"),
            )
        )

    def waiting(self, destination: str) -> Sequence[Scope]:
        """Return the scopes of tenants for whom something waits to be delivered."""
        rows = self._database.all(
            "SELECT DISTINCT scopes.id, destination, tenant FROM tallies JOIN scopes"
            " ON scopes.id = tallies.scope WHERE status IN (?, ?) AND day = 0 AND count > 0"
            " AND served AND tenant <> '' AND destination = ? ORDER BY scopes.id",
            (STATUS_CODES[State.READY], STATUS_CODES[State.UNKNOWN], destination),
        )
        return [Scope(*row) for row in rows]

    def without_account(self, destination: str) -> Collection[str]:
        """Return the ids of merged tenants whose account at the partner is not known yet."""
        prefix = f"{UNNAMED_ACCOUNT}{destination}/"
        rows = self._database.all(
            "SELECT name FROM server WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
        )
        return {name.removeprefix(prefix) for (name,) in rows}

    def held_bytes(self, tenant: Tenant) -> int:
        """Return how many bytes of payloads wait for a tenant."""
        row = self._database.one(
            "SELECT coalesce(sum(length(payload)), 0) FROM open WHERE scope = ?", (tenant.scope.id,)
        )
        return 0 if row is None else int(row[0])


class TenantSecrets:
    """The keys and settings of tenants, which are sealed."""

    def __init__(self, database: Database, sealed: SealedValues) -> None:
        self._database = database
        self._sealed = sealed
        self._hmac = hmac.new(self._made(), digestmod="sha256")

    def digest(self, key: str) -> bytes:
        """Return the digest by which a key is recognised."""
        # Each request needs one, and `hmac.digest` releases the GIL: other threads would run first.
        found = self._hmac.copy()
        found.update(key.encode("utf-8", "surrogatepass"))
        return found.digest()

    def id_of(self, text: str) -> str:
        """Return the id of the tenant with a key, or with the partner's id of its account."""
        return self.digest(text).hex()[:_ID_CHARACTERS]

    def keys(self, destination: str) -> Mapping[bytes, int]:
        """Return the scopes of a destination's tenants by the digests of their keys."""
        return dict(
            self._database.all(
                "SELECT digest, scope FROM tenant_keys WHERE destination = ?", (destination,)
            )
        )

    def settings(self, tenant: Tenant) -> Mapping[str, Any]:
        """Return the settings of a tenant; raises `UsageError` if they cannot be opened."""
        found = self._sealed.get(settings_name(tenant.scope.id))
        settings: Mapping[str, Any] = {} if found is None else json.loads(found.reveal())
        return settings

    def of_events(self, settings: Mapping[str, Any]) -> EventSettings:
        """Return settings that come with events, to be kept with them under a keyed digest."""
        text = json.dumps(settings, sort_keys=True)
        # Keys and accounts, of which there are digests too, have no such beginning.
        name = self.digest(f"settings\0{text}").hex()[:_SETTINGS_CHARACTERS]
        return EventSettings(name, self._sealed.sealed(sealed_name(name), text))

    def of_event(self, name: str) -> Mapping[str, Any]:
        """Return the settings that came with events, by their name.

        Raises `UsageError` if they are gone or cannot be opened.
        """
        found = self._sealed.get(sealed_name(name))
        if found is None:
            raise UsageError("the settings that came with the event are not in the store any more")
        settings: Mapping[str, Any] = json.loads(found.reveal())
        return settings

    def add(  # noqa: PLR0913 - the columns of a row
        self,
        destination: str,
        tenant_id: str,
        key: str,
        identity: AccountIdentity,
        settings: Mapping[str, Any],
        *,
        now: float,
        is_proven: bool,
    ) -> Tenant:
        """Return the tenant with this id, which may be new, with a key and settings of its own."""
        scope = Accounts(self._database).of_tenant(destination, tenant_id, identity)
        proven_at = now if is_proven else None
        with self._database.transaction() as connection:
            (latest,) = connection.execute(
                "SELECT coalesce((SELECT value FROM counters WHERE name = 'event'), 0)"
            ).fetchone()
            connection.execute(
                "INSERT INTO tenants (scope, noted_at, proven_at, after_event) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (scope) DO UPDATE SET"
                " proven_at = coalesce(excluded.proven_at, tenants.proven_at), refused_since ="
                " CASE WHEN excluded.proven_at IS NULL THEN tenants.refused_since END",
                (scope.id, now, proven_at, latest),
            )
            connection.execute(_ADD_KEY, (self.digest(key), destination, scope.id))
            self._sealed.set(settings_name(scope.id), json.dumps(dict(settings)), connection)
            row = connection.execute(f"{_TENANTS} WHERE tenants.scope = ?", (scope.id,)).fetchone()
        return _tenant(row)

    def add_account(self, tenant: Tenant, account: str) -> None:
        """Note which account of the partner a tenant is, by the partner's ID of it."""
        with self._database.transaction() as connection:
            key = (self.account_digest(account), tenant.scope.name, tenant.scope.id)
            connection.execute(_ADD_KEY, key)
            change_notes(connection, {UNNAMED_ACCOUNT + tenant.scope.full_name: None})

    def account_digest(self, account: str) -> bytes:
        """Return the digest of the partner's ID of an account; never that of a key."""
        return self.digest(f"account\0{account}")  # keys are printable

    def remove_key(self, destination: str, digest: bytes) -> None:
        """Forget that a key was a tenant's."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM tenant_keys WHERE destination = ? AND digest = ?",
                (destination, digest),
            )

    def erase(self, tenant: Tenant) -> int:
        """Delete a tenant whose key never was good, and all of its events; returns how many.

        Nothing of it may be under way.
        """
        return erase_tenant(self._database, tenant)

    def _made(self) -> bytes:
        """Return the key of the digests, which is made with the first use of a store."""
        found = self._sealed.get(_DIGEST_KEY)
        if found is None:
            self._sealed.set(_DIGEST_KEY, secrets.token_hex(_KEY_BYTES))
            found = self._sealed.get(_DIGEST_KEY)
        assert found is not None  # noqa: S101 - it was written
        return bytes.fromhex(found.reveal())


class DocumentsVersion:
    """The version of all documents of a store, looked at every 50 ms: that of thousands of tenants.

    Safe for threads, and for processes that change them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._until = 0.0
        self._version: object = None

    def __call__(self) -> object:
        """Return a value that is another one whenever documents were added or removed."""
        now = time.monotonic()
        if now >= self._until:
            self._version = self._database.one("SELECT count(*), max(id) FROM documents")
            self._until = now + _VERSION_SECONDS
        return self._version


class _TenantDocuments:
    """Documents whose version is looked up only when any of the store has changed."""

    def __init__(self, documents: Documents, of_all: DocumentsVersion) -> None:
        self._documents = documents
        self._of_all = of_all
        self._known: tuple[object, str] | None = None
        self.add = documents.add
        self.remove = documents.remove
        self.entries = documents.entries

    @property
    def version(self) -> str:
        """See `destinations.runtime.store.Documents`."""
        of_all, known = self._of_all(), self._known
        if known is None or known[0] != of_all:
            known = self._known = (of_all, self._documents.version)
        return known[1]


class TenantStore:
    """A store as a tenant's plugin code sees it: rules and remembered answers are its own.

    Those of one server share ``version``.
    """

    def __init__(self, store: Store, tenant: str, version: DocumentsVersion | None = None) -> None:
        self._store = store
        self._tenant = tenant
        self._version = version

    def documents(self, destination: str, kind: str) -> Documents:
        """Return the documents of the tenant; see `destinations.runtime.store.Store`."""
        found = self._store.documents(f"{destination}/{self._tenant}", kind)
        return found if self._version is None else _TenantDocuments(found, self._version)

    def answers(self, partner: str) -> MutableMapping[str, Any]:
        """Return the answers that the tenant got; see `destinations.runtime.store.Store`."""
        return self._store.answers(f"{partner} {self._tenant}")

    def manual_changes(self, accounts: Sequence[int]) -> ManualChanges:
        """Return the changes of these accounts, each of which is that of one tenant."""
        return self._store.manual_changes(accounts)


class ChangedTenants:
    """Finds the tenants of a destination whose deliveries an operator has changed."""

    def __init__(self, database: Database, destination: str) -> None:
        self._database = database
        self._destination = destination
        row = database.one("SELECT coalesce(max(id), 0) FROM changes")
        self._seen = 0 if row is None else int(row[0])

    def __call__(self) -> Sequence[Scope]:
        """Return those of the changes since the last call."""
        rows = self._database.all(
            "SELECT changes.id, scopes.id, scopes.destination, scopes.tenant FROM changes"
            " LEFT JOIN open ON open.id = delivery LEFT JOIN kept ON kept.id = delivery"
            " LEFT JOIN ledger ON ledger.id = delivery LEFT JOIN scopes"
            " ON scopes.id = coalesce(open.scope, kept.scope, ledger.scope)"
            " WHERE changes.id > ? ORDER BY changes.id",
            (self._seen,),
        )
        if rows:
            self._seen = rows[-1][0]
        mine = {Scope(*rest) for _, *rest in rows if rest[1] == self._destination and rest[2]}
        return sorted(mine, key=lambda one: one.id)


def erase_tenant(
    database: Database,
    tenant: Tenant,
    *,
    noted: Iterable[Erasure] = (),
    answer: Callable[[int], Mapping[str, Any]] = lambda _events: {},
) -> int:
    """Delete a tenant with all that a store has of it; returns of how many events.

    It needs no sealing key. ``noted`` is noted as done; ``answer`` gives JSON values that are kept
    by name, as by `SqliteStore.note`. Raises `UnderWayError` if something of it is under way, and
    `TenantChangedError` if another process was faster.
    """
    scope = tenant.scope
    with database.transaction() as connection:
        check_settled(connection, [tenant.scope])
        database.delete_traces(connection)
        events = erase_deliveries(connection, scope.id)
        erase_scope(connection, scope)
        SealedValues(database, None).remove(settings_name(scope.id), connection)
        erase_tokens(connection, scope.full_name)
        add_erasures(connection, noted)
        change_notes(connection, answer(events))
        delete_spent_settings(connection)
    return events


def latest_of(gone: str, into: Mapping[str, str], there: Container[str]) -> str:
    """Return the tenant that a merged one is part of now; ``into`` has what each was merged into.

    That one may have been merged in turn; a tenant that is ``there`` again ends the chain.
    """
    latest = into[gone]
    while latest not in there and latest in into:
        latest = into[latest]
    return latest


def erased_name(scope: Scope) -> str:
    """Return the text whose digest notes that a tenant was erased; it is like no user's id."""
    return f"\0tenant\0{scope.full_name}"


def settings_name(scope: int) -> str:
    """Return the name of the sealed settings of a tenant's scope."""
    return f"tenants/{scope}/settings"


def _tenant(row: Sequence[Any]) -> Tenant:
    identity, destination, tenant, *rest = row
    return Tenant(Scope(identity, destination, tenant), *rest)
