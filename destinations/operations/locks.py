"""Decide which process delivers from a store: one server, or runs of different accounts.

A server holds the lock of the store's file, and runs share it, so they find each other whatever
path they use. They also lock a file next to the store, for systems where SQLite's use of the store
prevents locks on the file itself. Each run also holds the lock of its account. A server holds one
for each of its accounts, since a reload may add an account to which a command delivers. It holds
none for the accounts of tenants, of which there may be thousands: see `check_account`. The system
frees locks when a process ends, in whatever way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from destinations.errors import TemporaryError
from destinations.operations.retention import REFUSED_DAYS, Periods
from destinations.outcome import Outcome
from destinations.store import (
    FILE_MODE,
    RecentBounds,
    SqliteStore,
    check_store_path,
    close_file,
    is_older,
    lock,
    make_folder,
    make_store,
    open_file,
    stored_version,
)

if sys.platform != "win32":
    import fcntl

__all__ = [
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
    "note_server",
    "note_start",
    "noted_periods",
    "server_status",
    "shared_account",
    "try_to_lock",
]

_PATIENCE: Final = 1.0
"""Seconds: a process that asks if a server is there holds the lock for a moment."""

_POLL_SECONDS: Final = 0.05


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
def lock_server(store: Path, make: Callable[[Path], object] = make_store) -> Iterator[None]:
    """Let no other process deliver from the store; raises `TemporaryError` if one does.

    ``make`` makes its file if it is missing. Raises `UsageError` if it cannot be a lock.
    """
    check_store_path(store)
    message = (
        f"another process delivers from the store {store} already; stop it, or use another store"
    )
    with (
        _locked(_lock_path(store), message, shared=False),
        _locked_itself(store, message, shared=False, make=make),
    ):
        yield


@contextlib.contextmanager
def lock_run(
    store: Path, scope: int, account: str, *, allow_server: bool = False
) -> Iterator[None]:
    """Let no server deliver from the store, and no other run for the account.

    ``scope`` is that of the account. With ``allow_server`` a server may deliver, as it does so only
    to other accounts. Raises `TemporaryError` if one of them does.
    """
    running = (
        f"another run delivers to {account} from the store {store}; wait for it to end, or use "
        "another store with --store FILE"
    )
    with contextlib.ExitStack() as stack:
        if not allow_server:
            stack.enter_context(block_servers(store))
        stack.enter_context(_locked(_run_path(store, scope), running, shared=False))
        yield


@contextlib.contextmanager
def lock_account(store: Path, account: int, shown: str, *, by_server: bool) -> Iterator[None]:
    """Let not both a server and commands deliver to an account from the store.

    ``account`` is its id there. Raises `TemporaryError` if the other one does.
    """
    message = _by_command(store, shown) if by_server else shared_account(store, shown)
    with _locked(_account_path(store, account), message, shared=False):
        yield


def check_account(store: Path, account: int, shown: str) -> None:
    """Raise `TemporaryError` if a command delivers to an account from the store now.

    For a server that notes in the store, before this, that it delivers to the account: a command
    looks there once it has the lock, so that none is needed for each of thousands of accounts.
    """
    if _is_file_held(_account_path(_followed(store), account, is_followed=True), shared=True):
        raise TemporaryError(_by_command(store, shown))


@lru_cache(maxsize=8)
def _followed(store: Path) -> Path:
    """Return the path of a store without links; that of a server, which has it open, stays."""
    return store.resolve()


def shared_account(store: Path, shown: str) -> str:
    """Return why a command cannot deliver to an account now."""
    return f"a server or another command delivers to {shown} from the store {store}; ask again"


def _by_command(store: Path, shown: str) -> str:
    return f"a command delivers to {shown} from the store {store}: wait for it to end"


@contextlib.contextmanager
def block_servers(store: Path) -> Iterator[None]:
    """Let no server deliver from the store; raises `TemporaryError` if one does."""
    served = (
        f"a server delivers from the store {store}; stop it, or use another store with --store FILE"
    )
    with (
        _locked(_lock_path(store), served, shared=True),
        _locked_itself(store, served, shared=True),
    ):
        yield


def check_migration(store: Path) -> None:
    """Raise `TemporaryError` if opening a store to change it would take it from a server.

    That is one of an earlier version of this package, which could not use the upgraded store.
    Raises `UsageError` for what cannot be a store.
    """
    check_store_path(store)
    try:
        served = is_served(store)
    except OSError:
        return
    if served and is_older(stored_version(store)):
        msg = (
            f"a server of an earlier version of this package delivers from the store {store}: stop "
            "it, and start it with this version"
        )
        raise TemporaryError(msg)


def is_served(store: Path) -> bool:
    """Return whether a server delivers from this store now; nothing is made to find that out.

    Raises OSError if the lock of the server is of another user and cannot be read.
    """
    return _is_held(store, shared=True)


def is_run_for(store: Path, scope: int) -> bool:
    """Return whether a run delivers for this scope now; raises as `is_served`."""
    return _is_file_held(_run_path(store, scope), shared=True)


def is_in_use(store: Path) -> bool:
    """Return whether a server or a run delivers from this store now; raises as `is_served`."""
    return _is_held(store, shared=False)


def _is_held(store: Path, *, shared: bool) -> bool:
    return _is_itself_held(store, shared=shared) or _is_file_held(_lock_path(store), shared=shared)


def _is_itself_held(store: Path, *, shared: bool) -> bool:
    """Return whether a process delivers from the file, also under another path."""
    try:
        handle = open_file(store)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not lock(handle, shared=shared)
    finally:
        close_file(handle)


def _is_file_held(path: Path, *, shared: bool) -> bool:
    if not path.exists():
        return False
    if sys.platform == "win32":  # pragma: no cover - tests run elsewhere
        try:
            with _locked(path, "", shared=shared, patience=0.0):
                return False
        except TemporaryError:
            return True
    handle = os.open(path, os.O_RDONLY)
    try:
        # Shared, so that two who ask at the same time do not take each other for a server.
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def server_status(store: SqliteStore) -> ServerStatus:
    """Return who delivers from a store now."""
    try:
        running = is_served(store.path)
    except OSError:
        return ServerStatus(None)
    names = store.noted("destinations") if running else []
    actions = store.noted("operatorActions") if running else None
    return ServerStatus(running, None if names is None else frozenset(names), actions or {})


def note_start(store: SqliteStore) -> None:
    """Write down that a server begins, so that what the one before it had no longer counts.

    Raises `UsageError` if the store cannot be written.
    """
    store.note({"destinations": None})


def note_server(
    store: SqliteStore,
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
        }
    )


def noted_periods(store: SqliteStore) -> Periods | None:
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
    )


@contextlib.contextmanager
def _locked(
    path: Path, message: str, *, shared: bool, patience: float | None = None
) -> Iterator[None]:
    """Hold a lock; raises `TemporaryError` with ``message`` if another process keeps it."""
    try:
        make_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as error:
        raise TemporaryError(f"cannot lock {path}: {error.strerror or error}") from None
    try:
        patience = _PATIENCE if patience is None else patience
        _await(lambda: try_to_lock(handle, shared=shared), message, patience)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _locked_itself(
    store: Path, message: str, *, shared: bool, make: Callable[[Path], object] = make_store
) -> Iterator[None]:
    """Hold the lock of the store's own file, which is made if it is missing."""
    make(store)
    try:
        handle = open_file(store)
    except OSError as error:
        raise TemporaryError(f"cannot lock {store}: {error.strerror or error}") from None
    try:
        _await(lambda: lock(handle, shared=shared), message, _PATIENCE)
        yield
    finally:
        close_file(handle)


def _await(try_to_lock: Callable[[], bool], message: str, patience: float) -> None:
    give_up = time.monotonic() + patience
    while not try_to_lock():
        if time.monotonic() >= give_up:
            raise TemporaryError(message)
        time.sleep(_POLL_SECONDS)


if sys.platform != "win32":

    def try_to_lock(handle: int, *, shared: bool = False) -> bool:
        """Lock an open file until it is closed; returns False if another process has done so."""
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

else:  # pragma: no cover - tests run elsewhere
    import msvcrt

    def try_to_lock(handle: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - there is one kind
        """Lock an open file until it is closed; returns False if another process has done so."""
        try:
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True


def _lock_path(store: Path) -> Path:
    store = store.resolve()  # a link to a store is that store
    return store.with_name(f"{store.name}.serving")


def _run_path(store: Path, scope: int) -> Path:
    store = store.resolve()
    return store.with_name(f"{store.name}.run-{scope}")


def _account_path(store: Path, account: int, *, is_followed: bool = False) -> Path:
    store = store if is_followed else store.resolve()
    return store.with_name(f"{store.name}.account-{account}")
