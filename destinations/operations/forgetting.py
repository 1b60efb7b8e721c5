"""Erase a user from a store: nothing that it keeps names them any more.

From a file, no process delivers at the same time; beside those that deliver from a database, what
is on its way is waited for. What may have been applied is settled first, by asking the partner, so
that no event is counted twice; then what waits is dropped, and digests take the place of the user
and of messageIds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from destinations.clock import Clock, SystemClock
from destinations.errors import TemporaryError, UsageError
from destinations.operations.erasures import known_erasures, note_erasures
from destinations.operations.interrupted import recover_all
from destinations.operations.locks import lock_server, locks_of
from destinations.operations.selecting import unknown_names
from destinations.outcome import State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.postgres import StoreAddress, open_at
from destinations.store import (
    Erased,
    OpenStore,
    count_mentions,
    count_other_rows,
    count_requests,
    erase_user,
    has_to_be_dropped,
    make_erasure,
    noted_scopes,
    pseudonym,
    scopes_of,
)

__all__ = ["Forgettable", "forget", "look_up_user"]

_ON_ITS_WAY: Final[Collection[Status]] = frozenset({State.UNKNOWN, State.SENDING})
_PATIENCE: Final = 60.0
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Forgettable:
    """The data of a user in a store, of the chosen destinations and accounts.

    ``dropped`` is what waits or could be replayed, by status. ``finished`` counts the other rows,
    ``refused`` and ``manual_changes`` what is deleted. ``mentions`` counts the events of others
    that have the user's id, ``changes_of_others`` such manual changes, ``elsewhere`` the deliveries
    of destinations and accounts that were not chosen: they stay. ``tenants`` has the ids of the
    customers whose deliveries they are, with their numbers.
    ``to_ask`` are deliveries whose answers were lost: the partner is asked about them first.
    ``scopes`` are all those that were chosen.
    """

    dropped: Counter[Status] = field(default_factory=Counter)
    finished: int = 0
    refused: int = 0
    manual_changes: int = 0
    mentions: int = 0
    changes_of_others: int = 0
    elsewhere: int = 0
    to_ask: Sequence[LedgerEntry] = ()
    tenants: Counter[str] = field(default_factory=Counter)
    recent: int = 0
    requests: int = 0
    scopes: Sequence[int] = field(default=(), compare=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be erased."""
        kept = self.dropped or self.finished or self.refused or self.manual_changes
        return not (self.to_ask or kept or self.recent or self.requests)


def look_up_user(
    store: OpenStore,
    user: str,
    destination: str = "",
    account: str = "",
    *,
    can_ask: bool = False,
) -> Forgettable:
    """Return what a store has of a user, in a destination and an account, or in all of them.

    Raises `UsageError` for a destination or account that the store does not have, and while
    something of the user is held; also while it is unknown, unless the caller ``can_ask`` partners.
    """
    scopes = _scopes(store, destination, account)
    entries = _of_user(store, user)
    mine = [one for one in entries if one.scope in scopes]
    _check_settled(mine, can_ask=can_ask)
    to_ask = [one for one in mine if one.status is State.UNKNOWN]
    dropped = Counter(
        one.status for one in mine if has_to_be_dropped(one) and one.status not in _ON_ITS_WAY
    )
    refused, manual_changes, recent = count_other_rows(store.database, user, scopes)
    mentions, changes_of_others = count_mentions(store.database, user, scopes)
    return Forgettable(
        dropped,
        finished=len(mine) - dropped.total() - len(to_ask),
        refused=refused,
        manual_changes=manual_changes,
        mentions=mentions,
        changes_of_others=changes_of_others,
        elsewhere=len(entries) - len(mine),
        to_ask=tuple(to_ask),
        tenants=Counter(one.tenant for one in mine if one.tenant),
        recent=recent,
        requests=count_requests(store.database, user, scopes),
        scopes=tuple(scopes),
    )


