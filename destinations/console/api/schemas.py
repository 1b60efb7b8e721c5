"""The schemas of what the API takes and gives, as JSON Schema and OpenAPI 3.1 have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from destinations.console.planning import MOST_EVENTS
from destinations.console.verbs import LARGEST_ID, MOST_ON_A_PAGE, MOST_TARGETS, Decision
from destinations.operations import DRIFT_FILTERS, FILTERS, Filter, TenantState
from destinations.outcome import AttemptKind, Effect, Outcome, State

__all__ = [
    "COMPONENTS",
    "CURSOR",
    "FORMS",
    "ID",
    "LIMIT",
    "NAME",
    "OF_DRIFTS",
    "OF_REFUSED",
    "SELECTION",
    "TENANT",
    "page_of",
    "ref",
]

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
TENANT: Final[Schema] = {
    **NAME,
    "description": "The tenant: its id, or at least 4 digits of it, or its name.",
}
ID: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
LIMIT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": MOST_ON_A_PAGE, "default": 50}
CURSOR: Final[Schema] = {
    "type": "string",
    "maxLength": 200,
    "description": "The value of next of the page before; with the same conditions.",
}
_FLAG: Final[Schema] = {"type": "boolean"}
_NUMBER: Final[Schema] = {"type": "integer"}
_ANY: Final[Schema] = {}
_WHEN: Final[Schema] = {"type": "string", "format": "date-time"}
_SECONDS: Final[Schema] = {"type": "number"}
_COUNTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "integer"}}
_REFUSAL: Final[Schema] = {
    "type": "object",
    "properties": {"since": _WHEN, "reason": {"type": "string"}},
    "required": ["since", "reason"],
    "additionalProperties": False,
}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
_TIME_WORDS: Final = "ISO 8601 (UTC if it names no zone), or an age such as 90s, 30m, 2h, 3d or 1w"
_TIME: Final[Schema] = {
    "type": "string",
    "pattern": r"^([0-9]{1,9}[smhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9:.]{4,15}(Z|[+-][0-9:]{4,6})?)?)$",
    "description": f"{_TIME_WORDS}.",
    "examples": ["2026-05-04T10:00:00Z", "2h"],
}
_VERSION: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{16}$",
    "examples": ["1b952ffffdd1b0a8"],
}

FORMS: Final[Mapping[str, str]] = {
    _TIME["pattern"]: f"{_TIME_WORDS}, such as 2026-05-04T10:00:00Z",
    _VERSION["pattern"]: "the version of what was seen, such as 1b952ffffdd1b0a8",
    r"\S": "some text",
}
"""What a text has to be, in words, by the pattern of its schema."""

_STATES: Final = [state.value for state in State]
_OUTCOMES: Final = [outcome.value for outcome in Outcome]


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str) -> Schema:
    """Return the schema of a page of a list."""
    return _object(items=_list(ref(name)), next=_or_null(TEXT))


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _object(optional: Sequence[str] = (), /, **properties: Schema) -> Schema:
    """Return the schema of an object that has just these, all of them but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _condition(one: Filter) -> Schema:
    """Return the schema of a filter."""
    about = {"description": f"{one.about}."}
    match one.kind:
        case "choice":
            return {"type": "string", "enum": list(one.choices), **about}
        case "flag":
            return {"type": "boolean", **about}
        case "time":
            return {**_TIME, "description": f"{one.about.partition(':')[0]}: {_TIME_WORDS}."}
    return {**NAME, "maxLength": one.longest, **about}


SELECTION: Final[Mapping[str, Schema]] = {one.key: _condition(one) for one in FILTERS.values()}
"""The conditions by which deliveries are chosen; all must hold."""

OF_DRIFTS: Final[Mapping[str, Schema]] = {
    FILTERS[name].key: _condition(FILTERS[name]) for name in DRIFT_FILTERS
}
"""The conditions by which balances are chosen that were not as expected."""

