"""Ask partners about the lost answers of one user, for a command that must know them.

It is what a server or a run does when it begins, by the same pipeline, which here has nothing else:
nothing is sent, and no other user's delivery is read. What the partner has not applied waits again.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from destinations.clock import SystemClock, WallClock
from destinations.errors import TemporaryError, UsageError
from destinations.http.transport import HttpTransport
from destinations.operations.locks import locks_of
from destinations.operations.times import shown_duration
from destinations.outcome import Outcome, State
from destinations.pipeline.engine import Engine
from destinations.pipeline.ledger import LedgerEntry, ScopeTotals
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import QueuedDelivery, Round, Scope, Transition
from destinations.pipeline.rate_limit import rate_limited
from destinations.pipeline.reconcile import (
    LossOptions,
    longest_repeat,
    longest_settling,
    longest_way,
)
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.store import OpenStore, TenantStore

__all__ = ["Partner", "settle"]

_ROUND_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner who can be asked: a destination of a server's configuration, by its ``name`` there.

    ``losses`` and ``allow_private`` are what the configuration says. With the key of a customer who
    sends with one of their own, ``tenant`` is the id of that one.
    """

    name: str
    destination: Destination
    identity: AccountIdentity
    losses: LossOptions = field(default_factory=LossOptions)
    allow_private: bool = False
    tenant: str = ""


class _NothingMore:
    """A feed that brings nothing, and leaves what would be sent again to others."""

    is_over = True
    has_more = False

    def fill(self, pipeline: Pipeline, round_: Round) -> None:
        """See `destinations.pipeline.pipeline.Feed.fill`."""

    def keeps(self, delivery: QueuedDelivery) -> bool:  # noqa: ARG002 - none of them
        """See `destinations.pipeline.pipeline.Feed.keeps`."""
        return False

    def leave(self, delivery: QueuedDelivery) -> None:
        """See `destinations.pipeline.pipeline.Feed.leave`."""


class _Answers(Observer):
    """Notes the outcomes of deliveries; ``unknown`` are those that still are, with the reasons."""

    def __init__(self) -> None:
        self.unknown: dict[int, str] = {}
        self.settled: dict[int, Outcome | State] = {}

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:  # noqa: ARG002 - there is one
        """See `Observer.transitioned`."""
        for one in transitions:
            if one.result.outcome is State.UNKNOWN:
                self.unknown[one.delivery.id] = one.result.reason
            else:
                self.settled[one.delivery.id] = one.result.outcome


def settle(
    store: OpenStore,
    entries: Sequence[LedgerEntry],
    partners: Callable[[Collection[ScopeTotals]], Sequence[Partner]],
    *,
    tell: Callable[[str], None],
    clock: WallClock | None = None,
) -> None:
    """Ask about all lost answers of the user of ``entries`` in their scopes; none may deliver.

    ``partners`` returns the partners to ask about these scopes. A partner is asked as late after
    the request as by a server; ``tell`` gets messages on how long that takes, and on the outcome.
    What the partner cannot answer is held, as by a server. Raises `UsageError` before any request
    if one of them cannot be asked about, and `TemporaryError` for one whose request failed: it is
    unknown as before.
    """
    clock = clock or SystemClock()
    first = {one.scope: one for one in reversed(entries)}
    totals = store.ledger().totals(clock.time())
    concerned = [one for one in totals if one.id in first]
    known = partners(concerned)
    found = {one.id: (one, _partner_of(store, one, known, first[one.id])) for one in concerned}
    for scope, (total, partner) in found.items():
        with _locked(store, total, partner):
            of = Scope(scope, total.destination, total.tenant)
            _ask(store, of, first[scope].user, partner, tell, clock)


def _partner_of(
    store: OpenStore, scope: ScopeTotals, partners: Sequence[Partner], entry: LedgerEntry
) -> Partner:
    """Return the one whose account the scope is of: it can be asked for its balances."""
    accounts = store.accounts()
    for partner in partners:
        if partner.tenant or scope.tenant:
            if (partner.name, partner.tenant) == (scope.destination, scope.tenant):
                return partner
            continue
        if not scope.served:
            known = accounts.find(partner.identity)
        elif partner.name == scope.destination:
            known = accounts.of_served(partner.name, partner.identity)
        else:
            continue
        if known is not None and known.id == scope.partner_account:
            return partner
    who = f"the destination {scope.destination}" if scope.served else "a destination"
    if scope.tenant:
        who += f" for its customers, as the tenant {scope.tenant} is one,"
    raise UsageError(
        f"delivery {entry.id} of the user is unknown, and the partner cannot be asked: the "
        f"configuration does not have {who} with its account ({scope.account}). Add it, or let the "
        "run that was interrupted end, or decide with destinations deliveries resolve; then repeat "
        "this command"
    )