def forget(  # noqa: PLR0913 - whose, where, and how
    address: StoreAddress,
    user: str,
    now: float,
    *,
    destination: str = "",
    account: str = "",
    settle: Callable[[OpenStore, Sequence[LedgerEntry]], None] | None = None,
    ask: Callable[[OpenStore, str], None] | None = None,
    clock: Clock | None = None,
) -> Erased:
    """Erase a user from the store of this path, and from what is free in its file.

    Without ``destination`` and ``account`` from all of them. ``settle`` asks partners first about
    what is unknown of the user, see `destinations.operations.settling.settle`. ``ask`` is called
    with what stands in the place of the id, so that partners are asked to delete the user, see
    `ask_to_delete`: before anything is erased, or after it where processes deliver, so that nothing
    of the user is sent after that request. Who was erased is
    noted then, as a digest next to the store: whatever ends the process, the same command completes
    the erasure, and a copy that is restored there loses the user, too. Raises `TemporaryError`
    while another process delivers from the file, or changes or reads it, and if what workers of a
    database have of the user is not settled within a minute; else as ``settle`` and `look_up_user`.
    """
    with lock_server(address), open_at(address) as store:
        scopes = _scopes(store, destination, account)
        known = known_erasures(store)
        is_served = _await_sent(store, user, scopes, clock or SystemClock())
        mine = [one for one in _of_user(store, user) if one.scope in scopes]
        lost = [one for one in mine if one.status is State.UNKNOWN]
        if lost and settle is not None:
            _check_settled(mine, can_ask=True)
            if is_served:
                raise TemporaryError(
                    f"delivery {lost[0].id} of the user is unknown: the server that delivers for "
                    f"{lost[0].destination} asks the partner about it. Repeat this command then, "
                    "or decide with destinations deliveries resolve"
                )
            settle(store, lost)
        recover_all(store)
        mine = [one for one in _of_user(store, user) if one.scope in scopes]
        _check_settled(mine)
        where = (destination, account)
        places = [] if where == ("", "") else noted_scopes(store.database, scopes)
        erasure = make_erasure(known, user, where, store.uuid, places, now)
        note_erasures(store, [*known, erasure])
        # What was begun and interrupted is done with this one, as far as it reaches.
        included = [
            one
            for one in known
            if one.is_of(user)
            and (erasure.is_everywhere or (one.destination, one.account) == where)
        ]
        noted = [*included, erasure]
        if ask is not None and not is_served:
            ask(store, pseudonym(erasure.key, user))
        done = erase_user(store.database, user, scopes, erasure.key, now, noted=noted)
        # What came since is delivered as usual.
        if any(one.scope in scopes and one.accepted_at < now for one in _of_user(store, user)):
            raise TemporaryError(
                f"another process has just changed deliveries of {user}: repeat the command"
            )
        if ask is not None and is_served:
            ask(store, pseudonym(erasure.key, user))
        store.database.scrub()
    return done


def _await_sent(store: OpenStore, user: str, scopes: Collection[int], clock: Clock) -> bool:
    """Return whether processes deliver now, once nothing of the user is on its way."""
    locks = locks_of(store)
    if locks.needs_all_stopped:
        return False  # they are
    look, stop = locks.watch(clock), threading.Event()
    give_up = clock.monotonic() + _PATIENCE
    while True:
        is_served = look()
        sent = [
            one
            for one in _of_user(store, user)
            if one.scope in scopes and one.status is State.SENDING
        ]
        if not (is_served and sent):
            return is_served
        if clock.monotonic() >= give_up:
            raise TemporaryError(
                f"delivery {sent[0].id} of the user is on its way to {sent[0].destination} for "
                f"more than {_PATIENCE:g} s: repeat this command later"
            )
        clock.wait(_POLL_SECONDS, stop)


def _scopes(store: OpenStore, destination: str, account: str) -> Sequence[int]:
    for one in unknown_names(store.ledger(), destination or None, account or None):
        names = ", ".join(one.known) or "none"
        raise UsageError(f"the store {store.shown} has no {one.what} {one.name!r}; it has: {names}")
    return scopes_of(store.database, destination, account)


def _of_user(store: OpenStore, user: str) -> Sequence[LedgerEntry]:
    """Return all deliveries of a user; `sending` are those that a process has on its way now."""
    locks = locks_of(store)
    is_under_way = not locks.needs_all_stopped and locks.is_in_use()
    return list(store.ledger(lambda _scope, _served: is_under_way).find(Selection(user=user)))


def _check_settled(entries: Sequence[LedgerEntry], *, can_ask: bool = False) -> None:
    """Raise `UsageError` if an outcome is not known, and asking does not help."""
    held = [one for one in entries if one.status is State.HELD]
    lost = [one for one in entries if one.status is State.UNKNOWN]
    unsettled = held or ([] if can_ask else lost)
    if not unsettled:
        return
    first, others = unsettled[0], len(unsettled) - 1
    more = f", and so {'is' if others == 1 else 'are'} {others:,} more" if others else ""
    cure = (
        "Decide on held deliveries with destinations deliveries resolve"
        if held
        else "Use --config FILE, the configuration of the server, so that this command asks the "
        f"partner; or let the server or the run that delivers for {first.destination} ask"
    )
    raise UsageError(
        f"delivery {first.id} of the user is {first.status}{more}: the partner may or may not have "
        f"applied it. {cure}, then repeat this command"
    )