OF_REFUSED: Final[Mapping[str, Schema]] = {
    FILTERS[name].key: _condition(FILTERS[name])
    for name in ("destination", "tenant", "code", "user", "since")
} | {
    "destination": {**NAME, "description": "The source or destination that refused them."},
    "since": {**_TIME, "description": f"Select events refused since this time: {_TIME_WORDS}."},
}
"""The conditions by which refused events are chosen."""

_TARGETS: Final[Mapping[str, Schema]] = {
    "ids": {"type": "array", "items": ID, "minItems": 1, "maxItems": MOST_TARGETS},
    "selection": {
        "type": "object",
        "properties": dict(SELECTION),
        "additionalProperties": False,
    },
}
_HOW: Final[Mapping[str, Schema]] = {
    "dryRun": {"type": "boolean", "description": "With true, nothing is changed (false)."},
    "seen": {
        **_VERSION,
        "description": "The version that was seen; if it is another now, nothing is changed (409).",
    },
}
_REASON: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1_000,
    "pattern": r"\S",
    "description": "Why; the ledger keeps it.",
}
_DECISION: Final[Schema] = {
    "enum": list(get_args(Decision)),
    "type": "string",
    "description": "applied counts it as delivered, not_applied sends it again, and as_shown is "
    "what the balances show.",
}


def _change(*, of_one: bool, **more: Schema) -> Schema:
    """Return the schema of a change: of the delivery in the path, or of several."""
    if of_one:
        return _object(tuple(_HOW), **more, **_HOW)
    several = _object((*_TARGETS, *_HOW), **more, **_TARGETS, **_HOW)
    return {**several, "oneOf": [{"required": ["ids"]}, {"required": ["selection"]}]}


_ALLOWED: Final = _object(allowed=_FLAG, why=TEXT)

_DELIVERY: Final[Mapping[str, Schema]] = {
    "id": ID,
    "eventId": _NUMBER,
    "destination": TEXT,
    "account": TEXT,
    "tenant": _or_null(TEXT),
    "tenantName": _or_null(TEXT),
    "user": TEXT,
    "subscription": TEXT,
    "action": TEXT,
    "connection": _or_null(TEXT),
    "type": TEXT,
    "messageId": TEXT,
    "state": {"enum": _STATES, "type": "string"},
    "outcome": _or_null({"enum": _OUTCOMES, "type": "string"}),
    "effect": {"enum": [effect.value for effect in Effect], "type": "string"},
    "attempts": _NUMBER,
    "acceptedAt": _WHEN,
    "firstAttemptAt": _or_null(_WHEN),
    "nextAt": _or_null(_WHEN),
    "settledAt": _or_null(_WHEN),
    "code": _or_null(TEXT),
    "httpStatus": _or_null(_NUMBER),
    "reason": TEXT,
    "stage": TEXT,
    "increment": _or_null(_object(key=TEXT, amount={"type": "number"})),
    "evidence": {"type": "object"},
    "restored": _FLAG,
    "version": _VERSION,
}

_BODY: Final = _object(text=TEXT, bytes=_NUMBER, cut=_FLAG)
"""A body: its text, how long the whole of it was, and whether only the beginning is kept."""

_TENANT: Final[Mapping[str, Schema]] = {
    "id": TEXT,
    "name": _or_null(TEXT),
    "destination": TEXT,
    "state": {"enum": list(get_args(TenantState)), "type": "string"},
    "key": {"enum": ["proven", "unchecked", "refused"], "type": "string"},
    "notedAt": _WHEN,
    "provenAt": _or_null(_WHEN),
    "refusedSince": _or_null(_WHEN),
    "pausedAt": _or_null(_WHEN),
    "connection": _or_null(TEXT),
    "connectionFault": _or_null(TEXT),
    "queue": _NUMBER,
    "held": _NUMBER,
    "deliveredToday": _NUMBER,
}

