"""The deliveries of a scope that wait in PostgreSQL, of the lanes that this process has.

Several processes add to them, each in a transaction of its own, and these end in any order. A
position in the order of ids would pass what is committed later. So a position is in the order of
(transaction, id), and what had not ended yet when it was passed is read once it has. What is found
a second time is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from destinations.outcome import Effect, State
from destinations.pipeline.lease import LANES, lane_of
from destinations.pipeline.queue import QueuedDelivery, Scope
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.snapshots import Snapshot, numbers_of, take_snapshot
from destinations.store.codes import EFFECT_CODES, STATUS_CODES
from destinations.store.interning import Names
from destinations.store.queue import OPEN_COLUMNS, StoredSource
from destinations.store.rows import array_of

__all__ = ["ALL_LANES", "PostgresSource"]

ALL_LANES: Final[Mapping[int, int]] = dict.fromkeys(range(LANES), 0)
_READY: Final = STATUS_CODES[State.READY]
_UNKNOWN: Final = STATUS_CODES[State.UNKNOWN]
_NO_EFFECT: Final = EFFECT_CODES[Effect.NONE]
_LEAST: Final = 32
"""So many of one lane are read at once at least."""

_LAST: Final = 2**63 - 1
_COLUMNS: Final = ", ".join(f"one.{name.strip()}" for name in OPEN_COLUMNS.split(","))
_NEXT: Final = f"""
    WITH place (lane, tx, id{{column}}) AS (VALUES {{rows}})
    SELECT {_COLUMNS}, one.lane, one.tx::text::bigint
    FROM place CROSS JOIN LATERAL (
        SELECT * FROM open WHERE open.scope = {{scope}} AND open.lane = place.lane::smallint
        AND (open.tx, open.id) > (place.tx::text::xid8, place.id)
        AND open.status = {_READY}{{condition}}
        ORDER BY open.tx, open.id LIMIT {{size}}) AS one
"""  # noqa: S608 - constants and numbers
_ENDED: Final = f"""
    WITH place (lane, tx{{column}}) AS (VALUES {{rows}})
    SELECT {_COLUMNS}, one.lane, one.tx::text::bigint
    FROM place CROSS JOIN LATERAL (
        SELECT * FROM open WHERE open.scope = {{scope}} AND open.lane = place.lane::smallint
        AND open.tx = place.tx::text::xid8 AND open.status = {_READY}{{condition}}) AS one
"""  # noqa: S608 - constants and numbers
_CHANGES: Final = """
    SELECT id, delivery, tx::text::bigint FROM changes
    WHERE tx >= ?::text::xid8 OR tx = ANY (?::text::xid8[])
