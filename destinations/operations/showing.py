"""Collect what is shown of one delivery: content, next step, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from destinations.operations.decisions import (
    proposed,
    why_not_dropped,
    why_not_resolved,
    why_not_sent,
    why_user_deleted,
)
from destinations.operations.interrupted import delivers
from destinations.operations.pauses import (
    paused_actions,
    refused_credentials,
    stopped_destinations,
)
from destinations.operations.replaying import deletes_more, why_in_conflict, why_not_replayed
from destinations.operations.tenants import find_tenant
from destinations.operations.versions import entry_version
from destinations.operations.wording import shown_key
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Scope
from destinations.store import OpenStore, StoredLedger

__all__ = [
    "DeliveryDetails",
    "NextStep",
    "delivery_details",
    "evidence_rows",
]

_GOES_ON: Final = {
    State.READY: "sends it in its turn",
    State.SENDING: "waits for its answer",
    State.UNKNOWN: "asks the partner whether it was applied",
}

_EVIDENCE: Final = {
    "added": "amounts to judge",
    "before": "balance before",
    "copiedAt": "backup made",
    "expected": "balance expected",
    "found": "balance found",
    "key": "balance",
    "periodBefore": "period before",
    "periodNow": "period now",
    "proposed": "balances show",
    "why": "held because",
}
"""How the numbers that a lost answer is judged by are shown; JSON has their own names."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next step of a delivery that waits: ``what`` its process does with it.

    ``by`` says whether a process delivers now, none does, or an operator has to resume it. Then
    ``pauses`` is what, ``paused`` says why, and ``since`` since when, if that is known (seconds
    since 1970). ``served`` is as in `ScopeTotals`.
    """

    what: str
    by: Literal["process", "nobody", "operator"]
    served: bool
    paused: str = ""
    pauses: Literal["", "action", "credentials", "destination", "tenant"] = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """A delivery with its content: ``raw`` is the event as it was read, None if it was deleted.

    Then ``recent`` is a copy that is kept to try changes with it, if there is one. ``payload`` is
    empty if it is not kept. Reasons why something cannot be done are empty where it can.
    ``warning`` says what has to be known before it is sent again.
    """

    entry: LedgerEntry
    raw: bytes | None
    recent: bytes | None
    payload: bytes
    next_step: NextStep | None
    why_not_resolved: str
    why_not_sent: str
    why_not_replayed: str
    why_not_dropped: str
    warning: str

    @property
    def proposed(self) -> bool | None:
        """What the balances show of a held one: applied, not applied, or nothing (None)."""
        return proposed(self.entry)

    @property
    def version(self) -> str:
        """See `entry_version`."""
        return entry_version(self.entry)


def delivery_details(store: OpenStore, ledger: StoredLedger, delivery_id: int) -> DeliveryDetails:
    """Return all that is shown of a delivery; raises `UsageError` if there is none of that id."""
    entry = ledger.get(delivery_id)
    raw = ledger.raw_event(entry.event_id)
    why_not = (
        why_not_replayed(entry) or why_in_conflict(ledger, entry) or why_user_deleted(ledger, entry)
    )
    if not why_not and raw is None:
        why_not = "its raw event was deleted"
    why_unsent = why_not_sent(ledger, entry)
    return DeliveryDetails(
        entry,
        raw,
        store.recent().event(entry) if raw is None else None,
        ledger.payload(entry),
        _next_step(store, ledger, entry),
        why_not_resolved(entry),
        why_unsent,
        why_not,
        why_not_dropped(entry),
        "" if why_unsent and why_not else deletes_more(ledger, entry),
    )


def evidence_rows(entry: LedgerEntry) -> Sequence[tuple[str, str]]:
    """Return the numbers by which an operator decides on a lost answer, each with its name."""
    rows: list[tuple[str, str]] = []
    if entry.increment is not None:
        rows.append(("adds", f"{entry.increment.amount:,} to {shown_key(entry.increment.key)}"))
    for name, value in entry.evidence.items():
        if name == "key" and isinstance(value, str):
            shown = shown_key(value)
        elif value is None:
            shown = "unknown"
        elif type(value) is int:
            shown = f"{value:,}"
        else:
            shown = value if isinstance(value, str) else json.dumps(value)
        rows.append((_EVIDENCE.get(name, name), shown))
    return rows


def _next_step(store: OpenStore, ledger: StoredLedger, entry: LedgerEntry) -> NextStep | None:
    if not isinstance(entry.status, State) or entry.status not in _GOES_ON:
        return None
    (served,) = (one.served for one in ledger.totals(0.0) if one.id == entry.scope)
    scope = Scope(entry.scope, entry.destination, entry.tenant)
    what = _GOES_ON[entry.status]
    if served and entry.status is State.READY:
        stopped = _stopped(store, entry, scope, what)
        if stopped is not None:
            return stopped
    by: Literal["process", "nobody"] = (
        "process" if delivers(store, scope, served=served) else "nobody"
    )
    return NextStep(what, by, served)


def _stopped(store: OpenStore, entry: LedgerEntry, scope: Scope, what: str) -> NextStep | None:
    """Return what has to be resumed before a delivery of a server is sent; None if nothing."""
    step = partial(NextStep, what, "operator", True)  # noqa: FBT003 - of a server
    if (since := stopped_destinations(store).get(entry.destination)) is not None:
        return step("an operator has paused the destination", "destination", since)
    if entry.tenant:
        tenant = find_tenant(store, entry.tenant, entry.destination)
        if tenant.paused_at is not None:
            return step("an operator has paused the tenant", "tenant", tenant.paused_at)
    elif (refused := refused_credentials(store).get(entry.destination)) is not None:
        reason = f"the partner refuses the credentials: {refused.reason}"
        return step(reason, "credentials", refused.since)
    paused = paused_actions(store, scope.full_name)
    return step(paused[entry.action], "action") if entry.action in paused else None
