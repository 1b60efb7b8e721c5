"""Keep apart what touches one account at a partner, though different processes have its users.

Within a process, `destinations.pipeline.exclusion` does that. Between processes, each intent notes
the names that its events touch, and what waits after a request that may have been carried out keeps
its names reserved. An intent is written only after looking at those of the others. To look for
theirs and then to write one's own would let both through; so the locks of all names come first.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from destinations.pipeline.account_names import folded
from destinations.pipeline.lease import lane_name
from destinations.pipeline.queue import ClaimedBatch, QueuedDelivery
from destinations.store.bulk import with_rows
from destinations.store.connection import Connection
from destinations.store.rows import array_of

__all__ = ["Excluder", "names_of_intent", "names_of_lost", "reserve"]

_NAMES: Final = 0x64737474
"""``dstt``: the first number of the locks of names."""

_BUCKETS: Final = 1024
"""Names share so many locks: who holds one is soon done."""

_WISH_SECONDS: Final = 5.0

# Exclusively what events touch besides their own users, whose own events come one at a time anyway.
_LOCK: Final = f"""
    WITH one (bucket, exclusive) AS (VALUES {{rows}}),
    ordered AS MATERIALIZED (SELECT bucket::int, exclusive FROM one ORDER BY bucket)
    SELECT CASE WHEN exclusive = 1 THEN pg_advisory_xact_lock({_NAMES}, bucket)::text
        ELSE pg_advisory_xact_lock_shared({_NAMES}, bucket)::text END FROM ordered
"""  # noqa: S608 - a number
_UNDER_WAY: Final = """
    SELECT partner_account, names FROM intents JOIN scopes ON scopes.id = intents.scope
    WHERE partner_account IN (SELECT value FROM json_each(?1)) AND names <> '{}'
    AND worker IS DISTINCT FROM ?2
"""
_RESERVED: Final = """
    SELECT account, name, delivery FROM reserved
    WHERE account IN (SELECT value FROM json_each(?))
    AND (until IS NULL OR until > extract(epoch FROM clock_timestamp()))
"""
_RESERVE: Final = """
    WITH one (account, name, delivery, until) AS (VALUES {rows})
    INSERT INTO reserved SELECT account, name, delivery,
        CASE WHEN until > 0 THEN extract(epoch FROM clock_timestamp()) + until END FROM one
    ON CONFLICT (account, name, delivery) DO UPDATE SET until = excluded.until
    WHERE reserved.until IS NOT NULL
"""
_FULFIL: Final = """
    DELETE FROM reserved WHERE until IS NOT NULL
    AND delivery IN (SELECT value FROM json_each(?))
"""


def names_of_intent(batch: ClaimedBatch, gone: Collection[QueuedDelivery]) -> str:
    """Return what an intent notes: a JSON object with the names of each delivery, by its id."""
    if not batch.names:
        return "{}"
    names = {str(one.id): batch.names[one] for one in batch.deliveries if one not in gone}
    return json.dumps(names, ensure_ascii=False, separators=(",", ":"))


def names_of_lost(text: str) -> Mapping[int, Sequence[str]]:
    """Return the names of each delivery by its id, as an intent has noted them."""
    return {int(delivery): names for delivery, names in json.loads(text).items()}


def reserve(
    connection: Connection,
    account: int | None,
    names: Mapping[int, Sequence[str]],
    seconds: float = 0.0,
) -> None:
    """Keep the names that deliveries touch from others, until they end, or for some ``seconds``."""
    if account is None:
        return
    # An event may touch the account of its own user.
    rows = [
        (account, name, delivery, seconds)
        for delivery, each in names.items()
        for name in dict.fromkeys(each)
    ]
    with_rows(connection, _RESERVE, rows)


class Excluder:
    """Finds, in one transaction, the deliveries that have to wait for others' requests."""

    def __init__(
        self, connection: Connection, worker: int, accounts: Mapping[int, int | None]
    ) -> None:
        self._to = connection
        self._worker = worker
        self._accounts = accounts

    def excluded(self, batches: Sequence[ClaimedBatch]) -> set[QueuedDelivery]:
        """Return what of batches must wait; a wish for its names keeps new requests of others off.

        Of two that wait for one another, the older goes first. What comes after one that waits, of
        the same user, waits with it.
        """
        named = [
            (account, one, names)
            for batch in batches
            if (account := self._accounts.get(batch.scope.id)) is not None
            for one, names in batch.names.items()
        ]
        if not named:
            return set()
        self._lock(named)
        accounts = array_of({account for account, _, _ in named})
        under_way = self._under_way(accounts)
        reserved: dict[tuple[int, str], list[int]] = {}
        for account, name, delivery in self._to.execute(_RESERVED, (accounts,)).fetchall():
            reserved.setdefault((account, name), []).append(delivery)
        if not under_way and not reserved:
            return set()
        mine = {one.id for _, one, _ in named}
        found: set[QueuedDelivery] = set()
        waiting: set[tuple[int, str]] = set()
        wished: list[int] = []
        for account, one, names in named:
            user = account, one.event.user
            if user in waiting:
                found.add(one)
            elif any(
                (account, name) in under_way
                or _is_kept(one.id, reserved.get((account, name), ()), mine)
                for name in names
            ):
                found.add(one)
                waiting.add(user)
                if one.id:
                    reserve(self._to, account, {one.id: names}, _WISH_SECONDS)
            elif one.id and any(one.id in reserved.get((account, name), ()) for name in names):
                wished.append(one.id)
        if wished:
            self._to.execute(_FULFIL, (array_of(wished),))
        return found

    def _lock(self, named: Iterable[tuple[int, QueuedDelivery, Sequence[str]]]) -> None:
        """Take the locks of all names, in one order for all processes, so that none waits twice."""
        locks: dict[int, int] = {}
        for account, one, names in named:
            own = folded(one.event.user)
            # Users whose names differ only in ways that lanes do not know may be anywhere.
            is_safe = own == lane_name(one.event.user)
            for name in names:
                bucket = zlib.crc32(f"{account}/{name}".encode("utf-8", "surrogatepass")) % _BUCKETS
                exclusive = int(name != own or not is_safe)
                locks[bucket] = max(exclusive, locks.get(bucket, 0))
        with_rows(self._to, _LOCK, list(locks.items()))

    def _under_way(self, accounts: str) -> set[tuple[int, str]]:
        """Return the names that requests of other processes touch now."""
        return {
            (account, name)
            for account, text in self._to.execute(_UNDER_WAY, (accounts, self._worker)).fetchall()
            for names in json.loads(text).values()
            for name in names
        }


def _is_kept(delivery: int, others: Sequence[int], mine: Collection[int]) -> bool:
    """Return whether others keep a delivery from a name that they have reserved.

    What this process claims at the same time was looked at in its own memory.
    """
    has_own = delivery in others
    return any(
        other not in mine and (other < delivery or not has_own)
        for other in others
        if other != delivery
    )
