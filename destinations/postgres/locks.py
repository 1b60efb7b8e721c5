"""Know who delivers from a schema of PostgreSQL: the sessions of workers that are alive.

Several processes deliver, and commands change rows beside them, each by compare-and-set. Only what
a command sends to a partner itself is kept apart from them, by an advisory lock of the account.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
from psycopg import errors

from destinations.clock import Clock
from destinations.errors import TemporaryError
from destinations.postgres.connecting import connect, failure
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.queue import PostgresQueue
from destinations.store.accounts import Accounts

__all__ = ["PostgresLocks"]

_PATIENCE_SECONDS: Final = 1.0
"""A process that asks if a command has the lock holds it for a moment."""

_ALIVE: Final = "SELECT 1 FROM workers WHERE state = 'alive' LIMIT 1"
_IN_POOL: Final = "SELECT 1 FROM workers WHERE state = 'alive' AND pool = ? LIMIT 1"
_OTHER_IN_POOL: Final = (
    "SELECT 1 FROM workers WHERE state = 'alive' AND pool = ? AND id <> ? LIMIT 1"
)
_BEATS: Final = "SELECT id, beats, lease FROM workers WHERE state = 'alive'"
_KEY: Final = "hashtextextended(current_schema() || '/account/' || $1::text, 0)"
_RENEWAL_KEY: Final = "hashtextextended(current_schema() || '/oauth2/' || $1::text, 0)"


class PostgresLocks:
    """See `destinations.operations.locks.Locks`."""

    needs_all_stopped = False

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def run(
        self,
        scope: int,  # noqa: ARG002 - see Locks
        account: str,  # noqa: ARG002 - see Locks
        *,
        allow_server: bool,  # noqa: ARG002 - see Locks
    ) -> contextlib.AbstractContextManager[None]:
        """Keep nobody out: runs share the work with each other, as workers do."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def account(self, account: int, shown: str, *, by_server: bool) -> Iterator[None]:
        """Let no other command deliver to an account, and no worker begin to.

        A worker, which is in the table before it asks, only looks: a command looks there in turn.
        """
        if by_server:
            self.check_account(account, shown)
            yield
            return
        store = self._database.address
        message = f"another command delivers to {shown} from the store {store}; ask again"
        with self._held("account", _KEY, str(account), _PATIENCE_SECONDS, message):
            yield

    def renewing(self, name: str, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Let nobody else renew the tokens of this name within, on whatever machine."""
        message = (
            f"another process renews the access token, by the lock in the store "
            f"{self._database.address}"
        )
        return self._held("oauth2", _RENEWAL_KEY, name, seconds, message)

    @contextlib.contextmanager
    def _held(
        self, role: str, key: str, value: str, seconds: float, message: str
    ) -> Iterator[None]:
        """Hold an advisory lock; raises `TemporaryError` if another session keeps it so long."""
        address = self._database.address
        connection = connect(address, role=role)
        with contextlib.closing(connection.raw) as raw:
            try:
                raw.execute(
                    "SELECT set_config('lock_timeout', $1, false)", (f"{round(seconds * 1000)}ms",)
                )
                raw.execute(f"SELECT pg_advisory_lock({key})", (value,))
            except errors.LockNotAvailable:
                raise TemporaryError(message) from None
            except psycopg.Error as error:
                raise failure("use", address, error) from None
            try:
                yield
            finally:
                # Closing it frees the lock as well, but a moment later.
                with contextlib.suppress(psycopg.Error):
                    raw.execute(f"SELECT pg_advisory_unlock({key})", (value,))

    def check_account(self, account: int, shown: str) -> None:
        """Raise `TemporaryError` if a command delivers to an account now."""
        with self._database.reading() as connection:
            row = connection.raw.execute(
                f"SELECT pg_try_advisory_xact_lock_shared({_KEY})", (str(account),)
            ).fetchone()
        scope = Accounts(self._database).scope_of_runs(account)
        pools = "" if scope is None else f"run {scope.id}"
        is_run = bool(pools) and self._database.one(_IN_POOL, (pools,)) is not None
        if row is None or not row[0] or is_run:
            raise TemporaryError(
                f"a command delivers to {shown} from the store {self._database.address}: wait for "
                "it to end"
            )

    def block_servers(self) -> contextlib.AbstractContextManager[None]:
        """Keep nobody out: rows are changed by compare-and-set."""
        return contextlib.nullcontext()

    def is_served(self) -> bool:
        """Return whether a server is alive, or was when it was looked at last."""
        return self._database.one(_IN_POOL, ("",)) is not None

    def is_run_for(self, scope: int) -> bool:
        """Return whether a run is alive that delivers for a scope."""
        return self._database.one(_IN_POOL, (f"run {scope}",)) is not None

    def has_other_run(self, scope: int, token: int | None) -> bool:
        """Return whether a run of another session is alive that delivers for a scope."""
        return self._database.one(_OTHER_IN_POOL, (f"run {scope}", token or 0)) is not None

    def is_in_use(self) -> bool:
        """Return whether a process is alive that delivers."""
        return self._database.one(_ALIVE) is not None

    def watch(self, clock: Clock) -> Callable[[], bool]:
        """Return a function that says whether any worker is alive, and ends those that are not."""
        return _Watch(self._database, clock)


class _Watch:
    """Ends the sessions of workers whose beats have stopped for as long as their lease."""

    def __init__(self, database: PostgresDatabase, clock: Clock) -> None:
        self._database = database
        self._queue = PostgresQueue(database)
        self._clock = clock
        # By session: its beats, and when that count was seen first.
        self._seen: dict[int, tuple[int, float]] = {}

    def __call__(self) -> bool:
        """Return whether any worker is alive."""
        now = self._clock.monotonic()
        seen: dict[int, tuple[int, float]] = {}
        for worker, beats, lease in self._database.all(_BEATS):
            count, since = self._seen.get(worker, (-1, now))
            if count != beats:
                count, since = beats, now
            if now - since < lease or not self._queue.reap(worker, beats):
                seen[worker] = (count, since)
        self._seen = seen
        return bool(seen)
