"""The table of the API: each route with the role it needs, what it takes, gives and does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from destinations.console.api import forms
from destinations.console.api.schemas import (
    CURSOR,
    ID,
    LIMIT,
    NAME,
    OF_DRIFTS,
    OF_REFUSED,
    SELECTION,
    TENANT,
)
from destinations.console.operators import Operator, Role
from destinations.console.planning import LAST
from destinations.console.shown import Targets
from destinations.console.verbs import Verbs
from destinations.operations import TenantState
from destinations.store import RefusedSelection

__all__ = ["OPERATIONS", "Call", "Operation"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that fits the schemas of its operation."""

    verbs: Verbs
    operator: Operator
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route: ``path`` is below the address of the API, with the schemas of its parts.

    ``body`` and ``gives`` name components. ``run`` returns the answer as JSON values.
    ``faults`` are the statuses, other than those of every route, that it may answer.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    needs: Role
    summary: str
    gives: str
    run: Callable[[Call], Any]
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    body: str | None = None
    faults: Sequence[int] = ()


_PAGED: Final = {"cursor": CURSOR, "limit": LIMIT}
_ORDER: Final = {
    "order": {"enum": ["newest", "oldest"], "type": "string", "default": "newest"},
}
_DELIVERY: Final = {"id": {**ID, "description": "The id of the delivery."}}
_DESTINATION: Final = {"name": {**NAME, "description": "The name in the configuration."}}
_STATES: Final[Mapping[str, Any]] = {
    "type": "string",
    "enum": ["proven", "unchecked", "refused", "paused"],
}


def _deliveries(call: Call) -> Any:
    given = dict(call.query)
    cursor, limit = given.pop("cursor", None), given.pop("limit", 50)
    newest_first = given.pop("order", "newest") == "newest"
    selection = forms.selection_of(given, call.verbs.now, "query: ")
    page = call.verbs.deliveries(selection, cursor=cursor, limit=limit, newest_first=newest_first)
    return forms.page_json(page, lambda entry: forms.delivery_json(entry, call.verbs))


def _delivery(call: Call) -> Any:
    return forms.details_json(call.verbs.delivery(call.path["id"]), call.verbs)


def _attempts(call: Call) -> Any:
    found = call.verbs.attempts(call.path["id"])
    return {"items": [forms.attempt_json(one, call.verbs) for one in found]}


def _targets(call: Call) -> Targets:
    if "id" in call.path:
        return Targets([call.path["id"]])
    if "ids" in call.body:
        return Targets([int(one) for one in call.body["ids"]])  # 1.0 is an integer in JSON
    return Targets(
        selection=forms.selection_of(call.body["selection"], call.verbs.now, "/selection/")
    )


def _how(call: Call) -> dict[str, Any]:
    return {"dry_run": call.body.get("dryRun", False), "seen": call.body.get("seen")}


def _resolve(call: Call) -> Any:
    return forms.changed_json(
        call.verbs.resolve(call.operator, _targets(call), call.body["decision"], **_how(call))
    )


def _drop(call: Call) -> Any:
    return forms.changed_json(
        call.verbs.drop(call.operator, _targets(call), call.body["reason"], **_how(call))
    )


def _replay(call: Call) -> Any:
    shown = call.verbs.replay(call.operator, _targets(call), **_how(call))
    return forms.replayed_json(shown, call.verbs)


def _destination(call: Call) -> Any:
    return forms.state_json(call.verbs.pause_state(call.path["name"], call.query.get("tenant")))


def _pause(call: Call) -> Any:
    name, tenant = call.path["name"], call.body.get("tenant")
    return forms.pause_json(call.verbs.pause(call.operator, name, tenant, **_how(call)))


def _resume(call: Call) -> Any:
    name, tenant = call.path["name"], call.body.get("tenant")
    return forms.pause_json(call.verbs.resume(call.operator, name, tenant, **_how(call)))


def _status(call: Call) -> Any:
    found = call.verbs.status(call.query.get("tenant"), call.query.get("destination"))
    return forms.status_json(found, call.verbs.now)


def _tenants(call: Call) -> Any:
    state: TenantState | None = call.query.get("state")
    page = call.verbs.tenants(
        call.query.get("destination"),
        states=() if state is None else (state,),
        cursor=call.query.get("cursor"),
        limit=call.query.get("limit", 50),
    )
    return forms.page_json(page, forms.tenant_json)


def _tenant(call: Call) -> Any:
    found = call.verbs.tenant(call.path["tenant"], call.query.get("destination"))
    return forms.tenant_details_json(found, call.verbs.now)


def _connections(call: Call) -> Any:
    return {"items": [forms.connection_json(one) for one in call.verbs.connections()]}


def _audit(call: Call) -> Any:
    page = call.verbs.audit(cursor=call.query.get("cursor"), limit=call.query.get("limit", 50))
    return forms.page_json(page, forms.audit_json)


def _drifts(call: Call) -> Any:
    selection = forms.selection_of(call.query, call.verbs.now, "query: ")
    found = call.verbs.drifts(selection)
    return {"items": [forms.drift_json(one, call.verbs) for one in found]}


def _refused(call: Call) -> Any:
    given = dict(call.query)
    cursor, limit = given.pop("cursor", None), given.pop("limit", 50)
    chosen = forms.selection_of(given, call.verbs.now, "query: ")
    selection = RefusedSelection(
        chosen.destination, chosen.code, chosen.user, chosen.since, chosen.tenant
    )
    page = call.verbs.refused(selection, cursor=cursor, limit=limit)
    return forms.page_json(page, lambda entry: forms.refused_json(entry, call.verbs))


