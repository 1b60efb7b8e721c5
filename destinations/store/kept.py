"""Raw events that were not delivered and must not be lost, and what a rule made of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.outcome import Outcome, Result
from destinations.runner import Row
from destinations.secrets import Masker
from destinations.segment.event import MAX_EVENT_BYTES, EventError, read_json
from destinations.store.database import Store

__all__ = ["Kept", "KeptEvents"]

_KEPT: Final = frozenset({Outcome.UNMAPPED, Outcome.UNKNOWN, Outcome.DEAD, Outcome.RETRYING})

_BUFFERED: Final = 500

_KEEP: Final = """
    INSERT INTO kept_events (account, definition_version, event_key, action,
        outcome, code, reason, attempts, raw_event, kept_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (account, event_key, action) DO UPDATE SET
        definition_version = excluded.definition_version, outcome = excluded.outcome,
        code = excluded.code, reason = excluded.reason, attempts = excluded.attempts
"""
_LET_GO: Final = """
    DELETE FROM kept_events
    WHERE account = ? AND event_key = ? AND action = ? AND id <= ? AND outcome <> 'delivered'
"""
_SETTLE: Final = """
    UPDATE kept_events SET outcome = 'delivered', code = NULL, reason = ''
    WHERE account = ? AND event_key = ? AND action = ? AND id <= ?
"""

_SENDING: Final = "was being sent when its run ended; it may have been applied"
_DELIVERED: Final = "a duplicate: an earlier run kept it, and it was delivered since"
_UNSETTLED: Final = "may have been applied in an earlier run; not sent again until that is settled"


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
    """The kept events of one account.

    An event has one entry for each action, and a later outcome replaces an earlier one. When the
    event has been delivered, its entry stays as delivered, so that it is never sent twice: it may
    come again, in a file that is run again or fed back. When it was refused for good, it goes.
    """

    def __init__(
        self,
        store: Store,
        account: str,
        definition_version: str,
        masker: Masker,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._account = account
        self._version = definition_version
        self._masker = masker
        self._now = now
        self._buffer: list[tuple[Row, bytes]] = []
        self._earlier = 0
        self._times: Counter[tuple[str, str]] = Counter()
        self.begin_run()

    def begin_run(self) -> None:
        """From here on, what is kept already is of earlier runs."""
        self.flush()
        row = self._store.one("SELECT max(id) FROM kept_events WHERE account = ?", (self._account,))
        self._earlier = int(row[0] or 0) if row else 0
        self._times.clear()

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Keeps what is to be kept of ``rows``, and lets go what has been settled.

        Written a few hundred at a time, at once where an event may have been applied; `flush`
        writes the rest.
        """
        for row, data in rows:
            outcome = row.result.outcome
            # Only what earlier runs kept can be let go: within one, each event comes once.
            settles = self._earlier and row.action and outcome is not Outcome.FILTERED
            if outcome in _KEPT or settles:
                self._buffer.append((row, data))
        unknown = any(row.result.outcome is Outcome.UNKNOWN for row, _ in rows)
        if unknown or len(self._buffer) >= _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Writes what was recorded; durable when this returns."""
        if not self._buffer:
            return
        rows, self._buffer = self._buffer, []
        with self._store.transaction() as connection:
            for row, data in rows:
                if row.result.outcome in _KEPT:
                    connection.execute(_KEEP, self._values(row, data))
                else:
                    done = row.result.outcome is Outcome.DELIVERED
                    key, _ = self._identify("record", data)
                    values = (self._account, key, row.action, self._earlier)
                    connection.execute(_SETTLE if done else _LET_GO, values)

    def earlier(self, data: bytes, action: str) -> Result | None:
        """Why an event that comes again is not sent; None if it may be."""
        if not self._earlier:
            return None
        row = self._store.one(
            "SELECT outcome FROM kept_events WHERE account = ? AND event_key = ? AND action = ?"
            " AND id <= ?",
            (self._account, self._identify("earlier", data)[0], action, self._earlier),
        )
        if row is None:
            return None
        if row[0] == Outcome.DELIVERED:
            return Result(Outcome.FILTERED, _DELIVERED, "DUPLICATE")
        return Result(Outcome.UNKNOWN, _UNSETTLED) if row[0] == Outcome.UNKNOWN else None

    def sending(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Notes, durably, that events (action, raw event) are about to be sent.

        Until their rows are recorded, those of them that are kept count as ``unknown``: whatever
        ends the process now, they are not sent a second time.
        """
        if not self._earlier:
            return
        keys = [(self._identify("sending", data)[0], action) for action, data in events]
        if not any(self._is_kept(key, action) for key, action in keys):
            return
        with self._store.transaction() as connection:
            connection.executemany(
                "UPDATE kept_events SET outcome = 'unknown', reason = ?"
                " WHERE account = ? AND event_key = ? AND action = ?",
                [(_SENDING, self._account, key, action) for key, action in keys],
            )

    def _is_kept(self, key: str, action: str) -> bool:
        """Whether there is an entry of an earlier run."""
        row = self._store.one(
            "SELECT id FROM kept_events WHERE account = ? AND event_key = ? AND action = ?",
            (self._account, key, action),
        )
        return row is not None and row[0] <= self._earlier

    def unmapped(self) -> Iterator[tuple[str, bytes]]:
        """(action, raw event) of what waits for a rule, the oldest first."""
        for entry in self.entries(Outcome.UNMAPPED):
            yield entry.action or "", entry.raw_event

    def mapped(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Records what became of unmapped events that were processed again.

        Of those that were certainly not applied, the next time will be another try.
        """
        with self._store.transaction() as connection:
            connection.executemany(
                "UPDATE kept_events SET outcome = ?, code = ?, reason = ?, attempts = ?"
                " WHERE account = ? AND event_key = ? AND action = ?",
                [
                    (
                        _again(row.result.outcome).value,
                        row.result.code,
                        self._masker.text(row.result.reason),
                        row.result.attempts,
                        self._account,
                        self._identify("mapped", data)[0],
                        row.action or "",
                    )
                    for row, data in rows
                ],
            )

    def count(self, outcome: Outcome | None = None) -> int:
        """How many entries there are, of one outcome or of all."""
        self.flush()
        row = self._store.one(
            "SELECT count(*) FROM kept_events WHERE account = ?1 AND (?2 IS NULL OR outcome = ?2)",
            (self._account, outcome),
        )
        return int(row[0]) if row else 0

    def entries(self, outcome: Outcome | None = None) -> Iterator[Kept]:
        """The entries in the order in which they were first kept, a few at a time."""
        self.flush()
        last = 0
        while True:
            rows = self._store.all(
                """
                SELECT id, action, outcome, code, reason, attempts, raw_event,
                    definition_version, kept_at
                FROM kept_events
                WHERE account = ?1 AND (?2 IS NULL OR outcome = ?2) AND id > ?3
                ORDER BY id LIMIT 500
                """,
                (self._account, outcome, last),
            )
            if not rows:
                return
            last = rows[-1][0]
            for identity, action, kept_as, *rest in rows:
                yield Kept(identity, action or None, Outcome(kept_as), *rest)

    def _values(self, row: Row, data: bytes) -> tuple[object, ...]:
        result = row.result
        key, data = self._identify("record", data)
        return (
            self._account,
            self._version,
            key,
            row.action or "",
            result.outcome.value,
            result.code,
            self._masker.text(result.reason),
            result.attempts,
            data,
            self._now(),
        )

    def _identify(self, purpose: str, data: bytes) -> tuple[str, bytes]:
        """What an event is recognised by, and the event with it.

        That is its messageId. An event without one is given one, made of its content and of how
        often that content has come in this run: equal events are as many, and those of a file that
        is run again are found again. Each ``purpose`` counts for itself.
        """
        try:
            event = read_json(data)
        except EventError:
            event = None
        if not isinstance(event, dict):
            return f"sha256:{hashlib.sha256(data).hexdigest()}", data
        message_id = event.get("messageId")
        if not isinstance(message_id, str) or not message_id:
            text = json.dumps(event, sort_keys=True, separators=(",", ":"))
            digest = hashlib.sha256(text.encode()).hexdigest()
            self._times[purpose, digest] += 1
            message_id = f"{digest}:{self._times[purpose, digest]}"
            named = {**event, "messageId": message_id}
            longer = json.dumps(named, ensure_ascii=False, separators=(",", ":")).encode()
            # One that is as long as an event may be stays without: it must be readable again.
            data = longer if len(longer) <= MAX_EVENT_BYTES else data
        return f"messageId:{message_id}", data


def _again(outcome: Outcome) -> Outcome:
    return Outcome.UNMAPPED if outcome in {Outcome.DEAD, Outcome.RETRYING} else outcome
