"""The tenants: customers of a partner who send with keys of their own."""

from __future__ import annotations

from typing import Final

from destinations.console.cursors import CursorError
from destinations.console.pages.query import link
from destinations.console.pages.templating import json_shown
from destinations.console.pages.visit import Answered, Shown, Visit, chosen, wrong_cursor
from destinations.operations import TenantState
from destinations.outcome import Outcome, State

__all__ = ["tenant", "tenants"]

_STATES: Final[tuple[TenantState, ...]] = ("proven", "unchecked", "refused", "paused")
_SIZE: Final = 50


def tenants(visit: Visit) -> Answered:
    """Show the tenants of a destination, or of all; the oldest first."""
    query = visit.query
    destination = query.text("destination") or None
    state = chosen(query, "status", _STATES, "")
    states = [one for one in _STATES if one == state]
    cursor = query.text("after") or None
    try:
        page = visit.verbs.tenants(destination, states=states, cursor=cursor, limit=_SIZE)
    except CursorError:
        raise wrong_cursor(visit) from None
    return Shown(
        "tenants.html",
        {
            "rows": page.items,
            "next": f"/tenants?{query.changed(after=page.next)}" if page.next else "",
            "states": _STATES,
            "state": state,
            "destination": destination or "",
            "names": [
                one.name
                for one in visit.verbs.config.destinations
                if one.receiver.tenants is not None
            ],
        },
    )


def tenant(visit: Visit) -> Answered:
    """Show one tenant: never its keys, of which only the number is told."""
    details = visit.verbs.tenant(visit.parts["name"], visit.query.text("destination") or None)
    own = details.status.tenant
    of = {"tenant": own.id, "destination": own.scope.name}
    connection = details.connection
    return Shown(
        "tenant.html",
        {
            "tenant": own,
            "status": details.status,
            "details": details,
            "counts": [
                (
                    one.value,
                    details.totals.today.get(one, 0),
                    number,
                    link("/deliveries", **of, **{_kind(one): one.value}),
                )
                for one in (*State, *Outcome)
                if (number := details.totals.counts.get(one, 0))
            ],
            "age": None
            if details.totals.oldest is None
            else max(0.0, visit.now - details.totals.oldest),
            "pause": visit.verbs.pause_state(own.scope.name, own.id),
            "connection": None
            if connection is None
            else json_shown(visit.verbs.masker.value(dict(connection.data))),
        },
    )


def _kind(status: Outcome | State) -> str:
    return "state" if isinstance(status, State) else "outcome"
