"""Decide which process delivers from a file: one server, or runs of different accounts.

A server holds the lock of the store's file, and runs share it, so they find each other whatever
path they use. They also lock a file next to the store, for systems where SQLite's use of the store
prevents locks on the file itself. Each run also holds the lock of its account. A server holds one
for each of its accounts, since a reload may add an account to which a command delivers. It holds
none for the accounts of tenants, of which there may be thousands: see `FileLocks.check_account`.
The system frees locks when a process ends, in whatever way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from destinations.clock import Clock
from destinations.errors import TemporaryError
from destinations.store import (
    FILE_MODE,
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
    "FileLocks",
    "by_command",
    "check_migration_of_file",
    "lock_file_of_server",
    "shared_account",
    "try_to_lock",
]

_PATIENCE: Final = 1.0
"""Seconds: a process that asks if a server is there holds the lock for a moment."""

_POLL_SECONDS: Final = 0.05

_RENEWAL_FILES: Final = 16


@contextlib.contextmanager
def lock_file_of_server(store: Path, make: Callable[[Path], object] = make_store) -> Iterator[None]:
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


def check_migration_of_file(store: Path) -> None:
    """Raise `TemporaryError` if opening a store to change it would take it from a server.

    That is one of an earlier version of this package, which could not use the upgraded store.
    Raises `UsageError` for what cannot be a store.
    """
    check_store_path(store)
    try:
        served = FileLocks(store).is_served()
    except OSError:
        return
    if served and is_older(stored_version(store)):
        msg = (
            f"a server of an earlier version of this package delivers from the store {store}: stop "
            "it, and start it with this version"
        )
        raise TemporaryError(msg)


class FileLocks:
    """The locks of the store in a file; see `destinations.operations.locks.Locks`."""

    needs_all_stopped = True

    def __init__(self, store: Path) -> None:
        self._store = store

    @contextlib.contextmanager
    def run(self, scope: int, account: str, *, allow_server: bool) -> Iterator[None]:
        """Let no other run deliver for a scope, and no server from the store."""
        store = self._store
        running = (
            f"another run delivers to {account} from the store {store}; wait for it to end, or use "
            "another store with --store FILE"
        )
        with contextlib.ExitStack() as stack:
            if not allow_server:
                stack.enter_context(self.block_servers())
            stack.enter_context(_locked(_run_path(store, scope), running, shared=False))
            yield

    @contextlib.contextmanager
    def account(self, account: int, shown: str, *, by_server: bool) -> Iterator[None]:
        """Let not both a server and commands deliver to an account."""
        shown_store = str(self._store)
        message = (
            by_command(shown_store, shown) if by_server else shared_account(shown_store, shown)
        )
        with _locked(_account_path(self._store, account), message, shared=False):
            yield

    def check_account(self, account: int, shown: str) -> None:
        """Raise `TemporaryError` if a command delivers to an account now."""
        path = _account_path(_followed(self._store), account, is_followed=True)
        if _is_file_held(path, shared=True):
            raise TemporaryError(by_command(str(self._store), shown))

    @contextlib.contextmanager
    def renewing(self, name: str, seconds: float) -> Iterator[None]:
        """Let nobody else renew the tokens of this name within."""
        message = f"another process renews the access token; the lock is next to {self._store}"
        path = _renewal_path(_followed(self._store), name)
        with _locked(path, message, shared=False, patience=seconds):
            yield

    @contextlib.contextmanager
    def block_servers(self) -> Iterator[None]:
        """Let no server deliver from the store."""
        store = self._store
        served = (
            f"a server delivers from the store {store}; stop it, or use another store with "
            "--store FILE"
        )
        with (
            _locked(_lock_path(store), served, shared=True),
            _locked_itself(store, served, shared=True),
        ):
            yield

    def is_served(self) -> bool:
        """Return whether a server delivers from the store now; nothing is made to find that out.

        Raises OSError if the lock of the server is of another user and cannot be read.
        """
        return _is_held(self._store, shared=True)

    def is_run_for(self, scope: int) -> bool:
        """Return whether a run delivers for this scope now; raises as `is_served`."""
        return _is_file_held(_run_path(self._store, scope), shared=True)

    def has_other_run(self, scope: int, token: int | None) -> bool:  # noqa: ARG002 - see Locks
        """Return False: a run has its scope for itself."""
        return False

    def is_in_use(self) -> bool:
        """Return whether a server or a run delivers from the store now; raises as `is_served`."""
        return _is_held(self._store, shared=False)

    def watch(self, clock: Clock) -> Callable[[], bool]:  # noqa: ARG002 - see Locks
        """Return `is_in_use`: the system frees the locks of processes that have ended."""
        return self.is_in_use


def shared_account(store: str, shown: str) -> str:
    """Return why a command cannot deliver to an account now."""
    return f"a server or another command delivers to {shown} from the store {store}; ask again"


def by_command(store: str, shown: str) -> str:
    """Return why a server cannot deliver to an account now."""
    return f"a command delivers to {shown} from the store {store}: wait for it to end"


@lru_cache(maxsize=8)
def _followed(store: Path) -> Path:
    """Return the path of a store without links; that of a server, which has it open, stays."""
    return store.resolve()


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


def _renewal_path(store: Path, name: str) -> Path:
    # Few files for any number of accounts: those that share one only wait for each other.
    number = zlib.crc32(name.encode()) % _RENEWAL_FILES
    return store.with_name(f"{store.name}.oauth2-{number}")


def _account_path(store: Path, account: int, *, is_followed: bool = False) -> Path:
    store = store if is_followed else store.resolve()
    return store.with_name(f"{store.name}.account-{account}")