COMPONENTS: Final[Mapping[str, Schema]] = {
    "Problem": {
        "type": "object",
        "description": "A problem document (RFC 9457); detail is a sentence.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": TEXT,
            "title": TEXT,
            "status": _NUMBER,
            "detail": TEXT,
            "issues": _list(_object(place=TEXT, detail=TEXT)),
        },
    },
    "Delivery": _object(**_DELIVERY),
    "DeliveryDetails": _object(
        **_DELIVERY,
        event=_ANY,
        eventKept={"enum": ["whole", "recent", "deleted"], "type": "string"},
        payload=_ANY,
        nextStep=_or_null(
            _object(
                what=TEXT,
                by={"enum": ["process", "nobody", "operator"], "type": "string"},
                paused=TEXT,
            )
        ),
        proposed=_or_null({"enum": ["applied", "not_applied"], "type": "string"}),
        resolve=_ALLOWED,
        replay=_ALLOWED,
        drop=_ALLOWED,
        warning=TEXT,
    ),
    "Deliveries": page_of("Delivery"),
    "Attempt": _object(
        number=_NUMBER,
        at=_WHEN,
        seconds=_SECONDS,
        kind={"enum": list(get_args(AttemptKind)), "type": "string"},
        outcome=_or_null(TEXT),
        errorClass=_or_null(TEXT),
        rule=TEXT,
        error=TEXT,
        deliveries=_NUMBER,
        erased=_FLAG,
        request=_object(
            name=TEXT,
            step=_or_null(TEXT),
            method=TEXT,
            url=TEXT,
            headers=_TEXTS,
            body=_or_null(_BODY),
        ),
        answer=_or_null(_object(status=_NUMBER, headers=_TEXTS, body=_or_null(_BODY))),
    ),
    "Attempts": _object(items=_list(ref("Attempt"))),
    "Changed": _object(
        dryRun=_FLAG,
        deliveries=_NUMBER,
        done=_NUMBER,
        ids=_list(ID),
        skipped=_list(_object(why=TEXT, deliveries=_NUMBER)),
        version=_VERSION,
        warnings=_list(_object(id=ID, warning=TEXT)),
    ),
    "ReplayedPart": _object(
        subscription=TEXT, action=TEXT, becomes=TEXT, reason=TEXT, payload=_ANY
    ),
    "Replayed": _object(
        dryRun=_FLAG,
        deliveries=_NUMBER,
        refused=_NUMBER,
        warned=_NUMBER,
        unchanged=_NUMBER,
        reopened=_NUMBER,
        ended=_NUMBER,
        added=_NUMBER,
        changedSince=_NUMBER,
        unserved=_list(TEXT),
        changes=_list(_object(before=TEXT, after=TEXT, deliveries=_NUMBER)),
        items=_list(
            _object(
                delivery=ref("Delivery"),
                refused=TEXT,
                warning=TEXT,
                changes=_FLAG,
                before=_ANY,
                today=_or_null(ref("ReplayedPart")),
                added=_list(ref("ReplayedPart")),
            )
        ),
        version=_VERSION,
    ),
    "Destination": _object(
        destination=TEXT,
        tenant=_or_null(TEXT),
        pausedAt=_or_null(_WHEN),
        pausedActions=_TEXTS,
        credentialsRefused=_or_null(_REFUSAL),
        version=_VERSION,
    ),
    "PauseChanged": _object(
        destination=TEXT,
        tenant=_or_null(TEXT),
        paused=_FLAG,
        changed=_FLAG,
        dryRun=_FLAG,
        resumedActions=_TEXTS,
        resumedCredentials=_or_null(TEXT),
        resumedTenants=_NUMBER,
    ),
    "Status": _object(
        served=_or_null(_FLAG),
        size=_NUMBER,
        engine=TEXT,
        workers=_or_null(
            _list(_object(id=_NUMBER, name=TEXT, state=TEXT, isRun=_FLAG, lanes=_NUMBER))
        ),
        destinations=_list(
            _object(
                name=TEXT,
                account=TEXT,
                source={"enum": ["serve", "run"], "type": "string"},
                served=_FLAG,
                queue=_NUMBER,
                counts=_COUNTS,
                today=_COUNTS,
                pausedAt=_or_null(_WHEN),
                pausedActions=_TEXTS,
                credentialsRefused=_or_null(_REFUSAL),
                oldestSeconds=_or_null(_SECONDS),
                nextRetrySeconds=_or_null(_SECONDS),
                tenants=_or_null(_COUNTS),
            )
        ),
    ),
    "Tenant": _object(**_TENANT),
    "TenantDetails": _object(
        **_TENANT,
        account=TEXT,
        keys=_NUMBER,
        counts=_COUNTS,
        today=_COUNTS,
        oldestSeconds=_or_null(_SECONDS),
        documents=_COUNTS,
        pausedActions=_TEXTS,
    ),
    "Tenants": page_of("Tenant"),
    "Connection": _object(
        destination=TEXT,
        definition=TEXT,
        version=_or_null(TEXT),
        subscriptions=_list(_object(name=TEXT, action=TEXT, subscribe=TEXT, mapping=_ANY)),
        filters=_ANY,
        fault=_or_null(TEXT),
    ),
    "Connections": _object(items=_list(ref("Connection"))),
    "AuditLine": _object(
        id=_NUMBER,
        at=_WHEN,
        operator=TEXT,
        via=TEXT,
        address=TEXT,
        verb=TEXT,
        destination=_or_null(TEXT),
        tenant=_or_null(TEXT),
        deliveries=_or_null(_NUMBER),
        ids=_list(_NUMBER),
        more=_TEXTS,
        done=_or_null(_NUMBER),
    ),
    "Drift": _object(
        destination=TEXT,
        account=TEXT,
        key=TEXT,
        user=TEXT,
        expected={"type": "number"},
        found={"type": "number"},
        noticedAt=_WHEN,
        deliveries=_list(_NUMBER),
    ),
    "Drifts": _object(items=_list(ref("Drift"))),
    "AuditLines": page_of("AuditLine"),
    "RefusedEvent": _object(
        id=_NUMBER,
        at=_WHEN,
        destination={**TEXT, "description": "The source or destination that refused it."},
        tenant=_or_null(TEXT),
        path=TEXT,
        peer=TEXT,
        status=_NUMBER,
        code=TEXT,
        reason=TEXT,
        messageId=_or_null(TEXT),
        user=_or_null(TEXT),
        bytes=_NUMBER,
        whole=_FLAG,
        event=_ANY,
    ),
    "RefusedEvents": page_of("RefusedEvent"),
    "Explanation": {
        "type": "object",
        "description": "What destinations explain --json prints, with keys in camel case.",
        "required": ["destination", "result", "takenOut", "blankTraits", "subscriptions"],
        "properties": {
            "destination": TEXT,
            "takenOut": _list(TEXT),
            "blankTraits": _list(TEXT),
            "subscriptions": _list({"type": "object"}),
        },
    },
    "Plan": {
        "type": "object",
        "description": "What destinations plan --json prints, with keys in camel case.",
        "required": ["config", "against", "events", "destinations"],
        "properties": {
            "config": TEXT,
            "against": TEXT,
            "events": _NUMBER,
            "destinations": _list({"type": "object"}),
        },
    },
    "PlanRequest": {
        **_object(
            ("destination", "events", "last"),
            configuration={
                "type": "string",
                "minLength": 1,
                "maxLength": 500_000,
                "description": "The content of the new configuration, YAML or JSON. What its "
                "settings name is looked up only if the server's configuration names it as well.",
            },
            destination=NAME,
            events={"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": {}},
            last={
                "type": "integer",
                "minimum": 1,
                "maximum": 10_000,
                "description": "Take so many of the latest delivered events (1000).",
            },
        ),
        "not": {"required": ["events", "last"]},
    },
    "Resolve": _change(of_one=True, decision=_DECISION),
    "ResolveSeveral": _change(of_one=False, decision=_DECISION),
    "Replay": _change(of_one=True),
    "ReplaySeveral": _change(of_one=False),
    "Drop": _change(of_one=True, reason=_REASON),
    "DropSeveral": _change(of_one=False, reason=_REASON),
    "Pause": _object(("tenant", *_HOW), tenant=TENANT, **_HOW),
    "Explain": _object(
        ("tenant",),
        destination=NAME,
        event={"description": "The event, as a sender would post it."},
        tenant=TENANT,
    ),
}
"""The schemas by their names."""
