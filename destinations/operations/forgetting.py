"""Erase a user from a store: nothing that it keeps names them any more.

No process delivers at the same time. What may have been applied is settled first, by asking the
partner, so that no event is counted twice; then what waits is dropped, and digests take the place
of the user and of messageIds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from destinations.errors import TemporaryError, UsageError
from destinations.operations.erasures import known_erasures, note_erasures
from destinations.operations.interrupted import recover_all
from destinations.operations.locks import lock_server
from destinations.operations.status import unknown_names
from destinations.outcome import State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.postgres import StoreAddress, open_at
from destinations.store import (
    Erased,
    OpenStore,
    count_mentions,
    count_other_rows,
    erase_user,
    has_to_be_dropped,
    make_erasure,
    noted_scopes,
    scopes_of,
)

__all__ = ["Forgettable", "forget", "look_up_user"]

_LOST: Final = frozenset({State.UNKNOWN, State.SENDING})


@dataclass(frozen=True, slots=True)
class Forgettable:
    """The data of a user in a store, of the chosen destinations and accounts.

    ``dropped`` is what waits or could be replayed, by status. ``finished`` counts the other rows,
    ``refused`` and ``manual_changes`` what is deleted. ``mentions`` counts the events of others
    that have the user's id, ``changes_of_others`` such manual changes, ``elsewhere`` the deliveries
    of destinations and accounts that were not chosen: they stay. ``tenants`` has the ids of the
    customers whose deliveries they are, with their numbers.
    ``to_ask`` are deliveries whose answers were lost: the partner is asked about them first.
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

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be erased."""
        kept = self.dropped or self.finished or self.refused or self.manual_changes
        return not (self.to_ask or kept or self.recent)


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
    to_ask = [one for one in mine if one.status in _LOST]
    dropped = Counter(
        one.status for one in mine if has_to_be_dropped(one) and one.status not in _LOST
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
    )


def forget(
    address: StoreAddress,
    user: str,
    now: float,
    *,
    destination: str = "",
    account: str = "",
    settle: Callable[[OpenStore, Sequence[LedgerEntry]], None] | None = None,
) -> Erased:
    """Erase a user from the store of this path, and from what is free in its file.

    Without ``destination`` and ``account`` from all of them. ``settle`` asks partners first about
    what is unknown of the user, see `destinations.operations.settling.settle`. Who was erased is
    noted then, as a digest next to the store: whatever ends the process, the same command completes
    the erasure, and a copy that is restored there loses the user, too. Raises `TemporaryError`
    while another process delivers from the store, or changes or reads it; else as ``settle`` and
    `look_up_user`.
    """
    with lock_server(address), open_at(address) as store:
        scopes = _scopes(store, destination, account)
        known = known_erasures(store)
        mine = [one for one in _of_user(store, user) if one.scope in scopes]
        lost = [one for one in mine if one.status in _LOST]
        if lost and settle is not None:
            _check_settled(mine, can_ask=True)
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
        done = erase_user(store.database, user, scopes, erasure.key, now, noted=noted)
        if any(one.scope in scopes for one in _of_user(store, user)):
            raise TemporaryError(
                f"another command has just changed deliveries of {user}: repeat the command"
            )
        store.database.scrub()
    return done


def _nobody_delivers(_scope: object, _served: bool) -> bool:  # noqa: FBT001 - as a ledger calls it
    return False


def _scopes(store: OpenStore, destination: str, account: str) -> Sequence[int]:
    for one in unknown_names(store.ledger(), destination or None, account or None):
        names = ", ".join(one.known) or "none"
        raise UsageError(f"the store {store.shown} has no {one.what} {one.name!r}; it has: {names}")
    return scopes_of(store.database, destination, account)


def _of_user(store: OpenStore, user: str) -> Sequence[LedgerEntry]:
    return list(store.ledger(_nobody_delivers).find(Selection(user=user)))


def _check_settled(entries: Sequence[LedgerEntry], *, can_ask: bool = False) -> None:
    """Raise `UsageError` if an outcome is not known, and asking does not help."""
    held = [one for one in entries if one.status is State.HELD]
    lost = [one for one in entries if one.status in _LOST]
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
