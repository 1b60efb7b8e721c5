"""Know who delivers from a store, and keep out who must not do so at the same time.

From a file one server delivers, or runs of different accounts: see `FileLocks`. From a schema of
PostgreSQL any number of processes do, and commands work beside them: see
`destinations.postgres.locks.PostgresLocks`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from destinations.clock import Clock
from destinations.operations.file_locks import (
    FileLocks,
    check_migration_of_file,
    lock_file_of_server,
    try_to_lock,
)
from destinations.operations.retention import REFUSED_DAYS, Periods
from destinations.outcome import Outcome
from destinations.pipeline.attempts import AttemptPolicy
from destinations.postgres import StoreAddress
from destinations.store import OpenStore, RecentBounds, SqliteStore, make_store

__all__ = [
    "Locks",
    "ServerStatus",
    "block_servers",
    "check_account",
    "check_migration",
    "is_in_use",
    "is_run_for",
    "is_served",
    "lock_account",
    "lock_run",
    "lock_server",
    "locks_of",
    "note_server",
    "note_start",
    "noted_attempts",
    "noted_periods",
    "server_status",
    "try_to_lock",
]


class Locks(Protocol):
    """Keeps apart the processes that deliver from a store.

    All context managers raise `TemporaryError` if another process does what they keep out.
    """

    @property
    def needs_all_stopped(self) -> bool:
        """Whether what is being delivered can only be changed when no process delivers."""
        ...

    def run(self, scope: int, account: str, *, allow_server: bool) -> AbstractContextManager[None]:
        """Let no other run deliver for a scope; see `lock_run`."""
        ...

    def account(self, account: int, shown: str, *, by_server: bool) -> AbstractContextManager[None]:
        """Let not both a server and commands deliver to an account; see `lock_account`."""
        ...

    def check_account(self, account: int, shown: str) -> None:
        """Raise `TemporaryError` if a command delivers to an account; see `check_account`."""
        ...

    def renewing(self, name: str, seconds: float) -> AbstractContextManager[None]:
        """Let nobody else renew the tokens of this name within, in this process or another.

        Waits up to ``seconds`` for who does.
        """
        ...

    def block_servers(self) -> AbstractContextManager[None]:
        """Let no server deliver, where only one process can."""
        ...

    def is_served(self) -> bool:
        """Return whether a server delivers; raises OSError if that cannot be known."""
        ...

    def is_run_for(self, scope: int) -> bool:
        """Return whether a run delivers for a scope; raises as `is_served`."""
        ...

    def has_other_run(self, scope: int, token: int | None) -> bool:
        """Return whether a run delivers for a scope that is not the session of this token."""
        ...

    def is_in_use(self) -> bool:
        """Return whether any process delivers; raises as `is_served`."""
        ...

    def watch(self, clock: Clock) -> Callable[[], bool]:
        """Return a function that says whether any process delivers, and notices if one has ended.

        To be called again and again: a process on another machine has ended once it shows no sign
        of life for as long as it promised to.
        """
        ...


def locks_of(store: Path | OpenStore) -> Locks:
    """Return the locks of a store: of a file that need not be open, or of an open store."""
    if isinstance(store, SqliteStore):
        return FileLocks(store.path)
    if isinstance(store, Path):
        return FileLocks(store)
    from destinations.postgres.locks import PostgresLocks  # noqa: PLC0415 - with an extra
    from destinations.postgres.store import PostgresStore  # noqa: PLC0415 - as above

    return PostgresLocks(cast("PostgresStore", store).database)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The processes that deliver from a store now.

    ``running`` is whether a server does, None if not known. ``names`` are the
    destinations that it has, None if it does not say so. ``actions`` are, by these names, those
    which it does for operators that ask for them.
    """

    running: bool | None
    names: frozenset[str] | None = None
    actions: Mapping[str, Collection[str]] = field(default_factory=dict)

    def has(self, name: str) -> bool | None:
        """Return whether a process delivers for the destination of this name; None if unknown."""
        if self.running is False:
            return False
        return None if self.running is None or self.names is None else name in self.names


@contextlib.contextmanager
def lock_server(store: StoreAddress, make: Callable[[Path], object] = make_store) -> Iterator[None]:
    """Let no other process deliver from a file; raises `TemporaryError` if one does.

    ``make`` makes it if it is missing. Raises `UsageError` if it cannot be a lock. From a database
    several processes deliver: there it does nothing.
    """
    if isinstance(store, Path):
        with lock_file_of_server(store, make):
            yield
    else:
        yield


