"""Opens the part of a store that the runs of one account have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from destinations.clock import WallClock
from destinations.operations.locks import lock_run
from destinations.pipeline.run import RunStore
from destinations.runtime.identity import AccountIdentity
from destinations.store import SqliteStore

__all__ = ["again_since", "end_again", "open_run_store"]


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