"""


class PostgresSource(StoredSource):
    """See the module, and `destinations.pipeline.queue.Source`.

    ``lanes`` gives those that this process has now; None for all of them, without a lease.
    """

    def __init__(
        self,
        database: PostgresDatabase,
        names: Names,
        scope: Scope,
        user: str | None,
        lanes: Callable[[], Mapping[int, int]] | None,
    ) -> None:
        super().__init__(database, names, scope, user)
        self._postgres = database
        self._is_shared = lanes is not None
        self._lanes = lanes or (lambda: ALL_LANES)
        # By lane, which of its times with this process that is, the (transaction, id) up to which
        # all is read, the transactions before that which had not ended then, and the transactions
        # of what may be found again, by id.
        self._generations: Mapping[int, int] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._gaps: dict[int, frozenset[int]] = {}
        self._read: dict[int, dict[int, int]] = {}
        self._turn = 0
        self._changes_from = take_snapshot(database)
        self._changes_read = {identity for identity, _, _ in self._changes()}

    def _changes(self) -> Sequence[tuple[Any, ...]]:
        before = self._changes_from
        return self._postgres.all(_CHANGES, (str(before.after), numbers_of(before.running)))

    @property
    def is_shared(self) -> bool:
        """Whether other processes add to it, and read from it: where this one has a lease."""
        return self._is_shared

    def owns(self, user: str) -> bool:
        """Return whether a user's lane is one of this process."""
        lanes = self._lanes()
        return len(lanes) == LANES or lane_of(self._scope.tenant, user) in lanes

    def passed(self, delivery: QueuedDelivery) -> None:
        """Do nothing: all that is new is read."""

    def is_ahead(self, delivery: QueuedDelivery) -> bool:  # noqa: ARG002 - see `Source`
        """Return False: what an operator has changed is taken in at once."""
        return False

    def unknown(self) -> Sequence[QueuedDelivery]:
        """Return those whose answers were lost."""
        return self.found(f"status = ? AND {self._in_lanes()} ORDER BY id", (_UNKNOWN,))

    def begun(self) -> Sequence[QueuedDelivery]:
        """Return the ready ones of which a request may have been carried out, in order."""
        return self.found(
            f"status = ? AND effect <> ? AND {self._in_lanes()} ORDER BY id", (_READY, _NO_EFFECT)
        )

    def _in_lanes(self) -> str:
        return f"lane IN ({', '.join(map(str, sorted(self._lanes()))) or '-1'})"

    def ready(self, limit: int) -> Sequence[QueuedDelivery]:
        """Return the next ready ones of these lanes; fewer than ``limit`` if there are no more.

        Lanes take turns. There may be some more than ``limit``.
        """
        generations = self._lanes()
        for lane, generation in self._generations.items():
            if generations.get(lane) != generation:  # others may have had it meanwhile
                for kept in (self._places, self._gaps, self._read):
                    kept.pop(lane, None)
        self._generations = generations
        lanes = sorted(generations)
        if not lanes:
            return ()
        snapshot = take_snapshot(self._postgres)
        # Kept when all is read: what was found is lost if that fails.
        before = dict(self._places), dict(self._gaps), dict(self._read)
        try:
            return self._ready(lanes, limit, snapshot)
        except BaseException:
            self._places, self._gaps, self._read = before
            raise

    def _ready(
        self, lanes: Sequence[int], limit: int, snapshot: Snapshot
    ) -> Sequence[QueuedDelivery]:
        found = self._ended(lanes, snapshot)
        start = self._turn % len(lanes)
        left = [*lanes[start:], *lanes[:start]]
        size = max(_LEAST, math.ceil(limit / len(lanes)))
        while left and len(found) < limit:
            count = max(1, limit // size)
            some, left = left[:count], left[count:]
            self._turn += len(some)
            by_lane = self._next(some, size)
            longer = []
            for lane in some:
                rows = by_lane.get(lane, [])
                found += self._fresh(lane, rows, snapshot, is_all=len(rows) < size)
                if len(rows) == size:
                    longer.append(lane)
            left += longer
            if not left or longer == some:
                size *= 2  # all of them may have been read before
        return sorted(self.queued(row[:-2] for row in found), key=_by_id)

    def _ended(self, lanes: Sequence[int], snapshot: Snapshot) -> list[Sequence[Any]]:
        """Return what is new of transactions that have ended since their numbers were passed."""
        ended = {
            lane: [tx for tx in self._gaps.get(lane, ()) if tx not in snapshot.running]
            for lane in lanes
        }
        places = [(lane, tx) for lane, numbers in ended.items() for tx in numbers]
        if not places:
            return []
        found: list[Sequence[Any]] = []
        for lane, rows in self._rows(_ENDED, places).items():
            known = self._read.get(lane, {})
            found += [row for row in rows if known.get(row[0]) != row[-1]]
        for lane, numbers in ended.items():
            if numbers:
                self._gaps[lane] -= frozenset(numbers)
                self._know(lane, ())
        return found

    def _next(self, lanes: Sequence[int], size: int) -> Mapping[int, list[Sequence[Any]]]:
        """Return the rows that come after the places of lanes, at most ``size`` of each."""
        places = [(lane, *self._places.get(lane, (0, 0))) for lane in lanes]
        return self._rows(_NEXT.replace("{size}", str(size)), places)

    def _rows(
        self, statement: str, places: Sequence[tuple[object, ...]]
    ) -> Mapping[int, list[Sequence[Any]]]:
        """Return the rows that a statement finds at places, by lane."""
        of_user = () if self._user is None else (self._user,)
        text = statement.replace("{scope}", str(self._scope.id))
        text = text.replace("{column}", ", user" if of_user else "")
        text = text.replace("{condition}", " AND open.user = place.user" if of_user else "")
        by_lane: dict[int, list[Sequence[Any]]] = {}
        with self._postgres.reading() as connection:
            for row in connection.with_rows(text, [(*one, *of_user) for one in places]):
                by_lane.setdefault(row[-2], []).append(row)
        return by_lane

    def _fresh(
        self, lane: int, rows: Sequence[Sequence[Any]], snapshot: Snapshot, *, is_all: bool
    ) -> Sequence[Sequence[Any]]:
        """Return the rows of a lane that were not found before, and note its place."""
        before = self._read.get(lane, {})
        fresh = [row for row in rows if before.get(row[0]) != row[-1]]
        passed = [(row[-1], row[0]) for row in rows if row[-1] < snapshot.after]
        if is_all:
            passed.append((snapshot.after - 1, _LAST))
        place = max([self._places.get(lane, (0, 0)), *passed[-1:]])
        self._places[lane] = place
        running = {tx for tx in snapshot.running if tx <= place[0]}
        self._gaps[lane] = self._gaps.get(lane, frozenset()) | running
        self._know(lane, rows)
        return fresh

    def _know(self, lane: int, rows: Sequence[Sequence[Any]]) -> None:
        """Remember of a lane what may be found again; rows that are written anew are others."""
        place, gaps = self._places.get(lane, (0, 0)), self._gaps.get(lane, frozenset())
        known = {**self._read.get(lane, {}), **{row[0]: row[-1] for row in rows}}
        self._read[lane] = {
            identity: tx for identity, tx in known.items() if (tx, identity) > place or tx in gaps
        }

    def changes(self) -> tuple[Sequence[QueuedDelivery], Sequence[int]]:
        """Return the changes of operators since the last call."""
        now = take_snapshot(self._postgres)
        rows = self._changes()
        ids = {delivery for one, delivery, _ in rows if one not in self._changes_read}
        opened: Sequence[QueuedDelivery] = ()
        if ids:
            some = "id IN (SELECT value FROM json_each(?)) ORDER BY id"
            opened = self.found(some, (array_of(ids),))
        # Not before they are here: reading may fail.
        self._changes_from = now
        self._changes_read = {one for one, _, tx in rows if tx >= now.after or tx in now.running}
        ended = sorted(ids - {one.id for one in opened})
        if not ids:
            return (), ()
        return [one for one in opened if self.owns(one.user)], ended


def _by_id(delivery: QueuedDelivery) -> int:
    return delivery.id