@contextmanager
def _locked(store: OpenStore, scope: ScopeTotals, partner: Partner) -> Iterator[None]:
    """Let no other command change what the partner holds."""
    assert scope.partner_account is not None  # noqa: S101 - a partner was found by it
    shown = f"{partner.identity.slug} at {store.accounts().get(scope.partner_account).shown}"
    locks = locks_of(store)
    with locks.account(scope.partner_account, shown, by_server=locks.needs_all_stopped):
        # Who begins to deliver from now on looks at the lock.
        if not locks.needs_all_stopped and locks.is_in_use():
            raise TemporaryError(
                f"a server has begun to deliver from the store {store.shown}: it asks the partner "
                "about lost answers; repeat this command then"
            )
        yield


def _ask(
    store: OpenStore,
    scope: Scope,
    user: str,
    partner: Partner,
    tell: Callable[[str], None],
    clock: WallClock,
) -> None:
    """Ask a partner about what was lost in one scope; see `settle`."""
    destination, losses = partner.destination, partner.losses
    definition = destination.definition.transport
    # Nothing is given up because it is late: it waits for the next process that delivers.
    policy = RetryPolicy.of(
        definition.retry,
        deadline=math.inf,
        outage="wait",
        began_at=clock.time(),
        repeat_after=longest_repeat(destination.definition),
    )
    queue = store.queue(clock, user=user)
    longest = longest_settling(destination.definition, losses)
    way = longest_way(destination.definition)
    queue.recover([scope], longest, policy.longest_wait, way)
    waits = max((one.next_at for one in queue.source(scope).unknown()), default=0) - clock.time()
    if waits > 0:
        tell(
            f"{_shown(scope)}: the partner is asked in {shown_duration(math.ceil(waits))}, when no "
            "request can be under way any more."
        )
    stop, answers = threading.Event(), _Answers()
    http = HttpTransport(definition.timeouts, allow_private=partner.allow_private)
    transport = rate_limited(http, definition.rate_limit, clock, stop)
    of_partner = TenantStore(store, scope.tenant) if scope.tenant else store
    known_answers = of_partner.answers(partner.identity.partner)
    sender = Sender(destination, transport, stop=stop, answers=known_answers, clock=clock)
    engine = Engine(queue, clock=clock, observer=answers, inline=True)

    def make() -> Pipeline:
        return Pipeline(
            scope,
            destination,
            sender,
            queue,
            policy=policy,
            options=PipelineOptions(definition.concurrency, losses=losses),
            clock=clock,
            observer=answers,
            source=queue.source(scope),
            feed=_NothingMore(),
        )

    try:
        pipeline = engine.open(make)
        pipeline.prefetch.leave_the_rest()
        while pipeline.under_way or (pipeline.prefetch.scheduler.waiting and not answers.unknown):
            engine.run_round(_ROUND_SECONDS)
            if engine.last_error is not None:
                raise engine.last_error
    finally:
        http.close()
    _tell_answers(scope, answers.settled, tell)
    for identity, reason in answers.unknown.items():
        raise TemporaryError(
            f"delivery {identity} of the user is still unknown: {reason}; nothing was erased. "
            "Repeat this command when the partner can be asked, or decide with destinations "
            "deliveries resolve"
        )


def _tell_answers(
    scope: Scope, settled: Mapping[int, Outcome | State], tell: Callable[[str], None]
) -> None:
    if not settled:
        return
    counts = Counter(settled.values())
    applied, held = counts[Outcome.DELIVERED], counts[State.HELD]
    parts = {
        "applied": applied,
        "not applied": len(settled) - applied - held,
        "held, as nothing shows whether they were applied": held,
    }
    shown = ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)
    tell(f"{_shown(scope)}: lost answers settled: {shown}.")


def _shown(scope: Scope) -> str:
    return f"{scope.name}, tenant {scope.tenant}" if scope.tenant else scope.name
