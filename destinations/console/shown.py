"""The values that verbs return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from destinations.operations import RefusedCredentials
from destinations.pipeline.ledger import LedgerEntry, Selection

__all__ = [
    "Changed",
    "ConnectionShown",
    "Page",
    "PauseChanged",
    "PauseState",
    "ReplayShown",
    "ReplayedDelivery",
    "ReplayedPart",
    "SubscriptionShown",
    "Targets",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; ``next`` is the cursor of those that follow, None if there are none.

    A page may have few items, or none, and others follow all the same.
    """

    items: Sequence[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """The deliveries that are to be changed: those of ``ids``, or else of a ``selection``."""

    ids: Sequence[int] = ()
    selection: Selection | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The deliveries that were changed, or would be with ``dry_run``.

    These are ``done`` of the ``ids``, which are those that can be changed.
    ``skipped`` says why others cannot, with how many they are. ``version`` is what to give as
    ``seen`` so that just these are changed. ``warnings`` say, by the id of a delivery, what has to
    be known before it is sent.
    """

    ids: Sequence[int]
    done: int
    version: str
    skipped: Mapping[str, int] = field(default_factory=dict)
    dry_run: bool = False
    warnings: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayedPart:
    """One thing that a replay leads to: ``becomes`` is ``sent`` or an outcome, with its reason.

    ``payload`` is that of a delivery that is sent, its secrets masked.
    """

    subscription: str
    action: str
    becomes: str
    reason: str = ""
    payload: Any = None


@dataclass(frozen=True, slots=True)
class ReplayedDelivery:
    """The replay of one delivery: ``today`` is what becomes of it, None if it is ``refused``.

    ``before`` is the payload that it has, masked; None if it has none. ``warning`` says what has to
    be known before.
    """

    entry: LedgerEntry
    refused: str
    changes: bool
    before: Any
    today: ReplayedPart | None
    added: Sequence[ReplayedPart]
    warning: str = ""


@dataclass(frozen=True, slots=True)
class ReplayShown:
    """The effect of a replay of ``count`` deliveries, or of a dry run of it.

    Up to 100 of them are shown one by one, those with a warning first; ``warned`` have one.
    ``changes`` counts by what a delivery is and what it becomes. ``refused`` are not replayed, and
    ``unchanged`` stay as they are, as today's definition does the same. The other numbers are those
    of `destinations.operations.replaying.Replayed`. ``unserved`` are the destinations that the
    server does not have.
    """

    dry_run: bool
    count: int
    deliveries: Sequence[ReplayedDelivery]
    changes: Mapping[tuple[str, str], int]
    version: str
    refused: int = 0
    unchanged: int = 0
    reopened: int = 0
    ended: int = 0
    added: int = 0
    changed_since: int = 0
    unserved: Sequence[str] = ()
    warned: int = 0


@dataclass(frozen=True, slots=True)
class PauseState:
    """The pause of a destination, or a tenant of it, and since when it is (seconds since 1970).

    ``actions`` are those that paused by themselves, with their reasons. ``version`` is what to give
    as ``seen``. ``credentials`` says since when and why the partner refuses them.
    """

    destination: str
    tenant: str
    paused_at: float | None
    actions: Mapping[str, str]
    version: str
    credentials: RefusedCredentials | None = None

    @property
    def is_paused(self) -> bool:
        """Whether anything of it waits until it is resumed."""
        return bool(self.paused_at is not None or self.actions or self.credentials)


@dataclass(frozen=True, slots=True)
class PauseChanged:
    """The pause as it is now, or would be, and if that is new; ``actions`` are those resumed.

    ``credentials`` is why the partner refused them, and ``tenants`` the number of tenants of which
    paused actions were resumed.
    """

    destination: str
    tenant: str
    paused: bool
    changed: bool
    dry_run: bool
    actions: Mapping[str, str] = field(default_factory=dict)
    credentials: str = ""
    tenants: int = 0


@dataclass(frozen=True, slots=True)
class SubscriptionShown:
    """A subscription: its name, the action, the FQL by which it takes events, and its mapping."""

    name: str
    action: str
    subscribe: str
    mapping: Any


@dataclass(frozen=True, slots=True)
class ConnectionShown:
    """The events that the actions of a destination receive; ``version`` is empty for presets.

    ``fault`` says why it cannot be shown.
    """

    destination: str
    definition: str
    version: str = ""
    subscriptions: Sequence[SubscriptionShown] = ()
    filters: Any = ()
    fault: str = ""
