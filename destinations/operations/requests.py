"""Pass an operator's requests to the partner, such as to merge two users.

A request is an action that no event reaches. If a server delivers to the account, the server
carries it out, while nothing else that touches the same accounts is under way; the command waits
for the outcome. Otherwise the command does it itself, and no process may begin to deliver to
the account before it has ended.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.clock import Clock, SystemClock
from destinations.errors import TemporaryError, UsageError
from destinations.http.json_bytes import decode_json, encode_json
from destinations.operations.file_locks import shared_account
from destinations.operations.locks import (
    ServerStatus,
    lock_account,
    lock_run,
    server_status,
)
from destinations.operations.seen import as_far_as_seen
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.intake import Intake
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import Arrival, Scope
from destinations.runtime.action import Payload
from destinations.runtime.destination import Destination
from destinations.runtime.plan import Plan, plan
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import OpenStore

__all__ = [
    "HandedOver",
    "await_server",
    "hand_to_server",
    "instead_of_server",
    "plan_request",
    "settle_held",
]

_POLL_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 5.0
_START_SECONDS: Final = 10.0
"""A server that begins says within so long which destinations it has."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A request to a server: the delivery ``id`` in the queue of its destination ``name``."""

    id: int
    name: str


def plan_request(
    destination: Destination, action: str, event: Mapping[str, Any]
) -> tuple[Plan, Payload]:
    """Return the plan of the event that asks for an action of operators, and its payload.

    Raises `UsageError` if it does not fit the action's fields.
    """
    planned = plan(destination, encode_json(dict(event)), only=SubscriptionKey(action, action))
    (one,) = planned.deliveries
    if one.payload is None:
        raise UsageError("" if one.result is None else one.result.reason)
    return planned, one.payload


def hand_to_server(
    store: OpenStore,
    destination: Destination,
    planned: Plan,
    account: int,
    *,
    of_tenant: Scope | None = None,
    clock: Clock | None = None,
) -> HandedOver | None:
    """Let the server that delivers to an account do what was planned; None if no server does.

    ``account`` is its id in the store; ``of_tenant`` is the scope of a customer of the partner, if
    it is the account of one. A server that begins is waited for, for some seconds. The
    same that waits there already is joined. Raises `TemporaryError` for a server that does not know
    the action.
    """
    (one,) = planned.deliveries
    assert one.key is not None  # noqa: S101 - it has a payload
    scope = _serving_scope(store, account, one.key.action, clock or SystemClock(), of_tenant)
    if scope is None:
        return None
    intake = Intake(destination)
    arrival: Arrival = intake.arrival(
        planned, intake.digest, message_id=planned.message_id, accepted_at=time.time()
    )
    if not arrival.deliveries:  # such as a payload that cannot be written as JSON
        raise UsageError(arrival.ended[0].result.reason)
    return HandedOver(store.queue().request(scope, arrival), scope.name)


def await_server(
    store: OpenStore,
    handed: HandedOver,
    *,
    tell: Callable[[str], None],
    clock: Clock | None = None,
) -> LedgerEntry:
    """Return the delivery once it was delivered.

    It says what it waits for after 5 s, and at changes. Raises `TemporaryError` if no server
    delivers for it any more, and `UsageError` if it ended otherwise, or is held.
    """
    clock, stop, ledger = clock or SystemClock(), threading.Event(), store.ledger()
    tells_at = clock.monotonic() + _TELL_SECONDS
    looks_at, is_served, shown = clock.monotonic() + _LOOK_SECONDS, True, ""
    while True:
        now = clock.monotonic()
        if now >= looks_at:  # before the delivery: it may be over since
            is_served = server_status(store).has(handed.name) is not False
            looks_at = now + _LOOK_SECONDS
        entry = ledger.get(handed.id)
        if entry.status is Outcome.DELIVERED:
            return entry
        if entry.status is State.HELD or isinstance(entry.status, Outcome):
            reason = entry.reason or "without a reason"
            raise UsageError(f"{reason} (delivery {entry.id} is {entry.status})")
        if not is_served:
            msg = (
                f"no server delivers for {handed.name} any more: this waits for its next start, as "
                f"delivery {handed.id}"
            )
            raise TemporaryError(msg)
        why = f"{entry.status}: {entry.reason}" if entry.reason else f"{entry.status}"
        if now >= tells_at and why != shown:
            shown, tells_at = why, now + _TELL_SECONDS
            tell(f"The server has it as delivery {handed.id} of {handed.name}, which is {why}.")
        clock.wait(_POLL_SECONDS, stop)


