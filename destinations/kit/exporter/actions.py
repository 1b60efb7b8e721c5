"""Write ``index.ts`` of an action."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.kit.exporter.events import event_fields
from destinations.kit.exporter.fields import FieldSet
from destinations.kit.exporter.literals import WIDTH, Code, literal, throwing
from destinations.kit.exporter.requests import RequestFile

__all__ = ["ActionFile", "batch_fields", "write_action"]


@dataclass(frozen=True, slots=True)
class ActionFile:
    """The file, all of its fields, and the modules that it needs."""

    source: str
    fields: Mapping[str, Mapping[str, Any]]
    is_batched: bool
    modules: AbstractSet[str]


def batch_fields(title: str, size: int, bytes_: int | None) -> dict[str, dict[str, Any]]:
    """Return the fields by which Segment batches the events of an action."""
    found: dict[str, dict[str, Any]] = {
        "enable_batching": {
            "label": f"Batch events to {title}",
            "description": f"Whether Segment sends up to {size:,} events in one request.",
            "type": "boolean",
            "default": True,
        },
        "batch_size": {
            "label": "Batch size",
            "description": "The largest number of events in one request.",
            "type": "number",
            "unsafe_hidden": True,
            "default": size,
        },
    }
    if bytes_ is not None:
        found["batch_bytes"] = {
            "label": "Batch bytes",
            "description": "The largest number of bytes in one request.",
            "type": "number",
            "unsafe_hidden": True,
            "default": bytes_,
        }
    return found


def write_action(
    definition: DestinationDefinition,
    action: ActionDefinition,
    fields: FieldSet,
    requests: RequestFile,
    window: Mapping[str, Any] | None,
) -> ActionFile:
    """Return the file of an action."""
    return _Writer(definition, action, fields, requests, window).file()


class _Writer:
    def __init__(
        self,
        definition: DestinationDefinition,
        action: ActionDefinition,
        fields: FieldSet,
        requests: RequestFile,
        window: Mapping[str, Any] | None,
    ) -> None:
        self._action = action
        self._given = fields
        self._requests = requests
        self._window = window
        self._imports: dict[str, set[str]] = {}
        name = action.perform.request
        self._request = name if name is not None and name in requests.names else None
        self._reason = self._refusal(name)
        # Only for a single event does the framework give what the fields were made of.
        self._needs_event = bool(fields.escapes or fields.whole_numbers)
        is_batched = self._reason == "" and name in requests.batched
        self._is_batched = is_batched and not self._needs_event
        of_event = event_fields(definition, action)
        self.fields = {**fields.fields, **{one.key: one.field for one in of_event}}
        self._checks = {**fields.checks, **{one.key: one.check for one in of_event}}
        if self._is_batched and name is not None:
            request = definition.requests[name]
            self.fields |= batch_fields(definition.name, request.batch_size, request.batch_bytes)

    def _refusal(self, name: str | None) -> str:
        """Return why the action cannot be performed there; empty if it can."""
        if self._given.refusal:
            return self._given.refusal
        if name is None:
            return "it needs several requests"
        return self._requests.refused.get(name, "")

    def _import(self, module: str, *names: str) -> None:
        self._imports.setdefault(module, set()).update(names)

    def file(self) -> ActionFile:
        """Return the file."""
        action = self._action
        members: dict[str, Any] = {"title": action.title, "description": action.description}
        if action.default_subscription is not None:
            members["defaultSubscription"] = action.default_subscription
        members["fields"] = self.fields
        if self._given.choices:
            members["dynamicFields"] = self._dynamic()
        members["perform"] = self._perform()
        if self._is_batched:
            members["performBatch"] = self._perform_batch()
        body = literal(members, 0, 200)
        constants = self._constants()
        source = (
            self._head()
            + constants
            + f"\nconst action: ActionDefinition<Settings, Payload> = {body}\n"
            + "\nexport default action\n"
        )
        return ActionFile(
            source, self.fields, self._is_batched, self._imports.keys() - {"requests"}
        )

    def _head(self) -> str:
        lines = []
        if self._reason:
            lines.append("import { IntegrationError } from '@segment/actions-core'\n")
        lines.append("import type { ActionDefinition } from '@segment/actions-core'\n")
        lines.append("import type { Settings } from '../generated-types'\n")
        lines.append("import type { Payload } from './generated-types'\n")
        for module in sorted(self._imports):
            names = ", ".join(sorted(self._imports[module]))
            lines.append(f"import {{ {names} }} from '../{module}'\n")
        return "".join(lines)

    def _constants(self) -> str:
        found = ""
        if self._checks and not self._reason:
            self._import("checks", "checks")
            found += f"\nconst check = checks({literal(self._checks, 0, 24)})\n"
        if self._given.whole_numbers and not self._reason:
            self._import("checks", "wholeNumbers")
            found += f"\nconst WHOLE_NUMBERS = {literal(self._given.whole_numbers, 0, 22)}\n"
        if self._given.escapes and not self._reason:
            self._import("escaping", "escaped")
            found += f"\nconst ESCAPES = {literal(self._given.escapes, 0, 16)}\n"
        if self._window is not None and not self._reason:
            self._import("windows", "within")
            found += f"\nconst inTime = within({literal(self._window, 0, 24)})\n"
        return found

    def _perform(self) -> Code:
        if self._reason:
            message = f"{self._action.title} is not there: {self._reason}."
            return throwing(message)
        assert self._request is not None  # noqa: S101 - there is no reason
        constant = self._requests.names[self._request]
        self._import("http", "send")
        self._import("requests", constant)
        value = self._checked("payload")
        parts = ["request", constant, "settings", value]
        sent = f"send({', '.join(parts)})"
        if len("    return ") + len(sent) > WIDTH:
            sent = "send(\n    " + ",\n    ".join(parts) + "\n  )"
        if self._needs_event:
            return Code(
                "(request, bundle) => {\n  const { payload, settings } = bundle\n"
                f"  return {sent}\n}}"
            )
        return Code(f"(request, {{ payload, settings }}) => {{\n  return {sent}\n}}")

    def _checked(self, value: str) -> str:
        if self._given.whole_numbers:
            value = f"wholeNumbers({value}, bundle, WHOLE_NUMBERS)"
        if self._given.escapes:
            value = f"escaped({value}, bundle, ESCAPES)"
        if self._window is not None:
            value = f"inTime({value}, settings)"
        return f"check({value})" if self._checks else value

    def _perform_batch(self) -> Code:
        assert self._request is not None  # noqa: S101 - it is batched
        constant = self._requests.names[self._request]
        self._import("batches", "sendBatch")
        prepare = ""
        if self._checks and self._window is None:
            prepare = ", check"
        elif self._checks or self._window is not None:
            prepare = f", (one) => {self._checked('one')}"
        return Code(
            "(request, { payload, settings }) => {\n"
            f"  return sendBatch(request, {constant}, settings, payload{prepare})\n}}"
        )

    def _dynamic(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for name, choices in self._given.choices.items():
            code = self._choices(choices)
            key, _, child = name.partition(".")
            if child:
                found.setdefault(key, {})[child] = code
            else:
                found[key] = code
        return found

    def _choices(self, choices: Mapping[str, Any]) -> Code:
        request = choices.get("request")
        constant = self._requests.names.get(str(request))
        if constant is None or request in self._requests.refused:
            return Code(
                "() => ({ choices: [], nextPage: '',"
                " error: { message: 'Not there.', code: '501' } })"
            )
        form = {key: choices[key] for key in ("items", "value", "label", "next") if key in choices}
        self._import("choices", "choicesOf")
        self._import("requests", constant)
        return Code(f"choicesOf({constant}, {literal(form, 0, 50)})")
