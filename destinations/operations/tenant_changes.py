"""Merge and erase customers of a partner, by a server or in place of one.

A server keeps tenants in memory, so beside a running one a command only notes in the store what is
to be done. The server notices that within a second, claims nothing more of these tenants, and does
it once nothing of them is under way. The note is removed by the transaction that does it: whatever
ends the server or the command, it is done once, by the next server or by the same command.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.clock import Clock, SystemClock
from destinations.errors import TemporaryError, UsageError
from destinations.operations.erasures import known_erasures, note_erasures
from destinations.operations.interrupted import recover_all
from destinations.operations.locks import lock_server, server_status
from destinations.operations.tenants import find_merged
from destinations.postgres import address_of
from destinations.store import (
    ASKED,
    MergedTenant,
    OpenStore,
    Tenant,
    Tenants,
    change_notes,
    delete_spent_texts,
    erase_tenant,
    erased_name,
    make_erasure,
    merge_tenants,
    noted_scopes,
)

__all__ = [
    "AskedOfServer",
    "TenantChange",
    "ask_server",
    "asked_of_server",
    "await_tenant_change",
    "carry_out",
    "check_merge",
    "delete_old_answers",
    "forget_tenant",
    "hand_over_forget",
    "hand_over_merge",
    "merge_tenant",
    "refuse_change",
    "tenants_of",
]

_ANSWERED: Final = "answered:"
"""The beginning of the notes about what a server did, before the id of what was asked of it."""

_POLL_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 1.0
_PATIENCE: Final = 60.0
_KEPT_SECONDS: Final = 86_400.0
"""For so long the answer to a command that has ended is kept."""


@dataclass(frozen=True, slots=True)
class AskedOfServer:
    """A request to a server about a tenant of a ``destination``: to merge it, or to erase it.

    ``into`` is the id of the tenant that it becomes a part of; empty to erase it. ``at`` is in
    seconds since 1970.
    """

    id: str
    destination: str
    tenant: str
    into: str
    at: float

    @property
    def shown(self) -> str:
        """What it is, in words that follow on ``is to be``."""
        return f"merged into {self.into}" if self.into else "erased"


@dataclass(frozen=True, slots=True)
class TenantChange:
    """The numbers of a change: ``deliveries`` of a merged tenant, or ``events`` of an erased one.

    ``unrecognised`` events of a merged one are not recognised if they come again.
    """

    deliveries: int = 0
    unrecognised: int = 0
    events: int = 0


# -- without a server ------------------------------------------------------------------------------


def merge_tenant(store: OpenStore, gone: Tenant, kept: Tenant, now: float) -> TenantChange:
    """Merge the tenant ``gone`` into ``kept``: a customer has sent with two keys of one account.

    What both have under one name stays as ``kept`` has it. All in one transaction: if the process
    is killed, nothing has changed. Raises `UsageError` for tenants that cannot be merged, and
    `TemporaryError` while a process delivers from the store.
    """
    check_merge(gone, kept)
    with lock_server(address_of(store)):
        recover_all(store)
        return _of_merge(merge_tenants(store.database, gone, kept, now))


def forget_tenant(store: OpenStore, tenant: Tenant, now: float) -> TenantChange:
    """Erase a tenant with all that the store keeps of it, and from what is free in its file.

    It is noted for copies that are restored here. Raises `TemporaryError` while a process delivers
    from the store.
    """
    with lock_server(address_of(store)):
        recover_all(store)
        events = _erase(store, tenant, now)
        store.database.scrub()
    return TenantChange(events=events)


def check_merge(gone: Tenant, kept: Tenant) -> None:
    """Raise `UsageError` for tenants that cannot be merged."""
    if gone.scope.id == kept.scope.id:
        raise UsageError(f"both are the tenant {kept.shown}: name two of them")
    if gone.scope.name != kept.scope.name:
        msg = (
            f"{gone.shown} is a tenant of {gone.scope.name}, and {kept.shown} of "
            f"{kept.scope.name}: only tenants of one destination can be merged"
        )
        raise UsageError(msg)
    if gone.proven_at is None and kept.proven_at is None:
        msg = (
            f"the partner has not accepted the key of {gone.shown} or of {kept.shown} yet, and a "
            "tenant whose key proves wrong is erased: merge them when one of the keys is proven"
        )
        raise UsageError(msg)


def _of_merge(done: MergedTenant) -> TenantChange:
    return TenantChange(done.deliveries, done.unrecognised)


def _erase(
    store: OpenStore,
    tenant: Tenant,
    now: float,
    answer: Callable[[int], Mapping[str, Any]] = lambda _events: {},
) -> int:
    """Erase a tenant, and note that next to the store before, and in it with what is erased."""
    known = known_erasures(store)
    name = erased_name(tenant.scope)
    places = noted_scopes(store.database, [tenant.scope.id])
    where = (tenant.scope.name, "")
    erasure = make_erasure(known, name, where, store.uuid, places, now)
    note_erasures(store, [*known, erasure])
    # One that was begun and interrupted is done with this one.
    noted = [*(one for one in known if one.is_of(name)), erasure]
    events = erase_tenant(store.database, tenant, noted=noted, answer=answer)
    delete_spent_texts(store.database)
    return events


# -- what a command asks of a server ---------------------------------------------------------------


def hand_over_merge(
    store: OpenStore, gone: Tenant, kept: Tenant, now: float
) -> AskedOfServer | None:
    """Let the running server merge tenants; None if no server uses the store.

    The same that was asked before is joined. Raises `UsageError` for tenants that cannot be merged,
    and `TemporaryError` if the server is asked for something else of ``gone`` already.
    """
    check_merge(gone, kept)
    return _hand_over(store, gone, kept.id, now)


def hand_over_forget(store: OpenStore, tenant: Tenant, now: float) -> AskedOfServer | None:
    """Let the running server erase a tenant; None if no server uses the store.

    Raises `TemporaryError` if the server is asked for something else of it already.
    """
    return _hand_over(store, tenant, "", now)


def _hand_over(store: OpenStore, tenant: Tenant, into: str, now: float) -> AskedOfServer | None:
    if server_status(store).running is not True:
        return None
    return ask_server(store, tenant, into, now)


def ask_server(store: OpenStore, tenant: Tenant, into: str, now: float) -> AskedOfServer:
    """Note what a server is to do with a tenant; see `hand_over_merge`."""
    scope = tenant.scope
    note = {"id": str(uuid.uuid4()), "into": into, "at": now}
    kept = store.note_once(ASKED + scope.full_name, note)
    asked = AskedOfServer(kept["id"], scope.name, scope.tenant, kept["into"], kept["at"])
    if asked.into != into:
        raise TemporaryError(
            f"the server is asked already that {tenant.shown} be {asked.shown}: wait for that"
        )
    return asked


def await_tenant_change(
    store: OpenStore, asked: AskedOfServer, *, clock: Clock | None = None
) -> TenantChange:
    """Return what the server did.

    Raises `UsageError` if that cannot be done, and `TemporaryError` if it takes longer than a
    minute, or if the server ends before it: then it is done later.
    """
    clock, stop = clock or SystemClock(), threading.Event()
    give_up = clock.monotonic() + _PATIENCE
    looks_at, is_served = clock.monotonic() + _LOOK_SECONDS, True
    where = f"see destinations tenants show {asked.tenant}"
    while True:
        now = clock.monotonic()
        if now >= looks_at:  # before the answer: it may be there since
            is_served = server_status(store).running is not False
            looks_at = now + _LOOK_SECONDS
        answer = store.noted(_ANSWERED + asked.id)
        if answer is not None:
            store.forget(_ANSWERED + asked.id)
            if "failed" in answer:
                raise UsageError(answer["failed"])
            return TenantChange(*(answer[key] for key in ("deliveries", "unrecognised", "events")))
        if not is_served:
            raise TemporaryError(
                f"the server has ended before {asked.tenant} was {asked.shown}: the next one does "
                f"it, or repeat this command; {where}"
            )
        if now >= give_up:
            raise TemporaryError(
                f"handed over to the server: {asked.tenant} is {asked.shown} once nothing of it is "
                f"under way; {where}"
            )
        clock.wait(_POLL_SECONDS, stop)


def asked_of_server(store: OpenStore, tenant: Tenant | None = None) -> Sequence[AskedOfServer]:
    """Return what servers are asked to do with tenants, or with one of them; the oldest first."""
    prefix = ASKED + ("" if tenant is None else tenant.scope.full_name)
    found = []
    for full_name, note in store.notes_with_prefix(prefix).items():
        name, _, gone = full_name.removeprefix(ASKED).rpartition("/")
        found.append(AskedOfServer(note["id"], name, gone, note["into"], note["at"]))
    return sorted(found, key=lambda one: one.at)


# -- what a server does ----------------------------------------------------------------------------


def carry_out(
    store: OpenStore, asked: AskedOfServer, gone: Tenant, kept: Tenant | None, now: float
) -> MergedTenant | None:
    """Do what was asked, and leave the answer, in one transaction; None if a tenant was erased.

    ``kept`` is the tenant into which ``gone`` is merged. Raises `UnderWayError` while a process has
    something of both under way, and `TenantChangedError` if another one has done it.
    """

    def answer(deliveries: int, unrecognised: int, events: int) -> Mapping[str, Any]:
        text = {"deliveries": deliveries, "unrecognised": unrecognised, "events": events, "at": now}
        return {ASKED + gone.scope.full_name: None, _ANSWERED + asked.id: text}

    if kept is not None:
        return merge_tenants(
            *(store.database, gone, kept, now),
            lambda done: answer(done.deliveries, done.unrecognised, 0),
        )
    _erase(store, gone, now, lambda events: answer(0, 0, events))
    store.database.truncate_log()
    return None


def refuse_change(store: OpenStore, asked: AskedOfServer, reason: str, now: float) -> None:
    """Answer that something cannot be done, and do it no more; not if another process did it."""
    name = f"{ASKED}{asked.destination}/{asked.tenant}"
    with store.database.transaction() as connection:
        row = connection.execute("SELECT value FROM server WHERE name = ?", (name,)).fetchone()
        if row is not None and json.loads(row[0])["id"] == asked.id:
            answer = {"failed": reason, "at": now}
            change_notes(connection, {_ANSWERED + asked.id: answer, name: None})


def delete_old_answers(store: OpenStore, now: float) -> None:
    """Delete the answers that no command has waited for."""
    for name, answer in store.notes_with_prefix(_ANSWERED).items():
        if not 0 <= now - answer["at"] < _KEPT_SECONDS:
            store.forget(name)


def tenants_of(store: OpenStore, asked: AskedOfServer) -> tuple[Tenant, Tenant | None] | str:
    """Return the tenant that is to be changed, and the one that it is to be merged into, if any.

    That one may have been merged itself since. Or why it cannot be done, for operators.
    """
    tenants = Tenants(store.database)
    gone = tenants.get(asked.destination, asked.tenant)
    if gone is None:
        merged = find_merged(store, asked.tenant, asked.destination)
        if merged is None:
            return f"there is no tenant {asked.tenant} any more"
        return f"{asked.tenant} was merged into {merged.into.shown} at {merged.shown_at}"
    if not asked.into:
        return gone, None
    kept = tenants.get(asked.destination, asked.into)
    if kept is None:
        merged = find_merged(store, asked.into, asked.destination)
        if merged is None:
            return f"there is no tenant {asked.into} any more"
        if merged.into.scope.id == gone.scope.id:
            return (
                f"{asked.into} was merged into {gone.shown} at {merged.shown_at}: both are one "
                "tenant"
            )
        kept = merged.into
    try:
        check_merge(gone, kept)
    except UsageError as error:
        return str(error)
    return gone, kept