@contextlib.contextmanager
def instead_of_server(
    store: OpenStore,
    slug: str,
    account: int,
    planned: Plan,
    *,
    of_tenant: Scope | None = None,
) -> Iterator[None]:
    """Let no process deliver to an account while the caller does what was planned.

    ``account`` and ``of_tenant`` are as `hand_to_server` has them. What asks for the same and waits
    for a server is dropped afterwards. Raises `TemporaryError` if a process delivers to the
    account, or if it is not known yet whether a delivery of the users that this touches was
    applied: that is judged by what they had before.
    """
    accounts = store.accounts()
    # A tenant has no runs, which would keep its account when it is erased.
    scope = of_tenant or accounts.run(slug, account)
    serving = server_status(store)
    of_others = bool(serving.running) and not _may_serve(store, serving, account)
    shown = f"{slug} at {accounts.get(account).shown}"
    with (
        as_far_as_seen(store),
        lock_run(store, scope.id, shown, allow_server=of_others),
        lock_account(store, account, shown, by_server=False),
    ):
        # A customer with this account may have come to the server since. One that comes from now on
        # waits for the lock.
        serving = server_status(store)
        if serving.running and _may_serve(store, serving, account):
            raise TemporaryError(shared_account(store.shown, shown))
        _check_settled(store, account, planned)
        yield
        _drop_same(store, account, planned)


def _may_serve(store: OpenStore, serving: ServerStatus, account: int) -> bool:
    """Return whether the server has a destination, or a tenant, that delivers to an account."""
    served = store.accounts().served_by(account)
    return any(serving.has(one.name) is not False for one in served)


def _serving_scope(
    store: OpenStore, account: int, action: str, clock: Clock, of_tenant: Scope | None
) -> Scope | None:
    """Return the queue of the running server's destination that delivers to an account."""
    give_up, stop = clock.monotonic() + _START_SECONDS, threading.Event()
    serving = server_status(store)
    while serving.running and serving.names is None and clock.monotonic() < give_up:
        clock.wait(_POLL_SECONDS, stop)
        serving = server_status(store)
    if not serving.running:
        return None
    served = [
        one
        for one in store.accounts().served_by(account)
        if serving.has(one.name) and of_tenant in {None, one}
    ]
    for scope in served:
        if action in serving.actions.get(scope.name, ()):
            return scope
    if served:
        msg = (
            f"the server that delivers for {served[0].name} from the store {store.shown} does not "
            f"know the action {action}: start it again with this version"
        )
        raise TemporaryError(msg)
    return None


def _check_settled(store: OpenStore, account: int, planned: Plan) -> None:
    """Raise `TemporaryError` for a lost answer of a user that this touches."""
    (one,) = planned.deliveries
    assert one.subscription is not None  # noqa: S101 - it has a payload
    assert one.payload is not None  # noqa: S101 - as above
    lost = frozenset({State.UNKNOWN, State.SENDING})
    accounts, ledger = store.accounts(), store.ledger()
    scopes = {scope.id for scope in accounts.served_by(account)}
    of_runs = accounts.scope_of_runs(account)
    if of_runs is not None:
        scopes.add(of_runs.id)
    for user in dict.fromkeys((planned.user, *one.subscription.action.touched(one.payload))):
        for entry in ledger.find(Selection(user=user, statuses=lost)):
            if entry.scope in scopes:
                msg = (
                    f"the answer to delivery {entry.id} of {user} was lost: let the server or the "
                    f"run that delivers for {entry.destination} find out whether it was applied, "
                    "and then ask again"
                )
                raise TemporaryError(msg)


def settle_held(store: OpenStore, account: int, planned: Plan) -> None:
    """Note as applied what is held of earlier requests for the same: this one has done it."""
    held = _of_same(store, account, planned, State.HELD)
    if held:
        store.ledger().resolve(held, applied=True, now=time.time())


def _drop_same(store: OpenStore, account: int, planned: Plan) -> None:
    """Drop requests that wait for a server to do the same."""
    same = _of_same(store, account, planned, State.READY)
    if same:
        store.ledger().drop(same, "another command has done the same", time.time())


def _of_same(
    store: OpenStore, account: int, planned: Plan, status: Status
) -> Sequence[LedgerEntry]:
    """Return the deliveries for servers that ask for the same action for the same users."""
    (one,) = planned.deliveries
    assert one.subscription is not None  # noqa: S101 - it has a payload
    assert one.payload is not None  # noqa: S101 - as above
    touched = one.subscription.action.touched
    ledger, names = store.ledger(), touched(one.payload)
    scopes = {scope.id for scope in store.accounts().served_by(account)}

    def is_same(entry: LedgerEntry) -> bool:
        payload = ledger.payload(entry)
        return bool(payload) and touched(decode_json(payload)) == names

    found = ledger.find(Selection(user=planned.user, statuses=frozenset({status})))
    mine = [entry for entry in found if entry.key == one.key and entry.scope in scopes]
    return [entry for entry in mine if is_same(entry)]