def lock_run(
    store: Path | OpenStore, scope: int, account: str, *, allow_server: bool = False
) -> AbstractContextManager[None]:
    """Let no server deliver from the store, and no other run for the account.

    ``scope`` is that of the account. With ``allow_server`` a server may deliver, as it does so only
    to other accounts. Raises `TemporaryError` if one of them does. From a database several
    processes deliver side by side.
    """
    return locks_of(store).run(scope, account, allow_server=allow_server)


def lock_account(
    store: Path | OpenStore, account: int, shown: str, *, by_server: bool
) -> AbstractContextManager[None]:
    """Let not both a server and commands deliver to an account from the store.

    ``account`` is its id there. Raises `TemporaryError` if the other one does.
    """
    return locks_of(store).account(account, shown, by_server=by_server)


def check_account(store: Path | OpenStore, account: int, shown: str) -> None:
    """Raise `TemporaryError` if a command delivers to an account from the store now.

    For a server that notes in the store, before this, that it delivers to the account: a command
    looks there once it has the lock, so that none is needed for each of thousands of accounts.
    """
    locks_of(store).check_account(account, shown)


def block_servers(store: Path | OpenStore) -> AbstractContextManager[None]:
    """Let no server deliver from the store; raises `TemporaryError` if one does."""
    return locks_of(store).block_servers()


def check_migration(store: StoreAddress) -> None:
    """Raise `TemporaryError` if opening a store to change it would take it from a server.

    That is one of an earlier version of this package, which could not use the upgraded store. A
    database is never upgraded by opening it. Raises `UsageError` for what cannot be a store.
    """
    if isinstance(store, Path):
        check_migration_of_file(store)


def is_served(store: Path | OpenStore) -> bool:
    """Return whether a server delivers from this store now; nothing is made to find that out.

    Raises OSError if the lock of the server is of another user and cannot be read.
    """
    return locks_of(store).is_served()


def is_run_for(store: Path | OpenStore, scope: int) -> bool:
    """Return whether a run delivers for this scope now; raises as `is_served`."""
    return locks_of(store).is_run_for(scope)


def is_in_use(store: Path | OpenStore) -> bool:
    """Return whether a server or a run delivers from this store now; raises as `is_served`."""
    return locks_of(store).is_in_use()


def server_status(store: OpenStore) -> ServerStatus:
    """Return who delivers from a store now."""
    try:
        running = is_served(store)
    except OSError:
        return ServerStatus(None)
    names = store.noted("destinations") if running else []
    actions = store.noted("operatorActions") if running else None
    return ServerStatus(running, None if names is None else frozenset(names), actions or {})


def note_start(store: OpenStore) -> None:
    """Write down that a server begins, so that what the one before it had no longer counts.

    Raises `UsageError` if the store cannot be written.
    """
    store.note({"destinations": None})


def note_server(
    store: OpenStore,
    names: Iterable[str],
    periods: Periods,
    actions: Mapping[str, Iterable[str]] | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write down for which destinations a server delivers, and for how long things are kept.

    ``actions`` are, by these names, those that it does for operators, and ``more`` is what else it
    notes. Raises `UsageError` if the store cannot be written.
    """
    store.note(
        {
            **(more or {}),
            "destinations": sorted(names),
            "operatorActions": {name: sorted(each) for name, each in (actions or {}).items()},
            "keepDays": periods.keep_days,
            "dedupeDays": periods.dedupe_days,
            "refusedDays": periods.refused_days,
            "keepDaysByOutcome": dict(periods.by_outcome),
            "keepRecent": None if periods.recent is None else asdict(periods.recent),
            "keepAttempts": None if periods.attempts is None else asdict(periods.attempts),
        }
    )


def noted_periods(store: OpenStore) -> Periods | None:
    """Return how long the server that delivered last keeps things; None if there was none."""
    keep, dedupe = store.noted("keepDays"), store.noted("dedupeDays")
    if keep is None or dedupe is None:
        return None
    # An earlier version did not note these.
    refused, by_outcome = store.noted("refusedDays"), store.noted("keepDaysByOutcome") or {}
    recent = store.noted("keepRecent")
    return Periods(
        keep,
        dedupe,
        REFUSED_DAYS if refused is None else refused,
        {Outcome(name): days for name, days in by_outcome.items()},
        None if recent is None else RecentBounds(**recent),
        noted_attempts(store),
    )


def noted_attempts(store: OpenStore) -> AttemptPolicy | None:
    """Return what the server that delivered last keeps of requests; the default without one."""
    noted = store.notes_with_prefix("keepAttempts")
    if not noted:  # nor did an earlier version note this
        return AttemptPolicy()
    found = noted["keepAttempts"]
    return None if found is None else AttemptPolicy(**found)
