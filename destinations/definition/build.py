"""Turn checked documents into the typed definition; nothing is checked here again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.definition.model import (
    DELETION,
    AccessTokenAuth,
    ActionDefinition,
    ApiKeyAuth,
    Authentication,
    BasicAuth,
    BearerAuth,
    DestinationDefinition,
    Perform,
    Preset,
    RateLimit,
    RequestAuth,
    RetryDefinition,
    Step,
    Timeouts,
    TransportDefinition,
    Unmapped,
    UsageDefinition,
    UsageQuestion,
    UsageStep,
    Window,
)
from destinations.definition.oauth2 import build_oauth2
from destinations.definition.request_model import (
    ANSWER_BYTES,
    AnswerRule,
    ErrorCondition,
    ErrorRule,
    FailedItems,
    GraphQLDefinition,
    IdempotencyKey,
    ListedDefinition,
    PendingDefinition,
    ReconcileDefinition,
    Refusal,
    RequestDefinition,
    RestDefinition,
    Signature,
)
from destinations.durations import parse_duration
from destinations.outcome import WaitFor

__all__ = [
    "DELETION_FIELDS",
    "basic_settings",
    "build_action",
    "build_destination",
    "build_preset",
    "grace_setting",
    "request_auth",
]

_RENAMED = ("sign", "path", "arrayFormat", "ndjson")
_EVENT_TIME = {"@path": "$.event.timestamp"}
_CATALOG_KEYS = (
    "id",
    "website",
    "maintainer",
    "categories",
    "connectionModes",
    "documentation",
    "publishing",
)


def build_destination(
    data: Mapping[str, Any], actions: Mapping[str, ActionDefinition]
) -> DestinationDefinition:
    """Build a destination from ``destination.yaml`` (``data``) and its actions."""
    events = data.get("events", {})
    return DestinationDefinition(
        name=data["name"],
        slug=data["slug"],
        version=data["version"],
        description=data["description"],
        settings=data["settings"],
        transport=_transport(data["transport"], request_auth(data)),
        requests={name: _request(name, spec) for name, spec in data["requests"].items()},
        actions=actions,
        presets=tuple(build_preset(spec, actions) for spec in data.get("presets", ())),
        error_rules=_error_rules(data),
        required_event_fields=tuple(events.get("requires", ())),
        placeholders=tuple(events.get("placeholders", ())),
        blank_traits=tuple(events["blankTraits"]) if "blankTraits" in events else None,
        integrations_key=events.get("integrationsKey", data["name"]),
        authentication=_authentication(data.get("authentication")),
        catalog={key: data[key] for key in _CATALOG_KEYS if key in data},
        deletion=_deletion(data.get("onDelete")),
    )


def build_action(data: Mapping[str, Any], settings: Mapping[str, Any]) -> ActionDefinition:
    """Build an action from its file, and the settings of its destination by name."""
    perform = data["perform"]
    unmapped = data.get("unmapped")
    return ActionDefinition(
        slug=data["slug"],
        title=data["title"],
        description=data["description"],
        fields=data["fields"],
        perform=Perform(
            request=perform.get("request"),
            generator=perform.get("generator"),
            requests=tuple(perform.get("requests", ())),
            batch_size=perform.get("batch", {}).get("size", 1),
            steps=tuple(
                Step(step["name"], step["request"], step.get("when", {}))
                for step in perform.get("steps", ())
            ),
            repeatable="repeatable" in perform,
            repeat_after=_repeat_after(perform.get("repeatable")),
            otherwise=perform.get("otherwise"),
        ),
        method=data.get("method"),
        default_subscription=data.get("defaultSubscription"),
        unmapped=None if unmapped is None else Unmapped(**unmapped),
        touches=tuple(data.get("touches", ())),
        operator=data.get("operator", False),
        window=_window(data.get("window"), settings),
        usage=_usage(data.get("usage")),
    )


def _repeat_after(given: object) -> float:
    after: float = given.get("after", 120.0) if isinstance(given, Mapping) else 120.0
    return after


DELETION_FIELDS: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["userId"],
    "additionalProperties": False,
    "properties": {
        "userId": {
            "title": "User ID",
            "description": "The user to delete.",
            "type": "string",
            "minLength": 1,
            "default": {"@path": "$.userId"},
        },
        "anonymousId": {
            "title": "Anonymous ID",
            "description": "What the user was known by before, if the event says it.",
            "type": "string",
            "default": {"@path": "$.anonymousId"},
        },
    },
}
"""The fields of the action that ``onDelete`` makes."""


def _deletion(data: Mapping[str, Any] | None) -> ActionDefinition | None:
    if data is None:
        return None
    return ActionDefinition(
        slug=DELETION,
        title="Delete User",
        description="Delete a user.",
        fields=DELETION_FIELDS,
        perform=Perform(request=data["request"]),
        # An erasure asks under another name than that of the user, and must not be overtaken.
        touches=({"@path": "$.payload.userId"}, {"@path": "$.payload.anonymousId"}),
    )


def basic_settings(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the settings of which HTTP Basic is made; None if the definition does not use it.

    It does if its authentication says so, and it has neither an ``Authorization`` header of its own
    nor ``transport.auth``.
    """
    authentication, headers = data.get("authentication", {}), data["transport"].get("headers", {})
    is_basic = authentication.get("scheme") == "basic" and "auth" not in data["transport"]
    has_header = any(name.lower() == "authorization" for name in headers)
    return tuple(authentication["fields"]) if is_basic and not has_header else None


