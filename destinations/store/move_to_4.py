"""Move the rows of a store of version 3 into the tables of version 4.

A server's deliveries keep their event's id. The events that runs kept (``kept_events``) become
deliveries of their account. Unmapped and dead events stay so, unsent ones are ``ready``, delivered
ones are remembered. Those that may have been applied are ``held``, because it is unknown how much
they added.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from destinations.errors import DestinationsError
from destinations.outcome import Effect, Outcome, State, Status
from destinations.pipeline.dedupe import fingerprint
from destinations.runtime.account_identity import normalised
from destinations.segment.event import check_event, read_event, read_json
from destinations.store.codes import EFFECT_CODES, STATUS_CODES, TYPE_CODES
from destinations.store.digests import message_digest, packed_id

__all__ = ["move_rows"]

_DERIVED: Final = re.compile(r"[0-9a-f]{64}:\d+")
"""The messageId of an event that had none: a digest of its content, and how often it came."""

_PER_EVENT: Final = 1000
_DAY_MS: Final = 86_400_000
_LOST: Final = (
    "its answer was lost in a run of an earlier version, which did not note what it added"
)
_KEPT: Final = frozenset(
    {Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD, State.HELD}
)


def move_rows(connection: sqlite3.Connection) -> None:
    """Move all rows; within the transaction of the step."""
    _Move(connection).run()


class _Move:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._to = connection
        self._scopes: dict[tuple[str, int | None], int] = {}
        self._partners: dict[tuple[str, str, str], int] = {}
        self._texts: dict[str, int] = {}
        self._subscriptions: dict[tuple[str, str], int] = {}
        self._tallies: Counter[tuple[int, int, int, int]] = Counter()
        self._last_event = 0
        self._first_of_days: dict[int, int] = {}

    def run(self) -> None:
        for (name,) in self._rows("SELECT DISTINCT destination FROM old_events ORDER BY 1"):
            self._scope(name, served=1)
        for row in self._rows(
            "SELECT id, destination, message_id, type, user, accepted_at, raw FROM old_events"
            " ORDER BY id"
        ):
            self._served_event(*row)
        for row in self._rows(
            "SELECT id, account, event_key, action, outcome, code, reason, attempts, raw_event,"
            " definition_version, kept_at FROM kept_events ORDER BY id"
        ):
            self._kept_event(*row)
        self._around()
        self._to.execute("INSERT INTO counters VALUES ('event', ?)", (self._last_event,))
        self._to.executemany("INSERT INTO days VALUES (?, ?)", sorted(self._first_of_days.items()))
        self._to.executemany(
            "INSERT INTO tallies VALUES (?, ?, ?, ?, ?)",
            [(*key, count) for key, count in self._tallies.items()],
        )

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        return iter(self._to.cursor().execute(query))

    # -- a server's events ---------------------------------------------------------------------

    def _served_event(  # noqa: PLR0913, PLR0917 - the columns of a row
        self,
        event_id: int,
        destination: str,
        message_id: str,
        kind: str,
        user: str,
        accepted_at: float,
        raw: bytes | None,
    ) -> None:
        scope = self._scope(destination, served=1)
        at = round(accepted_at * 1000)
        self._event(event_id, scope, message_id, at)
        head = (user, message_id, TYPE_CODES.get(kind, 0), at)
        needs_raw = False
        rows = self._rows(
            "SELECT action, state, attempts, first_attempt_at, next_at, outcome, code, status,"  # noqa: S608 - a number
            " reason, stage, definition_version, expectation, evidence, settled_at"
            f" FROM old_deliveries WHERE event_id = {int(event_id)} ORDER BY id"
        )
        for nth, row in enumerate(list(rows)[:_PER_EVENT]):
            needs_raw |= self._delivery(event_id * _PER_EVENT + nth, scope, head, row, raw=raw)
        if needs_raw and raw is not None:
            self._to.execute("INSERT INTO events VALUES (?, ?)", (event_id, raw))

    def _delivery(
        self,
        delivery_id: int,
        scope: int,
        head: tuple[Any, ...],
        row: tuple[Any, ...],
        *,
        raw: bytes | None,
        found: int = 0,
    ) -> bool:
        """Write one delivery; returns whether its raw event may be needed again.

        ``found`` is the fingerprint of its event, 0 where that is not known.
        """
        (action, state, attempts, first, next_at, outcome, code, http_status, reason, stage) = row[
            :10
        ]
        version, expectation, evidence, settled_at = row[10:]
        status = _status(state, outcome, code)
        subscription = self._subscription(action) if action else None
        first_ms = None if first is None else round(first * 1000)
        key, amount, payload = _expected(expectation)
        plan = self._text(f"version {version}")
        stage = {"accept": "plan", "map": "plan", "settle": "reconcile"}.get(stage, stage) or "send"
        if status in {State.READY, State.UNKNOWN}:
            effect = EFFECT_CODES[Effect.MAYBE if status is State.UNKNOWN else Effect.NONE]
            # What was under way when the process ended may have been applied.
            if state == "sending":
                stage, reason = "send", "under way when the process ended; may have been applied"
                next_at = time.time() + 30
            self._to.execute(
                "INSERT INTO open VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
                (
                    *(delivery_id, scope, subscription, STATUS_CODES[status], effect, attempts),
                    *(*head, found, first_ms, round(next_at * 1000) or None, amount, key, payload),
                ),
            )
            if reason:
                self._to.execute(
                    "INSERT INTO failures VALUES (?, ?, ?, ?, ?)",
                    (delivery_id, code, http_status, stage, reason),
                )
            self._count(scope, subscription, status, 0)
            return True
        settled = round((settled_at or 0) * 1000) or head[3]
        self._count(scope, subscription, status, settled)
        if status in _KEPT:
            effect = EFFECT_CODES[Effect.MAYBE if status is State.HELD else Effect.NONE]
            head = _packed(head)
            self._to.execute(
                "INSERT INTO kept VALUES"
                " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(delivery_id, scope, subscription, STATUS_CODES[status], effect, attempts),
                    *(*head, found, plan, first_ms, settled, code, http_status, stage, reason),
                    *(amount, key, payload, evidence),
                ),
            )
            return True
        effect_code = None
        if status is Outcome.DROPPED and expectation is not None and raw is None:
            effect_code = EFFECT_CODES[Effect.MAYBE]
        self._ledger(
            delivery_id, scope, subscription, status, effect_code, attempts, head, settled, found,
            plan, note=(None if status is Outcome.DROPPED else code, http_status, stage, reason),
        )  # fmt: skip
        return False

    def _ledger(  # noqa: PLR0913, PLR0917 - the columns of a row
        self,
        delivery_id: int,
        scope: int,
        subscription: int | None,
        status: Status,
        effect: int | None,
        attempts: int,
        head: tuple[Any, ...],
        settled: int,
        found: int,
        plan: int,
        note: tuple[Any, ...],
    ) -> None:
        head = _packed(head)
        code, http_status, stage, reason = note
        text = None
        if code or reason:
            text = self._text(json.dumps([code, http_status, stage, reason], ensure_ascii=False))
        self._to.execute(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(delivery_id, scope, subscription, STATUS_CODES[status], effect, attempts),
                *(*head, max(0, settled - head[3]), found, plan, text),
            ),
        )

    # -- what runs kept ------------------------------------------------------------------------

    def _kept_event(  # noqa: PLR0913, PLR0917 - the columns of a row
        self,
        _id: int,
        account: str,
        event_key: str,
        action: str,
        outcome: str,
        code: str | None,
        reason: str,
        attempts: int,
        raw: bytes,
        version: str,
        kept_at: float,
    ) -> None:
        scope = self._scope(account, served=0)
        message_id = event_key.partition(":")[2]
        digest = message_digest(scope, message_id)
        known = self._to.execute(
            "SELECT event_id FROM messages WHERE digest = ?", (digest,)
        ).fetchone()
        at = round(kept_at * 1000)
        nth = 0
        if known is not None:
            (event_id,) = known
            nth = self._next_nth(event_id)
        else:
            event_id = self._last_event + 1
            self._event(event_id, scope, message_id, at)
        kind, user = _type_and_user(raw)
        head = (user, message_id, TYPE_CODES.get(kind, 0), at)
        state, ended, evidence = "done", outcome, None
        if outcome == "unknown":
            state, ended, evidence = "held", "", json.dumps({"why": _LOST})
            reason = f"{_LOST}: {reason}" if reason else _LOST
        elif outcome == "retrying":
            state, ended = "ready", ""
        settled = None if state == "ready" else kept_at
        row = (
            *(action, state, attempts, None, 0.0, ended or None, code, None, reason, "send"),
            *(version, None, evidence, settled),
        )
        delivery_id = event_id * _PER_EVENT + nth
        # The line as it was read: other content under its messageId differs from it. One that
        # was derived says what content it had.
        found = 0 if _DERIVED.fullmatch(message_id) else _fingerprint(raw)
        if self._delivery(delivery_id, scope, head, row, raw=raw, found=found):
            self._to.execute("INSERT OR IGNORE INTO events VALUES (?, ?)", (event_id, raw))

    def _next_nth(self, event_id: int) -> int:
        first = event_id * _PER_EVENT
        (last,) = self._to.execute(
            "SELECT max(id) FROM (SELECT id FROM open UNION ALL SELECT id FROM kept"
            " UNION ALL SELECT id FROM ledger) WHERE id BETWEEN ? AND ?",
            (first, first + _PER_EVENT - 1),
        ).fetchone()
        return 0 if last is None else int(last) - first + 1

    # -- the rest ------------------------------------------------------------------------------

    def _around(self) -> None:
        """Move everything besides deliveries."""
        for account, request, answer in self._rows("SELECT * FROM old_capabilities"):
            slug, endpoint, *_ = (*str(account).split(" "), "")
            partner = f"{slug} {normalised(endpoint)}"
            self._to.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (partner, request, answer)
            )
        for account, subject, fields, noted_at in self._rows("SELECT * FROM old_manual_changes"):
            # One account may have been known by two spellings of its URL.
            self._to.execute(
                "INSERT INTO manual_changes VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET fields = json_patch(excluded.fields, fields)",
                (self._partner(account), subject, fields, noted_at),
            )
        for account, *rest in self._rows(
            "SELECT account, key, user, amount, period, ends_at, asked_at FROM old_amounts"
        ):
            name = account.partition(": ")[0]
            self._to.execute(
                "INSERT OR IGNORE INTO balances VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._scope(name, served=1), *rest),
            )

    def _event(self, event_id: int, scope: int, message_id: str, at: int) -> None:
        self._last_event = max(self._last_event, event_id)
        self._first_of_days.setdefault(at // _DAY_MS, event_id)
        self._to.execute(
            "INSERT INTO messages VALUES (?, ?)", (message_digest(scope, message_id), event_id)
        )

    def _count(self, scope: int, subscription: int | None, status: Status, settled: int) -> None:
        self._tallies[scope, subscription or 0, STATUS_CODES[status], settled // _DAY_MS] += 1

    def _scope(self, name: str, *, served: int) -> int:
        """Return the scope of a server's destination, or of a run's account as text."""
        partner = None if served else self._partner(name)
        key = (name, None) if partner is None else ("", partner)
        if key not in self._scopes:
            destination = name if served else name.split(" ", maxsplit=1)[0]
            done = self._to.execute(
                "INSERT INTO scopes (destination, served, partner_account) VALUES (?, ?, ?)",
                (destination, served, partner),
            )
            self._scopes[key] = int(done.lastrowid or 0)
        return self._scopes[key]

    def _partner(self, account: str) -> int:
        """Return the partner's account for its former text: slug, endpoint and environments."""
        slug, endpoint, *environments = (*account.split(" "), "")
        place = (slug, normalised(endpoint), " ".join(environments).strip())
        if place not in self._partners:
            done = self._to.execute(
                "INSERT INTO partner_accounts (slug, endpoint, environment, noted_at)"
                " VALUES (?, ?, ?, ?)",
                (*place, time.time()),
            )
            self._partners[place] = int(done.lastrowid or 0)
        return self._partners[place]

    def _text(self, text: str) -> int:
        if text not in self._texts:
            done = self._to.execute("INSERT INTO texts (text) VALUES (?)", (text,))
            self._texts[text] = int(done.lastrowid or 0)
        return self._texts[text]

    def _subscription(self, key: str) -> int:
        """Return the subscription for its former key: an action, or ``action: name``."""
        action, _, name = key.partition(": ")
        pair = (name, action)
        if pair not in self._subscriptions:
            done = self._to.execute("INSERT INTO subscriptions (name, action) VALUES (?, ?)", pair)
            self._subscriptions[pair] = int(done.lastrowid or 0)
        return self._subscriptions[pair]


def _packed(head: tuple[Any, ...]) -> tuple[Any, ...]:
    user, message_id, *rest = head
    return (packed_id(user), packed_id(message_id), *rest)


def _status(state: str, outcome: str | None, code: str | None) -> Status:
    if state == "sending":
        return State.UNKNOWN
    if state != "done":
        return State(state)
    return Outcome.DROPPED if code == "DROPPED" else Outcome(outcome or "dead")


def _expected(expectation: str | None) -> tuple[str | None, int | None, bytes]:
    if expectation is None:
        return None, None, b""
    key, amount, *payload = json.loads(expectation)
    return key, amount, payload[0].encode() if payload else b""


def _fingerprint(raw: bytes) -> int:
    try:
        return fingerprint(read_event(raw)[1])
    except DestinationsError:
        return 0


def _type_and_user(raw: bytes) -> tuple[str, str]:
    try:
        event = check_event(read_json(raw))
    except DestinationsError:
        return "", ""
    return event["type"], event.get("userId") or event.get("anonymousId") or ""
