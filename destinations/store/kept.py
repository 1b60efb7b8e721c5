"""Raw events that were not delivered and must not be lost."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.event import EventError, read_json
from destinations.outcome import Outcome
from destinations.runner import Row
from destinations.secrets import Masker
from destinations.store.database import Store

__all__ = ["Kept", "KeptEvents"]

_KEPT: Final = frozenset({Outcome.UNMAPPED, Outcome.UNKNOWN, Outcome.DEAD, Outcome.RETRYING})


@dataclass(frozen=True, slots=True)
class Kept:
    """One event that is kept; ``kept_at`` is in seconds since 1970, UTC."""

    id: int
    action: str | None
    outcome: Outcome
    code: str | None
    reason: str
    attempts: int
    raw_event: bytes
    definition_version: str
    kept_at: float


class KeptEvents:
    """The kept events of one destination.

    An event has one entry for each action. A later outcome replaces an earlier one, and when the
    event has been delivered, or refused for good, the entry goes.
    """

    def __init__(
        self,
        store: Store,
        destination: str,
        definition_version: str,
        masker: Masker,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._destination = destination
        self._version = definition_version
        self._masker = masker
        self._now = now

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Keeps what is to be kept of ``rows``, and lets go what has been settled; durable."""
        kept = [(row, data) for row, data in rows if row.result.outcome in _KEPT]
        settled = [
            (self._destination, _key(data), row.action or "")
            for row, data in rows
            if row.result.outcome not in _KEPT and row.action is not None
        ]
        if not kept and not (settled and self.count()):
            return
        with self._store.transaction() as connection:
            connection.executemany(
                "DELETE FROM kept_events WHERE destination = ? AND event_key = ? AND action = ?",
                settled,
            )
            connection.executemany(
                """
                INSERT INTO kept_events (destination, definition_version, event_key, action,
                    outcome, code, reason, attempts, raw_event, kept_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (destination, event_key, action) DO UPDATE SET
                    definition_version = excluded.definition_version, outcome = excluded.outcome,
                    code = excluded.code, reason = excluded.reason, attempts = excluded.attempts
                """,
                [self._values(row, data) for row, data in kept],
            )

    def count(self, outcome: Outcome | None = None) -> int:
        """How many entries there are, of one outcome or of all."""
        with self._store.transaction() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM kept_events WHERE destination = ?1"
                " AND (?2 IS NULL OR outcome = ?2)",
                (self._destination, outcome),
            ).fetchone()
        return int(count)

    def entries(self, outcome: Outcome | None = None) -> Iterator[Kept]:
        """The entries in the order in which they were first kept."""
        last = 0
        while True:
            with self._store.transaction() as connection:
                rows = connection.execute(
                    """
                    SELECT id, action, outcome, code, reason, attempts, raw_event,
                        definition_version, kept_at
                    FROM kept_events
                    WHERE destination = ?1 AND (?2 IS NULL OR outcome = ?2) AND id > ?3
                    ORDER BY id LIMIT 500
                    """,
                    (self._destination, outcome, last),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            for identity, action, kept_as, *rest in rows:
                yield Kept(identity, action or None, Outcome(kept_as), *rest)

    def _values(self, row: Row, data: bytes) -> tuple[object, ...]:
        result = row.result
        return (
            self._destination,
            self._version,
            _key(data),
            row.action or "",
            result.outcome.value,
            result.code,
            self._masker.text(result.reason),
            result.attempts,
            data,
            self._now(),
        )


def _key(data: bytes) -> str:
    """What an event is recognised by: its messageId, else a digest of its bytes."""
    try:
        event = read_json(data)
    except EventError:
        event = None
    message_id = event.get("messageId") if isinstance(event, dict) else None
    if isinstance(message_id, str) and message_id:
        return f"messageId:{message_id}"
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
