"""Keep what the runs of one account need in a store, and delete what is old."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from destinations._version import __version__
from destinations.clock import SystemClock, WallClock
from destinations.errors import TemporaryError
from destinations.operations.locks import lock_run, locks_of, noted_attempts, noted_periods
from destinations.operations.retention import Periods, Pruned, prune
from destinations.operations.seen import as_far_as_seen
from destinations.pipeline.lease import LeaseTimes
from destinations.pipeline.run import RunStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import OpenStore

__all__ = ["InterruptedRerun", "Rerun", "open_run_store", "prune_after_run", "wrote_undelivered"]

_PRUNE_SECONDS: Final = 1.0
_PRUNE_EVERY: Final = 3_600.0


@contextlib.contextmanager
def open_run_store(
    store: OpenStore,
    account: int,
    identity: AccountIdentity,
    *,
    reconcile_after: float,
    longest_way: float = 0.0,
    clock: WallClock | None = None,
) -> Iterator[RunStore]:
    """Give what the runs of an account keep, and let no other process deliver for it until the end.

    ``account`` is its id in the store. Raises `TemporaryError` if another process delivers.
    """
    accounts = store.accounts()
    scope = accounts.run(identity.slug, account)
    shown = f"{identity.slug} at {accounts.get(account).shown}"
    with as_far_as_seen(store), lock_run(store, scope.id, shown):
        name = f"{socket.gethostname()}:{os.getpid()}"
        session = store.session(name, __version__, LeaseTimes(), f"run {scope.id}")
        queue = store.queue(clock, lease=session)
        queue.attempts = noted_attempts(store)
        queue.recover([scope], reconcile_after, longest_way=longest_way)
        for cut in store.notes_with_prefix(_prefix(scope.id)).values():
            queue.settle_from(cut["since"])
        answers = store.answers(identity.partner)
        source, gap = queue.source(scope), store.gap()
        if session is None:
            yield RunStore(queue, scope, source, answers, gap, queue.settle_from)
            return
        limits = store.limits(session)

        def check() -> None:
            _check_no_server(store, account)

        try:
            check()
            yield RunStore(
                queue,
                scope,
                source,
                answers,
                gap,
                queue.settle_from,
                session,
                limits,
                check,
                lambda: locks_of(store).has_other_run(scope.id, session.token),
            )
        finally:
            session.close()
            if limits is not None:
                limits.close()


def _check_no_server(store: OpenStore, account: int) -> None:
    """Raise `TemporaryError` if servers deliver to an account: both would add to one balance.

    Who begins notes that before it looks: so of two that begin at once, one sees the other.
    """
    if store.accounts().served_by(account) and locks_of(store).is_served():
        shown = store.accounts().get(account).shown
        raise TemporaryError(
            f"servers deliver to {shown} from the store {store.shown}: send these events to them, "
            "or stop them first"
        )


def prune_after_run(
    store: OpenStore, now: float, monotonic: Callable[[], float] = time.monotonic
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


@dataclass(frozen=True, slots=True)
class InterruptedRerun:
    """A rerun that did not come to its end: when it began, and of which input."""

    since: float
    source: str


class Rerun:
    """Sends an input once more, for a scope of runs; one that was cut goes on where it was.

    The same input is known by its content, whatever it is called: what is on standard input now, or
    in a file of this name, may be another. What can be read twice is known by all of it; of what
    cannot, the first entry is looked at when it was read. ``digest`` is that of all of it, None
    for what can be read only once. ``input_ids`` are the names that its files got: with others,
    some of its events are different.

    ``settle_from`` gets the time from which on what ends was sent once more. ``goes_on`` is
    called with the time since which this input is being sent again, if that was cut; ``cut`` with
    the others that were, if this is none of them, and all of it is sent once more. They are called
    at once where the input can be read twice.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        store: OpenStore,
        scope: int,
        source: str,
        *,
        digest: str | None,
        input_ids: Sequence[str] = (),
        settle_from: Callable[[float], None] = lambda _time: None,
        now: Callable[[], float] = SystemClock().time,  # noqa: B008 - it keeps nothing
        goes_on: Callable[[float], None] = lambda _since: None,
        cut: Callable[[Sequence[InterruptedRerun]], None] = lambda _others: None,
    ) -> None:
        self._store = store
        self._scope = scope
        self._prefix = _prefix(scope)
        self._source = source
        self._input_ids = input_ids
        self._settle_from = settle_from
        self._now = now
        self._goes_on = goes_on
        self._cut = cut
        self._name = ""
        self._since: float | None = None
        if digest is not None:
            self._look(f"all {digest}")

    def since(self, first: bytes) -> float:
        """Return before which time what was delivered is sent once more; noted with the first call.

        ``first`` is the first entry of the input. Raises `UsageError` if the store cannot be
        written.
        """
        if not self._name:
            self._look(f"first {hashlib.sha256(first).hexdigest()}")
        if self._since is None:
            # Later than all that ended before, so that it differs from what ends from now on even
            # if a clock was set back.
            since = max(self._now(), self._store.last_settled(self._scope) + 0.001)
            # Rows have whole milliseconds, and what ends just then must not seem to be before it.
            self._since = math.ceil(since * 1000) / 1000
            self._settle_from(self._since)
            self._store.note({self._name: {"since": self._since, "input": self._source}})
        return self._since

    def end(self) -> None:
        """Note that all of the input was sent again."""
        if self._since is not None:
            self._store.forget(self._name)

    def _look(self, content: str) -> None:
        """Find out whether the input with this content was being sent again, and tell of it."""
        self._name = f"{self._prefix}{content} {' '.join(self._input_ids)}".rstrip()
        known = self._store.notes_with_prefix(self._prefix)
        mine = known.get(self._name)
        if mine is not None:
            self._since = float(mine["since"])
            self._goes_on(self._since)
        elif known:
            self._cut([InterruptedRerun(one["since"], one["input"]) for one in known.values()])


def _prefix(scope: int) -> str:
    return f"again {scope} "


def wrote_undelivered(store: OpenStore, scope: int, path: Path) -> bool:
    """Return whether an earlier run of this scope wrote ``path``; noted for the next one.

    What another account's run wrote must not be fed back to this one.
    """
    name = f"undelivered {path.resolve()}"
    before = store.noted(name)
    if before != scope:
        store.note({name: scope})
    return bool(before == scope)
