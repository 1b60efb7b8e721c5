"""The overview: what came in and became of it, what needs an operator, rates, and the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from destinations.console.pages.breakers import Breaker, read_breakers
from destinations.console.pages.query import link
from destinations.console.pages.templating import linked
from destinations.console.pages.visit import Answered, Shown, Visit, chosen
from destinations.operations import (
    RefusedCredentials,
    StoreStatus,
    queue_length,
    server_status,
    shown_time,
    store_status,
)
from destinations.outcome import Outcome, State, Status
from destinations.pages import Html, Series, number, stacked_rates
from destinations.pipeline.ledger import ScopeTotals, Tally
from destinations.store import (
    OpenStore,
    SqliteStore,
    Tenants,
    free_bytes,
)

__all__ = ["Flow", "daily", "flows", "overview", "recent_rates"]

DAY: Final = 86_400
_DAYS: Final = 14
_MINUTES: Final = 60
_MOST_LATEST: Final = 20_000
"""The latest deliveries that are looked at for the plot of the last hour."""
_MOST_ROWS: Final = 50
_PERIODS: Final[Mapping[str, int]] = {"today": 1, "7d": 7, "30d": 30, "all": 0}
_GROUPS: Final = ("destination", "subscription", "tenant")
_WAITS: Final = frozenset({State.READY, State.SENDING, State.UNKNOWN})
_NEEDS: Final[Sequence[Status]] = (
    State.HELD,
    Outcome.DEAD,
    Outcome.REJECTED,
    Outcome.INVALID,
    Outcome.UNMAPPED,
)
"""What an operator has to look at, the most urgent first."""
_ADVICE: Final[Mapping[Status, str]] = {
    State.HELD: "may have been applied: decide",
    Outcome.DEAD: "given up: replay once the cause is mended",
    Outcome.REJECTED: "refused by the partner",
    Outcome.INVALID: "do not fit the fields",
    Outcome.UNMAPPED: "name nothing to deliver to",
}


@dataclass(slots=True)
class Flow:
    """The deliveries of a destination, subscription or tenant: how many ended in which way.

    ``filters`` select its deliveries; with None, no filters do.
    """

    name: str
    filters: Mapping[str, str] | None
    counts: dict[Status, int] = field(default_factory=dict)

    @property
    def came_in(self) -> int:
        """How many deliveries there are in all."""
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        """How many wait for a process to deliver them."""
        return sum(self.counts.get(state, 0) for state in _WAITS)

    def count(self, status: Status) -> int:
        """Return how many have an outcome or a state."""
        return self.counts.get(status, 0)


def flows(tallies: Iterable[Tally], by: str, tenants: Mapping[str, str]) -> Sequence[Flow]:
    """Return the flows by destination, subscription or tenant, the largest first.

    ``tenants`` has the names of those that have one, by id.
    """
    found: dict[tuple[str, ...], Flow] = {}
    for one in tallies:
        if by == "tenant" and not one.tenant:
            continue
        key: tuple[str, ...] = (one.destination,)
        name, filters = one.destination, {"destination": one.destination}
        if by == "subscription":
            key += (one.subscription,)
            name = f"{name}: {one.subscription or 'no subscription'}"
            filters |= {"subscription": one.subscription}
        elif by == "tenant":
            key += (one.tenant,)
            name = f"{name}: {tenants.get(one.tenant) or one.tenant}"
            filters |= {"tenant": one.tenant}
        # What no subscription took has no name to be selected by.
        flow = found.setdefault(key, Flow(name, filters if all(filters.values()) else None))
        flow.counts[one.status] = flow.counts.get(one.status, 0) + one.count
    return sorted(found.values(), key=lambda flow: (-flow.came_in, flow.name))


def daily(tallies: Iterable[Tally], today: int) -> Html:
    """Return the plot of what ended on each of the last days."""
    values = {outcome: [0] * _DAYS for outcome in Outcome}
    first = today - _DAYS + 1
    for one in tallies:
        if isinstance(one.status, Outcome) and first <= one.day <= today:
            values[one.status][one.day - first] += one.count
    return _plot(values, first * DAY, DAY, "The last 14 days", "days")


def recent_rates(ended: Iterable[tuple[Status, float, int]], now: float) -> Html:
    """Return the plot of what ended in each of the last 60 minutes.

    ``ended`` has outcomes, times of minutes and numbers.
    """
    values = {outcome: [0] * _MINUTES for outcome in Outcome}
    began = (now // 60 - _MINUTES + 1) * 60
    for status, at, how_many in ended:
        minute = int((at - began) // 60)
        if isinstance(status, Outcome) and 0 <= minute < _MINUTES:
            values[status][minute] += how_many
    return _plot(values, began, 60, "The last hour", "hour")


def _plot(
    values: Mapping[Outcome, Sequence[int]], began: float, step: float, title: str, name: str
) -> Html:
    series = [Series(one.value, one.value, values[one]) for one in Outcome]
    return stacked_rates(
        series,
        began=began,
        step=step,
        title=title,
        name=name,
        unit="deliveries",
        height=150,
        zoned=True,
    )


@dataclass(frozen=True, slots=True)
class _Need:
    """A number of deliveries or events that need an operator, with where they are shown."""

    status: str
    number: int
    url: str
    advice: str


def _needs(status: StoreStatus) -> Sequence[_Need]:
    found = []
    for one in _NEEDS:
        count = sum(scope.counts.get(one, 0) for scope in status.scopes)
        url = "/held" if one is State.HELD else link("/deliveries", outcome=one.value)
        found.append(_Need(one.value, count, url, _ADVICE[one]))
    return found


def _refused(status: StoreStatus) -> _Need:
    """Return the number of events that are no deliveries, as the receiver refused them."""
    count = sum(one.events for one in status.refused_events)
    return _Need("refused", count, "/refused", "events that were not accepted")


@dataclass(frozen=True, slots=True)
class _Line:
    """A destination as it stands now. Times are in seconds: an age, and until when."""

    name: str
    source: str
    account: str
    queue: int
    oldest: float | None
    next_retry: float | None
    breaker: Breaker | None
    stopped_at: float | None
    paused: Mapping[str, str]
    refused: RefusedCredentials | None
    tenants: str
    faults: Sequence[str]


def _lines(
    status: StoreStatus, breakers: Mapping[str, Breaker] | None, now: float
) -> Sequence[_Line]:
    return [_line(status, one, breakers or {}, now) for one in status.scopes]


def _line(
    status: StoreStatus, one: ScopeTotals, breakers: Mapping[str, Breaker], now: float
) -> _Line:
    faults = []
    waits = queue_length(one)
    if one.served and status.served and one.destination not in status.names and waits:
        faults.append("the server has no destination of this name: its deliveries wait")
    elif one.id in status.idle and waits:
        faults.append("no process delivers for it now")
    figures = status.tenants.get(one.destination) if one.tenants else None
    return _Line(
        one.destination,
        "server" if one.served else "runs",
        one.account,
        waits,
        None if one.oldest is None else max(0.0, now - one.oldest),
        None if one.next_at is None else max(0.0, one.next_at - now),
        breakers.get(one.destination) if one.served else None,
        status.stopped.get(one.destination) if one.served else None,
        status.paused.get(one.destination, {}) if one.served else {},
        status.refused.get(one.destination) if one.served else None,
        "" if figures is None else f"{figures.all:,}",
        faults,
    )


def overview(visit: Visit) -> Answered:
    """Show the overview."""
    query, now = visit.query, visit.now
    period = chosen(query, "period", _PERIODS, "today")
    today = int(now // DAY)
    with visit.verbs.reading() as store:
        status = store_status(store, now, server_status(store))
        tallies = store.ledger().tallies(0 if period == "all" else today - 30)
        ended = store.ledger().ended_by_minute(now - 3_600, _MOST_LATEST)
        names = _tenant_names(store) if query.text("by") == "tenant" else {}
        # How much is free where a database is, is not known here.
        free = free_bytes(store.path) if isinstance(store, SqliteStore) else None
    days = _PERIODS[period]
    kept = [
        one
        for one in tallies
        # Held ones wait, whenever they were held.
        if not days or not one.day or one.day > today - days or one.status is State.HELD
    ]
    has_tenants = any(one.tenant for one in tallies) or any(
        one.receiver.tenants is not None for one in visit.verbs.config.destinations
    )
    groups = [one for one in _GROUPS if one != "tenant" or has_tenants]
    by = chosen(query, "by", groups, "destination")
    found = flows(kept, by, names)
    # A link to what is counted has its time, or it leads to another number.
    since = shown_time((today - days + 1) * DAY) if days else ""
    breakers = read_breakers(visit.verbs.config)
    return Shown(
        "overview.html",
        {
            "status": status,
            "needs": [*_needs(status), _refused(status)],
            "flows": found[:_MOST_ROWS],
            "more_flows": max(0, len(found) - _MOST_ROWS),
            "flow_rows": [_cells(one, since) for one in found[:_MOST_ROWS]],
            "total": _cells(_total(found, by), since) if len(found) > 1 else (),
            "period": period,
            "periods": tuple(_PERIODS),
            "by": by,
            "groups": groups,
            "days_plot": daily(tallies, today),
            "hour_plot": recent_rates(ended, now),
            "is_cut": sum(how_many for _, _, how_many in ended) >= _MOST_LATEST,
            "lines": _lines(status, breakers, now),
            "knows_breakers": breakers is not None,
            "free": free,
            "limit": visit.verbs.config.store.max_bytes,
            "refreshes": query.text("refresh") != "off",
        },
    )


def _tenant_names(store: OpenStore) -> Mapping[str, str]:
    return {one.id: one.name for one in Tenants(store.database).all() if one.name}


def _total(found: Iterable[Flow], by: str) -> Flow:
    """Return the sum; by tenant, what is of none is not in it, so no filters select it."""
    total = Flow("All", None if by == "tenant" else {})
    for flow in found:
        for status, count in flow.counts.items():
            total.counts[status] = total.counts.get(status, 0) + count
    return total


_SHOWN: Final[Sequence[Status]] = (
    Outcome.FILTERED,
    Outcome.UNMAPPED,
    Outcome.INVALID,
    Outcome.REJECTED,
    Outcome.DEAD,
    Outcome.DROPPED,
    State.HELD,
)


def _cells(flow: Flow, since: str) -> tuple[object, ...]:
    """Return the cells of a row, with links to what is counted: what ended ``since`` a day."""
    return (
        linked(flow.name, link("/deliveries", **flow.filters) if flow.filters else ""),
        flow.came_in,
        *(linked(number(flow.count(one)), _url(flow, one, since)) for one in _SHOWN),
        flow.waiting,
        linked(number(flow.count(Outcome.DELIVERED)), _url(flow, Outcome.DELIVERED, since)),
    )


def _url(flow: Flow, status: Status, since: str) -> str:
    if not flow.count(status) or flow.filters is None:
        return ""
    if isinstance(status, State):
        return link("/deliveries", **flow.filters, state=status.value)
    return link("/deliveries", **flow.filters, outcome=status.value, ended_since=since)
