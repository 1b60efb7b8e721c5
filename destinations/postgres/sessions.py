"""Say which process delivers what: sessions of workers, their leases, and who has which lane.

A session is a row of ``workers``, and its id is the fencing token. It counts its own beats. Others
see by their own monotonic clocks whether the count moves: no two clocks are ever compared. The
time of a session counts from before its beat was sent, that of those who watch it from when they
saw it, which is later. So it stops by itself before anybody takes its place.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import psycopg

from destinations.errors import DestinationsError, TransportError
from destinations.pipeline.lease import LANES, LeaseHolder, LeaseTimes, is_under
from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import application_name, connect, failure
from destinations.postgres.database import writer_role
from destinations.postgres.dialect import PostgresConnection

__all__ = ["WorkerSession"]

_LOG = logging.getLogger(__name__)

_TIMES: Final = LeaseTimes()
_REGISTER: Final = """
    INSERT INTO workers (name, version, pool, state, lease) VALUES (?, ?, ?, 'alive', ?)
    RETURNING id
"""
_BEAT: Final = """
    UPDATE workers SET beats = beats + 1, rests = ?2 WHERE id = ?1 AND state = 'alive' RETURNING id
"""
_OTHERS: Final = """
    SELECT id, beats, lease, pool, rests, name FROM workers WHERE state = 'alive' AND id <> ?
"""
# That it alone finds a partner away: see destinations.postgres.shared_limits.
_IS_ALONE: Final = """
    SELECT EXISTS (SELECT 1 FROM gates WHERE worker = ?1 AND NOT at_once AND NOT EXISTS (
        SELECT 1 FROM gates AS other JOIN workers ON workers.id = other.worker
        WHERE other.name = gates.name AND other.worker <> ?1
        AND workers.state = 'alive' AND workers.pool = ?2))
"""
_CUT_OFF_SECONDS: Final = 60.0
"""Who alone finds a partner away for so long leaves its lanes to the others for as long."""

# Each may end the connections of its own user.
_DISCONNECT: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = ?
"""
_POOL: Final = f"""
    INSERT INTO lanes (pool, lane) SELECT ?, generate_series(0, {LANES - 1}) ON CONFLICT DO NOTHING
"""
_OWN_LANES: Final = "SELECT lane FROM lanes WHERE worker = ?"
_FREE_LANES: Final = "SELECT count(*) FROM lanes WHERE worker IS NULL AND pool = ?"
# Only as long as it lives: a session that was reaped takes nothing.
_TAKE: Final = """
    UPDATE lanes SET worker = alive.id, epoch = epoch + 1
    FROM (SELECT id FROM workers WHERE id = ?1 AND state = 'alive' FOR SHARE) AS alive
    WHERE pool = ?3 AND lane IN (SELECT lane FROM lanes WHERE worker IS NULL AND pool = ?3
        ORDER BY lane LIMIT ?2 FOR UPDATE SKIP LOCKED)
    RETURNING lane
"""
_GIVE: Final = """
    UPDATE lanes SET worker = NULL, epoch = epoch + 1
    WHERE worker = ?1 AND lane IN (SELECT value FROM json_each(?2))
"""
_FORGET: Final = """
    DELETE FROM workers
    WHERE state <> 'alive' AND started_at < clock_timestamp() - interval '7 days'
    AND id NOT IN (SELECT worker FROM intents WHERE worker IS NOT NULL)
"""


class _Nobody:
    """A holder that does nothing."""

    def lanes_changed(self) -> None:
        """See `LeaseHolder`."""

    def is_clear_of(self, lanes: Collection[int]) -> bool:  # noqa: ARG002 - see `LeaseHolder`
        """See `LeaseHolder`."""
        return True

    def lease_lost(self) -> None:
        """See `LeaseHolder`."""

    def lease_taken(self) -> None:
        """See `LeaseHolder`."""


