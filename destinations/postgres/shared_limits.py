"""The breakers and rates that PostgreSQL keeps for all processes that deliver from a store.

Times are those of the server, from which each process makes times of its own monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import psycopg

from destinations.errors import DestinationsError, TransportError
from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import connect
from destinations.postgres.dialect import PostgresConnection

__all__ = ["PostgresLimits"]

_PROBE_SECONDS: Final = 30.0
_AHEAD_SECONDS: Final = 0.2
_LATE_SECONDS: Final = 0.02
_MOST: Final = 64

_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
_LOOK: Final = f"""
    SELECT name, max(until) - {_NOW}, count(*), bool_or(at_once), bool_or(worker = ?1),
        (SELECT count(*) FROM workers WHERE state = 'alive')
    FROM gates WHERE worker IN (SELECT id FROM workers WHERE state = 'alive') GROUP BY name
"""  # noqa: S608 - a constant
_OPEN: Final = f"""
    INSERT INTO gates (name, worker, until, at_once) VALUES (?1, ?2, {_NOW} + ?3, ?4)
    ON CONFLICT (name, worker) DO UPDATE SET until = excluded.until,
        at_once = gates.at_once AND gates.until > {_NOW} OR excluded.at_once
"""  # noqa: S608 - a constant
_CLOSE: Final = "DELETE FROM gates WHERE name = ?"
_PROBE: Final = f"""
    INSERT INTO probes (name, worker, until) VALUES (?1, ?2, {_NOW} + {_PROBE_SECONDS})
    ON CONFLICT (name) DO UPDATE SET worker = excluded.worker, until = excluded.until
    WHERE probes.until < {_NOW} OR probes.worker = excluded.worker
        OR NOT EXISTS (SELECT 1 FROM workers WHERE id = probes.worker AND state = 'alive')
    RETURNING name
"""  # noqa: S608 - a constant
_LEAVE: Final = "DELETE FROM probes WHERE name = ? AND worker = ?"
# The slots begin one interval after the last one that was given, and not before now.
_RESERVE: Final = f"""
    INSERT INTO paces AS known (name, used_until) VALUES (?1, {_NOW} + (?2 - 1) * ?3)
    ON CONFLICT (name) DO UPDATE SET
        used_until = greatest(known.used_until + ?3, {_NOW}) + (?2 - 1) * ?3
    RETURNING used_until - {_NOW}
"""  # noqa: S608 - a constant


class PostgresLimits:
    """See `destinations.pipeline.shared_limits.SharedLimits`; safe for threads.

    ``token`` gives that of the session of this process.
    """

    def __init__(
        self,
        address: PostgresAddress,
        token: Callable[[], int | None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._token = token
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._connection: PostgresConnection | None = None
        self._found: dict[str, tuple[float, int, bool, bool, int]] = {}
        self._looked_at = -1.0

    def gate(self, name: str) -> PostgresGate:
        """Return the gate of a destination, or of a tenant, by its full name."""
        return PostgresGate(self, name)

    def slots(self, name: str, interval: float) -> PostgresSlots:
        """Return the slots of a destination, or of a tenant, ``interval`` seconds apart."""
        return PostgresSlots(self, name, interval, self._monotonic)

    def close(self) -> None:
        """Close the connection; safe to repeat."""
        with self._lock:
            if self._connection is not None:
                self._connection.raw.close()
                self._connection = None

    def ask(self, statement: str, *values: object) -> list[Any]:
        """Return the rows of a statement, each a transaction of its own.

        They need not outlive a crash of the server. Raises psycopg.Error, or `UsageError`.
        """
        with self._lock:
            if self._connection is None or self._connection.raw.closed:
                self._connection = connect(
                    self._address, role="limits", statement_seconds=5.0, synchronous=False
                )
            cursor = self._connection.execute(statement, values)
            return [] if cursor.description is None else cursor.fetchall()

    @property
    def token(self) -> int:
        """That of the session of this process, 0 if it has none."""
        return self._token() or 0

    def look(self, name: str) -> tuple[float, bool] | None:
        """See `Gate.look`; all gates are looked at together."""
        with self._lock:
            now = self._monotonic()
            if now - self._looked_at >= _AHEAD_SECONDS or self._looked_at < 0:
                rows = self.ask(_LOOK, self.token)
                self._found = {one: tuple(rest) for one, *rest in rows}
                self._looked_at = now
            found = self._found.get(name)
            if found is None:
                return None
            left, reports, at_once, is_own, alive = found
            if not at_once and reports < min(2, alive):
                return None
            return left - (now - self._looked_at), bool(is_own)

    def forget(self) -> None:
        """Look again the next time."""
        with self._lock:
            self._looked_at = -1.0


class PostgresGate:
    """See `destinations.pipeline.shared_limits.Gate`.

    While the server cannot be reached, each process goes by its own breaker.
    """

    def __init__(self, limits: PostgresLimits, name: str) -> None:
        self._limits = limits
        self._name = name

    def look(self) -> tuple[float, bool] | None:
        """See `Gate.look`."""
        try:
            return self._limits.look(self._name)
        except (psycopg.Error, DestinationsError):
            return None

    def take_probe(self) -> bool:
        """See `Gate.take_probe`."""
        return bool(self._tried(_PROBE, self._name, self._limits.token))

    def leave_probe(self) -> None:
        """See `Gate.leave_probe`."""
        self._tried(_LEAVE, self._name, self._limits.token)

    def opened(self, seconds: float, *, at_once: bool) -> None:
        """See `Gate.opened`."""
        self._tried(_OPEN, self._name, self._limits.token, float(seconds), at_once)

    def closed(self) -> None:
        """See `Gate.closed`."""
        self._tried(_CLOSE, self._name)
        self._tried("DELETE FROM probes WHERE name = ?", self._name)

    def _tried(self, statement: str, *values: object) -> list[Any]:
        self._limits.forget()
        try:
            return self._limits.ask(statement, *values)
        except (psycopg.Error, DestinationsError):
            return []


class PostgresSlots:
    """See `destinations.pipeline.shared_limits.Slots`; some are taken ahead where many are used."""

    def __init__(
        self,
        limits: PostgresLimits,
        name: str,
        interval: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._name = name
        self._interval = interval
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._ahead: deque[float] = deque()
        self._used: deque[float] = deque()

    def take(self) -> float:
        """Return in how many seconds the next request may be sent; raises `TransportError`."""
        with self._lock:
            now = self._monotonic()
            # One that has passed would come too close to the next one.
            while self._ahead and self._ahead[0] < now - _LATE_SECONDS:
                self._ahead.popleft()
            if not self._ahead:
                self._reserve(now)
            slot = self._ahead.popleft()
            self._used.append(now)
            return max(0.0, slot - now)

    def _reserve(self, now: float) -> None:
        while self._used and self._used[0] < now - _AHEAD_SECONDS:
            self._used.popleft()
        count = max(1, min(_MOST, len(self._used), int(_AHEAD_SECONDS / self._interval)))
        try:
            ((last,),) = self._limits.ask(_RESERVE, self._name, count, self._interval)
        except (psycopg.Error, DestinationsError, ValueError):
            msg = "not sent: the turn of this request is not known, as the store is away"
            raise TransportError(msg, sent=False) from None
        # The answer took its time, so they come rather later than before.
        after = self._monotonic()
        for number in range(count):
            self._ahead.append(after + last - (count - 1 - number) * self._interval)
