"""Write a case as YAML that people can read, review and edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from destinations.definition.yaml_schema import Dumper
from destinations.kit.testing.case import (
    ABSENT,
    AskedUsage,
    Case,
    ExpectedOutcome,
    Interaction,
    Served,
)

__all__ = ["asked_data", "case_text", "expectation_data"]


def case_text(case: Case, *, schema: str | None = None) -> str:
    """Return the text of a case file; ``schema`` is the path of the JSON Schema, for editors."""
    data: dict[str, Any] = {} if schema is None else {"$schema": schema}
    data["description"] = case.description
    if case.recorded is not None:
        data["recorded"] = {"against": case.recorded.against, "version": case.recorded.version}
    if case.served is not None:
        data["served"] = _served(case.served)
    data["settings"] = _plain(case.settings)
    if case.subscriptions is not None:
        data["subscriptions"] = [
            {
                "name": preset.name,
                "partnerAction": preset.partner_action,
                "subscribe": preset.subscribe,
                "mapping": preset.mapping,
            }
            for preset in case.subscriptions
        ]
    data |= {
        "clock": case.clock,
        "events": list(case.events),
        "interactions": [_interaction(item) for item in case.interactions],
        "expected": [expectation_data(row) for row in case.expected],
    }
    if case.usage:
        data["usage"] = [asked_data(one) for one in case.usage]
    text: str = yaml.dump(
        data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return text


def _served(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if served.deadline is not None:
        found["deadlineSeconds"] = _number(served.deadline)
    return {**found, "asks": True} if served.asks else found


def _number(value: float) -> float:
    """Return a number that is written without a fraction if it has none."""
    return int(value) if value == int(value) else value


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with secrets as plain text, as those of a case are placeholders."""
    return {
        key: "".join(value) if isinstance(value, str) else value for key, value in settings.items()
    }


def _interaction(item: Interaction) -> dict[str, Any]:
    request: dict[str, Any] = {"method": item.request.method, "url": item.request.url}
    request |= _message(item.request.headers, item.request.json, item.request.body)
    found: dict[str, Any] = {} if item.at is None else {"at": _number(item.at)}
    found["request"] = request
    if isinstance(item.result, str):
        return {**found, "failure": item.result}
    result = item.result
    response = {"status": result.status, **_message(result.headers, result.json, result.body)}
    return {**found, "response": response}


def _message(headers: Mapping[str, str], json: Any, body: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"headers": dict(headers)} if headers else {}
    if json is not ABSENT:
        found["json"] = json
    elif body is not None:
        found["body"] = body
    return found


def expectation_data(row: ExpectedOutcome) -> dict[str, Any]:
    """Return an expected outcome as it stands in a file."""
    found: dict[str, Any] = {
        "event": row.event,
        "action": row.action,
        "outcome": row.outcome.value,
    }
    found |= {key: value for key, value in (("reason", row.reason), ("code", row.code)) if value}
    if row.payload is not ABSENT:
        found["payload"] = row.payload
    if row.usage is not None:
        parts = {key: getattr(row.usage, key) for key in ("user", "feature", "amount", "at")}
        found["usage"] = {key: value for key, value in parts.items() if value is not ABSENT}
    return found


def asked_data(one: AskedUsage) -> dict[str, Any]:
    """Return a question about usage, and what came of it, as it stands in a file."""
    found = {
        "action": one.action,
        "user": one.user,
        "feature": one.feature,
        "from": one.start,
        "to": one.end,
    }
    ended = {"shown": one.shown} if one.error is None else {"error": one.error}
    return {**found, **ended}
