"""The figures that conditions are judged by, as a server and its store know them at one time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from destinations.operations import RefusedCredentials
from destinations.pipeline.ledger import LedgerDrift, ScopeTotals, Tally
from destinations.telemetry.store_figures import StoreFigures

__all__ = ["Figures"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is known at ``now``, in seconds since 1970.

    If the store could not be read, ``is_read`` is False, and only ``store`` and ``unwritable`` (why
    it cannot be written) count. ``totals`` are those of all scopes of servers. ``tallies`` are
    added up over all tenants and subscriptions but those of ``parts``, which rules name. Of each
    destination, ``breakers`` says since when its circuit breaker is not closed, ``refused`` since
    when its credentials are refused, and ``refused_tenants`` how many of its tenants have refused
    credentials.
    """

    now: float
    is_read: bool = True
    tallies: Sequence[Tally] = ()
    parts: Sequence[str] = ()
    totals: Sequence[ScopeTotals] = ()
    drifts: Sequence[LedgerDrift] = ()
    breakers: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, RefusedCredentials] = field(default_factory=dict)
    refused_tenants: Mapping[str, int] = field(default_factory=dict)
    store: StoreFigures | None = None
    unwritable: str = ""
