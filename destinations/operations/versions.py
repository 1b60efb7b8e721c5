"""Tell by a short digest whether a delivery is still as an operator saw it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from destinations.pipeline.ledger import LedgerEntry

__all__ = ["entry_version", "version_of_all"]

_VERSION_BYTES: Final = 8


def entry_version(entry: LedgerEntry) -> str:
    """Return a short digest of how a delivery stands: of all that one decides by.

    Who decides says by it what they have seen, so that a decision on something else is refused.
    """
    seen = (
        *(entry.id, entry.status.value, entry.effect.value, entry.attempts, entry.settled_at),
        *(entry.code, entry.http_status, entry.reason, entry.plan, entry.restored),
        *(entry.subscription, entry.action, sorted(entry.evidence.items())),
    )
    return hashlib.blake2b(repr(seen).encode(), digest_size=_VERSION_BYTES).hexdigest()


def version_of_all(entries: Iterable[LedgerEntry]) -> str:
    """Return one `entry_version` for several deliveries, in their order; of one, it is its own."""
    versions = [entry_version(one) for one in entries]
    if len(versions) == 1:
        return versions[0]
    return hashlib.blake2b("".join(versions).encode(), digest_size=_VERSION_BYTES).hexdigest()