def request_auth(data: Mapping[str, Any]) -> RequestAuth | None:
    """Return how requests show whose they are, by ``transport.auth`` or by the scheme."""
    if "oauth2" in data.get("authentication", {}):
        return AccessTokenAuth()
    given = data["transport"].get("auth", {})
    if "basic" in given:
        return BasicAuth(**given["basic"])
    if "bearer" in given:
        return BearerAuth(given["bearer"])
    if "apiKey" in given:
        return ApiKeyAuth(**given["apiKey"])
    basic = basic_settings(data)
    return None if basic is None else BasicAuth(*basic[:2])  # two, says the check


def _transport(data: Mapping[str, Any], auth: RequestAuth | None) -> TransportDefinition:
    timeout, retry = data["timeout"], data.get("retry", {})
    backoff = retry.get("backoff", {})
    return TransportDefinition(
        base_url=data.get("baseUrl", data.get("url")),
        headers=data.get("headers", {}),
        timeouts=Timeouts(timeout["connect"], timeout["read"], timeout["total"]),
        retry=RetryDefinition(
            base=backoff.get("base", 0.5),
            cap=backoff.get("cap", 120),
            max_retry_after=retry.get("maxRetryAfter", 3600),
        ),
        concurrency=data.get("concurrency", 4),
        rate_limit=RateLimit(**data["rateLimit"]) if "rateLimit" in data else None,
        auth=auth,
    )


def _request(name: str, data: Mapping[str, Any]) -> RequestDefinition:
    call: GraphQLDefinition | RestDefinition | PendingDefinition
    if "pending" in data:
        call = PendingDefinition(data["pending"])
    elif "graphql" in data:
        graphql = data["graphql"]
        call = GraphQLDefinition(graphql["document"], graphql.get("variables", {}))
    else:
        call = _rest(data["rest"], data.get("batch", {}))
    return RequestDefinition(
        name=name,
        description=data["description"],
        idempotent=data["idempotent"],
        read_only=data.get("readOnly", False),
        atomic=data.get("atomic", False),
        call=call,
        batch_size=data.get("batch", {}).get("size", 1),
        batch_bytes=data.get("batch", {}).get("bytes"),
        listed=_listed(data.get("list")),
        answer_bytes=data.get("answerBytes", ANSWER_BYTES),
        remember=data.get("remember", False),
        expect=data.get("expect"),
        refusals=tuple(
            Refusal(refusal["when"], refusal["message"]) for refusal in data.get("refusals", ())
        ),
        answers=tuple(
            AnswerRule(answer["name"], _condition(answer["when"]))
            for answer in data.get("answers", ())
        ),
        error_rules=_error_rules(data),
        reconcile=_reconcile(data),
        on_lost_answer=data.get("onLostAnswer", "hold"),
        idempotency_key=_idempotency_key(data.get("idempotencyKey")),
        example=data.get("example"),
    )


def _reconcile(request: Mapping[str, Any]) -> ReconcileDefinition | None:
    data = request.get("reconcile", request.get("settle"))
    if data is None:
        return None
    return ReconcileDefinition(**{**data, "nothing": tuple(data.get("nothing", ()))})


def _idempotency_key(data: Mapping[str, Any] | None) -> IdempotencyKey | None:
    if data is None:
        return None
    seconds = parse_duration(data["for"])
    return IdempotencyKey(data["from"], seconds, data.get("header"), data.get("field"))


def grace_setting(window: Mapping[str, Any]) -> str | None:
    """Return the setting that says how old an event may be; None if the definition says it."""
    grace = window.get("grace")
    return str(grace["@path"]).removeprefix("$.settings.") if isinstance(grace, Mapping) else None


