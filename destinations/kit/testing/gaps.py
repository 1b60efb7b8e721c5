"""Find gaps that the schema cannot: each finding is one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition import DestinationDefinition, ErrorCondition, RequestDefinition
from destinations.http import HttpResponse
from destinations.kit.testing.case import Case
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.ways import Stage
from destinations.kit.testing.wire import Reply
from destinations.outcome import Outcome
from destinations.sandbox.answers import conditions_of, error_answer, rule_that_reads
from destinations.segment.mapping.checks import directive_keys

__all__ = [
    "documentation_gaps",
    "preset_gaps",
    "secret_leaks",
    "unreachable_rules",
    "unread_errors",
    "untested_actions",
]

_LOOKS_SECRET: Final = re.compile(r"(key|secret|token|password)$", re.IGNORECASE)
_FACTS: Final = ("categories", "connectionModes", "documentation")


def preset_gaps(definition: DestinationDefinition) -> Iterator[str]:
    """Find presets whose mapping lacks a required field of the action."""
    for preset in definition.presets:
        fields = definition.actions[preset.partner_action].fields
        unmapped = definition.actions[preset.partner_action].unmapped
        if directive_keys(preset.mapping):
            continue  # a single directive makes the whole payload
        for key in fields.get("required", ()):
            if key not in preset.mapping and not (unmapped and unmapped.missing == key):
                yield (
                    f"the preset {preset.name!r} maps nothing to {key!r}, which the action "
                    f"{preset.partner_action} requires: give the field a default"
                )


def untested_actions(subject: Subject, cases: Sequence[Case]) -> Iterator[str]:
    """Find actions of presets through which no case delivers an event."""
    delivered = {
        row.action for case in cases for row in case.expected if row.outcome is Outcome.DELIVERED
    }
    for slug in dict.fromkeys(preset.partner_action for preset in subject.definition.presets):
        if slug not in delivered:
            yield f"no case delivers an event through the action {slug}: record one"


def unreachable_rules(definition: DestinationDefinition) -> Iterator[str]:
    """Find error rules that no answer reaches, as other rules match first."""
    taken: dict[int, str] = {}
    reached: set[int] = set()
    for request in definition.requests.values():
        for condition in conditions_of(request, definition):
            problem = _problem(condition, request, definition)
            if problem is None:
                reached.add(id(condition))
            else:
                taken.setdefault(id(condition), f"{condition}: {problem}")
    for place, text in taken.items():
        if place not in reached:
            yield text


def _problem(
    condition: ErrorCondition, request: RequestDefinition, definition: DestinationDefinition
) -> str | None:
    """Return why a condition is not used for errors that fit it; None if it is."""
    response = error_answer(condition, request)
    if response is None:
        return f"no message could be made that fits {condition.message}; use a simpler pattern"
    reader = rule_that_reads(response, request, definition)
    if reader is condition:
        return None
    where = f"of {request.name}" if len(definition.requests) > 1 else ""
    if reader is None:
        return f"no error {where} can fit it".replace("  ", " ")
    return f"another rule comes first: {reader}"


def unread_errors(
    definition: DestinationDefinition, documented: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Find documented errors that no rule matches, so that only their status counts.

    Each has the keys of an error rule's ``when``.
    """
    for error in documented:
        condition = _condition(error)
        for request in definition.requests.values():
            response = error_answer(condition, request)
            if response is None or rule_that_reads(response, request, definition) is None:
                yield f"no error rule reads {condition} of the request {request.name}"


def _condition(error: Mapping[str, Any]) -> ErrorCondition:
    status = error.get("status")
    return ErrorCondition(
        status=None if status is None else (status,),
        code=error.get("code"),
        exception=error.get("exception"),
        message=None if error.get("message") is None else re.escape(error["message"]),
        body=error.get("body"),
    )


def secret_leaks(subject: Subject) -> Iterator[str]:
    """Find settings that should be secrets, and results that show a secret."""
    definition = subject.definition
    for key, spec in definition.settings["properties"].items():
        if _LOOKS_SECRET.search(key) and spec.get("format") != "password":
            yield f"the setting {key!r} looks like a secret: give it the format password"
    if not definition.secret_settings:
        return
    for action in definition.event_actions.values():
        stage = Stage(subject, action)
        secrets = [
            "".join(value)
            for key, value in stage.destination.settings.items()
            if key in definition.secret_settings
        ]
        for status in (200, 400, 401, 500):
            played = stage.play(_echo(status, " ".join(secrets)))
            shown = repr([played.results, stage.destination.settings, stage.destination.endpoint])
            for secret in secrets:
                if secret in shown:
                    yield f"{action.slug}: a secret that the partner echoes with {status} is shown"


def _echo(status: int, text: str) -> Any:
    body = json.dumps({"message": text, "errors": [{"message": text}]})

    def reply(_place: int, _request: str, _attempt: int) -> Reply:
        return HttpResponse(status, {"content-type": "application/json"}, body.encode())

    return reply


def documentation_gaps(definition: DestinationDefinition) -> Iterator[str]:
    """Find facts for the documentation page that the definition lacks."""
    for key in _FACTS:
        if not definition.catalog.get(key):
            yield f"destination.yaml has no {key}, which the documentation page shows"
    if not definition.presets:
        yield "destination.yaml has no presets: without one, nothing is delivered"
    for slug, action in definition.actions.items():
        has_calls = action.method is not None or action.default_subscription is not None
        if not (has_calls or action.operator):
            yield f"{slug}.yaml has neither method nor defaultSubscription: add one of them"
        for key, spec in action.fields["properties"].items():
            if not spec["description"].strip().endswith((".", "!", "?")):
                yield f"{slug}.yaml: the description of the field {key!r} must be a sentence"
