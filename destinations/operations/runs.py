"""What the runs of one account have of a store, and what they delete of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from destinations.clock import WallClock
from destinations.operations.locks import lock_run, noted_periods
from destinations.operations.retention import Periods, Pruned, prune
from destinations.pipeline.run import RunStore
from destinations.runtime.identity import AccountIdentity
from destinations.store import SqliteStore

__all__ = ["again_since", "end_again", "open_run_store", "prune_after_run"]

_PRUNE_SECONDS: Final = 1.0
_PRUNE_EVERY: Final = 3_600.0


@contextlib.contextmanager
def open_run_store(
    store: SqliteStore,
    account: int,
    identity: AccountIdentity,
    *,
    reconcile_after: float,
    clock: WallClock | None = None,
) -> Iterator[RunStore]:
    """Give what the runs of an account keep, and let no other process deliver for it meanwhile.

    ``account`` is its id in the store. Raises `TemporaryError` if another process delivers.
    """
    accounts = store.accounts()
    scope = accounts.run(identity.slug, account)
    with lock_run(store.path, scope.id, f"{identity.slug} at {accounts.get(account).shown}"):
        queue = store.queue(clock)
        queue.recover([scope], reconcile_after)
        answers = store.answers(identity.partner)
        yield RunStore(queue, scope, queue.source(scope), answers)


def prune_after_run(
    store: SqliteStore, now: float, monotonic: Callable[[], float] = time.monotonic
) -> Pruned:
    """Delete what is finished and old, for about a second, and once an hour at most.

    What is left then is for the next run. Things are kept as long as a server of this store has
    noted, else as `Periods` says. Raises `UsageError` if the store cannot be written.
    """
    pruned_at = store.noted("prunedAt")
    if pruned_at is not None and 0 <= now - pruned_at < _PRUNE_EVERY:
        return Pruned()
    until = monotonic() + _PRUNE_SECONDS

    def more() -> bool:
        return monotonic() < until

    done = prune(store, now, noted_periods(store) or Periods(), more)
    if more():  # nothing is left
        store.note({"prunedAt": now})
    return done


def again_since(store: SqliteStore, scope: int, source: str, now: float) -> float:
    """Return since when an input is being sent again: one that was cut goes on where it was."""
    name = _again(scope, source)
    since = store.noted(name)
    if since is None:
        since = now
        store.note({name: since})
    return float(since)


def end_again(store: SqliteStore, scope: int, source: str) -> None:
    """Note that all of an input was sent again."""
    store.forget(_again(scope, source))


def _again(scope: int, source: str) -> str:
    return f"again {scope} {source}"