def _explain(call: Call) -> Any:
    body = call.body
    found = call.verbs.explain(body["destination"], body["event"], body.get("tenant"))
    return forms.explanation_json(found)


def _plan(call: Call) -> Any:
    body = call.body
    found = call.verbs.plan(
        body["configuration"],
        destination=body.get("destination"),
        events=body.get("events"),
        last=int(body.get("last", LAST)),
    )
    return forms.plan_json(found)


OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        *("listDeliveries", "GET", "/deliveries", "read"),
        "List deliveries by conditions that must all hold.",
        *("Deliveries", _deliveries),
        query={**SELECTION, **_ORDER, **_PAGED},
        faults=(404,),
    ),
    Operation(
        *("showDelivery", "GET", "/deliveries/{id}", "read"),
        "Show a delivery with its event, its payload and what can be done with it.",
        *("DeliveryDetails", _delivery),
        parts=_DELIVERY,
        faults=(404,),
    ),
    Operation(
        *("listAttempts", "GET", "/deliveries/{id}/attempts", "read"),
        "List the requests that carried a delivery with their answers, as far as they are kept.",
        *("Attempts", _attempts),
        parts=_DELIVERY,
        faults=(404,),
    ),
    Operation(
        *("listDrifts", "GET", "/drifts", "read"),
        "List the latest balances that were not as expected, and what may count twice there.",
        *("Drifts", _drifts),
        query=OF_DRIFTS,
        faults=(404,),
    ),
    Operation(
        *("listRefused", "GET", "/refused", "read"),
        "List the events that the receiver refused, with their reasons, the latest first.",
        *("RefusedEvents", _refused),
        query={**OF_REFUSED, **_PAGED},
        faults=(404,),
    ),
    Operation(
        *("resolveDelivery", "POST", "/deliveries/{id}/resolve", "operate"),
        "Decide whether the partner has applied a delivery whose answer was lost.",
        *("Changed", _resolve),
        parts=_DELIVERY,
        body="Resolve",
        faults=(404, 409),
    ),
    Operation(
        *("replayDelivery", "POST", "/deliveries/{id}/replay", "operate"),
        "Plan the event of a delivery again with today's definition.",
        *("Replayed", _replay),
        parts=_DELIVERY,
        body="Replay",
        faults=(404, 409),
    ),
    Operation(
        *("dropDelivery", "POST", "/deliveries/{id}/drop", "operate"),
        "Give a delivery up for good.",
        *("Changed", _drop),
        parts=_DELIVERY,
        body="Drop",
        faults=(404, 409),
    ),
    Operation(
        *("resolveDeliveries", "POST", "/deliveries/resolve", "operate"),
        "Decide on several deliveries whose answers were lost.",
        *("Changed", _resolve),
        body="ResolveSeveral",
        faults=(404, 409),
    ),
    Operation(
        *("replayDeliveries", "POST", "/deliveries/replay", "operate"),
        "Plan the events of several deliveries again with today's definition.",
        *("Replayed", _replay),
        body="ReplaySeveral",
        faults=(404, 409),
    ),
    Operation(
        *("dropDeliveries", "POST", "/deliveries/drop", "operate"),
        "Give several deliveries up for good.",
        *("Changed", _drop),
        body="DropSeveral",
        faults=(404, 409),
    ),
    Operation(
        *("showDestination", "GET", "/destinations/{name}", "read"),
        "Show whether a destination, or a tenant of it, is paused.",
        *("Destination", _destination),
        parts=_DESTINATION,
        query={"tenant": TENANT},
        faults=(404,),
    ),
    Operation(
        *("pauseDestination", "POST", "/destinations/{name}/pause", "operate"),
        "Deliver nothing for a destination, or a tenant of it, until it is resumed.",
        *("PauseChanged", _pause),
        parts=_DESTINATION,
        body="Pause",
        faults=(404, 409),
    ),
    Operation(
        *("resumeDestination", "POST", "/destinations/{name}/resume", "operate"),
        "Deliver again for a destination, or a tenant of it, also by actions that paused.",
        *("PauseChanged", _resume),
        parts=_DESTINATION,
        body="Pause",
        faults=(404, 409),
    ),
    Operation(
        *("showStatus", "GET", "/status", "read"),
        "Show the outcomes and the queue of each destination, or of one tenant.",
        *("Status", _status),
        query={"tenant": TENANT, "destination": NAME},
        faults=(404,),
    ),
    Operation(
        *("listTenants", "GET", "/tenants", "read"),
        "List the customers of a partner who send with keys of their own, the oldest first.",
        *("Tenants", _tenants),
        query={"destination": NAME, "state": _STATES, **_PAGED},
        faults=(404,),
    ),
    Operation(
        *("showTenant", "GET", "/tenants/{tenant}", "read"),
        "Show a tenant; never its keys.",
        *("TenantDetails", _tenant),
        parts={"tenant": TENANT},
        query={"destination": NAME},
        faults=(404,),
    ),
    Operation(
        *("listConnections", "GET", "/connections", "read"),
        "List which events the actions of each destination receive.",
        *("Connections", _connections),
    ),
    Operation(
        *("explainEvent", "POST", "/explain", "read"),
        "Show every step of an event, and the requests that would be sent; nothing is sent.",
        *("Explanation", _explain),
        body="Explain",
        faults=(404,),
    ),
    Operation(
        *("planConfiguration", "POST", "/plan", "read"),
        "Show what a new configuration of the server would change; nothing is sent or changed.",
        *("Plan", _plan),
        body="PlanRequest",
    ),
    Operation(
        *("listAudit", "GET", "/audit", "read"),
        "List what operators did by the console or the API, the latest first.",
        *("AuditLines", _audit),
        query=_PAGED,
    ),
)
"""All operations, but for the document that describes them."""
