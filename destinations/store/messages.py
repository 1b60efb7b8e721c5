"""Keep messages by the digest of scope and messageId: the event that has it, and others.

Look up the outcome of a repeated event. One that corrects another takes
its place under the messageId.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.queue import History, Past, Restored
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store.codes import EFFECT_CODES, EFFECTS, STATUS_CODES, STATUSES
from destinations.store.connection import Connection
from destinations.store.interning import Names
from destinations.store.restored import decode_restored
from destinations.store.rows import PER_EVENT, end_replaced
from destinations.store.tallies import Tallies

__all__ = ["KNOWN", "SIBLINGS", "history_of", "note_other", "replace"]

_DELIVERED: Final = STATUS_CODES[Outcome.DELIVERED]

_CORRECTED: Final = (
    "it corrects an event of the copy that the store was restored from, and may have done so before"
)

# Of all scopes of an array; with others of their partners' accounts.
SIBLINGS: Final = """
    SELECT own.id, other.id FROM json_each(?) AS one CROSS JOIN scopes AS own ON own.id = one.value
    CROSS JOIN scopes AS other
    ON other.partner_account = own.partner_account AND other.served <> own.served
"""
KNOWN: Final = """
    WITH one (digest) AS (VALUES {rows})
    SELECT messages.digest, messages.event_id FROM one CROSS JOIN messages
    ON messages.digest = one.digest
"""


def history_of(connection: Connection, names: Names, digest: bytes, event_id: int) -> History:
    """Return the history of a message, given the event that has it."""
    first, last = event_id * PER_EVENT, event_id * PER_EVENT + PER_EVENT - 1
    deliveries: dict[SubscriptionKey | None, Past] = {}
    found = 0
    highest = -1
    for row in connection.execute(
        "SELECT id, subscription, status, effect, fingerprint, reason, code, settled_at,"
        " NULL, restored FROM kept WHERE id BETWEEN ?1 AND ?2"
        " UNION ALL SELECT id, subscription, status, effect, fingerprint, NULL, NULL,"
        " accepted_at + took, note, NULL FROM ledger WHERE id BETWEEN ?1 AND ?2"
        " UNION ALL SELECT id, subscription, status, effect, fingerprint, NULL, NULL, NULL, NULL,"
        " restored FROM open WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
        (first, last),
    ).fetchall():
        identity, subscription, code, effect, fingerprint, reason, fault, settled_at, *more = row
        note, restored = more
        status = STATUSES[code]
        if note is not None:
            ended = names.note_of(note)
            fault, reason = ended.code, ended.reason
        if effect is None:
            effect = EFFECT_CODES[Effect.APPLIED if code == _DELIVERED else Effect.NONE]
        key = None if subscription is None else names.key(subscription)
        before = deliveries.get(key)
        # An earlier version may have noted two for one subscription: what changed most is reported.
        if before is None or EFFECT_CODES[before.effect] < effect:
            deliveries[key] = Past(
                identity,
                identity - first,
                status if isinstance(status, State) else State.DONE,
                None if isinstance(status, State) else status,
                EFFECTS[effect],
                reason or "",
                fault,
                None if settled_at is None else settled_at / 1000,
                decode_restored(restored),
            )
        found = fingerprint or found
        highest = max(highest, identity - first)
    others = {
        fingerprint: bool(refused)
        for fingerprint, refused in connection.execute(
            "SELECT fingerprint, refused FROM other_contents WHERE digest = ?", (digest,)
        )
    }
    # What has, or may have, an effect is corrected by nothing, and most of what comes again has.
    had_no_effect = all(
        one.state is State.DONE and one.effect is Effect.NONE for one in deliveries.values()
    )
    restored = _restored(connection, deliveries.values()) if had_no_effect else None
    return History(event_id, found, deliveries, others, highest + 1, restored)


def _restored(connection: Connection, deliveries: Iterable[Past]) -> Restored | None:
    """Return the state of an event's correction if the event ended before a restoration."""
    ended_at = [one.settled_at for one in deliveries if one.settled_at is not None]
    gap = connection.execute(
        "SELECT gap_from, gap_until FROM identity WHERE gap_until IS NOT NULL"
    ).fetchone()
    if gap is None or not ended_at:
        return None
    begins, ends = gap
    return None if min(ended_at) >= ends else Restored(begins, _CORRECTED)


def note_other(
    connection: Connection,
    digest: bytes,
    fingerprint: int,
    event_id: int,
    *,
    refused: bool,
) -> None:
    """Note another content that came under a messageId: ``refused``, or replaced by a later one."""
    connection.execute(
        "INSERT INTO other_contents VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (digest, fingerprint, event_id, refused),
    )


def replace(  # noqa: PLR0913 - a message, what takes its place, and when
    connection: Connection,
    names: Names,
    digest: bytes,
    history: History,
    fingerprint: int,
    now_ms: int,
    *,
    by: int,
) -> Tallies:
    """Note that another content, of the event ``by``, replaces an event that changed nothing.

    What was kept of it needs no operator now, nor does what was kept of that other content (with
    this ``fingerprint``) when it was refused, as the event was still under way; unless it is that
    row that goes on. Returns what changes in the tallies.
    """
    note_other(connection, digest, history.fingerprint, history.event_id, refused=False)
    refused = connection.execute(
        "DELETE FROM other_contents WHERE digest = ? AND fingerprint = ? AND refused"
        " RETURNING event_id",
        (digest, fingerprint),
    ).fetchall()
    tallies = Tallies()
    for event_id in (history.event_id, *(one for (one,) in refused if one != by)):
        tallies.merge(end_replaced(connection, names, event_id, now_ms, by=by))
    return tallies