def _window(data: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Window | None:
    if data is None:
        return None
    name = grace_setting(data)
    given = data if name is None else {**data, "grace": settings[name]["default"]}
    grace, ahead = (
        parse_duration(given[key]) if key in given else None for key in ("grace", "ahead")
    )
    return Window(data.get("from", _EVENT_TIME), data["then"], grace, ahead, name)


ONLY_STEP: Final = "ask"
"""The name of the step of a question that is one request."""


def _usage(data: Mapping[str, Any] | None) -> UsageDefinition | None:
    if data is None:
        return None
    amount, at = data.get("amount", 1), data.get("at", _EVENT_TIME)
    return UsageDefinition(data["user"], data["feature"], _question(data["ask"]), at, amount)


def _question(data: Mapping[str, Any]) -> UsageQuestion:
    aligned, settles = (
        parse_duration(data[key]) if key in data else None for key in ("aligned", "settlesAfter")
    )
    return UsageQuestion(
        steps=tuple(map(_usage_step, data["steps"]))
        if "steps" in data
        else (UsageStep(ONLY_STEP, data["request"]),),
        shown=data["shown"],
        next=data.get("next"),
        nothing=tuple(data.get("nothing", ())),
        aligned=aligned,
        settles_after=settles,
    )


def _usage_step(data: Mapping[str, Any]) -> UsageStep:
    find = data.get("find", {})
    items, where, following = find.get("items"), find.get("where", {}), find.get("next")
    return UsageStep(data["name"], data["request"], items, where, following)


def _listed(data: Mapping[str, Any] | None) -> ListedDefinition | None:
    if data is None:
        return None
    return ListedDefinition(data["request"], data["key"], data["value"], data["absent"])


def _rest(data: Mapping[str, Any], batch: Mapping[str, Any]) -> RestDefinition:
    sign, failures = data.get("sign"), batch.get("failures")
    failed_items = None
    if failures is not None:
        identity = failures.get("id", {})
        failed_items = FailedItems(
            statuses=tuple(failures["status"]),
            items=failures["items"],
            index=failures.get("index"),
            message=failures.get("message"),
            item_id=identity.get("item"),
            event_id=identity.get("event"),
            item_status=failures.get("itemStatus"),
            code=failures.get("code"),
        )
    return RestDefinition(
        **{key: value for key, value in data.items() if key not in _RENAMED},
        path=tuple(data.get("path", ())),
        ndjson=tuple(data.get("ndjson", ())),
        array_format=data.get("arrayFormat"),
        sign=None if sign is None else _signature(sign),
        batch_json=batch.get("json"),
        failed_items=failed_items,
        all_or_nothing=batch.get("allOrNothing", False),
    )


def _signature(data: Mapping[str, Any]) -> Signature:
    names = {"timestampHeader": "timestamp_header", "secretEncoding": "secret_encoding"}
    return Signature(**{names.get(key, key): value for key, value in data.items()})


def _error_rules(data: Mapping[str, Any]) -> tuple[ErrorRule, ...]:
    return tuple(
        ErrorRule(
            when=_condition(rule["when"]),
            error_class=rule["class"],
            retryable=rule["retryable"],
            nothing_applied=rule["nothingApplied"],
            description=rule.get("description", ""),
            attempts=rule.get("attempts"),
            concerns=rule.get("concerns"),
            wait_for=WaitFor(**rule["waitFor"]) if "waitFor" in rule else None,
            repeat_means=rule.get("repeatMeans"),
        )
        for rule in data.get("errorRules", ())
    )


def _condition(data: Mapping[str, Any]) -> ErrorCondition:
    status = data.get("status")
    if status is not None and not isinstance(status, list):
        status = [status]
    return ErrorCondition(
        status=None if status is None else tuple(status),
        code=data.get("code"),
        exception=data.get("exception"),
        message=data.get("message"),
        body=data.get("body"),
        root_field=data.get("rootField"),
    )


def build_preset(data: Mapping[str, Any], actions: Mapping[str, ActionDefinition]) -> Preset:
    """Build a subscription; its mapping defaults to the defaults of the action's fields."""
    action = actions[data["partnerAction"]]
    mapping = data.get("mapping", action.default_mapping)
    return Preset(data["name"], action.slug, data["subscribe"], mapping)


def _authentication(data: Mapping[str, Any] | None) -> Authentication | None:
    if data is None:
        return None
    return Authentication(
        data["scheme"],
        tuple(data["fields"]),
        data["test"],
        data.get("account"),
        build_oauth2(data.get("oauth2")),
    )