class WorkerSession:
    """A process among those that deliver from one store; see `destinations.pipeline.lease.Lease`.

    ``reap`` ends the session of another one whose beats have stopped at a count: it returns False
    if they have not. Those of one ``pool`` share their work. ``monotonic`` gives seconds; `beat` is
    called by a thread of its own from `start` on, or by its owner. ``closing`` is called when all
    is over.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        address: PostgresAddress,
        reap: Callable[[int, int | None], bool],
        *,
        name: str,
        version: str,
        pool: str = "",
        times: LeaseTimes = _TIMES,
        monotonic: Callable[[], float] = time.monotonic,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self._closing = closing
        self.times = times
        self.last_error: Exception | None = None
        """Why the last beat failed; None if it did not."""
        self.fenced = 0
        """How many requests did not begin, as the lease was over."""
        self.holder: LeaseHolder = _Nobody()
        """What is told of changes."""
        self._address = address
        self._reap = reap
        self._name, self._version, self._pool = name, version, pool
        self._monotonic = monotonic
        self._connection: PostgresConnection | None = None
        self._token: int | None = None
        self._renounced: int | None = None
        self._until = -math.inf
        self._lanes: Mapping[int, int] = {}
        self._generation = 0
        self._giving: frozenset[int] = frozenset()
        # By session: its beats, and when that count was seen first.
        self._seen: dict[int, tuple[int, float]] = {}
        self._faulty: set[int] = set()
        # Since when a partner was away for this process alone; and whether others have its lanes.
        self._alone_since: float | None = None
        self._rests, self._rests_until = False, -math.inf
        self._beginning = 0
        self._is_armed = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    # -- the lease -----------------------------------------------------------------------------

    @property
    def token(self) -> int | None:
        """See `Lease.token`."""
        return self._token

    @property
    def lanes(self) -> Mapping[int, int]:
        """See `Lease.lanes`."""
        return self._lanes

    def remaining(self) -> float:
        """See `Lease.remaining`."""
        return self._until - self._monotonic()

    def renounce(self) -> None:
        """See `Lease.renounce`; the next beat ends the session, and begins another one."""
        self._renounced = self._token
        self._until = -math.inf

    def begin(self) -> None:
        """Note that the bytes of a request are about to leave.

        Raises `TransportError` if the lease is over; then nothing was sent.
        """
        with self._lock:
            if self.remaining() <= 0 or not is_under(self._token):
                self.fenced += 1
                msg = "not sent: this process may not deliver any more, as it lost its lease"
                raise TransportError(msg, sent=False)
            self._beginning += 1

    def end(self) -> None:
        """Note that the bytes of a request have left, or never will."""
        with self._lock:
            self._beginning -= 1

    # -- beats ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to beat, in a thread of its own."""
        if self.times.hard_stop and os.getpid() == 1:
            _LOG.warning(
                "the system cannot end this server if it is frozen, as it is process 1: start it "
                "by an init process, such as with docker run --init"
            )
        self.beat()
        for name, target in (("lease", self._run), ("lease-end", self._watch)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Free all lanes at once; nothing may be under way. Safe to repeat."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        token, self._token = self._token, None
        self._until = -math.inf
        self._disarm()
        if token is not None:
            with contextlib.suppress(psycopg.Error, DestinationsError):
                self._reap(token, None)
        if self._connection is not None:
            self._connection.raw.close()
            self._connection = None
        self._closing()

    def _run(self) -> None:
        while not self._stop.wait(self._pause()):
            self.beat()

    def _watch(self) -> None:
        """Stop in order when the lease ends; a beat may hang then, as the server is away."""
        soon = self.times.margin / 8
        while not self._stop.wait(max(soon, min(self.remaining(), self.times.beat))):
            if self.remaining() <= 0:
                self._park()

    def _pause(self) -> float:
        """Return the seconds until the next beat: few if it failed, was late, or gives lanes."""
        if self.last_error is not None or self._giving or self.remaining() <= 0:
            return min(self.times.beat, 0.2 * self.times.lease / 15)
        return self.times.beat

    def beat(self) -> None:
        """Show that this process lives, look after the others, and take its share of the lanes."""
        began = self._monotonic()
        try:
            self._beat(began)
        except Exception as error:  # noqa: BLE001 - this thread must go on, or nobody delivers
            if isinstance(error, psycopg.Error | DestinationsError):
                if self.last_error is None:
                    _LOG.warning("lease not renewed: %s", failure("reach", self._address, error))
            elif repr(error) != repr(self.last_error):
                _LOG.exception("lease not renewed, by an internal error")
            self.last_error = error
            # After an outage all get a whole lease to come back.
            self._seen.clear()
            if self._connection is not None:
                self._connection.raw.close()
                self._connection = None
        else:
            if self.last_error is not None:
                _LOG.info("lease renewed again")
            self.last_error = None

    def _beat(self, began: float) -> None:
        connection = self._connected()
        if self._token is not None and self._token == self._renounced:
            self._reap(self._token, None)
        if self._token is None:
            self._register(connection)
        elif connection.execute(_BEAT, (self._token, self._rests)).fetchone() is None:
            self._lose()
            self._register(connection)
        else:
            self._renew(began)
        others = self._look_at_others(connection)
        self._look_at_partners(connection, others)
        self._share(connection, 0 if self._rests else math.ceil(LANES / (others + 1)))

    def _connected(self) -> PostgresConnection:
        if self._connection is None or self._connection.raw.closed:
            seconds = self.times.statement
            self._connection = connect(
                self._address,
                role="lease",
                statement_seconds=seconds,
                idle_seconds=seconds,
                dead_seconds=seconds,
            )
        return self._connection

    def _renew(self, began: float) -> None:
        if self._token == self._renounced:
            return
        self._until = began + self.times.lease - self.times.margin
        # A beat that took longer than the lease renews nothing: this process stays parked.
        if self.remaining() > 0:
            self._arm(began)

    def _register(self, connection: PostgresConnection) -> None:
        # What was asked before may have waited for long: the session is younger.
        began = self._monotonic()
        connection.execute(_FORGET)
        connection.execute(_POOL, (self._pool,))
        row: Any = connection.execute(
            _REGISTER, (self._name, self._version, self._pool, self.times.lease)
        ).fetchone()
        self._token = int(row[0])
        self._lanes, self._giving = {}, frozenset()
        self._renew(began)
        self.holder.lease_taken()

    def _lose(self) -> None:
        """Stop at once: another process has taken the lanes."""
        _LOG.warning("lease lost: other processes deliver what this one had")
        self._token = None
        self._until = -math.inf
        self._lanes, self._giving = {}, frozenset()
        self.holder.lease_lost()

    def _park(self) -> None:
        """Let the kernel not end a process that has stopped sending in time by itself."""
        with self._lock:
            # Looked at with the lock: a beat may have come back just now.
            if self._is_armed and not self._beginning and self.remaining() <= 0:
                self._disarm()

    def _arm(self, began: float) -> None:
        if self.times.hard_stop and sys.platform != "win32":
            with self._lock:
                passed = self._monotonic() - began
                seconds = self.times.lease - self.times.margin / 2 - passed
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
                self._is_armed = True

    def _disarm(self) -> None:
        if self.times.hard_stop and sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._is_armed = False

    # -- others --------------------------------------------------------------------------------

    def _look_at_others(self, connection: PostgresConnection) -> int:
        """End the sessions whose beats have stopped; returns how many others share its work."""
        alive = 0
        seen: dict[int, tuple[int, float]] = {}
        rows = connection.execute(_OTHERS, (self._token,)).fetchall()
        # Not before they were seen: what was asked may have waited for long.
        now = self._monotonic()
        for other, beats, lease, pool, rests, name in rows:
            count, since = self._seen.get(other, (-1, now))
            if count != beats:
                count, since = beats, now
            if now - since >= lease and self._ends(connection, other, name, beats, lease):
                continue
            seen[other] = (count, since)
            alive += pool == self._pool and not rests
        self._seen = seen
        return alive

    def _look_at_partners(self, connection: PostgresConnection, others: int) -> None:
        """Leave all lanes to others for a while, if those reach a partner that this one does not.

        Afterwards it tries again: nobody else can say whether it is still cut off.
        """
        now = self._monotonic()
        if self._rests and (others == 0 or now >= self._rests_until):
            self._rests, self._alone_since = False, None
        if self._rests or others == 0:
            return
        row: Any = connection.execute(_IS_ALONE, (self._token, self._pool)).fetchone()
        if not row[0]:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= _CUT_OFF_SECONDS:
            _LOG.warning(
                "cut off from a partner that others reach: they deliver what this process had"
            )
            self._rests, self._rests_until = True, now + _CUT_OFF_SECONDS

    def _ends(
        self, connection: PostgresConnection, other: int, name: str, beats: int, lease: float
    ) -> bool:
        """End the session of another one; False if it has beaten, or holds a lock still.

        What it has begun to write keeps its session locked, until the server gives that up. It may
        not find out that nothing more comes: then its connections are ended, and the next beat
        tries again.
        """
        try:
            is_ended = self._reap(other, beats)
        except (psycopg.Error, DestinationsError) as error:
            _LOG.warning("worker not ended yet: %s (%d), %s", name, other, error)
            with contextlib.suppress(psycopg.Error):
                connection.execute(_DISCONNECT, (application_name(writer_role(name)),))
            return False
        except Exception:  # noqa: BLE001 - as for a beat
            # What it left waits; what this process has of its own must not wait with it.
            if other not in self._faulty:
                _LOG.exception("worker cannot be ended: %s (%d)", name, other)
            self._faulty.add(other)
            return False
        if is_ended:
            _LOG.warning(
                "worker ended: %s (%d), no beat for %g s; its lanes are free", name, other, lease
            )
        return is_ended

    def _share(self, connection: PostgresConnection, fair: int) -> None:
        """Take or give lanes, so that each of those who live has as many: ``fair``, or one less."""
        own = frozenset(
            lane for (lane,) in connection.execute(_OWN_LANES, (self._token,)).fetchall()
        )
        if len(own) > fair:
            own = self._give(connection, own, fair)
        elif self._giving:
            self._giving = frozenset()
        if len(own) < fair:
            (free,) = connection.execute(_FREE_LANES, (self._pool,)).fetchone() or (0,)
            if free:
                taken = connection.execute(
                    _TAKE, (self._token, fair - len(own), self._pool)
                ).fetchall()
                own |= {lane for (lane,) in taken}
        self._hold(own - self._giving)

    def _give(
        self, connection: PostgresConnection, own: frozenset[int], fair: int
    ) -> frozenset[int]:
        """Give what is over, once nothing of it is under way; returns the lanes that are left."""
        giving = self._giving & own
        more = sorted(own - giving, reverse=True)[: max(0, len(own) - fair - len(giving))]
        self._giving = giving | frozenset(more)
        self._hold(own - self._giving)
        if self.holder.is_clear_of(self._giving):
            lanes = "[" + ",".join(map(str, sorted(self._giving))) + "]"
            connection.execute(_GIVE, (self._token, lanes))
            own -= self._giving
            self._giving = frozenset()
        return own

    def _hold(self, lanes: frozenset[int]) -> None:
        if lanes != self._lanes.keys():
            self._generation += 1
            self._lanes = {lane: self._lanes.get(lane, self._generation) for lane in lanes}
            self.holder.lanes_changed()
