"""Deliveries that were being sent by a process that has ended, however it ended.

Its intents are still in the store. The next process that delivers for their scope asks the partner
about them, or sends again what may be sent again; commands that look before that say so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from destinations.errors import TemporaryError, UsageError
from destinations.operations.locks import (
    block_servers,
    is_run_for,
    lock_run,
    locks_of,
    server_status,
)
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Scope
from destinations.store import OpenStore, StoredLedger

__all__ = ["delivers", "open_ledger", "recover_all", "recover_interrupted"]

_LATEST: Final = 86_400.0
"""Seconds: lost answers are asked about by then; the next process to deliver says when."""


def open_ledger(store: OpenStore) -> StoredLedger:
    """Return all deliveries of a store, for operators.

    What a process was sending that has ended is `unknown` in it, or `ready` where it may be sent
    again.
    """
    return store.ledger(lambda scope, served: delivers(store, scope, served=served))


def recover_interrupted(
    store: OpenStore, ledger: StoredLedger, entries: Sequence[LedgerEntry]
) -> None:
    """Write down what `open_ledger` shows of the scopes of ``entries``: now it can be changed.

    What a process delivers by now is left to it. Raises `UsageError` for a destination that the
    running server of a file does not have: it might get it back at any time.
    """
    ids = {one.scope for one in entries if one.status in {State.READY, State.UNKNOWN}}
    for scope, served in ledger.interrupted():
        if scope.id not in ids:
            continue
        needs_stop = locks_of(store).needs_all_stopped
        if served and needs_stop and server_status(store).running is not False:
            msg = (
                f"the server that delivers from the store {store.shown} has no destination "
                f"{scope.name!r}: stop the server first, or let it have this destination again"
            )
            raise UsageError(msg)
        lock = block_servers(store) if served else lock_run(store, scope.id, "", allow_server=True)
        with contextlib.suppress(TemporaryError), lock:
            store.queue().recover([scope], _LATEST)


def recover_all(store: OpenStore) -> None:
    """Write down the outcome of all that was being sent by processes that have ended.

    From a file, no process may deliver.
    """
    ended = store.ledger(lambda _scope, _served: False).interrupted()
    if ended:
        store.queue().recover([scope for scope, _ in ended], _LATEST)


def delivers(store: OpenStore, scope: Scope, *, served: bool) -> bool:
    """Return whether a process delivers for a scope now; one may where that is not known."""
    if served:
        return server_status(store).has(scope.name) is not False
    try:
        return is_run_for(store, scope.id)
    except OSError:
        return True
